/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See fault.h and stack.h.
 */
#include "libsx/io/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define FDS 4096 /* descriptors from here on have no path */
#define SYNCS (SX_IO_FDATASYNC | SX_IO_FSYNC)
#define CHANGES                                                                                    \
    (SX_IO_OPEN | SX_IO_PWRITEV | SYNCS | SX_IO_FTRUNCATE | SX_IO_FALLOCATE | SX_IO_RENAME |       \
     SX_IO_UNLINK)

static const struct {
    const char *name;
    unsigned calls;
} calls[] = {
    { "open", SX_IO_OPEN | SX_IO_OPEN_OLD },
    { "pread", SX_IO_PREAD },
    { "pwritev", SX_IO_PWRITEV },
    { "fdatasync", SX_IO_FDATASYNC },
    { "fsync", SX_IO_FSYNC },
    { "ftruncate", SX_IO_FTRUNCATE },
    { "fallocate", SX_IO_FALLOCATE },
    { "rename", SX_IO_RENAME },
    { "unlink", SX_IO_UNLINK },
    { "fstat", SX_IO_FSTAT },
    { "sync", SYNCS },
    { "write", SX_IO_PWRITEV | SYNCS },
    { "change", CHANGES },
    { "any", CHANGES | SX_IO_OPEN_OLD | SX_IO_PREAD | SX_IO_FSTAT },
};

static const struct {
    const char *name;
    enum sx_io_fault_kind kind;
    int err;
} kinds[] = {
    { "EIO", SX_IO_FAULT_ERRNO, EIO },       { "ENOSPC", SX_IO_FAULT_ERRNO, ENOSPC },
    { "EROFS", SX_IO_FAULT_ERRNO, EROFS },   { "EINTR", SX_IO_FAULT_ERRNO, EINTR },
    { "EACCES", SX_IO_FAULT_ERRNO, EACCES }, { "EMFILE", SX_IO_FAULT_ERRNO, EMFILE },
    { "short", SX_IO_FAULT_SHORT, 0 },       { "corrupt", SX_IO_FAULT_CORRUPT, 0 },
    { "lie", SX_IO_FAULT_LIE, 0 },
};

/* ---- the decision ---- */

static int parse_calls(const char *word, struct sx_io_fault *f, struct sx_err *e)
{
    for (size_t i = 0; i < COUNT(calls); i++)
        if (strcmp(calls[i].name, word) == 0) {
            f->calls = calls[i].calls;
            return 0;
        }
    return sx_err_set(e, SX_EINVAL, "'%s' is no call that can fail", word);
}

static int parse_when(const char *word, struct sx_io_fault *f, struct sx_err *e)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);

    f->forever = strcmp(end, "+") == 0;
    if (end == word || n > UINT32_MAX || (*end && !f->forever))
        return sx_err_set(e, SX_EINVAL, "'%s' is no number of a call, like 3 or 3+", word);
    f->at = (unsigned)n;
    return 0;
}

static int parse_what(const char *word, struct sx_io_fault *f, struct sx_err *e)
{
    char *end;

    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i].name, word) == 0) {
            f->kind = kinds[i].kind;
            f->err = kinds[i].err;
            return 0;
        }
    if (strncmp(word, "delay=", 6) == 0) {
        f->kind = SX_IO_FAULT_DELAY;
        f->delay_ms = (unsigned)strtoul(word + 6, &end, 10);
        if (end != word + 6 && *end == '\0')
            return 0;
    }
    return sx_err_set(e, SX_EINVAL, "'%s' is no fault", word);
}

int sx_io_fault_parse(const char *text, struct sx_io_fault *f, struct sx_err *e)
{
    SX_AUTO_FREE char *copy = sx_strdup(text);
    char *at = copy, *call = strsep(&at, ","), *when = strsep(&at, ","), *what = strsep(&at, ",");

    *f = (struct sx_io_fault){ 0 };
    if (!what)
        return sx_err_set(e, SX_EINVAL, "a fault is CALL,WHEN,WHAT[,PATH], not '%s'", text);
    if (parse_calls(call, f, e) || parse_when(when, f, e) || parse_what(what, f, e))
        return -1;
    if (at && strlen(at) >= sizeof f->path)
        return sx_err_set(e, SX_EINVAL, "a path of at most %zu bytes", sizeof f->path - 1);
    if (at)
        strcpy(f->path, at);
    return 0;
}

enum sx_io_fault_kind sx_io_fault_hit(struct sx_io_fault *f, enum sx_io_call call,
                                      const char *path)
{
    if (!(f->calls & (unsigned)call) || (f->path[0] && (!path || !strstr(path, f->path))))
        return SX_IO_FAULT_NONE;
    f->counted++;
    if (f->at == 0 || f->counted < f->at || (f->counted > f->at && !f->forever))
        return SX_IO_FAULT_NONE;
    f->fired++;
    if (f->kind == SX_IO_FAULT_DELAY)
        sx_sleep_ms(f->delay_ms);
    errno = f->err;
    return f->kind;
}

/* ---- the layer ---- */

struct sx_io_fault_layer {
    struct sx_io io;
    struct sx_io_fault fault;
    const struct sx_io *below;
    char *path[FDS]; /* of open descriptors */
};

static struct sx_io_fault_layer *layer_of(const struct sx_io *io)
{
    return io->ctx;
}

static enum sx_io_fault_kind hit_fd(struct sx_io_fault_layer *l, enum sx_io_call call, int fd)
{
    return sx_io_fault_hit(&l->fault, call, fd >= 0 && fd < FDS ? l->path[fd] : NULL);
}

