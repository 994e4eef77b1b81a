/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done with blocks: put, have, exists, get, list, delete.
 *
 * put:  leases what is there already; appends the rest to one pack; one fdatasync; one index
 *       transaction for each shard that is touched; then the end of the pack is noted.
 *       A crash before the last step leaves records without rows (dead) or rows of
 *       synced records (good, if never acknowledged).
 */
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define GET_TRIES 3 /* a block that compaction moves while it is read is looked up again */

/* ---- order ---- */

static int by_id(const void *a, const void *b, void *ids)
{
    const struct sx_id *v = ids;

    return sx_id_cmp(&v[*(const uint32_t *)a], &v[*(const uint32_t *)b]);
}

uint32_t *sx_device_order(const struct sx_id *ids, size_t n)
{
    uint32_t *order = sx_malloc((n ? n : 1) * sizeof *order);

    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, n, sizeof *order, by_id, (void *)ids);
    return order;
}

size_t sx_device_same_shard(const struct sx_id *ids, const uint32_t *order, size_t from, size_t n)
{
    unsigned shard = sx_shard_of(&ids[order[from]]);
    size_t i = from;

    while (i < n && sx_shard_of(&ids[order[i]]) == shard)
        i++;
    return i;
}

static int check_count(size_t n, struct sx_err *e)
{
    return n <= SX_STORE_BATCH_MAX ? 0
                                   : sx_err_set(e, SX_EINVAL, "%zu blocks in one call, at most %u",
                                                n, SX_STORE_BATCH_MAX);
}

/* The end of a call that failed. */
static int failed(struct sx_device *d, struct sx_err *e, const char *what, size_t n)
{
    sx_device_suspect_index(d);
    return sx_err_wrap(e, "%s %zu blocks", what, n);
}

/* ---- have ---- */

struct leasing {
    uint64_t epoch; /* a row with at least this one is left as it is */
    uint64_t least; /* oldest lease found or given */
};

static struct leasing leasing_now(const struct sx_device *d)
{
    return (struct leasing){ d->epoch, UINT64_MAX };
}

/* The oldest lease of the blocks of a call. */
static uint64_t leased(const struct leasing *l)
{
    return l->least == UINT64_MAX ? l->epoch : l->least;
}

/* Reads first, without a lock: most are leased in this epoch.  present[i] = 2 marks those that
 * are not. */
static int have_read(struct sx_shard *sh, const struct sx_id *ids, const uint32_t *order, size_t n,
                     uint8_t *present, struct leasing *l, size_t *extend, struct sx_err *e)
{
    *extend = 0;
    for (size_t i = 0; i < n; i++) {
        struct sx_row row;
        bool found;

        if (sx_shard_find(sh, &ids[order[i]], &row, &found, e))
            return -1;
        present[order[i]] = found && row.state == SX_BLOCK_GOOD;
        if (!present[order[i]])
            continue;
        if (row.lease < l->epoch) {
            present[order[i]] = 2;
            ++*extend;
        } else if (row.lease < l->least) {
            l->least = row.lease;
        }
    }
    return 0;
}

static int have_extend(struct sx_shard *sh, const struct sx_id *ids, const uint32_t *order,
                       size_t n, uint8_t *present, struct leasing *l, struct sx_err *e)
{
    int r = 0;

    if (sx_shard_begin(sh, e))
        return -1;
    for (size_t i = 0; i < n && !r; i++) {
        bool hit;

        if (present[order[i]] != 2)
            continue;
        r = sx_shard_lease(sh, &ids[order[i]], l->epoch, &hit, e);
        present[order[i]] = hit; /* it may have been deleted since it was read */
        if (hit && l->epoch < l->least)
            l->least = l->epoch;
    }
    return sx_shard_end(sh, r, e);
}

static int have(struct sx_device *d, const struct sx_id *ids, const uint32_t *order, size_t n,
                uint8_t *present, struct leasing *l, struct sx_err *e)
{
    for (size_t i = 0, end; i < n; i = end) {
        struct sx_shard *sh = &d->shard[sx_shard_of(&ids[order[i]])];
        size_t extend;

        end = sx_device_same_shard(ids, order, i, n);
        if (have_read(sh, ids, order + i, end - i, present, l, &extend, e) ||
            (extend && have_extend(sh, ids, order + i, end - i, present, l, e)))
            return -1;
    }
    return 0;
}

