/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Committed entries on their way to the database, gathered in batches: what is brought in in one
 * transaction.
 */
#ifndef SX_FCGI_META_MANAGER_BATCH_H
#define SX_FCGI_META_MANAGER_BATCH_H

#include "fcgi/meta/raft/entry.h"
#include "libsx/base/buf.h"

struct sx_batch_item {
    uint64_t index, term;
    uint8_t type;
    size_t at, len; /* in the batch's data */
};

struct sx_batch {
    struct sx_batch *next;
    struct sx_buf data;
    struct sx_batch_item *items;
    unsigned n, cap;
};

/* Batches that wait, the oldest first. */
struct sx_batches {
    struct sx_batch *head, *last;
};

/* Takes a copy of the entry into the last batch, or into a new one if that is full. */
void sx_batches_add(struct sx_batches *q, const struct sx_entry *entry);
struct sx_batch *sx_batches_take(struct sx_batches *q); /* the oldest, now the caller's; NULL: none */
void sx_batches_fini(struct sx_batches *q);
void sx_batch_free(struct sx_batch *b);

#endif
