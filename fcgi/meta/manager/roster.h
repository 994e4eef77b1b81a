/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Membership: which change of a group's members comes next, so that they agree with the cluster's
 * list of nodes in the database.  A pure function of both; the manager of the leader asks it again
 * and again and makes one change at a time.
 *
 * A node of the list is a member: as standby first, then as voter while there are fewer than
 * sx_roster_voters().  A member that is not on the list is removed, after a standby has taken its
 * vote. Nothing is removed for being silent: that is for an administrator to decide, who takes the
 * node off the list.
 */
#ifndef SX_FCGI_META_MANAGER_ROSTER_H
#define SX_FCGI_META_MANAGER_ROSTER_H

#include <stdbool.h>

#include "fcgi/meta/manager/frame.h"
#include "fcgi/meta/query.h"
#include "fcgi/meta/raft/group.h"

#define SX_ROSTER_VOTERS_MAX 5u

enum sx_roster_what { SX_ROSTER_NOTHING, SX_ROSTER_CHANGE, SX_ROSTER_HAND_OVER };

struct sx_roster_step {
    enum sx_roster_what what; /* HAND_OVER: the leader itself must go; another one will remove it */
    enum sx_group_change change;
    uint64_t id;
    char address[SX_HELLO_ADDRESS_MAX + 1]; /* of a node that is added */
};

/* What the leader knows of other members. */
struct sx_roster_facts {
    bool (*alive)(void *ctx, uint64_t id);
    uint64_t (*match)(void *ctx, uint64_t id); /* last entry it is known to have */
    void *ctx;
};

/* How many voters a cluster of n nodes has: 1, 2, then the largest odd number up to n and
 * SX_ROSTER_VOTERS_MAX. */
unsigned sx_roster_voters(size_t n);

/* `self` is the leader.  No step for an empty list: it is not known yet. */
struct sx_roster_step sx_roster_next(const struct sx_members *members, const struct sx_node *nodes,
                                     size_t n, uint64_t self, const struct sx_roster_facts *facts);

#endif
