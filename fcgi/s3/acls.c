/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Get and Put of the ACLs of buckets and objects, those that come with a new object or bucket, and
 * what they allow.  All objects of a bucket are its owner's; an ACL gives rights to others.  Who
 * grants needs the right to administer access (manager), as for the volume's access list.
 */
#include <string.h>

#include "fcgi/s3/acl.h"
#include "fcgi/s3/annotate.h"
#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "libsx/base/mem.h"

static const struct {
    const char *header;
    unsigned rights;
} grants[] = {
    { "x-amz-grant-read", SX_ACL_READ },         { "x-amz-grant-write", SX_ACL_WRITE },
    { "x-amz-grant-read-acp", SX_ACL_READ_ACP }, { "x-amz-grant-write-acp", SX_ACL_WRITE_ACP },
    { "x-amz-grant-full-control", SX_ACL_FULL },
};
#define N_GRANTS (sizeof grants / sizeof *grants)

/* ---- what a request asks for ---- */

/* From the headers: 1, or 0 if there are none. */
static int read_headers(struct sx_s3 *s, const char *owner, json_t *acl, struct sx_err *e)
{
    const char *canned = sx_s3_header(s, "x-amz-acl");
    int found = 0;

    for (size_t i = 0; i < N_GRANTS; i++) {
        const char *value = sx_s3_header(s, grants[i].header);

        if (value && sx_acl_header(value, grants[i].rights, owner, acl, e) != 0)
            return -1;
        found |= value != NULL;
    }
    if (!canned)
        return found;
    if (found)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "Specifying both Canned ACLs and Header Grants is not allowed");
    return sx_acl_canned(canned, acl, e) != 0 ? -1 : 1;
}

static int check_grantees(struct sx_s3 *s, const json_t *acl, struct sx_err *e)
{
    struct sx_user user;
    const char *who;
    json_t *rights;

    json_object_foreach((json_t *)(uintptr_t)acl, who, rights)
        if (who[1] && sx_query_user(s->db, who, &user, NULL) != 0)
            return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid id: there is no user '%.64s'",
                              who);
    return 0;
}

static int enforced(struct sx_s3 *s, uint64_t volume, struct sx_err *e)
{
    SX_AUTO_XML struct sx_xml *doc = NULL;
    int r = sx_s3_config_xml(s, volume, SX_S3_DOC_OWNERSHIP, &doc, e);

    return r < 1 ? r : strcmp(sx_xml_get(sx_xml_child(sx_xml_top(doc), "Rule"), "ObjectOwnership"),
                              "BucketOwnerEnforced") == 0;
}

/* What the bucket lets be granted. */
static int check_bucket(struct sx_s3 *s, const json_t *acl, struct sx_err *e)
{
    int off = enforced(s, s->v.id, e), blocked;

    if (off)
        return off < 0 ? -1 : sx_s3_fail(e, SX_S3_ACL_NOT_SUPPORTED);
    blocked = sx_acl_is_public(acl) ? sx_s3_public_access(s, s->v.id, "BlockPublicAcls", e) : 0;
    if (blocked)
        return blocked < 0 ? -1 : sx_err_set(e, SX_S3_ACCESS_DENIED,
                                             "BlockPublicAcls of the bucket refuses an ACL that gives"
                                             " access to everybody");
    return check_grantees(s, acl, e);
}

static void dump(const json_t *acl, struct sx_buf *out)
{
    if (json_object_size(acl))
        sx_json_dump(out, acl);
}

int sx_s3_acl_item(struct sx_s3 *s, json_t *items, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    const char *canned = sx_s3_header(s, "x-amz-acl");
    SX_AUTO_JSON json_t *acl = json_object();
    int found = read_headers(s, s->v.owner, acl, e);
    unsigned need = s->need;
    int r;

    if (found < 1 || (canned && strcmp(canned, "bucket-owner-full-control") == 0))
        return found < 0 ? -1 : 0;
    if (check_bucket(s, acl, e) != 0)
        return -1;
    if (json_object_size(acl) == 0)
        return 0;
    r = sx_s3_allowed(s, "s3:PutObjectAcl", s->t.key, SX_RIGHT_MANAGER, e);
    s->need = need;
    dump(acl, &text);
    json_object_set_new(items, "s3.acl", json_string(sx_buf_cstr(&text)));
    return r;
}

