/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scrubbing a device (fcgi/store/scrub.h): each kind of damage is found, by a walk in steps of any
 * size, and what the packs can mend is mended.
 */
#include "tests/unit/store_util.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>

#include "fcgi/jobs/scrub_state.h"
#include "fcgi/store/verify.h"
#include "libsx/base/log.h"

#define MAX 3000u
enum { BLOCKS = 120, BATCH = 20, STEP = 4096 };

/* What the walk asks: which blocks are referenced, and whether a content is right. */
struct world {
    bool referenced[BLOCKS];
    unsigned wrong; /* the content of this block counts as wrong; BLOCKS: none */
};

static unsigned number_of(const struct sx_id *id)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct sx_id other = util_id(i);

        if (sx_id_cmp(&other, id) == 0)
            return i;
    }
    return BLOCKS;
}

static int decode(void *ctx, const struct sx_record *r, struct sx_err *e)
{
    struct world *w = ctx;
    unsigned n = number_of(&r->id);

    if (n == BLOCKS || n == w->wrong)
        return sx_err_set(e, SX_EBLOCK, "wrong content");
    return 0;
}

static int referenced(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    struct world *w = ctx;

    (void)e;
    for (size_t i = 0; i < n; i++) {
        unsigned k = number_of(&ids[i]);

        yes[i] = k < BLOCKS && w->referenced[k];
    }
    return 0;
}

struct test {
    char *dir;
    struct sx_store_options o;
    struct sx_device *d;
    struct world world;
};

static struct test *make(void)
{
    struct test *t = sx_calloc(1, sizeof *t);
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;

    t->dir = util_dir();
    t->world.wrong = BLOCKS;
    t->o = (struct sx_store_options){ .node = 7, .capacity = 1u << 30, .reserve = 1,
                                      .pack_max = 64 << 10 };
    s = util_open(t->dir, &t->o);
    for (uint64_t i = 0; i < BLOCKS; i += BATCH)
        assert_done(util_put(s, i, BATCH, MAX, NULL, NULL, &e), &e);
    sx_store_close(s);
    assert_done(sx_device_open(t->dir, &t->o, &t->d, &e), &e);
    return t;
}

static void end(struct test *t)
{
    sx_device_close(t->d);
    util_remove(t->dir);
    free(t);
}

/* A whole walk; each step by a walk that knows only the place. */
static struct sx_scrub_found walk(struct test *t, uint64_t step)
{
    struct sx_scrub_walk w = { .decode = decode, .referenced = referenced, .ctx = &t->world };
    struct sx_err e = SX_ERR_INIT;
    unsigned steps = 0;

    while (w.place.phase != SX_SCRUB_DONE) {
        struct sx_scrub_walk next = { .decode = decode, .referenced = referenced,
                                      .ctx = &t->world, .place = w.place, .found = w.found };

        assert_done(sx_device_scrub(t->d, &next, step, &e), &e);
        w = next;
        assert_true(++steps < 100000);
    }
    return w.found;
}

/* Nothing is wrong (any more). */
static void sound(struct test *t)
{
    struct sx_scrub_found f = walk(t, STEP);

    assert_int_equal(f.blocks, BLOCKS);
    assert_int_equal(f.damaged + f.mended + f.sums + f.headers + f.read_errors + f.index_faults, 0);
}

static unsigned readable(struct test *t)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < BLOCKS; i++) {
        SX_AUTO(sx_buf) struct sx_buf got = SX_BUF_INIT, want = SX_BUF_INIT;
        struct sx_id id = util_id(i);

        if (sx_device_get(t->d, &id, &got, NULL))
            continue;
        util_record(&want, i, MAX);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        n++;
    }
    return n;
}

static size_t bad(struct test *t)
{
    struct sx_store_item items[BLOCKS];
    struct sx_err e = SX_ERR_INIT;
    size_t n;

    assert_done(sx_device_list_bad(t->d, NULL, items, BLOCKS, &n, &e), &e);
    return n;
}

