/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries on users, keys, volumes and access lists.
 */
#include <string.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "libsx/base/mem.h"
#include "libsx/codec/block.h"

#define USER_COLS "name, role, quota, used, description, created_ms, max_volumes"

static void user_read(sqlite3_stmt *st, struct sx_user *u)
{
    sx_mdb_text(st, 0, u->name, sizeof u->name);
    u->role = (uint8_t)sx_mdb_u64(st, 1);
    u->quota = sx_mdb_u64(st, 2);
    u->used = sx_mdb_u64(st, 3);
    sx_mdb_text(st, 4, u->description, sizeof u->description);
    u->created_ms = sx_mdb_u64(st, 5);
    u->max_volumes = (uint32_t)sx_mdb_u64(st, 6);
}

int sx_query_user(sqlite3 *db, const char *name, struct sx_user *u, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, "SELECT " USER_COLS " FROM user WHERE name = ?", "t", name);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOUSER, "user '%s' does not exist", name);
    user_read(st, u);
    sqlite3_reset(st);
    return 0;
}

static int user_json(sqlite3 *db, const struct sx_user *u, json_t **out, struct sx_err *e)
{
    SX_AUTO_JSON json_t *keys = json_array();
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT access_key, created_ms FROM key WHERE user = ? ORDER BY created_ms,"
                       " access_key", "t", u->name);

    for (; rc == 1; rc = sx_mdb_step(st, e))
        json_array_append_new(keys, json_pack("{s:s, s:I}", "access_key", sqlite3_column_text(st,
                                                                                              0),
                                              "created_ms", (json_int_t)sx_mdb_u64(st, 1)));
    if (rc < 0)
        return -1;
    *out = json_pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:O}", "name", u->name, "role",
                     sx_role_name(u->role), "quota", (json_int_t)u->quota, "used",
                     (json_int_t)u->used, "description", u->description, "created_ms",
                     (json_int_t)u->created_ms, "max_volumes",
                     (json_int_t)u->max_volumes, "keys", keys);
    return *out ? 0 : sx_err_set(e, SX_EBUG, "user '%s' cannot be written as JSON", u->name);
}

int sx_query_user_json(sqlite3 *db, const char *name, json_t **u, struct sx_err *e)
{
    struct sx_user user;

    if (sx_query_user(db, name, &user, e) != 0)
        return -1;
    return user_json(db, &user, u, e);
}

int sx_query_users_json(sqlite3 *db, json_t **array, struct sx_err *e)
{
    SX_AUTO_JSON json_t *list = json_array();
    struct sx_user user;
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, "SELECT " USER_COLS " FROM user ORDER BY name", "");

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        json_t *u;

        user_read(st, &user);
        if (user_json(db, &user, &u, e) != 0) {
            sqlite3_reset(st);
            return -1;
        }
        json_array_append_new(list, u);
    }
    if (rc < 0)
        return -1;
    *array = SX_STEAL(list);
    return 0;
}

int sx_query_key(sqlite3 *db, const char *access_key, struct sx_key *k, struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT user.name, user.role, key.sealed FROM key JOIN user"
                       " ON user.name = key.user WHERE key.access_key = ?", "t", access_key);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOKEY, "access key '%.64s' does not exist", access_key);
    sx_mdb_text(st, 0, k->user, sizeof k->user);
    k->role = (uint8_t)sx_mdb_u64(st, 1);
    s = sx_mdb_blob(st, 2);
    k->secret_len = s.n < sizeof k->secret ? s.n : sizeof k->secret;
    memcpy(k->secret, s.p, k->secret_len);
    sqlite3_reset(st);
    return 0;
}

/* ---- volumes ---- */

/* True in *admin for administrators and the cluster itself; SX_ENOUSER. */
static int is_admin(sqlite3 *db, const char *user, bool *admin, struct sx_err *e)
{
    struct sx_user u;

    *admin = true;
    if (!*user)
        return 0;
    if (sx_query_user(db, user, &u, e) != 0)
        return -1;
    *admin = u.role == SX_ROLE_ADMIN;
    return 0;
}

static int rights_get(sqlite3 *db, const char *user, bool admin, struct sx_volume *v,
                      struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc;

    v->rights = SX_RIGHT_ALL;
    if (admin || strcmp(v->owner, user) == 0)
        return 0;
    rc = sx_mdb_get(db, &st, e, "SELECT rights FROM acl WHERE volume = ? AND user = ?", "it", v->id,
                    user);
    v->rights = 0;
    if (rc != 1)
        return rc;
    v->rights = (unsigned)sx_mdb_u64(st, 0);
    sqlite3_reset(st);
    return 0;
}

