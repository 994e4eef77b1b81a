/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See apply.h.  Here is which job comes when, and in which thread; what the jobs do is in groupdb.c.
 *
 * The apply thread has one job at a time: a batch, a swap, or the restart of SQLite's log (which
 * needs that nobody writes).  The aside thread has one job at a time: a checkpoint or a sync.  A
 * swap waits until both are idle.
 */
#include "fcgi/meta/manager/apply.h"

#include "fcgi/meta/manager/batch.h"
#include "fcgi/meta/manager/exec.h"
#include "fcgi/meta/manager/groupdb.h"
#include "libsx/base/mem.h"

#define CHECKPOINT_FRAMES 4000 /* more in SQLite's log than after the last attempt: move it to the database */
#define RESTART_FRAMES 8000    /* it goes on growing: let it begin anew between two transactions */

struct sx_apply {
    struct sx_loop *loop;
    const struct sx_apply_ops *ops;
    void *ctx;
    struct sx_exec *thread, *aside;
    struct sx_call kick; /* at the end of the turn: begin with what was added in it */
    bool dead;           /* an error was reported: nothing more is begun, no entry passed over */
    uint64_t index;      /* applied, as the loop knows */
    uint64_t time_ms;    /* of that entry */
    struct sx_batches waiting;
    int frames_seen; /* in SQLite's log, when the loop last looked */
    int frames_next; /* do something about them from here on */
    bool restart_next;
    /* The apply thread's while a job of it is busy. */
    struct sx_task apply, restart, swap;
    struct sx_groupdb *db;
    struct sx_batch *batch;
    struct sx_err err; /* code SX_OK: none */
    /* The aside thread's while a job of it is busy. */
    struct sx_task checkpoint, sync;
    struct sx_err aside_err;
    uint64_t sync_index;
    void (*sync_done)(void *ctx, uint64_t index);
    void *sync_ctx;
    void (*swap_done)(void *ctx); /* set: a swap is wanted or under way */
    void *swap_ctx;
};

/* ---- in the apply thread ---- */

static void apply_run(void *ctx)
{
    struct sx_apply *a = ctx;

    if (sx_groupdb_apply(a->db, a->batch, &a->err) == 0)
        sx_err_clear(&a->err);
}

static void restart_run(void *ctx)
{
    struct sx_apply *a = ctx;

    if (sx_groupdb_restart_log(a->db, &a->err) == 0)
        sx_err_clear(&a->err);
}

static void swap_run(void *ctx)
{
    struct sx_apply *a = ctx;

    if (sx_groupdb_swap(a->db, &a->err) == 0)
        sx_err_clear(&a->err);
}

/* ---- in the aside thread ---- */

static void checkpoint_run(void *ctx)
{
    struct sx_apply *a = ctx;

    if (sx_groupdb_checkpoint(a->db, &a->aside_err) == 0)
        sx_err_clear(&a->aside_err);
}

static void sync_run(void *ctx)
{
    struct sx_apply *a = ctx;

    if (sx_groupdb_sync(a->db, &a->aside_err) == 0)
        sx_err_clear(&a->aside_err);
}

/* ---- in the loop ---- */

static void die(struct sx_apply *a, const struct sx_err *e)
{
    a->dead = true;
    a->ops->on_fatal(a->ctx, e);
}

/* SQLite's log has grown: a checkpoint beside the writer, and then, if it goes on growing, a
 * restart without him.  When both had no effect, since a reader holds an old state, the next
 * attempt comes after as many frames again. */
static void look_after_log(struct sx_apply *a)
{
    int frames = sx_groupdb_log_frames(a->db);

    if (frames < a->frames_seen) /* it began anew */
        a->frames_next = CHECKPOINT_FRAMES;
    a->frames_seen = frames;
    if (frames < a->frames_next)
        return;
    a->frames_next = frames + CHECKPOINT_FRAMES;
    a->restart_next = frames >= RESTART_FRAMES;
    sx_exec_run(a->aside, &a->checkpoint);
}

static void go_on(void *ctx)
{
    struct sx_apply *a = ctx;
    bool aside_idle = !a->checkpoint.busy && !a->sync.busy;

    if (a->dead || a->apply.busy || a->restart.busy || a->swap.busy)
        return;
    if (a->swap_done) {
        if (aside_idle)
            sx_exec_run(a->thread, &a->swap);
        return;
    }
    if (aside_idle && a->restart_next) {
        a->restart_next = false;
        sx_exec_run(a->thread, &a->restart);
        return;
    }
    if (aside_idle)
        look_after_log(a);
    a->batch = sx_batches_take(&a->waiting);
    if (a->batch)
        sx_exec_run(a->thread, &a->apply);
}

