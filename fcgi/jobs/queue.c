/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The replication queue: one SQLite database, synchronous = FULL, because the answer that a worker
 * gives after sx_queue_add() counts on the row.
 */
#include "fcgi/jobs/queue.h"

#include "fcgi/store/db.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

enum { ADD, TARGETS, LIST, REMOVE, DROP, COUNT, STATEMENTS };

struct sx_queue {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
};

static const struct sx_db_schema schema = {
    .sql = "CREATE TABLE todo(node INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY(node, id))"
           " WITHOUT ROWID",
    .version = 1,
    .setup = "PRAGMA synchronous = FULL",
};

static const char *const sql[STATEMENTS] = {
    [ADD] = "INSERT INTO todo VALUES(?1, ?2) ON CONFLICT DO NOTHING",
    /* One seek a target, instead of a scan of the whole table. */
    [TARGETS] = "WITH RECURSIVE t(node) AS (SELECT min(node) FROM todo UNION ALL"
                " SELECT (SELECT min(node) FROM todo WHERE node > t.node) FROM t"
                " WHERE t.node IS NOT NULL) SELECT node FROM t WHERE node IS NOT NULL LIMIT ?1",
    [LIST] = "SELECT id FROM todo WHERE node = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    [REMOVE] = "DELETE FROM todo WHERE node = ?1 AND id = ?2",
    [DROP] = "DELETE FROM todo WHERE node = ?1",
    [COUNT] = "SELECT count(*) FROM todo",
};

void sx_queue_close(struct sx_queue *q)
{
    if (!q)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(q->st[i]);
    sqlite3_close(q->db);
    free(q);
}

int sx_queue_open(const char *dir, struct sx_queue **out, struct sx_err *e)
{
    SX_AUTO_FREE char *folder = sx_asprintf("%s/queue", dir);
    SX_AUTO_FREE char *path = sx_asprintf("%s/queue.db", folder);
    struct sx_queue *q;

    if (sx_io_mkdirs(folder, e))
        return -1;
    q = sx_calloc(1, sizeof *q);
    if (sx_db_open(path, &schema, &q->db, NULL, e) || sx_io_sync_dir(&sx_io_posix, folder, e))
        goto fail;
    for (int i = 0; i < STATEMENTS; i++)
        if (sx_db_prepare(q->db, sql[i], &q->st[i], e))
            goto fail;
    *out = q;
    return 0;
fail:
    sx_queue_close(q);
    return sx_err_wrap(e, "replication queue");
}

static void bind_row(sqlite3_stmt *st, uint64_t node, const struct sx_id *id)
{
    sqlite3_bind_int64(st, 1, (sqlite3_int64)node);
    sqlite3_bind_blob(st, 2, id->b, SX_ID_SIZE, SQLITE_STATIC);
}

static int finish(struct sx_queue *q, int r, struct sx_err *e)
{
    if (!r && sx_db_exec(q->db, "COMMIT", e) == 0)
        return 0;
    sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
    return sx_err_wrap(e, "replication queue");
}

int sx_queue_add(struct sx_queue *q, const struct sx_queue_row *rows, size_t n, struct sx_err *e)
{
    int r = 0;

    if (n == 0)
        return 0;
    if (sx_db_exec(q->db, "BEGIN IMMEDIATE", e))
        return sx_err_wrap(e, "replication queue");
    for (size_t i = 0; i < n && !r; i++) {
        bind_row(q->st[ADD], rows[i].node, &rows[i].id);
        r = sx_db_run(q->st[ADD], e);
    }
    return finish(q, r, e);
}

int sx_queue_remove(struct sx_queue *q, uint64_t node, const struct sx_id *ids, size_t n,
                    struct sx_err *e)
{
    int r = 0;

    if (n == 0)
        return 0;
    if (sx_db_exec(q->db, "BEGIN IMMEDIATE", e))
        return sx_err_wrap(e, "replication queue");
    for (size_t i = 0; i < n && !r; i++) {
        bind_row(q->st[REMOVE], node, &ids[i]);
        r = sx_db_run(q->st[REMOVE], e);
    }
    return finish(q, r, e);
}

int sx_queue_drop(struct sx_queue *q, uint64_t node, struct sx_err *e)
{
    sqlite3_bind_int64(q->st[DROP], 1, (sqlite3_int64)node);
    return sx_db_run(q->st[DROP], e) ? sx_err_wrap(e, "replication queue") : 0;
}

int sx_queue_targets(struct sx_queue *q, uint64_t *nodes, size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st = q->st[TARGETS];
    size_t got = 0;
    int r;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)max);
    while ((r = sx_db_step(st, e)) == 1)
        nodes[got++] = (uint64_t)sqlite3_column_int64(st, 0);
    if (r)
        return sx_err_wrap(e, "replication queue");
    *n = got;
    return 0;
}

int sx_queue_list(struct sx_queue *q, uint64_t node, const struct sx_id *after, struct sx_id *ids,
                  size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st = q->st[LIST];
    size_t got = 0;
    int r;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)node);
    sqlite3_bind_blob(st, 2, after ? after->b : (const void *)"", after ? SX_ID_SIZE : 0,
                      SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)max);
    while ((r = sx_db_step(st, e)) == 1)
        if (sqlite3_column_bytes(st, 0) == SX_ID_SIZE)
            memcpy(ids[got++].b, sqlite3_column_blob(st, 0), SX_ID_SIZE);
    if (r)
        return sx_err_wrap(e, "replication queue");
    *n = got;
    return 0;
}

int sx_queue_count(struct sx_queue *q, uint64_t *rows, struct sx_err *e)
{
    if (sx_db_step(q->st[COUNT], e) != 1)
        return sx_err_wrap(e, "replication queue");
    *rows = (uint64_t)sqlite3_column_int64(q->st[COUNT], 0);
    sqlite3_reset(q->st[COUNT]);
    return 0;
}
