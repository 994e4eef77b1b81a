/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS 1.3 between the group managers, with certificates on both sides that the cluster's CA
 * signed.  The common name of a certificate is the node's id, 16 hex digits.
 */
#ifndef SX_FCGI_META_MANAGER_TLS_H
#define SX_FCGI_META_MANAGER_TLS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "libsx/base/err.h"

/* A context for both directions from DIR/tls/{ca.pem,node.pem,node.key}; SX_ECONFIG if a file is
 * missing or bad. Free with SSL_CTX_free(). */
SSL_CTX *sx_tls_context(const char *dir, struct sx_err *e) SX_MUST_CHECK;

/* The node id in the other side's verified certificate; SX_ECERT. */
int sx_tls_peer(const SSL *ssl, uint64_t *id, struct sx_err *e) SX_MUST_CHECK;

/* Sets `e` (code SX_ENET or, when verification failed, SX_ECERT) from what OpenSSL says about
 * the failed call; -1. */
int sx_tls_error(const SSL *ssl, const char *what, struct sx_err *e);

#endif
