/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The signature matrix: method × kind of signature × payload mode × defect.  Each cell is a whole
 * request, signed here by a signer of its own (the canonical text is written down, not computed),
 * damaged in one way, and put through sx_sig_read(), sx_sig_verify() and the payload's decoder.
 * Only the cells that passes() lists may pass.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "fcgi/s3/payload.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define KEY "AKIDEXAMPLE"
#define SECRET "a secret"
#define NOW_MS 1763650800000ULL /* 2025-11-20T15:00:00Z */
#define NOW "20251120T150000Z"
#define BODY "hello world"
#define HEADERS_MAX 12
#define ALGORITHM "AWS4-HMAC-SHA256"

enum defect {
    NONE, WRONG_SECRET, OTHER_METHOD, OTHER_PATH, OTHER_QUERY, QUERY_ADDED, OTHER_HOST, TOO_LATE,
    TOO_EARLY, OTHER_META, META_ADDED, OTHER_REGION, OTHER_SERVICE, OTHER_DAY, OTHER_SIGNATURE,
    BODY_FLIPPED, BODY_SHORT, BODY_LONG, CHUNK_SIGNATURE, TRAILER_VALUE, TRAILER_DROPPED,
    OTHER_PAYLOAD, N_DEFECTS
};

static const char *const defects[] = {
    "none", "wrong secret", "other method", "other path", "other query", "query added",
    "other host", "too late", "too early", "other meta", "meta added", "other region",
    "other service", "other day", "other signature", "body flipped", "body short", "body long",
    "chunk signature", "trailer value", "trailer dropped", "other payload",
};
static const char *const modes[] = {
    [SX_PAYLOAD_UNSIGNED] = "UNSIGNED-PAYLOAD",
    [SX_PAYLOAD_SHA256] = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    [SX_PAYLOAD_CHUNKS] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    [SX_PAYLOAD_CHUNKS_TRAILER] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    [SX_PAYLOAD_TRAILER] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
};

struct cell {
    const char *method;
    enum sx_sig_kind kind;
    enum sx_sig_payload payload;
    enum defect defect;
    /* the request under way */
    struct sx_header h[HEADERS_MAX];
    size_t n;
    const char *host, *path, *meta, *mode, *region, *service, *day;
    struct sx_buf query, authorization, signature, body;
    uint8_t key[32], before[32];
};

static struct sx_err e;

static bool is_v4(const struct cell *c)
{
    return c->kind == SX_SIG_V4_HEADER || c->kind == SX_SIG_V4_QUERY;
}

static bool signed_chunks(const struct cell *c)
{
    return c->payload == SX_PAYLOAD_CHUNKS || c->payload == SX_PAYLOAD_CHUNKS_TRAILER;
}

static bool has_trailer(const struct cell *c)
{
    return c->payload == SX_PAYLOAD_CHUNKS_TRAILER || c->payload == SX_PAYLOAD_TRAILER;
}

/* The list. */
static bool passes(const struct cell *c)
{
    bool anonymous = c->kind == SX_SIG_ANONYMOUS;

    if (anonymous && c->defect == OTHER_PAYLOAD)
        return !has_trailer(c); /* a request like others, but for a trailer it cannot have */
    if (signed_chunks(c) && c->kind != SX_SIG_V4_HEADER)
        return false;
    switch (c->defect) {
    case NONE:
        return true;
    case WRONG_SECRET:
    case OTHER_METHOD:
    case OTHER_PATH:
    case OTHER_QUERY:
    case OTHER_META:
    case META_ADDED:
    case OTHER_SIGNATURE:
    case TOO_LATE:
        return anonymous;
    case QUERY_ADDED: /* V2 signs subresources only, and no host */
    case OTHER_HOST:
    case OTHER_REGION: /* V2 has no scope */
    case OTHER_SERVICE:
    case OTHER_DAY:
        return !is_v4(c);
    case TOO_EARLY: /* the V2 query does not say when it was made */
        return anonymous || c->kind == SX_SIG_V2_QUERY;
    case BODY_FLIPPED:
        return c->payload == SX_PAYLOAD_UNSIGNED;
    case BODY_SHORT:
    case BODY_LONG:
        return false;
    case CHUNK_SIGNATURE: /* where there is none, nothing was changed */
        return !signed_chunks(c);
    case TRAILER_VALUE:
    case TRAILER_DROPPED:
        return !has_trailer(c);
    case OTHER_PAYLOAD: /* to UNSIGNED-PAYLOAD */
        return c->payload == SX_PAYLOAD_UNSIGNED;
    case N_DEFECTS:
        break;
    }
    return false;
}

