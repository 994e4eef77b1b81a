/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The index is made anew from the packs alone: it equals the one before but for leases; also with
 * deleted, duplicate and damaged records, and when the making is killed at any call.
 */
#include "tests/unit/store_util.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "fcgi/store/device.h"
#include "libsx/base/log.h"

#define MAX 3000u
enum { BLOCKS = 200, BATCH = 20 };

static struct sx_store_options options(void)
{
    return (struct sx_store_options){ .node = 7, .capacity = 1u << 30, .reserve = 1,
                                      .pack_max = 64 << 10 };
}

static char *make(void)
{
    struct sx_store_options o = options();
    char *dir = util_dir();
    struct sx_store *s = util_open(dir, &o);
    struct sx_err e = SX_ERR_INIT;

    for (uint64_t i = 0; i < BLOCKS; i += BATCH)
        assert_done(util_put(s, i, BATCH, MAX, NULL, NULL, &e), &e);
    sx_store_close(s);
    return dir;
}

static void rebuild(const char *dir)
{
    struct sx_store_options o = options();
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_store_rebuild_index(dir, &o, &e), &e);
}

static void rows_of(struct sx_buf *out, const char *path, const char *sql)
{
    sqlite3_stmt *st;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        sx_buf_printf(out, "%s\n", sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
}

/* All that the index says, but for leases; to free. */
static char *dump(const char *dir)
{
    SX_AUTO_FREE char *packs = sx_asprintf("%s/index/packs.db", dir);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    for (unsigned i = 0; i < 8; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-%u.db", dir, i);

        rows_of(&b, path, "SELECT hex(id) || ' ' || pack || ' ' || at || ' ' || len || ' ' || state"
                          " FROM block ORDER BY id");
        rows_of(&b, path, "SELECT 'u' || pack || ' ' || live || ' ' || blocks FROM usage"
                          " WHERE blocks <> 0 ORDER BY pack");
    }
    rows_of(&b, packs, "SELECT 'p' || number || ' ' || size FROM pack ORDER BY number");
    return sx_strndup((const char *)b.data, b.len);
}

static unsigned readable(const char *dir)
{
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    unsigned n = 0;

    for (uint64_t i = 0; i < BLOCKS; i++)
        n += util_get(s, i, MAX) == 0;
    util_check(s);
    sx_store_close(s);
    return n;
}

static void equals(void **state)
{
    char *dir = make();
    SX_AUTO_FREE char *before = dump(dir), *after = NULL;

    rebuild(dir);
    after = dump(dir);
    assert_string_equal(before, after);
    assert_int_equal(readable(dir), BLOCKS);
    util_remove(dir);
}

/* What was deleted is back until the collector has deleted it again: then all is as before. */
static void deleted(void **state)
{
    struct sx_store_options o = options();
    char *dir = make();
    struct sx_store *s = util_open(dir, &o);
    struct sx_id ids[BLOCKS / 2];
    SX_AUTO_FREE char *before = NULL, *after = NULL;
    struct sx_err e = SX_ERR_INIT;
    size_t n;

    for (uint64_t i = 0; i < BLOCKS / 2; i++)
        ids[i] = util_id(2 * i);
    assert_done(sx_store_delete(s, ids, BLOCKS / 2, INT64_MAX, &n, &e), &e);
    assert_int_equal(n, BLOCKS / 2);
    sx_store_close(s);
    before = dump(dir);
    rebuild(dir);
    assert_int_equal(readable(dir), BLOCKS);
    s = util_open(dir, &o);
    assert_done(sx_store_set_floor(s, 0, &e), &e); /* as the collector does, leases being lost */
    assert_done(sx_store_delete(s, ids, BLOCKS / 2, INT64_MAX, &n, &e), &e);
    assert_int_equal(n, BLOCKS / 2);
    sx_store_close(s);
    after = dump(dir);
    assert_string_equal(before, after);
    util_remove(dir);
}

static void append_to(const char *dir, unsigned pack, const void *p, size_t n)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/%010u.pack", dir, pack);
    SX_AUTO_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), (ssize_t)n);
}

