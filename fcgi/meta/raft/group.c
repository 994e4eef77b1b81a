/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group's life: making, start from disk, events, queries.  See group.h and group_int.h.
 */
#include "fcgi/meta/raft/group_int.h"

#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"

static void no_trace(struct raft_tracer *t, int type, const void *info)
{
}

struct sx_group *sx_group_new(const struct sx_group_config *c, const struct sx_group_ops *ops,
                              void *ctx)
{
    struct sx_group *g = sx_calloc(1, sizeof *g);

    g->ops = *ops;
    g->ctx = ctx;
    g->group = c->group;
    g->address = sx_strdup(c->address);
    g->election_ms = c->election_ms ? c->election_ms : SX_GROUP_ELECTION_MS;
    g->heartbeat_ms = c->heartbeat_ms ? c->heartbeat_ms : SX_GROUP_HEARTBEAT_MS;
    g->tracer = (struct raft_tracer){ .version = 2, .emit = no_trace };
    g->told.state = -1;
    g->apply_bytes = c->apply_bytes ? c->apply_bytes : SX_GROUP_APPLY_BYTES;
    sx_rlog_init(&g->log, 1, c->cache_bytes ? c->cache_bytes : SX_GROUP_CACHE_BYTES);
    sx_assert(raft_init(&g->raft, NULL, NULL, c->id, g->address) == 0);
    g->raft.tracer = &g->tracer;
    raft_seed(&g->raft, c->seed);
    raft_set_election_timeout(&g->raft, g->election_ms);
    raft_set_heartbeat_timeout(&g->raft, g->heartbeat_ms);
    raft_set_install_snapshot_timeout(&g->raft,
                                      c->install_ms ? c->install_ms : SX_GROUP_INSTALL_MS);
    raft_set_pre_vote(&g->raft, true);
    raft_set_max_inflight_entries(&g->raft, SX_GROUP_INFLIGHT_ENTRIES);
    return g;
}

void sx_group_free(struct sx_group *g)
{
    if (!g)
        return;
    raft_close(&g->raft, NULL);
    if (g->installing)
        raft_configuration_close(&g->install.configuration);
    sx_rlog_fini(&g->log);
    sx_snapref_fini(&g->snap);
    sx_members_fini(&g->members);
    sx_buf_fini(&g->scratch);
    sx_buf_fini(&g->data);
    free(g->flight);
    free(g->read.tags);
    free(g->change.address);
    free(g->address);
    free(g);
}

int sx_group_bootstrap(uint64_t id, const char *address, struct sx_buf *data, struct sx_err *e)
{
    SX_AUTO(sx_members) struct sx_members m = SX_MEMBERS_INIT;

    if (sx_members_add(&m, id, address, SX_ROLE_VOTER, e))
        return -1;
    sx_members_encode(&m, data);
    return 0;
}

int sx_group_enter(struct sx_group *g, uint64_t now_ms, struct sx_err *e)
{
    sx_assert(!g->inside);
    if (g->dead)
        return sx_err_set(e, SX_EUNAVAIL, "group %u is dead", g->group);
    sx_assert(g->started);
    g->inside = true;
    if (now_ms > g->now)
        g->now = now_ms;
    return 0;
}

int sx_group_leave(struct sx_group *g, int result, struct sx_err *e)
{
    if (!result)
        result = sx_core_settle(g, e);
    g->inside = false;
    return result;
}

/* ---- start ---- */

struct loaded {
    struct raft_entry *entry; /* content only of changes */
    unsigned n;
    struct sx_members members; /* of the last change, or of the snapshot */
};

static void loaded_fini(struct loaded *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free(l->entry[i].buf.base);
    free(l->entry);
    sx_members_fini(&l->members);
}

