/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Multipart uploads: create, part, complete, abort.  (Lists are in multipart_list.c, UploadPartCopy
 * in part_copy.c.)
 *
 * A part is a content of its own, made as an object's is; complete joins them in the metadata
 * without moving anything.  An upload id is 32 hex digits; the ETag of a part is its MD5, that of the object the
 * MD5 of the parts' MD5s and "-N", as everywhere.  The object keeps the upload's id (s3.upload), so
 * that complete can be repeated by who did not get its answer.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/ingest.h"
#include "fcgi/s3/multipart.h"
#include "fcgi/s3/object.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define PART_SIZE_MIN (5u << 20) /* of all but the last */
#define LEASE_REPEATS 3

/* ---- create ---- */

int sx_s3_create_upload(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf meta = SX_BUF_INIT, command = SX_BUF_INIT, result = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_cmd_upload_begin c = { .volume = s->v.name, .path = s->t.key, .multipart = 1 };
    SX_AUTO_JSON json_t *items = json_object();
    char hex[2 * SX_UPLOAD_ID + 1];
    struct sx_s3_write w = { 0 };
    uint8_t op[SX_OP_ID];

    if (sx_s3_write_read(s, &w, e) != 0 ||
        sx_s3_facts_read(s->r->headers, s->r->n_headers, items, e) != 0 ||
        sx_s3_acl_item(s, items, e) != 0 ||
        sx_s3_upload_items(s, &w, items, e) != 0)
        return -1;
    sx_s3_customer_item(&s->customer, items);
    if (sx_meta_items_encode(items, &meta, e) != 0)
        return -1;
    sx_random(op, sizeof op);
    sx_random(c.upload, sizeof c.upload);
    c.meta = (struct sx_span){ meta.data, meta.len };
    sx_cmd_upload_begin_encode(&command, op, sx_s3_user(s), &c);
    if (sx_s3_submit(s, &command, &result, e) != 0)
        return -1;
    sx_s3_sum_announce(s, items);
    sx_s3_customer_lines(&s->customer, &s->fields);
    sx_xml_begin(&out);
    sx_xml_root(&out, "InitiateMultipartUploadResult");
    sx_xml_elem(&out, "Bucket", s->v.name);
    sx_xml_elem(&out, "Key", s->t.key);
    sx_xml_elem(&out, "UploadId", sx_hex(hex, c.upload, sizeof c.upload));
    sx_xml_close(&out, "InitiateMultipartUploadResult");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* ---- the upload that a request is about ---- */

int sx_s3_upload_find(struct sx_s3 *s, struct sx_mupload *u, struct sx_err *e)
{
    const char *text = sx_s3_arg(s, "uploadId");
    uint8_t id[SX_UPLOAD_ID];

    if (!text || sx_unhex(id, sizeof id, text) != 0)
        return sx_s3_fail(e, SX_S3_NO_SUCH_UPLOAD);
    if (sx_query_mupload(s->db, id, u, e) != 0)
        return e->code == SX_ENOUPLOAD ? sx_s3_fail(e, SX_S3_NO_SUCH_UPLOAD) : -1;
    if (u->volume != s->v.id || strcmp(u->path, s->t.key) != 0)
        return sx_s3_fail(e, SX_S3_NO_SUCH_UPLOAD);
    return 0;
}

int sx_s3_part_number(struct sx_s3 *s, uint32_t *number, struct sx_err *e)
{
    static const uint64_t range[2] = { 1, SX_MPART_MAX };
    uint64_t n = 0;

    if (sx_s3_query_u64(&s->t.query, "partNumber", range, 0, &n, NULL) != 0 || n < 1)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "Part number must be an integer between 1 and %u, inclusive",
                          SX_MPART_MAX);
    *number = (uint32_t)n;
    return 0;
}

/* ---- a part ---- */

