/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See drive.h.
 *
 * Log: append() notes entries with the log at once; one sync job at a time makes durable what was
 * noted until it began, then the group is told.  Snapshot: begin, sync of the database aside, end.
 * Install: see install.h.
 */
#include "fcgi/meta/manager/drive.h"

#include <inttypes.h>
#include <string.h>

#include "fcgi/meta/manager/exec.h"
#include "fcgi/meta/manager/install.h"
#include "fcgi/meta/raft/vote.h"
#include "fcgi/meta/raft/wal.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define SNAPSHOT_ENTRIES 20000u       /* in the log since the last snapshot */
#define SNAPSHOT_BYTES (64u << 20)
#define TRAILING_ENTRIES 5000u        /* kept behind a snapshot, for followers that lag a little */
#define TRAILING_BYTES (16u << 20)

struct sx_drive {
    struct sx_drive_params p;
    char *meta, *snapref_path;
    struct sx_group *group;
    struct sx_timer tick;
    bool dead;
    uint64_t last_time_ms; /* largest of an entry's times that was seen */
    /* Log and vote. */
    struct sx_wal *wal;
    struct sx_vote *vote;
    uint64_t noted_seq, synced_seq; /* appends noted; durable and reported */
    bool cut_noted;                 /* a cut waits for a sync, too */
    struct sx_exec *log_thread;
    struct sx_task sync;
    uint64_t sync_seq;              /* what the job makes durable */
    struct sx_err sync_err;
    struct sx_call kick;
    /* Database. */
    struct sx_apply *apply;
    uint64_t snapshot_entries, snapshot_bytes; /* in the log when the snapshot was begun */
    struct sx_install *install;
    bool installing;
};

static uint64_t now(const struct sx_drive *d)
{
    return sx_mono_ms();
}

static void fatal(struct sx_drive *d, const struct sx_err *e)
{
    if (d->dead)
        return;
    d->dead = true;
    d->p.ops->on_fatal(d->p.ctx, e);
}

static void see_time(struct sx_drive *d, const struct sx_entry *entry)
{
    if (entry->type == SX_ENTRY_COMMAND && entry->len >= SX_ENTRY_HEADER) {
        uint64_t t = sx_entry_time(entry->data);

        if (t > d->last_time_ms)
            d->last_time_ms = t;
    }
}

/* After each event: what the effects have noted. */
static void after(struct sx_drive *d)
{
    if (d->dead)
        return;
    sx_loop_arm(d->p.loop, &d->tick, sx_group_timeout(d->group));
    if ((d->noted_seq > d->synced_seq || d->cut_noted) && !d->sync.busy)
        sx_loop_defer(d->p.loop, &d->kick);
}

/* ---- log ---- */

static void sync_start(void *ctx)
{
    struct sx_drive *d = ctx;

    if (d->sync.busy || d->dead)
        return;
    d->sync_seq = d->noted_seq;
    d->cut_noted = false;
    sx_exec_run(d->log_thread, &d->sync);
}

static void sync_run(void *ctx)
{
    struct sx_drive *d = ctx;

    if (sx_wal_sync(d->wal, NULL, &d->sync_err) == 0)
        sx_err_clear(&d->sync_err);
}

static void sync_done(void *ctx)
{
    struct sx_drive *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (d->sync_err.code != SX_OK) {
        fatal(d, &d->sync_err);
        return;
    }
    if (d->sync_seq > d->synced_seq) {
        d->synced_seq = d->sync_seq;
        if (sx_group_persisted(d->group, now(d), d->synced_seq, &e))
            fatal(d, &e);
    }
    after(d);
    /* Whoever gathered commands while the log was busy may submit now. */
    d->p.ops->on_state(d->p.ctx);
}

/* ---- effects of the group ---- */

static int save_vote(void *ctx, uint64_t term, uint64_t voted_for, struct sx_err *e)
{
    struct sx_drive *d = ctx;

    return sx_vote_save(d->vote, term, voted_for, e);
}

static int append(void *ctx, uint64_t seq, const struct sx_entry *entries, unsigned n,
                  struct sx_err *e)
{
    struct sx_drive *d = ctx;

    for (unsigned i = 0; i < n; i++)
        see_time(d, &entries[i]);
    d->noted_seq = seq;
    return sx_wal_append(d->wal, d->p.group, entries, n, e);
}

static int read_entry(void *ctx, uint64_t index, struct sx_entry *entry, struct sx_buf *data,
                      struct sx_err *e)
{
    struct sx_drive *d = ctx;

