/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The durable replication queue of a node, DIR/queue/queue.db: rows (target node, block id), "that
 * node should have this block and does not yet; I have it".  Workers add, the transfer manager
 * sends and removes.  A row that is there twice is one row.
 *
 * Each process opens the queue for itself, after fork; one thread at a time.
 */
#ifndef SX_FCGI_JOBS_QUEUE_H
#define SX_FCGI_JOBS_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"
#include "libsx/codec/id.h"

struct sx_queue;

/* `dir` is the node's directory. */
int sx_queue_open(const char *dir, struct sx_queue **q, struct sx_err *e) SX_MUST_CHECK;
void sx_queue_close(struct sx_queue *q);

struct sx_queue_row {
    uint64_t node; /* target */
    struct sx_id id;
};

/* Adds the rows in one transaction; durable (fsynced) when it returns 0. */
int sx_queue_add(struct sx_queue *q, const struct sx_queue_row *rows, size_t n,
                 struct sx_err *e) SX_MUST_CHECK;

/* The targets that have rows: up to max numbers in nodes[]; *n how many. */
int sx_queue_targets(struct sx_queue *q, uint64_t *nodes, size_t max, size_t *n,
                     struct sx_err *e) SX_MUST_CHECK;
/* Up to max ids for one target, in order, behind *after (NULL: from the first). */
int sx_queue_list(struct sx_queue *q, uint64_t node, const struct sx_id *after, struct sx_id *ids,
                  size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;
int sx_queue_remove(struct sx_queue *q, uint64_t node, const struct sx_id *ids, size_t n,
                    struct sx_err *e) SX_MUST_CHECK;
/* Removes all rows of a target (it has left the cluster). */
int sx_queue_drop(struct sx_queue *q, uint64_t node, struct sx_err *e) SX_MUST_CHECK;
int sx_queue_count(struct sx_queue *q, uint64_t *rows, struct sx_err *e) SX_MUST_CHECK;

#endif
