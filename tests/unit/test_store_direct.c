/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Direct I/O of packs: large records are written past the page cache in whole pages, and read so for
 * the first time; whatever a file system refuses of that goes through the cache.  The layer here
 * plays the file system's part, so that the machine's own does not matter.
 */
#include "tests/unit/store_util.h"

#include <errno.h>
#include <fcntl.h>

#include "fcgi/store/doorkeeper.h"
#include "libsx/io/io.h"

#define PAGE 4096u
#define LARGE 700000u        /* up to so many bytes a block */
#define DIRECT_MIN 262144u   /* a record that is read past the cache */
#define AHEAD (2u << 20)
#define FDS 1024

enum refusal {
    NOTHING, OPEN,
    WRITE, SHORT_WRITE, BROKEN_WRITE,
    READ, SHORT_READ, BROKEN_READ, BROKEN_AHEAD, OLD_AHEAD
};

static struct {
    enum refusal refuses;
    bool direct[FDS];       /* by descriptor */
    unsigned writes, reads; /* that went directly */
    uint64_t written;
} fs;

static int fs_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    int fd;

    if ((flags & O_DIRECT) && fs.refuses == OPEN) {
        errno = EINVAL;
        return -1;
    }
    fd = sx_io_posix.open(&sx_io_posix, path, flags & ~O_DIRECT, mode);
    assert_true(fd < FDS);
    if (fd >= 0)
        fs.direct[fd] = flags & O_DIRECT;
    return fd;
}

static ssize_t fs_pwritev(const struct sx_io *io, int fd, const struct iovec *v, int count, off_t at)
{
    struct iovec half = v[0];

    if (!fs.direct[fd])
        return sx_io_posix.pwritev(&sx_io_posix, fd, v, count, at);
    assert_int_equal(count, 1);
    assert_int_equal((uintptr_t)v->iov_base % PAGE, 0);
    assert_int_equal(v->iov_len % PAGE, 0);
    assert_int_equal(at % PAGE, 0);
    fs.writes++;
    if (fs.refuses == WRITE || fs.refuses == BROKEN_WRITE) {
        errno = fs.refuses == WRITE ? EINVAL : EIO;
        return -1;
    }
    if (fs.refuses == SHORT_WRITE)
        half.iov_len = half.iov_len / 2 + 512;
    fs.written += half.iov_len;
    return sx_io_posix.pwritev(&sx_io_posix, fd, &half, 1, at);
}

static ssize_t fs_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    ssize_t r;

    if (!fs.direct[fd])
        return sx_io_posix.pread(&sx_io_posix, fd, p, n, at);
    assert_int_equal((uintptr_t)p % PAGE, 0);
    assert_int_equal(n % PAGE, 0);
    assert_int_equal(at % PAGE, 0);
    fs.reads++;
    if (fs.refuses == READ || fs.refuses == BROKEN_READ ||
        (fs.refuses == BROKEN_AHEAD && n == AHEAD)) {
        errno = fs.refuses == READ ? EINVAL : EIO;
        return -1;
    }
    if (fs.refuses == SHORT_READ)
        n = PAGE;
    r = sx_io_posix.pread(&sx_io_posix, fd, p, n, at);
    if (fs.refuses == OLD_AHEAD && n == AHEAD && r > (ssize_t)LARGE + PAGE)
        memset((uint8_t *)p + LARGE + PAGE, 0, (size_t)r - LARGE - PAGE);
    return r;
}

static struct sx_store *begin(char **dir, enum refusal refuses)
{
    static struct sx_io io;
    static struct sx_doorkeeper doorkeeper;
    struct sx_store_options o = { .io = &io, .capacity = 1ull << 30, .reserve = 1, .read = &doorkeeper };

    io = sx_io_posix;
    io.open = fs_open;
    io.pwritev = fs_pwritev;
    io.pread = fs_pread;
    memset(&fs, 0, sizeof fs);
    memset(&doorkeeper, 0, sizeof doorkeeper);
    fs.refuses = refuses;
    *dir = util_dir();
    return util_open(*dir, &o);
}

static void end(struct sx_store *s, char *dir)
{
    fs.refuses = NOTHING;
    util_check(s);
    sx_store_close(s);
    util_remove(dir);
}

/* A small batch, so that the next one does not begin at a page's edge, a large one, a small one. */
static void fill(struct sx_store *s)
{
    struct sx_err e = SX_ERR_INIT;

    assert_done(util_put(s, 0, 3, 1000, NULL, NULL, &e), &e);
    assert_int_equal(fs.writes, 0);
    assert_done(util_put(s, 100, 20, LARGE, NULL, NULL, &e), &e);
    assert_done(util_put(s, 3, 3, 1000, NULL, NULL, &e), &e);
}

