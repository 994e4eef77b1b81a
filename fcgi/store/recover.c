/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Recovery after an unclean stop, by the only process that has the store open:
 *
 *   1. packs on disk without a row get one (nothing of them is known to be indexed);
 *   2. rows of packs that are gone go, with the index rows that point there;
 *   3. of each pack the part behind `durable` is synced, then read, and records that the index
 *      does not know get a row.  What lies behind the last valid record is cut off (a torn write);
 *      bad packs are read only as far as their good part goes, and are not cut;
 *   4. the index is made durable, and nothing can be deleted until the collector says which epoch
 *      the cluster has reached (the floor), because leases of up to then may be lost.
 *
 * It can be repeated after a crash at any place.  Blocks deleted a short time before the stop may
 * be back: the collector deletes them again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define RECOVER_BATCH 1024u
#define LOCK_TRIES 500u
#define LOCK_WAIT_MS 10u

/* ---- which packs there are ---- */

static bool pack_number(const char *name, uint64_t *number)
{
    unsigned long long v;
    int end = 0;

    if (strlen(name) < 15 || sscanf(name, "%20llu.pack%n", &v, &end) != 1 || end == 0 || name[end])
        return false;
    *number = v;
    return v > 0 && v <= INT64_MAX;
}

/* Not one that its remover unlinks while the directory is read. */
static int register_pack(struct sx_device *d, uint64_t number, struct sx_err *e)
{
    struct sx_pack_row row;
    bool found;

    if (sx_packs_get(&d->packs, number, &row, &found, e))
        return -1;
    return found || sx_pack_missing(d, number) ? 0 : sx_packs_add(&d->packs, number, e);
}

int sx_device_register_packs(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_asprintf("%s/packs", d->dir);
    DIR *dp = opendir(dir);
    struct dirent *de;
    uint64_t number;
    int r = 0;

    if (!dp)
        return sx_err_errno(e, errno, "open %s", dir);
    while (!r && (de = readdir(dp)) != NULL)
        if (pack_number(de->d_name, &number))
            r = register_pack(d, number, e);
    closedir(dp);
    return r;
}

static int drop_pack(struct sx_device *d, uint64_t number, struct sx_err *e)
{
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        struct sx_usage u;

        if (sx_shard_usage(&d->shard[i], number, &u, e))
            return -1;
        if (u.blocks)
            sx_error("pack %llu is gone, with %llu blocks of shard %u", (unsigned long long)number,
                     (unsigned long long)u.blocks, i);
        if (sx_shard_lose_pack(&d->shard[i], number, true, e))
            return -1;
    }
    return sx_packs_drop(&d->packs, number, e);
}

/* ---- one pack ---- */

struct found {
    struct sx_id id[RECOVER_BATCH];
    uint64_t at[RECOVER_BATCH];
    uint32_t len[RECOVER_BATCH];
    size_t n;
    uint64_t added;
};

static int add_missing(struct sx_device *d, uint64_t pack, struct found *f, const uint32_t *order,
                       size_t n, struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(&f->id[order[0]])];
    int r = 0;

    if (sx_shard_begin(sh, e))
        return -1;
    for (size_t i = 0; i < n && !r; i++) {
        uint32_t k = order[i];
        struct sx_row row = { pack, f->at[k], 0, f->len[k], SX_BLOCK_GOOD }, old;
        bool have;

        r = sx_shard_find(sh, &f->id[k], &old, &have, e);
        if (r || (have && old.state == SX_BLOCK_GOOD))
            continue;
        r = sx_shard_replace(sh, &f->id[k], have ? &old : NULL, &row, e);
        f->added++;
    }
    return sx_shard_end(sh, r, e);
}

static int flush(struct sx_device *d, uint64_t pack, struct found *f, struct sx_err *e)
{
    SX_AUTO_FREE uint32_t *order = sx_device_order(f->id, f->n);

    for (size_t i = 0, end; i < f->n; i = end) {
        end = sx_device_same_shard(f->id, order, i, f->n);
        if (add_missing(d, pack, f, order + i, end - i, e))
            return -1;
    }
    f->n = 0;
    return 0;
}

