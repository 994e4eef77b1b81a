/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See memio.h.  A file has two contents, the present and the durable one, and the range in which
 * they may differ.
 */
#include "tests/sim/memio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "libsx/base/mem.h"

#define FILES_MAX 256u
#define FDS_MAX 256u
#define SECTOR 512u

struct file {
    uint8_t *now, *disk;
    size_t size, disk_size;
    size_t cap;
    size_t lo, hi;           /* dirty range, lo >= hi: none */
    size_t lost_lo, lost_hi; /* its sync failed: readable, but only written anew is it synced again */
    bool used;
};

struct name {
    char *path;
    unsigned file;
};

struct names {
    struct name v[FILES_MAX];
    unsigned n;
};

struct sx_memio {
    struct sx_io io;
    struct file file[FILES_MAX];
    struct names now, disk;
    int fd[FDS_MAX]; /* file, FD_DIR, or FD_FREE */
    unsigned calls, syncs, fail_at;
    int fail_errno;
    bool fail_always, lie;
};

#define FD_FREE (-1)
#define FD_DIR (-2)

static struct sx_memio *of(const struct sx_io *io)
{
    return io->ctx;
}

/* Counts a call that changes something; true: it must fail. */
static bool fails(struct sx_memio *m)
{
    m->calls++;
    if (!m->fail_at || m->calls < m->fail_at || (m->calls > m->fail_at && !m->fail_always))
        return false;
    errno = m->fail_errno;
    return true;
}

static struct name *find(struct names *n, const char *path)
{
    for (unsigned i = 0; i < n->n; i++)
        if (strcmp(n->v[i].path, path) == 0)
            return &n->v[i];
    return NULL;
}

static void names_fini(struct names *n)
{
    for (unsigned i = 0; i < n->n; i++)
        free(n->v[i].path);
    n->n = 0;
}

static void names_copy(struct names *to, const struct names *from)
{
    names_fini(to);
    for (unsigned i = 0; i < from->n; i++)
        to->v[i] = (struct name){ sx_strdup(from->v[i].path), from->v[i].file };
    to->n = from->n;
}

static void names_add(struct names *n, const char *path, unsigned file)
{
    sx_assert(n->n < FILES_MAX);
    n->v[n->n++] = (struct name){ sx_strdup(path), file };
}

static void names_remove(struct names *n, struct name *x)
{
    free(x->path);
    *x = n->v[--n->n];
}

static void file_fini(struct file *f)
{
    free(f->now);
    free(f->disk);
    *f = (struct file){ 0 };
}

static bool referred(const struct sx_memio *m, unsigned file)
{
    for (unsigned i = 0; i < m->now.n; i++)
        if (m->now.v[i].file == file)
            return true;
    for (unsigned i = 0; i < m->disk.n; i++)
        if (m->disk.v[i].file == file)
            return true;
    for (unsigned i = 0; i < FDS_MAX; i++)
        if (m->fd[i] == (int)file)
            return true;
    return false;
}

static void collect(struct sx_memio *m)
{
    for (unsigned i = 0; i < FILES_MAX; i++)
        if (m->file[i].used && !referred(m, i))
            file_fini(&m->file[i]);
}

static unsigned new_file(struct sx_memio *m)
{
    collect(m);
    for (unsigned i = 0; i < FILES_MAX; i++)
        if (!m->file[i].used) {
            m->file[i].used = true;
            return i;
        }
    sx_assert(!"too many files");
    return 0;
}

static void grow(struct file *f, size_t size)
{
    if (size > f->cap) {
        size_t cap = size * 2 > 4096 ? size * 2 : 4096;

        f->now = sx_realloc(f->now, cap);
        f->disk = sx_realloc(f->disk, cap);
        memset(f->now + f->cap, 0, cap - f->cap);
        memset(f->disk + f->cap, 0, cap - f->cap);
        f->cap = cap;
    }
}

static void dirty(struct file *f, size_t lo, size_t hi)
{
    if (f->lo >= f->hi) {
        f->lo = lo;
        f->hi = hi;
        return;
    }
    f->lo = lo < f->lo ? lo : f->lo;
    f->hi = hi > f->hi ? hi : f->hi;
}

static void resize(struct file *f, size_t size)
{
    grow(f, size);
    if (size < f->size) {
        memset(f->now + size, 0, f->size - size);
        dirty(f, size, f->size);
    }
    f->size = size;
}

