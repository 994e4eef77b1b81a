/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Recovery: finds the segments, reads them in the order of their generations, and decides
 * whether the first record that is not good is the end of the log or damage.
 *
 * A record tells where its batch (what was synced together) begins.  If a bad place is followed,
 * in the same segment, by a good record whose batch begins behind that place, then all before that
 * batch was durable once: damage, and the node must not start.  If the good records behind it
 * belong to the batch that the bad place lies in, then the crash came before their sync: the disk
 * wrote the pieces in its own order, nothing of them was promised, and the log ends at the bad
 * place.
 *
 * What is read may never have reached the disk: its sync failed, or the process was killed before
 * it. From now on it counts, so the last batch is made durable first.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "fcgi/meta/raft/wal_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

struct found {
    struct sx_wal_segment *segment;
    bool good; /* its header */
};

static int damaged(struct sx_wal *w, const struct sx_wal_segment *s, uint32_t offset,
                   const char *why, struct sx_err *e)
{
    char name[SX_WAL_NAME_MAX];

    return sx_err_set(e, SX_ECORRUPT, "%s/%s is damaged at offset %" PRIu32 ": %s", w->dir,
                      sx_wal_name(name, s->slot), offset, why);
}

/* Reads a whole segment; what a file lacks whose making was cut off is zero. */
static int read_segment(struct sx_wal *w, const struct sx_wal_segment *s, struct sx_buf *out,
                        struct sx_err *e)
{
    uint8_t *p;
    uint32_t have = 0;

    sx_buf_reset(out);
    p = sx_buf_extend(out, w->segment_bytes);
    while (have < w->segment_bytes) {
        ssize_t n = w->io->pread(w->io, s->fd, p + have, w->segment_bytes - have, have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sx_err_errno(e, errno, "read segment %u", s->slot);
        if (n == 0)
            break;
        have += (uint32_t)n;
    }
    if (s->headed && have < w->segment_bytes) /* it had its length before it had a header */
        return damaged(w, s, have, "the file was cut off there", e);
    memset(p + have, 0, w->segment_bytes - have);
    return 0;
}

/* ---- finding ---- */

static int open_slot(struct sx_wal *w, unsigned slot, struct found *f, bool *none,
                     struct sx_err *e)
{
    char name[SX_WAL_NAME_MAX];
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", w->dir, sx_wal_name(name, slot));
    int fd = w->io->open(w->io, path, O_RDWR, 0);
    uint8_t block[SX_WAL_BLOCK] = { 0 };
    uint32_t bytes = 0;
    uint64_t generation = 0;

