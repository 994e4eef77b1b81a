/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lifecycle rules of a bucket: read, checked, and what they say of a version at a time.  Pure
 * functions; the job manager carries out what they say (fcgi/jobs/lifecycle.c).
 *
 * A number of days is over at the midnight (UTC) that follows it, as at AWS; a date, when it has
 * come.  Source: "Managing the lifecycle of objects", S3 User Guide.
 */
#ifndef SX_FCGI_S3_LIFECYCLE_H
#define SX_FCGI_S3_LIFECYCLE_H

#include "fcgi/s3/xml.h"

#define SX_LIFECYCLE_RULES_MAX 1000u
#define SX_LIFECYCLE_ID_MAX 255u
#define SX_LIFECYCLE_KEEP_MAX 100u /* NewerNoncurrentVersions */
#define SX_LIFECYCLE_DAYS_MAX 36500u
#define SX_LIFECYCLE_SIZE_MAX (1ull << 60)

struct sx_lifecycle;

/* SX_S3_MALFORMED_XML, SX_S3_INVALID_ARGUMENT, SX_S3_INVALID_REQUEST; SX_S3_NOT_IMPLEMENTED for
 * transitions to other storage classes. */
int sx_lifecycle_parse(const void *p, size_t n, struct sx_lifecycle **l,
                       struct sx_err *e) SX_MUST_CHECK;
/* Of a document that is parsed already: whether it is right. */
int sx_lifecycle_check(const struct sx_xml_node *top, struct sx_err *e) SX_MUST_CHECK;
void sx_lifecycle_free(struct sx_lifecycle *l); /* NULL is legal */

struct sx_lifecycle_version {
    const char *key;
    uint64_t size;
    const char *tags;       /* as in the item s3.tags, or NULL */
    uint64_t created_ms;
    bool newest;
    bool marker;
    bool alone;             /* the key has no other version */
    bool held;              /* retention or legal hold */
    uint64_t noncurrent_ms; /* since when it is not the newest */
    unsigned newer;         /* noncurrent versions that are newer */
};

enum sx_lifecycle_action {
    SX_LIFECYCLE_KEEP,
    SX_LIFECYCLE_EXPIRE, /* delete the key: a marker, where versions are kept */
    SX_LIFECYCLE_REMOVE  /* remove this version */
};

enum sx_lifecycle_action sx_lifecycle_decide(const struct sx_lifecycle *l,
                                             const struct sx_lifecycle_version *v, uint64_t now_ms);
/* Is an upload that was begun then to be given up? */
bool sx_lifecycle_abort(const struct sx_lifecycle *l, const char *key, uint64_t created_ms,
                        uint64_t now_ms);

#endif