static int new_fd(struct sx_memio *m, int file)
{
    for (int i = 0; i < (int)FDS_MAX; i++)
        if (m->fd[i] == FD_FREE) {
            m->fd[i] = file;
            return i + 1000;
        }
    errno = EMFILE;
    return -1;
}

static struct file *file_of(struct sx_memio *m, int fd)
{
    sx_assert(fd >= 1000 && fd < 1000 + (int)FDS_MAX && m->fd[fd - 1000] >= 0);
    return &m->file[m->fd[fd - 1000]];
}

static int mem_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    struct sx_memio *m = of(io);
    struct name *x = find(&m->now, path);
    unsigned f;

    if (flags & O_DIRECTORY)
        return new_fd(m, FD_DIR);
    if (!x && !(flags & O_CREAT)) {
        errno = ENOENT;
        return -1;
    }
    if (flags & (O_CREAT | O_TRUNC) && fails(m))
        return -1;
    if (x) {
        if (flags & O_TRUNC)
            resize(&m->file[x->file], 0);
        return new_fd(m, (int)x->file);
    }
    f = new_file(m);
    names_add(&m->now, path, f);
    return new_fd(m, (int)f);
}

static int mem_close(const struct sx_io *io, int fd)
{
    of(io)->fd[fd - 1000] = FD_FREE;
    return 0;
}

static ssize_t mem_pread(const struct sx_io *io, int fd, void *p, size_t n, off_t at)
{
    struct file *f = file_of(of(io), fd);

    if ((size_t)at >= f->size)
        return 0;
    if (n > f->size - (size_t)at)
        n = f->size - (size_t)at;
    memcpy(p, f->now + at, n);
    return (ssize_t)n;
}

static ssize_t mem_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                           off_t at)
{
    struct sx_memio *m = of(io);
    struct file *f = file_of(m, fd);
    size_t start = (size_t)at, end = start;

    if (fails(m))
        return -1;
    for (int i = 0; i < count; i++) {
        if (end + iov[i].iov_len > f->size)
            resize(f, end + iov[i].iov_len);
        memcpy(f->now + end, iov[i].iov_base, iov[i].iov_len);
        end += iov[i].iov_len;
    }
    dirty(f, start, end);
    return (ssize_t)(end - start);
}

static void make_durable(struct file *f)
{
    if (f->lo < f->hi)
        memcpy(f->disk + f->lo, f->now + f->lo, f->hi - f->lo);
    f->disk_size = f->size;
    f->lo = f->hi = 0;
}

/* As Linux does: the pages stay in the cache and are clean now. */
static void lose_dirty(struct file *f)
{
    if (f->lo >= f->hi)
        return;
    if (f->lost_lo >= f->lost_hi)
        f->lost_lo = f->lo;
    f->lost_lo = f->lo < f->lost_lo ? f->lo : f->lost_lo;
    f->lost_hi = f->hi > f->lost_hi ? f->hi : f->lost_hi;
    f->lo = f->hi = 0;
}

static int mem_sync(const struct sx_io *io, int fd)
{
    struct sx_memio *m = of(io);

    if (fails(m)) {
        if (m->fd[fd - 1000] != FD_DIR)
            lose_dirty(file_of(m, fd));
        return -1;
    }
    m->syncs++;
    if (m->lie)
        return 0;
    if (m->fd[fd - 1000] == FD_DIR)
        names_copy(&m->disk, &m->now);
    else
        make_durable(file_of(m, fd));
    return 0;
}

static int mem_ftruncate(const struct sx_io *io, int fd, off_t size)
{
    struct sx_memio *m = of(io);

    if (fails(m))
        return -1;
    resize(file_of(m, fd), (size_t)size);
    return 0;
}

static int mem_fallocate(const struct sx_io *io, int fd, off_t at, off_t n)
{
    struct sx_memio *m = of(io);
    struct file *f = file_of(m, fd);

    if (fails(m))
        return -1;
    if ((size_t)(at + n) > f->size)
        resize(f, (size_t)(at + n));
    return 0;
}

static int mem_rename(const struct sx_io *io, const char *from, const char *to)
{
    struct sx_memio *m = of(io);
    struct name *x = find(&m->now, from), *old = find(&m->now, to);
    unsigned file;

    if (!x) {
        errno = ENOENT;
        return -1;
    }
    if (fails(m))
        return -1;
    file = x->file;
    if (old)
        names_remove(&m->now, old);
    names_remove(&m->now, find(&m->now, from));
    names_add(&m->now, to, file);
    return 0;
}

