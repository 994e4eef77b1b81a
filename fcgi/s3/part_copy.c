/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * UploadPartCopy: the bytes of the source stream through the encoder as if they were sent, since the
 * part needs their MD5 and checksum; what is stored already is not stored again.
 */
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "fcgi/s3/multipart.h"
#include "fcgi/s3/pump.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define COPY_SIZE_MAX (5ull << 30)

struct part_copy {
    struct sx_s3 *s;
    struct sx_s3_copy_source from;
    struct sx_volume v; /* the source's */
    struct sx_file_row row;
    json_t *items; /* the source's */
    struct sx_s3_customer key; /* the same */
    struct sx_s3_range range;
    struct sx_mupload u;
    json_t *began;
    struct sx_egress *egress;
    struct sx_s3_part part;
    struct sx_sums sums;
    struct sx_buf out;
};

/* What find_source() has found. */
static void forget_source(struct part_copy *c)
{
    sx_s3_copy_source_fini(&c->from);
    json_decref(c->items);
    sx_egress_free(c->egress);
    c->items = NULL;
    c->egress = NULL;
}

static void part_copy_fini(struct part_copy *c)
{
    forget_source(c);
    sx_file_row_fini(&c->row);
    sx_mupload_fini(&c->u);
    json_decref(c->began);
    sx_s3_customer_fini(&c->key);
    sx_s3_part_fini(&c->part);
    sx_sums_fini(&c->sums);
    sx_buf_fini(&c->out);
}

static int read_range(struct part_copy *c, struct sx_err *e)
{
    const char *range = sx_s3_header(c->s, "x-amz-copy-source-range");

    c->range = (struct sx_s3_range){ SX_S3_RANGE_WHOLE, 0, c->row.f.size };
    if (range && sx_s3_copy_range_parse(range, c->row.f.size, &c->range, e) != 0)
        return -1;
    if (c->range.count > COPY_SIZE_MAX)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The specified copy source is larger than the maximum allowable size for a"
                          " copy source: %llu", COPY_SIZE_MAX);
    return 0;
}

static int find_source(void *ctx, struct sx_err *e)
{
    struct part_copy *c = ctx;
    char etag[SX_S3_ETAG_TEXT];

    forget_source(c);
    if (sx_s3_source_find(c->s, &c->from, &c->v, &c->row, e) != 0)
        return -1;
    c->items = sx_s3_items(&c->row.f);
    sx_s3_etag(&c->row.f, c->items, etag);
    if (sx_s3_customer_object(&c->key, c->items, e) != 0)
        return -1;
    if (sx_s3_source_conditions(c->s, etag, &c->row.f, e) != 0 || read_range(c, e) != 0)
        return -1;
    if (sx_egress_open(c->s->r->app, c->s->db, &c->row.f, c->range.first, c->range.count,
                       &c->egress, e) != 0)
        return -1;
    sx_egress_under(c->egress, sx_s3_customer_ctx(&c->key));
    return 0;
}

static int reply(struct part_copy *c)
{
    char etag[2 * SX_MD5_SIZE + 3] = "\"";

    sx_hex(etag + 1, c->part.content.md5, SX_MD5_SIZE);
    strcat(etag, "\"");
    sx_xml_root(&c->out, "CopyPartResult");
    sx_xml_elem_time(&c->out, "LastModified", sx_wall_ms());
    sx_xml_elem(&c->out, "ETag", etag);
    sx_s3_part_sum_elem(&c->out, c->part.items);
    sx_xml_close(&c->out, "CopyPartResult");
    return sx_s3_pump_reply(c->s, &c->out);
}

int sx_s3_upload_part_copy(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(part_copy_fini))) struct part_copy c = { .s = s,
                                                                    .row = SX_FILE_ROW_INIT,
                                                                    .u = { .meta = SX_BUF_INIT },
                                                                    .out = SX_BUF_INIT };
    uint32_t number;

    c.part.items = json_object();
    if (sx_s3_key(s, e) != 0 || sx_s3_source_key(s, &c.key, e) != 0 ||
        sx_s3_part_number(s, &number, e) != 0 || sx_s3_upload_find(s, &c.u, e) != 0)
        return -1;
    c.began = sx_meta_items_json(c.u.meta.data, c.u.meta.len);
    if (sx_s3_customer_part(&s->customer, c.began, e) != 0 ||
        sx_s3_open(s, find_source, &c, &c.egress, e) != 0)
        return -1;
    c.part.ingest = sx_ingest_new(s->r->app, sx_s3_user(s), &s->v, s->t.key, false);
    sx_ingest_under(c.part.ingest, sx_s3_customer_ctx(&s->customer));
    sx_sums_init(&c.sums, sx_s3_part_sums(c.began));
    sx_s3_source_version_field(s, &c.v, &c.row.f); /* before the answer may begin */
    sx_s3_customer_lines(&s->customer, &s->fields);
    if (sx_s3_pump(s, &(struct sx_s3_pump){ c.egress, c.part.ingest, &c.sums }, e) != 0 ||
        sx_ingest_end(c.part.ingest, &c.part.content, e) != 0)
        return -1;
    sx_s3_copy_sum_item(&c.sums, c.began, c.part.items);
    return sx_s3_part_commit(s, &c.u, number, &c.part, e) != 0 ? -1 : reply(&c);
}
