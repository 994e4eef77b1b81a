/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * URIs, names, rights, filters, pages of listings, and what the progress bar says.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "client/bar.h"
#include "libsx/base/wire.h"
#include "libsx/client/list.h"
#include "libsx/client/xfer.h"
#include "libsx/http/message.h"

static void parse_ok(const char *text, const char *user, const char *cluster, const char *volume,
                     const char *path, bool slash)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_uri u;

    assert_int_equal(sx_uri_parse(NULL, text, &u, &e), 0);
    if (user)
        assert_string_equal(u.user, user);
    else
        assert_null(u.user);
    assert_string_equal(u.cluster, cluster);
    if (volume)
        assert_string_equal(u.volume, volume);
    else
        assert_null(u.volume);
    if (path)
        assert_string_equal(u.path, path);
    else
        assert_null(u.path);
    assert_int_equal(u.slash, slash);
    sx_uri_fini(&u);
}

static void parse_bad(const char *text, int code)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_uri u;

    assert_int_equal(sx_uri_parse(NULL, text, &u, &e), -1);
    assert_int_equal(e.code, code);
    assert_true(e.msg[0]);
}

static void test_uri_forms(void **state)
{
    parse_ok("sx://c", NULL, "c", NULL, NULL, false);
    parse_ok("sx://c/", NULL, "c", NULL, NULL, false);
    parse_ok("sx://anna@c/vol", "anna", "c", "vol", NULL, false);
    parse_ok("sx://anna@example.org@c/vol/", "anna@example.org", "c", "vol", NULL, true);
    parse_ok("sx://c/vol/a", NULL, "c", "vol", "a", false);
    parse_ok("sx://c/vol/a/b c/%20/d", NULL, "c", "vol", "a/b c/%20/d", false);
    parse_ok("sx://c/vol/dir/", NULL, "c", "vol", "dir", true);
    parse_ok("sx://c/vol/a*\\*", NULL, "c", "vol", "a*\\*", false);
    parse_ok("sx://c/v\xc3\xb6l/\xe2\x82\xac", NULL, "c", "v\xc3\xb6l", "\xe2\x82\xac", false);
}

static void test_uri_bad(void **state)
{
    parse_bad("", SX_EINVAL);
    parse_bad("c/vol", SX_EINVAL);
    parse_bad("http://c/vol", SX_EINVAL);
    parse_bad("sx://", SX_ENAME);
    parse_bad("sx://@c", SX_ENAME);
    parse_bad("sx://../vol", SX_ENAME);
    parse_bad("sx://c d/vol", SX_ENAME);
    parse_bad("sx://c/v", SX_ENAME);
    parse_bad("sx://c/.vol", SX_ENAME);
    parse_bad("sx://c/vo\\l", SX_ENAME);
    parse_bad("sx://c/vol//a", SX_ENAME);
    parse_bad("sx://c/vol/a//b", SX_ENAME);
    parse_bad("sx://c/vol/a/../b", SX_ENAME);
    parse_bad("sx://c/vol/.", SX_ENAME);
    parse_bad("sx://c/vol/a\nb", SX_ENAME);
    parse_bad("sx://c/vol/\xff", SX_ENAME);
    parse_bad("@nobody/vol", SX_ECONFIG);
}

/* 255 bytes of a volume's and 1024 of a file's name are taken, one more is not. */
static void test_limits(void **state)
{
    char name[SX_NAME_PATH_MAX + 2];
    struct sx_err e = SX_ERR_INIT;

    memset(name, 'x', sizeof name);
    name[SX_NAME_VOLUME_MAX] = '\0';
    assert_int_equal(sx_name_volume_check(name, &e), 0);
    name[SX_NAME_VOLUME_MAX] = 'x';
    name[SX_NAME_VOLUME_MAX + 1] = '\0';
    assert_int_equal(sx_name_volume_check(name, &e), -1);
    assert_int_equal(e.code, SX_ENAMETOOLONG);
    name[SX_NAME_VOLUME_MAX + 1] = 'x';
    name[SX_NAME_PATH_MAX] = '\0';
    assert_int_equal(sx_name_path_check(name, &e), 0);
    name[SX_NAME_PATH_MAX] = 'x';
    name[SX_NAME_PATH_MAX + 1] = '\0';
    assert_int_equal(sx_name_path_check(name, &e), -1);
    assert_int_equal(e.code, SX_ENAMETOOLONG);
}

/* Escapes count for one byte, and are taken away for exact names. */
static void test_escapes(void **state)
{
    struct sx_uri u;
    char *name;

    assert_int_equal(sx_uri_parse(NULL, "sx://c/vol/a\\*b\\\\c", &u, NULL), 0);
    assert_false(sx_uri_glob(&u));
    name = sx_uri_name(&u);
    assert_string_equal(name, "a*b\\c");
    free(name);
    name = sx_uri_text(&u, NULL, NULL);
    assert_string_equal(name, "sx://c/vol/a*b\\c");
    free(name);
    name = sx_uri_text(&u, "other", "x");
    assert_string_equal(name, "sx://c/other/x");
    free(name);
    sx_uri_fini(&u);
    assert_int_equal(sx_uri_parse(NULL, "sx://c/vol/a[0-9]", &u, NULL), 0);
    assert_true(sx_uri_glob(&u));
    sx_uri_fini(&u);
}

static void test_rights(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    unsigned r = 99;

    assert_int_equal(sx_rights_parse("read", &r, &e), 0);
    assert_int_equal(r, SX_RIGHT_READ);
    assert_int_equal(sx_rights_parse("owner,read,write", &r, &e), 0);
    assert_int_equal(r, SX_RIGHT_READ | SX_RIGHT_WRITE | SX_RIGHT_OWNER);
    assert_int_equal(sx_rights_parse("", &r, &e), -1);
    assert_int_equal(sx_rights_parse("read,", &r, &e), -1);
    assert_int_equal(sx_rights_parse("reads", &r, &e), -1);
    assert_int_equal(e.code, SX_EINVAL);
}

