/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cache of blocks: what enters and leaves, damage, and processes that race, stop and die.  The
 * bytes of a block follow from its number, so whatever is given can be compared.
 */
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/cache.h"
#include "libsx/base/clock.h"
#include "libsx/codec/record.h"

#define SIZE SX_CACHE_SIZE_MIN
#define BLOCK (256u << 10)
#define FIT (SIZE / BLOCK)
#define KILLS 60u
#define PROCESSES 4u

static struct sx_cache *cache;
static struct sx_buf got = SX_BUF_INIT;
static uint8_t plain[SIZE / 4];

static int begin(void **state)
{
    cache = sx_cache_new(SIZE);
    assert_non_null(cache);
    return 0;
}

static int end(void **state)
{
    sx_cache_free(cache);
    sx_buf_fini(&got);
    return 0;
}

static struct sx_id id_of(unsigned number)
{
    struct sx_id id;

    unit_fill(id.b, sizeof id.b, number);
    return id;
}

/* So that sizes differ, and many are not a multiple of anything. */
static size_t size_of(unsigned number)
{
    return BLOCK - number % 7 * 1001;
}

static void offer(unsigned number)
{
    struct sx_id id = id_of(number);

    unit_fill(plain, size_of(number), ~(uint64_t)number);
    sx_cache_put(cache, &id, plain, size_of(number), sx_crc32c(0, plain, size_of(number)));
}

/* Whether it is there; what is there is right. */
static bool get(unsigned number)
{
    struct sx_id id = id_of(number);

    if (!sx_cache_get(cache, &id, &got)) {
        assert_int_equal(got.len, 0);
        return false;
    }
    unit_fill(plain, size_of(number), ~(uint64_t)number);
    assert_int_equal(got.len, size_of(number));
    assert_memory_equal(got.data, plain, got.len);
    return true;
}

/* As a reader does it, until it is there. */
static void put(unsigned number)
{
    for (unsigned i = 0; !get(number); i++) {
        assert_true(i < 100);
        offer(number);
    }
}

static void while_there_is_room_all_enters(void **state)
{
    struct sx_cache_counters c;

    assert_false(get(1));
    offer(1);
    assert_true(get(1));
    offer(1);
    assert_true(get(1));
    assert_false(get(2));
    sx_cache_counters(cache, &c);
    assert_int_equal(c.size, SIZE);
    assert_int_equal(c.hits, 2);
    assert_int_equal(c.misses, 2);
    assert_int_equal(c.entered, 1);
}

static void what_is_read_once_drives_nothing_out(void **state)
{
    struct sx_cache_counters before, after;

    for (unsigned i = 0; i < FIT + 10; i++)
        put(i);
    sx_cache_counters(cache, &before);
    for (unsigned i = 2 * FIT; i < 4 * FIT; i++) {
        assert_false(get(i));
        offer(i);
    }
    sx_cache_counters(cache, &after);
    assert_int_equal(after.entered, before.entered);
    put(2 * FIT);
}

static void without_a_cache_nothing_is_found(void **state)
{
    struct sx_id id = id_of(1);
    struct sx_cache_counters c;

    sx_cache_put(NULL, &id, "x", 1, sx_crc32c(0, "x", 1));
    assert_false(sx_cache_get(NULL, &id, &got));
    sx_cache_counters(NULL, &c);
    assert_int_equal(c.size, 0);
    sx_cache_free(NULL);
}

static void the_oldest_give_way(void **state)
{
    unsigned found = 0;

    for (unsigned i = 0; i < 3 * FIT; i++)
        put(i);
    for (unsigned i = 0; i < 2 * FIT - 1; i++)
        assert_false(get(i));
    for (unsigned i = 2 * FIT + FIT / 4; i < 3 * FIT; i++)
        found += get(i);
    /* Sets of entries are full by chance. */
    assert_in_range(found, FIT * 3 / 4 * 9 / 10, FIT);
}

static void what_is_read_stays(void **state)
{
    put(0);
    for (unsigned i = 1; i < 5 * FIT; i++) {
        put(i);
        if (i % 8 == 0)
            assert_true(get(0));
    }
}

static void a_circle_larger_than_the_cache_is_hit(void **state)
{
    const unsigned rounds = 20, circle = 2 * FIT;
    unsigned hits = 0;

    for (unsigned i = 0; i < rounds * circle; i++) {
        if (get(i % circle))
            hits++;
        else
            offer(i % circle);
    }
    assert_in_range(hits, rounds * circle / 10, rounds * circle);
}

static void a_block_is_not_half_of_the_cache(void **state)
{
    struct sx_id id = id_of(1);

    for (unsigned i = 0; i < 3; i++)
        sx_cache_put(cache, &id, plain, SIZE / 8 + 1, sx_crc32c(0, plain, SIZE / 8 + 1));
    assert_false(sx_cache_get(cache, &id, &got));
    for (unsigned i = 0; i < 3; i++)
        sx_cache_put(cache, &id, plain, 0, sx_crc32c(0, plain, 0));
    assert_false(sx_cache_get(cache, &id, &got));
    for (unsigned i = 0; i < 3; i++)
        sx_cache_put(cache, &id, plain, SIZE / 8, sx_crc32c(0, plain, SIZE / 8));
    assert_true(sx_cache_get(cache, &id, &got));
    assert_int_equal(got.len, SIZE / 8);
}

