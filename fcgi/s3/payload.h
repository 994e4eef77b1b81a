/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The body of a request: decoded piece by piece in bounded memory, and verified in every way that
 * the request asks for:
 *
 *   its length         Content-Length, x-amz-decoded-content-length
 *   its hash           x-amz-content-sha256, the signatures of chunks and trailer
 *   its checksum       x-amz-checksum-*, as header or in the trailer that x-amz-trailer announces
 *   Content-MD5
 *
 * Use, after the signature of the request was verified (or it is anonymous):
 *
 *   sx_payload_open(&p, &head, e);
 *   while (bytes come)
 *       for (in = sx_cur_of(bytes, n); in.left;) {
 *           sx_payload_next(p, &in, &data, &len, e);     data lies in `bytes`; len may be 0
 *           … encode data …
 *       }
 *   sx_payload_finish(p, e);   only now is the data what the client signed: commit, or forget it
 *   sx_payload_sums(p)->value[SX_SUM_MD5], …
 *   sx_payload_free(p);
 */
#ifndef SX_FCGI_S3_PAYLOAD_H
#define SX_FCGI_S3_PAYLOAD_H

#include "fcgi/s3/checksum.h"
#include "libsx/auth/sig.h"
#include "libsx/base/wire.h"

struct sx_payload;

struct sx_payload_head {
    const struct sx_sig_claim *claim; /* must live as long as the payload */
    const struct sx_header *headers;
    size_t n_headers;
    int64_t content_length; /* of the HTTP body; -1: not known (chunked) */
    uint64_t max;           /* most bytes of decoded data */
    unsigned sums;          /* SX_SUM_BIT() of those that the caller wants, whatever the client sent */
    bool object_sums;       /* x-amz-checksum-* is not of this body but of the object that it
                             * completes (CompleteMultipartUpload): the caller looks at it */
};

/* SX_S3_MISSING_CONTENT_LENGTH if aws-chunked without x-amz-decoded-content-length,
 * SX_S3_INVALID_ARGUMENT if that is no number, SX_S3_ENTITY_TOO_LARGE, SX_S3_INVALID_DIGEST,
 * SX_S3_INVALID_REQUEST for checksum headers that are malformed, unknown or several. */
int sx_payload_open(struct sx_payload **p, const struct sx_payload_head *h, struct sx_err *e)
    SX_MUST_CHECK;
void sx_payload_free(struct sx_payload *p); /* NULL is legal */

/* The checksum that the client sends or has announced; SX_SUM_NONE if none.  Its value is in
 * sx_payload_sums() at the end. */
enum sx_sum_alg sx_payload_algorithm(const struct sx_payload *p);

/* How many bytes of data the client has announced; -1 if it has not. */
int64_t sx_payload_length(const struct sx_payload *p);

/* Takes from `in`; gives the next piece of data, in place, or *n = 0 when `in` is used up.  After
 * an error nothing but sx_payload_free() may follow.  Beside the errors of chunked.h:
 * SX_S3_ENTITY_TOO_LARGE, SX_S3_INCOMPLETE_BODY for more than Content-Length says. */
int sx_payload_next(struct sx_payload *p, struct sx_cur *in, const uint8_t **data, size_t *n,
                    struct sx_err *e) SX_MUST_CHECK;

/* The body has ended: 0 if all of it came and everything above holds.  SX_S3_INCOMPLETE_BODY,
 * SX_S3_SHA256_MISMATCH, SX_S3_BAD_DIGEST, SX_S3_MALFORMED_TRAILER, SX_S3_SIGNATURE_MISMATCH. */
int sx_payload_finish(struct sx_payload *p, struct sx_err *e) SX_MUST_CHECK;

/* After sx_payload_finish(): bytes of data, and the sums of `head.sums` and of the client. */
uint64_t sx_payload_size(const struct sx_payload *p);
const struct sx_sums *sx_payload_sums(const struct sx_payload *p);

/* A Content-Encoding as it is to be stored: without aws-chunked, which is of the transfer only. */
void sx_payload_encoding(struct sx_buf *out, const char *content_encoding);

#endif
