/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Conditions, ranges, sources of copies, and policies of forms.
 */
#include <stdio.h>

#include "fcgi/s3/cond.h"
#include "fcgi/s3/postpolicy.h"
#include "fcgi/s3/range.h"
#include "fcgi/s3/s3err.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static struct sx_err e;
static const struct sx_s3_entity entity = { "abc-2", 784111777999ULL };

static void test_etags(void **state)
{
    static const struct {
        const char *list;
        bool weakly, strongly;
    } rows[] = {
        { "\"abc-2\"", true, true },        { "abc-2", true, true },
        { "W/\"abc-2\"", true, false },     { "*", true, true },
        { "\"x\", \"abc-2\"", true, true }, { "\"x\",W/\"abc-2\" ,\"y\"", true, false },
        { "\"abc-2", false, false },        { "\"abc\"", false, false },
        { "", false, false },               { " , ", false, false },
        { "\"\"", false, false },           { "\"\", \"abc-2\"", true, true },
        { "x abc-2", true, true },          { "\"x,abc-2\"", false, false },
        { "\"ABC-2\"", false, false },      { "W/abc-2", false, false },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        assert_int_equal(sx_s3_etag_listed(rows[i].list, "abc-2", false), rows[i].weakly);
        assert_int_equal(sx_s3_etag_listed(rows[i].list, "abc-2", true), rows[i].strongly);
    }
}

#define YES "\"abc-2\""
#define NO "\"other\""
#define GO SX_S3_COND_GO
#define SAME_304 SX_S3_COND_NOT_MODIFIED
#define FAIL SX_S3_COND_FAILED

static void test_read(void **state)
{
    static const struct {
        struct sx_s3_cond c; /* match, none_match, modified_since, unmodified_since */
        enum sx_s3_verdict want;
    } rows[] = {
        { { NULL, NULL, NULL, NULL }, GO },     { { YES, NULL, NULL, NULL }, GO },
        { { NO, NULL, NULL, NULL }, FAIL },     { { "*", NULL, NULL, NULL }, GO },
        { { "W/" YES, NULL, NULL, NULL }, FAIL },
        { { NULL, YES, NULL, NULL }, SAME_304 }, { { NULL, NO, NULL, NULL }, GO },
        { { NULL, "*", NULL, NULL }, SAME_304 }, { { NULL, "W/" YES, NULL, NULL }, SAME_304 },
        { { NULL, NULL, BEFORE, NULL }, GO },   { { NULL, NULL, SAME, NULL }, SAME_304 },
        { { NULL, NULL, AFTER, NULL }, SAME_304 }, { { NULL, NULL, "never", NULL }, GO },
        { { NULL, NULL, NULL, BEFORE }, FAIL }, { { NULL, NULL, NULL, SAME }, GO },
        { { NULL, NULL, NULL, AFTER }, GO },    { { NULL, NULL, NULL, "never" }, GO },
        { { YES, NULL, NULL, BEFORE }, GO },    { { NO, NULL, NULL, AFTER }, FAIL },
        { { NULL, YES, BEFORE, NULL }, SAME_304 }, { { NULL, NO, AFTER, NULL }, GO },
        { { YES, YES, NULL, NULL }, SAME_304 }, { { NO, YES, NULL, NULL }, FAIL },
        { { NULL, YES, NULL, BEFORE }, FAIL },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        enum sx_s3_verdict got = sx_s3_cond_read(&rows[i].c, &entity, false);

        if (got != rows[i].want)
            fail_msg("row %zu: %d", i, got);
        got = sx_s3_cond_read(&rows[i].c, &entity, true);
        assert_int_equal(got, rows[i].want == GO ? GO : FAIL);
    }
}

