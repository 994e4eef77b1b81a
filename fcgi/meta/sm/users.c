/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands on users and their access keys.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

static int role_check(uint8_t role, struct sx_err *e)
{
    if (role != SX_ROLE_NORMAL && role != SX_ROLE_ADMIN)
        return sx_err_set(e, SX_EINVAL, "role %u is unknown", role);
    return 0;
}

static int quota_check(uint64_t quota, struct sx_err *e)
{
    if (quota > INT64_MAX)
        return sx_err_set(e, SX_EINVAL, "quota of %llu bytes is too large",
                          (unsigned long long)quota);
    return 0;
}

static int key_write(struct sx_sm *sm, const char *user, const char *access_key,
                     const struct sx_span *secret, struct sx_err *e)
{
    uint64_t there;

    if (!*access_key || secret->n == 0)
        return sx_err_set(e, SX_EINVAL, "a key needs an access key and a secret");
    if (sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM key WHERE access_key = ?", "t",
                     access_key) != 0)
        return -1;
    if (there)
        return sx_err_set(e, SX_EEXIST, "access key '%s' exists", access_key);
    return sx_sm_run(sm, e, "INSERT INTO key VALUES(?, ?, ?, ?)", "ttbi", access_key, user,
                     secret->p, secret->n, sm->time_ms);
}

