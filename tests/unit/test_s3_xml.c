/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XML in and out, hostile documents first of all; and the error documents.
 */
#include <stdio.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/xml.h"
#include "fcgi/s3/xmlout.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static struct sx_err e;

static void refuse(const void *p, size_t n, enum sx_s3_code code)
{
    struct sx_xml *doc = NULL;

    sx_err_clear(&e);
    if (sx_xml_parse(p, n, NULL, &doc, &e) == 0)
        fail_msg("accepted: %.80s", (const char *)p);
    assert_null(doc);
    assert_string_equal(sx_s3_err_name(e.code), sx_s3_err_name((int)code));
}

static void test_tree(void **state)
{
    static const char text[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
        "  <Quiet> true </Quiet>\n"
        "  <Object><Key>a&amp;b &#x1F600;&lt;<![CDATA[<&]]></Key><Size>12</Size></Object>"
        "  <Object><Key> blanks\nkept </Key></Object><x:Object xmlns:x='urn:x' x:type='T'/><Object xsi:type='U'/>"
        "</Delete>\n";
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const struct sx_xml_node *top, *n;
    uint64_t v = 0;
    bool quiet = false;

    assert_done(sx_xml_parse(text, sizeof text - 1, "Delete", &doc, &e), &e);
    top = sx_xml_top(doc);
    assert_string_equal(top->name, "Delete");
    assert_int_equal(top->n_children, 5);
    assert_int_equal(sx_xml_count(top, "Object"), 4);
    assert_int_equal(sx_xml_get_bool(top, "Quiet", &quiet, &e), 1);
    assert_true(quiet);
    n = sx_xml_child(top, "Object");
    assert_string_equal(sx_xml_get(n, "Key"), "a&b \xf0\x9f\x98\x80<<&");
    assert_int_equal(sx_xml_get_u64(n, "Size", 12, &v, &e), 1);
    assert_true(v == 12);
    assert_int_equal(sx_xml_get_u64(n, "Size", 11, &v, &e), -1);
    n = sx_xml_next(n);
    assert_string_equal(sx_xml_get(n, "Key"), " blanks\nkept ");
    assert_int_equal(sx_xml_get_u64(n, "Size", 12, &v, &e), 0);
    n = sx_xml_next(n);
    assert_string_equal(sx_xml_attr(n, "type"), "T");
    assert_null(sx_xml_attr(n, "x"));
    assert_string_equal(n->text, "");
    n = sx_xml_next(n);
    assert_string_equal(sx_xml_attr(n, "type"), "U"); /* a prefix that nobody declared */
    assert_null(sx_xml_next(n));
    assert_null(sx_xml_get(n, "Key"));
}

/* What a document says of its encoding does not count. */
static void test_encoding(void **state)
{
    static const char *const texts[] = {
        "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xc3\xa9</a>",
        "<?xml version='1.0' encoding='UTF-16'?><a>\xc3\xa9</a>",
        "\xef\xbb\xbf<a>\xc3\xa9</a>",
    };

    for (size_t i = 0; i < N_OF(texts); i++) {
        SX_AUTO_XML struct sx_xml *doc = NULL;

        assert_done(sx_xml_parse(texts[i], strlen(texts[i]), "a", &doc, &e), &e);
        assert_string_equal(sx_xml_top(doc)->text, "\xc3\xa9");
    }
}

static void test_numbers(void **state)
{
    static const char *const bad[] = { "", " ", "-1", "+1", "1.0", "1 2", "0x1", "a",
                                       "18446744073709551616", "99999999999999999999999" };
    uint64_t v;
    bool b;

    for (size_t i = 0; i < N_OF(bad); i++) {
        SX_AUTO_FREE char *text = sx_asprintf("<a><n>%s</n></a>", bad[i]);
        SX_AUTO_XML struct sx_xml *doc = NULL;

        assert_done(sx_xml_parse(text, strlen(text), NULL, &doc, &e), &e);
        assert_int_equal(sx_xml_get_u64(sx_xml_top(doc), "n", UINT64_MAX, &v, &e), -1);
        assert_int_equal(e.code, SX_S3_MALFORMED_XML);
        assert_int_equal(sx_xml_get_bool(sx_xml_top(doc), "n", &b, &e), -1);
    }
}

static void test_children(void **state)
{
    static const char text[] = "<a><b/><c/><c/></a>";
    static const char *const good[] = { "c*", "b", NULL }, *const once[] = { "b", "c", NULL },
                             *const fewer[] = { "bb", "c*", NULL };
    SX_AUTO_XML struct sx_xml *doc = NULL;

    assert_done(sx_xml_parse(text, sizeof text - 1, "a", &doc, &e), &e);
    assert_done(sx_xml_check_children(sx_xml_top(doc), good, &e), &e);
    assert_int_equal(sx_xml_check_children(sx_xml_top(doc), once, &e), -1);
    assert_int_equal(sx_xml_check_children(sx_xml_top(doc), fewer, &e), -1);
    assert_int_equal(e.code, SX_S3_MALFORMED_XML);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        " ", "a", "<", "<a", "<a>", "<a></b>", "<a/><b/>", "<a>&nbsp;</a>", "<a>&#0;</a>",
        "<a>\x01</a>", "<a>\xff\xfe</a>", "<a>\xc0\xaf</a>", "<a b=1/>", "<a b='1' b='2'/>",
        "<a>&#x110000;</a>", "<x:a/>text", "<a><![CDATA[</a>", "<?xml version='1.0'?>", "{}",
        "<a>]]></a>", "<a>&b;</a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1:1/x\"> %x;]><a/>",
        "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">"
        "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\">]><a>&e;&e;&e;&e;&e;</a>",
    };

    for (size_t i = 0; i < N_OF(bad); i++)
        refuse(bad[i], strlen(bad[i]), SX_S3_MALFORMED_XML);
    refuse("", 0, SX_S3_MISSING_REQUEST_BODY);
    refuse("<a/>\0", 5, SX_S3_MALFORMED_XML);
    refuse("\xff\xfe<\0a\0/\0>\0", 10, SX_S3_MALFORMED_XML); /* UTF-16 */
    refuse("\x4c\x6f\xa7\x94\x93", 5, SX_S3_MALFORMED_XML);     /* EBCDIC */
    assert_int_equal(sx_xml_parse("<b/>", 4, "a", &(struct sx_xml *){ NULL }, &e), -1);
    assert_int_equal(e.code, SX_S3_MALFORMED_XML);
    assert_non_null(strstr(e.msg, "'b'"));
}

