/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See s3.h: answers.
 */
#include <stdarg.h>
#include <string.h>

#include "fcgi/s3/s3.h"

void sx_s3_field(struct sx_s3 *s, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    sx_buf_vprintf(&s->fields, format, ap);
    va_end(ap);
}

void sx_s3_fields_back(struct sx_s3 *s, size_t mark)
{
    s->fields.len = mark;
}

static void send_head(struct sx_s3 *s, int status)
{
    sx_s3_field(s, "x-amz-request-id: %s\r\nx-amz-id-2: %s\r\nServer: SX\r\n", s->r->id,
                s->r->app->conf->node_hex);
    sx_reply_head(s->r, status, sx_buf_cstr(&s->fields));
}

int sx_s3_reply_empty(struct sx_s3 *s, int status)
{
    if (status != 204 && status != 304)
        sx_s3_field(s, "Content-Length: 0\r\n");
    send_head(s, status);
    return 0;
}

void sx_s3_reply_head(struct sx_s3 *s, int status, uint64_t length)
{
    sx_s3_field(s, "Content-Length: %llu\r\n", (unsigned long long)length);
    send_head(s, status);
}

void sx_s3_reply_head_open(struct sx_s3 *s, int status, const char *type)
{
    /* nginx is to pass each byte on at once (sxhttpd/nginx.conf.in). */
    sx_s3_field(s, "Content-Type: %s\r\nX-Accel-Buffering: no\r\n", type);
    send_head(s, status);
}

int sx_s3_reply(struct sx_s3 *s, int status, const char *type, const struct sx_buf *body)
{
    sx_s3_field(s, "Content-Type: %s\r\n", type);
    sx_s3_reply_head(s, status, body->len);
    sx_reply_write(s->r, body->data, body->len);
    return 0;
}
