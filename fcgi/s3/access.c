/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See s3.h: who may do what.  In this order:
 *
 *   a Deny of the bucket's policy      refuses, also the owner (but never the policy operations of
 *                                      the owner, or nobody could take a wrong policy away)
 *   an Allow of the bucket's policy    allows
 *   the user's rights on the volume    allow
 *   an ACL of the bucket or object     allows
 */
#include <string.h>

#include "fcgi/s3/config.h"
#include "fcgi/s3/range.h"
#include "fcgi/s3/tags.h"
#include "libsx/base/mem.h"

/* A bucket's policy; NULL if it has none. */
static int load_policy(struct sx_s3 *s, const struct sx_volume *v, struct sx_s3_policy **policy,
                       struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf doc = SX_BUF_INIT;
    int r = sx_s3_config_text(s, v->id, SX_S3_DOC_POLICY, &doc, e);

    *policy = NULL;
    return r < 1 ? r : sx_s3_policy_parse(doc.data, doc.len, v->name, policy, e);
}

/* The volume whatever the rights, then the rights of who asks. */
static int open_volume(struct sx_s3 *s, const char *name, struct sx_volume *v, struct sx_err *e)
{
    struct sx_volume mine;

    if (sx_query_volume(s->db, "", name, 0, v, e) != 0)
        return e->code == SX_ENOVOLUME ? sx_s3_fail(e, SX_S3_NO_SUCH_BUCKET) : -1;
    v->rights = 0;
    if (!s->anonymous && sx_query_volume(s->db, s->r->user, name, 0, &mine, NULL) == 0)
        v->rights = mine.rights;
    return 0;
}

int sx_s3_bucket_open(struct sx_s3 *s, struct sx_err *e)
{
    sx_s3_policy_free(s->policy);
    s->policy = NULL;
    if (open_volume(s, s->t.bucket, &s->v, e) != 0)
        return -1;
    return load_policy(s, &s->v, &s->policy, e);
}

static void add_fact(struct sx_s3_question *q, const char *key, const char *value)
{
    if (value && q->n_facts < SX_S3_CONTEXT_MAX)
        q->facts[q->n_facts++] = (struct sx_s3_fact){ key, value };
}

static void gather_facts(const struct sx_s3 *s, struct sx_s3_question *q)
{
    static const struct {
        const char *key, *header;
    } headers[] = {
        { "aws:Referer", "referer" },
        { "aws:UserAgent", "user-agent" },
        { "s3:x-amz-acl", "x-amz-acl" },
        { "s3:x-amz-copy-source", "x-amz-copy-source" },
        { "s3:x-amz-metadata-directive", "x-amz-metadata-directive" },
        { "s3:x-amz-server-side-encryption", "x-amz-server-side-encryption" },
        { "s3:x-amz-server-side-encryption-customer-algorithm",
          "x-amz-server-side-encryption-customer-algorithm" },
        { "s3:x-amz-storage-class", "x-amz-storage-class" },
        { "s3:x-amz-content-sha256", "x-amz-content-sha256" },
    };
    static const char *const args[][2] = { { "s3:prefix", "prefix" },
                                           { "s3:delimiter", "delimiter" },
                                           { "s3:max-keys", "max-keys" } };

    add_fact(q, "aws:SourceIp", sx_req_param(s->r, "REMOTE_ADDR"));
    add_fact(q, "aws:SecureTransport", sx_s3_is_secure(s) ? "true" : "false");
    add_fact(q, "s3:VersionId", q->version);
    if (!s->anonymous)
        add_fact(q, "aws:username", s->r->user);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        add_fact(q, headers[i].key, sx_s3_header(s, headers[i].header));
    for (size_t i = 0; i < sizeof args / sizeof *args; i++)
        add_fact(q, args[i][0], sx_s3_arg(s, args[i][1]));
}

