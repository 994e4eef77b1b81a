/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pack files: packs/NNNNNNNNNN.pack, a header of 64 bytes and a run of records (docs/formats.md
 * section 10).
 *
 * Who may append: the process that holds the lock of the file (an open-file-description lock, so it
 * goes when the process dies).  It is held from sx_pack_claim() to sx_pack_release(), one batch
 * long, so processes hand open packs on, and any other may seal or compact a pack between two
 * batches.
 *
 *   state   lock   size of the file and the table's `size`
 *   open    free   equal.  If not, its last writer died: the claimer seals it and takes another
 *   open    held   file ≥ table; in between lies the batch being written
 *   sealed  any    equal; compaction takes the lock
 *   bad     any    file ≥ table; behind the table's size nothing is to be trusted
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

#define PACK_MAGIC "SXP1"
#define PACK_VERSION 1
#define NEW_TRIES 1000
#define IOV_MAX_ONCE 64

char *sx_pack_path(const struct sx_device *d, uint64_t number)
{
    return sx_asprintf("%s/packs/%010llu.pack", d->dir, (unsigned long long)number);
}

/* ---- header ---- */

void sx_pack_header(uint8_t h[SX_PACK_HEADER], const struct sx_device *d, uint64_t number)
{
    memset(h, 0, SX_PACK_HEADER);
    memcpy(h, PACK_MAGIC, 4);
    sx_put_u32(h + 4, PACK_VERSION);
    sx_put_u64(h + 8, number);
    memcpy(h + 16, d->o.cluster, 16);
    sx_put_u64(h + 32, d->o.node);
    sx_put_u64(h + 40, sx_wall_ms());
    sx_put_u32(h + 60, sx_crc32c(0, h, 60));
}

int sx_pack_header_check(const uint8_t h[SX_PACK_HEADER], const struct sx_device *d,
                         uint64_t number, struct sx_err *e)
{
    if (memcmp(h, PACK_MAGIC, 4) != 0 || sx_get_u32(h + 60) != sx_crc32c(0, h, 60))
        return sx_err_set(e, SX_ECORRUPT, "header is damaged");
    if (sx_get_u32(h + 4) != PACK_VERSION)
        return sx_err_set(e, SX_EVERSION, "version %u is not known", sx_get_u32(h + 4));
    if (sx_get_u64(h + 8) != number)
        return sx_err_set(e, SX_ECORRUPT, "header says pack %llu",
                          (unsigned long long)sx_get_u64(h + 8));
    if (memcmp(h + 16, d->o.cluster, 16) != 0 || sx_get_u64(h + 32) != d->o.node)
        return sx_err_set(e, SX_ECORRUPT, "header names another cluster or node");
    return 0;
}

/* ---- locks ---- */

static bool try_lock(int fd)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static int file_size(struct sx_device *d, int fd, uint64_t *size, struct sx_err *e)
{
    struct stat st;

    if (d->io->fstat(d->io, fd, &st))
        return sx_err_errno(e, errno, "fstat");
    *size = (uint64_t)st.st_size;
    return 0;
}

int sx_pack_try(struct sx_device *d, uint64_t number, struct sx_claim *c, bool *got,
                struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, number);
    int fd = d->io->open(d->io, path, O_RDWR, 0);
    uint64_t size;

    *got = false;
    if (fd < 0)
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "open %s", path);
    if (!try_lock(fd)) {
        d->io->close(d->io, fd);
        return 0;
    }
    if (file_size(d, fd, &size, e)) {
        d->io->close(d->io, fd);
        return sx_err_wrap(e, "%s", path);
    }
    *c = (struct sx_claim){ number, fd, size };
    *got = true;
    return 0;
}

void sx_pack_release(struct sx_device *d, struct sx_claim *c)
{
    if (c->number)
        d->io->close(d->io, c->fd); /* the last descriptor of this lock */
    c->number = 0;
}

/* ---- claiming ---- */

/* A pack that was left open: usable, or sealed here when it is full or its end is not where the
 * table says (its writer died, and what lies behind may never have been synced). */
