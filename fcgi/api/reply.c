/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See reply.h.  The library's output stream copies everything through 8 KiB; a large body
 * therefore goes straight to the request's socket, as FastCGI STDOUT records (FastCGI 1.0,
 * section 3.3) written with writev().
 */
#include "fcgi/api/reply.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fcgi/api/route.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

/* largest multiple of 8 below 64 KiB, so no padding but in the last */
#define RECORD_CONTENT 65528u
#define DIRECT_MIN 32768u     /* smaller pieces go through the stream */
#define FCGI_VERSION_1 1
#define FCGI_TYPE_STDOUT 6
#define RETRY_AFTER_S 1

const char *sx_reply_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 416, "Range Not Satisfiable" },
        { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 507, "Insufficient Storage" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Error";
}

void sx_reply_head(struct sx_req *r, int status, const char *fields)
{
    FCGX_Stream *out = r->fcgx->out;

    sx_assert(r->status == 0);
    r->status = status;
    FCGX_FPrintF(out, "Status: %d %s\r\n", status, sx_reply_reason(status));
    FCGX_PutS(fields, out);
    FCGX_PutS("\r\n", out);
}

void sx_reply_begin(struct sx_req *r, int status, const char *type, int64_t length)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_buf_printf(&b, "Content-Type: %s\r\nX-Sx-Request: %s\r\nCache-Control: no-store\r\n", type,
                  r->id);
    if (status == 429 || status == 503 || status == 504)
        sx_buf_printf(&b, "Retry-After: %d\r\n", RETRY_AFTER_S);
    if (length >= 0)
        sx_buf_printf(&b, "Content-Length: %lld\r\n", (long long)length);
    sx_reply_head(r, status, sx_buf_cstr(&b));
}

static int write_all(int fd, struct iovec *iov, int count)
{
    while (count > 0) {
        ssize_t n = writev(fd, iov, count);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int write_direct(struct sx_req *r, const uint8_t *p, size_t n)
{
    static const uint8_t zeros[8];

    while (n > 0) {
        size_t now = n < RECORD_CONTENT ? n : RECORD_CONTENT, pad = (8 - now % 8) % 8;
        uint8_t h[8] = {
            FCGI_VERSION_1, FCGI_TYPE_STDOUT, (uint8_t)(r->fcgx->requestId >> 8),
              (uint8_t)r->fcgx->requestId, (uint8_t)(now >> 8), (uint8_t)now, (uint8_t)pad, 0 };
        struct iovec iov[3] = { { h, sizeof h },
                                { (void *)(uintptr_t)p, now },
                                { (void *)(uintptr_t)zeros, pad } };

        if (write_all(r->fcgx->ipcFd, iov, 3) != 0)
            return -1;
        p += now;
        n -= now;
    }
    return 0;
}

void sx_reply_write(struct sx_req *r, const void *p, size_t n)
{
    FCGX_Stream *out = r->fcgx->out;

    if (r->head || n == 0 || FCGX_GetError(out))
        return;
    if (n < DIRECT_MIN) {
        FCGX_PutStr(p, (int)n, out);
        return;
    }
    if (FCGX_FFlush(out) == 0 && write_direct(r, p, n) != 0)
        sx_debug("request %s: the client went away: %s", r->id, strerror(errno));
}

void sx_reply_flush(struct sx_req *r)
{
    if (!FCGX_GetError(r->fcgx->out) && FCGX_FFlush(r->fcgx->out) != 0)
        sx_debug("request %s: the client went away: %s", r->id, strerror(errno));
}

/* nginx takes the plain end of a FastCGI connection for the end of the body: it would end a chunked body
 * properly, and keep the connection of one whose length was told, until the client gives up.  At a record of
 * no version (FastCGI 1.0, section 3.3) it closes the client's connection. */
void sx_reply_cut(struct sx_req *r)
{
    static const uint8_t no_record[8];
    struct iovec iov = { (void *)(uintptr_t)no_record, sizeof no_record };

    sx_reply_flush(r);
    if (write_all(r->fcgx->ipcFd, &iov, 1) != 0)
        sx_debug("request %s: the client went away: %s", r->id, strerror(errno));
    shutdown(r->fcgx->ipcFd, SHUT_RDWR);
}

int sx_reply_json(struct sx_req *r, int status, json_t *j)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_json_dump(&b, j);
    json_decref(j);
    sx_reply_begin(r, status, SX_TYPE_JSON, (int64_t)b.len);
    sx_reply_write(r, b.data, b.len);
    return 0;
}

int sx_reply_message(struct sx_req *r, int status, json_t *j, const struct sx_part *parts,
                     unsigned n_parts)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    size_t total;
    struct sx_err e = SX_ERR_INIT;

    if (sx_message_head(&b, j, &e) != 0) {
        json_decref(j);
        sx_route_fail(r, &e);
        return 0;
    }
    json_decref(j);
    total = b.len;
    for (unsigned i = 0; i < n_parts; i++)
        total += parts[i].n;
    sx_reply_begin(r, status, SX_TYPE_MESSAGE, (int64_t)total);
    sx_reply_write(r, b.data, b.len);
    for (unsigned i = 0; i < n_parts; i++)
        sx_reply_write(r, parts[i].p, parts[i].n);
    return 0;
}

/* Messages of these name files and statements of the server. */
static bool is_internal(int code)
{
    switch (code) {
    case SX_EBUG:
    case SX_EIO:
    case SX_ENOMEM:
    case SX_ECONFIG:
    case SX_ECORRUPT:
    case SX_ENOSPACE:
        return true;
    default:
        return false;
    }
}

json_t *sx_reply_error_json(struct sx_req *r, const struct sx_err *e)
{
    struct sx_err shown = SX_ERR_INIT;
    json_t *j;

    if (is_internal(e->code))
        sx_err_set(&shown, e->code, "%s on node %s; its log tells more under request %s",
                   sx_err_text(e->code), r->app->conf->node_hex, r->id);
    else
        sx_err_copy(&shown, e);
    /* A message with a broken name in it is no valid JSON text. */
    j = json_pack("{s:s,s:s,s:s}", "code", sx_err_name(shown.code), "message", shown.msg,
                  "request", r->id);
    return j ? j : json_pack("{s:s,s:s,s:s}", "code", sx_err_name(shown.code), "message",
                             sx_err_text(shown.code), "request", r->id);
}

void sx_reply_error(struct sx_req *r, const struct sx_err *e)
{
    sx_reply_json(r, sx_err_http(e->code), json_pack("{s:o}", "error", sx_reply_error_json(r, e)));
}
