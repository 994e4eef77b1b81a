/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is asked of, or done to, the blocks of all devices: have, exists, get, list, delete,
 * compact, statistics, check.  A device that fails to answer is passed over, and a call fails
 * only if none has answered.
 *
 * A block may lie on two devices, when it was put again while one of them was out.  Either is good;
 * it is leased on the first in its order, and listed once, with the newer lease.
 */
#include <string.h>

#include "fcgi/store/store_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

/* The end of a call over all devices: an error if none answered and one failed. */
static int verdict(bool answered, const struct sx_err *why, struct sx_err *e)
{
    if (answered || why->code == SX_OK)
        return 0;
    sx_err_copy(e, why);
    return -1;
}

/* ---- which blocks are here ---- */

struct question {
    struct sx_store *s;
    const struct sx_id *ids;
    size_t n;
    uint8_t *present;
    bool lease;        /* extend the leases of those that are here */
    uint64_t oldest;   /* of them; UINT64_MAX if none is */
    bool answered;
    struct sx_err why;
};

/* Puts some of the ids, by their indexes, to one device. */
static void put_to(struct question *q, struct sx_slot *sl, const uint32_t *index, size_t n)
{
    SX_AUTO_FREE struct sx_id *ids = sx_malloc(n * sizeof *ids);
    SX_AUTO_FREE uint8_t *present = sx_calloc(n, 1);
    uint64_t lease = UINT64_MAX;
    bool any = false;
    int r;

    for (size_t i = 0; i < n; i++)
        ids[i] = q->ids[index[i]];
    r = q->lease ? sx_device_have(sl->device, ids, n, present, &lease, &q->why)
                 : sx_device_exists(sl->device, ids, n, present, &q->why);
    if (r) {
        if (q->lease)
            sx_store_trouble(q->s, sl, &q->why);
        return;
    }
    q->answered = true;
    for (size_t i = 0; i < n; i++) {
        q->present[index[i]] = present[i];
        any = any || present[i];
    }
    if (any && lease < q->oldest)
        q->oldest = lease;
}

/* Round r asks for each block that was not found yet the r-th device of its order. */
static void ask_round(struct question *q, size_t round, const uint8_t (*order)[SX_DEVICES_MAX])
{
    SX_AUTO_FREE uint32_t *index = sx_malloc((q->n + 1) * sizeof *index);

    for (size_t k = 0; k < q->s->n; k++) {
        struct sx_slot *sl = &q->s->slot[k];
        size_t n = 0;

        if (!sl->device || (q->lease && !sx_slot_leases(sl)))
            continue;
        for (size_t i = 0; i < q->n; i++)
            if (!q->present[i] && order[i][round] == k)
                index[n++] = (uint32_t)i;
        if (n)
            put_to(q, sl, index, n);
    }
}

static int ask(struct question *q, struct sx_err *e)
{
    uint8_t(*order)[SX_DEVICES_MAX] = sx_malloc((q->n + 1) * sizeof *order);
    size_t rounds = 0;

    sx_store_refresh(q->s);
    memset(q->present, 0, q->n);
    for (size_t i = 0; i < q->n; i++)
        rounds = sx_store_order(q->s, &q->ids[i], order[i]);
    for (size_t r = 0; r < rounds; r++)
        ask_round(q, r, (const uint8_t(*)[SX_DEVICES_MAX])order);
    free(order);
    return verdict(q->answered, &q->why, e);
}

int sx_store_have(struct sx_store *s, const struct sx_id *ids, size_t n, uint8_t *present,
                  uint64_t *lease, struct sx_err *e)
{
    struct question q = { .s = s, .ids = ids, .n = n, .present = present, .lease = true,
                          .oldest = UINT64_MAX };

    if (n > SX_STORE_BATCH_MAX)
        return sx_err_set(e, SX_EINVAL, "%zu blocks in one call, at most %u", n,
                          SX_STORE_BATCH_MAX);
    if (ask(&q, e))
        return -1;
    *lease = q.oldest == UINT64_MAX ? s->epoch : q.oldest;
    return 0;
}

int sx_store_exists(struct sx_store *s, const struct sx_id *ids, size_t n, uint8_t *present,
                    struct sx_err *e)
{
    for (size_t i = 0; i < n; i += SX_STORE_BATCH_MAX) {
        size_t some = n - i < SX_STORE_BATCH_MAX ? n - i : SX_STORE_BATCH_MAX;
        struct question q = { .s = s, .ids = ids + i, .n = some, .present = present + i };

        if (ask(&q, e))
            return -1;
    }
    return 0;
}

