/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Moving blocks from one device to the others, some at a time: read; put where they belong, with
 * the newest lease that the originals have, so that no collector takes the copies before the
 * originals; read back there; then the originals are deleted, unless their lease was raised
 * meanwhile or the copy is not good.  So a block is always on one of the two, and killed at any
 * place it is on both at worst.
 */
#include <string.h>

#include "fcgi/store/store_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

void sx_mover_init(struct sx_mover *m, struct sx_store *s)
{
    *m = (struct sx_mover){ .s = s, .buf = SX_BUF_INIT };
    m->ids = sx_calloc(SX_MOVER_BLOCKS, sizeof *m->ids);
}

void sx_mover_fini(struct sx_mover *m)
{
    free(m->ids);
    sx_buf_fini(&m->buf);
}

int sx_mover_elsewhere(struct sx_store *s, const struct sx_slot *from, const struct sx_id *id)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint8_t order[SX_DEVICES_MAX];
    size_t n = sx_store_order(s, id, order);

    for (size_t i = 0; i < n; i++) {
        struct sx_slot *sl = &s->slot[order[i]];

        if (sl != from && sx_slot_leases(sl) && sx_device_get(sl->device, id, &b, NULL) == 0)
            return 0;
    }
    return -1;
}

int sx_mover_read(struct sx_mover *m, struct sx_slot *from, const struct sx_store_item *item,
                  struct sx_err *e)
{
    sx_assert(m->n < SX_MOVER_BLOCKS);
    if (sx_device_get(from->device, &item->id, &m->buf, e))
        return -1;
    m->ids[m->n++] = item->id;
    if (item->lease > m->lease)
        m->lease = item->lease;
    return 0;
}

static int move(struct sx_mover *m, struct sx_slot *from, struct sx_moved *done, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_record *recs = sx_calloc(m->n + 1, sizeof *recs);
    struct sx_err why = SX_ERR_INIT;
    uint64_t lease;

    if (sx_records_parse(m->buf.data, m->buf.len, m->n, recs, e))
        return -1;
    sx_store_set_epoch(m->s, m->lease);
    if (sx_store_place(m->s, recs, m->n, from, &lease, &done->written, e))
        return -1;
    for (size_t i = 0; i < m->n; i++)
        if (sx_mover_elsewhere(m->s, from, &m->ids[i]) == 0)
            m->ids[done->good++] = m->ids[i];
    if (sx_device_delete(from->device, m->ids, done->good, m->lease, &done->deleted, &why)) {
        sx_debug("device %u: moved blocks stay listed: %s", from->entry.id, why.msg);
        done->stuck = true;
    }
    return 0;
}

int sx_mover_move(struct sx_mover *m, struct sx_slot *from, struct sx_moved *done, struct sx_err *e)
{
    int r;

    *done = (struct sx_moved){ .blocks = m->n, .bytes = m->buf.len };
    r = m->n ? move(m, from, done, e) : 0;
    sx_buf_reset(&m->buf);
    m->n = 0;
    m->lease = 0;
    return r;
}
