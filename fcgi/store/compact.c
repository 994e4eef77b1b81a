/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Giving dead space back.  A pack's dead bytes are its size less its header and the live bytes that
 * the shards count for it.  Packs that are wholly dead are removed, many with one sync of the
 * index.  Of others, the one with the largest dead share first, the live records are copied to
 * another pack first: always of those that are half dead; if it may be thorough, of more, until at
 * most a tenth of the device is dead.
 *
 *   1. take the pack's lock and seal it;
 *   2. copy records whose index row points here, a few MiB at a time: append, fdatasync, then
 *      change each row if it still points here (else the copy is dead); a row that points elsewhere
 *      at nothing good is put right first, since this may be the last copy;
 *   3. blocks that could not be copied (damaged) are marked so; nothing points here then;
 *   4. make the index durable, or an old index could point at a removed pack after a crash;
 *   5. unlink the file, cut it to nothing (other processes may have it open), drop the table's row.
 *
 * A crash leaves a pack that is wholly dead, both copies, or a row without a file, all of which the
 * next compaction finds in the table; nothing is lost.  Copying may use the reserve that puts must
 * leave free; a pack whose live part has no room on the disk waits for those with less.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define COPY_BYTES (8u << 20)        /* records copied with one fdatasync */
#define COPY_RECORDS 1024u
#define OPEN_DEAD_MIN (1u << 20)     /* an open pack with less dead space is left to fill up, */
#define OPEN_DEAD_LEAST (64u << 10)  /* or with that little if it may be thorough */
#define REST_DIV 10u                 /* thorough: at most such a part of the device stays dead */
#define AT_ONCE 32u                  /* packs removed with one sync of the index */
#define ROOM (8u << 20)              /* for the index, beside what is copied */

struct copy {
    struct sx_buf data;
    struct sx_id id[COPY_RECORDS];
    struct sx_row from[COPY_RECORDS];
    size_t offset[COPY_RECORDS];
    size_t n;
};

static int live_bytes(struct sx_device *d, uint64_t pack, uint64_t *live, uint64_t *blocks,
                      struct sx_err *e)
{
    *live = *blocks = 0;
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        struct sx_usage u;

        if (sx_shard_usage(&d->shard[i], pack, &u, e))
            return -1;
        *live += u.live;
        *blocks += u.blocks;
    }
    return 0;
}

/* ---- copying ---- */

static int switch_rows(struct sx_device *d, struct copy *c, const struct sx_claim *to,
                       uint64_t base, const uint32_t *order, size_t n, struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(&c->id[order[0]])];
    int64_t bytes = 0, blocks = 0;
    uint64_t pack = c->from[0].pack;
    int r = 0;

    if (sx_shard_begin(sh, e))
        return -1;
    for (size_t i = 0; i < n && !r; i++) {
        uint32_t k = order[i];
        bool moved;

        r = sx_shard_move(sh, &c->id[k], &c->from[k], to->number, base + c->offset[k], &moved, e);
        if (!r && moved) {
            bytes += c->from[k].len;
            blocks++;
        }
    }
    if (!r)
        r = sx_shard_use(sh, pack, -bytes, -blocks, e);
    if (!r)
        r = sx_shard_use(sh, to->number, bytes, blocks, e);
    return sx_shard_end(sh, r, e);
}

static int switch_all(struct sx_device *d, struct copy *c, const struct sx_claim *to, uint64_t base,
                      struct sx_err *e)
{
    SX_AUTO_FREE uint32_t *order = sx_device_order(c->id, c->n);

    for (size_t i = 0, end; i < c->n; i = end) {
        end = sx_device_same_shard(c->id, order, i, c->n);
        if (switch_rows(d, c, to, base, order + i, end - i, e))
            return -1;
    }
    return 0;
}

static int flush(struct sx_device *d, struct copy *c, struct sx_store_compaction *done,
                 struct sx_err *e)
{
    struct sx_piece piece = { c->data.data, (uint32_t)c->data.len };
    struct sx_claim to = { 0 };
    uint64_t base;
    int r;

