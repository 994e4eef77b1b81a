/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The source thread: reads what is to be uploaded and hands it over, as far as there is room.
 * See up.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libsx/client/source.h"

#define PIPE_MODE 0644
#define COMPARE_ONE_MIN (1u << 20) /* shorter single files are rather sent than asked about */

bool up_stopped(const struct up *u)
{
    return u->x.stop;
}

/* ---- Room ---------------------------------------------------------------------------------- */

static bool crowded(const struct up *u, uint64_t whole)
{
    return u->files_open >= UP_FILES ||
           (u->whole_bytes > 0 && u->whole_bytes + whole > UP_WHOLE_BUDGET);
}

/* Waits for room for a file; `whole` bytes of it will be held.  False if the transfer ends. */
static bool file_room(struct up *u, uint64_t whole)
{
    SX_AUTO_LOCK(&u->lock);

    while (!u->x.stop && crowded(u, whole)) {
        up_gather_flush(u, &u->to_hash);
        pthread_cond_wait(&u->room, &u->lock);
    }
    if (u->x.stop)
        return false;
    u->files_open++;
    u->whole_bytes += whole;
    return true;
}

static struct up_slab *slab_get(struct up *u)
{
    struct up_slab *s;
    SX_AUTO_LOCK(&u->lock);

    while (!u->x.stop && !u->free_slabs && u->slabs_made == UP_SLABS)
        pthread_cond_wait(&u->room, &u->lock);
    if (u->x.stop)
        return NULL;
    s = u->free_slabs;
    if (s) {
        u->free_slabs = s->next;
    } else {
        s = sx_calloc(1, sizeof *s);
        s->data = sx_malloc(UP_SLAB_SIZE);
        u->slabs_made++;
    }
    s->refs = 1; /* the reader's */
    return s;
}

void up_slab_release(struct up *u, struct up_slab *s)
{
    if (--s->refs > 0)
        return;
    pthread_mutex_lock(&u->lock);
    s->next = u->free_slabs;
    u->free_slabs = s;
    pthread_cond_signal(&u->room);
    pthread_mutex_unlock(&u->lock);
}