    if (sx_wal_read(d->wal, d->p.group, index, entry, data, e))
        return -1;
    see_time(d, entry);
    return 0;
}

static int save_snapshot(void *ctx, const struct sx_snapref *s, struct sx_err *e)
{
    struct sx_drive *d = ctx;

    return sx_snapref_save(&sx_io_posix, d->snapref_path, d->p.group, s, e);
}

static int log_cut(void *ctx, uint64_t first, bool all, struct sx_err *e)
{
    struct sx_drive *d = ctx;

    d->cut_noted = true;
    return sx_wal_cut(d->wal, d->p.group, first, all, e);
}

static void install(void *ctx, uint64_t leader, const char *address, uint64_t index)
{
    struct sx_drive *d = ctx;

    d->installing = true;
    sx_install_begin(d->install, leader, address, index);
}

static void send_message(void *ctx, uint64_t to, const char *address, const void *msg, size_t n)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_send(d->p.ctx, to, address, msg, n);
}

static void apply_entry(void *ctx, const struct sx_entry *entry)
{
    struct sx_drive *d = ctx;

    see_time(d, entry);
    sx_apply_add(d->apply, entry);
}

static void state_changed(void *ctx)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_state(d->p.ctx);
}

static void changed(void *ctx, uint64_t tag, int code)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_changed(d->p.ctx, tag, code);
}

static void read_done(void *ctx, uint64_t tag, int code, uint64_t index)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_read(d->p.ctx, tag, code, index);
}

static void removed(void *ctx)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_removed(d->p.ctx);
}

static void group_fatal(void *ctx, const struct sx_err *e)
{
    fatal(ctx, e);
}

static const struct sx_group_ops group_ops = {
    .save_vote = save_vote,
    .append = append,
    .read_entry = read_entry,
    .save_snapshot = save_snapshot,
    .log_cut = log_cut,
    .install = install,
    .send = send_message,
    .apply = apply_entry,
    .state = state_changed,
    .changed = changed,
    .read_done = read_done,
    .removed = removed,
    .fatal = group_fatal,
};

/* ---- snapshots ---- */

/* As many entries as the limits allow, by the mean size of those in the log. */
static uint64_t trailing(const struct sx_drive *d)
{
    uint64_t mean = d->snapshot_entries ? d->snapshot_bytes / d->snapshot_entries : 0;
    uint64_t fit = TRAILING_BYTES / (mean + 1);

    return fit < TRAILING_ENTRIES ? fit : TRAILING_ENTRIES;
}

static void snapshot_synced(void *ctx, uint64_t index)
{
    struct sx_drive *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (d->dead)
        return;
    if (sx_group_snapshot_end(d->group, now(d), index, trailing(d), &e)) {
        if (e.code != SX_EUNAVAIL)
            fatal(d, &e);
        else
            sx_debug("group %u: no snapshot at %" PRIu64 ": %s", d->p.group, index, e.msg);
    } else {
        sx_info("group %u: snapshot at entry %" PRIu64, d->p.group, index);
    }
    after(d);
}

static void maybe_snapshot(struct sx_drive *d)
{
    struct sx_group_status s;
    struct sx_err e = SX_ERR_INIT;

    sx_group_status(d->group, &s);
    if ((s.since_entries < SNAPSHOT_ENTRIES && s.since_bytes < SNAPSHOT_BYTES) ||
        !sx_group_snapshot_allowed(d->group))
        return;
    if (sx_group_snapshot_begin(d->group, now(d), &e)) {
        sx_debug("group %u: no snapshot now: %s", d->p.group, e.msg);
        return;
    }
    d->snapshot_entries = s.since_entries;
    d->snapshot_bytes = s.since_bytes;
    sx_apply_sync(d->apply, snapshot_synced, d);
}

/* ---- install ---- */

static bool where_leader(void *ctx, uint64_t *node, const char **address)
{
    struct sx_drive *d = ctx;
    struct sx_group_status s;

    sx_group_status(d->group, &s);
    if (s.leader && s.leader != s.id)
        *node = s.leader;
    *address = d->p.ops->address_of(d->p.ctx, *node);
    return !d->dead;
}

static void installed(void *ctx)
{
    struct sx_drive *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (d->dead)
        return;
    d->installing = false;
    if (sx_group_installed(d->group, now(d), sx_apply_index(d->apply), &e))
        fatal(d, &e);
    sx_info("group %u: database installed, applied up to entry %" PRIu64, d->p.group,
            sx_apply_index(d->apply));
    after(d);
}

