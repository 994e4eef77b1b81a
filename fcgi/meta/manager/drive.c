/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See drive.h.
 *
 * What the group wants on disk goes to stable.h, which tells when appends are durable; what is
 * committed goes to apply.h.  Snapshot: begin, sync of the database aside, end.  Install: see
 * install.h.
 */
#include "fcgi/meta/manager/drive.h"

#include <inttypes.h>
#include <string.h>

#include "fcgi/meta/manager/install.h"
#include "fcgi/meta/manager/logtime.h"
#include "fcgi/meta/manager/stable.h"
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
    char *meta;
    struct sx_group *group;
    struct sx_timer tick;
    bool dead;
    struct sx_logtime time;
    struct sx_stable *stable;
    struct sx_call kick; /* at the end of the turn: begin to sync what was noted in it */
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
    if (entry->type == SX_ENTRY_COMMAND && entry->len >= SX_ENTRY_HEADER)
        sx_logtime_see(&d->time, sx_entry_time(entry->data), now(d));
}

/* After each event: what the effects have noted. */
static void after(struct sx_drive *d)
{
    if (d->dead)
        return;
    sx_loop_arm(d->p.loop, &d->tick, sx_group_timeout(d->group));
    if (sx_stable_may_sync(d->stable))
        sx_loop_defer(d->p.loop, &d->kick);
}

/* ---- what is on disk ---- */

static void kick(void *ctx)
{
    struct sx_drive *d = ctx;

    if (!d->dead)
        sx_stable_sync(d->stable);
}

static void synced(void *ctx, uint64_t seq)
{
    struct sx_drive *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (seq && sx_group_persisted(d->group, now(d), seq, &e))
        fatal(d, &e);
    after(d);
    /* Whoever gathered commands while the log was busy may submit now. */
    d->p.ops->on_state(d->p.ctx);
}

static void on_fatal(void *ctx, const struct sx_err *e)
{
    fatal(ctx, e);
}

static const struct sx_stable_ops stable_ops = { synced, on_fatal };

/* ---- effects of the group ---- */

static int save_vote(void *ctx, uint64_t term, uint64_t voted_for, struct sx_err *e)
{
    struct sx_drive *d = ctx;

    return sx_stable_save_vote(d->stable, term, voted_for, e);
}

static int append(void *ctx, uint64_t seq, const struct sx_entry *entries, unsigned n,
                  struct sx_err *e)
{
    struct sx_drive *d = ctx;

    for (unsigned i = 0; i < n; i++)
        see_time(d, &entries[i]);
    return sx_stable_append(d->stable, seq, entries, n, e);
}

static int read_entry(void *ctx, uint64_t index, struct sx_entry *entry, struct sx_buf *data,
                      struct sx_err *e)
{
    struct sx_drive *d = ctx;

    if (sx_stable_read_entry(d->stable, index, entry, data, e))
        return -1;
    see_time(d, entry);
    return 0;
}

static int save_snapshot(void *ctx, const struct sx_snapref *s, struct sx_err *e)
{
    struct sx_drive *d = ctx;

    return sx_stable_save_snapshot(d->stable, s, e);
}

