/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Websites: which configurations are taken, where their rules send a request, which key answers,
 * and whose host is a bucket's.
 */
#include <stdlib.h>
#include <string.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/target.h"
#include "fcgi/s3/website.h"
#include "libsx/base/mem.h"
#include "tests/unit/unit.h"

#define INDEX "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
#define RULE(s) "<RoutingRule>" s "</RoutingRule>"
#define RULES(s) INDEX "<RoutingRules>" s "</RoutingRules>"
#define WHEN(s) "<Condition>" s "</Condition>"
#define PREFIX(s) "<KeyPrefixEquals>" s "</KeyPrefixEquals>"
#define ERROR(n) "<HttpErrorCodeReturnedEquals>" #n "</HttpErrorCodeReturnedEquals>"
#define GO(s) "<Redirect>" s "</Redirect>"
#define HOST(s) "<HostName>" s "</HostName>"
#define NEW_PREFIX(s) "<ReplaceKeyPrefixWith>" s "</ReplaceKeyPrefixWith>"
#define NEW_KEY(s) "<ReplaceKeyWith>" s "</ReplaceKeyWith>"
#define CODE(n) "<HttpRedirectCode>" #n "</HttpRedirectCode>"

static struct sx_xml *document(const char *inside)
{
    SX_AUTO_FREE char *text = sx_asprintf("<WebsiteConfiguration>%s</WebsiteConfiguration>", inside);
    struct sx_err e = SX_ERR_INIT;
    struct sx_xml *doc;

    assert_int_equal(sx_xml_parse(text, strlen(text), NULL, &doc, &e), 0);
    return doc;
}

static void test_check(void **state)
{
    static const struct {
        const char *inside;
        int code;
    } rows[] = {
        { INDEX, 0 },
        { INDEX "<ErrorDocument><Key>errors/404.html</Key></ErrorDocument>", 0 },
        { INDEX "<ErrorDocument><Key></Key></ErrorDocument>", SX_S3_MALFORMED_XML },
        { "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", SX_S3_INVALID_ARGUMENT },
        { "", SX_S3_INVALID_ARGUMENT },
        { "<RedirectAllRequestsTo>" HOST("h") "</RedirectAllRequestsTo>", 0 },
        { "<RedirectAllRequestsTo>" HOST("h") "</RedirectAllRequestsTo>" INDEX, SX_S3_MALFORMED_XML },
        { "<RedirectAllRequestsTo>" HOST("h") "<Protocol>ftp</Protocol></RedirectAllRequestsTo>",
          SX_S3_INVALID_REQUEST },
        { RULES(RULE(GO(HOST("h")))), 0 },
        { RULES(RULE(WHEN(ERROR(404)) GO(HOST("h") CODE(302)))), 0 },
        { RULES(RULE("")), SX_S3_MALFORMED_XML },
        { RULES(RULE(GO(""))), SX_S3_MALFORMED_XML },
        { RULES(RULE(WHEN("") GO(HOST("h")))), SX_S3_MALFORMED_XML },
        { RULES(RULE(GO(CODE(300)))), SX_S3_INVALID_REQUEST },
        { RULES(RULE(GO(CODE(200)))), SX_S3_INVALID_REQUEST },
        { RULES(RULE(GO(CODE(x)))), SX_S3_MALFORMED_XML },
        { RULES(RULE(WHEN(ERROR(302)) GO(HOST("h")))), SX_S3_INVALID_REQUEST },
        { RULES(RULE(GO(NEW_KEY("a") NEW_PREFIX("b")))), SX_S3_INVALID_REQUEST },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SX_AUTO_XML struct sx_xml *doc = document(rows[i].inside);
        struct sx_err e = SX_ERR_INIT;
        int got = sx_s3_website_check(sx_xml_top(doc), &e) == 0 ? 0 : e.code;

        if (got != rows[i].code)
            fail_msg("%s: %d, not %d", rows[i].inside, got, rows[i].code);
    }
}

