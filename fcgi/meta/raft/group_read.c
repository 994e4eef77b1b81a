/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linearizable reads without a log entry (Ongaro's dissertation, §6.4): the leader notes its
 * commit index, makes sure with one round to the voters that it still leads, and then that index
 * is good for every read that came before the round began.
 *
 *   reads come → wait → [no round active, own entry committed] → round {seq, index}
 *              → majority confirmed → done; those that came meanwhile: next round
 *
 * A node confirms only if its term is the round's and it follows this leader.  Lost messages are
 * repeated each heartbeat.  There is no lease: no clock is trusted.
 */
#include "fcgi/meta/raft/group_int.h"

#include <string.h>

#include "libsx/base/mem.h"

int sx_read_add(struct sx_group *g, uint64_t tag, struct sx_err *e)
{
    struct sx_read_round *r = &g->read;

    if (!sx_core_leader(g))
        return sx_err_set(e, SX_ENOTLEADER, "group %u: this node is not the leader", g->group);
    if (r->n + r->waiting >= SX_GROUP_READS_MAX)
        return sx_err_set(e, SX_ETOOMANY, "group %u: %zu reads wait", g->group, r->n + r->waiting);
    if (r->n + r->waiting == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->tags = sx_realloc(r->tags, r->cap * sizeof *r->tags);
    }
    r->tags[r->n + r->waiting++] = tag;
    return 0;
}

static void send_round(struct sx_group *g)
{
    struct sx_msg m = { .type = SX_MSG_READ, .term = g->raft.current_term, .seq = g->read.seq };

    g->read.sent_ms = g->now;
    for (unsigned i = 0; i < g->members.n; i++) {
        const struct sx_member *to = &g->members.v[i];

        if (to->role == SX_ROLE_VOTER && to->id != g->raft.id)
            sx_send_msg(g, to->id, to->address, &m);
    }
}

static bool majority(const struct sx_group *g)
{
    unsigned yes = 0;

    for (unsigned i = 0; i < g->members.n; i++) {
        const struct sx_member *v = &g->members.v[i];
        bool acked = v->id == g->raft.id;

        for (unsigned k = 0; !acked && k < g->read.acks; k++)
            acked = g->read.acked[k] == v->id;
        yes += acked && v->role == SX_ROLE_VOTER;
    }
    return yes > sx_members_voters(&g->members) / 2;
}

/* Calls back for the first n tags and removes them. */
static void finish(struct sx_group *g, size_t n, int code)
{
    struct sx_read_round *r = &g->read;
    size_t left = r->n + r->waiting - n;

    for (size_t i = 0; i < n; i++)
        g->ops.read_done(g->ctx, r->tags[i], code, code == SX_OK ? r->index : 0);
    if (left)
        memmove(r->tags, r->tags + n, left * sizeof *r->tags);
    r->n = 0;
    r->waiting = left;
    r->active = false;
}

bool sx_read_settle(struct sx_group *g)
{
    struct sx_read_round *r = &g->read;
    bool began = false;

    if (!sx_core_leader(g))
        return false;
    if (!r->active && r->waiting && sx_core_ready(g)) {
        r->active = began = true;
        r->seq++;
        r->index = g->commit;
        r->acks = 0;
        r->n = r->waiting;
        r->waiting = 0;
    }
    if (!r->active)
        return false;
    if (majority(g)) {
        finish(g, r->n, SX_OK);
        return true;
    }
    if (began || g->now >= r->sent_ms + g->heartbeat_ms)
        send_round(g);
    return false;
}

void sx_read_fail(struct sx_group *g)
{
    if (g->read.n + g->read.waiting)
        finish(g, g->read.n + g->read.waiting, SX_ENOLEADER);
    g->read.active = false;
}

void sx_read_on_read(struct sx_group *g, uint64_t from, const struct sx_msg *m)
{
    struct sx_msg ack = { .type = SX_MSG_READ_ACK, .term = m->term, .seq = m->seq };
    const struct sx_member *leader = sx_members_find(&g->members, from);
    raft_id id;
    const char *address;

    raft_leader(&g->raft, &id, &address);
    if (m->term == g->raft.current_term && g->raft.state == RAFT_FOLLOWER && id == from)
        sx_send_msg(g, from, leader ? leader->address : NULL, &ack);
}

void sx_read_on_ack(struct sx_group *g, uint64_t from, const struct sx_msg *m)
{
    struct sx_read_round *r = &g->read;

    if (!sx_core_leader(g) || !r->active || m->term != g->raft.current_term || m->seq != r->seq ||
        r->acks == SX_MEMBERS_MAX)
        return;
    for (unsigned i = 0; i < r->acks; i++)
        if (r->acked[i] == from)
            return;
    r->acked[r->acks++] = from;
}
