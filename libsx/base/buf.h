/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A growable run of bytes.  `data[len]` is always a NUL once something was added, so
 * text can be read as a string.  SX_BUF_INIT needs no memory.  One owner, no locking.
 */
#ifndef SX_BASE_BUF_H
#define SX_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct sx_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

#define SX_BUF_INIT { NULL, 0, 0 }

void sx_buf_fini(struct sx_buf *b); /* frees; the buffer is then empty and usable again */
void sx_buf_reset(struct sx_buf *b); /* length 0, memory kept */

/* Makes room for n more bytes and returns where they go; the length is unchanged. */
uint8_t *sx_buf_reserve(struct sx_buf *b, size_t n);
/* Adds n uninitialised bytes and returns their place. */
uint8_t *sx_buf_extend(struct sx_buf *b, size_t n);
void sx_buf_add(struct sx_buf *b, const void *p, size_t n);
void sx_buf_str(struct sx_buf *b, const char *s);
void sx_buf_printf(struct sx_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Removes n bytes at the front. */
/* The same with the arguments in a list. */
void sx_buf_vprintf(struct sx_buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
void sx_buf_consume(struct sx_buf *b, size_t n);
/* The text (never NULL). */
const char *sx_buf_cstr(struct sx_buf *b);

/* Fixed-size integers, little endian, as in all formats of SX. */
void sx_buf_u8(struct sx_buf *b, uint8_t v);
void sx_buf_u16(struct sx_buf *b, uint16_t v);
void sx_buf_u32(struct sx_buf *b, uint32_t v);
void sx_buf_u64(struct sx_buf *b, uint64_t v);
/* u32 length, then the bytes. */
void sx_buf_bytes(struct sx_buf *b, const void *p, size_t n);
void sx_buf_string(struct sx_buf *b, const char *s);

#endif