int sx_device_have(struct sx_device *d, const struct sx_id *ids, size_t n, uint8_t *present,
                   uint64_t *lease, struct sx_err *e)
{
    struct leasing l = leasing_now(d);
    SX_AUTO_FREE uint32_t *order = NULL;

    if (check_count(n, e))
        return -1;
    order = sx_device_order(ids, n);
    if (have(d, ids, order, n, present, &l, e))
        return failed(d, e, "look for", n);
    *lease = leased(&l);
    return 0;
}

int sx_device_exists(struct sx_device *d, const struct sx_id *ids, size_t n, uint8_t *present,
                     struct sx_err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct sx_row row;
        bool found;

        if (sx_shard_find(&d->shard[sx_shard_of(&ids[i])], &ids[i], &row, &found, e))
            return failed(d, e, "look for", n);
        present[i] = found && row.state == SX_BLOCK_GOOD;
    }
    return 0;
}

/* ---- put ---- */

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
    struct leasing l = leasing_now(d);

    if (check_count(n, e) || put_init(&p, recs, n, e) ||
        have(d, p.ids, p.order, n, p.present, &l, e))
        return failed(d, e, "store", n);
    put_choose(&p);
    if (p.fresh) {
        if (put_write(d, &p, l.epoch, e))
            return failed(d, e, "store", p.fresh);
        if (l.epoch < l.least)
            l.least = l.epoch;
    }
    if (d->since_checkpoint >= SX_CHECKPOINT_BYTES) {
        struct sx_err why = SX_ERR_INIT;
        bool whole;

        if (sx_device_checkpoint(d, &whole, &why)) /* only makes a later recovery longer */
            sx_warn("%s", why.msg);
    }
    *lease = leased(&l);
    if (written)
        *written = p.fresh;
    return 0;
}

/* ---- get ---- */

static bool same_place(const struct sx_row *a, const struct sx_row *b)
{
    return a->pack == b->pack && a->at == b->at && a->len == b->len;
}

/* Damaged where the index says it is, unless the row has moved on. */
static void found_damaged(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                          const struct sx_err *why)
{
    struct sx_err e = SX_ERR_INIT;
    char hex[2 * SX_ID_SIZE + 1];

    if (row->state == SX_BLOCK_BAD)
        return;
    sx_device_count_damage(d);
    sx_error("block %s is damaged: %s", sx_hex(hex, id->b, SX_ID_SIZE), why->msg);
    if (sx_shard_mark_bad(&d->shard[sx_shard_of(id)], id, row, &e))
        sx_error("block %s could not be marked: %s", hex, e.msg);
}

int sx_device_get(struct sx_device *d, const struct sx_id *id, struct sx_buf *out, struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(id)];
    struct sx_row row, last = { 0 };
    struct sx_err why = SX_ERR_INIT;
    bool found;

    for (int i = 0; i < GET_TRIES; i++) {
        if (sx_shard_find(sh, id, &row, &found, e))
            return failed(d, e, "read", 1);
        if (!found)
            return sx_err_set(e, SX_ENOTFOUND, "the block is not here");
        if (i && same_place(&row, &last))
            break;
        if (sx_pack_read_record(d, id, &row, out, &why) == 0)
            return 0;
        if (why.code != SX_ECORRUPT && why.code != SX_ENOTFOUND) {
            sx_err_set(e, why.code, "read a block: %s", why.msg);
            return -1;
        }
        last = row;
    }
    found_damaged(d, id, &row, &why);
    return sx_err_set(e, SX_ECORRUPT, "read a block: %s", why.msg);
}

/* ---- list ---- */

