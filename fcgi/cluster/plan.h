/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which nodes to ask or to send to, for a batch of blocks: a pure state, fed with answers.
 *
 *   a block at a node    UNTRIED → BUSY → HAS | LACKS | FAILED
 *
 * A *put* goes to all owners that are not known to be down; a block has enough when `quorum`
 * nodes have it. While copies and sends under way are fewer, further nodes in placement order
 * (stand-ins) are taken, those known to be down last: that they are down is only a guess. A
 * *have* asks as many nodes as the block has owners; for each one that is down or fails, the
 * next in placement order. The same quorum decides.
 */
#ifndef SX_FCGI_CLUSTER_PLAN_H
#define SX_FCGI_CLUSTER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sx_plan_kind { SX_PLAN_PUT, SX_PLAN_HAVE };

enum sx_plan_state { SX_PLAN_UNTRIED, SX_PLAN_BUSY, SX_PLAN_HAS, SX_PLAN_LACKS, SX_PLAN_FAILED };

struct sx_plan;

/* `n_nodes` nodes, of which down[i] are known to be down (copied).  `replica` and `quorum` as
 * the volume says. */
struct sx_plan *sx_plan_new(enum sx_plan_kind kind, size_t n_blocks, size_t n_nodes,
                            unsigned replica, unsigned quorum, const bool *down);
void sx_plan_free(struct sx_plan *p);

/* Where the order of a block's nodes goes: an array of n_nodes to fill with indexes of nodes,
 * owners first; then how many were filled. */
uint16_t *sx_plan_order(struct sx_plan *p, size_t block);
void sx_plan_order_set(struct sx_plan *p, size_t block, size_t n);

/* What to do next: appends to the node's list each block that it is to be asked about (or sent),
 * and makes these BUSY. Returns how many nodes have a list.  The lists stay until the next call. */
size_t sx_plan_next(struct sx_plan *p);
/* The list of a node of the last sx_plan_next(): block numbers, ascending. */
const uint32_t *sx_plan_list(const struct sx_plan *p, size_t node, size_t *n);

void sx_plan_answer(struct sx_plan *p, size_t node, size_t block, enum sx_plan_state state);

/* All blocks have their quorum, or (have) all that could be asked have answered. */
bool sx_plan_complete(const struct sx_plan *p);
/* Blocks with a quorum of copies. */
bool sx_plan_enough(const struct sx_plan *p, size_t block);
unsigned sx_plan_copies(const struct sx_plan *p, size_t block);
/* The state of the block's k-th owner, and which node that is; false if k is not an owner's
 * number. */
bool sx_plan_owner(const struct sx_plan *p, size_t block, unsigned k, size_t *node,
                   enum sx_plan_state *state);

#endif
