/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Placement: golden owners (computed with Python from docs/formats.md section 7), balance by
 * weight, zones, and that a change of the cluster moves only what it must.
 */
#include "libsx/codec/id.h"
#include "libsx/place/place.h"
#include "tests/unit/unit.h"

#define TB (1ULL << 40)

static void test_golden(void **state)
{
    static const struct sx_place_node nodes[] = { { 0x1111, TB, 1 },     { 0x2222, TB, 1 },
                                                  { 0x3333, 2 * TB, 2 }, { 0x4444, TB / 2, 0 },
                                                  { 0x5555, 0, 3 },      { 0x6666, TB, 2 } };
    static const struct {
        unsigned partition;
        uint16_t owners[5];
    } cases[] = { { 0, { 0, 5, 3, 1, 2 } },    { 1, { 0, 5, 3, 1, 2 } },
                  { 2, { 2, 0, 3, 1, 5 } },    { 77, { 2, 3, 1, 5, 0 } },
                  { 2048, { 5, 1, 3, 2, 0 } }, { 4095, { 5, 0, 3, 2, 1 } } };
    uint16_t owners[6];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* the node with weight 0 owns nothing */
        assert_int_equal(sx_place(nodes, 6, cases[i].partition, 6, owners), 5);
        assert_memory_equal(owners, cases[i].owners, sizeof cases[i].owners);
        assert_int_equal(sx_place(nodes, 6, cases[i].partition, 2, owners), 2);
        assert_memory_equal(owners, cases[i].owners, 2 * sizeof owners[0]);
    }
    assert_int_equal(sx_place(nodes, 0, 0, 3, owners), 0);
}

static void test_partition(void **state)
{
    struct sx_id id = { { 0xab, 0xcd, 0xef } };

    assert_int_equal(sx_id_partition(&id), 0xabc);
}

static void fill_nodes(struct sx_place_node *nodes, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        nodes[i] = (struct sx_place_node){ .id = unit_random(&seed), .weight = TB };
}

/* First owners are spread by weight over 64 clusters, so that chance averages out. */
static void test_weights(void **state)
{
    double share[4] = { 0 };

    for (uint64_t seed = 0; seed < 64; seed++) {
        struct sx_place_node nodes[4];
        uint16_t owner;

        fill_nodes(nodes, 4, seed);
        for (unsigned i = 0; i < 4; i++)
            nodes[i].weight = (i + 1) * TB;
        for (unsigned p = 0; p < SX_PARTITIONS; p++) {
            assert_int_equal(sx_place(nodes, 4, p, 1, &owner), 1);
            share[owner] += 1.0 / SX_PARTITIONS / 64;
        }
    }
    for (int i = 0; i < 4; i++)
        assert_true(share[i] > 0.98 * (i + 1) / 10 && share[i] < 1.02 * (i + 1) / 10);
}

static bool is_among(uint64_t id, const struct sx_place_node *nodes, const uint16_t *owners,
                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (nodes[owners[i]].id == id)
            return true;
    return false;
}

/* A tenth node comes (read backwards: leaves): the others only lose places to it. */
static void test_minimal_movement(void **state)
{
    struct sx_place_node nodes[10];
    unsigned gained = 0;

    fill_nodes(nodes, 10, 4);
    for (unsigned p = 0; p < SX_PARTITIONS; p++) {
        uint16_t before[3], after[3];

        assert_int_equal(sx_place(nodes, 9, p, 3, before), 3);
        assert_int_equal(sx_place(nodes, 10, p, 3, after), 3);
        for (int i = 0; i < 3; i++) {
            if (after[i] == 9)
                gained++;
            else
                assert_true(is_among(nodes[after[i]].id, nodes, before, 3));
        }
    }
    assert_in_range(gained, SX_PARTITIONS * 3 / 10 * 9 / 10, SX_PARTITIONS * 3 / 10 * 11 / 10);
}

static void test_zones(void **state)
{
    struct sx_place_node nodes[9];

    fill_nodes(nodes, 9, 5);
    for (unsigned i = 0; i < 9; i++)
        nodes[i].zone = 1 + i % 3;
    for (unsigned p = 0; p < SX_PARTITIONS; p++) {
        uint16_t owners[9];
        bool seen[9] = { false };

        assert_int_equal(sx_place(nodes, 9, p, 9, owners), 9);
        assert_true(nodes[owners[0]].zone != nodes[owners[1]].zone &&
                    nodes[owners[0]].zone != nodes[owners[2]].zone &&
                    nodes[owners[1]].zone != nodes[owners[2]].zone);
        for (int i = 0; i < 9; i++)
            seen[owners[i]] = true;
        for (int i = 0; i < 9; i++)
            assert_true(seen[i]);
    }
}

/* The order in which the nodes are listed does not matter. */
static void test_order_of_nodes(void **state)
{
    struct sx_place_node nodes[7], reversed[7];

    fill_nodes(nodes, 7, 6);
    for (int i = 0; i < 7; i++)
        reversed[6 - i] = nodes[i];
    for (unsigned p = 0; p < SX_PARTITIONS; p++) {
        uint16_t a[7], b[7];

        sx_place(nodes, 7, p, 7, a);
        sx_place(reversed, 7, p, 7, b);
        for (int i = 0; i < 7; i++)
            assert_int_equal(a[i], 6 - b[i]);
    }
}

static void test_quorum(void **state)
{
    static const unsigned want[] = { 0, 1, 2, 2, 3, 3 };

    for (unsigned r = 1; r < 6; r++)
        assert_int_equal(sx_write_quorum(r), want[r]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_partition),
        cmocka_unit_test(test_weights), cmocka_unit_test(test_minimal_movement),
        cmocka_unit_test(test_zones),   cmocka_unit_test(test_order_of_nodes),
        cmocka_unit_test(test_quorum),
    };

    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
