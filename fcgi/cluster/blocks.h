/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Blocks over the cluster: stored on a write quorum of nodes, asked for, fetched from whoever
 * has them. docs/design.md section 3.
 */
#ifndef SX_FCGI_CLUSTER_BLOCKS_H
#define SX_FCGI_CLUSTER_BLOCKS_H

#include "fcgi/cluster/peers.h"
#include "fcgi/jobs/queue.h"
#include "fcgi/store/store.h"

#define SX_BLOCKS_MAX SX_STORE_BATCH_MAX /* in one call */

/* After the quorum is reached, the others get as long again as it took, within these bounds; who
 * has not answered then gets its blocks from the replication queue. */
#define SX_BLOCKS_GRACE_MIN_MS 50
#define SX_BLOCKS_GRACE_MAX_MS 1000

/* What the functions work with: all of this process, refreshed peers. */
struct sx_blocks {
    const struct sx_node_conf *conf;
    struct sx_peers *peers;
    struct sx_store *store;
    struct sx_queue *queue;
    uint64_t epoch; /* of leases, as this node knows it */
    void (*queued)(const char *dir); /* told after rows were added to the queue */
};

/* Stores n verified records (in memory as sx_record_parse() left them) on a write quorum of
 * their nodes.  Owners that did not get a block have a row in the replication queue when this
 * returns 0.  *lease: the smallest lease of the copies.  SX_EQUORUM names a block and what
 * went wrong; SX_ENOSPACE if that was lack of space. */
int sx_blocks_put(const struct sx_blocks *b, unsigned replica, const struct sx_record *recs,
                  size_t n, uint64_t *lease, struct sx_err *e) SX_MUST_CHECK;

/* present[i] = 1 if a write quorum of the block's nodes has it and has leased it.  Owners that
 * said that they lack such a block get a row in the replication queue.  *lease: the smallest
 * lease of the copies. */
int sx_blocks_have(const struct sx_blocks *b, unsigned replica, const struct sx_id *ids, size_t n,
                   uint8_t *present, uint64_t *lease, struct sx_err *e) SX_MUST_CHECK;

/* Appends the block's record, whole and with its checksum right, from the local store or else from the
 * first node in placement order that has a good copy.  SX_ENOBLOCK. */
int sx_blocks_fetch(const struct sx_blocks *b, const struct sx_id *id, struct sx_buf *out,
                    struct sx_err *e) SX_MUST_CHECK;

#endif
