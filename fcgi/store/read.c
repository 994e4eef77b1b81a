/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading records from packs.  A large one that is read for the first time goes past the page cache
 * (O_DIRECT), as it does when it is written: through it the same costs more CPU, and what is read once
 * would push out what is read often (docs/performance.md, section 3).  From the second time on, in
 * whatever process, it is read through the cache, and stays there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"

int sx_pack_open_read(struct sx_device *d, uint64_t number, int *fd, uint64_t *size,
                      struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, number);
    int f = d->io->open(d->io, path, O_RDONLY, 0);

    if (f < 0)
        return sx_err_errno(e, errno, "open %s", path);
    if (size && sx_pack_size(d, f, size, e)) {
        d->io->close(d->io, f);
        return sx_err_wrap(e, "%s", path);
    }
    *fd = f;
    return 0;
}

static void slot_close(struct sx_device *d, struct sx_fd_slot *f)
{
    if (f->pack) {
        d->io->close(d->io, f->fd);
        if (f->direct >= 0)
            d->io->close(d->io, f->direct);
    }
    *f = (struct sx_fd_slot){ 0 };
}

/* The slot of the pack, opened; NULL on failure. */
static struct sx_fd_slot *slot_of(struct sx_device *d, uint64_t number, struct sx_err *e)
{
    struct sx_fd_slot *old = &d->fds[0];
    int fd;

    for (unsigned i = 0; i < SX_FD_CACHE; i++) {
        struct sx_fd_slot *f = &d->fds[i];

        if (f->pack == number) {
            f->used = ++d->tick;
            return f;
        }
        if (f->used < old->used)
            old = f;
    }
    if (sx_pack_open_read(d, number, &fd, NULL, e))
        return NULL;
    slot_close(d, old);
    *old = (struct sx_fd_slot){ number, fd, -1, ++d->tick };
    return old;
}

void sx_pack_forget(struct sx_device *d, uint64_t number)
{
    for (unsigned i = 0; i < SX_FD_CACHE; i++)
        if (!number || d->fds[i].pack == number)
            slot_close(d, &d->fds[i]);
}

bool sx_pack_holds(struct sx_device *d, const struct sx_row *row)
{
    const struct sx_fd_slot *f;
    uint64_t size;

    if (row->pack == 0 || row->len <= SX_RECORD_HEADER || row->at < SX_PACK_HEADER)
        return false;
    f = slot_of(d, row->pack, NULL);
    if (!f || sx_pack_size(d, f->fd, &size, NULL))
        return false;
    return row->len <= size && row->at <= size - row->len;
}

/* Fills the buffer from the record on: 1 if it holds that, 0 if it cannot, -1 on failure.  A record that
 * begins where the last one ended is likely to be followed by the next: of a disk, one large piece takes
 * little longer than a small one. */
static int fill(struct sx_device *d, struct sx_fd_slot *f, const struct sx_row *row,
                struct sx_err *e)
{
    uint64_t from = row->at / SX_DIRECT_EDGE * SX_DIRECT_EDGE, end = row->at + row->len;
    uint64_t n = (end - from + SX_DIRECT_EDGE - 1) / SX_DIRECT_EDGE * SX_DIRECT_EDGE;
    bool more = n < SX_DIRECT_AHEAD && d->ahead.pack == f->pack && d->ahead.last == row->at;
    ssize_t r;

    if (n > SX_DIRECT_BUFFER)
        return 0;
    if (f->direct < 0)
        f->direct = sx_pack_open_direct(d, f->pack, O_RDONLY);
    if (f->direct < 0)
        return 0;
    d->ahead.n = 0;
    r = d->io->pread(d->io, f->direct, d->direct_buffer, more ? SX_DIRECT_AHEAD : n, (off_t)from);
    if (r < 0 && more) /* perhaps not the record, but what lies behind it */
        r = d->io->pread(d->io, f->direct, d->direct_buffer, n, (off_t)from);
    if (r < 0 && errno != EINVAL && errno != EINTR)
        return sx_err_errno(e, errno, "read at %llu", (unsigned long long)from);
    d->undirect = d->undirect || (r < 0 && errno == EINVAL);
    if (r < 0 || from + (uint64_t)r < end)
        return 0;
    d->ahead = (struct sx_ahead){ f->pack, from, (uint64_t)r, 0 };
    return 1;
}

