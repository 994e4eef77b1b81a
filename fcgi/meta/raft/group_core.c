/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One step of libraft's core, and what must follow from it, in this order (rule 7 of raft:
 * nothing is promised before it is durable):
 *
 *   vote, log, snapshot, messages     carried out at once, by carry_out()
 *   committed configurations          fed back before anything else of that commit
 *   barrier of a new leader, members, handing over, reads, apply, state     by sx_core_settle()
 *
 * The core comes without assertions, so its known weak points are guarded where they are met; each
 * guard has a comment that begins with "Guard".
 */
#include "fcgi/meta/raft/group_int.h"

#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define BARRIER_BYTES 8u

int sx_core_die(struct sx_group *g, struct sx_err *e)
{
    struct sx_err none = SX_ERR_INIT;

    if (!e) {
        sx_err_set(&none, SX_EBUG, "group %u: consensus failed", g->group);
        e = &none;
    }
    if (!g->dead) {
        g->dead = true;
        g->ops.fatal(g->ctx, e);
    }
    return -1;
}

int sx_core_error(struct sx_group *g, int rv, const char *what, struct sx_err *e)
{
    int code = rv == RAFT_NOMEM ? SX_ENOMEM : rv == RAFT_SHUTDOWN ? SX_ECORRUPT : SX_EBUG;

    return sx_err_set(e, code, "group %u: %s: %s (%d), term %llu, commit %llu, last %llu, %s",
                      g->group, what, raft_strerror(rv), rv, g->raft.current_term,
                      g->raft.commit_index, (unsigned long long)sx_rlog_last(&g->log),
                      raft_errmsg(&g->raft));
}

void sx_core_configuration(struct raft_configuration *c, const struct sx_members *m)
{
    raft_configuration_init(c);
    for (unsigned i = 0; i < m->n; i++)
        sx_assert(raft_configuration_add(c, m->v[i].id, m->v[i].address, (int)m->v[i].role) == 0);
}

static void refresh_members(struct sx_group *g)
{
    const struct raft_configuration *c = &g->raft.configuration;

    sx_members_fini(&g->members);
    for (unsigned i = 0; i < c->n; i++)
        sx_assert(sx_members_add(&g->members, c->servers[i].id, c->servers[i].address,
                                 (enum sx_member_role)c->servers[i].role, NULL) == 0);
}

uint64_t sx_core_term(const struct sx_group *g, uint64_t index)
{
    if (index && index == g->snap.index)
        return g->snap.term;
    return sx_rlog_term(&g->log, index);
}

bool sx_core_ready(const struct sx_group *g)
{
    return sx_core_leader(g) && g->commit && sx_core_term(g, g->commit) == g->raft.current_term;
}

int sx_core_entry(struct sx_group *g, uint64_t index, struct sx_entry *entry, bool *found,
                  struct sx_err *e)
{
    const struct sx_rlog_item *item = sx_rlog_get(&g->log, index);

    *found = item != NULL;
    if (!item)
        return 0;
    *entry = (struct sx_entry){ index, item->term, item->type, item->len, item->data };
    if (item->data)
        return 0;
    sx_buf_reset(&g->data);
    if (g->ops.read_entry(g->ctx, index, entry, &g->data, e))
        return -1;
    entry->data = g->data.data;
    if (entry->term != item->term || entry->type != item->type || entry->len != item->len)
        return sx_err_set(e, SX_ECORRUPT,
                          "group %u: entry %llu on disk has term %llu, type %u, length %u, "
                          "not %llu, %u, %u",
                          g->group, (unsigned long long)index, (unsigned long long)entry->term,
                          entry->type, entry->len, (unsigned long long)item->term, item->type,
                          item->len);
    return 0;
}

/* An append replaces what follows its first entry, so older appends under way can promise only
 * what lies before it. */
static void add_flight(struct sx_group *g, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < g->n_flight; i++)
        if (g->flight[i].last >= first)
            g->flight[i].last = first - 1;
    if (g->n_flight == g->cap_flight) {
        g->cap_flight = g->cap_flight ? g->cap_flight * 2 : 16;
        g->flight = sx_realloc(g->flight, g->cap_flight * sizeof *g->flight);
    }
    g->flight[g->n_flight++] = (struct sx_flight){ ++g->seq, first, last };
}

