/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See heal.h.  group-N.db.heal is what is being fetched; whole and checked it becomes
 * group-N.db.ready, which groupdb.c puts into place at the start.  A copy of any member will do, since
 * databases hold only what is committed, if it has applied what this node's log begins after: the
 * leader is asked first, then the others.
 *
 * A leader first offers the lead to another voter, once: if nobody takes it, it stays leader until
 * the end.
 */
#include "fcgi/meta/manager/heal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/meta/manager/copy.h"
#include "fcgi/meta/manager/exec.h"
#include "fcgi/meta/raft/snapref.h"
#include "fcgi/meta/raft/wal.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define LOOK_MS 500u
#define HAND_OVER_MS 1500u /* for another node to take the lead */
#define RETRY_MS 1000u

struct sx_heal {
    struct sx_drive_params p;
    char *address, *meta, *path, *new_path, *ready_path;
    void (*on_healed)(void *ctx);
    void *ctx;
    struct sx_timer look;
    struct sx_drive *drive; /* NULL: alone, or not begun */
    bool alone, offered;
    struct sx_members members; /* who is asked */
    uint64_t least;            /* what the copy must have applied */
    uint64_t first;            /* asked before the others */
    struct sx_exec *thread;
    /* The thread's while the task is busy. */
    struct sx_task fetch;
    struct sx_copy_stop stop;
    uint64_t applied; /* by the copy */
    struct sx_err err;
};

/* ---- in the thread ---- */

static int fetch_from(struct sx_heal *h, const struct sx_member *m)
{
    struct sx_copy_from from = { .conf = h->p.conf,
                                 .tls = h->p.tls,
                                 .self_address = h->address,
                                 .node = m->id,
                                 .address = m->address,
                                 .group = h->p.group,
                                 .min_index = h->least,
                                 .stop = &h->stop };

    if (sx_copy_fetch(&from, h->new_path, &h->applied, &h->err) == 0)
        return 0;
    sx_warn("group %u: fetch a good database from node %016" PRIx64 ": %s", h->p.group, m->id,
            h->err.msg);
    return -1;
}

static void fetch_run(void *ctx)
{
    struct sx_heal *h = ctx;
    const struct sx_member *first = sx_members_find(&h->members, h->first);

    sx_err_set(&h->err, SX_EUNAVAIL, "there is nobody to ask");
    if (first && fetch_from(h, first) == 0) {
        sx_err_clear(&h->err);
        return;
    }
    for (unsigned i = 0; i < h->members.n && h->err.code != SX_ECANCELED; i++) {
        const struct sx_member *m = &h->members.v[i];

        if (m != first && m->id != h->p.conf->node && fetch_from(h, m) == 0) {
            sx_err_clear(&h->err);
            return;
        }
    }
}

/* ---- in the loop ---- */

static void again(struct sx_heal *h, uint64_t ms)
{
    sx_loop_arm(h->p.loop, &h->look, sx_loop_now_ms(h->p.loop) + ms);
}

/* An install that began meanwhile brings a good database, too; and a snapshot may have cut the log
 * behind what the copy has. */
static bool usable(const struct sx_heal *h)
{
    struct sx_group_status s;

    if (!h->drive)
        return true;
    sx_drive_status(h->drive, &s);
    return !s.installing && h->applied >= s.snapshot && sx_sums_raised(h->path);
}

static void fetch_done(void *ctx)
{
    struct sx_heal *h = ctx;

    if (h->err.code != SX_OK) {
        again(h, RETRY_MS);
    } else if (!usable(h)) {
        sx_info("group %u: the fetched database, applied up to %" PRIu64 ", was overtaken",
                h->p.group, h->applied);
        unlink(h->new_path);
        again(h, 0);
    } else if (rename(h->new_path, h->ready_path)) {
        sx_error("renaming %s: %s", h->new_path, strerror(errno));
        again(h, RETRY_MS);
    } else {
        sx_info("group %u: a good database is here, applied up to entry %" PRIu64
                ": the manager begins anew with it", h->p.group, h->applied);
        h->on_healed(h->ctx);
    }
}

static void fetch_start(struct sx_heal *h, uint64_t leader)
{
    sx_info("group %u: a good database is fetched, applied up to entry %" PRIu64 " at least",
            h->p.group, h->least);
    h->first = leader == h->p.conf->node ? 0 : leader;
    sx_exec_run(h->thread, &h->fetch);
}

/* The members as the group knows them, with the addresses that the links know. */
static void take_members(struct sx_heal *h)
{
    struct sx_group_status s;

    sx_drive_status(h->drive, &s);
    h->least = sx_drive_applied(h->drive) > s.snapshot ? sx_drive_applied(h->drive) : s.snapshot;
    sx_members_copy(&h->members, sx_drive_members(h->drive));
    for (unsigned i = 0; i < h->members.n; i++) {
        struct sx_member *m = &h->members.v[i];
        const char *address = h->p.ops->address_of(h->p.ctx, m->id);

        if (address) {
            free(m->address);
            m->address = sx_strdup(address);
        }
    }
}

static bool others(const struct sx_members *m, uint64_t self)
{
    return m->n > (sx_members_find(m, self) ? 1u : 0u);
}