static int take_open(struct sx_device *d, uint64_t number, uint64_t need, struct sx_claim *c,
                     bool *got, struct sx_err *e)
{
    struct sx_pack_row row;
    bool found, usable;
    int r;

    if (sx_pack_try(d, number, c, got, e))
        return -1;
    if (!*got)
        return 0;
    r = sx_packs_get(&d->packs, number, &row, &found, e);
    usable = !r && found && row.state == SX_PACK_OPEN;
    if (usable && (row.size != c->size || c->size < SX_PACK_HEADER ||
                   (c->size > SX_PACK_HEADER && c->size + need > d->o.pack_max))) {
        if (row.size != c->size)
            sx_warn("pack %llu has %llu bytes, its index reaches to %llu: sealed",
                    (unsigned long long)number, (unsigned long long)c->size,
                    (unsigned long long)row.size);
        r = sx_packs_set(&d->packs, number, SX_PACK_SEALED, c->size, false, e);
        usable = false;
    }
    if (!usable) {
        sx_pack_release(d, c);
        *got = false;
    }
    return r;
}

/* The new file is locked, written and synced before the table says that it is open. */
static int fill_new(struct sx_device *d, struct sx_claim *c, bool *ours, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_asprintf("%s/packs", d->dir);
    uint8_t h[SX_PACK_HEADER];
    struct sx_pack_row row;

    if (sx_packs_get(&d->packs, c->number, &row, ours, e) || !*ours)
        return *ours ? -1 : 0;
    sx_pack_header(h, d, c->number);
    if (sx_io_pwrite_all(d->io, c->fd, h, sizeof h, 0, e))
        return -1;
    if (d->io->fsync(d->io, c->fd))
        return sx_err_errno(e, errno, "fsync");
    c->size = SX_PACK_HEADER;
    if (sx_io_sync_dir(d->io, dir, e))
        return -1;
    return sx_packs_set(&d->packs, c->number, SX_PACK_OPEN, c->size, false, e);
}

static int make_pack(struct sx_device *d, struct sx_claim *c, struct sx_err *e)
{
    for (int i = 0; i < NEW_TRIES; i++) {
        SX_AUTO_FREE char *path = NULL;
        uint64_t number;
        bool ours = false;
        int fd, r = 0;

        if (sx_packs_new(&d->packs, &number, e))
            return -1;
        path = sx_pack_path(d, number);
        fd = d->io->open(d->io, path, O_RDWR | O_CREAT | O_EXCL, 0640);
        *c = (struct sx_claim){ number, fd, 0 };
        if (c->fd < 0) {
            c->number = 0;
            if (errno == EEXIST) /* the table lost its newest rows in a crash */
                continue;
            sx_err_errno(e, errno, "create %s", path);
            if (sx_packs_drop(&d->packs, number, NULL))
                sx_warn("pack %llu: row without a file is left in the table",
                        (unsigned long long)number);
            return -1;
        }
        if (try_lock(c->fd))
            r = fill_new(d, c, &ours, e);
        if (!r && ours)
            return 0;
        d->io->unlink(d->io, path);
        if (sx_packs_drop(&d->packs, number, r ? NULL : e))
            r = -1;
        sx_pack_release(d, c);
        if (r)
            return sx_err_wrap(e, "new pack %llu", (unsigned long long)number);
    }
    return sx_err_set(e, SX_EIO, "no number for a new pack after %d tries", NEW_TRIES);
}

int sx_pack_claim(struct sx_device *d, uint64_t need, struct sx_claim *c, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_pack_row *rows = NULL;
    size_t n;
    bool got = false;

    if (d->last_pack && take_open(d, d->last_pack, need, c, &got, e))
        return -1;
    if (!got && sx_packs_list(&d->packs, true, &rows, &n, e))
        return -1;
    for (size_t i = 0; !got && i < n; i++)
        if (rows[i].number != d->last_pack && take_open(d, rows[i].number, need, c, &got, e))
            return -1;
    if (!got && make_pack(d, c, e))
        return -1;
    d->last_pack = c->number;
    return 0;
}

/* ---- appending ---- */