static int list_shard(struct sx_device *d, unsigned shard, bool bad, const struct sx_id *after,
                      struct sx_store_item *items, size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st = d->shard[shard].q[bad ? SX_Q_LIST_BAD : SX_Q_LIST];
    size_t got = 0;
    int r;

    sqlite3_bind_blob(st, 1, after ? after->b : (const void *)"", after ? SX_ID_SIZE : 0,
                      SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)max);
    while ((r = sx_db_step(st, e)) == 1) {
        struct sx_store_item *it = &items[got];

        if (sqlite3_column_bytes(st, 0) != SX_ID_SIZE)
            continue;
        memcpy(it->id.b, sqlite3_column_blob(st, 0), SX_ID_SIZE);
        it->lease = sx_max_u64((uint64_t)sqlite3_column_int64(st, 1), d->floor);
        it->len = (uint32_t)sqlite3_column_int64(st, 2);
        it->bad = sqlite3_column_int(st, 3) != SX_BLOCK_GOOD;
        got++;
    }
    *n = got;
    return r;
}

static int list(struct sx_device *d, bool bad, const struct sx_id *after,
                struct sx_store_item *items, size_t max, size_t *n, struct sx_err *e)
{
    size_t total = 0;

    for (unsigned k = after ? sx_shard_of(after) : 0; k < SX_SHARDS && total < max; k++) {
        size_t got;

        if (list_shard(d, k, bad, after, items + total, max - total, &got, e))
            return failed(d, e, "list", max);
        total += got;
    }
    *n = total;
    return 0;
}

int sx_device_list(struct sx_device *d, const struct sx_id *after, struct sx_store_item *items,
                   size_t max, size_t *n, struct sx_err *e)
{
    return list(d, false, after, items, max, n, e);
}

int sx_device_list_bad(struct sx_device *d, const struct sx_id *after, struct sx_store_item *items,
                       size_t max, size_t *n, struct sx_err *e)
{
    return list(d, true, after, items, max, n, e);
}

/* ---- delete ---- */

struct deletion {
    bool only_bad;       /* whatever their leases */
    uint64_t horizon; /* else those with a lease of this epoch or an older one */
    size_t deleted;
};

/* The check of the lease and the deletion are under the shard's write lock: no lease can be given
 * in between. */
static int delete_one(struct sx_shard *sh, const struct sx_id *id, struct deletion *del,
                      struct sx_err *e)
{
    struct sx_row row;
    bool found;

    if (sx_shard_find(sh, id, &row, &found, e))
        return -1;
    if (!found || (del->only_bad ? row.state != SX_BLOCK_BAD : row.lease > del->horizon))
        return 0;
    if (row.pack && sx_shard_use(sh, row.pack, -(int64_t)row.len, -1, e))
        return -1;
    del->deleted++;
    return sx_shard_delete(sh, id, e);
}

static int delete_all(struct sx_device *d, const struct sx_id *ids, size_t n,
                      struct deletion *del, struct sx_err *e)
{
    SX_AUTO_FREE uint32_t *order = NULL;

    if (check_count(n, e))
        return -1;
    order = sx_device_order(ids, n);
    for (size_t i = 0, end; i < n; i = end) {
        struct sx_shard *sh = &d->shard[sx_shard_of(&ids[order[i]])];
        struct deletion here = *del;
        int r = 0;

        end = sx_device_same_shard(ids, order, i, n);
        if (sx_shard_begin(sh, e))
            return failed(d, e, "delete", n);
        for (size_t k = i; k < end && !r; k++)
            r = delete_one(sh, &ids[order[k]], &here, e);
        if (sx_shard_end(sh, r, e))
            return failed(d, e, "delete", n);
        *del = here;
    }
    return 0;
}

int sx_device_delete(struct sx_device *d, const struct sx_id *ids, size_t n, uint64_t horizon,
                     size_t *deleted, struct sx_err *e)
{
    struct deletion del = { .horizon = horizon };
    int r = d->floor > horizon ? check_count(n, e) : delete_all(d, ids, n, &del, e);

    *deleted = del.deleted;
    return r;
}

int sx_device_forget_bad(struct sx_device *d, const struct sx_id *ids, size_t n,
                         struct sx_err *e)
{
    struct deletion del = { .only_bad = true };

    return delete_all(d, ids, n, &del, e);
}
