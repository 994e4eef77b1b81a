/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Putting blocks on a device: leases what is there already; appends the rest to one pack; one
 * fdatasync; one index transaction for each shard that is touched; then the end of the pack is
 * noted.  A crash before the last step leaves records without rows (dead) or rows of synced records
 * (good, if never acknowledged).
 */
#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

struct put {
    size_t n;
    struct sx_id *ids;
    uint32_t *order;
    uint8_t *present;       /* is there already: not written */
    struct sx_piece *piece; /* by index of the record */
    uint64_t *at;           /* where it was appended */
    uint64_t bytes;         /* to write */
    size_t fresh;           /* records to write */
};

static void put_fini(struct put *p)
{
    free(p->ids);
    free(p->order);
    free(p->present);
    free(p->piece);
    free(p->at);
}

static int put_init(struct put *p, const struct sx_record *recs, size_t n, struct sx_err *e)
{
    p->n = n;
    p->ids = sx_calloc(n + 1, sizeof *p->ids);
    p->present = sx_calloc(n + 1, 1);
    p->piece = sx_calloc(n + 1, sizeof *p->piece);
    p->at = sx_calloc(n + 1, sizeof *p->at);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p0 = recs[i].stored - SX_RECORD_HEADER;
        struct sx_record r;
        size_t used;

        if (recs[i].len == 0 || recs[i].len > SX_BLOCK_STORED_MAX)
            return sx_err_set(e, SX_EBLOCK, "record %zu has length %u", i, recs[i].len);
        if (sx_record_parse(p0, SX_RECORD_HEADER + recs[i].len, &r, &used, e))
            return sx_err_wrap(e, "record %zu", i);
        if (used != SX_RECORD_HEADER + recs[i].len || sx_id_cmp(&r.id, &recs[i].id) != 0)
            return sx_err_set(e, SX_EBLOCK, "record %zu is not what its header says", i);
        p->ids[i] = r.id;
        p->piece[i] = (struct sx_piece){ p0, (uint32_t)used };
    }
    p->order = sx_device_order(p->ids, n);
    return 0;
}

/* What is to be written: not there, and the first with its id in this batch. */
static void put_choose(struct put *p)
{
    for (size_t i = 0; i < p->n; i++) {
        uint32_t k = p->order[i];

        if (i && sx_id_cmp(&p->ids[k], &p->ids[p->order[i - 1]]) == 0)
            p->present[k] = 1;
        if (p->present[k])
            continue;
        p->bytes += p->piece[k].len;
        p->fresh++;
    }
}

static int put_append(struct sx_device *d, struct put *p, struct sx_claim *c, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_piece *list = sx_malloc(p->fresh * sizeof *list);
    uint64_t at = c->size;
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++) { /* in the caller's order: a file's blocks lie together */
        if (p->present[i])
            continue;
        p->at[i] = at;
        at += p->piece[i].len;
        list[n++] = p->piece[i];
    }
    return sx_pack_append(d, c, list, n, e);
}

/* One row.  Another process may have put the block in the meantime: then its copy counts and ours
 * is dead. */
static int put_row(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *row,
                   struct sx_usage *use, struct sx_err *e)
{
    struct sx_row old;
    bool found, hit;

    if (sx_shard_find(sh, id, &old, &found, e))
        return -1;
    if (found && old.state == SX_BLOCK_GOOD)
        return sx_shard_lease(sh, id, row->lease, &hit, e);
    if (found && old.pack && sx_shard_use(sh, old.pack, -(int64_t)old.len, -1, e))
        return -1;
    use->live += row->len;
    use->blocks++;
    return sx_shard_put(sh, id, row, e);
}

static int put_shard(struct sx_device *d, struct put *p, size_t from, size_t to, uint64_t pack,
                     uint64_t lease, struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(&p->ids[p->order[from]])];
    struct sx_usage use = { .pack = pack };
    int r = 0;

    if (sx_shard_begin(sh, e))
        return -1;
    for (size_t i = from; i < to && !r; i++) {
        uint32_t k = p->order[i];
        struct sx_row row = { pack, p->at[k], lease, p->piece[k].len, SX_BLOCK_GOOD };

        if (!p->present[k])
            r = put_row(sh, &p->ids[k], &row, &use, e);
    }
    if (!r && use.blocks)
        r = sx_shard_use(sh, pack, (int64_t)use.live, (int64_t)use.blocks, e);
    return sx_shard_end(sh, r, e);
}

static int put_index(struct sx_device *d, struct put *p, const struct sx_claim *c,
                     uint64_t lease, struct sx_err *e)
{
    for (size_t i = 0, end; i < p->n; i = end) {
        bool any = false;

        end = sx_device_same_shard(p->ids, p->order, i, p->n);
        for (size_t k = i; k < end; k++)
            any = any || !p->present[p->order[k]];
        if (any && put_shard(d, p, i, end, c->number, lease, e))
            return -1;
    }
    return 0;
}

static int put_write(struct sx_device *d, struct put *p, uint64_t lease, struct sx_err *e)
{
    struct sx_claim c = { 0 };
    int r;

    if (sx_device_check_space(d, p->bytes, e) || sx_pack_claim(d, p->bytes, &c, e))
        return -1;
    r = put_append(d, p, &c, e);
    if (!r)
        r = put_index(d, p, &c, lease, e);
    if (!r)
        r = sx_pack_advance(d, &c, e);
    sx_pack_release(d, &c);
    if (!r) {
        d->since_checkpoint += p->bytes;
        d->used += p->bytes;
    }
    return r;
}

int sx_device_put(struct sx_device *d, const struct sx_record *recs, size_t n, uint64_t *lease,
                  size_t *written, struct sx_err *e)
{
    __attribute__((cleanup(put_fini))) struct put p = { 0 };
    struct sx_leasing l = sx_leasing_begin(d);

    if (sx_device_check_count(n, e) || put_init(&p, recs, n, e) ||
        sx_device_lease(d, p.ids, p.order, n, p.present, &l, e))
        return sx_device_failed(d, e, "store", n);
    put_choose(&p);
    if (p.fresh) {
        if (put_write(d, &p, l.epoch, e))
            return sx_device_failed(d, e, "store", p.fresh);
        if (l.epoch < l.least)
            l.least = l.epoch;
    }
    if (d->since_checkpoint >= SX_CHECKPOINT_BYTES) {
        struct sx_err why = SX_ERR_INIT;
        bool whole;

        if (sx_device_checkpoint(d, &whole, &why)) /* only makes a later recovery longer */
            sx_warn("%s", why.msg);
    }
    *lease = sx_leasing_end(&l);
    if (written)
        *written = p.fresh;
    return 0;
}