static int log_cut(void *ctx, uint64_t first, bool all, struct sx_err *e)
{
    struct sx_drive *d = ctx;

    return sx_stable_log_cut(d->stable, first, all, e);
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
    .fatal = on_fatal,
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
    sx_logtime_see(&d->time, sx_apply_time(d->apply), now(d)); /* none of its entries came by */
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

static int start_group(struct sx_drive *d, struct sx_err *e)
{
    struct sx_group_config c = { .group = d->p.group,
                                 .id = d->p.conf->node,
                                 .address = d->p.address };
    struct sx_group_start s = sx_stable_start(d->stable);

    sx_random(&c.seed, sizeof c.seed);
    s.applied = sx_apply_index(d->apply);
    if (s.applied < s.snapshot->index) { /* it was replaced by an older one, or removed */
        sx_sums_raise(sx_apply_path(d->apply));
        return sx_err_set(e, SX_ECORRUPT,
                          "%s is damaged: it has applied %" PRIu64 ", the snapshot says %" PRIu64,
                          sx_apply_path(d->apply), s.applied, s.snapshot->index);
    }
    sx_info("group %u: term %" PRIu64 ", log %" PRIu64 "…%" PRIu64 ", snapshot %" PRIu64
            ", applied %" PRIu64,
            d->p.group, s.term, s.first, s.last, s.snapshot->index, s.applied);
    d->group = sx_group_new(&c, &group_ops, d);
    if (sx_group_start(d->group, now(d), &s, e))
        return -1;
    after(d);
    return 0;
}

static int start(struct sx_drive *d, bool found_new, struct sx_err *e)
{
    d->stable = sx_stable_new(d->p.loop, d->meta, d->p.group, &stable_ops, d, e);
    if (!d->stable)
        return -1;
    d->apply = sx_apply_new(d->p.loop, d->meta, d->p.group, &apply_ops, d, e);
    if (!d->apply)
        return -1;
    sx_logtime_see(&d->time, sx_apply_time(d->apply), now(d));
    d->install = sx_install_new(&d->p, d->meta, d->apply, &install_ops, d, e);
    if (!d->install)
        return -1;
    if (found_new && sx_stable_found(d->stable, d->p.conf->node, d->p.address, e))
        return -1;
    /* What the log and the vote say of each other may be wrong. */
    return start_group(d, e) ? sx_err_wrap(e, "%s", sx_stable_paths(d->stable)) : 0;
}

struct sx_drive *sx_drive_new(const struct sx_drive_params *p, bool found_new, struct sx_err *e)
{
    struct sx_drive *d = sx_calloc(1, sizeof *d);

    d->p = *p;
    d->meta = sx_asprintf("%s/meta", p->conf->dir);
    d->tick = (struct sx_timer){ .fn = tick, .ctx = d };
    d->kick = (struct sx_call){ .fn = kick, .ctx = d };
    if (start(d, found_new, e)) {
        sx_drive_free(d);
        return NULL;
    }
    return d;
}

void sx_drive_free(struct sx_drive *d)
{
    if (!d)
        return;
    sx_install_free(d->install);
    sx_loop_disarm(d->p.loop, &d->tick);
    sx_loop_undefer(d->p.loop, &d->kick);
    sx_apply_free(d->apply);
    sx_group_free(d->group);
    sx_stable_free(d->stable);
    free(d->meta);
    free(d);
}

/* ---- what is asked of it ---- */

static int alive(const struct sx_drive *d, struct sx_err *e)
{
    return d->dead ? sx_err_set(e, SX_EUNAVAIL, "the group manager ends") : 0;
}

int sx_drive_submit(struct sx_drive *d, struct sx_buf *entry, struct sx_err *e)
{
    uint64_t index, term;
    int r;

    if (alive(d, e))
        return -1;
    sx_entry_time_set(entry->data, sx_logtime_next(&d->time, sx_wall_ms(), now(d)));
    r = sx_group_submit(d->group, now(d), entry->data, entry->len, &index, &term, e);
    after(d);
    return r;
}

int sx_drive_read(struct sx_drive *d, uint64_t tag, struct sx_err *e)
{
    int r;

    if (alive(d, e))
        return -1;
    r = sx_group_read_index(d->group, now(d), tag, e);
    after(d);
    return r;
}

int sx_drive_change(struct sx_drive *d, enum sx_group_change what, uint64_t id, const char *address,
                    uint64_t tag, struct sx_err *e)
{
    int r;

    if (alive(d, e))
        return -1;
    r = sx_group_change(d->group, now(d), what, id, address, tag, e);
    after(d);
    return r;
}

int sx_drive_transfer(struct sx_drive *d, struct sx_err *e)
{
    int r;

    if (alive(d, e))
        return -1;
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

bool sx_drive_leads(const struct sx_drive *d)
{
    struct sx_group_status s;

    sx_group_status(d->group, &s);
    return s.state == SX_GROUP_LEADER;
}

bool sx_drive_can_hand_over(const struct sx_drive *d)
{
    return sx_drive_leads(d) && sx_members_voters(sx_group_members(d->group)) > 1;
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
    return sx_stable_busy(d->stable);
}
