/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block store in one process: what is put is read, leases hold, what is deleted gives its space
 * back, damage is found and never given out, the index can be made anew from the packs.
 */
#include "tests/unit/store_util.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#define MAX 2000u
#define LATE 1000000u /* a horizon behind all leases */

static struct sx_store_options options(void)
{
    return (struct sx_store_options){ .node = 7, .capacity = 1u << 30, .reserve = 1,
                                      .pack_max = 64 << 10 };
}

/* Stops without closing: the locks and handles go with the child, nothing is marked clean. */


static void put_unclean(const char *dir, const struct sx_store_options *o, uint64_t from, size_t n)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct sx_store *s;
        struct sx_err e;

        if (sx_store_open(dir, o, &s, &e) || util_put(s, from, n, MAX, NULL, NULL, &e))
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The only pack's path (or the n-th). */
static char *pack_path(const char *dir, unsigned number)
{
    return sx_asprintf("%s/packs/%010u.pack", dir, number);
}

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) ? -1 : st.st_size;
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t b;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= 0x10;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

static void put_and_get(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_err e = SX_ERR_INIT;
    struct sx_store_stats st;
    uint64_t lease, bytes = 0;
    size_t written;

    assert_done(util_put(s, 0, 500, MAX, &lease, &written, &e), &e);
    assert_int_equal(written, 500);
    assert_int_equal(lease, 0); /* no epoch was set */
    for (uint64_t i = 0; i < 500; i++) {
        assert_int_equal(util_get(s, i, MAX), 0);
        bytes += util_len(i, MAX) + SX_RECORD_HEADER;
    }
    assert_int_equal(util_get(s, 500, MAX), SX_ENOTFOUND);
    assert_done(util_put(s, 400, 200, MAX, &lease, &written, &e), &e);
    assert_int_equal(written, 100);
    for (uint64_t i = 500; i < 600; i++)
        bytes += util_len(i, MAX) + SX_RECORD_HEADER;
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.blocks, 600);
    assert_int_equal(st.bytes, bytes);
    assert_int_equal(st.dead, 0);
    assert_int_equal(st.used, bytes + 64 * st.packs);
    assert_int_equal(st.bad, 0);
    sx_store_close(s);
    s = util_open(dir, &o);
    for (uint64_t i = 0; i < 600; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
    util_check(s);
    sx_store_close(s);
    util_remove(dir);
}

/* The same block twice in a batch is stored once; a wrong record stores nothing. */
static void odd_batches(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_record r[3];
    struct sx_store_stats st;
    size_t used, at = 0, written;
    uint64_t lease;

    util_record(&b, 1, MAX);
    util_record(&b, 2, MAX);
    for (int i = 0; i < 2; i++, at += used)
        assert_done(sx_record_parse(b.data + at, b.len - at, &r[i], &used, &e), &e);
    r[2] = r[0];
    assert_done(sx_store_put(s, r, 3, &lease, &written, &e), &e);
    assert_int_equal(written, 2);
    assert_done(sx_store_put(s, r, 0, &lease, &written, &e), &e);
    assert_int_equal(written, 0);
    sx_buf_reset(&b);
    util_record(&b, 3, MAX);
    util_record(&b, 4, MAX);
    for (at = 0, used = 0; at < b.len; at += used)
        assert_done(sx_record_parse(b.data + at, b.len - at, &r[at ? 1 : 0], &used, &e), &e);
    b.data[b.len - 1] ^= 1;
    assert_error(sx_store_put(s, r, 2, &lease, &written, &e), &e, SX_EBLOCK);
    b.data[b.len - 1] ^= 1;
    r[1].id.b[5] ^= 1;
    assert_error(sx_store_put(s, r, 2, &lease, &written, &e), &e, SX_EBLOCK);
    assert_error(sx_store_put(s, r, SX_STORE_BATCH_MAX + 1, &lease, &written, &e), &e, SX_EINVAL);
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.blocks, 2);
    sx_store_close(s);
    util_remove(dir);
}

