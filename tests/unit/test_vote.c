/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Vote file and snapshot reference over a file system in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fcgi/meta/raft/snapref.h"
#include "fcgi/meta/raft/vote.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "tests/sim/memio.h"

static struct sx_vote *open_vote(struct sx_memio *m, uint64_t *term, uint64_t *vote)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_vote *v = NULL;

    if (sx_vote_open(&v, sx_memio_io(m), "/d/vote", 3, term, vote, &e))
        fail_msg("%s", e.msg);
    return v;
}

static void test_vote_golden(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_err e = SX_ERR_INIT;
    uint64_t term, vote;
    struct sx_vote *v = open_vote(m, &term, &vote);
    char hex[2 * 44 + 1];
    size_t n;

    assert_int_equal(term, 0);
    assert_int_equal(vote, 0);
    assert_int_equal(sx_vote_save(v, 5, 0x1122334455667788, &e), 0);
    assert_string_equal(sx_hex(hex, sx_memio_data(m, "/d/vote", &n), 44),
                        "5358563101000000030000000000000001000000000000000500000000000000"
                        "8877665544332211"
                        "a110213a");
    assert_int_equal(n, 4096 + 512);
    assert_memory_equal(sx_memio_data(m, "/d/vote", &n), sx_memio_data(m, "/d/vote", &n) + 4096, 44);
    sx_vote_close(v);
    sx_memio_free(m);
}

/* Crashes at each call of many saves: the vote after the restart is the last one that was
 * promised, or the one under way. */
static void test_vote_crash(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sx_memio *m = sx_memio_new();
        struct sx_err e = SX_ERR_INIT;
        uint64_t r = seed, term, vote, promised = 0;
        struct sx_vote *v = open_vote(m, &term, &vote);

        for (unsigned round = 0; round < 10; round++) {
            unsigned saves = (unsigned)(sx_random(&r) % 4);

            for (unsigned i = 0; i < saves; i++) {
                assert_int_equal(sx_vote_save(v, promised + 1, promised * 3, &e), 0);
                promised++;
            }
            sx_memio_lie(m, true);
            assert_int_equal(sx_vote_save(v, promised + 1, promised * 3, &e), 0);
            sx_vote_close(v);
            sx_memio_crash(m, &r);
            sx_memio_lie(m, false);
            v = open_vote(m, &term, &vote);
            assert_in_range(term, promised, promised + 1);
            assert_int_equal(vote, term ? (term - 1) * 3 : 0);
            promised = term;
        }
        sx_vote_close(v);
        sx_memio_free(m);
    }
}

static void test_vote_errors(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_err e = SX_ERR_INIT;
    uint64_t term, vote;
    struct sx_vote *v = open_vote(m, &term, &vote);

    assert_int_equal(sx_vote_save(v, 1, 1, &e), 0);
    sx_memio_fail(m, 2, EIO, false); /* the fdatasync */
    assert_int_equal(sx_vote_save(v, 2, 2, &e), -1);
    assert_int_equal(e.code, SX_EIO);
    assert_int_equal(sx_vote_save(v, 3, 3, &e), -1); /* final */
    sx_vote_close(v);
    assert_int_equal(sx_vote_open(&v, sx_memio_io(m), "/d/vote", 4, &term, &vote, &e), -1);
    assert_int_equal(e.code, SX_ECORRUPT);
    sx_memio_damage(m, "/d/vote", 24, 1);
    sx_memio_damage(m, "/d/vote", 4096 + 24, 1);
    assert_int_equal(sx_vote_open(&v, sx_memio_io(m), "/d/vote", 3, &term, &vote, &e), -1);
    assert_int_equal(e.code, SX_ECORRUPT);
    sx_memio_free(m);
}

/* Rot of either slot forgets nothing, and is mended. */
static void test_vote_rot(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_err e = SX_ERR_INIT;
    uint64_t term, vote;
    struct sx_vote *v = open_vote(m, &term, &vote);

    for (uint64_t t = 1; t <= 6; t++) {
        assert_int_equal(sx_vote_save(v, t, 10 * t, &e), 0);
        sx_vote_close(v);
        sx_memio_damage(m, "/d/vote", t % 2 * 4096 + 30, 4);
        v = open_vote(m, &term, &vote);
        assert_int_equal(term, t);
        assert_int_equal(vote, 10 * t);
    }
    sx_vote_close(v);
    sx_memio_truncate(m, "/d/vote", 600);
    v = open_vote(m, &term, &vote);
    assert_int_equal(term, 6);
    sx_vote_close(v);
    sx_memio_free(m);
}

