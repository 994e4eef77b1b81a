/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The little that the store's index and the replication queue ask of SQLite: a database in WAL mode
 * with a schema version, prepared statements, errors with SX codes.  Open after fork only.
 */
#ifndef SX_FCGI_STORE_DB_H
#define SX_FCGI_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/err.h"

#define SX_DB_BUSY_MS 30000 /* how long a call waits for another process's transaction */

struct sx_db_schema {
    const char *sql;   /* run once, in a transaction, on a new database */
    int version;       /* kept in user_version; another one is refused (SX_EVERSION) */
    const char *setup; /* pragmas of each connection */
};

/* Opens or makes the database.  *fresh (may be NULL): true if it was made now. */
int sx_db_open(const char *path, const struct sx_db_schema *schema, sqlite3 **db, bool *fresh,
               struct sx_err *e) SX_MUST_CHECK;

/* Sets e from the connection's last error: SQLITE_FULL is SX_ENOSPACE, damage SX_ECORRUPT,
 * busy SX_EUNAVAIL, no memory SX_ENOMEM, else SX_EIO.  Returns -1. */
int sx_db_error(sqlite3 *db, int rc, const char *what, struct sx_err *e);

int sx_db_exec(sqlite3 *db, const char *sql, struct sx_err *e) SX_MUST_CHECK;
int sx_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st, struct sx_err *e) SX_MUST_CHECK;

/* Steps.  1: a row, read it and call again or reset; 0: done, and reset; -1: error, and reset. */
int sx_db_step(sqlite3_stmt *st, struct sx_err *e) SX_MUST_CHECK;
/* Steps a statement that gives no rows: 0 or -1. */
int sx_db_run(sqlite3_stmt *st, struct sx_err *e) SX_MUST_CHECK;

/* SQLite's own check of a whole database, but for what can be wrong in unique indexes. */
int sx_db_quick_check(sqlite3 *db, bool *sound, struct sx_err *e) SX_MUST_CHECK;

/* Copies all that is committed into the database file and fsyncs it.  *whole: false if another
 * process's transaction kept a part back. */
int sx_db_checkpoint(sqlite3 *db, bool *whole, struct sx_err *e) SX_MUST_CHECK;

#endif
