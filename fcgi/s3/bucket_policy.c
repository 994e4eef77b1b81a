/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Get, Put, Delete of a bucket's policy; whether it is public.  It is read and evaluated in
 * access.c.
 */
#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "libsx/base/mem.h"

static int load(struct sx_s3 *s, struct sx_buf *text, struct sx_err *e)
{
    if (sx_query_config(s->db, s->v.id, SX_S3_DOC_POLICY, text, e) == 0)
        return 0;
    return e->code == SX_ENOTFOUND ? sx_s3_fail(e, SX_S3_NO_SUCH_BUCKET_POLICY) : -1;
}

int sx_s3_get_policy(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;

    return load(s, &text, e) != 0 ? -1 : sx_s3_reply(s, 200, "application/json", &text);
}

int sx_s3_get_policy_status(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    if (!s->policy)
        return sx_s3_fail(e, SX_S3_NO_SUCH_BUCKET_POLICY);
    sx_xml_begin(&out);
    sx_xml_root(&out, "PolicyStatus");
    sx_xml_elem_bool(&out, "IsPublic", sx_s3_policy_is_public(s->policy));
    sx_xml_close(&out, "PolicyStatus");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

int sx_s3_put_policy(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_s3_policy *policy = NULL;
    bool public;
    int blocked;

    if (sx_s3_body(s, SX_S3_POLICY_MAX, e) != 0)
        return -1;
    if (s->body.len == 0)
        return sx_s3_fail(e, SX_S3_MISSING_REQUEST_BODY);
    if (sx_s3_policy_parse(s->body.data, s->body.len, s->v.name, &policy, e) != 0)
        return -1;
    public = sx_s3_policy_is_public(policy);
    sx_s3_policy_free(policy);
    blocked = public ? sx_s3_public_access(s, s->v.id, "BlockPublicPolicy", e) : 0;
    if (blocked)
        return blocked < 0 ? -1 : sx_err_set(e, SX_S3_ACCESS_DENIED,
                                             "BlockPublicPolicy of the bucket refuses a policy that"
                                             " gives access to everybody");
    if (sx_s3_config_set(s, SX_S3_DOC_POLICY, s->body.data, s->body.len, e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 204);
}

int sx_s3_delete_policy(struct sx_s3 *s, struct sx_err *e)
{
    if (sx_s3_config_set(s, SX_S3_DOC_POLICY, NULL, 0, e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 204);
}
