/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A record: one stored block with its id and a checksum.  Packs are runs of records, and
 * so are the bodies that carry blocks between clients and nodes.
 *
 *   offset size
 *        0    4  magic "SXR1"
 *        4    4  length n of the stored block, 49 … SX_BLOCK_STORED_MAX; in answers to "blocks/get"
 *                0 means: this node does not have the block
 *        8   32  id
 *       40    4  0
 *       44    4  CRC-32C of bytes 0 … 43 and of the n bytes that follow the header
 *       48    n  the stored block
 */
#ifndef SX_CODEC_RECORD_H
#define SX_CODEC_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/codec/block.h"
#include "libsx/codec/id.h"

#define SX_RECORD_HEADER 48
#define SX_RECORD_MAX (SX_RECORD_HEADER + SX_BLOCK_STORED_MAX)

uint32_t sx_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */

struct sx_record {
    struct sx_id id;
    uint32_t len;          /* of the stored block; 0: not there */
    const uint8_t *stored; /* into the buffer that was parsed */
};

/* Leaves room for a header in `out` and returns its offset; after the stored block was
 * appended behind it, sx_record_end() fills the header in. */
size_t sx_record_begin(struct sx_buf *out);
void sx_record_end(struct sx_buf *out, size_t at, const struct sx_id *id);

/* Fills a header for a block that lies elsewhere. */
void sx_record_header(uint8_t h[SX_RECORD_HEADER], const struct sx_id *id, const void *stored,
                      uint32_t len);

/* Reads the record at p.  Gives its whole size in *used; *used = 0 and result 0 means
 * that more than n bytes are needed.  SX_EBLOCK for a bad magic, length or checksum. */
int sx_record_parse(const void *p, size_t n, struct sx_record *r, size_t *used, struct sx_err *e)
    SX_MUST_CHECK;

/* Reads exactly n records, none of them empty, which fill the `len` bytes.  SX_EBLOCK as above or for
 * an empty one, SX_EMALFORMED if there are too few or too many bytes; both with its place. */
int sx_records_parse(const void *p, size_t len, size_t n, struct sx_record *recs,
                     struct sx_err *e) SX_MUST_CHECK;

#endif
