/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changes of members, one at a time, and handing over leadership.
 *
 *   add, demote, remove:  NONE → COMMIT → NONE
 *   promote:              NONE → CATCHUP → COMMIT → NONE
 *
 * Catching up is watched here and not by the core, whose own rounds end only with an answer that
 * reports something new, so that a node which is up to date already would never finish.
 */
#include "fcgi/meta/raft/group_int.h"

#include <string.h>

#include "libsx/base/mem.h"

static void finish(struct sx_group *g, int code)
{
    uint64_t tag = g->change.tag;

    free(g->change.address);
    memset(&g->change, 0, sizeof g->change);
    g->ops.changed(g->ctx, tag, code);
}

void sx_change_fail(struct sx_group *g)
{
    if (g->change.phase != SX_PHASE_NONE)
        finish(g, SX_ENOLEADER);
}

/* What the members will be.  Says why a change is not possible. */
static int plan(const struct sx_group *g, struct sx_members *m, enum sx_group_change what,
                uint64_t id, const char *address, struct sx_err *e)
{
    struct sx_member *x;

    sx_members_copy(m, &g->members);
    if (what == SX_CHANGE_ADD)
        return sx_members_add(m, id, address, SX_ROLE_STANDBY, e);
    x = sx_members_find(m, id);
    if (!x)
        return sx_err_set(e, SX_ENOTFOUND, "group %u: no member %016llx", g->group,
                          (unsigned long long)id);
    if (id == g->raft.id)
        return sx_err_set(e, SX_EINVAL, "group %u: the leader must hand leadership over first",
                          g->group);
    if (what == SX_CHANGE_PROMOTE ? x->role == SX_ROLE_VOTER
                                  : what == SX_CHANGE_DEMOTE && x->role != SX_ROLE_VOTER)
        return sx_err_set(e, SX_EINVAL, "group %u: member %016llx has that role already", g->group,
                          (unsigned long long)id);
    if (what == SX_CHANGE_REMOVE)
        sx_members_remove(m, id);
    else
        x->role = what == SX_CHANGE_PROMOTE ? SX_ROLE_VOTER : SX_ROLE_STANDBY;
    return 0;
}

static int submit(struct sx_group *g, struct sx_err *e)
{
    struct sx_pending_change *c = &g->change;
    SX_AUTO(sx_members) struct sx_members m = SX_MEMBERS_INIT;
    SX_AUTO(sx_buf) struct sx_buf data = SX_BUF_INIT;
    int refused;

    if (plan(g, &m, c->what, c->id, c->address, e))
        return sx_core_die(g, e); /* nothing else can change members meanwhile */
    sx_members_encode(&m, &data);
    c->phase = SX_PHASE_COMMIT;
    c->index = sx_rlog_last(&g->log) + 1;
    if (sx_core_submit(g, SX_ENTRY_CHANGE, data.data, data.len, &refused, e))
        return -1;
    if (refused) {
        sx_core_error(g, refused, "change of members", e);
        return sx_core_die(g, e);
    }
    return 0;
}

static void begin_round(struct sx_group *g)
{
    g->change.rounds++;
    g->change.round_ms = g->now;
    g->change.target = sx_rlog_last(&g->log);
}

int sx_group_change(struct sx_group *g, uint64_t now_ms, enum sx_group_change what, uint64_t id,
                    const char *address, uint64_t tag, struct sx_err *e)
{
    SX_AUTO(sx_members) struct sx_members m = SX_MEMBERS_INIT;
    struct sx_pending_change *c = &g->change;

    if (sx_group_enter(g, now_ms, e))
        return -1;
    if (!sx_core_leader(g)) {
        sx_err_set(e, SX_ENOTLEADER, "group %u: this node is not the leader", g->group);
        return sx_group_leave(g, -1, e);
    }
    /* Guard: only after an entry of the leader's own term is committed (the barrier), and one at a
     * time. */
    if (!sx_core_ready(g) || c->phase != SX_PHASE_NONE || g->handover.to ||
        g->raft.configuration_uncommitted_index) {
        sx_err_set(e, SX_EUNAVAIL, "group %u: another change is under way", g->group);
        return sx_group_leave(g, -1, e);
    }
    if (plan(g, &m, what, id, address, e))
        return sx_group_leave(g, -1, e);
    *c = (struct sx_pending_change){ .what = what,
                                     .id = id,
                                     .tag = tag,
                                     .end_ms = g->now + SX_GROUP_CATCHUP_MS,
                                     .address = sx_strdup(address ? address
                                                                  : sx_members_find(&g->members, id)
                                                                        ->address) };
    if (what == SX_CHANGE_PROMOTE) {
        c->phase = SX_PHASE_CATCHUP;
        begin_round(g);
        return sx_group_leave(g, 0, e);
    }
    return sx_group_leave(g, submit(g, e), e);
}

/* A round that took less than an election time-out is good enough (dissertation, §4.2.1): what
 * came meanwhile is little. */
