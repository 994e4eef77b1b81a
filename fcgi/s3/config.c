/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Get, Put and Delete of the XML documents that documents.h lists.  What is sent is checked whole
 * and kept in its canonical form, which is the answer to Get.
 */
#include "fcgi/s3/config.h"

#include <string.h>

#include "fcgi/s3/documents.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/shape.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

int sx_s3_config_set(struct sx_s3 *s, const char *name, const void *p, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    const struct sx_cmd_config_set c = { .volume = s->t.bucket, .name = name, .value = { p, n } };
    uint8_t op[SX_OP_ID];

    if (n > SX_S3_CONFIG_MAX)
        return sx_s3_fail(e, SX_S3_MAX_MESSAGE_LENGTH);
    sx_random(op, sizeof op);
    sx_cmd_config_set_encode(&command, op, sx_s3_user(s), &c);
    return sx_s3_submit(s, &command, &result, e);
}

int sx_s3_config_text(struct sx_s3 *s, uint64_t volume, const char *name, struct sx_buf *text,
                      struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    if (sx_query_config(s->db, volume, name, text, &why) == 0)
        return 1;
    if (why.code == SX_ENOTFOUND)
        return 0;
    sx_err_copy(e, &why);
    return -1;
}

int sx_s3_config_xml(struct sx_s3 *s, uint64_t volume, const char *name, struct sx_xml **doc,
                     struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    int r = sx_s3_config_text(s, volume, name, &text, e);

    return r < 1 ? r : sx_xml_parse(text.data, text.len, NULL, doc, e) != 0 ? -1 : 1;
}

int sx_s3_public_access(struct sx_s3 *s, uint64_t volume, const char *name, struct sx_err *e)
{
    SX_AUTO_XML struct sx_xml *doc = NULL;
    bool on = false;
    int r = sx_s3_config_xml(s, volume, SX_S3_DOC_PUBLIC_ACCESS, &doc, e);

    if (r == 1)
        r = sx_xml_get_bool(sx_xml_top(doc), name, &on, e);
    return r < 0 ? -1 : on;
}

/* ---- handlers ---- */

static int reply_none(struct sx_s3 *s, const struct sx_s3_document *d, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    if (d->absent)
        return sx_s3_fail(e, d->absent);
    sx_xml_begin(&out);
    sx_xml_root(&out, d->root);
    sx_buf_str(&out, d->none);
    sx_xml_close(&out, d->root);
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

int sx_s3_get_document(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_s3_document *d = sx_s3_document_of(s->t.op);
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;

    if (!d->name)
        return reply_none(s, d, e);
    if (sx_query_config(s->db, s->v.id, d->name, &text, e) != 0)
        return e->code == SX_ENOTFOUND ? reply_none(s, d, e) : -1;
    return sx_s3_reply(s, 200, SX_S3_XML, &text);
}

/* Who switches ACLs off has to take away first what they give to all. */
static int check_ownership_change(struct sx_s3 *s, const struct sx_xml_node *top, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf acl = SX_BUF_INIT;
    const char *mode = sx_xml_get(sx_xml_child(top, "Rule"), "ObjectOwnership");

    if (strcmp(mode, "BucketOwnerEnforced") == 0 &&
        sx_query_config(s->db, s->v.id, SX_S3_DOC_ACL, &acl, NULL) == 0)
        return sx_s3_fail(e, SX_S3_INVALID_BUCKET_ACL);
    return 0;
}

int sx_s3_put_document(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_s3_document *d = sx_s3_document_of(s->t.op);
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;

    if (sx_s3_body_xml(s, d->root, &doc, e) != 0 || d->check(sx_xml_top(doc), e) != 0)
        return -1;
    if (s->t.op == SX_S3_OP_PUT_BUCKET_OWNERSHIP_CONTROLS &&
        check_ownership_change(s, sx_xml_top(doc), e) != 0)
        return -1;
    sx_s3_shape_write(sx_xml_top(doc), &text);
    if (d->name && sx_s3_config_set(s, d->name, text.data, text.len, e) != 0)
        return -1;
    return sx_s3_reply_empty(s, s->t.op == SX_S3_OP_PUT_BUCKET_TAGGING ? 204 : 200);
}

int sx_s3_delete_document(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_s3_document *d = sx_s3_document_of(s->t.op);

    if (d->put == SX_S3_OP_N)
        return sx_s3_fail(e, d->absent); /* as nothing can have put one */
    if (d->name && sx_s3_config_set(s, d->name, NULL, 0, e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 204);
}
