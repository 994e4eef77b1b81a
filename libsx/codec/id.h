/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The name of a block: HMAC-SHA-256 of its plain bytes under the id key of its domain.
 */
#ifndef SX_CODEC_ID_H
#define SX_CODEC_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SX_ID_SIZE 32

struct sx_id {
    uint8_t b[SX_ID_SIZE];
};

static inline int sx_id_cmp(const struct sx_id *a, const struct sx_id *b)
{
    return memcmp(a->b, b->b, SX_ID_SIZE);
}

/* The id behind another; false behind the last. */
static inline bool sx_id_next(struct sx_id *id)
{
    for (int i = SX_ID_SIZE - 1; i >= 0; i--)
        if (++id->b[i])
            return true;
    return false;
}

/* The placement partition of an id: its first 12 bits. */
#define SX_PARTITIONS 4096u

static inline unsigned sx_id_partition(const struct sx_id *id)
{
    return (unsigned)id->b[0] << 4 | id->b[1] >> 4;
}

/* A finer part of the id space: the first 16 bits. */
#define SX_ID_PREFIXES 65536u

static inline unsigned sx_id_prefix(const uint8_t id[SX_ID_SIZE])
{
    return (unsigned)id[0] << 8 | id[1];
}

#endif