static void have_and_lease(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_err e = SX_ERR_INIT;
    struct sx_id ids[20];
    uint8_t present[20];
    uint64_t lease;
    size_t deleted;

    for (unsigned i = 0; i < 20; i++)
        ids[i] = util_id(i);
    sx_store_set_epoch(s, 5);
    assert_done(util_put(s, 0, 10, MAX, &lease, NULL, &e), &e);
    assert_int_equal(lease, 5);
    assert_done(sx_store_have(s, ids, 20, present, &lease, &e), &e);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(present[i], i < 10);
    assert_int_equal(lease, 5);
    /* Leases only grow; what is given back is what is stored. */
    sx_store_set_epoch(s, 7);
    assert_done(sx_store_have(s, ids, 5, present, &lease, &e), &e);
    assert_int_equal(lease, 7);
    sx_store_set_epoch(s, 6); /* a database that lags */
    assert_done(sx_store_have(s, ids, 5, present, &lease, &e), &e);
    assert_int_equal(lease, 7);
    assert_done(sx_store_have(s, ids, 10, present, &lease, &e), &e);
    assert_int_equal(lease, 6); /* the oldest of them */
    assert_done(sx_store_have(s, ids + 10, 5, present, &lease, &e), &e);
    assert_int_equal(lease, 6); /* nothing there: this epoch */
    /* A lease at the horizon is over. */
    assert_done(sx_store_delete(s, ids, 10, 5, &deleted, &e), &e);
    assert_int_equal(deleted, 0);
    assert_done(sx_store_delete(s, ids, 10, 6, &deleted, &e), &e);
    assert_int_equal(deleted, 5);
    assert_done(sx_store_delete(s, ids, 4, 7, &deleted, &e), &e);
    assert_int_equal(deleted, 4);
    assert_done(sx_store_exists(s, ids, 20, present, &e), &e);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(present[i], i == 4);
    /* A put of what is there leases it anew. */
    sx_store_set_epoch(s, 9);
    assert_done(util_put(s, 4, 1, MAX, &lease, NULL, &e), &e);
    assert_int_equal(lease, 9);
    sx_store_close(s);
    /* A clean stop keeps leases and sets no floor. */
    s = util_open(dir, &o);
    assert_false(sx_store_floor_unknown(s));
    assert_done(sx_store_delete(s, ids, 10, 8, &deleted, &e), &e);
    assert_int_equal(deleted, 0);
    assert_done(sx_store_delete(s, ids, 10, 9, &deleted, &e), &e);
    assert_int_equal(deleted, 1);
    sx_store_close(s);
    util_remove(dir);
}

static void floor_after_unclean_stop(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s;
    struct sx_store_item it[2];
    struct sx_err e = SX_ERR_INIT;
    struct sx_id id = util_id(1);
    size_t deleted, n;

    put_unclean(dir, &o, 1, 1);
    s = util_open(dir, &o);
    /* Nobody knows which leases were lost: nothing goes. */
    assert_true(sx_store_floor_unknown(s));
    assert_done(sx_store_delete(s, &id, 1, LATE, &deleted, &e), &e);
    assert_int_equal(deleted, 0);
    sx_store_close(s);
    s = util_open(dir, &o); /* nor does a clean stop tell */
    assert_true(sx_store_floor_unknown(s));
    assert_done(sx_store_set_floor(s, 12, &e), &e);
    assert_false(sx_store_floor_unknown(s));
    assert_done(sx_store_set_floor(s, 3, &e), &e); /* it is known now */
    assert_done(sx_store_list(s, NULL, it, 2, &n, &e), &e);
    assert_int_equal(n, 1);
    assert_int_equal(it[0].lease, 12);
    sx_store_close(s);
    s = util_open(dir, &o); /* the floor outlives a clean stop */
    assert_done(sx_store_delete(s, &id, 1, 11, &deleted, &e), &e);
    assert_int_equal(deleted, 0);
    assert_done(sx_store_delete(s, &id, 1, 12, &deleted, &e), &e);
    assert_int_equal(deleted, 1);
    sx_store_close(s);
    util_remove(dir);
}

