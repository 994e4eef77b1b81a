/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries on one file: its facts, its revisions, pages of its block list.
 */
#include <string.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "libsx/base/mem.h"

void sx_file_row_fini(struct sx_file_row *row)
{
    sx_buf_fini(&row->mem);
    memset(&row->f, 0, sizeof row->f);
}

/* Takes the facts from the statement's row and resets it. */
static void row_take(sqlite3_stmt *st, const char *path, struct sx_file_row *row)
{
    size_t n = strlen(path) + 1;

    sx_mdb_file(st, 0, &row->f);
    sx_buf_reset(&row->mem);
    sx_buf_add(&row->mem, path, n);
    sx_buf_add(&row->mem, row->f.meta.p, row->f.meta.n);
    row->f.path = (const char *)row->mem.data;
    row->f.meta.p = row->mem.data + n;
    sqlite3_reset(st);
}

static int no_file(const char *path, struct sx_err *e)
{
    return sx_err_set(e, SX_ENOFILE, "file '%s' does not exist", path);
}

static int no_revision(const char *path, uint64_t rev, struct sx_err *e)
{
    return sx_err_set(e, SX_ENOREVISION, "file '%s' has no revision %016llx", path,
                      (unsigned long long)rev);
}

int sx_query_revision(sqlite3 *db, uint64_t volume, const char *path, uint64_t rev,
                      struct sx_file_row *row, struct sx_err *e)
{
    sqlite3_stmt *st;
    uint64_t newest;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT " SX_FILE_COLS SX_FILE_FROM("file")
                       " WHERE volume = ? AND path = ?", "it", volume, path);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return no_file(path, e);
    newest = sx_mdb_u64(st, 0);
    if (rev == 0 || rev == newest) {
        row_take(st, path, row);
        return 0;
    }
    sqlite3_reset(st);
    rc = sx_mdb_get(db, &st, e, "SELECT " SX_FILE_COLS SX_FILE_FROM("old")
                               " WHERE volume = ? AND path = ? AND rev = ?", "iti", volume, path,
                   rev);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return no_revision(path, rev, e);
    row_take(st, path, row);
    return 0;
}

int sx_query_null(sqlite3 *db, uint64_t volume, const char *path, struct sx_file_row *row,
                  struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc;

    if (sx_query_revision(db, volume, path, 0, row, e) != 0)
        return -1;
    if (row->f.null_version)
        return 0;
    rc = sx_mdb_get(db, &st, e, "SELECT " SX_FILE_COLS SX_FILE_FROM("old")
                               " WHERE volume = ? AND path = ? AND " SX_FILE_IS_NULL
                               " ORDER BY ord DESC LIMIT 1", "it", volume, path);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOREVISION, "file '%s' has no null version", path);
    row_take(st, path, row);
    return 0;
}

int sx_query_file(sqlite3 *db, uint64_t volume, const char *path, uint64_t rev,
                  struct sx_file_row *row, struct sx_err *e)
{
    if (sx_query_revision(db, volume, path, rev, row, e) != 0)
        return -1;
    if (!row->f.marker)
        return 0;
    return rev ? no_revision(path, rev, e) : no_file(path, e);
}

int sx_query_revisions_json(sqlite3 *db, uint64_t volume, const char *path, json_t **array,
                            struct sx_err *e)
{
    SX_AUTO_JSON json_t *list = json_array();
    sqlite3_stmt *st;
    struct sx_file f;
    int rc = sx_mdb_get(db, &st, e, SX_FILE_REVISIONS, "it", volume, path);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        sx_mdb_file(st, 0, &f);
        f.path = path;
        json_array_append_new(list, sx_file_json(&f));
    }
    if (rc < 0)
        return -1;
    if (json_array_size(list) == 0)
        return no_file(path, e);
    *array = SX_STEAL(list);
    return 0;
}

/* ---- block lists ---- */

void sx_manifest_fini(struct sx_manifest *m)
{
    sx_buf_fini(&m->entries);
    sx_buf_fini(&m->record);
}

