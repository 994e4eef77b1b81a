/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading records from packs.  A large record is read past the page cache at first: most blocks are
 * read once in a long time (a restore, a scrub), and would push out the index for nothing.  One that
 * this process reads again soon is read through the cache, and stays there.  Small ones always are:
 * their neighbours are wanted next, and the kernel reads ahead.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"

int sx_pack_open_read(struct sx_device *d, uint64_t number, int *fd, uint64_t *size,
                      struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, number);
    int f = d->io->open(d->io, path, O_RDONLY, 0);
    struct stat st;

    if (f < 0)
        return sx_err_errno(e, errno, "open %s", path);
    if (size && d->io->fstat(d->io, f, &st)) {
        sx_err_errno(e, errno, "fstat of %s", path);
        d->io->close(d->io, f);
        return -1;
    }
    if (size)
        *size = (uint64_t)st.st_size;
    *fd = f;
    return 0;
}

static void slot_close(struct sx_device *d, struct sx_fd_slot *f)
{
    if (f->pack)
        d->io->close(d->io, f->fd);
    if (f->pack && f->direct >= 0)
        d->io->close(d->io, f->direct);
    *f = (struct sx_fd_slot){ 0 };
}

static int slot_of(struct sx_device *d, uint64_t number, struct sx_fd_slot **slot, struct sx_err *e)
{
    struct sx_fd_slot *old = &d->fds[0];
    int fd;

    for (unsigned i = 0; i < SX_FD_CACHE; i++) {
        struct sx_fd_slot *f = &d->fds[i];

        if (f->pack == number) {
            f->used = ++d->tick;
            *slot = f;
            return 0;
        }
        if (f->used < old->used)
            old = f;
    }
    if (sx_pack_open_read(d, number, &fd, NULL, e))
        return -1;
    slot_close(d, old);
    *old = (struct sx_fd_slot){ number, fd, sx_direct_open(d, number, O_RDONLY), ++d->tick };
    *slot = old;
    return 0;
}

void sx_pack_forget(struct sx_device *d, uint64_t number)
{
    for (unsigned i = 0; i < SX_FD_CACHE; i++)
        if (!number || d->fds[i].pack == number)
            slot_close(d, &d->fds[i]);
}

bool sx_pack_holds(struct sx_device *d, const struct sx_row *row)
{
    struct sx_fd_slot *f;
    struct stat st;

    if (row->pack == 0 || row->len <= SX_RECORD_HEADER || row->at < SX_PACK_HEADER ||
        slot_of(d, row->pack, &f, NULL) || d->io->fstat(d->io, f->fd, &st))
        return false;
    return row->len <= (uint64_t)st.st_size && row->at <= (uint64_t)st.st_size - row->len;
}

/* Was this place read lately?  Remembers it, in the place of another. */
static bool seen(struct sx_device *d, const struct sx_row *row)
{
    uint64_t key = row->pack << 32 ^ row->at;
    uint64_t *slot = &d->seen[key * 0x9e3779b97f4a7c15u >> (64 - SX_SEEN_BITS)];
    bool hit = *slot == key;

    *slot = key;
    return hit;
}

/* false: it was not possible, and is to be read the usual way. */
static bool read_direct(struct sx_device *d, const struct sx_fd_slot *f, const struct sx_row *row,
                        uint8_t *to)
{
    size_t before = row->at % SX_DIRECT_EDGE;
    size_t n = (before + row->len + SX_DIRECT_EDGE - 1) / SX_DIRECT_EDGE * SX_DIRECT_EDGE;
    ssize_t r;

    if (f->direct < 0 || row->len < SX_DIRECT_MIN || n > SX_DIRECT_BUFFER || seen(d, row))
        return false;
    r = d->io->pread(d->io, f->direct, d->direct_buffer, n, (off_t)(row->at - before));
    if (r < (ssize_t)(before + row->len))
        return false;
    memcpy(to, d->direct_buffer + before, row->len);
    return true;
}

int sx_pack_read(struct sx_device *d, const struct sx_row *row, struct sx_buf *out,
                 struct sx_err *e)
{
    struct sx_fd_slot *f;
    uint8_t *to;

    if (row->pack == 0)
        return sx_err_set(e, SX_ECORRUPT, "its pack is lost");
    if (row->len <= SX_RECORD_HEADER || row->len > SX_RECORD_MAX || row->at < SX_PACK_HEADER ||
        row->at > INT64_MAX - SX_RECORD_MAX)
        return sx_err_set(e, SX_ECORRUPT, "index row is damaged: %u bytes at %llu", row->len,
                          (unsigned long long)row->at);
    if (slot_of(d, row->pack, &f, e))
        return sx_err_wrap(e, "pack %llu", (unsigned long long)row->pack);
    to = sx_buf_reserve(out, row->len);
    if (!read_direct(d, f, row, to) &&
        sx_io_pread_all(d->io, f->fd, to, row->len, row->at, e)) {
        if (e && e->code == SX_EIO) /* a place that the disk does not give back is damaged */
            e->code = SX_ECORRUPT;
        return sx_err_wrap(e, "pack %llu", (unsigned long long)row->pack);
    }
    return 0;
}

int sx_pack_read_record(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                        struct sx_buf *out, struct sx_err *e)
{
    struct sx_record r;
    size_t used;

    if (sx_pack_read(d, row, out, e))
        return -1;
    if (sx_record_parse(out->data + out->len, row->len, &r, &used, NULL) || used != row->len ||
        sx_id_cmp(&r.id, id) != 0)
        return sx_err_set(e, SX_ECORRUPT, "pack %llu: no good record of this block at %llu",
                          (unsigned long long)row->pack, (unsigned long long)row->at);
    sx_buf_extend(out, row->len);
    return 0;
}
