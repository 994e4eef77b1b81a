/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who sends a request: the signature of a client, or the certificate of a node.  Runs before a byte
 * of the body is read.
 */
#ifndef SX_FCGI_API_AUTH_H
#define SX_FCGI_API_AUTH_H

#include "fcgi/api/request.h"

#define SX_AUTH_REGION "sx"
#define SX_AUTH_SERVICE "sx"

/* Verifies the signature and fills r->user and r->role.  With `fresh` the local database must be
 * in step already (sx_meta_sync), so that a key deleted elsewhere is refused; without, the state
 * machine will look at the user again, and a key that is not known yet is looked for once more
 * after a sync. SX_EAUTH, SX_ECLOCK.  An unknown key and a wrong signature are told in the same
 * words. */
int sx_auth_client(struct sx_req *r, bool fresh, struct sx_err *e) SX_MUST_CHECK;

/* The secret of an access key, as a string in `secret` (to be wiped), and its user in r->user and
 * r->role, who counts as authenticated only once the signature was verified.  The local database
 * must be in step.  SX_ENOKEY. */
int sx_auth_secret(struct sx_req *r, const char *access_key, struct sx_buf *secret,
                   struct sx_err *e) SX_MUST_CHECK;

/* Requires what nginx says about the client's certificate, and that its common name is a node of
 * the cluster; fills r->node.  SX_ECERT, SX_EACCESS. */
int sx_auth_node(struct sx_req *r, struct sx_err *e) SX_MUST_CHECK;

/* The node id in the subject of a certificate as nginx gives it ("CN=0011223344556677,O=…",
 * RFC 2253, or with slashes): 0, or -1. */
int sx_auth_subject_node(const char *subject, uint64_t *node) SX_MUST_CHECK;

#endif
