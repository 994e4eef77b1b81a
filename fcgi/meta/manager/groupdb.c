/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See groupdb.h.
 *
 * POSIX locks: SQLite loses its locks on a file when this process closes any descriptor of it. The
 * database and its -shm file are therefore never opened here but through SQLite; the -wal file
 * carries no locks.
 */
#include "fcgi/meta/manager/groupdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/meta/sm/base.h"
#include "fcgi/meta/sm/sm.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define READERS_WAIT_MS 20 /* how long a restart of SQLite's log waits for readers */

struct sx_groupdb {
    char *meta, *path, *wal_path, *ready_path;
    struct sx_sm *sm;
    sqlite3 *db;           /* for reading the node list */
    int frames;            /* in SQLite's log */
    struct sx_buf results; /* op, u32 code, u32 length, bytes */
    size_t told;           /* of them */
    struct sx_node *nodes;
    size_t n_nodes;
    bool nodes_new;
    uint64_t map_version;
};

/* ---- opening ---- */

static void note_result(void *arg, const uint8_t op[SX_OP_ID], int code, const char *msg,
                        const void *payload, size_t n)
{
    struct sx_groupdb *g = arg;

    sx_buf_add(&g->results, op, SX_OP_ID);
    sx_buf_u32(&g->results, (uint32_t)code);
    if (code == SX_OK)
        sx_buf_bytes(&g->results, payload, n);
    else
        sx_buf_bytes(&g->results, msg, strlen(msg));
}

/* SQLite's log has so many frames after a commit. */
static int log_grew(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct sx_groupdb *g = arg;

    g->frames = frames;
    return SQLITE_OK;
}

/* Reads the node list anew if it has changed. */
static int look_at_nodes(struct sx_groupdb *g, struct sx_err *e)
{
    struct sx_err local = SX_ERR_INIT;
    uint64_t version;

    if (sx_query_map_version(g->db, &version, &local)) {
        if (local.code == SX_ENOTFOUND) /* nothing applied yet */
            return 0;
        sx_err_copy(e, &local);
        return -1;
    }
    if (version == g->map_version)
        return 0;
    free(g->nodes);
    g->nodes = NULL;
    if (sx_query_nodes(g->db, &g->nodes, &g->n_nodes, e))
        return sx_err_wrap(e, "read the list of nodes");
    g->map_version = version;
    g->nodes_new = true;
    return 0;
}

static int unlink_if(const char *path, struct sx_err *e)
{
    if (unlink(path) && errno != ENOENT)
        return sx_err_errno(e, errno, "removing %s", path);
    return 0;
}

/* Puts the fetched database, if there is one, into place.  The old one goes first, and its logs
 * before the new one comes, so that no reader can take them for the new one's.  May be
 * interrupted and repeated anywhere. */
static int adopt(struct sx_groupdb *g, struct sx_err *e)
{
    SX_AUTO_FREE char *shm = sx_asprintf("%s-shm", g->path);

    if (access(g->ready_path, F_OK))
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "looking for %s", g->ready_path);
    if (unlink_if(g->path, e) || unlink_if(g->wal_path, e) || unlink_if(shm, e) ||
        sx_base_forget(g->path, e) || sx_io_sync_dir(&sx_io_posix, g->meta, e))
        return -1;
    if (rename(g->ready_path, g->path))
        return sx_err_errno(e, errno, "renaming %s", g->ready_path);
    return sx_io_sync_dir(&sx_io_posix, g->meta, e) || sx_sums_lower(g->path, e) ? -1 : 0;
}

static int open_parts(struct sx_groupdb *g, struct sx_err *e)
{
    uint64_t index, term;

    if (sx_sm_open(g->path, 0, note_result, g, &g->sm, e) || sx_query_open(g->path, &g->db, e))
        return -1;
    sqlite3_wal_hook(sx_sm_db(g->sm), log_grew, g);
    g->frames = 0;
    g->map_version = 0;
    sx_sm_applied(g->sm, &index, &term);
    if (sx_base_check(g->path, index, e))
        return -1;
    sx_base_note(sx_sm_db(g->sm), g->path);
    return look_at_nodes(g, e);
}

static int open_db(struct sx_groupdb *g, struct sx_err *e)
{
    if (adopt(g, e))
        return -1;
    if (open_parts(g, e) == 0)
        return 0;
    if (e->code == SX_ECORRUPT)
        sx_sums_raise(g->path); /* also if no page's sum was wrong */
    return -1;
}

static void close_db(struct sx_groupdb *g)
{
    sx_query_close(g->db);
    sx_sm_close(g->sm);
    g->db = NULL;
    g->sm = NULL;
}

struct sx_groupdb *sx_groupdb_new(const char *meta, unsigned group, struct sx_err *e)
{
    struct sx_groupdb *g = sx_calloc(1, sizeof *g);

