/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libsx/base: errors, buffers, cursors, text forms, globs, JSON.
 */
#include <errno.h>

#include "libsx/base/json.h"
#include "tests/unit/unit.h"

static struct sx_err e;

static void test_err(void **state)
{
    struct sx_err copy;

    assert_int_equal(sx_err_set(&e, SX_ENOVOLUME, "volume '%s' does not exist", "v"), -1);
    assert_int_equal(sx_err_wrap(&e, "list %s", "x"), -1);
    assert_int_equal(e.code, SX_ENOVOLUME);
    assert_string_equal(e.msg, "list x: volume 'v' does not exist");
    sx_err_copy(&copy, &e);
    sx_err_clear(&e);
    assert_int_equal(e.code, SX_OK);
    assert_string_equal(copy.msg, "list x: volume 'v' does not exist");
    assert_int_equal(sx_err_errno(&e, ENOSPC, "write %d", 1), -1);
    assert_int_equal(e.code, SX_ENOSPACE);
    assert_string_equal(e.msg, "write 1: No space left on device");
    assert_int_equal(sx_err_set(NULL, SX_EIO, "nobody cares"), -1);
    assert_int_equal(sx_err_wrap(NULL, "nobody cares"), -1);
}

static void test_err_long(void **state)
{
    char text[2 * SX_ERR_MSG_MAX];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sx_err_set(&e, SX_EIO, "%s", text);
    assert_int_equal(strlen(e.msg), SX_ERR_MSG_MAX - 1);
    sx_err_wrap(&e, "%s", text);
    sx_err_wrap(&e, "front");
    assert_int_equal(strlen(e.msg), SX_ERR_MSG_MAX - 1);
    assert_memory_equal(e.msg, "front: xxx", 10);
    sx_err_errno(&e, EIO, "%s", text);
    assert_int_equal(strlen(e.msg), SX_ERR_MSG_MAX - 1);
}

static void test_err_table(void **state)
{
    assert_string_equal(sx_err_name(SX_EQUOTA), "QuotaExceeded");
    assert_int_equal(sx_err_http(SX_EQUOTA), 413);
    assert_int_equal(sx_err_from_name("QuotaExceeded"), SX_EQUOTA);
    assert_int_equal(sx_err_from_name("nonsense"), SX_EBUG);
    assert_string_equal(sx_err_name(9999), "InternalError");
    assert_int_equal(sx_err_retry(SX_ENOLEADER), SX_RETRY_SAME);
    for (int code = 0; code < 49; code++)
        assert_int_equal(sx_err_from_name(sx_err_name(code)), code); /* names are unique */
}

static void test_buf(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    assert_string_equal(sx_buf_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        sx_buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 3890);
    assert_int_equal(b.data[b.len], 0);
    sx_buf_consume(&b, 3880);
    assert_string_equal(sx_buf_cstr(&b), "7,998,999,");
    sx_buf_consume(&b, b.len);
    assert_int_equal(b.len, 0);
    sx_buf_u8(&b, 1);
    sx_buf_u16(&b, 0x0203);
    sx_buf_u32(&b, 0x04050607);
    sx_buf_u64(&b, 0x08090a0b0c0d0e0fULL);
    sx_buf_string(&b, "ab");
    assert_hex(b.data, b.len, "010302070605040f0e0d0c0b0a0908020000006162");
    sx_buf_reset(&b);
    assert_string_equal(sx_buf_cstr(&b), "");
}

static void test_cursor(void **state)
{
    static const uint8_t data[] = { 1, 3, 2, 7, 6, 5, 4, 2, 0, 0, 0, 'a', 'b', 9, 0, 0, 0, 'c' };
    struct sx_cur c = sx_cur_of(data, sizeof data);
    uint8_t copy[4] = { 1, 1, 1, 1 };
    size_t n;

    assert_int_equal(sx_cur_u8(&c), 1);
    assert_int_equal(sx_cur_u16(&c), 0x0203);
    assert_int_equal(sx_cur_u32(&c), 0x04050607);
    assert_memory_equal(sx_cur_bytes(&c, &n), "ab", 2);
    assert_int_equal(n, 2);
    assert_false(sx_cur_done(&c));
    assert_null(sx_cur_bytes(&c, &n)); /* claims 9, has 1 */
    assert_int_equal(n, 0);
    assert_true(c.bad);
    assert_int_equal(sx_cur_u8(&c), 0); /* stays bad */
    assert_int_equal(sx_cur_u64(&c), 0);
    sx_cur_copy(&c, copy, 4);
    assert_int_equal(sx_get_u32(copy), 0);
    assert_false(sx_cur_done(&c));
    c = sx_cur_of(data, 1);
    assert_int_equal(sx_cur_u8(&c), 1);
    assert_true(sx_cur_done(&c));
}

