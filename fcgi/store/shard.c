/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One shard of the index: id -> place, lease, state; and, kept in the same transactions, how
 * many live bytes and blocks each pack has in this shard.  All SQL on shards stands here.
 *
 * Not synced for each commit (synchronous = NORMAL): packs are the truth.
 */
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"

static const struct sx_db_schema schema = {
    .sql = "CREATE TABLE block(id BLOB PRIMARY KEY, pack INTEGER NOT NULL, at INTEGER NOT NULL,"
           " len INTEGER NOT NULL, lease INTEGER NOT NULL, state INTEGER NOT NULL) WITHOUT ROWID;"
           "CREATE INDEX block_bad ON block(id) WHERE state <> 0;"
           "CREATE TABLE usage(pack INTEGER PRIMARY KEY, live INTEGER NOT NULL,"
           " blocks INTEGER NOT NULL)",
    .version = 1,
    .setup = "PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 1073741824;"
             "PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 500",
};

static const char *const sql[SX_Q_COUNT] = {
    [SX_Q_FIND] = "SELECT pack, at, len, lease, state FROM block WHERE id = ?1",
    [SX_Q_LEASE] = "UPDATE block SET lease = max(lease, ?2) WHERE id = ?1 AND state = 0",
    [SX_Q_SET_LEASE] = "UPDATE block SET lease = ?3 WHERE id = ?1 AND lease = ?2",
    [SX_Q_PUT] = "INSERT OR REPLACE INTO block VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SX_Q_DELETE] = "DELETE FROM block WHERE id = ?1",
    [SX_Q_MOVE] = "UPDATE block SET pack = ?2, at = ?3 WHERE id = ?1 AND pack = ?4 AND at = ?5",
    [SX_Q_MARK] = "UPDATE block SET state = 1 WHERE id = ?1 AND pack = ?2 AND at = ?3",
    [SX_Q_LIST] = "SELECT id, lease, len, state FROM block WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SX_Q_LIST_BAD] = "SELECT id, lease, len, state FROM block WHERE state <> 0 AND id > ?1"
                      " ORDER BY id LIMIT ?2",
    [SX_Q_USE] = "INSERT INTO usage VALUES(?1, ?2, ?3) ON CONFLICT(pack) DO UPDATE"
                 " SET live = live + excluded.live, blocks = blocks + excluded.blocks",
    [SX_Q_USAGE] = "SELECT pack, live, blocks FROM usage WHERE pack = ?1",
    [SX_Q_USAGE_ALL] = "SELECT pack, live, blocks FROM usage ORDER BY pack",
    [SX_Q_USAGE_DROP] = "DELETE FROM usage WHERE pack = ?1",
    [SX_Q_LOSE_PACK] = "UPDATE block SET pack = 0, at = 0, state = 1 WHERE pack = ?1",
    [SX_Q_DROP_PACK] = "DELETE FROM block WHERE pack = ?1",
    [SX_Q_TOTAL] = "SELECT ifnull(sum(live), 0), ifnull(sum(blocks), 0),"
                   " (SELECT count(*) FROM block WHERE state <> 0) FROM usage WHERE pack <> 0",
    [SX_Q_RECOUNT] = "SELECT pack, sum(len), count(*) FROM block WHERE pack <> 0 GROUP BY pack"
                     " ORDER BY pack",
    [SX_Q_FOREIGN] = "SELECT count(*) FROM block WHERE typeof(id) <> 'blob' OR length(id) <> 32"
                     " OR id < ?1 OR id > ?2",
    [SX_Q_USAGE_CLEAR] = "DELETE FROM usage",
    [SX_Q_USAGE_FILL] = "INSERT INTO usage SELECT pack, sum(len), count(*) FROM block"
                        " WHERE pack <> 0 GROUP BY pack",
    [SX_Q_IN_PACK] = "SELECT id FROM block WHERE id > ?1 AND pack = ?2 AND at >= ?3 AND at < ?4"
                     " AND (state = 0 OR ?6) ORDER BY id LIMIT ?5",
};

int sx_shard_open(struct sx_shard *sh, const char *dir, unsigned number, bool *fresh,
                  struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-%u.db", dir, number);

    if (sx_db_open(path, &schema, &sh->db, fresh, e))
        return -1;
    for (int i = 0; i < SX_Q_COUNT; i++)
        if (sx_db_prepare(sh->db, sql[i], &sh->q[i], e)) {
            sx_shard_close(sh);
            return sx_err_wrap(e, "%s", path);
        }
    return 0;
}

void sx_shard_close(struct sx_shard *sh)
{
    for (int i = 0; i < SX_Q_COUNT; i++)
        sqlite3_finalize(sh->q[i]);
    sqlite3_close(sh->db);
    *sh = (struct sx_shard){ 0 };
}

