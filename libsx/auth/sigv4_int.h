/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parts of Signature V4 that its header, query and form kinds have in common; for the files
 * of this folder.
 */
#ifndef SX_AUTH_SIGV4_INT_H
#define SX_AUTH_SIGV4_INT_H

#include "libsx/auth/sig.h"

#define SX_SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SX_SIG_MISMATCH_TEXT                                                                       \
    "the signature does not match: the secret key is wrong, or the request was changed on its way"

/* Copies s[0 … n) into a field of `size` bytes; -1 if it is empty or too long. */
int sx_sig_field(char *to, size_t size, const char *s, size_t n) SX_MUST_CHECK;

/* access key/date/region/service/aws4_request: 0, or -1. */
int sx_sigv4_credential(struct sx_sig_claim *c, const char *s, size_t n) SX_MUST_CHECK;

/* A list of signed headers: lower case, ascending, no name twice, not too many. */
bool sx_sigv4_list_good(const char *list);

struct sx_sigv4_text {
    const char *signed_headers;
    const char *payload;
    const char *amz_date;
    const char *but;    /* the query parameter that is left out, or NULL */
    const uint8_t *key; /* of SX_SIG_SHA256 bytes */
};

/* The signature for the scope of the claim.  SX_EAUTH if a signed header is not in the request
 * or the query is too long. */
int sx_sigv4_compute(uint8_t out[SX_SIG_SHA256], const struct sx_sig_claim *c,
                     const struct sx_sig_request *r, const struct sx_sigv4_text *t,
                     struct sx_err *e) SX_MUST_CHECK;

#endif
