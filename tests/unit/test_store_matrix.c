/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each kind of damage to each kind of file of a device, stopped in order or killed: nothing wrong is
 * ever given out; and after a scrub, and a restart if the scrub asked for one, each block is whole, or the
 * store says that it does not have it.  Only damage to a pack may cost blocks, and only those in it.
 *
 * SX_MATRIX_ROUNDS: how many times each pair is tried, at other places.
 */
#include "tests/unit/store_util.h"

#include <fcntl.h>

#include "fcgi/store/scrub.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"

#define MAX 1500u
enum { OLD = 200, BLOCKS = 300, DELETED = 50, NEW = 20, BATCH = 20, PAGE = 4096 };

static const char *const structures[] = {
    "packs/0000000002.pack", "packs/0000000003.pack", "index/shard-0.db", "index/shard-5.db",
    "index/shard-5.db-wal",  "index/packs.db",        "index/packs.db-wal", "clean",
    "floor",                 "rebuild",               "lock",               "scrub.json",
};

/* What a file is exchanged for. */
static const char *partner(const char *structure)
{
    if (strstr(structure, "-wal"))
        return strstr(structure, "packs.db") ? "index/shard-5.db-wal" : "index/packs.db-wal";
    if (strncmp(structure, "packs/", 6) == 0)
        return "packs/0000000004.pack";
    if (strncmp(structure, "index/", 6) == 0)
        return "index/shard-1.db";
    return strcmp(structure, "floor") == 0 ? "clean" : "floor";
}

static struct sx_store_options options(void)
{
    return (struct sx_store_options){ .node = 7, .capacity = 1u << 30, .reserve = 1,
                                      .pack_max = 32 << 10 };
}

/* ---- the stores that are damaged ---- */

struct templates {
    char *old, *killed, *clean;
};

static void copy(const char *from, const char *to)
{
    SX_AUTO_FREE char *cmd = sx_asprintf("cp -r %s/. %s", from, to);

    assert_int_equal(system(cmd), 0);
}

static void put(struct sx_store *s, uint64_t from, uint64_t to)
{
    struct sx_err e = SX_ERR_INIT;

    for (uint64_t i = from; i < to; i += BATCH)
        assert_done(util_put(s, i, BATCH, MAX, NULL, NULL, &e), &e);
}

/* An old state, and one some puts, deletions and a compaction later: open, and closed. */
static struct templates make(void)
{
    struct templates t = { util_dir(), util_dir(), util_dir() };
    struct sx_store_options o = options();
    struct sx_store_compaction done;
    struct sx_store *s = util_open(t.clean, &o);
    struct sx_id ids[DELETED];
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO_FREE char *cursor = sx_asprintf("echo '{\"running\":true}' > %s/scrub.json", t.clean);
    size_t n;

    put(s, 0, OLD);
    assert_int_equal(system(cursor), 0);
    sx_store_close(s);
    copy(t.clean, t.old);
    s = util_open(t.clean, &o);
    put(s, OLD, BLOCKS);
    for (uint64_t i = 0; i < DELETED; i++)
        ids[i] = util_id(i);
    assert_done(sx_store_delete(s, ids, DELETED, INT64_MAX, &n, &e), &e);
    assert_int_equal(n, DELETED);
    assert_done(sx_store_compact(s, false, 0, &done, &e), &e);
    assert_true(done.packs > 0);
    copy(t.clean, t.killed);
    sx_store_close(s);
    return t;
}

/* ---- damage ---- */

enum damage { FLIP, ZERO, CUT, GONE, SWAP, STALE, DAMAGES };

static const char *const damage_names[] = { "flip", "zero", "cut", "gone", "swap", "stale" };

static void hurt_bytes(const char *path, enum damage how, uint64_t *seed)
{
    SX_AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    uint8_t b[PAGE] = { 0 };
    off_t at;

    if (fd < 0 || fstat(fd, &st) || st.st_size == 0)
        return;
    at = (off_t)(unit_random(seed) % (uint64_t)st.st_size);
    if (how == CUT) {
        assert_int_equal(ftruncate(fd, at), 0);
    } else if (how == ZERO) {
        at -= at % PAGE;
        assert_true(pwrite(fd, b, (size_t)(st.st_size - at < PAGE ? st.st_size - at : PAGE), at) > 0);
    } else {
        assert_int_equal(pread(fd, b, 1, at), 1);
        b[0] ^= (uint8_t)(1u << unit_random(seed) % 8);
        assert_int_equal(pwrite(fd, b, 1, at), 1);
    }
}

/* Two names for each other's content; where the other is not there, it is only lost. */
static void swap(const char *dir, const char *a, const char *b)
{
    SX_AUTO_FREE char *cmd = sx_asprintf("cd %s && if [ -e %s ]; then if [ -e %s ]; then mv %s swap.tmp; mv %s %s;"
                                         " mv swap.tmp %s; fi; fi", dir, a, b, a, b, a, b);

    assert_int_equal(system(cmd), 0);
}

