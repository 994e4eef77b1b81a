/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A database whose file is older than its last checkpoint: beneath SQLite's log it is found, and without the
 * check it would give rows of different times.  Older as a whole it is a state like any other.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/meta/sm/base.h"
#include "libsx/base/mem.h"
#include "tests/unit/sm_util.h"

struct content {
    uint8_t *p;
    size_t n;
};

static struct world w;
static struct content older, file, log_, noted;
static char copy[96], copy_log[104], copy_note[104];

static struct content content_of(const char *path)
{
    FILE *f = fopen(path, "re");
    struct content c;
    struct stat st;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    c.n = (size_t)st.st_size;
    c.p = sx_malloc(c.n + 1);
    assert_int_equal(fread(c.p, 1, c.n, f), c.n);
    fclose(f);
    return c;
}

static void write_to(const char *path, struct content c)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(c.p, 1, c.n, f), c.n);
    assert_int_equal(fclose(f), 0);
}

static void put(const char *path)
{
    assert_int_equal(put_inline(&w, "alice", "vol", path, 7, 100), SX_OK);
}

static void checkpoint_and_note(void)
{
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_sm_checkpoint(w.sm, true, &e), 0);
    sx_base_note(world_db(&w), w.path);
}

/* Many files; a checkpoint; file "a"; another one; and file "z", on another page, in SQLite's log. */
static int make(void **state)
{
    char log_path[104], note[104];

    world_open_volume(&w);
    snprintf(log_path, sizeof log_path, "%s-wal", w.path);
    snprintf(note, sizeof note, "%s.base", w.path);
    snprintf(copy, sizeof copy, "%s/copy %%3f?#.db", w.dir); /* no name is too odd */
    snprintf(copy_log, sizeof copy_log, "%s-wal", copy);
    snprintf(copy_note, sizeof copy_note, "%s.base", copy);
    for (unsigned i = 0; i < 200; i++) {
        char path[16];

        snprintf(path, sizeof path, "m%03u", i);
        put(path);
    }
    checkpoint_and_note();
    older = content_of(w.path);
    put("a");
    checkpoint_and_note();
    put("z");
    file = content_of(w.path);
    log_ = content_of(log_path);
    noted = content_of(note);
    write_to(copy_note, noted);
    return 0;
}

static int remove_all(void **state)
{
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_base_forget(w.path, &e), 0);
    free(older.p);
    free(file.p);
    free(log_.p);
    free(noted.p);
    unlink(copy);
    unlink(copy_note);
    world_close(&w);
    return 0;
}

/* Opens the copy and checks it; whether "a" and "z" are there. */
static int check(struct content db, const struct content *log, bool *a, bool *z)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t revs[4], index, term;
    struct world c = { .index = 0 };
    char shm[112];
    int r;

    write_to(copy, db);
    snprintf(shm, sizeof shm, "%s-shm", copy);
    unlink(shm);
    unlink(copy_log);
    if (log)
        write_to(copy_log, *log);
    assert_int_equal(sx_sm_open(copy, 0, NULL, NULL, &c.sm, &e), 0);
    sx_sm_applied(c.sm, &index, &term);
    r = sx_base_check(copy, index, &e);
    assert_int_equal(e.code, r == 0 ? SX_OK : SX_ECORRUPT);
    *a = world_revisions(&c, "vol", "a", revs) > 0;
    *z = world_revisions(&c, "vol", "z", revs) > 0;
    sx_sm_close(c.sm);
    return r;
}

static void test_right(void **state)
{
    bool a, z;

    assert_int_equal(check(file, &log_, &a, &z), 0);
    assert_true(a && z);
    assert_int_equal(check(file, NULL, &a, &z), 0);
    assert_true(a && !z);
}

static void test_older_beneath_log(void **state)
{
    bool a, z;

    assert_int_equal(check(older, &log_, &a, &z), -1);
    assert_true(!a && z); /* a state that never was */
}

static void test_older_as_a_whole(void **state)
{
    bool a, z;

    assert_int_equal(check(older, NULL, &a, &z), 0);
    assert_true(!a && !z);
}

static void test_note(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    bool a, z;

    noted.p[9] ^= 1;
    write_to(copy_note, noted); /* damaged: nothing is known */
    assert_int_equal(check(older, &log_, &a, &z), 0);
    noted.p[9] ^= 1;
    write_to(copy_note, noted);
    assert_int_equal(check(older, &log_, &a, &z), -1);
    assert_int_equal(sx_base_forget(copy, &e), 0);
    assert_int_equal(check(older, &log_, &a, &z), 0);
    assert_int_equal(sx_base_forget(copy, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_older_beneath_log),
        cmocka_unit_test(test_older_as_a_whole),
        cmocka_unit_test(test_note),
    };

    return cmocka_run_group_tests(tests, make, remove_all);
}
