/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries on what the loss of blocks hits.  Table ref leads from a block to contents, but no index
 * leads from a content to its files: those are found in one pass over all of them.
 */
#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"

int sx_query_hit_clear(sqlite3 *db, struct sx_err *e)
{
    if (sx_mdb_exec(db, "CREATE TEMP TABLE IF NOT EXISTS hit(content INTEGER PRIMARY KEY)", e))
        return -1;
    return sx_mdb_exec(db, "DELETE FROM temp.hit", e);
}

int sx_query_hit_add(sqlite3 *db, const struct sx_id *id, struct sx_err *e)
{
    sqlite3_stmt *st;
    int r = sx_mdb_get(db, &st, e,
                       "INSERT OR IGNORE INTO temp.hit SELECT content FROM ref WHERE id = ?1"
                       " UNION ALL SELECT content FROM joint WHERE child IN"
                       " (SELECT content FROM ref WHERE id = ?1)", "b", id->b, (size_t)SX_ID_SIZE);

    return r < 0 ? -1 : 0;
}

/* The hits of one of the tables of revisions. */
static int from_table(sqlite3 *db, const char *sql, bool newest,
                      void (*fn)(void *ctx, const struct sx_hit *hit), void *ctx, uint64_t *n,
                      struct sx_err *e)
{
    sqlite3_stmt *st;
    int r = sx_mdb_get(db, &st, e, sql, "");

    for (; r == 1; r = sx_mdb_step(st, e)) {
        struct sx_hit h = { .volume = (const char *)sqlite3_column_text(st, 0),
                            .path = (const char *)sqlite3_column_text(st, 1),
                            .rev = sx_mdb_u64(st, 2), .newest = newest };

        fn(ctx, &h);
        ++*n;
    }
    return r;
}

#define HITS_OF(table)                                                                             \
    "SELECT volume.name, t.path, t.rev FROM " table " t CROSS JOIN temp.hit ON hit.content ="      \
    " t.content JOIN volume ON volume.id = t.volume ORDER BY t.volume, t.path"

int sx_query_hit_files(sqlite3 *db, void (*fn)(void *ctx, const struct sx_hit *hit), void *ctx,
                       uint64_t *n, struct sx_err *e)
{
    sqlite3_stmt *st;
    int any = sx_mdb_get(db, &st, e, "SELECT 1 FROM temp.hit LIMIT 1", "");

    *n = 0;
    if (any <= 0)
        return any;
    sqlite3_reset(st);
    if (from_table(db, HITS_OF("file"), true, fn, ctx, n, e))
        return -1;
    return from_table(db, HITS_OF("old"), false, fn, ctx, n, e);
}
