/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole files go to the workers in groups: waking a thread costs more than what most of them need.
 * The workers also read them, so that several reads are under way at a time.  See up.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "libsx/client/source.h"

#define READ_TRIES 2

struct up_group {
    struct sx_job job;
    struct up *u;
    const struct up_gather *kind;
    struct up_file *files, **tail;
    size_t n;
    uint64_t bytes;
};

/* ---- Groups -------------------------------------------------------------------------------- */

static void group_run(struct sx_job *j, struct sx_worker *w)
{
    struct up_group *g = (struct up_group *)j;

    for (struct up_file *f = g->files; f; f = f->next)
        g->kind->work(f, w);
}

static void group_done(struct sx_job *j)
{
    struct up_group *g = (struct up_group *)j;
    struct up_file *next;

    g->u->working -= (unsigned)g->n;
    for (struct up_file *f = g->files; f; f = next) {
        next = f->next;
        g->kind->done(f);
    }
    free(g);
}

void up_gather_flush(struct up *u, struct up_gather *k)
{
    struct up_group *g = SX_STEAL(k->open);

    if (g)
        sx_work_add(u->x.work, &g->job);
}

void up_gather_add(struct up_gather *k, struct up_file *f)
{
    struct up_group *g = k->open;

    if (!g) {
        g = k->open = sx_calloc(1, sizeof *g);
        g->job.run = group_run;
        g->job.done = group_done;
        g->u = f->u;
        g->kind = k;
        g->tail = &g->files;
    }
    f->u->working++;
    f->next = NULL;
    *g->tail = f;
    g->tail = &f->next;
    g->bytes += (uint64_t)f->st.st_size;
    if (++g->n == UP_GROUP_FILES || g->bytes >= UP_GROUP_BYTES)
        up_gather_flush(f->u, k);
}

/* ---- Reading ------------------------------------------------------------------------------- */

int up_open(const char *local, bool follow, struct sx_err *e)
{
    int fd = open(local, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));

    if (fd < 0)
        return sx_err_set(e, errno == EACCES ? SX_EACCESS : errno == ENOENT ? SX_ENOTFOUND : SX_EIO,
                          "%s", strerror(errno));
    return fd;
}

bool up_same_state(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* As many bytes as the file is known to have; -1 with errno. */
static int read_content(struct up_file *f, int fd)
{
    size_t want = (size_t)f->st.st_size;

    f->content = sx_realloc(f->content, want + 1);
    f->size = 0;
    while (f->size < want) {
        ssize_t n = pread(fd, f->content + f->size, want - f->size, (off_t)f->size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        f->size += (uint64_t)n;
    }
    return 0;
}

/* f->st may be some milliseconds old: what has changed since is read once more, in its new
 * state. */
int up_read_whole(struct up_file *f, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = up_open(f->name, f->follow, e);
    struct stat now;

    if (fd < 0)
        return -1;
    for (int i = 0; i < READ_TRIES; i++) {
        if (read_content(f, fd))
            return sx_err_errno(e, errno, "read");
        if (fstat(fd, &now))
            return sx_err_errno(e, errno, "stat");
        if (!S_ISREG(now.st_mode))
            return sx_err_set(e, SX_EUNSUPPORTED, "is not a regular file");
        if (up_same_state(&f->st, &now) && f->size == (uint64_t)now.st_size)
            return 0;
        if (now.st_size > (off_t)UP_WHOLE_MAX)
            break;
        f->st = now;
    }
    return sx_err_set(e, SX_ECONFLICT, "changed while it was read; copy it again");
}
