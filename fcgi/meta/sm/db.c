/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See db.h.
 */
#include "fcgi/meta/sm/db.h"

#include <string.h>

#include "fcgi/meta/sm/sums.h"
#include "libsx/codec/record.h"

#define NS_PER_MS 1000000u
#define MODE_USUAL 0644u
#define FLAGS_USUAL 8u /* a null version: all are, where versioning was never enabled */

/* Of a block list without entries: the first bytes of SHA-256 of nothing. */
static const uint8_t etag_empty[SX_ETAG_SIZE] = { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                                  0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24 };

static void bind_one(sqlite3_stmt *st, int i, char kind, va_list *ap)
{
    const void *p;
    size_t n;
    int rc;

    switch (kind) {
    case 'i':
        rc = sqlite3_bind_int64(st, i, (sqlite3_int64)va_arg(*ap, uint64_t));
        break;
    case 'u':
        rc = sqlite3_bind_int64(st, i, va_arg(*ap, unsigned));
        break;
    case 't':
        p = va_arg(*ap, const char *);
        rc = sqlite3_bind_text(st, i, p ? p : "", -1, SQLITE_STATIC);
        break;
    default:
        p = va_arg(*ap, const void *);
        n = va_arg(*ap, size_t);
        if (n == 0)
            rc = kind == 'o' ? sqlite3_bind_null(st, i) : sqlite3_bind_zeroblob(st, i, 0);
        else
            rc = sqlite3_bind_blob64(st, i, p, n, SQLITE_STATIC);
    }
    sx_assert(rc == SQLITE_OK); /* a statement that is still being stepped, or a wrong format */
}

void sx_mdb_bind(sqlite3_stmt *st, const char *format, va_list ap)
{
    va_list list;
    int i = 0;

    va_copy(list, ap);
    for (; format[i]; i++)
        bind_one(st, i + 1, format[i], &list);
    va_end(list);
    sx_assert(i == sqlite3_bind_parameter_count(st));
}

/* Without the directory, which is no client's business. */
static const char *file_name(sqlite3 *db)
{
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : "";
}

int sx_mdb_error(sqlite3 *db, int rc, struct sx_err *e)
{
    int code = SX_EIO;

    if ((rc & 0xff) == SQLITE_FULL)
        code = SX_ENOSPACE;
    else if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB || sx_sums_failed(db))
        code = SX_ECORRUPT;
    else if ((rc & 0xff) == SQLITE_NOMEM)
        code = SX_ENOMEM;
    else if ((rc & 0xff) == SQLITE_BUSY)
        code = SX_EUNAVAIL;
    return sx_err_set(e, code, "metadata database %s: %s (%d)", file_name(db), sqlite3_errmsg(db), rc);
}

int sx_mdb_step(sqlite3_stmt *st, struct sx_err *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        sx_mdb_error(sqlite3_db_handle(st), rc, e);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

int sx_mdb_exec(sqlite3 *db, const char *sql, struct sx_err *e)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sx_mdb_error(db, rc, e);
}

sqlite3_stmt *sx_mdb_cached(sqlite3 *db, const char *sql, struct sx_err *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    while ((st = sqlite3_next_stmt(db, st)) != NULL)
        if (strcmp(sqlite3_sql(st), sql) == 0 && !sqlite3_stmt_busy(st))
            return st;
    rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK)
        sx_mdb_error(db, rc, e);
    return st;
}

int sx_mdb_get(sqlite3 *db, sqlite3_stmt **st, struct sx_err *e, const char *sql,
              const char *format, ...)
{
    va_list ap;

    *st = sx_mdb_cached(db, sql, e);
    if (!*st)
        return -1;
    va_start(ap, format);
    sx_mdb_bind(*st, format, ap);
    va_end(ap);
    return sx_mdb_step(*st, e);
}

void sx_mdb_text(sqlite3_stmt *st, int col, char *out, size_t size)
{
    const char *s = (const char *)sqlite3_column_text(st, col);
    size_t n = (size_t)sqlite3_column_bytes(st, col);

    if (n >= size)
        n = size - 1;
    if (n)
        memcpy(out, s, n);
    out[n] = 0;
}