static void show(const struct sx_device *d, uint64_t more)
{
    if (d->o.progress)
        d->o.progress(d->o.progress_ctx, d->recovered + more, d->to_recover);
}

static int scan_tail(struct sx_device *d, uint64_t pack, struct sx_scan *sc, struct sx_err *e)
{
    SX_AUTO_FREE struct found *f = sx_calloc(1, sizeof *f);
    const uint64_t from = sc->at;
    struct sx_record r;
    uint64_t at;

    while (sx_scan_next(sc, &r, &at)) {
        f->id[f->n] = r.id;
        f->at[f->n] = at;
        f->len[f->n] = SX_RECORD_HEADER + r.len;
        if (++f->n < RECOVER_BATCH)
            continue;
        if (flush(d, pack, f, e))
            return -1;
        show(d, at - from);
    }
    if (flush(d, pack, f, e))
        return -1;
    if (f->added || sc->skipped)
        sx_info("pack %llu: %llu blocks put back into the index, %llu bytes are no record",
                (unsigned long long)pack, (unsigned long long)f->added,
                (unsigned long long)sc->skipped);
    return 0;
}

static int cut(struct sx_device *d, const struct sx_claim *c, uint64_t end, struct sx_err *e)
{
    if (d->io->ftruncate(d->io, c->fd, (off_t)end))
        return sx_err_errno(e, errno, "cut to %llu bytes", (unsigned long long)end);
    if (d->io->fdatasync(d->io, c->fd))
        return sx_err_errno(e, errno, "fdatasync");
    return 0;
}

/* A damaged header only means that nothing is appended; one of a later version is not touched. */
static int check_header(struct sx_device *d, const struct sx_claim *c, bool *good, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    uint8_t h[SX_PACK_HEADER];

    *good = sx_io_pread_all(d->io, c->fd, h, sizeof h, 0, &why) == 0 &&
            sx_pack_header_check(h, d, c->number, &why) == 0;
    if (why.code == SX_EVERSION)
        return sx_err_set(e, SX_EVERSION, "%s", why.msg);
    if (!*good)
        sx_error("pack %llu: %s; its records are used", (unsigned long long)c->number, why.msg);
    return 0;
}

/* Reads the tail; gives the state and the size that the table shall have. */
static int recover_tail(struct sx_device *d, struct sx_claim *c, struct sx_pack_row *row,
                        struct sx_err *e)
{
    uint64_t from = sx_max_u64(row->durable, SX_PACK_HEADER);
    uint64_t to = row->state == SX_PACK_BAD && row->size ? row->size : c->size;
    struct sx_scan sc;
    int r = 0;

    if (to > c->size)
        to = c->size;
    if (from >= to) {
        row->size = row->state == SX_PACK_BAD ? to : c->size;
        return 0;
    }
    if (d->io->fdatasync(d->io, c->fd))
        return sx_err_errno(e, errno, "fdatasync");
    sx_scan_init(&sc, d->io, c->fd, from, to);
    r = scan_tail(d, c->number, &sc, e);
    row->size = to;
    if (!r && sc.valid_end < to && row->state != SX_PACK_BAD) {
        r = cut(d, c, sc.valid_end, e);
        row->size = sc.valid_end;
    }
    sx_scan_fini(&sc);
    return r;
}

/* *got false: there is no such file.  The last process to die may have closed the store's lock before
 * its pack's; a pack that is locked is not gone. */
static int lock_pack(struct sx_device *d, uint64_t number, struct sx_claim *c, bool *got,
                     struct sx_err *e)
{
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (sx_pack_try(d, number, c, got, e))
            return -1;
        if (*got || sx_pack_missing(d, number))
            return 0;
        sx_sleep_ms(LOCK_WAIT_MS);
    }
    return sx_err_set(e, SX_EUNAVAIL, "pack %llu is locked", (unsigned long long)number);
}

