/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Signatures of every kind against the examples that AWS publishes ("Authenticating Requests
 * (AWS Signature Version 4)" and "Signing and authenticating REST requests (version 2)"), and what
 * must be refused: times at their exact edges, scopes, unsigned headers, fields twice.
 * The matrix of all kinds, payload modes and defects is test_s3_matrix.c.
 */
#include <stdio.h>

#include "libsx/auth/sig.h"
#include "libsx/auth/sigkey.h"
#include "libsx/auth/sigv2.h"
#include "libsx/auth/sigv4.h"
#include "libsx/base/date.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/unit.h"

#define KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MAY_24 1369353600000ULL /* 2013-05-24T00:00:00Z */
#define SCOPE KEY "/20130524/us-east-1/s3/aws4_request"
#define PARAMS                                                                                     \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" KEY                                       \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"                      \
    "&X-Amz-SignedHeaders=host"
#define PRESIGNED                                                                                  \
    PARAMS "&X-Amz-Expires=86400"                                                                  \
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
#define N_OF(a) (sizeof(a) / sizeof *(a))

static struct sx_err e;
static const char *const regions[] = { "sx-1", "us-east-1", NULL };

static int verify(const struct sx_sig_request *r, struct sx_sig_claim *c, uint64_t now_ms)
{
    const struct sx_sig_check k = { .secret = SECRET, .now_ms = now_ms, .regions = regions,
                                    .service = "s3" };

    sx_err_clear(&e);
    return sx_sig_read(r, c, &e) || sx_sig_verify(c, r, &k, &e) ? -1 : 0;
}

static void refuse(const struct sx_sig_request *r, uint64_t now_ms, enum sx_sig_fault want)
{
    struct sx_sig_claim c;

    assert_int_equal(verify(r, &c, now_ms), -1);
    if (c.fault != want)
        fail_msg("fault %d, not %d: %s", c.fault, want, e.msg);
    assert_int_equal(e.code, want == SX_SIG_SKEWED ? SX_ECLOCK : SX_EAUTH);
}

static void test_presigned(void **state)
{
    static const struct sx_header h[] = { { "Host", "examplebucket.s3.amazonaws.com" } };
    static const struct sx_sig_request r = { "GET", "/test.txt", PRESIGNED, h, 1 };
    struct sx_sig_claim c;

    assert_done(verify(&r, &c, MAY_24), &e);
    assert_int_equal(c.kind, SX_SIG_V4_QUERY);
    assert_int_equal(c.payload, SX_PAYLOAD_UNSIGNED);
    assert_string_equal(c.access_key, KEY);
    assert_true(c.expires_ms == MAY_24 + 86400000);
    assert_done(verify(&r, &c, MAY_24 + 86400000), &e);
    refuse(&r, MAY_24 + 86400001, SX_SIG_EXPIRED);
    assert_done(verify(&r, &c, MAY_24 - SX_SIG_SKEW_MS), &e);
    refuse(&r, MAY_24 - SX_SIG_SKEW_MS - 1, SX_SIG_NOT_YET);
}

static void test_presigned_refused(void **state)
{
    static const struct sx_header h[] = { { "Host", "examplebucket.s3.amazonaws.com" },
                                          { "x-amz-copy-source", "/other/secret" } };
    static const struct {
        const char *query;
        enum sx_sig_fault fault;
    } bad[] = {
        { PRESIGNED "&X-Amz-Signature=" EMPTY, SX_SIG_MALFORMED },
        { PRESIGNED "&versionId=1", SX_SIG_MISMATCH },
        { PARAMS "&X-Amz-Expires=0&X-Amz-Signature=" EMPTY, SX_SIG_EXPIRES },
        { PARAMS "&X-Amz-Expires=604801&X-Amz-Signature=" EMPTY, SX_SIG_EXPIRES },
        { PARAMS "&X-Amz-Expires=-1&X-Amz-Signature=" EMPTY, SX_SIG_EXPIRES },
        { PARAMS "&X-Amz-Expires=&X-Amz-Signature=" EMPTY, SX_SIG_EXPIRES },
        { PARAMS "&X-Amz-Expires=99999999999999999999&X-Amz-Signature=" EMPTY, SX_SIG_EXPIRES },
        { PARAMS "&X-Amz-Expires=604800&X-Amz-Signature=" EMPTY, SX_SIG_MISMATCH },
        { PARAMS "&X-Amz-Expires=1%zz&X-Amz-Signature=" EMPTY, SX_SIG_MALFORMED },
        { PARAMS "&X-Amz-Expires=60", SX_SIG_MALFORMED },
        { PARAMS "&X-Amz-Expires=60&X-Amz-Signature=12", SX_SIG_MALFORMED },
        { PARAMS "&X-Amz-Expires=60&X-Amz-Content-Sha256=no&X-Amz-Signature=" EMPTY,
          SX_SIG_PAYLOAD },
        { PARAMS "&X-Amz-Expires=60&X-Amz-Content-Sha256=STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
                 "&X-Amz-Signature=" EMPTY, SX_SIG_PAYLOAD },
        { "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", SX_SIG_UNSUPPORTED },
        { "X-Amz-Signature=" EMPTY, SX_SIG_MALFORMED },
        { PRESIGNED "&Signature=a", SX_SIG_CONFLICT },
    };
    struct sx_sig_request r = { "GET", "/test.txt", PRESIGNED, h, 2 };

    refuse(&r, MAY_24, SX_SIG_UNSIGNED); /* a header was added to the URL */
    r.n_headers = 1;
    for (size_t i = 0; i < N_OF(bad); i++) {
        r.query = bad[i].query;
        refuse(&r, MAY_24, bad[i].fault);
    }
}

/* Headers of a request that sign() completes. */
struct made {
    struct sx_header h[8];
    struct sx_buf authorization;
    struct sx_sig_request r;
};

static void sign(struct made *m, const char *region, const char *service)
{
    sx_buf_reset(&m->authorization);
    sx_sigv4_sign(&m->authorization, &m->r, KEY, SECRET, region, service, "20130524T000000Z");
    m->h[m->r.n_headers] = (struct sx_header){ "Authorization", sx_buf_cstr(&m->authorization) };
}

static void make(struct made *m)
{
    *m = (struct made){ .h = { { "Host", "examplebucket.s3.amazonaws.com" },
                               { "x-amz-content-sha256", EMPTY },
                               { "x-amz-date", "20130524T000000Z" } } };
    m->r = (struct sx_sig_request){ .method = "GET", .path = "/a", .query = "x=a+b", .headers = m->h,
                                    .n_headers = 3, .payload = EMPTY };
    sign(m, "us-east-1", "s3");
    m->r.n_headers = 4;
}

static void test_header(void **state)
{
    struct sx_sig_claim c;
    struct made m;

    make(&m);
    assert_done(verify(&m.r, &c, MAY_24 + SX_SIG_SKEW_MS), &e);
    assert_int_equal(c.kind, SX_SIG_V4_HEADER);
    assert_int_equal(c.payload, SX_PAYLOAD_SHA256);
    assert_hex(c.body_sha256, 32, EMPTY);
    assert_hex(c.seed, 32, c.signature);
    assert_done(verify(&m.r, &c, MAY_24 - SX_SIG_SKEW_MS), &e);
    refuse(&m.r, MAY_24 + SX_SIG_SKEW_MS + 1, SX_SIG_SKEWED);
    refuse(&m.r, MAY_24 - SX_SIG_SKEW_MS - 1, SX_SIG_SKEWED);
    m.h[4] = (struct sx_header){ "X-Amz-Acl", "public-read" };
    m.r.n_headers = 5;
    refuse(&m.r, MAY_24, SX_SIG_UNSIGNED);
    m.h[4].name = "X-Other";
    assert_done(verify(&m.r, &c, MAY_24), &e);
    m.h[4] = (struct sx_header){ "x-amz-date", "20130524T000000Z" }; /* joined with the first */
    refuse(&m.r, MAY_24, SX_SIG_MISMATCH);
    m.r.n_headers = 4;
    m.r.query = "x=a%20b";
    refuse(&m.r, MAY_24, SX_SIG_MISMATCH);
    m.r.plus_is_space = true; /* signed as a+b, which is a%2Bb where '+' is itself */
    refuse(&m.r, MAY_24, SX_SIG_MISMATCH);
    m.r.query = "x=a%2Bb";
    assert_done(verify(&m.r, &c, MAY_24), &e);
    m.r.query = "x=a%2Bb&X-Amz-Algorithm=a";
    refuse(&m.r, MAY_24, SX_SIG_CONFLICT);
    sx_buf_fini(&m.authorization);
}

static void test_scope(void **state)
{
    static const struct sx_sig_check any = { .secret = SECRET, .now_ms = MAY_24, .service = "s3" };
    struct sx_sig_claim c;
    struct made m;

    make(&m);
    m.r.n_headers = 3;
    sign(&m, "eu-west-1", "s3");
    m.r.n_headers = 4;
    refuse(&m.r, MAY_24, SX_SIG_SCOPE);
    assert_non_null(strstr(e.msg, "expecting 'sx-1'"));
    assert_done(sx_sig_read(&m.r, &c, &e), &e);
    assert_done(sx_sig_verify(&c, &m.r, &any, &e), &e);
    m.r.n_headers = 3;
    sign(&m, "sx-1", "s3");
    m.r.n_headers = 4;
    assert_done(verify(&m.r, &c, MAY_24), &e);
    m.r.n_headers = 3;
    sign(&m, "sx-1", "sx");
    m.r.n_headers = 4;
    refuse(&m.r, MAY_24, SX_SIG_SCOPE);
    sx_buf_fini(&m.authorization);
    make(&m);
    m.h[2].value = "20130525T000000Z"; /* not the day of the credential */
    refuse(&m.r, MAY_24 + 86400000, SX_SIG_SCOPE);
    m.h[2].value = "yesterday";
    refuse(&m.r, MAY_24, SX_SIG_NO_DATE);
    m.h[2].name = "x-other";
    refuse(&m.r, MAY_24, SX_SIG_NO_DATE);
    m.h[2] = (struct sx_header){ "Date", "Fri, 24 May 2013 00:00:00 GMT" };
    refuse(&m.r, MAY_24, SX_SIG_UNSIGNED);
    sx_buf_fini(&m.authorization);
}

/* The date in Date alone, in the form of HTTP: signed as YYYYMMDDTHHMMSSZ. */
static void test_date_header(void **state)
{
    struct sx_sig_claim c;
    struct made m;

    make(&m);
    m.h[2] = (struct sx_header){ "Date", "Fri, 24 May 2013 00:00:00 GMT" };
    m.r.n_headers = 3;
    sign(&m, "us-east-1", "s3");
    m.r.n_headers = 4;
    assert_done(verify(&m.r, &c, MAY_24), &e);
    m.h[1].value = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
    refuse(&m.r, MAY_24, SX_SIG_PAYLOAD);
    m.h[1].name = "x";
    refuse(&m.r, MAY_24, SX_SIG_PAYLOAD);
    sx_buf_fini(&m.authorization);
}

static void test_hosts(void **state)
{
    static const char *const hosts[] = { "other", "examplebucket.s3.amazonaws.com", NULL };
    struct sx_sig_check k = { .secret = SECRET, .now_ms = MAY_24, .regions = regions,
                              .service = "s3", .hosts = hosts, .keys = sx_sigkeys_new() };
    struct sx_sig_claim c;
    struct made m;

    make(&m);
    m.h[0].value = "127.0.0.1:8443";
    refuse(&m.r, MAY_24, SX_SIG_MISMATCH);
    for (int i = 0; i < 2; i++) {
        assert_done(sx_sig_read(&m.r, &c, &e), &e);
        assert_done(sx_sig_verify(&c, &m.r, &k, &e), &e);
    }
    k.secret = "another"; /* the cached key is of the secret before */
    assert_error(sx_sig_verify(&c, &m.r, &k, &e), &e, SX_EAUTH);
    k.secret = SECRET;
    assert_done(sx_sig_verify(&c, &m.r, &k, &e), &e);
    sx_sigkeys_free(k.keys);
    sx_buf_fini(&m.authorization);
}

static void test_cache(void **state)
{
    struct sx_sigkeys *k = sx_sigkeys_new();
    struct sx_sig_claim c = { .date = "20130524", .region = "us-east-1", .service = "s3" };
    uint8_t cached[SX_SIG_SHA256], fresh[SX_SIG_SHA256];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2 * SX_SIGKEYS_MAX + 3; i++) {
            snprintf(c.access_key, sizeof c.access_key, "K%d", i);
            sx_sigkeys_get(k, &c, SECRET, cached);
            sx_sigkeys_get(k, &c, SECRET, cached);
            sx_sigkeys_get(NULL, &c, SECRET, fresh);
            assert_memory_equal(cached, fresh, sizeof fresh);
        }
    sx_sigkeys_free(k);
    sx_sigkeys_free(NULL);
}