/* Two records of a block: the first counts, as before. */
static void duplicate(void **state)
{
    char *dir = make();
    SX_AUTO(sx_buf) struct sx_buf again = SX_BUF_INIT;
    SX_AUTO_FREE char *before = dump(dir), *after = NULL;

    for (uint64_t i = 0; i < 10; i++)
        util_record(&again, i, MAX);
    append_to(dir, 2, again.data, again.len);
    rebuild(dir);
    after = dump(dir);
    *strstr(before, "\np1 ") = *strstr(after, "\np1 ") = '\0'; /* the pack is longer */
    assert_string_equal(before, after);
    assert_int_equal(readable(dir), BLOCKS);
    util_remove(dir);
}

/* Damaged records have no row; all others have theirs. */
static void damaged(void **state)
{
    char *dir = make(), *line, *save = NULL;
    SX_AUTO_FREE char *before = dump(dir), *after = NULL;
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/%010u.pack", dir, 1);
    SX_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    unsigned missing = 0;

    assert_int_equal(pwrite(fd, "damage", 6, 3000), 6);
    assert_int_equal(pwrite(fd, "damage", 6, 30000), 6);
    rebuild(dir);
    after = dump(dir);
    for (line = strtok_r(before, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        missing += strlen(line) > 64 && !strstr(after, line);
    assert_int_equal(missing, 2);
    assert_int_equal(readable(dir), BLOCKS - 2);
    util_remove(dir);
}

/* ---- killed at any call ---- */

static int calls_left;

static void tick(void)
{
    if (calls_left-- == 0)
        _exit(1);
}

static int dying_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    tick();
    return sx_io_posix.open(&sx_io_posix, path, flags, mode);
}

static ssize_t dying_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    tick();
    return sx_io_posix.pread(&sx_io_posix, fd, p, n, at);
}

static int dying_fdatasync(const struct sx_io *io, int fd)
{
    tick();
    return sx_io_posix.fdatasync(&sx_io_posix, fd);
}

static int dying_unlink(const struct sx_io *io, const char *path)
{
    tick();
    return sx_io_posix.unlink(&sx_io_posix, path);
}

static int dying_rename(const struct sx_io *io, const char *from, const char *to)
{
    tick();
    return sx_io_posix.rename(&sx_io_posix, from, to);
}

/* True: it came to its end. */
static bool rebuild_until(const char *dir, int calls)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct sx_store_options o = options();
        struct sx_io io = sx_io_posix;

        io.open = dying_open;
        io.pread = dying_pread;
        io.fdatasync = dying_fdatasync;
        io.unlink = dying_unlink;
        io.rename = dying_rename;
        o.io = &io;
        calls_left = calls;
        _exit(sx_store_rebuild_index(dir, &o, NULL) ? 2 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 2);
    return WEXITSTATUS(status) == 0;
}

static void killed(void **state)
{
    char *dir = make();
    SX_AUTO_FREE char *before = dump(dir);
    int n = 0;

    for (;; n++) {
        bool whole = rebuild_until(dir, n);
        struct sx_store_options o = options();
        SX_AUTO_FREE char *after = NULL;

        sx_store_close(util_open(dir, &o)); /* as a start of the node does */
        after = dump(dir);
        assert_string_equal(before, after);
        if (whole)
            break;
    }
    print_message("killed at each of %d calls\n", n);
    assert_true(n > 30);
    assert_int_equal(readable(dir), BLOCKS);
    util_remove(dir);
}

/* ---- progress ---- */

struct seen {
    unsigned calls;
    uint64_t done, total;
};

static void see(void *ctx, uint64_t done, uint64_t total)
{
    struct seen *s = ctx;

    assert_true(done >= s->done && done <= total);
    *s = (struct seen){ s->calls + 1, done, total };
}

static void progress(void **state)
{
    char *dir = make();
    struct sx_store_options o = options();
    struct sx_err e = SX_ERR_INIT;
    struct seen seen = { 0 };

    o.progress = see;
    o.progress_ctx = &seen;
    assert_done(sx_store_rebuild_index(dir, &o, &e), &e);
    assert_true(seen.calls >= 4 && seen.done == seen.total);
    util_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals),  cmocka_unit_test(deleted), cmocka_unit_test(duplicate),
        cmocka_unit_test(damaged), cmocka_unit_test(killed),  cmocka_unit_test(progress),
    };

    sx_log_level_set((enum sx_log_level)-1); /* damage is to be expected */
    return cmocka_run_group_tests_name("store rebuild", tests, NULL, NULL);
}
