/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of the transfer manager: its state, and the two directions.
 */
#ifndef SX_FCGI_JOBS_TRANSFER_INT_H
#define SX_FCGI_JOBS_TRANSFER_INT_H

#include "fcgi/cluster/peers.h"
#include "fcgi/jobs/counters.h"
#include "fcgi/jobs/proc.h"
#include "fcgi/jobs/queue.h"
#include "fcgi/store/store.h"

#define SX_TRANSFER_BATCH_BYTES (8u << 20) /* of records in one request or answer */
#define SX_TRANSFER_BATCH_IDS 256u         /* the limit of blocks/get */

/* A node's rows are tried again after so long when it failed; doubling. */
#define SX_TRANSFER_RETRY_MIN_MS 500u
#define SX_TRANSFER_RETRY_MAX_MS 5000u

struct sx_transfer_target {
    uint64_t node;
    uint64_t next_ms;   /* monotonic: not before */
    unsigned wait_ms;   /* 0: the last try went well */
    bool passing;       /* rows up to `after` cannot be sent now: go on behind them */
    struct sx_id after;
};

struct sx_transfer {
    const struct sx_node_conf *conf;
    struct sx_proc proc;
    struct sx_store *store;
    struct sx_queue *queue;
    struct sx_meta *meta;
    struct sx_peers *peers;
    struct sx_transfer_counters count;
    struct sx_transfer_target targets[SX_NODES_MAX];
    size_t n_targets;
};

/* A request to a node, answered into `answer` (emptied first).  Notes for all processes whether the
 * node is there. */
int sx_transfer_call(struct sx_transfer *t, size_t node, const char *path, const struct iovec *body,
                     size_t n_body, struct sx_buf *answer, size_t answer_max,
                     struct sx_err *e) SX_MUST_CHECK;

/* Are there ids that any group refers to? */
int sx_transfer_referenced(struct sx_transfer *t, const struct sx_id *ids, size_t n, uint8_t *yes,
                           struct sx_err *e) SX_MUST_CHECK;

/* Sends one batch to each node that has rows and is not waiting.  *more: some have further rows. */
int sx_transfer_push(struct sx_transfer *t, bool *more, struct sx_err *e) SX_MUST_CHECK;

struct sx_transfer_want {
    struct sx_id id;
    uint32_t len; /* at most so long is the record */
    bool got;
    bool nowhere; /* every other node was asked, and none has it */
};

/* Fetches blocks from the other nodes, nearest in placement order first, and stores them here.
 * Those that no node that answers has stay with got = false.  -1 only if this node cannot store. */
int sx_transfer_fetch(struct sx_transfer *t, struct sx_transfer_want *want, size_t n,
                      struct sx_err *e) SX_MUST_CHECK;

#endif