static int gone(const struct sx_file *f, struct sx_err *e)
{
    return sx_err_set(e, SX_ENOREVISION, "revision %016llx of file '%s' was replaced",
                      (unsigned long long)f->rev, f->path);
}

static int inline_page(sqlite3 *db, const struct sx_file *f, uint64_t from, uint64_t at,
                       struct sx_manifest *m, struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    uint8_t entry[SX_ENTRY_SIZE];
    int rc = sx_mdb_get(db, &st, e, "SELECT record FROM inline WHERE content = ?", "i", f->content);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return gone(f, e);
    s = sx_mdb_blob(st, 0);
    if (sx_mdb_inline_entry(&s, entry) == 0 && (at == SX_AT_NONE ? from == 0 : at < f->size)) {
        sx_buf_add(&m->entries, entry, sizeof entry);
        sx_buf_add(&m->record, s.p, s.n);
        m->from = m->offset = 0;
        m->count = 1;
    }
    sqlite3_reset(st);
    return 0;
}

/* Where in a part (first entry `first`, first byte `offset`) the page begins: skips entries up to
 * index `from`, or up to the one that holds byte `at`. */
static uint32_t part_skip(const struct sx_span *s, uint64_t first, uint64_t *offset, uint64_t from,
                          uint64_t at)
{
    uint32_t n = (uint32_t)(s->n / SX_ENTRY_SIZE), i = 0;

    for (; i < n; i++) {
        uint32_t len = sx_get_u32(s->p + (size_t)i * SX_ENTRY_SIZE + SX_ID_SIZE);

        if (at == SX_AT_NONE ? first + i >= from : at < *offset + len)
            break;
        *offset += len;
    }
    return i;
}

/* Fills the page from the parts of one content: 1 if it has parts from there on, 0 if not. */
static int list_page(sqlite3 *db, uint64_t content, uint64_t from, uint64_t at, uint32_t count,
                     struct sx_manifest *m, struct sx_err *e)
{
    static const char by_index[] =
        "SELECT first, offset, entries FROM part WHERE content = ? AND seq >="
                                   " (SELECT seq FROM part WHERE content = ? AND first <= ?"
                                   " ORDER BY seq DESC LIMIT 1) ORDER BY seq";
    static const char by_offset[] =
        "SELECT first, offset, entries FROM part WHERE content = ? AND seq >="
                                    " (SELECT seq FROM part WHERE content = ? AND offset <= ?"
                                    " ORDER BY seq DESC LIMIT 1) ORDER BY seq";
    bool bytes = at != SX_AT_NONE;
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, bytes ? by_offset : by_index, "iii", content, content,
                       bytes ? at : from);

    if (rc <= 0)
        return rc;
    for (; rc == 1 && m->count < count; rc = sx_mdb_step(st, e)) {
        uint64_t first = sx_mdb_u64(st, 0), offset = sx_mdb_u64(st, 1);
        struct sx_span s = sx_mdb_blob(st, 2);
        uint32_t skip = m->count ? 0 : part_skip(&s, first, &offset, from, at);
        uint32_t n = (uint32_t)(s.n / SX_ENTRY_SIZE) - skip;

        if (n > count - m->count)
            n = count - m->count;
        if (!m->count) {
            m->from = first + skip;
            m->offset = offset;
        }
        sx_buf_add(&m->entries, s.p + (size_t)skip * SX_ENTRY_SIZE, (size_t)n * SX_ENTRY_SIZE);
        m->count += n;
    }
    sqlite3_reset(st);
    return rc < 0 ? -1 : 1;
}