/* SQL on every shard, as damage that SQLite does not see. */
static void shards(struct test *t, const char *sql)
{
    for (unsigned i = 0; i < 8; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-%u.db", t->dir, i);
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
}

static int open_pack(struct test *t, unsigned number)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/%010u.pack", t->dir, number);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void nothing_wrong(void **state)
{
    struct test *t = make();

    for (uint64_t step = 1; step <= 1 << 20; step *= 32) {
        struct sx_scrub_found f = walk(t, step);

        assert_int_equal(f.blocks, BLOCKS);
        assert_int_equal(f.rows, BLOCKS);
        assert_int_equal(f.stray + f.damaged + f.mended + f.sums, 0);
    }
    end(t);
}

static void flipped_bits(void **state)
{
    struct test *t = make();
    struct sx_scrub_found f;
    int fd = open_pack(t, 1);
    uint8_t b;

    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(pread(fd, &b, 1, 2000 + i * 9000), 1);
        b ^= 4;
        assert_int_equal(pwrite(fd, &b, 1, 2000 + i * 9000), 1);
    }
    close(fd);
    f = walk(t, STEP);
    assert_int_equal(f.damaged, 5);
    assert_int_equal(f.blocks, BLOCKS - 5);
    assert_int_equal(bad(t), 5);
    assert_int_equal(readable(t), BLOCKS - 5);
    f = walk(t, 1 << 20); /* known already */
    assert_int_equal(f.damaged, 0);
    end(t);
}

static void zeroed_area(void **state)
{
    struct test *t = make();
    uint8_t zero[20000] = { 0 };
    struct sx_scrub_found f;
    int fd = open_pack(t, 2);
    unsigned left;

    assert_int_equal(pwrite(fd, zero, sizeof zero, 8192), sizeof zero);
    close(fd);
    f = walk(t, STEP);
    left = readable(t);
    assert_in_range(left, BLOCKS - 30, BLOCKS - 5);
    assert_int_equal(f.damaged, BLOCKS - left);
    assert_int_equal(f.blocks, left);
    end(t);
}

static void lost_pack(void **state)
{
    struct test *t = make();
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/%010u.pack", t->dir, 2);
    struct sx_scrub_found f;

    assert_int_equal(unlink(path), 0);
    f = walk(t, STEP);
    assert_true(f.damaged > 5);
    assert_int_equal(f.damaged, bad(t));
    assert_int_equal(readable(t), BLOCKS - f.damaged);
    end(t);
}

/* The index lies, in ways that its databases do not show; the packs have the truth. */
static void wrong_rows(void **state)
{
    static const char *const damage[] = {
        "UPDATE block SET at = at + 64",
        "UPDATE block SET at = at | (1 << 40)",
        "UPDATE block SET pack = CASE pack WHEN 1 THEN 2 ELSE 1 END",
        "UPDATE block SET pack = pack + 1000",
        "UPDATE block SET len = len + 8",
        "UPDATE block SET len = 0",
        "UPDATE block SET state = 1",
        "UPDATE block SET state = 7",
        "UPDATE block SET pack = 0, state = 1",
    };

    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        struct test *t = make();
        struct sx_scrub_found f;

        print_message("%s\n", damage[i]);
        shards(t, damage[i]);
        f = walk(t, STEP);
        assert_int_equal(f.mended, BLOCKS);
        assert_int_equal(readable(t), BLOCKS);
        assert_int_equal(bad(t), 0);
        walk(t, STEP); /* sums that were wrong because of the rows */
        sound(t);
        end(t);
    }
}

static void lost_rows(void **state)
{
    struct test *t = make();
    struct sx_scrub_found f;

    for (unsigned i = 0; i < BLOCKS / 2; i++)
        t->world.referenced[i] = true;
    shards(t, "DELETE FROM block");
    f = walk(t, STEP);
    assert_int_equal(f.sums, 8);
    assert_int_equal(f.mended, BLOCKS / 2);
    assert_int_equal(f.stray, BLOCKS / 2);
    assert_int_equal(readable(t), BLOCKS / 2);
    f = walk(t, STEP);
    assert_int_equal(f.blocks, BLOCKS / 2);
    assert_int_equal(f.damaged + f.mended + f.sums, 0);
    end(t);
}

