/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The write-ahead log over a file system in memory: golden bytes, torn tails at every byte, flipped
 * bits, lost syncs, failing calls, reuse of segments, and a long random run against a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/meta/raft/wal.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "tests/sim/memio.h"

#define SEGMENT (64u << 10)
#define FILE0 "/w/wal-0000"

static struct sx_wal *reopen(struct sx_memio *m, struct sx_wal *w)
{
    struct sx_err e = SX_ERR_INIT;

    sx_wal_close(w);
    w = NULL;
    if (sx_wal_open(&w, sx_memio_io(m), "/w", SEGMENT, &e))
        fail_msg("%s", e.msg);
    return w;
}

static int put(struct sx_wal *w, uint32_t group, uint64_t index, uint64_t term, const char *text,
               struct sx_err *e)
{
    struct sx_entry x = { index, term, SX_ENTRY_COMMAND, (uint32_t)strlen(text),
                          (const uint8_t *)text };

    return sx_wal_append(w, group, &x, 1, e);
}

static void must_put(struct sx_wal *w, uint32_t group, uint64_t index, uint64_t term,
                     const char *text)
{
    struct sx_err e = SX_ERR_INIT;

    if (put(w, group, index, term, text, &e))
        fail_msg("%s", e.msg);
}

static void must_sync(struct sx_wal *w)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_wal_sync(w, NULL, &e))
        fail_msg("%s", e.msg);
}

