/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The replication queue: rows are there once, listed by target in order, and survive the process.
 */
#include "tests/unit/store_util.h"

#include "fcgi/jobs/queue.h"

static void queue(void **state)
{
    char *dir = util_dir();
    struct sx_queue *q, *other;
    struct sx_queue_row rows[300];
    struct sx_err e = SX_ERR_INIT;
    struct sx_id ids[100], last;
    uint64_t nodes[4], count;
    size_t n, total = 0;

    assert_done(sx_queue_open(dir, &q, &e), &e);
    assert_done(sx_queue_add(q, rows, 0, &e), &e);
    assert_done(sx_queue_targets(q, nodes, 4, &n, &e), &e);
    assert_int_equal(n, 0);
    for (unsigned i = 0; i < 300; i++)
        rows[i] = (struct sx_queue_row){ 10 + i % 3, util_id(i) };
    assert_done(sx_queue_add(q, rows, 300, &e), &e);
    assert_done(sx_queue_open(dir, &other, &e), &e);
    assert_done(sx_queue_add(other, rows + 100, 50, &e), &e);
    assert_done(sx_queue_count(q, &count, &e), &e);
    assert_int_equal(count, 300);
    assert_done(sx_queue_targets(other, nodes, 4, &n, &e), &e);
    assert_int_equal(n, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(nodes[i], 10 + i);
    assert_done(sx_queue_targets(other, nodes, 2, &n, &e), &e);
    assert_int_equal(n, 2);
    do {
        assert_done(sx_queue_list(q, 11, total ? &last : NULL, ids, 30, &n, &e), &e);
        for (size_t i = 0; i < n; i++) {
            assert_true((total == 0 && i == 0) || sx_id_cmp(&last, &ids[i]) < 0);
            last = ids[i];
        }
        total += n;
    } while (n == 30);
    assert_int_equal(total, 100);
    assert_done(sx_queue_list(q, 11, NULL, ids, 100, &n, &e), &e);
    assert_done(sx_queue_remove(q, 11, ids, 60, &e), &e);
    assert_done(sx_queue_remove(q, 12, ids, 60, &e), &e); /* not theirs */
    sx_queue_close(q);
    sx_queue_close(other);
    assert_done(sx_queue_open(dir, &q, &e), &e);
    assert_done(sx_queue_count(q, &count, &e), &e);
    assert_int_equal(count, 240);
    assert_done(sx_queue_drop(q, 12, &e), &e);
    assert_done(sx_queue_count(q, &count, &e), &e);
    assert_int_equal(count, 140);
    sx_queue_close(q);
    util_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(queue) };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
