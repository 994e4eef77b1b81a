/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Volumes and the rights on them: docs/api.md section 3.
 */
#include <string.h>

#include "fcgi/api/common.h"
#include "fcgi/api/space.h"
#include "libsx/base/mem.h"
#include "libsx/codec/block.h"

static int reply_volume(struct sx_req *r, int status, const char *name, struct sx_err *e)
{
    struct sx_volume v;

    if (sx_do_volume(r, name, 0, &v, e) != 0)
        return -1;
    return sx_reply_json(r, status, sx_volume_json(&v));
}

int sx_h_volumes(struct sx_req *r, struct sx_err *e)
{
    json_t *array;
    sqlite3 *db;

    if (sx_app_db(r->app, &db, e) != 0 || sx_query_volumes_json(db, r->user, &array, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_pack("{s:o}", "volumes", array));
}

/* A small number whose type in the command is a byte. */
static int read_u8(const json_t *j, const char *name, uint64_t max, uint8_t *v, struct sx_err *e)
{
    uint64_t n;

    if (sx_json_u64(j, name, 0, max, &n, e) != 0)
        return -1;
    if (json_object_get(j, name) && n == 0)
        return sx_err_set(e, SX_EINVAL, "'%s' is 0; it must be 1 to %llu", name,
                          (unsigned long long)max);
    *v = (uint8_t)n;
    return 0;
}

static int read_compression(const json_t *j, uint8_t *v, struct sx_err *e)
{
    enum sx_codec codec;
    const char *name;

    *v = SX_COMPRESSION_DEFAULT;
    if (sx_json_str(j, "compression", NULL, &name, e) != 0)
        return -1;
    if (!name)
        return 0;
    if (sx_codec_parse(name, &codec, e) != 0)
        return -1;
    *v = (uint8_t)codec;
    return 0;
}

int sx_h_volume_create(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = {
        "owner", "replica", "quota", "revisions", "compression", NULL,
    };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_volume_create c = { .name = r->args.v[0] };
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_volume_name_check(c.name, e) != 0 || sx_req_json(r, &j, e) != 0 ||
        sx_req_members(j, members, e) != 0 || sx_json_str(j, "owner", "", &c.owner, e) != 0 ||
        read_u8(j, "replica", UINT8_MAX, &c.replica, e) != 0 ||
        sx_json_u64(j, "quota", 0, INT64_MAX, &c.quota, e) != 0 ||
        read_u8(j, "revisions", SX_REVISIONS_MAX, &c.revisions, e) != 0 ||
        read_compression(j, &c.compression, e) != 0)
        return -1;
    if (c.owner[0] && sx_user_name_check(c.owner, e) != 0)
        return -1;
    sx_cmd_volume_create_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return reply_volume(r, 201, c.name, e);
}

int sx_h_volume_get(struct sx_req *r, struct sx_err *e)
{
    unsigned long long with_space;
    struct sx_volume v;
    json_t *j, *space;

    if (sx_query_u64(&r->query, "space", 0, 1, &with_space, e) != 0)
        return -1;
    if (!with_space)
        return reply_volume(r, 200, r->args.v[0], e);
    if (sx_do_volume(r, r->args.v[0], 0, &v, e) != 0 || sx_do_space(r, v.id, &space, e) != 0)
        return -1;
    j = sx_volume_json(&v);
    json_object_set_new(j, "space", space);
    return sx_reply_json(r, 200, j);
}

static int read_versioning(const json_t *j, uint8_t *versioning, struct sx_err *e)
{
    const char *text;

    if (sx_json_str(j, "versioning", sx_versioning_name(SX_VERSIONING_OFF), &text, e) != 0)
        return -1;
    for (*versioning = SX_VERSIONING_OFF; *versioning <= SX_VERSIONING_SUSPENDED; (*versioning)++)
        if (strcmp(text, sx_versioning_name(*versioning)) == 0)
            return 0;
    return sx_err_set(e, SX_EINVAL, "versioning '%.32s' is none of off, enabled, suspended", text);
}

/* Which members are there, and their values. */
static int read_modify(const json_t *j, struct sx_cmd_volume_modify *c, struct sx_err *e)
{
    if (sx_json_str(j, "name", "", &c->name, e) != 0 ||
        sx_json_str(j, "owner", "", &c->owner, e) != 0 ||
        sx_json_u64(j, "quota", 0, INT64_MAX, &c->quota, e) != 0 ||
        read_u8(j, "revisions", SX_REVISIONS_MAX, &c->revisions, e) != 0 ||
        read_compression(j, &c->compression, e) != 0 ||
        read_versioning(j, &c->versioning, e) != 0)
        return -1;
    c->set =
        (uint8_t)((json_object_get(j, "name") ? SX_SET_NAME : 0) |
                  (json_object_get(j, "owner") ? SX_SET_OWNER : 0) |
                  (json_object_get(j, "quota") ? SX_SET_VOLUME_QUOTA : 0) |
                  (json_object_get(j, "revisions") ? SX_SET_REVISIONS : 0) |
                  (json_object_get(j, "compression") ? SX_SET_COMPRESSION : 0) |
                  (json_object_get(j, "versioning") ? SX_SET_VERSIONING : 0));
    if (c->set == 0)
        return sx_err_set(e, SX_EINVAL, "nothing to change: give owner, quota, revisions, "
                                        "compression, versioning or name");
    if ((c->set & SX_SET_NAME) && sx_volume_name_check(c->name, e) != 0)
        return -1;
    return (c->set & SX_SET_OWNER) ? sx_user_name_check(c->owner, e) : 0;
}

