/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A metadata database in whose file writes are missing.  Its pages have sums (sums.h), but a page, or a
 * file, from before a checkpoint has the right sums, too; together with SQLite's log, which begins after that
 * checkpoint, it would give rows of different times.  So at the start and after each checkpoint the entry that
 * the file alone has applied is noted in a file of its own, PATH.base (docs/formats.md section 6), and
 * is looked for when the database is opened.
 */
#ifndef SX_FCGI_META_SM_BASE_H
#define SX_FCGI_META_SM_BASE_H

#include <sqlite3.h>
#include <stdint.h>

#include "libsx/base/err.h"

/* `db` is open at `path`, and nobody is at a checkpoint.  Syncs the file.  If it cannot be noted, the log says
 * why, and what was noted before, which stays true, goes on to count. */
void sx_base_note(sqlite3 *db, const char *path);
/* SX_ECORRUPT: the file is older than what was noted, while with SQLite's log it has applied the entry
 * `applied`, which is not.  (A file without that log that is older as a whole is a state like any other: what it
 * lacks is applied again.)  Nothing is said where nothing was noted, or the note is damaged. */
int sx_base_check(const char *path, uint64_t applied, struct sx_err *e) SX_MUST_CHECK;
/* Before another database comes into the place. */
int sx_base_forget(const char *path, struct sx_err *e) SX_MUST_CHECK;

#endif
