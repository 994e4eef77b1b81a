/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CopyObject: a transaction in the metadata, whatever the size.  Only where source and copy are
 * encrypted with different keys (SSE-C) the bytes are read and stored anew.
 *
 * The command names the revision whose facts were looked at.  If another client replaces that before
 * the command is applied, the source is looked at anew.
 */
#include <string.h>

#include "fcgi/s3/cond.h"
#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object_put.h"
#include "fcgi/s3/pump.h"
#include "fcgi/s3/range.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define TRIES_MAX 20u

struct copy {
    struct sx_s3 *s;
    struct sx_s3_copy_source from;
    struct sx_volume v;        /* the source's */
    struct sx_file_row row;
    json_t *items;             /* the source's */
    char etag[SX_S3_ETAG_TEXT];
    bool replace;              /* metadata, or tags: `meta` is sent */
    json_t *meta;              /* of the new object */
    struct sx_s3_write w;
    struct sx_s3_customer *key; /* the source's */
    bool recode;
    struct sx_egress *egress;  /* if so: the source's bytes, */
    struct sx_s3_put put;      /* and what they become */
};

static void copy_fini(struct copy *c)
{
    sx_s3_copy_source_fini(&c->from);
    sx_file_row_fini(&c->row);
    json_decref(c->items);
    json_decref(c->meta);
    sx_egress_free(c->egress);
    sx_s3_put_fini(&c->put);
}

int sx_s3_source_find(struct sx_s3 *s, struct sx_s3_copy_source *from, struct sx_volume *v,
                      struct sx_file_row *row, struct sx_err *e)
{
    const char *owner;

    if (sx_s3_copy_source_parse(sx_s3_header(s, "x-amz-copy-source"), from, e) != 0)
        return -1;
    if (sx_s3_source_allowed(s, from, v, e) != 0 ||
        sx_s3_find(s, v, from->key, from->version, row, e) != 0)
        return -1;
    owner = sx_s3_header(s, "x-amz-source-expected-bucket-owner");
    if (owner && strcmp(owner, v->owner) != 0)
        return sx_s3_fail(e, SX_S3_ACCESS_DENIED);
    if (!row->f.marker)
        return 0;
    return from->version ? sx_err_set(e, SX_S3_INVALID_REQUEST,
                                      "The source of a copy request may not specifically refer to a"
                                      " delete marker by version id.")
                         : sx_s3_fail(e, SX_S3_NO_SUCH_KEY);
}

int sx_s3_source_conditions(struct sx_s3 *s, const char *etag, const struct sx_file *f,
                            struct sx_err *e)
{
    const struct sx_s3_entity now = { etag, f->created_ms };
    struct sx_s3_cond c;

    sx_s3_cond_headers(&c, s->r->headers, s->r->n_headers, "x-amz-copy-source-");
    return sx_s3_cond_read(&c, &now, true) == SX_S3_COND_GO
               ? 0 : sx_s3_fail(e, SX_S3_PRECONDITION_FAILED);
}

/* COPY or REPLACE of one of the two directives. */
static int directive(struct sx_s3 *s, const char *header, bool *replace, struct sx_err *e)
{
    const char *v = sx_s3_header(s, header);

    *replace = v && strcmp(v, "REPLACE") == 0;
    if (!v || *replace || strcmp(v, "COPY") == 0)
        return 0;
    return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Unknown metadata directive.");
}

static bool is_part_item(const char *key)
{
    return strncmp(key, SX_S3_PART_ITEM, strlen(SX_S3_PART_ITEM)) == 0;
}

/* The items that stay with the content, whatever is replaced. */
static void keep_content_items(const json_t *from, json_t *to)
{
    static const char *const names[] = { "s3.etag", "s3.sum", "s3.parts" };
    const char *key;
    json_t *v;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sx_s3_item(from, names[i]))
            json_object_set(to, names[i], json_object_get(from, names[i]));
    json_object_foreach((json_t *)(uintptr_t)from, key, v)
        if (is_part_item(key))
            json_object_set(to, key, v);
}

/* What is no longer so of an object that is stored anew in one piece. */
static void drop_part_items(json_t *items)
{
    const char *key;
    void *next;
    json_t *v;

    json_object_del(items, "s3.parts");
    json_object_del(items, "s3.sum");
    json_object_foreach_safe(items, next, key, v)
        if (is_part_item(key))
            json_object_del(items, key);
}

/* Where the website sends who asks for the object is of the one object only: it is not copied. */
static void set_redirect(struct copy *c, const json_t *sent)
{
    json_object_del(c->meta, "s3.redirect");
    if (!sx_s3_item(sent, "s3.redirect"))
        return;
    json_object_set(c->meta, "s3.redirect", json_object_get(sent, "s3.redirect"));
    c->replace = true;
}