static int load_entry(struct sx_group *g, struct loaded *l, uint64_t index, struct sx_err *e)
{
    struct raft_entry *x = &l->entry[l->n];
    struct sx_entry d = { 0 };

    sx_buf_reset(&g->data);
    if (g->ops.read_entry(g->ctx, index, &d, &g->data, e))
        return -1;
    d.index = index;
    d.data = g->data.data;
    if (l->n && d.term < x[-1].term)
        return sx_err_set(e, SX_ECORRUPT, "group %u: term falls at entry %llu", g->group,
                          (unsigned long long)index);
    x->term = d.term;
    x->type = (enum raft_entry_type)d.type;
    l->n++;
    sx_rlog_append(&g->log, &d);
    sx_rlog_evict(&g->log, index);
    if (d.type != SX_ENTRY_CHANGE)
        return 0;
    x->buf.base = sx_malloc(d.len);
    x->buf.len = d.len;
    memcpy(x->buf.base, d.data, d.len);
    return index > g->snap.members_index ? sx_members_decode(&l->members, d.data, d.len, e) : 0;
}

static int load_log(struct sx_group *g, struct loaded *l, uint64_t first, uint64_t last,
                    struct sx_err *e)
{
    sx_rlog_reset(&g->log, first);
    l->entry = sx_calloc(last - first + 2, sizeof *l->entry);
    sx_members_copy(&l->members, &g->snap.members);
    for (uint64_t i = first; i <= last; i++)
        if (load_entry(g, l, i, e))
            return -1;
    sx_rlog_mark(&g->log, g->snap.index);
    return 0;
}

/* A log that ends before the snapshot, or contradicts it, is what an install left behind that
 * was cut off before the log was emptied. */
static int drop_obsolete(struct sx_group *g, struct loaded *l, struct sx_err *e)
{
    uint64_t index = g->snap.index;

    if (!index || (l->n == 0 && g->log.first == index + 1) ||
        sx_rlog_term(&g->log, index) == g->snap.term ||
        (g->log.first == index + 1 && l->n))
        return 0;
    sx_info("group %u: log %llu to %llu is older than snapshot %llu: dropped", g->group,
            (unsigned long long)g->log.first, (unsigned long long)sx_rlog_last(&g->log),
            (unsigned long long)index);
    loaded_fini(l);
    *l = (struct loaded){ 0 };
    sx_rlog_reset(&g->log, index + 1);
    sx_members_copy(&l->members, &g->snap.members);
    return g->ops.log_cut(g->ctx, index + 1, true, e);
}

static int check_start(struct sx_group *g, const struct sx_group_start *s, const struct loaded *l,
                       struct sx_err *e)
{
    if (s->applied < g->snap.index)
        return sx_err_set(e, SX_ECORRUPT,
                          "group %u: the database has applied %llu, the snapshot says %llu",
                          g->group, (unsigned long long)s->applied,
                          (unsigned long long)g->snap.index);
    if (g->log.first > g->snap.index + 1)
        return sx_err_set(e, SX_ECORRUPT,
                          "group %u: the log begins at %llu, the snapshot ends at %llu", g->group,
                          (unsigned long long)g->log.first, (unsigned long long)g->snap.index);
    if (!g->snap.index && l->n && l->entry[0].type != RAFT_CHANGE)
        return sx_err_set(e, SX_ECORRUPT, "group %u: the first entry names no members", g->group);
    if ((l->n && l->entry[l->n - 1].term > s->term) || g->snap.term > s->term)
        return sx_err_set(e, SX_ECORRUPT, "group %u: term %llu is older than the log", g->group,
                          (unsigned long long)s->term);
    return 0;
}

/* Guard: the core makes a lone voter leader again in the same term.  If it lost unsynced entries
 * of that term that a standby already has, two entries of one term would share an index.  So it
 * begins a new term, voted for like any other. */
static int lone_voter_term(struct sx_group *g, const struct loaded *l, uint64_t *term,
                           uint64_t *voted_for, struct sx_err *e)
{
    const struct sx_member *me = sx_members_find(&l->members, g->raft.id);

    if (!me || me->role != SX_ROLE_VOTER || sx_members_voters(&l->members) != 1)
        return 0;
    *term += 1;
    *voted_for = g->raft.id;
    return g->ops.save_vote(g->ctx, *term, *voted_for, e);
}