static void list_in_order(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_store_item it[7];
    struct sx_err e = SX_ERR_INIT;
    struct sx_id after, last = { { 0 } };
    size_t n, total = 0;

    assert_done(util_put(s, 0, 200, MAX, NULL, NULL, &e), &e);
    do {
        assert_done(sx_store_list(s, total ? &after : NULL, it, 7, &n, &e), &e);
        for (size_t i = 0; i < n; i++) {
            assert_true(sx_id_cmp(&last, &it[i].id) < 0);
            last = it[i].id;
        }
        total += n;
        after = last;
    } while (n == 7);
    assert_int_equal(total, 200);
    sx_store_close(s);
    util_remove(dir);
}

static void delete_and_compact(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_store_compaction done;
    struct sx_store_stats st, st2;
    struct sx_err e = SX_ERR_INIT;
    size_t deleted;

    for (uint64_t i = 0; i < 1000; i += 50)
        assert_done(util_put(s, i, 50, MAX, NULL, NULL, &e), &e);
    assert_done(sx_store_compact(s, false, 0, &done, &e), &e);
    assert_int_equal(done.packs, 0);
    /* Of the first half all, of the second two of three go. */
    for (uint64_t i = 0; i < 1000; i++) {
        struct sx_id id = util_id(i);

        if (i < 500 || i % 3)
            assert_done(sx_store_delete(s, &id, 1, LATE, &deleted, &e), &e);
    }
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_true(st.dead > st.bytes);
    assert_done(sx_store_compact(s, false, 0, &done, &e), &e);
    assert_true(done.packs > 0 && done.copied > 0 && done.freed > 0);
    assert_done(sx_store_stats(s, &st2, &e), &e);
    assert_int_equal(st2.blocks, st.blocks);
    assert_int_equal(st2.bytes, st.bytes);
    assert_true(st2.used < st.used / 2);
    /* What was freed, but for the headers of the packs that were made for the copies. */
    assert_true(done.freed >= st.used - st2.used &&
                done.freed - (st.used - st2.used) <= 64 * st2.packs);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(util_get(s, i, MAX), i < 500 || i % 3 ? SX_ENOTFOUND : 0);
    util_check(s);
    /* Everything deleted: every byte comes back, the open pack's too. */
    for (uint64_t i = 0; i < 1000; i++) {
        struct sx_id id = util_id(i);

        assert_done(sx_store_delete(s, &id, 1, LATE, &deleted, &e), &e);
    }
    assert_done(sx_store_compact(s, false, 0, &done, &e), &e);
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.packs, 0);
    assert_int_equal(st.used, 0);
    assert_int_equal(st.blocks, 0);
    assert_done(util_put(s, 0, 10, MAX, NULL, NULL, &e), &e);
    assert_int_equal(util_get(s, 3, MAX), 0);
    sx_store_close(s);
    util_remove(dir);
}

/* At rest at most a tenth of the store is dead, whatever was deleted: packs that are less than half
 * dead are rewritten, too, if it may be thorough. */