int sx_shard_begin(struct sx_shard *sh, struct sx_err *e)
{
    return sx_db_exec(sh->db, "BEGIN IMMEDIATE", e);
}

int sx_shard_end(struct sx_shard *sh, int r, struct sx_err *e)
{
    if (r == 0 && sx_db_exec(sh->db, "COMMIT", e) == 0)
        return 0;
    sqlite3_exec(sh->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

static sqlite3_stmt *with_id(struct sx_shard *sh, int q, const struct sx_id *id)
{
    sqlite3_bind_blob(sh->q[q], 1, id->b, SX_ID_SIZE, SQLITE_STATIC);
    return sh->q[q];
}

int sx_shard_find(struct sx_shard *sh, const struct sx_id *id, struct sx_row *row, bool *found,
                  struct sx_err *e)
{
    sqlite3_stmt *st = with_id(sh, SX_Q_FIND, id);
    int r = sx_db_step(st, e);

    if (r < 0)
        return -1;
    *found = r == 1;
    if (r == 1) {
        row->pack = (uint64_t)sqlite3_column_int64(st, 0);
        row->at = (uint64_t)sqlite3_column_int64(st, 1);
        row->len = (uint32_t)sqlite3_column_int64(st, 2);
        row->lease = (uint64_t)sqlite3_column_int64(st, 3);
        row->state = sqlite3_column_int(st, 4);
        sqlite3_reset(st);
    }
    return 0;
}

int sx_shard_lease(struct sx_shard *sh, const struct sx_id *id, uint64_t epoch, bool *hit,
                   struct sx_err *e)
{
    sqlite3_stmt *st = with_id(sh, SX_Q_LEASE, id);

    sqlite3_bind_int64(st, 2, (sqlite3_int64)epoch);
    if (sx_db_run(st, e))
        return -1;
    *hit = sqlite3_changes(sh->db) > 0;
    return 0;
}

int sx_shard_set_lease(struct sx_shard *sh, const struct sx_id *id, uint64_t old, uint64_t epoch,
                     bool *hit, struct sx_err *e)
{
    sqlite3_stmt *st = with_id(sh, SX_Q_SET_LEASE, id);

    sqlite3_bind_int64(st, 2, (sqlite3_int64)old);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)epoch);
    if (sx_db_run(st, e))
        return -1;
    *hit = sqlite3_changes(sh->db) > 0;
    return 0;
}

int sx_shard_put(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *row,
                 struct sx_err *e)
{
    sqlite3_stmt *st = with_id(sh, SX_Q_PUT, id);

    sqlite3_bind_int64(st, 2, (sqlite3_int64)row->pack);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)row->at);
    sqlite3_bind_int64(st, 4, row->len);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)row->lease);
    sqlite3_bind_int(st, 6, row->state);
    return sx_db_run(st, e);
}

int sx_shard_delete(struct sx_shard *sh, const struct sx_id *id, struct sx_err *e)
{
    return sx_db_run(with_id(sh, SX_Q_DELETE, id), e);
}

int sx_shard_move(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *from,
                  uint64_t pack, uint64_t at, bool *moved, struct sx_err *e)
{
    sqlite3_stmt *st = with_id(sh, SX_Q_MOVE, id);

    sqlite3_bind_int64(st, 2, (sqlite3_int64)pack);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)at);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)from->pack);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)from->at);
    if (sx_db_run(st, e))
        return -1;
    *moved = sqlite3_changes(sh->db) > 0;
    return 0;
}

int sx_shard_use(struct sx_shard *sh, uint64_t pack, int64_t bytes, int64_t blocks,
                 struct sx_err *e)
{
    sqlite3_stmt *st = sh->q[SX_Q_USE];

    sqlite3_bind_int64(st, 1, (sqlite3_int64)pack);
    sqlite3_bind_int64(st, 2, bytes);
    sqlite3_bind_int64(st, 3, blocks);
    return sx_db_run(st, e);
}

int sx_shard_replace(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *old,
                     const struct sx_row *row, struct sx_err *e)
{
    if (old && old->pack && sx_shard_use(sh, old->pack, -(int64_t)old->len, -1, e))
        return -1;
    if (sx_shard_use(sh, row->pack, row->len, 1, e))
        return -1;
    return sx_shard_put(sh, id, row, e);
}

int sx_shard_mark_bad(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *at,
                      struct sx_err *e)
{
    sqlite3_stmt *st = with_id(sh, SX_Q_MARK, id);

    sqlite3_bind_int64(st, 2, (sqlite3_int64)at->pack);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)at->at);
    return sx_db_run(st, e);
}