    if (c->n == 0)
        return 0;
    if (sx_pack_claim(d, c->data.len, &to, e))
        return -1;
    base = to.size;
    r = sx_pack_append(d, &to, &piece, 1, e);
    if (!r)
        r = switch_all(d, c, &to, base, e);
    if (!r)
        r = sx_pack_advance(d, &to, e);
    sx_pack_release(d, &to);
    done->copied += r ? 0 : c->data.len;
    d->since_checkpoint += c->data.len;
    sx_buf_reset(&c->data);
    c->n = 0;
    return r;
}

/* The row that points at this record, or none: *live false. */
static int look_up(struct sx_device *d, const struct sx_id *id, const struct sx_row *here,
                   struct sx_row *row, bool *live, struct sx_err *e)
{
    struct sx_row old;
    bool good;

    if (sx_shard_find(&d->shard[sx_shard_of(id)], id, row, live, e))
        return -1;
    if (!*live || (row->pack == here->pack && row->at == here->at && row->len == here->len))
        return 0;
    *live = false;
    if (sx_live_elsewhere(d, id, row, &good, e))
        return -1;
    if (good)
        return 0;
    old = *row;
    *row = *here;
    return sx_live_adopt(d, id, &old, row, live, e);
}

static int add(struct sx_device *d, struct copy *c, const struct sx_record *r, uint64_t pack,
               uint64_t at, struct sx_store_compaction *done, struct sx_err *e)
{
    uint32_t len = SX_RECORD_HEADER + r->len;
    const struct sx_row here = { .pack = pack, .at = at, .len = len };
    struct sx_row row;
    bool live;

    if (look_up(d, &r->id, &here, &row, &live, e))
        return -1;
    if (!live)
        return 0;
    if ((c->n == COPY_RECORDS || c->data.len + len > COPY_BYTES) && flush(d, c, done, e))
        return -1;
    c->id[c->n] = r->id;
    c->from[c->n] = row;
    c->offset[c->n++] = c->data.len;
    sx_buf_add(&c->data, r->stored - SX_RECORD_HEADER, len);
    return 0;
}

static int copy_live(struct sx_device *d, const struct sx_claim *from,
                     struct sx_store_compaction *done, struct sx_err *e)
{
    struct copy *c = sx_calloc(1, sizeof *c);
    struct sx_record r;
    struct sx_scan sc;
    uint64_t at;
    int rc = 0;

    sx_scan_init(&sc, d->io, from->fd, SX_PACK_HEADER, from->size);
    while (!rc && sx_scan_next(&sc, &r, &at))
        rc = add(d, c, &r, from->number, at, done, e);
    if (!rc)
        rc = flush(d, c, done, e);
    sx_scan_fini(&sc);
    sx_buf_fini(&c->data);
    free(c);
    return rc;
}

/* ---- removing ---- */

static int lose_rest(struct sx_device *d, uint64_t pack, struct sx_err *e)
{
    uint64_t live, blocks;

    if (live_bytes(d, pack, &live, &blocks, e))
        return -1;
    if (blocks)
        sx_error("pack %llu: %llu blocks are damaged and could not be copied",
                 (unsigned long long)pack, (unsigned long long)blocks);
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        struct sx_usage u;

        if (sx_shard_usage(&d->shard[i], pack, &u, e))
            return -1;
        if (u.blocks && sx_shard_lose_pack(&d->shard[i], pack, false, e))
            return -1;
    }
    return 0;
}

static int drop_usage(struct sx_device *d, uint64_t pack, struct sx_err *e)
{
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        sqlite3_stmt *st = d->shard[i].q[SX_Q_USAGE_DROP];

        sqlite3_bind_int64(st, 1, (sqlite3_int64)pack);
        if (sx_db_run(st, e))
            return -1;
    }
    return 0;
}

static int remove_pack(struct sx_device *d, struct sx_claim *c, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, c->number);

    if (drop_usage(d, c->number, e))
        return -1;
    sx_pack_forget(d, c->number);
    /* Who made the pack and lost its lock to us, before it held a record, removes it too. */
    if (d->io->unlink(d->io, path) && errno != ENOENT)
        return sx_err_errno(e, errno, "remove %s", path);
    if (d->io->ftruncate(d->io, c->fd, 0)) /* only frees it earlier than the last close would */
        sx_warn("cut %s: failed", path);
    /* Last: a file without a row would stay until a scrub or a recovery. */
    if (sx_packs_drop(&d->packs, c->number, e))
        return -1;
    if (d->last_pack == c->number)
        d->last_pack = 0;
    d->used_ms = 0;
    return 0;
}

