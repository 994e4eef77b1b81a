/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The posix table and the few compound operations on files.  The only place that knows
 * in which order a file, its name and its directory are synced.
 */
#include "libsx/io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libsx/base/mem.h"

static int posix_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    return open(path, flags | O_CLOEXEC, mode);
}

static int posix_close(const struct sx_io *io, int fd)
{
    return close(fd);
}

static ssize_t posix_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    return pread(fd, p, n, at);
}

static ssize_t posix_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                             off_t at)
{
    return pwritev(fd, iov, count, at);
}

static int posix_fdatasync(const struct sx_io *io, int fd)
{
    return fdatasync(fd);
}

static int posix_fsync(const struct sx_io *io, int fd)
{
    return fsync(fd);
}

static int posix_ftruncate(const struct sx_io *io, int fd, off_t size)
{
    return ftruncate(fd, size);
}

static int posix_fallocate_(const struct sx_io *io, int fd, off_t at, off_t n)
{
    int r = posix_fallocate(fd, at, n);

    errno = r;
    return r ? -1 : 0;
}

static int posix_rename(const struct sx_io *io, const char *from, const char *to)
{
    return rename(from, to);
}

static int posix_unlink(const struct sx_io *io, const char *path)
{
    return unlink(path);
}

static int posix_fstat(const struct sx_io *io, int fd, struct stat *st)
{
    return fstat(fd, st);
}

const struct sx_io sx_io_posix = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwritev = posix_pwritev,
    .fdatasync = posix_fdatasync,
    .fsync = posix_fsync,
    .ftruncate = posix_ftruncate,
    .fallocate = posix_fallocate_,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .fstat = posix_fstat,
};

int sx_io_pwrite_all(const struct sx_io *io, int fd, const void *p, size_t n, uint64_t at,
                     struct sx_err *e)
{
    const uint8_t *b = p;

    while (n) {
        struct iovec v = { (void *)b, n };
        ssize_t r = io->pwritev(io, fd, &v, 1, (off_t)at);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return sx_err_errno(e, r ? errno : ENOSPC, "write %zu bytes at %llu", n,
                                (unsigned long long)at);
        b += r;
        n -= (size_t)r;
        at += (uint64_t)r;
    }
    return 0;
}

int sx_io_pread_all(const struct sx_io *io, int fd, void *p, size_t n, uint64_t at,
                    struct sx_err *e)
{
    uint8_t *b = p;

    while (n) {
        ssize_t r = io->pread(io, fd, b, n, (off_t)at);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return sx_err_errno(e, errno, "read %zu bytes at %llu", n, (unsigned long long)at);
        if (r == 0)
            return sx_err_set(e, SX_ECORRUPT, "file is too short: %zu bytes wanted at %llu", n,
                              (unsigned long long)at);
        b += r;
        n -= (size_t)r;
        at += (uint64_t)r;
    }
    return 0;
}

int sx_io_sync_dir(const struct sx_io *io, const char *dir, struct sx_err *e)
{
    int fd = io->open(io, dir, O_RDONLY | O_DIRECTORY, 0), r = 0;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", dir);
    if (io->fsync(io, fd))
        r = sx_err_errno(e, errno, "fsync %s", dir);
    io->close(io, fd);
    return r;
}

static int write_synced(const struct sx_io *io, const char *path, const void *p, size_t n,
                        mode_t mode, struct sx_err *e)
{
    int fd = io->open(io, path, O_WRONLY | O_CREAT | O_TRUNC, mode), r;

    if (fd < 0)
        return sx_err_errno(e, errno, "create %s", path);
    r = sx_io_pwrite_all(io, fd, p, n, 0, e);
    if (!r && io->fsync(io, fd))
        r = sx_err_errno(e, errno, "fsync");
    io->close(io, fd);
    return r ? sx_err_wrap(e, "%s", path) : 0;
}

int sx_io_replace(const struct sx_io *io, const char *path, const void *p, size_t n, mode_t mode,
                  struct sx_err *e)
{
    SX_AUTO_FREE char *tmp = sx_asprintf("%s.tmp", path);
    SX_AUTO_FREE char *dir = sx_strdup(path);
    char *slash = strrchr(dir, '/');

    if (write_synced(io, tmp, p, n, mode, e)) {
        io->unlink(io, tmp);
        return -1;
    }
    if (io->rename(io, tmp, path)) {
        sx_err_errno(e, errno, "rename %s to %s", tmp, path);
        io->unlink(io, tmp);
        return -1;
    }
    if (slash)
        *(slash == dir ? slash + 1 : slash) = '\0';
    return sx_io_sync_dir(io, slash ? dir : ".", e);
}

int sx_io_read_file(const struct sx_io *io, const char *path, size_t max, struct sx_buf *out,
                    struct sx_err *e)
{
    int fd = io->open(io, path, O_RDONLY, 0), r = 0;
    off_t at = 0;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    for (;;) {
        uint8_t *p = sx_buf_reserve(out, 65536);
        ssize_t got = io->pread(io, fd, p, 65536, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            r = sx_err_errno(e, errno, "read %s", path);
        if (got <= 0)
            break;
        at += got;
        if ((size_t)at > max) {
            r = sx_err_set(e, SX_ETOOBIG, "%s is larger than %zu bytes", path, max);
            break;
        }
        out->len += (size_t)got;
    }
    io->close(io, fd);
    if (!r)
        sx_buf_cstr(out);
    return r;
}

/* Keeps errno. */
static bool is_dir(const char *path)
{
    struct stat st;
    int saved = errno;
    bool is = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

    errno = saved;
    return is;
}

int sx_io_mkdirs(const char *path, struct sx_err *e)
{
    SX_AUTO_FREE char *p = sx_strdup(path);

    for (char *s = p + 1;; s++) {
        char c = *s;

        if (c != '/' && c)
            continue;
        *s = '\0';
        if (mkdir(p, 0750) && (errno != EEXIST || !is_dir(p)))
            return sx_err_errno(e, errno, "create directory %s", p);
        *s = c;
        if (!c)
            return 0;
    }
}
