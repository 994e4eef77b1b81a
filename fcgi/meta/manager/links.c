/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See links.h.  A peer's own connection:
 *
 *   IDLE --timer--> RESOLVING --address--> CONNECTING --handshake, identity checked, HELLO sent--> UP
 *   any --error, time-out--> IDLE, timer set to the back-off
 *
 * An accepted connection is a guest until its HELLO was checked; then it becomes its peer's `in`,
 * and replaces an older one.
 */
#include "fcgi/meta/manager/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#include "fcgi/meta/manager/exec.h"
#include "fcgi/meta/manager/tls.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define BACKLOG_MAX (64u << 20)
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u
#define CONNECT_TIMEOUT_MS 3000u
#define HELLO_TIMEOUT_MS 5000u
#define ALIVE_MS 1000u
#define SILENT_MAX_MS 5000u /* nothing heard, not even ALIVE: the other machine is gone */
#define GUESTS_MAX 64u
#define LISTEN_BACKLOG 64

enum peer_state { IDLE, RESOLVING, CONNECTING, UP };

struct peer {
    struct sx_links *links;
    struct peer *next;
    uint64_t id;
    char address[SX_HELLO_ADDRESS_MAX + 1];
    enum peer_state state;
    struct sx_conn *out, *in;
    struct sx_timer timer; /* IDLE: try again; CONNECTING: give up */
    unsigned backoff_ms;
    bool complained; /* the reason of the failure was logged once */
    uint64_t heard_ms;
    /* Name resolution, in its own thread. */
    struct sx_task resolve;
    char resolving[SX_HELLO_ADDRESS_MAX + 1];
    struct sockaddr_storage to;
    socklen_t to_len; /* 0: not found */
    bool dropped;     /* free it when the resolver is done */
};

struct guest {
    struct sx_links *links;
    struct guest *next;
    struct sx_conn *conn;
    struct sx_timer timer;
    uint64_t id; /* of a fetching node that has said HELLO; else 0 */
};

struct sx_links {
    struct sx_loop *loop;
    const struct sx_node_conf *conf;
    SSL_CTX *tls;
    const struct sx_links_ops *ops;
    void *ctx;
    char address[SX_HELLO_ADDRESS_MAX + 1];
    struct sx_watch listener;
    struct sx_exec *resolver;
    struct sx_timer alive;
    struct peer *peers;
    unsigned n_peers;
    struct guest *guests;
    unsigned n_guests;
};

int sx_address_split(const char *address, char *host, char *port, size_t port_size)
{
    const char *colon = strrchr(address, ':');
    const char *from = address;
    size_t n;

    if (!colon || colon == address || strlen(colon + 1) == 0 || strlen(colon + 1) >= port_size)
        return -1;
    n = (size_t)(colon - address);
    if (address[0] == '[') {
        if (n < 3 || address[n - 1] != ']')
            return -1;
        from++;
        n -= 2;
    }
    if (n > SX_HELLO_ADDRESS_MAX)
        return -1;
    memcpy(host, from, n);
    host[n] = '\0';
    strcpy(port, colon + 1);
    return 0;
}

static int find_address(const char *address, int flags, struct sockaddr_storage *to, socklen_t *len)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICSERV | flags };
    struct addrinfo *ai = NULL;
    char host[SX_HELLO_ADDRESS_MAX + 1], port[8];

    *len = 0;
    if (sx_address_split(address, host, port, sizeof port) || getaddrinfo(host, port, &hints, &ai))
        return -1;
    memcpy(to, ai->ai_addr, ai->ai_addrlen);
    *len = ai->ai_addrlen;
    freeaddrinfo(ai);
    return 0;
}

/* ---- peers: the connections that this node makes ---- */

static struct peer *find_peer(const struct sx_links *l, uint64_t id)
{
    struct peer *p = l->peers;

    while (p && p->id != id)
        p = p->next;
    return p;
}

static void try_later(struct peer *p, const struct sx_err *why)
{
    bool was_up = p->state == UP;

    sx_conn_close(p->out);
    p->out = NULL;
    p->state = IDLE;
    if (why && (was_up || !p->complained))
        sx_warn("link to node %016" PRIx64 " at %s: %s", p->id, p->address, why->msg);
    p->complained = true;
    sx_loop_arm(p->links->loop, &p->timer, sx_loop_now_ms(p->links->loop) + p->backoff_ms);
    p->backoff_ms = p->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : p->backoff_ms * 2;
    if (was_up)
        p->links->ops->on_link(p->links->ctx, p->id, false);
}