static int recover_pack(struct sx_device *d, struct sx_pack_row *row, struct sx_err *e)
{
    struct sx_pack_row was = *row;
    struct sx_claim c = { 0 };
    int state = row->state, r;
    bool got, good = true;

    if (lock_pack(d, row->number, &c, &got, e))
        return -1;
    if (!got)
        return drop_pack(d, row->number, e);
    if (c.size < row->size)
        sx_error("pack %llu: %llu bytes, %llu expected", (unsigned long long)row->number,
                 (unsigned long long)c.size, (unsigned long long)row->size);
    r = c.size > row->durable ? check_header(d, &c, &good, e) : 0;
    if (!good && state != SX_PACK_BAD)
        state = SX_PACK_SEALED;
    if (!r)
        r = recover_tail(d, &c, row, e);
    if (!r && (state != was.state || row->size != was.size))
        r = sx_packs_set(&d->packs, row->number, state, row->size, false, e);
    sx_pack_release(d, &c);
    return r ? sx_err_wrap(e, "pack %llu", (unsigned long long)row->number) : 0;
}

/* Usage rows of packs that the table does not know: their blocks are lost. */
static int drop_unknown(struct sx_device *d, struct sx_err *e)
{
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        SX_AUTO_FREE uint64_t *gone = NULL;
        size_t n = 0, room = 0;
        int r;

        while ((r = sx_db_step(d->shard[i].q[SX_Q_USAGE_ALL], e)) == 1) {
            uint64_t pack = (uint64_t)sqlite3_column_int64(d->shard[i].q[SX_Q_USAGE_ALL], 0);
            struct sx_pack_row row;
            bool found;

            if (sx_packs_get(&d->packs, pack, &row, &found, e))
                return -1;
            if (found)
                continue;
            if (n == room) {
                room = room ? 2 * room : 16;
                gone = sx_realloc(gone, room * sizeof *gone);
            }
            gone[n++] = pack;
        }
        for (size_t k = 0; k < n && !r; k++)
            r = drop_pack(d, gone[k], e);
        if (r)
            return -1;
    }
    return 0;
}

/* An estimate: the table may know less than there is. */
static uint64_t to_read(struct sx_device *d, const struct sx_pack_row *rows, size_t n, bool whole)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n && d->o.progress; i++) {
        SX_AUTO_FREE char *path = sx_pack_path(d, rows[i].number);
        uint64_t from = whole ? 0 : rows[i].durable;
        struct stat st;

        if (stat(path, &st) == 0 && (uint64_t)st.st_size > from)
            sum += (uint64_t)st.st_size - from;
    }
    return sum;
}

int sx_device_recover(struct sx_device *d, bool whole, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_pack_row *rows = NULL;
    size_t n;
    bool synced;

    if (sx_device_register_packs(d, e) || drop_unknown(d, e) || sx_packs_list(&d->packs, false, &rows, &n, e))
        return -1;
    if (n == 0) /* a new store: nothing to find, and no lease can have been lost */
        return sx_device_set_floor(d, 0, e);
    sx_info("block store %s was not closed: reading the ends of its packs", d->dir);
    d->to_recover = to_read(d, rows, n, whole);
    for (size_t i = 0; i < n; i++) {
        uint64_t durable = rows[i].durable = whole ? 0 : rows[i].durable;

        if (recover_pack(d, &rows[i], e))
            return -1;
        d->recovered += rows[i].size > durable ? rows[i].size - durable : 0;
        show(d, 0);
    }
    if (sx_device_checkpoint(d, &synced, e))
        return -1;
    if (whole && !synced)
        return sx_err_set(e, SX_EUNAVAIL, "the new index could not be synced");
    return sx_device_set_floor(d, SX_FLOOR_UNKNOWN, e);
}
