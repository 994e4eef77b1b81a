/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Users and their keys.
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/client/call.h"

#define USER_KEYS_MAX 64

static int give(const json_t *j, sx_user_fn *fn, void *arg, struct sx_err *e)
{
    const char *keys[USER_KEYS_MAX];
    uint64_t volumes;
    struct sx_user_info u = { .keys = keys };
    size_t i;
    json_t *v;

    if (sx_json_need_str(j, "name", &u.name, e) || sx_json_str(j, "role", "normal", &u.role, e) ||
        sx_json_str(j, "description", "", &u.description, e) ||
        sx_json_u64(j, "quota", 0, INT64_MAX, &u.quota, e) ||
        sx_json_u64(j, "used", 0, INT64_MAX, &u.used, e) ||
        sx_json_u64(j, "created_ms", 0, INT64_MAX, &u.created_ms, e) ||
        sx_json_u64(j, "max_volumes", 0, UINT32_MAX, &volumes, e))
        return sx_err_wrap(e, "answer of the cluster");
    u.max_volumes = (uint32_t)volumes;
    json_array_foreach(json_object_get(j, "keys"), i, v)
    {
        if (u.n_keys == USER_KEYS_MAX)
            break;
        if (sx_json_need_str(v, "access_key", &keys[u.n_keys], e))
            return sx_err_wrap(e, "answer of the cluster");
        u.n_keys++;
    }
    return fn ? fn(arg, &u) : 0;
}

static int call_user(struct sx_cluster *k, const char *method, const char *name, json_t *body,
                     json_t **j, struct sx_err *e)
{
    if (name && sx_name_user_check(name, e)) {
        json_decref(body);
        return -1;
    }
    return sx_call_json(k, method,
                        name ? sx_api_path("users", name, NULL) : sx_strdup(SX_API "/self"), NULL,
                        body, j, e);
}

int sx_user_get(struct sx_cluster *k, const char *name, sx_user_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;

    return call_user(k, "GET", name, NULL, &j, e) ? -1 : give(j, fn, arg, e);
}

int sx_user_each(struct sx_cluster *k, sx_user_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;
    size_t i;
    json_t *v;
    int r = 0;

    if (sx_call_json(k, "GET", sx_strdup(SX_API "/users"), NULL, NULL, &j, e))
        return -1;
    json_array_foreach(json_object_get(j, "users"), i, v)
    {
        r = give(v, fn, arg, e);
        if (r)
            break;
    }
    return r;
}

void sx_user_change_init(struct sx_user_change *c)
{
    memset(c, 0, sizeof *c);
}

static json_t *change_json(const struct sx_user_change *c)
{
    json_t *j = json_pack("{s:s*,s:s*}", "role", c->role, "description", c->description);

    if (c->has_quota)
        json_object_set_new(j, "quota", json_integer((json_int_t)c->quota));
    if (c->has_max_volumes)
        json_object_set_new(j, "max_volumes", json_integer((json_int_t)c->max_volumes));
    return j;
}

/* All that the owner of a new key needs. */
static int fill_key(struct sx_cluster *k, const char *name, const json_t *j, struct sx_access *key,
                    struct sx_err *e)
{
    const char *access_key, *secret_key;
    struct sx_access a;

    if (sx_json_need_str(j, "access_key", &access_key, e) ||
        sx_json_need_str(j, "secret_key", &secret_key, e))
        return sx_err_wrap(e, "answer of the cluster");
    sx_access_init(&a);
    a.cluster = sx_strdup(k->access.cluster);
    a.user = sx_strdup(name);
    a.access_key = sx_strdup(access_key);
    a.secret_key = sx_strdup(secret_key);
    a.fingerprint = sx_strdup(k->access.fingerprint);
    for (size_t i = 0; i < k->n_nodes; i++) {
        const struct sx_client_node *n = &k->nodes[i];
        SX_AUTO_FREE char *text =
            sx_asprintf(strchr(n->address, ':') ? "[%s]:%u" : "%s:%u", n->address, n->port);

        if (sx_access_add_node(&a, text, e)) {
            sx_access_fini(&a);
            return -1;
        }
    }
    *key = a;
    return 0;
}

int sx_user_create(struct sx_cluster *k, const char *name, const struct sx_user_change *c,
                   struct sx_access *key, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;

    if (call_user(k, "PUT", name, change_json(c), &j, e))
        return -1;
    return fill_key(k, name, j, key, e);
}

int sx_user_modify(struct sx_cluster *k, const char *name, const struct sx_user_change *c,
                   sx_user_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;

    return call_user(k, "PATCH", name, change_json(c), &j, e) ? -1 : give(j, fn, arg, e);
}

int sx_user_remove(struct sx_cluster *k, const char *name, struct sx_err *e)
{
    return call_user(k, "DELETE", name, NULL, NULL, e);
}

int sx_user_key_add(struct sx_cluster *k, const char *name, struct sx_access *key, struct sx_err *e)
{
    SX_AUTO_FREE char *base = sx_api_path("users", name, NULL);
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_name_user_check(name, e) ||
        sx_call_json(k, "POST", sx_asprintf("%s/keys", base), NULL, NULL, &j, e))
        return -1;
    return fill_key(k, name, j, key, e);
}

int sx_user_key_remove(struct sx_cluster *k, const char *name, const char *access_key,
                       struct sx_err *e)
{
    SX_AUTO_FREE char *base = sx_api_path("users", name, NULL);
    struct sx_buf path = SX_BUF_INIT;

    if (sx_name_user_check(name, e))
        return -1;
    sx_buf_printf(&path, "%s/keys/", base);
    sx_pct_encode(&path, access_key, strlen(access_key), false);
    return sx_call_json(k, "DELETE", (char *)path.data, NULL, NULL, NULL, e);
}
