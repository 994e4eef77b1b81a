/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cluster's own certificate authority: made with the cluster, its private key sealed in the
 * metadata, so that each node can admit another.  ECDSA on P-256, X.509 v3 (RFC 5280), all in PEM.
 *
 * A node's certificate: common name = node id (16 hex); alternative names = the node's address (IP or DNS) and
 * DNS:<node id>; for TLS servers and clients.
 */
#ifndef SX_FCGI_CA_H
#define SX_FCGI_CA_H

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

#define SX_CA_YEARS 30
#define SX_CA_NODE_YEARS 10
#define SX_CA_BACKDATE_S 86400 /* certificates begin a day ago: clocks of new nodes may be behind */
#define SX_CA_FINGERPRINT_HEX 64

/* A new authority; `name` goes into its common name.  Appends certificate and private key (PKCS #8). */
int sx_ca_create(const char *name, struct sx_buf *cert, struct sx_buf *key, struct sx_err *e) SX_MUST_CHECK;

/* A new node's private key and its request to be certified. */
int sx_ca_request(const char *node_hex, struct sx_buf *key, struct sx_buf *csr, struct sx_err *e) SX_MUST_CHECK;

/* Certifies a request.  Names are those given here, not what the request says, but its common name must be
 * the node's id and its signature good: else SX_EMALFORMED. */
int sx_ca_sign(const char *ca_cert, const char *ca_key, const char *csr, const char *node_hex,
               const char *address, struct sx_buf *cert, struct sx_err *e) SX_MUST_CHECK;

/* SHA-256 of the certificate's DER form, in hex. */
int sx_ca_fingerprint(const char *cert, char out[SX_CA_FINGERPRINT_HEX + 1], struct sx_err *e) SX_MUST_CHECK;

#endif
