/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries for the census of space: who holds which content, what lies inline, which blocks a
 * content has.  Each gives a page behind a place and keeps nothing open in between.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "libsx/codec/record.h"

/* So many bytes of a record tell its entry. */
#define INLINE_HEAD (SX_RECORD_HEADER + SX_BLOCK_HEADER + 1u)
#define FNV_START 1469598103934665603u
#define FNV_PRIME 1099511628211u

/* Ends a read at a row that no command has written so. */
static int damaged_row(sqlite3_stmt *st, const char *what, struct sx_err *e)
{
    sqlite3_reset(st);
    return sx_err_set(e, SX_ECORRUPT, "metadata database: %s", what);
}

/* ---- holders ---- */

static const char *const holder_sql[] = {
    [SX_HOLDERS_FILE] = "SELECT volume, content, size, path, 0 FROM file"
                        " WHERE (volume, path) > (?, ?) ORDER BY volume, path LIMIT ?",
    [SX_HOLDERS_OLD] = "SELECT volume, content, size, path, ord FROM old"
                       " WHERE (volume, path, ord) > (?, ?, ?) ORDER BY volume, path, ord LIMIT ?",
    [SX_HOLDERS_UPLOAD] = "SELECT 0, content, 0, '', 0, id FROM upload WHERE id > ? ORDER BY id"
                          " LIMIT ?",
    [SX_HOLDERS_PART] = "SELECT 0, content, 0, '', number, upload FROM mpart"
                        " WHERE (upload, number) > (?, ?) ORDER BY upload, number LIMIT ?",
    [SX_HOLDERS_JOINT] = "SELECT content, child, 0, '', seq + 1 FROM joint"
                         " WHERE (content, seq + 1) > (?, ?) ORDER BY content, seq LIMIT ?",
};

static int holders_start(sqlite3 *db, const struct sx_holder_at *at, size_t max,
                         sqlite3_stmt **st, struct sx_err *e)
{
    const char *sql = holder_sql[at->table];

    switch (at->table) {
    case SX_HOLDERS_FILE:
        return sx_mdb_get(db, st, e, sql, "iti", at->volume, at->path, (uint64_t)max);
    case SX_HOLDERS_OLD:
        return sx_mdb_get(db, st, e, sql, "itii", at->volume, at->path, at->ord, (uint64_t)max);
    case SX_HOLDERS_PART:
        return sx_mdb_get(db, st, e, sql, "bii", at->upload, at->began ? sizeof at->upload : 0,
                          at->ord, (uint64_t)max);
    case SX_HOLDERS_JOINT:
        return sx_mdb_get(db, st, e, sql, "iii", at->volume, at->ord, (uint64_t)max);
    default:
        return sx_mdb_get(db, st, e, sql, "bi", at->upload, at->began ? sizeof at->upload : 0,
                          (uint64_t)max);
    }
}

static int holder_take(sqlite3_stmt *st, struct sx_holder_at *at, struct sx_holder *h,
                       struct sx_err *e)
{
    h->volume = sx_mdb_u64(st, 0);
    h->content = sx_mdb_u64(st, 1);
    h->size = sx_mdb_u64(st, 2);
    at->began = true;
    at->ord = sx_mdb_u64(st, 4);
    if (at->table == SX_HOLDERS_UPLOAD || at->table == SX_HOLDERS_PART) {
        struct sx_span id = sx_mdb_blob(st, 5);

        if (id.n != sizeof at->upload)
            return damaged_row(st, "an upload's id is damaged", e);
        memcpy(at->upload, id.p, sizeof at->upload);
        return 0;
    }
    at->volume = h->volume;
    sx_mdb_text(st, 3, at->path, sizeof at->path);
    return 0;
}

int sx_query_holders(sqlite3 *db, struct sx_holder_at *at, struct sx_holder *out, size_t max,
                     size_t *n, struct sx_err *e)
{
    struct sx_holder_at next = *at;
    sqlite3_stmt *st;
    size_t count = 0;
    int rc = holders_start(db, at, max, &st, e);

    for (; rc == 1; rc = sx_mdb_step(st, e))
        if (holder_take(st, &next, &out[count++], e) != 0)
            return -1;
    if (rc < 0)
        return -1;
    if (count < max)
        next = (struct sx_holder_at){ .table = at->table + 1 };
    *at = next;
    *n = count;
    return 0;
}

