/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random operations and faults, then healing: with all nodes up and a whole network there must be
 * a leader, and progress, within ten election time-outs, and in the end all members have the same.
 */
#include <string.h>

#include "libsx/base/mem.h"
#include "tests/sim/sim.h"

#define HEAL_MS (10 * SX_GROUP_ELECTION_MS)
#define SETTLE_MS 30000u /* for installs and late nodes */
#define MEMBERS_WANTED 7u

static struct sim_node *pick(struct sim *s, bool up)
{
    unsigned start = (unsigned)sim_rand(s, SIM_NODES);

    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[(start + i) % SIM_NODES];

        if (n->exists && n->up == up)
            return n;
    }
    return NULL;
}

/* Any node that believes to lead, also one of yesterday. */
static struct sim_node *pick_leader(struct sim *s)
{
    unsigned start = (unsigned)sim_rand(s, SIM_NODES);

    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[(start + i) % SIM_NODES];
        struct sx_group_status st;

        if (!n->up)
            continue;
        sx_group_status(n->group, &st);
        if (st.state == SX_GROUP_LEADER)
            return n;
    }
    return NULL;
}

static void cut(struct sim *s)
{
    uint64_t how = sim_rand(s, 3);
    unsigned a = (unsigned)sim_rand(s, SIM_NODES);
    uint64_t side = sim_rand(s, 1u << SIM_NODES);

    for (unsigned i = 0; i < SIM_NODES; i++)
        for (unsigned k = 0; k < SIM_NODES; k++) {
            if (how == 0) /* one node alone */
                s->net.cut[i][k] |= i == a || k == a;
            else if (how == 1) /* two halves */
                s->net.cut[i][k] |= (side >> i & 1) != (side >> k & 1);
            else /* some links, one way */
                s->net.cut[i][k] |= sim_rand(s, 5) == 0;
        }
}

static void weather(struct sim *s)
{
    s->net.loss = sim_rand(s, 2) ? 0 : (unsigned)sim_rand(s, 30);
    s->net.twice = sim_rand(s, 2) ? 0 : (unsigned)sim_rand(s, 20);
    s->net.delay = 1 + (unsigned)sim_rand(s, sim_rand(s, 4) ? 20 : 400);
    s->disk_delay = (unsigned)sim_rand(s, sim_rand(s, 4) ? 10 : 300);
}

static void add_node(struct sim *s, struct sim_node *leader)
{
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[i];

        if (n->exists)
            continue;
        if (sx_group_change(leader->group, sim_node_clock(leader), SX_CHANGE_ADD, n->id, n->address,
                            ++s->change_tag, NULL) == 0) {
            sim_node_make(s, i, NULL);
            sim_node_start(n);
        }
        return;
    }
}

static void change_members(struct sim *s, struct sim_node *leader)
{
    const struct sx_members *m = sx_group_members(leader->group);
    struct sx_member x = m->v[sim_rand(s, m->n)];
    unsigned voters = sx_members_voters(m);
    uint64_t what = sim_rand(s, 4);

    if (what == 0 && m->n < MEMBERS_WANTED)
        add_node(s, leader);
    else if (x.role == SX_ROLE_STANDBY)
        what = sx_group_change(leader->group, sim_node_clock(leader),
                               what == 1 && m->n > 3 ? SX_CHANGE_REMOVE : SX_CHANGE_PROMOTE, x.id,
                               NULL, ++s->change_tag, NULL) == 0;
    else if (voters > 3 || (voters > 1 && sim_rand(s, 4) == 0))
        what = sx_group_change(leader->group, sim_node_clock(leader),
                               what == 1 && m->n > 3 ? SX_CHANGE_REMOVE : SX_CHANGE_DEMOTE, x.id,
                               NULL, ++s->change_tag, NULL) == 0;
    (void)what; /* a refusal is fine */
    sim_check_node(leader);
}

static void hand_over(struct sim *s, struct sim_node *leader)
{
    const struct sx_members *m = sx_group_members(leader->group);
    uint64_t to = sim_rand(s, 2) ? 0 : m->v[sim_rand(s, m->n)].id;

    if (sx_group_transfer(leader->group, sim_node_clock(leader), to, NULL) == 0)
        sim_trace(s, 1100, leader->number, to);
    sim_check_node(leader);
}

static void leader_op(struct sim *s, uint64_t dice)
{
    struct sim_node *n = pick_leader(s);

    if (!n)
        return;
    if (dice < 50)
        for (uint64_t i = sim_rand(s, 6); i > 0; i--)
            sim_node_submit(n, (unsigned)sim_rand(s, sim_rand(s, 8) ? 60 : 4000));
    else if (dice < 65)
        sim_node_read(n);
    else if (dice < 71)
        change_members(s, n);
    else
        hand_over(s, n);
}

static void node_op(struct sim *s, uint64_t dice)
{
    struct sim_node *up = pick(s, true), *down = pick(s, false);

    if (dice < 75 && up)
        sim_node_spoil(up);
    else if (dice < 80 && up)
        sim_node_snapshot(up, sim_rand(s, 3) ? sim_rand(s, 20) : 0);
    else if (dice < 84 && up)
        sim_node_crash(up, sim_rand(s, 2));
    else if (dice < 92 && down)
        sim_node_start(down);
    else if (dice < 94)
        cut(s);
    else if (dice < 98)
        memset(s->net.cut, 0, sizeof s->net.cut);
    else if (dice >= 98)
        weather(s);
}

void sim_random_op(struct sim *s)
{
    uint64_t dice = sim_rand(s, 100);

    if (s->failed[0])
        return;
    if (dice < 74)
        leader_op(s, dice);
    else
        node_op(s, dice);
}

static void progress(struct sim *s)
{
    uint64_t until = s->now + HEAL_MS, before = s->committed, next = s->now;

    do {
        struct sim_node *n = sim_leader(s);

        if (n && s->committed > before + 1)
            return;
        if (n && s->now >= next && sim_node_submit(n, 20))
            next = s->now + SX_GROUP_HEARTBEAT_MS;
    } while (sim_step(s, until));
    sim_fail(s, "no progress within %u ms after healing (leader: %s)", HEAL_MS,
             sim_leader(s) ? "yes" : "none");
}

void sim_heal(struct sim *s)
{
    memset(s->net.cut, 0, sizeof s->net.cut);
    s->net.loss = s->net.twice = 0;
    s->net.delay = 10;
    s->disk_delay = 5;
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[i];

        if (n->exists && n->faulty && n->up)
            sim_node_crash(n, false);
        if (n->exists && !n->up && !s->failed[0])
            sim_node_start(n);
    }
    progress(s);
    if (!s->failed[0] && !sim_wait_applied(s, SETTLE_MS))
        sim_fail(s, "not all members have applied %llu within %u ms after healing",
                 (unsigned long long)s->committed, SETTLE_MS);
}

bool sim_random_run(struct sim *s, uint64_t steps)
{
    static const unsigned sizes[] = { 1, 3, 3, 3, 5, 5, 7 };

    for (unsigned i = 0; i < SIM_NODES; i++) {
        s->node[i].rate = 85 + (unsigned)sim_rand(s, 30);
        s->node[i].ahead = sim_rand(s, 1000000);
    }
    sim_bootstrap(s, sizes[sim_rand(s, sizeof sizes / sizeof *sizes)]);
    if (sim_rand(s, 2))
        weather(s);
    while (s->steps < steps && !s->failed[0]) {
        sim_run(s, 1 + sim_rand(s, 30));
        sim_random_op(s);
    }
    if (!s->failed[0])
        sim_heal(s);
    return !s->failed[0];
}