static void add(struct cell *c, const char *name, const char *value)
{
    assert_true(c->n < HEADERS_MAX);
    c->h[c->n++] = (struct sx_header){ name, value };
}

static void derive(struct cell *c, const char *secret)
{
    const char *const parts[] = { c->day, c->region, c->service, "aws4_request" };
    SX_AUTO_FREE char *first = sx_asprintf("AWS4%s", secret);

    sx_hmac_sha256(c->key, first, strlen(first), parts[0], strlen(parts[0]));
    for (size_t i = 1; i < N_OF(parts); i++)
        sx_hmac_sha256(c->key, c->key, 32, parts[i], strlen(parts[i]));
}

/* Headers in the order of their names; what the signature covers. */
static void make_headers(struct cell *c)
{
    add(c, "host", c->host);
    if (c->kind != SX_SIG_ANONYMOUS || c->payload != SX_PAYLOAD_UNSIGNED)
        add(c, "x-amz-content-sha256", c->mode);
    if (c->kind == SX_SIG_V4_HEADER || c->kind == SX_SIG_V2_HEADER)
        add(c, "x-amz-date", NOW);
    if (has_trailer(c) || signed_chunks(c))
        add(c, "x-amz-decoded-content-length", "11");
    add(c, "x-amz-meta-a", c->meta);
    if (has_trailer(c))
        add(c, "x-amz-trailer", "x-amz-checksum-crc32");
}

static void list_headers(const struct cell *c, struct sx_buf *out, const char *separator)
{
    for (size_t i = 0; i < c->n; i++)
        sx_buf_printf(out, "%s%s", i ? separator : "", c->h[i].name);
}

static void sign_v4(struct cell *c)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT, names = SX_BUF_INIT, escaped = SX_BUF_INIT;
    char hex[65];
    uint8_t digest[32];

    list_headers(c, &names, ";");
    list_headers(c, &escaped, "%3B");
    sx_buf_reset(&c->query);
    if (c->kind == SX_SIG_V4_QUERY)
        sx_buf_printf(&c->query,
                      "X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=" KEY
                      "%%2F%s%%2F%s%%2F%s%%2Faws4_request&X-Amz-Date=" NOW "&X-Amz-Expires=60"
                      "&X-Amz-SignedHeaders=%s&",
                      c->day, c->region, c->service, sx_buf_cstr(&escaped));
    sx_buf_str(&c->query, "versionId=1");
    sx_buf_printf(&text, "%s\n/b/k\n%s\n", c->method, sx_buf_cstr(&c->query));
    for (size_t i = 0; i < c->n; i++)
        sx_buf_printf(&text, "%s:%s\n", c->h[i].name, c->h[i].value);
    sx_buf_printf(&text, "\n%s\n%s", sx_buf_cstr(&names), c->mode);
    sx_sha256(digest, text.data, text.len);
    sx_buf_reset(&text);
    sx_buf_printf(&text, ALGORITHM "\n" NOW "\n%s/%s/%s/aws4_request\n%s", c->day, c->region,
                  c->service, sx_hex(hex, digest, 32));
    sx_hmac_sha256(c->before, c->key, 32, text.data, text.len);
    sx_buf_str(&c->signature, sx_hex(hex, c->before, 32));
    if (c->kind == SX_SIG_V4_HEADER)
        sx_buf_printf(&c->authorization,
                      ALGORITHM " Credential=" KEY "/%s/%s/%s/aws4_request, SignedHeaders=%s, "
                                "Signature=", c->day, c->region, c->service, sx_buf_cstr(&names));
}

static void sign_v2(struct cell *c, const char *secret)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    bool query = c->kind == SX_SIG_V2_QUERY;
    uint8_t mac[20];
    unsigned n;

    sx_buf_printf(&text, "%s\n\n\n%s\n", c->method, query ? "1763650860" : "");
    for (size_t i = 1; i < c->n; i++)
        sx_buf_printf(&text, "%s:%s\n", c->h[i].name, c->h[i].value);
    sx_buf_str(&text, "/b/k?versionId=1");
    assert_non_null(HMAC(EVP_sha1(), secret, (int)strlen(secret), text.data, text.len, mac, &n));
    sx_base64(&c->signature, mac, n, false);
    sx_buf_reset(&c->query);
    sx_buf_str(&c->query, "versionId=1");
    if (query)
        sx_buf_str(&c->query, "&AWSAccessKeyId=" KEY "&Expires=1763650860");
    else
        sx_buf_str(&c->authorization, "AWS " KEY ":");
}

