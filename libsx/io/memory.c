/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See memory.h.
 */
#include "libsx/io/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libsx/base/mem.h"

/* ---- memory ---- */

struct file {
    char *path;
    int fd; /* of a memory file; each open() gives another description of it */
};

struct sx_io_memory {
    struct sx_io io;
    struct file *file;
    size_t n, room;
};

static struct file *find(struct sx_io_memory *m, const char *path)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->file[i].path, path) == 0)
            return &m->file[i];
    return NULL;
}

static void drop(struct sx_io_memory *m, struct file *f)
{
    close(f->fd);
    free(f->path);
    *f = m->file[--m->n];
}

static struct file *make(struct sx_io_memory *m, const char *path)
{
    int fd = memfd_create("sx", MFD_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (m->n == m->room) {
        m->room = m->room ? 2 * m->room : 16;
        m->file = sx_realloc(m->file, m->room * sizeof *m->file);
    }
    m->file[m->n] = (struct file){ sx_strdup(path), fd };
    return &m->file[m->n++];
}

static int memory_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    struct sx_io_memory *m = io->ctx;
    struct file *f = find(m, path);
    char name[64];

    if (flags & O_DIRECTORY)
        return open("/", flags | O_CLOEXEC, mode);
    errno = f ? EEXIST : ENOENT;
    if (f ? (flags & O_CREAT) && (flags & O_EXCL) : !(flags & O_CREAT))
        return -1;
    if (!f && !(f = make(m, path)))
        return -1;
    snprintf(name, sizeof name, "/proc/self/fd/%d", f->fd);
    return open(name, (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC, mode);
}

static int memory_rename(const struct sx_io *io, const char *from, const char *to)
{
    struct sx_io_memory *m = io->ctx;
    struct file *f = find(m, from), *old = find(m, to);

    if (!f) {
        errno = ENOENT;
        return -1;
    }
    if (f == old)
        return 0;
    free(f->path);
    f->path = sx_strdup(to);
    if (old)
        drop(m, old);
    return 0;
}

static int memory_unlink(const struct sx_io *io, const char *path)
{
    struct sx_io_memory *m = io->ctx;
    struct file *f = find(m, path);

    if (!f) {
        errno = ENOENT;
        return -1;
    }
    drop(m, f);
    return 0;
}

static int no_sync(const struct sx_io *io, int fd)
{
    return 0;
}

struct sx_io_memory *sx_io_memory_new(void)
{
    struct sx_io_memory *m = sx_calloc(1, sizeof *m);

    m->io = sx_io_posix;
    m->io.open = memory_open;
    m->io.rename = memory_rename;
    m->io.unlink = memory_unlink;
    m->io.fdatasync = m->io.fsync = no_sync;
    m->io.ctx = m;
    return m;
}

void sx_io_memory_free(struct sx_io_memory *m)
{
    if (!m)
        return;
    while (m->n)
        drop(m, &m->file[m->n - 1]);
    free(m->file);
    free(m);
}

const struct sx_io *sx_io_memory_io(const struct sx_io_memory *m)
{
    return &m->io;
}

/* ---- null ---- */

static ssize_t null_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                            off_t at)
{
    struct stat st;
    off_t end = at;

    for (int i = 0; i < count; i++)
        end += (off_t)iov[i].iov_len;
    if (fstat(fd, &st) || (st.st_size < end && ftruncate(fd, end)))
        return -1;
    return end - at;
}

void sx_io_null_init(struct sx_io *io)
{
    *io = sx_io_posix;
    io->pwritev = null_pwritev;
    io->fdatasync = io->fsync = no_sync;
}
