/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One node: what its group's effects do, its disk, and a database that knows how far it has
 * applied.  The database may lose what was not synced in it, as SQLite does at a power failure.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/mem.h"
#include "tests/sim/sim.h"

#define VOTE "/d/vote"
#define SNAP "/d/snap"
#define INSTALL_RETRY_MS 50u

static void check(struct sim_node *n, int r, const struct sx_err *e)
{
    if (r && n->faulty)
        n->dead = true;
    else if (r && !n->sim->failed[0])
        sim_fail(n->sim, "node %u: %s", n->number, e->msg);
}

/* ---- effects ---- */

static int save_vote(void *ctx, uint64_t term, uint64_t voted_for, struct sx_err *e)
{
    struct sim_node *n = ctx;

    sim_trace(n->sim, 200 + n->number, term, voted_for);
    n->saved_term = term;
    n->saved_vote = voted_for;
    if (n->sim->bug == SIM_BUG_FORGET_VOTE)
        voted_for = 0;
    return sx_vote_save(n->vote, term, voted_for, e);
}

static int append(void *ctx, uint64_t seq, const struct sx_entry *x, unsigned count,
                  struct sx_err *e)
{
    struct sim_node *n = ctx;
    struct sim *s = n->sim;
    bool skip = s->bug == SIM_BUG_LOST_TRUNCATE && x[0].index <= n->log.last;

    sim_trace(s, 300 + n->number, seq, x[0].index);
    for (unsigned i = 0; i < count; i++) {
        uint64_t before = x[i].index > 1 ? n->log.term[x[i].index - 1] : 0;

        if (x[i].index >= SIM_INDEX_MAX)
            return sx_err_set(e, SX_EBUG, "the run is too long for the simulator");
        n->log.last = x[i].index;
        n->log.term[x[i].index] = (uint32_t)x[i].term;
        sim_check_append(n, &x[i], before);
    }
    n->wait.seq = seq;
    if (!skip && sx_wal_append(n->wal, SIM_GROUP, x, count, e))
        return -1;
    if (!n->sync_planned || s->bug == SIM_BUG_EARLY_ACK)
        sim_plan(s, s->now + sim_rand(s, s->disk_delay + 1), SIM_SYNC, n->number, 0);
    n->sync_planned = true;
    return 0;
}

static int read_entry(void *ctx, uint64_t index, struct sx_entry *entry, struct sx_buf *data,
                      struct sx_err *e)
{
    return sx_wal_read(((struct sim_node *)ctx)->wal, SIM_GROUP, index, entry, data, e);
}

static int save_snapshot(void *ctx, const struct sx_snapref *r, struct sx_err *e)
{
    struct sim_node *n = ctx;

    sim_trace(n->sim, 400 + n->number, r->index, r->members_index);
    if (r->index > n->db)
        sim_fail(n->sim, "node %u: snapshot at %llu, the database durably has %llu", n->number,
                 (unsigned long long)r->index, (unsigned long long)n->db);
    sx_snapref_copy(&n->snap, r);
    return sx_snapref_save(sx_memio_io(n->mem), SNAP, SIM_GROUP, r, e);
}

static int log_cut(void *ctx, uint64_t first, bool all, struct sx_err *e)
{
    struct sim_node *n = ctx;

    if (first > n->snap.index + 1)
        sim_fail(n->sim, "node %u: log cut at %llu behind snapshot %llu", n->number,
                 (unsigned long long)first, (unsigned long long)n->snap.index);
    n->log.first = first;
    if (all) {
        memset(n->log.term, 0, sizeof n->log.term);
        n->log.last = first - 1;
        n->log.term[n->snap.index] = (uint32_t)n->snap.term;
    }
    return sx_wal_cut(n->wal, SIM_GROUP, first, all, e);
}

static void install(void *ctx, uint64_t leader, const char *address, uint64_t index)
{
    struct sim_node *n = ctx;

    n->installing = index;
    sim_plan(n->sim, n->sim->now + 1 + sim_rand(n->sim, 100), SIM_INSTALL, n->number, leader);
}

