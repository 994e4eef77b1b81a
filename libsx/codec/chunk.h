/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Content-defined chunking: FastCDC (W. Xia et al., "FastCDC: a Fast and Efficient
 * Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016, and the two
 * bytes a step of their 2020 paper): a gear hash, cut points below the minimum
 * skipped, normalised chunking with a stricter mask before the average size and a
 * looser one behind it.  All clients must cut alike, so the gear table is part of the format
 * (docs/formats.md).
 */
#ifndef SX_CODEC_CHUNK_H
#define SX_CODEC_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sx_chunker {
    size_t min, avg, max; /* avg a power of two */
    uint64_t mask_strict, mask_loose;
};

#define SX_CHUNK_MIN (128u << 10)
#define SX_CHUNK_AVG (512u << 10)
#define SX_CHUNK_MAX (2048u << 10)

void sx_chunker_init(struct sx_chunker *c, size_t min, size_t avg, size_t max);

/* Length of the chunk at the start of data[0 … n).  If no cut point is found and n < max, the
 * result is n, which is right only at the end of the stream: elsewhere more has to come first. */
size_t sx_chunk_next(const struct sx_chunker *c, const uint8_t *data, size_t n);
/* The same for data that arrives bit by bit: 0 if the chunk may go on behind the n bytes.  `last`: nothing
 * comes behind them. */
size_t sx_chunk_cut(const struct sx_chunker *c, const uint8_t *data, size_t n, bool last);

#endif
