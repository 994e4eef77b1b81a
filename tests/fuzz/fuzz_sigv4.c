/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Authorization headers, and signing and verifying of odd paths, queries and header values.
 * Input: three lines, the Authorization header, path?query, a header's value.
 */
#include "libsx/auth/sigv4.h"
#include "tests/fuzz/fuzz.h"

#define DATE "20251120T150000Z"
#define NOW_MS 1763650800000ULL
#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *const lines[] = {
    ("AWS4-HMAC-SHA256 Credential=SXA/20251120/sx/sx/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
    "Signature=" HASH "\n/.sx/v1/files/v/a%20b?rev=1&from=%2F\nvalue"),
    "AWS4-HMAC-SHA256 Signature=" HASH ",Credential=A/B/20251120/r/s/aws4_request,SignedHeaders=a;b\n/?a&b&a=1\n a  b ",
};

const unsigned fuzz_seeds = 2;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, lines[i]);
}

static void check_parse(const char *authorization)
{
    struct sx_sig_claim c;
    struct sx_err e = SX_ERR_INIT;

    if (sx_sigv4_parse(authorization, &c, &e)) {
        sx_assert(e.code == SX_EAUTH);
        return;
    }
    sx_assert(c.access_key[0] && c.date[0] && c.region[0] && c.service[0] && c.signed_headers[0]);
    sx_assert(strlen(c.signature) == 64);
}

/* What we sign we accept. */
static void check_round_trip(char *target, const char *value)
{
    const struct sx_header headers[] = { { "Host", "h" }, { "X-Other", value },
                                         { "X-Amz-Date", DATE },
                                         { "x-amz-content-sha256", HASH }, { "x-other", "2" } };
    char *query = strchr(target, '?');
    struct sx_sig_request r = { .method = "GET", .path = target, .headers = headers, .n_headers = 5,
                                .payload = HASH };
    SX_AUTO(sx_buf) struct sx_buf a = SX_BUF_INIT;
    struct sx_sig_claim c;
    size_t params = 1;

    for (const char *p = query; p && *p; p++)
        params += *p == '&';
    if (params > 64)
        return;
    if (query)
        *query++ = '\0';
    r.query = query;
    sx_sigv4_sign(&a, &r, "SXKEY", "secret", "sx", "sx", DATE);
    sx_assert(sx_sigv4_parse(sx_buf_cstr(&a), &c, NULL) == 0);
    sx_assert(sx_sigv4_verify(&c, &r, "secret", DATE, NOW_MS, NULL) == 0);
    r.method = "PUT";
    sx_assert(sx_sigv4_verify(&c, &r, "secret", DATE, NOW_MS, NULL) == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO_FREE char *text = sx_strndup((const char *)data, n);
    const char *s = text;
    SX_AUTO_FREE char *authorization = fuzz_take_line(&s);
    SX_AUTO_FREE char *target = fuzz_take_line(&s);
    SX_AUTO_FREE char *value = fuzz_take_line(&s);
    uint64_t ms;

    check_parse(authorization);
    check_round_trip(target, value);
    if (sx_amz_date_parse(value, &ms) == 0) {
        char again[17];

        sx_amz_date(again, ms);
        sx_assert(strcmp(again, value) == 0);
    }
    return 0;
}