static void wrong_ids(void **state)
{
    struct test *t = make();
    struct sx_scrub_found f;

    for (unsigned i = 0; i < BLOCKS; i++)
        t->world.referenced[i] = true;
    shards(t, "UPDATE block SET id = CAST(substr(id, 1, 31) || x'5a' AS BLOB)");
    f = walk(t, STEP);
    assert_int_equal(f.damaged, BLOCKS); /* blocks of ids that nobody knows */
    assert_int_equal(f.mended, BLOCKS);
    assert_int_equal(readable(t), BLOCKS);
    end(t);
}

static void wrong_content(void **state)
{
    struct test *t = make();
    struct sx_scrub_found f;

    t->world.wrong = 17;
    f = walk(t, STEP);
    assert_int_equal(f.damaged, 1);
    assert_int_equal(bad(t), 1);
    f = walk(t, STEP); /* and it is not taken for good again */
    assert_int_equal(f.mended, 0);
    assert_int_equal(f.stray, 1);
    t->world.wrong = BLOCKS;
    assert_int_equal(walk(t, STEP).mended, 1);
    sound(t);
    end(t);
}

static void damaged_headers(void **state)
{
    struct test *t = make();
    struct sx_scrub_found f;
    int fd = open_pack(t, 1);

    assert_int_equal(pwrite(fd, "X", 1, 9), 1);
    close(fd);
    f = walk(t, STEP);
    assert_int_equal(f.headers, 1);
    assert_int_equal(f.blocks, BLOCKS);
    end(t);
}

static void wrong_pack_table(void **state)
{
    static const char *const damage[] = { "DELETE FROM pack", "UPDATE pack SET size = size * 3",
                                          "UPDATE pack SET size = 64", "UPDATE pack SET state = 0",
                                          "UPDATE pack SET state = 9" };

    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        struct test *t = make();
        SX_AUTO_FREE char *path = sx_asprintf("%s/index/packs.db", t->dir);
        struct sx_store_stats st;
        struct sx_err e = SX_ERR_INIT;
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damage[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_int_equal(walk(t, STEP).blocks, BLOCKS);
        assert_done(sx_device_stats(t->d, &st, &e), &e);
        assert_int_equal(st.blocks, BLOCKS);
        sound(t);
        end(t);
    }
}

/* ---- a disk that does not give back what it has ---- */

static bool disk_bad;

static ssize_t bad_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    enum { FROM = 16384, TO = 24576 }; /* of every pack */

    if (disk_bad && at < TO && at + (off_t)n > FROM) {
        if (at >= FROM) {
            errno = EIO;
            return -1;
        }
        n = (size_t)(FROM - at);
    }
    return sx_io_posix.pread(&sx_io_posix, fd, p, n, at);
}

static void unreadable_area(void **state)
{
    struct test *t = make();
    struct sx_io io = sx_io_posix;
    struct sx_scrub_found f;
    struct sx_err e = SX_ERR_INIT;
    struct sx_store_stats st;
    unsigned left;

    io.pread = bad_pread;
    t->o.io = &io;
    sx_device_close(t->d);
    assert_done(sx_device_open(t->dir, &t->o, &t->d, &e), &e);
    disk_bad = true;
    f = walk(t, STEP);
    assert_done(sx_device_stats(t->d, &st, &e), &e);
    assert_true(f.read_errors >= 2 * (st.packs - 1));
    left = readable(t);
    assert_in_range(left, BLOCKS / 4, BLOCKS - 5);
    assert_int_equal(bad(t), BLOCKS - left);
    disk_bad = false; /* it was the cable */
    f = walk(t, STEP);
    assert_int_equal(f.mended, BLOCKS - left);
    sound(t);
    end(t);
}

/* ---- packs that come and go meanwhile ---- */

/* SQL on the table of packs; the number that it gives, or 0. */
static unsigned table(const char *dir, const char *sql)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/index/packs.db", dir);
    sqlite3_stmt *st;
    unsigned n = 0;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    if (sqlite3_step(st) == SQLITE_ROW)
        n = (unsigned)sqlite3_column_int(st, 0);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    sqlite3_close(db);
    return n;
}

