/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Wrong rows and sums in the index, as flipped bits leave them, and compaction before the scrub has
 * seen them: no block is lost, for its record may be the last copy.  And a lease of an epoch that
 * never comes does not keep a block for ever.
 */
#include "tests/unit/store_util.h"

#include <sqlite3.h>

#include "fcgi/store/device.h"
#include "fcgi/store/scrub.h"
#include "libsx/base/log.h"

#define MAX 3000u
enum { BLOCKS = 120, BATCH = 20, EPOCH = 7 };

struct test {
    char *dir;
    struct sx_store *s;
};

static void make(struct test *t)
{
    const struct sx_store_options o = { .node = 7, .capacity = 1u << 30, .reserve = 1,
                                        .pack_max = 32 << 10 };
    struct sx_err e = SX_ERR_INIT;

    t->dir = util_dir();
    t->s = util_open(t->dir, &o);
    sx_store_set_epoch(t->s, EPOCH);
    for (uint64_t i = 0; i < BLOCKS; i += BATCH)
        assert_done(util_put(t->s, i, BATCH, MAX, NULL, NULL, &e), &e);
}

static void end(struct test *t)
{
    sx_store_close(t->s);
    util_remove(t->dir);
}

/* SQL on every shard; gives how many rows it changed. */
static int shards(struct test *t, const char *sql)
{
    int n = 0;

    for (unsigned i = 0; i < 8; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-%u.db", t->dir, i);
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        n += sqlite3_total_changes(db);
        sqlite3_close(db);
    }
    return n;
}

static struct sx_store_compaction compact(struct test *t)
{
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_store_compact(t->s, true, 0, &done, &e), &e);
    return done;
}

static unsigned readable(struct test *t)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < BLOCKS; i++)
        n += util_get(t->s, i, MAX) == 0;
    return n;
}

/* All packs look dead, or many; afterwards each block is there. */
static void nothing_is_lost(const char *flip)
{
    struct test t;

    make(&t);
    assert_true(shards(&t, flip) > 0);
    assert_true(compact(&t).packs > 0);
    assert_int_equal(readable(&t), BLOCKS);
    compact(&t);
    assert_int_equal(readable(&t), BLOCKS);
    end(&t);
}

static void wrong_sums(void **state)
{
    nothing_is_lost("UPDATE usage SET pack = pack + 64");
    nothing_is_lost("UPDATE usage SET live = 0, blocks = 0");
    nothing_is_lost("DELETE FROM usage");
}

#define RECOUNT                                                                                    \
    ";DELETE FROM usage; INSERT INTO usage SELECT pack, sum(len), count(*) FROM block"             \
    " WHERE pack <> 0 GROUP BY pack"

static void wrong_rows(void **state)
{
    nothing_is_lost("UPDATE block SET pack = pack + 64" RECOUNT);
    nothing_is_lost("UPDATE block SET pack = pack | 2" RECOUNT);
    nothing_is_lost("UPDATE block SET at = at + 4096; DELETE FROM usage");
    nothing_is_lost("UPDATE block SET len = len + 8; DELETE FROM usage");
    nothing_is_lost("UPDATE block SET pack = 0, at = 0, state = 1; DELETE FROM usage");
}

/* What was deleted goes, and what is dead otherwise. */
static void dead_goes(void **state)
{
    struct sx_id ids[BLOCKS];
    struct sx_err e = SX_ERR_INIT;
    struct sx_store_stats st;
    struct test t;
    size_t deleted;

    make(&t);
    for (unsigned i = 0; i < BLOCKS; i++)
        ids[i] = util_id(i);
    assert_done(sx_store_delete(t.s, ids, BLOCKS, EPOCH, &deleted, &e), &e);
    assert_int_equal(deleted, BLOCKS);
    assert_true(compact(&t).packs > 3);
    assert_done(sx_store_stats(t.s, &st, &e), &e);
    assert_int_equal(st.dead, 0);
    end(&t);
}

static void far_lease(void **state)
{
    struct sx_scrub_walk w = { .ctx = NULL };
    struct sx_id id = util_id(3);
    struct sx_err e = SX_ERR_INIT;
    struct test t;
    size_t deleted;

    make(&t);
    shards(&t, "UPDATE block SET lease = lease | (1 << 40)");
    assert_done(sx_store_delete(t.s, &id, 1, EPOCH + 9, &deleted, &e), &e);
    assert_int_equal(deleted, 0);
    while (w.place.phase != SX_SCRUB_DONE)
        assert_done(sx_device_scrub(sx_store_device(t.s, 0), &w, 1 << 20, &e), &e);
    assert_int_equal(w.found.mended, BLOCKS);
    assert_done(sx_store_delete(t.s, &id, 1, EPOCH - 1, &deleted, &e), &e);
    assert_int_equal(deleted, 0); /* it counts as leased in this epoch */
    assert_done(sx_store_delete(t.s, &id, 1, EPOCH, &deleted, &e), &e);
    assert_int_equal(deleted, 1);
    assert_int_equal(readable(&t), BLOCKS - 1);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(wrong_sums), cmocka_unit_test(wrong_rows),
                                        cmocka_unit_test(dead_goes), cmocka_unit_test(far_lease) };

    sx_log_level_set((enum sx_log_level)-1); /* errors are to be expected */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
