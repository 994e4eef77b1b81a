/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scrub.h.  Other processes put, delete and compact meanwhile: what looks wrong is looked up
 * again, and a row is changed only under the lock of the pack it shall point into (compaction needs
 * it to remove the pack) and if it still is what was judged.
 */
#include "fcgi/store/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define ROWS_PAGE 256u
#define CANDIDATES_MAX 256u
#define LEASE_AHEAD_MAX 1000000u /* epochs: with one in 30 s almost a year */

/* A record that the index does not point at, but perhaps should. */
struct candidate {
    struct sx_id id;
    uint64_t at;
    uint32_t len;
    bool known;        /* it has a row: `old`, which is bad or points at nothing good */
    struct sx_row old;
};

struct candidates {
    struct candidate c[CANDIDATES_MAX];
    size_t n;
};

/* ---- one block ---- */

static int mark(struct sx_device *d, const struct sx_id *id, const struct sx_err *why,
                struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(id)];
    char hex[2 * SX_ID_SIZE + 1];
    struct sx_row row;
    bool found;

    sx_error("block %s is damaged: %s", sx_hex(hex, id->b, SX_ID_SIZE), why->msg);
    if (sx_shard_find(sh, id, &row, &found, e))
        return -1;
    return found ? sx_shard_mark_bad(sh, id, &row, e) : 0;
}

static int decode(const struct sx_scrub_walk *w, const struct sx_record *r, struct sx_err *e)
{
    return w->decode ? w->decode(w->ctx, r, e) : 0;
}

/* A record whose checksum is right, but whose content is not that of its id, is damaged, too. */
static int check_content(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_record *r,
                         struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    if (decode(w, r, &why) == 0) {
        w->found.blocks++;
        return 0;
    }
    if (why.code == SX_ENOMEM)
        return sx_err_set(e, why.code, "%s", why.msg);
    w->found.damaged++;
    sx_device_count_damage(d);
    return mark(d, &r->id, &why, e);
}

int sx_device_scrub_block(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_id *id,
                          struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf buf = SX_BUF_INIT;
    struct sx_err why = SX_ERR_INIT;
    struct sx_record r;
    size_t used;

    if (sx_device_get(d, id, &buf, &why) == 0) {
        w->found.bytes += buf.len;
        if (sx_record_parse(buf.data, buf.len, &r, &used, e))
            return -1;
        return check_content(d, w, &r, e);
    }
    if (why.code == SX_ENOTFOUND)
        return 0;
    if (why.code != SX_ECORRUPT && why.code != SX_EIO)
        return sx_err_set(e, why.code, "%s", why.msg);
    w->found.damaged++;
    w->found.read_errors += why.code == SX_EIO;
    return why.code == SX_EIO ? mark(d, id, &why, e) : 0;
}

/* ---- the index ---- */

/* One database of it: the shards, then the table of packs. */
static int index_step(struct sx_device *d, struct sx_scrub_walk *w, struct sx_err *e)
{
    unsigned k = w->place.database;
    uint64_t faults = 0;
    bool sound, foreign = false;

    if (sx_db_quick_check(k < SX_SHARDS ? d->shard[k].db : d->packs.db, &sound, e))
        return -1;
    if (sound && k < SX_SHARDS && sx_shard_foreign(&d->shard[k], k, &foreign, e))
        return -1;
    if (!sound || foreign) {
        w->found.index_faults++;
        sx_device_distrust_index(d);
    } else if (k < SX_SHARDS) {
        if (sx_shard_recount(&d->shard[k], true, &faults, e))
            return -1;
        if (faults)
            sx_error("shard %u: the sums of %llu packs were wrong, and are counted anew", k,
                     (unsigned long long)faults);
        w->found.sums += faults;
    } else if (sx_device_register_packs(d, e)) {
        return -1;
    }
    if (++w->place.database > SX_SHARDS)
        w->place.phase = SX_SCRUB_ROWS;
    return 0;
}

/* ---- rows ---- */

/* A lease in an epoch that is not to come for long is damage, and would keep the block for ever: it
 * becomes one of now.  Other processes may be some epochs ahead of this one. */
