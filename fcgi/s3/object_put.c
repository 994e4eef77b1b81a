/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PutObject: the body streams through the encoder (ingest.h) while it is verified (payload.h); then one
 * command makes the object.  A condition and the quotas are looked at before the body is taken, and again
 * by the state machine, the condition against the revision that it was looked at.
 */
#include <string.h>

#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object_put.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define LEASE_REPEATS 3

void sx_s3_put_fini(struct sx_s3_put *p)
{
    sx_ingest_free(p->ingest);
    json_decref(p->items);
    sx_buf_fini(&p->meta);
    sx_buf_fini(&p->command);
    sx_buf_fini(&p->result);
}

static int encode(struct sx_s3_put *p, struct sx_err *e)
{
    const struct sx_ingest_content *c = &p->content;
    struct sx_cmd_file_put cmd = { .volume = p->s->v.name,
                                   .path = p->s->t.key,
                                   .size = c->size,
                                   .mtime_ns = (int64_t)(sx_wall_ms() * 1000000),
                                   .mode = 0644,
                                   .flags = (uint8_t)(SX_PUT_NEW | p->w.flags |
                                                      (c->upload ? SX_PUT_UPLOAD : 0)),
                                   .if_rev = p->w.if_rev,
                                   .lease = c->lease,
                                   .hold = p->w.hold,
                                   .retain_ms = p->w.retain_ms };
    uint8_t op[SX_OP_ID];

    sx_buf_reset(&p->meta);
    if (sx_meta_items_encode(p->items, &p->meta, e) != 0)
        return -1;
    memcpy(cmd.etag, c->etag, sizeof cmd.etag);
    memcpy(cmd.upload, c->upload_id, sizeof cmd.upload);
    cmd.meta = (struct sx_span){ p->meta.data, p->meta.len };
    cmd.record = c->record;
    if (!c->upload)
        cmd.entries = c->entries;
    sx_random(op, sizeof op);
    sx_buf_reset(&p->command);
    sx_cmd_file_put_encode(&p->command, op, sx_s3_user(p->s), &cmd);
    return 0;
}

/* Leases that expired while the body came slowly are taken anew. */
static int commit(struct sx_s3_put *p, struct sx_err *e)
{
    for (unsigned i = 0;; i++) {
        if (encode(p, e) != 0)
            return -1;
        if (sx_s3_submit(p->s, &p->command, &p->result, e) == 0)
            break;
        if (e->code != SX_ELEASE || i == LEASE_REPEATS)
            return sx_s3_conflict(&p->w, e);
        sx_err_clear(e);
        if (sx_ingest_renew(p->ingest, &p->content, e) != 0)
            return -1;
    }
    sx_ingest_committed(p->ingest);
    return 0;
}

int sx_s3_put_begin(struct sx_s3_put *p, struct sx_s3 *s, struct sx_err *e)
{
    p->s = s;
    p->items = json_object();
    if (sx_s3_write_read(s, &p->w, e) != 0 ||
        sx_s3_facts_read(s->r->headers, s->r->n_headers, p->items, e) != 0 ||
        sx_s3_acl_item(s, p->items, e) != 0)
        return -1;
    sx_s3_customer_item(&s->customer, p->items);
    p->ingest = sx_ingest_new(s->r->app, sx_s3_user(s), &s->v, s->t.key, true);
    sx_ingest_under(p->ingest, sx_s3_customer_ctx(&s->customer));
    return 0;
}

int sx_s3_put_end(struct sx_s3_put *p, struct sx_err *e)
{
    char hex[2 * SX_MD5_SIZE + 1];

    if (sx_ingest_end(p->ingest, &p->content, e) != 0)
        return -1;
    json_object_set_new(p->items, "s3.etag", json_string(sx_hex(hex, p->content.md5, SX_MD5_SIZE)));
    return 0;
}

int sx_s3_put_commit(struct sx_s3_put *p, struct sx_err *e)
{
    return commit(p, e) != 0 ||
                   sx_file_result_decode(p->result.data, p->result.len, &p->f, e) != 0 ? -1 : 0;
}

void sx_s3_put_fields(struct sx_s3_put *p)
{
    sx_s3_field(p->s, "ETag: \"%s\"\r\n", sx_s3_item(p->items, "s3.etag"));
    sx_s3_sum_fields(p->s, p->items);
    sx_s3_customer_lines(&p->s->customer, &p->s->fields);
    sx_s3_version_field(p->s, &p->s->v, &p->f);
}

/* ---- PutObject ---- */

static int take(void *ctx, const void *p, size_t n, struct sx_err *e)
{
    return sx_ingest_add(ctx, p, n, e);
}

static bool breaks(uint64_t quota, uint64_t used, uint64_t more)
{
    return quota && used + more > quota;
}

/* The state machine says what fits, once the body is there.  What certainly will not, as nothing of this
 * key goes away for it, is refused before. */
static int check_room(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    int64_t size = sx_payload_length(s->payload);
    struct sx_user owner;

    if (size <= 0 ||
        (!breaks(s->v.quota, s->v.used, (uint64_t)size) &&
         (sx_query_user(s->db, s->v.owner, &owner, NULL) != 0 ||
          !breaks(owner.quota, owner.used, (uint64_t)size))))
        return 0;
    if (s->v.versioning != SX_VERSIONING_ENABLED &&
        sx_query_revision(s->db, s->v.id, s->t.key, 0, &row, NULL) == 0)
        return 0;
    return sx_s3_fail(e, SX_S3_QUOTA_EXCEEDED);
}

int sx_s3_put_object(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(sx_s3_put_fini))) struct sx_s3_put p = { .s = NULL };

    if (sx_s3_put_begin(&p, s, e) != 0 || sx_s3_body_open(s, 0, e) != 0 || check_room(s, e) != 0 ||
        sx_s3_body_stream(s, take, p.ingest, e) != 0 || sx_s3_put_end(&p, e) != 0)
        return -1;
    sx_s3_sum_item(s, p.items);
    if (sx_s3_put_commit(&p, e) != 0)
        return -1;
    sx_s3_put_fields(&p);
    return sx_s3_reply_empty(s, 200);
}