static void bend(struct sim *s, struct sx_buf *b)
{
    static struct sx_msg m;

    if (s->bug != SIM_BUG_EARLY_COMMIT || sx_msg_decode(&m, b->data, b->len, NULL) ||
        m.type != SX_MSG_APPEND || !m.n)
        return;
    m.commit = m.index + m.n;
    {
        struct sx_buf c = SX_BUF_INIT;

        sx_msg_encode(&m, &c);
        sx_buf_fini(b);
        *b = c;
    }
}

static void send_message(void *ctx, uint64_t to, const char *address, const void *msg, size_t len)
{
    struct sim_node *n = ctx;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_buf_add(&b, msg, len);
    bend(n->sim, &b);
    sim_network(n->sim, n->number, sim_number(n->sim, to), b.data, b.len);
}

static void apply(void *ctx, const struct sx_entry *x)
{
    struct sim_node *n = ctx;
    struct sx_entry wrong = *x;
    struct sim *s = n->sim;

    if (x->index != n->given + 1)
        sim_fail(s, "node %u: entry %llu comes to be applied behind %llu", n->number,
                 (unsigned long long)x->index, (unsigned long long)n->given);
    n->given = x->index;
    if (s->bug == SIM_BUG_WRONG_APPLY && sim_rand(s, 200) == 0)
        wrong.type ^= 1;
    sim_check_apply(n, &wrong);
    if (!n->apply_planned)
        sim_plan(s, s->now + sim_rand(s, 10), SIM_APPLY, n->number, 0);
    n->apply_planned = true;
}

static void state_changed(void *ctx)
{
}

static void changed(void *ctx, uint64_t tag, int code)
{
    struct sim_node *n = ctx;

    sim_trace(n->sim, 500 + n->number, tag, (uint64_t)code);
    n->sim->changes += code == SX_OK;
}

static void read_done(void *ctx, uint64_t tag, int code, uint64_t index)
{
    struct sim_node *n = ctx;

    sim_trace(n->sim, 600 + n->number, tag, index);
    if (code == SX_OK)
        sim_check_read(n->sim, tag, index);
}

static void removed(void *ctx)
{
    struct sim_node *n = ctx;

    n->told_removed = true;
}

static void fatal(void *ctx, const struct sx_err *e)
{
    struct sim_node *n = ctx;

    if (n->faulty)
        n->dead = true;
    else
        sim_fail(n->sim, "node %u dies: %s", n->number, e->msg);
}

static const struct sx_group_ops ops = {
    .save_vote = save_vote,
    .append = append,
    .read_entry = read_entry,
    .save_snapshot = save_snapshot,
    .log_cut = log_cut,
    .install = install,
    .send = send_message,
    .apply = apply,
    .state = state_changed,
    .changed = changed,
    .read_done = read_done,
    .removed = removed,
    .fatal = fatal,
};

/* ---- life ---- */

uint64_t sim_node_clock(const struct sim_node *n)
{
    return n->sim->now * n->rate / 100 + n->ahead;
}

uint64_t sim_node_when(const struct sim_node *n, uint64_t at)
{
    return at <= n->ahead ? 0 : ((at - n->ahead) * 100 + n->rate - 1) / n->rate;
}

void sim_node_spoil(struct sim_node *n)
{
    struct sim *s = n->sim;

    n->faulty = true;
    sx_memio_fail(n->mem, 1 + (unsigned)sim_rand(s, 8), sim_rand(s, 2) ? ENOSPC : EIO, false);
}

/* `members` NULL: a node with nothing on its disk. */
void sim_node_make(struct sim *s, unsigned number, const struct sx_members *members)
{
    struct sim_node *n = &s->node[number];
    SX_AUTO(sx_buf) struct sx_buf data = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_entry x = { 1, 1, SX_ENTRY_CHANGE, 0, NULL };
    uint64_t term, vote;

    n->exists = true;
    n->mem = sx_memio_new();
    n->log.first = n->durable.first = 1;
    if (!members)
        return;
    sx_members_encode(members, &data);
    x.data = data.data;
    x.len = (uint32_t)data.len;
    check(n,
          sx_wal_open(&n->wal, sx_memio_io(n->mem), "/d", SIM_SEGMENT, &e) ||
              sx_wal_append(n->wal, SIM_GROUP, &x, 1, &e) || sx_wal_sync(n->wal, NULL, &e) ||
              sx_vote_open(&n->vote, sx_memio_io(n->mem), VOTE, SIM_GROUP, &term, &vote, &e) ||
              sx_vote_save(n->vote, 1, 0, &e),
          &e);
    sx_wal_close(n->wal);
    sx_vote_close(n->vote);
    n->wal = NULL;
    n->vote = NULL;
    sim_check_append(n, &x, 0);
}