static void say_hello(struct peer *p)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_hello h = { .from = p->links->conf->node, .to = p->id, .purpose = SX_HELLO_LINK };
    struct sx_frame f;

    memcpy(h.cluster, p->links->conf->cluster, sizeof h.cluster);
    memcpy(h.address, p->links->address, sizeof h.address);
    sx_hello_put(&b, &h);
    if (sx_frame_head(&f, b.data, SX_FRAME_LINK_MAX, NULL) == 0) {
        f.body = b.data + SX_FRAME_HEADER;
        sx_conn_send(p->out, &f);
    }
}

static void out_open(struct sx_conn *c, void *ctx)
{
    struct peer *p = ctx;
    struct sx_err e = SX_ERR_INIT;
    uint64_t id;

    if (sx_tls_peer(sx_conn_ssl(c), &id, &e)) {
        try_later(p, &e);
        return;
    }
    if (id != p->id) {
        sx_err_set(&e, SX_ECERT, "node %016" PRIx64 " answered", id);
        try_later(p, &e);
        return;
    }
    sx_loop_disarm(p->links->loop, &p->timer);
    p->state = UP;
    p->backoff_ms = BACKOFF_MIN_MS;
    p->complained = false;
    say_hello(p);
    sx_info("link to node %016" PRIx64 " at %s is up", p->id, p->address);
    p->links->ops->on_link(p->links->ctx, p->id, true);
}

/* Nothing is said on this connection from the other side. */
static void out_frame(struct sx_conn *c, void *ctx, const struct sx_frame *f)
{
    struct sx_err e = SX_ERR_INIT;

    sx_err_set(&e, SX_EMALFORMED, "unexpected frame of type %u", f->type);
    try_later(ctx, &e);
}

static void out_closed(struct sx_conn *c, void *ctx, const struct sx_err *why)
{
    struct peer *p = ctx;

    p->out = NULL;
    try_later(p, why);
}

static const struct sx_conn_ops out_ops = { out_open, out_frame, out_closed };

static void connect_peer(struct peer *p)
{
    struct sx_conn_params params = { .ops = &out_ops,
                                     .ctx = p,
                                     .tls = p->links->tls,
                                     .frame_max = 0,
                                     .backlog_max = BACKLOG_MAX };
    struct sx_err e = SX_ERR_INIT;

    if (p->to_len == 0) {
        sx_err_set(&e, SX_ENET, "the address cannot be resolved");
        try_later(p, &e);
        return;
    }
    p->state = CONNECTING;
    p->out = sx_conn_connect(p->links->loop, (struct sockaddr *)&p->to, p->to_len, &params, &e);
    if (!p->out)
        try_later(p, &e);
    else
        sx_loop_arm(p->links->loop, &p->timer,
                    sx_loop_now_ms(p->links->loop) + CONNECT_TIMEOUT_MS);
}

static void resolve_run(void *ctx)
{
    struct peer *p = ctx;

    if (find_address(p->resolving, 0, &p->to, &p->to_len))
        p->to_len = 0;
}

static void resolve_done(void *ctx)
{
    struct peer *p = ctx;

    if (p->dropped)
        free(p);
    else if (strcmp(p->resolving, p->address) != 0) /* it has moved meanwhile */
        try_later(p, NULL);
    else
        connect_peer(p);
}

static void peer_timer(void *ctx)
{
    struct peer *p = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (p->state == CONNECTING) {
        sx_err_set(&e, SX_ETIMEOUT, "no connection within %u ms", CONNECT_TIMEOUT_MS);
        try_later(p, &e);
    } else if (p->state == IDLE) {
        if (find_address(p->address, AI_NUMERICHOST, &p->to, &p->to_len) == 0) {
            connect_peer(p);
            return;
        }
        p->state = RESOLVING;
        memcpy(p->resolving, p->address, sizeof p->resolving);
        sx_exec_run(p->links->resolver, &p->resolve);
    }
}

static struct peer *add_peer(struct sx_links *l, uint64_t id)
{
    struct peer *p;

    if (l->n_peers >= SX_PEERS_MAX)
        return NULL;
    p = sx_calloc(1, sizeof *p);
    p->links = l;
    p->id = id;
    p->backoff_ms = BACKOFF_MIN_MS;
    p->timer = (struct sx_timer){ .fn = peer_timer, .ctx = p };
    p->resolve = (struct sx_task){ .run = resolve_run, .done = resolve_done, .ctx = p };
    p->next = l->peers;
    l->peers = p;
    l->n_peers++;
    return p;
}

void sx_links_need(struct sx_links *l, uint64_t id, const char *address)
{
    struct peer *p = find_peer(l, id);
    size_t n = strlen(address);

    if (id == l->conf->node || n == 0 || n > SX_HELLO_ADDRESS_MAX ||
        (p && strcmp(p->address, address) == 0))
        return;
    if (!p && !(p = add_peer(l, id)))
        return;
    memcpy(p->address, address, n + 1);
    p->backoff_ms = BACKOFF_MIN_MS;
    p->complained = false;
    if (p->state == UP || p->state == CONNECTING)
        try_later(p, NULL);
    if (p->state == IDLE)
        sx_loop_arm(l->loop, &p->timer, sx_loop_now_ms(l->loop));
}