/* The joint that holds entry `from`, or byte `at`: 1, or 0 if there is none. */
static int joint_find(sqlite3 *db, uint64_t content, uint64_t from, uint64_t at, uint64_t *seq,
                      struct sx_err *e)
{
    static const char by_index[] = "SELECT seq FROM joint WHERE content = ? AND first <= ?"
                                   " ORDER BY seq DESC LIMIT 1";
    static const char by_offset[] = "SELECT seq FROM joint WHERE content = ? AND offset <= ?"
                                    " ORDER BY seq DESC LIMIT 1";
    bool bytes = at != SX_AT_NONE;
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, bytes ? by_offset : by_index, "ii", content, bytes ? at : from);

    if (rc == 1) {
        *seq = sx_mdb_u64(st, 0);
        sqlite3_reset(st);
    }
    return rc;
}

/* The same for a joint content: a page may take entries from several of its parts.  Returns as
 * list_page(). */
static int joint_page(sqlite3 *db, uint64_t content, uint64_t from, uint64_t at, uint32_t count,
                      struct sx_manifest *m, struct sx_err *e)
{
    uint64_t seq, first, offset, child, page_from = 0, page_offset = 0;
    sqlite3_stmt *st;
    int rc = joint_find(db, content, from, at, &seq, e);

    for (bool begun = false; rc == 1 && m->count < count; begun = true, seq++) {
        rc = sx_mdb_get(db, &st, e,
                       "SELECT first, offset, child FROM joint WHERE content = ? AND seq = ?", "ii",
                       content, seq);
        if (rc != 1)
            break;
        first = sx_mdb_u64(st, 0);
        offset = sx_mdb_u64(st, 1);
        child = sx_mdb_u64(st, 2);
        sqlite3_reset(st);
        if (begun) {
            rc = list_page(db, child, 0, SX_AT_NONE, count, m, e);
            continue;
        }
        rc = list_page(db, child, at == SX_AT_NONE ? from - first : 0,
                       at == SX_AT_NONE ? SX_AT_NONE : at - offset, count, m, e);
        page_from = first + m->from;
        page_offset = offset + m->offset;
    }
    m->from = page_from;
    m->offset = page_offset;
    return rc < 0 ? -1 : m->count > 0;
}

int sx_query_joints(sqlite3 *db, const struct sx_file *f, uint64_t from, uint64_t *offsets,
                    size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT offset FROM joint WHERE content = ? AND seq >= ? ORDER BY seq LIMIT ?",
                       "iii", f->content, from, (uint64_t)max);

    for (*n = 0; rc == 1; rc = sx_mdb_step(st, e))
        offsets[(*n)++] = sx_mdb_u64(st, 0);
    return rc;
}

int sx_query_joint_meta(sqlite3 *db, const struct sx_file *f, uint64_t from, size_t max,
                        sx_joint_fn *fn, void *ctx, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT seq, meta FROM joint WHERE content = ? AND seq >= ? ORDER BY seq"
                       " LIMIT ?", "iii", f->content, from, (uint64_t)max);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_span meta = sx_mdb_blob(st, 1);

        fn(ctx, sx_mdb_u64(st, 0), &meta);
    }
    return rc;
}

int sx_query_manifest(sqlite3 *db, const struct sx_file *f, uint64_t from, uint64_t at,
                      uint32_t count, struct sx_manifest *m, struct sx_err *e)
{
    int rc;

    sx_buf_reset(&m->entries);
    sx_buf_reset(&m->record);
    m->count = 0;
    m->from = f->blocks;
    m->offset = f->size;
    if (count > SX_PART_ENTRIES_MAX)
        count = SX_PART_ENTRIES_MAX;
    if (f->size && !f->blocks) /* no row of table content */
        return sx_err_set(e, SX_ECORRUPT, "revision %016llx of file '%s' has lost its content",
                          (unsigned long long)f->rev, f->path);
    if (at != SX_AT_NONE ? at >= f->size : from >= f->blocks)
        return 0;
    if (f->is_inline)
        return inline_page(db, f, from, at, m, e);
    rc = list_page(db, f->content, from, at, count, m, e);
    if (rc == 0)
        rc = joint_page(db, f->content, from, at, count, m, e);
    return rc == 0 ? gone(f, e) : rc < 0 ? -1 : 0;
}
