/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See site.h.  As AWS's website endpoint: whoever asks is nobody, the query says nothing, and
 * in this order
 *
 *   RedirectAllRequestsTo, a routing rule without an error code    redirect
 *   the object, or the index document of what ends in '/'          answer, or the 301 that it holds
 *   KEY is not there, but KEY/ has an index document               302 to KEY/
 *   a routing rule with the error's code                           redirect
 *   the error document, with the error's status                    answer
 *   a page of our own
 */
#include "fcgi/s3/site.h"

#include <string.h>

#include "fcgi/s3/config.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object.h"
#include "fcgi/s3/website.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

bool sx_s3_site_asked(struct sx_s3 *s)
{
    const struct sx_node_conf *conf = s->r->app->conf;
    const char *host = sx_s3_header(s, "host");
    size_t website, api;
    SX_AUTO_FREE char *other = NULL;

    if (!host || !conf->s3_website_domains)
        return false;
    s->t.bucket = sx_s3_host_bucket(host, (const char *const *)conf->s3_website_domains, &website);
    other = sx_s3_host_bucket(host, (const char *const *)conf->s3_domains, &api);
    s->site = s->t.bucket && api <= website;
    if (!s->site) {
        free(s->t.bucket);
        s->t.bucket = NULL;
    }
    return s->site;
}

/* ---- pieces ---- */

static int redirect(struct sx_s3 *s, int status, const struct sx_buf *location)
{
    sx_s3_field(s, "Location: %.*s\r\n", (int)location->len, (const char *)location->data);
    return sx_s3_reply_empty(s, status);
}

static void ask_for(struct sx_s3 *s, const char *key)
{
    free(s->t.key);
    s->t.key = sx_strdup(key);
}

/* The object of s->t.key, if anybody may read it. */
static int find(struct sx_s3 *s, struct sx_file_row *row, struct sx_err *e)
{
    return sx_s3_allowed(s, "s3:GetObject", s->t.key, SX_RIGHT_READ, e) != 0 ||
                   sx_s3_find_object(s, row, e) != 0 ? -1 : 0;
}

/* The object of s->t.key, or where its x-amz-website-redirect-location sends. */
static int serve_object(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO(sx_buf) struct sx_buf location = SX_BUF_INIT;
    SX_AUTO_JSON json_t *items = NULL;
    const char *to;

    if (find(s, &row, e) != 0)
        return -1;
    items = sx_s3_items(&row.f);
    to = sx_s3_item(items, "s3.redirect");
    if (!to)
        return sx_s3_get_object(s, e);
    sx_s3_website_url(&location, to);
    return redirect(s, 301, &location);
}

/* Whether there is no object of that key, may it be read or not. */
static bool absent(struct sx_s3 *s, const char *key)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_err why = SX_ERR_INIT;

    return sx_s3_find(s, &s->v, key, NULL, &row, &why) != 0 || row.f.marker;
}

/* "dir" is not there, "dir/index.html" is: 1 and the redirect was sent, or 0. */
static int redirect_to_folder(struct sx_s3 *s, const struct sx_xml_node *top, const char *key)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO(sx_buf) struct sx_buf index = SX_BUF_INIT, location = SX_BUF_INIT;
    SX_AUTO_FREE char *folder = sx_asprintf("%s/", key);
    size_t mark = s->fields.len, n = strlen(key);
    struct sx_err why = SX_ERR_INIT;

    if (n == 0 || key[n - 1] == '/' || !absent(s, key))
        return 0;
    sx_s3_website_key(top, folder, &index);
    ask_for(s, sx_buf_cstr(&index));
    if (find(s, &row, &why) != 0) {
        sx_s3_fields_back(s, mark);
        return 0;
    }
    sx_buf_str(&location, "/");
    sx_pct_encode(&location, folder, strlen(folder), true);
    redirect(s, 302, &location);
    return 1;
}

/* ---- errors ---- */

static void error_fields(struct sx_s3 *s, const struct sx_err *e)
{
    sx_s3_field(s, "x-amz-error-code: %s\r\nx-amz-error-message: %s\r\n", sx_s3_err_name(e->code),
                sx_s3_err_text(e->code));
}

/* The error document with the status of the error; -1 if there is none that anybody may read. */
static int serve_error_document(struct sx_s3 *s, const struct sx_xml_node *top,
                                const struct sx_err *why, int status)
{
    const struct sx_xml_node *error = sx_xml_child(top, "ErrorDocument");
    struct sx_err e = SX_ERR_INIT;
    size_t mark = s->fields.len;

    if (!error || status >= 500)
        return -1;
    ask_for(s, sx_xml_get(error, "Key"));
    error_fields(s, why);
    if (sx_s3_allowed(s, "s3:GetObject", s->t.key, SX_RIGHT_READ, &e) == 0 &&
        sx_s3_get_as(s, status, &e) == 0)
        return 0;
    sx_info("request %s: the error document '%.200s' of '%s' cannot be served: %s", s->r->id, s->t.key,
            s->t.bucket, e.msg);
    if (s->r->status == 0)
        sx_s3_fields_back(s, mark);
    return -1;
}

