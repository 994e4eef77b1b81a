/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What requests ask for: every operation in both styles, keys byte for byte, hosts, queries, and
 * the names of buckets.
 */
#include <stdio.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/target.h"
#include "libsx/auth/sigv2.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static struct sx_err e;
static const char *const domains[] = { "s3.example.com", "example.com", NULL };

static int parse(const char *method, const char *host, const char *path, const char *query,
                 struct sx_s3_target *t)
{
    const struct sx_s3_request r = { .method = method, .host = host, .path = path, .query = query,
                                     .domains = domains };

    sx_err_clear(&e);
    return sx_s3_target_parse(&r, t, &e);
}

/* What clients send for each operation, from the API's reference. */
static void test_operations(void **state)
{
    static const struct {
        const char *method, *path, *query;
        bool copy;
        enum sx_s3_op op;
    } rows[] = {
        { "GET", "/", "x-id=ListBuckets", false, SX_S3_OP_LIST_BUCKETS },
        { "PUT", "/b", "", false, SX_S3_OP_CREATE_BUCKET },
        { "PUT", "/b/", "", false, SX_S3_OP_CREATE_BUCKET },
        { "HEAD", "/b/", "", false, SX_S3_OP_HEAD_BUCKET },
        { "GET", "/b", "location", false, SX_S3_OP_GET_BUCKET_LOCATION },
        { "GET", "/b", "location=", false, SX_S3_OP_GET_BUCKET_LOCATION },
        { "GET", "/b", "prefix=&delimiter=%2F&max-keys=2", false, SX_S3_OP_LIST_OBJECTS },
        { "GET", "/b", "list-type=1", false, SX_S3_OP_LIST_OBJECTS },
        { "GET", "/b/", "list-type=2&prefix", false, SX_S3_OP_LIST_OBJECTS_V2 },
        { "GET", "/b", "versions&prefix=a", false, SX_S3_OP_LIST_OBJECT_VERSIONS },
        { "GET", "/b", "uploads=&prefix=a", false, SX_S3_OP_LIST_MULTIPART_UPLOADS },
        { "POST", "/b", "delete", false, SX_S3_OP_DELETE_OBJECTS },
        { "POST", "/b", "", false, SX_S3_OP_POST_OBJECT },
        { "PUT", "/b/k", "x-id=PutObject", false, SX_S3_OP_PUT_OBJECT },
        { "PUT", "/b/k", "", true, SX_S3_OP_COPY_OBJECT },
        { "PUT", "/b/k", "acl", true, SX_S3_OP_PUT_OBJECT_ACL },
        { "PUT", "/b/k", "partNumber=1&uploadId=u", false, SX_S3_OP_UPLOAD_PART },
        { "PUT", "/b/k", "partNumber=1&uploadId=u", true, SX_S3_OP_UPLOAD_PART_COPY },
        { "POST", "/b/k", "uploads", false, SX_S3_OP_CREATE_MULTIPART_UPLOAD },
        { "POST", "/b/k", "uploadId=u", false, SX_S3_OP_COMPLETE_MULTIPART_UPLOAD },
        { "DELETE", "/b/k", "uploadId=u", false, SX_S3_OP_ABORT_MULTIPART_UPLOAD },
        { "GET", "/b/k", "uploadId=u&max-parts=2", false, SX_S3_OP_LIST_PARTS },
        { "GET", "/b/k", "partNumber=1", false, SX_S3_OP_GET_OBJECT },
        { "GET", "/b/k", "versionId=1&response-content-type=a%2Fb", false, SX_S3_OP_GET_OBJECT },
        { "GET", "/b/k", "attributes", false, SX_S3_OP_GET_OBJECT_ATTRIBUTES },
        { "GET", "/b/k", "foo=bar", false, SX_S3_OP_GET_OBJECT },
        { "DELETE", "/b/k", "versionId=1", false, SX_S3_OP_DELETE_OBJECT },
        { "POST", "/b/k", "select&select-type=2", false, SX_S3_OP_SELECT_OBJECT_CONTENT },
        { "GET", "/b", "inventory", false, SX_S3_OP_LIST_BUCKET_INVENTORY },
        { "GET", "/b", "inventory&id=1", false, SX_S3_OP_GET_BUCKET_INVENTORY },
        { "OPTIONS", "/b/k", "uploads", false, SX_S3_OP_PREFLIGHT_OBJECT },
        { "GET", "/b/k", "X-Amz-Algorithm=a&X-Amz-Security-Token=", false, SX_S3_OP_GET_OBJECT },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        const struct sx_s3_request r = { .method = rows[i].method, .path = rows[i].path,
                                         .query = rows[i].query, .has_copy_source = rows[i].copy };
        struct sx_s3_target t;

        assert_done(sx_s3_target_parse(&r, &t, &e), &e);
        assert_string_equal(sx_s3_op_name(t.op), sx_s3_op_name(rows[i].op));
        sx_s3_target_fini(&t);
    }
}

