/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Conditional requests: RFC 9110 §13 for reads and sources of copies, and S3's conditions of
 * writes.  Pure functions of header values and what is there.
 */
#ifndef SX_FCGI_S3_COND_H
#define SX_FCGI_S3_COND_H

#include "libsx/auth/sig.h"

#define SX_S3_ETAG_MAX 64 /* 32 hex digits, "-", number of parts; without quotes */

/* What stands at the key at present. */
struct sx_s3_entity {
    const char *etag;    /* without quotes */
    uint64_t modified_ms; /* compared by whole seconds, as HTTP dates are */
};

enum sx_s3_verdict {
    SX_S3_COND_GO,
    SX_S3_COND_NOT_MODIFIED, /* 304, without a body; with ETag and Last-Modified */
    SX_S3_COND_FAILED        /* 412: SX_S3_PRECONDITION_FAILED */
};

/* The values of the four headers, NULL if not there.  Of a read, or of the source of a copy
 * (x-amz-copy-source-if-…). */
struct sx_s3_cond {
    const char *match;            /* If-Match */
    const char *none_match;       /* If-None-Match */
    const char *modified_since;   /* If-Modified-Since */
    const char *unmodified_since; /* If-Unmodified-Since */
};

/* Collects them; `prefix` is "" or "x-amz-copy-source-". */
void sx_s3_cond_headers(struct sx_s3_cond *c, const struct sx_header *headers, size_t n,
                        const char *prefix);
/* In the order of RFC 9110 §13.2.2: If-Match, or else If-Unmodified-Since; then If-None-Match, or
 * else If-Modified-Since.  A date that is none is ignored.  For the source of a copy
 * (`copy`) NOT_MODIFIED is told as FAILED, as S3 has it. */
enum sx_s3_verdict sx_s3_cond_read(const struct sx_s3_cond *c, const struct sx_s3_entity *now,
                                   bool copy);

/* Whether a list of entity tags ("\"a\", W/\"b\"", "*", or a bare a as some clients send) has this
 * one; by strong comparison (§8.8.3.2) weak tags never match. */
bool sx_s3_etag_listed(const char *list, const char *etag, bool strong);

/* Whether Range is to be obeyed under this If-Range (NULL: yes). */
bool sx_s3_cond_if_range(const char *if_range, const struct sx_s3_entity *now);

/* The condition of a write (PutObject, CompleteMultipartUpload, CopyObject's destination,
 * DeleteObject): what must hold when the state machine commits it. */
enum sx_s3_write_kind {
    SX_S3_WRITE_ANY,    /* no condition */
    SX_S3_WRITE_ABSENT, /* If-None-Match: * */
    SX_S3_WRITE_EXISTS, /* If-Match: * */
    SX_S3_WRITE_ETAG    /* If-Match: "etag" */
};
struct sx_s3_write_cond {
    enum sx_s3_write_kind kind;
    char etag[SX_S3_ETAG_MAX + 1];
};

/* From the values of If-Match and If-None-Match (NULL: not there).  SX_S3_NOT_IMPLEMENTED for both
 * at once and for If-None-Match other than *; SX_S3_INVALID_ARGUMENT for an If-Match that is no
 * single tag. */
int sx_s3_cond_write(struct sx_s3_write_cond *w, const char *match, const char *none_match,
                     struct sx_err *e) SX_MUST_CHECK;
/* 0 if it holds; `etag` NULL: there is nothing.  SX_S3_PRECONDITION_FAILED, or SX_S3_NO_SUCH_KEY
 * where If-Match finds nothing. */
int sx_s3_cond_write_check(const struct sx_s3_write_cond *w, const char *etag, struct sx_err *e)
    SX_MUST_CHECK;

#endif
