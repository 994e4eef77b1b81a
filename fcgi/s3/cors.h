/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cross-origin rules of a bucket: checked, and what they answer.  Pure functions.
 * Source: "Using cross-origin resource sharing (CORS)", S3 User Guide.
 */
#ifndef SX_FCGI_S3_CORS_H
#define SX_FCGI_S3_CORS_H

#include "fcgi/s3/xml.h"
#include "libsx/base/buf.h"

#define SX_S3_CORS_RULES_MAX 100u

/* <CORSConfiguration>: SX_S3_MALFORMED_XML, SX_S3_INVALID_REQUEST. */
int sx_s3_cors_check(const struct sx_xml_node *top, struct sx_err *e) SX_MUST_CHECK;

struct sx_s3_cors_question {
    const char *origin;
    const char *method;  /* that is, or would be, used */
    const char *headers; /* a preflight's Access-Control-Request-Headers, or NULL */
    bool preflight;
};

/* Header lines of the first rule that allows it; false if none does. */
bool sx_s3_cors_answer(const struct sx_xml_node *top, const struct sx_s3_cors_question *q,
                       struct sx_buf *fields);

#endif
