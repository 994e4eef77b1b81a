/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Collection, the rule (docs/design.md section 3), apart from the process that runs it: what may be
 * deleted, as a function of data, and the work of going through a store.
 *
 * The id space is cut into SX_ID_PREFIXES parts.  Which of them are to be looked at is a set:
 *
 *   todo     a reference went away there, or a sweep over everything has begun
 *   waiting  there are blocks without a reference that are still leased; looked at again when the
 *            epoch has moved on
 *
 * Whoever dies in between begins again with what is in either.
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
 * which the epoch was applied whose horizon it is. */
struct sx_collect_block {
    uint64_t lease;
    bool referenced;
};

/* victims[i] = true if block i may be deleted.  The deletion itself must check the lease again, in
 * its transaction.  Returns how many. */
size_t sx_collect_decide(uint64_t horizon, const struct sx_collect_block *blocks, size_t n,
                         bool *victims);

/* What is asked of the metadata. */
struct sx_collect_meta {
    /* An epoch that the local database of every group has reached. */
    int (*epoch)(void *ctx, uint64_t *epoch, struct sx_err *e);
    /* yes[i] = 1 if any group refers to the block now; called after epoch(). */
    int (*referenced)(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e);
    void *ctx;
};

#define SX_COLLECT_PAGE 1024u  /* blocks looked at in one go */
#define SX_COLLECT_DELETE 256u /* blocks deleted in one transaction of the index */

struct sx_collect {
    uint8_t todo[SX_ID_PREFIXES / 8];
    uint8_t waiting[SX_ID_PREFIXES / 8];
    struct sx_id after; /* last id looked at in the first part of todo */
    bool inside;        /* `after` holds one */
    uint64_t seen;      /* blocks looked at */
    uint64_t deleted;
    uint64_t pending;   /* blocks without a reference in the parts that wait */
};

/* Zero the struct to begin. */
void sx_collect_add(struct sx_collect *c, const uint8_t bits[SX_ID_PREFIXES / 8]);
void sx_collect_add_all(struct sx_collect *c);
/* The epoch has moved on: what waits is to be looked at. */
void sx_collect_wake(struct sx_collect *c);
bool sx_collect_waits(const struct sx_collect *c);

#define SX_COLLECT_GROUPS_MAX 64u

/* What is to be looked at, and for each group the last command whose drops are in it.  Without the
 * file, or with a damaged one, it is everything.  The file need not survive a crash of the machine:
 * an older one makes more to look at. */
void sx_collect_load(struct sx_collect *c, const char *path, uint64_t *dropped, unsigned groups);
void sx_collect_save(const struct sx_collect *c, const char *path, const uint64_t *dropped,
                     unsigned groups);

/* Looks at the next page.  *more false: there was nothing in todo. */
int sx_collect_page(struct sx_store *s, const struct sx_collect_meta *m, struct sx_collect *c,
                    bool *more, struct sx_err *e) SX_MUST_CHECK;

#endif
