/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Links, key files, the configuration directory; part files of downloads.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libsx/client/down.h"
#include "libsx/io/io.h"

#define FP "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LINK                                                                                       \
    "sx://anna@home/?nodes=127.0.0.1:8443,[::1]:9000&fingerprint=" FP                              \
    "&access_key=SXAAAAAAAAAAAAAAAAAA&secret_key=abc_def-012345678901234567890123456789ab"

static char dir[] = "/tmp/sx-test-client-XXXXXX";

static int setup(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char *cmd = sx_asprintf("rm -rf %s", dir);
    int r = system(cmd);

    free(cmd);
    return r;
}

static void access_of_link(struct sx_access *a)
{
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_access_parse_link(LINK, a, &e), 0);
}

static void test_link(void **state)
{
    struct sx_access a;
    char *text;

    access_of_link(&a);
    assert_string_equal(a.cluster, "home");
    assert_string_equal(a.user, "anna");
    assert_int_equal(a.n_nodes, 2);
    assert_string_equal(a.nodes[1], "[::1]:9000");
    assert_string_equal(a.fingerprint, FP);
    text = sx_access_link(&a);
    assert_string_equal(text, LINK);
    free(text);
    sx_access_fini(&a);
}

static void test_bad_links(void **state)
{
    static const char *const bad[] = {
        "", "home", "@home/?nodes=a:1", "sx://home/?nodes=a:1&access_key=a&secret_key=b",
        "sx://u2@home", "sx://u2@home/?nodes=a:1&access_key=a",
        "sx://u2@home/?access_key=a&secret_key=b",
        "sx://u2@home/?nodes=a:0&access_key=a&secret_key=b",
        "sx://u2@home/?nodes=a:65536&access_key=a&secret_key=b",
        "sx://u2@home/?nodes=a:1&access_key=a&access_key=a&secret_key=b",
        "sx://u2@home/?nodes=a:1&access_key=a&secret_key=b&fingerprint=12",
        "sx://u2@home/?nodes=a:1&access_key=a&secret_key=b&other=1",
        "sx://u2@home/?nodes=a:1&access_key=%zz&secret_key=b", "sx://u2@home/?nodes",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sx_err e = SX_ERR_INIT;
        struct sx_access a;

        assert_int_equal(sx_access_parse_link(bad[i], &a, &e), -1);
        assert_int_not_equal(e.code, SX_OK);
    }
}

static int give_password(void *arg, const char *file, char *out, size_t size, struct sx_err *e)
{
    snprintf(out, size, "%s", (const char *)arg);
    return 0;
}