int sx_query_volume(sqlite3 *db, const char *user, const char *name, unsigned need,
                    struct sx_volume *v, struct sx_err *e)
{
    struct sx_volume got;
    sqlite3_stmt *st;
    bool admin;
    int rc;

    if (is_admin(db, user, &admin, e) != 0)
        return -1;
    rc = sx_mdb_get(db, &st, e, "SELECT " SX_VOLUME_COLS " FROM volume WHERE name = ?", "t", name);
    if (rc < 0)
        return -1;
    if (rc == 1) {
        sx_mdb_volume(st, &got);
        sqlite3_reset(st);
        if (rights_get(db, user, admin, &got, e) != 0)
            return -1;
    }
    if (rc == 0 || !got.rights)
        return sx_err_set(e, SX_ENOVOLUME, "volume '%s' does not exist", name);
    if (sx_mdb_rights_check(user, &got, need, e) != 0)
        return -1;
    *v = got;
    return 0;
}

int sx_query_volume_by_id(sqlite3 *db, uint64_t id, struct sx_volume *v, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, "SELECT " SX_VOLUME_COLS " FROM volume WHERE id = ?", "i", id);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOVOLUME, "volume %llu does not exist", (unsigned long long)id);
    sx_mdb_volume(st, v);
    v->rights = SX_RIGHT_ALL;
    sqlite3_reset(st);
    return 0;
}

json_t *sx_volume_json(const struct sx_volume *v)
{
    json_t *j = json_pack("{s:I, s:s, s:s, s:i, s:I, s:i, s:s, s:s, s:I, s:I, s:I, s:o}", "id",
                          (json_int_t)v->id, "name", v->name, "owner", v->owner, "replica",
                          (int)v->replica, "quota", (json_int_t)v->quota, "revisions",
                          (int)v->revisions, "compression", sx_codec_name(v->compression),
                          "versioning", sx_versioning_name(v->versioning), "used",
                          (json_int_t)v->used, "files", (json_int_t)v->files, "created_ms",
                          (json_int_t)v->created_ms, "rights", sx_rights_json(v->rights));

    sx_assert(j);
    return j;
}

int sx_query_volumes_json(sqlite3 *db, const char *user, json_t **array, struct sx_err *e)
{
    SX_AUTO_JSON json_t *list = json_array();
    struct sx_volume v;
    sqlite3_stmt *st;
    bool admin;
    int rc;

    if (is_admin(db, user, &admin, e) != 0)
        return -1;
    rc = sx_mdb_get(db, &st, e, "SELECT " SX_VOLUME_COLS " FROM volume ORDER BY name", "");
    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        sx_mdb_volume(st, &v);
        if (rights_get(db, user, admin, &v, e) != 0) {
            sqlite3_reset(st);
            return -1;
        }
        if (v.rights)
            json_array_append_new(list, sx_volume_json(&v));
    }
    if (rc < 0)
        return -1;
    *array = SX_STEAL(list);
    return 0;
}

static void acl_add(json_t *list, const char *user, unsigned rights)
{
    json_array_append_new(list, json_pack("{s:s, s:o}", "user", user, "rights",
                                          sx_rights_json(rights)));
}

int sx_query_acl_json(sqlite3 *db, const char *user, const char *volume, json_t **acl,
                      struct sx_err *e)
{
    SX_AUTO_JSON json_t *list = json_array();
    struct sx_volume v;
    sqlite3_stmt *st;
    bool all;
    int rc;

    if (sx_query_volume(db, user, volume, 0, &v, e) != 0)
        return -1;
    all = v.rights & (SX_RIGHT_MANAGER | SX_RIGHT_OWNER);
    if (all)
        acl_add(list, v.owner, SX_RIGHT_ALL);
    rc = sx_mdb_get(db, &st, e, "SELECT user, rights FROM acl WHERE volume = ? ORDER BY user", "i",
                    v.id);
    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        const char *name = (const char *)sqlite3_column_text(st, 0);

        if (strcmp(name, v.owner) != 0 && (all || strcmp(name, user) == 0))
            acl_add(list, name, (unsigned)sx_mdb_u64(st, 1));
    }
    if (rc < 0)
        return -1;
    *acl = json_pack("{s:O}", "acl", list);
    return 0;
}
