/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The oldest revisions of files go: those too many for their volume, at once when one is added, and
 * step by step after the count of a volume was lowered (table trim).
 */
#include "fcgi/meta/sm/sm_int.h"

uint64_t sx_frow_old_max(const struct sx_volume *v)
{
    return v->versioning ? UINT64_MAX : v->revisions - 1;
}

/* Removes the oldest row of old; *bytes grows by its size. */
static int oldest_remove(struct sx_sm *sm, uint64_t volume, const char *path, uint64_t *bytes,
                         struct sx_err *e)
{
    uint64_t ord, content, size;
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT ord, content, size FROM old WHERE volume = ? AND path = ?"
                       " ORDER BY ord LIMIT 1", "it", volume, path);

    if (rc < 0)
        return -1;
    sx_assert(rc == 1);
    ord = sx_mdb_u64(st, 0);
    content = sx_mdb_u64(st, 1);
    size = sx_mdb_u64(st, 2);
    sqlite3_reset(st);
    *bytes += size;
    if (sx_sm_run(sm, e, "DELETE FROM old WHERE volume = ? AND path = ? AND ord = ?", "iti", volume,
                  path, ord) != 0)
        return -1;
    return sx_content_drop(sm, content, e);
}

int sx_frow_trim(struct sx_sm *sm, uint64_t volume, const char *path, uint64_t *older, uint64_t keep,
                 uint64_t *bytes, struct sx_err *e)
{
    for (; *older > keep; (*older)--)
        if (oldest_remove(sm, volume, path, bytes, e) != 0)
            return -1;
    return 0;
}

/* ---- after the revision count of a volume was lowered ---- */

/* Trims the next file behind the cursor that has old revisions: 1, or 0 when none is left. */
static int expire_one(struct sx_sm *sm, struct sx_volume *v, char cursor[SX_PATH_MAX + 1],
                      uint64_t *budget, struct sx_err *e)
{
    uint64_t older, freed = 0, had;
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT path FROM old WHERE volume = ? AND path > ?"
                                   " ORDER BY path LIMIT 1", "it", v->id, cursor);

    if (rc != 1)
        return rc;
    sx_mdb_text(st, 0, cursor, SX_PATH_MAX + 1);
    sqlite3_reset(st);
    if (sx_sm_number(sm, e, &older, 0, "SELECT older FROM file WHERE volume = ? AND path = ?", "it",
                     v->id, cursor) != 0)
        return -1;
    had = older;
    if (sx_frow_trim(sm, v->id, cursor, &older, sx_frow_old_max(v), &freed, e) != 0)
        return -1;
    *budget -= 1 + had - older < *budget ? 1 + had - older : *budget;
    if (had != older &&
        (sx_sm_run(sm, e, "UPDATE file SET older = ? WHERE volume = ? AND path = ?", "iit", older,
                   v->id, cursor) != 0 ||
         sx_usage_add(sm, v, -(int64_t)freed, 0, e) != 0))
        return -1;
    return 1;
}

static int expire_volume(struct sx_sm *sm, uint64_t id, char cursor[SX_PATH_MAX + 1],
                         uint64_t *budget, struct sx_err *e)
{
    struct sx_volume v;
    int rc = 1;

    if (sx_sm_volume_id(sm, id, 0, &v, e) != 0)
        return -1;
    while (*budget && rc == 1)
        rc = expire_one(sm, &v, cursor, budget, e);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_sm_run(sm, e, "DELETE FROM trim WHERE volume = ?", "i", id);
    return sx_sm_run(sm, e, "UPDATE trim SET cursor = ? WHERE volume = ?", "ti", cursor, id);
}

int sx_frow_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e)
{
    while (*budget) {
        char cursor[SX_PATH_MAX + 1];
        sqlite3_stmt *st;
        uint64_t id;
        int rc = sx_sm_row(sm, e, &st, "SELECT volume, cursor FROM trim ORDER BY volume LIMIT 1",
                           "");

        if (rc != 1)
            return rc;
        id = sx_mdb_u64(st, 0);
        sx_mdb_text(st, 1, cursor, sizeof cursor);
        sqlite3_reset(st);
        if (expire_volume(sm, id, cursor, budget, e) != 0)
            return -1;
    }
    return 0;
}