static const struct sx_install_ops install_ops = { where_leader, installed };

/* ---- what comes out of the database ---- */

static void on_result(void *ctx, const uint8_t op[SX_OP_ID], int code, const void *p, size_t n)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_result(d->p.ctx, op, code, p, n);
}

static void on_applied(void *ctx, uint64_t index)
{
    struct sx_drive *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (d->dead)
        return;
    /* During an install the group counts from what sx_group_installed() will say. */
    if (!d->installing && sx_group_applied(d->group, now(d), index, &e)) {
        fatal(d, &e);
        return;
    }
    d->p.ops->on_applied(d->p.ctx, index);
    maybe_snapshot(d);
    after(d);
}

static void on_nodes(void *ctx, const struct sx_node *nodes, size_t n)
{
    struct sx_drive *d = ctx;

    d->p.ops->on_nodes(d->p.ctx, nodes, n);
}

static void on_fatal(void *ctx, const struct sx_err *e)
{
    fatal(ctx, e);
}

static const struct sx_apply_ops apply_ops = { on_result, on_applied, on_nodes, on_fatal };

/* ---- start and end ---- */

static void tick(void *ctx)
{
    struct sx_drive *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (d->dead)
        return;
    if (sx_group_tick(d->group, now(d), &e))
        fatal(d, &e);
    after(d);
}

/* The first entry of a new group: its only member.  The vote comes last: without it there is
 * nothing. */
static int found_group(struct sx_drive *d, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf data = SX_BUF_INIT;
    struct sx_entry first = { .index = 1, .term = 1, .type = SX_ENTRY_CHANGE };

    if (sx_group_bootstrap(d->p.conf->node, d->p.address, &data, e))
        return -1;
    first.data = data.data;
    first.len = (uint32_t)data.len;
    sx_info("group %u: founded by node %s at %s", d->p.group, d->p.conf->node_hex, d->p.address);
    return sx_wal_append(d->wal, d->p.group, &first, 1, e) || sx_wal_sync(d->wal, NULL, e) ||
                   sx_vote_save(d->vote, 1, 0, e) ?
               -1 :
               0;
}

static int start_group(struct sx_drive *d, struct sx_group_start *s, struct sx_err *e)
{
    struct sx_group_config c = { .group = d->p.group,
                                 .id = d->p.conf->node,
                                 .address = d->p.address };

    sx_random(&c.seed, sizeof c.seed);
    sx_wal_range(d->wal, d->p.group, &s->first, &s->last);
    s->applied = sx_apply_index(d->apply);
    if (s->applied < s->snapshot->index) { /* it was replaced by an older one, or removed */
        sx_sums_raise(sx_apply_path(d->apply));
        return sx_err_set(e, SX_ECORRUPT,
                          "%s is damaged: it has applied %" PRIu64 ", the snapshot says %" PRIu64,
                          sx_apply_path(d->apply), s->applied, s->snapshot->index);
    }
    sx_info("group %u: term %" PRIu64 ", log %" PRIu64 "…%" PRIu64 ", snapshot %" PRIu64
            ", applied %" PRIu64,
            d->p.group, s->term, s->first, s->last, s->snapshot->index, s->applied);
    d->group = sx_group_new(&c, &group_ops, d);
    if (sx_group_start(d->group, now(d), s, e))
        return -1;
    after(d);
    return 0;
}

static int open_files(struct sx_drive *d, struct sx_snapref *ref, bool found_new, struct sx_err *e)
{
    SX_AUTO_FREE char *wal_dir = sx_asprintf("%s/wal", d->meta);
    SX_AUTO_FREE char *vote_path = sx_asprintf("%s/group-%u.vote", d->meta, d->p.group);
    struct sx_group_start s = { .snapshot = ref };

    if (sx_io_mkdirs(wal_dir, e) ||
        sx_vote_open(&d->vote, &sx_io_posix, vote_path, d->p.group, &s.term, &s.voted_for, e) ||
        sx_snapref_load(&sx_io_posix, d->snapref_path, d->p.group, ref, e) ||
        sx_wal_open(&d->wal, &sx_io_posix, wal_dir, 0, e))
        return -1;
    d->apply = sx_apply_new(d->p.loop, d->meta, d->p.group, &apply_ops, d, e);
    if (!d->apply)
        return -1;
    d->install = sx_install_new(&d->p, d->meta, d->apply, &install_ops, d, e);
    if (!d->install)
        return -1;
    sx_wal_range(d->wal, d->p.group, &s.first, &s.last);
    if (found_new && s.term <= 1 && s.voted_for == 0 && ref->index == 0 && s.last <= 1) {
        if (found_group(d, e))
            return sx_err_wrap(e, "found group %u", d->p.group);
        s.term = 1;
    }
    /* What the log and the vote say of each other may be wrong. */
    return start_group(d, &s, e) ? sx_err_wrap(e, "%s, %s", vote_path, wal_dir) : 0;
}

