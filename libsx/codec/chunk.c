/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See chunk.h.  The masks are runs of ones in the top bits, so "h & mask is 0" is the same as
 * "h is less than the mask's lowest one", which is what the inner loop compares.
 */
#include "libsx/codec/chunk.h"

#include <pthread.h>
#include <string.h>

#include "libsx/base/err.h"
#include "libsx/base/wire.h"
#include "libsx/crypt/crypt.h"

#define NORMALISATION 2 /* bits more before the average, fewer behind it */

static uint64_t gear[256];
static uint64_t gear2[256]; /* gear * 2: the first of two bytes is shifted once more */
static pthread_once_t gear_made = PTHREAD_ONCE_INIT;

static void make_gear(void)
{
    uint8_t text[] = "sx gear?", digest[SX_SHA256];

    for (unsigned i = 0; i < 256; i++) {
        text[7] = (uint8_t)i;
        sx_sha256(digest, text, 8);
        gear[i] = sx_get_u64(digest);
        gear2[i] = gear[i] << 1;
    }
}

void sx_chunker_init(struct sx_chunker *c, size_t min, size_t avg, size_t max)
{
    unsigned bits = (unsigned)__builtin_ctzll(avg);

    sx_assert(avg == (size_t)1 << bits && bits > NORMALISATION && bits < 48);
    sx_assert(min && min < avg && avg < max);
    pthread_once(&gear_made, make_gear);
    *c = (struct sx_chunker){ .min = min, .avg = avg, .max = max,
                              .mask_strict = ~0ULL << (64 - (bits + NORMALISATION)),
                              .mask_loose = ~0ULL << (64 - (bits - NORMALISATION)) };
}

/* Scans data[i … end).  Returns the position behind the first byte at which the hash falls below
 * `limit`, or 0.  *hash goes on from one call to the next.  Two bytes a step: the second hash
 * depends on that before the step through one shift and one addition only: half the chain. */
static size_t scan(const uint8_t *data, size_t i, size_t end, uint64_t limit, uint64_t *hash)
{
    uint64_t h = *hash;

    for (; end - i >= 2; i += 2) {
        uint64_t first = (h << 1) + gear[data[i]];

        h = (h << 2) + (gear2[data[i]] + gear[data[i + 1]]);
        if (first < limit)
            return i + 1;
        if (h < limit)
            return i + 2;
    }
    if (i < end) {
        h = (h << 1) + gear[data[i]];
        if (h < limit)
            return i + 1;
    }
    *hash = h;
    return 0;
}

size_t sx_chunk_next(const struct sx_chunker *c, const uint8_t *data, size_t n)
{
    size_t end = n < c->max ? n : c->max, middle = end < c->avg ? end : c->avg, cut;
    uint64_t h = 0;

    if (end <= c->min)
        return end;
    cut = scan(data, c->min, middle, c->mask_strict & -c->mask_strict, &h);
    if (!cut)
        cut = scan(data, middle, end, c->mask_loose & -c->mask_loose, &h);
    return cut ? cut : end;
}

size_t sx_chunk_cut(const struct sx_chunker *c, const uint8_t *data, size_t n, bool last)
{
    size_t len = sx_chunk_next(c, data, n);

    return len == n && n < c->max && !last ? 0 : len;
}