static void test_redirects(void **state)
{
    static const struct {
        const char *inside, *key;
        int error, status;
        const char *location;
    } rows[] = {
        { INDEX, "a", 0, 0, "" },
        { "<RedirectAllRequestsTo>" HOST("new.example") "</RedirectAllRequestsTo>", "a", 0, 301,
          "http://new.example/as%20sent?q=1" },
        { "<RedirectAllRequestsTo>" HOST("h") "<Protocol>https</Protocol></RedirectAllRequestsTo>", "",
          0, 301, "https://h/as%20sent?q=1" },
        /* the three examples of the User Guide */
        { RULES(RULE(WHEN(PREFIX("docs/")) GO(NEW_PREFIX("documents/")))), "docs/a b.html", 0, 301,
          "http://site:80/documents/a%20b.html" },
        { RULES(RULE(WHEN(PREFIX("images/")) GO(NEW_KEY("gone.html")))), "images/x", 0, 301,
          "http://site:80/gone.html" },
        { RULES(RULE(WHEN(ERROR(404)) GO(HOST("ec2") NEW_PREFIX("report-404/")))), "Page.html", 404,
          301, "http://ec2/report-404/Page.html" },
        /* a rule with an error code waits for it */
        { RULES(RULE(WHEN(ERROR(404)) GO(HOST("h")))), "a", 0, 0, "" },
        { RULES(RULE(WHEN(ERROR(404)) GO(HOST("h")))), "a", 403, 0, "" },
        { RULES(RULE(WHEN(ERROR(403)) GO(HOST("h")))), "a", 403, 301, "http://h/a" },
        { RULES(RULE(WHEN(PREFIX("x")) GO(HOST("h")))), "a", 0, 0, "" },
        { RULES(RULE(WHEN(PREFIX("x")) GO(HOST("h")))), "xa", 404, 0, "" },
        { RULES(RULE(WHEN(PREFIX("x") ERROR(404)) GO(HOST("h")))), "a", 404, 0, "" },
        { RULES(RULE(WHEN(PREFIX("x") ERROR(404)) GO(HOST("h")))), "xa", 404, 301, "http://h/xa" },
        /* the first that holds */
        { RULES(RULE(WHEN(PREFIX("b")) GO(HOST("1"))) RULE(WHEN(PREFIX("a")) GO(HOST("2")))
                RULE(GO(HOST("3")))), "a", 0, 301, "http://2/a" },
        { RULES(RULE(GO(CODE(307) "<Protocol>https</Protocol>"))), "a", 0, 307, "https://site:80/a" },
        { RULES(RULE(WHEN(PREFIX("r/")) GO(NEW_PREFIX("size?key=")))), "r/1", 0, 301,
          "http://site:80/size?key=1" },
        { RULES(RULE(WHEN(PREFIX("r/")) GO(NEW_PREFIX("")))), "r/1", 0, 301, "http://site:80/1" },
        /* nothing that ends a header line gets into one */
        { RULES(RULE(GO(HOST("h") NEW_KEY("a&#13;&#10;Set-Cookie: x")))), "a", 0, 301,
          "http://h/a%0D%0ASet-Cookie:%20x" },
        { RULES(RULE(GO(HOST("h")))), "a\nb?c#d%\303\244", 0, 301, "http://h/a%0Ab%3Fc%23d%25%C3%A4" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct sx_s3_website_question q = { .scheme = "http", .host = "site:80",
                                                  .path = "/as%20sent", .query = "q=1",
                                                  .key = rows[i].key, .error = rows[i].error };
        SX_AUTO(sx_buf) struct sx_buf location = SX_BUF_INIT;
        SX_AUTO_XML struct sx_xml *doc = document(rows[i].inside);
        int got = sx_s3_website_redirect(sx_xml_top(doc), &q, &location);

        if (got != rows[i].status || strcmp(sx_buf_cstr(&location), rows[i].location) != 0)
            fail_msg("%s with '%s', error %d: %d %s", rows[i].inside, rows[i].key, rows[i].error, got,
                     sx_buf_cstr(&location));
    }
}

static void test_keys(void **state)
{
    static const char *const rows[][2] = { { "", "index.html" }, { "a", "a" },
                                           { "a/", "a/index.html" }, { "/", "/index.html" } };
    SX_AUTO_XML struct sx_xml *doc = document(INDEX);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;

        sx_s3_website_key(sx_xml_top(doc), rows[i][0], &key);
        assert_string_equal(sx_buf_cstr(&key), rows[i][1]);
    }
}

static void test_hosts(void **state)
{
    static const char *const names[] = { "example.com", "web.example.com", NULL };
    static const struct {
        const char *host, *bucket;
        size_t matched;
    } rows[] = {
        { "B.web.Example.com:81", "b", 15 },  { "www.b.org.web.example.com.", "www.b.org", 15 },
        { "b.example.com", "b", 11 },         { "web.example.com", NULL, 15 },
        { "example.com:81", NULL, 11 },       { "xexample.com", NULL, 0 },
        { "b.example.org", NULL, 0 },         { ".example.com", NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t matched;
        SX_AUTO_FREE char *bucket = sx_s3_host_bucket(rows[i].host, names, &matched);

        assert_int_equal(matched, rows[i].matched);
        if (rows[i].bucket)
            assert_string_equal(bucket, rows[i].bucket);
        else
            assert_null(bucket);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
