/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One request to the S3 gateway, and what its handlers share.
 *
 *   target ──► signature ──► bucket, policy: may he? ──► handler ──► answer
 *
 * Nothing of the body is read before it is known who asks and whether he may.  A handler answers,
 * or returns -1 with the error that is then the answer; an error after the head of an answer has
 * left ends the connection, so that the client sees that the body is short.
 *
 * With "Expect: 100-continue" the client sends the head and waits.  nginx then shows the head alone
 * (sxhttpd/nginx.conf.in), and the stages above are gone through more than once:
 *
 *   ASK      up to where the body would be read.  204: it may come, as a WHOLE request; or 403
 *   REFUSE   after a 403, the same again with the answer that the client gets.  If nothing is left to
 *            refuse, as what was asked about has changed, that is SlowDown: the missing body must
 *            not be taken for an empty one
 */
#ifndef SX_FCGI_S3_S3_H
#define SX_FCGI_S3_S3_H

#include "fcgi/api/reply.h"
#include "fcgi/api/request.h"
#include "fcgi/s3/customer.h"
#include "fcgi/s3/facts.h"
#include "fcgi/s3/payload.h"
#include "fcgi/s3/policy.h"
#include "fcgi/s3/target.h"
#include "fcgi/s3/s3err.h"
#include "fcgi/s3/xml.h"
#include "fcgi/s3/xmlout.h"

#define SX_S3_REGION "us-east-1"
#define SX_S3_CONFIG_MAX (64u << 10) /* bytes of a bucket's documents */

enum sx_s3_pass { SX_S3_PASS_WHOLE, SX_S3_PASS_ASK, SX_S3_PASS_REFUSE };

struct sx_s3 {
    struct sx_req *r;
    enum sx_s3_pass pass;
    bool body_awaited;         /* without a body nothing more can be done */
    struct sx_s3_target t;
    struct sx_sig_claim claim;
    bool anonymous;
    bool site;                 /* a website is asked, not the API */
    sqlite3 *db;               /* in step with the cluster since the request came */
    struct sx_volume v;        /* the bucket, for operations on one */
    unsigned need;             /* the rights that the operation needs without a policy */
    struct sx_s3_policy *policy; /* or NULL */
    const char *tags;          /* that a body or a copy brings, as text; NULL: those of the headers count */
    struct sx_s3_customer customer; /* the key that the request brings, once a handler has asked for it */
    struct sx_buf fields;      /* header lines of the answer */
    struct sx_payload *payload;
    struct sx_buf body;        /* where a handler has asked for it whole */
};

typedef int sx_s3_handler(struct sx_s3 *s, struct sx_err *e);

/* ---- what came ---- */