/* What is answered instead of the error; -1: nothing, the error stays. */
static int instead(struct sx_s3 *s, const struct sx_xml_node *top,
                   struct sx_s3_website_question *q, const struct sx_err *why)
{
    SX_AUTO(sx_buf) struct sx_buf location = SX_BUF_INIT;
    int status;

    q->error = sx_s3_err_http(why->code);
    if ((q->error == 403 || q->error == 404) && redirect_to_folder(s, top, q->key))
        return 0;
    status = sx_s3_website_redirect(top, q, &location);
    if (status)
        return redirect(s, status, &location);
    return serve_error_document(s, top, why, q->error);
}

static void add_item(struct sx_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    sx_buf_printf(out, "<li>%s: ", name);
    sx_xml_text_add(out, value, strlen(value));
    sx_buf_str(out, "</li>\n");
}

void sx_s3_site_error(struct sx_s3 *s, const struct sx_err *e, int status)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    const char *reason = sx_reply_reason(status);
    bool internal = sx_s3_err_internal(e->code) || !e->msg[0];

    sx_buf_printf(&out, "<!DOCTYPE html>\n<html>\n<head><title>%d %s</title></head>\n<body>\n"
                  "<h1>%d %s</h1>\n<ul>\n", status, reason, status, reason);
    add_item(&out, "Code", sx_s3_err_name(e->code));
    add_item(&out, "Message", internal ? sx_s3_err_text(e->code) : e->msg);
    add_item(&out, "BucketName", s->t.bucket);
    add_item(&out, "Key", s->t.key);
    add_item(&out, "RequestId", s->r->id);
    add_item(&out, "HostId", s->r->app->conf->node_hex);
    sx_buf_str(&out, "</ul>\n</body>\n</html>\n");
    error_fields(s, e);
    sx_s3_reply(s, status, "text/html; charset=utf-8", &out);
}

/* ---- the request ---- */

/* The page of the key, or what its absence leads to. */
static int serve_key(struct sx_s3 *s, const struct sx_xml_node *top,
                     struct sx_s3_website_question *q, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    size_t mark = s->fields.len;

    sx_s3_website_key(top, q->key, &key);
    ask_for(s, sx_buf_cstr(&key));
    if (serve_object(s, e) == 0)
        return 0;
    if (s->r->status != 0 || e->code == SX_S3_NOT_MODIFIED)
        return -1;
    if (e->code != SX_S3_INVALID_RANGE) /* whose Content-Range tells the size of what was asked for */
        sx_s3_fields_back(s, mark);
    if (instead(s, top, q, e) == 0)
        return 0;
    ask_for(s, sx_buf_cstr(&key));
    return -1;
}

static int open_site(struct sx_s3 *s, struct sx_xml **doc, struct sx_err *e)
{
    int there;

    if (sx_s3_bucket_open(s, e) != 0 || sx_s3_cors_fields(s, e) != 0)
        return -1;
    there = sx_s3_config_xml(s, s->v.id, SX_S3_DOC_WEBSITE, doc, e);
    return there == 0 ? sx_s3_fail(e, SX_S3_NO_SUCH_WEBSITE) : there < 0 ? -1 : 0;
}

int sx_s3_site_serve(struct sx_s3 *s, struct sx_err *e)
{
    const char *path = s->r->path;
    struct sx_s3_website_question q = { .scheme = sx_s3_is_secure(s) ? "https" : "http",
                                        .host = sx_s3_header(s, "host"),
                                        .path = path, .query = s->r->raw_query };
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT, location = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    int status;

    s->anonymous = true;
    s->t.op = s->r->head ? SX_S3_OP_HEAD_OBJECT : SX_S3_OP_GET_OBJECT;
    if (!s->r->head && strcmp(s->r->method, "GET") != 0) {
        sx_s3_field(s, "Allow: GET, HEAD\r\n");
        return sx_s3_fail(e, SX_S3_METHOD_NOT_ALLOWED);
    }
    if (*path++ != '/' || (*path && sx_s3_key_decode(&key, path, strlen(path), e) != 0))
        return sx_s3_fail(e, SX_S3_INVALID_URI);
    if (open_site(s, &doc, e) != 0)
        return -1;
    q.key = sx_buf_cstr(&key);
    status = sx_s3_website_redirect(sx_xml_top(doc), &q, &location);
    return status ? redirect(s, status, &location) : serve_key(s, sx_xml_top(doc), &q, e);
}
