/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Appending to a pack.  A batch of large records goes past the page cache (O_DIRECT): through it
 * the same costs several times the CPU and pushes out what reads and the index need
 * (docs/performance.md, section 3).  Small records are likely to be read together and soon, and
 * stay in the cache.
 *
 *     size                                                     end
 *      |  cached  |  direct: whole pages, from the buffer  | cached |
 *            a page's edge                           a page's edge
 *
 * So the file has its exact size, a page is written one way or the other, never both at the same
 * time, and what a crash can leave is the same as without: any part of the batch.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define IOV_MAX_ONCE 64
#define EDGE SX_DIRECT_EDGE

/* What is still to be written of a list of pieces. */
struct rest {
    const struct sx_piece *piece;
    uint32_t skip; /* bytes of the first one that are written */
};

/* The next part of the rest that lies in one place, at most n bytes. */
static struct sx_piece take(struct rest *r, uint64_t n)
{
    const uint8_t *p = (const uint8_t *)r->piece->p + r->skip;
    uint32_t left = r->piece->len - r->skip;

    if (left > n) {
        r->skip += (uint32_t)n;
        return (struct sx_piece){ p, (uint32_t)n };
    }
    r->piece++;
    r->skip = 0;
    return (struct sx_piece){ p, left };
}

/* One call: takes what was written off the rest, and moves *at.  Returns 0, or errno. */
static int write_some(struct sx_device *d, int fd, const struct iovec *v, int count,
                      struct rest *rest, uint64_t *at)
{
    ssize_t r;

    do
        r = d->io->pwritev(d->io, fd, v, count, (off_t)*at);
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        return r ? errno : ENOSPC;
    *at += (uint64_t)r;
    while (r > 0)
        r -= (ssize_t)take(rest, (uint64_t)r).len;
    return 0;
}

/* Writes the next n bytes through the page cache. */
static int write_cached(struct sx_device *d, const struct sx_claim *c, struct rest *rest,
                        uint64_t n, uint64_t at, struct sx_err *e)
{
    for (uint64_t end = at + n; at < end;) {
        struct rest ahead = *rest;
        struct iovec v[IOV_MAX_ONCE];
        int count = 0, failed;

        for (uint64_t want = end - at; count < IOV_MAX_ONCE && want > 0; count++) {
            struct sx_piece s = take(&ahead, want);

            v[count] = (struct iovec){ (void *)s.p, s.len };
            want -= s.len;
        }
        failed = write_some(d, c->fd, v, count, rest, &at);
        if (failed)
            return sx_err_errno(e, failed, "write at %llu", (unsigned long long)at);
    }
    return 0;
}

/* The next n bytes in the device's buffer. */
static void gather(struct sx_device *d, struct rest rest, uint64_t n)
{
    for (uint64_t at = 0; at < n;) {
        struct sx_piece s = take(&rest, n - at);

        memcpy(d->direct_buffer + at, s.p, s.len);
        at += s.len;
    }
}

/* Writes the next n bytes, whole pages from a page's edge on.  What cannot go directly (a file
 * system of larger blocks, the rest behind a short write) goes through the page cache. */
static int write_direct(struct sx_device *d, const struct sx_claim *c, struct rest *rest,
                        uint64_t n, uint64_t at, struct sx_err *e)
{
    uint64_t end = at + n;
    int fd = sx_pack_open_direct(d, c->number, O_WRONLY), failed = 0;

    d->ahead.n = 0; /* what was read is overwritten */
    while (fd >= 0 && at < end && at % EDGE == 0 && !failed) {
        struct iovec v = { d->direct_buffer, SX_DIRECT_BUFFER };

        if (end - at < SX_DIRECT_BUFFER)
            v.iov_len = (size_t)(end - at);
        gather(d, *rest, v.iov_len);
        failed = write_some(d, fd, &v, 1, rest, &at);
    }
    if (fd >= 0)
        d->io->close(d->io, fd);
    d->undirect = d->undirect || failed == EINVAL;
    if (failed && failed != EINVAL)
        return sx_err_errno(e, failed, "write at %llu", (unsigned long long)at);
    return write_cached(d, c, rest, end - at, at, e);
}

static int write_large(struct sx_device *d, const struct sx_claim *c, struct rest *rest, uint64_t n,
                       struct sx_err *e)
{
    uint64_t from = c->size, to = c->size + n;
    uint64_t first = (from + EDGE - 1) / EDGE * EDGE;
    uint64_t last = to / EDGE * EDGE;

    return write_cached(d, c, rest, first - from, from, e) ||
                   write_direct(d, c, rest, last - first, first, e) ||
                   write_cached(d, c, rest, to - last, last, e)
               ? -1
               : 0;
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
    struct rest rest = { .piece = pieces };
    uint64_t bytes = 0;
    int r;

    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].len;
    r = bytes / n >= SX_DIRECT_MIN ? write_large(d, c, &rest, bytes, &why)
                                : write_cached(d, c, &rest, bytes, c->size, &why);
    if (!r && d->io->fdatasync(d->io, c->fd))
        r = sx_err_errno(&why, errno, "fdatasync");
    if (r) {
        abandon(d, c, &why);
        sx_err_wrap(&why, "append to pack %llu", (unsigned long long)c->number);
        if (e)
            sx_err_copy(e, &why);
        return -1;
    }
    c->size += bytes;
    return 0;
}
