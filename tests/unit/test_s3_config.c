/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Documents of buckets: which are taken and which refused, and what lifecycle rules, cross-origin
 * rules and ACLs say.
 */
#include <string.h>

#include "fcgi/s3/acl.h"
#include "fcgi/s3/cors.h"
#include "fcgi/s3/documents.h"
#include "fcgi/s3/lifecycle.h"
#include "fcgi/s3/shape.h"
#include "fcgi/s3/tags.h"
#include "libsx/base/mem.h"
#include "tests/unit/unit.h"

#define DAY 86400000ull

/* ---- documents ---- */

/* What a document of the operation gives: 0, or the code of the refusal. */
static int put(enum sx_s3_op op, const char *text)
{
    const struct sx_s3_document *d = sx_s3_document_of(op);
    SX_AUTO_XML struct sx_xml *doc = NULL;
    struct sx_err e = SX_ERR_INIT;

    assert_non_null(d);
    if (sx_xml_parse(text, strlen(text), d->root, &doc, &e) == 0 &&
        d->check(sx_xml_top(doc), &e) == 0)
        return 0;
    return e.code;
}

struct row {
    const char *text;
    int code;
};

static void check_rows(enum sx_s3_op op, const char *root, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        int got;

        sx_buf_printf(&b, "<%s>%s</%s>", root, rows[i].text, root);
        got = put(op, sx_buf_cstr(&b));
        if (got != rows[i].code)
            fail_msg("%s: %d, not %d", sx_buf_cstr(&b), got, rows[i].code);
    }
}
#define CHECK(op, root, rows) check_rows(SX_S3_OP_##op, root, rows, sizeof rows / sizeof *rows)

#define ON "<Status>Enabled</Status>"
#define ALL "<Filter/>"
#define AGE "<Expiration><Days>1</Days></Expiration>"
#define RULE(s) "<Rule>" s "</Rule>"

static void lifecycle_documents(void **state)
{
    static const struct row rows[] = {
        { RULE(ON ALL AGE), 0 },
        { RULE(ON "<Prefix>a</Prefix>" AGE), 0 },
        { RULE(ON "<Filter><Prefix/></Filter>" AGE), 0 },
        { RULE(ON ALL "<Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration>"), 0 },
        { RULE(ON ALL "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
               "</Expiration>"), 0 },
        { RULE(ON ALL "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
               "</AbortIncompleteMultipartUpload>"), 0 },
        { RULE(ON "<Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value/></Tag></And></Filter>"
               AGE), 0 },
        { "", SX_S3_MALFORMED_XML },
        { RULE(ALL AGE), SX_S3_MALFORMED_XML },
        { RULE("<Status>enabled</Status>" ALL AGE), SX_S3_MALFORMED_XML },
        { RULE(ON AGE), SX_S3_MALFORMED_XML },
        { RULE(ON ALL "<Prefix/>" AGE), SX_S3_MALFORMED_XML },
        { RULE(ON ALL "<Surprise/>" AGE), SX_S3_MALFORMED_XML },
        { RULE(ON ALL), SX_S3_INVALID_REQUEST },
        { RULE(ON ALL "<Expiration><Days>0</Days></Expiration>"), SX_S3_INVALID_ARGUMENT },
        { RULE(ON ALL "<Expiration><Days>-1</Days></Expiration>"), SX_S3_INVALID_ARGUMENT },
        { RULE(ON ALL "<Expiration/>"), SX_S3_MALFORMED_XML },
        { RULE(ON ALL "<Expiration><Days>1</Days><Date>2026-01-01T00:00:00Z</Date></Expiration>"),
          SX_S3_MALFORMED_XML },
        { RULE(ON ALL "<Expiration><Date>2026-01-01T00:01:00Z</Date></Expiration>"),
          SX_S3_INVALID_ARGUMENT },
        { RULE(ON ALL "<Expiration><Date>soon</Date></Expiration>"), SX_S3_MALFORMED_XML },
        { RULE("<ID>a</ID>" ON ALL AGE) RULE("<ID>a</ID>" ON ALL AGE), SX_S3_INVALID_ARGUMENT },
        { RULE(ON ALL "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
               "<NewerNoncurrentVersions>101</NewerNoncurrentVersions>"
               "</NoncurrentVersionExpiration>"), SX_S3_INVALID_ARGUMENT },
        { RULE(ON "<Filter><Prefix/><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter>" AGE),
          SX_S3_MALFORMED_XML },
        { RULE(ON "<Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
               "<ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>" AGE),
          SX_S3_INVALID_REQUEST },
        { RULE(ON ALL AGE "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass>"
               "</Transition>"), SX_S3_NOT_IMPLEMENTED },
    };

    (void)state;
    CHECK(PUT_BUCKET_LIFECYCLE, "LifecycleConfiguration", rows);
}

