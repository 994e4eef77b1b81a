/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See stable.h.
 */
#include "fcgi/meta/manager/stable.h"

#include <inttypes.h>

#include "fcgi/meta/manager/exec.h"
#include "fcgi/meta/raft/vote.h"
#include "fcgi/meta/raft/wal.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

struct sx_stable {
    unsigned group;
    const struct sx_stable_ops *ops;
    void *ctx;
    char *wal_dir, *vote_path, *snapref_path, *paths;
    struct sx_group_start start; /* as found when it was opened */
    struct sx_snapref ref;       /* of it */
    struct sx_wal *wal;
    struct sx_vote *vote;
    uint64_t noted_seq, synced_seq; /* appends noted; durable and reported */
    bool cut_noted;                 /* a cut waits for a sync, too */
    struct sx_exec *thread;
    struct sx_task sync;
    uint64_t sync_seq; /* what the job makes durable */
    struct sx_err sync_err;
};

/* ---- the thread ---- */

static void sync_run(void *ctx)
{
    struct sx_stable *s = ctx;

    if (sx_wal_sync(s->wal, NULL, &s->sync_err) == 0)
        sx_err_clear(&s->sync_err);
}

static void sync_done(void *ctx)
{
    struct sx_stable *s = ctx;
    bool more = s->sync_seq > s->synced_seq;

    if (s->sync_err.code != SX_OK) {
        s->ops->on_fatal(s->ctx, &s->sync_err);
        return;
    }
    s->synced_seq = s->sync_seq;
    s->ops->on_synced(s->ctx, more ? s->synced_seq : 0);
}

bool sx_stable_busy(const struct sx_stable *s)
{
    return s->noted_seq > s->synced_seq;
}

bool sx_stable_may_sync(const struct sx_stable *s)
{
    return (sx_stable_busy(s) || s->cut_noted) && !s->sync.busy;
}

void sx_stable_sync(struct sx_stable *s)
{
    if (s->sync.busy)
        return;
    s->sync_seq = s->noted_seq;
    s->cut_noted = false;
    sx_exec_run(s->thread, &s->sync);
}

/* ---- what the group asks for ---- */

int sx_stable_save_vote(struct sx_stable *s, uint64_t term, uint64_t voted_for, struct sx_err *e)
{
    return sx_vote_save(s->vote, term, voted_for, e);
}

int sx_stable_append(struct sx_stable *s, uint64_t seq, const struct sx_entry *entries, unsigned n,
                     struct sx_err *e)
{
    s->noted_seq = seq;
    return sx_wal_append(s->wal, s->group, entries, n, e);
}

int sx_stable_read_entry(struct sx_stable *s, uint64_t index, struct sx_entry *entry,
                         struct sx_buf *data, struct sx_err *e)
{
    return sx_wal_read(s->wal, s->group, index, entry, data, e);
}

int sx_stable_save_snapshot(struct sx_stable *s, const struct sx_snapref *ref, struct sx_err *e)
{
    return sx_snapref_save(&sx_io_posix, s->snapref_path, s->group, ref, e);
}

int sx_stable_log_cut(struct sx_stable *s, uint64_t first, bool all, struct sx_err *e)
{
    s->cut_noted = true;
    return sx_wal_cut(s->wal, s->group, first, all, e);
}

/* ---- beginning ---- */

/* The first entry of a new group: its only member.  The vote comes last: without it there is
 * nothing. */
static int found(struct sx_stable *s, uint64_t node, const char *address, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf data = SX_BUF_INIT;
    struct sx_entry first = { .index = 1, .term = 1, .type = SX_ENTRY_CHANGE };

    if (sx_group_bootstrap(node, address, &data, e))
        return -1;
    first.data = data.data;
    first.len = (uint32_t)data.len;
    sx_info("group %u: founded by node %016" PRIx64 " at %s", s->group, node, address);
    return sx_wal_append(s->wal, s->group, &first, 1, e) || sx_wal_sync(s->wal, NULL, e) ||
                   sx_vote_save(s->vote, 1, 0, e) ?
               -1 :
               0;
}

int sx_stable_found(struct sx_stable *s, uint64_t node, const char *address, struct sx_err *e)
{
    if (s->start.term > 1 || s->start.voted_for || s->ref.index || s->start.last > 1)
        return 0;
    if (found(s, node, address, e))
        return sx_err_wrap(e, "found group %u", s->group);
    s->start.term = 1;
    sx_wal_range(s->wal, s->group, &s->start.first, &s->start.last);
    return 0;
}

struct sx_group_start sx_stable_start(const struct sx_stable *s)
{
    return s->start;
}

static int open_files(struct sx_stable *s, struct sx_err *e)
{
    if (sx_io_mkdirs(s->wal_dir, e) ||
        sx_vote_open(&s->vote, &sx_io_posix, s->vote_path, s->group, &s->start.term,
                     &s->start.voted_for, e) ||
        sx_snapref_load(&sx_io_posix, s->snapref_path, s->group, &s->ref, e) ||
        sx_wal_open(&s->wal, &sx_io_posix, s->wal_dir, 0, e))
        return -1;
    sx_wal_range(s->wal, s->group, &s->start.first, &s->start.last);
    return 0;
}

struct sx_stable *sx_stable_new(struct sx_loop *l, const char *meta, unsigned group,
                                const struct sx_stable_ops *ops, void *ctx, struct sx_err *e)
{
    struct sx_stable *s = sx_calloc(1, sizeof *s);

    s->group = group;
    s->ops = ops;
    s->ctx = ctx;
    s->wal_dir = sx_asprintf("%s/wal", meta);
    s->vote_path = sx_asprintf("%s/group-%u.vote", meta, group);
    s->snapref_path = sx_asprintf("%s/group-%u.snapshot", meta, group);
    s->paths = sx_asprintf("%s, %s", s->vote_path, s->wal_dir);
    s->start.snapshot = &s->ref;
    s->sync = (struct sx_task){ .run = sync_run, .done = sync_done, .ctx = s };
    s->thread = sx_exec_new(l, "sx-log", e);
    if (!s->thread || open_files(s, e)) {
        sx_stable_free(s);
        return NULL;
    }
    return s;
}

void sx_stable_free(struct sx_stable *s)
{
    if (!s)
        return;
    sx_exec_free(s->thread);
    sx_wal_close(s->wal);
    sx_vote_close(s->vote);
    sx_snapref_fini(&s->ref);
    free(s->wal_dir);
    free(s->vote_path);
    free(s->snapref_path);
    free(s->paths);
    free(s);
}

const char *sx_stable_paths(const struct sx_stable *s)
{
    return s->paths;
}
