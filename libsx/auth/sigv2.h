/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Signature Version 2: what is signed, and with what; for the files of this folder.  Still sent by
 * libs3 and by old set-ups of s3cmd.  The body is not signed, nor are most query parameters.
 */
#ifndef SX_AUTH_SIGV2_H
#define SX_AUTH_SIGV2_H

#include "libsx/auth/sig.h"

#define SX_SIGV2_LEN 28 /* base64 of an HMAC-SHA-1 */

/* The text that is signed; `expires` is the query's Expires, or NULL for the header kind.  Values of
 * subresources are decoded, as AWS has it, or with `raw` as sent, as s3cmd has it. */
void sx_sigv2_text(struct sx_buf *out, const struct sx_sig_request *r, const char *vhost_bucket,
                   const char *expires, bool raw);

/* HMAC-SHA-1 of the text in base64. */
void sx_sigv2_sign(char out[SX_SIGV2_LEN + 1], const char *secret, const void *text, size_t n);

#endif
