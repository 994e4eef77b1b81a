/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checking a device while it is used: SQLite's own check of the index, its sums recounted, each
 * row against its pack, and (deep) each record read.  Rows move and vanish meanwhile, so what looks
 * wrong is looked up again before it is reported.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define PAGE 1024u

static int quick_check(sqlite3 *db, struct sx_store_report *r, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc;

    if (sx_db_prepare(db, "PRAGMA quick_check(1)", &st, e))
        return -1;
    rc = sx_db_step(st, NULL);
    if (rc != 1 || strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        r->index_faults++;
    sqlite3_finalize(st);
    return 0;
}

/* The counted use of each pack against the kept one, in one read transaction. */
static int recount(struct sx_shard *sh, struct sx_store_report *r, struct sx_err *e)
{
    sqlite3_stmt *st = sh->q[SX_Q_RECOUNT], *all = sh->q[SX_Q_USAGE_ALL];
    int64_t balance = 0;
    int rc;

    if (sx_db_exec(sh->db, "BEGIN", e))
        return -1;
    while ((rc = sx_db_step(st, e)) == 1) {
        uint64_t pack = (uint64_t)sqlite3_column_int64(st, 0);
        struct sx_usage u;

        if (sx_shard_usage(sh, pack, &u, e)) {
            rc = -1;
            break;
        }
        balance += (int64_t)u.live;
        if (u.live != (uint64_t)sqlite3_column_int64(st, 1) ||
            u.blocks != (uint64_t)sqlite3_column_int64(st, 2))
            r->index_faults++;
    }
    sqlite3_reset(st);
    while (!rc && (rc = sx_db_step(all, e)) == 1) { /* packs counted that have no row */
        balance -= sqlite3_column_int64(all, 1);
        rc = 0;
    }
    sqlite3_reset(all);
    if (!rc && balance)
        r->index_faults++;
    sqlite3_exec(sh->db, "COMMIT", NULL, NULL, NULL);
    return rc;
}

/* Is the record within its pack? */
static bool in_pack(struct sx_device *d, const struct sx_row *row)
{
    uint64_t size;
    int fd;

    if (row->pack == 0 || row->at < SX_PACK_HEADER ||
        sx_pack_open_read(d, row->pack, &fd, &size, NULL))
        return false;
    d->io->close(d->io, fd);
    return row->len <= size && row->at <= size - row->len;
}

static int check_fast(struct sx_device *d, const struct sx_id *id, struct sx_store_report *r,
                      struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(id)];
    struct sx_row row, again;
    bool found;

    if (sx_shard_find(sh, id, &row, &found, e))
        return -1;
    if (!found)
        return 0;
    if (row.state == SX_BLOCK_BAD) {
        r->damaged++;
        return 0;
    }
    if (in_pack(d, &row))
        return 0;
    if (sx_shard_find(sh, id, &again, &found, e))
        return -1;
    if (!found || again.pack != row.pack || again.at != row.at)
        return 0; /* it has moved since */
    r->missing++;
    return sx_shard_mark_bad(sh, id, &row, e);
}

static int check_deep(struct sx_device *d, const struct sx_id *id, struct sx_buf *buf,
                      struct sx_store_report *r, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    sx_buf_reset(buf);
    if (sx_device_get(d, id, buf, &why) == 0 || why.code == SX_ENOTFOUND)
        return 0;
    if (why.code != SX_ECORRUPT) {
        sx_err_set(e, why.code, "%s", why.msg);
        return -1;
    }
    r->damaged++;
    return 0;
}

static int check_rows(struct sx_device *d, bool deep, struct sx_store_report *r, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_store_item *items = sx_calloc(PAGE, sizeof *items);
    SX_AUTO(sx_buf) struct sx_buf buf = SX_BUF_INIT;
    struct sx_id after;
    size_t n;

    for (bool first = true;; first = false) {
        if (sx_device_list(d, first ? NULL : &after, items, PAGE, &n, e))
            return -1;
        for (size_t i = 0; i < n; i++) {
            r->blocks++;
            if (deep ? check_deep(d, &items[i].id, &buf, r, e) : check_fast(d, &items[i].id, r, e))
                return -1;
        }
        if (n < PAGE)
            return 0;
        after = items[n - 1].id;
    }
}

/* Valid records that no row points at. */
static int count_strays(struct sx_device *d, const struct sx_pack_row *row,
                        struct sx_store_report *r, struct sx_err *e)
{
    struct sx_record rec;
    struct sx_scan sc;
    uint64_t size, at;
    int fd, rc = 0;

    if (sx_pack_open_read(d, row->number, &fd, &size, NULL)) /* compacted meanwhile */
        return 0;
    sx_scan_init(&sc, d->io, fd, SX_PACK_HEADER, size < row->size ? size : row->size);
    while (!rc && sx_scan_next(&sc, &rec, &at)) {
        struct sx_row now;
        bool found;

        rc = sx_shard_find(&d->shard[sx_shard_of(&rec.id)], &rec.id, &now, &found, e);
        if (!rc && (!found || now.pack != row->number || now.at != at))
            r->stray++;
    }
    sx_scan_fini(&sc);
    d->io->close(d->io, fd);
    return rc;
}

int sx_device_check(struct sx_device *d, bool deep, struct sx_store_report *out, struct sx_err *e)
{
    struct sx_store_report r = { 0 };
    SX_AUTO_FREE struct sx_pack_row *rows = NULL;
    size_t n;

    if (quick_check(d->packs.db, &r, e))
        return -1;
    for (unsigned i = 0; i < SX_SHARDS; i++)
        if (quick_check(d->shard[i].db, &r, e) || recount(&d->shard[i], &r, e))
            return -1;
    if (check_rows(d, deep, &r, e))
        return -1;
    if (deep && sx_packs_list(&d->packs, false, &rows, &n, e))
        return -1;
    for (size_t i = 0; deep && i < n; i++)
        if (count_strays(d, &rows[i], &r, e))
            return -1;
    *out = r;
    return 0;
}