static void drop_peer(struct peer *p)
{
    sx_conn_close(p->out);
    sx_conn_close(p->in);
    sx_loop_disarm(p->links->loop, &p->timer);
    if (p->resolve.busy)
        p->dropped = true;
    else
        free(p);
}

void sx_links_prune(struct sx_links *l, bool (*keep)(void *ctx, uint64_t id), void *ctx)
{
    struct peer **at = &l->peers;

    while (*at) {
        struct peer *p = *at;

        if (p->in || keep(ctx, p->id)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        l->n_peers--;
        drop_peer(p);
    }
}

/* ---- guests and their promotion: the connections that this node accepts ---- */

static void drop_guest(struct guest *g)
{
    struct guest **at = &g->links->guests;

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    g->links->n_guests--;
    sx_loop_disarm(g->links->loop, &g->timer);
    free(g);
}

static void in_frame(struct sx_conn *c, void *ctx, const struct sx_frame *f)
{
    struct peer *p = ctx;

    p->heard_ms = sx_loop_now_ms(p->links->loop);
    if (f->word != p->id) {
        sx_warn("node %016" PRIx64 " sent a frame in the name of %016" PRIx64, p->id, f->word);
        p->in = NULL;
        sx_conn_close(c);
    } else if (f->type != SX_FRAME_ALIVE) {
        p->links->ops->on_frame(p->links->ctx, p->id, f);
    }
}

static void in_closed(struct sx_conn *c, void *ctx, const struct sx_err *why)
{
    struct peer *p = ctx;

    p->in = NULL;
}

static const struct sx_conn_ops in_ops = { NULL, in_frame, in_closed };

static int check_hello(const struct sx_links *l, struct sx_conn *c, const struct sx_frame *f,
                       struct sx_hello *h, struct sx_err *e)
{
    uint64_t id;

    if (sx_hello_get(h, f, e) || sx_tls_peer(sx_conn_ssl(c), &id, e))
        return -1;
    if (id != h->from)
        return sx_err_set(e, SX_ECERT, "certificate of node %016" PRIx64 ", but HELLO of %016" PRIx64,
                          id, h->from);
    if (strcmp(h->cluster, l->conf->cluster) != 0)
        return sx_err_set(e, SX_ECERT, "node %016" PRIx64 " belongs to cluster %s", id, h->cluster);
    if (h->to != l->conf->node || h->from == l->conf->node)
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
    struct sx_links *l = g->links;
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
        l->ops->on_fetch(l->ctx, id, f, fd, ssl);
    }
}

