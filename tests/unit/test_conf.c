/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * node.json: what is written is read back, and each mistake is named.
 */
#include "tests/unit/unit.h"

#include "fcgi/cache.h"
#include "fcgi/conf.h"
#include "libsx/base/log.h"

static const char good[] =
    "{\"cluster\":\"00000000-1111-4222-8333-444444444444\",\"name\":\"c\",\"node\":\"00000000000000ff\","
    "\"address\":\"127.0.0.1\",\"port\":8443,\"peer_port\":8444,\"zone\":\"z\",\"capacity\":1000,"
    "\"workers\":3,\"reserved_workers\":2,\"user\":\"sx\",\"log_level\":\"warn\",\"lease_s\":1800,"
    "\"collect_interval_s\":600,\"scrub_period_days\":7,\"scrub_rate\":1000000,\"cache_size\":50000000,"
    "\"s3_port\":9000,\"s3_domains\":[\"s3.example.com\",\"s3\"],\"s3_website_domains\":[\"web.example.com\"],\"s3_external\":\"s3.example.com:443\"}";

static int parse(struct sx_node_conf *c, json_t *j, struct sx_err *e)
{
    return sx_node_conf_from_json(c, "/dir", j, e);
}

static void read_back(void **state)
{
    SX_AUTO_JSON json_t *j = NULL, *again = NULL;
    struct sx_err e = SX_ERR_INIT;
    struct sx_node_conf c;

    j = sx_json_parse(good, strlen(good), &e);
    assert_non_null(j);
    assert_done(parse(&c, j, &e), &e);
    assert_int_equal(c.node, 255);
    assert_int_equal(c.peer_port, 8444);
    assert_int_equal(c.capacity, 1000);
    assert_int_equal(c.log_level, SX_LOG_WARN);
    assert_string_equal(c.dir, "/dir");
    assert_int_equal(c.s3_port, 9000);
    assert_string_equal(c.s3_domains[1], "s3");
    assert_null(c.s3_domains[2]);
    assert_string_equal(c.s3_website_domains[0], "web.example.com");
    assert_null(c.s3_website_domains[1]);
    again = sx_node_conf_to_json(&c);
    assert_true(json_equal(j, again));
    sx_node_conf_fini(&c);
}

static void refuse(const char *name, json_t *value)
{
    SX_AUTO_JSON json_t *j = json_loads(good, 0, NULL);
    struct sx_err e = SX_ERR_INIT;
    struct sx_node_conf c;

    if (value)
        json_object_set_new(j, name, value);
    else
        json_object_del(j, name);
    assert_error(parse(&c, j, &e), &e, SX_EINVAL);
    assert_non_null(strstr(e.msg, name));
}

static void mistakes_are_named(void **state)
{
    refuse("cluster", json_string("00000000-1111-4222-8333-44444444444G"));
    refuse("cluster", NULL);
    refuse("name", json_string(""));
    refuse("node", json_string("ff"));
    refuse("node", json_string("0000000000000000"));
    refuse("node", json_string("ffffffffffffffff"));
    refuse("node", json_string("00000000000000FF"));
    refuse("address", json_string("a\nb"));
    refuse("port", json_integer(0));
    refuse("port", json_integer(65536));
    refuse("peer_port", json_integer(8443));
    refuse("capacity", json_string("1"));
    refuse("capacity", NULL);
    refuse("workers", json_integer(0));
    refuse("scrub_period_days", json_integer(3651));
    refuse("scrub_rate", json_integer(-1));
    refuse("cache_size", json_integer(1000));
    refuse("cache_size", json_integer((json_int_t)SX_CACHE_SIZE_MAX + 1));
    refuse("cache_size", json_string("all"));
    refuse("log_level", json_string("loud"));
    refuse("s3_port", json_integer(8443));
    refuse("s3_port", json_integer(8444));
    refuse("s3_port", json_integer(65536));
    refuse("s3_website_domains", json_pack("[s]", "a."));
    refuse("s3_domains", json_string("s3.example.com"));
    refuse("s3_domains", json_pack("[s,i]", "a", 1));
    refuse("s3_domains", json_pack("[s]", ".a"));
    refuse("s3_domains", json_pack("[s]", "A.example.com"));
    refuse("s3_domains", json_pack("[sssssssss]", "a", "b", "c", "d", "e", "f", "g", "h", "i"));
    refuse("s3_external", json_string("http://a"));
    refuse("s3_external", json_string("https://"));
    refuse("s3_external", json_string("https://a/"));
    refuse("s3_external", json_string("a:"));
    refuse("s3_external", json_string("a:123456"));
    refuse("colour", json_string("blue"));
}

static void defaults(void **state)
{
    SX_AUTO_JSON json_t *j = json_loads(good, 0, NULL);
    struct sx_err e = SX_ERR_INIT;
    struct sx_node_conf c;

    json_object_del(j, "zone");
    json_object_del(j, "user");
    json_object_del(j, "log_level");
    json_object_del(j, "workers");
    json_object_del(j, "reserved_workers");
    json_object_del(j, "s3_port");
    json_object_del(j, "s3_domains");
    json_object_del(j, "s3_website_domains");
    json_object_del(j, "s3_external");
    assert_done(parse(&c, j, &e), &e);
    assert_string_equal(c.zone, "");
    assert_int_equal(c.s3_port, 0);
    assert_null(c.s3_domains);
    assert_null(c.s3_website_domains);
    assert_string_equal(c.s3_external, "");
    assert_int_equal(c.log_level, SX_LOG_INFO);
    assert_true(c.workers >= 2 && c.reserved_workers >= 1);
    sx_node_conf_fini(&c);
}

/* The scheme is told apart from the name, and both are written again. */
static void external(void **state)
{
    SX_AUTO_JSON json_t *j = json_loads(good, 0, NULL), *again = NULL;
    struct sx_err e = SX_ERR_INIT;
    struct sx_node_conf c;

    json_object_set_new(j, "s3_external", json_string("https://s3.example.com:444"));
    assert_done(parse(&c, j, &e), &e);
    assert_string_equal(c.s3_external, "s3.example.com:444");
    assert_true(c.s3_external_tls);
    again = sx_node_conf_to_json(&c);
    assert_true(json_equal(json_object_get(j, "s3_external"), json_object_get(again, "s3_external")));
    sx_node_conf_fini(&c);
    json_object_set_new(j, "s3_external", json_string("s3.example.com"));
    assert_done(parse(&c, j, &e), &e);
    assert_false(c.s3_external_tls);
    sx_node_conf_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_back),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(defaults),
        cmocka_unit_test(external),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