struct sx_span sx_mdb_blob(sqlite3_stmt *st, int col)
{
    struct sx_span s;

    s.p = sqlite3_column_blob(st, col);
    s.n = (size_t)sqlite3_column_bytes(st, col);
    return s;
}

void sx_mdb_file_pack(const struct sx_file *f, struct sx_file_packed *p)
{
    p->age_ns = f->created_ms * NS_PER_MS - (uint64_t)f->mtime_ns;
    p->mode = f->mode ^ MODE_USUAL;
    p->flags = sx_file_flags(f) ^ FLAGS_USUAL;
    p->back = f->rev - f->content;
}

/* Only what has no content has none in table content: an empty file, a marker. */
static void etag_get(sqlite3_stmt *st, int col, struct sx_file *f)
{
    struct sx_span etag = sx_mdb_blob(st, col);

    if (etag.n == SX_ETAG_SIZE)
        memcpy(f->etag, etag.p, SX_ETAG_SIZE);
    else if (f->content == 0 && !f->marker)
        memcpy(f->etag, etag_empty, SX_ETAG_SIZE);
    else
        memset(f->etag, 0, SX_ETAG_SIZE);
}

void sx_mdb_file(sqlite3_stmt *st, int col, struct sx_file *f)
{
    f->rev = sx_mdb_u64(st, col);
    f->size = sx_mdb_u64(st, col + 1);
    f->mode = (unsigned)sx_mdb_u64(st, col + 3) ^ MODE_USUAL;
    sx_file_flags_set(f, (uint8_t)(sx_mdb_u64(st, col + 4) ^ FLAGS_USUAL));
    f->created_ms = sx_mdb_u64(st, col + 5);
    f->mtime_ns = (int64_t)(f->created_ms * NS_PER_MS - sx_mdb_u64(st, col + 2));
    f->content = f->rev - sx_mdb_u64(st, col + 6);
    f->meta = sx_mdb_blob(st, col + 7);
    f->hold = (uint8_t)sqlite3_column_int(st, col + 8);
    f->retain_ms = sx_mdb_u64(st, col + 9);
    f->blocks = sx_mdb_u64(st, col + 10);
    etag_get(st, col + 11, f);
}

int sx_mdb_inline_entry(const struct sx_span *record, uint8_t entry[SX_ENTRY_SIZE])
{
    if (record->n <= SX_RECORD_HEADER + SX_BLOCK_HEADER)
        return -1;
    memcpy(entry, record->p + 8, SX_ID_SIZE);
    memcpy(entry + SX_ID_SIZE, record->p + SX_RECORD_HEADER + 8, SX_ENTRY_SIZE - SX_ID_SIZE);
    return 0;
}

void sx_mdb_volume(sqlite3_stmt *st, struct sx_volume *v)
{
    v->id = sx_mdb_u64(st, 0);
    sx_mdb_text(st, 1, v->name, sizeof v->name);
    sx_mdb_text(st, 2, v->owner, sizeof v->owner);
    v->replica = (unsigned)sx_mdb_u64(st, 3);
    v->quota = sx_mdb_u64(st, 4);
    v->revisions = (unsigned)sx_mdb_u64(st, 5);
    v->compression = (uint8_t)sx_mdb_u64(st, 6);
    v->used = sx_mdb_u64(st, 7);
    v->files = sx_mdb_u64(st, 8);
    v->created_ms = sx_mdb_u64(st, 9);
    v->deleting = sx_mdb_u64(st, 10);
    v->versioning = (uint8_t)sx_mdb_u64(st, 11);
    v->lock_mode = (uint8_t)sx_mdb_u64(st, 12);
    v->lock_ms = sx_mdb_u64(st, 13);
    v->rights = 0;
}

int sx_mdb_rights_check(const char *user, const struct sx_volume *v, unsigned need,
                        struct sx_err *e)
{
    static const char *const names[] = { "read", "write", "manager", "owner" };

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (need & ~v->rights & 1u << i)
            return sx_err_set(e, SX_EACCESS, "user '%s' has no right '%s' on volume '%s'", user,
                              names[i], v->name);
    return 0;
}