/* Reads the log back into the shadow, so that the checks see what the disk really kept. */
static int load_shadow(struct sim_node *n, uint64_t first, uint64_t last, struct sx_err *e)
{
    memset(&n->log, 0, sizeof n->log);
    n->log.first = first;
    n->log.last = last;
    if (n->snap.index)
        n->log.term[n->snap.index] = (uint32_t)n->snap.term;
    for (uint64_t i = first; i <= last; i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        struct sx_entry x;

        if (sx_wal_read(n->wal, SIM_GROUP, i, &x, &b, e))
            return -1;
        n->log.term[i] = (uint32_t)x.term;
    }
    n->durable = n->log;
    return 0;
}

void sim_node_start(struct sim_node *n)
{
    struct sim *s = n->sim;
    const struct sx_io *io = sx_memio_io(n->mem);
    struct sx_group_config c = { .group = SIM_GROUP,
                                 .id = n->id,
                                 .address = n->address,
                                 .seed = (uint32_t)sim_rand(s, UINT32_MAX),
                                 .install_ms = 2000,
                                 .cache_bytes = sim_rand(s, 2) ? 0 : 2000,
                                 .apply_bytes = sim_rand(s, 2) ? 0 : 300 };
    struct sx_group_start st = { .snapshot = &n->snap, .applied = n->applied };
    struct sx_err e = SX_ERR_INIT;

    n->incarnation++;
    n->up = true;
    n->sync_planned = n->apply_planned = n->snapping = n->was_leader = false;
    n->installing = 0;
    n->wait.seq = n->wait.last = 0;
    n->given = n->applied;
    n->commit = 0;
    sx_memio_lie(n->mem, s->bug == SIM_BUG_LYING_DISK);
    n->group = sx_group_new(&c, &ops, n);
    if (sx_wal_open(&n->wal, io, "/d", SIM_SEGMENT, &e) ||
        sx_vote_open(&n->vote, io, VOTE, SIM_GROUP, &st.term, &st.voted_for, &e) ||
        sx_snapref_load(io, SNAP, SIM_GROUP, &n->snap, &e)) {
        check(n, -1, &e);
        return;
    }
    n->saved_term = st.term;
    n->saved_vote = st.voted_for;
    sx_wal_range(n->wal, SIM_GROUP, &st.first, &st.last);
    sim_trace(s, 700 + n->number, st.last, st.term);
    check(n,
          load_shadow(n, st.first, st.last, &e) ||
              sx_group_start(n->group, sim_node_clock(n), &st, &e),
          &e);
    if (!s->failed[0])
        sim_check_node(n);
}

static void close_files(struct sim_node *n)
{
    sx_group_free(n->group);
    sx_wal_close(n->wal);
    sx_vote_close(n->vote);
    n->group = NULL;
    n->wal = NULL;
    n->vote = NULL;
    n->up = false;
}

void sim_node_crash(struct sim_node *n, bool torn)
{
    struct sim *s = n->sim;

    sim_trace(s, 800 + n->number, torn, 0);
    close_files(n);
    n->incarnation++;
    sx_memio_fail(n->mem, 0, 0, false);
    s->disk_deaths += n->dead;
    n->faulty = n->dead = false;
    sx_memio_crash(n->mem, torn ? &s->random : NULL);
    if (n->applied > n->db) /* what SQLite had not synced may be there or not */
        n->applied = n->db + sim_rand(s, n->applied - n->db + 1);
    n->db = n->applied;
}

void sim_node_fini(struct sim_node *n)
{
    if (n->up)
        close_files(n);
    sx_snapref_fini(&n->snap);
    sx_memio_free(n->mem);
}

/* ---- events ---- */