static void nest(struct sx_buf *b, unsigned depth)
{
    sx_buf_reset(b);
    for (unsigned i = 0; i < depth; i++)
        sx_buf_str(b, "<a>");
    for (unsigned i = 0; i < depth; i++)
        sx_buf_str(b, "</a>");
}

static void test_limits(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;

    nest(&b, SX_XML_DEPTH_MAX);
    assert_done(sx_xml_parse(b.data, b.len, NULL, &doc, &e), &e);
    nest(&b, SX_XML_DEPTH_MAX + 1);
    refuse(b.data, b.len, SX_S3_MALFORMED_XML);
    nest(&b, 100000);
    refuse(b.data, b.len, SX_S3_MALFORMED_XML);
    sx_buf_reset(&b);
    sx_buf_str(&b, "<a>");
    for (unsigned i = 0; i < SX_XML_NODES_MAX; i++)
        sx_buf_str(&b, "<b/>");
    sx_buf_str(&b, "</a>");
    refuse(b.data, b.len, SX_S3_MAX_MESSAGE_LENGTH);
    sx_buf_reset(&b);
    sx_buf_str(&b, "<a ");
    for (unsigned i = 0; i <= SX_XML_ATTRS_MAX; i++)
        sx_buf_printf(&b, "b%u='' ", i);
    sx_buf_str(&b, "/>");
    refuse(b.data, b.len, SX_S3_MAX_MESSAGE_LENGTH);
    sx_buf_reset(&b);
    memset(sx_buf_extend(&b, SX_XML_SIZE_MAX + 1), ' ', SX_XML_SIZE_MAX + 1);
    refuse(b.data, b.len, SX_S3_MAX_MESSAGE_LENGTH);
}

/* What a client completes its largest upload with. */
static void test_ten_thousand_parts(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const struct sx_xml_node *n;
    uint64_t number = 0, sum = 0;

    sx_xml_begin(&b);
    sx_xml_root(&b, "CompleteMultipartUpload");
    for (unsigned i = 1; i <= 10000; i++) {
        sx_xml_open(&b, "Part");
        sx_xml_elem(&b, "ETag", "\"d41d8cd98f00b204e9800998ecf8427e\"");
        sx_xml_elem(&b, "ChecksumCRC32", "y/Q5Jg==");
        sx_xml_elem(&b, "ChecksumCRC32C", "y/Q5Jg==");
        sx_xml_elem(&b, "ChecksumSHA1", "98O8HYCOBHMq32eZZczDTKeuNEE=");
        sx_xml_elem(&b, "ChecksumSHA256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        sx_xml_elem_u64(&b, "PartNumber", i);
        sx_xml_close(&b, "Part");
    }
    sx_xml_close(&b, "CompleteMultipartUpload");
    assert_done(sx_xml_parse(b.data, b.len, "CompleteMultipartUpload", &doc, &e), &e);
    for (n = sx_xml_child(sx_xml_top(doc), "Part"); n; n = sx_xml_next(n)) {
        assert_int_equal(sx_xml_get_u64(n, "PartNumber", 10000, &number, &e), 1);
        sum += number;
    }
    assert_true(sum == 10000ULL * 10001 / 2);
}

static void test_output(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } rows[] = {
        { "plain", 5, "<k>plain</k>" },
        { "<&>\"'", 5, "<k>&lt;&amp;&gt;&quot;'</k>" },
        { "a\tb\nc\rd", 7, "<k>a\tb\nc&#xD;d</k>" },
        { "\x01\x1f", 2, "<k>&#x1;&#x1F;</k>" },
        { "\xc3\xa9\xf0\x9f\x98\x80", 6, "<k>\xc3\xa9\xf0\x9f\x98\x80</k>" },
        { "\xff\xc3", 2, "<k>\xef\xbf\xbd\xef\xbf\xbd</k>" },
        { "\xef\xbf\xbf\xef\xbf\xbe", 6, "<k>&#xFFFF;&#xFFFE;</k>" },
        { "\xed\xa0\x80", 3, "<k>\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd</k>" },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

        sx_xml_elem_n(&b, "k", rows[i].in, rows[i].n);
        assert_string_equal(sx_buf_cstr(&b), rows[i].out);
    }
}