/* What another process does when the scrub has read the row of a pack and opened its file. */
static struct {
    const char *dir, *pack, *sql; /* pack NULL: nothing (any more) */
    unsigned opened; /* for reading blocks, before */
    bool removes;
} other;

static int open_before_other(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    int fd = sx_io_posix.open(io, path, flags, mode);

    if (other.pack && (flags & O_ACCMODE) == O_RDONLY && strstr(path, other.pack) &&
        other.opened-- == 0) {
        other.pack = NULL;
        if (other.removes) {
            assert_int_equal(truncate(path, 0), 0);
            assert_int_equal(unlink(path), 0);
        }
        table(other.dir, other.sql);
    }
    return fd;
}

static struct test *make_beside_other(void)
{
    static struct sx_io io;
    struct test *t = make();
    struct sx_err e = SX_ERR_INIT;

    io = sx_io_posix;
    io.open = open_before_other;
    t->o.io = &io;
    sx_device_close(t->d);
    assert_done(sx_device_open(t->dir, &t->o, &t->d, &e), &e);
    other.dir = t->dir;
    return t;
}

static void removed_meanwhile(void **state)
{
    struct test *t = make_beside_other();
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/0000001000.pack", t->dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    close(fd);
    table(t->dir, "INSERT INTO pack VALUES(1000, 1, 5000, 5000)");
    other.pack = "0000001000.pack";
    other.sql = "DELETE FROM pack WHERE number = 1000";
    other.opened = 0;
    other.removes = true;
    sound(t);
    assert_null(other.pack);
    end(t);
}

/* The row was read before it had a size; then the pack was made, and filled. */
static void made_meanwhile(void **state)
{
    struct test *t = make_beside_other();
    unsigned number = table(t->dir, "SELECT number FROM pack WHERE state = 0");
    unsigned size = table(t->dir, "SELECT size FROM pack WHERE state = 0");
    SX_AUTO_FREE char *name = sx_asprintf("%010u.pack", number);
    SX_AUTO_FREE char *sql = sx_asprintf("UPDATE pack SET state = 0, size = %u WHERE size = 0", size);

    table(t->dir, "UPDATE pack SET state = 1, size = 0 WHERE state = 0");
    other.pack = name;
    other.sql = sql;
    other.opened = 1;
    other.removes = false;
    sound(t);
    assert_null(other.pack);
    assert_int_equal(table(t->dir, "SELECT count(*) FROM pack WHERE state = 0"), 1);
    end(t);
}

/* A name that the directory gave, and that has no file by now, gets no row. */
static void name_without_file(void **state)
{
    struct test *t = make();
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/0000001000.pack", t->dir);

    assert_int_equal(symlink("/nowhere", path), 0);
    sound(t);
    assert_int_equal(table(t->dir, "SELECT count(*) FROM pack WHERE number = 1000"), 0);
    end(t);
}

/* ---- parts ---- */

/* A block that is looked at alone. */
static void one_block(void **state)
{
    struct test *t = make();
    struct sx_scrub_walk w = { .decode = decode, .ctx = &t->world };
    struct sx_id id = util_id(3), none = { { 1, 2, 3 } };
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_device_scrub_block(t->d, &w, &id, &e), &e);
    assert_done(sx_device_scrub_block(t->d, &w, &none, &e), &e);
    assert_int_equal(w.found.blocks, 1);
    t->world.wrong = 3;
    assert_done(sx_device_scrub_block(t->d, &w, &id, &e), &e);
    assert_int_equal(w.found.damaged, 1);
    assert_int_equal(bad(t), 1);
    end(t);
}