static void all_right(struct sx_store *s)
{
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(util_get(s, i, 1000), 0);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(util_get(s, 100 + i, LARGE), 0);
}

static void test_whole_pages(void **state)
{
    char *dir;
    struct sx_store *s = begin(&dir, NOTHING);
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    uint64_t bytes = 0;

    fill(s);
    for (uint64_t i = 0; i < 20; i++)
        bytes += util_len(100 + i, LARGE) + SX_RECORD_HEADER;
    assert_true(fs.writes >= 2); /* more than the buffer takes */
    assert_true(fs.written <= bytes && fs.written > bytes - 2 * PAGE);
    all_right(s);
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.blocks, 26);
    end(s, dir);
}

/* What cannot be done directly is done the other way, and not tried for ever. */
static void test_refused(void **state)
{
    static const enum refusal all[] = { OPEN, WRITE, SHORT_WRITE };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct sx_err e = SX_ERR_INIT;
        char *dir;
        struct sx_store *s = begin(&dir, all[i]);
        unsigned tries;

        fill(s);
        all_right(s);
        tries = fs.writes;
        assert_done(util_put(s, 200, 20, LARGE, NULL, NULL, &e), &e);
        if (all[i] == OPEN || all[i] == WRITE)
            assert_int_equal(fs.writes, tries);
        all_right(s);
        end(s, dir);
    }
}

/* A real error is one: the batch is not acknowledged, its pack is left, the store goes on. */
static void test_broken(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    char *dir;
    struct sx_store *s = begin(&dir, NOTHING);

    fill(s);
    fs.refuses = BROKEN_WRITE;
    assert_error(util_put(s, 200, 20, LARGE, NULL, NULL, &e), &e, SX_EIO);
    fs.refuses = NOTHING;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(util_get(s, 200 + i, LARGE), SX_ENOTFOUND);
    assert_done(util_put(s, 200, 20, LARGE, NULL, NULL, &e), &e);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(util_get(s, 200 + i, LARGE), 0);
    all_right(s);
    end(s, dir);
}

static unsigned large_ones(uint64_t from, uint64_t n)
{
    unsigned large = 0;

    for (uint64_t i = from; i < from + n; i++)
        large += util_len(i, LARGE) + SX_RECORD_HEADER >= DIRECT_MIN;
    return large;
}

/* The first time directly, and only then; what lies in a row several at once. */
static void test_read_once(void **state)
{
    char *dir;
    struct sx_store *s = begin(&dir, NOTHING);
    unsigned reads;

    fill(s);
    for (uint64_t i = 100; i < 120; i += 2)
        assert_int_equal(util_get(s, i, LARGE), 0);
    reads = fs.reads;
    assert_true(reads > 0 && reads <= 10);
    all_right(s);
    assert_true(fs.reads > reads);
    reads = fs.reads;
    all_right(s);
    assert_int_equal(fs.reads, reads);
    end(s, dir);
}

static void test_read_in_a_row(void **state)
{
    char *dir;
    struct sx_store *s = begin(&dir, NOTHING);

    fill(s);
    all_right(s);
    assert_true(fs.reads > 0 && fs.reads < large_ones(100, 20));
    end(s, dir);
}

/* What cannot be read directly is read the other way; what lies behind a record is no reason that it could
 * not be read. */
static void test_reads_refused(void **state)
{
    static const enum refusal all[] = { OPEN, READ, SHORT_READ, BROKEN_AHEAD, OLD_AHEAD };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *dir;
        struct sx_store *s = begin(&dir, all[i]);
        struct sx_store_stats st;
        struct sx_err e = SX_ERR_INIT;

        fill(s);
        all_right(s);
        if (all[i] == OPEN || all[i] == READ)
            assert_int_equal(fs.reads, all[i] == READ);
        else
            assert_true(fs.reads > 1);
        assert_done(sx_store_stats(s, &st, &e), &e);
        assert_int_equal(st.bad, 0);
        end(s, dir);
    }
}

/* What the disk does not give back is damaged, and not asked for a second time. */
static void test_reads_broken(void **state)
{
    char *dir;
    struct sx_store *s = begin(&dir, NOTHING);
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;

    fill(s);
    fs.refuses = BROKEN_READ;
    for (uint64_t i = 100; i < 120; i++)
        assert_int_equal(util_get(s, i, LARGE), large_ones(i, 1) ? SX_ECORRUPT : SX_OK);
    assert_true(fs.reads >= large_ones(100, 20));
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.bad, large_ones(100, 20));
    sx_store_close(s);
    util_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_pages),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_read_once),
        cmocka_unit_test(test_read_in_a_row),
        cmocka_unit_test(test_reads_refused),
        cmocka_unit_test(test_reads_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
