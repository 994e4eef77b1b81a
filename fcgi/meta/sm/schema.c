/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tables.  What they mean is in docs/formats.md, section 6.
 *
 * Numbers of revisions, contents and jobs come from the place of a command in the log, so
 * they are equal on all nodes; volume numbers are counted in table state.
 *
 * Tables file and old hold a row for each file of each version of a tree, so they are small: what
 * is the usual is stored as 0 or 1, which take no byte (mode, flags, back, moved; db.c packs them),
 * and what is the content's stands in table content, once for all that share it.
 */
#include "fcgi/meta/sm/sm_int.h"

#define SCHEMA_VERSION 3

#define PIN_TABLE                                                                                  \
    "CREATE TABLE pin(id BLOB PRIMARY KEY, content INTEGER NOT NULL, expires_ms INTEGER NOT NULL)" \
    " WITHOUT ROWID;"                                                                              \
    "CREATE INDEX pin_expires ON pin(expires_ms);"
#define VERSION_SET "PRAGMA user_version = 3;" /* SCHEMA_VERSION */

static const char tables[] =
    "CREATE TABLE state(one INTEGER PRIMARY KEY, idx INTEGER NOT NULL, term INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, next_volume INTEGER NOT NULL, map_version INTEGER NOT NULL,"
    " time_ms INTEGER NOT NULL, jump_ms INTEGER NOT NULL);"
    "INSERT INTO state VALUES(1, 0, 0, 2, 1, 0, 0, 0);" /* SX_EPOCH_FIRST */

    "CREATE TABLE setting(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"

    "CREATE TABLE node(id INTEGER PRIMARY KEY, address TEXT NOT NULL, port INTEGER NOT NULL,"
    " peer_port INTEGER NOT NULL, zone TEXT NOT NULL, capacity INTEGER NOT NULL,"
    " version TEXT NOT NULL, joined_ms INTEGER NOT NULL);"

    "CREATE TABLE token(id INTEGER PRIMARY KEY, hash BLOB NOT NULL, expires_ms INTEGER NOT NULL,"
    " node INTEGER);"

    "CREATE TABLE user(name TEXT PRIMARY KEY, role INTEGER NOT NULL, quota INTEGER NOT NULL,"
    " used INTEGER NOT NULL, description TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " max_volumes INTEGER NOT NULL) WITHOUT ROWID;"

    "CREATE TABLE key(access_key TEXT PRIMARY KEY, user TEXT NOT NULL, sealed BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX key_user ON key(user);"

    "CREATE TABLE volume(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,"
    " replica INTEGER NOT NULL, quota INTEGER NOT NULL, revisions INTEGER NOT NULL,"
    " compression INTEGER NOT NULL, used INTEGER NOT NULL, files INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, deleting INTEGER NOT NULL, versioning INTEGER NOT NULL,"
    " lock_mode INTEGER NOT NULL, lock_ms INTEGER NOT NULL);"
    "CREATE INDEX volume_owner ON volume(owner);"

    "CREATE TABLE acl(volume INTEGER NOT NULL, user TEXT NOT NULL, rights INTEGER NOT NULL,"
    " PRIMARY KEY(volume, user)) WITHOUT ROWID;"
    "CREATE INDEX acl_user ON acl(user);"

    "CREATE TABLE config(volume INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY(volume, name)) WITHOUT ROWID;"

    "CREATE TABLE file(volume INTEGER NOT NULL, path TEXT NOT NULL, ord INTEGER NOT NULL,"
    " moved INTEGER NOT NULL, older INTEGER NOT NULL, rev INTEGER NOT NULL, size INTEGER NOT NULL,"
    " age_ns INTEGER NOT NULL, mode INTEGER NOT NULL, flags INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, back INTEGER NOT NULL, meta BLOB, hold INTEGER NOT NULL,"
    " retain_ms INTEGER NOT NULL, changed INTEGER AS (rev + moved), content INTEGER AS (rev - back),"
    " PRIMARY KEY(volume, path)) WITHOUT ROWID;"

    "CREATE TABLE old(volume INTEGER NOT NULL, path TEXT NOT NULL, ord INTEGER NOT NULL,"
    " rev INTEGER NOT NULL, size INTEGER NOT NULL, age_ns INTEGER NOT NULL, mode INTEGER NOT NULL,"
    " flags INTEGER NOT NULL, created_ms INTEGER NOT NULL, back INTEGER NOT NULL, meta BLOB,"
    " hold INTEGER NOT NULL, retain_ms INTEGER NOT NULL, content INTEGER AS (rev - back),"
    " PRIMARY KEY(volume, path, ord)) WITHOUT ROWID;"

    "CREATE TABLE content(id INTEGER PRIMARY KEY, users INTEGER NOT NULL, replica INTEGER NOT NULL,"
    " parts INTEGER NOT NULL, blocks INTEGER NOT NULL, etag BLOB);"
    "CREATE INDEX content_doomed ON content(id) WHERE users = 0;"

    /* Apart, so that what a listing reads of the contents lies close together. */
    "CREATE TABLE inline(content INTEGER PRIMARY KEY, record BLOB NOT NULL);"
    /* Eight bytes of the id tell nearly all apart, and keep the index small. */
    "CREATE INDEX inline_id ON inline(substr(record, 9, 8));"

    "CREATE TABLE part(content INTEGER NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, entries BLOB NOT NULL, PRIMARY KEY(content, seq)) WITHOUT ROWID;"

    "CREATE TABLE ref(id BLOB NOT NULL, content INTEGER NOT NULL, len INTEGER NOT NULL,"
    " PRIMARY KEY(id, content)) WITHOUT ROWID;"

    "CREATE TABLE dropped(prefix INTEGER PRIMARY KEY, num INTEGER NOT NULL);"

    "CREATE TABLE upload(id BLOB PRIMARY KEY, user TEXT NOT NULL, volume INTEGER NOT NULL,"
    " path TEXT NOT NULL, content INTEGER NOT NULL, parts INTEGER NOT NULL, blocks INTEGER NOT NULL,"
    " size INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
    " multipart INTEGER NOT NULL, meta BLOB) WITHOUT ROWID;"
    "CREATE INDEX upload_user ON upload(user);"
    "CREATE INDEX upload_volume ON upload(volume, path, id);"
    "CREATE INDEX upload_content ON upload(content);"
    "CREATE INDEX upload_idle ON upload(updated_ms);"

    "CREATE TABLE mpart(upload BLOB NOT NULL, number INTEGER NOT NULL, content INTEGER NOT NULL,"
    " size INTEGER NOT NULL, blocks INTEGER NOT NULL, md5 BLOB NOT NULL,"
    " meta BLOB, time_ms INTEGER NOT NULL, PRIMARY KEY(upload, number)) WITHOUT ROWID;"

    "CREATE TABLE joint(content INTEGER NOT NULL, seq INTEGER NOT NULL, first INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, child INTEGER NOT NULL, meta BLOB, PRIMARY KEY(content, seq))"
    " WITHOUT ROWID;"
    "CREATE INDEX joint_child ON joint(child);"

    "CREATE TABLE job(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, state INTEGER NOT NULL,"
    " user TEXT NOT NULL, volume INTEGER NOT NULL, prefix TEXT NOT NULL, glob TEXT NOT NULL,"
    " to_volume INTEGER NOT NULL, to_prefix TEXT NOT NULL, cursor TEXT NOT NULL,"
    " done INTEGER NOT NULL, failed INTEGER NOT NULL, message TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
    "CREATE INDEX job_state ON job(state, updated_ms);"
    "CREATE INDEX job_user ON job(user);"

    "CREATE TABLE op(num INTEGER PRIMARY KEY, op BLOB NOT NULL UNIQUE, user TEXT NOT NULL,"
    " type INTEGER NOT NULL, code INTEGER NOT NULL, message TEXT NOT NULL, payload BLOB,"
    " time_ms INTEGER NOT NULL);"

    "CREATE TABLE trim(volume INTEGER PRIMARY KEY, cursor TEXT NOT NULL);"
    PIN_TABLE VERSION_SET;

/* What version 2 lacks. */
static const char from_2[] = PIN_TABLE VERSION_SET;

static int version_get(sqlite3 *db, uint64_t *version, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, "PRAGMA user_version", "");

    if (rc != 1)
        return -1;
    *version = sx_mdb_u64(st, 0);
    sqlite3_reset(st);
    sqlite3_finalize(st);
    return 0;
}

int sx_sm_schema(sqlite3 *db, struct sx_err *e)
{
    uint64_t version;

    if (version_get(db, &version, e) != 0)
        return -1;
    if (version == SCHEMA_VERSION)
        return 0;
    if (version != 0 && version != 2)
        return sx_err_set(e, SX_EVERSION,
                          "metadata database has version %llu, this program knows %d",
                          (unsigned long long)version, SCHEMA_VERSION);
    if (sx_mdb_exec(db, "BEGIN IMMEDIATE", e) != 0)
        return -1;
    if (sx_mdb_exec(db, version ? from_2 : tables, e) != 0 ||
        sx_mdb_exec(db, "COMMIT", e) != 0) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}
