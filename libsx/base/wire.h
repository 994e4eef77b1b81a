/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Little-endian integers in byte arrays, and a cursor that reads a message without
 * ever passing its end: after the first short read `bad` stays set, every
 * further read gives 0 or NULL, and the caller checks once at the end.
 */
#ifndef SX_BASE_WIRE_H
#define SX_BASE_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void sx_put_u16(void *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline void sx_put_u32(void *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void sx_put_u64(void *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint16_t sx_get_u16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static inline uint32_t sx_get_u32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t sx_get_u64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

struct sx_cur {
    const uint8_t *p;
    size_t left;
    bool bad;
};

static inline struct sx_cur sx_cur_of(const void *p, size_t n)
{
    return (struct sx_cur){ p, n, false };
}

/* The next n bytes, in place; NULL (and bad) if there are fewer. */
static inline const uint8_t *sx_cur_take(struct sx_cur *c, size_t n)
{
    const uint8_t *p = c->p;

    if (c->bad || n > c->left) {
        c->bad = true;
        return NULL;
    }
    c->p += n;
    c->left -= n;
    return p;
}

static inline uint8_t sx_cur_u8(struct sx_cur *c)
{
    const uint8_t *p = sx_cur_take(c, 1);

    return p ? *p : 0;
}

static inline uint16_t sx_cur_u16(struct sx_cur *c)
{
    const uint8_t *p = sx_cur_take(c, 2);

    return p ? sx_get_u16(p) : 0;
}

static inline uint32_t sx_cur_u32(struct sx_cur *c)
{
    const uint8_t *p = sx_cur_take(c, 4);

    return p ? sx_get_u32(p) : 0;
}

static inline uint64_t sx_cur_u64(struct sx_cur *c)
{
    const uint8_t *p = sx_cur_take(c, 8);

    return p ? sx_get_u64(p) : 0;
}

/* A u32 length and that many bytes, in place. */
static inline const uint8_t *sx_cur_bytes(struct sx_cur *c, size_t *n)
{
    uint32_t len = sx_cur_u32(c);
    const uint8_t *p = sx_cur_take(c, len);

    *n = p ? len : 0;
    return p;
}

/* Copies n bytes, or zeroes the destination if there are fewer. */
static inline void sx_cur_copy(struct sx_cur *c, void *to, size_t n)
{
    const uint8_t *p = sx_cur_take(c, n);

    if (p)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}

/* True if everything was read and nothing was short. */
static inline bool sx_cur_done(const struct sx_cur *c)
{
    return !c->bad && c->left == 0;
}

#endif
