/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Addresses of the links: what is written is found again, and what is none is refused.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include "fcgi/meta/manager/address.h"

static void text(void **state)
{
    char a[SX_HELLO_ADDRESS_MAX + 1];

    sx_address_text(a, "h3", 2);
    assert_string_equal(a, "h3:2");
    sx_address_text(a, "::1", 2);
    assert_string_equal(a, "[::1]:2");
}

static void numbers(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    struct sockaddr_storage to;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&to;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&to;
    char a[SX_HELLO_ADDRESS_MAX + 1];
    socklen_t len;

    sx_address_text(a, "127.0.0.9", 65535);
    assert_done(sx_address_find(a, AI_NUMERICHOST, &to, &len, &e), &e);
    assert_int_equal(len, sizeof *v4);
    assert_int_equal(v4->sin_family, AF_INET);
    assert_int_equal(ntohl(v4->sin_addr.s_addr), 0x7f000009);
    assert_int_equal(ntohs(v4->sin_port), 65535);
    sx_address_text(a, "::1", 2);
    assert_done(sx_address_find(a, AI_NUMERICHOST, &to, &len, &e), &e);
    assert_int_equal(len, sizeof *v6);
    assert_int_equal(v6->sin6_family, AF_INET6);
    assert_memory_equal(&v6->sin6_addr, &in6addr_loopback, sizeof in6addr_loopback);
    assert_int_equal(ntohs(v6->sin6_port), 2);
}

static void refused(void **state)
{
    static const char *const none[] = { "", "h", "h:", ":1", "h:12345678", "[]:1", "[::1:1" };
    struct sx_err e = SX_ERR_INIT;
    struct sockaddr_storage to;
    char a[SX_HELLO_ADDRESS_MAX + 4];
    socklen_t len;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_error(sx_address_find(none[i], AI_NUMERICHOST, &to, &len, &e), &e, SX_EINVAL);
    memset(a, 'h', sizeof a);
    strcpy(a + SX_HELLO_ADDRESS_MAX + 1, ":1");
    assert_error(sx_address_find(a, AI_NUMERICHOST, &to, &len, &e), &e, SX_EINVAL);
    assert_error(sx_address_find("name:1", AI_NUMERICHOST, &to, &len, &e), &e, SX_ENET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(numbers),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