int sx_s3_part_commit(struct sx_s3 *s, const struct sx_mupload *u, uint32_t number,
                      struct sx_s3_part *p, struct sx_err *e)
{
    struct sx_cmd_mpart_put c = { .number = number, .size = p->content.size,
                                  .flags = p->content.upload ? SX_PUT_UPLOAD : 0 };
    SX_AUTO(sx_buf) struct sx_buf meta = SX_BUF_INIT, command = SX_BUF_INIT, result = SX_BUF_INIT;
    uint8_t op[SX_OP_ID];

    if (sx_meta_items_encode(p->items, &meta, e) != 0)
        return -1;
    memcpy(c.upload, u->id, sizeof c.upload);
    memcpy(c.md5, p->content.md5, sizeof c.md5);
    memcpy(c.source, p->content.upload_id, sizeof c.source);
    c.meta = (struct sx_span){ meta.data, meta.len };
    if (!p->content.upload)
        c.entries = p->content.entries;
    for (unsigned i = 0;; i++) {
        c.lease = p->content.lease;
        sx_random(op, sizeof op);
        sx_buf_reset(&command);
        sx_cmd_mpart_put_encode(&command, op, sx_s3_user(s), &c);
        if (sx_s3_submit(s, &command, &result, e) == 0)
            break;
        if (e->code != SX_ELEASE || i == LEASE_REPEATS)
            return -1;
        sx_err_clear(e);
        if (sx_ingest_renew(p->ingest, &p->content, e) != 0)
            return -1;
    }
    sx_ingest_committed(p->ingest);
    return 0;
}

void sx_s3_part_fini(struct sx_s3_part *p)
{
    sx_ingest_free(p->ingest);
    json_decref(p->items);
}

static int take(void *ctx, const void *p, size_t n, struct sx_err *e)
{
    return sx_ingest_add(ctx, p, n, e);
}

int sx_s3_upload_part(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(sx_s3_part_fini))) struct sx_s3_part p = { .items = json_object() };
    SX_AUTO(sx_mupload) struct sx_mupload u = { .meta = SX_BUF_INIT };
    SX_AUTO_JSON json_t *began = NULL;
    char hex[2 * SX_MD5_SIZE + 1];
    uint32_t number;

    if (sx_s3_part_number(s, &number, e) != 0 || sx_s3_upload_find(s, &u, e) != 0)
        return -1;
    began = sx_meta_items_json(u.meta.data, u.meta.len);
    if (sx_s3_key(s, e) != 0 || sx_s3_customer_part(&s->customer, began, e) != 0)
        return -1;
    p.ingest = sx_ingest_new(s->r->app, sx_s3_user(s), &s->v, s->t.key, false);
    sx_ingest_under(p.ingest, sx_s3_customer_ctx(&s->customer));
    if (sx_s3_body_open(s, sx_s3_part_sums(began), e) != 0 ||
        sx_s3_body_stream(s, take, p.ingest, e) != 0)
        return -1;
    if (sx_ingest_end(p.ingest, &p.content, e) != 0)
        return -1;
    sx_s3_part_sum_item(s, began, p.items);
    if (sx_s3_part_commit(s, &u, number, &p, e) != 0)
        return -1;
    sx_s3_field(s, "ETag: \"%s\"\r\n", sx_hex(hex, p.content.md5, SX_MD5_SIZE));
    sx_s3_part_sum_field(s, p.items);
    sx_s3_customer_lines(&s->customer, &s->fields);
    return sx_s3_reply_empty(s, 200);
}

/* ---- abort ---- */

