/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See install.h.  group-N.db.new is what is being fetched; whole and checked it becomes
 * group-N.db.ready, which groupdb.c puts into place, after a crash at the next start.
 */
#include "fcgi/meta/manager/install.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "fcgi/meta/manager/copy.h"
#include "fcgi/meta/manager/exec.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define RETRY_MS 1000u

struct sx_install {
    struct sx_drive_params p;
    const char *meta;
    struct sx_apply *apply;
    const struct sx_install_ops *ops;
    void *ctx;
    char *new_path, *ready_path;
    struct sx_exec *thread;
    struct sx_timer again;
    /* The thread's while the task is busy. */
    struct sx_task fetch;
    struct sx_copy_stop stop;
    uint64_t node, min_index;
    char *address;
    struct sx_err err;
};

static void set_address(struct sx_install *i, const char *address)
{
    free(i->address);
    i->address = sx_strdup(address ? address : "");
}

static void fetch_run(void *ctx)
{
    struct sx_install *i = ctx;
    struct sx_copy_from from = { .conf = i->p.conf,
                                 .tls = i->p.tls,
                                 .self_address = i->p.address,
                                 .node = i->node,
                                 .address = i->address,
                                 .group = i->p.group,
                                 .min_index = i->min_index,
                                 .stop = &i->stop };
    uint64_t applied;

    if (sx_copy_fetch(&from, i->new_path, &applied, &i->err))
        return;
    if (rename(i->new_path, i->ready_path))
        sx_err_errno(&i->err, errno, "renaming %s", i->new_path);
    else if (sx_io_sync_dir(&sx_io_posix, i->meta, &i->err) == 0)
        sx_err_clear(&i->err);
}

static void swapped(void *ctx)
{
    struct sx_install *i = ctx;

    i->ops->on_installed(i->ctx);
}

static void fetch_done(void *ctx)
{
    struct sx_install *i = ctx;

    if (i->err.code == SX_OK) {
        sx_apply_swap(i->apply, swapped, i);
        return;
    }
    sx_warn("group %u: fetch the database from node %016" PRIx64 ": %s", i->p.group, i->node,
            i->err.msg);
    sx_loop_arm(i->p.loop, &i->again, sx_loop_now_ms(i->p.loop) + RETRY_MS);
}

static void fetch_start(void *ctx)
{
    struct sx_install *i = ctx;
    const char *address;

    if (!i->ops->where(i->ctx, &i->node, &address))
        return;
    if (address)
        set_address(i, address);
    sx_exec_run(i->thread, &i->fetch);
}

void sx_install_begin(struct sx_install *i, uint64_t node, const char *address, uint64_t min_index)
{
    sx_assert(!i->fetch.busy);
    sx_info("group %u: too far behind, entry %" PRIu64 " and before come as a database", i->p.group,
            min_index);
    i->node = node;
    i->min_index = min_index;
    set_address(i, address);
    sx_loop_arm(i->p.loop, &i->again, 0);
}

struct sx_install *sx_install_new(const struct sx_drive_params *p, const char *meta,
                                  struct sx_apply *apply, const struct sx_install_ops *ops,
                                  void *ctx, struct sx_err *e)
{
    struct sx_install *i = sx_calloc(1, sizeof *i);

    i->p = *p;
    i->meta = meta;
    i->apply = apply;
    i->ops = ops;
    i->ctx = ctx;
    i->new_path = sx_asprintf("%s/group-%u.db.new", meta, p->group);
    i->ready_path = sx_asprintf("%s/group-%u.db.ready", meta, p->group);
    i->stop = (struct sx_copy_stop)SX_COPY_STOP_INIT;
    i->again = (struct sx_timer){ .fn = fetch_start, .ctx = i };
    i->fetch = (struct sx_task){ .run = fetch_run, .done = fetch_done, .ctx = i };
    i->thread = sx_exec_new(p->loop, "sx-fetch", e);
    if (!i->thread) {
        sx_install_free(i);
        return NULL;
    }
    return i;
}

void sx_install_free(struct sx_install *i)
{
    if (!i)
        return;
    sx_copy_stop(&i->stop);
    sx_exec_free(i->thread);
    sx_loop_disarm(i->p.loop, &i->again);
    free(i->new_path);
    free(i->ready_path);
    free(i->address);
    free(i);
}