/* A vote whose sync failed is found in the page cache and counts then, so it must stay. */
static void test_vote_found_is_durable(void **state)
{
    for (unsigned nth = 2; nth <= 4; nth += 2) {
        struct sx_memio *m = sx_memio_new();
        struct sx_err e = SX_ERR_INIT;
        uint64_t term, vote, found;
        struct sx_vote *v = open_vote(m, &term, &vote);

        assert_int_equal(sx_vote_save(v, 1, 1, &e), 0);
        sx_memio_fail(m, nth, EIO, false);
        assert_int_equal(sx_vote_save(v, 2, 2, &e), -1);
        sx_vote_close(v);
        v = open_vote(m, &found, &vote);
        sx_vote_close(v);
        sx_memio_crash(m, NULL);
        v = open_vote(m, &term, &vote);
        assert_int_equal(term, found);
        sx_vote_close(v);
        sx_memio_free(m);
    }
}

static void make_ref(struct sx_snapref *s, uint64_t index)
{
    s->index = index;
    s->term = 4;
    s->members_index = 2;
    assert_int_equal(sx_members_add(&s->members, 10, "a:1", SX_ROLE_VOTER, NULL), 0);
    assert_int_equal(sx_members_add(&s->members, 11, "b:1", SX_ROLE_STANDBY, NULL), 0);
}

static void test_snapref(void **state)
{
    static const char *want =
        "53584e310100000003000000090000000000000004000000000000000200000000000000280000000102000000"
        "000000000a00000000000000613a3100010b00000000000000623a3100000000000000a32aa68e";
    struct sx_memio *m = sx_memio_new();
    const struct sx_io *io = sx_memio_io(m);
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO(sx_snapref) struct sx_snapref s = SX_SNAPREF_INIT;
    SX_AUTO(sx_snapref) struct sx_snapref got = SX_SNAPREF_INIT;
    SX_AUTO_FREE char *hex = NULL;
    size_t n;

    assert_int_equal(sx_snapref_load(io, "/d/s", 3, &got, &e), 0);
    assert_int_equal(got.index, 0);
    make_ref(&s, 9);
    assert_int_equal(sx_snapref_save(io, "/d/s", 3, &s, &e), 0);
    sx_memio_crash(m, NULL);
    assert_int_equal(sx_snapref_load(io, "/d/s", 3, &got, &e), 0);
    assert_int_equal(got.index, 9);
    assert_int_equal(got.members.n, 2);
    assert_string_equal(got.members.v[1].address, "b:1");
    assert_int_equal(sx_snapref_load(io, "/d/s", 4, &got, &e), -1);
    sx_memio_data(m, "/d/s", &n);
    hex = sx_malloc(2 * n + 1);
    assert_string_equal(sx_hex(hex, sx_memio_data(m, "/d/s", &n), n), want);
    for (size_t i = 0; i < n; i++) {
        sx_memio_damage(m, "/d/s", i, 0x40);
        assert_int_equal(sx_snapref_load(io, "/d/s", 3, &got, &e), -1);
        sx_memio_damage(m, "/d/s", i, 0x40);
    }
    for (size_t i = n; i-- > 0;) {
        sx_memio_truncate(m, "/d/s", i);
        assert_int_equal(sx_snapref_load(io, "/d/s", 3, &got, &e), -1);
        assert_int_equal(e.code, SX_ECORRUPT);
    }
    sx_memio_free(m);
}

/* Each call of a save fails: the old reference is whole. */
static void test_snapref_failing(void **state)
{
    for (unsigned nth = 1; nth < 10; nth++) {
        struct sx_memio *m = sx_memio_new();
        const struct sx_io *io = sx_memio_io(m);
        struct sx_err e = SX_ERR_INIT;
        SX_AUTO(sx_snapref) struct sx_snapref s = SX_SNAPREF_INIT;
        SX_AUTO(sx_snapref) struct sx_snapref got = SX_SNAPREF_INIT;
        int r;

        make_ref(&s, 9);
        assert_int_equal(sx_snapref_save(io, "/d/s", 3, &s, &e), 0);
        s.index = 20;
        sx_memio_fail(m, nth, ENOSPC, false);
        r = sx_snapref_save(io, "/d/s", 3, &s, &e);
        sx_memio_crash(m, NULL);
        assert_int_equal(sx_snapref_load(io, "/d/s", 3, &got, &e), 0);
        assert_int_equal(got.index, r ? 9 : 20);
        sx_memio_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vote_golden), cmocka_unit_test(test_vote_crash),
        cmocka_unit_test(test_vote_errors), cmocka_unit_test(test_vote_rot),
        cmocka_unit_test(test_vote_found_is_durable), cmocka_unit_test(test_snapref),
        cmocka_unit_test(test_snapref_failing),
    };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
