/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Collection, the rule (docs/design.md section 3), apart from the process that runs it: what may be
 * deleted, as a function of data, and one pass over a store in pages.
 */
#ifndef SX_FCGI_JOBS_COLLECT_H
#define SX_FCGI_JOBS_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/store/store.h"
#include "libsx/base/err.h"
#include "libsx/codec/id.h"

/* What is known of a block.  `referenced` must come from metadata read at or after the index at
 * which the horizon was applied. */
struct sx_collect_block {
    uint64_t lease_ms;
    bool referenced;
};

/* victims[i] = true if block i may be deleted, given that horizon_ms is applied.  The deletion
 * itself must check the lease again, in its transaction.  Returns how many. */
size_t sx_collect_decide(uint64_t horizon_ms, const struct sx_collect_block *blocks, size_t n,
                         bool *victims);

/* What a pass asks of the metadata. */
struct sx_collect_meta {
    /* Submits horizon(*horizon_ms) to every group; returns when the local databases have applied
     * it.  Then lowers *horizon_ms to what every group has applied, if a group did not go so
     * far. */
    int (*horizon)(void *ctx, uint64_t *horizon_ms, struct sx_err *e);
    /* yes[i] = 1 if any group refers to the block now. */
    int (*referenced)(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e);
    void *ctx;
};

/* A pass over all blocks of a store.  Zero it to begin; set `after` and `resumed` to go on
 * from a place. */
struct sx_collect_pass {
    struct sx_id after;
    bool resumed;         /* `after` holds the last id that was looked at */
    bool have_horizon;
    uint64_t horizon_ms;  /* of this pass; submitted when the first candidate is found */
    uint64_t seen;        /* blocks */
    uint64_t deleted;
    uint64_t pending;     /* not referenced and still leased */
};

#define SX_COLLECT_PAGE 1024u

/* Does the next page.  *more false: the pass is over. */
int sx_collect_page(struct sx_store *s, const struct sx_collect_meta *m,
                    struct sx_collect_pass *pass, bool *more, struct sx_err *e) SX_MUST_CHECK;

#endif