static int write_pieces(struct sx_device *d, struct sx_claim *c, const struct sx_piece *pieces,
                        size_t n, uint64_t *end, struct sx_err *e)
{
    uint64_t at = c->size;

    for (size_t i = 0; i < n;) {
        struct iovec v[IOV_MAX_ONCE];
        int count = 0;
        size_t want = 0;
        ssize_t r;

        for (; count < IOV_MAX_ONCE && i + (size_t)count < n; count++) {
            v[count] = (struct iovec){ (void *)pieces[i + (size_t)count].p,
                                       pieces[i + (size_t)count].len };
            want += v[count].iov_len;
        }
        r = d->io->pwritev(d->io, c->fd, v, count, (off_t)at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return sx_err_errno(e, errno, "write %zu bytes at %llu", want, (unsigned long long)at);
        if ((size_t)r < want) { /* finish the rest of these pieces one by one */
            uint64_t done = (uint64_t)r, from = at;

            for (int k = 0; k < count; from += v[k++].iov_len) {
                size_t have = done < v[k].iov_len ? (size_t)done : v[k].iov_len;

                done -= have;
                if (have < v[k].iov_len &&
                    sx_io_pwrite_all(d->io, c->fd, (char *)v[k].iov_base + have,
                                     v[k].iov_len - have, from + have, e))
                    return -1;
            }
        }
        at += want;
        i += (size_t)count;
    }
    *end = at;
    return 0;
}

/* The kernel may have dropped the pages whose write failed and call them clean, so nothing behind
 * the old end is ever looked at again: the mark says so durably, and the bytes are cut off if that
 * works. */
static void abandon(struct sx_device *d, struct sx_claim *c, const struct sx_err *why)
{
    struct sx_err e = SX_ERR_INIT;

    sx_error("pack %llu is never written again: %s", (unsigned long long)c->number, why->msg);
    if (d->io->ftruncate(d->io, c->fd, (off_t)c->size))
        sx_error("pack %llu: the failed batch could not be cut off", (unsigned long long)c->number);
    if (sx_packs_set(&d->packs, c->number, SX_PACK_BAD, c->size, true, &e))
        sx_error("pack %llu could not be marked bad: %s", (unsigned long long)c->number, e.msg);
    d->last_pack = 0;
}

int sx_pack_append(struct sx_device *d, struct sx_claim *c, const struct sx_piece *pieces, size_t n,
                   struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    uint64_t end = 0;
    int r = write_pieces(d, c, pieces, n, &end, &why);

    if (!r && d->io->fdatasync(d->io, c->fd))
        r = sx_err_errno(&why, errno, "fdatasync");
    if (r) {
        abandon(d, c, &why);
        sx_err_wrap(&why, "append to pack %llu", (unsigned long long)c->number);
        if (e)
            sx_err_copy(e, &why);
        return -1;
    }
    c->size = end;
    return 0;
}

int sx_pack_advance(struct sx_device *d, struct sx_claim *c, struct sx_err *e)
{
    return sx_packs_set(&d->packs, c->number, SX_PACK_OPEN, c->size, false, e);
}

/* ---- reading ---- */

int sx_pack_open_read(struct sx_device *d, uint64_t number, int *fd, uint64_t *size,
                      struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, number);
    int f = d->io->open(d->io, path, O_RDONLY, 0);

    if (f < 0)
        return sx_err_errno(e, errno, "open %s", path);
    if (size && file_size(d, f, size, e)) {
        d->io->close(d->io, f);
        return sx_err_wrap(e, "%s", path);
    }
    *fd = f;
    return 0;
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
    if (old->pack)
        d->io->close(d->io, old->fd);
    *old = (struct sx_fd_slot){ number, *fd, ++d->tick };
    return 0;
}

void sx_pack_forget(struct sx_device *d, uint64_t number)
{
    for (unsigned i = 0; i < SX_FD_CACHE; i++)
        if (d->fds[i].pack == number) {
            d->io->close(d->io, d->fds[i].fd);
            d->fds[i] = (struct sx_fd_slot){ 0 };
        }
}

bool sx_pack_holds(struct sx_device *d, const struct sx_row *row)
{
    uint64_t size;
    int fd = -1;

    if (row->pack == 0 || row->len <= SX_RECORD_HEADER || row->at < SX_PACK_HEADER ||
        cached_fd(d, row->pack, &fd, NULL) || file_size(d, fd, &size, NULL))
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