enum { SERVICE, BUCKET, OBJECT };
enum { PLAIN, COPY, LIST2, ID };

/* Every row of the table is reached by what it says, in path and in virtual-host style. */
static void test_every_row(void **state)
{
    static const struct {
        const char *method;
        int scope;
        const char *sub;
        int variant;
    } rows[] = {
#define SX_S3_OP(sym, name, action, method, scope, sub, variant) { method, scope, sub, variant },
#include "fcgi/s3/ops.def"
#undef SX_S3_OP
    };
    static const char *const variants[] = { "", "", "&list-type=2", "&id=x" };
    static const char *const paths[2][3] = { { "/", "/b", "/b/k" }, { "", "/", "/k" } };

    for (int i = 0; i < SX_S3_OP_N; i++) {
        bool upload = strcmp(rows[i].sub, "uploadId") == 0;

        for (int vhost = 0; vhost < (rows[i].scope == SERVICE ? 1 : 2); vhost++) {
            SX_AUTO_FREE char *query = sx_asprintf("%s%s%s", rows[i].sub,
                                                   upload ? "=u&partNumber=1" : "",
                                                   variants[rows[i].variant]);
            const struct sx_s3_request r = { .method = rows[i].method,
                                             .host = vhost ? "b.s3.example.com" : "s3.example.com",
                                             .path = paths[vhost][rows[i].scope], .query = query,
                                             .has_copy_source = rows[i].variant == COPY,
                                             .domains = domains };
            struct sx_s3_target t;

            assert_done(sx_s3_target_parse(&r, &t, &e), &e);
            assert_int_equal(t.op, i);
            assert_int_equal(t.vhost, vhost);
            if (rows[i].scope != SERVICE)
                assert_string_equal(t.bucket, "b");
            sx_s3_target_fini(&t);
        }
        assert_true(sx_s3_op_name((enum sx_s3_op)i)[0]);
        assert_non_null(sx_s3_op_action((enum sx_s3_op)i, true));
    }
    assert_string_equal(sx_s3_op_action(SX_S3_OP_GET_OBJECT, true), "s3:GetObjectVersion");
    assert_string_equal(sx_s3_op_action(SX_S3_OP_GET_OBJECT, false), "s3:GetObject");
    assert_string_equal(sx_s3_op_action(SX_S3_OP_PUT_OBJECT, true), "s3:PutObject");
}

