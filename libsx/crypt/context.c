/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See context.h.  Algorithms are fetched once for the process: OpenSSL 3.0 looks them up by name
 * otherwise, under a lock, at each use.  What was fetched is kept until the process ends.
 */
#include "libsx/crypt/context.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

#include "libsx/base/mem.h"

static EVP_MD *sha256;
static EVP_MAC *hmac;
static EVP_CIPHER *aes_gcm;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    sx_assert(sha256 && hmac && aes_gcm);
}

struct sx_mac {
    EVP_MAC_CTX *ctx;
};

struct sx_mac *sx_mac_new(const void *key, size_t n)
{
    struct sx_mac *m = sx_calloc(1, sizeof *m);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                            OSSL_PARAM_construct_end() };

    pthread_once(&fetched, fetch);
    m->ctx = EVP_MAC_CTX_new(hmac);
    /* an empty key is legal, but a NULL one would mean "the key set before" */
    sx_assert(m->ctx && EVP_MAC_init(m->ctx, n ? key : "", n, params));
    return m;
}

void sx_mac_free(struct sx_mac *m)
{
    if (!m)
        return;
    EVP_MAC_CTX_free(m->ctx);
    free(m);
}

void sx_mac_start(struct sx_mac *m)
{
    sx_assert(EVP_MAC_init(m->ctx, NULL, 0, NULL));
}

void sx_mac_add(struct sx_mac *m, const void *p, size_t n)
{
    sx_assert(EVP_MAC_update(m->ctx, p, n));
}

void sx_mac_end(struct sx_mac *m, uint8_t out[SX_SHA256])
{
    size_t n = 0;

    sx_assert(EVP_MAC_final(m->ctx, out, &n, SX_SHA256) && n == SX_SHA256);
}

struct sx_sha {
    EVP_MD_CTX *ctx;
};

struct sx_sha *sx_sha_new(void)
{
    struct sx_sha *s = sx_calloc(1, sizeof *s);

    pthread_once(&fetched, fetch);
    s->ctx = EVP_MD_CTX_new();
    sx_assert(s->ctx && EVP_DigestInit_ex2(s->ctx, sha256, NULL));
    return s;
}

void sx_sha_free(struct sx_sha *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sx_sha_add(struct sx_sha *s, const void *p, size_t n)
{
    sx_assert(EVP_DigestUpdate(s->ctx, p, n));
}

void sx_sha_end(struct sx_sha *s, uint8_t out[SX_SHA256])
{
    sx_assert(EVP_DigestFinal_ex(s->ctx, out, NULL) && EVP_DigestInit_ex2(s->ctx, NULL, NULL));
}

struct sx_gcm {
    EVP_CIPHER_CTX *ctx;
};

struct sx_gcm *sx_gcm_new(void)
{
    struct sx_gcm *g = sx_calloc(1, sizeof *g);

    pthread_once(&fetched, fetch);
    g->ctx = EVP_CIPHER_CTX_new();
    sx_assert(g->ctx && EVP_CipherInit_ex2(g->ctx, aes_gcm, NULL, NULL, 1, NULL));
    return g;
}

void sx_gcm_free(struct sx_gcm *g)
{
    if (!g)
        return;
    EVP_CIPHER_CTX_free(g->ctx);
    free(g);
}

static void gcm_run(struct sx_gcm *g, const struct sx_gcm_op *op, int enc)
{
    int n;

    sx_assert(op->n <= INT_MAX && op->aad_len <= INT_MAX);
    sx_assert(EVP_CipherInit_ex2(g->ctx, NULL, op->key, op->nonce, enc, NULL));
    if (op->aad_len)
        sx_assert(EVP_CipherUpdate(g->ctx, NULL, &n, op->aad, (int)op->aad_len));
    if (op->n)
        sx_assert(EVP_CipherUpdate(g->ctx, op->out, &n, op->in, (int)op->n) && n == (int)op->n);
}

void sx_gcm_seal(struct sx_gcm *g, const struct sx_gcm_op *op, uint8_t tag[SX_GCM_TAG])
{
    uint8_t rest[SX_GCM_TAG];
    int n;

    gcm_run(g, op, 1);
    sx_assert(EVP_CipherFinal_ex(g->ctx, rest, &n) && n == 0);
    sx_assert(EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_GET_TAG, SX_GCM_TAG, tag));
}

int sx_gcm_open(struct sx_gcm *g, const struct sx_gcm_op *op, const uint8_t tag[SX_GCM_TAG])
{
    uint8_t rest[SX_GCM_TAG];
    int n;

    gcm_run(g, op, 0);
    sx_assert(EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_SET_TAG, SX_GCM_TAG, (void *)tag));
    return EVP_CipherFinal_ex(g->ctx, rest, &n) > 0 ? 0 : -1;
}
