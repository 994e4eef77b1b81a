/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Removing a device (see admin.h):
 *
 *   1. it becomes "draining"; when no process acts by an older list, no put can reach it any more;
 *   2. pass by pass its blocks are listed and moved to the other devices (move.c); the next pass
 *      sees to those whose lease was raised meanwhile or whose copy is not good;
 *   3. a pass that finds nothing ends it: the device is taken off the list.
 *
 * Killed at any place it leaves blocks on one device or on both, and is resumed by another call.
 * If the device does not write any more its blocks cannot be deleted: then a pass that finds a
 * good copy of each elsewhere is the end.
 */
#include <inttypes.h>
#include <string.h>

#include "fcgi/store/admin.h"
#include "fcgi/store/store_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define PAGE SX_MOVER_BLOCKS   /* blocks listed at once */
#define CHUNK_BYTES (8u << 20) /* blocks moved at once */
#define PASSES_MAX 1000
#define WAIT_MS 60000u

struct drain {
    struct sx_store *s;
    uint32_t id;
    struct sx_drain *d;
    /* of the pass: */
    uint64_t seen, fresh;
    bool stuck; /* rows could not be deleted */
    struct sx_mover m; /* has the chunk */
    uint64_t began_ms; /* monotonic */
};

/* The slot of the device, if it is still draining. */
static int find(struct drain *dr, struct sx_slot **sl, struct sx_err *e)
{
    for (size_t i = 0; i < dr->s->n; i++)
        if (dr->s->slot[i].entry.id == dr->id) {
            *sl = &dr->s->slot[i];
            if ((*sl)->entry.state != SX_DEVICE_DRAINING)
                return sx_err_set(e, SX_ECONFLICT, "device %u was set %s meanwhile", dr->id,
                                  sx_device_state_name((*sl)->entry.state));
            if (!(*sl)->device)
                return sx_err_set(e, SX_EUNAVAIL, "device %u is out: %s", dr->id, (*sl)->why.msg);
            if (sx_device_floor_unknown((*sl)->device))
                return sx_err_set(e, SX_EUNAVAIL, "the leases on device %u are not known since an"
                                  " unclean stop: start the node, and try again in a minute",
                                  dr->id);
            return 0;
        }
    return sx_err_set(e, SX_ECONFLICT, "device %u was removed meanwhile", dr->id);
}

/* ---- one chunk ---- */

static int move_entered(struct drain *dr, struct sx_moved *done, struct sx_err *e)
{
    struct sx_slot *from;

    if (find(dr, &from, e) || sx_mover_move(&dr->m, from, done, e))
        return -1;
    if (done->stuck && !dr->stuck)
        sx_warn("device %u: moved blocks stay listed", dr->id);
    dr->stuck = dr->stuck || done->stuck;
    dr->fresh += done->written + (done->blocks - done->good);
    return 0;
}

/* Waits until what was moved is not more than the rate allows. */
static void slow_down(const struct drain *dr)
{
    uint64_t due = dr->d->rate ? dr->d->bytes * 1000 / dr->d->rate : 0;
    uint64_t took = sx_mono_ms() - dr->began_ms;

    if (due > took)
        sx_sleep_ms(due - took);
}

static int move_chunk(struct drain *dr, struct sx_err *e)
{
    struct sx_moved done;
    int r;

    if (dr->m.n == 0)
        return 0;
    if (sx_store_enter(dr->s, e))
        return -1;
    r = move_entered(dr, &done, e);
    sx_store_leave(dr->s);
    if (r)
        return -1;
    dr->d->blocks += done.blocks;
    dr->d->bytes += done.bytes;
    if (dr->d->progress)
        dr->d->progress(dr->d);
    slow_down(dr);
    return 0;
}

/* ---- one pass ---- */

/* A block that is damaged here: another device may have it; else it is for the other nodes. */
static void add_damaged(struct drain *dr, struct sx_slot *from, const struct sx_id *id)
{
    struct sx_err why = SX_ERR_INIT;

    if (sx_mover_elsewhere(dr->s, from, id)) {
        dr->d->unreadable++;
    } else if (sx_device_forget_bad(from->device, id, 1, &why)) {
        dr->stuck = true;
        sx_warn("device %u: %s", dr->id, why.msg);
    }
}

static int add_block(struct drain *dr, struct sx_slot *from, const struct sx_store_item *item,
                     struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    dr->seen++;
    if (sx_mover_read(&dr->m, from, item, &why)) {
        if (why.code == SX_ECORRUPT)
            add_damaged(dr, from, &item->id);
        if (why.code == SX_ECORRUPT || why.code == SX_ENOTFOUND) /* deleted meanwhile */
            return 0;
        sx_err_copy(e, &why);
        return -1;
    }
    return 0;
}

static int move_page(struct drain *dr, struct sx_store_item *items, size_t n, struct sx_err *e)
{
    uint64_t rate = dr->d->rate, chunk = rate && rate < CHUNK_BYTES ? rate : CHUNK_BYTES;

    for (size_t i = 0; i < n; i++) {
        struct sx_slot *from;

        if (find(dr, &from, e) || add_block(dr, from, &items[i], e))
            return -1;
        if (dr->m.buf.len >= chunk && move_chunk(dr, e))
            return -1;
    }
    return move_chunk(dr, e);
}