/* ---- which packs ---- */

struct pack {
    struct sx_pack_row row;
    uint64_t live, body;
    bool looked_at;
};

/* A look at the device: its packs, most dead first, and its sums. */
struct plan {
    struct pack *packs;
    size_t n;
    uint64_t used, dead;
    bool thorough;
};

static void plan_fini(struct plan *p)
{
    free(p->packs);
}

static uint64_t dead_of(const struct pack *p)
{
    return p->body > p->live ? p->body - p->live : 0;
}

/* In millionths of the pack. */
static uint64_t dead_share(const struct pack *p)
{
    return p->body ? dead_of(p) * 1000000 / p->body : 0;
}

static int most_dead_first(const void *a, const void *b)
{
    const struct pack *x = a, *y = b;
    uint64_t l = dead_share(x), r = dead_share(y);

    if ((x->live == 0) != (y->live == 0))
        return x->live == 0 ? -1 : 1;
    return l < r ? 1 : l > r ? -1 : 0;
}

static bool worth_it(const struct plan *plan, const struct pack *p)
{
    uint64_t dead = dead_of(p), least = plan->thorough ? OPEN_DEAD_LEAST : OPEN_DEAD_MIN;

    if (p->live == 0)
        return p->body > 0 || p->row.state != SX_PACK_OPEN;
    if (p->row.state == SX_PACK_OPEN && dead < least)
        return false;
    return dead * 2 >= p->body || (plan->thorough && dead * REST_DIV >= p->body &&
                                   plan->dead * REST_DIV > plan->used);
}

/* Live bytes of the packs, which are in order of their numbers. */
static int count_live(struct sx_device *d, struct pack *packs, size_t n, struct sx_err *e)
{
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        sqlite3_stmt *st = d->shard[i].q[SX_Q_USAGE_ALL];
        size_t k = 0;
        int r;

        while ((r = sx_db_step(st, e)) == 1) {
            uint64_t number = (uint64_t)sqlite3_column_int64(st, 0);

            while (k < n && packs[k].row.number < number)
                k++;
            if (k < n && packs[k].row.number == number)
                packs[k].live += (uint64_t)sqlite3_column_int64(st, 1);
        }
        if (r)
            return -1;
    }
    return 0;
}

static int plan_init(struct sx_device *d, struct plan *p, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_pack_row *rows = NULL;

    if (sx_packs_list(&d->packs, false, &rows, &p->n, e))
        return -1;
    p->packs = sx_calloc(p->n + 1, sizeof *p->packs);
    for (size_t i = 0; i < p->n; i++) {
        p->packs[i].row = rows[i];
        p->packs[i].body = rows[i].size > SX_PACK_HEADER ? rows[i].size - SX_PACK_HEADER : 0;
    }
    if (count_live(d, p->packs, p->n, e))
        return -1;
    for (size_t i = 0; i < p->n; i++) {
        p->used += p->packs[i].row.size;
        p->dead += dead_of(&p->packs[i]);
    }
    qsort(p->packs, p->n, sizeof *p->packs, most_dead_first);
    return 0;
}

/* ---- one pack ---- */

/* A row that has lost its file: who removed the pack was killed.  One that is being made has no
 * size, and perhaps no file yet. */
static int drop_fileless(struct sx_device *d, const struct sx_pack_row *row, struct sx_err *e)
{
    return row->size && sx_pack_missing(d, row->number) ? sx_packs_drop(&d->packs, row->number, e)
                                                        : 0;
}

/* Takes the pack's lock and looks again; seals it if it is still worth it.  *got: so it is.  A pack
 * that cannot be opened is passed over. */
static int take(struct sx_device *d, const struct plan *plan, struct pack *p, struct sx_claim *c,
                bool *got, struct sx_err *e)
{
    uint64_t blocks;
    bool found = false;
    int r;

    p->looked_at = true;
    if (sx_pack_try(d, p->row.number, c, got, NULL))
        return 0;
    if (!*got)
        return p->live ? 0 : drop_fileless(d, &p->row, e);
    r = sx_packs_get(&d->packs, p->row.number, &p->row, &found, e) ||
        live_bytes(d, p->row.number, &p->live, &blocks, e);
    p->body = c->size > SX_PACK_HEADER ? c->size - SX_PACK_HEADER : 0;
    *got = !r && found && worth_it(plan, p);
    if (*got && p->row.state == SX_PACK_OPEN)
        r = sx_packs_set(&d->packs, p->row.number, SX_PACK_SEALED, c->size, false, e);
    if (r || !*got)
        sx_pack_release(d, c);
    return r ? -1 : 0;
}

