/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See route.h.
 */
#include "fcgi/api/route.h"

#include <string.h>

#include "fcgi/api/auth.h"
#include "fcgi/api/handlers.h"
#include "fcgi/api/reply.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define API "/.sx/v1"
#define NODE "/.node/v1"
#define JSON SX_JSON_BODY_MAX
#define MESSAGE SX_MESSAGE_REQUEST_MAX

static const struct sx_route client_routes[] = {
    { "GET", API "/ping", SX_WHO_ANYONE, SX_KIND_PLAIN, JSON, sx_h_ping },
    { "GET", API "/cluster", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_cluster },
    { "GET", API "/status", SX_WHO_ADMIN, SX_KIND_PLAIN, JSON, sx_h_status },
    { "GET", API "/space", SX_WHO_ADMIN, SX_KIND_PLAIN, JSON, sx_h_space },
    { "POST", API "/space", SX_WHO_ADMIN, SX_KIND_PLAIN, JSON, sx_h_space },
    { "POST", API "/tokens", SX_WHO_ADMIN, SX_KIND_WRITE, JSON, sx_h_token_create },
    { "POST", API "/join", SX_WHO_ANYONE, SX_KIND_PLAIN, JSON, sx_h_join },
    { "DELETE", API "/nodes/*", SX_WHO_ADMIN, SX_KIND_WRITE, JSON, sx_h_node_delete },

    { "GET", API "/volumes", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_volumes },
    { "PUT", API "/volumes/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_volume_create },
    { "GET", API "/volumes/*", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_volume_get },
    { "PATCH", API "/volumes/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_volume_modify },
    { "DELETE", API "/volumes/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_volume_delete },
    { "GET", API "/volumes/*/acl", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_acl_get },
    { "PUT", API "/volumes/*/acl", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_acl_change },

    { "GET", API "/self", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_self },
    { "GET", API "/users", SX_WHO_ADMIN, SX_KIND_READ, JSON, sx_h_users },
    { "PUT", API "/users/*", SX_WHO_ADMIN, SX_KIND_WRITE, JSON, sx_h_user_create },
    { "GET", API "/users/*", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_user_get },
    { "PATCH", API "/users/*", SX_WHO_ADMIN, SX_KIND_WRITE, JSON, sx_h_user_modify },
    { "DELETE", API "/users/*", SX_WHO_ADMIN, SX_KIND_WRITE, JSON, sx_h_user_delete },
    { "POST", API "/users/*/keys", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_key_create },
    { "DELETE", API "/users/*/keys/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_key_delete },

    { "GET", API "/list/*", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_list },
    { "GET", API "/files/*/**", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_file_get },
    { "PUT", API "/files/*/**", SX_WHO_USER, SX_KIND_WRITE, MESSAGE, sx_h_file_put },
    { "DELETE", API "/files/*/**", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_file_delete },
    { "POST", API "/files/*", SX_WHO_USER, SX_KIND_WRITE, MESSAGE, sx_h_files_put },
    { "POST", API "/files/*/get", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_files_get },
    { "GET", API "/revisions/*/**", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_revisions },
    { "POST", API "/copy", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_copy },
    { "POST", API "/rename", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_rename },
    { "POST", API "/uploads", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_upload_begin },
    { "PUT", API "/uploads/*/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_upload_part },
    { "DELETE", API "/uploads/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_upload_abort },

    { "POST", API "/have", SX_WHO_USER, SX_KIND_PLAIN, JSON, sx_h_have },
    { "POST", API "/blocks", SX_WHO_USER, SX_KIND_PLAIN, MESSAGE, sx_h_blocks_put },
    { "POST", API "/blocks/get", SX_WHO_USER, SX_KIND_PLAIN, JSON, sx_h_blocks_get },

    { "POST", API "/jobs", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_job_create },
    { "GET", API "/jobs", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_jobs },
    { "GET", API "/jobs/*", SX_WHO_USER, SX_KIND_READ, JSON, sx_h_job_get },
    { "DELETE", API "/jobs/*", SX_WHO_USER, SX_KIND_WRITE, JSON, sx_h_job_cancel },
    { NULL, NULL, SX_WHO_ANYONE, SX_KIND_PLAIN, 0, NULL },
};

static const struct sx_route node_routes[] = {
    { "POST", NODE "/have", SX_WHO_NODE, SX_KIND_PLAIN, JSON, sx_h_node_have },
    { "POST", NODE "/blocks", SX_WHO_NODE, SX_KIND_PLAIN, MESSAGE, sx_h_node_blocks_put },
    { "POST", NODE "/blocks/get", SX_WHO_NODE, SX_KIND_PLAIN, JSON, sx_h_node_blocks_get },
    { "GET", NODE "/status", SX_WHO_NODE, SX_KIND_PLAIN, JSON, sx_h_node_status },
    { "GET", NODE "/space", SX_WHO_NODE, SX_KIND_PLAIN, JSON, sx_h_node_space },
    { "POST", NODE "/space", SX_WHO_NODE, SX_KIND_PLAIN, JSON, sx_h_node_space },
    { NULL, NULL, SX_WHO_ANYONE, SX_KIND_PLAIN, 0, NULL },
};

static int no_such_route(const char *method, const char *path, const struct sx_buf *methods,
                         struct sx_err *e)
{
    if (methods->len > 0)
        return sx_err_set(e, SX_EMETHOD, "%.16s is not possible on %.128s; %s is", method, path,
                          (const char *)methods->data);
    return sx_err_set(e, SX_ENOTFOUND, "there is nothing at %.128s; the API is at " API, path);
}

int sx_route_find(const char *method, const char *path, bool reserved,
                  const struct sx_route **route, struct sx_err *e)
{
    const char *want = strcmp(method, "HEAD") == 0 ? "GET" : method;
    SX_AUTO(sx_buf) struct sx_buf methods = SX_BUF_INIT;

    for (const struct sx_route *p = reserved ? node_routes : client_routes; p->method; p++) {
        if (!sx_uri_match(p->pattern, path))
            continue;
        if (strcmp(p->method, want) == 0) {
            *route = p;
            return 0;
        }
        sx_buf_printf(&methods, "%s%s", methods.len ? ", " : "", p->method);
    }
    return no_such_route(method, path, &methods, e);
}

static int check_who(struct sx_req *r, struct sx_err *e)
{
    bool fresh = r->route->kind == SX_KIND_READ;

    if (r->route->who == SX_WHO_ANYONE)
        return 0;
    if (r->route->who == SX_WHO_NODE)
        return sx_auth_node(r, e);
    if (fresh && sx_meta_sync(r->app->meta, SX_META_GROUP_CLUSTER, SX_SYNC_TIMEOUT_MS, e) != 0)
        return -1;
    if (sx_auth_client(r, fresh, e) != 0)
        return -1;
    if (r->route->who == SX_WHO_ADMIN && r->role != SX_ROLE_ADMIN)
        return sx_err_set(e, SX_EACCESS, "user '%s' is not an administrator", r->user);
    return 0;
}

static int read_op(struct sx_req *r, struct sx_err *e)
{
    const char *op = sx_req_header(r, "x-sx-op");

    if (r->route->kind != SX_KIND_WRITE)
        return 0;
    if (!op)
        return sx_err_set(e, SX_EINVAL,
                          "the header X-Sx-Op is missing: a change needs "
                          "an operation id, 32 hex digits chosen at random");
    if (sx_unhex(r->op, sizeof r->op, op) != 0)
        return sx_err_set(e, SX_EINVAL, "X-Sx-Op is '%.40s', not 32 hex digits", op);
    return 0;
}

static int serve(struct sx_req *r, struct sx_err *e)
{
    if (sx_route_find(r->method, r->path, r->app->reserved, &r->route, e) != 0 ||
        sx_uri_args(r->route->pattern, r->path, &r->args, e) != 0 ||
        sx_query_parse(r->raw_query, &r->query, e) != 0 || check_who(r, e) != 0 ||
        read_op(r, e) != 0 || sx_req_read_body(r, r->route->body_max, e) != 0)
        return -1;
    return r->route->handler(r, e);
}

/* What the severity says decides how loud.  That something is not there is an answer like others:
 * clients ask before they write. */
void sx_route_note(const struct sx_req *r, const struct sx_err *e)
{
    static const enum sx_log_level levels[] = {
        [SX_SEVERITY_EXPECTED] = SX_LOG_INFO,  [SX_SEVERITY_STRANGE] = SX_LOG_WARN,
        [SX_SEVERITY_CORRUPT] = SX_LOG_ERROR, [SX_SEVERITY_ADMIN] = SX_LOG_ERROR,
        [SX_SEVERITY_BUG] = SX_LOG_ERROR,
    };
    static const char *const names[] = { "expected", "strange", "corrupt", "admin", "bug" };
    enum sx_err_severity s = sx_err_severity(e->code);
    int status = sx_err_http(e->code);

    sx_log(status == 404 ? SX_LOG_DEBUG : levels[s], "request %s %d %s (%s) %.8s %.200s user '%s': %s", r->id,
           status, sx_err_name(e->code), names[s], r->method ? r->method : "?",
           r->uri ? r->uri : "?", r->user, e->msg);
}

void sx_route_fail(struct sx_req *r, const struct sx_err *e)
{
    sx_route_note(r, e);
    if (r->status != 0)
        return;
    sx_reply_error(r, e);
}

void sx_route_serve(struct sx_req *r)
{
    struct sx_err e = SX_ERR_INIT;

    if (serve(r, &e) != 0)
        sx_route_fail(r, &e);
}