static void chunk(struct cell *c, const char *data)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    size_t n = strlen(data);
    char hex[65], empty[65];
    uint8_t digest[32];

    sx_buf_printf(&c->body, "%zx", n);
    if (signed_chunks(c)) {
        sx_sha256(digest, "", 0);
        sx_hex(empty, digest, 32);
        sx_buf_printf(&text, ALGORITHM "-PAYLOAD\n" NOW "\n%s/%s/%s/aws4_request\n%s\n%s\n", c->day,
                      c->region, c->service, sx_hex(hex, c->before, 32), empty);
        sx_sha256(digest, data, n);
        sx_buf_str(&text, sx_hex(hex, digest, 32));
        sx_hmac_sha256(c->before, c->key, 32, text.data, text.len);
        sx_buf_printf(&c->body, ";chunk-signature=%s", sx_hex(hex, c->before, 32));
        if (c->defect == CHUNK_SIGNATURE && n == 5)
            c->body.data[c->body.len - 1] ^= 1;
    }
    sx_buf_printf(&c->body, "\r\n%s%s", data, n ? "\r\n" : "");
}

static void trailer(struct cell *c)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT, line = SX_BUF_INIT;
    uint8_t digest[32], sum[SX_SUM_MAX];
    char hex[65];

    sx_sum_of(SX_SUM_CRC32, BODY, strlen(BODY), sum);
    sx_buf_str(&line, "x-amz-checksum-crc32:");
    sx_base64(&line, sum, 4, false);
    sx_buf_u8(&line, '\n');
    sx_sha256(digest, line.data, line.len);
    sx_buf_printf(&text, ALGORITHM "-TRAILER\n" NOW "\n%s/%s/%s/aws4_request\n%s\n", c->day,
                  c->region, c->service, sx_hex(hex, c->before, 32));
    sx_buf_str(&text, sx_hex(hex, digest, 32));
    sx_hmac_sha256(digest, c->key, 32, text.data, text.len);
    if (c->defect == TRAILER_VALUE)
        line.data[line.len - 5] ^= 1;
    if (c->defect != TRAILER_DROPPED)
        sx_buf_printf(&c->body, "%.*s\r\n", (int)line.len - 1, (char *)line.data);
    if (signed_chunks(c))
        sx_buf_printf(&c->body, "x-amz-trailer-signature:%s\r\n", sx_hex(hex, digest, 32));
}

static void make_body(struct cell *c)
{
    if (!signed_chunks(c) && !has_trailer(c)) {
        sx_buf_str(&c->body, BODY);
        return;
    }
    chunk(c, "hello ");
    chunk(c, "world");
    chunk(c, "");
    if (has_trailer(c))
        trailer(c);
    sx_buf_str(&c->body, "\r\n");
}

/* What is changed after signing. */
static void damage(struct cell *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->defect == OTHER_HOST && strcmp(c->h[i].name, "host") == 0)
            c->h[i].value = "other.example.com";
        if (c->defect == OTHER_META && strcmp(c->h[i].name, "x-amz-meta-a") == 0)
            c->h[i].value = "2";
        if (c->defect == OTHER_PAYLOAD && strcmp(c->h[i].name, "x-amz-content-sha256") == 0)
            c->h[i].value = "UNSIGNED-PAYLOAD";
    }
    if (c->defect == META_ADDED)
        add(c, "X-Amz-Acl", "public-read");
    if (c->defect == OTHER_PATH)
        c->path = "/b/l";
    if (c->defect == OTHER_METHOD)
        c->method = strcmp(c->method, "PUT") == 0 ? "GET" : "PUT";
    if (c->defect == OTHER_QUERY)
        *strstr((char *)c->query.data, "versionId=1") = 'V';
    if (c->defect == QUERY_ADDED)
        sx_buf_str(&c->query, "&prefix=a");
    if (c->defect == OTHER_SIGNATURE && c->signature.len)
        c->signature.data[1] = c->signature.data[1] == 'a' ? 'b' : 'a';
    if (c->defect == BODY_FLIPPED)
        *strstr((char *)c->body.data, "wor") ^= 1;
    if (c->defect == BODY_SHORT)
        sx_buf_consume(&c->body, 1);
    if (c->defect == BODY_LONG)
        sx_buf_u8(&c->body, '\n');
}

/* Puts the signature where its kind has it. */
static void attach(struct cell *c)
{
    const char *name = c->kind == SX_SIG_V4_QUERY ? "&X-Amz-Signature=" : "&Signature=";

    if (c->kind == SX_SIG_V4_HEADER || c->kind == SX_SIG_V2_HEADER) {
        sx_buf_str(&c->authorization, sx_buf_cstr(&c->signature));
        add(c, "Authorization", sx_buf_cstr(&c->authorization));
    } else if (c->kind != SX_SIG_ANONYMOUS) {
        sx_buf_str(&c->query, name);
        sx_pct_encode(&c->query, sx_buf_cstr(&c->signature), c->signature.len, false);
    }
}