/* A parameter of the query, decoded, or NULL; a header by its lower-case name, or NULL. */
const char *sx_s3_arg(const struct sx_s3 *s, const char *name);
const char *sx_s3_header(const struct sx_s3 *s, const char *name);
/* Whether a header's or parameter's value, or NULL, is true; botocore up to 2023 writes "True". */
bool sx_s3_is_true(const char *value);
/* Whether the client's connection is TLS, here or at the proxy that s3_external names. */
bool sx_s3_is_secure(const struct sx_s3 *s);
/* The request's key of SSE-C, if it brings one, into s->customer; that of a copy's source, into c.  Errors of sx_s3_customer_read(). */
int sx_s3_key(struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;
int sx_s3_source_key(struct sx_s3 *s, struct sx_s3_customer *c, struct sx_err *e) SX_MUST_CHECK;
/* In whose name commands are submitted: the user's or, where a policy allows what his rights do not
 * give, the cluster's. */
const char *sx_s3_user(const struct sx_s3 *s);

/* Where the body is needed next: fails in a pass without it. */
int sx_s3_await_body(struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;
/* The body, verified, at most `max` bytes, into s->body. */
int sx_s3_body(struct sx_s3 *s, size_t max, struct sx_err *e) SX_MUST_CHECK;
/* The same as XML; *doc is the caller's. */
int sx_s3_body_xml(struct sx_s3 *s, const char *root, struct sx_xml **doc,
                   struct sx_err *e) SX_MUST_CHECK;
/* What the headers say of the body, into s->payload, which the next takes.  `sums`: SX_SUM_BIT()s that are
 * wanted anyway. */
int sx_s3_body_open(struct sx_s3 *s, unsigned sums, struct sx_err *e) SX_MUST_CHECK;
/* The body piece by piece to fn, then verified. */
typedef int sx_s3_sink(void *ctx, const void *p, size_t n, struct sx_err *e);
int sx_s3_body_stream(struct sx_s3 *s, sx_s3_sink *fn, void *ctx, struct sx_err *e) SX_MUST_CHECK;

/* Who has signed: s->claim, which was read, is his.  `policy` is that of a form, else NULL. */
int sx_s3_claim_verify(struct sx_s3 *s, const struct sx_sig_request *q, const char *policy,
                       struct sx_err *e) SX_MUST_CHECK;

/* ---- rights ---- */

/* The bucket of the request, with the rights of who asks, and its policy.  SX_S3_NO_SUCH_BUCKET. */
int sx_s3_bucket_open(struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;

/* May the requester do `action` ("s3:GetObject") with a key (NULL: the bucket itself)?  By the
 * bucket's policy, else by his rights: `need` of enum sx_right.  SX_S3_ACCESS_DENIED. */
int sx_s3_allowed(struct sx_s3 *s, const char *action, const char *key, unsigned need,
                  struct sx_err *e) SX_MUST_CHECK;
/* May the requester read what a copy is made of?  Its bucket, whose policy counts, is *v. */
struct sx_s3_copy_source;
int sx_s3_source_allowed(struct sx_s3 *s, const struct sx_s3_copy_source *from, struct sx_volume *v,
                         struct sx_err *e) SX_MUST_CHECK;

/* ---- metadata ---- */

/* Brings s->db in step with all that was acknowledged before the call. */
int sx_s3_sync(struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;
/* fn(ctx, e), whose queries all see one state of the database: an object and its block list, say, as
 * the object may be replaced at any moment.  Keep it short. */
int sx_s3_at_once(struct sx_s3 *s, int (*fn)(void *ctx, struct sx_err *e), void *ctx,
                  struct sx_err *e) SX_MUST_CHECK;

struct sx_egress;
/* The same where fn opens *g, to read a file's bytes (HEAD: leaves it NULL).  If they are many, they
 * are pinned; what has gone before that was done is looked for anew: fn may be called more than once,
 * and what it has added to s->fields is taken back first. */
int sx_s3_open(struct sx_s3 *s, int (*fn)(void *ctx, struct sx_err *e), void *ctx,
               struct sx_egress *const *g, struct sx_err *e) SX_MUST_CHECK;

int sx_s3_submit(struct sx_s3 *s, const struct sx_buf *command, struct sx_buf *result,
                 struct sx_err *e) SX_MUST_CHECK;
/* SX_S3_INVALID_BUCKET_STATE if versioning and lock do not go together. */
int sx_s3_volume_modify(struct sx_s3 *s, const struct sx_cmd_volume_modify *c,
                        struct sx_err *e) SX_MUST_CHECK;
/* The version that ?versionId= (or `id`) names, else the newest; markers too.
 * SX_S3_NO_SUCH_KEY, SX_S3_NO_SUCH_VERSION. */
int sx_s3_find(struct sx_s3 *s, const struct sx_volume *v, const char *key, const char *id,
               struct sx_file_row *row, struct sx_err *e) SX_MUST_CHECK;
/* The object of the request, of its ?versionId=.  A marker is none: 404, or SX_S3_METHOD_NOT_ALLOWED
 * where it was asked for by its id; the fields say which it is. */
int sx_s3_find_object(struct sx_s3 *s, struct sx_file_row *row, struct sx_err *e) SX_MUST_CHECK;
/* The address of what the request names: http(s)://host/bucket/key */
void sx_s3_location(const struct sx_s3 *s, struct sx_buf *out);
/* How a version is called outside: 16 hex digits, or "null".  The reverse gives SX_S3_INVALID_ARGUMENT for
 * what is neither. */
#define SX_S3_VERSION_TEXT 17
void sx_s3_version(const struct sx_file *f, char out[SX_S3_VERSION_TEXT]);
int sx_s3_rev_parse(const char *id, uint64_t *rev, struct sx_err *e) SX_MUST_CHECK;
/* The x-amz-version-id line, in buckets that have versions. */
void sx_s3_version_field(struct sx_s3 *s, const struct sx_volume *v, const struct sx_file *f);
/* The x-amz-copy-source-version-id line, the same of a copy's source. */
void sx_s3_source_version_field(struct sx_s3 *s, const struct sx_volume *v,
                                const struct sx_file *f);

/* ---- answers ---- */

/* Adds a header line; the format is that of sx_buf_printf(). */
void sx_s3_field(struct sx_s3 *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes back the lines that were added since s->fields had `mark` bytes. */
void sx_s3_fields_back(struct sx_s3 *s, size_t mark);
/* Head without body. */
int sx_s3_reply_empty(struct sx_s3 *s, int status);
/* Head and an XML document (or, for `type`, another). */
int sx_s3_reply(struct sx_s3 *s, int status, const char *type, const struct sx_buf *body);
#define SX_S3_XML "application/xml"
/* GetObject of s->t.key, whole and whatever is conditional, with that status instead of 200. */
int sx_s3_get_as(struct sx_s3 *s, int status, struct sx_err *e) SX_MUST_CHECK;
/* Only the head, of an answer whose body follows with sx_reply_write(). */
void sx_s3_reply_head(struct sx_s3 *s, int status, uint64_t length);
/* The same for a body whose length is not known. */
void sx_s3_reply_head_open(struct sx_s3 *s, int status, const char *type);

#endif