static void test_key_file(void **state)
{
    char *plain = sx_asprintf("%s/plain.key", dir), *sealed = sx_asprintf("%s/sealed.key", dir);
    struct sx_err e = SX_ERR_INIT;
    struct sx_access a, b;
    struct stat st;

    access_of_link(&a);
    assert_int_equal(sx_access_save(&a, plain, NULL, &e), 0);
    assert_int_equal(stat(plain, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(sx_access_save(&a, plain, NULL, &e), -1); /* never over a file */
    assert_int_equal(sx_access_load(plain, NULL, NULL, &b, &e), 0);
    assert_string_equal(b.secret_key, a.secret_key);
    assert_string_equal(b.nodes[0], "127.0.0.1:8443");
    sx_access_fini(&b);
    assert_int_equal(sx_access_save(&a, sealed, "pass word", &e), 0);
    assert_int_equal(sx_access_load(sealed, NULL, NULL, &b, &e), -1);
    assert_int_equal(e.code, SX_EKEY);
    assert_int_equal(sx_access_load(sealed, give_password, (char *)"wrong", &b, &e), -1);
    assert_int_equal(e.code, SX_EKEY);
    assert_int_equal(sx_access_load(sealed, give_password, (char *)"pass word", &b, &e), 0);
    assert_string_equal(b.secret_key, a.secret_key);
    sx_access_fini(&b);
    sx_access_fini(&a);
    free(plain);
    free(sealed);
}

static void write_file(const char *name, const char *text)
{
    char *path = sx_asprintf("%s/%s", dir, name);

    assert_int_equal(sx_io_replace(&sx_io_posix, path, text, strlen(text), 0600, NULL), 0);
    free(path);
}

static void test_bad_key_files(void **state)
{
    static const char *const bad[] = {
        "", "{}", "[]", "{\"format\":\"sx-key-9\"}",
        "{\"format\":\"sx-key-1\",\"cluster\":\"c\",\"user\":\"u2\",\"access_key\":\"a\"}",
        "{\"format\":\"sx-key-1\",\"cluster\":\"../c\",\"user\":\"u2\",\"access_key\":\"a\","
        "\"secret_key\":\"s\"}",
        "{\"format\":\"sx-key-1\",\"cluster\":\"c\",\"user\":\"u2\",\"access_key\":\"a\","
        "\"nodes\":[1],\"secret_key\":\"s\"}",
        "{\"format\":\"sx-key-1\",\"cluster\":\"c\",\"user\":\"u2\",\"access_key\":\"a\","
        "\"sealed\":\"AAAA\",\"salt\":\"zz\"}",
    };
    char *path = sx_asprintf("%s/bad.key", dir);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sx_err e = SX_ERR_INIT;
        struct sx_access a;

        write_file("bad.key", bad[i]);
        assert_int_equal(sx_access_load(path, give_password, (char *)"x", &a, &e), -1);
        assert_non_null(strstr(e.msg, path));
    }
    free(path);
}

static int count(void *arg, const char *cluster, const char *user, const char *alias)
{
    int *n = arg;

    assert_string_equal(cluster, "home");
    *n += alias ? 10 : 1;
    return 0;
}

static void store(struct sx_client *c, const struct sx_access *a)
{
    char *path = sx_asprintf("%s/conf/clusters/home", dir);
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_io_mkdirs(path, &e), 0);
    assert_int_equal(sx_config_cluster_save(c, "home", "uuid", "anna", a->fingerprint, a->nodes,
                                            a->n_nodes, &e),
                     0);
    assert_int_equal(sx_config_user_save(c, a, &e), 0);
    free(path);
}