static int append(struct sx_group *g, const struct raft_update *u, struct sx_err *e)
{
    uint64_t first = u->entries.index;
    unsigned n = u->entries.n;
    struct sx_entry *list = sx_calloc(n, sizeof *list);
    int r;

    if (first < g->log.first || first > sx_rlog_last(&g->log) + 1) {
        free(list);
        return sx_err_set(e, SX_EBUG, "group %u: append at %llu leaves a gap behind %llu", g->group,
                          (unsigned long long)first, (unsigned long long)sx_rlog_last(&g->log));
    }
    sx_rlog_truncate(&g->log, first);
    for (unsigned i = 0; i < n; i++) {
        const struct raft_entry *x = &u->entries.batch[i];

        list[i] = (struct sx_entry){ first + i, x->term, (uint8_t)x->type, (uint32_t)x->buf.len,
                                     x->buf.base };
        sx_rlog_append(&g->log, &list[i]);
    }
    add_flight(g, first, first + n - 1);
    r = g->ops.append(g->ctx, g->seq, list, n, e);
    free(list);
    return r;
}

static int carry_out(struct sx_group *g, struct raft_update *u, struct sx_err *e)
{
    int r = 0;

    /* Guard: term and vote are on disk before any message of the same update leaves. */
    if (u->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR))
        r = g->ops.save_vote(g->ctx, g->raft.current_term, g->raft.voted_for, e);
    if (u->flags & (RAFT_UPDATE_ENTRIES)) {
        if (!r)
            r = append(g, u, e);
        raft_free(u->entries.batch[0].batch); /* the core gives it up with the update */
    }
    if (!r && u->flags & (RAFT_UPDATE_SNAPSHOT))
        r = sx_snap_begin_install(g, u, e);
    refresh_members(g);
    for (unsigned i = 0; !r && u->flags & (RAFT_UPDATE_MESSAGES) && i < u->messages.n; i++)
        r = sx_send_core(g, &u->messages.batch[i], e);
    return r ? sx_core_die(g, e) : 0;
}

int sx_core_step(struct sx_group *g, struct raft_event *ev, int *refused, struct sx_err *e)
{
    struct raft_update u;
    int rv;

    memset(&u, 0, sizeof u);
    ev->time = g->now;
    ev->unused = 0;
    ev->capacity = 0;
    memset(ev->reserved, 0, sizeof ev->reserved);
    rv = raft_step(&g->raft, ev, &u);
    if (refused)
        *refused = rv;
    if (rv && refused)
        return 0;
    if (rv) {
        sx_core_error(g, rv, "the core refuses", e);
        return sx_core_die(g, e);
    }
    if (!g->installing && g->raft.commit_index < g->commit) {
        sx_core_error(g, RAFT_CORRUPT, "the core's commit index falls", e);
        return sx_core_die(g, e);
    }
    return carry_out(g, &u, e);
}

int sx_core_submit(struct sx_group *g, enum sx_entry_type type, const void *data, size_t n,
                   int *refused, struct sx_err *e)
{
    struct raft_entry x = { .term = g->raft.current_term,
                            .type = (enum raft_entry_type)type,
                            .buf = { (void *)data, n } };
    struct raft_event ev = { .type = RAFT_SUBMIT, .submit = { &x, 1 } };

    /* Entries are copied into our own log at once; the core only wants something to give back. */
    x.batch = raft_malloc(1);
    if (!x.batch) {
        sx_err_set(e, SX_ENOMEM, "group %u: out of memory", g->group);
        return sx_core_die(g, e);
    }
    if (sx_core_step(g, &ev, refused, e))
        return -1;
    if (*refused)
        raft_free(x.batch);
    return 0;
}

/* Guard: a leader whose log is wholly committed appends nothing of its own term by itself; then
 * neither a change of members nor a read index would be safe.  So each new leader submits a
 * barrier. */
static int submit_barrier(struct sx_group *g, bool *did, struct sx_err *e)
{
    static const uint8_t zero[BARRIER_BYTES];
    int refused;

    if (!sx_core_leader(g) || raft_transferee(&g->raft) ||
        sx_core_term(g, sx_rlog_last(&g->log)) == g->raft.current_term)
        return 0;
    if (sx_core_submit(g, SX_ENTRY_BARRIER, zero, sizeof zero, &refused, e))
        return -1;
    if (refused) {
        sx_core_error(g, refused, "barrier", e);
        return sx_core_die(g, e);
    }
    *did = true;
    return 0;
}

