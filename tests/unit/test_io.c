/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libsx/io with the system's files, and with a layer that makes short counts, interrupts and
 * failures of the n-th call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libsx/io/io.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/sx-test-io-XXXXXX";
static struct sx_err e;

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    return rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Fails call number `fail_at` of the writing kind; every transfer moves at most `most` bytes, and
 * each second one is interrupted first. */
struct faulty {
    unsigned calls, fail_at, transfers;
    size_t most;
};

static bool fails(const struct sx_io *io)
{
    struct faulty *f = io->ctx;

    errno = EIO;
    return ++f->calls == f->fail_at;
}

static bool interrupted(const struct sx_io *io)
{
    struct faulty *f = io->ctx;

    errno = EINTR;
    return f->transfers++ % 2;
}

static ssize_t faulty_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    struct faulty *f = io->ctx;

    if (interrupted(io))
        return -1;
    return pread(fd, p, n < f->most ? n : f->most, at);
}

static ssize_t faulty_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                              off_t at)
{
    struct faulty *f = io->ctx;

    if (interrupted(io) || fails(io))
        return -1;
    return pwrite(fd, iov[0].iov_base, iov[0].iov_len < f->most ? iov[0].iov_len : f->most, at);
}

static int faulty_fsync(const struct sx_io *io, int fd)
{
    return fails(io) ? -1 : fsync(fd);
}

static int faulty_rename(const struct sx_io *io, const char *from, const char *to)
{
    return fails(io) ? -1 : rename(from, to);
}

static struct sx_io make_faulty(struct faulty *f)
{
    struct sx_io io = sx_io_posix;

    io.pread = faulty_pread;
    io.pwritev = faulty_pwritev;
    io.fsync = faulty_fsync;
    io.rename = faulty_rename;
    io.ctx = f;
    return io;
}

static void test_transfers(void **state)
{
    struct faulty f = { .most = 7 };
    struct sx_io io = make_faulty(&f);
    const char *path = in_dir("t");
    int fd = io.open(&io, path, O_RDWR | O_CREAT, 0600);
    char back[101];

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    for (int i = 0; i < 100; i++)
        back[i] = (char)i;
    assert_done(sx_io_pwrite_all(&io, fd, back, 100, 5, &e), &e);
    memset(back, 0, sizeof back);
    assert_done(sx_io_pread_all(&io, fd, back, 100, 5, &e), &e);
    for (int i = 0; i < 100; i++)
        assert_int_equal(back[i], i);
    assert_error(sx_io_pread_all(&io, fd, back, 101, 5, &e), &e, SX_ECORRUPT);
    f.fail_at = f.calls + 3;
    assert_error(sx_io_pwrite_all(&io, fd, back, 100, 0, &e), &e, SX_EIO);
    io.close(&io, fd);
    assert_int_equal(io.unlink(&io, path), 0);
}

static void test_read_file(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    const struct sx_io *io = &sx_io_posix;
    const char *path = in_dir("f");

    assert_error(sx_io_read_file(io, path, 10, &b, &e), &e, SX_ENOTFOUND);
    assert_done(sx_io_replace(io, path, "0123456789", 10, 0640, &e), &e);
    assert_done(sx_io_read_file(io, path, 10, &b, &e), &e);
    assert_string_equal(sx_buf_cstr(&b), "0123456789");
    assert_error(sx_io_read_file(io, path, 9, &b, &e), &e, SX_ETOOBIG);
    assert_int_equal(unlink(path), 0);
}

/* Whatever call fails: the file has its old content or its new one, and no other file is left. */
static void test_replace_failures(void **state)
{
    const char *path = in_dir("r");
    unsigned n;

    assert_done(sx_io_replace(&sx_io_posix, path, "old", 3, 0600, &e), &e);
    for (n = 1; n < 100; n++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        struct faulty f = { .fail_at = n, .most = 4 };
        struct sx_io io = make_faulty(&f);
        int r = sx_io_replace(&io, path, "new text", 8, 0600, &e);

        if (r)
            assert_int_equal(e.code, SX_EIO);
        assert_done(sx_io_read_file(&sx_io_posix, path, 100, &b, &e), &e);
        if (strcmp(sx_buf_cstr(&b), "old") != 0)
            assert_string_equal(sx_buf_cstr(&b), "new text");
        else
            assert_int_equal(r, -1);
        if (r == 0)
            break;
        assert_done(sx_io_replace(&sx_io_posix, path, "old", 3, 0600, &e), &e);
    }
    assert_in_range(n, 5, 20); /* two writes, fsync, rename, fsync of the directory can fail */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(access(in_dir("r.tmp"), F_OK), -1);
}

static void test_mkdirs(void **state)
{
    struct stat st;

    assert_done(sx_io_mkdirs(in_dir("a/b//c/"), &e), &e);
    assert_done(sx_io_mkdirs(in_dir("a/b/c"), &e), &e);
    assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(rmdir(in_dir("a/b/c")), 0);
    assert_int_equal(rmdir(in_dir("a/b")), 0);
    assert_int_equal(rmdir(in_dir("a")), 0);
    assert_error(sx_io_mkdirs("/proc/no-such/x", &e), &e, SX_ENOTFOUND);
    assert_error(sx_io_sync_dir(&sx_io_posix, in_dir("none"), &e), &e, SX_ENOTFOUND);
}

/* A path that is a file is not a directory that exists already. */
static void test_mkdirs_file(void **state)
{
    const char *path = in_dir("file");

    assert_done(sx_io_replace(&sx_io_posix, path, "", 0, 0600, &e), &e);
    assert_error(sx_io_mkdirs(path, &e), &e, SX_EEXIST);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers), cmocka_unit_test(test_read_file),
        cmocka_unit_test(test_replace_failures), cmocka_unit_test(test_mkdirs),
        cmocka_unit_test(test_mkdirs_file),
    };

    return cmocka_run_group_tests_name("io", tests, set_up, tear_down);
}
