/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * AWS Signature Version 4 in the Authorization header: one canonical form, used by the
 * signer of the clients and by the verifier of the daemon.  The native API signs with region "sx"
 * and service "sx"; the S3 API, which knows more kinds of signatures, verifies by sig.h.
 * Source: "Signature Version 4 signing process" and "Authenticating Requests:
 * Using the Authorization Header", AWS General and S3 API Reference.
 */
#ifndef SX_AUTH_SIGV4_H
#define SX_AUTH_SIGV4_H

#include "libsx/auth/sig.h"

#define SX_ACCESS_KEY_LEN 20   /* "SX" and 18 of A-Z 2-7 */
#define SX_SECRET_KEY_LEN 40   /* of A-Z a-z 0-9 - _ */
#define SX_SIGV4_SKEW_MS SX_SIG_SKEW_MS
#define SX_SIGV4_HEADERS_MAX 64

/* Makes the value of the Authorization header.  `amz_date` is "YYYYMMDDTHHMMSSZ", the value of
 * x-amz-date, which must be among the headers, as host and x-amz-content-sha256 must. */
void sx_sigv4_sign(struct sx_buf *out, const struct sx_sig_request *r, const char *access_key,
                   const char *secret, const char *region, const char *service,
                   const char *amz_date);

/* Reads the header into a claim of kind SX_SIG_V4_HEADER; its date and payload are set by
 * sx_sig_read() only.  SX_EAUTH with the reason for anything that is not a well-formed V4
 * header. */
int sx_sigv4_parse(const char *authorization, struct sx_sig_claim *c, struct sx_err *e)
    SX_MUST_CHECK;

/* As sx_sig_verify() does for S3, but for the native API, where x-amz-date and
 * x-amz-content-sha256 always come and are signed.  Verifies: date of the scope against
 * amz_date, amz_date against now_ms (SX_ECLOCK beyond SX_SIGV4_SKEW_MS, the message gives both
 * times), all of host, x-amz-date and x-amz-content-sha256 signed, and the signature itself in
 * constant time (SX_EAUTH).  r->headers holds all headers of the request; only the signed ones are
 * used.  That the body matches `payload` is the caller's duty. */
int sx_sigv4_verify(const struct sx_sig_claim *c, const struct sx_sig_request *r,
                    const char *secret, const char *amz_date, uint64_t now_ms, struct sx_err *e)
    SX_MUST_CHECK;

void sx_amz_date(char out[17], uint64_t wall_ms);
int sx_amz_date_parse(const char *s, uint64_t *wall_ms) SX_MUST_CHECK;

/* Fresh random keys; NUL-terminated. */
void sx_access_key_new(char out[SX_ACCESS_KEY_LEN + 1]);
void sx_secret_key_new(char out[SX_SECRET_KEY_LEN + 1]);

#endif
