/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connection that this node makes to another one, and makes again whenever it breaks: after 50
 * ms at first, then after up to a second.  Who answers is known from the certificate; then HELLO is
 * said, and frames can be sent.  Nothing comes back on this connection.
 */
#ifndef SX_FCGI_META_MANAGER_DIAL_H
#define SX_FCGI_META_MANAGER_DIAL_H

#include "fcgi/conf.h"
#include "fcgi/meta/manager/conn.h"
#include "fcgi/meta/manager/exec.h"

struct sx_dial;

/* What all have in common; must outlive them. */
struct sx_dial_params {
    struct sx_loop *loop;
    const struct sx_node_conf *conf;
    SSL_CTX *tls;
    const char *address;      /* where this node listens: said in HELLO */
    struct sx_exec *resolver; /* for the names of hosts; NULL when it has ended, at the end of all */
    /* Frames can be sent to `id` from now on, or no longer. */
    void (*on_up)(void *ctx, uint64_t id, bool up);
    void *ctx;
};

/* Begins to connect to the node soon.  `address`: see address.h; not empty. */
struct sx_dial *sx_dial_new(const struct sx_dial_params *p, uint64_t id, const char *address);
void sx_dial_free(struct sx_dial *d); /* on_up() is not called any more */

/* The node is to be found there now; nothing happens if it was. */
void sx_dial_move(struct sx_dial *d, const char *address);
/* It has been heard of: no need to wait for the end of a long back-off. */
void sx_dial_now(struct sx_dial *d);

bool sx_dial_up(const struct sx_dial *d);
const char *sx_dial_address(const struct sx_dial *d); /* until it moves */
/* False: dropped. */
bool sx_dial_send(struct sx_dial *d, const struct sx_frame *f);

#endif
