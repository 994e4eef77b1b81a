/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Blocks and records (docs/formats.md sections 1, 3 and 4).  The golden bytes were computed with
 * Python's hashlib, hmac, zlib and cryptography, independently of this code.
 */
#include "libsx/codec/facts.h"
#include "libsx/codec/record.h"
#include "tests/unit/unit.h"

static const char fox[] = "The quick brown fox jumps over the lazy dog";
#define FOX_LEN 43
static const char fox_id[] = "8b493d7e0dad6e810baa4398a15641427e1440f1edc2365118870c7ba45ea233";
static const char fox_stored[] =
    "53584231010001002b0000002b000000404142434445464748494a4b9c6a404e90d36c10e1ef541f42a5ff2c00000000"
    "0b857cdd505e3f09e8751d8d3e3b094ee94634408789ffe789bd613da05dd73d6342c06d564b1824d884c9";
static const char fox_record[] =
    "535852315b0000008b493d7e0dad6e810baa4398a15641427e1440f1edc2365118870c7ba45ea23300000000844fad2f";
static const char abc_id[] = "884f17fb6b706e6795ce7c94769f209ef0a1dfd993089838439885ed7b04fbe2";
static const char abc_stored[] = /* "abc" 200 times, zlib */
    "53584231010201005802000011000000404142434445464748494a4b667979c20e1acb497e3ed4f2a4b8a06400000000"
    "96e3952cf55f71fedb1ddd3fdb7919f036";

static struct sx_domain domain;
static struct sx_block_ctx *ctx;
static struct sx_err e;

static int set_up(void **state)
{
    uint8_t key[SX_DOMAIN_KEY_SIZE];

    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    if (sx_domain_init(&domain, key, &e))
        return -1;
    ctx = sx_block_ctx_new(&domain);
    return 0;
}

static int tear_down(void **state)
{
    sx_block_ctx_free(ctx);
    return 0;
}

static void test_domain(void **state)
{
    static const uint8_t zero[SX_DOMAIN_KEY_SIZE];
    struct sx_domain d;

    assert_hex(domain.id_key, 32,
               "80023e4bfd1d887fed67189dcdd4bf5de64d80325e1058a7edac679d7c42ff57");
    assert_hex(domain.enc_key, 32,
               "52260db588324a29e6f6ae70bad83b907c88af1297ecf29046cd61a315a26c30");
    assert_error(sx_domain_init(&d, zero, &e), &e, SX_EKEY);
}

static void test_golden(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    uint8_t stored[91];
    struct sx_id id;

    assert_done(sx_block_id(ctx, fox, FOX_LEN, &id, &e), &e);
    assert_hex(id.b, 32, fox_id);
    assert_int_equal(sx_unhex(stored, sizeof stored, fox_stored), 0);
    assert_done(sx_block_decode(ctx, &id, stored, sizeof stored, &out, &e), &e);
    assert_string_equal(sx_buf_cstr(&out), fox);

    assert_int_equal(sx_unhex(id.b, 32, abc_id), 0);
    assert_int_equal(sx_unhex(stored, 65, abc_stored), 0);
    assert_done(sx_block_decode(ctx, &id, stored, 65, &out, &e), &e);
    assert_int_equal(out.len, 600);
    assert_memory_equal(out.data + 597, "abc", 3);
}

