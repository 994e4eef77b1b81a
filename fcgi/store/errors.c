/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See errors.h.
 */
#include "fcgi/store/errors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define MAGIC 0x3145445853ull /* "SXDE1" */

/* ---- what is shared ---- */

/* The file is written, not only made long, and never made shorter: a page without a place on a full
 * disk, or behind the end, would end the process that touches it. */
static bool write_rest(int fd)
{
    SX_AUTO_FREE struct sx_shared *empty = sx_calloc(1, sizeof *empty);
    struct stat st;
    ssize_t lacks;

    if (fstat(fd, &st))
        return false;
    atomic_init(&empty->magic, MAGIC);
    lacks = (ssize_t)sizeof *empty - (ssize_t)st.st_size;
    return lacks <= 0 ||
           pwrite(fd, (const uint8_t *)empty + st.st_size, (size_t)lacks, st.st_size) == lacks;
}

/* Who comes while another writes waits, so that nobody's counts are written over.  The lock is given
 * back here: the mapping would keep it beyond the descriptor. */
static bool make_whole(int fd)
{
    bool whole;

    while (flock(fd, LOCK_EX))
        if (errno != EINTR)
            return false;
    whole = write_rest(fd);
    flock(fd, LOCK_UN);
    return whole;
}

static void *map(const char *path)
{
    SX_AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    void *p;

    if (fd < 0 || !make_whole(fd))
        return NULL;
    p = mmap(NULL, sizeof(struct sx_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

struct sx_shared *sx_shared_open(const char *node_dir)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/devices.errors", node_dir);
    struct sx_shared *sh = map(path);

    if (!sh) {
        sx_warn("%s is not used: %s", path, strerror(errno));
        sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        sx_assert(sh != MAP_FAILED);
    }
    if (atomic_load(&sh->magic) != MAGIC) {
        memset(sh, 0, sizeof *sh);
        atomic_store(&sh->magic, MAGIC);
    }
    return sh;
}

void sx_shared_close(struct sx_shared *sh)
{
    if (sh)
        munmap(sh, sizeof *sh);
}

void sx_errors_clear(struct sx_device_errors *x)
{
    atomic_store(&x->read, 0);
    atomic_store(&x->write, 0);
    atomic_store(&x->sync, 0);
    atomic_store(&x->damaged, 0);
}

struct sx_device_errors *sx_shared_errors(struct sx_shared *sh, uint32_t device,
                                          bool (*in_use)(void *arg, uint32_t device), void *arg)
{
    for (unsigned i = 0; i < SX_SHARED_SLOTS; i++)
        if (atomic_load(&sh->device[i].device) == device)
            return &sh->device[i];
    for (unsigned i = 0; i < SX_SHARED_SLOTS; i++) {
        struct sx_device_errors *x = &sh->device[i];
        uint64_t was = atomic_load(&x->device);

        if (was && in_use(arg, (uint32_t)was))
            continue;
        if (atomic_compare_exchange_strong(&x->device, &was, device)) {
            sx_errors_clear(x);
            return x;
        }
        if (was == device) /* another process was faster */
            return x;
    }
    return NULL;
}

struct sx_error_counts sx_errors_get(const struct sx_device_errors *x)
{
    struct sx_error_counts c = { 0 };

    if (x)
        c = (struct sx_error_counts){ atomic_load(&x->read), atomic_load(&x->write),
                                      atomic_load(&x->sync), atomic_load(&x->damaged) };
    return c;
}

/* ---- counting ---- */

static struct sx_counting *of(const struct sx_io *io)
{
    return io->ctx;
}

/* A full disk and a signal are no errors of the device. */
static bool is_error(ssize_t result)
{
    return result < 0 && errno != ENOSPC && errno != EDQUOT && errno != EINTR;
}

static ssize_t note(_Atomic uint64_t *counter, ssize_t result)
{
    int saved = errno;

    if (is_error(result))
        atomic_fetch_add(counter, 1);
    errno = saved;
    return result;
}

static int c_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    return of(io)->below->open(of(io)->below, path, flags, mode);
}

static int c_close(const struct sx_io *io, int fd)
{
    return of(io)->below->close(of(io)->below, fd);
}

static ssize_t c_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    return note(&of(io)->errors->read, of(io)->below->pread(of(io)->below, fd, p, n, at));
}

static ssize_t c_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                         off_t at)
{
    return note(&of(io)->errors->write, of(io)->below->pwritev(of(io)->below, fd, iov, count, at));
}

static int c_fdatasync(const struct sx_io *io, int fd)
{
    return (int)note(&of(io)->errors->sync, of(io)->below->fdatasync(of(io)->below, fd));
}

static int c_fsync(const struct sx_io *io, int fd)
{
    return (int)note(&of(io)->errors->sync, of(io)->below->fsync(of(io)->below, fd));
}

static int c_ftruncate(const struct sx_io *io, int fd, off_t size)
{
    return (int)note(&of(io)->errors->write, of(io)->below->ftruncate(of(io)->below, fd, size));
}

static int c_fallocate(const struct sx_io *io, int fd, off_t at, off_t n)
{
    return of(io)->below->fallocate(of(io)->below, fd, at, n); /* some file systems have none */
}

static int c_rename(const struct sx_io *io, const char *from, const char *to)
{
    return of(io)->below->rename(of(io)->below, from, to);
}

static int c_unlink(const struct sx_io *io, const char *path)
{
    return of(io)->below->unlink(of(io)->below, path);
}

static int c_fstat(const struct sx_io *io, int fd, struct stat *st)
{
    return of(io)->below->fstat(of(io)->below, fd, st);
}

void sx_counting_init(struct sx_counting *c, const struct sx_io *below,
                      struct sx_device_errors *errors)
{
    *c = (struct sx_counting){ .below = below, .errors = errors };
    c->io = errors ? (struct sx_io){ .open = c_open,
                                     .close = c_close,
                                     .pread = c_pread,
                                     .pwritev = c_pwritev,
                                     .fdatasync = c_fdatasync,
                                     .fsync = c_fsync,
                                     .ftruncate = c_ftruncate,
                                     .fallocate = c_fallocate,
                                     .rename = c_rename,
                                     .unlink = c_unlink,
                                     .fstat = c_fstat,
                                     .ctx = c }
                   : *below;
}
