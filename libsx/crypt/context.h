/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reusable contexts for what is done once for every block: SHA-256, HMAC-SHA-256 with a fixed key
 * and AES-256-GCM.  Making such a context costs more than using it, so keep it.  One thread at a
 * time. As in crypt.h, failure inside libcrypto ends the process.
 */
#ifndef SX_CRYPT_CONTEXT_H
#define SX_CRYPT_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"
#include "libsx/crypt/crypt.h"

/* HMAC-SHA-256 under one key: start, any number of adds, end; then start again. */
struct sx_mac;

struct sx_mac *sx_mac_new(const void *key, size_t n);
void sx_mac_free(struct sx_mac *m);
void sx_mac_start(struct sx_mac *m);
void sx_mac_add(struct sx_mac *m, const void *p, size_t n);
void sx_mac_end(struct sx_mac *m, uint8_t out[SX_SHA256]);

/* SHA-256 of data in pieces: ready after _new and again after each end. */
struct sx_sha;

struct sx_sha *sx_sha_new(void);
void sx_sha_free(struct sx_sha *s);
void sx_sha_add(struct sx_sha *s, const void *p, size_t n);
void sx_sha_end(struct sx_sha *s, uint8_t out[SX_SHA256]);

#define SX_GCM_NONCE 12
#define SX_GCM_TAG 16

struct sx_gcm;

/* One message.  `in` may be `out`.  n < 2^31. */
struct sx_gcm_op {
    const uint8_t *key;   /* 32 bytes */
    const uint8_t *nonce; /* SX_GCM_NONCE bytes */
    const void *aad;
    size_t aad_len;
    const void *in;
    uint8_t *out;
    size_t n;
};

struct sx_gcm *sx_gcm_new(void);
void sx_gcm_free(struct sx_gcm *g);
void sx_gcm_seal(struct sx_gcm *g, const struct sx_gcm_op *op, uint8_t tag[SX_GCM_TAG]);
/* 0, or -1 if the tag is wrong: what was written to `out` is then worthless. */
int sx_gcm_open(struct sx_gcm *g, const struct sx_gcm_op *op, const uint8_t tag[SX_GCM_TAG])
    SX_MUST_CHECK;

#endif