/* Facts of tags, which `keep` holds. */
static void add_tags(struct sx_s3_question *q, const char *prefix, const char *text, json_t *keep)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT, value = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf name = SX_BUF_INIT;

    while (text && sx_s3_tags_next(&text, &key, &value)) {
        json_t *pair;

        sx_buf_reset(&name);
        sx_buf_printf(&name, "%s%s", prefix, sx_buf_cstr(&key));
        pair = json_pack("[s, s]", sx_buf_cstr(&name), sx_buf_cstr(&value));
        if (!pair)
            continue; /* no UTF-8: no policy can name it */
        json_array_append_new(keep, pair);
        add_fact(q, json_string_value(json_array_get(pair, 0)),
                 json_string_value(json_array_get(pair, 1)));
    }
}

static void gather_tags(struct sx_s3 *s, const struct sx_volume *v, struct sx_s3_question *q,
                        json_t *keep)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO_JSON json_t *items = NULL;
    struct sx_err absent = SX_ERR_INIT;

    if (!q->key)
        return;
    if (v == &s->v)
        add_tags(q, "s3:RequestObjectTag/", s->tags ? s->tags : sx_s3_header(s, "x-amz-tagging"),
                 keep);
    if (sx_s3_find(s, v, q->key, q->version, &row, &absent) != 0)
        return;
    items = sx_s3_items(&row.f);
    add_tags(q, "s3:ExistingObjectTag/", sx_s3_item(items, "s3.tags"), keep);
}

static bool is_policy_op(const char *action)
{
    return strcmp(action, "s3:GetBucketPolicy") == 0 || strcmp(action, "s3:PutBucketPolicy") == 0 ||
           strcmp(action, "s3:DeleteBucketPolicy") == 0;
}

/* What a policy allows, unless RestrictPublicBuckets keeps a public one from those without a key. */
static bool policy_allows(struct sx_s3 *s, const struct sx_volume *v,
                          const struct sx_s3_policy *policy)
{
    return !s->anonymous || !sx_s3_policy_is_public(policy) ||
           sx_s3_public_access(s, v->id, "RestrictPublicBuckets", NULL) == 0;
}

static int decide(struct sx_s3 *s, const struct sx_volume *v, const struct sx_s3_policy *policy,
                  struct sx_s3_question *q, unsigned need, struct sx_err *e)
{
    enum sx_s3_ruling ruling = SX_S3_SILENT;
    SX_AUTO_JSON json_t *tags = json_array();
    bool owner = v->rights & SX_RIGHT_OWNER;

    q->user = s->anonymous ? NULL : s->r->user;
    q->bucket = v->name;
    gather_facts(s, q);
    if (policy) {
        gather_tags(s, v, q, tags);
        ruling = sx_s3_policy_ask(policy, q);
    }
    if (ruling == SX_S3_DENY && !(owner && is_policy_op(q->action)))
        return sx_s3_fail(e, SX_S3_ACCESS_DENIED);
    if ((v->rights && (v->rights & need) == need) ||
        (ruling == SX_S3_ALLOW && policy_allows(s, v, policy)) || sx_s3_acl_allows(s, v, q))
        return 0;
    return sx_s3_fail(e, SX_S3_ACCESS_DENIED);
}

int sx_s3_allowed(struct sx_s3 *s, const char *action, const char *key, unsigned need,
                  struct sx_err *e)
{
    struct sx_s3_question q = { .action = action, .key = key,
                                .version = sx_s3_arg(s, "versionId") };

    s->need = need;
    return decide(s, &s->v, s->policy, &q, need, e);
}

int sx_s3_source_allowed(struct sx_s3 *s, const struct sx_s3_copy_source *from, struct sx_volume *v,
                         struct sx_err *e)
{
    struct sx_s3_question q = { .action = from->version ? "s3:GetObjectVersion" : "s3:GetObject",
                                .key = from->key, .version = from->version };
    struct sx_s3_policy *policy;
    int r;

    if (open_volume(s, from->bucket, v, e) != 0 || load_policy(s, v, &policy, e) != 0)
        return -1;
    r = decide(s, v, policy, &q, SX_RIGHT_READ, e);
    sx_s3_policy_free(policy);
    return r;
}

const char *sx_s3_user(const struct sx_s3 *s)
{
    return !s->anonymous && (s->v.rights & s->need) == s->need ? s->r->user : "";
}
