/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See gateway.h; the stages of a request before its handler, and the end of one that failed.
 */
#include "fcgi/s3/gateway.h"

#include <string.h>

#include "fcgi/api/auth.h"
#include "fcgi/api/route.h"
#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object.h"
#include "fcgi/s3/site.h"
#include "libsx/auth/sigkey.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

static const struct {
    sx_s3_handler *fn;
    unsigned need; /* enum sx_right */
} handlers[SX_S3_OP_N] = {
#define X(op, fn, need) [SX_S3_OP_##op] = { sx_s3_##fn, need },
    SX_S3_HANDLERS(X)
#undef X
};

/* Those that read the body before they change or answer anything: a pass without it may call them. */
static sx_s3_handler *const body_first[] = {
    sx_s3_put_object, sx_s3_upload_part, sx_s3_complete_upload, sx_s3_delete_objects,
    sx_s3_create_bucket, sx_s3_put_versioning, sx_s3_put_document, sx_s3_put_policy,
    sx_s3_put_lock_config, sx_s3_put_retention, sx_s3_put_legal_hold, sx_s3_put_tagging,
    sx_s3_put_bucket_acl, sx_s3_put_object_acl,
};

/* ---- stages ---- */

static int find_target(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_s3_request q = { .method = s->r->method,
                                     .host = sx_s3_header(s, "host"),
                                     .path = s->r->path,
                                     .query = s->r->raw_query,
                                     .domains = (const char *const *)s->r->app->conf->s3_domains,
                                     .has_copy_source = sx_s3_header(s, "x-amz-copy-source") };

    if (sx_s3_target_parse(&q, &s->t, e) != 0)
        return -1;
    if (!handlers[s->t.op].fn)
        return sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "%s is not implemented", sx_s3_op_name(s->t.op));
    return 0;
}

static int verify(struct sx_s3 *s, const struct sx_sig_request *q, const char *policy,
                  const char *secret, struct sx_err *e)
{
    static struct sx_sigkeys *keys; /* this process's */
    const char *external = s->r->app->conf->s3_external;
    const char *const hosts[] = { *external ? external : NULL, NULL };
    struct sx_sig_check k = { .secret = secret,
                              .now_ms = sx_wall_ms(),
                              .service = "s3",
                              .policy = policy,
                              .hosts = hosts,
                              .vhost_bucket = s->t.vhost ? s->t.bucket : NULL };

    if (!keys)
        keys = sx_sigkeys_new();
    k.keys = keys;
    if (sx_sig_verify(&s->claim, q, &k, e) == 0)
        return 0;
    sx_s3_err_signature(&s->claim, e);
    return -1;
}

int sx_s3_claim_verify(struct sx_s3 *s, const struct sx_sig_request *q, const char *policy,
                       struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf secret = SX_BUF_INIT;
    int r;

    s->anonymous = s->claim.kind == SX_SIG_ANONYMOUS;
    if (s->anonymous)
        return 0;
    if (sx_auth_secret(s->r, s->claim.access_key, &secret, e) != 0)
        return e->code == SX_ENOKEY ? sx_s3_fail(e, SX_S3_INVALID_ACCESS_KEY) : -1;
    r = verify(s, q, policy, sx_buf_cstr(&secret), e);
    sx_wipe(secret.data, secret.len);
    return r;
}

static int authenticate(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_sig_request q = { .method = s->r->method, .path = s->r->path,
                                      .query = s->r->raw_query, .headers = s->r->headers,
                                      .n_headers = s->r->n_headers, .plus_is_space = true };

    if (s->t.op == SX_S3_OP_POST_OBJECT) {
        s->anonymous = true; /* until its form was read */
        return 0;
    }
    if (sx_sig_read(&q, &s->claim, e) != 0) {
        sx_s3_err_signature(&s->claim, e);
        return -1;
    }
    if (sx_s3_header(s, "x-amz-security-token") || sx_s3_arg(s, "X-Amz-Security-Token"))
        return sx_s3_fail(e, SX_S3_INVALID_TOKEN); /* there are no temporary credentials */
    return sx_s3_claim_verify(s, &q, NULL, e);
}

/* x-amz-expected-bucket-owner: a name here, as ListBuckets tells it. */
static int check_owner(const struct sx_s3 *s, struct sx_err *e)
{
    const char *owner = sx_s3_header(s, "x-amz-expected-bucket-owner");

    return owner && strcmp(owner, s->v.owner) != 0 ? sx_s3_fail(e, SX_S3_ACCESS_DENIED) : 0;
}

static int authorise(struct sx_s3 *s, struct sx_err *e)
{
    bool version = sx_s3_arg(s, "versionId") != NULL;

    if (!s->t.bucket || s->t.op == SX_S3_OP_CREATE_BUCKET)
        return s->anonymous ? sx_s3_fail(e, SX_S3_ACCESS_DENIED) : 0;
    if (sx_s3_bucket_open(s, e) != 0 || check_owner(s, e) != 0)
        return -1;
    if (s->t.op == SX_S3_OP_POST_OBJECT)
        return 0; /* by who its form says he is */
    return sx_s3_allowed(s, sx_s3_op_action(s->t.op, version), s->t.key, handlers[s->t.op].need, e);
}

