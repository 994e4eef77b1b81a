/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cache of blocks: plain bytes that were decrypted, decompressed and found to have their id,
 * kept in memory that all processes of the node share.  What S3 clients read again needs neither
 * disk nor cipher nor hash then, and a small range not its whole block decoded each time.  A block
 * never changes, so an entry is never wrong, only old.
 *
 * When the cache is full a block enters when it is offered for the second time, so that what is read
 * once, as in a backup that is restored, drives nothing out (store/doorkeeper.h); and of those one of
 * some ("bimodal insertion"; Qureshi et al., Adaptive insertion policies for high performance caching,
 * ISCA 2007).  Entries leave in the order they came, but one that is read near its end enters once more
 * ("lazy promotion"; Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023).
 *
 * Beside it, of many more blocks than fit, is kept which stored form of them (by its tag) has their id,
 * as was found when it was made here or read, and the CRC-32C of the plain bytes.  Whoever decodes that
 * form again and finds tag and CRC right need not compute the id.
 *
 * It never has to answer: whoever cannot have its lock at once has a miss, and whoever finds that
 * the lock's holder died empties it.  What it gives is a copy whose CRC-32C was compared.
 *
 * No block of a domain that the cluster keeps no key of may be put in.
 */
#ifndef SX_FCGI_CACHE_H
#define SX_FCGI_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/codec/block.h"

#define SX_CACHE_AUTO UINT64_MAX         /* a size: as sx_cache_auto_size() says */
#define SX_CACHE_SIZE_MIN (32u << 20)    /* the smallest but 0 */
#define SX_CACHE_SIZE_MAX (UINT64_C(1) << 40)

struct sx_cache;

struct sx_cache_counters {
    uint64_t size;         /* bytes it may hold */
    uint64_t hits, misses; /* since the node was started */
    uint64_t entered;      /* blocks put in, those that entered once more with them */
    uint64_t known;        /* stored forms that were known when they were asked for */
};

/* A sixteenth of the memory that this process may use (of its control group, if that is limited),
 * at most 1 GiB. */
uint64_t sx_cache_auto_size(void);
/* For this process and those that it forks; NULL, with errno, if there is no memory.  It takes what is
 * used of it. */
struct sx_cache *sx_cache_new(uint64_t size);
void sx_cache_free(struct sx_cache *c);

/* Replaces the content of `out` by the block's; false, with `out` empty, if it is not here.  All take NULL for a
 * cache that is never hit. */
bool sx_cache_get(struct sx_cache *c, const struct sx_id *id, struct sx_buf *out);
/* Offers the `n` bytes of a block, which the caller has just verified, with their CRC-32C. */
void sx_cache_put(struct sx_cache *c, const struct sx_id *id, const void *p, size_t n, uint32_t crc);

/* Whether a block's stored form with this tag is known to have its id; *crc is that of its plain bytes. */
bool sx_cache_known(struct sx_cache *c, const struct sx_id *id, const uint8_t tag[SX_BLOCK_TAG],
                    uint32_t *crc);
/* It is, as the caller has just seen. */
void sx_cache_learn(struct sx_cache *c, const struct sx_id *id, const uint8_t tag[SX_BLOCK_TAG],
                    uint32_t crc);

void sx_cache_counters(const struct sx_cache *c, struct sx_cache_counters *out);

#endif