static void guest_frame(struct sx_conn *c, void *ctx, const struct sx_frame *f)
{
    struct guest *g = ctx;
    struct sx_links *l = g->links;
    struct sx_hello h;
    struct sx_err e = SX_ERR_INIT;
    struct peer *p;

    if (g->id) {
        guest_fetch(g, f);
        return;
    }
    if (check_hello(l, c, f, &h, &e)) {
        guest_refuse(g, &e);
        return;
    }
    if (h.purpose == SX_HELLO_FETCH) {
        g->id = h.from;
        return;
    }
    if (!find_peer(l, h.from))
        sx_links_need(l, h.from, h.address);
    p = find_peer(l, h.from);
    if (!p) {
        sx_err_set(&e, SX_ETOOMANY, "links to %u nodes exist already", SX_PEERS_MAX);
        guest_refuse(g, &e);
        return;
    }
    drop_guest(g);
    sx_conn_close(p->in);
    p->in = c;
    p->heard_ms = sx_loop_now_ms(l->loop);
    sx_conn_set_ctx(c, &in_ops, p);
    /* It is up: no need to wait for the end of a long back-off. */
    if (p->state == IDLE) {
        p->backoff_ms = BACKOFF_MIN_MS;
        sx_loop_arm(l->loop, &p->timer, sx_loop_now_ms(l->loop));
    }
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
    struct sx_links *l = ctx;
    struct sx_conn_params params = { .ops = &guest_ops,
                                     .tls = l->tls,
                                     .frame_max = SX_FRAME_LINK_MAX,
                                     .backlog_max = SX_FRAME_HEADER };
    struct sx_err e = SX_ERR_INIT;
    struct guest *g;
    int fd = accept4(l->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (l->n_guests >= GUESTS_MAX) {
        close(fd);
        return;
    }
    g = sx_calloc(1, sizeof *g);
    g->links = l;
    g->timer = (struct sx_timer){ .fn = guest_timer, .ctx = g };
    params.ctx = g;
    g->conn = sx_conn_accepted(l->loop, fd, &params, &e);
    if (!g->conn) {
        sx_warn("accepting a link: %s", e.msg);
        free(g);
        return;
    }
    g->next = l->guests;
    l->guests = g;
    l->n_guests++;
    sx_loop_arm(l->loop, &g->timer, sx_loop_now_ms(l->loop) + HELLO_TIMEOUT_MS);
}

/* ---- the whole ---- */

static void alive(void *ctx)
{
    struct sx_links *l = ctx;

    for (struct peer *p = l->peers; p; p = p->next) {
        if (p->state == UP)
            sx_links_send(l, p->id, SX_FRAME_ALIVE, 0, NULL, 0);
        if (p->in && sx_loop_now_ms(l->loop) - p->heard_ms > SILENT_MAX_MS) {
            sx_conn_close(p->in);
            p->in = NULL;
        }
    }
    sx_loop_arm(l->loop, &l->alive, sx_loop_now_ms(l->loop) + ALIVE_MS);
}

bool sx_links_send(struct sx_links *l, uint64_t to, uint16_t type, uint16_t group, const void *body,
                   size_t n)
{
    struct peer *p = find_peer(l, to);
    struct sx_frame f = {
        .type = type, .group = group, .word = l->conf->node, .body = body, .len = (uint32_t)n
    };

    sx_assert(n <= SX_FRAME_LINK_MAX);
    return p && p->state == UP && sx_conn_send(p->out, &f);
}

const char *sx_links_address_of(const struct sx_links *l, uint64_t id)
{
    const struct peer *p = find_peer(l, id);

    return p && p->address[0] ? p->address : NULL;
}

bool sx_links_up(const struct sx_links *l, uint64_t to)
{
    const struct peer *p = find_peer(l, to);

    return p && p->state == UP;
}

bool sx_links_info(const struct sx_links *l, unsigned i, struct sx_link_info *info)
{
    const struct peer *p = l->peers;

    while (p && i-- > 0)
        p = p->next;
    if (!p)
        return false;
    *info = (struct sx_link_info){ .id = p->id,
                                   .connected = p->state == UP && p->in,
                                   .silent_ms = UINT64_MAX };
    if (p->heard_ms)
        info->silent_ms = sx_loop_now_ms(l->loop) - p->heard_ms;
    return true;
}

const char *sx_links_address(const struct sx_links *l)
{
    return l->address;
}

/* The socket to listen on: this node's address if it is a number, else all addresses, since what
 * a name stands for may be another machine's address that forwards to here. */
static int listen_socket(const struct sx_links *l, struct sx_err *e)
{
    struct sockaddr_storage at = { 0 };
    struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(l->conf->peer_port) };
    socklen_t len;
    int on = 1;
    int fd;

    if (find_address(l->address, AI_NUMERICHOST, &at, &len)) {
        memcpy(&at, &any, sizeof any);
        len = sizeof any;
    }
    fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&at, len) || listen(fd, LISTEN_BACKLOG)) {
        sx_err_errno(e, errno, "listening for other nodes on %s", l->address);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

struct sx_links *sx_links_new(struct sx_loop *loop, const struct sx_node_conf *conf, SSL_CTX *tls,
                              const struct sx_links_ops *ops, void *ctx, struct sx_err *e)
{
    struct sx_links *l = sx_calloc(1, sizeof *l);
    bool v6 = strchr(conf->address, ':') != NULL;

    l->loop = loop;
    l->conf = conf;
    l->tls = tls;
    l->ops = ops;
    l->ctx = ctx;
    l->alive = (struct sx_timer){ .fn = alive, .ctx = l };
    l->listener = (struct sx_watch){ .fd = -1, .fn = accept_ready, .ctx = l };
    snprintf(l->address, sizeof l->address, v6 ? "[%s]:%u" : "%s:%u", conf->address,
             conf->peer_port);
    l->listener.fd = listen_socket(l, e);
    if (l->listener.fd < 0 || sx_loop_watch(loop, &l->listener, EPOLLIN, e) ||
        !(l->resolver = sx_exec_new(loop, "sx-resolve", e))) {
        sx_links_free(l);
        return NULL;
    }
    sx_loop_arm(loop, &l->alive, sx_loop_now_ms(loop) + ALIVE_MS);
    return l;
}

void sx_links_free(struct sx_links *l)
{
    if (!l)
        return;
    sx_exec_free(l->resolver);
    while (l->guests) {
        sx_conn_close(l->guests->conn);
        drop_guest(l->guests);
    }
    while (l->peers) {
        struct peer *p = l->peers;

        l->peers = p->next;
        p->resolve.busy = false;
        drop_peer(p);
    }
    sx_loop_disarm(l->loop, &l->alive);
    if (l->listener.fd >= 0) {
        sx_loop_unwatch(l->loop, &l->listener);
        close(l->listener.fd);
    }
    free(l);
}
