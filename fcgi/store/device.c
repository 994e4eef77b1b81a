/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device as a whole: how far its index is durable, its space, its statistics.
 */
#include "fcgi/store/device.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/statvfs.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

#define RESERVE_DIV 100

/* ---- durability of the index ---- */

/* `size` of each pack is read first: all rows below it were committed before it was set, so they
 * are in what the checkpoints make durable. */
int sx_device_checkpoint(struct sx_device *d, bool *whole, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_pack_row *rows = NULL;
    size_t n;

    *whole = true;
    if (sx_packs_list(&d->packs, false, &rows, &n, e))
        return sx_err_wrap(e, "checkpoint of the index");
    for (unsigned i = 0; i < SX_SHARDS && *whole; i++)
        if (sx_db_checkpoint(d->shard[i].db, whole, e))
            return sx_err_wrap(e, "checkpoint of shard %u", i);
    if (!*whole)
        return 0;
    d->since_checkpoint = 0;
    if (sx_packs_set_durable(&d->packs, rows, n, e))
        return sx_err_wrap(e, "checkpoint of the index");
    return 0;
}

/* ---- space ---- */

struct space {
    uint64_t capacity, free, reserve;
};

static int get_space(struct sx_device *d, struct space *sp, struct sx_err *e)
{
    struct statvfs v;

    if (statvfs(d->dir, &v))
        return sx_err_errno(e, errno, "statvfs %s", d->dir);
    sp->capacity = d->o.capacity ? d->o.capacity : (uint64_t)v.f_blocks * v.f_frsize;
    sp->free = (uint64_t)v.f_bavail * v.f_frsize;
    sp->reserve = d->o.reserve ? d->o.reserve
                               : sx_max_u64(SX_STORE_RESERVE_MIN, sp->capacity / RESERVE_DIV);
    return 0;
}

int sx_device_check_space(struct sx_device *d, uint64_t bytes, struct sx_err *e)
{
    uint64_t now = sx_mono_ms(), packs;
    struct space sp;

    if (get_space(d, &sp, e))
        return -1;
    if (d->used_ms == 0 || now - d->used_ms >= SX_USED_MS) {
        if (sx_packs_sum(&d->packs, &packs, &d->used, e))
            return -1;
        d->used_ms = now;
    }
    if (d->used + bytes > sp.capacity)
        return sx_err_set(e, SX_ENOSPACE, "the capacity is used up: %" PRIu64 " of %" PRIu64 " bytes", d->used, sp.capacity);
    if (sp.free < sp.reserve + bytes)
        return sx_err_set(e, SX_ENOSPACE,
                          "the disk is nearly full: %" PRIu64 " bytes free, %" PRIu64
                          " kept in reserve", sp.free, sp.reserve);
    return 0;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

int sx_device_stats(struct sx_device *d, struct sx_store_stats *out, struct sx_err *e)
{
    struct sx_store_stats st = { 0 };
    struct space sp;

    if (get_space(d, &sp, e) || sx_packs_sum(&d->packs, &st.packs, &st.used, e))
        return -1;
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        sqlite3_stmt *q = d->shard[i].q[SX_Q_TOTAL];

        if (sx_db_step(q, e) != 1)
            return sx_err_wrap(e, "statistics of shard %u", i);
        st.bytes += (uint64_t)sqlite3_column_int64(q, 0);
        st.blocks += (uint64_t)sqlite3_column_int64(q, 1);
        st.bad += (uint64_t)sqlite3_column_int64(q, 2);
        sqlite3_reset(q);
    }
    st.dead = minus(st.used, st.bytes + st.packs * SX_PACK_HEADER);
    st.capacity = sp.capacity;
    st.free = minus(sp.capacity, st.used);
    if (minus(sp.free, sp.reserve) < st.free)
        st.free = minus(sp.free, sp.reserve);
    *out = st;
    return 0;
}

void sx_device_count_damage(struct sx_device *d)
{
    if (d->o.errors)
        atomic_fetch_add(&d->o.errors->damaged, 1);
}

void sx_device_set_epoch(struct sx_device *d, uint64_t epoch)
{
    d->epoch = epoch;
}

void sx_device_set_capacity(struct sx_device *d, uint64_t bytes)
{
    d->o.capacity = bytes;
}

bool sx_device_floor_unknown(const struct sx_device *d)
{
    return d->floor == SX_FLOOR_UNKNOWN;
}

const char *sx_device_dir(const struct sx_device *d)
{
    return d->dir;
}
