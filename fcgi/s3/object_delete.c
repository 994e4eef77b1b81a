/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DeleteObject and DeleteObjects.  That a key is not there is no error.
 */
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object.h"
#include "libsx/base/log.h"
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

static int encode(struct sx_s3 *s, const char *key, const char *version, const struct sx_s3_write *w,
                  struct sx_buf *command, struct sx_err *e)
{
    struct sx_cmd_file_delete c = { .volume = s->v.name, .path = key, .if_rev = w->if_rev };
    uint8_t op[SX_OP_ID];

    c.flags = (uint8_t)((w->flags & SX_PUT_IF_REV ? SX_DELETE_IF_REV : 0) |
                        (sx_s3_may_bypass(s, key) ? SX_DELETE_BYPASS : 0));
    if (version && strcmp(version, "null") == 0)
        c.flags |= SX_DELETE_NULL;
    else if (version && sx_s3_rev_parse(version, &c.rev, e) != 0)
        return -1;
    sx_random(op, sizeof op);
    sx_cmd_file_delete_encode(command, op, sx_s3_user(s), &c);
    return 0;
}

/* What a refused command means: 0 if there was nothing to delete. */
static int refusal(const struct sx_s3_write *w, struct sx_err *e)
{
    if (e->code == SX_ENOFILE || e->code == SX_ENOREVISION) {
        sx_err_clear(e);
        return 0;
    }
    return e->code == SX_ELOCKED ? sx_s3_fail(e, SX_S3_ACCESS_DENIED) : sx_s3_conflict(w, e);
}

int sx_s3_delete_object(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    const char *version = sx_s3_arg(s, "versionId");
    struct sx_s3_write w;
    struct deleted d = { .made_marker = false };
    int r;

    if (sx_s3_write_read(s, &w, e) != 0 || encode(s, s->t.key, version, &w, &command, e) != 0)
        return -1;
    r = sx_s3_submit(s, &command, &result, e) == 0 ? read_result(s, &result, &d, e) : refusal(&w, e);
    if (r != 0)
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

/* Deletions that are submitted together; each has its own result. */
struct batch {
    struct sx_s3 *s;
    bool quiet;
    struct sx_buf *out;
    size_t n, n_sent;
    struct {
        const char *key, *version;
        struct sx_buf command, result;
        struct sx_submission *sent; /* NULL: `why` */
        struct sx_err why;
    } each[SX_META_SUBMIT_MAX];
    struct sx_submission sent[SX_META_SUBMIT_MAX];
};

static const struct sx_s3_write unconditional;

static void add(struct batch *b, const struct sx_xml_node *o)
{
    const char *key = sx_xml_get(o, "Key"), *version = sx_xml_get(o, "VersionId");
    const char *action = version ? "s3:DeleteObjectVersion" : "s3:DeleteObject";
    size_t i = b->n++;

    b->each[i].key = key;
    b->each[i].version = version;
    b->each[i].sent = NULL;
    sx_err_clear(&b->each[i].why);
    sx_buf_reset(&b->each[i].command);
    sx_buf_reset(&b->each[i].result);
    if (sx_s3_allowed(b->s, action, key, SX_RIGHT_WRITE, &b->each[i].why) != 0 ||
        encode(b->s, key, version, &unconditional, &b->each[i].command, &b->each[i].why) != 0)
        return;
    b->each[i].sent = &b->sent[b->n_sent++];
    *b->each[i].sent = (struct sx_submission){ .command = &b->each[i].command,
                                               .result = &b->each[i].result };
}

static void tell(struct batch *b, size_t i, const struct sx_err *unknown)
{
    const struct sx_submission *sent = b->each[i].sent;
    struct sx_err *why = &b->each[i].why;
    struct deleted d = { .made_marker = false };
    int r = -1;

    if (sent)
        sx_err_copy(why, sent->answered ? &sent->err : unknown);
    if (sent)
        r = why->code == SX_OK ? read_result(b->s, &b->each[i].result, &d, why)
                               : refusal(&unconditional, why);
    if (r != 0)
        error_elem(b->out, b->each[i].key, b->each[i].version, why);
    else if (!b->quiet)
        deleted_elem(b->out, b->each[i].key, b->each[i].version, &d);
}

static void flush(struct batch *b)
{
    struct sx_err unknown = SX_ERR_INIT;

    if (b->n_sent && sx_meta_submit_all(b->s->r->app->meta, SX_META_GROUP_CLUSTER, b->sent, b->n_sent,
                                        SX_META_TIMEOUT_MS, &unknown) != 0)
        sx_info("request %s: DeleteObjects: %s", b->s->r->id, unknown.msg);
    for (size_t i = 0; i < b->n; i++)
        tell(b, i, &unknown);
    b->n = b->n_sent = 0;
}

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < SX_META_SUBMIT_MAX; i++) {
        sx_buf_fini(&b->each[i].command);
        sx_buf_fini(&b->each[i].result);
    }
    free(b);
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
    struct batch *b;

    if (sx_s3_body_xml(s, "Delete", &doc, e) != 0)
        return -1;
    root = sx_xml_top(doc);
    if (sx_xml_get_bool(root, "Quiet", &quiet, e) < 0 || check(root, e) != 0)
        return -1;
    sx_xml_begin(&out);
    sx_xml_root(&out, "DeleteResult");
    b = sx_calloc(1, sizeof *b);
    b->s = s;
    b->quiet = quiet;
    b->out = &out;
    for (const struct sx_xml_node *o = sx_xml_child(root, "Object"); o; o = sx_xml_next(o)) {
        add(b, o);
        if (b->n == SX_META_SUBMIT_MAX)
            flush(b);
    }
    flush(b);
    batch_free(b);
    sx_xml_close(&out, "DeleteResult");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}