#define FROM "<AllowedOrigin>*</AllowedOrigin>"
#define GET "<AllowedMethod>GET</AllowedMethod>"
#define CORS(s) "<CORSRule>" s "</CORSRule>"

static void other_documents(void **state)
{
    static const struct row cors[] = {
        { CORS(FROM GET), 0 },
        { CORS(FROM), SX_S3_MALFORMED_XML },
        { CORS(GET), SX_S3_MALFORMED_XML },
        { CORS(FROM "<AllowedMethod>TRACE</AllowedMethod>"), SX_S3_INVALID_REQUEST },
        { CORS("<AllowedOrigin>*.*</AllowedOrigin>" GET), SX_S3_INVALID_REQUEST },
        { CORS(FROM GET "<ExposeHeader>a&#10;b: c</ExposeHeader>"), SX_S3_MALFORMED_XML },
        { CORS(FROM GET "<ExposeHeader>*</ExposeHeader>"), SX_S3_INVALID_REQUEST },
        { CORS(FROM GET "<MaxAgeSeconds>x</MaxAgeSeconds>"), SX_S3_MALFORMED_XML },
    };
    static const struct row access[] = {
        { "<BlockPublicAcls>true</BlockPublicAcls>", 0 },
        { "<BlockPublicAcls>yes</BlockPublicAcls>", SX_S3_MALFORMED_XML },
        { "<Other>true</Other>", SX_S3_MALFORMED_XML },
    };
    static const struct row website[] = {
        { "<IndexDocument><Suffix>i</Suffix></IndexDocument>", 0 },
        { "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>", 0 },
        { "<RedirectAllRequestsTo><Protocol>http</Protocol></RedirectAllRequestsTo>",
          SX_S3_MALFORMED_XML },
        { "", SX_S3_INVALID_ARGUMENT },
        { "<IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules><RoutingRule/>"
          "</RoutingRules>", SX_S3_MALFORMED_XML },
    };

    (void)state;
    CHECK(PUT_BUCKET_CORS, "CORSConfiguration", cors);
    CHECK(PUT_PUBLIC_ACCESS_BLOCK, "PublicAccessBlockConfiguration", access);
    CHECK(PUT_BUCKET_WEBSITE, "WebsiteConfiguration", website);
}

