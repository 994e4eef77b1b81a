/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The links between the group managers: for each other node one TCP connection that this node made,
 * for what it sends, and one that it accepted, for what it receives.  Who is at the other end is
 * known from the certificate and must agree with HELLO.  A link that breaks is made again, after 50
 * ms at first, then after up to a second.  Once a second each side says that it is alive.
 *
 * Nothing is promised about delivery: frames may be lost when a link breaks or its backlog is full.
 */
#ifndef SX_FCGI_META_MANAGER_LINKS_H
#define SX_FCGI_META_MANAGER_LINKS_H

#include <stdbool.h>

#include "fcgi/conf.h"
#include "fcgi/meta/manager/conn.h"

struct sx_links;

struct sx_links_ops {
    void (*on_frame)(void *ctx, uint64_t from, const struct sx_frame *f);
    /* This node can send to `peer` from now on, or no longer. */
    void (*on_link)(void *ctx, uint64_t peer, bool up);
    /* Another node wants the database; socket and TLS state, blocking, are the receiver's from
     * now on. */
    void (*on_fetch)(void *ctx, uint64_t from, const struct sx_frame *f, int fd, SSL *ssl);
};

#define SX_PEERS_MAX 512u

/* Listens on the node's peer_port, see accept.h.  conf and tls must outlive it. */
struct sx_links *sx_links_new(struct sx_loop *l, const struct sx_node_conf *conf, SSL_CTX *tls,
                              const struct sx_links_ops *ops, void *ctx, struct sx_err *e) SX_MUST_CHECK;
void sx_links_free(struct sx_links *l);

/* Where this node listens; see address.h. */
const char *sx_links_address(const struct sx_links *l);

/* Makes sure that there is a link to the node, at this address. */
void sx_links_need(struct sx_links *l, uint64_t id, const char *address);
/* Closes the links to all nodes for which `keep` says no and who do not hold a link to us. */
void sx_links_prune(struct sx_links *l, bool (*keep)(void *ctx, uint64_t id), void *ctx);

/* False: dropped. */
bool sx_links_send(struct sx_links *l, uint64_t to, uint16_t type, uint16_t group, const void *body,
                   size_t n);
/* Where the node's links listen, as far as is known; NULL: unknown.  Valid until the loop goes on. */
const char *sx_links_address_of(const struct sx_links *l, uint64_t id);
bool sx_links_up(const struct sx_links *l, uint64_t to);

struct sx_link_info {
    uint64_t id;
    bool connected;     /* we can send to it, and it to us */
    uint64_t silent_ms; /* since something was last heard from it; UINT64_MAX: never */
};

/* Facts of the i-th peer; false beyond the last. */
bool sx_links_info(const struct sx_links *l, unsigned i, struct sx_link_info *info);

#endif
