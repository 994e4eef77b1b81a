/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Placement: which nodes own a partition of the id space, in order.  A pure function of
 * the node list, the same code in clients, daemons and simulators.
 *
 * Weighted rendezvous hashing (C. Schindelhauer, G. Schomaker, "Weighted Distributed Hash Tables",
 * SPAA 2005): each (partition, node) pair gives a number u in (0,1) from a 64-bit mix of both;
 * nodes are ordered by -ln(u) / weight, smallest first.  Then zones: the order is kept, but a node
 * in a zone that already stands in the list goes behind all nodes of zones that do not.
 * Adding or removing a node moves only the partitions that it gains or loses.
 */
#ifndef SX_PLACE_PLACE_H
#define SX_PLACE_PLACE_H

#include <stddef.h>
#include <stdint.h>

#define SX_NODES_MAX 256

struct sx_place_node {
    uint64_t id;     /* the node's number, never reused */
    uint64_t weight; /* capacity in bytes; 0 owns nothing */
    uint32_t zone;   /* equal numbers share a zone; 0: a zone of its own */
};

/* Writes the first `want` owners of the partition as indexes into nodes[0 … n) and
 * returns how many there are (fewer than `want` if the cluster is small). */
size_t sx_place(const struct sx_place_node *nodes, size_t n, unsigned partition, size_t want,
                uint16_t *owners);

/* Copies that must be fsynced before a write is acknowledged: the majority of the replica count. */
static inline unsigned sx_write_quorum(unsigned replica)
{
    return replica / 2 + 1;
}

#endif
