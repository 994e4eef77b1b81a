/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DeleteObject and DeleteObjects.  That a key is not there is no error.
 */
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define KEYS_MAX 1000u

/* What came of one deletion. */
struct deleted {
    bool made_marker;  /* or: a marker was deleted, */
    bool was_marker;
    char marker[SX_S3_VERSION_TEXT];
};

static int read_result(struct sx_s3 *s, const struct sx_buf *result, struct deleted *d,
                       struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(result->data, result->len);
    struct sx_file f = { .null_version = s->v.versioning != SX_VERSIONING_ENABLED };

    sx_cur_u32(&c);
    f.rev = sx_cur_u64(&c);
    d->was_marker = sx_cur_u8(&c) != 0;
    d->made_marker = f.rev != 0;
    if (d->made_marker)
        sx_s3_version(&f, d->marker);
    return c.bad ? sx_err_set(e, SX_EBUG, "result of a deletion is malformed") : 0;
}

static int delete_key(struct sx_s3 *s, const char *key, const char *version,
                      const struct sx_s3_write *w, struct deleted *d, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_file_delete c = { .volume = s->v.name, .path = key, .if_rev = w->if_rev };
    uint8_t op[SX_OP_ID];

    *d = (struct deleted){ .made_marker = false };
    c.flags = (uint8_t)((w->flags & SX_PUT_IF_REV ? SX_DELETE_IF_REV : 0) |
                        (sx_s3_may_bypass(s, key) ? SX_DELETE_BYPASS : 0));
    if (version && strcmp(version, "null") == 0)
        c.flags |= SX_DELETE_NULL;
    else if (version && sx_s3_rev_parse(version, &c.rev, e) != 0)
        return -1;
    sx_random(op, sizeof op);
    sx_cmd_file_delete_encode(&command, op, sx_s3_user(s), &c);
    if (sx_s3_submit(s, &command, &result, e) == 0)
        return read_result(s, &result, d, e);
    if (e->code == SX_ENOFILE || e->code == SX_ENOREVISION) {
        sx_err_clear(e);
        return 0;
    }
    return e->code == SX_ELOCKED ? sx_s3_fail(e, SX_S3_ACCESS_DENIED) : sx_s3_conflict(w, e);
}

int sx_s3_delete_object(struct sx_s3 *s, struct sx_err *e)
{
    const char *version = sx_s3_arg(s, "versionId");
    struct sx_s3_write w;
    struct deleted d;

    if (sx_s3_write_read(s, &w, e) != 0 || delete_key(s, s->t.key, version, &w, &d, e) != 0)
        return -1;
    if (d.made_marker || d.was_marker)
        sx_s3_field(s, "x-amz-delete-marker: true\r\n");
    if (d.made_marker)
        sx_s3_field(s, "x-amz-version-id: %s\r\n", d.marker);
    else if (version && s->v.versioning)
        sx_s3_field(s, "x-amz-version-id: %s\r\n", version);
    return sx_s3_reply_empty(s, 204);
}

/* ---- many ---- */

static void error_elem(struct sx_buf *out, const char *key, const char *version,
                       const struct sx_err *why)
{
    sx_xml_open(out, "Error");
    sx_xml_elem(out, "Key", key);
    sx_xml_elem(out, "VersionId", version);
    sx_xml_elem(out, "Code", sx_s3_err_name(why->code));
    sx_xml_elem(out, "Message", sx_s3_err_internal(why->code) ? sx_s3_err_text(why->code) : why->msg);
    sx_xml_close(out, "Error");
}

static void deleted_elem(struct sx_buf *out, const char *key, const char *version,
                         const struct deleted *d)
{
    sx_xml_open(out, "Deleted");
    sx_xml_elem(out, "Key", key);
    sx_xml_elem(out, "VersionId", version);
    if (d->made_marker || d->was_marker) {
        sx_xml_elem_bool(out, "DeleteMarker", true);
        sx_xml_elem(out, "DeleteMarkerVersionId", d->made_marker ? d->marker : version);
    }
    sx_xml_close(out, "Deleted");
}

static void delete_one(struct sx_s3 *s, const struct sx_xml_node *n, bool quiet, struct sx_buf *out)
{
    static const struct sx_s3_write unconditional;
    const char *key = sx_xml_get(n, "Key"), *version = sx_xml_get(n, "VersionId");
    const char *action = version ? "s3:DeleteObjectVersion" : "s3:DeleteObject";
    struct sx_err why = SX_ERR_INIT;
    struct deleted d;

    if (sx_s3_allowed(s, action, key, SX_RIGHT_WRITE, &why) != 0 ||
        delete_key(s, key, version, &unconditional, &d, &why) != 0)
        error_elem(out, key, version, &why);
    else if (!quiet)
        deleted_elem(out, key, version, &d);
}

static int check(const struct sx_xml_node *root, struct sx_err *e)
{
    unsigned n = sx_xml_count(root, "Object");

    if (n == 0 || n > KEYS_MAX)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    for (const struct sx_xml_node *o = sx_xml_child(root, "Object"); o; o = sx_xml_next(o)) {
        const char *key = sx_xml_get(o, "Key");

        if (!key || !*key)
            return sx_s3_fail(e, SX_S3_MALFORMED_XML);
        if (strlen(key) > SX_S3_KEY_MAX)
            return sx_s3_fail(e, SX_S3_KEY_TOO_LONG);
    }
    return 0;
}

int sx_s3_delete_objects(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const struct sx_xml_node *root;
    bool quiet = false;

    if (sx_s3_body_xml(s, "Delete", &doc, e) != 0)
        return -1;
    root = sx_xml_top(doc);
    if (sx_xml_get_bool(root, "Quiet", &quiet, e) < 0 || check(root, e) != 0)
        return -1;
    sx_xml_begin(&out);
    sx_xml_root(&out, "DeleteResult");
    for (const struct sx_xml_node *o = sx_xml_child(root, "Object"); o; o = sx_xml_next(o))
        delete_one(s, o, quiet, &out);
    sx_xml_close(&out, "DeleteResult");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}