/* Signature V2 signs every parameter that names an operation, so that none can be added. */
static void test_v2_signs_subresources(void **state)
{
    static const char *const subs[] = {
#define SX_S3_OP(sym, name, action, method, scope, sub, variant) sub,
#include "fcgi/s3/ops.def"
#undef SX_S3_OP
    };

    for (size_t i = 0; i < N_OF(subs); i++) {
        SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
        SX_AUTO_FREE char *want = sx_asprintf("/b/k%s%s", subs[i][0] ? "?" : "", subs[i]);
        const struct sx_sig_request r = { .method = "PUT", .path = "/b/k", .query = subs[i] };

        sx_sigv2_text(&text, &r, NULL, NULL, i % 2);
        assert_string_equal(strstr(sx_buf_cstr(&text), "/b/k"), want);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *method, *path, *query;
        enum sx_s3_code code;
    } rows[] = {
        { "PUT", "/b/k", "newThing", SX_S3_NOT_IMPLEMENTED },
        { "PUT", "/b/k", "newThing=", SX_S3_NOT_IMPLEMENTED },
        { "GET", "/b/k", "newThing", SX_S3_NOT_IMPLEMENTED },
        { "GET", "/b", "acl&policy", SX_S3_INVALID_ARGUMENT },
        { "PUT", "/b/k", "uploadId=u&acl", SX_S3_INVALID_ARGUMENT },
        { "PUT", "/b/k", "uploadId=u", SX_S3_INVALID_ARGUMENT },
        { "PUT", "/b/k", "partNumber=1", SX_S3_INVALID_ARGUMENT },
        { "GET", "/b", "prefix=a&prefix=b", SX_S3_INVALID_ARGUMENT },
        { "GET", "/b/k", "policy", SX_S3_METHOD_NOT_ALLOWED },
        { "POST", "/b/k", "", SX_S3_METHOD_NOT_ALLOWED },
        { "PATCH", "/b/k", "", SX_S3_METHOD_NOT_ALLOWED },
        { "get", "/b/k", "", SX_S3_METHOD_NOT_ALLOWED },
        { "DELETE", "/", "", SX_S3_METHOD_NOT_ALLOWED },
        { "PUT", "/b", "versions", SX_S3_METHOD_NOT_ALLOWED },
        { "GET", "//k", "", SX_S3_INVALID_BUCKET_NAME },
        { "GET", "b/k", "", SX_S3_INVALID_URI },
        { "GET", "/b/%zz", "", SX_S3_INVALID_URI },
        { "GET", "/b/a%00", "", SX_S3_INVALID_URI },
        { "GET", "/b/a%", "", SX_S3_INVALID_URI },
        { "GET", "/b/%ff", "", SX_S3_INVALID_URI },
        { "GET", "/b/%ed%a0%80", "", SX_S3_INVALID_URI },
        { "GET", "/b%zz/k", "", SX_S3_INVALID_URI },
        { "GET", "/b", "prefix=%zz", SX_S3_INVALID_URI },
        { "GET", "/b", "%00=a", SX_S3_INVALID_URI },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sx_s3_target t;

        assert_int_equal(parse(rows[i].method, NULL, rows[i].path, rows[i].query, &t), -1);
        if (e.code != (int)rows[i].code)
            fail_msg("%s %s?%s: %s", rows[i].method, rows[i].path, rows[i].query,
                     sx_s3_err_name(e.code));
        sx_s3_target_fini(&t);
    }
}

static void test_keys(void **state)
{
    static const char *const rows[][2] = {
        { "/b/a", "a" },           { "/b/a/", "a/" },
        { "/b//a", "/a" },         { "/b//", "/" },
        { "/b/..", ".." },         { "/b/a/../b/./", "a/../b/./" },
        { "/b/a+b", "a+b" },       { "/b/a%2Bb%20c", "a+b c" },
        { "/b/a%2Fb", "a/b" },     { "/b/%2F", "/" },
        { "/b/%252F", "%2F" },     { "/b/a%3Fb%23%25", "a?b#%" },
        { "/b/%E2%82%AC\xc3\xa9", "\xe2\x82\xac\xc3\xa9" },
        { "/b/%F0%9F%98%80", "\xf0\x9f\x98\x80" },
        { "/b/a%0Ab%01", "a\nb\x01" },
        { "/%62/k", "k" },         { "/b/'\"<>&", "'\"<>&" },
    };
    char path[3 * 1026 + 4] = "/b/";

    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sx_s3_target t;

        assert_int_equal(parse("GET", "127.0.0.1", rows[i][0], NULL, &t), 0);
        assert_string_equal(t.bucket, "b");
        assert_string_equal(t.key, rows[i][1]);
        sx_s3_target_fini(&t);
    }
    for (int n = 1023; n <= 1025; n++) {
        struct sx_s3_target t;

        for (int i = 0; i < n; i++)
            memcpy(path + 3 + 3 * i, "%61", 4);
        assert_int_equal(parse("GET", NULL, path, NULL, &t), n <= 1024 ? 0 : -1);
        if (n > 1024)
            assert_int_equal(e.code, SX_S3_KEY_TOO_LONG);
        sx_s3_target_fini(&t);
    }
}

