/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See accept.h.  Until it is handed on a connection is a guest: it has a few seconds for what it
 * has to say, and there are not many of them.
 */
#include "fcgi/meta/manager/accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#include "fcgi/meta/manager/address.h"
#include "fcgi/meta/manager/tls.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define HELLO_TIMEOUT_MS 5000u
#define GUESTS_MAX 64u
#define LISTEN_BACKLOG 64

struct guest {
    struct sx_accept *accept;
    struct guest *next;
    struct sx_conn *conn;
    struct sx_timer timer;
    uint64_t id; /* of a fetching node that has said HELLO; else 0 */
};

struct sx_accept {
    struct sx_loop *loop;
    const struct sx_node_conf *conf;
    SSL_CTX *tls;
    const struct sx_accept_ops *ops;
    void *ctx;
    struct sx_watch listener;
    struct guest *guests;
    unsigned n_guests;
};

static void drop_guest(struct guest *g)
{
    struct guest **at = &g->accept->guests;

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    g->accept->n_guests--;
    sx_loop_disarm(g->accept->loop, &g->timer);
    free(g);
}

static int check_hello(const struct sx_accept *a, struct sx_conn *c, const struct sx_frame *f,
                       struct sx_hello *h, struct sx_err *e)
{
    uint64_t id;

    if (sx_hello_get(h, f, e) || sx_tls_peer(sx_conn_ssl(c), &id, e))
        return -1;
    if (id != h->from)
        return sx_err_set(e, SX_ECERT, "certificate of node %016" PRIx64 ", but HELLO of %016" PRIx64,
                          id, h->from);
    if (strcmp(h->cluster, a->conf->cluster) != 0)
        return sx_err_set(e, SX_ECERT, "node %016" PRIx64 " belongs to cluster %s", id, h->cluster);
    if (h->to != a->conf->node || h->from == a->conf->node)
        return sx_err_set(e, SX_ECERT, "node %016" PRIx64 " takes this one for %016" PRIx64, id,
                          h->to);
    return 0;
}

static void guest_refuse(struct guest *g, const struct sx_err *why)
{
    sx_warn("connection from another node refused: %s", why->msg);
    sx_conn_close(g->conn);
    drop_guest(g);
}

static void guest_fetch(struct guest *g, const struct sx_frame *f)
{
    struct sx_accept *a = g->accept;
    struct sx_err e = SX_ERR_INIT;
    uint64_t id = g->id;
    int fd;
    SSL *ssl;

    if (f->type != SX_FRAME_FETCH || f->word != id) {
        sx_err_set(&e, SX_EMALFORMED, "frame of type %u instead of FETCH", f->type);
        guest_refuse(g, &e);
    } else if (sx_conn_detach(g->conn, &fd, &ssl, &e)) {
        guest_refuse(g, &e);
    } else {
        drop_guest(g);
        a->ops->on_fetch(a->ctx, id, f, fd, ssl);
    }
}

static void guest_frame(struct sx_conn *c, void *ctx, const struct sx_frame *f)
{
    struct guest *g = ctx;
    struct sx_accept *a = g->accept;
    struct sx_hello h;
    struct sx_err e = SX_ERR_INIT;

    if (g->id)
        guest_fetch(g, f);
    else if (check_hello(a, c, f, &h, &e))
        guest_refuse(g, &e);
    else if (h.purpose == SX_HELLO_FETCH)
        g->id = h.from;
    else if (a->ops->on_link(a->ctx, c, &h, &e))
        guest_refuse(g, &e);
    else
        drop_guest(g);
}

static void guest_closed(struct sx_conn *c, void *ctx, const struct sx_err *why)
{
    if (why->code == SX_ECERT)
        sx_warn("connection from another node refused: %s", why->msg);
    drop_guest(ctx);
}

static const struct sx_conn_ops guest_ops = { NULL, guest_frame, guest_closed };

static void guest_timer(void *ctx)
{
    struct guest *g = ctx;

    sx_conn_close(g->conn);
    drop_guest(g);
}

static void accept_ready(void *ctx, uint32_t events)
{
    struct sx_accept *a = ctx;
    struct sx_conn_params params = { .ops = &guest_ops,
                                     .tls = a->tls,
                                     .frame_max = SX_FRAME_LINK_MAX,
                                     .backlog_max = SX_FRAME_HEADER };
    struct sx_err e = SX_ERR_INIT;
    struct guest *g;
    int fd = accept4(a->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (a->n_guests >= GUESTS_MAX) {
        close(fd);
        return;
    }
    g = sx_calloc(1, sizeof *g);
    g->accept = a;
    g->timer = (struct sx_timer){ .fn = guest_timer, .ctx = g };
    params.ctx = g;
    g->conn = sx_conn_accepted(a->loop, fd, &params, &e);
    if (!g->conn) {
        sx_warn("accepting a link: %s", e.msg);
        free(g);
        return;
    }
    g->next = a->guests;
    a->guests = g;
    a->n_guests++;
    sx_loop_arm(a->loop, &g->timer, sx_loop_now_ms(a->loop) + HELLO_TIMEOUT_MS);
}

/* The socket to listen on: this node's address if it is a number, else all addresses, since what
 * a name stands for may be another machine's address that forwards to here. */
static int listen_socket(const struct sx_node_conf *conf, struct sx_err *e)
{
    struct sockaddr_storage at = { 0 };
    struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(conf->peer_port) };
    char address[SX_HELLO_ADDRESS_MAX + 1];
    socklen_t len;
    int on = 1;
    int fd;

    sx_address_text(address, conf->address, conf->peer_port);
    if (sx_address_find(address, AI_NUMERICHOST, &at, &len, NULL)) {
        memcpy(&at, &any, sizeof any);
        len = sizeof any;
    }
    fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&at, len) || listen(fd, LISTEN_BACKLOG)) {
        sx_err_errno(e, errno, "listening for other nodes on %s", address);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

struct sx_accept *sx_accept_new(struct sx_loop *loop, const struct sx_node_conf *conf, SSL_CTX *tls,
                                const struct sx_accept_ops *ops, void *ctx, struct sx_err *e)
{
    struct sx_accept *a = sx_calloc(1, sizeof *a);

    a->loop = loop;
    a->conf = conf;
    a->tls = tls;
    a->ops = ops;
    a->ctx = ctx;
    a->listener = (struct sx_watch){ .fn = accept_ready, .ctx = a };
    a->listener.fd = listen_socket(conf, e);
    if (a->listener.fd < 0 || sx_loop_watch(loop, &a->listener, EPOLLIN, e)) {
        sx_accept_free(a);
        return NULL;
    }
    return a;
}

void sx_accept_free(struct sx_accept *a)
{
    if (!a)
        return;
    while (a->guests) {
        sx_conn_close(a->guests->conn);
        drop_guest(a->guests);
    }
    if (a->listener.fd >= 0) {
        sx_loop_unwatch(a->loop, &a->listener);
        close(a->listener.fd);
    }
    free(a);
}
