/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bytes of one content stream into another, for copies that have to read them.
 *
 * While that takes long the answer begins and blanks keep it alive, as AWS does.  What fails then
 * ends the connection, and the client repeats the request.
 */
#ifndef SX_FCGI_S3_PUMP_H
#define SX_FCGI_S3_PUMP_H

#include "fcgi/s3/egress.h"
#include "fcgi/s3/ingest.h"
#include "fcgi/s3/s3.h"

struct sx_s3_pump {
    struct sx_egress *from;
    struct sx_ingest *to;
    struct sx_sums *sums; /* of the bytes; ended */
};

/* Up to the end of `from`.  The header lines of the answer that are known must be there: it may begin
 * now. */
int sx_s3_pump(struct sx_s3 *s, const struct sx_s3_pump *p, struct sx_err *e) SX_MUST_CHECK;
/* The answer, or the rest of one that has begun: an XML document, without its first line. */
int sx_s3_pump_reply(struct sx_s3 *s, const struct sx_buf *root);

#endif