/* One pack, as it is and as a copy; nothing is changed. */
static void one_pack(void **state)
{
    struct test *t = make();
    const struct sx_scrub_walk w = { .decode = decode, .ctx = &t->world };
    SX_AUTO_FREE char *path = sx_asprintf("%s/packs/%010u.pack", t->dir, 1);
    SX_AUTO_FREE char *copy = sx_asprintf("cp %s %s/0000000001.pack", path, t->dir);
    SX_AUTO_FREE char *elsewhere = sx_asprintf("%s/0000000001.pack", t->dir);
    struct sx_pack_verdict v;
    struct sx_err e = SX_ERR_INIT;
    uint64_t records;
    int fd = open_pack(t, 1);

    assert_done(sx_device_verify_pack(t->d, path, &w, &v, &e), &e);
    assert_true(v.indexed && v.number == 1 && !v.header[0]);
    assert_true(v.records > 10 && v.records == v.live);
    assert_int_equal(v.wrong + v.holes + v.dead + v.lost + v.read_errors, 0);
    records = v.records;
    assert_int_equal(pwrite(fd, "damage", 6, 3000), 6);
    assert_int_equal(pwrite(fd, "X", 1, 0), 1);
    close(fd);
    assert_done(sx_device_verify_pack(t->d, path, &w, &v, &e), &e);
    assert_true(v.indexed && v.number == 1 && v.header[0]);
    assert_int_equal(v.records, records - 1);
    assert_int_equal(v.holes, 1);
    assert_true(v.hole[0].from <= 3000 && v.hole[0].to > 3005);
    assert_int_equal(v.lost, 1);
    assert_int_equal(bad(t), 0);
    assert_int_equal(system(copy), 0);
    t->world.wrong = 0;
    assert_done(sx_device_verify_pack(t->d, elsewhere, &w, &v, &e), &e);
    assert_false(v.indexed);
    assert_int_equal(v.records, records - 1);
    assert_int_equal(v.lost + v.live, 0);
    assert_error(sx_device_verify_pack(t->d, "/none", &w, &v, &e), &e, SX_ENOTFOUND);
    end(t);
}

/* Where the scrub is survives; a state that is damaged in any way is none. */
static void state_file(void **state)
{
    struct sx_scrub_state a = { .running = true, .started_ms = 5, .done_ms = 4, .rounds = 6, .total = 100,
                                .place = { SX_SCRUB_PACKS, 3, { { 1, 255 } }, 7, 64 },
                                .found = { .bytes = 30, .damaged = 2 },
                                .last = { .read_errors = 3 } }, b;
    char *dir = util_dir();
    SX_AUTO_FREE char *path = sx_asprintf("%s/scrub.json", dir);
    struct sx_err e = SX_ERR_INIT;
    struct stat st;

    sx_scrub_state_load(dir, &b);
    assert_false(b.running || b.started_ms);
    assert_done(sx_scrub_state_save(dir, &a, &e), &e);
    sx_scrub_state_load(dir, &b);
    assert_true(b.running && !b.hurry && b.started_ms == 5 && b.done_ms == 4 && b.rounds == 6 && b.total == 100);
    assert_memory_equal(&b.place, &a.place, sizeof a.place);
    assert_memory_equal(&b.found, &a.found, sizeof a.found);
    assert_memory_equal(&b.last, &a.last, sizeof a.last);
    assert_int_equal(sx_scrub_percent(&b), 30);
    assert_true(sx_scrub_failing(&b));
    b.last.read_errors = 0;
    assert_false(sx_scrub_failing(&b));
    assert_int_equal(stat(path, &st), 0);
    for (off_t n = 0; n < st.st_size; n++) {
        assert_done(sx_scrub_state_save(dir, &a, &e), &e);
        assert_int_equal(truncate(path, n), 0);
        sx_scrub_state_load(dir, &b);
        assert_false(b.running);
    }
    util_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_wrong),   cmocka_unit_test(flipped_bits),
        cmocka_unit_test(zeroed_area),     cmocka_unit_test(lost_pack),
        cmocka_unit_test(wrong_rows),      cmocka_unit_test(lost_rows),
        cmocka_unit_test(wrong_ids),       cmocka_unit_test(wrong_content),
        cmocka_unit_test(damaged_headers), cmocka_unit_test(wrong_pack_table),
        cmocka_unit_test(unreadable_area), cmocka_unit_test(removed_meanwhile),
        cmocka_unit_test(made_meanwhile),  cmocka_unit_test(name_without_file),
        cmocka_unit_test(one_block),       cmocka_unit_test(one_pack),
        cmocka_unit_test(state_file),
    };

    sx_log_level_set((enum sx_log_level)-1); /* hundreds of errors are to be expected */
    return cmocka_run_group_tests_name("store scrub", tests, NULL, NULL);
}
