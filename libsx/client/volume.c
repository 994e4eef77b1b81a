/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes and the rights on them.
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/client/call.h"
#include "libsx/client/ops.h"

static const struct {
    const char *name;
    unsigned bit;
} rights_table[] = {
    { "read", SX_RIGHT_READ },
    { "write", SX_RIGHT_WRITE },
    { "manager", SX_RIGHT_MANAGER },
    { "owner", SX_RIGHT_OWNER },
};
#define RIGHTS (sizeof rights_table / sizeof *rights_table)

static unsigned right_of(const char *name, size_t n)
{
    for (size_t i = 0; i < RIGHTS; i++)
        if (strlen(rights_table[i].name) == n && !strncmp(rights_table[i].name, name, n))
            return rights_table[i].bit;
    return 0;
}

int sx_rights_parse(const char *text, unsigned *out, struct sx_err *e)
{
    unsigned all = 0;

    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        unsigned bit = right_of(p, n);

        if (!bit)
            return sx_err_set(e, SX_EINVAL,
                              "'%.*s' is not a right; write read, write, manager or owner",
                              (int)n, p);
        all |= bit;
        p += n;
        if (!*p)
            break;
    }
    *out = all;
    return 0;
}

static unsigned rights_of(const json_t *array)
{
    unsigned all = 0;
    size_t i;
    json_t *v;

    json_array_foreach(array, i, v)
    {
        if (json_is_string(v))
            all |= right_of(json_string_value(v), json_string_length(v));
    }
    return all;
}

static json_t *rights_json(unsigned rights)
{
    json_t *all = json_array();

    for (size_t i = 0; i < RIGHTS; i++)
        if (rights & rights_table[i].bit)
            json_array_append_new(all, json_string(rights_table[i].name));
    return all;
}

static int read_volume(const json_t *j, struct sx_volume_info *v, struct sx_err *e)
{
    uint64_t replica, revisions;

    if (sx_json_need_str(j, "name", &v->name, e) || sx_json_str(j, "owner", "", &v->owner, e) ||
        sx_json_str(j, "compression", "zstd", &v->compression, e) ||
        sx_json_str(j, "versioning", "off", &v->versioning, e) ||
        sx_json_u64(j, "replica", 1, UINT32_MAX, &replica, e) ||
        sx_json_u64(j, "revisions", 1, UINT32_MAX, &revisions, e) ||
        sx_json_u64(j, "quota", 0, INT64_MAX, &v->quota, e) ||
        sx_json_u64(j, "used", 0, INT64_MAX, &v->used, e) ||
        sx_json_u64(j, "files", 0, INT64_MAX, &v->files, e) ||
        sx_json_u64(j, "created_ms", 0, INT64_MAX, &v->created_ms, e))
        return sx_err_wrap(e, "answer of the cluster");
    v->replica = (unsigned)replica;
    v->revisions = (unsigned)revisions;
    v->rights = rights_of(json_object_get(j, "rights"));
    return 0;
}

static double ratio(const json_t *j, const char *name)
{
    return json_number_value(json_object_get(j, name));
}

static int read_space(const json_t *j, struct sx_volume_space *s, struct sx_err *e)
{
    if (sx_json_u64(j, "as_of_ms", 0, INT64_MAX, &s->as_of_ms, e) ||
        sx_json_bool(j, "complete", false, &s->complete, e) ||
        sx_json_u64(j, "logical", 0, INT64_MAX, &s->logical, e) ||
        sx_json_u64(j, "unique", 0, INT64_MAX, &s->unique, e) ||
        sx_json_u64(j, "compressed", 0, INT64_MAX, &s->compressed, e) ||
        sx_json_u64(j, "physical", 0, INT64_MAX, &s->physical, e) ||
        sx_json_u64(j, "exclusive", 0, INT64_MAX, &s->exclusive, e) ||
        sx_json_u64(j, "inline", 0, INT64_MAX, &s->in_metadata, e))
        return sx_err_wrap(e, "answer of the cluster");
    s->dedup = ratio(j, "dedup");
    s->compression = ratio(j, "compression");
    s->reduction = ratio(j, "reduction");
    return 0;
}

static int give(const json_t *j, sx_volume_fn *fn, void *arg, struct sx_err *e)
{
    const json_t *space = json_object_get(j, "space");
    struct sx_volume_info v = { .space = NULL };
    struct sx_volume_space s;

    if (read_volume(j, &v, e) || (space && read_space(space, &s, e)))
        return -1;
    if (space)
        v.space = &s;
    return fn ? fn(arg, &v) : 0;
}

