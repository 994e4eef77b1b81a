/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Policy documents of forms.  Input: the JSON; it is put in base64 here, and tried as it is, too.
 */
#include "fcgi/s3/postpolicy.h"
#include "fcgi/s3/s3err.h"
#include "libsx/crypt/crypt.h"
#include "tests/fuzz/fuzz.h"

static const char *const documents[] = {
    "{\"expiration\": \"2026-12-29T12:00:00.000Z\", \"conditions\": [{\"bucket\": \"b\"}, "
    "[\"starts-with\", \"$key\", \"user/\"], [\"content-length-range\", 1, 1000]]}",
    "{\"expiration\": \"2026-12-29T12:00:00Z\", \"conditions\": [[\"eq\", \"$key\", \"user/a\"], "
    "[\"starts-with\", \"$Content-Type\", \"image/\"], {\"acl\": \"private\"}]}",
    "eyJleHBpcmF0aW9uIjoiMjAyNi0xMi0yOVQxMjowMDowMFoiLCJjb25kaXRpb25zIjpbXX0=",
};

const unsigned fuzz_seeds = 3;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, documents[i]);
}

static void check(const char *policy)
{
    static const struct sx_s3_field fields[] = { { "bucket", "b" }, { "key", "user/a" } };
    const struct sx_s3_post p = { .policy = policy, .fields = fields, .n_fields = 2,
                                  .now_ms = 1763650800000ULL };
    struct sx_s3_post_range range;
    struct sx_err e = SX_ERR_INIT;

    if (sx_s3_post_check(&p, &range, &e) != 0)
        sx_assert(e.code == SX_S3_INVALID_POLICY_DOCUMENT || e.code == SX_S3_ACCESS_DENIED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO_FREE char *text = sx_strndup((const char *)data, n);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_base64(&b, data, n, false);
    check(sx_buf_cstr(&b));
    check(text);
    return 0;
}
