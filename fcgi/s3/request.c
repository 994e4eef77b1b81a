/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See s3.h: what came, and the body.
 */
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3.h"
#include "libsx/base/mem.h"

#define BODY_PIECE (256u << 10)
#define XML_BODY_MAX SX_XML_SIZE_MAX
#define OBJECT_MAX SX_FILE_SIZE_MAX
#define PART_MAX (5ull << 30)

const char *sx_s3_arg(const struct sx_s3 *s, const char *name)
{
    return sx_s3_query_get(&s->t.query, name);
}

const char *sx_s3_header(const struct sx_s3 *s, const char *name)
{
    return sx_req_header(s->r, name);
}

bool sx_s3_is_true(const char *value)
{
    return value && strcasecmp(value, "true") == 0;
}

bool sx_s3_is_secure(const struct sx_s3 *s)
{
    const char *https = sx_req_param(s->r, "HTTPS");

    return s->r->app->conf->s3_external_tls || (https && strcmp(https, "on") == 0);
}

static int read_key(struct sx_s3 *s, bool source, struct sx_s3_customer *c, struct sx_err *e)
{
    const struct sx_s3_key_headers h = { .headers = s->r->headers, .n = s->r->n_headers,
                                         .source = source, .secure = sx_s3_is_secure(s) };

    return sx_s3_customer_read(c, &h, e);
}

int sx_s3_key(struct sx_s3 *s, struct sx_err *e)
{
    return read_key(s, false, &s->customer, e);
}

int sx_s3_source_key(struct sx_s3 *s, struct sx_s3_customer *c, struct sx_err *e)
{
    return read_key(s, true, c, e);
}

int sx_s3_await_body(struct sx_s3 *s, struct sx_err *e)
{
    s->body_awaited = s->pass != SX_S3_PASS_WHOLE;
    return s->body_awaited ? sx_s3_fail(e, SX_S3_SLOW_DOWN) : 0;
}

/* Length and type are parameters of FastCGI of their own, not among the headers. */
int sx_s3_body_open(struct sx_s3 *s, unsigned sums, struct sx_err *e)
{
    const struct sx_payload_head h = { .claim = &s->claim,
                                       .headers = s->r->headers,
                                       .n_headers = s->r->n_headers,
                                       .content_length = s->r->content_length,
                                       .max = s->t.op == SX_S3_OP_UPLOAD_PART ? PART_MAX
                                                                              : OBJECT_MAX,
                                       .object_sums =
                                           s->t.op == SX_S3_OP_COMPLETE_MULTIPART_UPLOAD,
                                       .sums = sums };

    return sx_payload_open(&s->payload, &h, e);
}

static int feed(struct sx_s3 *s, const uint8_t *p, size_t n, sx_s3_sink *fn, void *ctx,
                struct sx_err *e)
{
    for (struct sx_cur in = sx_cur_of(p, n); in.left;) {
        const uint8_t *data;
        size_t len;

        if (sx_payload_next(s->payload, &in, &data, &len, e) != 0 ||
            (len && fn(ctx, data, len, e) != 0))
            return -1;
    }
    return 0;
}

int sx_s3_body_stream(struct sx_s3 *s, sx_s3_sink *fn, void *ctx, struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *piece = NULL;
    size_t got = 1;

    if (sx_s3_await_body(s, e) != 0)
        return -1;
    piece = sx_malloc(BODY_PIECE);
    while (got > 0) {
        if (sx_req_read(s->r, piece, BODY_PIECE, &got, e) != 0)
            return sx_s3_fail(e, SX_S3_INCOMPLETE_BODY);
        if (feed(s, piece, got, fn, ctx, e) != 0)
            return -1;
    }
    return sx_payload_finish(s->payload, e);
}

struct whole {
    struct sx_buf *to;
    size_t max;
};

static int keep(void *ctx, const void *p, size_t n, struct sx_err *e)
{
    struct whole *w = ctx;

    if (n > w->max - w->to->len)
        return sx_s3_fail(e, SX_S3_MAX_MESSAGE_LENGTH);
    sx_buf_add(w->to, p, n);
    return 0;
}

int sx_s3_body(struct sx_s3 *s, size_t max, struct sx_err *e)
{
    struct whole w = { &s->body, max };

    sx_buf_reset(&s->body);
    if (sx_s3_body_open(s, 0, e) != 0)
        return -1;
    if (sx_payload_length(s->payload) > (int64_t)max)
        return sx_s3_fail(e, SX_S3_MAX_MESSAGE_LENGTH);
    return sx_s3_body_stream(s, keep, &w, e);
}

int sx_s3_body_xml(struct sx_s3 *s, const char *root, struct sx_xml **doc, struct sx_err *e)
{
    if (sx_s3_body(s, XML_BODY_MAX, e) != 0)
        return -1;
    return sx_xml_parse(s->body.data, s->body.len, root, doc, e);
}
