/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Snapshots: local ones, which shorten the log, and installs, which bring a node up that is too
 * far behind.  Never both at a time.
 */
#include "fcgi/meta/raft/group_int.h"

#include <limits.h>
#include <string.h>

bool sx_group_snapshot_allowed(const struct sx_group *g)
{
    return g->started && !g->dead && !g->snapping && !g->installing;
}

int sx_group_snapshot_begin(struct sx_group *g, uint64_t now_ms, struct sx_err *e)
{
    if (sx_group_enter(g, now_ms, e))
        return -1;
    /* Guard: never a local snapshot during an install. */
    if (!sx_group_snapshot_allowed(g)) {
        sx_err_set(e, SX_EUNAVAIL, "group %u: a snapshot or an install is under way", g->group);
        return sx_group_leave(g, -1, e);
    }
    g->snapping = true;
    return sx_group_leave(g, 0, e);
}

/* The members as of `index`: of the last change in the log up to there, or of the snapshot
 * before. */
static int members_at(struct sx_group *g, uint64_t index, struct sx_snapref *s, struct sx_err *e)
{
    for (; index >= g->log.first && index > g->snap.members_index; index--) {
        struct sx_entry x;
        bool found;

        if (sx_rlog_get(&g->log, index)->type != SX_ENTRY_CHANGE)
            continue;
        if (sx_core_entry(g, index, &x, &found, e))
            return -1;
        s->members_index = index;
        return sx_members_decode(&s->members, x.data, x.len, e);
    }
    s->members_index = g->snap.members_index;
    sx_members_copy(&s->members, &g->snap.members);
    return 0;
}

static int take(struct sx_group *g, uint64_t index, uint64_t trailing, struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_SNAPSHOT };
    struct sx_snapref s = { .index = index, .term = sx_core_term(g, index) };
    int r;

    if (members_at(g, index, &s, e) || g->ops.save_snapshot(g->ctx, &s, e)) {
        sx_snapref_fini(&s);
        return sx_core_die(g, e);
    }
    ev.snapshot.metadata.index = s.index;
    ev.snapshot.metadata.term = s.term;
    ev.snapshot.metadata.configuration_index = s.members_index;
    ev.snapshot.trailing = trailing > UINT_MAX ? UINT_MAX : (unsigned)trailing;
    sx_core_configuration(&ev.snapshot.metadata.configuration, &s.members);
    sx_snapref_copy(&g->snap, &s);
    sx_snapref_fini(&s);
    if (sx_core_step(g, &ev, NULL, e))
        return -1;
    sx_rlog_cut(&g->log, g->raft.trail.offset + 1);
    sx_rlog_mark(&g->log, index);
    r = g->ops.log_cut(g->ctx, g->log.first, false, e);
    return r ? sx_core_die(g, e) : 0;
}

int sx_group_snapshot_end(struct sx_group *g, uint64_t now_ms, uint64_t index, uint64_t trailing,
                          struct sx_err *e)
{
    if (sx_group_enter(g, now_ms, e))
        return -1;
    sx_assert(g->snapping);
    g->snapping = false;
    if (!index)
        return sx_group_leave(g, 0, e);
    /* Guard: the database may be ahead of the log on disk; a snapshot may not.  And with a
     * snapshot at 1 the core takes entry 1 for present for ever, and would not send a new node
     * what it needs. */
    if (index < 2 || index > g->raft.last_stored || index > g->commit || index <= g->snap.index) {
        sx_err_set(e, SX_EUNAVAIL,
                   "group %u: no snapshot at %llu: log on disk to %llu, committed %llu, last %llu",
                   g->group, (unsigned long long)index, g->raft.last_stored,
                   (unsigned long long)g->commit, (unsigned long long)g->snap.index);
        return sx_group_leave(g, -1, e);
    }
    return sx_group_leave(g, take(g, index, trailing, e), e);
}

int sx_snap_begin_install(struct sx_group *g, struct raft_update *u, struct sx_err *e)
{
    raft_id leader;
    const char *address;

    g->install = u->snapshot.metadata;
    if (g->snapping || g->installing || g->install.index <= g->commit)
        return sx_err_set(e, SX_EBUG, "group %u: install of %llu at a wrong time", g->group,
                          g->install.index);
    g->installing = true;
    g->n_flight = 0;
    raft_leader(&g->raft, &leader, &address);
    g->ops.install(g->ctx, leader, address, g->install.index);
    return 0;
}

static int make_ref(struct sx_group *g, struct sx_snapref *s, struct sx_err *e)
{
    const struct raft_configuration *c = &g->install.configuration;

    s->index = g->install.index;
    s->term = g->install.term;
    s->members_index = g->install.configuration_index;
    for (unsigned i = 0; i < c->n; i++)
        if (sx_members_add(&s->members, c->servers[i].id, c->servers[i].address,
                           (enum sx_member_role)c->servers[i].role, e))
            return -1;
    return 0;
}

static int finish_install(struct sx_group *g, uint64_t applied, struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_PERSISTED_SNAPSHOT };
    struct sx_snapref s = SX_SNAPREF_INIT;

    if (make_ref(g, &s, e) || g->ops.save_snapshot(g->ctx, &s, e) ||
        g->ops.log_cut(g->ctx, s.index + 1, true, e)) {
        sx_snapref_fini(&s);
        return sx_core_die(g, e);
    }
    sx_snapref_copy(&g->snap, &s);
    sx_snapref_fini(&s);
    sx_rlog_reset(&g->log, g->snap.index + 1);
    sx_rlog_mark(&g->log, g->snap.index);
    g->commit = g->snap.index;
    g->given = g->applied = applied;
    g->given_bytes = 0;
    g->installing = false;
    ev.persisted_snapshot.metadata = g->install; /* the core takes the members */
    ev.persisted_snapshot.last = true;
    memset(&g->install, 0, sizeof g->install);
    return sx_core_step(g, &ev, NULL, e);
}

int sx_group_installed(struct sx_group *g, uint64_t now_ms, uint64_t applied, struct sx_err *e)
{
    if (sx_group_enter(g, now_ms, e))
        return -1;
    sx_assert(g->installing);
    if (applied < g->install.index) {
        sx_err_set(e, SX_EINVAL, "group %u: installed database has applied %llu, %llu is needed",
                   g->group, (unsigned long long)applied, g->install.index);
        return sx_group_leave(g, -1, e);
    }
    return sx_group_leave(g, finish_install(g, applied, e), e);
}
