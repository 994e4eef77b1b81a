/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See conn.h.  TLS may hold bytes that epoll does not know of, so reading goes on until OpenSSL
 * wants more from the socket, or, when one peer sends without end, is deferred to the end of the
 * turn.
 */
#include "fcgi/meta/manager/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>

#include "fcgi/meta/manager/tls.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define READ_STEP 65536u
#define UNSENT_TIMEOUT_MS 5000u /* TCP: broken when what was sent is not confirmed for so long */
#define READ_TURN_MAX (1u << 20) /* bytes taken from one connection in one turn */

enum conn_state { CONNECTING, HANDSHAKE, OPEN, DEAD };

struct sx_conn {
    struct sx_loop *loop;
    struct sx_conn_params p;
    enum conn_state state;
    bool server;
    bool want_write; /* TLS must write before it can go on, or the socket is full */
    struct sx_watch watch;
    struct sx_call flush, more, reap;
    SSL *ssl;
    struct sx_buf in, out;
    size_t in_at;  /* end of the frame that is being handed out */
    size_t out_at; /* bytes of `out` that were written */
};

static void die(struct sx_conn *c)
{
    if (c->state == DEAD)
        return;
    c->state = DEAD;
    sx_loop_undefer(c->loop, &c->flush);
    sx_loop_undefer(c->loop, &c->more);
    sx_loop_unwatch(c->loop, &c->watch);
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->watch.fd >= 0)
        close(c->watch.fd);
    c->watch.fd = -1;
    sx_loop_defer(c->loop, &c->reap);
}

static void reap(void *ctx)
{
    struct sx_conn *c = ctx;

    sx_buf_fini(&c->in);
    sx_buf_fini(&c->out);
    free(c);
}

static void fail(struct sx_conn *c, const struct sx_err *why)
{
    if (c->state == DEAD)
        return;
    die(c);
    c->p.ops->on_closed(c, c->p.ctx, why);
}

static void watch_for(struct sx_conn *c)
{
    uint32_t events = EPOLLIN | (c->want_write ? EPOLLOUT : 0u);
    struct sx_err e = SX_ERR_INIT;

    if (c->state == CONNECTING)
        events = EPOLLOUT;
    if (c->state != DEAD && c->watch.events != events &&
        sx_loop_watch(c->loop, &c->watch, events, &e))
        fail(c, &e);
}

/* Result of one attempt to move bytes. */
enum moved { MOVED_SOME, MOVED_LATER, MOVED_END };

static enum moved tls_result(struct sx_conn *c, int r, const char *what, struct sx_err *e)
{
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return MOVED_LATER;
    case SSL_ERROR_WANT_WRITE:
        c->want_write = true;
        return MOVED_LATER;
    case SSL_ERROR_ZERO_RETURN:
        sx_err_set(e, SX_ENET, "closed by the other side");
        return MOVED_END;
    default:
        sx_tls_error(c->ssl, what, e);
        return MOVED_END;
    }
}

static enum moved move_in(struct sx_conn *c, uint8_t *p, size_t n, size_t *got, struct sx_err *e)
{
    ssize_t r;

    if (c->ssl) {
        int done = SSL_read_ex(c->ssl, p, n, got);

        return done ? MOVED_SOME : tls_result(c, done, "receiving", e);
    }
    do
        r = recv(c->watch.fd, p, n, 0);
    while (r < 0 && errno == EINTR);
    if (r > 0) {
        *got = (size_t)r;
        return MOVED_SOME;
    }
    if (r < 0 && errno == EAGAIN)
        return MOVED_LATER;
    if (r == 0)
        sx_err_set(e, SX_ENET, "closed by the other side");
    else
        sx_err_errno(e, errno, "receiving");
    return MOVED_END;
}

static enum moved move_out(struct sx_conn *c, const uint8_t *p, size_t n, size_t *put,
                           struct sx_err *e)
{
    ssize_t r;

    if (c->ssl) {
        int done = SSL_write_ex(c->ssl, p, n, put);

        return done ? MOVED_SOME : tls_result(c, done, "sending", e);
    }
    do
        r = send(c->watch.fd, p, n, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r >= 0) {
        *put = (size_t)r;
        return MOVED_SOME;
    }
    if (errno == EAGAIN) {
        c->want_write = true;
        return MOVED_LATER;
    }
    sx_err_errno(e, errno, "sending");
    return MOVED_END;
}