static void damaged_memory_is_a_miss(void **state)
{
    uint8_t *at;

    put(1);
    put(2);
    unit_fill(plain, size_of(1), ~(uint64_t)1);
    at = memmem(cache, SIZE, plain, size_of(1));
    assert_non_null(at);
    at[size_of(1) / 2] ^= 16;
    assert_false(get(1));
    assert_true(get(2));
}

static void forms_are_known_by_tag_and_id(void **state)
{
    struct sx_id id = id_of(1), other = id_of(2);
    uint8_t tag[SX_BLOCK_TAG] = "0123456789abcde", tag2[SX_BLOCK_TAG] = "x123456789abcde";
    struct sx_cache_counters c;
    uint32_t crc = 0;

    assert_false(sx_cache_known(cache, &id, tag, &crc));
    sx_cache_learn(cache, &id, tag, 77);
    assert_true(sx_cache_known(cache, &id, tag, &crc));
    assert_int_equal(crc, 77);
    assert_false(sx_cache_known(cache, &id, tag2, &crc));
    assert_false(sx_cache_known(cache, &other, tag, &crc));
    memcpy(other.b + 12, id.b + 12, 4); /* the same place */
    assert_false(sx_cache_known(cache, &other, tag, &crc));
    sx_cache_learn(cache, &other, tag2, 78);
    assert_false(sx_cache_known(cache, &id, tag, &crc));
    assert_true(sx_cache_known(cache, &other, tag2, &crc));
    sx_cache_learn(NULL, &id, tag, 77);
    assert_false(sx_cache_known(NULL, &id, tag, &crc));
    sx_cache_counters(cache, &c);
    assert_int_equal(c.known, 2);
}

/* Puts and gets for ever, or so often. */
static void work(uint64_t seed, unsigned rounds)
{
    for (unsigned i = 0; rounds == 0 || i < rounds; i++) {
        unsigned number = (unsigned)(unit_random(&seed) % (2 * FIT));

        if (!get(number))
            offer(number);
    }
}

static pid_t worker(uint64_t seed, unsigned rounds)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        work(seed, rounds);
        _exit(0);
    }
    return pid;
}

static void pause_us(unsigned us)
{
    struct timespec t = { 0, (long)us * 1000 };

    nanosleep(&t, NULL);
}

static void ended(pid_t pid, int want)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, want);
}

static void processes_race(void **state)
{
    struct sx_cache_counters c;
    pid_t pids[PROCESSES];

    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = worker(i, 4000);
    for (unsigned i = 0; i < PROCESSES; i++)
        ended(pids[i], 0); /* a failed comparison ends it with another status */
    sx_cache_counters(cache, &c);
    assert_true(c.hits > 0 && c.misses > 0 && c.entered > FIT);
}

static void processes_die_at_any_moment(void **state)
{
    uint64_t seed = 1;

    for (unsigned i = 0; i < KILLS; i++) {
        pid_t a = worker(2 * i, 0), b = worker(2 * i + 1, 0);

        pause_us(1000 + (unsigned)(unit_random(&seed) % 15000));
        kill(a, SIGKILL);
        ended(a, SIGKILL);
        work(i, 20);
        kill(b, SIGKILL);
        ended(b, SIGKILL);
    }
    put(1);
    assert_true(get(1));
}

/* Wherever it stands, others go on. */
static void a_process_is_stopped(void **state)
{
    uint64_t seed = 2;
    pid_t pid = worker(1, 0);

    for (unsigned i = 0; i < KILLS; i++) {
        uint64_t start;

        pause_us((unsigned)(unit_random(&seed) % 4000));
        kill(pid, SIGSTOP);
        start = sx_mono_ms();
        work(i, 20);
        assert_true(sx_mono_ms() - start < 5000); /* 40 times at most 2 ms, and what was to be done */
        kill(pid, SIGCONT);
    }
    kill(pid, SIGKILL);
    ended(pid, SIGKILL);
}

static void the_size_follows_the_memory(void **state)
{
    uint64_t size = sx_cache_auto_size();

    assert_true(size == 0 || (size >= SX_CACHE_SIZE_MIN && size <= 1u << 30));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(while_there_is_room_all_enters, begin, end),
        cmocka_unit_test_setup_teardown(what_is_read_once_drives_nothing_out, begin, end),
        cmocka_unit_test_setup_teardown(without_a_cache_nothing_is_found, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_give_way, begin, end),
        cmocka_unit_test_setup_teardown(what_is_read_stays, begin, end),
        cmocka_unit_test_setup_teardown(a_circle_larger_than_the_cache_is_hit, begin, end),
        cmocka_unit_test_setup_teardown(a_block_is_not_half_of_the_cache, begin, end),
        cmocka_unit_test_setup_teardown(damaged_memory_is_a_miss, begin, end),
        cmocka_unit_test_setup_teardown(forms_are_known_by_tag_and_id, begin, end),
        cmocka_unit_test_setup_teardown(processes_race, begin, end),
        cmocka_unit_test_setup_teardown(processes_die_at_any_moment, begin, end),
        cmocka_unit_test_setup_teardown(a_process_is_stopped, begin, end),
        cmocka_unit_test(the_size_follows_the_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
