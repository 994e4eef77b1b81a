/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done with blocks that are there: have, exists, get, list, delete.
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

int sx_device_check_count(size_t n, struct sx_err *e)
{
    return n <= SX_STORE_BATCH_MAX ? 0
                                   : sx_err_set(e, SX_EINVAL, "%zu blocks in one call, at most %u",
                                                n, SX_STORE_BATCH_MAX);
}

int sx_device_failed(struct sx_device *d, struct sx_err *e, const char *what, size_t n)
{
    sx_device_suspect_index(d);
    return sx_err_wrap(e, "%s %zu blocks", what, n);
}

/* ---- have ---- */

/* Reads first, without a lock: most are leased in this epoch.  present[i] = 2 marks those that
 * are not. */
static int have_read(struct sx_shard *sh, const struct sx_id *ids, const uint32_t *order, size_t n,
                     uint8_t *present, struct sx_leasing *l, size_t *extend, struct sx_err *e)
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
                       size_t n, uint8_t *present, struct sx_leasing *l, struct sx_err *e)
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

int sx_device_lease(struct sx_device *d, const struct sx_id *ids, const uint32_t *order, size_t n,
                    uint8_t *present, struct sx_leasing *l, struct sx_err *e)
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
    struct sx_leasing l = sx_leasing_begin(d);
    SX_AUTO_FREE uint32_t *order = NULL;

    if (sx_device_check_count(n, e))
        return -1;
    order = sx_device_order(ids, n);
    if (sx_device_lease(d, ids, order, n, present, &l, e))
        return sx_device_failed(d, e, "look for", n);
    *lease = sx_leasing_end(&l);
    return 0;
}

int sx_device_exists(struct sx_device *d, const struct sx_id *ids, size_t n, uint8_t *present,
                     struct sx_err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct sx_row row;
        bool found;

        if (sx_shard_find(&d->shard[sx_shard_of(&ids[i])], &ids[i], &row, &found, e))
            return sx_device_failed(d, e, "look for", n);
        present[i] = found && row.state == SX_BLOCK_GOOD;
    }
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
            return sx_device_failed(d, e, "read", 1);
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
            return sx_device_failed(d, e, "list", max);
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

    if (sx_device_check_count(n, e))
        return -1;
    order = sx_device_order(ids, n);
    for (size_t i = 0, end; i < n; i = end) {
        struct sx_shard *sh = &d->shard[sx_shard_of(&ids[order[i]])];
        struct deletion here = *del;
        int r = 0;

        end = sx_device_same_shard(ids, order, i, n);
        if (sx_shard_begin(sh, e))
            return sx_device_failed(d, e, "delete", n);
        for (size_t k = i; k < end && !r; k++)
            r = delete_one(sh, &ids[order[k]], &here, e);
        if (sx_shard_end(sh, r, e))
            return sx_device_failed(d, e, "delete", n);
        *del = here;
    }
    return 0;
}

int sx_device_delete(struct sx_device *d, const struct sx_id *ids, size_t n, uint64_t horizon,
                     size_t *deleted, struct sx_err *e)
{
    struct deletion del = { .horizon = horizon };
    int r = d->floor > horizon ? sx_device_check_count(n, e) : delete_all(d, ids, n, &del, e);

    *deleted = del.deleted;
    return r;
}

int sx_device_forget_bad(struct sx_device *d, const struct sx_id *ids, size_t n,
                         struct sx_err *e)
{
    struct deletion del = { .only_bad = true };

    return delete_all(d, ids, n, &del, e);
}
