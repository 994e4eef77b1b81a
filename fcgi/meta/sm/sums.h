/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checksums of the pages of the metadata database.  SQLite does not notice a flipped bit in a page:
 * it would become a wrong size, name or block list.  So the metadata database is opened through a
 * layer of SQLite's file system interface (VFS) that keeps a sum in the last bytes of each page
 * and verifies it whenever a page is read from the file: docs/formats.md section 6.
 */
#ifndef SX_FCGI_META_SM_SUMS_H
#define SX_FCGI_META_SM_SUMS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "libsx/base/err.h"

/* sqlite3_open_v2() of a database with sums.  `flags` as there; a new database gets room for the
 * sums.  A page whose sum is wrong gives SQLITE_IOERR_DATA, and a line in the log that names the
 * file and the page.  Thread-safe.  Like there, *db must be closed also after an error. */
int sx_sums_open(const char *path, sqlite3 **db, int flags);

/* Was the last error of `db` a page with a wrong sum? */
bool sx_sums_failed(sqlite3 *db);

/* The flag of a database: an empty file PATH.damaged, so that all processes of the node, and those
 * after a restart, know that it is to be replaced.  From sx_sums_watch() on a damaged page that
 * `db` finds raises it, unless another database has taken the place of the one that was opened. */
void sx_sums_watch(sqlite3 *db);
void sx_sums_raise(const char *path);
bool sx_sums_raised(const char *path);
int sx_sums_lower(const char *path, struct sx_err *e) SX_MUST_CHECK;

#endif
