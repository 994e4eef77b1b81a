/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One nonblocking connection that carries frames: a unix socket (plain) or TCP with TLS, made or
 * accepted.
 *
 *   CONNECTING --connected--> HANDSHAKE --verified--> OPEN --> DEAD
 *   (a plain one is OPEN at once; an error or sx_conn_close() leads from every state to DEAD)
 *
 * What is sent is gathered and written at the end of the loop's turn.  A dead connection calls
 * nothing any more and frees itself at the end of the turn: whoever holds a pointer drops it in
 * on_closed() or when he closes it.
 */
#ifndef SX_FCGI_META_MANAGER_CONN_H
#define SX_FCGI_META_MANAGER_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "fcgi/meta/manager/frame.h"
#include "fcgi/meta/manager/loop.h"

struct sx_conn;

struct sx_conn_ops {
    void (*on_open)(struct sx_conn *c, void *ctx); /* may be NULL */
    void (*on_frame)(struct sx_conn *c, void *ctx, const struct sx_frame *f);
    void (*on_closed)(struct sx_conn *c, void *ctx, const struct sx_err *why); /* not after sx_conn_close() */
};

struct sx_conn_params {
    const struct sx_conn_ops *ops;
    void *ctx;
    SSL_CTX *tls;        /* NULL: plain */
    uint32_t frame_max;  /* of a frame that is received: longer ones close the connection */
    size_t backlog_max;  /* of what waits to be sent: more is refused */
};

/* Takes the descriptor of an accepted connection, in every case. */
struct sx_conn *sx_conn_accepted(struct sx_loop *l, int fd, const struct sx_conn_params *p,
                                 struct sx_err *e) SX_MUST_CHECK;
/* Begins to connect to a TCP address. */
struct sx_conn *sx_conn_connect(struct sx_loop *l, const struct sockaddr *to, socklen_t len,
                                const struct sx_conn_params *p, struct sx_err *e) SX_MUST_CHECK;
void sx_conn_close(struct sx_conn *c); /* what was not written is lost; NULL is allowed */
void sx_conn_set_ctx(struct sx_conn *c, const struct sx_conn_ops *ops, void *ctx);

/* Queues a frame; false (nothing queued) if the backlog is full or the connection not open. */
bool sx_conn_send(struct sx_conn *c, const struct sx_frame *f);
const SSL *sx_conn_ssl(const struct sx_conn *c);

/* Takes socket and TLS state out of an open connection, both set to blocking mode, for a thread
 * that goes on with it; the connection is then dead.  Only inside on_frame(), for a frame after
 * which the other side sends nothing before it has an answer; SX_EMALFORMED if it did. */
int sx_conn_detach(struct sx_conn *c, int *fd, SSL **ssl, struct sx_err *e) SX_MUST_CHECK;

#endif
