/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a request asks for: operation, bucket and key, from method, host, path, query and headers.
 * A pure function of text.
 *
 * Keys are opaque: what stands behind "/bucket/" (or behind "/" when the bucket is in the host
 * name) is percent-decoded once and nothing else.  '+' is itself, %2F is part of the key, "//", "."
 * and ".." stay.  1 to 1,024 bytes of UTF-8.
 *
 * A subresource that is not known is refused, not ignored: "PUT /b/k?newThing" must not become a
 * PutObject.  So is a parameter without a value that is not known, since the next subresource will
 * look like that.  "x-id" and unknown parameters with values are ignored, as AWS does.
 */
#ifndef SX_FCGI_S3_TARGET_H
#define SX_FCGI_S3_TARGET_H

#include "libsx/auth/sig.h"

#define SX_S3_KEY_MAX 1024
#define SX_S3_BUCKET_ADDRESS_MAX 255 /* in a request; what may be created: sx_s3_bucket_name() */

enum sx_s3_op {
#define SX_S3_OP(sym, name, action, method, scope, sub, variant) SX_S3_OP_##sym,
#include "fcgi/s3/ops.def"
#undef SX_S3_OP
    SX_S3_OP_N
};

const char *sx_s3_op_name(enum sx_s3_op op);   /* "GetObject" */
/* "s3:GetObject", or with a versionId "s3:GetObjectVersion"; "" for preflights. */
const char *sx_s3_op_action(enum sx_s3_op op, bool has_version);

/* The query, decoded ('+' is a space). */
struct sx_s3_param {
    char *name, *value; /* value "" if it has none */
};
struct sx_s3_query {
    struct sx_s3_param v[SX_SIG_PARAMS_MAX];
    unsigned n;
};

void sx_s3_query_fini(struct sx_s3_query *q);
/* SX_S3_INVALID_URI for a bad escape, SX_S3_INVALID_ARGUMENT for a parameter twice or too many. */
int sx_s3_query_parse(const char *query, struct sx_s3_query *q, struct sx_err *e) SX_MUST_CHECK;
/* The value, "" if the parameter has none, or NULL. */
const char *sx_s3_query_get(const struct sx_s3_query *q, const char *name);
/* A decimal number; `dflt` if the parameter is absent.  SX_S3_INVALID_ARGUMENT beyond min … max. */
int sx_s3_query_u64(const struct sx_s3_query *q, const char *name, const uint64_t range[2],
                    uint64_t dflt, uint64_t *v, struct sx_err *e) SX_MUST_CHECK;

struct sx_s3_request {
    const char *method;
    const char *host;  /* as sent, or as the proxy says; may have a port; NULL: none */
    const char *path;  /* as sent */
    const char *query; /* as sent, without '?'; NULL or "": none */
    bool has_copy_source;
    /* The names under which "bucket.name" is the bucket, ended by NULL; NULL: path style only. */
    const char *const *domains;
};

/* The bucket in front of one of the domains (NULL: none) in a host name, in lower case, or NULL.
 * *matched: bytes of the longest domain that the host ends with, which wins; 0: of none. */
char *sx_s3_host_bucket(const char *host, const char *const *domains, size_t *matched);

struct sx_s3_target {
    enum sx_s3_op op;
    char *bucket;   /* NULL: the service */
    char *key;      /* NULL: the bucket itself */
    bool vhost;     /* the bucket is from the host name */
    struct sx_s3_query query;
};

/* SX_S3_INVALID_URI, SX_S3_INVALID_BUCKET_NAME, SX_S3_KEY_TOO_LONG, SX_S3_METHOD_NOT_ALLOWED,
 * SX_S3_NOT_IMPLEMENTED, SX_S3_INVALID_ARGUMENT.  sx_s3_target_fini() also after an error. */
int sx_s3_target_parse(const struct sx_s3_request *r, struct sx_s3_target *t, struct sx_err *e)
    SX_MUST_CHECK;
void sx_s3_target_fini(struct sx_s3_target *t);

/* Decodes a key by the rules above into `out`; also for x-amz-copy-source.  SX_S3_INVALID_URI,
 * SX_S3_KEY_TOO_LONG. */
int sx_s3_key_decode(struct sx_buf *out, const char *s, size_t n, struct sx_err *e) SX_MUST_CHECK;

/* The rules for a new bucket ("Bucket naming rules", User Guide): SX_S3_INVALID_BUCKET_NAME with
 * the rule that is broken. */
int sx_s3_bucket_name(const char *name, struct sx_err *e) SX_MUST_CHECK;

#endif
