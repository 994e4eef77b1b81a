/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checksums against their published check values, in one piece and in pieces of every size,
 * combined, and as text.
 */
#include "fcgi/s3/checksum.h"
#include "fcgi/s3/crc.h"
#include "fcgi/s3/s3err.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static struct sx_err e;

/* Of "123456789": the check values of the CRC catalogue (G. Cook), and of RFC 1321, FIPS 180. */
static void test_known(void **state)
{
    static const char *const want[] = {
        [SX_SUM_CRC32] = "cbf43926", [SX_SUM_CRC32C] = "e3069283",
        [SX_SUM_CRC64NVME] = "ae8b14860a799888",
        [SX_SUM_SHA1] = "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
        [SX_SUM_SHA256] = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        [SX_SUM_MD5] = "25f9e794323b453885f5181f1b624d0b",
    };
    uint8_t v[SX_SUM_MAX];

    for (unsigned i = 0; i < SX_SUM_N; i++) {
        sx_sum_of((enum sx_sum_alg)i, "123456789", 9, v);
        assert_hex(v, sx_sum_info((enum sx_sum_alg)i)->size, want[i]);
    }
    sx_sum_of(SX_SUM_CRC64NVME, "", 0, v);
    assert_hex(v, 8, "0000000000000000");
}

static void test_pieces(void **state)
{
    uint8_t data[1000], whole[SX_SUM_MAX], again[SX_SUM_MAX];

    unit_fill(data, sizeof data, 7);
    for (unsigned i = 0; i < SX_SUM_N; i++) {
        sx_sum_of((enum sx_sum_alg)i, data, sizeof data, whole);
        for (size_t step = 1; step < 40; step++) {
            struct sx_sum s;

            sx_sum_init(&s, (enum sx_sum_alg)i);
            for (size_t at = 0; at < sizeof data; at += step)
                sx_sum_add(&s, data + at, at + step < sizeof data ? step : sizeof data - at);
            sx_sum_end(&s, again);
            sx_sum_fini(&s);
            assert_memory_equal(whole, again, sx_sum_info((enum sx_sum_alg)i)->size);
        }
    }
}

static void test_combine(void **state)
{
    static const size_t lengths[] = { 0, 1, 2, 7, 8, 63, 64, 65, 4095, 5000 };
    uint8_t data[10000], a[SX_SUM_MAX], b[SX_SUM_MAX], both[SX_SUM_MAX];

    unit_fill(data, sizeof data, 8);
    for (unsigned i = 0; i < SX_SUM_N; i++) {
        enum sx_sum_alg alg = (enum sx_sum_alg)i;

        for (size_t k = 0; k < N_OF(lengths) * N_OF(lengths) && sx_sum_info(alg)->full; k++) {
            size_t na = lengths[k % N_OF(lengths)], nb = lengths[k / N_OF(lengths)];

            sx_sum_of(alg, data, na, a);
            sx_sum_of(alg, data + na, nb, b);
            sx_sum_of(alg, data, na + nb, both);
            sx_sum_combine(alg, a, b, nb);
            assert_memory_equal(a, both, sx_sum_info(alg)->size);
        }
    }
}

/* Pieces longer than 32 bits can count: combining 5 GiB of zeros twice is as combining 10 GiB. */
static void test_combine_long(void **state)
{
    const uint64_t n = 5ULL << 30;
    static const enum sx_crc all[] = { SX_CRC32, SX_CRC32C, SX_CRC64NVME };

    for (size_t i = 0; i < N_OF(all); i++) {
        uint64_t a = sx_crc_add(all[i], 0, "a", 1), zeros, once, twice;

        zeros = sx_crc_add(all[i], 0, "", 1); /* of one zero; doubled up to n */
        for (uint64_t len = 1; len < 1ULL << 30; len *= 2)
            zeros = sx_crc_combine(all[i], zeros, zeros, len);
        once = 0;
        for (int k = 0; k < 5; k++)
            once = sx_crc_combine(all[i], once, zeros, 1ULL << 30);
        twice = sx_crc_combine(all[i], once, once, n);
        assert_true(sx_crc_combine(all[i], sx_crc_combine(all[i], a, once, n), once, n) ==
                    sx_crc_combine(all[i], a, twice, 2 * n));
    }
}