static int on_sync(struct sim_node *n, struct sx_err *e)
{
    struct sim *s = n->sim;
    uint64_t seq = n->wait.seq;

    n->sync_planned = false;
    if (s->bug == SIM_BUG_EARLY_ACK && sim_rand(s, 4))
        return sx_group_persisted(n->group, sim_node_clock(n), seq, e);
    if (sx_wal_sync(n->wal, NULL, e))
        return -1;
    if (s->bug != SIM_BUG_LYING_DISK)
        n->durable = n->log;
    return sx_group_persisted(n->group, sim_node_clock(n), seq, e);
}

static int on_apply(struct sim_node *n, struct sx_err *e)
{
    n->apply_planned = false;
    if (n->installing)
        return 0;
    if (n->given > n->applied)
        n->applied = n->given;
    if (sim_rand(n->sim, 4) == 0)
        n->db = n->applied;
    return sx_group_applied(n->group, sim_node_clock(n), n->applied, e);
}

/* Takes the database of any live node that has applied enough. */
static int on_install(struct sim_node *n, uint64_t leader, struct sx_err *e)
{
    struct sim *s = n->sim;
    unsigned start = sim_number(s, leader);

    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *from = &s->node[(start + i) % SIM_NODES];

        if (from == n || !from->up || from->installing || from->applied < n->installing)
            continue;
        n->applied = n->db = n->given = from->applied;
        n->installing = 0;
        s->installs++;
        return sx_group_installed(n->group, sim_node_clock(n), n->applied, e);
    }
    sim_plan(s, s->now + INSTALL_RETRY_MS, SIM_INSTALL, n->number, leader);
    return 0;
}

static int on_snapshot_end(struct sim_node *n, uint64_t trailing, struct sx_err *e)
{
    n->snapping = false;
    n->db = n->applied;
    if (sx_group_snapshot_end(n->group, sim_node_clock(n), n->applied, trailing, e) == 0)
        n->sim->snapshots++;
    return 0; /* a refusal is no failure */
}

void sim_node_event(struct sim_node *n, const struct sim_event *ev)
{
    struct sx_err e = SX_ERR_INIT;
    int r = 0;

    switch (ev->type) {
    case SIM_MESSAGE:
        r = sx_group_receive(n->group, sim_node_clock(n), n->sim->node[ev->from].id, ev->data,
                             ev->n, &e);
        break;
    case SIM_SYNC:
        r = on_sync(n, &e);
        break;
    case SIM_APPLY:
        r = on_apply(n, &e);
        break;
    case SIM_INSTALL:
        r = on_install(n, ev->arg, &e);
        break;
    case SIM_SNAPSHOT_END:
        r = on_snapshot_end(n, ev->arg, &e);
        break;
    }
    check(n, r, &e);
}

void sim_node_tick(struct sim_node *n)
{
    struct sx_err e = SX_ERR_INIT;

    check(n, sx_group_tick(n->group, sim_node_clock(n), &e), &e);
}

bool sim_node_submit(struct sim_node *n, unsigned bytes)
{
    struct sim *s = n->sim;
    uint8_t data[4096];
    uint64_t index, term, tag = ++s->commands;

    memset(data, (int)tag, sizeof data);
    memcpy(data, &tag, sizeof tag);
    bytes = bytes < 8 ? 8 : bytes > sizeof data ? (unsigned)sizeof data : bytes;
    if (sx_group_submit(n->group, sim_node_clock(n), data, bytes, &index, &term, NULL))
        return false;
    sim_check_node(n);
    return true;
}

bool sim_node_read(struct sim_node *n)
{
    struct sim *s = n->sim;
    uint64_t tag = s->next_read++;
    struct sx_group_status st;
    bool ok;

    s->read[tag % SIM_READS] = (struct sim_read){ s->acked, true };
    sx_group_status(n->group, &st);
    if (s->bug == SIM_BUG_STALE_READ && st.state == SX_GROUP_LEADER) {
        sim_check_read(s, tag, st.commit);
        return true;
    }
    ok = sx_group_read_index(n->group, sim_node_clock(n), tag, NULL) == 0;
    sim_check_node(n);
    return ok;
}

bool sim_node_snapshot(struct sim_node *n, uint64_t trailing)
{
    struct sim *s = n->sim;

    if (n->snapping || sx_group_snapshot_begin(n->group, sim_node_clock(n), NULL))
        return false;
    n->snapping = true;
    sim_plan(s, s->now + sim_rand(s, 50), SIM_SNAPSHOT_END, n->number, trailing);
    return true;
}