    g->meta = sx_strdup(meta);
    g->path = sx_asprintf("%s/group-%u.db", meta, group);
    g->wal_path = sx_asprintf("%s-wal", g->path);
    g->ready_path = sx_asprintf("%s.ready", g->path);
    if (open_db(g, e)) {
        sx_groupdb_free(g);
        return NULL;
    }
    return g;
}

void sx_groupdb_free(struct sx_groupdb *g)
{
    if (!g)
        return;
    close_db(g);
    sx_buf_fini(&g->results);
    free(g->nodes);
    free(g->meta);
    free(g->path);
    free(g->wal_path);
    free(g->ready_path);
    free(g);
}

const char *sx_groupdb_path(const struct sx_groupdb *g)
{
    return g->path;
}

int sx_groupdb_swap(struct sx_groupdb *g, struct sx_err *e)
{
    close_db(g);
    return open_db(g, e);
}

/* ---- applying ---- */

static int apply_items(struct sx_groupdb *g, const struct sx_batch *b, struct sx_err *e)
{
    if (sx_sm_begin(g->sm, e))
        return -1;
    for (unsigned i = 0; i < b->n; i++) {
        const struct sx_batch_item *it = &b->items[i];
        int r = it->type == SX_ENTRY_COMMAND ?
                    sx_sm_apply(g->sm, b->data.data + it->at, it->len, it->index, it->term, e) :
                    sx_sm_note(g->sm, it->index, it->term, e);

        if (r) {
            sx_sm_rollback(g->sm);
            return sx_err_wrap(e, "apply entry %" PRIu64, it->index);
        }
    }
    return sx_sm_commit(g->sm, e);
}

int sx_groupdb_apply(struct sx_groupdb *g, const struct sx_batch *b, struct sx_err *e)
{
    return apply_items(g, b, e) || look_at_nodes(g, e) ? -1 : 0;
}

uint64_t sx_groupdb_applied(const struct sx_groupdb *g)
{
    uint64_t index, term;

    sx_sm_applied(g->sm, &index, &term);
    return index;
}

uint64_t sx_groupdb_time(const struct sx_groupdb *g)
{
    return sx_sm_time(g->sm);
}

bool sx_groupdb_nodes(struct sx_groupdb *g, const struct sx_node **nodes, size_t *n)
{
    if (!g->nodes_new)
        return false;
    g->nodes_new = false;
    *nodes = g->nodes;
    *n = g->n_nodes;
    return true;
}

bool sx_groupdb_result(struct sx_groupdb *g, struct sx_groupdb_result *r)
{
    struct sx_cur c;

    if (g->told == g->results.len) {
        sx_buf_reset(&g->results);
        g->told = 0;
        return false;
    }
    c = sx_cur_of(g->results.data + g->told, g->results.len - g->told);
    r->op = sx_cur_take(&c, SX_OP_ID);
    r->code = (int)sx_cur_u32(&c);
    r->p = sx_cur_bytes(&c, &r->n);
    sx_assert(!c.bad);
    g->told = g->results.len - c.left;
    return true;
}

/* ---- SQLite's log ---- */

int sx_groupdb_log_frames(const struct sx_groupdb *g)
{
    return g->frames;
}

/* One checkpoint over an own connection, which knows of the log only after a read. */
static int checkpoint(const char *path, int mode, int wait_ms, struct sx_err *e)
{
    sqlite3 *db = NULL;
    int r = sx_sums_open(path, &db, SQLITE_OPEN_READWRITE);

    if (r == SQLITE_OK) {
        sx_sums_watch(db);
        sqlite3_busy_timeout(db, wait_ms);
        r = sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    if (r == SQLITE_OK)
        r = sqlite3_wal_checkpoint_v2(db, NULL, mode, NULL, NULL);
    if (r != SQLITE_OK && r != SQLITE_BUSY && r != SQLITE_LOCKED)
        sx_err_set(e, sx_sums_failed(db) ? SX_ECORRUPT : SX_EIO, "checkpoint of %s: %s", path,
                   sqlite3_errmsg(db));
    else {
        r = SQLITE_OK;
        sx_base_note(db, path);
    }
    sqlite3_close(db);
    return r == SQLITE_OK ? 0 : -1;
}

int sx_groupdb_checkpoint(const struct sx_groupdb *g, struct sx_err *e)
{
    return checkpoint(g->path, SQLITE_CHECKPOINT_PASSIVE, 0, e);
}

int sx_groupdb_restart_log(struct sx_groupdb *g, struct sx_err *e)
{
    return checkpoint(g->path, SQLITE_CHECKPOINT_RESTART, READERS_WAIT_MS, e);
}

/* What was committed before is in the -wal file, or was moved from there and synced. */
int sx_groupdb_sync(const struct sx_groupdb *g, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open(g->wal_path, O_RDONLY | O_CLOEXEC);

    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && fdatasync(fd)))
        return sx_err_errno(e, errno, "syncing %s", g->wal_path);
    return sx_io_sync_dir(&sx_io_posix, g->meta, e);
}