static void canonical_form(void **state)
{
    static const char sent[] = "<a:T xmlns:a='urn:x' b='c'>\n <U>&lt;&amp;</U> <V> w </V>\n</a:T>";
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;

    (void)state;
    assert_int_equal(sx_xml_parse(sent, sizeof sent - 1, "T", &doc, NULL), 0);
    sx_s3_shape_write(sx_xml_top(doc), &out);
    assert_non_null(strstr(sx_buf_cstr(&out), "<T xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                                              "<U>&lt;&amp;</U><V> w </V></T>"));
}

/* ---- lifecycle ---- */

static struct sx_lifecycle *rules(const char *text)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_lifecycle *l = NULL;

    sx_buf_printf(&b, "<LifecycleConfiguration>%s</LifecycleConfiguration>", text);
    assert_int_equal(sx_lifecycle_parse(b.data, b.len, &l, NULL), 0);
    return l;
}

static enum sx_lifecycle_action decide(const char *text, struct sx_lifecycle_version v,
                                       uint64_t now_ms)
{
    struct sx_lifecycle *l = rules(text);
    enum sx_lifecycle_action a;

    v.key = v.key ? v.key : "a/key";
    a = sx_lifecycle_decide(l, &v, now_ms);
    sx_lifecycle_free(l);
    return a;
}
#define V(...) ((struct sx_lifecycle_version){ __VA_ARGS__ })

static void current_versions(void **state)
{
    static const char days[] = RULE(ON ALL "<Expiration><Days>2</Days></Expiration>");
    static const char date[] =
        RULE(ON ALL "<Expiration><Date>1970-01-11T00:00:00Z</Date></Expiration>");
    static const char off[] = RULE("<Status>Disabled</Status>" ALL AGE);

    (void)state;
    /* made at 10 days and an hour: the two days end at 12 and an hour, so at midnight of 13 */
    assert_int_equal(decide(days, V(.newest = true, .created_ms = 10 * DAY + 1), 13 * DAY - 1),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(days, V(.newest = true, .created_ms = 10 * DAY + 1), 13 * DAY),
                     SX_LIFECYCLE_EXPIRE);
    assert_int_equal(decide(days, V(.newest = true, .created_ms = 10 * DAY), 12 * DAY),
                     SX_LIFECYCLE_EXPIRE);
    assert_int_equal(decide(days, V(.created_ms = 0), 13 * DAY), SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(date, V(.newest = true, .created_ms = 9 * DAY), 10 * DAY - 1),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(date, V(.newest = true, .created_ms = 9 * DAY), 10 * DAY),
                     SX_LIFECYCLE_EXPIRE);
    assert_int_equal(decide(off, V(.newest = true), 100 * DAY), SX_LIFECYCLE_KEEP);
}

static void filters(void **state)
{
    static const char text[] = RULE(
        ON "<Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v w</Value></Tag>"
           "<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>"
           "<ObjectSizeLessThan>10</ObjectSizeLessThan></And></Filter>" AGE);
    static const char tags[] = "x=1&k=v%20w";

    (void)state;
    assert_int_equal(decide(text, V(.newest = true, .size = 9, .tags = tags), 9 * DAY),
                     SX_LIFECYCLE_EXPIRE);
    assert_int_equal(decide(text, V(.newest = true, .size = 10, .tags = tags), 9 * DAY),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(text, V(.newest = true, .size = 0, .tags = tags), 9 * DAY),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(text, V(.newest = true, .size = 9, .tags = "k=v"), 9 * DAY),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(text, V(.newest = true, .size = 9), 9 * DAY), SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(text, V(.key = "b", .newest = true, .size = 9, .tags = tags), 9 * DAY),
                     SX_LIFECYCLE_KEEP);
}

static void old_versions_and_markers(void **state)
{
    static const char old[] =
        RULE(ON ALL "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                    "<NewerNoncurrentVersions>2</NewerNoncurrentVersions>"
                    "</NoncurrentVersionExpiration>");
    static const char markers[] = RULE(
        ON ALL "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>");
    static const char days[] = RULE(ON ALL AGE);

    (void)state;
    assert_int_equal(decide(old, V(.noncurrent_ms = DAY, .newer = 2), 2 * DAY), SX_LIFECYCLE_REMOVE);
    assert_int_equal(decide(old, V(.noncurrent_ms = DAY, .newer = 1), 2 * DAY), SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(old, V(.noncurrent_ms = DAY, .newer = 2), 2 * DAY - 1),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(old, V(.noncurrent_ms = DAY, .newer = 2, .held = true), 2 * DAY),
                     SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(old, V(.newest = true), 20 * DAY), SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(markers, V(.newest = true, .marker = true, .alone = true), DAY),
                     SX_LIFECYCLE_REMOVE);
    assert_int_equal(decide(markers, V(.newest = true, .marker = true), DAY), SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(markers, V(.newest = true), DAY), SX_LIFECYCLE_KEEP);
    assert_int_equal(decide(days, V(.newest = true, .marker = true, .alone = true), 9 * DAY),
                     SX_LIFECYCLE_REMOVE);
    assert_int_equal(decide(days, V(.newest = true, .marker = true), 9 * DAY), SX_LIFECYCLE_KEEP);
}

static void uploads(void **state)
{
    struct sx_lifecycle *l = rules(
        RULE(ON "<Prefix>a</Prefix><AbortIncompleteMultipartUpload><DaysAfterInitiation>3"
                "</DaysAfterInitiation></AbortIncompleteMultipartUpload>"));

    (void)state;
    assert_true(sx_lifecycle_abort(l, "abc", DAY, 4 * DAY));
    assert_false(sx_lifecycle_abort(l, "abc", DAY, 4 * DAY - 1));
    assert_false(sx_lifecycle_abort(l, "b", DAY, 4 * DAY));
    sx_lifecycle_free(l);
}

/* ---- cross-origin requests ---- */

static bool cors(const struct sx_s3_cors_question *q, struct sx_buf *fields)
{
    static const char text[] =
        "<CORSConfiguration>"
        "<CORSRule><AllowedOrigin>https://*.org</AllowedOrigin>" GET
        "<AllowedHeader>X-*</AllowedHeader></CORSRule>"
        "<CORSRule>" FROM "<AllowedMethod>PUT</AllowedMethod></CORSRule></CORSConfiguration>";
    SX_AUTO_XML struct sx_xml *doc = NULL;

    assert_int_equal(sx_xml_parse(text, sizeof text - 1, NULL, &doc, NULL), 0);
    sx_buf_reset(fields);
    return sx_s3_cors_answer(sx_xml_top(doc), q, fields);
}
#define Q(...) (&(const struct sx_s3_cors_question){ __VA_ARGS__ })

static void cross_origin(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    (void)state;
    assert_true(cors(Q("https://a.org", "GET"), &b));
    assert_non_null(strstr(sx_buf_cstr(&b), "Access-Control-Allow-Origin: https://a.org\r\n"));
    assert_non_null(strstr(sx_buf_cstr(&b), "Access-Control-Allow-Credentials: true\r\n"));
    assert_true(cors(Q("https://a.org", "GET", "x-a, X-B", true), &b));
    assert_false(cors(Q("https://a.org", "GET", "x-a, y", true), &b));
    assert_int_equal(b.len, 0);
    assert_false(cors(Q("http://a.org", "GET"), &b));
    assert_false(cors(Q("https:/.org", "GET"), &b));
    assert_true(cors(Q("null", "PUT"), &b));
    assert_non_null(strstr(sx_buf_cstr(&b), "Access-Control-Allow-Origin: *\r\n"));
    assert_null(strstr(sx_buf_cstr(&b), "Credentials"));
    assert_false(cors(Q("null", "DELETE"), &b));
}

/* ---- ACLs ---- */

static void acl_rights(void **state)
{
    SX_AUTO_JSON json_t *acl = json_object();

    (void)state;
    assert_int_equal(sx_acl_canned("public-read", acl, NULL), 0);
    assert_int_equal(sx_acl_header("id=\"bob\", id=\"owner\"", SX_ACL_FULL, "owner", acl, NULL), 0);
    assert_int_equal(sx_acl_header("uri=\"http://acs.amazonaws.com/groups/global/"
                                   "AuthenticatedUsers\"", SX_ACL_WRITE, "owner", acl, NULL), 0);
    assert_int_equal(json_object_size(acl), 3);
    assert_int_equal(sx_acl_rights(acl, NULL, true), SX_ACL_READ);
    assert_int_equal(sx_acl_rights(acl, NULL, false), 0);
    assert_int_equal(sx_acl_rights(acl, "eve", true), SX_ACL_READ | SX_ACL_WRITE);
    assert_int_equal(sx_acl_rights(acl, "bob", false), SX_ACL_FULL);
    assert_true(sx_acl_is_public(acl));
    assert_int_equal(sx_acl_need("s3:GetObject", true), SX_ACL_READ);
    assert_int_equal(sx_acl_need("s3:GetObject", false), 0);
    assert_int_equal(sx_acl_need("s3:PutBucketPolicy", false), 0);
}

static int acl_document(const char *list, json_t *acl)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    struct sx_err e = SX_ERR_INIT;

    sx_buf_printf(&b, "<AccessControlPolicy>%s</AccessControlPolicy>", list);
    assert_int_equal(sx_xml_parse(b.data, b.len, NULL, &doc, NULL), 0);
    return sx_acl_xml(sx_xml_top(doc), "owner", acl, &e) == 0 ? 0 : e.code;
}
#define GRANT(who, what)                                                                           \
    "<AccessControlList><Grant><Grantee>" who "</Grantee><Permission>" what                        \
    "</Permission></Grant></AccessControlList>"