static int start_core(struct sx_group *g, const struct sx_group_start *s, struct loaded *l,
                      struct sx_err *e)
{
    struct raft_snapshot_metadata meta = { .index = g->snap.index,
                                           .term = g->snap.term,
                                           .configuration_index = g->snap.members_index };
    struct raft_event ev = { .type = RAFT_START };
    uint64_t term = s->term, voted_for = s->voted_for;

    if (lone_voter_term(g, l, &term, &voted_for, e))
        return sx_core_die(g, e);
    ev.start.term = term;
    ev.start.voted_for = voted_for;
    ev.start.start_index = g->log.first;
    ev.start.entries = l->entry;
    ev.start.n_entries = l->n;
    if (g->snap.index) {
        sx_core_configuration(&meta.configuration, &g->snap.members);
        ev.start.metadata = &meta; /* the core takes the members */
    }
    g->commit = g->snap.index;
    g->given = g->applied = s->applied;
    return sx_core_step(g, &ev, NULL, e);
}

int sx_group_start(struct sx_group *g, uint64_t now_ms, const struct sx_group_start *s,
                   struct sx_err *e)
{
    struct loaded l = { 0 };
    int r;

    sx_assert(!g->started && !g->inside);
    g->started = true;
    if (sx_group_enter(g, now_ms, e))
        return -1;
    if (s->snapshot && s->snapshot->index)
        sx_snapref_copy(&g->snap, s->snapshot);
    if (load_log(g, &l, s->first, s->last, e) || drop_obsolete(g, &l, e) ||
        check_start(g, s, &l, e))
        r = sx_core_die(g, e);
    else
        r = start_core(g, s, &l, e);
    loaded_fini(&l);
    return sx_group_leave(g, r, e);
}

/* ---- events ---- */

uint64_t sx_group_timeout(const struct sx_group *g)
{
    uint64_t own = sx_change_timeout(g), core = raft_timeout(&g->raft);

    return core < own ? core : own;
}

int sx_group_tick(struct sx_group *g, uint64_t now_ms, struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_TIMEOUT };
    int r = 0;

    if (sx_group_enter(g, now_ms, e))
        return -1;
    if (g->now >= raft_timeout(&g->raft))
        r = sx_core_step(g, &ev, NULL, e);
    return sx_group_leave(g, r, e);
}

int sx_group_receive(struct sx_group *g, uint64_t now_ms, uint64_t from, const void *msg, size_t n,
                     struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    struct sx_msg m;

    if (sx_group_enter(g, now_ms, e))
        return -1;
    if (!from || from == g->raft.id || sx_msg_decode(&m, msg, n, &why)) {
        sx_warn("group %u: message of %016llx dropped: %s", g->group, (unsigned long long)from,
                why.code ? why.msg : "wrong sender");
        return sx_group_leave(g, 0, e);
    }
    return sx_group_leave(g, sx_recv_msg(g, from, &m, e), e);
}

int sx_group_persisted(struct sx_group *g, uint64_t now_ms, uint64_t seq, struct sx_err *e)
{
    if (sx_group_enter(g, now_ms, e))
        return -1;
    sx_assert(seq <= g->seq);
    if (seq > g->persisted)
        g->persisted = seq;
    return sx_group_leave(g, 0, e);
}

int sx_group_applied(struct sx_group *g, uint64_t now_ms, uint64_t index, struct sx_err *e)
{
    if (sx_group_enter(g, now_ms, e))
        return -1;
    /* After an install reports of entries before it may still come. */
    while (g->applied < index && g->applied < g->given) {
        const struct sx_rlog_item *item = sx_rlog_get(&g->log, ++g->applied);

        g->given_bytes -= item ? item->len : 0;
    }
    if (g->applied == g->given)
        g->given_bytes = 0;
    return sx_group_leave(g, 0, e);
}