static int watch_catchup(struct sx_group *g, bool *did, struct sx_err *e)
{
    struct sx_pending_change *c = &g->change;

    if (g->now >= c->end_ms) {
        finish(g, SX_ETIMEOUT);
        *did = true;
        return 0;
    }
    if (g->handover.to || sx_group_match(g, c->id) < c->target)
        return 0;
    *did = true;
    if (g->now - c->round_ms <= g->election_ms || sx_group_match(g, c->id) == sx_rlog_last(&g->log))
        return submit(g, e);
    if (c->rounds >= SX_GROUP_CATCHUP_ROUNDS)
        finish(g, SX_ETIMEOUT);
    else
        begin_round(g);
    return 0;
}

static void committed(struct sx_group *g)
{
    struct sx_msg bye = { .type = SX_MSG_REMOVED,
                          .term = g->raft.current_term,
                          .index = g->change.index };

    if (g->change.what == SX_CHANGE_REMOVE)
        sx_send_msg(g, g->change.id, g->change.address, &bye);
    finish(g, SX_OK);
}

/* Holds new commands back until the target has the whole log, and only then tells the core, so
 * that the target does not refuse for want of the last entry. */
static int watch_handover(struct sx_group *g, bool *did, struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_TRANSFER, .transfer = { g->handover.to } };
    int refused;

    if (!g->handover.to)
        return 0;
    if (g->handover.told ? !raft_transferee(&g->raft) : g->now >= g->handover.end_ms) {
        g->handover.to = 0; /* given up, here or by the core */
        *did = true;
        return 0;
    }
    if (g->handover.told || sx_group_match(g, g->handover.to) < sx_rlog_last(&g->log))
        return 0;
    g->handover.told = true;
    if (sx_core_step(g, &ev, &refused, e))
        return -1;
    if (refused)
        g->handover.to = 0;
    *did = true;
    return 0;
}

int sx_change_settle(struct sx_group *g, bool *did, struct sx_err *e)
{
    if (!sx_core_leader(g))
        return 0;
    if (watch_handover(g, did, e))
        return -1;
    if (g->change.phase == SX_PHASE_CATCHUP)
        return watch_catchup(g, did, e);
    if (g->change.phase == SX_PHASE_COMMIT && g->commit >= g->change.index) {
        committed(g);
        *did = true;
    }
    return 0;
}

uint64_t sx_change_timeout(const struct sx_group *g)
{
    uint64_t t = UINT64_MAX;

    if (g->handover.to && !g->handover.told)
        t = g->handover.end_ms;
    if (g->change.phase == SX_PHASE_CATCHUP && g->change.end_ms < t)
        t = g->change.end_ms;
    if (g->read.active && g->read.sent_ms + g->heartbeat_ms < t)
        t = g->read.sent_ms + g->heartbeat_ms;
    return t;
}

/* Guard: members count as soon as they are in a node's log.  If a change reached others and the
 * leader died before having it on its own disk, or if it reached the very node that loses its
 * vote, then the nodes that are left could be unable to elect although a majority is there.  So it
 * leaves only when it is on our disk, and goes to the node that it demotes only when it is
 * committed. */
uint64_t sx_change_hold(const struct sx_group *g, uint64_t to)
{
    uint64_t index = g->raft.configuration_uncommitted_index;

    if (!index)
        return UINT64_MAX;
    if (g->raft.last_stored < index)
        return index;
    if (g->change.phase == SX_PHASE_COMMIT && g->change.what == SX_CHANGE_DEMOTE &&
        g->change.id == to && g->change.index == index)
        return index;
    return UINT64_MAX;
}

static uint64_t choose_target(const struct sx_group *g)
{
    uint64_t best = 0, most = 0;

    for (unsigned i = 0; i < g->members.n; i++) {
        const struct sx_member *m = &g->members.v[i];
        uint64_t match = sx_group_match(g, m->id);

        if (m->id == g->raft.id || m->role != SX_ROLE_VOTER || (best && match <= most))
            continue;
        best = m->id;
        most = match;
    }
    return best;
}

int sx_group_transfer(struct sx_group *g, uint64_t now_ms, uint64_t to, struct sx_err *e)
{
    const struct sx_member *m;

    if (sx_group_enter(g, now_ms, e))
        return -1;
    if (!to && sx_core_leader(g))
        to = choose_target(g);
    m = sx_members_find(&g->members, to);
    if (!sx_core_leader(g))
        sx_err_set(e, SX_ENOTLEADER, "group %u: this node is not the leader", g->group);
    else if (g->handover.to || raft_transferee(&g->raft) || g->change.phase == SX_PHASE_COMMIT)
        sx_err_set(e, SX_EUNAVAIL, "group %u: a change is under way", g->group);
    else if (!m || m->role != SX_ROLE_VOTER || to == g->raft.id)
        sx_err_set(e, SX_EINVAL, "group %u: %016llx is no other voter", g->group,
                   (unsigned long long)to);
    else {
        g->handover = (struct sx_handover){ .to = to, .end_ms = g->now + g->election_ms };
        return sx_group_leave(g, 0, e);
    }
    return sx_group_leave(g, -1, e);
}
