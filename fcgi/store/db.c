/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See db.h.  SQLite's own result codes do not leave this file.
 */
#include "fcgi/store/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

static const struct {
    int rc, code;
} codes[] = {
    { SQLITE_FULL, SX_ENOSPACE },    { SQLITE_CORRUPT, SX_ECORRUPT },
    { SQLITE_NOTADB, SX_ECORRUPT },  { SQLITE_BUSY, SX_EUNAVAIL },
    { SQLITE_LOCKED, SX_EUNAVAIL },  { SQLITE_NOMEM, SX_ENOMEM },
    { SQLITE_CANTOPEN, SX_EIO },     { SQLITE_READONLY, SX_EACCESS },
    { SQLITE_PERM, SX_EACCESS },
};

int sx_db_error(sqlite3 *db, int rc, const char *what, struct sx_err *e)
{
    int system = db ? sqlite3_system_errno(db) : 0;
    int code = SX_EIO;

    if ((rc & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT))
        code = SX_ENOSPACE; /* SQLite says so only of some calls */
    if (db && sqlite3_extended_errcode(db) == SQLITE_IOERR_NOMEM)
        code = SX_ENOMEM;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].rc == (rc & 0xff))
            code = codes[i].code;
    return sx_err_set(e, code, "%s: %s", what, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

int sx_db_exec(sqlite3 *db, const char *sql, struct sx_err *e)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sx_db_error(db, rc, sql, e);
}

int sx_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st, struct sx_err *e)
{
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);

    return rc == SQLITE_OK ? 0 : sx_db_error(db, rc, sql, e);
}

int sx_db_step(sqlite3_stmt *st, struct sx_err *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return 0;
    }
    sx_db_error(sqlite3_db_handle(st), rc, sqlite3_sql(st), e);
    sqlite3_reset(st);
    return -1;
}

int sx_db_run(sqlite3_stmt *st, struct sx_err *e)
{
    int r = sx_db_step(st, e);

    if (r == 1) {
        sqlite3_reset(st);
        r = 0;
    }
    return r;
}

static int user_version(sqlite3 *db, int *version, struct sx_err *e)
{
    sqlite3_stmt *st;
    int r;

    if (sx_db_prepare(db, "PRAGMA user_version", &st, e))
        return -1;
    r = sx_db_step(st, e);
    if (r == 1)
        *version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return r == 1 ? 0 : -1;
}

/* The schema is made under the write lock and only if it is still missing then: many
 * processes may open a new database at once. */
static int make_schema(sqlite3 *db, const struct sx_db_schema *schema, bool *fresh,
                       struct sx_err *e)
{
    char set[64];
    int v;

    if (sx_db_exec(db, "BEGIN IMMEDIATE", e))
        return -1;
    if (user_version(db, &v, e))
        goto undo;
    if (v == 0) {
        snprintf(set, sizeof set, "PRAGMA user_version = %d", schema->version);
        if (sx_db_exec(db, schema->sql, e) || sx_db_exec(db, set, e))
            goto undo;
        *fresh = true;
    }
    if (sx_db_exec(db, "COMMIT", e) == 0)
        return 0;
undo:
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

#define BUSY_STEP_US 100
#define BUSY_SLEEP_MAX_US 5000

/* SQLite's own handler sleeps 1 to 100 ms; transactions here take some 100 us. */
static int busy(void *arg, int count)
{
    uint64_t us = (uint64_t)(count + 1) * BUSY_STEP_US;
    struct timespec t = { 0 };

    if (count > (SX_DB_BUSY_MS * 1000) / BUSY_SLEEP_MAX_US)
        return 0;
    t.tv_nsec = (long)(us < BUSY_SLEEP_MAX_US ? us : BUSY_SLEEP_MAX_US) * 1000;
    nanosleep(&t, NULL);
    return 1;
}

static int set_up(sqlite3 *db, const struct sx_db_schema *schema, bool *fresh, struct sx_err *e)
{
    int v;

    sqlite3_busy_handler(db, busy, NULL);
    if (sx_db_exec(db, "PRAGMA journal_mode = WAL", e) || sx_db_exec(db, schema->setup, e) ||
        user_version(db, &v, e))
        return -1;
    if (v == 0 && (make_schema(db, schema, fresh, e) || user_version(db, &v, e)))
        return -1;
    if (v != schema->version)
        return sx_err_set(e, SX_EVERSION,
                          "version %d of the database is not known (this program knows %d)",
                          v, schema->version);
    return 0;
}

int sx_db_open(const char *path, const struct sx_db_schema *schema, sqlite3 **db, bool *fresh,
               struct sx_err *e)
{
    sqlite3 *h = NULL;
    bool made = false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(path, &h, flags, NULL);

    if (rc != SQLITE_OK) {
        sx_db_error(h, rc, path, e);
        sqlite3_close(h);
        return -1;
    }
    if (set_up(h, schema, &made, e)) {
        sqlite3_close(h);
        return sx_err_wrap(e, "%s", path);
    }
    if (fresh)
        *fresh = made;
    *db = h;
    return 0;
}

/* Damage shows as words of the check, or as an error of it. */
int sx_db_quick_check(sqlite3 *db, bool *sound, struct sx_err *e)
{
    sqlite3_stmt *st;

    if (sx_db_prepare(db, "PRAGMA quick_check(1)", &st, e))
        return -1;
    *sound = sx_db_step(st, NULL) == 1 &&
             strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    return 0;
}

#define CHECKPOINT_TRIES 20
#define CHECKPOINT_WAIT_MS 5

/* A passive checkpoint blocks nobody.  When it reports as many frames copied as there were in the
 * log when it began, all that was committed before is durable: SQLite syncs the log before it
 * copies, and starts the log anew only after it synced the database. */
int sx_db_checkpoint(sqlite3 *db, bool *whole, struct sx_err *e)
{
    for (int i = 0; i < CHECKPOINT_TRIES; i++) {
        int log = 0, copied = -1;
        int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &copied);

        if (rc != SQLITE_OK && rc != SQLITE_BUSY)
            return sx_db_error(db, rc, "checkpoint", e);
        *whole = rc == SQLITE_OK && log == copied;
        if (*whole)
            return 0;
        sx_sleep_ms(CHECKPOINT_WAIT_MS);
    }
    return 0;
}
