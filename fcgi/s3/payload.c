/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See payload.h.  The framing of chunks is chunked.c's.
 */
#include "fcgi/s3/payload.h"

#include <string.h>
#include <strings.h>

#include "fcgi/s3/chunked.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define CHECKSUM_PREFIX "x-amz-checksum-"

struct sx_payload {
    const struct sx_sig_claim *claim;
    bool is_chunked, finished;
    struct sx_chunked chunked;
    int64_t content_length; /* of the HTTP body, or -1 */
    int64_t length;         /* of the data, or -1 */
    uint64_t max, raw, size; /* raw: bytes of the HTTP body so far; size: of data */
    struct sx_sums sums;
    enum sx_sum_alg alg;
    bool has_md5, has_sum; /* known before the body: */
    uint8_t md5[SX_SUM_MAX], sum[SX_SUM_MAX];
};

static const char *header(const struct sx_payload_head *h, const char *name)
{
    return sx_header_find(h->headers, h->n_headers, name);
}

static int several_sums(struct sx_err *e)
{
    return sx_err_set(e, SX_S3_INVALID_REQUEST,
                      "Expecting a single x-amz-checksum- header. Multiple checksum Types are not "
                      "allowed.");
}

/* Headers of that prefix that are no checksums: -algorithm, -type and -mode. */
static bool names_a_sum(const char *name)
{
    static const char *const others[] = { "algorithm", "type", "mode" };
    const size_t n = sizeof CHECKSUM_PREFIX - 1;

    if (strncasecmp(name, CHECKSUM_PREFIX, n) != 0)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(name + n, others[i]) == 0)
            return false;
    return true;
}

static enum sx_sum_alg sum_of_header(const char *name)
{
    char lower[40];
    size_t n = strlen(name);

    if (n >= sizeof lower)
        return SX_SUM_NONE;
    for (size_t i = 0; i <= n; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 'a' - 'A') : name[i];
    return sx_sum_by_header(lower);
}

static int read_sum_headers(struct sx_payload *p, const struct sx_payload_head *h,
                            struct sx_err *e)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        enum sx_sum_alg alg;

        if (!names_a_sum(h->headers[i].name))
            continue;
        alg = sum_of_header(h->headers[i].name);
        if (alg == SX_SUM_NONE)
            return sx_err_set(e, SX_S3_INVALID_REQUEST, "The checksum %.64s is not supported.",
                              h->headers[i].name);
        if (p->has_sum)
            return several_sums(e);
        if (sx_sum_parse(alg, h->headers[i].value, p->sum, NULL, e) != 0)
            return -1;
        p->has_sum = true;
        p->alg = alg;
    }
    return 0;
}

static int read_trailer_header(struct sx_payload *p, const struct sx_payload_head *h,
                               struct sx_err *e)
{
    const char *names = header(h, "x-amz-trailer");
    enum sx_sum_alg alg;

    if (!names || !*names)
        return 0;
    alg = sum_of_header(names);
    if (alg == SX_SUM_NONE || alg == SX_SUM_MD5 || !p->chunked.has_trailer)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The value specified in the x-amz-trailer header is not supported");
    if (p->has_sum)
        return several_sums(e);
    p->alg = p->chunked.trailer_alg = alg;
    return 0;
}

/* x-amz-sdk-checksum-algorithm announces a checksum, and must be that one. */
static int check_sdk_header(const struct sx_payload *p, const struct sx_payload_head *h,
                            struct sx_err *e)
{
    const char *name = header(h, "x-amz-sdk-checksum-algorithm");

    if (!name || p->alg == SX_SUM_NONE || sx_sum_by_name(name) == p->alg)
        return 0;
    return sx_err_set(e, SX_S3_INVALID_REQUEST,
                      "Value for x-amz-sdk-checksum-algorithm header is invalid.");
}

static int read_sums(struct sx_payload *p, const struct sx_payload_head *h, struct sx_err *e)
{
    const char *md5 = header(h, "content-md5");
    unsigned mask = h->sums;

    if (md5 && sx_sum_parse(SX_SUM_MD5, md5, p->md5, NULL, e) != 0)
        return -1;
    p->has_md5 = md5 != NULL;
    if ((!h->object_sums && read_sum_headers(p, h, e) != 0) || read_trailer_header(p, h, e) != 0 ||
        check_sdk_header(p, h, e) != 0)
        return -1;
    if (p->has_md5)
        mask |= SX_SUM_BIT(SX_SUM_MD5);
    if (p->alg != SX_SUM_NONE)
        mask |= SX_SUM_BIT(p->alg);
    if (p->claim->payload == SX_PAYLOAD_SHA256)
        mask |= SX_SUM_BIT(SX_SUM_SHA256);
    sx_sums_init(&p->sums, mask);
    return 0;
}

static int read_length(struct sx_payload *p, const struct sx_payload_head *h, struct sx_err *e)
{
    const char *s = header(h, "x-amz-decoded-content-length");
    uint64_t length;

    p->length = h->content_length;
    if (!p->is_chunked)
        return 0;
    if (!s)
        return sx_err_set(e, SX_S3_MISSING_CONTENT_LENGTH,
                          "You must provide the x-amz-decoded-content-length HTTP header.");
    if (sx_u64_parse(s, strlen(s), INT64_MAX, &length) != 0)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "x-amz-decoded-content-length is '%.40s', not a number", s);
    p->length = (int64_t)length;
    return 0;
}

