/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading records from packs, through the page cache: what is read again soon stays there.
 */
#include <errno.h>
#include <fcntl.h>

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
    if (f->pack)
        d->io->close(d->io, f->fd);
    *f = (struct sx_fd_slot){ 0 };
}

static int cached_fd(struct sx_device *d, uint64_t number, int *fd, struct sx_err *e)
{
    struct sx_fd_slot *old = &d->fds[0];

    for (unsigned i = 0; i < SX_FD_CACHE; i++) {
        struct sx_fd_slot *f = &d->fds[i];

        if (f->pack == number) {
            f->used = ++d->tick;
            *fd = f->fd;
            return 0;
        }
        if (f->used < old->used)
            old = f;
    }
    if (sx_pack_open_read(d, number, fd, NULL, e))
        return -1;
    slot_close(d, old);
    *old = (struct sx_fd_slot){ number, *fd, ++d->tick };
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
    uint64_t size;
    int fd = -1;

    if (row->pack == 0 || row->len <= SX_RECORD_HEADER || row->at < SX_PACK_HEADER ||
        cached_fd(d, row->pack, &fd, NULL) || sx_pack_size(d, fd, &size, NULL))
        return false;
    return row->len <= size && row->at <= size - row->len;
}

int sx_pack_read(struct sx_device *d, const struct sx_row *row, struct sx_buf *out,
                 struct sx_err *e)
{
    int fd = -1;

    if (row->pack == 0)
        return sx_err_set(e, SX_ECORRUPT, "its pack is lost");
    if (row->len <= SX_RECORD_HEADER || row->len > SX_RECORD_MAX || row->at < SX_PACK_HEADER ||
        row->at > INT64_MAX - SX_RECORD_MAX)
        return sx_err_set(e, SX_ECORRUPT, "index row is damaged: %u bytes at %llu", row->len,
                          (unsigned long long)row->at);
    if (cached_fd(d, row->pack, &fd, e))
        return sx_err_wrap(e, "pack %llu", (unsigned long long)row->pack);
    if (sx_io_pread_all(d->io, fd, sx_buf_reserve(out, row->len), row->len, row->at, e)) {
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
