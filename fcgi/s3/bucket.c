/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Buckets: list, create, head, delete, location, versioning.  A bucket is a volume.
 */
#include <string.h>

#include "fcgi/s3/config.h"
#include "fcgi/s3/documents.h"
#include "fcgi/s3/handlers.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

/* ---- list ---- */

int sx_s3_list_buckets(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    SX_AUTO_JSON json_t *volumes = NULL;
    json_t *v;
    size_t i;

    if (sx_query_volumes_json(s->db, s->r->user, &volumes, e) != 0)
        return -1;
    sx_xml_begin(&out);
    sx_xml_root(&out, "ListAllMyBucketsResult");
    sx_xml_open(&out, "Owner");
    sx_xml_elem(&out, "ID", s->r->user);
    sx_xml_elem(&out, "DisplayName", s->r->user);
    sx_xml_close(&out, "Owner");
    sx_xml_open(&out, "Buckets");
    json_array_foreach(volumes, i, v) {
        sx_xml_open(&out, "Bucket");
        sx_xml_elem(&out, "Name", json_string_value(json_object_get(v, "name")));
        sx_xml_elem_time(&out, "CreationDate",
                         (uint64_t)json_integer_value(json_object_get(v, "created_ms")));
        sx_xml_close(&out, "Bucket");
    }
    sx_xml_close(&out, "Buckets");
    sx_xml_close(&out, "ListAllMyBucketsResult");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* ---- create ---- */

/* Any location is taken: the cluster is in one place, whatever clients call it. */
static int read_location(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO_XML struct sx_xml *doc = NULL;

    if (sx_s3_body(s, SX_XML_SIZE_MAX, e) != 0)
        return -1;
    return s->body.len == 0 ? 0 : sx_xml_parse(s->body.data, s->body.len,
                                               "CreateBucketConfiguration", &doc, e);
}

/* x-amz-object-ownership as the document that PutBucketOwnershipControls would leave; empty without
 * it.  Who switches ACLs off cannot give one. */
static int read_ownership(struct sx_s3 *s, const struct sx_buf *acl, struct sx_buf *out,
                          struct sx_err *e)
{
    const char *mode = sx_s3_header(s, "x-amz-object-ownership");

    if (!mode)
        return 0;
    if (!sx_s3_ownership_known(mode))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid x-amz-object-ownership header: %.64s",
                          mode);
    if (acl->len && strcmp(mode, "BucketOwnerEnforced") == 0)
        return sx_s3_fail(e, SX_S3_INVALID_BUCKET_ACL);
    sx_xml_begin(out);
    sx_xml_root(out, "OwnershipControls");
    sx_xml_open(out, "Rule");
    sx_xml_elem(out, "ObjectOwnership", mode);
    sx_xml_close(out, "Rule");
    sx_xml_close(out, "OwnershipControls");
    return 0;
}

/* SX_S3_BUCKET_ALREADY_OWNED, SX_S3_BUCKET_ALREADY_EXISTS if it does. */
static int not_there(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_volume v;

    if (sx_query_volume(s->db, "", s->t.bucket, 0, &v, NULL) != 0)
        return 0;
    return sx_s3_fail(e, strcmp(v.owner, s->r->user) == 0 ? SX_S3_BUCKET_ALREADY_OWNED
                                                          : SX_S3_BUCKET_ALREADY_EXISTS);
}

/* x-amz-bucket-object-lock-enabled: such a bucket keeps versions from the start. */
static int create_lock(struct sx_s3 *s, struct sx_err *e)
{
    const char *lock = sx_s3_header(s, "x-amz-bucket-object-lock-enabled");
    const struct sx_cmd_volume_modify c = { .volume = s->t.bucket,
                                            .set = SX_SET_VERSIONING | SX_SET_LOCK,
                                            .versioning = SX_VERSIONING_ENABLED,
                                            .lock_mode = SX_LOCK_ON };

    if (!sx_s3_is_true(lock))
        return 0;
    return sx_s3_volume_modify(s, &c, e);
}