static int feed_configuration(struct sx_group *g, uint64_t index, struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_CONFIGURATION };
    SX_AUTO(sx_members) struct sx_members m = SX_MEMBERS_INIT;
    struct sx_entry x;
    bool found;

    if (sx_core_entry(g, index, &x, &found, e) ||
        (found && sx_members_decode(&m, x.data, x.len, e)))
        return sx_core_die(g, e);
    sx_assert(found);
    ev.configuration.index = index;
    sx_core_configuration(&ev.configuration.conf, &m);
    return sx_core_step(g, &ev, NULL, e);
}

/* Guard: each committed change of members is fed back to the core before anything else of that
 * commit. (During an install the core already counts what the snapshot holds as committed: not
 * yet.) */
static int advance_commit(struct sx_group *g, bool *did, struct sx_err *e)
{
    while (!g->installing && g->commit < g->raft.commit_index) {
        const struct sx_rlog_item *item = sx_rlog_get(&g->log, g->commit + 1);

        if (!item) {
            sx_err_set(e, SX_EBUG, "group %u: entry %llu is committed but not in the log", g->group,
                       (unsigned long long)g->commit + 1);
            return sx_core_die(g, e);
        }
        g->commit++;
        *did = true;
        if (item->type == SX_ENTRY_CHANGE && feed_configuration(g, g->commit, e))
            return -1;
    }
    return 0;
}

static int apply(struct sx_group *g, struct sx_err *e)
{
    while (!g->installing && g->given < g->commit && g->given_bytes < g->apply_bytes) {
        struct sx_entry x;
        bool found;

        if (sx_core_entry(g, g->given + 1, &x, &found, e))
            return sx_core_die(g, e);
        if (!found) {
            sx_err_set(e, SX_EBUG, "group %u: entry %llu is to be applied but not in the log",
                       g->group, (unsigned long long)g->given + 1);
            return sx_core_die(g, e);
        }
        g->given++;
        g->given_bytes += x.len;
        g->ops.apply(g->ctx, &x);
    }
    return 0;
}

/* Guard: the core may hear of persisted entries only if they are in its log with that term still,
 * lie behind the last one it heard of, no install runs, and it is no candidate. */
static int report_persisted(struct sx_group *g, bool *did, struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_PERSISTED_ENTRIES };
    uint64_t index = 0;
    size_t n = 0;

    if (g->installing || g->raft.state == RAFT_CANDIDATE)
        return 0;
    while (n < g->n_flight && g->flight[n].seq <= g->persisted) {
        if (g->flight[n].last >= g->flight[n].first && g->flight[n].last > index)
            index = g->flight[n].last;
        n++;
    }
    if (!n)
        return 0;
    g->n_flight -= n;
    memmove(g->flight, g->flight + n, g->n_flight * sizeof *g->flight);
    if (index <= g->raft.last_stored || !sx_rlog_get(&g->log, index))
        return 0;
    *did = true;
    ev.persisted_entries.index = index;
    return sx_core_step(g, &ev, NULL, e);
}

static uint64_t known_leader(const struct sx_group *g)
{
    raft_id id;
    const char *address;

    raft_leader((struct raft *)&g->raft, &id, &address);
    return id;
}

static bool tell_state(struct sx_group *g)
{
    uint64_t leader = known_leader(g);

    if (g->told.state == g->raft.state && g->told.term == g->raft.current_term &&
        g->told.leader == leader)
        return false;
    if (!sx_core_leader(g) || g->told.term != g->raft.current_term) {
        sx_read_fail(g);
        sx_change_fail(g);
        g->handover.to = 0;
    }
    g->told.state = g->raft.state;
    g->told.term = g->raft.current_term;
    g->told.leader = leader;
    g->ops.state(g->ctx);
    return true;
}

int sx_core_settle(struct sx_group *g, struct sx_err *e)
{
    bool did;

    do {
        did = false;
        if (report_persisted(g, &did, e) || advance_commit(g, &did, e))
            return -1;
        did |= tell_state(g);
        if (submit_barrier(g, &did, e) || apply(g, e) || sx_change_settle(g, &did, e))
            return -1;
        did |= sx_read_settle(g);
    } while (did);
    sx_rlog_evict(&g->log, g->raft.last_stored);
    return 0;
}