static void flush(void *ctx)
{
    struct sx_conn *c = ctx;
    struct sx_err e = SX_ERR_INIT;
    enum moved m = MOVED_SOME;

    if (c->state != OPEN)
        return;
    c->want_write = false;
    while (m == MOVED_SOME && c->out_at < c->out.len) {
        size_t put = 0;

        m = move_out(c, c->out.data + c->out_at, c->out.len - c->out_at, &put, &e);
        if (m == MOVED_SOME)
            c->out_at += put;
    }
    if (c->out_at == c->out.len || c->out_at > READ_TURN_MAX) {
        sx_buf_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
    if (m == MOVED_END)
        fail(c, &e);
    else
        watch_for(c);
}

/* Hands out the whole frames in `in`. */
static void deliver(struct sx_conn *c)
{
    size_t at = 0;
    struct sx_err e = SX_ERR_INIT;
    struct sx_frame f;

    while (c->state == OPEN && c->in.len - at >= SX_FRAME_HEADER) {
        if (sx_frame_head(&f, c->in.data + at, c->p.frame_max, &e)) {
            fail(c, &e);
            return;
        }
        if (c->in.len - at - SX_FRAME_HEADER < f.len)
            break;
        f.body = c->in.data + at + SX_FRAME_HEADER;
        at += SX_FRAME_HEADER + f.len;
        c->in_at = at;
        c->p.ops->on_frame(c, c->p.ctx, &f);
    }
    if (c->state == OPEN)
        sx_buf_consume(&c->in, at);
}

static void read_some(void *ctx)
{
    struct sx_conn *c = ctx;
    struct sx_err e = SX_ERR_INIT;
    enum moved m = MOVED_SOME;
    size_t total = 0;

    while (c->state == OPEN && m == MOVED_SOME && total < READ_TURN_MAX) {
        size_t got = 0;

        m = move_in(c, sx_buf_reserve(&c->in, READ_STEP), READ_STEP, &got, &e);
        if (m != MOVED_SOME)
            break;
        c->in.len += got;
        total += got;
        if (got < READ_STEP && !c->ssl)
            m = MOVED_LATER;
    }
    if (total) {
            deliver(c);
    }
    if (c->state != OPEN)
        return;
    if (m == MOVED_END)
        fail(c, &e);
    else if (m == MOVED_SOME)
        sx_loop_defer(c->loop, &c->more);
    else if (c->out.len > c->out_at && !c->want_write)
        sx_loop_defer(c->loop, &c->flush); /* TLS may have waited for what was just read */
    else
        watch_for(c);
}

static void opened(struct sx_conn *c)
{
    c->state = OPEN;
    c->want_write = false;
    if (c->p.ops->on_open)
        c->p.ops->on_open(c, c->p.ctx);
    watch_for(c);
}

static void handshake(struct sx_conn *c)
{
    struct sx_err e = SX_ERR_INIT;
    int r;

    c->want_write = false;
    r = SSL_do_handshake(c->ssl);
    if (r == 1)
        opened(c);
    else if (tls_result(c, r, "TLS handshake", &e) == MOVED_END)
        fail(c, &e);
    else
        watch_for(c);
}

static void connected(struct sx_conn *c)
{
    struct sx_err e = SX_ERR_INIT;
    int errnum = 0;
    socklen_t n = sizeof errnum;

    if (getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &errnum, &n))
        errnum = errno;
    if (errnum) {
        sx_err_errno(&e, errnum, "connecting");
        fail(c, &e);
        return;
    }
    c->state = c->ssl ? HANDSHAKE : OPEN;
    if (c->ssl)
        handshake(c);
    else
        opened(c);
}

static void ready(void *ctx, uint32_t events)
{
    struct sx_conn *c = ctx;

    if (c->state == CONNECTING)
        connected(c);
    else if (c->state == HANDSHAKE)
        handshake(c);
    else if (c->state == OPEN && (events & EPOLLOUT))
        flush(c);
    /* A handshake that has just ended may have left data with OpenSSL. */
    if (c->state == OPEN)
        read_some(c);
}