static void test_hex(void **state)
{
    uint8_t b[3];
    char text[7];

    assert_int_equal(sx_unhex(b, 3, "00fFa9"), 0);
    assert_string_equal(sx_hex(text, b, 3), "00ffa9");
    assert_int_equal(sx_unhex(b, 3, "00ffa"), -1);
    assert_int_equal(sx_unhex(b, 3, "00ffa99"), -1);
    assert_int_equal(sx_unhex(b, 3, "00ffag"), -1);
    assert_int_equal(sx_unhex(b, 0, ""), 0);
}

static void test_percent(void **state)
{
    static const char *const bad[] = { "%", "%4", "%4g", "a%00b", "%zz" };
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_pct_encode(&b, "a/b c%\xc3\xa4~", 9, true);
    assert_string_equal(sx_buf_cstr(&b), "a/b%20c%25%C3%A4~");
    sx_buf_reset(&b);
    sx_pct_encode(&b, "a/b", 3, false);
    assert_string_equal(sx_buf_cstr(&b), "a%2Fb");
    sx_buf_reset(&b);
    assert_done(sx_pct_decode(&b, "a%2fb+%41", 9, &e), &e);
    assert_string_equal(sx_buf_cstr(&b), "a/b+A");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_error(sx_pct_decode(&b, bad[i], strlen(bad[i]), &e), &e, SX_EMALFORMED);
}