int sx_s3_abort_upload(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    SX_AUTO(sx_mupload) struct sx_mupload u = { .meta = SX_BUF_INIT };
    struct sx_cmd_upload_abort c;
    uint8_t op[SX_OP_ID];

    if (sx_s3_upload_find(s, &u, e) != 0)
        return -1;
    memcpy(c.upload, u.id, sizeof c.upload);
    sx_random(op, sizeof op);
    sx_cmd_upload_abort_encode(&command, op, sx_s3_user(s), &c);
    if (sx_s3_submit(s, &command, &result, e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 204);
}

/* ---- complete ---- */

struct complete {
    struct sx_s3 *s;
    struct sx_mupload u;
    json_t *began, *items;     /* of the upload; those to be added */
    const struct sx_xml_node *named; /* the next <Part> */
    struct sx_buf parts;       /* SX_MPART_NAMED bytes each */
    struct sx_buf md5s;
    struct sx_s3_sum_join sums;
    unsigned n, contents;      /* parts; those with bytes */
    uint64_t last_size;
    struct sx_err err;         /* of the walk over the parts that are there */
    struct sx_s3_write w;
};

static void complete_fini(struct complete *c)
{
    sx_mupload_fini(&c->u);
    json_decref(c->began);
    json_decref(c->items);
    sx_buf_fini(&c->parts);
    sx_buf_fini(&c->md5s);
    sx_s3_sum_join_fini(&c->sums);
}

/* An ETag as clients give it back: with quotes, or without, or as &quot;. */
static int read_etag(const char *text, uint8_t md5[SX_MD5_SIZE])
{
    char hex[2 * SX_MD5_SIZE + 1];
    size_t n;

    if (!text)
        return -1;
    text += *text == '"';
    n = strcspn(text, "\"");
    if (n != 2 * SX_MD5_SIZE)
        return -1;
    memcpy(hex, text, n);
    hex[n] = '\0';
    return sx_unhex(md5, SX_MD5_SIZE, hex);
}

static int read_number(const struct sx_xml_node *part, uint64_t *number, struct sx_err *e)
{
    int r = sx_xml_get_u64(part, "PartNumber", SX_MPART_MAX, number, e);

    return r == 1 && *number >= 1 ? 0 : sx_s3_fail(e, SX_S3_MALFORMED_XML);
}

/* The checksums of parts stay beside the contents that are joined.  Two parts have no such place: the
 * only one with bytes, and an empty one; theirs become items of the object. */
static void keep_sum(struct complete *c, const struct sx_mpart *p)
{
    SX_AUTO_JSON json_t *items = sx_meta_items_json(p->meta.p, p->meta.n);
    const char *sum = sx_s3_item(items, "s3.sum");
    char name[32];

    c->contents += p->size > 0;
    if (p->size && c->contents == 2)
        json_object_del(c->items, SX_S3_PART_ITEM "1");
    if (!sum || (p->size && c->contents > 1))
        return;
    snprintf(name, sizeof name, SX_S3_PART_ITEM "%u", c->n);
    json_object_set_new(c->items, name, json_string(sum));
}

/* One part that is there: is it the next that is named?  False ends the walk. */
static bool match_part(void *ctx, const struct sx_mpart *p)
{
    struct complete *c = ctx;
    uint8_t md5[SX_MD5_SIZE];
    uint64_t number;

    if (read_number(c->named, &number, &c->err) != 0)
        return false;
    if (p->number < number)
        return true; /* there, not named */
    if (p->number > number || read_etag(sx_xml_get(c->named, "ETag"), md5) != 0 ||
        memcmp(md5, p->md5, sizeof md5) != 0) {
        sx_s3_fail(&c->err, SX_S3_INVALID_PART);
        return false;
    }
    if (c->n && c->last_size < PART_SIZE_MIN) {
        sx_s3_fail(&c->err, SX_S3_ENTITY_TOO_SMALL);
        return false;
    }
    if (sx_s3_sum_join_add(&c->sums, c->named, p, &c->err) != 0)
        return false;
    sx_buf_u16(&c->parts, (uint16_t)p->number);
    sx_buf_add(&c->parts, p->md5, sizeof p->md5);
    sx_buf_add(&c->md5s, p->md5, sizeof p->md5);
    c->n++;
    c->last_size = p->size;
    keep_sum(c, p);
    c->named = sx_xml_next(c->named);
    return c->named != NULL;
}

/* Ascending, or InvalidPartOrder: before it is looked which are there. */
static int check_order(const struct sx_xml_node *root, struct sx_err *e)
{
    uint64_t last = 0, number = 0;

    for (const struct sx_xml_node *p = sx_xml_child(root, "Part"); p; p = sx_xml_next(p)) {
        if (read_number(p, &number, e) != 0)
            return -1;
        if (number <= last)
            return sx_s3_fail(e, SX_S3_INVALID_PART_ORDER);
        last = number;
    }
    return last ? 0 : sx_s3_fail(e, SX_S3_MALFORMED_XML);
}

static int match_parts(struct complete *c, const struct sx_xml_node *root, struct sx_err *e)
{
    if (check_order(root, e) != 0)
        return -1;
    c->named = sx_xml_child(root, "Part");
    if (sx_query_mparts(c->s->db, c->u.id, 0, match_part, c, e) != 0)
        return -1;
    if (c->err.code) {
        sx_err_copy(e, &c->err);
        return -1;
    }
    return c->named ? sx_s3_fail(e, SX_S3_INVALID_PART) : 0;
}

/* The ETag of the parts: the MD5 of their MD5s. */
static void parts_etag(const struct sx_buf *md5s, char etag[SX_S3_ETAG_TEXT])
{
    uint8_t md5[SX_SUM_MAX];
    char hex[2 * SX_MD5_SIZE + 1];

    sx_sum_of(SX_SUM_MD5, md5s->data, md5s->len, md5);
    snprintf(etag, SX_S3_ETAG_TEXT, "%s-%zu", sx_hex(hex, md5, SX_MD5_SIZE),
             md5s->len / SX_MD5_SIZE);
}

static void complete_items(struct complete *c)
{
    char etag[SX_S3_ETAG_TEXT], id[2 * SX_UPLOAD_ID + 1], n[16];

    parts_etag(&c->md5s, etag);
    snprintf(n, sizeof n, "%u", c->n);
    sx_hex(id, c->u.id, sizeof c->u.id);
    json_object_set_new(c->items, "s3.etag", json_string(etag));
    json_object_set_new(c->items, "s3.parts", json_string(n));
    json_object_set_new(c->items, "s3.upload", json_string(id));
}

static int commit(struct complete *c, struct sx_buf *result, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf meta = SX_BUF_INIT, command = SX_BUF_INIT;
    struct sx_cmd_mpart_complete cmd = { .mtime_ns = (int64_t)(sx_wall_ms() * 1000000),
                                         .flags = c->w.flags, .if_rev = c->w.if_rev };
    uint8_t op[SX_SHA256];

    if (sx_meta_items_encode(c->items, &meta, e) != 0)
        return -1;
    memcpy(cmd.upload, c->u.id, sizeof cmd.upload);
    cmd.parts = (struct sx_span){ c->parts.data, c->parts.len };
    cmd.meta = (struct sx_span){ meta.data, meta.len };
    sx_s3_upload_hold(c->began, &cmd.hold, &cmd.retain_ms);
    /* The same list of parts has one effect, however often it is sent. */
    sx_hmac_sha256(op, c->u.id, sizeof c->u.id, c->parts.data, c->parts.len);
    sx_cmd_mpart_complete_encode(&command, op, sx_s3_user(c->s), &cmd);
    if (sx_s3_submit(c->s, &command, result, e) == 0)
        return 0;
    if (e->code == SX_ENOTFOUND)
        return sx_s3_fail(e, SX_S3_INVALID_PART);
    return sx_s3_conflict(&c->w, e);
}

static int reply(struct sx_s3 *s, const json_t *items, const struct sx_file *f)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT, location = SX_BUF_INIT;
    char etag[SX_S3_ETAG_TEXT + 2];

    snprintf(etag, sizeof etag, "\"%s\"", sx_s3_item(items, "s3.etag"));
    sx_s3_location(s, &location);
    sx_xml_begin(&out);
    sx_xml_root(&out, "CompleteMultipartUploadResult");
    sx_xml_elem(&out, "Location", sx_buf_cstr(&location));
    sx_xml_elem(&out, "Bucket", s->v.name);
    sx_xml_elem(&out, "Key", s->t.key);
    sx_xml_elem(&out, "ETag", etag);
    sx_s3_sum_elems(&out, items);
    sx_xml_close(&out, "CompleteMultipartUploadResult");
    sx_s3_version_field(s, &s->v, f);
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* ---- complete, once more ---- */

/* Whether the list names the parts that the object with this ETag was made of. */
static bool names_same(const struct sx_xml_node *root, const char *want)
{
    SX_AUTO(sx_buf) struct sx_buf md5s = SX_BUF_INIT;
    char etag[SX_S3_ETAG_TEXT];
    uint8_t md5[SX_MD5_SIZE];

    for (const struct sx_xml_node *p = sx_xml_child(root, "Part"); p; p = sx_xml_next(p)) {
        if (read_etag(sx_xml_get(p, "ETag"), md5) != 0)
            return false;
        sx_buf_add(&md5s, md5, sizeof md5);
    }
    parts_etag(&md5s, etag);
    return want && strcmp(etag, want) == 0;
}

/* The version of the key that was made of the upload, among the newest ones. */
static int find_made_of(struct sx_s3 *s, const char *id, struct sx_file_row *row, struct sx_err *e)
{
    const struct sx_list l = { .prefix = s->t.key, .after = s->t.key, .after_rev = UINT64_MAX,
                               .limit = SX_LIST_MAX, .versions = true };
    SX_AUTO_JSON json_t *page = NULL;
    json_t *f;
    size_t i;

    if (sx_query_list_json(s->db, s->v.id, &l, &page, e) != 0)
        return -1;
    json_array_foreach(json_object_get(page, "files"), i, f) {
        const char *made_of = sx_s3_item(json_object_get(f, "meta"), "s3.upload");
        uint64_t rev;

        if (strcmp(json_string_value(json_object_get(f, "path")), s->t.key) != 0)
            break;
        if (made_of && strcasecmp(made_of, id) == 0)
            return sx_s3_rev_parse(json_string_value(json_object_get(f, "rev")), &rev, e) != 0
                       ? -1 : sx_query_file(s->db, s->v.id, s->t.key, rev, row, e);
    }
    return sx_s3_fail(e, SX_S3_NO_SUCH_UPLOAD);
}

/* The upload is gone.  If a version was made of it and of these parts, the answer got lost on its way,
 * and is given again. */
static int answer_again(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    SX_AUTO_JSON json_t *items = NULL;
    int r = -1;

    sx_err_clear(e);
    if (find_made_of(s, sx_s3_arg(s, "uploadId"), &row, e) == 0) {
        items = sx_s3_items(&row.f);
        if (sx_s3_body_xml(s, "CompleteMultipartUpload", &doc, e) == 0 &&
            names_same(sx_xml_top(doc), sx_s3_item(items, "s3.etag")))
            r = reply(s, items, &row.f);
    }
    sx_file_row_fini(&row);
    return r == 0 ? 0 : sx_s3_fail(e, SX_S3_NO_SUCH_UPLOAD);
}

int sx_s3_complete_upload(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(complete_fini))) struct complete c = { .s = s, .items = json_object() };
    SX_AUTO(sx_buf) struct sx_buf result = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    struct sx_file f;

    if (sx_s3_upload_find(s, &c.u, e) != 0)
        return e->code == SX_S3_NO_SUCH_UPLOAD && sx_s3_arg(s, "uploadId") ? answer_again(s, e)
                                                                            : -1;
    c.began = sx_meta_items_json(c.u.meta.data, c.u.meta.len);
    sx_s3_sum_join_init(&c.sums, c.began);
    if (sx_s3_body_xml(s, "CompleteMultipartUpload", &doc, e) != 0 ||
        sx_s3_write_read(s, &c.w, e) != 0 ||
        (s->customer.there && sx_s3_customer_part(&s->customer, c.began, e) != 0) ||
        match_parts(&c, sx_xml_top(doc), e) != 0 ||
        sx_s3_sum_join_end(&c.sums, s, c.items, e) != 0)
        return -1;
    complete_items(&c);
    if (commit(&c, &result, e) != 0 || sx_file_result_decode(result.data, result.len, &f, e) != 0)
        return -1;
    return reply(s, c.items, &f);
}