static void thorough_compaction(void **state)
{
    static const unsigned one_in[] = { 2, 3, 5, 9 };

    for (size_t k = 0; k < sizeof one_in / sizeof *one_in; k++) {
        char *dir = util_dir();
        struct sx_store_options o = options();
        struct sx_store *s;
        struct sx_store_compaction done;
        struct sx_store_stats before, st;
        struct sx_err e = SX_ERR_INIT;
        uint64_t seed = k;
        size_t deleted;

        o.pack_max = 256 << 10;
        s = util_open(dir, &o);
        for (uint64_t i = 0; i < 4000; i += 50)
            assert_done(util_put(s, i, 50, MAX, NULL, NULL, &e), &e);
        for (uint64_t i = 0; i < 4000; i++) {
            struct sx_id id = util_id(i);

            if (unit_random(&seed) % one_in[k] == 0)
                assert_done(sx_store_delete(s, &id, 1, LATE, &deleted, &e), &e);
        }
        assert_done(sx_store_stats(s, &before, &e), &e);
        assert_done(sx_store_compact(s, true, 0, &done, &e), &e);
        assert_done(sx_store_stats(s, &st, &e), &e);
        assert_int_equal(st.blocks, before.blocks);
        assert_true(st.dead <= st.used / 10 + (64 << 10));
        if (one_in[k] == 2)
            assert_true(before.dead - st.dead >= before.dead * 8 / 10);
        util_check(s);
        /* Nothing is left to do, so nothing is done. */
        assert_done(sx_store_compact(s, true, 0, &done, &e), &e);
        assert_int_equal(done.packs + done.copied, 0);
        sx_store_close(s);
        util_remove(dir);
    }
}

static void compaction_budget(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;
    unsigned rounds = 0;
    size_t deleted;

    for (uint64_t i = 0; i < 1000; i += 50)
        assert_done(util_put(s, i, 50, MAX, NULL, NULL, &e), &e);
    for (uint64_t i = 0; i < 1000; i += 1 + (i % 4 == 2)) {
        struct sx_id id = util_id(i);

        assert_done(sx_store_delete(s, &id, 1, LATE, &deleted, &e), &e);
    }
    do {
        assert_done(sx_store_compact(s, false, 30000, &done, &e), &e);
        assert_true(done.copied < 100000);
        rounds++;
    } while (done.more);
    assert_true(rounds > 2);
    util_check(s);
    sx_store_close(s);
    util_remove(dir);
}

/* A flipped bit anywhere in a record: never given out, told, and healed by a new put. */
static void flipped_bits(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    SX_AUTO_FREE char *path = pack_path(dir, 1);
    struct sx_store_compaction done;
    struct sx_store_item bad[4];
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    struct sx_id id = util_id(1);
    uint32_t len = util_len(1, 100) + SX_RECORD_HEADER;
    uint8_t present;
    uint64_t lease;
    size_t n;

    assert_done(util_put(s, 1, 3, 100, NULL, NULL, &e), &e);
    for (uint32_t at = 0; at < len; at++) {
        size_t written;

        /* The row points at the newest copy, which is the last record of pack 1. */
        off_t where = at == 0 ? 64 : size_of(path) - len;

        flip(path, where + at);
        assert_int_equal(util_get(s, 1, 100), SX_ECORRUPT);
        assert_done(sx_store_have(s, &id, 1, &present, &lease, &e), &e);
        assert_int_equal(present, 0);
        assert_done(sx_store_stats(s, &st, &e), &e);
        assert_int_equal(st.bad, 1);
        assert_done(sx_store_list_bad(s, NULL, bad, 4, &n, &e), &e);
        assert_int_equal(n, 1);
        assert_memory_equal(&bad[0].id, &id, sizeof id);
        assert_done(util_put(s, 1, 1, 100, NULL, &written, &e), &e);
        assert_int_equal(written, 1);
        assert_int_equal(util_get(s, 1, 100), 0);
    }
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.bad, 0);
    assert_int_equal(st.blocks, 3);
    util_check(s);
    /* A damaged block in a pack that is compacted stays known, as damaged. */
    flip(path, size_of(path) - 1);
    for (unsigned i = 2; i <= 3; i++) {
        struct sx_id other = util_id(i);

        assert_done(sx_store_delete(s, &other, 1, LATE, &n, &e), &e);
    }
    assert_done(util_put(s, 10, 60, MAX, NULL, NULL, &e), &e);
    assert_done(sx_store_compact(s, false, 0, &done, &e), &e);
    assert_int_equal(util_get(s, 1, 100), SX_ECORRUPT);
    assert_done(sx_store_have(s, &id, 1, &present, &lease, &e), &e);
    assert_int_equal(present, 0);
    assert_done(util_put(s, 1, 1, 100, NULL, NULL, &e), &e);
    assert_int_equal(util_get(s, 1, 100), 0);
    sx_store_close(s);
    util_remove(dir);
}

