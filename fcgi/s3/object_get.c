/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GetObject and HeadObject: conditions, ranges, parts, headers that the query overrides.
 */
#include <string.h>

#include "fcgi/s3/cond.h"
#include "fcgi/s3/egress.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/multipart.h"
#include "fcgi/s3/range.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"

struct get {
    struct sx_s3 *s;
    struct sx_file_row row;
    json_t *items;
    uint32_t part;    /* that is asked for, of an object that has parts; 0: none */
    json_t *part_sum; /* its s3.sum, or NULL */
    char etag[SX_S3_ETAG_TEXT];
    struct sx_s3_range range;
    struct sx_egress *egress;
    int status; /* of the answer; 0: as conditions and ranges have it */
};

/* What find() has found. */
static void forget(struct get *g)
{
    json_decref(g->items);
    json_decref(g->part_sum);
    sx_egress_free(g->egress);
    g->items = g->part_sum = NULL;
    g->egress = NULL;
    g->part = 0;
}

static void get_fini(struct get *g)
{
    forget(g);
    sx_file_row_fini(&g->row);
}

static int check_conditions(struct get *g, struct sx_err *e)
{
    const struct sx_s3_entity now = { g->etag, g->row.f.created_ms };
    struct sx_s3_cond c;

    sx_s3_cond_headers(&c, g->s->r->headers, g->s->r->n_headers, "");
    switch (sx_s3_cond_read(&c, &now, false)) {
    case SX_S3_COND_GO:
        return 0;
    case SX_S3_COND_NOT_MODIFIED:
        return sx_s3_fail(e, SX_S3_NOT_MODIFIED);
    case SX_S3_COND_FAILED:
        break;
    }
    return sx_s3_fail(e, SX_S3_PRECONDITION_FAILED);
}

/* ?partNumber=: one part of those that the object was uploaded in; any other object is its part 1. */
static int read_part(struct get *g, const char *range, struct sx_err *e)
{
    uint32_t number, all = sx_s3_parts(g->items);
    uint64_t offsets[2];
    json_t *sum;

    if (range)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "Cannot specify both Range header and partNumber query parameter");
    if (sx_s3_part_number(g->s, &number, e) != 0)
        return -1;
    if (number > (all ? all : 1))
        return sx_s3_fail(e, SX_S3_INVALID_PART_NUMBER);
    if (sx_s3_part_offsets(g->s, &g->row.f, number, offsets, 2, e) != 0)
        return -1;
    if (all) {
        sx_s3_field(g->s, "x-amz-mp-parts-count: %u\r\n", all);
        g->part = number;
        if (sx_s3_part_sums_find(g->s, &g->row.f, g->items, number, &sum, 1, e) != 0)
            return -1;
        g->part_sum = sum;
    }
    g->range = (struct sx_s3_range){ offsets[1] > offsets[0] ? SX_S3_RANGE_PART : SX_S3_RANGE_WHOLE,
                                     offsets[0], offsets[1] - offsets[0] };
    return 0;
}

static int read_range(struct get *g, struct sx_err *e)
{
    const struct sx_s3_entity now = { g->etag, g->row.f.created_ms };
    const char *range = sx_s3_header(g->s, "range");

    if (sx_s3_arg(g->s, "partNumber"))
        return read_part(g, range, e);
    if (!sx_s3_cond_if_range(sx_s3_header(g->s, "if-range"), &now))
        range = NULL;
    sx_s3_range_parse(range, g->row.f.size, &g->range);
    if (g->range.kind != SX_S3_RANGE_NONE)
        return 0;
    sx_s3_field(g->s, "Content-Range: bytes */%llu\r\n", (unsigned long long)g->row.f.size);
    return sx_s3_fail(e, SX_S3_INVALID_RANGE);
}

static int find(void *ctx, struct sx_err *e)
{
    struct get *g = ctx;
    struct sx_s3 *s = g->s;

    forget(g);
    if (sx_s3_find_object(s, &g->row, e) != 0)
        return -1;
    g->items = sx_s3_items(&g->row.f);
    sx_s3_etag(&g->row.f, g->items, g->etag);
    if (sx_s3_customer_object(&s->customer, g->items, e) != 0)
        return -1;
    if (g->status)
        sx_s3_range_parse(NULL, g->row.f.size, &g->range);
    else if (check_conditions(g, e) != 0 || read_range(g, e) != 0)
        return -1;
    if (s->r->head)
        return 0;
    if (sx_egress_open(s->r->app, s->db, &g->row.f, g->range.first, g->range.count, &g->egress,
                       e) != 0)
        return -1;
    sx_egress_under(g->egress, sx_s3_customer_ctx(&s->customer));
    return 0;
}

