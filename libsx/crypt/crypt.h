/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The few primitives SX uses, on OpenSSL's libcrypto.
 */
#ifndef SX_CRYPT_CRYPT_H
#define SX_CRYPT_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

#define SX_SHA256 32

/* Failure inside libcrypto (out of memory) ends the process: there is no sane way on. */
void sx_random(void *p, size_t n);
void sx_sha256(uint8_t out[SX_SHA256], const void *p, size_t n);
void sx_hmac_sha256(uint8_t out[SX_SHA256], const void *key, size_t key_len, const void *p,
                    size_t n);
/* RFC 5869 with an empty salt; out_len at most 255 * 32. */
void sx_hkdf_sha256(uint8_t *out, size_t out_len, const void *secret, size_t secret_len,
                    const void *info, size_t info_len);
bool sx_mem_equal(const void *a, const void *b, size_t n); /* constant time */

/* A small sealed secret: 12-byte random nonce, 16-byte tag, ciphertext (AES-256-GCM); `context` is
 * authenticated, not stored.  sx_unseal() gives SX_EKEY if the key or the context is wrong. */
#define SX_SEAL_OVERHEAD 28
void sx_seal(struct sx_buf *out, const uint8_t key[32], const char *context, const void *p,
             size_t n);
int sx_unseal(struct sx_buf *out, const uint8_t key[32], const char *context, const void *sealed,
              size_t n, struct sx_err *e) SX_MUST_CHECK;

/* A key from a password: scrypt (RFC 7914), N = 2^15, r = 8, p = 1. */
int sx_password_key(uint8_t key[32], const char *password, const uint8_t salt[16],
                    struct sx_err *e) SX_MUST_CHECK;

/* Base64 (RFC 4648 §4), and the URL-safe form without padding (§5).  Reads either. */
void sx_base64(struct sx_buf *out, const void *p, size_t n, bool url);
int sx_unbase64(struct sx_buf *out, const char *s, size_t n, struct sx_err *e)
    SX_MUST_CHECK;

#endif
