/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Chunking: the fast scan against the plain definition of docs/formats.md section 2, golden cut
 * points computed with Python, and that an insertion changes few chunks.
 */
#include "libsx/codec/chunk.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/unit.h"

static uint64_t gear[256];

static int set_up(void **state)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t text[8] = { 's', 'x', ' ', 'g', 'e', 'a', 'r', (uint8_t)i }, digest[32];

        sx_sha256(digest, text, 8);
        gear[i] = sx_get_u64(digest);
    }
    return 0;
}

static size_t by_definition(const struct sx_chunker *c, const uint8_t *data, size_t n)
{
    uint64_t h = 0;

    for (size_t i = c->min; i < n && i < c->max; i++) {
        h = (h << 1) + gear[data[i]];
        if ((h & (i < c->avg ? c->mask_strict : c->mask_loose)) == 0)
            return i + 1;
    }
    return n < c->max ? n : c->max;
}

static void test_masks(void **state)
{
    struct sx_chunker c;

    sx_chunker_init(&c, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    assert_int_equal(c.mask_strict, 0xfffff80000000000ULL);
    assert_int_equal(c.mask_loose, 0xffff800000000000ULL);
}

static void check_golden(const struct sx_chunker *c, const uint8_t *data, size_t n,
                         const size_t *want)
{
    for (size_t at = 0; at < n; want++) {
        size_t len = sx_chunk_next(c, data + at, n - at);

        assert_int_equal(len, *want);
        at += len;
    }
}

static void test_golden(void **state)
{
    static const size_t small[] = { 5779,  9258, 8339, 10665, 10115, 14944, 8248,  11583,
                                    10964, 12784, 9635, 8541, 9427,  9880,  5655,  5178,
                                    3383,  3984, 12880, 9556, 7167,  7660,  3746,  629 };
    static const size_t standard[] = { 655582, 571994, 436209, 571219, 545128, 819892,
                                       686959, 536907, 702161, 568675, 415080, 595430,
                                       555652, 570384, 524374, 597670, 83868 };
    SX_AUTO_FREE uint8_t *data = sx_malloc(9 << 20);
    struct sx_chunker c;

    unit_fill(data, 200000, 7);
    sx_chunker_init(&c, 2048, 8192, 32768);
    check_golden(&c, data, 200000, small);
    unit_fill(data, 9 << 20, 8);
    sx_chunker_init(&c, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    check_golden(&c, data, 9 << 20, standard);
}

static void test_same_as_definition(void **state)
{
    SX_AUTO_FREE uint8_t *data = sx_malloc(1 << 20);
    struct sx_chunker c;
    uint64_t seed = 99;
    size_t cuts = 0;

    unit_fill(data, 1 << 20, 3);
    memset(data + 300000, 0, 200000); /* no cut points: the maximum decides */
    for (int round = 0; round < 20; round++) {
        size_t min = 1 + unit_random(&seed) % 63, at = 0;

        sx_chunker_init(&c, min, 64 << round % 5, 5000 + unit_random(&seed) % 5000);
        for (; at < 1 << 20; cuts++) {
            size_t left = (1 << 20) - at,
                n = round % 2 ? left : unit_random(&seed) % 12000 % left + 1;
            size_t len = sx_chunk_next(&c, data + at, n);

            assert_int_equal(len, by_definition(&c, data + at, n));
            at += len;
        }
    }
    assert_true(cuts > 20000);
}

/* A cut that is found holds whatever follows; none is told that something behind could change. */
static void test_cut_bit_by_bit(void **state)
{
    static uint8_t data[200000];
    struct sx_chunker c;

    sx_chunker_init(&c, 2048, 8192, 32768);
    unit_fill(data, sizeof data, 7);
    for (size_t at = 0; at < sizeof data;) {
        size_t want = sx_chunk_next(&c, data + at, sizeof data - at);

        for (size_t n = 1; n <= sizeof data - at && n <= c.max; n += 997) {
            size_t len = sx_chunk_cut(&c, data + at, n, false);

            assert_true(len == 0 ? n <= want : len == want);
            assert_int_equal(sx_chunk_cut(&c, data + at, n, true), n < want ? n : want);
        }
        at += want;
    }
}

static void test_ends(void **state)
{
    SX_AUTO_FREE uint8_t *data = sx_calloc(1, SX_CHUNK_MAX + 1);
    struct sx_chunker c;

    sx_chunker_init(&c, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    assert_int_equal(sx_chunk_next(&c, data, 0), 0);
    assert_int_equal(sx_chunk_next(&c, data, 1), 1);
    assert_int_equal(sx_chunk_next(&c, data, SX_CHUNK_MIN), SX_CHUNK_MIN);
    assert_int_equal(sx_chunk_next(&c, data, SX_CHUNK_MAX + 1), SX_CHUNK_MAX);
}

#define CUTS_MAX 2048

static size_t cut_digests(const struct sx_chunker *c, const uint8_t *data, size_t n,
                          uint64_t *digests)
{
    size_t count = 0;

    for (size_t at = 0; at < n; count++) {
        size_t len = sx_chunk_next(c, data + at, n - at);
        uint8_t d[32];

        assert_true(count < CUTS_MAX);
        sx_sha256(d, data + at, len);
        digests[count] = sx_get_u64(d);
        at += len;
    }
    return count;
}

static void test_insertion(void **state)
{
    enum { SIZE = 4 << 20 };
    SX_AUTO_FREE uint8_t *data = sx_malloc(SIZE + 1);
    uint64_t before[CUTS_MAX], after[CUTS_MAX];
    struct sx_chunker c;
    size_t n, m, fresh = 0;

    unit_fill(data, SIZE, 5);
    sx_chunker_init(&c, 2048, 8192, 32768);
    n = cut_digests(&c, data, SIZE, before);
    memmove(data + 1, data, SIZE);
    m = cut_digests(&c, data, SIZE + 1, after);
    for (size_t i = 0; i < m; i++) {
        bool known = false;

        for (size_t k = 0; k < n && !known; k++)
            known = after[i] == before[k];
        fresh += !known;
    }
    assert_in_range(n, SIZE / 8192 / 2, SIZE / 8192 * 2);
    assert_in_range(fresh, 1, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks), cmocka_unit_test(test_golden),
        cmocka_unit_test(test_same_as_definition), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_cut_bit_by_bit),
        cmocka_unit_test(test_insertion),
    };

    return cmocka_run_group_tests_name("chunk", tests, set_up, NULL);
}
