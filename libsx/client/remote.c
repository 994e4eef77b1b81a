/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Copies from a volume to a volume.  Inside a cluster a copy is one request a file, many at a
 * time.  Between clusters (or as two users) each file streams through: one thread reads it into a
 * socket, the other uploads from it.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libsx/client/copy.h"
#include "libsx/client/down.h"
#include "libsx/client/ops.h"
#include "libsx/client/up.h"

#define COPIES_MAX 32
#define STEP_MS 100u
#define ANSWER_MAX (1u << 20)

struct remote {
    struct sx_xfer x;
    const struct copy_place *from, *to;
    unsigned out;
};

/* ---- Inside a cluster ---------------------------------------------------------------------- */

struct one {
    struct remote *r;
    struct sx_call call;
    struct sx_buf body, answer;
    uint64_t size;
    char name[];
};

static void one_done(void *arg, struct sx_call *call)
{
    struct one *o = arg;
    SX_AUTO_JSON json_t *j = NULL;
    struct sx_file_info f = { 0 };
    struct sx_err e = call->err;

    o->r->out--;
    if (e.code == SX_OK && (j = sx_json_parse(o->answer.data, o->answer.len, &e)))
        (void)!sx_file_read(j, &f, &e);
    if (e.code == SX_OK) {
        o->r->x.stats->reused += f.size;
        o->r->x.bytes_done += f.size;
    }
    sx_xfer_note(&o->r->x, e.code == SX_OK ? SX_NOTE_COPIED : SX_NOTE_FAILED, o->name, f.size, &e);
    sx_call_fini(call);
    sx_buf_fini(&o->body);
    sx_buf_fini(&o->answer);
    free(o);
}

static void copy_one(struct remote *r, const char *from, const char *to, uint64_t size)
{
    SX_AUTO_JSON json_t *j = json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "from", "volume",
                                       r->from->uri.volume, "path", from, "to", "volume",
                                       r->to->uri.volume, "path", to);
    struct sx_err e = SX_ERR_INIT;
    struct one *o;

    r->x.files_known++;
    r->x.bytes_known += size;
    if (sx_name_path_check(to, &e) ||
        (!strcmp(from, to) && !strcmp(r->from->uri.volume, r->to->uri.volume) &&
         sx_err_set(&e, SX_EINVAL, "is both source and destination"))) {
        sx_xfer_note(&r->x, SX_NOTE_FAILED, from, size, &e);
        return;
    }
    o = sx_calloc(1, sizeof *o + strlen(from) + 1);
    o->r = r;
    strcpy(o->name, from);
    sx_json_dump(&o->body, j);
    sx_call_init(&o->call, "POST", sx_strdup(SX_API "/copy"));
    o->call.type = SX_HTTP_JSON;
    o->call.body[0] = (struct iovec){ o->body.data, o->body.len };
    o->call.n_body = 1;
    o->call.answer = &o->answer;
    o->call.answer_max = ANSWER_MAX;
    o->call.done = one_done;
    o->call.arg = o;
    r->out++;
    sx_call_start(r->x.k, &o->call);
}

/* ---- Between clusters ---------------------------------------------------------------------- */

struct reader {
    const struct copy_place *from;
    const char *path;
    int fd;
    struct sx_err err;
};