static void tell_nodes(struct sx_apply *a)
{
    const struct sx_node *nodes;
    size_t n;

    if (sx_groupdb_nodes(a->db, &nodes, &n))
        a->ops->on_nodes(a->ctx, nodes, n);
}

static void find_progress(struct sx_apply *a)
{
    a->index = sx_groupdb_applied(a->db);
    a->time_ms = sx_groupdb_time(a->db);
}

static void tell_progress(struct sx_apply *a)
{
    struct sx_groupdb_result r;

    find_progress(a);
    tell_nodes(a);
    while (sx_groupdb_result(a->db, &r))
        a->ops->on_result(a->ctx, r.op, r.code, r.p, r.n);
    a->ops->on_applied(a->ctx, a->index);
}

static void apply_done(void *ctx)
{
    struct sx_apply *a = ctx;

    sx_batch_free(SX_STEAL(a->batch));
    if (a->err.code != SX_OK) {
        die(a, &a->err);
        return;
    }
    tell_progress(a);
    go_on(a);
}

static void restart_done(void *ctx)
{
    struct sx_apply *a = ctx;

    if (a->err.code != SX_OK)
        die(a, &a->err);
    else
        go_on(a);
}

static void swap_finished(void *ctx)
{
    struct sx_apply *a = ctx;
    void (*done)(void *) = a->swap_done;

    a->swap_done = NULL;
    if (a->err.code != SX_OK) {
        die(a, &a->err);
        return;
    }
    tell_progress(a);
    done(a->swap_ctx);
    go_on(a);
}

static void checkpoint_done(void *ctx)
{
    struct sx_apply *a = ctx;

    if (a->aside_err.code != SX_OK)
        die(a, &a->aside_err);
    else
        go_on(a);
}

static void sync_finished(void *ctx)
{
    struct sx_apply *a = ctx;

    if (a->aside_err.code != SX_OK) {
        die(a, &a->aside_err);
        return;
    }
    a->sync_done(a->sync_ctx, a->sync_index);
    go_on(a);
}

struct sx_apply *sx_apply_new(struct sx_loop *l, const char *meta, unsigned group,
                              const struct sx_apply_ops *ops, void *ctx, struct sx_err *e)
{
    struct sx_apply *a = sx_calloc(1, sizeof *a);

    a->loop = l;
    a->ops = ops;
    a->ctx = ctx;
    a->kick = (struct sx_call){ .fn = go_on, .ctx = a };
    a->apply = (struct sx_task){ .run = apply_run, .done = apply_done, .ctx = a };
    a->restart = (struct sx_task){ .run = restart_run, .done = restart_done, .ctx = a };
    a->frames_next = CHECKPOINT_FRAMES;
    a->swap = (struct sx_task){ .run = swap_run, .done = swap_finished, .ctx = a };
    a->checkpoint = (struct sx_task){ .run = checkpoint_run, .done = checkpoint_done, .ctx = a };
    a->sync = (struct sx_task){ .run = sync_run, .done = sync_finished, .ctx = a };
    if (!(a->db = sx_groupdb_new(meta, group, e)) || !(a->thread = sx_exec_new(l, "sx-apply", e)) ||
        !(a->aside = sx_exec_new(l, "sx-checkpoint", e))) {
        sx_apply_free(a);
        return NULL;
    }
    find_progress(a);
    tell_nodes(a);
    return a;
}

void sx_apply_free(struct sx_apply *a)
{
    if (!a)
        return;
    sx_exec_free(a->thread);
    sx_exec_free(a->aside);
    sx_groupdb_free(a->db);
    sx_loop_undefer(a->loop, &a->kick);
    sx_batch_free(a->batch);
    sx_batches_fini(&a->waiting);
    free(a);
}

uint64_t sx_apply_index(const struct sx_apply *a)
{
    return a->index;
}

uint64_t sx_apply_time(const struct sx_apply *a)
{
    return a->time_ms;
}

const char *sx_apply_path(const struct sx_apply *a)
{
    return sx_groupdb_path(a->db);
}

void sx_apply_add(struct sx_apply *a, const struct sx_entry *entry)
{
    sx_batches_add(&a->waiting, entry);
    sx_loop_defer(a->loop, &a->kick);
}

void sx_apply_sync(struct sx_apply *a, void (*done)(void *ctx, uint64_t index), void *ctx)
{
    sx_assert(!a->sync.busy);
    a->sync_index = a->index;
    a->sync_done = done;
    a->sync_ctx = ctx;
    sx_exec_run(a->aside, &a->sync);
}

void sx_apply_swap(struct sx_apply *a, void (*done)(void *ctx), void *ctx)
{
    sx_assert(!a->swap_done);
    a->swap_done = done;
    a->swap_ctx = ctx;
    go_on(a);
}
