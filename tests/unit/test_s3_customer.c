/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE-C: the key in a request's headers, and what of it is kept to know it again.
 */
#include <string.h>

#include "fcgi/s3/customer.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "tests/unit/unit.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define NAME "x-amz-server-side-encryption-customer-"
/* 32 bytes "0123456789abcdef0123456789abcdef", and their MD5 */
#define KEY "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
#define KEY_MD5 "hRasmdxgYDKV3nvbahU1MA=="

static int read_three(struct sx_s3_customer *c, const char *const value[3], bool secure)
{
    static const char *const names[] = { NAME "algorithm", NAME "key", NAME "key-md5" };
    struct sx_header h[3];
    struct sx_err e = SX_ERR_INIT;
    size_t n = 0;

    for (size_t i = 0; i < 3; i++)
        if (value[i])
            h[n++] = (struct sx_header){ names[i], value[i] };
    const struct sx_s3_key_headers all = { h, n, false, secure };

    *c = (struct sx_s3_customer){ .there = false };
    return sx_s3_customer_read(c, &all, &e) == 0 ? SX_OK : (int)e.code;
}

static void test_headers(void **state)
{
    static const struct {
        const char *value[3];
        int want;
    } rows[] = {
        { { NULL, NULL, NULL }, SX_OK },
        { { "AES256", KEY, KEY_MD5 }, SX_OK },
        { { NULL, KEY, KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "", KEY, KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", NULL, KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", KEY, NULL }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", NULL, NULL }, SX_S3_INVALID_ARGUMENT },
        { { NULL, NULL, KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "AES128", KEY, KEY_MD5 }, SX_S3_INVALID_ENCRYPTION_ALGORITHM },
        { { "aws:kms", KEY, KEY_MD5 }, SX_S3_INVALID_ENCRYPTION_ALGORITHM },
        { { "AES256", "MDEyMw==", KEY_MD5 }, SX_S3_INVALID_ARGUMENT }, /* short */
        { { "AES256", KEY "MDEy", KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZn", KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", "0123456789abcdef0123456789abcde!", KEY_MD5 }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", KEY, "hRasmdxgYDKV3nvbahU1MQ==" }, SX_S3_INVALID_ARGUMENT },
        { { "AES256", KEY, "x" }, SX_S3_INVALID_ARGUMENT },
    };
    struct sx_s3_customer c;

    for (size_t i = 0; i < N_OF(rows); i++) {
        assert_int_equal(read_three(&c, rows[i].value, true), rows[i].want);
        assert_int_equal(c.there, rows[i].want == SX_OK && rows[i].value[0]);
        assert_true(!c.there == !sx_s3_customer_ctx(&c));
        sx_s3_customer_fini(&c);
    }
}

/* Not even what is wrong goes by plain HTTP. */
static void test_plain(void **state)
{
    static const char *const all[] = { "AES256", KEY, KEY_MD5 }, *const one[] = { NULL, KEY, NULL };
    static const char *const none[] = { NULL, NULL, NULL };
    struct sx_s3_customer c;

    assert_int_equal(read_three(&c, all, false), SX_S3_INVALID_REQUEST);
    assert_int_equal(read_three(&c, one, false), SX_S3_INVALID_REQUEST);
    assert_int_equal(read_three(&c, none, false), SX_OK);
}

/* The key of a copy's source has names of its own. */
static void test_source(void **state)
{
    static const struct sx_header own[] = { { NAME "algorithm", "AES256" }, { NAME "key", KEY },
                                            { NAME "key-md5", KEY_MD5 } };
    struct sx_s3_key_headers h = { own, 3, true, true };
    struct sx_s3_customer c = { .there = false };
    struct sx_err e = SX_ERR_INIT;
    static const struct sx_header source[] = {
        { "x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256" },
        { "x-amz-copy-source-server-side-encryption-customer-key", KEY },
        { "x-amz-copy-source-server-side-encryption-customer-key-md5", KEY_MD5 }
    };

    assert_int_equal(sx_s3_customer_read(&c, &h, &e), 0);
    assert_false(c.there);
    h.headers = source;
    assert_int_equal(sx_s3_customer_read(&c, &h, &e), 0);
    assert_true(c.there);
    assert_memory_equal(c.key, "0123456789abcdef0123456789abcdef", 32);
    sx_s3_customer_fini(&c);
}

static int object_code(const struct sx_s3_customer *c, const json_t *items)
{
    struct sx_err e = SX_ERR_INIT;

    return sx_s3_customer_object(c, items, &e) == 0 ? SX_OK : (int)e.code;
}

static int part_code(const struct sx_s3_customer *c, const json_t *items)
{
    struct sx_err e = SX_ERR_INIT;

    return sx_s3_customer_part(c, items, &e) == 0 ? SX_OK : (int)e.code;
}

static void test_item(void **state)
{
    struct sx_s3_customer key = { .there = true, .key = "one" }, other = { .there = true, .key = "two" };
    const struct sx_s3_customer none = { .there = false };
    json_t *plain = json_object(), *a = json_object(), *b = json_object();

    sx_s3_customer_item(&none, plain);
    assert_int_equal(json_object_size(plain), 0);
    sx_s3_customer_item(&key, a);
    sx_s3_customer_item(&key, b);
    assert_false(json_equal(a, b)); /* salted */

    assert_int_equal(object_code(&none, plain), SX_OK);
    assert_int_equal(object_code(&key, a), SX_OK);
    assert_int_equal(object_code(&key, b), SX_OK);
    assert_int_equal(object_code(&other, a), SX_S3_ACCESS_DENIED);
    assert_int_equal(object_code(&none, a), SX_S3_INVALID_REQUEST);
    assert_int_equal(object_code(&key, plain), SX_S3_INVALID_REQUEST);

    assert_int_equal(part_code(&none, plain), SX_OK);
    assert_int_equal(part_code(&key, a), SX_OK);
    assert_int_equal(part_code(&other, a), SX_S3_INVALID_REQUEST);
    assert_int_equal(part_code(&none, a), SX_S3_INVALID_REQUEST);
    assert_int_equal(part_code(&key, plain), SX_S3_INVALID_REQUEST);
    json_decref(plain);
    json_decref(a);
    json_decref(b);
}

/* Native clients can write anything into an item. */
static void test_item_nonsense(void **state)
{
    static const char *const texts[] = { "", "x", "AES256",
        "zz0102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f",
        "000102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f" };
    const struct sx_s3_customer key = { .there = true, .key = "one" };

    for (size_t i = 0; i < N_OF(texts); i++) {
        json_t *items = json_pack("{s:s}", SX_S3_CUSTOMER_ITEM, texts[i]);

        assert_int_equal(object_code(&key, items), SX_S3_ACCESS_DENIED);
        json_decref(items);
    }
}

static void test_lines(void **state)
{
    static const char *const all[] = { "AES256", KEY, KEY_MD5 };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_s3_customer c = { .there = false };

    sx_s3_customer_lines(&c, &out);
    assert_int_equal(out.len, 0);
    assert_int_equal(read_three(&c, all, true), SX_OK);
    sx_s3_customer_lines(&c, &out);
    assert_string_equal(sx_buf_cstr(&out), NAME "algorithm: AES256\r\n" NAME "key-MD5: " KEY_MD5 "\r\n");
    sx_s3_customer_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_source),  cmocka_unit_test(test_item),
        cmocka_unit_test(test_item_nonsense), cmocka_unit_test(test_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