/* A policy may refuse tags (s3:RequestObjectTag): those that come with the source are no exception. */
static int check_tags(struct copy *c, const char *tags, struct sx_err *e)
{
    int r;

    c->s->tags = tags;
    r = sx_s3_allowed(c->s, sx_s3_op_action(c->s->t.op, false), c->s->t.key, c->s->need, e);
    c->s->tags = NULL;
    return r;
}

/* What the content is encrypted with: as the source's, or as the request asks. */
static void key_item(struct copy *c)
{
    const json_t *kept = json_object_get(c->items, SX_S3_CUSTOMER_ITEM);

    json_object_del(c->meta, SX_S3_CUSTOMER_ITEM);
    if (c->recode)
        sx_s3_customer_item(&c->s->customer, c->meta);
    else if (kept)
        json_object_set(c->meta, SX_S3_CUSTOMER_ITEM, (json_t *)(uintptr_t)kept);
}

static int new_items(struct copy *c, struct sx_err *e)
{
    SX_AUTO_JSON json_t *sent = json_object();
    bool replace, replace_tags;
    const char *tags;

    if (directive(c->s, "x-amz-metadata-directive", &replace, e) != 0 ||
        directive(c->s, "x-amz-tagging-directive", &replace_tags, e) != 0 ||
        sx_s3_facts_read(c->s->r->headers, c->s->r->n_headers, sent, e) != 0)
        return -1;
    c->replace = replace || replace_tags;
    c->meta = replace ? json_deep_copy(sent) : json_deep_copy(c->items);
    tags = sx_s3_item(replace_tags ? sent : c->items, "s3.tags");
    if (tags && !replace_tags && check_tags(c, tags, e) != 0)
        return -1;
    if (tags)
        json_object_set_new(c->meta, "s3.tags", json_string(tags));
    else
        json_object_del(c->meta, "s3.tags");
    set_redirect(c, sent);
    json_object_del(c->meta, "s3.acl");
    json_object_del(c->meta, "s3.upload");
    if (sx_s3_item(c->items, "s3.acl"))
        c->replace = true;
    if (sx_s3_acl_item(c->s, c->meta, e) != 0)
        return -1;
    keep_content_items(c->items, c->meta);
    key_item(c);
    return 0;
}

/* AWS refuses a copy onto itself that changes nothing. */
static int check_itself(const struct copy *c, struct sx_err *e)
{
    if (c->replace || c->recode || c->from.version || strcmp(c->from.bucket, c->s->t.bucket) != 0 ||
        strcmp(c->from.key, c->s->t.key) != 0 || sx_s3_header(c->s, "x-amz-storage-class"))
        return 0;
    return sx_err_set(e, SX_S3_INVALID_REQUEST,
                      "This copy request is illegal because it is trying to copy an object to itself"
                      " without changing the object's metadata, storage class, website redirect"
                      " location or encryption attributes.");
}

static int submit(struct copy *c, struct sx_file *f, struct sx_buf *result, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf meta = SX_BUF_INIT, command = SX_BUF_INIT;
    struct sx_cmd_file_copy cmd = { .volume = c->v.name, .path = c->from.key, .rev = c->row.f.rev,
                                    .to_volume = c->s->v.name, .to_path = c->s->t.key,
                                    .flags = (uint8_t)(c->w.flags | SX_PUT_NEW | SX_COPY_REPLACE),
                                    .if_rev = c->w.if_rev, .hold = c->w.hold,
                                    .retain_ms = c->w.retain_ms };
    uint8_t op[SX_OP_ID];
    bool both = (c->v.rights & SX_RIGHT_READ) != 0;

    if (sx_meta_items_encode(c->meta, &meta, e) != 0)
        return -1;
    cmd.meta = (struct sx_span){ meta.data, meta.len };
    sx_random(op, sizeof op);
    sx_cmd_file_copy_encode(&command, op, both ? sx_s3_user(c->s) : "", &cmd);
    if (sx_s3_submit(c->s, &command, result, e) == 0)
        return sx_file_result_decode(result->data, result->len, f, e);
    return sx_s3_conflict(&c->w, e);
}

/* ---- with another key ---- */

static int recode_bytes(struct copy *c, struct sx_sums *sums, enum sx_sum_alg alg, struct sx_err *e)
{
    const struct sx_s3_pump pump = { c->egress, c->put.ingest, sums };
    struct sx_s3_put *p = &c->put;

    if (sx_s3_pump(c->s, &pump, e) != 0 || sx_s3_put_end(p, e) != 0)
        return -1;
    drop_part_items(p->items);
    if (alg != SX_SUM_NONE)
        sx_s3_sum_set(p->items, alg, sums->value[alg]);
    snprintf(c->etag, sizeof c->etag, "%s", sx_s3_item(p->items, "s3.etag"));
    return sx_s3_put_commit(p, e);
}