static void test_output_kinds(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_xml_elem_key(&b, "Key", "a /+\x01", 5, true);
    sx_xml_elem_key(&b, "Key", "a /+", 4, false);
    sx_xml_elem(&b, "None", NULL);
    sx_xml_elem_bool(&b, "T", true);
    sx_xml_elem_time(&b, "D", 784111777007ULL);
    sx_xml_elem_u64(&b, "N", UINT64_MAX);
    assert_string_equal(sx_buf_cstr(&b),
                        "<Key>a%20/%2B%01</Key><Key>a /+</Key><T>true</T>"
                        "<D>1994-11-06T08:49:37.007Z</D><N>18446744073709551615</N>");
}

static void test_errors(void **state)
{
    static const struct {
        int code, http;
        const char *name;
    } rows[] = {
        { SX_ENOFILE, 404, "NoSuchKey" },           { SX_ENOVOLUME, 404, "NoSuchBucket" },
        { SX_EPRECONDITION, 412, "PreconditionFailed" },
        { SX_ENOSPACE, 507, "InsufficientStorage" }, { SX_EQUOTA, 403, "QuotaExceeded" },
        { SX_EQUORUM, 503, "ServiceUnavailable" },   { SX_ECORRUPT, 503, "ServiceUnavailable" },
        { SX_EBUG, 500, "InternalError" },           { 999, 500, "InternalError" },
        { SX_S3_ERR_END, 500, "InternalError" },     { -1, 500, "InternalError" },
        { SX_S3_MALFORMED_XML, 400, "MalformedXML" },
        { SX_S3_SHA256_MISMATCH, 400, "XAmzContentSHA256Mismatch" },
        { SX_ECLOCK, 403, "RequestTimeTooSkewed" },  { SX_EUNSUPPORTED, 501, "NotImplemented" },
    };

    for (size_t i = 0; i < N_OF(rows); i++) {
        assert_int_equal(sx_s3_err_http(rows[i].code), rows[i].http);
        assert_string_equal(sx_s3_err_name(rows[i].code), rows[i].name);
    }
    assert_true(sx_s3_err_internal(SX_ENOSPACE));
    assert_true(sx_s3_err_internal(SX_EIO));
    assert_false(sx_s3_err_internal(SX_EUNSUPPORTED));
    assert_false(sx_s3_err_internal(SX_S3_SLOW_DOWN));
}

/* Each error that a client of the native API may repeat may be repeated here, and no other: 5xx
 * says so, but for 501 and 507. */
static void test_retryable(void **state)
{
    for (int code = SX_EINVAL; code <= SX_ENOKEY; code++) {
        int http = sx_s3_err_http(code);
        bool repeats = http >= 500 && http != 501 && http != 507;

        if (code == SX_ECONFIG || code == SX_EBLOCK || code == SX_ECERT)
            continue; /* the gateway's own troubles: 500 */
        if (repeats != (sx_err_retry(code) != SX_RETRY_NO))
            fail_msg("%s is %d", sx_err_name(code), http);
    }
}

static void test_error_document(void **state)
{
    static const struct sx_s3_err_extra extra[] = { { "Key", "a<b" }, { "Bucket", NULL }, { NULL } };
    const struct sx_s3_err_place place = { "/b/a%3Cb", "REQ", "HOST", extra };
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    assert_int_equal(sx_s3_fail(&e, SX_S3_NO_SUCH_KEY), -1);
    sx_s3_err_xml(&b, &e, &place);
    assert_string_equal(sx_buf_cstr(&b),
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>"
                        "<Message>The specified key does not exist.</Message><Key>a&lt;b</Key>"
                        "<Resource>/b/a%3Cb</Resource><RequestId>REQ</RequestId>"
                        "<HostId>HOST</HostId></Error>");
    sx_buf_reset(&b);
    sx_err_set(&e, SX_EIO, "write /srv/sx/packs/1: Input/output error");
    sx_s3_err_xml(&b, &e, &place);
    assert_null(strstr(sx_buf_cstr(&b), "/srv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),         cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_children),     cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_ten_thousand_parts),
        cmocka_unit_test(test_output),       cmocka_unit_test(test_output_kinds),
        cmocka_unit_test(test_errors),       cmocka_unit_test(test_retryable),
        cmocka_unit_test(test_error_document),
    };

    return cmocka_run_group_tests_name("s3_xml", tests, NULL, NULL);
}