int sx_volume_each(struct sx_cluster *k, sx_volume_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;
    size_t i;
    json_t *v;
    int r = 0;

    if (sx_call_json(k, "GET", sx_strdup(SX_API "/volumes"), NULL, NULL, &j, e))
        return -1;
    json_array_foreach(json_object_get(j, "volumes"), i, v)
    {
        r = give(v, fn, arg, e);
        if (r)
            break;
    }
    return r;
}

static int call_volume(struct sx_cluster *k, const char *method, const char *volume, json_t *body,
                       sx_volume_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_name_volume_check(volume, e)) {
        json_decref(body);
        return -1;
    }
    if (sx_call_json(k, method, sx_api_path("volumes", volume, NULL), NULL, body, &j, e))
        return -1;
    return give(j, fn, arg, e);
}

int sx_volume_get(struct sx_cluster *k, const char *volume, sx_volume_fn *fn, void *arg,
                  struct sx_err *e)
{
    return call_volume(k, "GET", volume, NULL, fn, arg, e);
}

int sx_volume_space(struct sx_cluster *k, const char *volume, sx_volume_fn *fn, void *arg,
                    struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_name_volume_check(volume, e) ||
        sx_call_json(k, "GET", sx_api_path("volumes", volume, NULL), sx_strdup("space=1"), NULL, &j,
                     e))
        return -1;
    return give(j, fn, arg, e);
}

void sx_volume_change_init(struct sx_volume_change *c)
{
    memset(c, 0, sizeof *c);
}

static json_t *change_json(const struct sx_volume_change *c)
{
    json_t *j = json_pack("{s:s*,s:s*,s:s*,s:s*}", "owner", c->owner, "compression", c->compression,
                          "versioning", c->versioning, "name", c->name);

    if (c->replica)
        json_object_set_new(j, "replica", json_integer(c->replica));
    if (c->revisions)
        json_object_set_new(j, "revisions", json_integer(c->revisions));
    if (c->has_quota)
        json_object_set_new(j, "quota", json_integer((json_int_t)c->quota));
    return j;
}

int sx_volume_create(struct sx_cluster *k, const char *volume, const struct sx_volume_change *c,
                     sx_volume_fn *fn, void *arg, struct sx_err *e)
{
    return call_volume(k, "PUT", volume, change_json(c), fn, arg, e);
}

int sx_volume_modify(struct sx_cluster *k, const char *volume, const struct sx_volume_change *c,
                     sx_volume_fn *fn, void *arg, struct sx_err *e)
{
    if (c->name && sx_name_volume_check(c->name, e))
        return -1;
    return call_volume(k, "PATCH", volume, change_json(c), fn, arg, e);
}

int sx_volume_remove(struct sx_cluster *k, const char *volume, bool with_files, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;
    struct sx_job_result done;

    if (sx_call_json(k, "DELETE", sx_api_path("volumes", volume, NULL),
                     with_files ? sx_strdup("recursive=1") : NULL, NULL, with_files ? &j : NULL, e))
        return -1;
    return with_files ? sx_job_wait(k, j, &done, e) : 0;
}

static int give_acl(const json_t *j, sx_acl_fn *fn, void *arg, struct sx_err *e)
{
    const char *user;
    size_t i;
    json_t *v;
    int r = 0;

    json_array_foreach(json_object_get(j, "acl"), i, v)
    {
        if (sx_json_need_str(v, "user", &user, e))
            return sx_err_wrap(e, "answer of the cluster");
        r = fn ? fn(arg, user, rights_of(json_object_get(v, "rights"))) : 0;
        if (r)
            break;
    }
    return r;
}

static int call_acl(struct sx_cluster *k, const char *method, const char *volume, json_t *body,
                    sx_acl_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_FREE char *base = sx_api_path("volumes", volume, NULL);
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_call_json(k, method, sx_asprintf("%s/acl", base), NULL, body, &j, e))
        return -1;
    return give_acl(j, fn, arg, e);
}

int sx_acl_get(struct sx_cluster *k, const char *volume, sx_acl_fn *fn, void *arg, struct sx_err *e)
{
    return call_acl(k, "GET", volume, NULL, fn, arg, e);
}

int sx_acl_change(struct sx_cluster *k, const char *volume, const char *user, unsigned grant,
                  unsigned revoke, sx_acl_fn *fn, void *arg, struct sx_err *e)
{
    json_t *j;

    if (sx_name_user_check(user, e))
        return -1;
    j = json_object();
    if (grant)
        json_object_set_new(j, "grant", json_pack("{s:o}", user, rights_json(grant)));
    if (revoke)
        json_object_set_new(j, "revoke", json_pack("{s:o}", user, rights_json(revoke)));
    return call_acl(k, "PUT", volume, j, fn, arg, e);
}
