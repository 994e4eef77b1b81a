/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bucket policies: what is refused, who may, conditions, patterns.
 */
#include <string.h>

#include "fcgi/s3/condition.h"
#include "fcgi/s3/s3err.h"
#include "tests/unit/unit.h"

#define ALL "\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::bkt/*\""

static struct sx_s3_policy *parse(const char *text)
{
    struct sx_s3_policy *p;
    struct sx_err e = SX_ERR_INIT;

    if (sx_s3_policy_parse(text, strlen(text), "bkt", &p, &e) != 0)
        fail_msg("%s: %s", text, e.msg);
    return p;
}

static enum sx_s3_ruling ask(const char *statement, const struct sx_s3_question *q)
{
    SX_AUTO_FREE char *text = sx_asprintf("{\"Version\":\"2012-10-17\",\"Statement\":%s}", statement);
    struct sx_s3_policy *p = parse(text);
    enum sx_s3_ruling r = sx_s3_policy_ask(p, q);

    sx_s3_policy_free(p);
    return r;
}

static struct sx_s3_question get_of(const char *user, const char *key)
{
    return (struct sx_s3_question){ .user = user, .action = "s3:GetObject", .bucket = "bkt",
                                    .key = key };
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "", "[]", "{", "{}", "{\"Statement\":[]}", "{\"Version\":\"2020-01-01\",\"Statement\":[]}",
        "{\"Statement\":[{}]}",
        "{\"Statement\":{\"Effect\":\"Perhaps\"," ALL "}}",
        "{\"Statement\":{\"Effect\":\"Allow\"," ALL ",\"Else\":1}}",
        "{\"Statement\":{\"Effect\":\"Allow\",\"NotPrincipal\":\"*\"," ALL "}}",
        "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"me\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}",
        "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"ec2:*\",\"Resource\":\"*\"}}",
        "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\","
        "\"Resource\":\"arn:aws:s3:::other/*\"}}",
        "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\","
        "\"Resource\":\"arn:aws:s3:::bktx\"}}",
        "{\"Statement\":{\"Effect\":\"Allow\"," ALL ",\"Condition\":{\"Magic\":{\"a\":\"b\"}}}}",
        "{\"Statement\":{\"Effect\":\"Allow\"," ALL ",\"Condition\":{\"Bool\":{\"a\":{}}}}}",
    };
    struct sx_s3_policy *p;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sx_err e = SX_ERR_INIT;

        if (sx_s3_policy_parse(bad[i], strlen(bad[i]), "bkt", &p, &e) == 0)
            fail_msg("was taken: %s", bad[i]);
        assert_int_equal(e.code, SX_S3_MALFORMED_POLICY);
    }
}

static void test_principals(void **state)
{
    static const char alice[] = "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam::1:user/alice\",\"carol\"]},"
                                "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bkt/*\"}";
    static const char others[] = "{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"alice\"},"
                                 "\"Action\":\"s3:*\",\"Resource\":\"*\"}";
    const struct { const char *user; enum sx_s3_ruling allow, deny; } rows[] = {
        { "alice", SX_S3_ALLOW, SX_S3_SILENT }, { "carol", SX_S3_ALLOW, SX_S3_DENY },
        { "bob", SX_S3_SILENT, SX_S3_DENY }, { NULL, SX_S3_SILENT, SX_S3_DENY },
        { "user/alice", SX_S3_SILENT, SX_S3_DENY },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct sx_s3_question q = get_of(rows[i].user, "k");

        assert_int_equal(ask(alice, &q), rows[i].allow);
        assert_int_equal(ask(others, &q), rows[i].deny);
    }
}

