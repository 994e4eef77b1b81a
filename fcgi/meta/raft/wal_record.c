/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Records and segment headers, byte by byte in docs/formats.md.
 */
#include <string.h>

#include "fcgi/meta/raft/wal_int.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"

#define MAGIC "SXW1"
#define VERSION 1u
#define INDEX_MAX (UINT64_MAX >> 1) /* leaves room for additions that cannot overflow */
#define HEADER 24u /* bytes of a segment header before the CRC */

/* The offset is part of what is summed up, so a record is good in one place only. */
static uint32_t record_crc(const uint8_t *p, uint32_t len, uint32_t offset)
{
    uint8_t o[4];

    sx_put_u32(o, offset);
    return sx_crc32c(sx_crc32c(0, o, sizeof o), p + 4, SX_WAL_RECORD - 4 + len);
}

void sx_wal_record_encode(struct sx_buf *out, const struct sx_wal_record *r, uint32_t offset)
{
    size_t start = out->len;
    uint8_t *p = sx_buf_extend(out, sx_wal_record_size(r->len));

    memset(p, 0, sx_wal_record_size(r->len));
    sx_put_u32(p + 4, r->len);
    p[8] = r->type;
    sx_put_u32(p + 12, r->group);
    sx_put_u64(p + 16, r->index);
    sx_put_u64(p + 24, r->term);
    sx_put_u32(p + SX_WAL_AT_GENERATION, r->generation);
    sx_put_u32(p + 36, r->batch);
    if (r->len)
        memcpy(p + SX_WAL_RECORD, r->data, r->len);
    sx_put_u32(out->data + start, record_crc(p, r->len, offset));
}

static bool known_type(uint8_t type)
{
    return (type >= SX_ENTRY_COMMAND && type <= SX_ENTRY_CHANGE) ||
           (type >= SX_WAL_CUT && type <= SX_WAL_END);
}

bool sx_wal_record_decode(struct sx_wal_record *r, const uint8_t *p, size_t n, uint32_t offset)
{
    if (n < SX_WAL_RECORD)
        return false;
    *r = (struct sx_wal_record){ .len = sx_get_u32(p + 4),
                                 .type = p[8],
                                 .group = sx_get_u32(p + 12),
                                 .index = sx_get_u64(p + 16),
                                 .term = sx_get_u64(p + 24),
                                 .generation = sx_get_u32(p + SX_WAL_AT_GENERATION),
                                 .batch = sx_get_u32(p + 36),
                                 .data = p + SX_WAL_RECORD };
    if (r->len > SX_LOG_ENTRY_MAX || sx_wal_record_size(r->len) > n ||
        !known_type(r->type) || r->index > INDEX_MAX || r->batch < SX_WAL_BLOCK ||
        r->batch > offset)
        return false;
    return sx_get_u32(p) == record_crc(p, r->len, offset);
}

void sx_wal_header_encode(uint8_t block[SX_WAL_BLOCK], uint32_t segment_bytes, uint64_t generation)
{
    memset(block, 0, SX_WAL_BLOCK);
    memcpy(block, MAGIC, 4);
    sx_put_u32(block + 4, VERSION);
    sx_put_u32(block + 8, segment_bytes);
    sx_put_u64(block + 16, generation);
    sx_put_u32(block + HEADER, sx_crc32c(0, block, HEADER));
}

bool sx_wal_header_decode(const uint8_t block[SX_WAL_BLOCK], uint32_t *segment_bytes,
                          uint64_t *generation)
{
    if (memcmp(block, MAGIC, 4) != 0 || sx_get_u32(block + 4) != VERSION ||
        sx_get_u32(block + HEADER) != sx_crc32c(0, block, HEADER))
        return false;
    *segment_bytes = sx_get_u32(block + 8);
    *generation = sx_get_u64(block + 16);
    return true;
}

const char *sx_wal_name(char out[SX_WAL_NAME_MAX], unsigned slot)
{
    snprintf(out, SX_WAL_NAME_MAX, "wal-%04u", slot);
    return out;
}
