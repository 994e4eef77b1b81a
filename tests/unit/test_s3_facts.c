/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an object is beside its bytes: from headers to items and back; tags; ETags.
 */
#include <string.h>

#include "fcgi/s3/facts.h"
#include "fcgi/s3/s3err.h"
#include "tests/unit/unit.h"

static json_t *read_one(const char *name, const char *value, int *code)
{
    const struct sx_header h = { name, value };
    struct sx_err e = SX_ERR_INIT;
    json_t *o = json_object();

    *code = sx_s3_facts_read(&h, 1, o, &e) == 0 ? SX_OK : (int)e.code;
    return o;
}

static void assert_item(const char *name, const char *value, const char *item, const char *want)
{
    int code;
    SX_AUTO_JSON json_t *o = read_one(name, value, &code);

    assert_int_equal(code, SX_OK);
    assert_int_equal(json_object_size(o), item != NULL);
    if (item)
        assert_string_equal(sx_s3_item(o, item), want);
}

static void test_items(void **state)
{
    assert_item("content-type", "text/x", "s3.type", "text/x");
    assert_item("content-encoding", "aws-chunked,gzip", "s3.encoding", "gzip");
    assert_item("content-encoding", "aws-chunked", NULL, NULL);
    assert_item("x-amz-meta-colour", "blue", "colour", "blue");
    assert_item("x-amz-meta-s3.etag", "mine", "s3.meta.s3.etag", "mine");
    assert_item("x-amz-meta-latin", "\xe4", "latin", "\xc3\xa4");
    assert_item("x-amz-storage-class", "STANDARD", NULL, NULL);
    assert_item("x-amz-storage-class", "GLACIER", "s3.class", "GLACIER");
    assert_item("x-amz-tagging", "a=b", "s3.tags", "a=b");
    assert_item("x-amz-other", "x", NULL, NULL);
}

static void test_refused(void **state)
{
    char long_value[SX_S3_META_MAX + 2];
    int code;

    memset(long_value, 'x', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = 0;
    json_decref(read_one("x-amz-meta-a", long_value, &code));
    assert_int_equal(code, SX_S3_METADATA_TOO_LARGE);
    json_decref(read_one("x-amz-meta-", "x", &code));
    assert_int_equal(code, SX_S3_METADATA_TOO_LARGE);
    json_decref(read_one("x-amz-storage-class", "CHEAP", &code));
    assert_int_equal(code, SX_S3_INVALID_STORAGE_CLASS);
    json_decref(read_one("x-amz-tagging", "a=b&a=c", &code));
    assert_int_equal(code, SX_S3_INVALID_TAG);
}

/* Items that a native client set cannot make lines of their own. */
static void test_headers(void **state)
{
    SX_AUTO_JSON json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "s3.type",
                                       "a\r\nEvil: 1", "k", "v\x01w", "bad name", "x", "s3.tags",
                                       "a=b&c=d", "s3.meta.s3.x", "y", "s3.acl", "hidden");
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    const char *text;

    sx_s3_facts_headers(o, &b);
    text = sx_buf_cstr(&b);
    assert_non_null(strstr(text, "Content-Type: a  Evil: 1\r\n"));
    assert_non_null(strstr(text, "x-amz-meta-k: v w\r\n"));
    assert_non_null(strstr(text, "x-amz-meta-s3.x: y\r\n"));
    assert_non_null(strstr(text, "x-amz-tagging-count: 2\r\n"));
    assert_null(strstr(text, "bad name"));
    assert_null(strstr(text, "hidden"));
}

static void test_etag(void **state)
{
    const struct sx_file f = { .etag = { 0xab } };
    SX_AUTO_JSON json_t *own = json_pack("{s:s}", "s3.etag", "0123-2");
    SX_AUTO_JSON json_t *evil = json_pack("{s:s}", "s3.etag", "0\r\nX: y");
    char etag[SX_S3_ETAG_TEXT];

    sx_s3_etag(&f, own, etag);
    assert_string_equal(etag, "0123-2");
    sx_s3_etag(&f, evil, etag);
    assert_string_equal(etag, "ab000000000000000000000000000000-1");
}

static void test_tags(void **state)
{
    static const struct {
        const char *text;
        bool good;
        unsigned n;
    } rows[] = {
        { "", true, 0 }, { "a", true, 1 }, { "a=", true, 1 }, { "a=b&c=d", true, 2 },
        { "=b", false, 0 }, { "a=b&", false, 0 }, { "a=b&a=c", false, 0 }, { "a=%zz", false, 0 },
        { "%e4%b8%ad=%20", true, 1 }, { "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=0", true, 10 },
        { "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=0&k=1", false, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sx_err e = SX_ERR_INIT;

        if ((sx_s3_tags_check(rows[i].text, &e) == 0) != rows[i].good)
            fail_msg("%s", rows[i].text);
        if (rows[i].good)
            assert_int_equal(sx_s3_tags_count(rows[i].text), rows[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_etag), cmocka_unit_test(test_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