static void test_headers(void **state)
{
    static const struct sx_header h[] = { { "If-Match", "a" }, { "IF-NONE-MATCH", "b" },
                                          { "If-Modified-Since", "c" },
                                          { "If-Unmodified-Since", "d" },
                                          { "X-Amz-Copy-Source-If-Match", "e" } };
    struct sx_s3_cond c;

    sx_s3_cond_headers(&c, h, N_OF(h), "");
    assert_string_equal(c.match, "a");
    assert_string_equal(c.none_match, "b");
    assert_string_equal(c.modified_since, "c");
    assert_string_equal(c.unmodified_since, "d");
    sx_s3_cond_headers(&c, h, N_OF(h), "x-amz-copy-source-");
    assert_string_equal(c.match, "e");
    assert_null(c.none_match);
    assert_true(sx_s3_cond_if_range(NULL, &entity));
    assert_true(sx_s3_cond_if_range(YES, &entity));
    assert_false(sx_s3_cond_if_range("W/" YES, &entity));
    assert_true(sx_s3_cond_if_range(SAME, &entity));
    assert_false(sx_s3_cond_if_range(AFTER, &entity));
}

static void test_write(void **state)
{
    static const struct {
        const char *match, *none_match, *etag;
        int code;
    } rows[] = {
        { NULL, NULL, NULL, 0 },           { NULL, NULL, "x", 0 },
        { NULL, "*", NULL, 0 },            { NULL, "*", "x", SX_S3_PRECONDITION_FAILED },
        { "\"x\"", NULL, "x", 0 },         { "x", NULL, "x", 0 },
        { "\"x\"", NULL, "y", SX_S3_PRECONDITION_FAILED },
        { "\"x\"", NULL, NULL, SX_S3_NO_SUCH_KEY },
        { "*", NULL, NULL, SX_S3_NO_SUCH_KEY }, { "*", NULL, "y", 0 },
        { NULL, "\"x\"", "y", SX_S3_NOT_IMPLEMENTED }, { "*", "*", "y", SX_S3_NOT_IMPLEMENTED },
        { "\"x\", \"y\"", NULL, "x", SX_S3_INVALID_ARGUMENT },
        { "W/\"x\"", NULL, "x", SX_S3_INVALID_ARGUMENT }, { "", NULL, "x", SX_S3_INVALID_ARGUMENT },
        { "\"x", NULL, "x", SX_S3_INVALID_ARGUMENT },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, "x",
          SX_S3_INVALID_ARGUMENT },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sx_s3_write_cond w;
        int r;

        sx_err_clear(&e);
        r = sx_s3_cond_write(&w, rows[i].match, rows[i].none_match, &e);
        if (r == 0)
            r = sx_s3_cond_write_check(&w, rows[i].etag, &e);
        assert_int_equal(r, rows[i].code ? -1 : 0);
        if (rows[i].code)
            assert_string_equal(sx_s3_err_name(e.code), sx_s3_err_name(rows[i].code));
    }
}

static void test_ranges(void **state)
{
#define WHOLE SX_S3_RANGE_WHOLE
#define PART SX_S3_RANGE_PART
#define NONE SX_S3_RANGE_NONE
    static const struct {
        const char *value;
        uint64_t size;
        enum sx_s3_range_kind kind;
        uint64_t first, count;
    } rows[] = {
        { NULL, 10, WHOLE, 0, 10 },          { "bytes=0-0", 10, PART, 0, 1 },
        { "bytes=0-9", 10, PART, 0, 10 },    { "bytes=0-10", 10, PART, 0, 10 },
        { "bytes=9-", 10, PART, 9, 1 },      { "bytes=10-", 10, NONE, 0, 0 },
        { "bytes=10-11", 10, NONE, 0, 0 },   { "bytes=-1", 10, PART, 9, 1 },
        { "bytes=-10", 10, PART, 0, 10 },    { "bytes=-11", 10, PART, 0, 10 },
        { "bytes=-0", 10, NONE, 0, 0 },      { "bytes=0-", 0, NONE, 0, 0 },
        { "bytes=-5", 0, NONE, 0, 0 },       { "bytes=2-1", 10, WHOLE, 0, 10 },
        { "bytes=0-1,3-4", 10, WHOLE, 0, 10 }, { "bytes=", 10, WHOLE, 0, 10 },
        { "bytes=-", 10, WHOLE, 0, 10 },     { "bytes=a-b", 10, WHOLE, 0, 10 },
        { "items=0-1", 10, WHOLE, 0, 10 },   { "", 10, WHOLE, 0, 10 },
        { "BYTES=1-2", 10, PART, 1, 2 },     { "bytes=1-2 ", 10, WHOLE, 0, 10 },
        { "bytes=1-99999999999999999999999", 10, PART, 1, 9 },
        { "bytes=99999999999999999999999-", 10, NONE, 0, 0 },
        { "bytes=-99999999999999999999999", 10, PART, 0, 10 },
        { "bytes=0-18446744073709551615", UINT64_MAX, PART, 0, UINT64_MAX },
        { "bytes=+1-2", 10, WHOLE, 0, 10 },  { "bytes=--1", 10, WHOLE, 0, 10 },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sx_s3_range r;

        sx_s3_range_parse(rows[i].value, rows[i].size, &r);
        if (r.kind != rows[i].kind || r.first != rows[i].first || r.count != rows[i].count)
            fail_msg("%s: %d %llu %llu", rows[i].value, r.kind, (unsigned long long)r.first,
                     (unsigned long long)r.count);
    }
}

