/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See roster.h.
 */
#include "fcgi/meta/manager/roster.h"

#include <string.h>

#include "fcgi/meta/manager/address.h"

unsigned sx_roster_voters(size_t n)
{
    if (n <= 2)
        return (unsigned)n;
    if (n >= SX_ROSTER_VOTERS_MAX)
        return SX_ROSTER_VOTERS_MAX;
    return (unsigned)(n % 2 ? n : n - 1);
}

static const struct sx_node *find_node(const struct sx_node *nodes, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (nodes[i].id == id)
            return &nodes[i];
    return NULL;
}

/* Is there a voter on the list in this zone? */
static bool zone_votes(const struct sx_members *m, const struct sx_node *nodes, size_t n,
                       const char *zone)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct sx_node *node = find_node(nodes, n, m->v[i].id);

        if (node && m->v[i].role == SX_ROLE_VOTER && strcmp(node->zone, zone) == 0)
            return true;
    }
    return false;
}

/* The standby that should get a vote: one that is alive, in a zone that has none rather than
 * another, with most of the log. */
static uint64_t best_standby(const struct sx_members *m, const struct sx_node *nodes, size_t n,
                             const struct sx_roster_facts *facts)
{
    uint64_t best = 0, best_match = 0;
    bool best_zone = false;

    for (unsigned i = 0; i < m->n; i++) {
        const struct sx_node *node = find_node(nodes, n, m->v[i].id);
        uint64_t match;
        bool zone;

        if (!node || m->v[i].role != SX_ROLE_STANDBY || !facts->alive(facts->ctx, node->id))
            continue;
        match = facts->match(facts->ctx, node->id);
        zone = !zone_votes(m, nodes, n, node->zone);
        if (!best || (zone && !best_zone) || (zone == best_zone && match > best_match)) {
            best = node->id;
            best_match = match;
            best_zone = zone;
        }
    }
    return best;
}

static struct sx_roster_step change(enum sx_group_change what, uint64_t id)
{
    return (struct sx_roster_step){ .what = SX_ROSTER_CHANGE, .change = what, .id = id };
}

/* A voter that gives its vote up: not the leader, a silent one rather than another. */
static uint64_t worst_voter(const struct sx_members *m, uint64_t self,
                            const struct sx_roster_facts *facts)
{
    uint64_t worst = 0;

    for (unsigned i = 0; i < m->n; i++) {
        if (m->v[i].role != SX_ROLE_VOTER || m->v[i].id == self)
            continue;
        if (!worst || !facts->alive(facts->ctx, m->v[i].id))
            worst = m->v[i].id;
    }
    return worst;
}

static struct sx_roster_step remove_one(const struct sx_members *m, const struct sx_node *nodes,
                                        size_t n, uint64_t self)
{
    struct sx_roster_step none = { .what = SX_ROSTER_NOTHING };

    for (unsigned i = 0; i < m->n; i++)
        if (m->v[i].id != self && !find_node(nodes, n, m->v[i].id))
            return change(SX_CHANGE_REMOVE, m->v[i].id);
    if (m->n > 1 && sx_members_find(m, self) && !find_node(nodes, n, self))
        none.what = SX_ROSTER_HAND_OVER;
    return none;
}

struct sx_roster_step sx_roster_next(const struct sx_members *m, const struct sx_node *nodes,
                                     size_t n, uint64_t self, const struct sx_roster_facts *facts)
{
    struct sx_roster_step step = { .what = SX_ROSTER_NOTHING };
    unsigned voters = 0, wanted = sx_roster_voters(n);
    uint64_t standby;

    if (n == 0)
        return step;
    for (unsigned i = 0; i < m->n; i++)
        if (m->v[i].role == SX_ROLE_VOTER && find_node(nodes, n, m->v[i].id))
            voters++;
    for (size_t i = 0; i < n; i++)
        if (!sx_members_find(m, nodes[i].id)) {
            step = change(SX_CHANGE_ADD, nodes[i].id);
            sx_address_text(step.address, nodes[i].address, nodes[i].peer_port);
            return step;
        }
    standby = voters < wanted ? best_standby(m, nodes, n, facts) : 0;
    if (standby)
        return change(SX_CHANGE_PROMOTE, standby);
    step = remove_one(m, nodes, n, self);
    if (step.what == SX_ROSTER_NOTHING && voters > wanted)
        step = change(SX_CHANGE_DEMOTE, worst_voter(m, self, facts));
    return step;
}
