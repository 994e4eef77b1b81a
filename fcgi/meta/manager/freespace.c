/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See freespace.h.
 */
#include "fcgi/meta/manager/freespace.h"

#include <sys/statvfs.h>

#include "libsx/base/mem.h"

#define LOOK_MS 1000u

struct sx_freespace {
    struct sx_loop *loop;
    char *meta;
    void (*on_change)(void *ctx, uint64_t limit);
    void *ctx;
    struct sx_timer look;
    uint64_t limit; /* as last told */
};

static uint64_t limit_now(const struct sx_freespace *f)
{
    struct statvfs v;
    uint64_t bytes;

    if (statvfs(f->meta, &v))
        return f->limit;
    bytes = (uint64_t)v.f_bavail * v.f_frsize;
    if (bytes < SX_FREESPACE_LAST)
        return SX_FREESPACE_LAST;
    return bytes < SX_FREESPACE_RESERVE ? SX_FREESPACE_RESERVE : 0;
}

static void look(void *ctx)
{
    struct sx_freespace *f = ctx;
    uint64_t limit = limit_now(f);

    if (limit != f->limit) {
        f->limit = limit;
        f->on_change(f->ctx, limit);
    }
    sx_loop_arm(f->loop, &f->look, sx_loop_now_ms(f->loop) + LOOK_MS);
}

struct sx_freespace *sx_freespace_new(struct sx_loop *l, const char *dir,
                                      void (*on_change)(void *ctx, uint64_t limit), void *ctx)
{
    struct sx_freespace *f = sx_calloc(1, sizeof *f);

    f->loop = l;
    f->meta = sx_asprintf("%s/meta", dir);
    f->on_change = on_change;
    f->ctx = ctx;
    f->look = (struct sx_timer){ .fn = look, .ctx = f };
    sx_loop_arm(l, &f->look, 0);
    return f;
}

void sx_freespace_free(struct sx_freespace *f)
{
    if (!f)
        return;
    sx_loop_disarm(f->loop, &f->look);
    free(f->meta);
    free(f);
}
