/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Join tokens (docs/api.md section 8): made in h_cluster.c, spent in h_join.c.
 */
#ifndef SX_FCGI_API_JOIN_H
#define SX_FCGI_API_JOIN_H

#include "fcgi/api/request.h"

#define SX_JOIN_SECRET 16

struct sx_join_token {
    uint64_t id;
    char secret[2 * SX_JOIN_SECRET + 1]; /* hex */
};

/* Id and secret of the token that this request makes; a repeated request makes the same. */
void sx_join_token_make(const struct sx_req *r, struct sx_join_token *t);
/* What the metadata keep of the secret: SHA-256 of its text. */
void sx_join_secret_hash(const char *secret, uint8_t hash[32]);

#endif
