/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries on multipart uploads and their parts, and on the documents of a volume.
 */
#include <string.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "libsx/base/mem.h"

int sx_query_config(sqlite3 *db, uint64_t volume, const char *name, struct sx_buf *value,
                    struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    int rc = sx_mdb_get(db, &st, e, "SELECT value FROM config WHERE volume = ? AND name = ?", "it",
                       volume, name);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOTFOUND, "the volume has no document '%s'", name);
    s = sx_mdb_blob(st, 0);
    sx_buf_reset(value);
    sx_buf_add(value, s.p, s.n);
    sqlite3_reset(st);
    return 0;
}

int sx_query_config_next(sqlite3 *db, const char *name, uint64_t *volume, struct sx_buf *value,
                         struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT volume, value FROM config WHERE name = ? AND volume > ?"
                       " ORDER BY volume LIMIT 1", "ti", name, *volume);

    if (rc != 1)
        return rc;
    *volume = sx_mdb_u64(st, 0);
    s = sx_mdb_blob(st, 1);
    sx_buf_reset(value);
    sx_buf_add(value, s.p, s.n);
    sqlite3_reset(st);
    return 1;
}

#define UPLOAD_COLS "id, volume, path, user, created_ms"

static void upload_take(sqlite3_stmt *st, struct sx_mupload *u)
{
    struct sx_span id = sx_mdb_blob(st, 0);

    sx_assert(id.n == sizeof u->id);
    memcpy(u->id, id.p, sizeof u->id);
    u->volume = sx_mdb_u64(st, 1);
    sx_mdb_text(st, 2, u->path, sizeof u->path);
    sx_mdb_text(st, 3, u->user, sizeof u->user);
    u->created_ms = sx_mdb_u64(st, 4);
}

int sx_query_mupload(sqlite3 *db, const uint8_t id[SX_UPLOAD_ID], struct sx_mupload *u,
                     struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span meta;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT " UPLOAD_COLS ", meta FROM upload WHERE id = ? AND multipart", "b",
                       id, (size_t)SX_UPLOAD_ID);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOUPLOAD, "the upload does not exist");
    upload_take(st, u);
    meta = sx_mdb_blob(st, 5);
    sx_buf_reset(&u->meta);
    sx_buf_add(&u->meta, meta.p, meta.n);
    sqlite3_reset(st);
    return 0;
}

void sx_mupload_fini(struct sx_mupload *u)
{
    sx_buf_fini(&u->meta);
}

int sx_query_mparts(sqlite3 *db, const uint8_t id[SX_UPLOAD_ID], uint32_t after, sx_mpart_fn *fn,
                    void *ctx, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT number, size, md5, time_ms, meta FROM mpart"
                       " WHERE upload = ? AND number > ? ORDER BY number", "bu", id,
                       (size_t)SX_UPLOAD_ID, (unsigned)after);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_mpart p = { .number = (uint32_t)sx_mdb_u64(st, 0),
                              .size = sx_mdb_u64(st, 1),
                              .time_ms = sx_mdb_u64(st, 3),
                              .meta = sx_mdb_blob(st, 4) };
        struct sx_span md5 = sx_mdb_blob(st, 2);

        sx_assert(md5.n == sizeof p.md5);
        memcpy(p.md5, md5.p, sizeof p.md5);
        if (!fn(ctx, &p)) {
            sqlite3_reset(st);
            return 0;
        }
    }
    return rc;
}

int sx_query_muploads(sqlite3 *db, uint64_t volume, const char *prefix, const char *after,
                      const uint8_t *after_id, sx_mupload_fn *fn, void *ctx, struct sx_err *e)
{
    /* Behind the path: no id is larger than this. */
    static const uint8_t last[SX_UPLOAD_ID + 1] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff };
    size_t n = strlen(prefix);
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT " UPLOAD_COLS " FROM upload WHERE volume = ?1 AND multipart"
                       " AND path >= ?2 AND (path > ?3 OR (path = ?3 AND id > ?4))"
                       " ORDER BY path, id", "ittb", volume, prefix, after,
                       after_id ? after_id : last, after_id ? (size_t)SX_UPLOAD_ID : sizeof last);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_mupload u = { .meta = SX_BUF_INIT };

        upload_take(st, &u);
        if (strncmp(u.path, prefix, n) != 0 || !fn(ctx, &u)) {
            sqlite3_reset(st);
            return 0;
        }
    }
    return rc;
}