static void look_beside(struct sx_heal *h)
{
    struct sx_group_status s;
    struct sx_err e = SX_ERR_INIT;

    sx_drive_status(h->drive, &s);
    if (!sx_sums_raised(h->path)) {
        h->offered = false;
        again(h, LOOK_MS);
    } else if (s.installing || !others(sx_drive_members(h->drive), h->p.conf->node)) {
        again(h, LOOK_MS);
    } else if (!h->offered && sx_drive_can_hand_over(h->drive)) {
        h->offered = true;
        if (sx_drive_transfer(h->drive, &e))
            sx_info("leadership is not handed over: %s", e.msg);
        again(h, HAND_OVER_MS);
    } else {
        take_members(h);
        fetch_start(h, s.leader);
    }
}

static void look(void *ctx)
{
    struct sx_heal *h = ctx;

    if (h->fetch.busy)
        return;
    if (h->alone)
        fetch_start(h, h->first);
    else
        look_beside(h);
}

void sx_heal_beside(struct sx_heal *h, struct sx_drive *d)
{
    struct sx_err e = SX_ERR_INIT;

    h->drive = d;
    /* Nobody would lower it; the damage is found again when it is read. */
    if (!others(sx_drive_members(d), h->p.conf->node) && sx_sums_lower(h->path, &e))
        sx_warn("%s", e.msg);
    again(h, 0);
}

/* The last change of members in the log, or those of the snapshot before it. */
static int members_in(struct sx_wal *wal, const struct sx_heal *h, const struct sx_snapref *ref,
                      struct sx_members *m, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf data = SX_BUF_INIT;
    uint64_t first, last;

    sx_wal_range(wal, h->p.group, &first, &last);
    for (; last >= first && last > ref->members_index; last--) {
        struct sx_entry x;

        sx_buf_reset(&data);
        if (sx_wal_read(wal, h->p.group, last, &x, &data, e))
            return -1;
        if (x.type == SX_ENTRY_CHANGE)
            return sx_members_decode(m, x.data, x.len, e);
    }
    sx_members_copy(m, &ref->members);
    return 0;
}

static int members_on_disk(struct sx_heal *h, struct sx_err *e)
{
    SX_AUTO_FREE char *wal_dir = sx_asprintf("%s/wal", h->meta);
    SX_AUTO_FREE char *ref_path = sx_asprintf("%s/group-%u.snapshot", h->meta, h->p.group);
    struct sx_snapref ref = SX_SNAPREF_INIT;
    struct sx_wal *wal = NULL;
    int r = sx_snapref_load(&sx_io_posix, ref_path, h->p.group, &ref, e);

    if (r == 0)
        r = sx_wal_open(&wal, &sx_io_posix, wal_dir, 0, e);
    if (r == 0)
        r = members_in(wal, h, &ref, &h->members, e);
    if (r == 0)
        h->least = ref.index;
    sx_wal_close(wal);
    sx_snapref_fini(&ref);
    return r;
}

bool sx_heal_alone(struct sx_heal *h)
{
    struct sx_err e = SX_ERR_INIT;

    if (h->alone)
        return true;
    if (!sx_sums_raised(h->path))
        return false;
    if (h->drive && !h->fetch.busy)
        take_members(h);
    else if (!h->drive && members_on_disk(h, &e)) {
        sx_warn("no database can be fetched: %s", e.msg);
        return false;
    }
    if (!others(&h->members, h->p.conf->node))
        return false;
    h->alone = true;
    h->drive = NULL;
    again(h, 0);
    return true;
}

struct sx_heal *sx_heal_new(const struct sx_drive_params *p, void (*on_healed)(void *ctx), void *ctx,
                            struct sx_err *e)
{
    struct sx_heal *h = sx_calloc(1, sizeof *h);

    h->p = *p;
    h->address = sx_strdup(p->address);
    h->meta = sx_asprintf("%s/meta", p->conf->dir);
    h->path = sx_asprintf("%s/group-%u.db", h->meta, p->group);
    h->new_path = sx_asprintf("%s.heal", h->path);
    h->ready_path = sx_asprintf("%s.ready", h->path);
    h->on_healed = on_healed;
    h->ctx = ctx;
    h->stop = (struct sx_copy_stop)SX_COPY_STOP_INIT;
    h->look = (struct sx_timer){ .fn = look, .ctx = h };
    h->fetch = (struct sx_task){ .run = fetch_run, .done = fetch_done, .ctx = h };
    h->thread = sx_exec_new(p->loop, "sx-heal", e);
    unlink(h->new_path); /* what a process that was killed has left */
    if (!h->thread) {
        sx_heal_free(h);
        return NULL;
    }
    return h;
}

void sx_heal_free(struct sx_heal *h)
{
    if (!h)
        return;
    sx_copy_stop(&h->stop);
    sx_exec_free(h->thread);
    sx_loop_disarm(h->p.loop, &h->look);
    sx_members_fini(&h->members);
    free(h->address);
    free(h->meta);
    free(h->path);
    free(h->new_path);
    free(h->ready_path);
    free(h);
}