int sx_s3_acl_of_bucket(struct sx_s3 *s, struct sx_buf *out, struct sx_err *e)
{
    SX_AUTO_JSON json_t *acl = json_object();

    if (read_headers(s, s->r->user, acl, e) < 0 || check_grantees(s, acl, e) != 0)
        return -1;
    dump(acl, out);
    return 0;
}

/* Of a Put…Acl: by headers or by the body, not both. */
static int read_sent(struct sx_s3 *s, json_t *acl, struct sx_err *e)
{
    SX_AUTO_XML struct sx_xml *doc = NULL;
    int found = read_headers(s, s->v.owner, acl, e);

    if (found < 0 || sx_s3_body(s, SX_S3_CONFIG_MAX, e) != 0)
        return -1;
    if (found && s->body.len)
        return sx_s3_fail(e, SX_S3_UNEXPECTED_CONTENT);
    if (!found && (sx_xml_parse(s->body.data, s->body.len, "AccessControlPolicy", &doc, e) != 0 ||
                   sx_acl_xml(sx_xml_top(doc), s->v.owner, acl, e) != 0))
        return e->code == SX_S3_MALFORMED_XML ? sx_s3_fail(e, SX_S3_MALFORMED_ACL) : -1;
    return check_bucket(s, acl, e);
}

/* ---- handlers ---- */

static int reply_acl(struct sx_s3 *s, const json_t *acl)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    sx_acl_write(acl, s->v.owner, &out);
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* The bucket's; NULL if it has none. */
static int load_bucket(struct sx_s3 *s, uint64_t volume, json_t **acl, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    int r = sx_s3_config_text(s, volume, SX_S3_DOC_ACL, &text, e);

    if (r == 1)
        *acl = sx_json_parse(text.data, text.len, e);
    return r < 1 ? r : *acl ? 0 : -1;
}

/* An object's; NULL if it has none. */
static json_t *of_object(const struct sx_file *f)
{
    SX_AUTO_JSON json_t *items = sx_s3_items(f);
    const char *text = sx_s3_item(items, "s3.acl");

    return text ? sx_json_parse(text, strlen(text), NULL) : NULL;
}

int sx_s3_get_bucket_acl(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO_JSON json_t *acl = NULL;

    return load_bucket(s, s->v.id, &acl, e) != 0 ? -1 : reply_acl(s, acl);
}

int sx_s3_put_bucket_acl(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO_JSON json_t *acl = json_object();

    if (read_sent(s, acl, e) != 0)
        return -1;
    dump(acl, &text);
    if (sx_s3_config_set(s, SX_S3_DOC_ACL, text.data, text.len, e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 200);
}

int sx_s3_get_object_acl(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO_JSON json_t *acl = NULL;

    if (sx_s3_find_version(s, &row, e) != 0)
        return -1;
    acl = of_object(&row.f);
    sx_s3_version_field(s, &s->v, &row.f);
    return reply_acl(s, acl);
}

int sx_s3_put_object_acl(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO_JSON json_t *acl = json_object();

    if (read_sent(s, acl, e) != 0)
        return -1;
    dump(acl, &text);
    if (sx_s3_annotate(s, "s3.acl", sx_buf_cstr(&text), e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 200);
}

/* ---- evaluation ---- */

static bool gives(struct sx_s3 *s, const json_t *acl, bool groups, unsigned need)
{
    const char *user = s->anonymous ? NULL : s->r->user;

    return need && (sx_acl_rights(acl, user, groups) & need) == need;
}

static bool object_gives(struct sx_s3 *s, const struct sx_volume *v,
                         const struct sx_s3_question *q, bool groups)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    unsigned need = sx_acl_need(q->action, true);
    struct sx_err absent = SX_ERR_INIT;
    SX_AUTO_JSON json_t *acl = NULL;

    if (!need || sx_s3_find(s, v, q->key, q->version, &row, &absent) != 0)
        return false;
    acl = of_object(&row.f);
    return gives(s, acl, groups, need);
}

bool sx_s3_acl_allows(struct sx_s3 *s, const struct sx_volume *v, const struct sx_s3_question *q)
{
    SX_AUTO_JSON json_t *acl = NULL;
    int ignored;

    if (enforced(s, v->id, NULL) != 0)
        return false;
    ignored = sx_s3_public_access(s, v->id, "IgnorePublicAcls", NULL);
    if (ignored < 0)
        return false;
    if (q->key && object_gives(s, v, q, !ignored))
        return true;
    return load_bucket(s, v->id, &acl, NULL) == 0 &&
           gives(s, acl, !ignored, sx_acl_need(q->action, false));
}