/* The index is made durable, then the packs go.  If it cannot be, for a long read is going on, they
 * wait for the next time. */
static int remove_packs(struct sx_device *d, struct sx_claim *c, size_t n,
                        struct sx_store_compaction *done, struct sx_err *e)
{
    bool whole;
    int r = sx_device_checkpoint(d, &whole, e);

    done->more = done->more || (!r && !whole);
    for (size_t i = 0; i < n && !r && whole; i++) {
        r = remove_pack(d, &c[i], e);
        done->packs += !r;
        done->freed += r ? 0 : c[i].size;
    }
    for (size_t i = 0; i < n; i++)
        sx_pack_release(d, &c[i]);
    return r;
}

/* All that are wholly dead, by their sums and by the rows of their records; they stand first. */
static int remove_dead(struct sx_device *d, struct plan *plan, struct sx_store_compaction *done,
                       struct sx_err *e)
{
    struct sx_claim c[AT_ONCE];
    size_t n = 0;

    for (size_t i = 0; i < plan->n && plan->packs[i].live == 0; i++) {
        struct pack *p = &plan->packs[i];
        bool got = false, none = true;

        c[n] = (struct sx_claim){ 0 };
        if ((worth_it(plan, p) && take(d, plan, p, &c[n], &got, e)) ||
            (got && !p->live && sx_live_none(d, &c[n], &none, e))) {
            for (size_t k = 0; k < n + got; k++)
                sx_pack_release(d, &c[k]);
            return -1;
        }
        if (got && (p->live || !none)) { /* someone has just put something there, or a sum is wrong */
            sx_pack_release(d, &c[n]);
            p->looked_at = false;
        } else {
            n += got;
        }
        if (n == AT_ONCE) {
            if (remove_packs(d, c, n, done, e))
                return -1;
            n = 0;
        }
    }
    return n ? remove_packs(d, c, n, done, e) : 0;
}

static int rewrite(struct sx_device *d, const struct plan *plan, struct pack *p,
                   struct sx_store_compaction *done, struct sx_err *e)
{
    struct sx_claim c = { 0 };
    uint64_t copied = done->copied;
    bool got;

    if (take(d, plan, p, &c, &got, e) || !got)
        return got ? -1 : 0;
    if (copy_live(d, &c, done, e) || lose_rest(d, c.number, e)) {
        sx_pack_release(d, &c);
        return -1;
    }
    if (remove_packs(d, &c, 1, done, e))
        return -1;
    copied = done->copied - copied;
    done->freed -= done->freed > copied ? copied : done->freed;
    return 0;
}

/* Copying must not fail half-way for want of space: a failed write makes its pack bad. */
static bool has_room(const struct sx_device *d, uint64_t bytes)
{
    struct statvfs v;

    return statvfs(d->dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize >= bytes + ROOM;
}

int sx_device_compact(struct sx_device *d, bool thorough, uint64_t bytes_max,
                      struct sx_store_compaction *done, struct sx_err *e)
{
    __attribute__((cleanup(plan_fini))) struct plan plan = { .thorough = thorough };

    *done = (struct sx_store_compaction){ 0 };
    if (plan_init(d, &plan, e) || remove_dead(d, &plan, done, e))
        return sx_err_wrap(e, "compact");
    for (size_t i = 0; i < plan.n; i++) {
        struct pack *p = &plan.packs[i];
        uint64_t dead = dead_of(p);

        if (p->looked_at || !worth_it(&plan, p))
            continue;
        if (bytes_max && done->copied && done->copied + p->live > bytes_max) {
            done->more = true;
            return 0;
        }
        if (!has_room(d, p->live))
            continue;
        if (rewrite(d, &plan, p, done, e))
            return sx_err_wrap(e, "compact pack %llu", (unsigned long long)p->row.number);
        plan.dead -= dead;
        plan.used -= dead;
    }
    return 0;
}
