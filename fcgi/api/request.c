/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See request.h.
 */
#include "fcgi/api/request.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define READ_PIECE (256u << 10)
#define DRAIN_MAX (SX_MESSAGE_REQUEST_MAX + (1u << 20))

const char *sx_req_param(const struct sx_req *r, const char *name)
{
    return FCGX_GetParam(name, r->fcgx->envp);
}

const char *sx_req_header(const struct sx_req *r, const char *name)
{
    for (unsigned i = 0; i < r->n_headers; i++)
        if (strcmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

static const char *skip_prefix(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* The header name that a FastCGI parameter stands for ("HTTP_X_SX_OP=…": "X_SX_OP"), its length
 * in *n; NULL if none. */
static const char *header_of(const char *param, size_t *n)
{
    const char *eq = strchr(param, '='), *name = skip_prefix(param, "HTTP_");

    if (!name || !eq || name >= eq || !eq[1])
        return NULL;
    *n = (size_t)(eq - name);
    return name;
}

static void add_header(struct sx_req *r, const char *name, size_t n)
{
    uint8_t *to = sx_buf_extend(&r->header_mem, n + 1);

    for (size_t i = 0; i < n; i++)
        to[i] = name[i] == '_' ? '-' : (uint8_t)tolower((unsigned char)name[i]);
    to[n] = '\0';
    r->headers[r->n_headers++].value = name + n + 1;
}

static int read_headers(struct sx_req *r, struct sx_err *e)
{
    const char *name;
    size_t n;

    for (char **p = r->fcgx->envp; *p; p++) {
        if (!(name = header_of(*p, &n)))
            continue;
        if (r->n_headers == SX_SIGV4_HEADERS_MAX)
            return sx_err_set(e, SX_EHEADER, "more than %d header fields", SX_SIGV4_HEADERS_MAX);
        add_header(r, name, n);
    }
    /* The buffer has its final place only now. */
    name = sx_buf_cstr(&r->header_mem);
    for (unsigned i = 0; i < r->n_headers; i++, name += strlen(name) + 1)
        r->headers[i].name = name;
    return 0;
}

static int read_length(struct sx_req *r, struct sx_err *e)
{
    const char *s = sx_req_param(r, "CONTENT_LENGTH");
    int64_t n = 0;

    r->content_length = -1;
    if (!s || !*s)
        return 0;
    if (strlen(s) > 18 || s[strspn(s, "0123456789")])
        return sx_err_set(e, SX_EMALFORMED, "Content-Length is '%.32s', not a number", s);
    for (; *s; s++)
        n = n * 10 + (*s - '0');
    r->content_length = n;
    return 0;
}

/* nginx's id of the request if it gives one, so that both logs name the same. */
static void choose_id(struct sx_req *r)
{
    uint8_t raw[SX_REQ_ID_TEXT / 2];
    const char *given = sx_req_param(r, "SX_REQUEST_ID");

    if (!given || sx_unhex(raw, sizeof raw, given) != 0)
        sx_random(raw, sizeof raw);
    sx_hex(r->id, raw, sizeof raw);
}

int sx_req_begin(struct sx_req *r, struct sx_app *app, FCGX_Request *fcgx, struct sx_err *e)
{
    const char *q;

    r->app = app;
    r->fcgx = fcgx;
    r->status = 0;
    r->node = 0;
    r->user[0] = '\0';
    r->role = SX_ROLE_NORMAL;
    r->route = NULL;
    r->n_headers = 0;
    r->body_done = false;
    r->body_read = 0;
    r->content_length = -1;
    sx_buf_reset(&r->header_mem);
    sx_buf_reset(&r->body);
    choose_id(r);
    r->method = sx_req_param(r, "REQUEST_METHOD");
    r->uri = sx_req_param(r, "REQUEST_URI");
    if (!r->method || !r->uri)
        return sx_err_set(e, SX_EBUG,
                          "REQUEST_METHOD or REQUEST_URI is missing: "
                          "check nginx's fastcgi_param lines");
    r->head = strcmp(r->method, "HEAD") == 0;
    if (r->uri[0] != '/')
        return sx_err_set(e, SX_EMALFORMED, "the request's target does not begin with '/'");
    q = strchr(r->uri, '?');
    r->path = q ? sx_strndup(r->uri, (size_t)(q - r->uri)) : sx_strdup(r->uri);
    r->raw_query = sx_strdup(q ? q + 1 : "");
    return read_headers(r, e) != 0 || read_length(r, e) != 0 ? -1 : 0;
}

void sx_req_end(struct sx_req *r)
{
    free(SX_STEAL(r->path));
    free(SX_STEAL(r->raw_query));
    sx_uri_args_fini(&r->args);
    sx_query_fini(&r->query);
}

int sx_req_read(struct sx_req *r, void *p, size_t n, size_t *got, struct sx_err *e)
{
    int now = FCGX_GetStr(p, (int)n, r->fcgx->in);

    r->body_read += now > 0 ? (uint64_t)now : 0;
    if (now < 0 || FCGX_GetError(r->fcgx->in) != 0)
        return sx_err_set(e, SX_EMALFORMED,
                          "the connection was cut within the request's body, after %llu bytes",
                          (unsigned long long)r->body_read);
    r->body_done = now == 0;
    *got = (size_t)now;
    return 0;
}

/* One piece into the buffer; *got 0 means the end. */
static int read_piece(struct sx_req *r, size_t want, size_t *got, struct sx_err *e)
{
    if (sx_req_read(r, sx_buf_reserve(&r->body, want), want, got, e) != 0)
        return -1;
    sx_buf_extend(&r->body, *got);
    return 0;
}

static int check_hash(const struct sx_req *r, struct sx_err *e)
{
    const char *want = sx_req_header(r, "x-amz-content-sha256");
    uint8_t claimed[SX_SHA256], sum[SX_SHA256];

    if (!want || strcmp(want, SX_UNSIGNED_PAYLOAD) == 0)
        return 0;
    sx_sha256(sum, r->body.data, r->body.len);
    if (sx_unhex(claimed, sizeof claimed, want) != 0 || !sx_mem_equal(claimed, sum, sizeof sum))
        return sx_err_set(e, SX_EAUTH,
                          "the body (%zu bytes) does not have the SHA-256 "
                          "that x-amz-content-sha256 says",
                          r->body.len);
    return 0;
}

int sx_req_read_body(struct sx_req *r, size_t max, struct sx_err *e)
{
    size_t got = 1;

    if (r->content_length > (int64_t)max)
        return sx_err_set(e, SX_ETOOBIG, "the body has %lld bytes; at most %zu are allowed here",
                          (long long)r->content_length, max);
    while (got > 0 && r->body.len <= max) {
        size_t left = max + 1 - r->body.len;

        if (read_piece(r, left < READ_PIECE ? left : READ_PIECE, &got, e) != 0)
            return -1;
    }
    if (r->body.len > max)
        return sx_err_set(e, SX_ETOOBIG, "the body has more than %zu bytes", max);
    r->body_done = true;
    if (r->content_length >= 0 && (size_t)r->content_length != r->body.len)
        return sx_err_set(e, SX_EMALFORMED, "the body has %zu bytes, Content-Length says %lld",
                          r->body.len, (long long)r->content_length);
    return check_hash(r, e);
}

void sx_req_drain(struct sx_req *r)
{
    char scratch[8192];
    size_t total = 0;
    int n = 1;

    while (!r->body_done && n > 0 && total < DRAIN_MAX) {
        n = FCGX_GetStr(scratch, sizeof scratch, r->fcgx->in);
        total += n > 0 ? (size_t)n : 0;
    }
}

int sx_req_json(struct sx_req *r, json_t **j, struct sx_err *e)
{
    *j = r->body.len == 0 ? json_object() : sx_json_parse(r->body.data, r->body.len, e);
    return *j ? 0 : sx_err_wrap(e, "request body");
}

int sx_req_message(struct sx_req *r, struct sx_message *m, struct sx_err *e)
{
    return sx_message_parse(m, r->body.data, r->body.len, e) != 0 ? sx_err_wrap(e, "request body") :
        0;
}

int sx_req_members(const json_t *j, const char *const *names, struct sx_err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        const char *const *p = names;

        while (*p && strcmp(*p, key) != 0)
            p++;
        if (!*p)
            return sx_err_set(e, SX_EINVAL, "unknown member '%.64s'", key);
    }
    return 0;
}