/* The copy is an object of one part, with the checksum of its bytes by the source's algorithm. */
static int recode(struct copy *c, struct sx_file *f, struct sx_err *e)
{
    enum sx_sum_alg alg = sx_s3_sum_alg(c->items);
    struct sx_s3 *s = c->s;
    struct sx_sums sums;
    int r;

    c->put.s = s;
    c->put.items = json_incref(c->meta);
    c->put.w = c->w;
    c->put.ingest = sx_ingest_new(s->r->app, sx_s3_user(s), &s->v, s->t.key, true);
    sx_ingest_under(c->put.ingest, sx_s3_customer_ctx(&s->customer));
    sx_sums_init(&sums, alg == SX_SUM_NONE ? 0 : SX_SUM_BIT(alg));
    r = recode_bytes(c, &sums, alg, e);
    sx_sums_fini(&sums);
    *f = c->put.f;
    return r;
}

/* ---- the copy ---- */

static bool same_key(const struct sx_s3_customer *a, const struct sx_s3_customer *b)
{
    return a->there == b->there && (!a->there || sx_mem_equal(a->key, b->key, sizeof a->key));
}

static int find_source(void *ctx, struct sx_err *e)
{
    struct copy *c = ctx;
    struct sx_s3 *s = c->s;

    if (sx_s3_source_find(s, &c->from, &c->v, &c->row, e) != 0)
        return -1;
    c->items = sx_s3_items(&c->row.f);
    sx_s3_etag(&c->row.f, c->items, c->etag);
    c->recode = !same_key(c->key, &s->customer);
    if (sx_s3_customer_object(c->key, c->items, e) != 0 ||
        sx_s3_source_conditions(s, c->etag, &c->row.f, e) != 0 || new_items(c, e) != 0 ||
        check_itself(c, e) != 0)
        return -1;
    if (!c->recode)
        return 0;
    if (sx_egress_open(s->r->app, s->db, &c->row.f, 0, c->row.f.size, &c->egress, e) != 0)
        return -1;
    sx_egress_under(c->egress, sx_s3_customer_ctx(c->key));
    return 0;
}

static int try_copy(struct copy *c, struct sx_file *f, struct sx_buf *result, struct sx_err *e)
{
    size_t fields = c->s->fields.len;
    int r;

    copy_fini(c);
    *c = (struct copy){ .s = c->s, .w = c->w, .key = c->key, .row = SX_FILE_ROW_INIT };
    if (sx_s3_at_once(c->s, find_source, c, e) != 0)
        return -1;
    sx_s3_source_version_field(c->s, &c->v, &c->row.f);
    sx_s3_customer_lines(&c->s->customer, &c->s->fields);
    if (!c->recode)
        r = submit(c, f, result, e);
    else
        r = sx_egress_pin(c->egress, e) != 0 ? -1 : recode(c, f, e);
    if (r != 0 && c->s->r->status == 0)
        sx_s3_fields_back(c->s, fields);
    return r;
}

static bool source_gone(const struct sx_err *e)
{
    return e->code == SX_ENOFILE || e->code == SX_ENOREVISION;
}

/* What is gone for good is found to be so by the next look. */
static int copy(struct copy *c, struct sx_file *f, struct sx_buf *result, struct sx_err *e)
{
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        if (try_copy(c, f, result, e) == 0)
            return 0;
        if (!source_gone(e))
            return -1;
        sx_err_clear(e);
        if (sx_s3_sync(c->s, e) != 0)
            return -1;
    }
    return sx_err_set(e, SX_S3_SLOW_DOWN, "The source of the copy is overwritten all the time.");
}

static int reply(struct copy *c, const struct sx_file *f)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    char quoted[SX_S3_ETAG_TEXT + 2];

    snprintf(quoted, sizeof quoted, "\"%s\"", c->etag);
    sx_xml_root(&out, "CopyObjectResult");
    sx_xml_elem_time(&out, "LastModified", f->created_ms);
    sx_xml_elem(&out, "ETag", quoted);
    sx_s3_sum_elems(&out, c->meta);
    sx_xml_close(&out, "CopyObjectResult");
    sx_s3_version_field(c->s, &c->s->v, f);
    return sx_s3_pump_reply(c->s, &out);
}

int sx_s3_copy_object(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(sx_s3_customer_fini))) struct sx_s3_customer key = { .there = false };
    __attribute__((cleanup(copy_fini))) struct copy c = { .s = s, .key = &key,
                                                          .row = SX_FILE_ROW_INIT };
    SX_AUTO(sx_buf) struct sx_buf result = SX_BUF_INIT;
    struct sx_file f;

    return sx_s3_write_read(s, &c.w, e) != 0 || sx_s3_source_key(s, &key, e) != 0 ||
                   copy(&c, &f, &result, e) != 0 ? -1 : reply(&c, &f);
}
