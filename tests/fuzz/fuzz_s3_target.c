/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Targets, ranges, conditions, sources of copies, dates.  Input: three lines, method, path?query,
 * and a header's value that is tried as each of those.
 */
#include "fcgi/s3/cond.h"
#include "fcgi/s3/range.h"
#include "fcgi/s3/s3err.h"
#include "fcgi/s3/target.h"
#include "libsx/base/date.h"
#include "libsx/base/text.h"
#include "tests/fuzz/fuzz.h"

static const char *const lines[] = {
    "GET\n/bucket/a%20b//..?versionId=1&response-content-type=a+b\nbytes=0-5",
    "PUT\n/bucket/k?partNumber=1&uploadId=u\n/bucket/key%2Fa?versionId=v1",
    "GET\n/bucket?list-type=2&prefix=a%2F&delimiter=%2F\n\"abc\", W/\"def\"",
    "DELETE\n/b/%F0%9F%98%80\nSun, 06 Nov 1994 08:49:37 GMT",
    "POST\n/b?delete\n1994-11-06T08:49:37.123+01:00",
    "HEAD\n/b/k\nbytes=-18446744073709551616",
};

const unsigned fuzz_seeds = 6;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, lines[i]);
}

static void check_target(const char *method, const char *path, const char *query, const char *host)
{
    static const char *const domains[] = { "s3.example.com", NULL };
    const struct sx_s3_request r = { .method = method, .host = host, .path = path, .query = query,
                                     .domains = domains };
    struct sx_err e = SX_ERR_INIT;
    struct sx_s3_target t;

    if (sx_s3_target_parse(&r, &t, &e) != 0) {
        sx_assert(e.code > SX_S3_ERR_BEFORE_FIRST && e.code < SX_S3_ERR_END);
    } else {
        sx_assert(t.op < SX_S3_OP_N && (!t.key || t.bucket));
        sx_assert(!t.key || (t.key[0] && strlen(t.key) <= SX_S3_KEY_MAX));
        sx_assert(!t.key || sx_utf8_valid(t.key, strlen(t.key)));
    }
    sx_s3_target_fini(&t);
}

static void check_ranges(const char *value)
{
    static const uint64_t sizes[] = { 0, 1, 10, UINT64_MAX };
    struct sx_s3_range r;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sx_s3_range_parse(value, sizes[i], &r);
        if (r.kind == SX_S3_RANGE_PART)
            sx_assert(r.count > 0);
        sx_assert(r.first <= sizes[i] && r.count <= sizes[i] - r.first);
        if (sx_s3_copy_range_parse(value, sizes[i], &r, NULL) == 0)
            sx_assert(r.count > 0 && r.first < sizes[i] && r.count <= sizes[i] - r.first);
    }
}

static void check_value(const char *value)
{
    const struct sx_s3_entity now = { "abc", 784111777000ULL };
    const struct sx_s3_cond all = { value, value, value, value };
    struct sx_s3_copy_source c;
    struct sx_s3_write_cond w;
    char text[SX_HTTP_DATE_TEXT];
    uint64_t ms, again;

    sx_assert(!sx_s3_etag_listed(value, "abc", true) || sx_s3_etag_listed(value, "abc", false));
    sx_s3_cond_read(&all, &now, false);
    sx_s3_cond_if_range(value, &now);
    if (sx_s3_cond_write(&w, value, NULL, NULL) == 0)
        sx_assert(w.kind == SX_S3_WRITE_EXISTS || w.kind == SX_S3_WRITE_ETAG);
    if (sx_s3_copy_source_parse(value, &c, NULL) == 0)
        sx_assert(c.bucket[0] && c.key[0] && strlen(c.key) <= SX_S3_KEY_MAX);
    sx_s3_copy_source_fini(&c);
    if (sx_http_date_parse(value, &ms) == 0)
        sx_assert(sx_http_date_parse(sx_http_date(text, ms), &again) == 0 && again == ms);
    if (sx_iso_date_parse(value, &ms) == 0)
        sx_assert(sx_iso_date_parse(sx_iso_date(text, ms), &again) == 0 && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO_FREE char *text = sx_strndup((const char *)data, n);
    const char *s = text;
    SX_AUTO_FREE char *method = fuzz_take_line(&s);
    SX_AUTO_FREE char *path = fuzz_take_line(&s);
    SX_AUTO_FREE char *value = fuzz_take_line(&s);
    char *query = strchr(path, '?');

    if (query)
        *query++ = '\0';
    check_target(method, path, query, "b.s3.example.com");
    check_target(method, path, query, value);
    check_ranges(value);
    check_value(value);
    return 0;
}
