/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cluster key, and what is made from it.  secret/cluster.key is the same on all nodes; it never leaves
 * them except to a node that joins.  docs/formats.md, "Secrets at rest".
 */
#ifndef SX_FCGI_KEYS_H
#define SX_FCGI_KEYS_H

#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/codec/block.h"

#define SX_CLUSTER_KEY 32

struct sx_keys {
    uint8_t seal[32];   /* secrets at rest */
    uint8_t ticket[32]; /* block tickets */
};

/* Contexts of sx_seal(): a sealed secret opens only where it belongs. */
#define SX_SEAL_DOMAIN "domain key" /* 32 bytes */
#define SX_SEAL_CA "ca key"         /* PEM, PKCS #8 */

/* HKDF-SHA-256 with the infos "sx seal" and "sx ticket". */
void sx_keys_derive(struct sx_keys *k, const uint8_t cluster_key[SX_CLUSTER_KEY]);
/* From DIR/secret/cluster.key: SX_ECONFIG if it is missing or has not 32 bytes. */
int sx_keys_load(struct sx_keys *k, const char *dir, struct sx_err *e) SX_MUST_CHECK;
void sx_keys_fini(struct sx_keys *k); /* wipes */

/* The secret key of a user (text): sealed with the context "secret key <access key>", so that nobody who can write
 * the metadata can give one user's secret to another.  Opening: SX_EKEY. */
void sx_keys_seal_secret(const struct sx_keys *k, const char *access_key, const char *secret,
                         struct sx_buf *out);
int sx_keys_open_secret(const struct sx_keys *k, const char *access_key, const void *sealed, size_t n,
                        struct sx_buf *out, struct sx_err *e) SX_MUST_CHECK;

/* The cluster's domain key, as it lies sealed in the metadata: SX_EKEY, SX_ECORRUPT. */
int sx_keys_open_domain(const struct sx_keys *k, const void *sealed, size_t n,
                        uint8_t out[SX_DOMAIN_KEY_SIZE], struct sx_err *e) SX_MUST_CHECK;

#endif
