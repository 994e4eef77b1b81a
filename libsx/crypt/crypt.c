/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See crypt.h.  What is done once a request, not once a block, so contexts are made and thrown
 * away; context.h has the ones that last.
 */
#include "libsx/crypt/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/crypt/context.h"

#define SCRYPT_N (1u << 15)
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_MEMORY_MAX (64u << 20) /* 128 * N * r and some room */

static EVP_MD *sha256;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    sx_assert(sha256);
}

void sx_random(void *p, size_t n)
{
    sx_assert(n <= INT_MAX && RAND_bytes(p, (int)n) == 1);
}

void sx_sha256(uint8_t out[SX_SHA256], const void *p, size_t n)
{
    pthread_once(&fetched, fetch);
    sx_assert(EVP_Digest(p, n, out, NULL, sha256, NULL));
}

void sx_hmac_sha256(uint8_t out[SX_SHA256], const void *key, size_t key_len, const void *p,
                    size_t n)
{
    struct sx_mac *m = sx_mac_new(key, key_len);

    sx_mac_add(m, p, n);
    sx_mac_end(m, out);
    sx_mac_free(m);
}

void sx_hkdf_sha256(uint8_t *out, size_t out_len, const void *secret, size_t secret_len,
                    const void *info, size_t info_len)
{
    static const uint8_t no_salt[SX_SHA256];
    uint8_t prk[SX_SHA256], t[SX_SHA256];
    struct sx_mac *m;
    size_t n;

    sx_assert(out_len <= 255 * SX_SHA256);
    sx_hmac_sha256(prk, no_salt, sizeof no_salt, secret, secret_len);
    m = sx_mac_new(prk, sizeof prk);
    for (uint8_t i = 1; out_len; i++) {
        if (i > 1) {
            sx_mac_start(m);
            sx_mac_add(m, t, sizeof t);
        }
        sx_mac_add(m, info, info_len);
        sx_mac_add(m, &i, 1);
        sx_mac_end(m, t);
        n = out_len < sizeof t ? out_len : sizeof t;
        memcpy(out, t, n);
        out += n;
        out_len -= n;
    }
    sx_mac_free(m);
    sx_wipe(prk, sizeof prk);
    sx_wipe(t, sizeof t);
}

bool sx_mem_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void sx_seal(struct sx_buf *out, const uint8_t key[32], const char *context, const void *p,
             size_t n)
{
    uint8_t *at = sx_buf_extend(out, n + SX_SEAL_OVERHEAD);
    struct sx_gcm *g = sx_gcm_new();
    struct sx_gcm_op op = { .key = key, .nonce = at, .aad = context, .aad_len = strlen(context),
                            .in = p, .out = at + SX_SEAL_OVERHEAD, .n = n };

    sx_random(at, SX_GCM_NONCE);
    sx_gcm_seal(g, &op, at + SX_GCM_NONCE);
    sx_gcm_free(g);
}

int sx_unseal(struct sx_buf *out, const uint8_t key[32], const char *context, const void *sealed,
              size_t n, struct sx_err *e)
{
    const uint8_t *at = sealed;
    struct sx_gcm_op op = { .key = key, .nonce = at, .aad = context, .aad_len = strlen(context) };
    struct sx_gcm *g;
    size_t before = out->len;
    int r;

    if (n < SX_SEAL_OVERHEAD)
        return sx_err_set(e, SX_EMALFORMED, "sealed secret of %zu bytes is too short", n);
    op.in = at + SX_SEAL_OVERHEAD;
    op.n = n - SX_SEAL_OVERHEAD;
    op.out = sx_buf_extend(out, op.n);
    g = sx_gcm_new();
    r = sx_gcm_open(g, &op, at + SX_GCM_NONCE);
    sx_gcm_free(g);
    if (!r)
        return 0;
    sx_wipe(op.out, op.n);
    out->len = before;
    return sx_err_set(e, SX_EKEY, "the key does not open the sealed secret for '%s'", context);
}

int sx_password_key(uint8_t key[32], const char *password, const uint8_t salt[16], struct sx_err *e)
{
    if (EVP_PBE_scrypt(password, strlen(password), salt, 16, SCRYPT_N, SCRYPT_R, SCRYPT_P,
                       SCRYPT_MEMORY_MAX, key, 32) != 1)
        return sx_err_set(e, SX_ENOMEM, "deriving a key from a password needs 32 MiB of memory");
    return 0;
}

void sx_base64(struct sx_buf *out, const void *p, size_t n, bool url)
{
    static const char usual[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char for_url[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *digits = url ? for_url : usual;
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)b[i] << 16;

        if (left > 1)
            v |= (uint32_t)b[i + 1] << 8;
        if (left > 2)
            v |= b[i + 2];
        for (size_t k = 0; k <= left; k++)
            sx_buf_u8(out, (uint8_t)digits[v >> (18 - 6 * k) & 63]);
        for (size_t k = left; k < 3 && !url; k++)
            sx_buf_u8(out, '=');
    }
    sx_buf_cstr(out);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Digits without padding.  One text only for each value: spare bits must be 0. */
static int base64_digits(struct sx_buf *out, const char *s, size_t n)
{
    uint32_t v = 0;
    unsigned bits = 0;

    if (n % 4 == 1)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int d = base64_digit(s[i]);

        if (d < 0)
            return -1;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            sx_buf_u8(out, (uint8_t)(v >> bits));
        }
    }
    return v & ((1u << bits) - 1) ? -1 : 0;
}

int sx_unbase64(struct sx_buf *out, const char *s, size_t n, struct sx_err *e)
{
    size_t before = out->len, digits = n;

    if (n % 4 == 0)
        while (digits && n - digits < 2 && s[digits - 1] == '=')
            digits--;
    if (base64_digits(out, s, digits)) {
        out->len = before;
        return sx_err_set(e, SX_EMALFORMED, "malformed base64 text of %zu characters", n);
    }
    sx_buf_cstr(out);
    return 0;
}
