/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must hold after every step (Raft paper, figure 3), recounted from the outside: from what
 * nodes write, send and apply, never from what they believe.
 *
 *   election safety        a term has at most one leader; a node votes once in a term
 *   log matching           an index and term have one content and one predecessor, everywhere
 *   leader completeness    what was committed in an earlier term is in the log of each new leader
 *   state machine safety   an index is applied with one content, everywhere, in order
 *   durability             what a leader calls committed is on the disks of a majority
 *   linearizable reads     a read index is not below what was acknowledged before it was asked for
 */
#include <string.h>

#include "libsx/base/mem.h"
#include "tests/sim/sim.h"

#define U(x) ((unsigned long long)(x))

static uint64_t entry_hash(const struct sx_entry *e)
{
    return sim_hash(e->data, e->len) * 4 + e->type;
}

static struct sim_pair *pair_of(struct sim *s, uint64_t index, uint64_t term)
{
    uint64_t key[2] = { index, term };
    size_t i = sim_hash(key, sizeof key) % SIM_PAIRS;

    for (size_t tries = 0; tries < SIM_PAIRS; tries++, i = (i + 1) % SIM_PAIRS)
        if (!s->pair[i].index || (s->pair[i].index == index && s->pair[i].term == term))
            return &s->pair[i];
    sim_fail(s, "the run is too long for the table of entries");
    return &s->pair[0];
}

void sim_check_append(struct sim_node *n, const struct sx_entry *e, uint64_t before)
{
    struct sim *s = n->sim;
    struct sim_pair *p = pair_of(s, e->index, e->term);
    uint64_t hash = entry_hash(e);

    if (!p->index) {
        *p = (struct sim_pair){ e->index, e->term, hash, before };
        return;
    }
    if (p->hash != hash)
        sim_fail(s, "log matching: node %u has another entry %llu of term %llu", n->number,
                 U(e->index), U(e->term));
    if (!p->before)
        p->before = before;
    if (before && p->before != before)
        sim_fail(s, "log matching: node %u has term %llu before entry %llu of term %llu, not %llu",
                 n->number, U(before), U(e->index), U(e->term), U(p->before));
}

static void commit(struct sim_node *n, uint64_t index, uint64_t term, uint64_t in)
{
    struct sim *s = n->sim;

    if (!s->committed_term[index]) {
        s->committed_term[index] = term;
        s->committed_in[index] = in;
    }
    if (s->committed_term[index] != term)
        sim_fail(s, "node %u calls entry %llu of term %llu committed; it was of term %llu",
                 n->number, U(index), U(term), U(s->committed_term[index]));
    if (index > s->committed)
        s->committed = index;
}

void sim_check_apply(struct sim_node *n, const struct sx_entry *e)
{
    struct sim *s = n->sim;
    uint64_t hash = entry_hash(e);

    s->applies++;
    commit(n, e->index, e->term, UINT64_MAX);
    if (!s->committed_hash[e->index])
        s->committed_hash[e->index] = hash;
    if (s->committed_hash[e->index] != hash)
        sim_fail(s, "state machine safety: node %u applies another entry %llu", n->number,
                 U(e->index));
    if (e->index > s->acked)
        s->acked = e->index;
}

void sim_check_send(struct sim_node *n, unsigned to, const struct sx_msg *m)
{
    struct sim *s = n->sim;
    uint64_t candidate;
    bool vote = (m->type == SX_MSG_VOTE && !m->pre_vote) ||
                (m->type == SX_MSG_VOTE_RESULT && m->granted && !m->pre_vote);

    sim_trace(s, 900 + n->number * SIM_NODES + to, m->type, m->term);
    if (m->term >= SIM_TERM_MAX) {
        sim_fail(s, "the run has too many terms for the simulator");
        return;
    }
    if (!vote)
        return;
    candidate = m->type == SX_MSG_VOTE ? n->id : s->node[to].id;
    if (!s->vote[n->number][m->term])
        s->vote[n->number][m->term] = candidate;
    if (s->vote[n->number][m->term] != candidate)
        sim_fail(s, "node %u votes twice in term %llu", n->number, U(m->term));
    if (n->saved_term != m->term || n->saved_vote != candidate)
        sim_fail(s, "node %u promises a vote in term %llu that is not on its disk", n->number,
                 U(m->term));
}