static int check_lease(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_id *id,
                       const struct sx_row *row, struct sx_err *e)
{
    bool hit = false;

    if (d->epoch == 0 || row->lease <= d->epoch || row->lease - d->epoch <= LEASE_AHEAD_MAX)
        return 0;
    if (sx_shard_set_lease(&d->shard[sx_shard_of(id)], id, row->lease, d->epoch, &hit, e))
        return -1;
    w->found.mended += hit;
    return 0;
}

static int check_row(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_id *id,
                     struct sx_buf *buf, struct sx_err *e)
{
    struct sx_row row;
    bool found;

    if (sx_shard_find(&d->shard[sx_shard_of(id)], id, &row, &found, e))
        return -1;
    w->found.rows++;
    if (found && check_lease(d, w, id, &row, e))
        return -1;
    if (!found || row.state == SX_BLOCK_BAD ||
        (w->fast ? sx_pack_holds(d, &row) : sx_live_header(d, id, &row, buf)))
        return 0;
    return sx_device_scrub_block(d, w, id, e);
}

static int rows_step(struct sx_device *d, struct sx_scrub_walk *w, uint64_t bytes,
                     struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf buf = SX_BUF_INIT;
    struct sx_store_item items[ROWS_PAGE];
    size_t n, max = (size_t)(bytes / SX_SCRUB_ROW_COST) + 1;

    if (max > ROWS_PAGE)
        max = ROWS_PAGE;
    if (sx_device_list(d, &w->place.after, items, max, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (check_row(d, w, &items[i].id, &buf, e))
            return -1;
        w->place.after = items[i].id;
    }
    if (n < max)
        w->place.phase = SX_SCRUB_PACKS;
    return 0;
}

/* ---- packs: rows that are put right ---- */

static int adopt_one(struct sx_device *d, struct sx_scrub_walk *w, const struct candidate *c,
                     uint64_t pack, struct sx_err *e)
{
    struct sx_row row = { .pack = pack, .at = c->at, .len = c->len };
    char hex[2 * SX_ID_SIZE + 1];
    bool adopted;

    if (sx_live_adopt(d, &c->id, c->known ? &c->old : NULL, &row, &adopted, e))
        return -1;
    if (!adopted)
        return 0;
    w->found.mended++;
    sx_info("block %s: its row was %s, and points at its record in pack %llu again",
            sx_hex(hex, c->id.b, SX_ID_SIZE), c->known ? "wrong" : "lost",
            (unsigned long long)pack);
    return 0;
}

/* Of the candidates without a row those that nothing refers to are dead records. */
static int drop_unreferenced(struct sx_scrub_walk *w, struct candidates *l, struct sx_err *e)
{
    struct sx_id ids[CANDIDATES_MAX];
    uint8_t yes[CANDIDATES_MAX] = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        ids[i] = l->c[i].id;
    if (w->referenced && w->referenced(w->ctx, ids, l->n, yes, e))
        return sx_err_wrap(e, "references");
    for (size_t i = 0; i < l->n; i++) {
        if (l->c[i].known || yes[i])
            l->c[n++] = l->c[i];
        else
            w->found.stray++;
    }
    l->n = n;
    return 0;
}

static int adopt(struct sx_device *d, struct sx_scrub_walk *w, uint64_t pack, struct candidates *l,
                 struct sx_err *e)
{
    struct sx_claim c = { 0 };
    struct sx_pack_row row;
    bool got, found = false;
    int r = 0;

    if (l->n && drop_unreferenced(w, l, e))
        return -1;
    if (l->n == 0)
        return 0;
    if (sx_pack_try(d, pack, &c, &got, e))
        return -1;
    if (got && !sx_packs_get(&d->packs, pack, &row, &found, e) && found)
        for (size_t i = 0; i < l->n && !r; i++)
            if (l->c[i].at + l->c[i].len <= c.size) /* else it was compacted meanwhile */
                r = adopt_one(d, w, &l->c[i], pack, e);
    sx_pack_release(d, &c);
    l->n = 0;
    return r;
}

/* ---- packs: records ---- */

static int add_candidate(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_record *r,
                         const struct candidate *c, struct candidates *l, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    bool good = false;

    if (c->known && sx_live_elsewhere(d, &c->id, &c->old, &good, e))
        return -1;
    if (good || !w->decode || w->decode(w->ctx, r, &why)) {
        w->found.stray++;
        return 0;
    }
    l->c[l->n++] = *c;
    return 0;
}

static int see_record(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_record *r,
                      uint64_t at, struct candidates *l, struct sx_err *e)
{
    struct candidate c = { .id = r->id, .at = at, .len = SX_RECORD_HEADER + r->len };

    if (sx_shard_find(&d->shard[sx_shard_of(&r->id)], &r->id, &c.old, &c.known, e))
        return -1;
    if (c.known && c.old.state == SX_BLOCK_GOOD && c.old.pack == w->place.pack && c.old.at == at &&
        c.old.len == c.len)
        return check_content(d, w, r, e);
    if (add_candidate(d, w, r, &c, l, e))
        return -1;
    return l->n == CANDIDATES_MAX ? adopt(d, w, w->place.pack, l, e) : 0;
}

/* Bytes from `from` to `to` that are no record: are there rows that point there? */
static int check_area(struct sx_device *d, struct sx_scrub_walk *w, uint64_t from, uint64_t to,
                      struct sx_err *e)
{
    const struct sx_pack_area area = { w->place.pack, from, to, false };
    const struct sx_scrub_found before = w->found;
    struct sx_id ids[ROWS_PAGE];

    for (unsigned k = 0; k < SX_SHARDS; k++) {
        size_t n = 0;

        do {
            if (sx_shard_in_pack(&d->shard[k], &area, ids, ROWS_PAGE, &n, e))
                return -1;
            for (size_t i = 0; i < n; i++)
                if (sx_device_scrub_block(d, w, &ids[i], e))
                    return -1;
        } while (n == ROWS_PAGE);
    }
    w->found.blocks = before.blocks; /* the good ones were seen by the walk */
    w->found.bytes = before.bytes;
    return 0;
}

/* From place.at on, about `bytes`; at the end place.at is `end`. */
static int walk_records(struct sx_device *d, struct sx_scrub_walk *w, int fd, uint64_t end,
                        uint64_t bytes, struct sx_err *e)
{
    struct candidates *l = sx_calloc(1, sizeof *l);
    uint64_t from = w->place.at, at = 0, stop = end - from > bytes ? from + bytes : end;
    struct sx_record rec;
    struct sx_scan sc;
    int r = 0;

    /* Each record that begins before `stop` ends before the scan does. */
    sx_scan_init(&sc, d->io, fd, from, end - stop > SX_RECORD_MAX ? stop + SX_RECORD_MAX : end);
    posix_fadvise(fd, (off_t)from, (off_t)(stop - from), POSIX_FADV_SEQUENTIAL);
    while (!r && sc.at < stop && sx_scan_next(&sc, &rec, &at))
        r = see_record(d, w, &rec, at, l, e);
    if (!r)
        r = adopt(d, w, w->place.pack, l, e);
    stop = sx_max_u64(stop, sc.valid_end);
    if (!r && sc.skipped)
        r = check_area(d, w, from, stop, e);
    if (!r) {
        w->place.at = stop;
        w->found.bytes += stop - from;
        w->found.read_errors += sc.read_errors;
    }
    /* A walk over all packs would else push out of the page cache what users read. */
    posix_fadvise(fd, (off_t)from, (off_t)(stop - from), POSIX_FADV_DONTNEED);
    sx_scan_fini(&sc);
    free(l);
    return r;
}

/* Looks again under the pack's lock: while another has it, the pack is being made or removed. */
static int mend_size(struct sx_device *d, struct sx_scrub_walk *w, uint64_t pack, struct sx_err *e)
{
    struct sx_claim c = { 0 };
    struct sx_pack_row row;
    bool got, found = false;
    int r;

    if (sx_pack_try(d, pack, &c, &got, e))
        return -1;
    if (!got)
        return 0;
    r = sx_packs_get(&d->packs, pack, &row, &found, e);
    if (!r && found && row.state == SX_PACK_SEALED && row.size != c.size) {
        sx_error("pack %llu: has %llu bytes, %llu expected", (unsigned long long)pack,
                 (unsigned long long)c.size, (unsigned long long)row.size);
        w->found.mended++;
        r = sx_packs_set(&d->packs, pack, SX_PACK_SEALED, c.size, false, e);
    }
    sx_pack_release(d, &c);
    return r;
}

/* What the table and the file's header say of the pack.  One that is being made, or whose maker was
 * killed, has no size in the table, and perhaps no header yet. */
static int check_pack(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_pack_row *row,
                      int fd, uint64_t size, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    uint8_t h[SX_PACK_HEADER];

    if (row->size == 0 && size <= SX_PACK_HEADER)
        return 0;
    if ((sx_io_pread_all(d->io, fd, h, sizeof h, 0, &why) ||
         sx_pack_header_check(h, d, row->number, &why)) &&
        !sx_pack_unlinked(d, fd)) {
        w->found.headers++;
        w->found.read_errors += why.code == SX_EIO;
        sx_error("pack %llu: %s; its records are used", (unsigned long long)row->number, why.msg);
    }
    return row->state == SX_PACK_SEALED && row->size != size ? mend_size(d, w, row->number, e) : 0;
}

/* The pack of the place, or the first behind it; *found false: there is none. */
static int next_pack(struct sx_device *d, struct sx_scrub_place *p, struct sx_pack_row *row,
                     bool *found, struct sx_err *e)
{
    if (sx_packs_from(&d->packs, p->pack, row, found, e))
        return -1;
    if (*found && row->number != p->pack)
        *p = (struct sx_scrub_place){ .phase = SX_SCRUB_PACKS, .pack = row->number };
    return 0;
}

static int packs_step(struct sx_device *d, struct sx_scrub_walk *w, uint64_t bytes,
                      struct sx_err *e)
{
    struct sx_scrub_place *p = &w->place;
    struct sx_pack_row row;
    uint64_t size = 0, end;
    bool found;
    int fd, r = 0;

    if (next_pack(d, p, &row, &found, e))
        return -1;
    if (!found) {
        p->phase = SX_SCRUB_DONE;
        return 0;
    }
    if (sx_pack_open_read(d, row.number, &fd, &size, NULL)) { /* gone: rows_step() saw its rows */
        p->pack++;
        p->at = 0;
        return 0;
    }
    if (p->at == 0) {
        r = check_pack(d, w, &row, fd, size, e);
        p->at = SX_PACK_HEADER;
    }
    end = row.state == SX_PACK_BAD && row.size < size ? row.size : size;
    if (!r && p->at < end && !w->fast)
        r = walk_records(d, w, fd, end, bytes, e);
    d->io->close(d->io, fd);
    if (!r && (p->at >= end || w->fast)) {
        p->pack++;
        p->at = 0;
    }
    return r ? sx_err_wrap(e, "pack %llu", (unsigned long long)row.number) : 0;
}

static int step(struct sx_device *d, struct sx_scrub_walk *w, uint64_t bytes, struct sx_err *e)
{
    switch (w->place.phase) {
    case SX_SCRUB_INDEX:
        return index_step(d, w, e);
    case SX_SCRUB_ROWS:
        return rows_step(d, w, bytes, e);
    case SX_SCRUB_PACKS:
        return packs_step(d, w, bytes, e);
    default:
        return 0;
    }
}

/* With a damaged index there is nothing to compare with: the walk is over, and the next start makes
 * the index anew. */
int sx_device_scrub(struct sx_device *d, struct sx_scrub_walk *w, uint64_t bytes, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    if (step(d, w, bytes, &why) == 0)
        return 0;
    if (why.code != SX_ECORRUPT)
        return sx_err_set(e, why.code, "%s", why.msg);
    sx_error("%s", why.msg);
    sx_device_distrust_index(d);
    w->found.index_faults++;
    w->place.phase = SX_SCRUB_DONE;
    return 0;
}
