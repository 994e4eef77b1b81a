/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies of requests.  Input: one byte chooses the payload mode, one the size of the pieces it
 * comes in; the rest is the body.  Whatever comes: the pieces of data make up what is accepted, and
 * how the body was cut makes no difference.
 */
#include "fcgi/s3/payload.h"
#include "fcgi/s3/s3err.h"
#include "tests/fuzz/fuzz.h"

#define DATA "123456789"

static const char *const bodies[] = {
    DATA,
    "9\r\n" DATA "\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n",
    "4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32: y/Q5Jg==\r\n\r\n",
    "9;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" DATA
    "\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n"
    "x-amz-checksum-crc32:y/Q5Jg==\r\n"
    "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
    "\r\n",
};

const unsigned fuzz_seeds = 8;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_u8(out, (uint8_t)(i < 4 ? i : i + 1));
    sx_buf_u8(out, (uint8_t)(i * 7));
    sx_buf_str(out, bodies[i % 4]);
}

/* 0 or -1; the data taken is added to `out`. */
static int take(const struct sx_payload_head *h, const uint8_t *body, size_t n, size_t step,
                struct sx_buf *out)
{
    struct sx_payload *p = NULL;
    struct sx_err e = SX_ERR_INIT;
    int r = sx_payload_open(&p, h, &e);

    for (size_t at = 0; at < n && r == 0; at += step) {
        struct sx_cur in = sx_cur_of(body + at, n - at < step ? n - at : step);

        while (in.left && r == 0) {
            const uint8_t *data = NULL;
            size_t len = 0;

            r = sx_payload_next(p, &in, &data, &len, &e);
            if (r == 0)
                sx_buf_add(out, data, len);
        }
    }
    if (r == 0)
        r = sx_payload_finish(p, &e);
    sx_assert(r == 0 || (e.code > SX_S3_ERR_BEFORE_FIRST && e.code < SX_S3_ERR_END));
    sx_assert(r != 0 || sx_payload_size(p) == out->len);
    sx_payload_free(p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum sx_sig_payload modes[] = { SX_PAYLOAD_UNSIGNED, SX_PAYLOAD_TRAILER,
                                                 SX_PAYLOAD_CHUNKS, SX_PAYLOAD_CHUNKS_TRAILER };
    static const struct sx_header headers[] = { { "x-amz-decoded-content-length", "9" },
                                                { "x-amz-trailer", "x-amz-checksum-crc32" } };
    SX_AUTO(sx_buf) struct sx_buf whole = SX_BUF_INIT, pieces = SX_BUF_INIT;
    struct sx_sig_claim claim = { .kind = SX_SIG_V4_HEADER, .amz_date = "20130524T000000Z",
                                  .date = "20130524", .region = "us-east-1", .service = "s3" };
    struct sx_payload_head h = { .claim = &claim, .headers = headers, .content_length = -1,
                                 .max = 1000 };
    int a, b;

    if (n < 2)
        return 0;
    claim.payload = modes[data[0] % 4];
    h.n_headers = claim.payload == SX_PAYLOAD_UNSIGNED ? 0
                  : claim.payload == SX_PAYLOAD_CHUNKS ? 1
                                                       : 2;
    a = take(&h, data + 2, n - 2, n, &whole);
    b = take(&h, data + 2, n - 2, 1 + data[1] % 64, &pieces);
    sx_assert(a == b);
    if (a == 0 && claim.payload == SX_PAYLOAD_TRAILER)
        sx_assert(whole.len == 9 && memcmp(whole.data, DATA, 9) == 0);
    if (a == 0)
        sx_assert(whole.len == pieces.len &&
                  strcmp(sx_buf_cstr(&whole), sx_buf_cstr(&pieces)) == 0);
    return 0;
}