void sim_check_read(struct sim *s, uint64_t tag, uint64_t index)
{
    struct sim_read *r = &s->read[tag % SIM_READS];

    s->reads_done++;
    if (r->used && index < r->floor)
        sim_fail(s, "a read at %llu misses entry %llu that was acknowledged before it", U(index),
                 U(r->floor));
    r->used = false;
}

static void check_new_leader(struct sim_node *n, const struct sx_group_status *st)
{
    struct sim *s = n->sim;

    s->elections++;
    if (!s->leader[st->term])
        s->leader[st->term] = n->id;
    if (s->leader[st->term] != n->id)
        sim_fail(s, "election safety: node %u leads term %llu, which node %u led", n->number,
                 U(st->term), sim_number(s, s->leader[st->term]));
    for (uint64_t i = n->log.first; i <= s->committed; i++)
        if (s->committed_in[i] < st->term && s->committed_term[i] &&
            (i > n->log.last || n->log.term[i] != s->committed_term[i]))
            sim_fail(s,
                     "leader completeness: node %u leads term %llu without entry %llu of term %llu",
                     n->number, U(st->term), U(i), U(s->committed_term[i]));
}

static bool has_durably(const struct sim_node *n, uint64_t index, uint64_t term)
{
    if (n->snap.index >= index)
        return true;
    return index >= n->durable.first && index <= n->durable.last &&
           n->durable.term[index] == term;
}

static void check_majority(struct sim_node *n, const struct sx_group_status *st)
{
    struct sim *s = n->sim;
    const struct sx_members *m = sx_group_members(n->group);
    unsigned have = 0;

    for (unsigned i = 0; i < m->n; i++) {
        unsigned k = sim_number(s, m->v[i].id);

        if (m->v[i].role == SX_ROLE_VOTER && k < SIM_NODES)
            have += has_durably(&s->node[k], st->commit, n->log.term[st->commit]);
    }
    if (have <= sx_members_voters(m) / 2)
        sim_fail(s, "durability: entry %llu is committed and on the disks of %u of %u voters",
                 U(st->commit), have, sx_members_voters(m));
}

static void check_commit(struct sim_node *n, const struct sx_group_status *st)
{
    if (st->commit < n->commit || st->commit > st->last)
        sim_fail(n->sim, "node %u: commit index %llu after %llu, log ends at %llu", n->number,
                 U(st->commit), U(n->commit), U(st->last));
    for (uint64_t i = n->commit + 1; i <= st->commit; i++)
        if (i >= n->log.first && i <= n->log.last)
            commit(n, i, n->log.term[i], st->state == SX_GROUP_LEADER ? st->term : UINT64_MAX);
    if (st->commit > n->commit && st->state == SX_GROUP_LEADER && st->commit >= n->log.first)
        check_majority(n, st);
    n->commit = st->commit;
}

void sim_check_node(struct sim_node *n)
{
    struct sx_group_status st;
    bool leads;

    if (n->dead)
        sim_node_crash(n, true);
    if (!n->up || n->sim->failed[0])
        return;
    sx_group_status(n->group, &st);
    leads = st.state == SX_GROUP_LEADER;
    if (st.term >= SIM_TERM_MAX) {
        sim_fail(n->sim, "the run has too many terms for the simulator");
        return;
    }
    if (leads && (!n->was_leader || n->leader_term != st.term))
        check_new_leader(n, &st);
    n->was_leader = leads;
    n->leader_term = st.term;
    check_commit(n, &st);
    if (st.last != n->log.last || st.first != n->log.first)
        sim_fail(n->sim, "node %u: the group has log %llu to %llu, its disk was told %llu to %llu",
                 n->number, U(st.first), U(st.last), U(n->log.first), U(n->log.last));
}
