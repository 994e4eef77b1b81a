/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The compressors behind block.h, with contexts that are made on first use and kept.
 * Payload forms: zstd, one frame; zlib, RFC 1950; lz4, the block format.  One thread at a time.
 */
#ifndef SX_CODEC_COMPRESS_H
#define SX_CODEC_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"
#include "libsx/codec/block.h"

struct sx_press;

struct sx_press *sx_press_new(void);
void sx_press_free(struct sx_press *p);

/* Compresses in[0 … n) into out[0 … max).  Returns the length, or 0 if it does not fit: the data
 * does not shrink enough.  Level 0 is the codec's default; lz4 has no levels. */
size_t sx_press(struct sx_press *p, enum sx_codec codec, int level, const void *in, size_t n,
                uint8_t *out, size_t max);

/* The reverse, for exactly `plain` bytes: 0, or -1 if `in` is not that. */
int sx_unpress(struct sx_press *p, enum sx_codec codec, const void *in, size_t n, uint8_t *out,
               size_t plain) SX_MUST_CHECK;

#endif
