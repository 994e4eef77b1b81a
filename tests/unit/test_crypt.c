/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libsx/crypt against published vectors: FIPS 180-4, RFC 4231, RFC 5869, RFC 4648, and scrypt
 * computed with Python's hashlib.
 */
#include "libsx/crypt/context.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/unit.h"

static void test_sha256(void **state)
{
    uint8_t d[SX_SHA256];

    sx_sha256(d, "abc", 3);
    assert_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sx_sha256(d, NULL, 0);
    assert_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_hmac(void **state)
{
    static const char want[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    struct sx_mac *m = sx_mac_new("Jefe", 4);
    uint8_t d[SX_SHA256], key[131];

    sx_hmac_sha256(d, "Jefe", 4, "what do ya want for nothing?", 28);
    assert_hex(d, 32, want);
    for (int i = 0; i < 3; i++) { /* a context gives the same each time */
        if (i)
            sx_mac_start(m);
        sx_mac_add(m, "what do ya want ", 16);
        sx_mac_add(m, "for nothing?", 12);
        sx_mac_end(m, d);
        assert_hex(d, 32, want);
    }
    sx_mac_free(m);
    memset(key, 0xaa, sizeof key); /* RFC 4231, case 6 */
    sx_hmac_sha256(d, key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54);
    assert_hex(d, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    sx_hmac_sha256(d, "", 0, "", 0);
    assert_hex(d, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_hkdf(void **state)
{
    uint8_t out[42], secret[22]; /* RFC 5869, case 3: no salt, no info */

    memset(secret, 0x0b, sizeof secret);
    sx_hkdf_sha256(out, sizeof out, secret, sizeof secret, NULL, 0);
    assert_hex(out, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                        "9d201395faa4b61a96c8");
}

static void test_seal(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf sealed = SX_BUF_INIT, out = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    uint8_t key[32] = { 1 };

    sx_buf_str(&out, "before ");
    sx_seal(&sealed, key, "access key", "secret", 6);
    assert_int_equal(sealed.len, 6 + SX_SEAL_OVERHEAD);
    assert_done(sx_unseal(&out, key, "access key", sealed.data, sealed.len, &e), &e);
    assert_string_equal(sx_buf_cstr(&out), "before secret");
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.data[i] ^= 1;
        assert_error(sx_unseal(&out, key, "access key", sealed.data, sealed.len, &e), &e, SX_EKEY);
        sealed.data[i] ^= 1;
    }
    assert_error(sx_unseal(&out, key, "other", sealed.data, sealed.len, &e), &e, SX_EKEY);
    key[31] = 1;
    assert_error(sx_unseal(&out, key, "access key", sealed.data, sealed.len, &e), &e, SX_EKEY);
    assert_error(sx_unseal(&out, key, "access key", sealed.data, 27, &e), &e, SX_EMALFORMED);
    assert_int_equal(out.len, 13);
    sx_buf_reset(&sealed);
    sx_seal(&sealed, key, "", "", 0);
    assert_done(sx_unseal(&out, key, "", sealed.data, sealed.len, &e), &e);
    assert_int_equal(out.len, 13);
}

static void test_password(void **state)
{
    uint8_t key[32], salt[16];
    struct sx_err e = SX_ERR_INIT;

    for (unsigned i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    assert_done(sx_password_key(key, "correct horse", salt, &e), &e);
    assert_hex(key, 32, "5c662628ac4eb1068a287e2aa2a202ae248e98db04d61d3327e7342db6ec7097");
}

static void test_base64(void **state)
{
    static const char *const vectors[][3] = {
        { "", "", "" },           { "f", "Zg==", "Zg" },         { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" }, { "foob", "Zm9vYg==", "Zm9vYg" }, { "\xfb\xff", "+/8=", "-_8" },
    };
    static const char *const bad[] = { "Z", "Zg=", "Zh==", "Zm9", "Z===", "Zm9v Zg", "Zg==Zg==", "=" };
    struct sx_err e = SX_ERR_INIT;

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        for (int url = 0; url < 2; url++) {
            SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT, back = SX_BUF_INIT;

            sx_base64(&text, vectors[i][0], strlen(vectors[i][0]), url);
            assert_string_equal(sx_buf_cstr(&text), vectors[i][1 + url]);
            assert_done(sx_unbase64(&back, (char *)text.data, text.len, &e), &e);
            assert_string_equal(sx_buf_cstr(&back), vectors[i][0]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        SX_AUTO(sx_buf) struct sx_buf back = SX_BUF_INIT;

        assert_error(sx_unbase64(&back, bad[i], strlen(bad[i]), &e), &e, SX_EMALFORMED);
        assert_int_equal(back.len, 0);
    }
}

static void test_random(void **state)
{
    uint8_t a[32] = { 0 }, b[32] = { 0 };

    sx_random(a, sizeof a);
    sx_random(b, sizeof b);
    assert_false(sx_mem_equal(a, b, sizeof a));
    assert_true(sx_mem_equal(a, a, sizeof a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256), cmocka_unit_test(test_hmac),     cmocka_unit_test(test_hkdf),
        cmocka_unit_test(test_seal),   cmocka_unit_test(test_password), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests_name("crypt", tests, NULL, NULL);
}