/* response-content-type and so on replace what is stored; only for those who signed. */
static int override(struct sx_s3 *s, json_t *items, struct sx_err *e)
{
    static const char *const args[][2] = {
        { "response-content-type", "s3.type" },
        { "response-content-language", "s3.language" },
        { "response-content-disposition", "s3.disposition" },
        { "response-content-encoding", "s3.encoding" },
        { "response-cache-control", "s3.cache" },
        { "response-expires", "s3.expires" },
    };

    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        const char *value = sx_s3_arg(s, args[i][0]);

        if (!value)
            continue;
        if (s->anonymous)
            return sx_err_set(e, SX_S3_INVALID_REQUEST,
                              "Request specific response headers cannot be used for anonymous GET"
                              " requests.");
        json_object_set_new(items, args[i][1], json_string(value));
    }
    return 0;
}

static void lock_fields(struct sx_s3 *s, const struct sx_file *f)
{
    char until[SX_ISO_DATE_TEXT];

    if (f->hold & (SX_HOLD_LEGAL | SX_HOLD_NO_LEGAL))
        sx_s3_field(s, "x-amz-object-lock-legal-hold: %s\r\n",
                    f->hold & SX_HOLD_LEGAL ? "ON" : "OFF");
    if (!(f->hold & SX_HOLD_TIMED))
        return;
    sx_iso_date(until, f->retain_ms);
    sx_s3_field(s, "x-amz-object-lock-mode: %s\r\nx-amz-object-lock-retain-until-date: %s\r\n",
                f->hold & SX_HOLD_COMPLIANCE ? "COMPLIANCE" : "GOVERNANCE", until);
}

/* The checksum of what is sent: the whole, or a part. */
static void sum_fields(struct get *g)
{
    const char *mode = sx_s3_header(g->s, "x-amz-checksum-mode");

    if (!mode || strcmp(mode, "ENABLED") != 0)
        return;
    if (g->part)
        sx_s3_part_sum_field(g->s, g->part_sum);
    else if (g->range.kind == SX_S3_RANGE_WHOLE)
        sx_s3_sum_fields(g->s, g->items);
}

static int head_fields(struct get *g, struct sx_err *e)
{
    struct sx_s3 *s = g->s;
    char date[SX_HTTP_DATE_TEXT];

    sx_http_date(date, g->row.f.created_ms);
    sx_s3_field(s, "ETag: \"%s\"\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n", g->etag, date);
    if (s->customer.there)
        sx_s3_customer_lines(&s->customer, &s->fields);
    else
        sx_s3_field(s, "x-amz-server-side-encryption: AES256\r\n");
    sx_s3_version_field(s, &s->v, &g->row.f);
    lock_fields(s, &g->row.f);
    if (override(s, g->items, e) != 0)
        return -1;
    sx_s3_facts_headers(g->items, &s->fields);
    if (g->range.kind == SX_S3_RANGE_PART)
        sx_s3_field(s, "Content-Range: bytes %llu-%llu/%llu\r\n",
                    (unsigned long long)g->range.first,
                    (unsigned long long)(g->range.first + g->range.count - 1),
                    (unsigned long long)g->row.f.size);
    sum_fields(g);
    return 0;
}

/* The first piece is there before the head leaves, so that what is damaged is an error and not a short
 * answer. */
static int send(struct get *g, struct sx_err *e)
{
    int status = g->status ? g->status : g->range.kind == SX_S3_RANGE_PART ? 206 : 200;
    const uint8_t *p = NULL;
    size_t n = 0;

    if (!g->s->r->head && sx_egress_next(g->egress, &p, &n, e) != 0)
        return -1;
    sx_s3_reply_head(g->s, status, g->range.count);
    while (n > 0) {
        sx_reply_write(g->s->r, p, n);
        if (sx_egress_next(g->egress, &p, &n, e) != 0)
            return -1;
    }
    return 0;
}

int sx_s3_get_object(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(get_fini))) struct get g = { .s = s, .row = SX_FILE_ROW_INIT };
    char date[SX_HTTP_DATE_TEXT];

    if (sx_s3_key(s, e) != 0)
        return -1;
    if (sx_s3_open(s, find, &g, &g.egress, e) != 0) {
        if (e->code != SX_S3_NOT_MODIFIED)
            return -1;
        sx_http_date(date, g.row.f.created_ms);
        sx_s3_field(s, "ETag: \"%s\"\r\nLast-Modified: %s\r\n", g.etag, date);
        return -1;
    }
    return head_fields(&g, e) != 0 ? -1 : send(&g, e);
}

int sx_s3_get_as(struct sx_s3 *s, int status, struct sx_err *e)
{
    __attribute__((cleanup(get_fini))) struct get g = { .s = s, .row = SX_FILE_ROW_INIT,
                                                        .status = status };

    return sx_s3_open(s, find, &g, &g.egress, e) != 0 || head_fields(&g, e) != 0 ? -1 : send(&g, e);
}