    *none = fd < 0 && errno == ENOENT;
    if (*none)
        return 0;
    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    f->segment = sx_wal_segment_new(slot, fd, 0);
    if (w->io->pread(w->io, fd, block, sizeof block, 0) < 0)
        return sx_err_errno(e, errno, "read %s", path);
    f->good = sx_wal_header_decode(block, &bytes, &generation);
    if (f->good && bytes != w->segment_bytes)
        return sx_err_set(e, SX_ECONFIG, "%s has segments of %u bytes, not %u", path, bytes,
                          w->segment_bytes);
    f->segment->generation = generation;
    f->segment->headed = f->segment->filled = f->good; /* the header is written last */
    return 0;
}

static int by_generation(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    uint64_t p = x->segment->generation, q = y->segment->generation;

    return p < q ? -1 : p > q;
}

/* A file without a good header is one whose making, or whose use again, was cut off; then it holds
 * no record of a generation that counts. */
static int check_headless(struct sx_wal *w, struct sx_wal_segment *s, uint64_t least,
                          struct sx_buf *b, struct sx_err *e)
{
    if (read_segment(w, s, b, e))
        return -1;
    for (uint32_t at = SX_WAL_BLOCK; at + SX_WAL_RECORD <= w->segment_bytes; at += 8) {
        struct sx_wal_record r;

        if (sx_wal_record_decode(&r, b->data + at, w->segment_bytes - at, at) &&
            r.generation >= (uint32_t)least)
            return damaged(w, s, 0, "bad header before good records", e);
    }
    return 0;
}

static int sort_out(struct sx_wal *w, struct found *f, unsigned n, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint64_t least = 0, before = 0;
    int r = 0;

    qsort(f, n, sizeof *f, by_generation);
    for (unsigned i = 0; i < n && !least; i++)
        least = f[i].segment->generation;
    for (unsigned i = 0; i < n; i++) {
        struct sx_wal_segment *s = f[i].segment;

        if (!r && !f[i].good)
            r = check_headless(w, s, least, &b, e);
        if (!r && before && s->generation != before + 1)
            r = sx_err_set(e, SX_ECORRUPT, "%s: segments of generation %llu to %llu are missing",
                           w->dir, (unsigned long long)before + 1,
                           (unsigned long long)s->generation - 1);
        before = s->generation;
        if (s->generation)
            sx_wal_segment_push(&w->segment, &w->n_segments, s);
        else
            sx_wal_segment_push(&w->spare, &w->n_spare, s);
    }
    return r;
}

/* Slots are numbered without gaps. */
static int find_segments(struct sx_wal *w, struct sx_err *e)
{
    SX_AUTO_FREE struct found *f = sx_calloc(SX_WAL_SEGMENTS_MAX, sizeof *f);
    unsigned n = 0;
    bool none = false;

    while (n < SX_WAL_SEGMENTS_MAX) {
        int r = open_slot(w, n, &f[n], &none, e);

        if (none)
            break;
        n += f[n].segment != NULL;
        if (r) {
            for (unsigned i = 0; i < n; i++)
                sx_wal_segment_push(&w->spare, &w->n_spare, f[i].segment);
            return -1;
        }
    }
    return sort_out(w, f, n, e);
}

/* ---- reading ---- */

static int take_entry(struct sx_wal *w, struct sx_wal_segment *s, const struct sx_wal_record *r,
                      uint32_t offset, struct sx_err *e)
{
    struct sx_wal_group *g = sx_wal_group_get(w, r->group);
    struct sx_wal_place p = { s, r->term, offset, r->len, r->type };

    if (!g)
        return damaged(w, s, offset, "too many groups", e);
    if (r->type == SX_WAL_CUT_ALL)
        sx_wal_index_truncate(g, 0);
    if (r->type == SX_WAL_CUT_ALL || r->type == SX_WAL_CUT) {
        sx_wal_index_cut(g, r->index);
        return 0;
    }
    if (g->n && r->index > sx_wal_group_last(g) + 1)
        return damaged(w, s, offset, "an entry leaves a gap", e);
    sx_wal_index_add(g, r->index, &p);
    return 0;
}

/* What lies behind the first bad place of the newest segment. */
static int check_tail(struct sx_wal *w, struct sx_wal_segment *s, const struct sx_buf *b,
                      uint32_t end, bool *rest, struct sx_err *e)
{
    *rest = false;
    for (uint32_t at = end + 8; at + SX_WAL_RECORD <= w->segment_bytes; at += 8) {
        struct sx_wal_record r;

        if (!sx_wal_record_decode(&r, b->data + at, w->segment_bytes - at, at) ||
            r.generation != (uint32_t)s->generation)
            continue;
        if (r.batch > end)
            return damaged(w, s, end, "good records follow that were synced later", e);
        *rest = true;
    }
    return 0;
}

/* Records that were left behind the end by a torn write must not be read one day as if they
 * followed what is written there next. */
static int erase_tail(struct sx_wal *w, struct sx_wal_segment *s, uint32_t end, struct sx_err *e)
{
    uint32_t n = w->segment_bytes - end;
    SX_AUTO_FREE uint8_t *zero = sx_calloc(1, n);

    if (sx_io_pwrite_all(w->io, s->fd, zero, n, end, e))
        return -1;
    if (w->io->fdatasync(w->io, s->fd))
        return sx_err_errno(e, errno, "fdatasync segment %u", s->slot);
    return 0;
}

/* The head of a record of this generation stands there, without its whole data. */
static bool begun(const struct sx_wal *w, const struct sx_wal_segment *s, const struct sx_buf *b,
                  uint32_t end)
{
    return end + SX_WAL_RECORD <= w->segment_bytes && sx_get_u32(b->data + end) &&
           sx_get_u32(b->data + end + SX_WAL_AT_GENERATION) == (uint32_t)s->generation;
}

static int end_of_log(struct sx_wal *w, struct sx_wal_segment *s, const struct sx_buf *b,
                      uint32_t end, struct sx_err *e)
{
    char name[SX_WAL_NAME_MAX];
    bool rest;

    if (s != w->segment[w->n_segments - 1])
        return damaged(w, s, end, "the segment does not end as it should", e);
    if (check_tail(w, s, b, end, &rest, e))
        return -1;
    if (rest && erase_tail(w, s, end, e))
        return -1;
    if (rest || begun(w, s, b, end))
        sx_warn("%s/%s: a write was cut short at offset %" PRIu32 "; the log ends there", w->dir,
                sx_wal_name(name, s->slot), end);
    w->pos = end;
    return 0;
}

/* Writes the header and the last batch anew: after a failed sync the kernel calls their pages
 * clean, and no later sync would write them. All before was synced, or the batch had not begun. */
static int make_durable(struct sx_wal *w, struct sx_wal_segment *s, const struct sx_buf *b,
                        uint32_t batch, struct sx_err *e)
{
    char name[SX_WAL_NAME_MAX];

    if (s != w->segment[w->n_segments - 1])
        return 0;
    if (sx_io_pwrite_all(w->io, s->fd, b->data, SX_WAL_BLOCK, 0, e) ||
        (batch < w->pos &&
         sx_io_pwrite_all(w->io, s->fd, b->data + batch, w->pos - batch, batch, e)))
        return sx_err_wrap(e, "%s/%s", w->dir, sx_wal_name(name, s->slot));
    if (w->io->fdatasync(w->io, s->fd))
        return sx_err_errno(e, errno, "fdatasync %s/%s", w->dir, sx_wal_name(name, s->slot));
    return 0;
}

static int read_records(struct sx_wal *w, struct sx_wal_segment *s, const struct sx_buf *b,
                        struct sx_err *e)
{
    uint32_t at = SX_WAL_BLOCK, batch = at;

    for (;;) {
        struct sx_wal_record r;

        if (at >= w->segment_bytes ||
            !sx_wal_record_decode(&r, b->data + at, w->segment_bytes - at, at) ||
            r.generation != (uint32_t)s->generation)
            break;
        if (r.type == SX_WAL_END && s != w->segment[w->n_segments - 1])
            return 0;
        if (r.type == SX_WAL_END) /* the crash came before the next segment: go on in its place */
            break;
        s->written = at + sx_wal_record_size(r.len);
        if (take_entry(w, s, &r, at, e))
            return -1;
        batch = r.batch;
        at = s->written;
    }
    return end_of_log(w, s, b, at, e) || make_durable(w, s, b, batch, e) ? -1 : 0;
}

/* Goes through all segments, oldest first. */
int sx_wal_recover(struct sx_wal *w, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (find_segments(w, e))
        return -1;
    for (unsigned i = 0; i < w->n_segments; i++)
        if (read_segment(w, w->segment[i], &b, e) || read_records(w, w->segment[i], &b, e))
            return -1;
    return 0;
}
