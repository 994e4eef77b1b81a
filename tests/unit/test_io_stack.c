/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The layers of file I/O by name (libsx/io/stack.h): files in memory, files that keep nothing, and
 * each fault at the n-th call: exactly there, as it says, and seen by who stands above.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/io/fault.h"
#include "libsx/io/memory.h"
#include "libsx/io/stack.h"

static char dir[] = "/tmp/sx-test-stack-XXXXXX";
static struct sx_err e;

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    return rmdir(dir);
}

static struct sx_io_stack *stack(const char *spec)
{
    struct sx_io_stack *s = NULL;

    assert_done(sx_io_stack_new(spec, &s, &e), &e);
    return s;
}

static int make(const struct sx_io *io, const char *path)
{
    int fd = io->open(io, path, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    return fd;
}

static ssize_t put(const struct sx_io *io, int fd, const char *text, off_t at)
{
    struct iovec v = { (void *)text, strlen(text) };

    return io->pwritev(io, fd, &v, 1, at);
}

/* ---- names ---- */

static void test_names(void **state)
{
    static const char *const good[] = { "disk", "memory", "null", "fault(any,0,EIO):disk",
                                        "fault(sync,3+,lie,packs):fault(pread,1,short):memory" };
    static const char *const bad[] = { "", "tape", "disk:", ":disk", "fault:disk", "fault():disk",
                                       "fault(pread,1,EIO)", "fault(pread,1):disk",
                                       "fault(seek,1,EIO):disk", "fault(pread,x,EIO):disk",
                                       "fault(pread,1-,EIO):disk", "fault(pread,1,ENOWAY):disk",
                                       "fault(pread,1,delay=):disk", "fault(pread,1,EIO:disk" };
    char deep[400] = "";
    struct sx_io_stack *s;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        sx_io_stack_free(stack(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(sx_io_stack_new(bad[i], &s, &e), &e, SX_EINVAL);
    for (int i = 0; i <= SX_IO_LAYERS_MAX; i++)
        strcat(deep, "fault(any,0,EIO):");
    assert_error(sx_io_stack_new(strcat(deep, "null"), &s, &e), &e, SX_EINVAL);
    sx_io_stack_free(NULL);
}

/* ---- bottoms ---- */

static void test_memory(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_io_stack *s = stack("memory"), *other = stack("memory");
    const struct sx_io *io = sx_io_stack_io(s);
    int fd = make(io, "/no/such/file"), again;
    struct stat st;
    char text[8] = "";

    assert_int_equal(put(io, fd, "hello", 2), 5);
    again = io->open(io, "/no/such/file", O_RDONLY, 0);
    assert_true(again >= 0);
    assert_int_equal(io->pread(io, again, text, sizeof text, 2), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(io->fstat(io, fd, &st), 0);
    assert_int_equal(st.st_size, 7);
    assert_int_equal(io->ftruncate(io, fd, 3), 0);
    assert_int_equal(io->pread(io, again, text, sizeof text, 0), 3);
    assert_int_equal(io->open(io, "/no/such/file", O_RDWR | O_CREAT | O_EXCL, 0600), -1);
    assert_int_equal(errno, EEXIST);
    io->close(io, again);
    io->close(io, fd);

    assert_done(sx_io_replace(io, "/b", "new", 3, 0600, &e), &e);
    assert_int_equal(io->rename(io, "/b", "/no/such/file"), 0);
    assert_done(sx_io_read_file(io, "/no/such/file", 10, &b, &e), &e);
    assert_string_equal(sx_buf_cstr(&b), "new");
    assert_error(sx_io_read_file(io, "/b", 10, &b, &e), &e, SX_ENOTFOUND);
    assert_error(sx_io_read_file(sx_io_stack_io(other), "/no/such/file", 10, &b, &e), &e, SX_ENOTFOUND);
    assert_int_equal(io->unlink(io, "/no/such/file"), 0);
    assert_int_equal(io->unlink(io, "/no/such/file"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(access("/b", F_OK), -1);
    sx_io_stack_free(s);
    sx_io_stack_free(other);
}

static void test_null(void **state)
{
    struct sx_io_stack *s = stack("null");
    const struct sx_io *io = sx_io_stack_io(s);
    char path[64], text[6] = "", zeros[6] = "";
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "%s/null", dir);
    fd = make(io, path);
    assert_int_equal(put(io, fd, "hello", 1 << 20), 5);
    assert_int_equal(put(io, fd, "hello", 0), 5); /* does not make it shorter */
    assert_int_equal(io->fdatasync(io, fd), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, (1 << 20) + 5);
    assert_true(st.st_blocks * 512 < 1 << 16); /* holes */
    assert_int_equal(io->pread(io, fd, text, 5, 1 << 20), 5);
    assert_memory_equal(text, zeros, 5);
    io->close(io, fd);
    assert_int_equal(io->unlink(io, path), 0);
    sx_io_stack_free(s);
}

/* ---- faults ---- */

/* Ten writes of one letter; which failed, as a word of digits: 0 good, 1 failed. */
static const char *ten_writes(struct sx_io_stack *s, const char *path)
{
    static char word[11];
    const struct sx_io *io = sx_io_stack_io(s);
    int fd = make(io, path);

    for (int i = 0; i < 10; i++)
        word[i] = put(io, fd, "x", i) == 1 ? '0' : '1';
    io->close(io, fd);
    return word;
}

static void test_when(void **state)
{
    struct sx_io_stack *s = stack("fault(pwritev,3,EIO):memory");

    assert_string_equal(ten_writes(s, "/a"), "0010000000");
    assert_int_equal(sx_io_stack_calls(s), 10);
    assert_int_equal(sx_io_stack_fired(s), 1);
    sx_io_stack_arm(s, 9, true);
    assert_string_equal(ten_writes(s, "/a"), "0000000011");
    assert_int_equal(sx_io_stack_fired(s), 2);
    sx_io_stack_arm(s, 0, false);
    assert_string_equal(ten_writes(s, "/a"), "0000000000");
    assert_int_equal(sx_io_stack_fired(s), 0);
    sx_io_stack_free(s);

    s = stack("fault(pwritev,2+,ENOSPC,/packs/):memory");
    assert_string_equal(ten_writes(s, "/index/a"), "0000000000");
    assert_string_equal(ten_writes(s, "/packs/a"), "0111111111");
    assert_int_equal(errno, ENOSPC);
    sx_io_stack_free(s);

    s = stack("fault(pwritev,2,EIO):fault(pwritev,5,EROFS):memory"); /* the lower counts all but one */
    assert_string_equal(ten_writes(s, "/a"), "0100100000");
    sx_io_stack_free(s);
}

/* Every call can fail, with each errno. */
static void test_fail(void **state)
{
    static const struct {
        const char *name;
        int err;
    } errs[] = { { "EIO", EIO },     { "ENOSPC", ENOSPC }, { "EROFS", EROFS },
                 { "EINTR", EINTR }, { "EACCES", EACCES }, { "EMFILE", EMFILE } };
    struct stat st;
    char spec[64], c;

    for (size_t i = 0; i < sizeof errs / sizeof *errs; i++) {
        struct sx_io_stack *s;
        const struct sx_io *io;
        int fd;

        snprintf(spec, sizeof spec, "fault(any,0,%s):memory", errs[i].name);
        s = stack(spec);
        io = sx_io_stack_io(s);
        fd = make(io, "/a");
        sx_io_stack_arm(s, 1, true);
#define FAILS(call) (errno = 0, assert_int_equal(call, -1), assert_int_equal(errno, errs[i].err))
        FAILS(io->open(io, "/b", O_RDWR | O_CREAT, 0600));
        FAILS(io->pread(io, fd, &c, 1, 0));
        FAILS(put(io, fd, "x", 0));
        FAILS(io->fdatasync(io, fd));
        FAILS(io->fsync(io, fd));
        FAILS(io->ftruncate(io, fd, 1));
        FAILS(io->fallocate(io, fd, 0, 1));
        FAILS(io->rename(io, "/a", "/b"));
        FAILS(io->unlink(io, "/a"));
        FAILS(io->fstat(io, fd, &st));
        assert_int_equal(sx_io_stack_fired(s), 10);
        sx_io_stack_arm(s, 0, false);
        assert_int_equal(io->unlink(io, "/a"), 0); /* it was not done */
        io->close(io, fd);
        sx_io_stack_free(s);
    }
}

static void test_short(void **state)
{
    struct sx_io_stack *s = stack("fault(pwritev,1,short):fault(pread,1,short):memory");
    const struct sx_io *io = sx_io_stack_io(s);
    int fd = make(io, "/a");
    char text[9] = "";

    assert_int_equal(put(io, fd, "12345678", 0), 4);
    assert_int_equal(put(io, fd, "5678", 4), 4);
    assert_int_equal(io->pread(io, fd, text, 8, 0), 4);
    memset(text, 0, sizeof text);
    assert_done(sx_io_pread_all(io, fd, text, 8, 0, &e), &e);
    assert_string_equal(text, "12345678");
    sx_io_stack_arm(s, 1, false);
    assert_done(sx_io_pwrite_all(io, fd, "abcdefgh", 8, 0, &e), &e); /* goes on */
    assert_done(sx_io_pread_all(io, fd, text, 8, 0, &e), &e);
    assert_string_equal(text, "abcdefgh");
    io->close(io, fd);
    sx_io_stack_free(s);
}

static unsigned bits_wrong(const char *a, const char *b, size_t n)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < n; i++)
        wrong += (unsigned)__builtin_popcount((unsigned char)(a[i] ^ b[i]));
    return wrong;
}

static void test_corrupt(void **state)
{
    struct sx_io_stack *s = stack("fault(pwritev,2,corrupt):fault(pread,3,corrupt):memory");
    const struct sx_io *io = sx_io_stack_io(s);
    int fd = make(io, "/a");
    char left[] = "1234", right[] = "5678", text[8];
    struct iovec two[2] = { { left, 4 }, { right, 4 } };

    assert_int_equal(put(io, fd, "12345678", 0), 8);
    assert_int_equal(io->pread(io, fd, text, 8, 0), 8);
    assert_int_equal(bits_wrong(text, "12345678", 8), 0);
    assert_int_equal(io->pwritev(io, fd, two, 2, 0), 8);
    assert_int_equal(io->pread(io, fd, text, 8, 0), 8);
    assert_int_equal(bits_wrong(text, "12345678", 8), 1); /* on the medium, for ever */
    assert_string_equal(left, "1234");                    /* not what the caller has */
    assert_int_equal(put(io, fd, "12345678", 0), 8);
    assert_int_equal(io->pread(io, fd, text, 8, 0), 8); /* the third: on its way */
    assert_int_equal(bits_wrong(text, "12345678", 8), 1);
    assert_int_equal(io->pread(io, fd, text, 8, 0), 8);
    assert_int_equal(bits_wrong(text, "12345678", 8), 0);
    io->close(io, fd);
    sx_io_stack_free(s);
}

/* Says that it did, and the layer below was not asked. */
static void test_lie(void **state)
{
    struct sx_io_memory *m = sx_io_memory_new();
    struct sx_io_fault count, lie;
    struct sx_io_fault_layer *lower, *upper;
    const struct sx_io *io;
    struct stat st;
    int fd;

    assert_done(sx_io_fault_parse("change,0,EIO", &count, &e), &e);
    assert_done(sx_io_fault_parse("change,2+,lie", &lie, &e), &e);
    lower = sx_io_fault_layer_new(&count, sx_io_memory_io(m));
    upper = sx_io_fault_layer_new(&lie, sx_io_fault_layer_io(lower));
    io = sx_io_fault_layer_io(upper);
    fd = make(io, "/a");
    sx_io_fault_layer_fault(lower)->counted = 0;
    assert_int_equal(put(io, fd, "12345678", 0), 8);
    assert_int_equal(io->fdatasync(io, fd), 0);
    assert_int_equal(io->fsync(io, fd), 0);
    assert_int_equal(io->ftruncate(io, fd, 99), 0);
    assert_int_equal(io->rename(io, "/a", "/b"), 0);
    assert_int_equal(sx_io_fault_layer_fault(lower)->counted, 0);
    assert_int_equal(io->fstat(io, fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(io->open(io, "/b", O_RDONLY, 0), -1);
    io->close(io, fd);
    sx_io_fault_layer_free(upper);
    sx_io_fault_layer_free(lower);
    sx_io_memory_free(m);
}

static void test_delay(void **state)
{
    struct sx_io_stack *s = stack("fault(sync,2,delay=60):memory");
    const struct sx_io *io = sx_io_stack_io(s);
    int fd = make(io, "/a");
    uint64_t began;

    assert_int_equal(io->fsync(io, fd), 0);
    began = sx_mono_ms();
    assert_int_equal(io->fdatasync(io, fd), 0);
    assert_true(sx_mono_ms() - began >= 60);
    assert_int_equal(put(io, fd, "done all the same", 0), 17);
    io->close(io, fd);
    sx_io_stack_free(s);
}

/* What is built on it: whatever call fails, a file that is replaced is the old one or the new one. */
static void test_replace(void **state)
{
    static const char *const whats[] = { "EIO", "short" };

    for (unsigned i = 0; i < 2; i++) {
        char spec[64];
        struct sx_io_stack *s;
        const struct sx_io *io;
        unsigned n = 0;
        int r;

        snprintf(spec, sizeof spec, "fault(change,0,%s):memory", whats[i]);
        s = stack(spec);
        io = sx_io_stack_io(s);
        do {
            SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

            sx_io_stack_arm(s, 0, false);
            assert_done(sx_io_replace(io, "/r", "old", 3, 0600, &e), &e);
            sx_io_stack_arm(s, ++n, false);
            r = sx_io_replace(io, "/r", "new text", 8, 0600, &e);
            assert_true(r == 0 || (i == 0 && e.code == SX_EIO));
            r = sx_io_stack_fired(s) ? -1 : 0;
            sx_io_stack_arm(s, 0, false);
            assert_done(sx_io_read_file(io, "/r", 100, &b, &e), &e);
            if (strcmp(sx_buf_cstr(&b), "old") != 0)
                assert_string_equal(sx_buf_cstr(&b), "new text");
            else
                assert_int_equal(i, 0);
        } while (r && n < 100);
        assert_in_range(n, 4, 20);
        sx_io_stack_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_memory),  cmocka_unit_test(test_null),
        cmocka_unit_test(test_when),  cmocka_unit_test(test_fail),    cmocka_unit_test(test_short),
        cmocka_unit_test(test_lie),   cmocka_unit_test(test_corrupt), cmocka_unit_test(test_delay),
        cmocka_unit_test(test_replace),
    };

    return cmocka_run_group_tests_name("stack", tests, set_up, tear_down);
}
