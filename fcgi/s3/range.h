/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Range, x-amz-copy-source and x-amz-copy-source-range.
 */
#ifndef SX_FCGI_S3_RANGE_H
#define SX_FCGI_S3_RANGE_H

#include <stdint.h>

#include "libsx/base/err.h"

enum sx_s3_range_kind {
    SX_S3_RANGE_WHOLE, /* 200: no Range, one that is malformed (RFC 9110 §14.2), or several ranges,
                        * which S3 does not serve */
    SX_S3_RANGE_PART,  /* 206 */
    SX_S3_RANGE_NONE   /* 416: SX_S3_INVALID_RANGE, with Content-Range: bytes * / size */
};

struct sx_s3_range {
    enum sx_s3_range_kind kind;
    uint64_t first, count; /* of WHOLE and PART */
};

/* `value` of the header Range (NULL: none), for an object of `size` bytes. */
void sx_s3_range_parse(const char *value, uint64_t size, struct sx_s3_range *r);

/* "bytes=first-last", both given and inside the source, as UploadPartCopy wants it.
 * SX_S3_INVALID_ARGUMENT. */
int sx_s3_copy_range_parse(const char *value, uint64_t size, struct sx_s3_range *r,
                           struct sx_err *e) SX_MUST_CHECK;

struct sx_s3_copy_source {
    char *bucket, *key;
    char *version; /* of ?versionId=, or NULL */
};

/* "[/]bucket/key[?versionId=v]", percent-encoded ('+' is itself).  SX_S3_INVALID_ARGUMENT,
 * SX_S3_KEY_TOO_LONG.  sx_s3_copy_source_fini() also after an error. */
int sx_s3_copy_source_parse(const char *value, struct sx_s3_copy_source *c, struct sx_err *e)
    SX_MUST_CHECK;
void sx_s3_copy_source_fini(struct sx_s3_copy_source *c);

#endif