/* Stored and read back; gives the stored length. */
static size_t round_trip(const uint8_t *plain, size_t n, enum sx_codec codec, int level)
{
    SX_AUTO(sx_buf) struct sx_buf stored = SX_BUF_INIT, out = SX_BUF_INIT;
    uint32_t len;
    struct sx_id id;

    assert_done(sx_block_id(ctx, plain, n, &id, &e), &e);
    sx_buf_str(&stored, "front");
    assert_done(sx_block_encode(ctx, &id, plain, n, codec, level, &stored, &e), &e);
    assert_memory_equal(stored.data, "front", 5);
    assert_done(sx_block_inspect(stored.data + 5, stored.len - 5, &len, &e), &e);
    assert_int_equal(len, n);
    assert_done(sx_block_decode(ctx, &id, stored.data + 5, stored.len - 5, &out, &e), &e);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, plain, n);
    return stored.len - 5;
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = { 1, 2, 15, 16, 17, 4095, 65536, 1000001, SX_BLOCK_PLAIN_MAX };
    SX_AUTO_FREE uint8_t *random = sx_malloc(SX_BLOCK_PLAIN_MAX);
    SX_AUTO_FREE uint8_t *text = sx_malloc(SX_BLOCK_PLAIN_MAX);

    unit_fill(random, SX_BLOCK_PLAIN_MAX, 1);
    for (size_t i = 0; i < SX_BLOCK_PLAIN_MAX; i++)
        text[i] = (uint8_t)fox[i * i / 977 % FOX_LEN];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int codec = SX_CODEC_NONE; codec <= SX_CODEC_LZ4; codec++) {
            size_t n = sizes[i], stored = round_trip(text, n, (enum sx_codec)codec, 0);

            assert_int_equal(round_trip(random, n, (enum sx_codec)codec, 0), n + SX_BLOCK_HEADER);
            if (codec == SX_CODEC_NONE)
                assert_int_equal(stored, n + SX_BLOCK_HEADER);
            else if (n >= 4095)
                assert_true(stored < n);
        }
    }
    for (int codec = SX_CODEC_ZSTD; codec <= SX_CODEC_ZLIB; codec++)
        assert_true(round_trip(text, 100000, (enum sx_codec)codec, 9) <=
                    round_trip(text, 100000, (enum sx_codec)codec, 1));
}

static void test_size_limits(void **state)
{
    SX_AUTO_FREE uint8_t *plain = sx_calloc(1, SX_BLOCK_PLAIN_MAX + 1);
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_id id = { { 0 } };

    assert_error(sx_block_id(ctx, plain, 0, &id, &e), &e, SX_EINVAL);
    assert_error(sx_block_id(ctx, plain, SX_BLOCK_PLAIN_MAX + 1, &id, &e), &e, SX_EINVAL);
    assert_error(sx_block_encode(ctx, &id, plain, 0, SX_CODEC_ZSTD, 0, &out, &e), &e, SX_EINVAL);
    assert_error(sx_block_encode(ctx, &id, plain, SX_BLOCK_PLAIN_MAX + 1, SX_CODEC_ZSTD, 0, &out,
                                 &e), &e,
                 SX_EINVAL);
    assert_int_equal(out.len, 0);
}

static void encode_fox(struct sx_buf *stored, struct sx_id *id, enum sx_codec codec)
{
    char text[400];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = fox[i % FOX_LEN];
    assert_done(sx_block_id(ctx, text, sizeof text, id, &e), &e);
    assert_done(sx_block_encode(ctx, id, text, sizeof text, codec, 0, stored, &e), &e);
}