/* ---- inline contents ---- */

int sx_query_inlines(sqlite3 *db, uint64_t after, struct sx_inline *out, size_t max, size_t *n,
                     struct sx_err *e)
{
    sqlite3_stmt *st;
    size_t count = 0;
    int rc = sx_mdb_get(db, &st, e,
                        "SELECT content, length(record), substr(record, 1, ?) FROM inline"
                        " WHERE content > ? ORDER BY content LIMIT ?", "iii", (uint64_t)INLINE_HEAD,
                        after, (uint64_t)max);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_span head = sx_mdb_blob(st, 2);
        uint64_t content = sx_mdb_u64(st, 0);
        uint8_t entry[SX_ENTRY_SIZE];
        char what[80];

        if (sx_mdb_inline_entry(&head, entry) != 0) {
            snprintf(what, sizeof what, "the record of inline content %016llx is cut short",
                     (unsigned long long)content);
            return damaged_row(st, what, e);
        }
        out[count++] = (struct sx_inline){
            .content = content,
            .plain = sx_get_u32(entry + SX_ID_SIZE),
            .stored = (uint32_t)sx_mdb_u64(st, 1),
        };
    }
    if (rc < 0)
        return -1;
    *n = count;
    return 0;
}

/* ---- references one by one ---- */

int sx_query_ref_rows(sqlite3 *db, const struct sx_ref_row *after, struct sx_ref_row *out,
                      size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st;
    size_t count = 0;
    int rc = sx_mdb_get(db, &st, e,
                        "SELECT id, content, len FROM ref WHERE (id, content) > (?, ?)"
                        " ORDER BY id, content LIMIT ?", "bii", after ? (const void *)after->id.b : "",
                        (size_t)(after ? SX_ID_SIZE : 0), after ? after->content : 0,
                        (uint64_t)max);

    for (; rc == 1; rc = sx_mdb_step(st, e), count++) {
        struct sx_span id = sx_mdb_blob(st, 0);

        if (id.n != SX_ID_SIZE)
            return damaged_row(st, "a reference's block id is damaged", e);
        memcpy(out[count].id.b, id.p, SX_ID_SIZE);
        out[count].content = sx_mdb_u64(st, 1);
        out[count].len = (uint32_t)sx_mdb_u64(st, 2);
    }
    if (rc < 0)
        return -1;
    *n = count;
    return 0;
}

/* ---- has anything changed? ---- */

static int mark_rows(sqlite3 *db, const char *sql, uint64_t *mark, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, sql, "");

    for (; rc == 1; rc = sx_mdb_step(st, e))
        for (int i = 0; i < sqlite3_column_count(st); i++)
            *mark = (*mark ^ sx_mdb_u64(st, i)) * FNV_PRIME;
    return rc;
}

int sx_query_space_mark(sqlite3 *db, uint64_t *mark, struct sx_err *e)
{
    uint64_t m = FNV_START;

    /* Commands of the cluster itself are left out: they come every minute, changes or not. */
    if (mark_rows(db, "SELECT id, used, files FROM volume ORDER BY id", &m, e) != 0 ||
        mark_rows(db, "SELECT count(*) FROM upload", &m, e) != 0 ||
        mark_rows(db, "SELECT max(id) FROM content", &m, e) != 0 ||
        mark_rows(db, "SELECT num FROM op WHERE user <> '' ORDER BY num DESC LIMIT 1", &m, e) != 0)
        return -1;
    *mark = m;
    return 0;
}

int sx_query_size(sqlite3 *db, uint64_t *bytes, struct sx_err *e)
{
    sqlite3_stmt *st;

    if (sx_mdb_get(db, &st, e, "SELECT page_count * page_size FROM pragma_page_count,"
                               " pragma_page_size", "") != 1)
        return -1;
    *bytes = sx_mdb_u64(st, 0);
    sqlite3_reset(st);
    return 0;
}