static void check_text(struct sx_wal *w, uint32_t group, uint64_t index, uint64_t term,
                       const char *text)
{
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_entry x;

    if (sx_wal_read(w, group, index, &x, &b, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(x.index, index);
    assert_int_equal(x.term, term);
    assert_int_equal(x.len, strlen(text));
    assert_memory_equal(x.data, text, x.len);
}

static void check_range(struct sx_wal *w, uint32_t group, uint64_t first, uint64_t last)
{
    uint64_t a, b;

    sx_wal_range(w, group, &a, &b);
    assert_int_equal(a, first);
    assert_int_equal(b, last);
}

static void test_golden(void **state)
{
    static const char *want = "b4f9add3050000000100000007000000010000000000000002000000000000000100"
                              "000000100000000000000000000068656c6c6f000000";
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    char hex[2 * 56 + 1], head[2 * 28 + 1];
    const uint8_t *p;
    size_t n;

    must_put(w, 7, 1, 2, "hello");
    must_sync(w);
    p = sx_memio_data(m, FILE0, &n);
    assert_non_null(p);
    assert_int_equal(n, SEGMENT);
    assert_string_equal(sx_hex(head, p, 28),
                        "5358573101000000000001000000000001000000000000002e8bc577");
    assert_string_equal(sx_hex(hex, p + 4096, 56), want);
    sx_wal_close(w);
    sx_memio_free(m);
}

static void test_basics(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    struct sx_err e = SX_ERR_INIT;
    struct sx_entry x;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    check_range(w, 1, 1, 0);
    must_put(w, 1, 1, 1, "a");
    must_put(w, 2, 1, 1, "x");
    must_put(w, 1, 2, 1, "b");
    must_put(w, 1, 3, 1, "c");
    assert_int_equal(sx_wal_read(w, 1, 1, &x, &b, &e), -1); /* not synced */
    must_sync(w);
    check_text(w, 1, 3, 1, "c");
    must_put(w, 1, 2, 3, "B"); /* replaces 2 and 3 */
    must_sync(w);
    check_range(w, 1, 1, 2);
    check_text(w, 1, 2, 3, "B");
    assert_int_equal(sx_wal_read(w, 1, 3, &x, &b, &e), -1);
    assert_int_equal(e.code, SX_ENOTFOUND);
    w = reopen(m, w);
    check_range(w, 1, 1, 2);
    check_range(w, 2, 1, 1);
    check_text(w, 1, 1, 1, "a");
    check_text(w, 1, 2, 3, "B");
    assert_int_equal(sx_wal_cut(w, 1, 2, false, &e), 0);
    assert_int_equal(sx_wal_cut(w, 2, 50, true, &e), 0);
    must_put(w, 2, 52, 9, "y");
    must_sync(w);
    w = reopen(m, w);
    check_range(w, 1, 2, 2);
    check_range(w, 2, 52, 52);
    assert_int_equal(put(w, 1, 4, 4, "gap", &e), -1);
    sx_wal_close(w);
    sx_memio_free(m);
}

/* The last batch cut off at every byte: all of it or none before it is lost. */
static void test_torn_tail(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    size_t n;
    const unsigned second = 4096 + 56, end = second + 56;

    must_put(w, 1, 1, 1, "first");
    must_sync(w);
    must_put(w, 1, 2, 1, "second");
    must_sync(w);
    for (unsigned at = second; at <= end; at++) {
        uint8_t *p = sx_memio_data(m, FILE0, &n), saved[64];

        memcpy(saved, p + second, sizeof saved);
        memset(p + at, 0, end - at);
        w = reopen(m, w);
        /* the last two bytes are padding and zero anyway */
        check_range(w, 1, 1, at >= end - 2 ? 2 : 1);
        check_text(w, 1, 1, 1, "first");
        memcpy(sx_memio_data(m, FILE0, &n) + second, saved, sizeof saved);
    }
    sx_wal_close(w);
    sx_memio_free(m);
}

/* A bit that flips in what was followed by a later sync is damage, in every byte. */
static void test_flipped_bits(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    struct sx_err e = SX_ERR_INIT;

    must_put(w, 1, 1, 1, "first");
    must_sync(w);
    must_put(w, 1, 2, 1, "second");
    must_sync(w);
    sx_wal_close(w);
    for (unsigned at = 4096; at < 4096 + 53; at++) {
        sx_memio_damage(m, FILE0, at, 1u << at % 8);
        w = NULL;
        if (sx_wal_open(&w, sx_memio_io(m), "/w", SEGMENT, &e) == 0)
            fail_msg("flip at %u was not noticed", at);
        assert_int_equal(e.code, SX_ECORRUPT);
        assert_non_null(strstr(e.msg, "/w/wal-0000 is damaged at offset 4096"));
        sx_memio_damage(m, FILE0, at, 1u << at % 8);
    }
    for (unsigned at = 0; at < 28; at++) { /* the header */
        sx_memio_damage(m, FILE0, at, 1u << at % 8);
        assert_int_equal(sx_wal_open(&w, sx_memio_io(m), "/w", SEGMENT, &e), -1);
        assert_int_equal(e.code, SX_ECORRUPT);
        sx_memio_damage(m, FILE0, at, 1u << at % 8);
    }
    w = reopen(m, NULL);
    check_range(w, 1, 1, 2);
    sx_wal_close(w);
    sx_memio_free(m);
}

/* Pieces of one unsynced batch that reach the disk in another order are no damage, and what
 * lies behind the hole never comes back. */
static void test_hole_in_last_batch(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    size_t n;

    must_put(w, 1, 1, 1, "first");
    must_sync(w);
    must_put(w, 1, 2, 1, "second");
    must_put(w, 1, 3, 1, "third.");
    must_put(w, 1, 4, 1, "fourth");
    must_sync(w);
    memset(sx_memio_data(m, FILE0, &n) + 4096 + 56, 0, 56);
    w = reopen(m, w);
    check_range(w, 1, 1, 1);
    must_put(w, 1, 2, 2, "SECOND"); /* as long as the one that is gone */
    must_sync(w);
    w = reopen(m, w);
    check_range(w, 1, 1, 2);
    check_text(w, 1, 2, 2, "SECOND");
    sx_wal_close(w);
    sx_memio_free(m);
}

static void fill_segments(struct sx_wal *w, uint64_t from, unsigned n)
{
    char text[4001];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (unsigned i = 0; i < n; i++) {
        must_put(w, 1, from + i, 1, text);
        must_sync(w);
    }
}

/* Segments are made in their whole length: a shorter one lost its end, and what stood there. */
static void test_cut_file(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    struct sx_err e = SX_ERR_INIT;

    for (uint64_t i = 1; i <= 20; i++) {
        must_put(w, 1, i, 1, "an entry");
        must_sync(w);
    }
    sx_wal_close(w);
    sx_memio_truncate(m, FILE0, 4096 + 200);
    assert_int_equal(sx_wal_open(&w, sx_memio_io(m), "/w", SEGMENT, &e), -1);
    assert_int_equal(e.code, SX_ECORRUPT);
    assert_non_null(strstr(e.msg, "wal-0000"));
    sx_memio_free(m);
}

static void test_recycling(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    struct sx_wal_status s;
    struct sx_err e = SX_ERR_INIT;
    unsigned segments;

    must_put(w, 2, 1, 1, "pins the oldest segment");
    fill_segments(w, 1, 60);
    sx_wal_status(w, &s);
    segments = s.segments;
    assert_true(segments >= 4);
    assert_int_equal(sx_wal_cut(w, 1, 55, false, &e), 0);
    must_sync(w);
    sx_wal_status(w, &s);
    assert_int_equal(s.segments, segments);
    assert_int_equal(s.oldest_group, 2);
    assert_int_equal(sx_wal_cut(w, 2, 2, false, &e), 0);
    must_sync(w);
    must_sync(w);
    sx_wal_status(w, &s);
    assert_int_equal(s.segments + s.spare, segments);
    assert_true(s.segments <= 2);
    fill_segments(w, 61, 25);
    sx_wal_status(w, &s);
    assert_int_equal(s.segments + s.spare, segments); /* used again, none was made */
    w = reopen(m, w);
    check_range(w, 1, 55, 85);
    check_range(w, 2, 2, 1);
    fill_segments(w, 86, 25);
    w = reopen(m, w);
    check_range(w, 1, 55, 110);
    sx_wal_close(w);
    sx_memio_free(m);
}

/* A segment in the middle that is cut short or gone. */
static void test_missing_segment(void **state)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    struct sx_err e = SX_ERR_INIT;
    size_t n;
    uint8_t *p;

    fill_segments(w, 1, 40);
    sx_wal_close(w);
    sx_memio_truncate(m, "/w/wal-0001", 30000);
    assert_int_equal(sx_wal_open(&w, sx_memio_io(m), "/w", SEGMENT, &e), -1);
    assert_int_equal(e.code, SX_ECORRUPT);
    p = sx_memio_data(m, "/w/wal-0001", &n);
    memset(p, 0, n);
    assert_int_equal(sx_wal_open(&w, sx_memio_io(m), "/w", SEGMENT, &e), -1);
    assert_int_equal(e.code, SX_ECORRUPT);
    assert_non_null(strstr(e.msg, "missing"));
    sx_memio_free(m);
}

/* Every call fails once, with every kind of error; afterwards the log is shut, and what was
 * promised is there after a restart. */
static void test_failing_calls(void **state)
{
    static const int errors[] = { EIO, ENOSPC };
    bool failed = true;

    for (unsigned nth = 1; failed; nth++)
        for (unsigned k = 0; k < 2; k++) {
            struct sx_memio *m = sx_memio_new();
            struct sx_wal *w = reopen(m, NULL);
            struct sx_err e = SX_ERR_INIT;
            uint64_t synced = 0, first, last;
            char text[4001];

            memset(text, 'y', sizeof text - 1);
            text[sizeof text - 1] = '\0';
            sx_memio_fail(m, nth, errors[k], false);
            failed = false;
            for (uint64_t i = 1; i <= 40 && !failed; i++) {
                failed = put(w, 1, i, 1, text, &e) || sx_wal_sync(w, NULL, &e);
                synced = failed ? synced : i;
            }
            if (failed) {
                assert_int_equal(e.code, k ? SX_ENOSPACE : SX_EIO);
                assert_int_equal(put(w, 1, synced + 1, 1, text, &e), -1);
                assert_int_equal(sx_wal_sync(w, NULL, &e), -1);
            }
            sx_memio_fail(m, 0, 0, false);
            sx_wal_close(w);
            sx_memio_crash(m, NULL);
            w = reopen(m, NULL);
            sx_wal_range(w, 1, &first, &last);
            assert_int_equal(first, 1);
            assert_in_range(last, synced, synced + 1);
            must_put(w, 1, last + 1, 1, text); /* it goes on, also in a half-made file */
            must_sync(w);
            w = reopen(m, w);
            check_range(w, 1, 1, last + 1);
            sx_wal_close(w);
            sx_memio_free(m);
        }
}

/* ---- random run against a model ---- */

#define MODEL_MAX 4096u

struct model {
    uint64_t first, last;
    uint64_t term[MODEL_MAX];
};

static void text_of(char out[300], uint64_t index, uint64_t term)
{
    int n = snprintf(out, 300, "entry %llu of term %llu ", (unsigned long long)index,
                     (unsigned long long)term);

    memset(out + n, 'z', (index * 7 + term * 13) % 200);
    out[n + (int)((index * 7 + term * 13) % 200)] = '\0';
}

static void random_change(struct sx_wal *w, uint32_t g, struct model *x, uint64_t *r)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t what = sx_random(r) % 20, span = x->last - x->first + 1;
    char text[300];

    if (what == 0 && span) {
        x->first += sx_random(r) % (span + 1);
        assert_int_equal(sx_wal_cut(w, g, x->first, false, &e), 0);
        return;
    }
    if (what == 1) {
        x->first = x->last + 1 + sx_random(r) % 5;
        x->last = x->first - 1;
        assert_int_equal(sx_wal_cut(w, g, x->first, true, &e), 0);
        return;
    }
    if (what == 2 && span)
        x->last -= sx_random(r) % (span < 5 ? span : 5);
    if (x->last + 2 >= MODEL_MAX)
        return;
    x->last++;
    x->term[x->last] = sx_random(r) % 1000 + 1;
    text_of(text, x->last, x->term[x->last]);
    must_put(w, g, x->last, x->term[x->last], text);
}

