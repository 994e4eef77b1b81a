/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The policy document of a browser's POST: the JSON in base64 that the form's signer signed.  It
 * says until when, and with which fields, the form may be used.  That it was signed is
 * sx_sig_verify()'s affair.  Source: "Creating a POST policy", User Guide.
 */
#ifndef SX_FCGI_S3_POSTPOLICY_H
#define SX_FCGI_S3_POSTPOLICY_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"

#define SX_S3_POLICY_SIZE_MAX 20480 /* as sent */
#define SX_S3_POLICY_CONDITIONS_MAX 128

/* A field of the form.  The caller adds "bucket" from the request's target, and has put the file's
 * name for ${filename} in "key". */
struct sx_s3_field {
    const char *name; /* any case */
    const char *value;
};

struct sx_s3_post {
    const char *policy; /* as sent: base64 */
    const struct sx_s3_field *fields;
    size_t n_fields;
    uint64_t now_ms;
};

/* What the file's size must be: SX_S3_ENTITY_TOO_SMALL, SX_S3_ENTITY_TOO_LARGE otherwise. */
struct sx_s3_post_range {
    uint64_t min, max;
};

/* Conditions: {"field": "value"}, ["eq", "$field", "value"], ["starts-with", "$field", "prefix"]
 * (each item of a Content-Type list), ["content-length-range", min, max].  Every field of the form
 * must be named by one, but for policy, the signatures, AWSAccessKeyId, file, bucket and
 * x-ignore-…. SX_S3_INVALID_POLICY_DOCUMENT for a document that cannot be read; SX_S3_ACCESS_DENIED
 * with the condition that does not hold, or if it has expired. */
int sx_s3_post_check(const struct sx_s3_post *p, struct sx_s3_post_range *range,
                     struct sx_err *e) SX_MUST_CHECK;

#endif