static struct up_file *file_new(struct up *u, const char *name, const char *dest,
                                const struct stat *st, bool whole)
{
    struct up_file *f = sx_calloc(1, sizeof *f);

    f->u = u;
    f->name = sx_strdup(name);
    f->path = sx_strdup(dest);
    f->st = *st;
    f->whole = whole;
    f->fd = -1;
    u->x.files_known++;
    return f;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* Reads until the buffer is full or the end; -1 with errno. */
static ssize_t read_full(int fd, uint8_t *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r = read(fd, p + done, n - done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

/* Where a file is being read.  The kernel would fill its cache with the zeros of a hole one page
 * at a time; asking where the data is costs one call instead. */
struct reader {
    int fd;
    bool regular;   /* with `size`; else a pipe */
    off_t size;
    off_t at;       /* of the next byte */
    off_t data;     /* from here to `hole` there is data, before it a hole; known up to `hole` */
    off_t hole;
};

static void find_data(struct reader *r)
{
    r->data = lseek(r->fd, r->at, SEEK_DATA);
    if (r->data < 0)
        r->data = errno == ENXIO ? r->size : r->at;
    r->hole = r->data < r->size ? lseek(r->fd, r->data, SEEK_HOLE) : r->size;
    if (r->hole <= r->data)
        r->hole = r->size;
}

/* Reads until the buffer is full or the end; -1 with errno. */
static ssize_t reader_fill(struct reader *r, uint8_t *p, size_t n)
{
    size_t done = 0;

    if (!r->regular)
        return read_full(r->fd, p, n);
    while (done < n && r->at < r->size) {
        off_t end;
        ssize_t got;

        if (r->at >= r->hole)
            find_data(r);
        end = r->at < r->data ? r->data : r->hole;
        got = end - r->at < (off_t)(n - done) ? (ssize_t)(end - r->at) : (ssize_t)(n - done);
        if (r->at < r->data)
            memset(p + done, 0, (size_t)got);
        else
            got = pread(r->fd, p + done, (size_t)got, r->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break; /* it became shorter */
        r->at += got;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int check_unmoved(int fd, const struct stat *before, uint64_t size, struct sx_err *e)
{
    struct stat now;

    if (fstat(fd, &now))
        return sx_err_errno(e, errno, "stat");
    if (size != (uint64_t)now.st_size || !up_same_state(before, &now))
        return sx_err_set(e, SX_ECONFLICT, "changed while it was read; copy it again");
    return 0;
}

/* Hands over all chunks but the last one, if it may go on behind what is here; gives how many bytes were
 * taken. */
static size_t cut_slab(struct up_file *f, struct up_slab *s, size_t n, bool eof)
{
    const struct sx_chunker *c = &f->u->chunker;
    size_t at = 0;

    while (at < n) {
        size_t len = sx_chunk_cut(c, s->data + at, n - at, eof);
        struct up_chunk *k;

        if (len == 0)
            break;
        k = sx_calloc(1, sizeof *k);
        k->file = f;
        k->slab = s;
        k->data = s->data + at;
        k->len = (uint32_t)len;
        k->index = f->total++;
        k->offset = f->u->source_offset;
        f->u->source_offset += k->len;
        s->refs++;
        at += k->len;
        up_stream_chunk(k);
    }
    return at;
}

/* The slab may hold bytes already; it is given back in all cases. */
static int read_slabs(struct up_file *f, struct reader *r, struct up_slab *s, size_t have, bool eof,
                      struct sx_err *e)
{
    struct up *u = f->u;

    for (;;) {
        struct up_slab *next = NULL;
        size_t taken;
        ssize_t n;

        if (!eof) {
            n = reader_fill(r, s->data + have, UP_SLAB_SIZE - have);
            if (n < 0) {
                sx_err_errno(e, errno, "read");
                break;
            }
            u->x.bytes_known += r->regular ? 0 : (uint64_t)n;
            eof = (size_t)n < UP_SLAB_SIZE - have;
            have += (size_t)n;
        }
        taken = cut_slab(f, s, have, eof);
        if (eof || f->failed || !(next = slab_get(u)))
            break;
        have -= taken;
        memcpy(next->data, s->data + taken, have);
        up_slab_release(u, s);
        s = next;
    }
    up_slab_release(u, s);
    return e->code == SX_OK ? 0 : -1;
}

static void stream_over(struct up_file *f, const struct sx_err *why)
{
    if (why->code != SX_OK)
        up_file_fail(f, why);
    up_stream_end(f);
}

static void read_stream(struct up_file *f, int fd)
{
    struct sx_err e = SX_ERR_INIT;
    struct reader r = { .fd = fd, .regular = true, .size = f->st.st_size };
    struct up_slab *s = slab_get(f->u);

    f->u->source_offset = 0;
    if (!s)
        sx_err_set(&e, SX_ECANCELED, "canceled");
    else if (read_slabs(f, &r, s, 0, false, &e) == 0 && !f->failed && !up_stopped(f->u))
        (void)!check_unmoved(fd, &f->st, f->u->source_offset, &e);
    stream_over(f, &e);
}

static void whole_file(struct source *s, const char *local, const char *dest,
                       const struct stat *st, bool follow)
{
    struct up *u = s->u;
    uint64_t size = (uint64_t)st->st_size;
    struct up_file *f;

    if (!file_room(u, size))
        return;
    f = file_new(u, local, dest, st, true);
    f->held = size;
    f->follow = follow;
    u->x.bytes_known += size;
    up_gather_add(&u->to_hash, f);
}

static void long_file(struct source *s, const char *local, const char *dest, bool follow)
{
    struct up *u = s->u;
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO_CLOSE int fd = up_open(local, follow, &e);
    struct up_file *f;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st))
        sx_err_errno(&e, errno, "stat");
    else if (fd >= 0 && !S_ISREG(st.st_mode))
        sx_err_set(&e, SX_EUNSUPPORTED, "is not a regular file");
    if (e.code != SX_OK) {
        source_note(s, SX_NOTE_FAILED, local, 0, &e);
        return;
    }
    up_gather_flush(u, &u->to_hash);
    if (!file_room(u, 0))
        return;
    f = file_new(u, local, dest, &st, false);
    u->x.bytes_known += (uint64_t)st.st_size;
    f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    f->seekable = f->fd >= 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    read_stream(f, fd);
}

static bool unchanged(struct source *s, const char *local, const char *dest, const struct stat *st)
{
    if (!s->item->tree && st->st_size < (off_t)COMPARE_ONE_MIN)
        return false;
    if (!s->item->tree)
        compare_begin(s, dest, 1);
    if (!compare_unchanged(s, dest, st))
        return false;
    s->u->x.files_known++;
    s->u->x.bytes_known += (uint64_t)st->st_size;
    source_note(s, SX_NOTE_UNCHANGED, local, (uint64_t)st->st_size, NULL);
    return true;
}

void source_file(struct source *s, const char *local, const char *dest, bool follow)
{
    struct sx_err e = SX_ERR_INIT;
    struct stat st;

    if (sx_name_path_check(dest, &e)) {
        source_note(s, SX_NOTE_FAILED, local, 0, &e);
        return;
    }
    if (follow ? stat(local, &st) : lstat(local, &st)) {
        sx_err_set(&e, errno == EACCES ? SX_EACCESS : errno == ENOENT ? SX_ENOTFOUND : SX_EIO, "%s",
                   strerror(errno));
        source_note(s, SX_NOTE_FAILED, local, 0, &e);
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        sx_err_set(&e, SX_EUNSUPPORTED, "is not a regular file");
        source_note(s, SX_NOTE_SKIPPED, local, 0, &e);
        return;
    }
    if (unchanged(s, local, dest, &st))
        return;
    source_tell(s);
    if (st.st_size <= (off_t)UP_WHOLE_MAX)
        whole_file(s, local, dest, &st, follow);
    else
        long_file(s, local, dest, follow);
}

/* ---- Pipes --------------------------------------------------------------------------------- */

/* All of it is in the slab and short: as a whole file it is one request. */
static void pipe_whole(struct up_file *f, struct up_slab *s, size_t n)
{
    f->whole = true;
    f->size = n;
    f->content = sx_malloc(n + 1);
    memcpy(f->content, s->data, n);
    up_slab_release(f->u, s);
    up_gather_add(&f->u->to_hash, f);
}

void source_fd(struct source *s, int fd, const char *name, const char *dest)
{
    struct up *u = s->u;
    struct stat st = { .st_mode = S_IFREG | PIPE_MODE };
    struct sx_err e = SX_ERR_INIT;
    struct reader r = { .fd = fd };
    struct up_slab *slab;
    struct up_file *f;
    ssize_t n;

    source_tell(s);
    clock_gettime(CLOCK_REALTIME, &st.st_mtim);
    if (s->item->st) {
        st.st_mode = s->item->st->st_mode;
        st.st_mtim = s->item->st->st_mtim;
    }
    if (!file_room(u, 0))
        return;
    f = file_new(u, name, dest, &st, false);
    u->source_offset = 0;
    slab = slab_get(u);
    n = slab ? read_full(fd, slab->data, UP_SLAB_SIZE) : 0;
    if (n < 0)
        sx_err_errno(&e, errno, "read");
    else if (slab)
        u->x.bytes_known += (uint64_t)n;
    if (slab && n >= 0 && n <= (ssize_t)UP_WHOLE_MAX) {
        pipe_whole(f, slab, (size_t)n);
        return;
    }
    if (slab && n >= 0)
        (void)!read_slabs(f, &r, slab, (size_t)n, n < (ssize_t)UP_SLAB_SIZE, &e);
    else if (slab)
        up_slab_release(u, slab);
    else
        sx_err_set(&e, SX_ECANCELED, "canceled");
    stream_over(f, &e);
}

/* ---- The thread ---------------------------------------------------------------------------- */

static void one_item(struct source *s)
{
    const struct up_source_item *it = s->item;

    if (it->fd >= 0)
        source_fd(s, it->fd, "-", it->dest);
    else if (!strcmp(it->local, "-"))
        source_fd(s, STDIN_FILENO, "-", it->dest);
    else if (it->tree)
        source_walk(s);
    else
        source_file(s, it->local, it->dest, true);
}

void *up_source_run(void *arg)
{
    struct up *u = arg;
    struct source s = { .u = u };

    for (size_t i = 0; i < u->n_items && !up_stopped(u); i++) {
        s.item = &u->items[i];
        if (i + 1 == u->n_items && !s.item->tree && s.item->fd < 0)
            u->x.walking = false; /* its size is known before it is read */
        one_item(&s);
    }
    compare_end(&s);
    source_tell(&s);
    up_gather_flush(u, &u->to_hash);
    sx_work_post(u->x.work, &u->source_end);
    return NULL;
}