static int pass(struct drain *dr, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_store_item *items = sx_calloc(PAGE, sizeof *items);
    struct sx_id after;
    size_t n = PAGE;

    dr->seen = dr->fresh = dr->d->unreadable = 0;
    dr->stuck = false;
    for (bool first = true; n == PAGE; first = false) {
        struct sx_slot *from;

        sx_store_refresh(dr->s);
        if (find(dr, &from, e) ||
            sx_device_list(from->device, first ? NULL : &after, items, PAGE, &n, e))
            return -1;
        if (n)
            after = items[n - 1].id;
        if (move_page(dr, items, n, e))
            return -1;
    }
    return 0;
}

static int move_all(struct drain *dr, struct sx_err *e)
{
    for (int i = 0; i < PASSES_MAX; i++) {
        if (pass(dr, e))
            return -1;
        if (dr->seen == 0 || (dr->stuck && dr->fresh == 0 && dr->d->unreadable == 0))
            return 0;
        if (dr->seen == dr->d->unreadable)
            return sx_err_set(e, SX_ECORRUPT, "%" PRIu64 " blocks of device %u cannot be read; the"
                              " node fetches them from other nodes: try again then, or give them"
                              " up with --lost", dr->d->unreadable, dr->id);
    }
    return sx_err_set(e, SX_EUNAVAIL, "blocks of device %u are leased again and again", dr->id);
}

/* ---- before and after ---- */

static int check_room(struct sx_store *s, uint32_t id, uint64_t *bytes, struct sx_err *e)
{
    struct sx_device_status dev[SX_DEVICES_MAX];
    size_t n = sx_store_status(s, dev), takers = 0;
    const struct sx_device_status *mine = NULL;
    uint64_t room = 0;

    for (size_t i = 0; i < n; i++) {
        if (dev[i].entry.id == id)
            mine = &dev[i];
        else if (!dev[i].out && dev[i].entry.state == SX_DEVICE_ACTIVE) {
            room += dev[i].stats.free;
            takers++;
        }
    }
    if (!mine)
        return sx_err_set(e, SX_ENOTFOUND, "the node has no device %u", id);
    if (mine->out)
        return sx_err_set(e, SX_EUNAVAIL, "device %u is out (%s); if it does not come back, remove"
                          " it with --lost", id, mine->entry.reason);
    if (takers == 0)
        return sx_err_set(e, SX_ENOSPACE, "no other device of the node takes blocks; add one first");
    if (room < mine->stats.bytes)
        return sx_err_set(e, SX_ENOSPACE, "the other devices have room for %" PRIu64 " bytes, device"
                          " %u has %" PRIu64 "; add one first", room, id, mine->stats.bytes);
    *bytes = mine->stats.bytes;
    return 0;
}

static int take_off(struct sx_devices *l, void *arg, struct sx_err *e)
{
    const struct drain *dr = arg;
    struct sx_device_entry *d = sx_devices_find(l, dr->id);

    if (!d || (dr->d && d->state != SX_DEVICE_DRAINING))
        return sx_err_set(e, SX_ECONFLICT, "device %u was changed meanwhile", dr->id);
    memmove(d, d + 1, (size_t)(&l->entry[l->n] - (d + 1)) * sizeof *d);
    l->n--;
    return 0;
}

static int drain(struct drain *dr, const char *node_dir, struct sx_err *e)
{
    if (check_room(dr->s, dr->id, &dr->d->total, e) ||
        sx_admin_set_state(node_dir, dr->id, SX_DEVICE_DRAINING, e))
        return -1;
    sx_store_refresh(dr->s);
    if (sx_devices_wait(dr->s->lock_fd, dr->s->generation, WAIT_MS, e) || move_all(dr, e))
        return -1;
    return sx_devices_edit(node_dir, take_off, dr, e);
}

int sx_admin_drain(const char *node_dir, const struct sx_store_options *o, uint32_t id,
                   struct sx_drain *d, struct sx_err *e)
{
    struct drain dr = { .id = id, .d = d, .began_ms = sx_mono_ms() };
    int r;

    d->bytes = d->blocks = d->unreadable = d->total = 0;
    if (sx_store_open_list(node_dir, o, &dr.s, e))
        return -1;
    sx_mover_init(&dr.m, dr.s);
    r = drain(&dr, node_dir, e);
    sx_mover_fini(&dr.m);
    sx_store_close(dr.s);
    return r;
}

int sx_admin_lose(const char *node_dir, const struct sx_store_options *o, uint32_t id,
                  struct sx_err *e)
{
    struct sx_device_status dev[SX_DEVICES_MAX];
    struct drain dr = { .id = id };
    struct sx_store *s;
    size_t n;

    if (sx_store_open_list(node_dir, o, &s, e))
        return -1;
    n = sx_store_status(s, dev);
    sx_store_close(s);
    for (size_t i = 0; i < n; i++)
        if (dev[i].entry.id == id && !dev[i].out && dev[i].entry.state == SX_DEVICE_ACTIVE)
            return sx_err_set(e, SX_ECONFLICT, "device %u works: remove it without --lost, which"
                              " moves its blocks to the others", id);
    return sx_devices_edit(node_dir, take_off, &dr, e);
}
