/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The few ways in which the state machine and the queries use SQLite: bind a list of values, step,
 * read the columns that several statements have in common.
 *
 * Values are bound by a format, one letter for each parameter of the statement:
 *   i  uint64_t    u  unsigned    t  const char * (NULL is stored as "")
 *   b  const void *, size_t (a run of bytes)    o  the same, but SQL NULL if the length is 0
 * Bytes are not copied: they must live until the statement was stepped.
 */
#ifndef SX_FCGI_META_SM_DB_H
#define SX_FCGI_META_SM_DB_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>

#include "fcgi/meta/command.h"
#include "fcgi/meta/query.h"

#define SX_DB_BUSY_MS 5000

void sx_mdb_bind(sqlite3_stmt *st, const char *format, va_list ap);
/* 1 a row, 0 the end, -1 error; the statement is reset unless there is a row. */
int sx_mdb_step(sqlite3_stmt *st, struct sx_err *e) SX_MUST_CHECK;
int sx_mdb_exec(sqlite3 *db, const char *sql, struct sx_err *e) SX_MUST_CHECK;
/* Sets e from the handle's last error; returns -1.  No SQL text gets into the message. */
int sx_mdb_error(sqlite3 *db, int rc, struct sx_err *e);

/* The statement of that text on this handle, prepared on first use and kept by the handle; NULL:
 * error. */
sqlite3_stmt *sx_mdb_cached(sqlite3 *db, const char *sql, struct sx_err *e);
/* Finds, binds, steps once: as sx_mdb_step().  With a row, *st must be reset by the caller. */
int sx_mdb_get(sqlite3 *db, sqlite3_stmt **st, struct sx_err *e, const char *sql,
              const char *format, ...) SX_MUST_CHECK;

static inline uint64_t sx_mdb_u64(sqlite3_stmt *st, int col)
{
    return (uint64_t)sqlite3_column_int64(st, col);
}

/* Copies a text column into an array of `size` bytes; our own limits make it fit. */
void sx_mdb_text(sqlite3_stmt *st, int col, char *out, size_t size);
struct sx_span sx_mdb_blob(sqlite3_stmt *st, int col); /* valid until the next step or reset */

/* Columns of a revision, in tables file and old alike: those of its row, and those that are read,
 * from SX_FILE_FROM("file") or "old", some of which are the content's. */
#define SX_FILE_ROW "rev, size, age_ns, mode, flags, created_ms, back, meta, hold, retain_ms"
#define SX_FILE_COLS SX_FILE_ROW ", blocks, etag"
#define SX_FILE_COLS_N 12
#define SX_FILE_FROM(table)                                                                        \
    " FROM " table " LEFT JOIN content ON content.id = " table ".content"
/* All revisions of path ?2 in volume ?1, newest first, and `ord`. */
#define SX_FILE_REVISIONS                                                                          \
    "SELECT " SX_FILE_COLS ", ord" SX_FILE_FROM("file") " WHERE volume = ?1 AND path = ?2"         \
    " UNION ALL SELECT " SX_FILE_COLS ", ord" SX_FILE_FROM("old")                                  \
    " WHERE volume = ?1 AND path = ?2 ORDER BY ord DESC"
/* Conditions on column flags. */
#define SX_FILE_IS_MARKER "flags & 4"
#define SX_FILE_IS_NULL "NOT flags & 8"

#define SX_VOLUME_COLS                                                                             \
    "id, name, owner, replica, quota, revisions, compression, used, files, created_ms, deleting,"  \
    " versioning, lock_mode, lock_ms"

/* Columns that hold a fact in another form, in which the usual takes no bytes (SQLite stores 0 and
 * 1 in none, and small numbers in few). */
struct sx_file_packed {
    uint64_t age_ns; /* from mtime_ns to created_ms, mod 2^64 */
    unsigned mode;   /* xor 0644 */
    unsigned flags;  /* of sx_file_flags(), the null version's inverted */
    uint64_t back;   /* from content to rev: 0 where the revision brought its content along */
};

void sx_mdb_file_pack(const struct sx_file *f, struct sx_file_packed *p);
/* Reads SX_FILE_COLS.  `meta` points into the statement; path is left alone. */
void sx_mdb_file(sqlite3_stmt *st, int col, struct sx_file *f);
/* The entry of the block that an inline record holds; -1 if the record is too short to hold one. */
int sx_mdb_inline_entry(const struct sx_span *record, uint8_t entry[SX_ENTRY_SIZE]) SX_MUST_CHECK;
void sx_mdb_volume(sqlite3_stmt *st, struct sx_volume *v); /* rights = 0 */
/* SX_EACCESS with the name of the first right that v->rights lacks. */
int sx_mdb_rights_check(const char *user, const struct sx_volume *v, unsigned need,
                       struct sx_err *e) SX_MUST_CHECK;

#endif