/* Every bit of header and payload matters, except none. */
static void test_flipped_bits(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    for (int codec = SX_CODEC_NONE; codec <= SX_CODEC_LZ4; codec++) {
        SX_AUTO(sx_buf) struct sx_buf stored = SX_BUF_INIT;
        struct sx_id id;

        encode_fox(&stored, &id, (enum sx_codec)codec);
        for (size_t bit = 0; bit < 8 * stored.len; bit++) {
            stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_error(sx_block_decode(ctx, &id, stored.data, stored.len, &out, &e), &e,
                         SX_EBLOCK);
            assert_int_equal(out.len, 0);
            assert_error(sx_block_open(ctx, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
            assert_int_equal(out.len, 0);
            stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_done(sx_block_decode(ctx, &id, stored.data, stored.len, &out, &e), &e);
        assert_done(sx_block_open(ctx, &id, stored.data, stored.len, &out, &e), &e);
        id.b[31] ^= 1;
        assert_error(sx_block_open(ctx, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    }
}

static void test_wrong_length(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf stored = SX_BUF_INIT, out = SX_BUF_INIT;
    struct sx_id id;
    uint32_t len;

    encode_fox(&stored, &id, SX_CODEC_ZSTD);
    for (size_t n = 0; n < stored.len; n++)
        assert_error(sx_block_decode(ctx, &id, stored.data, n, &out, &e), &e, SX_EBLOCK);
    sx_buf_u8(&stored, 0);
    assert_error(sx_block_decode(ctx, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    sx_put_u32(stored.data + 8, SX_BLOCK_PLAIN_MAX + 1); /* refused before anything is allocated */
    sx_put_u32(stored.data + 12, (uint32_t)stored.len - SX_BLOCK_HEADER);
    assert_error(sx_block_inspect(stored.data, stored.len, &len, &e), &e, SX_EBLOCK);
    sx_put_u32(stored.data + 8, 10); /* payload larger than plain */
    assert_error(sx_block_inspect(stored.data, stored.len, &len, &e), &e, SX_EBLOCK);
}

static void test_wrong_id_or_key(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf stored = SX_BUF_INIT, out = SX_BUF_INIT;
    struct sx_domain other = domain;
    struct sx_block_ctx *others;
    struct sx_id id, wrong;

    encode_fox(&stored, &id, SX_CODEC_ZSTD);
    wrong = id;
    wrong.b[31] ^= 1;
    assert_error(sx_block_decode(ctx, &wrong, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    other.enc_key[0] ^= 1;
    others = sx_block_ctx_new(&other);
    assert_error(sx_block_decode(others, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    sx_block_ctx_free(others);

    /* rightly encrypted under an id that is not that of the content */
    sx_buf_reset(&stored);
    assert_done(sx_block_encode(ctx, &wrong, fox, FOX_LEN, SX_CODEC_NONE, 0, &stored, &e), &e);
    assert_error(sx_block_decode(ctx, &wrong, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    assert_int_equal(out.len, 0);
}

/* A block of a customer's key says so: who has not the key can tell it from a damaged one, and check
 * its header, nothing more. */
static void test_customer(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf stored = SX_BUF_INIT, out = SX_BUF_INIT;
    static const uint8_t key[SX_DOMAIN_KEY_SIZE] = { 0 }; /* any key will do, this one, too */
    static const uint8_t one[SX_DOMAIN_KEY_SIZE] = { 1 };
    struct sx_domain customer, same;
    struct sx_block_ctx *theirs;
    struct sx_id id, ours;

    assert_done(sx_domain_init_customer(&customer, key, &e), &e);
    theirs = sx_block_ctx_new(&customer);
    assert_done(sx_block_id(theirs, fox, FOX_LEN, &id, &e), &e);
    assert_done(sx_block_id(ctx, fox, FOX_LEN, &ours, &e), &e);
    assert_int_not_equal(sx_id_cmp(&id, &ours), 0);
    assert_done(sx_block_encode(theirs, &id, fox, FOX_LEN, SX_CODEC_ZSTD, 0, &stored, &e), &e);
    assert_int_equal(stored.data[6], 2);
    assert_done(sx_block_decode(theirs, &id, stored.data, stored.len, &out, &e), &e);
    assert_memory_equal(out.data, fox, FOX_LEN);

    assert_error(sx_block_decode(ctx, &id, stored.data, stored.len, &out, &e), &e, SX_EKEY);
    assert_int_equal(out.len, 0);
    assert_done(sx_block_check(ctx, &id, stored.data, stored.len, &out, &e), &e);
    assert_done(sx_block_check(theirs, &id, stored.data, stored.len, &out, &e), &e);
    stored.data[12] ^= 1; /* the header is looked at all the same */
    assert_error(sx_block_check(ctx, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    stored.data[12] ^= 1;
    stored.data[6] = 1; /* the cipher is authenticated */
    assert_error(sx_block_check(ctx, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);
    stored.data[6] = 2;
    stored.data[stored.len - 1] ^= 1;
    assert_error(sx_block_check(theirs, &id, stored.data, stored.len, &out, &e), &e, SX_EBLOCK);

    sx_buf_reset(&stored);
    encode_fox(&stored, &ours, SX_CODEC_ZSTD);
    assert_done(sx_block_check(ctx, &ours, stored.data, stored.len, &out, &e), &e);
    assert_error(sx_block_decode(theirs, &ours, stored.data, stored.len, &out, &e), &e, SX_EKEY);

    /* The cluster's own key, which native clients know, makes another domain when a customer sends it. */
    assert_done(sx_domain_init(&same, one, &e), &e);
    assert_done(sx_domain_init_customer(&customer, one, &e), &e);
    assert_memory_not_equal(same.id_key, customer.id_key, sizeof same.id_key);
    assert_memory_not_equal(same.enc_key, customer.enc_key, sizeof same.enc_key);
    sx_block_ctx_free(theirs);
}

static void test_codec_names(void **state)
{
    enum sx_codec codec;

    for (int i = SX_CODEC_NONE; i <= SX_CODEC_LZ4; i++) {
        assert_done(sx_codec_parse(sx_codec_name((enum sx_codec)i), &codec, &e), &e);
        assert_int_equal(codec, i);
    }
    assert_error(sx_codec_parse("brotli", &codec, &e), &e, SX_EINVAL);
}

static void test_crc32c(void **state)
{
    uint8_t zeros[32] = { 0 };

    assert_int_equal(sx_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(sx_crc32c(sx_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    assert_int_equal(sx_crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    assert_int_equal(sx_crc32c(0, NULL, 0), 0);
}

static void test_record(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint8_t stored[91];
    struct sx_record r;
    struct sx_id id;
    size_t used, at;

    assert_int_equal(sx_unhex(id.b, 32, fox_id), 0);
    assert_int_equal(sx_unhex(stored, sizeof stored, fox_stored), 0);
    sx_buf_str(&b, "x");
    at = sx_record_begin(&b);
    assert_int_equal(at, 1);
    sx_buf_add(&b, stored, sizeof stored);
    sx_record_end(&b, at, &id);
    assert_hex(b.data + 1, 48, fox_record);

    for (size_t n = 0; n < b.len - 1; n++) { /* more is needed, unless it is already wrong */
        assert_done(sx_record_parse(b.data + 1, n, &r, &used, &e), &e);
        assert_int_equal(used, 0);
    }
    sx_buf_u8(&b, 0);
    assert_done(sx_record_parse(b.data + 1, b.len - 1, &r, &used, &e), &e);
    assert_int_equal(used, SX_RECORD_HEADER + sizeof stored);
    assert_memory_equal(&r.id, &id, sizeof id);
    assert_int_equal(r.len, sizeof stored);
    assert_ptr_equal(r.stored, b.data + 1 + SX_RECORD_HEADER);

    for (size_t i = 0; i < 8 * used; i++) {
        size_t before = used, got;

        b.data[1 + i / 8] ^= (uint8_t)(1 << i % 8);
        if (sx_record_parse(b.data + 1, before, &r, &got, &e) == 0)
            assert_int_equal(got, 0); /* a larger length asks for more */
        else
            assert_int_equal(e.code, SX_EBLOCK);
        b.data[1 + i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_record_lengths(void **state)
{
    static const uint32_t bad[] = { 1, SX_BLOCK_HEADER, SX_BLOCK_STORED_MAX + 1, UINT32_MAX };
    struct sx_id id = { { 7 } };
    uint8_t h[SX_RECORD_HEADER];
    struct sx_record r;
    size_t used;

    sx_record_header(h, &id, NULL, 0); /* "not here" */
    assert_done(sx_record_parse(h, sizeof h, &r, &used, &e), &e);
    assert_int_equal(used, sizeof h);
    assert_int_equal(r.len, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sx_put_u32(h + 4, bad[i]);
        assert_error(sx_record_parse(h, sizeof h, &r, &used, &e), &e, SX_EBLOCK);
    }
    sx_put_u32(h + 4, SX_BLOCK_STORED_MAX);
    assert_done(sx_record_parse(h, sizeof h, &r, &used, &e), &e);
    assert_int_equal(used, 0);
}

static void test_facts(void **state)
{
    const struct sx_facts f = { .rev = 0x0102030405060708, .size = 0x1112131415161718, .mtime_ns = -2,
                                .mode = 0644, .etag = "0123456789abcdef", .created_ms = 5,
                                .entries = 3, .records = 2 };
    uint8_t raw[SX_FACTS_SIZE], again[SX_FACTS_SIZE];
    struct sx_facts got;
    struct sx_cur c;

    sx_facts_put(raw, &f);
    assert_hex(raw, sizeof raw,
               "08070605040302011817161514131211feffffffffffffffa4010000"
               "3031323334353637383961626364656605000000000000000300000002000000");
    c = sx_cur_of(raw, sizeof raw);
    sx_facts_get(&c, &got);
    assert_true(sx_cur_done(&c));
    sx_facts_put(again, &got);
    assert_memory_equal(again, raw, sizeof raw);
    c = sx_cur_of(raw, sizeof raw - 1);
    sx_facts_get(&c, &got);
    assert_true(c.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domain),       cmocka_unit_test(test_golden),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_size_limits),
        cmocka_unit_test(test_flipped_bits), cmocka_unit_test(test_wrong_length),
        cmocka_unit_test(test_wrong_id_or_key), cmocka_unit_test(test_customer),
        cmocka_unit_test(test_codec_names),
        cmocka_unit_test(test_crc32c),       cmocka_unit_test(test_record),
        cmocka_unit_test(test_record_lengths), cmocka_unit_test(test_facts),
    };

    return cmocka_run_group_tests_name("codec", tests, set_up, tear_down);
}