static void test_copy_ranges(void **state)
{
    static const char *const bad[] = { "", "bytes=0-", "bytes=-5", "bytes=0-10", "bytes=5-4",
                                       "0-5", "bytes=0-1,2-3", "bytes=10-10" };
    struct sx_s3_range r;

    assert_done(sx_s3_copy_range_parse("bytes=0-9", 10, &r, &e), &e);
    assert_true(r.first == 0 && r.count == 10);
    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(sx_s3_copy_range_parse(bad[i], 10, &r, &e), -1);
        assert_int_equal(e.code, SX_S3_INVALID_ARGUMENT);
    }
}

static void test_copy_source(void **state)
{
    static const struct {
        const char *value, *bucket, *key, *version;
    } rows[] = {
        { "/b/k", "b", "k", NULL },              { "b/k", "b", "k", NULL },
        { "b/a/b//c", "b", "a/b//c", NULL },     { "b%2Fk", "b", "k", NULL },
        { "%2Fb%2fk%2Fl", "b", "k/l", NULL },    { "b//k", "b", "/k", NULL },
        { "b/a%20b+c%3Fd", "b", "a b+c?d", NULL }, { "b/k?versionId=v1", "b", "k", "v1" },
        { "b/k?versionId=a%2Bb", "b", "k", "a+b" }, { "b/\xc3\xa9", "b", "\xc3\xa9", NULL },
        { "b/k?other=1", "b", "k", NULL },
    };
    static const char *const bad[] = { "", "/", "b", "/b", "b/", "/b/", "b/%zz", "b/%00", "b/%ff",
                                       "b/k?versionId=", "b/k?versionId=%zz", "?versionId=1",
                                       "//k", "%/k" };
    struct sx_s3_copy_source c;

    for (size_t i = 0; i < N_OF(rows); i++) {
        assert_done(sx_s3_copy_source_parse(rows[i].value, &c, &e), &e);
        assert_string_equal(c.bucket, rows[i].bucket);
        assert_string_equal(c.key, rows[i].key);
        if (rows[i].version)
            assert_string_equal(c.version, rows[i].version);
        else
            assert_null(c.version);
        sx_s3_copy_source_fini(&c);
    }
    for (size_t i = 0; i < N_OF(bad); i++) {
        if (sx_s3_copy_source_parse(bad[i], &c, &e) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(e.code, SX_S3_INVALID_ARGUMENT);
        sx_s3_copy_source_fini(&c);
    }
}

#define NOW_MS 1451390400000ULL /* 2015-12-29T12:00:00Z */
#define POLICY(conditions)                                                                         \
    "{\"expiration\": \"2015-12-29T12:00:00.000Z\", \"conditions\": [" conditions "]}"

static const struct sx_s3_field fields[] = {
    { "bucket", "b" },      { "Key", "user/a" },       { "Content-Type", "image/png,image/gif" },
    { "policy", "…" },      { "x-amz-signature", "…" }, { "x-ignore-me", "1" },
};

static int check(const char *policy, uint64_t now_ms, struct sx_s3_post_range *range)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_s3_post p = { .fields = fields, .n_fields = N_OF(fields), .now_ms = now_ms };

    sx_base64(&b, policy, strlen(policy), false);
    p.policy = sx_buf_cstr(&b);
    sx_err_clear(&e);
    return sx_s3_post_check(&p, range, &e);
}

#define KEY "[\"starts-with\", \"$key\", \"user/\"]"
#define TYPE "[\"starts-with\", \"$content-type\", \"image/\"]"
#define BOTH KEY ", " TYPE

