/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users and their keys: docs/api.md section 4.
 *
 * A new key pair is derived from the operation id under the cluster's key (sx_do_derive()), not
 * drawn at random, so that a repeated request gets the same answer from any node.
 */
#include <string.h>

#include "fcgi/api/common.h"
#include "libsx/base/mem.h"

struct key_pair {
    char access_key[SX_ACCESS_KEY_LEN + 1];
    char secret[SX_SECRET_KEY_LEN + 1];
};

static void derive_keys(const struct sx_req *r, struct key_pair *k)
{
    static const char access_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const char secret_digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t b[SX_SECRET_KEY_LEN];

    sx_do_derive(r, "sx access key", b, SX_ACCESS_KEY_LEN);
    for (size_t i = 0; i < SX_ACCESS_KEY_LEN; i++)
        k->access_key[i] = access_digits[b[i] % 32];
    memcpy(k->access_key, "SX", 2);
    k->access_key[SX_ACCESS_KEY_LEN] = '\0';
    sx_do_derive(r, "sx secret key", b, SX_SECRET_KEY_LEN);
    for (size_t i = 0; i < SX_SECRET_KEY_LEN; i++)
        k->secret[i] = secret_digits[b[i] % 64];
    k->secret[SX_SECRET_KEY_LEN] = '\0';
    sx_wipe(b, sizeof b);
}

static void add_keys(json_t *u, const struct key_pair *k)
{
    json_object_set_new(u, "access_key", json_string(k->access_key));
    json_object_set_new(u, "secret_key", json_string(k->secret));
}

static int query_user(struct sx_req *r, const char *name, json_t **u, struct sx_err *e)
{
    sqlite3 *db;

    return sx_app_db(r->app, &db, e) != 0 ? -1 : sx_query_user_json(db, name, u, e);
}

static int reply_user(struct sx_req *r, const char *name, struct sx_err *e)
{
    json_t *u;

    return query_user(r, name, &u, e) != 0 ? -1 : sx_reply_json(r, 200, u);
}

int sx_h_self(struct sx_req *r, struct sx_err *e)
{
    return reply_user(r, r->user, e);
}

int sx_h_users(struct sx_req *r, struct sx_err *e)
{
    json_t *array;
    sqlite3 *db;

    if (sx_app_db(r->app, &db, e) != 0 || sx_query_users_json(db, &array, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_pack("{s:o}", "users", array));
}

int sx_h_user_get(struct sx_req *r, struct sx_err *e)
{
    const char *name = r->args.v[0];

    if (sx_user_name_check(name, e) != 0)
        return -1;
    if (r->role != SX_ROLE_ADMIN && strcmp(name, r->user) != 0)
        return sx_err_set(e, SX_EACCESS, "user '%s' may see only himself", r->user);
    return reply_user(r, name, e);
}

static const char *const user_members[] = { "role", "quota", "description", "max_volumes", NULL };

/* The members of a user, with their defaults; of a new one and of a change. */
static int read_user(const json_t *j, struct sx_cmd_user_modify *c, struct sx_err *e)
{
    uint64_t volumes;
    const char *role;

    if (sx_req_members(j, user_members, e) != 0 ||
        sx_json_str(j, "role", "normal", &role, e) != 0 || sx_role_parse(role, &c->role, e) != 0 ||
        sx_json_u64(j, "quota", 0, INT64_MAX, &c->quota, e) != 0 ||
        sx_json_u64(j, "max_volumes", 0, SX_VOLUMES_ANY, &volumes, e) != 0 ||
        sx_json_str(j, "description", "", &c->description, e) != 0)
        return -1;
    c->max_volumes = (uint32_t)volumes;
    if (strlen(c->description) > SX_DESCRIPTION_MAX)
        return sx_err_set(e, SX_EINVAL, "the description has %zu bytes; at most %u are allowed",
                          strlen(c->description), SX_DESCRIPTION_MAX);
    return 0;
}

int sx_h_user_create(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT, sealed = SX_BUF_INIT;
    struct sx_cmd_user_add c = { .name = r->args.v[0] };
    struct sx_cmd_user_modify m;
    SX_AUTO_JSON json_t *j = NULL;
    struct key_pair keys;
    json_t *u;

    if (sx_user_name_check(c.name, e) != 0 || sx_req_json(r, &j, e) != 0 ||
        read_user(j, &m, e) != 0)
        return -1;
    c.role = m.role;
    c.quota = m.quota;
    c.description = m.description;
    c.max_volumes = m.max_volumes;
    derive_keys(r, &keys);
    sx_keys_seal_secret(&r->app->keys, keys.access_key, keys.secret, &sealed);
    c.access_key = keys.access_key;
    c.secret = (struct sx_span){ sealed.data, sealed.len };
    sx_cmd_user_add_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0 || query_user(r, c.name, &u, e) != 0)
        return -1;
    add_keys(u, &keys);
    sx_wipe(&keys, sizeof keys);
    return sx_reply_json(r, 201, u);
}

int sx_h_user_modify(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_user_modify c = { .name = r->args.v[0] };
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_user_name_check(c.name, e) != 0 || sx_req_json(r, &j, e) != 0 ||
        read_user(j, &c, e) != 0)
        return -1;
    c.set =
        (uint8_t)((json_object_get(j, "role") ? SX_SET_ROLE : 0) |
                  (json_object_get(j, "quota") ? SX_SET_QUOTA : 0) |
                  (json_object_get(j, "description") ? SX_SET_DESCRIPTION : 0) |
                  (json_object_get(j, "max_volumes") ? SX_SET_MAX_VOLUMES : 0));
    if (c.set == 0)
        return sx_err_set(e, SX_EINVAL, "nothing to change: give role, quota, "
                                        "description or max_volumes");
    sx_cmd_user_modify_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return reply_user(r, c.name, e);
}

int sx_h_user_delete(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_user_delete c = { .name = r->args.v[0] };

    if (sx_user_name_check(c.name, e) != 0)
        return -1;
    sx_cmd_user_delete_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}

int sx_h_key_create(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT, sealed = SX_BUF_INIT;
    struct sx_cmd_key_add c = { .name = r->args.v[0] };
    struct key_pair keys;
    json_t *answer;

    if (sx_user_name_check(c.name, e) != 0)
        return -1;
    derive_keys(r, &keys);
    sx_keys_seal_secret(&r->app->keys, keys.access_key, keys.secret, &sealed);
    c.access_key = keys.access_key;
    c.secret = (struct sx_span){ sealed.data, sealed.len };
    sx_cmd_key_add_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    answer = json_object();
    add_keys(answer, &keys);
    sx_wipe(&keys, sizeof keys);
    return sx_reply_json(r, 201, answer);
}

int sx_h_key_delete(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_key_delete c = { .name = r->args.v[0], .access_key = r->args.v[1] };

    if (sx_user_name_check(c.name, e) != 0)
        return -1;
    if (strlen(c.access_key) > SX_ACCESS_KEY_MAX)
        return sx_err_set(e, SX_ENOKEY, "there is no access key of %zu characters",
                          strlen(c.access_key));
    sx_cmd_key_delete_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}
