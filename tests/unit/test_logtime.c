/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log's time against clocks that jump, are apart, and change with the leader.
 */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "fcgi/meta/manager/logtime.h"

#define HOUR_MS 3600000ull
#define START_MS (1000 * HOUR_MS) /* wall clock */
#define UP_MS 12345u              /* monotonic */

static struct sx_logtime T;
static uint64_t last;

/* An entry of our own; its time. */
static uint64_t make(uint64_t wall_ms, uint64_t mono_ms)
{
    uint64_t t = sx_logtime_next(&T, wall_ms, mono_ms);

    assert_true(t >= last && t >= wall_ms);
    sx_logtime_see(&T, t, mono_ms);
    last = t;
    return t;
}

static int begin(void **state)
{
    T = (struct sx_logtime){ 0 };
    last = 0;
    return 0;
}

static void the_wall_clock_if_it_is_right(void **state)
{
    for (uint64_t ms = 0; ms < 10000; ms += 1 + ms % 7)
        assert_int_equal(make(START_MS + ms, UP_MS + ms), START_MS + ms);
}

static void a_jump_forward_counts_at_once(void **state)
{
    make(START_MS, UP_MS);
    assert_int_equal(make(START_MS + HOUR_MS, UP_MS), START_MS + HOUR_MS);
}

/* However close the entries are to each other. */
static void after_a_jump_back_it_goes_on(void **state)
{
    make(START_MS, UP_MS);
    for (uint64_t ms = 1; ms <= 10000; ms++)
        assert_int_equal(make(START_MS - HOUR_MS + ms, UP_MS + ms), START_MS + ms / 2);
}

static void the_wall_clock_catches_up(void **state)
{
    uint64_t ms = 0;

    make(START_MS + HOUR_MS, UP_MS);
    while (make(START_MS + ms, UP_MS + ms) > START_MS + ms)
        ms += 100;
    assert_int_equal(ms, 2 * HOUR_MS);
    assert_int_equal(make(START_MS + ms + 100, UP_MS + ms + 100), START_MS + ms + 100);
}

/* Who follows and then leads goes on where the other one was; a late entry changes nothing. */
static void it_is_handed_on(void **state)
{
    sx_logtime_see(&T, START_MS + HOUR_MS, UP_MS);
    sx_logtime_see(&T, START_MS + HOUR_MS + 510, UP_MS + 1010);
    sx_logtime_see(&T, START_MS, UP_MS + 1020);
    assert_int_equal(make(START_MS, UP_MS + 1110), START_MS + HOUR_MS + 560);
}

static void clocks_at_random(void **state)
{
    uint64_t seed = 20261127, wall = START_MS, mono = UP_MS;

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t step = unit_random(&seed) % 3000;

        mono += step;
        wall += step;
        if (unit_random(&seed) % 50 == 0)
            wall = START_MS + unit_random(&seed) % (100 * HOUR_MS);
        if (unit_random(&seed) % 3 == 0)
            sx_logtime_see(&T, last + unit_random(&seed) % 100, mono);
        make(wall, mono);
    }
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_wall_clock_if_it_is_right), TEST(a_jump_forward_counts_at_once),
        TEST(after_a_jump_back_it_goes_on),  TEST(the_wall_clock_catches_up),
        TEST(it_is_handed_on),               TEST(clocks_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
