/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Balance between devices (see store.h).  New blocks are shared out by size, so devices of the same
 * age are equally full; one that was added later is not.  A round goes over the devices that are
 * fuller than all together, in order of their numbers, and over each one's blocks in order of their
 * ids: a block whose first device in the order is another, emptier one moves there.  So each block
 * moves once, and where it is then looked for first.
 *
 * A process that is killed leaves the mark that blocks are being moved, and perhaps some blocks on
 * two devices: the next one begins with a round over all devices that removes the second copies.
 */
#include <string.h>

#include "fcgi/store/store_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define REST_MS 600000u
#define PAGES 16 /* looked at in one call, if there is nothing to move */

/* How full the active devices are, in millionths of their capacity. */
struct fills {
    size_t n; /* active devices */
    bool active[SX_DEVICES_MAX];
    uint64_t fill[SX_DEVICES_MAX]; /* by slot */
    uint64_t least, most, all;
};

static uint64_t millionths(uint64_t part, uint64_t of)
{
    return of ? (uint64_t)((double)part / (double)of * 1e6) : 0;
}

static void look(struct sx_store *s, struct fills *f)
{
    uint64_t bytes = 0, capacity = 0;

    *f = (struct fills){ .least = UINT64_MAX };
    for (size_t i = 0; i < s->n; i++) {
        struct sx_store_stats st;

        if (!sx_slot_writable(&s->slot[i]) || sx_device_stats(s->slot[i].device, &st, NULL))
            continue;
        f->active[i] = true;
        f->n++;
        f->fill[i] = millionths(st.bytes, st.capacity);
        f->least = f->fill[i] < f->least ? f->fill[i] : f->least;
        f->most = f->fill[i] > f->most ? f->fill[i] : f->most;
        bytes += st.bytes;
        capacity += st.capacity;
    }
    f->all = millionths(bytes, capacity);
}

static bool differ(const struct fills *f, unsigned parts)
{
    return f->n > 1 && f->most - f->least > parts * 10000u;
}

/* The next device of the round, by its number; s->n: none. */
static size_t next_device(const struct sx_store *s, const struct fills *f,
                          const struct sx_balance *b)
{
    size_t best = s->n;

    for (size_t i = 0; i < s->n; i++)
        if (f->active[i] && s->slot[i].entry.id >= b->device &&
            (b->resumed || f->fill[i] > f->all) &&
            (best == s->n || s->slot[i].entry.id < s->slot[best].entry.id))
            best = i;
    return best;
}

/* Does the block belong on another device, which is emptier by more than what may stay, or has the
 * block too? */
static bool belongs_elsewhere(const struct sx_store *s, const struct fills *f, size_t from,
                              const struct sx_id *id, bool resumed)
{
    uint8_t order[SX_DEVICES_MAX], there = 0;
    size_t n = sx_store_order(s, id, order);

    if (n == 0 || order[0] == from || !f->active[order[0]])
        return false;
    return f->fill[order[0]] + SX_BALANCE_END * 10000u < f->fill[from] ||
           (resumed && sx_device_exists(s->slot[order[0]].device, id, 1, &there, NULL) == 0 &&
            there);
}

/* Reads what is to be moved of a page; *n 0: the device has no more blocks. */
static int read_page(struct sx_mover *m, struct sx_balance *b, const struct fills *f, size_t from,
                     uint64_t bytes, size_t *n, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_store_item *items = sx_calloc(SX_MOVER_BLOCKS, sizeof *items);
    struct sx_slot *sl = &m->s->slot[from];

    if (sx_device_list(sl->device, &b->after, items, SX_MOVER_BLOCKS, n, e))
        return -1;
    for (size_t i = 0; i < *n && m->buf.len < bytes; i++) {
        struct sx_err why = SX_ERR_INIT;

        b->after = items[i].id;
        /* Damaged, deleted: not for us. */
        if (!items[i].bad && belongs_elsewhere(m->s, f, from, &items[i].id, b->resumed) &&
            sx_mover_read(m, sl, &items[i], &why))
            sx_debug("not moved: %s", why.msg);
    }
    return 0;
}

static void end_device(struct sx_balance *b)
{
    b->device++;
    memset(&b->after, 0, sizeof b->after);
}

/* A round is over: another one, unless nothing could be moved. */
static void end_round(struct sx_store *s, struct sx_balance *b)
{
    if (b->resumed) {
        b->running = b->resumed = false;
    } else if (b->moved) {
        sx_info("%llu blocks were moved to emptier devices", (unsigned long long)b->moved);
    } else {
        b->running = false;
        b->rest_ms = sx_mono_ms() + REST_MS;
        b->generation = s->generation;
    }
    b->device = 0;
    b->moved = 0;
    memset(&b->after, 0, sizeof b->after);
}

/* The list may have changed since the device was chosen: then the next call sees to it. */
static int move_some(struct sx_store *s, struct sx_balance *b, const struct fills *f, uint64_t bytes,
                     uint64_t *moved, struct sx_err *e)
{
    size_t from = next_device(s, f, b), n = 1, pages = 0;
    struct sx_moved done = { 0 };
    struct sx_mover m;
    int r = 0;

    if (from == s->n) {
        end_round(s, b);
        return 0;
    }
    if (s->slot[from].entry.id != b->device)
        *b = (struct sx_balance){ .running = true, .resumed = b->resumed, .moved = b->moved,
                                  .device = s->slot[from].entry.id };
    sx_mover_init(&m, s);
    while (!r && n && m.n == 0 && pages++ < PAGES)
        r = read_page(&m, b, f, from, bytes, &n, e);
    if (!r && m.n)
        r = sx_mover_move(&m, &s->slot[from], &done, e);
    sx_mover_fini(&m);
    b->moved += done.deleted;
    *moved = done.bytes;
    if (!r && n == 0)
        end_device(b);
    return r;
}

int sx_store_balance(struct sx_store *s, struct sx_balance *b, uint64_t bytes, uint64_t *moved,
                     struct sx_err *e)
{
    uint64_t epoch = s->epoch;
    struct fills f;
    int r = 0;

    *moved = 0;
    if (!s->shared || sx_store_floor_unknown(s)) /* without leases nothing can be deleted */
        return 0;
    if (sx_store_enter(s, e))
        return -1;
    look(s, &f);
    if (!b->running && atomic_load(&s->shared->moving))
        *b = (struct sx_balance){ .running = true, .resumed = true };
    if (!b->running && differ(&f, SX_BALANCE_BEGIN) &&
        (sx_mono_ms() >= b->rest_ms || b->generation != s->generation))
        *b = (struct sx_balance){ .running = true };
    if (b->running && !b->resumed && !differ(&f, SX_BALANCE_END))
        *b = (struct sx_balance){ 0 };
    if (b->running) {
        atomic_store(&s->shared->moving, 1);
        r = move_some(s, b, &f, bytes, moved, e);
    }
    atomic_store(&s->shared->moving, b->running);
    sx_store_set_epoch(s, epoch);
    sx_store_leave(s);
    return r;
}