static void acl_documents(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_JSON json_t *acl = json_object();

    (void)state;
    assert_int_equal(acl_document(GRANT("<ID>bob</ID>", "WRITE_ACP"), acl), 0);
    assert_int_equal(sx_acl_rights(acl, "bob", true), SX_ACL_WRITE_ACP);
    assert_int_equal(acl_document(GRANT("<ID>bob</ID>", "ALL"), acl), SX_S3_MALFORMED_ACL);
    assert_int_equal(acl_document("", acl), SX_S3_MALFORMED_ACL);
    assert_int_equal(acl_document(GRANT("<URI>urn:x</URI>", "READ"), acl), SX_S3_INVALID_ARGUMENT);
    assert_int_equal(acl_document(GRANT("<EmailAddress>a@b</EmailAddress>", "READ"), acl),
                     SX_S3_UNRESOLVABLE_GRANT);
    assert_int_equal(acl_document("<Owner><ID>bob</ID></Owner><AccessControlList/>", acl),
                     SX_S3_ACCESS_DENIED);
    sx_acl_write(acl, "owner", &b);
    assert_non_null(strstr(sx_buf_cstr(&b), "xsi:type=\"CanonicalUser\"><ID>bob</ID>"));
    assert_non_null(strstr(sx_buf_cstr(&b), "<Permission>FULL_CONTROL</Permission>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifecycle_documents), cmocka_unit_test(other_documents),
        cmocka_unit_test(canonical_form),      cmocka_unit_test(current_versions),
        cmocka_unit_test(filters),             cmocka_unit_test(old_versions_and_markers),
        cmocka_unit_test(uploads),             cmocka_unit_test(cross_origin),
        cmocka_unit_test(acl_rights),          cmocka_unit_test(acl_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