/* What a browser asks before it sends a request, without anybody's key. */
static bool is_preflight(const struct sx_s3 *s)
{
    return handlers[s->t.op].fn == sx_s3_preflight;
}

static bool reads_body_first(sx_s3_handler *fn)
{
    for (size_t i = 0; i < sizeof body_first / sizeof *body_first; i++)
        if (body_first[i] == fn)
            return true;
    return false;
}

static int handle(struct sx_s3 *s, struct sx_err *e)
{
    sx_s3_handler *fn = handlers[s->t.op].fn;

    return !reads_body_first(fn) && sx_s3_await_body(s, e) != 0 ? -1 : fn(s, e);
}

/* A website makes nothing of a body: the pass without one serves it. */
static int serve_site(struct sx_s3 *s, struct sx_err *e)
{
    if (s->pass == SX_S3_PASS_ASK)
        return sx_s3_fail(e, SX_S3_UNEXPECTED_CONTENT);
    return sx_s3_sync(s, e) != 0 ? -1 : sx_s3_site_serve(s, e);
}

static int serve(struct sx_s3 *s, struct sx_err *e)
{
    if (sx_s3_site_asked(s))
        return serve_site(s, e);
    if (find_target(s, e) != 0 || sx_s3_sync(s, e) != 0)
        return -1;
    if (is_preflight(s))
        return sx_s3_preflight(s, e);
    if (sx_s3_cors_fields(s, e) != 0 || authenticate(s, e) != 0 || authorise(s, e) != 0)
        return -1;
    return handle(s, e);
}

/* ---- failure ---- */

static void log_failure(const struct sx_s3 *s, const struct sx_err *e, int status)
{
    enum sx_log_level level = status >= 500 ? SX_LOG_WARN
                              : status == 404 ? SX_LOG_DEBUG : SX_LOG_INFO;

    sx_log(level, "request %s %d %s %.8s %.200s user '%s': %s", s->r->id, status,
           sx_s3_err_name(e->code), s->r->method ? s->r->method : "?", s->r->uri ? s->r->uri : "?",
           s->r->user, e->msg);
}

static void reply_error(struct sx_s3 *s, const struct sx_err *e, int status)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    const struct sx_s3_err_extra extra[] = { { "BucketName", s->t.bucket }, { "Key", s->t.key },
                                             { NULL, NULL } };
    const struct sx_s3_err_place place = { .resource = s->r->path, .request_id = s->r->id,
                                           .host_id = s->r->app->conf->node_hex, .extra = extra };

    if (status == 304) {
        sx_s3_reply_empty(s, 304);
        return;
    }
    if (status == 503)
        sx_s3_field(s, "Retry-After: 1\r\n");
    if (s->site) {
        sx_s3_site_error(s, e, status);
        return;
    }
    sx_s3_err_xml(&out, e, &place);
    sx_s3_reply(s, status, SX_S3_XML, &out);
}

/* How a request ends that was not answered.  An ASK that refuses is not logged: REFUSE follows. */
static void fail(struct sx_s3 *s, struct sx_err *e)
{
    int status;

    if (s->pass == SX_S3_PASS_ASK) {
        sx_s3_reply_empty(s, s->body_awaited ? 204 : 403);
        return;
    }
    if (s->body_awaited)
        sx_err_set(e, SX_S3_SLOW_DOWN, "What made this request be refused has just changed. Try again.");
    status = sx_s3_err_http(e->code);
    log_failure(s, e, status);
    if (s->r->status == 0)
        reply_error(s, e, status);
    else
        sx_reply_cut(s->r);
}

static enum sx_s3_pass pass_of(const struct sx_req *r)
{
    const char *pass = sx_req_param(r, "SX_S3_PASS");

    if (!pass)
        return SX_S3_PASS_WHOLE;
    return strcmp(pass, "ask") == 0 ? SX_S3_PASS_ASK : SX_S3_PASS_REFUSE;
}

void sx_s3_refuse(struct sx_req *r, const struct sx_err *why)
{
    struct sx_s3 s = { .r = r, .pass = pass_of(r) };
    struct sx_err e = *why;

    fail(&s, &e);
    sx_buf_fini(&s.fields);
}

void sx_s3_serve(struct sx_req *r)
{
    struct sx_s3 s = { .r = r, .pass = pass_of(r) };
    struct sx_err e = SX_ERR_INIT;

    if (serve(&s, &e) != 0)
        fail(&s, &e);
    sx_s3_target_fini(&s.t);
    sx_s3_policy_free(s.policy);
    sx_payload_free(s.payload);
    sx_s3_customer_fini(&s.customer);
    sx_buf_fini(&s.fields);
    sx_buf_fini(&s.body);
}
