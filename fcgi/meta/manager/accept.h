/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The peer port: takes connections of other nodes' group managers and finds out who it is.  The
 * certificate must agree with HELLO, and HELLO must mean this node of this cluster.  A connection
 * is then handed on: as a link, or, after FETCH, for sending the database.
 */
#ifndef SX_FCGI_META_MANAGER_ACCEPT_H
#define SX_FCGI_META_MANAGER_ACCEPT_H

#include "fcgi/conf.h"
#include "fcgi/meta/manager/conn.h"

struct sx_accept;

struct sx_accept_ops {
    /* The connection on which h->from sends.  The receiver's from now on, who calls
     * sx_conn_set_ctx(); -1: refused, and closed by the caller. */
    int (*on_link)(void *ctx, struct sx_conn *c, const struct sx_hello *h, struct sx_err *e);
    /* As in links.h. */
    void (*on_fetch)(void *ctx, uint64_t from, const struct sx_frame *f, int fd, SSL *ssl);
};

/* Listens on the node's peer_port: on its address if that is numeric, else on all.  conf and tls
 * must outlive it. */
struct sx_accept *sx_accept_new(struct sx_loop *l, const struct sx_node_conf *conf, SSL_CTX *tls,
                                const struct sx_accept_ops *ops, void *ctx, struct sx_err *e) SX_MUST_CHECK;
void sx_accept_free(struct sx_accept *a); /* closes what was not handed on */

#endif
