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

char *sx_pack_path(const struct sx_device *d, uint64_t number)
{
    return sx_asprintf("%s/packs/%010llu.pack", d->dir, (unsigned long long)number);
}

int sx_pack_open_direct(struct sx_device *d, uint64_t number, int flags)
{
    SX_AUTO_FREE char *path = NULL;
    int fd;

    if (d->undirect)
        return -1;
    if (!d->direct_buffer &&
        posix_memalign((void **)&d->direct_buffer, SX_DIRECT_EDGE, SX_DIRECT_BUFFER)) {
        d->direct_buffer = NULL;
        return -1;
    }
    path = sx_pack_path(d, number);
    fd = d->io->open(d->io, path, flags | O_DIRECT, 0);
    d->undirect = fd < 0 && errno == EINVAL;
    return fd;
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

int sx_pack_size(struct sx_device *d, int fd, uint64_t *size, struct sx_err *e)
{
    struct stat st;

    if (d->io->fstat(d->io, fd, &st))
        return sx_err_errno(e, errno, "fstat");
    *size = (uint64_t)st.st_size;
    return 0;
}

bool sx_pack_missing(const struct sx_device *d, uint64_t number)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, number);

    return access(path, F_OK) && errno == ENOENT;
}

bool sx_pack_unlinked(struct sx_device *d, int fd)
{
    struct stat st;

    return d->io->fstat(d->io, fd, &st) == 0 && st.st_nlink == 0;
}

int sx_pack_try(struct sx_device *d, uint64_t number, struct sx_claim *c, bool *got,
                struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_pack_path(d, number);
    int fd = d->io->open(d->io, path, O_RDWR, 0);
    uint64_t size = 0;

    *got = false;
    if (fd < 0)
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "open %s", path);
    if (!try_lock(fd) || sx_pack_unlinked(d, fd)) {
        d->io->close(d->io, fd);
        return 0;
    }
    if (sx_pack_size(d, fd, &size, e)) {
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

int sx_pack_advance(struct sx_device *d, struct sx_claim *c, struct sx_err *e)
{
    return sx_packs_set(&d->packs, c->number, SX_PACK_OPEN, c->size, false, e);
}