static bool model_equal(struct sx_wal *w, const struct model x[2])
{
    for (uint32_t g = 0; g < 2; g++) {
        uint64_t first, last;
        char text[300];

        sx_wal_range(w, g, &first, &last);
        if (last != x[g].last || (first > x[g].first && last >= first))
            return false;
        for (uint64_t i = x[g].first; i <= x[g].last; i++) {
            SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
            struct sx_entry e;

            text_of(text, i, x[g].term[i]);
            if (sx_wal_read(w, g, i, &e, &b, NULL) || e.term != x[g].term[i] ||
                e.len != strlen(text) || memcmp(e.data, text, e.len) != 0)
                return false;
        }
    }
    return true;
}

static void run(uint64_t seed)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    static struct model x[2], synced[2];
    uint64_t r = seed;

    memset(x, 0, sizeof x);
    x[0].first = x[1].first = 1;
    memcpy(synced, x, sizeof x);
    for (unsigned round = 0; round < 12; round++) {
        unsigned batches = (unsigned)(sx_random(&r) % 60);

        for (unsigned b = 0; b < batches; b++) {
            for (unsigned k = 0; k < sx_random(&r) % 12; k++) {
                uint32_t g = (uint32_t)(sx_random(&r) % 2);

                random_change(w, g, &x[g], &r);
            }
            must_sync(w);
            memcpy(synced, x, sizeof x);
        }
        must_put(w, 0, x[0].last + 1, 5, "never synced");
        sx_wal_close(w);
        sx_memio_crash(m, NULL);
        w = reopen(m, NULL);
        memcpy(x, synced, sizeof x);
        if (!model_equal(w, x))
            fail_msg("seed %llu round %u: the log is not what was synced", (unsigned long long)seed,
                     round);
    }
    sx_wal_close(w);
    sx_memio_free(m);
}

