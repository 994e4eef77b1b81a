/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure parts of the workers: targets and queries, routes, tickets, subjects of certificates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/api/auth.h"
#include "fcgi/api/handlers.h"
#include "fcgi/api/route.h"
#include "fcgi/api/ticket.h"
#include "fcgi/api/uri.h"

static void test_match(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool match;
    } rows[] = {
        { "/a", "/a", true },        { "/a", "/a/", false },       { "/a", "/ab", false },
        { "/a", "//a", false },      { "/a/*", "/a/b", true },     { "/a/*", "/a/", false },
        { "/a/*", "/a/b/c", false }, { "/a/*", "/a", false },      { "/a/*/c", "/a/%2f/c", true },
        { "/a/*/**", "/a/b/", true }, { "/a/*/**", "/a/b", false },
            { "/a/*/**", "/a/b/c//d/", true },
        { "/a/*/**", "/a//c", false }, { "/a/..", "/a/..", true },  { "/a/*", "/a/..", true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (sx_uri_match(rows[i].pattern, rows[i].path) != rows[i].match)
            fail_msg("%s against %s", rows[i].path, rows[i].pattern);
}

static void test_args(void **state)
{
    struct sx_uri_args a = { .n = 0 };
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_uri_args("/f/*/**", "/f/v%20%c3%a4/a//b%2Fc+", &a, &e), 0);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.v[0], "v \xc3\xa4");
    assert_string_equal(a.v[1], "a//b/c+");
    sx_uri_args_fini(&a);
    assert_int_equal(sx_uri_args("/f/*", "/f/%zz", &a, &e), -1);
    assert_int_equal(e.code, SX_EMALFORMED);
    sx_uri_args_fini(&a);
    assert_int_equal(sx_uri_args("/f/*", "/f/a%00b", &a, &e), -1);
    sx_uri_args_fini(&a);
    assert_int_equal(sx_uri_args("/f/*/**", "/f/v/", &a, &e), 0);
    assert_string_equal(a.v[1], "");
    sx_uri_args_fini(&a);
}

static void test_query(void **state)
{
    struct sx_query q = { .n = 0 };
    struct sx_err e = SX_ERR_INIT;
    unsigned long long v;

    assert_int_equal(sx_query_parse("a=1&&b=x%26y&c&d=", &q, &e), 0);
    assert_string_equal(sx_query_str(&q, "b", "?"), "x&y");
    assert_string_equal(sx_query_str(&q, "c", "?"), "");
    assert_string_equal(sx_query_str(&q, "z", "?"), "?");
    assert_int_equal(sx_query_u64(&q, "a", 0, 1, &v, &e), 0);
    assert_int_equal(v, 1);
    assert_int_equal(sx_query_u64(&q, "a", 0, 0, &v, &e), -1);
    assert_int_equal(sx_query_u64(&q, "b", 0, 9, &v, &e), -1);
    assert_int_equal(sx_query_u64(&q, "d", 0, 9, &v, &e), -1);
    sx_query_fini(&q);
    assert_int_equal(sx_query_parse("a=1&a=2", &q, &e), -1);
    assert_int_equal(e.code, SX_EINVAL);
    sx_query_fini(&q);
    assert_int_equal(sx_query_parse("1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17", &q, &e), -1);
    sx_query_fini(&q);
    assert_int_equal(sx_query_parse("a=18446744073709551616", &q, &e), 0);
    assert_int_equal(sx_query_u64(&q, "a", 0, UINT64_MAX, &v, &e), -1);
    sx_query_fini(&q);
}

static void test_routes(void **state)
{
    const struct sx_route *r;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_route_find("PUT", "/.sx/v1/files/v/a/b", false, &r, &e), 0);
    assert_ptr_equal(r->handler, sx_h_file_put);
    assert_int_equal(sx_route_find("HEAD", "/.sx/v1/files/v/a", false, &r, &e), 0);
    assert_ptr_equal(r->handler, sx_h_file_get);
    assert_int_equal(sx_route_find("GET", "/.sx/v1/volumes/v/acl", false, &r, &e), 0);
    assert_ptr_equal(r->handler, sx_h_acl_get);
    assert_int_equal(sx_route_find("POST", "/.sx/v1/blocks/get", false, &r, &e), 0);
    assert_ptr_equal(r->handler, sx_h_blocks_get);
    assert_int_equal(sx_route_find("DELETE", "/.sx/v1/ping", false, &r, &e), -1);
    assert_int_equal(e.code, SX_EMETHOD);
    assert_non_null(strstr(e.msg, "GET"));
    assert_int_equal(sx_route_find("GET", "/.sx/v2/ping", false, &r, &e), -1);
    assert_int_equal(e.code, SX_ENOTFOUND);
}

/* Neither socket serves the other's routes: nginx checks certificates only in front of one. */
static void test_sockets_are_apart(void **state)
{
    const struct sx_route *r;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_route_find("POST", "/.node/v1/blocks", false, &r, &e), -1);
    assert_int_equal(sx_route_find("GET", "/.sx/v1/ping", true, &r, &e), -1);
    assert_int_equal(sx_route_find("POST", "/.node/v1/blocks", true, &r, &e), 0);
    assert_int_equal(r->who, SX_WHO_NODE);
}

static void test_ticket(void **state)
{
    const uint8_t key[32] = { 1 };
    struct sx_id id = { { 2 } };
    uint8_t t[SX_TICKET];

    sx_ticket_make(t, key, &id, 1000, "u");
    assert_true(sx_ticket_valid(t, key, &id, 1000, "u"));
    assert_false(sx_ticket_valid(t, key, &id, 1001, "u"));
    assert_false(sx_ticket_valid(t, key, &id, 1000, "v"));
    id.b[31] = 1;
    assert_false(sx_ticket_valid(t, key, &id, 1000, "u"));
    id.b[31] = 0;
    t[15] ^= 1;
    assert_false(sx_ticket_valid(t, key, &id, 1000, "u"));
}

static void test_subject(void **state)
{
    uint64_t n;

    assert_int_equal(sx_auth_subject_node("CN=00000000000000ff", &n), 0);
    assert_int_equal(n, 255);
    assert_int_equal(sx_auth_subject_node("O=x,CN=00000000000000ff,C=y", &n), 0);
    assert_int_equal(sx_auth_subject_node("/O=x/CN=00000000000000ff", &n), 0);
    assert_int_equal(sx_auth_subject_node("CN=00000000000000ff0", &n), -1);
    assert_int_equal(sx_auth_subject_node("XCN=00000000000000ff", &n), -1);
    assert_int_equal(sx_auth_subject_node("CN=0000000000", &n), -1);
    assert_int_equal(sx_auth_subject_node("", &n), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),   cmocka_unit_test(test_args),   cmocka_unit_test(test_query),
        cmocka_unit_test(test_routes),  cmocka_unit_test(test_sockets_are_apart),
        cmocka_unit_test(test_ticket),  cmocka_unit_test(test_subject),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
