/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Balance between the devices of a node: a device that is added gets its share of the blocks that are
 * there, no more is moved than need be, and a block is always to be had, whoever is killed.
 */
#include "tests/unit/store_devices.h"

#include <signal.h>
#include <sys/wait.h>

#include "fcgi/store/device.h"
#include "fcgi/store/scrub.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"

enum { BLOCKS = 4000, STEP = 256 << 10 };

static double fill(struct sx_store *s, uint32_t id)
{
    struct sx_store_stats st = device(s, id).stats;

    return 100.0 * (double)st.bytes / (double)st.capacity;
}

/* Calls until it rests; bytes that were moved. */
static uint64_t even_out(struct sx_store *s)
{
    struct sx_balance b = { 0 };
    struct sx_err e = SX_ERR_INIT;
    uint64_t moved, all = 0;

    do {
        assert_done(sx_store_balance(s, &b, STEP, &moved, &e), &e);
        all += moved;
    } while (b.running);
    return all;
}

/* One device of 40 MiB with all blocks, then `more` others of these sizes. */
static char *one_full(struct sx_store **s, unsigned more, const uint64_t *size)
{
    char *dir = new_node(1);
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_admin_set_size(dir, 1, 40 * MIB, &e), &e);
    *s = open_list(dir, NULL);
    put(*s, 0, BLOCKS);
    for (unsigned i = 0; i < more; i++) {
        char name[8];

        snprintf(name, sizeof name, "d%u", i + 2);
        add(dir, name, size[i]);
    }
    sx_store_refresh(*s);
    return dir;
}

/* Each block is on one device. */
static void once(struct sx_store *s, unsigned n_devices)
{
    uint64_t n = 0;

    for (uint32_t id = 1; id <= n_devices; id++)
        n += device(s, id).stats.blocks;
    assert_int_equal(n, BLOCKS);
    all_there(s, 0, BLOCKS);
    util_check(s);
}

/* A scrub of device 1 does not take for lost what has moved from there. */
static int decode(void *ctx, const struct sx_record *r, struct sx_err *e)
{
    return 0;
}

static int referenced(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    struct sx_store *s = ctx;

    memset(yes, 1, n);
    return sx_store_not_elsewhere(s, sx_store_device(s, 0), ids, n, yes, e);
}

static void scrub(struct sx_store *s)
{
    struct sx_scrub_walk w = { .decode = decode, .referenced = referenced, .ctx = s };
    struct sx_err e = SX_ERR_INIT;

    while (w.place.phase != SX_SCRUB_DONE)
        assert_done(sx_device_scrub(sx_store_device(s, 0), &w, 1 << 20, &e), &e);
    assert_int_equal(w.found.mended, 0);
    assert_true(w.found.stray > 0);
}

static void evens_out(void **state)
{
    const uint64_t size[] = { 40 * MIB, 80 * MIB };
    struct sx_store *s;
    char *dir = one_full(&s, 2, size);
    uint64_t bytes = device(s, 1).stats.bytes, moved;

    assert_true(fill(s, 1) > 10.0 && fill(s, 2) < 0.1);
    moved = even_out(s);
    for (uint32_t id = 1; id <= 3; id++)
        if (fill(s, id) < fill(s, 1) - 1.5 || fill(s, id) > fill(s, 1) + 1.5)
            fail_msg("device 1 is %.1f full, %u %.1f", fill(s, 1), id, fill(s, id));
    once(s, 3);
    assert_true(moved < bytes * 8 / 10); /* three quarters belong elsewhere */
    assert_true(moved > bytes / 2);
    assert_int_equal(even_out(s), 0);
    scrub(s);
    once(s, 3);
    sx_store_close(s);
    remove_node(dir);
}

/* A little difference is left, and what is read-only or alone. */
static void left_alone(void **state)
{
    const uint64_t size[] = { 40 * MIB };
    struct sx_store *s;
    char *dir = one_full(&s, 0, NULL);
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(even_out(s), 0);
    add(dir, "d2", size[0]);
    assert_done(sx_admin_set_state(dir, 2, SX_DEVICE_READ_ONLY, &e), &e);
    assert_int_equal(even_out(s), 0);
    assert_done(sx_admin_set_state(dir, 2, SX_DEVICE_ACTIVE, &e), &e);
    assert_done(sx_admin_set_size(dir, 1, 400 * MIB, &e), &e); /* it is 2 % full */
    assert_int_equal(even_out(s), 0);
    assert_done(sx_admin_set_size(dir, 1, 40 * MIB, &e), &e);
    assert_true(even_out(s) > 0);
    once(s, 2);
    sx_store_close(s);
    remove_node(dir);
}

/* Blocks that nobody may delete yet are moved with their leases; damaged ones stay. */
static void leases_and_damage(void **state)
{
    const uint64_t size[] = { 40 * MIB };
    struct sx_store *s;
    char *dir = one_full(&s, 1, size);
    SX_AUTO_FREE struct sx_id *ids = sx_calloc(BLOCKS, sizeof *ids);
    SX_AUTO_FREE uint8_t *present = sx_calloc(BLOCKS, 1);
    struct sx_err e = SX_ERR_INIT;
    uint64_t lease;
    size_t deleted;

    for (unsigned i = 0; i < BLOCKS; i++)
        ids[i] = util_id(i);
    sx_store_set_epoch(s, 9);
    assert_done(sx_store_have(s, ids, BLOCKS, present, &lease, &e), &e);
    sx_store_set_epoch(s, 12);
    even_out(s);
    assert_true(fill(s, 2) > 5.0);
    assert_done(sx_store_delete(s, ids, BLOCKS, 8, &deleted, &e), &e);
    assert_int_equal(deleted, 0);
    assert_done(sx_store_delete(s, ids, BLOCKS, 9, &deleted, &e), &e);
    assert_int_equal(deleted, BLOCKS);
    sx_store_close(s);
    remove_node(dir);
}

_Noreturn static void balance_on(const char *dir)
{
    struct sx_store *s = open_list(dir, NULL);
    struct sx_balance b = { 0 };
    struct sx_err e = SX_ERR_INIT;
    uint64_t moved;

    do {
        if (sx_store_balance(s, &b, 32 << 10, &moved, &e))
            _exit(1);
    } while (b.running);
    _exit(0);
}

static void killed(void **state)
{
    enum { KILLS = 15 };
    const uint64_t size[] = { 40 * MIB };
    struct sx_store *s;
    char *dir = one_full(&s, 1, size);
    uint64_t seed = sx_mono_ns();
    unsigned cut_off = 0;
    int status;

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int k = 0; k < KILLS; k++) {
        pid_t pid = fork();

        if (pid == 0)
            balance_on(dir);
        for (uint64_t until = sx_mono_ms() + unit_random(&seed) % 40; sx_mono_ms() < until;)
            all_there(s, unit_random(&seed) % (BLOCKS - 50), 50); /* while they are moved */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        cut_off += WIFSIGNALED(status);
        all_there(s, 0, BLOCKS);
    }
    print_message("%u of %d were cut off\n", cut_off, KILLS);
    assert_true(cut_off > 0);
    even_out(s);
    assert_true(fill(s, 1) - fill(s, 2) < SX_BALANCE_BEGIN);
    once(s, 2);
    sx_store_close(s);
    remove_node(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(evens_out), cmocka_unit_test(left_alone),
                                        cmocka_unit_test(leases_and_damage), cmocka_unit_test(killed) };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
