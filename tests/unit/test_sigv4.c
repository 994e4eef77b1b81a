/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Signatures against the examples that AWS publishes: its Signature Version 4 test suite and
 * "Authenticating Requests: Using the Authorization Header" of the S3 reference.
 */
#include "libsx/auth/sigv4.h"
#include "tests/unit/unit.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEADERS(...) (const struct sx_header[]){ __VA_ARGS__ }, sizeof((struct sx_header[]){ __VA_ARGS__ }) / sizeof(struct sx_header)

static struct sx_err e;

static void check(const char *secret, const char *service, const struct sx_sig_request *r,
                  const char *date,
                  const char *want)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    const char *sig;

    sx_sigv4_sign(&out, r, "AKID", secret, "us-east-1", service, date);
    sig = strstr(sx_buf_cstr(&out), "Signature=");
    assert_non_null(sig);
    assert_string_equal(sig + 10, want);
}

static void test_suite(void **state)
{
    static const char secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        date[] = "20150830T123600Z";
#define HOST { "Host", "example.amazonaws.com" }, { "X-Amz-Date", date }
    const struct {
        struct sx_sig_request r;
        const char *want;
    } cases[] = {
        { { "GET", "/", "", HEADERS(HOST), EMPTY },
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { { "POST", "/", NULL, HEADERS(HOST), EMPTY },
          "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
        { { "GET", "/", "Param2=value2&Param1=value1", HEADERS(HOST), EMPTY },
          "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
        { { "GET", "/",
            "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
            "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            HEADERS(HOST), EMPTY },
          "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
        { { "GET", "", "",
            HEADERS(HOST, { "My-Header1", " value1" }, { "My-Header2", " \"a   b   c\"" }), EMPTY },
          "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(secret, "service", &cases[i].r, date, cases[i].want);
}

static void test_s3(void **state)
{
    static const char secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        date[] = "20130524T000000Z";
    static const char put[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
#define BUCKET(hash) { "host", "examplebucket.s3.amazonaws.com" }, { "x-amz-content-sha256", hash }, { "x-amz-date", date }
    const struct {
        struct sx_sig_request r;
        const char *want;
    } cases[] = {
        { { "GET", "/test.txt", "", HEADERS({ "range", "bytes=0-9" }, BUCKET(EMPTY)), EMPTY },
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
        { { "GET", "/", "lifecycle", HEADERS(BUCKET(EMPTY)), EMPTY },
          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
        { { "GET", "/", "prefix=J&max-keys=2", HEADERS(BUCKET(EMPTY)), EMPTY },
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
        { { "PUT", "/test$file.text", "",
            HEADERS({ "Date", "Fri, 24 May 2013 00:00:00 GMT" },
                    { "x-amz-storage-class", "REDUCED_REDUNDANCY" }, BUCKET(put)), put },
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(secret, "s3", &cases[i].r, date, cases[i].want);
}

#define NOW_MS 1763650800000ULL /* 2025-11-20T15:00:00Z */
#define NOW "20251120T150000Z"

static struct sx_header own_headers[] = { { "Host", "node:8443" },
                                          { "X-Amz-Date", NOW },
                                          { "x-amz-content-sha256", SX_UNSIGNED_PAYLOAD },
                                          { "User-Agent", "not signed" } };

static const struct sx_sig_request own = { "PUT", "/.sx/v1/files/v/a%20b%2B", "rev=1&from=a%2Fb",
                                           own_headers, 3,
                                           SX_UNSIGNED_PAYLOAD };

static void sign_own(struct sx_sig_claim *c)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    sx_sigv4_sign(&out, &own, "SXKEY", "secret", "sx", "sx", NOW);
    assert_done(sx_sigv4_parse(sx_buf_cstr(&out), c, &e), &e);
}

static void test_verify(void **state)
{
    struct sx_sig_request r = own;
    struct sx_sig_claim c, d;

    sign_own(&c);
    assert_string_equal(c.access_key, "SXKEY");
    assert_string_equal(c.date, "20251120");
    assert_string_equal(c.region, "sx");
    assert_string_equal(c.service, "sx");
    assert_string_equal(c.signed_headers, "host;x-amz-content-sha256;x-amz-date");
    r.n_headers = 4;
    assert_done(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e);
    assert_error(sx_sigv4_verify(&c, &r, "Secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    r.path = "/.sx/v1/files/v/a%20b+"; /* the same, encoded differently */
    assert_done(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e);
    r.path = "/.sx/v1/files/v/a%20c%2b";
    assert_error(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    r = own;
    r.query = "from=a/b&rev=1";
    assert_done(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e);
    r.query = "from=a/b&rev=2";
    assert_error(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    r = own;
    r.method = "GET";
    assert_error(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    r = own;
    r.payload = EMPTY;
    assert_error(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    r = own;
    r.n_headers = 2; /* a signed header is missing */
    assert_error(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    d = c;
    strcpy(d.signed_headers, "host;x-amz-date");
    assert_error(sx_sigv4_verify(&d, &own, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    d = c;
    strcpy(d.date, "20251121");
    assert_error(sx_sigv4_verify(&d, &own, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    assert_error(sx_sigv4_verify(&c, &own, "secret", "20251120T150001Z", NOW_MS, &e), &e, SX_EAUTH);
    for (int i = 0; i < 64; i++) {
        d = c;
        d.signature[i] = d.signature[i] == '0' ? '1' : '0';
        assert_error(sx_sigv4_verify(&d, &own, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    }
}

static void test_clock(void **state)
{
    struct sx_sig_claim c;

    sign_own(&c);
    assert_done(sx_sigv4_verify(&c, &own, "secret", NOW, NOW_MS + SX_SIGV4_SKEW_MS, &e), &e);
    assert_done(sx_sigv4_verify(&c, &own, "secret", NOW, NOW_MS - SX_SIGV4_SKEW_MS, &e), &e);
    assert_error(sx_sigv4_verify(&c, &own, "secret", NOW, NOW_MS + SX_SIGV4_SKEW_MS + 1, &e), &e,
                 SX_ECLOCK);
    assert_error(sx_sigv4_verify(&c, &own, "secret", NOW, NOW_MS - SX_SIGV4_SKEW_MS - 1, &e), &e,
                 SX_ECLOCK);
    assert_non_null(strstr(e.msg, "2025-11-20T15:00:00.000Z"));
}

static void test_too_many_parameters(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf query = SX_BUF_INIT;
    struct sx_sig_request r = own;
    struct sx_sig_claim c;

    sign_own(&c);
    for (int i = 0; i < 65; i++)
        sx_buf_printf(&query, "p%d&", i);
    r.query = sx_buf_cstr(&query);
    assert_error(sx_sigv4_verify(&c, &r, "secret", NOW, NOW_MS, &e), &e, SX_EAUTH);
    assert_non_null(strstr(e.msg, "64"));
}

#define SIG "Signature=" EMPTY
#define CRED "Credential=A/20251120/sx/sx/aws4_request"

static void test_parse(void **state)
{
    static const char *const bad[] = {
        "", "Basic abc", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256X " CRED,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host",
        "AWS4-HMAC-SHA256 " CRED ", " SIG,
        "AWS4-HMAC-SHA256 SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=Host, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host;date, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host;host, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host;hostx;host, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=a;;b, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=a;, " SIG,
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host, Signature=12",
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host, " SIG "00",
        "AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host, " SIG ", Other=1",
        "AWS4-HMAC-SHA256 Credential=A/20251120/sx/sx/aws4, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=20251120/sx/sx/aws4_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=/20251120/sx/sx/aws4_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=A/202511201/sx/sx/aws4_request, SignedHeaders=host, " SIG,
    };
    struct sx_sig_claim c;

    assert_done(sx_sigv4_parse("AWS4-HMAC-SHA256 " CRED ",SignedHeaders=a;ab;b,  " SIG, &c, &e),
                &e);
    assert_done(sx_sigv4_parse("AWS4-HMAC-SHA256 " SIG ", SignedHeaders=host, Credential=A/B/20251120/r/s/aws4_request",
                               &c, &e), &e);
    assert_string_equal(c.access_key, "A/B");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_error(sx_sigv4_parse(bad[i], &c, &e), &e, SX_EAUTH);
}

static void test_dates(void **state)
{
    static const char *const bad[] = { "", "20251120", "20251120T150000", "20251120T150000z",
                                       "20251120T150000ZZ",
                                       "20251320T150000Z", "20250231T150000Z", "20251120T250000Z",
                                       "20251120T150060Z", "19691231T235959Z", "2025112 T150000Z" };
    char text[17];
    uint64_t ms;

    sx_amz_date(text, NOW_MS + 999);
    assert_string_equal(text, NOW);
    assert_int_equal(sx_amz_date_parse(NOW, &ms), 0);
    assert_int_equal(ms, NOW_MS);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sx_amz_date_parse(bad[i], &ms), -1);
}

static void test_keys(void **state)
{
    char a[SX_ACCESS_KEY_LEN + 1], b[SX_ACCESS_KEY_LEN + 1], s[SX_SECRET_KEY_LEN + 1];

    sx_access_key_new(a);
    sx_access_key_new(b);
    sx_secret_key_new(s);
    assert_string_not_equal(a, b);
    assert_memory_equal(a, "SX", 2);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), SX_ACCESS_KEY_LEN);
    assert_int_equal(strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     SX_SECRET_KEY_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),  cmocka_unit_test(test_s3),    cmocka_unit_test(test_verify),
        cmocka_unit_test(test_clock),  cmocka_unit_test(test_too_many_parameters),
        cmocka_unit_test(test_parse),  cmocka_unit_test(test_dates), cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
