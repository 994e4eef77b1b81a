/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The framing of aws-chunked bodies, for payload.c:
 *
 *   signed      hex-size;chunk-signature=64-hex CRLF data CRLF … 0;chunk-signature=64-hex CRLF
 *   unsigned    hex-size CRLF data CRLF … 0 CRLF
 *   then        name:value CRLF …  x-amz-trailer-signature:64-hex CRLF    (kinds with a trailer)
 *               CRLF
 *
 * Lines of the trailer may end in LF alone, and empty lines in it are skipped: clients differ.
 * Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
 * Chunks", "… Including Trailing Headers", S3 API Reference.
 */
#ifndef SX_FCGI_S3_CHUNKED_H
#define SX_FCGI_S3_CHUNKED_H

#include "fcgi/s3/checksum.h"
#include "libsx/auth/sig.h"
#include "libsx/base/wire.h"

#define SX_CHUNKED_HEADER_MAX 128  /* a line before a chunk */
#define SX_CHUNKED_LINE_MAX 512    /* a line of the trailer */
#define SX_CHUNKED_LINES_MAX 8     /* of the trailer, empty ones included */

enum sx_chunked_state {
    SX_CHUNKED_HEADER,
    SX_CHUNKED_DATA,
    SX_CHUNKED_DATA_END, /* CRLF behind the data */
    SX_CHUNKED_TRAILER,  /* also the CRLF behind the last chunk */
    SX_CHUNKED_FAILED
};

struct sx_chunked {
    enum sx_chunked_state state;
    const struct sx_sig_claim *claim; /* NULL: chunks are not signed */
    bool has_trailer;
    enum sx_sum_alg trailer_alg;      /* the declared one; SX_SUM_NONE: none */
    uint64_t left;                    /* of the present chunk */
    uint64_t total_left;              /* of x-amz-decoded-content-length */
    char line[SX_CHUNKED_LINE_MAX + 1];
    size_t line_len;
    unsigned lines;                   /* of the trailer so far */
    uint8_t before[SX_SIG_SHA256];    /* signature that the next is chained to */
    uint8_t want[SX_SIG_SHA256];      /* signature of the present chunk */
    struct sx_sum chunk_sum, trailer_sum;
    bool last_seen, trailer_seen, trailer_signed;
    char trailer_value[SX_CHUNKED_LINE_MAX + 1];
};

void sx_chunked_init(struct sx_chunked *c, const struct sx_sig_claim *claim, uint64_t length);
void sx_chunked_fini(struct sx_chunked *c);
/* Takes from `in` up to the next piece of data, which is given in place; *n is 0 when `in` is
 * empty.  SX_S3_INVALID_REQUEST for bad framing, SX_S3_INCOMPLETE_BODY for more data than declared,
 * SX_S3_SIGNATURE_MISMATCH, SX_S3_MALFORMED_TRAILER. */
int sx_chunked_next(struct sx_chunked *c, struct sx_cur *in, const uint8_t **data, size_t *n,
                    struct sx_err *e) SX_MUST_CHECK;
/* After the body's end: that all of it has come.  SX_S3_INCOMPLETE_BODY, SX_S3_MALFORMED_TRAILER,
 * SX_S3_SIGNATURE_MISMATCH. */
int sx_chunked_finish(struct sx_chunked *c, struct sx_err *e) SX_MUST_CHECK;

#endif