int sx_sm_user_create(struct sx_sm *sm, const struct sx_cmd_user_add *u, struct sx_err *e)
{
    uint64_t there;

    if (sx_user_name_check(u->name, e) != 0 || role_check(u->role, e) != 0 ||
        quota_check(u->quota, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM user WHERE name = ?", "t", u->name) != 0)
        return -1;
    if (there)
        return sx_err_set(e, SX_EEXIST, "user '%s' exists", u->name);
    if (sx_sm_run(sm, e, "INSERT INTO user VALUES(?, ?, ?, 0, ?, ?, ?)", "tuitiu", u->name,
                  (unsigned)u->role, u->quota, u->description, sm->time_ms, u->max_volumes) != 0)
        return -1;
    return key_write(sm, u->name, u->access_key, &u->secret, e);
}

int sx_sm_do_user_add(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_user_add c;

    if (sx_cmd_user_add_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0)
        return -1;
    return sx_sm_user_create(sm, &c, e);
}

/* SX_ECONFLICT if `name` is the only administrator. */
static int not_last_admin(struct sx_sm *sm, const char *name, struct sx_err *e)
{
    uint64_t admin, others;

    if (sx_sm_number(sm, e, &admin, 0, "SELECT 1 FROM user WHERE name = ? AND role = 1", "t",
                     name) != 0 ||
        sx_sm_number(sm, e, &others, 0, "SELECT count(*) FROM user WHERE name <> ? AND role = 1",
                     "t", name) != 0)
        return -1;
    if (admin && others == 0)
        return sx_err_set(e, SX_ECONFLICT, "user '%s' is the last administrator", name);
    return 0;
}

int sx_sm_do_user_modify(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_user_modify c;

    if (sx_cmd_user_modify_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0 ||
        sx_sm_user_exists(sm, c.name, e) != 0)
        return -1;
    if (c.set & SX_SET_ROLE &&
        (role_check(c.role, e) != 0 ||
         (c.role != SX_ROLE_ADMIN && not_last_admin(sm, c.name, e) != 0) ||
         sx_sm_run(sm, e, "UPDATE user SET role = ? WHERE name = ?", "ut", (unsigned)c.role,
                   c.name) != 0))
        return -1;
    if (c.set & SX_SET_QUOTA &&
        (quota_check(c.quota, e) != 0 ||
         sx_sm_run(sm, e, "UPDATE user SET quota = ? WHERE name = ?", "it", c.quota, c.name) != 0))
        return -1;
    if (c.set & SX_SET_DESCRIPTION &&
        sx_sm_run(sm, e, "UPDATE user SET description = ? WHERE name = ?", "tt", c.description,
                  c.name) != 0)
        return -1;
    if (c.set & SX_SET_MAX_VOLUMES &&
        sx_sm_run(sm, e, "UPDATE user SET max_volumes = ? WHERE name = ?", "ut", c.max_volumes,
                  c.name) != 0)
        return -1;
    return 0;
}

/* The volumes of a user that is going, and what they use, pass to the caller. */
static int volumes_inherit(struct sx_sm *sm, const char *name, struct sx_err *e)
{
    uint64_t volumes, used;

    if (sx_sm_number(sm, e, &volumes, 0, "SELECT count(*) FROM volume WHERE owner = ?", "t",
                     name) != 0 ||
        sx_sm_number(sm, e, &used, 0, "SELECT used FROM user WHERE name = ?", "t", name) != 0)
        return -1;
    if (volumes && !*sm->user)
        return sx_err_set(e, SX_ECONFLICT, "user '%s' owns %llu volumes", name,
                          (unsigned long long)volumes);
    if (sx_sm_run(sm, e, "UPDATE volume SET owner = ? WHERE owner = ?", "tt", sm->user, name) != 0)
        return -1;
    return sx_sm_run(sm, e, "UPDATE user SET used = used + ? WHERE name = ?", "it", used, sm->user);
}

int sx_sm_do_user_delete(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_user_delete c;

    if (sx_cmd_user_delete_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0 ||
        sx_sm_user_exists(sm, c.name, e) != 0)
        return -1;
    if (strcmp(c.name, sm->user) == 0)
        return sx_err_set(e, SX_EINVAL, "user '%s' cannot delete himself", c.name);
    if (not_last_admin(sm, c.name, e) != 0 || volumes_inherit(sm, c.name, e) != 0 ||
        sx_sm_uploads_drop_user(sm, c.name, e) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM acl WHERE user = ?", "t", c.name) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM key WHERE user = ?", "t", c.name) != 0)
        return -1;
    return sx_sm_run(sm, e, "DELETE FROM user WHERE name = ?", "t", c.name);
}

/* ---- keys ---- */

/* Administrators and the user himself; to others he does not exist. */
static int keys_of(struct sx_sm *sm, const char *name, uint64_t *count, struct sx_err *e)
{
    if (strcmp(name, sm->user) != 0 && sx_sm_need_admin(sm, e) != 0)
        return -1;
    if (sx_sm_user_exists(sm, name, e) != 0)
        return -1;
    return sx_sm_number(sm, e, count, 0, "SELECT count(*) FROM key WHERE user = ?", "t", name);
}

int sx_sm_do_key_add(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_key_add c;
    uint64_t count;

    if (sx_cmd_key_add_decode(body->p, body->n, &c, e) != 0 || keys_of(sm, c.name, &count, e) != 0)
        return -1;
    if (count >= SX_USER_KEYS_MAX)
        return sx_err_set(e, SX_ETOOMANY, "user '%s' has %llu keys; at most %u are allowed", c.name,
                          (unsigned long long)count, SX_USER_KEYS_MAX);
    return key_write(sm, c.name, c.access_key, &c.secret, e);
}

int sx_sm_do_key_delete(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_key_delete c;
    uint64_t count, there;

    if (sx_cmd_key_delete_decode(body->p, body->n, &c, e) != 0 ||
        keys_of(sm, c.name, &count, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM key WHERE access_key = ? AND user = ?", "tt",
                     c.access_key, c.name) != 0)
        return -1;
    if (!there)
        return sx_err_set(e, SX_ENOKEY, "user '%s' has no key '%s'", c.name, c.access_key);
    if (count == 1)
        return sx_err_set(e, SX_ECONFLICT, "key '%s' is the last one of user '%s'", c.access_key,
                          c.name);
    return sx_sm_run(sm, e, "DELETE FROM key WHERE access_key = ?", "t", c.access_key);
}
