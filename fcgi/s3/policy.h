/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bucket policies: read, checked, evaluated.  Pure functions of the document and of what is asked.
 *
 *   Statement: Effect, Principal | NotPrincipal, Action | NotAction, Resource | NotResource,
 *   Condition.  A Deny that fits wins over every Allow; what fits nothing is for others to decide.
 *
 * Principals are "*", or users of the cluster: by name, or as the last part of an ARN
 * ("arn:aws:iam::…:user/NAME").  In patterns * and ? stand for any characters, slashes included;
 * ${aws:username} and the other keys below may stand in resources and in values of conditions.
 * Source: "Policies and permissions in Amazon S3", "IAM JSON policy elements reference".
 */
#ifndef SX_FCGI_S3_POLICY_H
#define SX_FCGI_S3_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "libsx/base/err.h"
#include "libsx/base/json.h"

#define SX_S3_POLICY_MAX 20480u      /* bytes of a document, as AWS */
#define SX_S3_POLICY_STATEMENTS 256u
#define SX_S3_CONTEXT_MAX 48u

struct sx_s3_policy;

/* SX_S3_MALFORMED_POLICY with what is wrong: also for a resource outside of `bucket`, an unknown
 * operator of a condition, an action that is no s3: action. */
int sx_s3_policy_parse(const void *p, size_t n, const char *bucket, struct sx_s3_policy **policy,
                       struct sx_err *e) SX_MUST_CHECK;
void sx_s3_policy_free(struct sx_s3_policy *p); /* NULL is allowed */

/* Facts of a request that conditions look at: key ("aws:SourceIp", any case) and value.  A key that
 * is not there makes most operators fail. */
struct sx_s3_fact {
    const char *key, *value;
};

struct sx_s3_question {
    const char *user;     /* NULL: anonymous */
    const char *action;   /* "s3:GetObject" */
    const char *bucket;
    const char *key;      /* of the object; NULL: the bucket itself */
    const char *version;  /* of the object, by its id; NULL: the newest */
    struct sx_s3_fact facts[SX_S3_CONTEXT_MAX];
    size_t n_facts;
};

enum sx_s3_ruling { SX_S3_SILENT, SX_S3_ALLOW, SX_S3_DENY };

enum sx_s3_ruling sx_s3_policy_ask(const struct sx_s3_policy *p, const struct sx_s3_question *q);
/* Does it allow anything to everybody, without a condition that narrows that to known addresses?
 * (GetBucketPolicyStatus, BlockPublicPolicy, RestrictPublicBuckets.) */
bool sx_s3_policy_is_public(const struct sx_s3_policy *p);

#endif