static void test_unsupported(void **state)
{
    static const char *const bad[] = { "Basic YTpi", "AWS4-ECDSA-P256-SHA256 Credential=a",
                                       "AWS4-HMAC-SHA256", "AWS", "", "aws a:b" };
    struct sx_header h[] = { { "Authorization", NULL } };
    const struct sx_sig_request r = { "GET", "/", "", h, 1 };

    for (size_t i = 0; i < N_OF(bad); i++) {
        h[0].value = bad[i];
        refuse(&r, MAY_24, SX_SIG_UNSUPPORTED);
    }
    h[0].value = "AWS4-HMAC-SHA256 x";
    refuse(&r, MAY_24, SX_SIG_MALFORMED);
    h[0].value = "AWS abc";
    refuse(&r, MAY_24, SX_SIG_MALFORMED);
    h[0].value = "AWS abc:def";
    refuse(&r, MAY_24, SX_SIG_MALFORMED);
}

static void test_anonymous(void **state)
{
    struct sx_header h[] = { { "x-amz-content-sha256", EMPTY } };
    struct sx_sig_request r = { "GET", "/", "prefix=a", NULL, 0 };
    struct sx_sig_claim c;

    assert_done(sx_sig_read(&r, &c, &e), &e);
    assert_int_equal(c.kind, SX_SIG_ANONYMOUS);
    assert_string_equal(c.access_key, "");
    r.headers = h;
    r.n_headers = 1;
    assert_done(sx_sig_read(&r, &c, &e), &e);
    assert_int_equal(c.payload, SX_PAYLOAD_SHA256);
    h[0].value = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    assert_done(sx_sig_read(&r, &c, &e), &e);
    assert_int_equal(c.payload, SX_PAYLOAD_TRAILER);
    h[0].value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    assert_error(sx_sig_read(&r, &c, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, SX_SIG_PAYLOAD);
}

#define V2(sig) { "Authorization", "AWS " KEY ":" sig }

struct v2_case {
    const char *bucket, *method, *path, *query;
    struct sx_header h[12];
};

static const struct v2_case v2_cases[] = {
    { "johnsmith", "GET", "/photos/puppy.jpg", NULL,
      { { "Date", "Tue, 27 Mar 2007 19:36:42 +0000" }, V2("bWq2s1WEIj+Ydj0vQ697zp+IXMU=") } },
    { "johnsmith", "PUT", "/photos/puppy.jpg", "",
      { { "Content-Type", "image/jpeg" }, { "Content-Length", "94328" },
        { "Date", "Tue, 27 Mar 2007 21:15:45 +0000" }, V2("MyyxeRY7whkBe+bq8fHCL/2kKUg=") } },
    { "johnsmith", "GET", "/", "prefix=photos&max-keys=50&marker=puppy",
      { { "User-Agent", "Mozilla/5.0" }, { "Date", "Tue, 27 Mar 2007 19:42:41 +0000" },
        V2("htDYFYduRNen8P9ZfE/s9SuKy0U=") } },
    { "johnsmith", "GET", "/", "acl",
      { { "Date", "Tue, 27 Mar 2007 19:44:46 +0000" }, V2("c2WLPFtWHVgbEmeEG93a4cG37dM=") } },
    { "static.johnsmith.net", "PUT", "/db-backup.dat.gz", NULL,
      { { "Date", "Tue, 27 Mar 2007 21:06:08 +0000" }, { "x-amz-acl", "public-read" },
        { "content-type", "application/x-download" },
        { "Content-MD5", "4gJE4saaMU4BqNR0kLY+lw==" },
        { "X-Amz-Meta-ReviewedBy", "joe@johnsmith.net" },
        { "X-Amz-Meta-ReviewedBy", "jane@johnsmith.net" },
        { "X-Amz-Meta-FileChecksum", "0x02661779" },
        { "X-Amz-Meta-ChecksumAlgorithm", "crc32" },
        V2("ilyl83RwaSoYIEdixDQcA4OnAnc=") } },
    { NULL, "GET", "/", NULL,
      { { "Date", "Wed, 28 Mar 2007 01:29:59 +0000" }, V2("qGdzdERIC03wnaRNKh6OqZehG9s=") } },
    { NULL, "GET", "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", NULL,
      { { "Date", "Wed, 28 Mar 2007 01:49:49 +0000" }, V2("DNEZGsoieTZ92F3bUfSPQcbGmlM=") } },
};

static void test_v2_header(void **state)
{
    for (size_t i = 0; i < N_OF(v2_cases); i++) {
        const struct v2_case *p = &v2_cases[i];
        struct sx_sig_check k = { .secret = SECRET, .vhost_bucket = p->bucket };
        struct sx_sig_request r = { p->method, p->path, p->query, p->h };
        struct sx_sig_claim c;

        while (p->h[r.n_headers].name)
            r.n_headers++;
        assert_done(sx_sig_read(&r, &c, &e), &e);
        assert_int_equal(c.kind, SX_SIG_V2_HEADER);
        k.now_ms = c.signed_ms + SX_SIG_SKEW_MS;
        assert_done(sx_sig_verify(&c, &r, &k, &e), &e);
        k.now_ms++;
        assert_error(sx_sig_verify(&c, &r, &k, &e), &e, SX_ECLOCK);
        k.now_ms = c.signed_ms;
        r.method = "HEAD";
        assert_error(sx_sig_verify(&c, &r, &k, &e), &e, SX_EAUTH);
        assert_int_equal(c.fault, SX_SIG_MISMATCH);
    }
}

/* The two forms that clients sign values of subresources in. */
static void test_v2_values(void **state)
{
    static const char *const forms[] = { "/b/k?uploadId=a+b", "/b/k?uploadId=a%2Bb" };
    struct sx_header h[] = { { "Date", "Tue, 27 Mar 2007 19:36:42 +0000" },
                             { "Authorization", NULL } };
    const struct sx_sig_request r = { "PUT", "/b/k", "partNumber=1&uploadId=a%2Bb", h, 2 };
    struct sx_sig_check k = { .secret = SECRET };

    for (size_t i = 0; i < N_OF(forms); i++) {
        SX_AUTO_FREE char *text = sx_asprintf("PUT\n\n\n%s\n/b/k?partNumber=1&%s", h[0].value,
                                              forms[i] + 5);
        SX_AUTO_FREE char *value = NULL;
        char signature[SX_SIGV2_LEN + 1];
        struct sx_sig_claim c;

        sx_sigv2_sign(signature, SECRET, text, strlen(text));
        value = sx_asprintf("AWS " KEY ":%s", signature);
        h[1].value = value;
        assert_done(sx_sig_read(&r, &c, &e), &e);
        k.now_ms = c.signed_ms;
        assert_done(sx_sig_verify(&c, &r, &k, &e), &e);
    }
}

static void test_v2_query(void **state)
{
#define V2_QUERY "AWSAccessKeyId=" KEY "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620"
    struct sx_sig_check k = { .secret = SECRET, .vhost_bucket = "johnsmith",
                              .now_ms = 1175139620000ULL };
    struct sx_sig_request r = { "GET", "/photos/puppy.jpg", V2_QUERY };
    struct sx_sig_claim c;

    assert_done(sx_sig_read(&r, &c, &e), &e);
    assert_int_equal(c.kind, SX_SIG_V2_QUERY);
    assert_done(sx_sig_verify(&c, &r, &k, &e), &e);
    r.query = V2_QUERY "&prefix=a"; /* V2 does not sign it */
    assert_done(sx_sig_verify(&c, &r, &k, &e), &e);
    r.query = V2_QUERY "&acl";
    assert_error(sx_sig_verify(&c, &r, &k, &e), &e, SX_EAUTH);
    r.query = V2_QUERY;
    k.now_ms++;
    assert_error(sx_sig_verify(&c, &r, &k, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, SX_SIG_EXPIRED);
    r.query = "AWSAccessKeyId=" KEY "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=soon";
    assert_error(sx_sig_read(&r, &c, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, SX_SIG_EXPIRES);
    r.query = "AWSAccessKeyId=" KEY;
    assert_error(sx_sig_read(&r, &c, &e), &e, SX_EAUTH);
}

#define DEC_29 1451347200000ULL

/* "Example: Browser-Based Upload using HTTP POST", of the V4 reference. */
static const char form_policy[] =
    "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n"
    "  \"conditions\": [\r\n"
    "    {\"bucket\": \"sigv4examplebucket\"},\r\n"
    "    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n"
    "    {\"acl\": \"public-read\"},\r\n"
    "    {\"success_action_redirect\": "
    "\"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r\n"
    "    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n"
    "    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n"
    "    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n"
    "    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n\r\n"
    "    {\"x-amz-credential\": \"" KEY "/20151229/us-east-1/s3/aws4_request\"},\r\n"
    "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n"
    "    {\"x-amz-date\": \"20151229T000000Z\" }\r\n"
    "  ]\r\n"
    "}";

static void test_form(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf policy = SX_BUF_INIT;
    struct sx_sig_form f = {
        .algorithm = "AWS4-HMAC-SHA256", .credential = KEY "/20151229/us-east-1/s3/aws4_request",
        .date = "20151229T000000Z",
        .signature = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
    };
    struct sx_sig_check k = { .secret = SECRET, .now_ms = DEC_29, .regions = regions,
                              .service = "s3" };
    struct sx_sig_claim c;

    sx_base64(&policy, form_policy, sizeof form_policy - 1, false);
    f.policy = k.policy = sx_buf_cstr(&policy);
    assert_done(sx_sig_read_form(&f, &c, &e), &e);
    assert_int_equal(c.kind, SX_SIG_V4_POST);
    assert_done(sx_sig_verify(&c, NULL, &k, &e), &e);
    k.secret = KEY;
    assert_error(sx_sig_verify(&c, NULL, &k, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, SX_SIG_MISMATCH);
    f.date = "20151230T000000Z";
    assert_done(sx_sig_read_form(&f, &c, &e), &e);
    assert_error(sx_sig_verify(&c, NULL, &k, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, SX_SIG_SCOPE);
}

static void refuse_form(const struct sx_sig_form *f, enum sx_sig_fault fault)
{
    struct sx_sig_claim c;

    assert_error(sx_sig_read_form(f, &c, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, fault);
}

static void test_form_fields(void **state)
{
    const struct sx_sig_form v4 = { .policy = "cG9saWN5", .algorithm = "AWS4-HMAC-SHA256",
                                    .credential = SCOPE, .date = "20130524T000000Z",
                                    .signature = EMPTY };
    const struct sx_sig_form v2 = { .policy = "cG9saWN5", .v2_key = KEY,
                                    .v2_signature = "NpgCjnDzrM+WFzoENXmpNDUsSn8=" };
    struct sx_sig_check k = { .secret = SECRET, .policy = "cG9saWN5" };
    struct sx_sig_form f = { .policy = "cG9saWN5" };
    struct sx_sig_claim c;

    assert_done(sx_sig_read_form(&f, &c, &e), &e);
    assert_int_equal(c.kind, SX_SIG_ANONYMOUS);
    f = v4, f.v2_key = KEY, refuse_form(&f, SX_SIG_CONFLICT);
    f = v4, f.algorithm = "AWS4", refuse_form(&f, SX_SIG_UNSUPPORTED);
    f = v4, f.credential = KEY, refuse_form(&f, SX_SIG_MALFORMED);
    f = v4, f.date = "now", refuse_form(&f, SX_SIG_NO_DATE);
    f = v4, f.signature = "12", refuse_form(&f, SX_SIG_MALFORMED);
    f = v4, f.policy = NULL, refuse_form(&f, SX_SIG_MALFORMED);
    f = v2, f.policy = NULL, refuse_form(&f, SX_SIG_MALFORMED);
    f = v2, f.v2_signature = NULL, refuse_form(&f, SX_SIG_MALFORMED);
    f = v2, f.v2_signature = "abc", refuse_form(&f, SX_SIG_MALFORMED);
    assert_done(sx_sig_read_form(&v2, &c, &e), &e);
    assert_int_equal(c.kind, SX_SIG_V2_POST);
    assert_error(sx_sig_verify(&c, NULL, &k, &e), &e, SX_EAUTH);
    assert_int_equal(c.fault, SX_SIG_MISMATCH);
}

static void test_http_dates(void **state)
{
    static const char *const good[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994",
                                        "Sun, 06 Nov 1994 08:49:37 +0000" };
    static const char *const bad[] = {
        "", "Sun", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 1994Z", "784111777",
    };
    char text[SX_HTTP_DATE_TEXT];
    uint64_t ms;

    for (size_t i = 0; i < N_OF(good); i++) {
        assert_int_equal(sx_http_date_parse(good[i], &ms), 0);
        assert_true(ms == 784111777000ULL);
    }
    assert_string_equal(sx_http_date(text, ms + 999), good[0]);
    for (size_t i = 0; i < N_OF(bad); i++)
        assert_int_equal(sx_http_date_parse(bad[i], &ms), -1);
}

static void test_iso_dates(void **state)
{
    static const char *const good[] = { "1994-11-06T08:49:37Z", "1994-11-06T08:49:37.0Z",
                                        "1994-11-06T09:49:37+01:00",
                                        "1994-11-06T06:19:37.0009-02:30" };
    static const char *const bad[] = { "", "1994", "1994-11", "1994-11-6", "1994-11-31",
                                       "1994-13-01", "1994-11-06T", "1994-11-06T08:49:37",
                                       "1994-11-06T08:49:37.Z", "1994-11-06T08:49:37z",
                                       "1994-11-06T08:49:37+0100", "1994-11-06T08:49:37+24:00",
                                       "1969-11-06T08:49:37Z", "1970-01-01T00:00:00+01:00",
                                       "1994-11-06T08:49:37ZZ", "19941106T084937Z" };
    char text[SX_ISO_DATE_TEXT];
    uint64_t ms;

    for (size_t i = 0; i < N_OF(good); i++) {
        assert_int_equal(sx_iso_date_parse(good[i], &ms), 0);
        assert_true(ms == 784111777000ULL);
    }
    assert_string_equal(sx_iso_date(text, ms + 7), "1994-11-06T08:49:37.007Z");
    assert_int_equal(sx_iso_date_parse("1994-11-06", &ms), 0);
    assert_true(ms == 784080000000ULL);
    assert_int_equal(sx_iso_date_parse("1994-11-06T08:49:37.25Z", &ms), 0);
    assert_true(ms == 784111777250ULL);
    for (size_t i = 0; i < N_OF(bad); i++)
        assert_int_equal(sx_iso_date_parse(bad[i], &ms), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presigned),   cmocka_unit_test(test_presigned_refused),
        cmocka_unit_test(test_header),      cmocka_unit_test(test_scope),
        cmocka_unit_test(test_date_header), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_cache),       cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_anonymous),   cmocka_unit_test(test_v2_header),
        cmocka_unit_test(test_v2_values),   cmocka_unit_test(test_v2_query),    cmocka_unit_test(test_form),
        cmocka_unit_test(test_form_fields),
        cmocka_unit_test(test_http_dates),  cmocka_unit_test(test_iso_dates),
    };

    return cmocka_run_group_tests_name("sig", tests, NULL, NULL);
}