/* Pack headers are only about whose pack it is: its records are used all the same. */
static void flipped_header(void **state)
{
    for (off_t at = 0; at < 64; at++) {
        char *dir = util_dir();
        struct sx_store_options o = options();
        SX_AUTO_FREE char *path = pack_path(dir, 1);
        struct sx_err e = SX_ERR_INIT;
        struct sx_store *s;

        put_unclean(dir, &o, 0, 10);
        flip(path, at);
        s = util_open(dir, &o);
        for (uint64_t i = 0; i < 10; i++)
            assert_int_equal(util_get(s, i, MAX), 0);
        assert_done(util_put(s, 10, 1, MAX, NULL, NULL, &e), &e);
        assert_int_equal(util_get(s, 10, MAX), 0);
        util_check(s);
        sx_store_close(s);
        util_remove(dir);
    }
}

/* A wrong row in the index leads to no wrong block. */
static void wrong_rows(void **state)
{
    static const char *const damage[] = { "UPDATE block SET at = at + 1",
                                          "UPDATE block SET len = len - 1",
                                          "UPDATE block SET len = 4000000000", "UPDATE block SET at = -5",
                                          "UPDATE block SET pack = 99", "UPDATE block SET at = 64" };

    for (size_t k = 0; k < sizeof damage / sizeof *damage; k++) {
        char *dir = util_dir();
        struct sx_store_options o = options();
        struct sx_store *s = util_open(dir, &o);
        struct sx_store_report r;
        struct sx_err e = SX_ERR_INIT;
        unsigned wrong = 0;

        assert_done(util_put(s, 0, 100, MAX, NULL, NULL, &e), &e);
        for (unsigned i = 0; i < 8; i++) {
            SX_AUTO_FREE char *cmd = sx_asprintf("%s/index/shard-%u.db", dir, i);
            sqlite3 *db;

            assert_int_equal(sqlite3_open(cmd, &db), SQLITE_OK);
            assert_int_equal(sqlite3_exec(db, damage[k], NULL, NULL, NULL), SQLITE_OK);
            sqlite3_close(db);
        }
        for (uint64_t i = 0; i < 100; i++) {
            int code = util_get(s, i, MAX);

            assert_true(code == 0 || code == SX_ECORRUPT);
            wrong += code != 0;
        }
        assert_true(wrong >= 99);
        assert_done(sx_store_check(s, true, &r, &e), &e);
        assert_int_equal(r.bad, wrong);
        sx_store_close(s);
        assert_done(sx_store_rebuild_index(dir, &o, &e), &e);
        s = util_open(dir, &o);
        for (uint64_t i = 0; i < 100; i++)
            assert_int_equal(util_get(s, i, MAX), 0);
        util_check(s);
        sx_store_close(s);
        util_remove(dir);
    }
}

static void remove_index_files(const char *dir, const char *pattern)
{
    SX_AUTO_FREE char *cmd = sx_asprintf("rm -f %s/index/%s", dir, pattern);

    assert_int_equal(system(cmd), 0);
}