static void build(struct cell *c)
{
    const char *secret = c->defect == WRONG_SECRET ? "a secreT" : SECRET;

    c->host = "s3.example.com:8443";
    c->path = "/b/k";
    c->meta = "1";
    c->mode = modes[c->payload];
    c->region = c->defect == OTHER_REGION ? "mars-1" : "us-east-1";
    c->service = c->defect == OTHER_SERVICE ? "sx" : "s3";
    c->day = c->defect == OTHER_DAY ? "20251119" : "20251120";
    sx_buf_str(&c->query, "versionId=1");
    make_headers(c);
    derive(c, secret);
    if (is_v4(c))
        sign_v4(c);
    else if (c->kind != SX_SIG_ANONYMOUS)
        sign_v2(c, secret);
    make_body(c);
}

static int read_body(const struct cell *c, const struct sx_sig_claim *claim, size_t length)
{
    const struct sx_payload_head head = { .claim = claim, .headers = c->h, .n_headers = c->n,
                                          .content_length = (int64_t)length, .max = 1000 };
    struct sx_cur in = sx_cur_of(c->body.data, c->body.len);
    struct sx_payload *p = NULL;
    int r = sx_payload_open(&p, &head, &e);

    while (r == 0 && in.left) {
        const uint8_t *data;
        size_t n;

        r = sx_payload_next(p, &in, &data, &n, &e);
    }
    if (r == 0)
        r = sx_payload_finish(p, &e);
    sx_payload_free(p);
    return r;
}

static int serve(const struct cell *c, size_t length)
{
    static const char *const regions[] = { "sx-1", "us-east-1", NULL };
    const struct sx_sig_request r = { c->method, c->path, (const char *)c->query.data, c->h, c->n,
                                      .plus_is_space = true };
    struct sx_sig_check k = { .secret = SECRET, .now_ms = NOW_MS, .regions = regions,
                              .service = "s3" };
    struct sx_sig_claim claim;

    if (c->defect == TOO_LATE)
        k.now_ms += SX_SIG_SKEW_MS + 1;
    if (c->defect == TOO_EARLY)
        k.now_ms -= SX_SIG_SKEW_MS + 1;
    if (sx_sig_read(&r, &claim, &e) != 0)
        return -1;
    assert_int_equal(claim.kind, c->kind);
    if (claim.kind != SX_SIG_ANONYMOUS && sx_sig_verify(&claim, &r, &k, &e) != 0)
        return -1;
    return read_body(c, &claim, length);
}

static void run(struct cell *c, unsigned *passed)
{
    const char *method = c->method;
    bool want = passes(c);
    size_t length;
    int r;

    build(c);
    length = c->body.len;
    damage(c);
    attach(c);
    sx_err_clear(&e);
    r = serve(c, length);
    if ((r == 0) != want)
        fail_msg("%s, %s, %s, %s: %s (%s)", method, sx_sig_kind_text(c->kind), modes[c->payload],
                 defects[c->defect], r ? "refused" : "passed", e.msg);
    *passed += r == 0;
    sx_buf_fini(&c->query);
    sx_buf_fini(&c->authorization);
    sx_buf_fini(&c->signature);
    sx_buf_fini(&c->body);
}

static void test_matrix(void **state)
{
    static const char *const methods[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };
    static const enum sx_sig_kind kinds[] = { SX_SIG_ANONYMOUS, SX_SIG_V4_HEADER, SX_SIG_V4_QUERY,
                                              SX_SIG_V2_HEADER, SX_SIG_V2_QUERY };
    unsigned cells = 0, passed = 0;

    for (size_t m = 0; m < N_OF(methods); m++)
        for (size_t k = 0; k < N_OF(kinds); k++)
            for (unsigned p = 0; p < N_OF(modes); p++)
                for (unsigned d = 0; d < N_DEFECTS; d++, cells++) {
                    struct cell c = { .method = methods[m], .kind = kinds[k],
                                      .payload = (enum sx_sig_payload)p,
                                      .defect = (enum defect)d };

                    run(&c, &passed);
                }
    printf("%u cells, %u pass\n", cells, passed);
    assert_true(cells >= 500 && passed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_matrix) };

    return cmocka_run_group_tests_name("s3_matrix", tests, NULL, NULL);
}