static int mem_unlink(const struct sx_io *io, const char *path)
{
    struct sx_memio *m = of(io);
    struct name *x = find(&m->now, path);

    if (!x) {
        errno = ENOENT;
        return -1;
    }
    if (fails(m))
        return -1;
    names_remove(&m->now, x);
    return 0;
}

static int mem_fstat(const struct sx_io *io, int fd, struct stat *st)
{
    memset(st, 0, sizeof *st);
    st->st_size = (off_t)file_of(of(io), fd)->size;
    return 0;
}

struct sx_memio *sx_memio_new(void)
{
    struct sx_memio *m = sx_calloc(1, sizeof *m);

    m->io = (struct sx_io){ .open = mem_open,
                            .close = mem_close,
                            .pread = mem_pread,
                            .pwritev = mem_pwritev,
                            .fdatasync = mem_sync,
                            .fsync = mem_sync,
                            .ftruncate = mem_ftruncate,
                            .fallocate = mem_fallocate,
                            .rename = mem_rename,
                            .unlink = mem_unlink,
                            .fstat = mem_fstat,
                            .ctx = m };
    for (unsigned i = 0; i < FDS_MAX; i++)
        m->fd[i] = FD_FREE;
    return m;
}

void sx_memio_free(struct sx_memio *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < FILES_MAX; i++)
        file_fini(&m->file[i]);
    names_fini(&m->now);
    names_fini(&m->disk);
    free(m);
}

const struct sx_io *sx_memio_io(struct sx_memio *m)
{
    return &m->io;
}

static void crash_file(struct file *f, uint64_t *random)
{
    size_t at = f->lo / SECTOR * SECTOR;

    for (; f->lo < f->hi && at < f->hi; at += SECTOR) {
        size_t n = at + SECTOR <= f->cap ? SECTOR : f->cap - at;

        if (random && sx_random(random) & 1) {
            memcpy(f->disk + at, f->now + at, n);
            if (f->disk_size < at + n)
                f->disk_size = at + n < f->size ? at + n : f->size;
        }
        memcpy(f->now + at, f->disk + at, n);
    }
    if (f->lost_lo < f->lost_hi)
        memcpy(f->now + f->lost_lo, f->disk + f->lost_lo, f->lost_hi - f->lost_lo);
    f->size = f->disk_size;
    f->lo = f->hi = f->lost_lo = f->lost_hi = 0;
}

void sx_memio_crash(struct sx_memio *m, uint64_t *random)
{
    for (unsigned i = 0; i < FDS_MAX; i++)
        m->fd[i] = FD_FREE;
    names_copy(&m->now, &m->disk);
    collect(m);
    for (unsigned i = 0; i < FILES_MAX; i++)
        if (m->file[i].used)
            crash_file(&m->file[i], random);
}

void sx_memio_fail(struct sx_memio *m, unsigned nth, int errnum, bool always)
{
    m->fail_at = nth ? m->calls + nth : 0;
    m->fail_errno = errnum;
    m->fail_always = always;
}

unsigned sx_memio_calls(const struct sx_memio *m)
{
    return m->calls;
}

unsigned sx_memio_syncs(const struct sx_memio *m)
{
    return m->syncs;
}

void sx_memio_lie(struct sx_memio *m, bool lie)
{
    m->lie = lie;
}

uint8_t *sx_memio_data(struct sx_memio *m, const char *path, size_t *size)
{
    struct name *x = find(&m->now, path);

    if (!x)
        return NULL;
    *size = m->file[x->file].size;
    return m->file[x->file].now;
}

void sx_memio_damage(struct sx_memio *m, const char *path, size_t at, uint8_t xor_with)
{
    struct name *x = find(&m->now, path);

    sx_assert(x && at < m->file[x->file].size);
    m->file[x->file].now[at] ^= xor_with;
    m->file[x->file].disk[at] ^= xor_with;
}

void sx_memio_truncate(struct sx_memio *m, const char *path, size_t size)
{
    struct name *x = find(&m->now, path);

    sx_assert(x);
    resize(&m->file[x->file], size);
    make_durable(&m->file[x->file]);
}