/* The index, or any part of it, can be lost or damaged beyond reading: it is made anew. */
static void rebuild(void **state)
{
    static const char *const parts[] = { "*", "shard-3.db*", "packs.db*" };
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_err e = SX_ERR_INIT;

    for (uint64_t i = 0; i < 400; i += 50)
        assert_done(util_put(s, i, 50, MAX, NULL, NULL, &e), &e);
    assert_error(sx_store_rebuild_index(dir, &o, &e), &e, SX_ECONFLICT);
    sx_store_close(s);
    for (size_t k = 0; k < sizeof parts / sizeof *parts + 1; k++) {
        if (k < sizeof parts / sizeof *parts) {
            remove_index_files(dir, parts[k]);
        } else {
            SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-5.db", dir);

            flip(path, 3); /* SQLite's own magic */
        }
        s = util_open(dir, &o);
        for (uint64_t i = 0; i < 400; i++)
            assert_int_equal(util_get(s, i, MAX), 0);
        util_check(s);
        assert_done(util_put(s, 1000 + k, 1, MAX, NULL, NULL, &e), &e);
        sx_store_close(s);
    }
    util_remove(dir);
}

/* A page of the index is damaged while the store is open: calls fail, and the next start makes it
 * anew. */
static void index_damaged_in_use(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_err e = SX_ERR_INIT;
    unsigned failures = 0;

    for (uint64_t i = 0; i < 2000; i += 500)
        assert_done(util_put(s, i, 500, MAX, NULL, NULL, &e), &e);
    sx_store_close(s);
    for (unsigned k = 0; k < 8; k++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-%u.db", dir, k);
        SX_AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t junk[4096];

        memset(junk, 0xa5, sizeof junk);
        assert_true(size_of(path) > 3 * 4096);
        for (off_t at = 4096; at + 4096 <= size_of(path); at += 4096)
            assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    }
    s = util_open(dir, &o);
    for (uint64_t i = 0; i < 2000; i++)
        failures += util_get(s, i, MAX) == SX_ECORRUPT;
    assert_int_equal(failures, 2000);
    sx_store_close(s);
    s = util_open(dir, &o);
    for (uint64_t i = 0; i < 2000; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
    util_check(s);
    sx_store_close(s);
    util_remove(dir);
}

/* The last record cut at every byte: what stands before it is there, the cut one is not, the store
 * goes on. */
static void torn_tail(void **state)
{
    uint32_t len = util_len(5, 60) + SX_RECORD_HEADER;

    for (uint32_t cut = 1; cut <= len; cut++) {
        char *dir = util_dir();
        struct sx_store_options o = options();
        SX_AUTO_FREE char *path = pack_path(dir, 1);
        struct sx_err e = SX_ERR_INIT;
        struct sx_store *s;

        put_unclean(dir, &o, 0, 5);
        remove_index_files(dir, "*"); /* nothing of it had reached the disk */
        put_unclean(dir, &o, 0, 0);
        remove_index_files(dir, "*");
        {
            SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
            int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

            util_record(&b, 5, 60);
            assert_int_equal(write(fd, b.data, b.len - cut), b.len - cut);
            close(fd);
        }
        s = util_open(dir, &o);
        for (uint64_t i = 0; i < 5; i++)
            assert_int_equal(util_get(s, i, MAX), 0);
        assert_int_equal(util_get(s, 5, 60), SX_ENOTFOUND);
        assert_done(util_put(s, 5, 1, 60, NULL, NULL, &e), &e);
        assert_int_equal(util_get(s, 5, 60), 0);
        util_check(s);
        sx_store_close(s);
        util_remove(dir);
    }
}

/* Damage in the middle of a pack hides only the record it is in. */
static void damage_hides_nothing_else(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    SX_AUTO_FREE char *path = pack_path(dir, 1);
    struct sx_store *s;
    unsigned lost = 0;

    put_unclean(dir, &o, 0, 20);
    remove_index_files(dir, "*");
    for (unsigned k = 1; k < 4; k++)
        flip(path, 64 + (size_of(path) - 64) / 4 * k);
    s = util_open(dir, &o);
    for (uint64_t i = 0; i < 20; i++)
        lost += util_get(s, i, MAX) != 0;
    assert_true(lost >= 1 && lost <= 3);
    sx_store_close(s);
    util_remove(dir);
}

static void space(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store_compaction done;
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;
    uint64_t n = 0, lease;
    uint8_t present;
    size_t deleted;
    struct sx_id id;

    o.capacity = 200000;
    s = util_open(dir, &o);
    while (util_put(s, n, 5, MAX, NULL, NULL, &e) == 0)
        n += 5;
    assert_string_equal(sx_err_name(e.code), "NoSpace");
    assert_non_null(strstr(e.msg, "capacity"));
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_true(st.used <= 200000 && st.used > 180000);
    /* Reading, leasing, putting what is there, deleting and compacting go on. */
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
    assert_done(util_put(s, 0, 5, MAX, NULL, NULL, &e), &e);
    id = util_id(0);
    assert_done(sx_store_have(s, &id, 1, &present, &lease, &e), &e);
    assert_int_equal(present, 1);
    for (uint64_t i = 0; i < n; i += 1 + (i % 4 == 2)) {
        id = util_id(i);
        assert_done(sx_store_delete(s, &id, 1, LATE, &deleted, &e), &e);
    }
    assert_done(sx_store_compact(s, false, 0, &done, &e), &e);
    assert_true(done.packs > 0);
    assert_done(util_put(s, n, 5, MAX, NULL, NULL, &e), &e);
    sx_store_close(s);
    o.capacity = 0;
    o.reserve = UINT64_MAX / 2; /* no disk has that much left */
    s = util_open(dir, &o);
    assert_error(util_put(s, n + 5, 1, MAX, NULL, NULL, &e), &e, SX_ENOSPACE);
    assert_non_null(strstr(e.msg, "nearly full"));
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.free, 0);
    assert_int_equal(util_get(s, n, MAX), 0);
    sx_store_close(s);
    util_remove(dir);
}