int sx_shard_lose_pack(struct sx_shard *sh, uint64_t pack, bool forget, struct sx_err *e)
{
    sqlite3_stmt *rows = sh->q[forget ? SX_Q_DROP_PACK : SX_Q_LOSE_PACK];
    sqlite3_stmt *usage = sh->q[SX_Q_USAGE_DROP];
    int r;

    if (sx_shard_begin(sh, e))
        return -1;
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)pack);
    sqlite3_bind_int64(usage, 1, (sqlite3_int64)pack);
    r = sx_db_run(rows, e);
    if (!r)
        r = sx_db_run(usage, e);
    return sx_shard_end(sh, r, e);
}

int sx_shard_usage(struct sx_shard *sh, uint64_t pack, struct sx_usage *u, struct sx_err *e)
{
    sqlite3_stmt *st = sh->q[SX_Q_USAGE];
    int r;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)pack);
    r = sx_db_step(st, e);
    if (r < 0)
        return -1;
    *u = (struct sx_usage){ .pack = pack };
    if (r == 1) {
        u->live = (uint64_t)sqlite3_column_int64(st, 1);
        u->blocks = (uint64_t)sqlite3_column_int64(st, 2);
        sqlite3_reset(st);
    }
    return 0;
}

/* In one read transaction.  Packs that are counted and have no row show in the balance. */
static int compare_usage(struct sx_shard *sh, uint64_t *faults, struct sx_err *e)
{
    sqlite3_stmt *st = sh->q[SX_Q_RECOUNT], *all = sh->q[SX_Q_USAGE_ALL];
    int64_t balance = 0;
    int r;

    while ((r = sx_db_step(st, e)) == 1) {
        struct sx_usage u;

        if (sx_shard_usage(sh, (uint64_t)sqlite3_column_int64(st, 0), &u, e)) {
            sqlite3_reset(st);
            return -1;
        }
        balance += (int64_t)u.live;
        if (u.live != (uint64_t)sqlite3_column_int64(st, 1) ||
            u.blocks != (uint64_t)sqlite3_column_int64(st, 2))
            ++*faults;
    }
    while (!r && (r = sx_db_step(all, e)) == 1) {
        balance -= sqlite3_column_int64(all, 1);
        r = 0;
    }
    if (!r && balance)
        ++*faults;
    return r;
}

int sx_shard_recount(struct sx_shard *sh, bool mend, uint64_t *faults, struct sx_err *e)
{
    int r;

    *faults = 0;
    if (sx_db_exec(sh->db, "BEGIN", e))
        return -1;
    r = compare_usage(sh, faults, e);
    sqlite3_exec(sh->db, "COMMIT", NULL, NULL, NULL);
    if (r || !*faults || !mend)
        return r;
    if (sx_shard_begin(sh, e))
        return -1;
    r = sx_db_run(sh->q[SX_Q_USAGE_CLEAR], e) || sx_db_run(sh->q[SX_Q_USAGE_FILL], e) ? -1 : 0;
    return sx_shard_end(sh, r, e);
}

int sx_shard_in_pack(struct sx_shard *sh, const struct sx_pack_area *area, struct sx_id *ids,
                     size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st = sh->q[SX_Q_IN_PACK];
    struct sx_id after = *n ? ids[*n - 1] : (struct sx_id){ 0 };
    int r;

    sqlite3_bind_blob(st, 1, after.b, SX_ID_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)area->pack);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)area->from);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)area->to);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)max);
    sqlite3_bind_int(st, 6, area->bad_too);
    *n = 0;
    while ((r = sx_db_step(st, e)) == 1)
        if (sqlite3_column_bytes(st, 0) == SX_ID_SIZE)
            memcpy(ids[(*n)++].b, sqlite3_column_blob(st, 0), SX_ID_SIZE);
    return r;
}

int sx_shard_foreign(struct sx_shard *sh, unsigned number, bool *any, struct sx_err *e)
{
    sqlite3_stmt *st = sh->q[SX_Q_FOREIGN];
    struct sx_id first = { 0 }, last;

    memset(last.b, 0xff, sizeof last.b);
    first.b[0] = (uint8_t)(number << (8 - SX_SHARD_BITS));
    last.b[0] = (uint8_t)(first.b[0] | (0xff >> SX_SHARD_BITS));
    sqlite3_bind_blob(st, 1, first.b, SX_ID_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(st, 2, last.b, SX_ID_SIZE, SQLITE_STATIC);
    if (sx_db_step(st, e) != 1)
        return -1;
    *any = sqlite3_column_int64(st, 0) > 0;
    sqlite3_reset(st);
    return 0;
}
