/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies: AWS's published examples of signed chunks, with and without a trailer, in pieces of every
 * size; and every defect.
 */
#include <stdio.h>

#include "fcgi/s3/payload.h"
#include "fcgi/s3/s3err.h"
#include "libsx/auth/sigv4.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define MAY_24 1369353600000ULL
#define SIZE 66560
#define HEAD(signed_, sig)                                                                         \
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"         \
    "SignedHeaders=content-encoding;" signed_ "host;x-amz-content-sha256;x-amz-date;"              \
    "x-amz-decoded-content-length;x-amz-storage-class" sig

static struct sx_err e;

static struct sx_header chunk_headers[] = {
    { "Host", "s3.amazonaws.com" },
    { "x-amz-date", "20130524T000000Z" },
    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
    { "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },
    { "Content-Encoding", "aws-chunked" },
    { "x-amz-decoded-content-length", "66560" },
    { "Content-Length", "66824" },
    { "Authorization",
      HEAD("content-length;",
           ",Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9") },
};
static struct sx_header trailer_headers[] = {
    { "Host", "s3.amazonaws.com" },
    { "x-amz-date", "20130524T000000Z" },
    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
    { "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" },
    { "Content-Encoding", "aws-chunked" },
    { "x-amz-decoded-content-length", "66560" },
    { "x-amz-trailer", "x-amz-checksum-crc32c" },
    { "Authorization",
      HEAD("", ";x-amz-trailer"
               ",Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e") },
};

static void claim_of(struct sx_sig_claim *c, const struct sx_header *h, size_t n)
{
    const struct sx_sig_request r = { "PUT", "/examplebucket/chunkObject.txt", "", h, n };
    const struct sx_sig_check k = { .secret = SECRET, .now_ms = MAY_24, .service = "s3" };

    assert_done(sx_sig_read(&r, c, &e), &e);
    assert_done(sx_sig_verify(c, &r, &k, &e), &e);
}

static void add_chunk(struct sx_buf *b, size_t n, const char *sig)
{
    sx_buf_printf(b, "%zx;chunk-signature=%s\r\n", n, sig);
    memset(sx_buf_extend(b, n), 'a', n);
    if (n)
        sx_buf_str(b, "\r\n");
}

static void chunk_body(struct sx_buf *b)
{
    add_chunk(b, 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    add_chunk(b, 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
    add_chunk(b, 0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
    sx_buf_str(b, "\r\n");
}

static void trailer_body(struct sx_buf *b, const char *end)
{
    add_chunk(b, 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2");
    add_chunk(b, 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7");
    add_chunk(b, 0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992");
    sx_buf_str(b, end);
}

/* Feeds the body in pieces of `step` bytes; what comes out is added to `out`.  -1 with e set. */
static int feed(const struct sx_payload_head *h, const struct sx_buf *body, size_t step,
                struct sx_buf *out, uint8_t crc32c[SX_SUM_MAX])
{
    struct sx_payload *p = NULL;
    int r;

    sx_err_clear(&e);
    if (sx_payload_open(&p, h, &e) != 0)
        return -1;
    r = 0;
    for (size_t at = 0; at < body->len && r == 0; at += step) {
        size_t n = body->len - at < step ? body->len - at : step;
        struct sx_cur in = sx_cur_of(body->data + at, n);

        while (in.left && r == 0) {
            const uint8_t *data;

            r = sx_payload_next(p, &in, &data, &n, &e);
            if (r == 0 && n)
                sx_buf_add(out, data, n);
        }
    }
    if (r == 0)
        r = sx_payload_finish(p, &e);
    if (r == 0 && crc32c)
        memcpy(crc32c, sx_payload_sums(p)->value[SX_SUM_CRC32C], SX_SUM_MAX);
    if (r == 0)
        assert_int_equal(sx_payload_size(p), out->len);
    sx_payload_free(p);
    return r;
}

static void check_whole(const struct sx_payload_head *h, const struct sx_buf *body)
{
    static const size_t steps[] = { 1, 2, 3, 7, 86, 87, 88, 1000, 65536, 100000 };

    for (size_t i = 0; i < N_OF(steps); i++) {
        SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

        assert_done(feed(h, body, steps[i], &out, NULL), &e);
        assert_int_equal(out.len, SIZE);
        for (size_t k = 0; k < SIZE; k++)
            assert_int_equal(out.data[k], 'a');
    }
}

static void expect(const struct sx_payload_head *h, const struct sx_buf *body,
                   enum sx_s3_code want)
{
    static const size_t steps[] = { 1, 100000 };

    for (size_t i = 0; i < N_OF(steps); i++) {
        SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

        if (feed(h, body, steps[i], &out, NULL) == 0)
            fail_msg("accepted; %s wanted", sx_s3_err_name((int)want));
        if (e.code != (int)want)
            fail_msg("%s (%s), not %s", sx_s3_err_name(e.code), e.msg, sx_s3_err_name((int)want));
    }
}

static void test_signed_chunks(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT;
    struct sx_sig_claim c;
    struct sx_payload_head h = { .claim = &c, .headers = chunk_headers,
                                 .n_headers = N_OF(chunk_headers), .content_length = 66824,
                                 .max = SIZE };

    claim_of(&c, chunk_headers, N_OF(chunk_headers));
    assert_int_equal(c.payload, SX_PAYLOAD_CHUNKS);
    chunk_body(&body);
    assert_int_equal(body.len, 66824);
    check_whole(&h, &body);
    h.max = SIZE - 1;
    expect(&h, &body, SX_S3_ENTITY_TOO_LARGE);
    h.max = SIZE;
    h.content_length++;
    expect(&h, &body, SX_S3_INCOMPLETE_BODY);
    h.content_length -= 2;
    expect(&h, &body, SX_S3_INCOMPLETE_BODY);
}

/* One bit of any byte, or an end at any byte: never accepted.  (The line ends around the last
 * chunk say nothing: there, LF for CRLF does.) */
static void test_signed_damage(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT;
    struct sx_sig_claim c;
    const struct sx_payload_head h = { .claim = &c, .headers = chunk_headers,
                                       .n_headers = N_OF(chunk_headers), .content_length = -1,
                                       .max = SIZE };
    size_t last, accepted = 0;

    claim_of(&c, chunk_headers, N_OF(chunk_headers));
    chunk_body(&body);
    last = body.len - 88;
    for (size_t at = 0; at < body.len; at += at < 100 || at > body.len - 1300 ? 1 : 9001) {
        for (int bit = 0; bit < 8; bit++) {
            SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

            body.data[at] ^= (uint8_t)(1 << bit);
            accepted += feed(&h, &body, 100000, &out, NULL) == 0;
            body.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    /* accepted: a hex letter in the other case (bit 5), and nothing else */
    for (size_t at = 0, letters = 0; at <= body.len; at++) {
        if (at == body.len)
            assert_true(accepted <= letters);
        else if (at < 100 || at > last - 1300)
            letters += (body.data[at] >= 'a' && body.data[at] <= 'f');
    }
    for (size_t n = 0; n < last; n += n < 100 || n > last - 1200 ? 1 : 9001) {
        SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
        const struct sx_buf part = { body.data, n, n };

        assert_int_equal(feed(&h, &part, 100000, &out, NULL), -1);
        assert_int_equal(e.code, SX_S3_INCOMPLETE_BODY);
    }
}

static void test_signed_defects(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT, out = SX_BUF_INIT;
    struct sx_sig_claim c;
    const struct sx_payload_head h = { .claim = &c, .headers = chunk_headers,
                                       .n_headers = N_OF(chunk_headers), .content_length = -1,
                                       .max = SIZE };

    claim_of(&c, chunk_headers, N_OF(chunk_headers));
    /* the second chunk first: each is good, but not in this place */
    add_chunk(&b, 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
    expect(&h, &b, SX_S3_SIGNATURE_MISMATCH);
    sx_buf_reset(&b);
    /* the end too early */
    add_chunk(&b, 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    add_chunk(&b, 0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
    expect(&h, &b, SX_S3_INCOMPLETE_BODY);
    sx_buf_reset(&b);
    chunk_body(&b);
    sx_buf_str(&b, "more\r\n");
    expect(&h, &b, SX_S3_INVALID_REQUEST);
    sx_buf_reset(&b);
    sx_buf_str(&b, "10410;chunk-signature=");
    expect(&h, &b, SX_S3_INCOMPLETE_BODY);
    sx_buf_reset(&b);
    sx_buf_str(&b, "10401;chunk-signature="
                   "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n");
    expect(&h, &b, SX_S3_INCOMPLETE_BODY); /* more than the decoded length */
    sx_buf_str(&b, "aaaa"); /* … of which not a byte is taken */
    assert_int_equal(feed(&h, &b, 1, &out, NULL), -1);
    assert_int_equal(out.len, 0);
}

static void test_signed_framing(void **state)
{
    static const char *const bad[] = {
        "\r\n", "x\r\n", ";chunk-signature=\r\n", "1000\r\n", "1000;chunk-signature=\r\n",
        "1000;chunk-signature=zz80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        "1000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a28864800\n",
        "1000; chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\n",
        "0000000000001000010000;chunk-signature=\r\n", "-1;chunk-signature=\r\n", "0x10;\r\n",
    };
    struct sx_sig_claim c;
    const struct sx_payload_head h = { .claim = &c, .headers = chunk_headers,
                                       .n_headers = N_OF(chunk_headers), .content_length = -1,
                                       .max = SIZE };
    SX_AUTO(sx_buf) struct sx_buf long_line = SX_BUF_INIT;

    claim_of(&c, chunk_headers, N_OF(chunk_headers));
    for (size_t i = 0; i < N_OF(bad); i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

        sx_buf_str(&b, bad[i]);
        expect(&h, &b, SX_S3_INVALID_REQUEST);
    }
    memset(sx_buf_extend(&long_line, 100000), '0', 100000);
    expect(&h, &long_line, SX_S3_INVALID_REQUEST);
}

#define TRAILER_SIG                                                                                \
    "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"

static void test_signed_trailer(void **state)
{
    static const struct {
        const char *end;
        enum sx_s3_code code; /* 0: good */
    } rows[] = {
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n" TRAILER_SIG "\r\n\r\n", 0 },
        { "x-amz-checksum-crc32c:sOO8/Q==\n\r\n" TRAILER_SIG "\r\n\r\n", 0 },
        { "\r\nX-Amz-Checksum-Crc32c: sOO8/Q== \r\n" TRAILER_SIG "\r\n", 0 },
        { "x-amz-checksum-crc32c:sOO8/g==\r\n" TRAILER_SIG "\r\n\r\n", SX_S3_SIGNATURE_MISMATCH },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", SX_S3_MALFORMED_TRAILER },
        { TRAILER_SIG "\r\n\r\n", SX_S3_SIGNATURE_MISMATCH },
        { "\r\n", SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32:sOO8/Q==\r\n" TRAILER_SIG "\r\n\r\n", SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n",
          SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n" TRAILER_SIG "\r\na:b\r\n", SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32c sOO8/Q==\r\n", SX_S3_MALFORMED_TRAILER },
        { ":sOO8/Q==\r\n", SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:12\r\n",
          SX_S3_MALFORMED_TRAILER },
        { "\n\n\n\n\n\n\n\n\n\n\n\n", SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n" TRAILER_SIG, SX_S3_INCOMPLETE_BODY },
    };
    struct sx_sig_claim c;
    const struct sx_payload_head h = { .claim = &c, .headers = trailer_headers,
                                       .n_headers = N_OF(trailer_headers), .content_length = -1,
                                       .max = SIZE };

    claim_of(&c, trailer_headers, N_OF(trailer_headers));
    assert_int_equal(c.payload, SX_PAYLOAD_CHUNKS_TRAILER);
    for (size_t i = 0; i < N_OF(rows); i++) {
        SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT;

        trailer_body(&body, rows[i].end);
        if (rows[i].code == 0)
            check_whole(&h, &body);
        else
            expect(&h, &body, rows[i].code);
    }
}

static const struct sx_sig_claim anonymous = { .payload = SX_PAYLOAD_UNSIGNED };
static const struct sx_sig_claim with_trailer = { .payload = SX_PAYLOAD_TRAILER };

static void check_small(const struct sx_sig_claim *c, const struct sx_header *headers, size_t n,
                        const char *body, int want)
{
    const struct sx_payload_head h = { .claim = c, .headers = headers, .n_headers = n,
                                       .content_length = -1, .max = 1000,
                                       .sums = SX_SUM_BIT(SX_SUM_CRC32C) };
    const struct sx_buf b = { (uint8_t *)(uintptr_t)body, strlen(body), 0 };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    uint8_t crc[SX_SUM_MAX];

    if (want) {
        expect(&h, &b, (enum sx_s3_code)want);
        return;
    }
    assert_done(feed(&h, &b, 1, &out, crc), &e);
    assert_string_equal(sx_buf_cstr(&out), "123456789");
    assert_hex(crc, 4, "e3069283");
}

static void test_unsigned_trailer(void **state)
{
    static const struct {
        const char *trailer, *body;
        int code;
    } rows[] = {
        { "x-amz-checksum-crc32", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n", 0 },
        { "X-Amz-Checksum-Crc32",
          "4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32: y/Q5Jg==\r\n\r\n", 0 },
        { "x-amz-checksum-crc64nvme",
          "9\r\n123456789\r\n0\r\nx-amz-checksum-crc64nvme:rosUhgp5mIg=\n\r\n", 0 },
        { NULL, "9\r\n123456789\r\n0\r\n\r\n", 0 },
        { NULL, "9\r\n123456789\r\n0\r\n", 0 },
        { NULL, "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n",
          SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32", "9\r\n123456789\r\n0\r\n\r\n", SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jw==\r\n\r\n",
          SX_S3_BAD_DIGEST },
        { "x-amz-checksum-crc32", "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5\r\n\r\n",
          SX_S3_INVALID_REQUEST },
        { "x-amz-checksum-crc32",
          "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n" TRAILER_SIG "\r\n\r\n",
          SX_S3_MALFORMED_TRAILER },
        { "x-amz-checksum-xxhash3", "", SX_S3_INVALID_REQUEST },
        { "x-amz-checksum-crc32,x-other", "", SX_S3_INVALID_REQUEST },
        { NULL, "9;a=b\r\n123456789\r\n0\r\n\r\n", SX_S3_INVALID_REQUEST },
        { NULL, "9\r\n1234567890\r\n0\r\n\r\n", SX_S3_INVALID_REQUEST },
        { NULL, "a\r\n1234567890\r\n0\r\n\r\n", SX_S3_INCOMPLETE_BODY },
        { NULL, "8\r\n12345678\r\n0\r\n\r\n", SX_S3_INCOMPLETE_BODY },
        { NULL, "9\r\n123456789\r\n", SX_S3_INCOMPLETE_BODY },
        { NULL, "", SX_S3_INCOMPLETE_BODY },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        const struct sx_header h[] = { { "x-amz-decoded-content-length", "9" },
                                       { "x-amz-trailer", rows[i].trailer } };

        check_small(&with_trailer, h, rows[i].trailer ? 2 : 1, rows[i].body, rows[i].code);
    }
}

static void test_headers(void **state)
{
    static const struct {
        const char *name, *value;
        int code;
    } rows[] = {
        { "x-other", "1", 0 },
        { "Content-MD5", "JfnnlDI7RThiF9RhgYYTDA==", SX_S3_BAD_DIGEST },
        { "Content-MD5", "JfnnlDI7RTiF9RgfG2JNCw==", 0 },
        { "Content-MD5", "JfnnlDI7", SX_S3_INVALID_DIGEST },
        { "x-amz-checksum-crc32", "y/Q5Jg==", 0 },
        { "x-amz-checksum-crc32", "y/Q5Jw==", SX_S3_BAD_DIGEST },
        { "x-amz-checksum-crc32", "y/Q5Jg==-1", SX_S3_INVALID_REQUEST },
        { "X-Amz-Checksum-CRC64NVME", "rosUhgp5mIg=", 0 },
        { "x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=", 0 },
        { "x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", 0 },
        { "x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiA=",
          SX_S3_BAD_DIGEST },
        { "x-amz-checksum-xxhash64", "AAAAAAAAAAA=", SX_S3_INVALID_REQUEST },
        { "x-amz-checksum-algorithm", "CRC32", 0 },
        { "x-amz-trailer", "x-amz-checksum-crc32", SX_S3_INVALID_REQUEST },
    };
    static const struct sx_header two[] = { { "x-amz-checksum-crc32", "y/Q5Jg==" },
                                            { "x-amz-checksum-crc32c", "4waSgw==" } };
    static const struct sx_header sdk[] = { { "x-amz-checksum-crc32", "y/Q5Jg==" },
                                            { "x-amz-sdk-checksum-algorithm", "SHA1" } };

    for (size_t i = 0; i < N_OF(rows); i++) {
        const struct sx_header h = { rows[i].name, rows[i].value };

        check_small(&anonymous, &h, 1, "123456789", rows[i].code);
    }
    check_small(&anonymous, two, 1, "123456789", 0);
    check_small(&anonymous, two, 2, "123456789", SX_S3_INVALID_REQUEST);
    check_small(&anonymous, sdk, 2, "123456789", SX_S3_INVALID_REQUEST);
}

static void test_lengths(void **state)
{
    static const char *const bad[] = { "", "-1", "1x", "9999999999999999999", "0x9", " 9" };
    static const struct sx_buf b = { (uint8_t *)(uintptr_t)"123456789", 9, 9 };
    struct sx_payload_head h = { .claim = &with_trailer, .max = 9, .content_length = -1 };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    expect(&h, &b, SX_S3_MISSING_CONTENT_LENGTH);
    for (size_t i = 0; i < N_OF(bad); i++) {
        const struct sx_header length = { "x-amz-decoded-content-length", bad[i] };

        h.headers = &length;
        h.n_headers = 1;
        expect(&h, &b, SX_S3_INVALID_ARGUMENT);
    }
    h = (struct sx_payload_head){ .claim = &anonymous, .max = 9, .content_length = 9 };
    assert_done(feed(&h, &b, 2, &out, NULL), &e);
    h.content_length = 8;
    expect(&h, &b, SX_S3_INCOMPLETE_BODY);
    h.max = 10;
    h.content_length = 10;
    expect(&h, &b, SX_S3_INCOMPLETE_BODY);
    h.max = 8;
    expect(&h, &b, SX_S3_ENTITY_TOO_LARGE);
    h.content_length = -1; /* found out on the way */
    expect(&h, &b, SX_S3_ENTITY_TOO_LARGE);
}

static void check_announced(const struct sx_payload_head *h, int64_t length)
{
    struct sx_payload *p = NULL;

    assert_done(sx_payload_open(&p, h, &e), &e);
    assert_int_equal(sx_payload_length(p), length);
    sx_payload_free(p);
}

static void test_announced(void **state)
{
    static const struct sx_header length = { "x-amz-decoded-content-length", "5" };
    struct sx_payload_head h = { .claim = &anonymous, .max = 99, .content_length = -1 };

    check_announced(&h, -1);
    h.content_length = 50;
    check_announced(&h, 50);
    h.claim = &with_trailer;
    h.headers = &length;
    h.n_headers = 1;
    check_announced(&h, 5);
}

static void test_sha256(void **state)
{
    struct sx_sig_claim c = { .payload = SX_PAYLOAD_SHA256 };

    assert_int_equal(sx_unhex(c.body_sha256, 32,
                              "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
                     0);
    check_small(&c, NULL, 0, "123456789", 0);
    check_small(&c, NULL, 0, "123456780", SX_S3_SHA256_MISMATCH);
    check_small(&c, NULL, 0, "", SX_S3_SHA256_MISMATCH);
}

static void test_encoding(void **state)
{
    static const char *const rows[][2] = {
        { "aws-chunked", "" },          { "aws-chunked,gzip", "gzip" },
        { "gzip, aws-chunked", "gzip" }, { "AWS-Chunked , br,gzip ", "br,gzip" },
        { "gzip", "gzip" },             { "", "" },
        { " , ,", "" },                 { "xaws-chunked", "xaws-chunked" },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

        sx_payload_encoding(&b, rows[i][0]);
        assert_string_equal(sx_buf_cstr(&b), rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_chunks),    cmocka_unit_test(test_signed_damage),
        cmocka_unit_test(test_signed_defects),   cmocka_unit_test(test_signed_framing),
        cmocka_unit_test(test_signed_trailer),   cmocka_unit_test(test_unsigned_trailer),
        cmocka_unit_test(test_headers),          cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_announced),
        cmocka_unit_test(test_sha256),           cmocka_unit_test(test_encoding),
    };

    return cmocka_run_group_tests_name("s3_payload", tests, NULL, NULL);
}
