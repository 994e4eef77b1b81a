/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Signatures of every kind.  Input, by lines: Authorization (empty: none), path?query, x-amz-date,
 * x-amz-content-sha256, the value of another header.  No input may be verified but the one that was
 * signed, which has no seed here.
 */
#include "libsx/auth/sig.h"
#include "tests/fuzz/fuzz.h"

#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define NOW_MS 1763650800000ULL
#define V4_QUERY                                                                                   \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=SXA%2F20251120%2Fsx%2Fs3%2Faws4_request"    \
    "&X-Amz-Date=20251120T150000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" HASH

static const char *const lines[] = {
    ("AWS4-HMAC-SHA256 Credential=SXA/20251120/sx/s3/aws4_request, "
     "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-a, Signature=" HASH
     "\n/b/a%20b?acl&x=a+b\n20251120T150000Z\n" HASH "\n a  b "),
    "\n/b/k?" V4_QUERY "&versionId=1\n\n\n",
    "\n/b/k?" V4_QUERY "&X-Amz-Content-Sha256=" HASH "\n\nUNSIGNED-PAYLOAD\n1",
    ("AWS SXA:NpgCjnDzrM+WFzoENXmpNDUsSn8=\n/b/k?acl&uploadId=a%20b\nThu, 20 Nov 2025 15:00:00 GMT"
     "\nSTREAMING-UNSIGNED-PAYLOAD-TRAILER\nx"),
    "\n/b/k?AWSAccessKeyId=SXA&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1763650860\n\n\n",
};

const unsigned fuzz_seeds = 5;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, lines[i]);
}

static void check(const struct sx_sig_request *r)
{
    static const char *const hosts[] = { "s3.example.com", NULL };
    const struct sx_sig_check k = { .secret = "secret", .now_ms = NOW_MS, .service = "s3",
                                    .hosts = hosts, .vhost_bucket = "b" };
    struct sx_err e = SX_ERR_INIT;
    struct sx_sig_claim c;

    if (sx_sig_read(r, &c, &e) != 0) {
        sx_assert(e.code == SX_EAUTH && c.fault != SX_SIG_GOOD && e.msg[0]);
        return;
    }
    if (c.kind == SX_SIG_ANONYMOUS) {
        sx_assert(!c.access_key[0]);
        return;
    }
    sx_assert(c.access_key[0] && c.signature[0]);
    sx_assert(sx_sig_verify(&c, r, &k, &e) == -1);
    sx_assert(c.fault != SX_SIG_GOOD && (e.code == SX_EAUTH || e.code == SX_ECLOCK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = { "x-amz-date", "X-Amz-Content-SHA256", "x-amz-meta-a" };
    SX_AUTO_FREE char *text = sx_strndup((const char *)data, n);
    const char *s = text;
    SX_AUTO_FREE char *authorization = fuzz_take_line(&s);
    SX_AUTO_FREE char *target = fuzz_take_line(&s);
    char *values[3] = { fuzz_take_line(&s), fuzz_take_line(&s), fuzz_take_line(&s) };
    char *query = strchr(target, '?');
    struct sx_header h[5] = { { "Host", "h:1" } };
    struct sx_sig_request r = { .method = "GET", .path = target, .query = query ? query + 1 : "",
                                .headers = h, .n_headers = 1, .plus_is_space = true };

    if (query)
        *query = '\0';
    if (*authorization)
        h[r.n_headers++] = (struct sx_header){ "authorization", authorization };
    for (unsigned i = 0; i < 3; i++)
        if (*values[i])
            h[r.n_headers++] = (struct sx_header){ names[i], values[i] };
    check(&r);
    for (unsigned i = 0; i < 3; i++)
        free(values[i]);
    return 0;
}
