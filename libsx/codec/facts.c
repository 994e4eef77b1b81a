/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See facts.h.
 */
#include "libsx/codec/facts.h"

#define AT_SIZE 8
#define AT_MTIME 16
#define AT_MODE 24
#define AT_ETAG 28
#define AT_CREATED 44
#define AT_ENTRIES 52
#define AT_RECORDS 56

void sx_facts_put(uint8_t to[SX_FACTS_SIZE], const struct sx_facts *f)
{
    sx_put_u64(to, f->rev);
    sx_put_u64(to + AT_SIZE, f->size);
    sx_put_u64(to + AT_MTIME, (uint64_t)f->mtime_ns);
    sx_put_u32(to + AT_MODE, f->mode);
    memcpy(to + AT_ETAG, f->etag, SX_FACTS_ETAG);
    sx_put_u64(to + AT_CREATED, f->created_ms);
    sx_put_u32(to + AT_ENTRIES, f->entries);
    sx_put_u32(to + AT_RECORDS, f->records);
}

void sx_facts_get(struct sx_cur *c, struct sx_facts *f)
{
    f->rev = sx_cur_u64(c);
    f->size = sx_cur_u64(c);
    f->mtime_ns = (int64_t)sx_cur_u64(c);
    f->mode = sx_cur_u32(c);
    sx_cur_copy(c, f->etag, SX_FACTS_ETAG);
    f->created_ms = sx_cur_u64(c);
    f->entries = sx_cur_u32(c);
    f->records = sx_cur_u32(c);
}
