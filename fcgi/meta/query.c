/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries on the cluster: handles, settings, nodes, counters.
 */
#include "fcgi/meta/query.h"

#include <string.h>

#include "fcgi/meta/sm/db.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/mem.h"
#include "libsx/place/place.h"

#define CACHE_KIB 8192

int sx_query_open(const char *path, sqlite3 **db, struct sx_err *e)
{
    SX_AUTO_FREE char *cache = sx_asprintf("PRAGMA cache_size = -%d", CACHE_KIB);
    sqlite3 *h;
    int rc = sx_sums_open(path, &h, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX);

    if (rc != SQLITE_OK)
        sx_mdb_error(h, rc, e);
    else {
        sqlite3_extended_result_codes(h, 1);
        sx_sums_watch(h);
        sqlite3_busy_timeout(h, SX_DB_BUSY_MS);
        if (sx_mdb_exec(h, cache, e) == 0) {
            *db = h;
            return 0;
        }
    }
    sqlite3_close(h);
    return sx_err_wrap(e, "open %s", path);
}

void sx_query_close(sqlite3 *db)
{
    sqlite3_stmt *st;

    while (db && (st = sqlite3_next_stmt(db, NULL)) != NULL)
        sqlite3_finalize(st);
    sqlite3_close(db);
}

static int run(sqlite3 *db, const char *sql, struct sx_err *e)
{
    sqlite3_stmt *st;

    return sx_mdb_get(db, &st, e, sql, "");
}

int sx_query_begin(sqlite3 *db, struct sx_err *e)
{
    return run(db, "BEGIN", e);
}

void sx_query_end(sqlite3 *db)
{
    if (!sqlite3_get_autocommit(db) && run(db, "COMMIT", NULL) != 0)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

int sx_query_setting(sqlite3 *db, const char *name, struct sx_buf *value, struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    int rc = sx_mdb_get(db, &st, e, "SELECT value FROM setting WHERE name = ?", "t", name);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOTFOUND, "setting '%s' is not set", name);
    s = sx_mdb_blob(st, 0);
    sx_buf_reset(value);
    sx_buf_add(value, s.p, s.n);
    sqlite3_reset(st);
    return 0;
}

static int setting_text(sqlite3 *db, const char *name, char **out, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (sx_query_setting(db, name, &b, e) != 0)
        return -1;
    *out = sx_strndup(sx_buf_cstr(&b), b.len);
    return 0;
}

static int cluster_read(sqlite3 *db, struct sx_cluster *c, struct sx_err *e)
{
    if (setting_text(db, "cluster.uuid", &c->uuid, e) != 0 ||
        setting_text(db, "cluster.name", &c->name, e) != 0 ||
        setting_text(db, "cluster.ca_cert", &c->ca_cert, e) != 0 ||
        sx_query_setting(db, "cluster.domain_key", &c->domain_key, e) != 0 ||
        sx_query_setting(db, "cluster.ca_key", &c->ca_key, e) != 0)
        return -1;
    return sx_query_map_version(db, &c->map_version, e);
}

int sx_query_cluster(sqlite3 *db, struct sx_cluster *c, struct sx_err *e)
{
    struct sx_cluster got = { .domain_key = SX_BUF_INIT, .ca_key = SX_BUF_INIT };

    if (cluster_read(db, &got, e) != 0) {
        sx_cluster_fini(&got);
        return -1;
    }
    *c = got;
    return 0;
}

void sx_cluster_fini(struct sx_cluster *c)
{
    free(c->uuid);
    free(c->name);
    free(c->ca_cert);
    sx_buf_fini(&c->domain_key);
    sx_buf_fini(&c->ca_key);
    memset(c, 0, sizeof *c);
}

static void node_read(sqlite3_stmt *st, struct sx_node *n)
{
    n->id = sx_mdb_u64(st, 0);
    sx_mdb_text(st, 1, n->address, sizeof n->address);
    n->port = (uint16_t)sx_mdb_u64(st, 2);
    n->peer_port = (uint16_t)sx_mdb_u64(st, 3);
    sx_mdb_text(st, 4, n->zone, sizeof n->zone);
    n->capacity = sx_mdb_u64(st, 5);
    sx_mdb_text(st, 6, n->version, sizeof n->version);
    n->joined_ms = sx_mdb_u64(st, 7);
}

static int node_cmp(const void *a, const void *b)
{
    const struct sx_node *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

int sx_query_nodes(sqlite3 *db, struct sx_node **nodes, size_t *n, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_node *list = sx_calloc(SX_NODES_MAX, sizeof *list);
    sqlite3_stmt *st;
    size_t count = 0;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT id, address, port, peer_port, zone, capacity, version, joined_ms FROM node",
                       "");

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        sx_assert(count < SX_NODES_MAX);
        node_read(st, &list[count++]);
    }
    if (rc < 0)
        return -1;
    qsort(list, count, sizeof *list, node_cmp);
    *n = count;
    *nodes = SX_STEAL(list);
    return 0;
}

/* The first two columns of the only row, as numbers. */
static int numbers(sqlite3 *db, const char *sql, uint64_t *a, uint64_t *b, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, sql, "");

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ECORRUPT, "metadata database: table state is empty");
    *a = sx_mdb_u64(st, 0);
    if (b)
        *b = sx_mdb_u64(st, 1);
    sqlite3_reset(st);
    return 0;
}

int sx_query_map_version(sqlite3 *db, uint64_t *version, struct sx_err *e)
{
    return numbers(db, "SELECT map_version FROM state", version, NULL, e);
}

int sx_query_epoch(sqlite3 *db, uint64_t *epoch, struct sx_err *e)
{
    return numbers(db, "SELECT epoch FROM state", epoch, NULL, e);
}

int sx_query_time(sqlite3 *db, uint64_t *time_ms, struct sx_err *e)
{
    return numbers(db, "SELECT time_ms FROM state", time_ms, NULL, e);
}

int sx_query_applied(sqlite3 *db, uint64_t *index, uint64_t *term, struct sx_err *e)
{
    return numbers(db, "SELECT idx, term FROM state", index, term, e);
}

int sx_query_counters(sqlite3 *db, struct sx_counters *c, struct sx_err *e)
{
    struct sx_counters got;

    if (numbers(db, "SELECT count(*), coalesce(sum(files), 0) FROM volume", &got.volumes,
                &got.files, e) != 0 ||
        numbers(db, "SELECT coalesce(sum(used), 0), (SELECT count(*) FROM user) FROM volume",
                &got.bytes, &got.users, e) != 0 ||
        numbers(db, "SELECT count(*) FROM upload", &got.uploads, NULL, e) != 0 ||
        numbers(db, "SELECT (SELECT count(*) FROM job WHERE state = 1),"
                    " (SELECT count(*) FROM job WHERE state = 0)", &got.jobs_running,
                &got.jobs_waiting, e) != 0)
        return -1;
    *c = got;
    return 0;
}