static void tune(int fd)
{
    unsigned unsent_ms = UNSENT_TIMEOUT_MS;
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_ms, sizeof unsent_ms))
        sx_warn("setting up a socket: errno %d", errno);
}

static struct sx_conn *conn_new(struct sx_loop *l, int fd, const struct sx_conn_params *p)
{
    struct sx_conn *c = sx_calloc(1, sizeof *c);

    c->loop = l;
    c->p = *p;
    c->watch = (struct sx_watch){ .fd = fd, .fn = ready, .ctx = c };
    c->flush = (struct sx_call){ .fn = flush, .ctx = c };
    c->more = (struct sx_call){ .fn = read_some, .ctx = c };
    c->reap = (struct sx_call){ .fn = reap, .ctx = c };
    if (p->tls)
        tune(fd);
    return c;
}

static int conn_tls(struct sx_conn *c, struct sx_err *e)
{
    if (!c->p.tls)
        return 0;
    c->ssl = SSL_new(c->p.tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->watch.fd) != 1)
        return sx_err_set(e, SX_ENOMEM, "out of memory for a TLS connection");
    if (c->server)
        SSL_set_accept_state(c->ssl);
    else
        SSL_set_connect_state(c->ssl);
    return 0;
}

struct sx_conn *sx_conn_accepted(struct sx_loop *l, int fd, const struct sx_conn_params *p,
                                 struct sx_err *e)
{
    struct sx_conn *c = conn_new(l, fd, p);

    c->server = true;
    c->state = p->tls ? HANDSHAKE : OPEN;
    if (conn_tls(c, e) || sx_loop_watch(l, &c->watch, EPOLLIN, e)) {
        die(c);
        return NULL;
    }
    return c;
}

struct sx_conn *sx_conn_connect(struct sx_loop *l, const struct sockaddr *to, socklen_t len,
                                const struct sx_conn_params *p, struct sx_err *e)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sx_conn *c;

    if (fd < 0) {
        sx_err_errno(e, errno, "making a socket");
        return NULL;
    }
    c = conn_new(l, fd, p);
    c->state = CONNECTING;
    if (connect(fd, to, len) && errno != EINPROGRESS)
        sx_err_errno(e, errno, "connecting");
    else if (!conn_tls(c, e) && !sx_loop_watch(l, &c->watch, EPOLLOUT, e))
        return c;
    die(c);
    return NULL;
}

void sx_conn_close(struct sx_conn *c)
{
    if (c)
        die(c);
}

void sx_conn_set_ctx(struct sx_conn *c, const struct sx_conn_ops *ops, void *ctx)
{
    c->p.ops = ops;
    c->p.ctx = ctx;
}

bool sx_conn_send(struct sx_conn *c, const struct sx_frame *f)
{
    if (c->state != OPEN || c->out.len - c->out_at + SX_FRAME_HEADER + f->len > c->p.backlog_max)
        return false;
    sx_frame_put(&c->out, f);
    /* A socket that is full says itself when it has room again. */
    if (!c->want_write)
        sx_loop_defer(c->loop, &c->flush);
    return true;
}

const SSL *sx_conn_ssl(const struct sx_conn *c)
{
    return c->ssl;
}

int sx_conn_detach(struct sx_conn *c, int *fd, SSL **ssl, struct sx_err *e)
{
    int flags = fcntl(c->watch.fd, F_GETFL);

    sx_assert(c->state == OPEN && c->ssl);
    if (SSL_has_pending(c->ssl) || c->in_at != c->in.len)
        return sx_err_set(e, SX_EMALFORMED, "data behind the last frame");
    if (flags < 0 || fcntl(c->watch.fd, F_SETFL, flags & ~O_NONBLOCK))
        return sx_err_errno(e, errno, "setting a socket to blocking");
    sx_loop_unwatch(c->loop, &c->watch);
    *fd = sx_steal_fd(&c->watch.fd);
    *ssl = SX_STEAL(c->ssl);
    die(c);
    return 0;
}