static int check_submit(struct sx_group *g, size_t n, struct sx_err *e)
{
    uint64_t base = g->commit < g->raft.last_stored ? g->commit : g->raft.last_stored;

    if (!n || n > SX_LOG_ENTRY_MAX)
        return sx_err_set(e, SX_ETOOBIG, "group %u: entry of %zu bytes", g->group, n);
    if (!sx_core_leader(g))
        return sx_err_set(e, SX_ENOTLEADER, "group %u: this node is not the leader", g->group);
    if (!sx_core_ready(g) || g->handover.to || raft_transferee(&g->raft))
        return sx_err_set(e, SX_EUNAVAIL, "group %u: leadership is changing", g->group);
    if (g->n_flight >= SX_GROUP_FLIGHTS_MAX ||
        sx_rlog_bytes_after(&g->log, base) > SX_GROUP_CACHE_BYTES)
        return sx_err_set(e, SX_EUNAVAIL, "group %u: too much is under way", g->group);
    return 0;
}

int sx_group_submit(struct sx_group *g, uint64_t now_ms, const void *data, size_t n,
                    uint64_t *index, uint64_t *term, struct sx_err *e)
{
    uint64_t at, in;
    int refused;

    if (sx_group_enter(g, now_ms, e))
        return -1;
    if (check_submit(g, n, e))
        return sx_group_leave(g, -1, e);
    at = sx_rlog_last(&g->log) + 1;
    in = g->raft.current_term;
    if (sx_core_submit(g, SX_ENTRY_COMMAND, data, n, &refused, e))
        return sx_group_leave(g, -1, e);
    if (refused) {
        sx_core_error(g, refused, "submit", e);
        return sx_group_leave(g, -1, e);
    }
    *index = at;
    *term = in;
    return sx_group_leave(g, 0, e);
}

int sx_group_read_index(struct sx_group *g, uint64_t now_ms, uint64_t tag, struct sx_err *e)
{
    if (sx_group_enter(g, now_ms, e))
        return -1;
    return sx_group_leave(g, sx_read_add(g, tag, e), e);
}

/* ---- queries ---- */

void sx_group_status(const struct sx_group *g, struct sx_group_status *s)
{
    raft_id leader;
    const char *address;

    raft_leader((struct raft *)&g->raft, &leader, &address);
    *s = (struct sx_group_status){
        .state = g->raft.state == RAFT_LEADER      ? SX_GROUP_LEADER
                 : g->raft.state == RAFT_CANDIDATE ? SX_GROUP_CANDIDATE
                                                   : SX_GROUP_FOLLOWER,
        .id = g->raft.id,
        .term = g->raft.current_term,
        .voted_for = g->raft.voted_for,
        .leader = leader,
        .commit = g->commit,
        .applied = g->applied,
        .stored = g->raft.last_stored,
        .first = g->log.first,
        .last = sx_rlog_last(&g->log),
        .snapshot = g->snap.index,
        .since_bytes = g->log.marked,
        .ready = sx_core_ready(g),
        .installing = g->installing,
        .handing_over = g->handover.to != 0 || raft_transferee(&g->raft) != 0,
    };
    s->since_entries = s->last > s->snapshot ? s->last - s->snapshot : 0;
}

const char *sx_group_leader_address(const struct sx_group *g)
{
    raft_id id;
    const char *address;

    raft_leader((struct raft *)&g->raft, &id, &address);
    return id ? address : NULL;
}

const struct sx_members *sx_group_members(const struct sx_group *g)
{
    return &g->members;
}

uint64_t sx_group_match(const struct sx_group *g, uint64_t id)
{
    raft_index index = 0;

    if (!sx_core_leader(g) || raft_match_index(&g->raft, id, &index) != 0)
        return 0;
    return index;
}
