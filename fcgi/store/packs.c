/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of packs, index/packs.db.  It gives packs their numbers (never used twice) and knows of
 * each pack whether it may be appended to, how long it is, and how far its index is durable.  It is
 * not synced for each batch: a lost update makes `size` and `durable` smaller than the truth, which
 * only makes recovery read more, and marks of bad packs are synced.
 */
#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"

static const struct sx_db_schema schema = {
    .sql = "CREATE TABLE pack(number INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL,"
           " size INTEGER NOT NULL, durable INTEGER NOT NULL);"
           "CREATE INDEX pack_open ON pack(number) WHERE state = 0",
    .version = 1,
    .setup = "PRAGMA synchronous = NORMAL",
};

static const char *const sql[SX_P_COUNT] = {
    [SX_P_NEW] = "INSERT INTO pack(state, size, durable) VALUES(1, 0, 0)",
    [SX_P_GET] = "SELECT number, state, size, durable FROM pack WHERE number = ?1",
    [SX_P_SET] = "UPDATE pack SET state = ?2, size = ?3 WHERE number = ?1",
    [SX_P_ADD] = "INSERT INTO pack VALUES(?1, 1, 0, 0) ON CONFLICT DO NOTHING",
    [SX_P_DROP] = "DELETE FROM pack WHERE number = ?1",
    [SX_P_LIST] = "SELECT number, state, size, durable FROM pack ORDER BY number",
    [SX_P_LIST_OPEN] =
        "SELECT number, state, size, durable FROM pack WHERE state = 0 ORDER BY number LIMIT ?1",
    [SX_P_DURABLE] = "UPDATE pack SET durable = ?2 WHERE number = ?1",
    [SX_P_FROM] =
        "SELECT number, state, size, durable FROM pack WHERE number >= ?1 ORDER BY number LIMIT 1",
    [SX_P_SUM] = "SELECT count(*), ifnull(sum(size), 0) FROM pack",
};

int sx_packs_open(struct sx_packs *p, const char *dir, bool *fresh, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/index/packs.db", dir);

    if (sx_db_open(path, &schema, &p->db, fresh, e))
        return -1;
    for (int i = 0; i < SX_P_COUNT; i++)
        if (sx_db_prepare(p->db, sql[i], &p->q[i], e)) {
            sx_packs_close(p);
            return sx_err_wrap(e, "%s", path);
        }
    return 0;
}

void sx_packs_close(struct sx_packs *p)
{
    for (int i = 0; i < SX_P_COUNT; i++)
        sqlite3_finalize(p->q[i]);
    sqlite3_close(p->db);
    *p = (struct sx_packs){ 0 };
}

static int run_number(struct sx_packs *p, int q, uint64_t number, struct sx_err *e)
{
    sqlite3_bind_int64(p->q[q], 1, (sqlite3_int64)number);
    return sx_db_run(p->q[q], e);
}

int sx_packs_new(struct sx_packs *p, uint64_t *number, struct sx_err *e)
{
    if (sx_db_run(p->q[SX_P_NEW], e))
        return -1;
    *number = (uint64_t)sqlite3_last_insert_rowid(p->db);
    return 0;
}

static void read_row(sqlite3_stmt *st, struct sx_pack_row *row)
{
    row->number = (uint64_t)sqlite3_column_int64(st, 0);
    row->state = sqlite3_column_int(st, 1);
    row->size = (uint64_t)sqlite3_column_int64(st, 2);
    row->durable = (uint64_t)sqlite3_column_int64(st, 3);
}

static int get(struct sx_packs *p, int q, uint64_t number, struct sx_pack_row *row, bool *found,
               struct sx_err *e)
{
    sqlite3_stmt *st = p->q[q];
    int r;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)number);
    r = sx_db_step(st, e);
    if (r < 0)
        return -1;
    *found = r == 1;
    if (r == 1) {
        read_row(st, row);
        sqlite3_reset(st);
    }
    return 0;
}

int sx_packs_get(struct sx_packs *p, uint64_t number, struct sx_pack_row *row, bool *found,
                 struct sx_err *e)
{
    return get(p, SX_P_GET, number, row, found, e);
}

int sx_packs_from(struct sx_packs *p, uint64_t number, struct sx_pack_row *row, bool *found,
                  struct sx_err *e)
{
    return get(p, SX_P_FROM, number, row, found, e);
}

static int set(struct sx_packs *p, uint64_t number, int state, uint64_t size, struct sx_err *e)
{
    sqlite3_stmt *st = p->q[SX_P_SET];

    sqlite3_bind_int64(st, 1, (sqlite3_int64)number);
    sqlite3_bind_int(st, 2, state);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)size);
    return sx_db_run(st, e);
}

int sx_packs_set(struct sx_packs *p, uint64_t number, int state, uint64_t size, bool synced,
                 struct sx_err *e)
{
    int r;

    if (!synced)
        return set(p, number, state, size, e);
    if (sx_db_exec(p->db, "PRAGMA synchronous = FULL", e))
        return -1;
    r = set(p, number, state, size, e);
    if (sx_db_exec(p->db, "PRAGMA synchronous = NORMAL", r ? NULL : e))
        return -1;
    return r;
}

int sx_packs_add(struct sx_packs *p, uint64_t number, struct sx_err *e)
{
    return run_number(p, SX_P_ADD, number, e);
}

int sx_packs_drop(struct sx_packs *p, uint64_t number, struct sx_err *e)
{
    return run_number(p, SX_P_DROP, number, e);
}

int sx_packs_list(struct sx_packs *p, bool open_only, struct sx_pack_row **rows, size_t *n,
                  struct sx_err *e)
{
    sqlite3_stmt *st = p->q[open_only ? SX_P_LIST_OPEN : SX_P_LIST];
    SX_AUTO_FREE struct sx_pack_row *list = NULL;
    size_t got = 0, room = 0;
    int r;

    if (open_only)
        sqlite3_bind_int64(st, 1, SX_OPEN_PACKS_MAX);
    while ((r = sx_db_step(st, e)) == 1) {
        if (got == room) {
            room = room ? room * 2 : 64;
            list = sx_realloc(list, room * sizeof *list);
        }
        read_row(st, &list[got++]);
    }
    if (r)
        return -1;
    *rows = SX_STEAL(list);
    *n = got;
    return 0;
}

int sx_packs_set_durable(struct sx_packs *p, const struct sx_pack_row *rows, size_t n,
                         struct sx_err *e)
{
    sqlite3_stmt *st = p->q[SX_P_DURABLE];
    int r = 0;

    if (sx_db_exec(p->db, "BEGIN IMMEDIATE", e))
        return -1;
    for (size_t i = 0; i < n && !r; i++) {
        if (rows[i].durable == rows[i].size)
            continue;
        sqlite3_bind_int64(st, 1, (sqlite3_int64)rows[i].number);
        sqlite3_bind_int64(st, 2, (sqlite3_int64)rows[i].size);
        r = sx_db_run(st, e);
    }
    if (!r && sx_db_exec(p->db, "COMMIT", e) == 0)
        return 0;
    sqlite3_exec(p->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

int sx_packs_sum(struct sx_packs *p, uint64_t *count, uint64_t *bytes, struct sx_err *e)
{
    sqlite3_stmt *st = p->q[SX_P_SUM];

    if (sx_db_step(st, e) != 1)
        return -1;
    *count = (uint64_t)sqlite3_column_int64(st, 0);
    *bytes = (uint64_t)sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    return 0;
}