int sx_h_volume_modify(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = {
        "owner", "quota", "revisions", "compression", "versioning", "name", NULL,
    };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_volume_modify c = { .volume = r->args.v[0] };
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_volume_name_check(c.volume, e) != 0 || sx_req_json(r, &j, e) != 0 ||
        sx_req_members(j, members, e) != 0 || read_modify(j, &c, e) != 0)
        return -1;
    sx_cmd_volume_modify_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return reply_volume(r, 200, (c.set & SX_SET_NAME) ? c.name : c.volume, e);
}

static int delete_by_job(struct sx_req *r, const char *volume, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_job_create c = { .job_type = SX_JOB_VOLUME_DELETE, .volume = volume };

    sx_cmd_job_create_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_do_reply_job(r, &result, e);
}

int sx_h_volume_delete(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_volume_delete c = { .volume = r->args.v[0] };
    unsigned long long recursive;

    if (sx_volume_name_check(c.volume, e) != 0 ||
        sx_query_u64(&r->query, "recursive", 0, 1, &recursive, e) != 0)
        return -1;
    if (recursive)
        return delete_by_job(r, c.volume, e);
    sx_cmd_volume_delete_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}

/* ---- rights ---- */

static int reply_acl(struct sx_req *r, const char *volume, struct sx_err *e)
{
    sqlite3 *db;
    json_t *acl;

    if (sx_app_db(r->app, &db, e) != 0 || sx_query_acl_json(db, r->user, volume, &acl, e) != 0)
        return -1;
    return sx_reply_json(r, 200, acl);
}

int sx_h_acl_get(struct sx_req *r, struct sx_err *e)
{
    if (sx_volume_name_check(r->args.v[0], e) != 0)
        return -1;
    return reply_acl(r, r->args.v[0], e);
}

/* ["read", "write"] as bits. */
static int read_rights(const json_t *j, const char *user, const char *name, uint8_t *rights,
                       struct sx_err *e)
{
    const json_t *list = json_object_get(json_object_get(j, name), user), *item;
    uint8_t one;
    size_t i;

    *rights = 0;
    if (list && !json_is_array(list))
        return sx_err_set(e, SX_EINVAL, "'%s' of user '%.64s' is not a list of rights", name, user);
    json_array_foreach(list, i, item) {
        if (!json_is_string(item))
            return sx_err_set(e, SX_EINVAL,
                              "'%s' of user '%.64s' has something else than text in it", name,
                              user);
        if (sx_right_parse(json_string_value(item), &one, e) != 0)
            return -1;
        *rights |= one;
    }
    return 0;
}

/* One change for each user who is named in grant or in revoke. */
static int read_changes(const json_t *j, struct sx_buf *changes, struct sx_err *e)
{
    SX_AUTO_JSON json_t *users = json_object();
    uint8_t grant, revoke;
    const char *user;
    json_t *unused, *part;

    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "grant" : "revoke";

        if (!json_object_get(j, name))
            continue;
        if (sx_do_object(j, name, &part, e) != 0)
            return -1;
        json_object_foreach(part, user, unused)
            json_object_set_new(users, user, json_true());
    }
    if (json_object_size(users) == 0 || json_object_size(users) > SX_ACL_CHANGES_MAX)
        return sx_err_set(e, SX_EINVAL, "%zu users in 'grant' and 'revoke'; 1 to %u are allowed",
                          json_object_size(users), SX_ACL_CHANGES_MAX);
    json_object_foreach(users, user, unused) {
        if (sx_user_name_check(user, e) != 0 || read_rights(j, user, "grant", &grant, e) != 0 ||
            read_rights(j, user, "revoke", &revoke, e) != 0)
            return -1;
        sx_acl_change_add(changes, user, grant, revoke);
    }
    return 0;
}

int sx_h_acl_change(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = { "grant", "revoke", NULL };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT,
        changes = SX_BUF_INIT;
    struct sx_cmd_acl_change c = { .volume = r->args.v[0] };
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_volume_name_check(c.volume, e) != 0 || sx_req_json(r, &j, e) != 0 ||
        sx_req_members(j, members, e) != 0 || read_changes(j, &changes, e) != 0)
        return -1;
    c.changes = (struct sx_span){ changes.data, changes.len };
    sx_cmd_acl_change_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return reply_acl(r, c.volume, e);
}