static void test_random(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run(seed);
}

/* A batch was written, and its sync failed, or the process was killed before it. Who opens the log then finds the batch
 * in the page cache and counts it as there: so it must be durable from then on. */
static void found_is_durable(bool failed)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = reopen(m, NULL);
    struct sx_err e = SX_ERR_INIT;
    uint64_t first, last, found;

    must_put(w, 1, 1, 1, "synced");
    must_sync(w);
    must_put(w, 1, 2, 1, "written");
    sx_memio_lie(m, !failed);
    sx_memio_fail(m, failed ? 2 : 0, EIO, false);
    assert_int_equal(sx_wal_sync(w, NULL, &e), failed ? -1 : 0);
    sx_memio_lie(m, false);
    w = reopen(m, w);
    sx_wal_range(w, 1, &first, &found);
    if (failed) { /* a later sync does not help what the kernel has forgotten */
        must_put(w, 1, found + 1, 1, "the next");
        must_sync(w);
        found++;
    }
    sx_wal_close(w);
    sx_memio_crash(m, NULL);
    w = reopen(m, NULL);
    sx_wal_range(w, 1, &first, &last);
    assert_int_equal(last, found);
    sx_wal_close(w);
    sx_memio_free(m);
}

static void test_found_is_durable(void **state)
{
    found_is_durable(false);
    found_is_durable(true);
}

/* Torn writes by coin: what was synced is there; of what was not, a beginning may be. */
static void test_random_torn(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sx_memio *m = sx_memio_new();
        struct sx_wal *w = reopen(m, NULL);
        uint64_t r = seed, next = 1;

        for (unsigned round = 0; round < 20; round++) {
            uint64_t synced = next - 1, first, last;
            char text[300];

            for (unsigned k = 0; k < sx_random(&r) % 40; k++, next++) {
                text_of(text, next, 7);
                must_put(w, 1, next, 7, text);
                if (sx_random(&r) % 3 == 0) {
                    must_sync(w);
                    synced = next;
                }
            }
            /* a sync that the crash interrupts: written, not durable */
            sx_memio_lie(m, true);
            must_sync(w);
            sx_wal_close(w);
            sx_memio_crash(m, &r);
            sx_memio_lie(m, false);
            w = reopen(m, NULL);
            sx_wal_range(w, 1, &first, &last);
            assert_int_equal(first, 1);
            assert_in_range(last, synced, next - 1);
            for (uint64_t i = 1; i <= last; i++) {
                text_of(text, i, 7);
                check_text(w, 1, i, 7, text);
            }
            next = last + 1;
        }
        sx_wal_close(w);
        sx_memio_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),          cmocka_unit_test(test_basics),
        cmocka_unit_test(test_torn_tail),       cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_hole_in_last_batch), cmocka_unit_test(test_recycling),
        cmocka_unit_test(test_missing_segment), cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_found_is_durable), cmocka_unit_test(test_cut_file),
        cmocka_unit_test(test_random),          cmocka_unit_test(test_random_torn),
    };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