static int fault_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    struct sx_io_fault_layer *l = layer_of(io);
    enum sx_io_call call = flags & O_CREAT ? SX_IO_OPEN : SX_IO_OPEN_OLD;
    int fd;

    if (sx_io_fault_hit(&l->fault, call, path) == SX_IO_FAULT_ERRNO)
        return -1;
    fd = l->below->open(l->below, path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        free(l->path[fd]);
        l->path[fd] = sx_strdup(path);
    }
    return fd;
}

static int fault_close(const struct sx_io *io, int fd)
{
    struct sx_io_fault_layer *l = layer_of(io);

    if (fd >= 0 && fd < FDS) {
        free(l->path[fd]);
        l->path[fd] = NULL;
    }
    return l->below->close(l->below, fd);
}

static ssize_t fault_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    struct sx_io_fault_layer *l = layer_of(io);
    enum sx_io_fault_kind kind = hit_fd(l, SX_IO_PREAD, fd);
    ssize_t r;

    if (kind == SX_IO_FAULT_ERRNO)
        return -1;
    r = l->below->pread(l->below, fd, p, kind == SX_IO_FAULT_SHORT ? (n + 1) / 2 : n, at);
    if (kind == SX_IO_FAULT_CORRUPT && r > 0)
        ((uint8_t *)p)[r / 2] ^= 1;
    return r;
}

/* The same data with one bit wrong. */
static ssize_t write_corrupt(struct sx_io_fault_layer *l, int fd, const struct iovec *iov,
                             int count, off_t at)
{
    SX_AUTO_FREE uint8_t *all = NULL;
    size_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    all = sx_malloc(n);
    n = 0;
    for (int i = 0; i < count; n += iov[i++].iov_len)
        memcpy(all + n, iov[i].iov_base, iov[i].iov_len);
    if (n)
        all[n / 2] ^= 1;
    return l->below->pwritev(l->below, fd, &(struct iovec){ all, n }, 1, at);
}

static ssize_t fault_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                             off_t at)
{
    struct sx_io_fault_layer *l = layer_of(io);
    struct iovec first = iov[0];
    ssize_t n = 0;

    switch (hit_fd(l, SX_IO_PWRITEV, fd)) {
    case SX_IO_FAULT_ERRNO:
        if (l->fault.err != EINTR && l->below->pwritev(l->below, fd, &first, 1, at) < 0)
            return -1;
        errno = l->fault.err;
        return -1;
    case SX_IO_FAULT_SHORT:
        first.iov_len = (first.iov_len + 1) / 2;
        return l->below->pwritev(l->below, fd, &first, 1, at);
    case SX_IO_FAULT_CORRUPT:
        return write_corrupt(l, fd, iov, count, at);
    case SX_IO_FAULT_LIE:
        for (int i = 0; i < count; i++)
            n += (ssize_t)iov[i].iov_len;
        return n;
    default:
        return l->below->pwritev(l->below, fd, iov, count, at);
    }
}

/* A call without data: it fails, is left out, or is done. */
#define PLAIN(name, call, hit, params, ...)                                                        \
    static int fault_##name params                                                                 \
    {                                                                                              \
        struct sx_io_fault_layer *l = layer_of(io);                                                \
        enum sx_io_fault_kind kind = hit;                                                          \
                                                                                                   \
        if (kind == SX_IO_FAULT_ERRNO)                                                             \
            return -1;                                                                             \
        return kind == SX_IO_FAULT_LIE ? 0 : l->below->name(l->below, __VA_ARGS__);                \
    }
#define BY_FD(name, call, params, ...)                                                             \
    PLAIN(name, call, hit_fd(l, call, fd), params, __VA_ARGS__)

BY_FD(fdatasync, SX_IO_FDATASYNC, (const struct sx_io *io, int fd), fd)
BY_FD(fsync, SX_IO_FSYNC, (const struct sx_io *io, int fd), fd)
BY_FD(ftruncate, SX_IO_FTRUNCATE, (const struct sx_io *io, int fd, off_t size), fd, size)
BY_FD(fallocate, SX_IO_FALLOCATE, (const struct sx_io *io, int fd, off_t at, off_t n), fd, at, n)
BY_FD(fstat, SX_IO_FSTAT, (const struct sx_io *io, int fd, struct stat *st), fd, st)
PLAIN(rename, SX_IO_RENAME, sx_io_fault_hit(&l->fault, SX_IO_RENAME, to),
      (const struct sx_io *io, const char *from, const char *to), from, to)
PLAIN(unlink, SX_IO_UNLINK, sx_io_fault_hit(&l->fault, SX_IO_UNLINK, path),
      (const struct sx_io *io, const char *path), path)

struct sx_io_fault_layer *sx_io_fault_layer_new(const struct sx_io_fault *f,
                                                const struct sx_io *below)
{
    struct sx_io_fault_layer *l = sx_calloc(1, sizeof *l);

    l->fault = *f;
    l->below = below;
    l->io = (struct sx_io){
        .open = fault_open,           .close = fault_close,         .pread = fault_pread,
        .pwritev = fault_pwritev,     .fdatasync = fault_fdatasync, .fsync = fault_fsync,
        .ftruncate = fault_ftruncate, .fallocate = fault_fallocate, .rename = fault_rename,
        .unlink = fault_unlink,       .fstat = fault_fstat,         .ctx = l,
    };
    return l;
}

void sx_io_fault_layer_free(struct sx_io_fault_layer *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < FDS; i++)
        free(l->path[i]);
    free(l);
}

const struct sx_io *sx_io_fault_layer_io(const struct sx_io_fault_layer *l)
{
    return &l->io;
}

struct sx_io_fault *sx_io_fault_layer_fault(struct sx_io_fault_layer *l)
{
    return &l->fault;
}