static void test_utf8(void **state)
{
    static const char *const good[] = {
        "", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
        "\xed\x9f\xbf", "\xee\x80\x80",
    };
    static const char *const bad[] = {
        "\x80", "\xc3", "\xc0\xaf", "\xc1\x81", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82",
        "\xe2\x28\xa1", "a\xc3z",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(sx_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(sx_utf8_valid(bad[i], strlen(bad[i])));
}

static void test_u64(void **state)
{
    static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1x", "11", "99999999999999999999" };
    uint64_t v = 7;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sx_u64_parse(bad[i], strlen(bad[i]), 10, &v), -1);
    assert_int_equal(v, 7);
    assert_int_equal(sx_u64_parse("010x", 3, 10, &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(sx_u64_parse("1", 1, 0, &v), -1);
    assert_int_equal(sx_u64_parse("18446744073709551615", 20, UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(sx_u64_parse("18446744073709551616", 20, UINT64_MAX, &v), -1);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = { { "0", 0 },          { "10", 10 },          { "4K", 4096 },      { "4k", 4096 },
                 { "1.5G", 3ULL << 29 }, { "2TiB", 2ULL << 40 }, { "1MB", 1 << 20 }, { "7B", 7 } };
    static const char *const bad[] = {
        "", "K", "-1", "1X", "1 K", "1KiBs", "nan", "inf", "99999P",
    };
    char text[SX_SIZE_TEXT];
    uint64_t n;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_done(sx_size_parse(good[i].text, &n, &e), &e);
        assert_int_equal(n, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_error(sx_size_parse(bad[i], &n, &e), &e, SX_EINVAL);
    assert_string_equal(sx_size_text(text, 17), "17 B");
    assert_string_equal(sx_size_text(text, 4096), "4.0 KiB");
    assert_string_equal(sx_size_text(text, 3ULL << 29), "1.5 GiB");
    assert_string_equal(sx_size_text(text, UINT64_MAX), "16.0 EiB");
}

static void test_durations(void **state)
{
    static const char *const bad[] = {
        "", "x", "-1", "1w", "1hh", "1000000001", "99999999999999999999",
    };
    char text[SX_TIME_TEXT];
    uint64_t s;

    assert_done(sx_duration_parse("90", &s, &e), &e);
    assert_int_equal(s, 90);
    assert_done(sx_duration_parse("15m", &s, &e), &e);
    assert_int_equal(s, 900);
    assert_done(sx_duration_parse("7d", &s, &e), &e);
    assert_int_equal(s, 604800);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_error(sx_duration_parse(bad[i], &s, &e), &e, SX_EINVAL);
    assert_string_equal(sx_time_text(text, 1763650800123ULL, true), "2025-11-20T15:00:00.123Z");
    assert_string_equal(sx_time_text(text, 1763650800123ULL, false), "2025-11-20 15:00");
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *s;
        bool plain, slash;
    } cases[] = {
        { "", "", true, true }, { "", "a", false, false },
        { "*", "", true, true }, { "*", "a/b", true, false },
        { "a*c", "abbc", true, true }, { "a*c", "ab", false, false },
        { "a?c", "abc", true, true }, { "a?c", "a/c", true, false },
        { "?", "", false, false }, { "[abc]", "b", true, true },
        { "[a-c]x", "bx", true, true }, { "[!a]", "a", false, false },
        { "[!a]", "b", true, true }, { "[^a]", "b", true, true },
        { "[!a]", "/", true, false }, { "[]]", "]", true, true },
        { "[a-]", "-", true, true }, { "[a", "[a", true, true },
        { "\\*", "*", true, true }, { "\\*", "a", false, false },
        { "a\\", "a\\", true, true }, { "*.o", "dir/x.o", true, false },
        { "dir/*.o", "dir/x.o", true, true }, { "*/*", "a/b", true, true },
        { "*a*b*c", "xxaxxbxxc", true, true }, { "*aab", "aaaab", true, true },
        { "a**b", "ab", true, true }, { "[\\]]", "]", true, true },
        { "[\\a-c]", "b", true, true }, { "a*", "a/b", true, false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sx_glob_match(cases[i].pattern, cases[i].s, false) != cases[i].plain ||
            sx_glob_match(cases[i].pattern, cases[i].s, true) != cases[i].slash)
            fail_msg("pattern '%s', text '%s'", cases[i].pattern, cases[i].s);
    }
}

/* Many stars against a text that almost matches: not exponential. */
static void test_glob_cost(void **state)
{
    char pattern[201], text[1001];

    for (int i = 0; i < 200; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[200] = '\0';
    memset(text, 'a', 1000);
    text[999] = 'b';
    text[1000] = '\0';
    assert_false(sx_glob_match(pattern, text, true));
}

static void test_glob_prefix(void **state)
{
    static const struct {
        const char *pattern, *prefix;
        bool wild;
    } cases[] = { { "a/b", "a/b", false },
                  { "a/*", "a/", true },
                  { "\\*a?", "*a", true },
                  { "[x]", "", true },
                  { "a\\[b", "a[b", false } };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

        sx_glob_prefix(cases[i].pattern, &b);
        assert_string_equal(sx_buf_cstr(&b), cases[i].prefix);
        assert_int_equal(sx_glob_has(cases[i].pattern), cases[i].wild);
    }
}

static void test_json(void **state)
{
    static const char text[] = "{\"s\":\"x\",\"n\":7,\"neg\":-1,\"t\":true,\"nil\":null,\"f\":1.5}";
    static const char *const bad[] = {
        "", "[1]", "{", "{\"a\":1,\"a\":2}", "{} x", "\"s\"", "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xff\"}", "{\"n\":99999999999999999999}",
    };
    SX_AUTO_JSON json_t *j = sx_json_parse(text, sizeof text - 1, &e);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    const char *s;
    uint64_t n;
    bool t;

    assert_non_null(j);
    assert_done(sx_json_need_str(j, "s", &s, &e), &e);
    assert_string_equal(s, "x");
    assert_done(sx_json_str(j, "none", "dflt", &s, &e), &e);
    assert_string_equal(s, "dflt");
    assert_done(sx_json_str(j, "nil", "dflt", &s, &e), &e);
    assert_string_equal(s, "dflt");
    assert_error(sx_json_need_str(j, "none", &s, &e), &e, SX_EINVAL);
    assert_error(sx_json_need_str(j, "nil", &s, &e), &e, SX_EINVAL);
    assert_error(sx_json_str(j, "n", "", &s, &e), &e, SX_EINVAL);
    assert_done(sx_json_need_u64(j, "n", 7, &n, &e), &e);
    assert_int_equal(n, 7);
    assert_error(sx_json_need_u64(j, "n", 6, &n, &e), &e, SX_EINVAL);
    assert_error(sx_json_need_u64(j, "neg", 6, &n, &e), &e, SX_EINVAL);
    assert_error(sx_json_need_u64(j, "f", 6, &n, &e), &e, SX_EINVAL);
    assert_error(sx_json_need_u64(j, "none", 6, &n, &e), &e, SX_EINVAL);
    assert_done(sx_json_u64(j, "none", 5, 6, &n, &e), &e);
    assert_int_equal(n, 5);
    assert_done(sx_json_bool(j, "t", false, &t, &e), &e);
    assert_true(t);
    assert_error(sx_json_bool(j, "n", false, &t, &e), &e, SX_EINVAL);
    sx_json_dump(&b, j);
    assert_int_equal(strncmp(sx_buf_cstr(&b), "{\"s\":\"x\",\"n\":7,", 15), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(sx_json_parse(bad[i], strlen(bad[i]), &e));
        assert_int_equal(e.code, SX_EMALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err), cmocka_unit_test(test_err_long),
        cmocka_unit_test(test_err_table), cmocka_unit_test(test_buf),
        cmocka_unit_test(test_cursor), cmocka_unit_test(test_hex),
        cmocka_unit_test(test_percent), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_u64), cmocka_unit_test(test_sizes), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_glob), cmocka_unit_test(test_glob_cost),
        cmocka_unit_test(test_glob_prefix), cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