static void hurt(const struct templates *t, const char *dir, const char *structure, enum damage how,
                 uint64_t *seed)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, structure);
    SX_AUTO_FREE char *stale = sx_asprintf("if [ -e %s/%s ]; then cp %s/%s %s; else rm -f %s; fi", t->old,
                                           structure, t->old, structure, path, path);

    if (how == GONE)
        unlink(path);
    else if (how == STALE)
        assert_int_equal(system(stale), 0);
    else if (how == SWAP)
        swap(dir, structure, partner(structure));
    else
        hurt_bytes(path, how, seed);
}

/* ---- use ---- */

static bool known(const struct sx_id *id, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        struct sx_id other = util_id(i);

        if (sx_id_cmp(&other, id) == 0)
            return true;
    }
    return false;
}

static int decode(void *ctx, const struct sx_record *r, struct sx_err *e)
{
    return known(&r->id, 0, BLOCKS + NEW) ? 0 : sx_err_set(e, SX_EBLOCK, "wrong content");
}

static int referenced(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    (void)e;
    for (size_t i = 0; i < n; i++)
        yes[i] = known(&ids[i], DELETED, BLOCKS + NEW);
    return 0;
}

static struct sx_scrub_found scrub(const char *dir)
{
    struct sx_scrub_walk w = { .decode = decode, .referenced = referenced };
    struct sx_store_options o = options();
    struct sx_err e = SX_ERR_INIT;
    struct sx_device *d;

    assert_done(sx_device_open(dir, &o, &d, &e), &e);
    while (w.place.phase != SX_SCRUB_DONE)
        assert_done(sx_device_scrub(d, &w, 1 << 20, &e), &e);
    sx_device_close(d);
    return w.found;
}

/* As a node does: opens, reads and writes; what is acknowledged counts. */
static bool use(const char *dir)
{
    struct sx_store_options o = options();
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;
    bool acked;

    if (sx_store_open(dir, &o, &s, &e)) {
        assert_true(e.msg[0]);
        assert_done(sx_store_rebuild_index(dir, &o, &e), &e);
        s = util_open(dir, &o);
    }
    for (uint64_t i = 0; i < BLOCKS; i++)
        util_get(s, i, MAX); /* wrong bytes fail the test */
    acked = util_put(s, BLOCKS, NEW, MAX, NULL, NULL, &e) == 0;
    sx_store_close(s);
    return acked;
}

/* How many blocks are not whole; none of them may be said to be there. */
static unsigned lost(const char *dir, uint64_t to)
{
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_store_report r;
    struct sx_err e = SX_ERR_INIT;
    unsigned n = 0;

    for (uint64_t i = DELETED; i < to; i++) {
        struct sx_id id = util_id(i);
        uint8_t here;

        if (util_get(s, i, MAX) == 0)
            continue;
        assert_done(sx_store_exists(s, &id, 1, &here, &e), &e);
        assert_false(here);
        n++;
    }
    assert_done(sx_store_check(s, false, &r, &e), &e);
    assert_int_equal(r.index_faults, 0);
    sx_store_close(s);
    return n;
}

static unsigned pair(const struct templates *t, const char *from, const char *structure, enum damage how,
                     uint64_t *seed)
{
    char *dir = util_dir();
    unsigned n;
    bool acked;

    copy(from, dir);
    hurt(t, dir, structure, how, seed);
    acked = use(dir);
    if (scrub(dir).index_faults) /* the next open has made the index anew */
        scrub(dir);
    scrub(dir); /* sums that were wrong because of rows that were */
    n = lost(dir, acked ? BLOCKS + NEW : BLOCKS);
    util_remove(dir);
    return n;
}

static void matrix(void **state)
{
    const char *rounds = getenv("SX_MATRIX_ROUNDS");
    const unsigned times = rounds ? (unsigned)atoi(rounds) : 1;
    struct templates t = make();
    uint64_t seed = sx_mono_ns();
    unsigned pairs = 0, all = 0;

    print_message("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof structures / sizeof *structures; i++)
        for (int how = 0; how < DAMAGES; how++)
            for (unsigned k = 0; k < 2 * times; k++, pairs++) {
                bool pack = strncmp(structures[i], "packs/", 6) == 0;
                unsigned n = pair(&t, k % 2 ? t.killed : t.clean, structures[i], (enum damage)how, &seed);

                if (n && (!pack || how == SWAP || (how == FLIP && n > 1)))
                    fail_msg("%s of %s (%s) cost %u blocks", damage_names[how], structures[i],
                             k % 2 ? "killed" : "clean", n);
                all += n;
            }
    print_message("%u pairs, %u blocks of packs lost and named, none wrong\n", pairs, all);
    assert_true(all > 0);
    util_remove(t.old);
    util_remove(t.killed);
    util_remove(t.clean);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(matrix) };

    sx_log_level_set((enum sx_log_level)-1); /* thousands of errors are to be expected */
    return cmocka_run_group_tests_name("store damage matrix", tests, NULL, NULL);
}