int sx_store_not_elsewhere(struct sx_store *s, const struct sx_device *d, const struct sx_id *ids,
                           size_t n, uint8_t *yes, struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *there = sx_calloc(n + 1, 1);

    for (size_t k = 0; k < s->n; k++) {
        if (!s->slot[k].device || s->slot[k].device == d)
            continue;
        if (sx_device_exists(s->slot[k].device, ids, n, there, e))
            return -1;
        for (size_t i = 0; i < n; i++)
            yes[i] = yes[i] && !there[i];
    }
    return 0;
}

/* ---- get ---- */

/* A damaged copy says more than a device that cannot be asked, and that more than "not here". */
static int rank(int code)
{
    return code == SX_OK ? 0 : code == SX_ENOTFOUND ? 1 : code == SX_ECORRUPT ? 3 : 2;
}

static int get_once(struct sx_store *s, const struct sx_id *id, struct sx_buf *out,
                    struct sx_err *why)
{
    uint8_t order[SX_DEVICES_MAX];
    size_t n = sx_store_order(s, id, order);

    sx_err_set(why, SX_ENOTFOUND, "the block is not here");
    for (size_t i = 0; i < n; i++) {
        struct sx_err err = SX_ERR_INIT;

        if (sx_device_get(s->slot[order[i]].device, id, out, &err) == 0)
            return 0;
        if (rank(err.code) > rank(why->code))
            sx_err_copy(why, &err);
    }
    return -1;
}

/* Is a block perhaps being moved from one device to another? */
static bool moving(const struct sx_store *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->slot[i].entry.state == SX_DEVICE_DRAINING)
            return true;
    return sx_store_changed(s) || (s->shared && atomic_load(&s->shared->moving));
}

int sx_store_get(struct sx_store *s, const struct sx_id *id, struct sx_buf *out, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    sx_store_refresh(s);
    if (get_once(s, id, out, &why) == 0)
        return 0;
    if (why.code == SX_ENOTFOUND && moving(s)) {
        sx_store_refresh(s);
        if (get_once(s, id, out, &why) == 0)
            return 0;
    }
    sx_err_copy(e, &why);
    return -1;
}

/* ---- list ---- */

typedef int list_fn(struct sx_device *d, const struct sx_id *after, struct sx_store_item *items,
                    size_t max, size_t *n, struct sx_err *e);

static int by_id(const void *a, const void *b)
{
    return sx_id_cmp(&((const struct sx_store_item *)a)->id, &((const struct sx_store_item *)b)->id);
}

/* In order of their ids, each once. */
static size_t merge(struct sx_store_item *v, size_t n)
{
    size_t kept = 0;

    qsort(v, n, sizeof *v, by_id);
    for (size_t i = 0; i < n; i++) {
        struct sx_store_item *last = kept ? &v[kept - 1] : NULL;

        if (!last || sx_id_cmp(&last->id, &v[i].id) != 0) {
            v[kept++] = v[i];
            continue;
        }
        if (v[i].lease > last->lease)
            last->lease = v[i].lease;
        last->bad = last->bad && v[i].bad;
    }
    return kept;
}

/* Each device gives its first `max`, so the first `max` of all are among them. */
static int list(struct sx_store *s, list_fn *of_device, const struct sx_id *after,
                struct sx_store_item *items, size_t max, size_t *n, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_store_item *all = sx_calloc(s->n * max + 1, sizeof *all);
    struct sx_err why = SX_ERR_INIT;
    bool answered = false;
    size_t total = 0;

    for (size_t i = 0; i < s->n; i++) {
        size_t got;

        if (!s->slot[i].device)
            continue;
        if (of_device(s->slot[i].device, after, all + total, max, &got, &why))
            continue;
        answered = true;
        total += got;
    }
    if (verdict(answered, &why, e))
        return -1;
    total = merge(all, total);
    *n = total < max ? total : max;
    memcpy(items, all, *n * sizeof *items);
    return 0;
}

int sx_store_list(struct sx_store *s, const struct sx_id *after, struct sx_store_item *items,
                  size_t max, size_t *n, struct sx_err *e)
{
    sx_store_refresh(s);
    return list(s, sx_device_list, after, items, max, n, e);
}

/* Rows of damaged blocks that a good copy on another device makes worthless. */
static void forget_bad(struct sx_store *s, const struct sx_id *ids, size_t n)
{
    struct sx_err why = SX_ERR_INIT;

    for (size_t i = 0; i < s->n; i++)
        if (s->slot[i].device && sx_device_forget_bad(s->slot[i].device, ids, n, &why))
            sx_store_trouble(s, &s->slot[i], &why);
}

