/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See buf.h.
 */
#include "libsx/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/err.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

void sx_buf_fini(struct sx_buf *b)
{
    free(b->data);
    *b = (struct sx_buf)SX_BUF_INIT;
}

void sx_buf_reset(struct sx_buf *b)
{
    b->len = 0;
}

uint8_t *sx_buf_reserve(struct sx_buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : 64;

    sx_assert(n < SIZE_MAX / 4 && b->len < SIZE_MAX / 4);
    if (b->len + n + 1 > b->cap) {
        while (cap < b->len + n + 1)
            cap *= 2;
        b->data = sx_realloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

uint8_t *sx_buf_extend(struct sx_buf *b, size_t n)
{
    uint8_t *p = sx_buf_reserve(b, n);

    b->len += n;
    b->data[b->len] = 0;
    return p;
}

void sx_buf_add(struct sx_buf *b, const void *p, size_t n)
{
    if (n)
        memcpy(sx_buf_extend(b, n), p, n);
}

void sx_buf_str(struct sx_buf *b, const char *s)
{
    sx_buf_add(b, s, strlen(s));
}

void sx_buf_vprintf(struct sx_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    sx_assert(n >= 0);
    sx_buf_reserve(b, (size_t)n);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
    va_end(again);
    b->len += (size_t)n;
}

void sx_buf_printf(struct sx_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    sx_buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void sx_buf_consume(struct sx_buf *b, size_t n)
{
    sx_assert(n <= b->len);
    b->len -= n;
    if (b->len)
        memmove(b->data, b->data + n, b->len);
}

const char *sx_buf_cstr(struct sx_buf *b)
{
    sx_buf_reserve(b, 0);
    b->data[b->len] = 0;
    return (const char *)b->data;
}

void sx_buf_u8(struct sx_buf *b, uint8_t v)
{
    sx_buf_add(b, &v, 1);
}

void sx_buf_u16(struct sx_buf *b, uint16_t v)
{
    sx_put_u16(sx_buf_extend(b, 2), v);
}

void sx_buf_u32(struct sx_buf *b, uint32_t v)
{
    sx_put_u32(sx_buf_extend(b, 4), v);
}

void sx_buf_u64(struct sx_buf *b, uint64_t v)
{
    sx_put_u64(sx_buf_extend(b, 8), v);
}

void sx_buf_bytes(struct sx_buf *b, const void *p, size_t n)
{
    sx_assert(n <= UINT32_MAX);
    sx_buf_u32(b, (uint32_t)n);
    sx_buf_add(b, p, n);
}

void sx_buf_string(struct sx_buf *b, const char *s)
{
    sx_buf_bytes(b, s, strlen(s));
}
