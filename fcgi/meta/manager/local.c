/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See local.h.
 */
#include "fcgi/meta/manager/local.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define BACKLOG_MAX (16u << 20)
#define LISTEN_BACKLOG 256

struct sx_client {
    struct sx_local *local;
    struct sx_conn *conn; /* NULL: gone */
    unsigned asked;       /* requests without answer; the struct lives as long as there are some */
    struct sx_client *next, **prev;
};

struct sx_local {
    struct sx_loop *loop;
    char *path;
    sx_local_fn *fn;
    void *ctx;
    struct sx_watch listener;
    struct sx_client *clients;
    unsigned n_clients;
};

/* Takes a client off the list; frees it if nothing refers to it. */
static void client_gone(struct sx_client *c)
{
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->local->n_clients--;
    c->conn = NULL;
    if (c->asked == 0)
        free(c);
}

static void client_closed(struct sx_conn *conn, void *ctx, const struct sx_err *why)
{
    client_gone(ctx);
}

static void client_frame(struct sx_conn *conn, void *ctx, const struct sx_frame *f)
{
    struct sx_client *c = ctx;

    if (f->type < SX_FRAME_SUBMIT || f->type > SX_FRAME_ROLE || c->asked >= SX_LOCAL_ASKED_MAX) {
        sx_warn("local client: frame of type %u with %u requests waiting", f->type, c->asked);
        sx_conn_close(conn);
        client_gone(c);
        return;
    }
    c->asked++;
    c->local->fn(c->local->ctx, (struct sx_asker){ c, f->word }, f);
}

static const struct sx_conn_ops client_ops = { NULL, client_frame, client_closed };

static void accept_ready(void *ctx, uint32_t events)
{
    struct sx_local *l = ctx;
    struct sx_conn_params params = { .ops = &client_ops,
                                     .frame_max = SX_FRAME_LOCAL_MAX,
                                     .backlog_max = BACKLOG_MAX };
    struct sx_err e = SX_ERR_INIT;
    struct sx_client *c;
    int fd = accept4(l->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (l->n_clients >= SX_LOCAL_CLIENTS_MAX) {
        close(fd);
        return;
    }
    c = sx_calloc(1, sizeof *c);
    c->local = l;
    params.ctx = c;
    c->conn = sx_conn_accepted(l->loop, fd, &params, &e);
    if (!c->conn) {
        sx_warn("accepting a local client: %s", e.msg);
        free(c);
        return;
    }
    c->next = l->clients;
    c->prev = &l->clients;
    if (c->next)
        c->next->prev = &c->next;
    l->clients = c;
    l->n_clients++;
}

static int listen_socket(const char *path, struct sx_err *e)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof at.sun_path)
        return sx_err_set(e, SX_ECONFIG, "the path of the socket %s is longer than %zu bytes", path,
                          sizeof at.sun_path - 1);
    strcpy(at.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (unlink(path) && errno != ENOENT) ||
        bind(fd, (struct sockaddr *)&at, sizeof at) || chmod(path, 0600) ||
        listen(fd, LISTEN_BACKLOG)) {
        sx_err_errno(e, errno, "listening on %s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

struct sx_local *sx_local_new(struct sx_loop *loop, const char *path, sx_local_fn *fn, void *ctx,
                              struct sx_err *e)
{
    struct sx_local *l = sx_calloc(1, sizeof *l);

    l->loop = loop;
    l->path = sx_strdup(path);
    l->fn = fn;
    l->ctx = ctx;
    l->listener = (struct sx_watch){ .fn = accept_ready, .ctx = l };
    l->listener.fd = listen_socket(path, e);
    if (l->listener.fd < 0 || sx_loop_watch(loop, &l->listener, EPOLLIN, e)) {
        sx_local_free(l);
        return NULL;
    }
    return l;
}

void sx_local_free(struct sx_local *l)
{
    if (!l)
        return;
    while (l->clients) {
        struct sx_client *c = l->clients;

        sx_conn_close(c->conn);
        c->asked = 0;
        client_gone(c);
    }
    if (l->listener.fd >= 0) {
        sx_loop_unwatch(l->loop, &l->listener);
        close(l->listener.fd);
        unlink(l->path);
    }
    free(l->path);
    free(l);
}

void sx_local_answer(struct sx_asker who, int code, const void *p, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_frame f = { .type = SX_FRAME_ANSWER, .word = who.tag };
    struct sx_client *c = who.client;

    sx_assert(c->asked > 0);
    c->asked--;
    if (!c->conn) {
        if (c->asked == 0)
            free(c);
        return;
    }
    sx_buf_u32(&b, (uint32_t)code);
    sx_buf_bytes(&b, p, n);
    f.body = b.data;
    f.len = (uint32_t)b.len;
    /* A client that does not read its answers is cut off. */
    if (!sx_conn_send(c->conn, &f)) {
        sx_conn_close(c->conn);
        client_gone(c);
    }
}
