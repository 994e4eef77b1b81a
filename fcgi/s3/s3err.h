/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Errors as S3 clients see them.  A `struct sx_err` of the gateway holds a code of err.def or one
 * of s3err.def, which begin at SX_S3_ERR_BASE; its message is the XML's.
 *
 * Decisions, each since SDKs act by status and code:
 *   no space        507 InsufficientStorage, not 503 SlowDown: SDKs retry 503 for minutes, and a
 * full
 *                   cluster is not helped by that.  botocore and the other SDKs retry 500, 502, 503
 *                   and 504 and leave 507 alone: the user sees the message at once.
 *   quota           403 QuotaExceeded, as RGW answers, and never retried.
 *   conflicts       a race of conditional writes is 409 ConditionalRequestConflict: the SDK does
 * not
 *                   repeat it blindly, the program does.
 *   time-outs, no leader, no quorum   503 ServiceUnavailable: a retry helps.
 *   damaged metadata   503 ServiceUnavailable: another node has a good copy, and this one fetches it.
 *   no good block   500 InternalError: no node that answered has one.
 */
#ifndef SX_FCGI_S3_S3ERR_H
#define SX_FCGI_S3_S3ERR_H

#include "libsx/auth/sig.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"

#define SX_S3_ERR_BASE 1000

enum sx_s3_code {
    SX_S3_ERR_BEFORE_FIRST = SX_S3_ERR_BASE - 1,
#define SX_S3_ERR(sym, code, http, text) SX_S3_##sym,
#include "fcgi/s3/s3err.def"
#undef SX_S3_ERR
    SX_S3_ERR_END
};

/* Sets the code with its default message.  Returns -1.  For a message of its own: sx_err_set(). */
int sx_s3_fail(struct sx_err *e, enum sx_s3_code code);

/* The S3 code for a code of either table: SX_ENOFILE gives SX_S3_NO_SUCH_KEY. */
enum sx_s3_code sx_s3_err_map(int code);
/* Facts of a code of either table. */
const char *sx_s3_err_name(int code);
int sx_s3_err_http(int code);
const char *sx_s3_err_text(int code);

/* Whether the message is the server's affair only (paths, SQL): the client is shown the default
 * one. */
bool sx_s3_err_internal(int code);

/* How a fault of sx_sig_read() or sx_sig_verify() is told: changes e->code, keeps its message. */
void sx_s3_err_signature(const struct sx_sig_claim *c, struct sx_err *e);

/* An element of its own in the document, beside the usual ones; the last has a NULL name. */
struct sx_s3_err_extra {
    const char *name;  /* e.g. "BucketName", "Key", "AWSAccessKeyId", "Region", "Condition" */
    const char *value; /* NULL: left out */
};

struct sx_s3_err_place {
    const char *resource;   /* path as sent, or NULL */
    const char *request_id; /* x-amz-request-id */
    const char *host_id;    /* x-amz-id-2 */
    const struct sx_s3_err_extra *extra; /* or NULL */
};

/* The document <Error> for the answer. */
void sx_s3_err_xml(struct sx_buf *out, const struct sx_err *e, const struct sx_s3_err_place *p);

#endif