int sx_s3_create_bucket(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT, acl = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf ownership = SX_BUF_INIT;
    struct sx_cmd_volume_create c = { .name = s->t.bucket, .compression = SX_COMPRESSION_DEFAULT };
    uint8_t op[SX_OP_ID];

    if (sx_s3_bucket_name(s->t.bucket, e) != 0 || not_there(s, e) != 0 ||
        sx_s3_acl_of_bucket(s, &acl, e) != 0 ||
        read_ownership(s, &acl, &ownership, e) != 0 || read_location(s, e) != 0)
        return -1;
    sx_random(op, sizeof op);
    sx_cmd_volume_create_encode(&command, op, s->r->user, &c);
    if (sx_s3_submit(s, &command, &result, e) != 0)
        return e->code == SX_EEXIST ? sx_s3_fail(e, SX_S3_BUCKET_ALREADY_EXISTS) : -1;
    s->v.rights = SX_RIGHT_ALL; /* he has just made it */
    if (create_lock(s, e) != 0 ||
        (ownership.len && sx_s3_config_set(s, SX_S3_DOC_OWNERSHIP, ownership.data, ownership.len,
                                           e) != 0) ||
        (acl.len && sx_s3_config_set(s, SX_S3_DOC_ACL, acl.data, acl.len, e) != 0))
        return -1;
    sx_s3_field(s, "Location: /%s\r\n", s->t.bucket);
    return sx_s3_reply_empty(s, 200);
}

/* ---- delete, head, location ---- */

int sx_s3_delete_bucket(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    const struct sx_cmd_volume_delete c = { .volume = s->v.name };
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_cmd_volume_delete_encode(&command, op, sx_s3_user(s), &c);
    if (sx_s3_submit(s, &command, &result, e) != 0)
        return e->code == SX_ENOTEMPTY ? sx_s3_fail(e, SX_S3_BUCKET_NOT_EMPTY) : -1;
    return sx_s3_reply_empty(s, 204);
}

int sx_s3_head_bucket(struct sx_s3 *s, struct sx_err *e)
{
    (void)e;
    sx_s3_field(s, "x-amz-bucket-region: " SX_S3_REGION "\r\nContent-Type: " SX_S3_XML "\r\n");
    return sx_s3_reply_empty(s, 200);
}

/* us-east-1 is told by an empty element. */
int sx_s3_get_location(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    (void)e;
    sx_xml_begin(&out);
    sx_xml_root(&out, "LocationConstraint");
    sx_xml_close(&out, "LocationConstraint");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* ---- versioning ---- */

int sx_s3_get_versioning(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    (void)e;
    sx_xml_begin(&out);
    sx_xml_root(&out, "VersioningConfiguration");
    if (s->v.versioning)
        sx_xml_elem(&out, "Status",
                    s->v.versioning == SX_VERSIONING_ENABLED ? "Enabled" : "Suspended");
    sx_xml_close(&out, "VersioningConfiguration");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

int sx_s3_put_versioning(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_cmd_volume_modify c = { .volume = s->v.name, .set = SX_SET_VERSIONING };
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const char *status, *mfa;

    if (sx_s3_body_xml(s, "VersioningConfiguration", &doc, e) != 0)
        return -1;
    status = sx_xml_get(sx_xml_top(doc), "Status");
    mfa = sx_xml_get(sx_xml_top(doc), "MfaDelete");
    if (mfa && strcmp(mfa, "Disabled") != 0)
        return sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "MFA delete is not implemented");
    if (status && strcmp(status, "Enabled") == 0)
        c.versioning = SX_VERSIONING_ENABLED;
    else if (status && strcmp(status, "Suspended") == 0)
        c.versioning = SX_VERSIONING_SUSPENDED;
    else
        return sx_s3_fail(e, SX_S3_ILLEGAL_VERSIONING);
    return sx_s3_volume_modify(s, &c, e) != 0 ? -1 : sx_s3_reply_empty(s, 200);
}