static void test_hosts(void **state)
{
    static const struct {
        const char *host, *path, *bucket, *key;
    } rows[] = {
        { "s3.example.com", "/b/k", "b", "k" },
        { "s3.example.com:8443", "/b/k", "b", "k" },
        { "S3.Example.COM.", "/b/k", "b", "k" },
        { "b.s3.example.com", "/k/l", "b", "k/l" },
        { "My.Bucket.S3.example.com:8443", "//k", "my.bucket", "/k" },
        { "b.s3.example.com", "/", "b", NULL },
        { "b.example.com", "/k", "b", "k" },
        { "example.com", "/b", "b", NULL },
        { "xs3.example.com", "/k", "xs3", "k" },
        { ".s3.example.com", "/b/k", "b", "k" },
        { "other.org", "/b/k", "b", "k" },
        { "[::1]:8443", "/b/k", "b", "k" },
        { "", "/b/k", "b", "k" },
        { NULL, "/b/k", "b", "k" },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        struct sx_s3_target t;

        assert_int_equal(parse("GET", rows[i].host, rows[i].path, NULL, &t), 0);
        assert_string_equal(t.bucket, rows[i].bucket);
        if (rows[i].key)
            assert_string_equal(t.key, rows[i].key);
        else
            assert_null(t.key);
        sx_s3_target_fini(&t);
    }
}

static void test_query(void **state)
{
    static const uint64_t range[2] = { 1, 1000 };
    static const char *const bad[] = { "n=", "n", "n=0", "n=1001", "n=-1", "n=1x", "n=%201",
                                       "n=18446744073709551617" };
    struct sx_s3_query q;
    SX_AUTO(sx_buf) struct sx_buf many = SX_BUF_INIT;
    uint64_t v;

    assert_done(sx_s3_query_parse("&a=b+c%2B&&d&e=%C3%A9=1&n=1000", &q, &e), &e);
    assert_string_equal(sx_s3_query_get(&q, "a"), "b c+");
    assert_string_equal(sx_s3_query_get(&q, "d"), "");
    assert_string_equal(sx_s3_query_get(&q, "e"), "\xc3\xa9=1");
    assert_null(sx_s3_query_get(&q, "f"));
    assert_done(sx_s3_query_u64(&q, "n", range, 5, &v, &e), &e);
    assert_true(v == 1000);
    assert_done(sx_s3_query_u64(&q, "m", range, 5, &v, &e), &e);
    assert_true(v == 5);
    sx_s3_query_fini(&q);
    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_done(sx_s3_query_parse(bad[i], &q, &e), &e);
        assert_int_equal(sx_s3_query_u64(&q, "n", range, 5, &v, &e), -1);
        assert_int_equal(e.code, SX_S3_INVALID_ARGUMENT);
        sx_s3_query_fini(&q);
    }
    for (int i = 0; i <= SX_SIG_PARAMS_MAX; i++)
        sx_buf_printf(&many, "p%d=1&", i);
    assert_int_equal(sx_s3_query_parse(sx_buf_cstr(&many), &q, &e), -1);
    sx_s3_query_fini(&q);
}

static void test_bucket_names(void **state)
{
    static const char *const good[] = {
        "abc", "a-b.c", "1.2.3", "123", "a1b2c3", "my.bucket.example", "x--n",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz12345678901",
    };
    static const char *const bad[] = {
        "", "a", "ab", "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.5.4", "xn--a",
        "sthree-a", "amzn-s3-demo-a", "a-s3alias", "a--ol-s3", "a.mrap", "a--x-s3", "a--table-s3",
        "a b", "a/b", "a%b", "\xc3\xa9t\xc3\xa9", "abc\n",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz123456789012",
    };

    for (size_t i = 0; i < N_OF(good); i++)
        assert_done(sx_s3_bucket_name(good[i], &e), &e);
    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(sx_s3_bucket_name(bad[i], &e), -1);
        assert_int_equal(e.code, SX_S3_INVALID_BUCKET_NAME);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations), cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_v2_signs_subresources),
        cmocka_unit_test(test_hosts),      cmocka_unit_test(test_query),
        cmocka_unit_test(test_bucket_names),
    };

    return cmocka_run_group_tests_name("s3_target", tests, NULL, NULL);
}