struct sx_drive *sx_drive_new(const struct sx_drive_params *p, bool found_new, struct sx_err *e)
{
    struct sx_drive *d = sx_calloc(1, sizeof *d);
    struct sx_snapref ref = SX_SNAPREF_INIT;
    int r;

    d->p = *p;
    d->meta = sx_asprintf("%s/meta", p->conf->dir);
    d->snapref_path = sx_asprintf("%s/group-%u.snapshot", d->meta, p->group);
    d->tick = (struct sx_timer){ .fn = tick, .ctx = d };
    d->kick = (struct sx_call){ .fn = sync_start, .ctx = d };
    d->sync = (struct sx_task){ .run = sync_run, .done = sync_done, .ctx = d };
    d->log_thread = sx_exec_new(p->loop, "sx-log", e);
    r = d->log_thread ? open_files(d, &ref, found_new, e) : -1;
    sx_snapref_fini(&ref);
    if (r) {
        sx_drive_free(d);
        return NULL;
    }
    return d;
}

void sx_drive_free(struct sx_drive *d)
{
    if (!d)
        return;
    sx_exec_free(d->log_thread);
    sx_install_free(d->install);
    sx_loop_disarm(d->p.loop, &d->tick);
    sx_loop_undefer(d->p.loop, &d->kick);
    sx_apply_free(d->apply);
    sx_group_free(d->group);
    sx_wal_close(d->wal);
    sx_vote_close(d->vote);
    free(d->meta);
    free(d->snapref_path);
    free(d);
}

int sx_drive_submit(struct sx_drive *d, struct sx_buf *entry, struct sx_err *e)
{
    uint64_t wall = sx_wall_ms();
    uint64_t index, term;
    int r;

    if (d->dead)
        return sx_err_set(e, SX_EUNAVAIL, "the group manager ends");
    sx_entry_time_set(entry->data, wall > d->last_time_ms ? wall : d->last_time_ms);
    r = sx_group_submit(d->group, now(d), entry->data, entry->len, &index, &term, e);
    after(d);
    return r;
}

int sx_drive_read(struct sx_drive *d, uint64_t tag, struct sx_err *e)
{
    int r;

    if (d->dead)
        return sx_err_set(e, SX_EUNAVAIL, "the group manager ends");
    r = sx_group_read_index(d->group, now(d), tag, e);
    after(d);
    return r;
}

int sx_drive_change(struct sx_drive *d, enum sx_group_change what, uint64_t id, const char *address,
                    uint64_t tag, struct sx_err *e)
{
    int r;

    if (d->dead)
        return sx_err_set(e, SX_EUNAVAIL, "the group manager ends");
    r = sx_group_change(d->group, now(d), what, id, address, tag, e);
    after(d);
    return r;
}

int sx_drive_transfer(struct sx_drive *d, struct sx_err *e)
{
    int r;

    if (d->dead)
        return sx_err_set(e, SX_EUNAVAIL, "the group manager ends");
    r = sx_group_transfer(d->group, now(d), 0, e);
    after(d);
    return r;
}

void sx_drive_receive(struct sx_drive *d, uint64_t from, const void *msg, size_t n)
{
    struct sx_err e = SX_ERR_INIT;

    if (d->dead)
        return;
    if (sx_group_receive(d->group, now(d), from, msg, n, &e))
        fatal(d, &e);
    after(d);
}

void sx_drive_status(const struct sx_drive *d, struct sx_group_status *s)
{
    sx_group_status(d->group, s);
}

const struct sx_members *sx_drive_members(const struct sx_drive *d)
{
    return sx_group_members(d->group);
}

uint64_t sx_drive_match(const struct sx_drive *d, uint64_t id)
{
    return sx_group_match(d->group, id);
}

uint64_t sx_drive_applied(const struct sx_drive *d)
{
    return sx_apply_index(d->apply);
}

const char *sx_drive_db_path(const struct sx_drive *d)
{
    return sx_apply_path(d->apply);
}

bool sx_drive_busy(const struct sx_drive *d)
{
    return d->noted_seq > d->synced_seq;
}