static void test_actions_and_resources(void **state)
{
    static const char read[] = "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"s3:get*\",\"s3:ListBucket\"],"
                               "\"Resource\":[\"arn:aws:s3:::bkt\",\"arn:aws:s3:::bkt/pub/*.t?t\"]}";
    static const char rest[] = "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"NotAction\":\"s3:GetObject\","
                               "\"NotResource\":\"arn:aws:s3:::bkt/free/*\"}";
    struct sx_s3_question q = get_of("u", "pub/a/b.txt");

    assert_int_equal(ask(read, &q), SX_S3_ALLOW);
    q.key = "pub/a.tt";
    assert_int_equal(ask(read, &q), SX_S3_SILENT);
    q.key = "pri/a.txt";
    assert_int_equal(ask(read, &q), SX_S3_SILENT);
    q.key = "pub/a.txt";
    q.action = "s3:PutObject";
    assert_int_equal(ask(read, &q), SX_S3_SILENT);
    assert_int_equal(ask(rest, &q), SX_S3_DENY);
    q.key = "free/a";
    assert_int_equal(ask(rest, &q), SX_S3_SILENT);
    q.key = NULL;
    q.action = "s3:ListBucket";
    assert_int_equal(ask(read, &q), SX_S3_ALLOW);
}

static void test_deny_wins(void **state)
{
    static const char both[] = "[{\"Effect\":\"Allow\"," ALL "},{\"Effect\":\"Deny\",\"Principal\":\"*\","
                               "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bkt/secret\"},"
                               "{\"Effect\":\"Allow\"," ALL "}]";
    struct sx_s3_question q = get_of(NULL, "open");

    assert_int_equal(ask(both, &q), SX_S3_ALLOW);
    q.key = "secret";
    assert_int_equal(ask(both, &q), SX_S3_DENY);
}

