/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is known of a file, in the answers that tell of many (docs/api.md section 5): there JSON would cost
 * more than all else, for both sides.
 *
 *   offset size
 *        0    8  revision
 *        8    8  size
 *       16    8  mtime, ns since 1970, signed
 *       24    4  mode
 *       28   16  etag
 *       44    8  when this revision was made, ms since 1970
 *       52    4  entries of the block list: in a listing all, else those that follow
 *       56    4  records that follow them
 */
#ifndef SX_CODEC_FACTS_H
#define SX_CODEC_FACTS_H

#include "libsx/base/buf.h"
#include "libsx/base/wire.h"

#define SX_FACTS_SIZE 60
#define SX_FACTS_ETAG 16

struct sx_facts {
    uint64_t rev, size;
    int64_t mtime_ns;
    uint32_t mode;
    uint8_t etag[SX_FACTS_ETAG];
    uint64_t created_ms;
    uint32_t entries, records;
};

void sx_facts_put(uint8_t to[SX_FACTS_SIZE], const struct sx_facts *f);
/* Reads them at the cursor, which is bad afterwards if they are cut off. */
void sx_facts_get(struct sx_cur *c, struct sx_facts *f);

#endif
