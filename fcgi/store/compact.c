/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Giving dead space back.  A pack's dead bytes are its size less its header and the live bytes that
 * the shards count for it.  A pack that is wholly dead is removed; of one that is half dead the
 * live records are copied to another pack first:
 *
 *   1. take the pack's lock and seal it;
 *   2. copy records whose index row points here, a few MiB at a time: append, fdatasync, then
 *      change each row if it still points here (else the copy is dead);
 *   3. blocks that could not be copied (damaged) are marked so; nothing points here then;
 *   4. make the index durable, or an old index could point at a removed pack after a crash;
 *   5. drop the table's row, cut the file to nothing (other processes may have it open), unlink it.
 *
 * A crash leaves a pack that is wholly dead, or both copies; nothing is lost.  Copying may use the
 * reserve that puts must leave free.
 */
#include <errno.h>
#include <stdio.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define COPY_BYTES (8u << 20)        /* records copied with one fdatasync */
#define COPY_RECORDS 1024u
#define OPEN_DEAD_MIN (1u << 20)     /* an open pack with less dead space is left to fill up */

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

static bool worth_it(const struct sx_pack_row *row, uint64_t live)
{
    uint64_t body = row->size > SX_PACK_HEADER ? row->size - SX_PACK_HEADER : 0;
    uint64_t dead = body > live ? body - live : 0;

    if (row->state == SX_PACK_OPEN)
        return body && (live == 0 || (dead >= OPEN_DEAD_MIN && dead * 2 >= body));
    return live == 0 || dead * 2 >= body;
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

static int add(struct sx_device *d, struct copy *c, const struct sx_record *r, uint64_t pack,
               uint64_t at, struct sx_store_compaction *done, struct sx_err *e)
{
    uint32_t len = SX_RECORD_HEADER + r->len;
    struct sx_row row;
    bool found;

    if (sx_shard_find(&d->shard[sx_shard_of(&r->id)], &r->id, &row, &found, e))
        return -1;
    if (!found || row.pack != pack || row.at != at || row.len != len)
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

    if (drop_usage(d, c->number, e) || sx_packs_drop(&d->packs, c->number, e))
        return -1;
    sx_pack_forget(d, c->number);
    if (d->io->ftruncate(d->io, c->fd, 0)) /* only frees it earlier than the last close would */
        sx_warn("cut %s: failed", path);
    /* Who made the pack and lost its lock to us, before it held a record, removes it too. */
    if (d->io->unlink(d->io, path) && errno != ENOENT)
        return sx_err_errno(e, errno, "remove %s", path);
    if (d->last_pack == c->number)
        d->last_pack = 0;
    d->used_ms = 0;
    return 0;
}

/* With the pack's lock held and its row read under it. */
static int compact_claimed(struct sx_device *d, struct sx_claim *c, struct sx_pack_row *row,
                           struct sx_store_compaction *done, struct sx_err *e)
{
    uint64_t live, blocks, copied = done->copied;
    bool whole;

    if (live_bytes(d, c->number, &live, &blocks, e))
        return -1;
    row->size = c->size;
    if (!worth_it(row, live))
        return 0;
    if (row->state == SX_PACK_OPEN &&
        sx_packs_set(&d->packs, c->number, SX_PACK_SEALED, c->size, false, e))
        return -1;
    if (blocks && (copy_live(d, c, done, e) || lose_rest(d, c->number, e)))
        return -1;
    if (sx_device_checkpoint(d, &whole, e))
        return -1;
    if (!whole) /* a long read is going on: next time */
        return 0;
    if (remove_pack(d, c, e))
        return -1;
    copied = done->copied - copied;
    done->packs++;
    done->freed += c->size > copied ? c->size - copied : 0;
    return 0;
}

static int compact_pack(struct sx_device *d, uint64_t number, struct sx_store_compaction *done,
                        struct sx_err *e)
{
    struct sx_claim c = { 0 };
    struct sx_pack_row row;
    bool got, found;
    int r;

    if (sx_pack_try(d, number, &c, &got, e) || !got)
        return got ? -1 : 0;
    r = sx_packs_get(&d->packs, number, &row, &found, e);
    if (!r && found)
        r = compact_claimed(d, &c, &row, done, e);
    sx_pack_release(d, &c);
    return r ? sx_err_wrap(e, "compact pack %llu", (unsigned long long)number) : 0;
}

/* live[i] = live bytes of rows[i], which are in order of their numbers. */
static int all_live(struct sx_device *d, const struct sx_pack_row *rows, size_t n, uint64_t *live,
                    struct sx_err *e)
{
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        sqlite3_stmt *st = d->shard[i].q[SX_Q_USAGE_ALL];
        size_t k = 0;
        int r;

        while ((r = sx_db_step(st, e)) == 1) {
            uint64_t pack = (uint64_t)sqlite3_column_int64(st, 0);

            while (k < n && rows[k].number < pack)
                k++;
            if (k < n && rows[k].number == pack)
                live[k] += (uint64_t)sqlite3_column_int64(st, 1);
        }
        if (r)
            return -1;
    }
    return 0;
}

int sx_device_compact(struct sx_device *d, uint64_t bytes_max, struct sx_store_compaction *done,
                      struct sx_err *e)
{
    SX_AUTO_FREE struct sx_pack_row *rows = NULL;
    SX_AUTO_FREE uint64_t *live = NULL;
    size_t n;

    *done = (struct sx_store_compaction){ 0 };
    if (sx_packs_list(&d->packs, false, &rows, &n, e))
        return -1;
    live = sx_calloc(n + 1, sizeof *live);
    if (all_live(d, rows, n, live, e))
        return sx_err_wrap(e, "compact");
    for (size_t i = 0; i < n; i++) {
        if (!worth_it(&rows[i], live[i]))
            continue;
        if (bytes_max && done->copied && done->copied + live[i] > bytes_max) {
            done->more = true;
            return 0;
        }
        if (compact_pack(d, rows[i].number, done, e))
            return -1;
    }
    return 0;
}
