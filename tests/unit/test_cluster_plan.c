/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The plan of a batch: owners, quorum, stand-ins, and what is told to the replication queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fcgi/cluster/plan.h"

#define NODES 5

/* A plan of one block whose order is 0, 1, 2, … */
static struct sx_plan *one_block(enum sx_plan_kind kind, unsigned replica, const bool *down)
{
    struct sx_plan *p = sx_plan_new(kind, 1, NODES, replica, replica / 2 + 1, down);

    for (uint16_t i = 0; i < NODES; i++)
        sx_plan_order(p, 0)[i] = i;
    sx_plan_order_set(p, 0, NODES);
    return p;
}

/* The nodes that the plan wants next, as bits. */
static unsigned next(struct sx_plan *p)
{
    unsigned bits = 0;
    size_t n;

    sx_plan_next(p);
    for (size_t i = 0; i < NODES; i++) {
        sx_plan_list(p, i, &n);
        bits |= n > 0 ? 1u << i : 0;
    }
    return bits;
}

static const bool all_up[NODES];

static void test_put_goes_to_owners(void **state)
{
    struct sx_plan *p = one_block(SX_PLAN_PUT, 3, all_up);

    assert_int_equal(next(p), 0x7);
    assert_int_equal(next(p), 0);
    sx_plan_answer(p, 0, 0, SX_PLAN_HAS);
    assert_false(sx_plan_complete(p));
    sx_plan_answer(p, 2, 0, SX_PLAN_HAS);
    assert_true(sx_plan_complete(p));
    sx_plan_free(p);
}

static void test_put_stands_in_only_for_quorum(void **state)
{
    const bool down[NODES] = { false, true, true, false, false };
    enum sx_plan_state s;
    struct sx_plan *p = one_block(SX_PLAN_PUT, 3, down);
    size_t node;

    /* Two of three owners are down: one stand-in makes the quorum of two. */
    assert_int_equal(next(p), 0x1 | 0x8);
    sx_plan_answer(p, 0, 0, SX_PLAN_HAS);
    sx_plan_answer(p, 3, 0, SX_PLAN_HAS);
    assert_true(sx_plan_complete(p));
    assert_int_equal(next(p), 0);
    /* The owners without the block are known, for the queue. */
    assert_true(sx_plan_owner(p, 0, 1, &node, &s));
    assert_int_equal(node, 1);
    assert_int_equal(s, SX_PLAN_UNTRIED);
    assert_false(sx_plan_owner(p, 0, 3, &node, &s));
    sx_plan_free(p);
}

static void test_put_replaces_what_fails(void **state)
{
    const bool down[NODES] = { false, false, false, true, false };
    struct sx_plan *p = one_block(SX_PLAN_PUT, 3, down);

    assert_int_equal(next(p), 0x7);
    sx_plan_answer(p, 1, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0); /* two are still under way */
    sx_plan_answer(p, 2, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0x10); /* 3 is down */
    sx_plan_answer(p, 4, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0x8); /* the last resort: perhaps it is not */
    sx_plan_answer(p, 0, 0, SX_PLAN_HAS);
    sx_plan_answer(p, 3, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0);
    assert_false(sx_plan_complete(p));
    assert_false(sx_plan_enough(p, 0));
    assert_int_equal(sx_plan_copies(p, 0), 1);
    sx_plan_free(p);
}

static void test_put_tries_all_down_owners_at_once(void **state)
{
    const bool down[NODES] = { false, true, true, true, true };
    struct sx_plan *p = one_block(SX_PLAN_PUT, 3, down);

    assert_int_equal(next(p), 0x1 | 0x2 | 0x4);
    sx_plan_answer(p, 0, 0, SX_PLAN_HAS);
    sx_plan_answer(p, 1, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0);
    sx_plan_answer(p, 2, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0x8);
    sx_plan_answer(p, 3, 0, SX_PLAN_HAS);
    assert_true(sx_plan_complete(p));
    sx_plan_free(p);
}

static void test_put_in_a_small_cluster(void **state)
{
    struct sx_plan *p = sx_plan_new(SX_PLAN_PUT, 1, 1, 1, 1, all_up);
    size_t n;

    sx_plan_order(p, 0)[0] = 0;
    sx_plan_order_set(p, 0, 1);
    assert_int_equal(sx_plan_next(p), 1);
    assert_int_equal(sx_plan_list(p, 0, &n)[0], 0);
    sx_plan_answer(p, 0, 0, SX_PLAN_HAS);
    assert_true(sx_plan_complete(p));
    sx_plan_free(p);
}

static void test_have_asks_as_many_as_owners(void **state)
{
    const bool down[NODES] = { true, false, false, false, false };
    struct sx_plan *p = one_block(SX_PLAN_HAVE, 3, down);

    assert_false(sx_plan_complete(p));
    assert_int_equal(next(p), 0x2 | 0x4 | 0x8);
    sx_plan_answer(p, 1, 0, SX_PLAN_HAS);
    sx_plan_answer(p, 2, 0, SX_PLAN_FAILED);
    assert_int_equal(next(p), 0x10);
    sx_plan_answer(p, 3, 0, SX_PLAN_LACKS);
    assert_false(sx_plan_complete(p));
    sx_plan_answer(p, 4, 0, SX_PLAN_HAS);
    assert_int_equal(next(p), 0); /* a "have" never tries what is down */
    assert_true(sx_plan_complete(p));
    assert_true(sx_plan_enough(p, 0));
    sx_plan_free(p);
}

static void test_lists_of_many_blocks(void **state)
{
    enum { BLOCKS = 100 };
    struct sx_plan *p = sx_plan_new(SX_PLAN_PUT, BLOCKS, NODES, 2, 2, all_up);
    const uint32_t *list;
    size_t n, total = 0;

    for (size_t b = 0; b < BLOCKS; b++) {
        for (size_t i = 0; i < NODES; i++)
            sx_plan_order(p, b)[i] = (uint16_t)((b + i) % NODES);
        sx_plan_order_set(p, b, NODES);
    }
    assert_int_equal(sx_plan_next(p), NODES);
    for (size_t i = 0; i < NODES; i++) {
        list = sx_plan_list(p, i, &n);
        total += n;
        for (size_t k = 0; k < n; k++) {
            assert_true(list[k] % NODES == i || (list[k] + 1) % NODES == i);
            assert_true(k == 0 || list[k - 1] < list[k]);
            sx_plan_answer(p, i, list[k], SX_PLAN_HAS);
        }
    }
    assert_int_equal(total, 2 * BLOCKS);
    assert_true(sx_plan_complete(p));
    sx_plan_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_goes_to_owners),
        cmocka_unit_test(test_put_stands_in_only_for_quorum),
        cmocka_unit_test(test_put_replaces_what_fails),
        cmocka_unit_test(test_put_tries_all_down_owners_at_once),
        cmocka_unit_test(test_put_in_a_small_cluster),
        cmocka_unit_test(test_have_asks_as_many_as_owners),
        cmocka_unit_test(test_lists_of_many_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