static void test_policy(void **state)
{
    static const struct {
        const char *policy;
        int code;
    } rows[] = {
        { POLICY(BOTH), 0 },
        { POLICY(BOTH ", {\"bucket\": \"b\"}, [\"eq\", \"$KEY\", \"user/a\"]"), 0 },
        { POLICY(BOTH ", [\"starts-with\", \"$absent\", \"\"]"), 0 },
        { POLICY(BOTH ", {\"bucket\": \"c\"}"), SX_S3_ACCESS_DENIED },
        { POLICY(BOTH ", {\"bucket\": \"b\", \"acl\": \"private\"}"), SX_S3_ACCESS_DENIED },
        { POLICY(BOTH ", [\"eq\", \"$absent\", \"x\"]"), SX_S3_ACCESS_DENIED },
        { POLICY(KEY ", [\"starts-with\", \"$content-type\", \"image/p\"]"), SX_S3_ACCESS_DENIED },
        { POLICY(KEY), SX_S3_ACCESS_DENIED }, /* content-type is not named */
        { POLICY(TYPE ", [\"starts-with\", \"$key\", \"user/ab\"]"), SX_S3_ACCESS_DENIED },
        { POLICY(""), SX_S3_ACCESS_DENIED },
        { POLICY(BOTH ", [\"content-length-range\", 10, 5]"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", [\"content-length-range\", -1, 5]"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", [\"content-length-range\", 1]"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", [\"like\", \"$key\", \"a\"]"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", [\"eq\", \"key\", \"a\"]"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", [\"eq\", \"$key\", 1]"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", {\"key\": 1}"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", {}"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ", 1"), SX_S3_INVALID_POLICY_DOCUMENT },
        { POLICY(BOTH ","), SX_S3_INVALID_POLICY_DOCUMENT },
        { "", SX_S3_INVALID_POLICY_DOCUMENT },
        { "[]", SX_S3_INVALID_POLICY_DOCUMENT },
        { "{\"conditions\": []}", SX_S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\": \"2015-12-29T12:00:00Z\"}", SX_S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\": \"soon\", \"conditions\": []}", SX_S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\": \"2015-12-29T12:00:00Z\", \"conditions\": [], \"x\": 1}",
          SX_S3_INVALID_POLICY_DOCUMENT },
    };
    struct sx_s3_post_range range;

    for (size_t i = 0; i < N_OF(rows); i++) {
        int r = check(rows[i].policy, NOW_MS, &range);

        if (r != (rows[i].code ? -1 : 0) || e.code != rows[i].code)
            fail_msg("%s: %s", rows[i].policy, sx_s3_err_name(e.code));
    }
    assert_int_equal(check(POLICY(BOTH), NOW_MS + 1, &range), -1);
    assert_int_equal(e.code, SX_S3_ACCESS_DENIED);
    assert_int_equal(check(POLICY(BOTH ", [\"content-length-range\", 2, \"9\"]"), NOW_MS, &range), 0);
    assert_true(range.min == 2 && range.max == 9);
}

static void test_policy_text(void **state)
{
    struct sx_s3_post p = { .policy = "no base64!" };
    struct sx_s3_post_range range;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    assert_int_equal(sx_s3_post_check(&p, &range, &e), -1);
    assert_int_equal(e.code, SX_S3_INVALID_POLICY_DOCUMENT);
    memset(sx_buf_extend(&b, SX_S3_POLICY_SIZE_MAX + 4), 'A', SX_S3_POLICY_SIZE_MAX + 4);
    p.policy = sx_buf_cstr(&b);
    assert_int_equal(sx_s3_post_check(&p, &range, &e), -1);
    assert_int_equal(e.code, SX_S3_INVALID_POLICY_DOCUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etags),       cmocka_unit_test(test_read),
        cmocka_unit_test(test_headers),     cmocka_unit_test(test_write),
        cmocka_unit_test(test_ranges),      cmocka_unit_test(test_copy_ranges),
        cmocka_unit_test(test_copy_source), cmocka_unit_test(test_policy),
        cmocka_unit_test(test_policy_text),
    };

    return cmocka_run_group_tests_name("s3_cond", tests, NULL, NULL);
}