/* Takes out of a page of damaged blocks those that another device has whole. */
static int only_missing(struct sx_store *s, struct sx_store_item *items, size_t *n,
                        struct sx_err *e)
{
    SX_AUTO_FREE struct sx_id *ids = sx_malloc((*n + 1) * sizeof *ids);
    SX_AUTO_FREE uint8_t *here = sx_calloc(*n + 1, 1);
    size_t kept = 0, good = 0;

    for (size_t i = 0; i < *n; i++)
        ids[i] = items[i].id;
    if (sx_store_exists(s, ids, *n, here, e))
        return -1;
    for (size_t i = 0; i < *n; i++)
        if (here[i])
            ids[good++] = items[i].id;
        else
            items[kept++] = items[i];
    if (good)
        forget_bad(s, ids, good);
    *n = kept;
    return 0;
}

int sx_store_list_bad(struct sx_store *s, const struct sx_id *after, struct sx_store_item *items,
                      size_t max, size_t *n, struct sx_err *e)
{
    struct sx_id last;

    sx_store_refresh(s);
    for (;;) {
        size_t got;

        if (list(s, sx_device_list_bad, after, items, max, &got, e))
            return -1;
        *n = got;
        if (got)
            last = items[got - 1].id;
        if (s->n > 1 && got && only_missing(s, items, n, e))
            return -1;
        if (*n || got < max)
            return 0;
        after = &last;
    }
}

/* ---- changing all devices ---- */

int sx_store_delete(struct sx_store *s, const struct sx_id *ids, size_t n, uint64_t horizon,
                    size_t *deleted, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    bool answered = false;

    sx_store_refresh(s);
    *deleted = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct sx_slot *sl = &s->slot[i];
        size_t here = 0;

        if (!sl->device)
            continue;
        if (sx_device_delete(sl->device, ids, n, horizon, &here, &why))
            sx_store_trouble(s, sl, &why);
        else
            answered = true;
        *deleted += here;
    }
    return verdict(answered, &why, e);
}

int sx_store_compact(struct sx_store *s, bool thorough, uint64_t bytes_max,
                     struct sx_store_compaction *done, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    bool answered = false;

    sx_store_refresh(s);
    *done = (struct sx_store_compaction){ 0 };
    for (size_t i = 0; i < s->n; i++) {
        struct sx_slot *sl = &s->slot[i];
        struct sx_store_compaction here = { 0 };

        if (!sx_slot_writable(sl))
            continue;
        if (sx_device_compact(sl->device, thorough, bytes_max, &here, &why)) {
            sx_warn("device %u: %s", sl->entry.id, why.msg);
            sx_store_trouble(s, sl, &why);
            here.more = false; /* it would fail again at once */
        } else {
            answered = true;
        }
        done->packs += here.packs;
        done->freed += here.freed;
        done->copied += here.copied;
        done->more = done->more || here.more;
    }
    return verdict(answered, &why, e);
}

/* ---- statistics and check ---- */

int sx_store_stats(struct sx_store *s, struct sx_store_stats *out, struct sx_err *e)
{
    struct sx_store_stats sum = { 0 };
    struct sx_err why = SX_ERR_INIT;
    bool answered = false;

    sx_store_refresh(s);
    for (size_t i = 0; i < s->n; i++) {
        struct sx_slot *sl = &s->slot[i];
        struct sx_store_stats st;

        if (!sl->device || sx_device_stats(sl->device, &st, &why))
            continue;
        answered = true;
        sum.blocks += st.blocks;
        sum.bytes += st.bytes;
        sum.dead += st.dead;
        sum.packs += st.packs;
        sum.used += st.used;
        sum.bad += st.bad;
        sum.capacity += st.capacity;
        sum.free += sx_slot_writable(sl) ? st.free : 0;
    }
    if (verdict(answered, &why, e))
        return -1;
    *out = sum;
    return 0;
}

int sx_store_check(struct sx_store *s, bool deep, struct sx_store_report *out, struct sx_err *e)
{
    struct sx_store_report sum = { 0 };

    sx_store_refresh(s);
    for (size_t i = 0; i < s->n; i++) {
        struct sx_store_report r;

        if (!s->slot[i].device)
            return sx_err_set(e, SX_EUNAVAIL, "device %u is out: %s", s->slot[i].entry.id,
                              s->slot[i].why.msg);
        if (sx_device_check(s->slot[i].device, deep, &r, e))
            return sx_err_wrap(e, "device %u", s->slot[i].entry.id);
        sum.blocks += r.blocks;
        sum.bad += r.bad;
        sum.stray += r.stray;
        sum.index_faults += r.index_faults;
    }
    *out = sum;
    return 0;
}

int sx_store_rebuild_index(const char *dir, const struct sx_store_options *o, struct sx_err *e)
{
    return sx_device_rebuild_index(dir, o, e);
}