static bool held(const struct sx_ahead *a, const struct sx_row *row)
{
    return a->pack == row->pack && row->at >= a->from && row->at + row->len <= a->from + a->n;
}

/* Reads past the page cache: 1 if it has, 0 if that cannot be, or not whole, -1 on failure. */
static int read_direct(struct sx_device *d, struct sx_fd_slot *f, const struct sx_row *row,
                       uint8_t *to, struct sx_err *e)
{
    int r = d->undirect ? 0 : held(&d->ahead, row) ? 1 : fill(d, f, row, e);

    if (r == 1) {
        memcpy(to, d->direct_buffer + (row->at - d->ahead.from), row->len);
        d->ahead.last = row->at + row->len;
    }
    return r;
}

static int read_from(struct sx_device *d, struct sx_fd_slot *f, const struct sx_row *row, bool first,
                     uint8_t *to, struct sx_err *e)
{
    int r = first ? read_direct(d, f, row, to, e) : 0;

    if (r == 0)
        r = sx_io_pread_all(d->io, f->fd, to, row->len, row->at, e);
    if (r < 0 && e && e->code == SX_EIO) /* a place that the disk does not give back is damaged */
        e->code = SX_ECORRUPT;
    return r < 0 ? -1 : 0;
}

/* `first`: it may be read only this once. */
static int read_bytes(struct sx_device *d, const struct sx_row *row, bool first, struct sx_buf *out,
                      struct sx_err *e)
{
    struct sx_fd_slot *f;

    if (row->pack == 0)
        return sx_err_set(e, SX_ECORRUPT, "its pack is lost");
    if (row->len <= SX_RECORD_HEADER || row->len > SX_RECORD_MAX || row->at < SX_PACK_HEADER ||
        row->at > INT64_MAX - SX_RECORD_MAX)
        return sx_err_set(e, SX_ECORRUPT, "index row is damaged: %u bytes at %llu", row->len,
                          (unsigned long long)row->at);
    f = slot_of(d, row->pack, e);
    if (!f || read_from(d, f, row, first, sx_buf_reserve(out, row->len), e))
        return sx_err_wrap(e, "pack %llu", (unsigned long long)row->pack);
    return 0;
}

int sx_pack_read(struct sx_device *d, const struct sx_row *row, struct sx_buf *out,
                 struct sx_err *e)
{
    return read_bytes(d, row, false, out, e);
}

static bool is_record(const struct sx_id *id, const struct sx_row *row, const struct sx_buf *out)
{
    struct sx_record r;
    size_t used;

    return sx_record_parse(out->data + out->len, row->len, &r, &used, NULL) == 0 &&
           used == row->len && sx_id_cmp(&r.id, id) == 0;
}

int sx_pack_read_record(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                        struct sx_buf *out, struct sx_err *e)
{
    bool first = row->len >= SX_DIRECT_MIN && d->o.read && !sx_doorkeeper_seen(d->o.read, id);
    bool old = first && held(&d->ahead, row); /* perhaps from before it was written */
    bool good;

    if (read_bytes(d, row, first, out, e))
        return -1;
    good = is_record(id, row, out);
    if (!good && old) {
        d->ahead.n = 0;
        if (read_bytes(d, row, first, out, e))
            return -1;
        good = is_record(id, row, out);
    }
    if (!good)
        return sx_err_set(e, SX_ECORRUPT, "pack %llu: no good record of this block at %llu",
                          (unsigned long long)row->pack, (unsigned long long)row->at);
    sx_buf_extend(out, row->len);
    return 0;
}