static int into_socket(void *arg, const void *data, size_t n)
{
    const struct reader *rd = arg;
    const char *p = data;

    while (n > 0) {
        ssize_t w = send(rd->fd, p, n, MSG_NOSIGNAL);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static void *read_source(void *arg)
{
    struct reader *rd = arg;

    (void)!sx_read(rd->from->cluster, rd->from->uri.volume, rd->path, into_socket, rd, &rd->err);
    close(rd->fd);
    return NULL;
}

/* The end of the stream does not tell whether the source broke off: so the upload goes to a name of
 * its own, and is renamed into place when the reader has said that all was well. */
static int stream_to(struct remote *r, const char *from, const char *to, const struct stat *st,
                     struct sx_err *e)
{
    SX_AUTO_FREE char *temp = sx_asprintf(".sx-%d.part", (int)getpid());
    struct reader rd = { r->from, from, -1, SX_ERR_INIT };
    struct up_source_item it = { .local = "-", .dest = temp, .st = st };
    struct sx_copy_options quiet;
    struct sx_copy_stats stats = { 0 };
    pthread_t thread;
    int fds[2], result;

    sx_copy_options_init(&quiet);
    if (sx_name_path_check(to, e))
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return sx_err_errno(e, errno, "socket pair");
    rd.fd = fds[1];
    it.fd = fds[0];
    sx_assert(pthread_create(&thread, NULL, read_source, &rd) == 0);
    result = sx_upload(r->to->cluster, r->to->uri.volume, &it, 1, &quiet, &stats, e);
    close(fds[0]);
    pthread_join(thread, NULL);
    r->x.stats->moved += stats.moved;
    r->x.stats->reused += stats.reused;
    if (result == 0 && rd.err.code != SX_OK) {
        sx_err_copy(e, &rd.err);
        result = -1;
        (void)!sx_remove(r->to->cluster, r->to->uri.volume, temp, NULL);
    }
    return result ? -1 : sx_rename(r->to->cluster, r->to->uri.volume, temp, r->to->uri.volume, to,
                                   e);
}

static void stream_one(struct remote *r, const struct sx_file_info *f, const char *to)
{
    const struct stat st = { .st_mode = S_IFREG | f->mode,
                             .st_mtim = { f->mtime_ns / 1000000000, f->mtime_ns % 1000000000 } };
    SX_AUTO_FREE char *from = sx_strdup(f->path);
    uint64_t size = f->size;
    struct sx_err e = SX_ERR_INIT;
    int result;

    r->x.files_known++;
    r->x.bytes_known += size;
    result = stream_to(r, from, to, &st, &e);
    if (result == 0)
        r->x.bytes_done += size;
    sx_xfer_note(&r->x, result ? SX_NOTE_FAILED : SX_NOTE_COPIED, from, size, &e);
    sx_xfer_step(&r->x, 0);
}

/* ---- Items --------------------------------------------------------------------------------- */

static bool one_cluster(const struct remote *r)
{
    return r->from->cluster == r->to->cluster;
}

static void copy_file(struct remote *r, const struct sx_file_info *f, const char *to)
{
    if (!one_cluster(r)) {
        stream_one(r, f, to);
        return;
    }
    while (r->out >= COPIES_MAX && !r->x.stop)
        sx_xfer_step(&r->x, STEP_MS);
    if (!r->x.stop)
        copy_one(r, f->path, to, f->size);
}

static void copy_tree(struct remote *r, const struct copy_item *it)
{
    const struct sx_list_options lo = { .prefix = it->from, .recursive = true };
    struct sx_err e = SX_ERR_INIT;
    struct sx_listing *l;
    struct sx_file_info f;
    int result = 0;

    /* The listing would show what is being made, for ever. */
    if (r->from->cluster == r->to->cluster && !strcmp(r->from->uri.volume, r->to->uri.volume) &&
        !strncmp(it->to, it->from, strlen(it->from))) {
        sx_err_set(&e, SX_EINVAL, "a directory cannot be copied into itself");
        sx_xfer_note(&r->x, SX_NOTE_FAILED, r->from->text, 0, &e);
        return;
    }
    if (sx_list_open(r->from->cluster, r->from->uri.volume, &lo, &l, &e)) {
        sx_xfer_fail(&r->x, &e);
        return;
    }
    while (!r->x.stop && (result = sx_list_next(l, &f, &e)) == 1) {
        const char *rel = f.path + strlen(it->from);
        SX_AUTO_FREE char *to = sx_asprintf("%s%s", it->to, rel);

        if (sx_filter_wants(r->x.o, rel, false))
            copy_file(r, &f, to);
        else
            sx_xfer_note(&r->x, SX_NOTE_SKIPPED, f.path, f.size, NULL);
    }
    sx_list_free(l);
    if (!r->x.stop && result < 0)
        sx_xfer_fail(&r->x, &e);
}

struct named {
    struct remote *r;
    const struct copy_item *it;
};

static int copy_known(void *arg, const struct sx_file_info *f)
{
    const struct named *n = arg;

    copy_file(n->r, f, n->it->to);
    return 0;
}

static void copy_named(struct remote *r, const struct copy_item *it)
{
    struct named n = { r, it };
    const struct sx_file_info f = { .path = it->from };
    struct sx_err e = SX_ERR_INIT;

    if (one_cluster(r))
        copy_file(r, &f, it->to);
    else if (sx_stat(r->from->cluster, r->from->uri.volume, it->from, copy_known, &n, &e))
        sx_xfer_note(&r->x, SX_NOTE_FAILED, it->from, 0, &e);
}

int sx_copy_remote(const struct copy_place *from, const struct copy_place *to,
                   const struct copy_items *items, const struct sx_copy_options *o,
                   struct sx_copy_stats *stats, struct sx_err *e)
{
    struct remote r = { .from = from, .to = to };

    sx_xfer_init(&r.x, to->cluster, o, stats, UP_BATCH_BYTES, UP_BATCHES);
    for (size_t i = 0; i < items->n && !r.x.stop; i++)
        (items->list[i].tree ? copy_tree : copy_named)(&r, &items->list[i]);
    r.x.walking = false;
    while (r.out > 0 || (one_cluster(&r) && r.x.k->calls > 0)) {
        if (r.x.stop)
            sx_cluster_stop(r.x.k);
        sx_xfer_step(&r.x, STEP_MS);
    }
    return sx_xfer_fini(&r.x, e);
}
