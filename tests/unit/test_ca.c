/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The certificate authority, and secrets at rest.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "fcgi/ca.h"
#include "fcgi/keys.h"
#include "libsx/base/mem.h"

#define NODE "0123456789abcdef"

struct pair {
    struct sx_buf cert, key;
};

static void pair_fini(struct pair *p)
{
    sx_buf_fini(&p->cert);
    sx_buf_fini(&p->key);
}

static void make(struct pair *p, const char *name)
{
    struct sx_err e = SX_ERR_INIT;

    *p = (struct pair){ SX_BUF_INIT, SX_BUF_INIT };
    assert_int_equal(sx_ca_create(name, &p->cert, &p->key, &e), 0);
}

static X509 *read_cert(const struct sx_buf *pem)
{
    BIO *b = BIO_new_mem_buf(pem->data, (int)pem->len);
    X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL);

    BIO_free(b);
    assert_non_null(cert);
    return cert;
}

/* Does the certificate pass for this CA and purpose? */
static int verified(const struct sx_buf *ca, const struct sx_buf *cert, int purpose)
{
    X509 *root = read_cert(ca), *leaf = read_cert(cert);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int ok;

    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(ctx, store, leaf, NULL);
    X509_STORE_CTX_set_purpose(ctx, purpose);
    ok = X509_verify_cert(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(leaf);
    return ok;
}

static void test_sign(void **state)
{
    SX_AUTO(pair) struct pair ca, other;
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT, csr = SX_BUF_INIT, cert = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    X509 *x;

    (void)state;
    make(&ca, "one");
    make(&other, "two");
    assert_int_equal(sx_ca_request(NODE, &key, &csr, &e), 0);
    assert_int_equal(sx_ca_sign(sx_buf_cstr(&ca.cert), sx_buf_cstr(&ca.key), sx_buf_cstr(&csr), NODE, "127.0.0.1",
                                &cert, &e), 0);
    assert_int_equal(verified(&ca.cert, &cert, X509_PURPOSE_SSL_SERVER), 1);
    assert_int_equal(verified(&ca.cert, &cert, X509_PURPOSE_SSL_CLIENT), 1);
    assert_int_equal(verified(&other.cert, &cert, X509_PURPOSE_SSL_SERVER), 0);
    x = read_cert(&cert);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.2", 0), 0);
    assert_int_equal(X509_check_host(x, NODE, 0, 0, NULL), 1);
    X509_free(x);
}

static void test_refusals(void **state)
{
    SX_AUTO(pair) struct pair ca;
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT, csr = SX_BUF_INIT, cert = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    const char *bad_names[] = { "", "a,DNS:evil", "a b", "x\ny" };

    (void)state;
    make(&ca, "one");
    assert_int_equal(sx_ca_request(NODE, &key, &csr, &e), 0);
    assert_int_equal(sx_ca_sign(sx_buf_cstr(&ca.cert), sx_buf_cstr(&ca.key), sx_buf_cstr(&csr), "fedcba9876543210",
                                "127.0.0.1", &cert, &e), -1);
    assert_int_equal(e.code, SX_EMALFORMED);
    assert_string_equal(e.msg, "the certificate request is for '" NODE "', not for node fedcba9876543210");
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        assert_int_equal(sx_ca_sign(sx_buf_cstr(&ca.cert), sx_buf_cstr(&ca.key), sx_buf_cstr(&csr), NODE,
                                    bad_names[i], &cert, &e), -1);
        assert_int_equal(e.code, SX_EINVAL);
    }
    assert_int_equal(sx_ca_sign(sx_buf_cstr(&ca.cert), sx_buf_cstr(&ca.key), "no request", NODE, "127.0.0.1", &cert, &e),
                     -1);
    assert_int_equal(e.code, SX_EMALFORMED);
    assert_int_equal(cert.len, 0);
}

static void test_fingerprint(void **state)
{
    SX_AUTO(pair) struct pair ca, other;
    char a[SX_CA_FINGERPRINT_HEX + 1], b[SX_CA_FINGERPRINT_HEX + 1];
    struct sx_err e = SX_ERR_INIT;

    (void)state;
    make(&ca, "one");
    make(&other, "one");
    assert_int_equal(sx_ca_fingerprint(sx_buf_cstr(&ca.cert), a, &e), 0);
    assert_int_equal(sx_ca_fingerprint(sx_buf_cstr(&other.cert), b, &e), 0);
    assert_int_equal(strlen(a), SX_CA_FINGERPRINT_HEX);
    assert_string_not_equal(a, b);
    assert_int_equal(sx_ca_fingerprint("nothing", a, &e), -1);
}

static void test_secrets(void **state)
{
    const uint8_t cluster_key[SX_CLUSTER_KEY] = { 1, 2, 3 };
    SX_AUTO(sx_buf) struct sx_buf sealed = SX_BUF_INIT, plain = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_keys k;

    (void)state;
    sx_keys_derive(&k, cluster_key);
    assert_memory_not_equal(k.seal, k.ticket, sizeof k.seal);
    sx_keys_seal_secret(&k, "SXAAAA", "the secret", &sealed);
    assert_int_equal(sx_keys_open_secret(&k, "SXAAAA", sealed.data, sealed.len, &plain, &e), 0);
    assert_string_equal(sx_buf_cstr(&plain), "the secret");
    /* Another user's place, and damage. */
    assert_int_equal(sx_keys_open_secret(&k, "SXBBBB", sealed.data, sealed.len, &plain, &e), -1);
    assert_int_equal(e.code, SX_EKEY);
    sealed.data[sealed.len - 1] ^= 1;
    assert_int_equal(sx_keys_open_secret(&k, "SXAAAA", sealed.data, sealed.len, &plain, &e), -1);
    assert_int_equal(sx_keys_load(&k, "/nonexistent", &e), -1);
    sx_keys_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