static bool wants(const char *const *filters, size_t n, const char *path, bool dir)
{
    const struct sx_copy_options o = { .filters = filters, .n_filters = n };

    return sx_filter_wants(&o, path, dir);
}

static void test_filters(void **state)
{
    static const char *const no_o[] = { "-*.o" };
    static const char *const only_c[] = { "+*.c", "+*.h" };
    static const char *const but_one[] = { "+keep.o", "-*.o", "-sub/x*" };

    assert_true(wants(NULL, 0, "a/b", false));
    assert_false(wants(no_o, 1, "a/b.o", false));
    assert_true(wants(no_o, 1, "a.o/b.c", false));
    assert_false(wants(no_o, 1, "a.o", true));
    assert_true(wants(only_c, 2, "a/b.c", false));
    assert_false(wants(only_c, 2, "a/b.txt", false));
    assert_true(wants(only_c, 2, "a", true));
    assert_true(wants(but_one, 3, "d/keep.o", false));
    assert_false(wants(but_one, 3, "d/other.o", false));
    assert_false(wants(but_one, 3, "sub/xy", false));
    assert_true(wants(but_one, 3, "d/sub/xy", false));
    assert_true(wants(but_one, 3, "plain", false));
}

static void test_queries(void **state)
{
    char *q = sx_list_query("a b/", NULL, false, "a b/c&d");

    assert_string_equal(q, "facts=1&prefix=a%20b%2F&delimiter=%2F&after=a%20b%2Fc%26d");
    free(q);
    q = sx_list_query(NULL, "*.c", true, NULL);
    assert_string_equal(q, "facts=1&glob=%2A.c");
    free(q);
    q = sx_list_query(NULL, NULL, true, NULL);
    assert_string_equal(q, "facts=1");
    free(q);
}

static void test_bar(void **state)
{
    struct sx_progress p = { .files_done = 1, .files_known = 4, .bytes_done = 50 << 20,
                             .bytes_known = 100 << 20 };
    char line[BAR_LINE_MAX];

    bar_text(line, &p, "files", 10 << 20, 200);
    assert_non_null(strstr(line, "[##########          ]  50%"));
    assert_non_null(strstr(line, "10.0 MiB/s  ETA 00:05  1/4 files"));
    p.walking = true;
    bar_text(line, &p, "files", 10 << 20, 200);
    assert_non_null(strstr(line, "100.0 MiB+"));
    assert_non_null(strstr(line, "ETA --:--"));
    p.bytes_known = p.bytes_done = 0;
    bar_text(line, &p, "files", 0, 20);
    assert_int_equal(strlen(line), 19);
}

/* A page with so many files and prefixes, as it says, and two of each. */
static void make_page(struct sx_buf *b, int files, int prefixes)
{
    static const struct sx_facts facts = { .rev = 0xabc, .size = 7, .mtime_ns = -5, .mode = 0640,
                                           .etag = "\x01\x02", .created_ms = 9, .entries = 3 };
    SX_AUTO_JSON json_t *j = json_pack("{s:i,s:i,s:s}", "files", files, "prefixes", prefixes, "next",
                                       "e");

    sx_buf_reset(b);
    assert_int_equal(sx_message_head(b, j, NULL), 0);
    for (const char *name = "a"; name; name = *name == 'a' ? "d" : NULL) {
        sx_buf_add(b, name, 2);
        sx_facts_put(sx_buf_extend(b, SX_FACTS_SIZE), &facts);
    }
    sx_buf_add(b, "b/\0c/", 6);
}

static void bad_page(struct sx_buf *b)
{
    struct sx_err e = SX_ERR_INIT;

    assert_null(sx_page_read(b, &e));
    assert_int_equal(e.code, SX_EMALFORMED);
}

static void test_page(void **state)
{
    static const char *const names[] = { "a", "b/", "c/", "d" };
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_file_info f;
    struct sx_page *p;
    size_t whole;

    make_page(&b, 2, 2);
    whole = b.len;
    p = sx_page_read(&b, &e);
    assert_non_null(p);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(sx_page_next(p, &f));
        assert_string_equal(f.path, names[i]);
        assert_int_equal(f.is_dir, i == 1 || i == 2);
        if (f.is_dir)
            continue;
        assert_string_equal(f.rev, "0000000000000abc");
        assert_string_equal(f.etag, "01020000000000000000000000000000");
        assert_true(f.size == 7 && f.mtime_ns == -5 && f.mode == 0640 && f.created_ms == 9 && f.blocks == 3);
    }
    assert_false(sx_page_next(p, &f));
    assert_string_equal(sx_page_after(p), "e");
    sx_page_free(p);
    /* Cut off anywhere, or with other numbers of names than are there. */
    for (size_t n = 0; n < whole; n++) {
        make_page(&b, 2, 2);
        b.len = n;
        bad_page(&b);
    }
    for (int files = 0; files < 4; files++) {
        make_page(&b, files, files == 2 ? 3 : 2);
        bad_page(&b);
    }
    p = sx_page_empty();
    assert_false(sx_page_next(p, &f));
    assert_null(sx_page_after(p));
    sx_page_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_forms), cmocka_unit_test(test_uri_bad),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_rights),    cmocka_unit_test(test_filters),
        cmocka_unit_test(test_queries),   cmocka_unit_test(test_bar),
        cmocka_unit_test(test_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