/* condition, value of aws:X (NULL: not there), whether it holds */
static void test_conditions(void **state)
{
    static const struct {
        const char *condition, *value;
        bool holds;
    } rows[] = {
        { "{\"StringEquals\":{\"aws:X\":\"a\"}}", "a", true },
        { "{\"StringEquals\":{\"AWS:x\":[\"b\",\"a\"]}}", "a", true },
        { "{\"StringEquals\":{\"aws:X\":\"a\"}}", "A", false },
        { "{\"StringEquals\":{\"aws:X\":\"a\"}}", NULL, false },
        { "{\"StringEqualsIfExists\":{\"aws:X\":\"a\"}}", NULL, true },
        { "{\"StringEqualsIgnoreCase\":{\"aws:X\":\"a\"}}", "A", true },
        { "{\"StringNotEquals\":{\"aws:X\":[\"a\",\"b\"]}}", "b", false },
        { "{\"StringNotEquals\":{\"aws:X\":[\"a\",\"b\"]}}", "c", true },
        { "{\"StringNotEquals\":{\"aws:X\":\"a\"}}", NULL, true },
        { "{\"StringLike\":{\"aws:X\":\"h*o/?\"}}", "hello/x", true },
        { "{\"StringNotLike\":{\"aws:X\":\"h*\"}}", "hello", false },
        { "{\"NumericLessThan\":{\"aws:X\":\"10\"}}", "9", true },
        { "{\"NumericLessThan\":{\"aws:X\":\"10\"}}", "10", false },
        { "{\"NumericLessThanEquals\":{\"aws:X\":10}}", "10", true },
        { "{\"NumericGreaterThan\":{\"aws:X\":\"10\"}}", "x", false },
        { "{\"DateGreaterThan\":{\"aws:X\":\"2026-01-01T00:00:00Z\"}}", "2026-01-01T00:00:01Z", true },
        { "{\"DateLessThan\":{\"aws:X\":\"2026-01-01\"}}", "2026-01-01T00:00:01Z", false },
        { "{\"Bool\":{\"aws:X\":\"true\"}}", "true", true },
        { "{\"Bool\":{\"aws:X\":true}}", "false", false },
        { "{\"IpAddress\":{\"aws:X\":\"10.1.0.0/16\"}}", "10.1.255.3", true },
        { "{\"IpAddress\":{\"aws:X\":\"10.1.0.0/16\"}}", "10.2.0.1", false },
        { "{\"IpAddress\":{\"aws:X\":\"10.1.2.128/25\"}}", "10.1.2.127", false },
        { "{\"IpAddress\":{\"aws:X\":\"2001:db8::/33\"}}", "2001:db8:7fff::1", true },
        { "{\"IpAddress\":{\"aws:X\":\"10.1.0.0/99\"}}", "10.1.0.0", false },
        { "{\"NotIpAddress\":{\"aws:X\":\"10.0.0.0/8\"}}", "11.0.0.1", true },
        { "{\"Null\":{\"aws:X\":\"true\"}}", NULL, true },
        { "{\"Null\":{\"aws:X\":\"true\"}}", "x", false },
        { "{\"Null\":{\"aws:X\":\"false\"}}", "x", true },
        { "{\"StringEquals\":{\"aws:X\":\"a\"},\"Bool\":{\"aws:Y\":\"true\"}}", "a", false },
        { "{\"ForAnyValue:StringLike\":{\"aws:X\":\"a*\"}}", "ab", true },
        { "{\"StringEquals\":{\"aws:X\":\"${aws:username}\"}}", "me", true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SX_AUTO_FREE char *s = sx_asprintf("{\"Effect\":\"Allow\"," ALL ",\"Condition\":%s}",
                                           rows[i].condition);
        struct sx_s3_question q = get_of("me", "k");

        q.facts[q.n_facts++] = (struct sx_s3_fact){ "aws:username", "me" };
        if (rows[i].value)
            q.facts[q.n_facts++] = (struct sx_s3_fact){ "aws:X", rows[i].value };
        if ((ask(s, &q) == SX_S3_ALLOW) != rows[i].holds)
            fail_msg("row %zu: %s with %s", i, rows[i].condition,
                     rows[i].value ? rows[i].value : "nothing");
    }
}

static void test_variables(void **state)
{
    static const char home[] = "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\","
                               "\"Resource\":\"arn:aws:s3:::bkt/home/${aws:username}/*\"}";
    struct sx_s3_question q = get_of("me", "home/me/x");

    q.facts[q.n_facts++] = (struct sx_s3_fact){ "aws:username", "me" };
    assert_int_equal(ask(home, &q), SX_S3_ALLOW);
    q.key = "home/you/x";
    assert_int_equal(ask(home, &q), SX_S3_SILENT);
}

static void test_patterns(void **state)
{
    assert_true(sx_s3_pattern("", "", false));
    assert_true(sx_s3_pattern("*", "", false));
    assert_true(sx_s3_pattern("a*b*c", "a--b-b--c", false));
    assert_false(sx_s3_pattern("a*b*c", "a--b-b--", false));
    assert_true(sx_s3_pattern("**a?", "xxab", false));
    assert_false(sx_s3_pattern("?", "", false));
    assert_true(sx_s3_pattern("S3:GET*", "s3:GetObject", true));
}

static bool is_public(const char *statement)
{
    SX_AUTO_FREE char *text = sx_asprintf("{\"Statement\":%s}", statement);
    struct sx_s3_policy *p = parse(text);
    bool yes = sx_s3_policy_is_public(p);

    sx_s3_policy_free(p);
    return yes;
}

static void test_public(void **state)
{
    assert_true(is_public("{\"Effect\":\"Allow\"," ALL "}"));
    assert_false(is_public("{\"Effect\":\"Deny\"," ALL "}"));
    assert_false(is_public("{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"bob\"},\"Action\":\"s3:*\",\"Resource\":\"*\"}"));
    assert_true(is_public("{\"Effect\":\"Allow\",\"NotPrincipal\":{\"AWS\":\"bob\"},\"Action\":\"s3:*\",\"Resource\":\"*\"}"));
    assert_false(is_public("{\"Effect\":\"Allow\"," ALL ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}}"));
    assert_true(is_public("{\"Effect\":\"Allow\"," ALL ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"true\"}}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_principals),
        cmocka_unit_test(test_actions_and_resources), cmocka_unit_test(test_deny_wins),
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_variables),
        cmocka_unit_test(test_patterns), cmocka_unit_test(test_public),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