static int too_large(const struct sx_payload *p, struct sx_err *e)
{
    return sx_err_set(e, SX_S3_ENTITY_TOO_LARGE,
                      "Your proposed upload exceeds the maximum allowed size of %llu bytes",
                      (unsigned long long)p->max);
}

static int open_payload(struct sx_payload *p, const struct sx_payload_head *h, struct sx_err *e)
{
    enum sx_sig_payload mode = p->claim->payload;
    bool is_signed = mode == SX_PAYLOAD_CHUNKS || mode == SX_PAYLOAD_CHUNKS_TRAILER;

    p->is_chunked = is_signed || mode == SX_PAYLOAD_TRAILER;
    if (read_length(p, h, e) != 0)
        return -1;
    if (p->length >= 0 && (uint64_t)p->length > p->max)
        return too_large(p, e);
    if (p->is_chunked)
        sx_chunked_init(&p->chunked, is_signed ? p->claim : NULL, (uint64_t)p->length);
    p->chunked.has_trailer = p->is_chunked && mode != SX_PAYLOAD_CHUNKS;
    return read_sums(p, h, e);
}

int sx_payload_open(struct sx_payload **out, const struct sx_payload_head *h, struct sx_err *e)
{
    struct sx_payload *p = sx_calloc(1, sizeof *p);

    p->claim = h->claim;
    p->content_length = h->content_length;
    p->max = h->max;
    p->alg = SX_SUM_NONE;
    if (open_payload(p, h, e) != 0) {
        sx_payload_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void sx_payload_free(struct sx_payload *p)
{
    if (!p)
        return;
    sx_chunked_fini(&p->chunked);
    sx_sums_fini(&p->sums);
    free(p);
}

enum sx_sum_alg sx_payload_algorithm(const struct sx_payload *p)
{
    return p->alg;
}

int64_t sx_payload_length(const struct sx_payload *p)
{
    return p->length;
}

static int incomplete(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_INCOMPLETE_BODY, "The body has %s bytes than Content-Length says.",
                      what);
}

int sx_payload_next(struct sx_payload *p, struct sx_cur *in, const uint8_t **data, size_t *n,
                    struct sx_err *e)
{
    size_t before = in->left;

    *data = NULL;
    sx_assert(!p->finished);
    if (p->is_chunked) {
        if (sx_chunked_next(&p->chunked, in, data, n, e) != 0)
            return -1;
    } else {
        *n = in->left;
        *data = sx_cur_take(in, *n);
    }
    p->raw += before - in->left;
    p->size += *n;
    if (p->content_length >= 0 && p->raw > (uint64_t)p->content_length)
        return incomplete(e, "more");
    if (p->size > p->max)
        return too_large(p, e);
    sx_sums_add(&p->sums, *data, *n);
    return 0;
}

static int check_trailer(struct sx_payload *p, struct sx_err *e)
{
    if (p->chunked.trailer_alg == SX_SUM_NONE)
        return 0;
    p->has_sum = true;
    return sx_sum_parse(p->alg, p->chunked.trailer_value, p->sum, NULL, e);
}

int sx_payload_finish(struct sx_payload *p, struct sx_err *e)
{
    sx_assert(!p->finished);
    p->finished = true;
    if (p->content_length >= 0 && p->raw < (uint64_t)p->content_length)
        return incomplete(e, "less");
    if (p->is_chunked && (sx_chunked_finish(&p->chunked, e) != 0 || check_trailer(p, e) != 0))
        return -1;
    sx_sums_end(&p->sums);
    if (p->claim->payload == SX_PAYLOAD_SHA256 &&
        !sx_mem_equal(p->claim->body_sha256, p->sums.value[SX_SUM_SHA256], SX_SIG_SHA256))
        return sx_s3_fail(e, SX_S3_SHA256_MISMATCH);
    if (p->has_md5 && sx_sum_compare(SX_SUM_MD5, p->md5, p->sums.value[SX_SUM_MD5], e) != 0)
        return -1;
    return p->has_sum ? sx_sum_compare(p->alg, p->sum, p->sums.value[p->alg], e) : 0;
}

uint64_t sx_payload_size(const struct sx_payload *p)
{
    return p->size;
}

const struct sx_sums *sx_payload_sums(const struct sx_payload *p)
{
    sx_assert(p->finished);
    return &p->sums;
}

void sx_payload_encoding(struct sx_buf *out, const char *content_encoding)
{
    size_t start = out->len;

    for (const char *s = content_encoding; s && *s;) {
        size_t n = strcspn(s, ","), lead = strspn(s, " \t"), len;

        len = lead < n ? n - lead : 0;
        while (len && (s[lead + len - 1] == ' ' || s[lead + len - 1] == '\t'))
            len--;
        if (len && (len != 11 || strncasecmp(s + lead, "aws-chunked", len) != 0)) {
            if (out->len > start)
                sx_buf_u8(out, ',');
            sx_buf_add(out, s + lead, len);
        }
        s += n + (s[n] == ',');
    }
    sx_buf_cstr(out);
}