/* A pack of a later version is not touched. */
static void later_pack(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    SX_AUTO_FREE char *path = pack_path(dir, 1);
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;
    uint8_t h[64];
    int fd;

    put_unclean(dir, &o, 0, 5);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, h, 64, 0), 64);
    sx_put_u32(h + 4, 2);
    sx_put_u32(h + 60, sx_crc32c(0, h, 60));
    assert_int_equal(pwrite(fd, h, 64, 0), 64);
    close(fd);
    assert_error(sx_store_open(dir, &o, &s, &e), &e, SX_EVERSION);
    assert_non_null(strstr(e.msg, "pack 1: version 2 is not known"));
    util_remove(dir);
}

/* A file of another program, or of a later version, is not taken for ours. */
static void strange_files(void **state)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-0.db", dir);
    SX_AUTO_FREE char *junk = sx_asprintf("touch %s/packs/x.pack %s/packs/12 %s/packs/0000000012.packs",
                                          dir, dir, dir);
    struct sx_err e = SX_ERR_INIT;
    sqlite3 *db;

    assert_done(util_put(s, 0, 10, MAX, NULL, NULL, &e), &e);
    sx_store_close(s);
    assert_int_equal(system(junk), 0);
    assert_done(sx_store_rebuild_index(dir, &o, &e), &e);
    s = util_open(dir, &o);
    assert_int_equal(util_get(s, 3, MAX), 0);
    sx_store_close(s);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_error(sx_store_open(dir, &o, &s, &e), &e, SX_EVERSION);
    util_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_get),
        cmocka_unit_test(odd_batches),
        cmocka_unit_test(have_and_lease),
        cmocka_unit_test(floor_after_unclean_stop),
        cmocka_unit_test(list_in_order),
        cmocka_unit_test(delete_and_compact),
        cmocka_unit_test(thorough_compaction),
        cmocka_unit_test(compaction_budget),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(flipped_header),
        cmocka_unit_test(wrong_rows),
        cmocka_unit_test(rebuild),
        cmocka_unit_test(index_damaged_in_use),
        cmocka_unit_test(torn_tail),
        cmocka_unit_test(damage_hides_nothing_else),
        cmocka_unit_test(space),
        cmocka_unit_test(later_pack),
        cmocka_unit_test(strange_files),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
