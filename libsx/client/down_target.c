/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The local side of a download: the part file, holes, the final name.  See down.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libsx/base/text.h"
#include "libsx/client/down.h"
#include "libsx/io/io.h"

#define MODE_BITS 0777 /* what is restored: not set-user-id and the like, which came from elsewhere */
#define PART_MODE 0600

static int fail(struct sx_err *e, int errnum, const char *what)
{
    int code = errnum == EACCES || errnum == EPERM || errnum == EROFS ? SX_EACCESS :
               errnum == ENOSPC || errnum == EDQUOT                   ? SX_ENOSPACE :
                                                                        SX_EIO;

    return sx_err_set(e, code, "%s: %s", what, strerror(errnum));
}

bool down_target_unchanged(const char *local, const struct sx_file_info *f)
{
    struct stat st;

    if (lstat(local, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size ||
        (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != f->mtime_ns)
        return false;
    if ((st.st_mode & MODE_BITS) == (f->mode & MODE_BITS))
        return true;
    return chmod(local, f->mode & MODE_BITS) == 0;
}

bool down_target_nothing(const char *dir)
{
    const struct dirent *entry;
    DIR *d = opendir(dir);

    if (!d)
        return errno == ENOENT;
    do
        entry = readdir(d);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    closedir(d);
    return !entry;
}

/* ---- The directory ------------------------------------------------------------------------- */

/* Makes a directory, given with a slash at its end, and what is missing above it: upwards to one that is
 * there, most often the first, and down again. */
static int make_dirs(const char *path, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_strdup(path);
    size_t last = strlen(dir) - 1, at = last;

    for (;;) {
        const char *slash;

        dir[at] = '\0';
        slash = strrchr(dir, '/');
        if (mkdir(dir, 0777) == 0 || errno == EEXIST) {
            if (at == last)
                return 0;
            dir[at] = '/';
            at = strlen(dir);
        } else if (errno == ENOENT && slash && slash > dir) {
            at = (size_t)(slash - dir);
        } else {
            return fail(e, errno, "create the directory");
        }
    }
}

void down_dir_leave(struct down_dir *d)
{
    if (d->path)
        close(d->fd);
    free(SX_STEAL(d->path));
}

/* Opens the first n bytes of a path, "…/" or nothing, unless that is the directory that is open. */
static int dir_enter(struct down_dir *d, const char *path, size_t n, struct sx_err *e)
{
    static const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    SX_AUTO_FREE char *dir = NULL;

    if (d->path && strlen(d->path) == n && memcmp(d->path, path, n) == 0)
        return 0;
    down_dir_leave(d);
    dir = n ? sx_strndup(path, n) : sx_strdup("./");
    d->fd = open(dir, flags);
    if (d->fd < 0 && errno == ENOENT) {
        if (make_dirs(dir, e))
            return -1;
        d->fd = open(dir, flags);
    }
    if (d->fd < 0)
        return fail(e, errno, "open the directory");
    d->path = SX_STEAL(dir);
    return 0;
}

/* ---- The file ------------------------------------------------------------------------------ */

/* ".sx-0123456789abcdef.part": the digits come from the name and the content. */
static char *part_name(const struct down_file *f)
{
    SX_AUTO_FREE char *key = sx_asprintf("%s/%s", f->etag, f->name);
    uint8_t digest[SX_SHA256];
    char hex[17];

    sx_sha256(digest, key, strlen(key));
    return sx_asprintf(".sx-%s.part", sx_hex(hex, digest, 8));
}

int down_target_open(struct down_file *f, struct down_dir *dir, bool resume, struct sx_err *e)
{
    const char *slash = strrchr(f->local, '/');
    struct stat st;

    f->name = slash ? slash + 1 : f->local;
    if (dir_enter(dir, f->local, (size_t)(f->name - f->local), e))
        return -1;
    f->dir = dir;
    f->part = part_name(f);
    f->fd = openat(dir->fd, f->part,
                   O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (resume ? 0 : O_TRUNC), PART_MODE);
    if (f->fd < 0)
        return fail(e, errno, "create a file");
    if (!resume)
        return 0;
    f->check = fstat(f->fd, &st) == 0 && st.st_size > 0;
    f->old_fd = openat(dir->fd, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (f->old_fd >= 0 && (fstat(f->old_fd, &st) || !S_ISREG(st.st_mode) || !st.st_size)) {
        close(f->old_fd);
        f->old_fd = -1;
    }
    f->check = f->check || f->old_fd >= 0;
    return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return n > 0 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Blocks of zeros become holes, unless something else may be there from an earlier attempt. */
int down_target_write(struct down_file *f, const void *p, size_t n, uint64_t at, struct sx_err *e)
{
    const uint8_t *b = p;

    if (!f->check && all_zero(b, n))
        return 0;
    if (!f->streaming)
        f->reached = at + n; /* one thread, in order */
    while (n > 0) {
        ssize_t w = pwrite(f->fd, b, n, (off_t)at);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return fail(e, errno, "write");
        b += w;
        at += (uint64_t)w;
        n -= (size_t)w;
    }
    return 0;
}

int down_target_finish(struct down_file *f, struct sx_err *e)
{
    struct timespec t[2] = { { 0, UTIME_OMIT },
                             { f->mtime_ns / 1000000000, f->mtime_ns % 1000000000 } };

    if (t[1].tv_nsec < 0) {
        t[1].tv_sec--;
        t[1].tv_nsec += 1000000000;
    }
    if ((f->streaming || f->reached != f->size) && ftruncate(f->fd, (off_t)f->size))
        return fail(e, errno, "write");
    if (fchmod(f->fd, f->mode & MODE_BITS) || futimens(f->fd, t))
        return fail(e, errno, "set mode and time");
    if (f->d->x.o->sync && fsync(f->fd))
        return fail(e, errno, "sync");
    if (close(sx_steal_fd(&f->fd)))
        return fail(e, errno, "write");
    if (renameat(f->dir->fd, f->part, f->dir->fd, f->name))
        return fail(e, errno, "replace");
    free(SX_STEAL(f->part));
    return 0;
}

void down_target_drop(struct down_file *f, bool keep)
{
    if (f->part && !keep)
        unlinkat(f->dir->fd, f->part, 0);
    free(SX_STEAL(f->part));
    if (f->fd >= 0)
        close(f->fd);
    if (f->old_fd >= 0)
        close(f->old_fd);
    f->fd = f->old_fd = -1;
    down_dir_leave(&f->own_dir);
    f->dir = NULL;
}

/* ---- What is here already ------------------------------------------------------------------ */

static bool has_block(int fd, const struct down_entry *en, struct sx_worker *w)
{
    struct sx_id id;

    sx_buf_reset(&w->scratch);
    sx_buf_extend(&w->scratch, en->len);
    if (fd < 0 || pread(fd, w->scratch.data, en->len, (off_t)en->offset) != (ssize_t)en->len)
        return false;
    return sx_block_id(w->codec, w->scratch.data, en->len, &id, NULL) == 0 &&
           sx_id_cmp(&id, &en->id) == 0;
}

void down_check_run(struct sx_job *j, struct sx_worker *w)
{
    struct down_group *g = (struct down_group *)j;
    struct down_file *f = g->file;

    for (uint32_t i = 0; i < g->n; i++) {
        struct down_entry *en = &g->work[i];

        en->state = DOWN_NEED;
        if (has_block(f->fd, en, w)) {
            en->state = DOWN_DONE;
        } else if (has_block(f->old_fd, en, w)) {
            if (down_target_write(f, w->scratch.data, en->len, en->offset, &g->err))
                return;
            en->state = DOWN_DONE;
        }
    }
}