static void test_names(void **state)
{
    assert_int_equal(sx_sum_by_name("crc32c"), SX_SUM_CRC32C);
    assert_int_equal(sx_sum_by_name("CRC64NVME"), SX_SUM_CRC64NVME);
    assert_int_equal(sx_sum_by_name("MD5"), SX_SUM_NONE);
    assert_int_equal(sx_sum_by_name(""), SX_SUM_NONE);
    assert_int_equal(sx_sum_by_header("x-amz-checksum-sha256"), SX_SUM_SHA256);
    assert_int_equal(sx_sum_by_header("content-md5"), SX_SUM_MD5);
    assert_int_equal(sx_sum_by_header("x-amz-checksum-xxhash3"), SX_SUM_NONE);
}

static void test_text(void **state)
{
    static const char *const bad[] = { "", "y/Q5", "y/Q5Jg", "y/Q5Jg=", "y_Q5Jg==", "y/Q5Jg===",
                                       "y/Q5Jg== ", "y/Q5Jh==", "y/Q5Jg==-3", "AAAAAAAAAAA=" };
    static const char *const bad_parts[] = { "y/Q5Jg==-", "y/Q5Jg==-0", "y/Q5Jg==-01",
                                             "y/Q5Jg==-10001", "y/Q5Jg==-1-1", "-1",
                                             "y/Q5Jg==-99999999999999999999" };
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    uint8_t v[SX_SUM_MAX], again[SX_SUM_MAX];
    unsigned parts = 77;

    sx_sum_of(SX_SUM_CRC32, "123456789", 9, v);
    sx_sum_text(&text, SX_SUM_CRC32, v, 0);
    assert_string_equal(sx_buf_cstr(&text), "y/Q5Jg==");
    assert_done(sx_sum_parse(SX_SUM_CRC32, "y/Q5Jg==", again, NULL, &e), &e);
    assert_done(sx_sum_compare(SX_SUM_CRC32, v, again, &e), &e);
    assert_done(sx_sum_parse(SX_SUM_CRC32, "y/Q5Jg==", again, &parts, &e), &e);
    assert_int_equal(parts, 0);
    assert_done(sx_sum_parse(SX_SUM_CRC32, "y/Q5Jg==-10000", again, &parts, &e), &e);
    assert_int_equal(parts, 10000);
    sx_buf_reset(&text);
    sx_sum_text(&text, SX_SUM_CRC32, v, 3);
    assert_string_equal(sx_buf_cstr(&text), "y/Q5Jg==-3");
    again[0] ^= 1;
    assert_int_equal(sx_sum_compare(SX_SUM_CRC32, v, again, &e), -1);
    assert_int_equal(e.code, SX_S3_BAD_DIGEST);
    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(sx_sum_parse(SX_SUM_CRC32, bad[i], again, NULL, &e), -1);
        assert_int_equal(e.code, SX_S3_INVALID_REQUEST);
    }
    for (size_t i = 0; i < N_OF(bad_parts); i++)
        assert_int_equal(sx_sum_parse(SX_SUM_CRC32, bad_parts[i], again, &parts, &e), -1);
    assert_int_equal(sx_sum_parse(SX_SUM_MD5, "y/Q5Jg==", again, NULL, &e), -1);
    assert_int_equal(e.code, SX_S3_INVALID_DIGEST);
}

static void test_sums(void **state)
{
    struct sx_sums s;
    uint8_t want[SX_SUM_MAX];

    sx_sums_init(&s, SX_SUM_BIT(SX_SUM_MD5) | SX_SUM_BIT(SX_SUM_CRC32C));
    sx_sums_add(&s, "1234", 4);
    sx_sums_add(&s, "56789", 5);
    sx_sums_end(&s);
    sx_sum_of(SX_SUM_MD5, "123456789", 9, want);
    assert_memory_equal(s.value[SX_SUM_MD5], want, 16);
    sx_sum_of(SX_SUM_CRC32C, "123456789", 9, want);
    assert_memory_equal(s.value[SX_SUM_CRC32C], want, 4);
    sx_sums_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_combine),      cmocka_unit_test(test_combine_long),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_text),
        cmocka_unit_test(test_sums),
    };

    return cmocka_run_group_tests_name("s3_checksum", tests, NULL, NULL);
}