static void test_profiles(void **state)
{
    char *conf = sx_asprintf("%s/conf", dir);
    struct sx_err e = SX_ERR_INIT;
    struct sx_access a, b;
    struct sx_client *c;
    struct sx_uri u;
    int n = 0;

    access_of_link(&a);
    assert_int_equal(sx_client_new(&c, conf, &e), 0);
    assert_int_equal(sx_uri_parse(c, "sx://home/vol", &u, &e), 0);
    assert_int_equal(sx_profile_load(c, &u, &b, &e), -1);
    assert_int_equal(e.code, SX_ECONFIG);
    assert_non_null(strstr(e.msg, "sxinit sx://home"));
    store(c, &a);
    assert_int_equal(sx_profile_load(c, &u, &b, &e), 0);
    assert_string_equal(b.user, "anna");
    assert_string_equal(b.secret_key, a.secret_key);
    sx_access_fini(&b);
    assert_int_equal(sx_alias_set(c, "home", "sx://home", &e), -1);
    assert_int_equal(sx_alias_set(c, "@ho/me", "sx://home", &e), -1);
    assert_int_equal(sx_alias_set(c, "@h", "sx://anna@home", &e), 0);
    sx_uri_fini(&u);
    assert_int_equal(sx_uri_parse(c, "@h/vol/x", &u, &e), 0);
    assert_string_equal(u.user, "anna");
    assert_string_equal(u.path, "x");
    assert_int_equal(sx_profile_each(c, count, &n, &e), 0);
    assert_int_equal(n, 10);
    assert_int_equal(sx_profile_remove(c, &u, &e), 0);
    sx_uri_fini(&u);
    n = 0;
    assert_int_equal(sx_profile_each(c, count, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(sx_uri_parse(c, "@h/vol/x", &u, &e), -1); /* its alias went too */
    sx_access_fini(&a);
    sx_client_free(c);
    free(conf);
}

/* A directory is made with those above it, and stays open for the next file; what is not a directory is in
 * the way. */
static void test_directories(void **state)
{
    static const char *const names[] = { "deep/a/b/c/1", "deep/a/b/c/2", "deep/a/d/3", "deep//e/4" };
    struct sx_copy_options o;
    struct down d = { .x.o = &o };
    struct down_dir open_dir = { .path = NULL };
    struct sx_err e = SX_ERR_INIT;
    int fd = -1;

    sx_copy_options_init(&o);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct down_file f = { .d = &d, .fd = -1, .old_fd = -1 };

        f.local = sx_asprintf("%s/%s", dir, names[i]);
        assert_int_equal(down_target_open(&f, &open_dir, false, &e), 0);
        if (i == 1)
            assert_int_equal(open_dir.fd, fd);
        fd = open_dir.fd;
        assert_int_equal(down_target_finish(&f, &e), 0);
        assert_int_equal(access(f.local, F_OK), 0);
        free(f.local);
    }
    for (size_t i = 0; i < 2; i++) {
        struct down_file f = { .d = &d, .fd = -1, .old_fd = -1 };

        f.local = sx_asprintf("%s/deep/a/d/3/%s", dir, i ? "x/y" : "x");
        sx_err_clear(&e);
        assert_int_equal(down_target_open(&f, &open_dir, false, &e), -1);
        assert_non_null(strstr(e.msg, "directory: Not a directory"));
        assert_null(open_dir.path);
        free(f.local);
    }
}

/* A part file is written with holes for zeros, finished under the real name, and an unchanged
 * target is seen. */
static void test_target(void **state)
{
    struct sx_copy_options o;
    struct down d = { .x.o = &o };
    struct down_file f = { .d = &d, .size = 8 << 20, .mtime_ns = -1500000000, .mode = 0640,
                           .fd = -1,
                           .old_fd = -1, .etag = "0123" };
    struct sx_file_info info = { .size = 8 << 20, .mtime_ns = -1500000000, .mode = 0640 };
    struct sx_err e = SX_ERR_INIT;
    uint8_t *zeros = sx_calloc(1, 4 << 20);
    char *dir2 = sx_asprintf("%s/new", dir), *part;
    struct stat st;

    sx_copy_options_init(&o);
    f.local = sx_asprintf("%s/new/sub/file", dir);
    assert_true(down_target_nothing(dir2));
    assert_int_equal(down_target_open(&f, &f.own_dir, true, &e), 0);
    part = sx_asprintf("%s/new/sub/%s", dir, f.part);
    assert_int_equal(access(part, F_OK), 0);
    assert_false(down_target_nothing(dir2));
    assert_false(f.check);
    assert_int_equal(down_target_write(&f, "data", 4, 0, &e), 0);
    assert_int_equal(down_target_write(&f, zeros, 4 << 20, 4 << 20, &e), 0);
    assert_int_equal(down_target_finish(&f, &e), 0);
    assert_int_equal(stat(f.local, &st), 0);
    assert_int_equal(st.st_size, 8 << 20);
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_not_equal(access(part, F_OK), 0);
    down_target_drop(&f, false);
    assert_int_equal(access(f.local, F_OK), 0);
    assert_true(down_target_unchanged(f.local, &info));
    info.mtime_ns++;
    assert_false(down_target_unchanged(f.local, &info));
    free(part);
    free(dir2);
    free(f.local);
    free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link),          cmocka_unit_test(test_bad_links),
        cmocka_unit_test(test_key_file),      cmocka_unit_test(test_bad_key_files),
        cmocka_unit_test(test_profiles),      cmocka_unit_test(test_target),
        cmocka_unit_test(test_directories),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
