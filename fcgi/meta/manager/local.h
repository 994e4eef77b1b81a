/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The manager's side of run/manager.sock: takes requests of the processes of this node and answers
 * them, in any order, by tag.  Who may connect is decided by the socket's mode (0600: the daemon's
 * own account).
 */
#ifndef SX_FCGI_META_MANAGER_LOCAL_H
#define SX_FCGI_META_MANAGER_LOCAL_H

#include "fcgi/meta/manager/conn.h"

struct sx_local;

/* A request that waits for its answer.  Exactly one sx_local_answer() ends it, also when its
 * client has gone. */
struct sx_asker {
    struct sx_client *client;
    uint64_t tag;
};

/* `f` is one of the request types of frame.h, its length checked. */
typedef void sx_local_fn(void *ctx, struct sx_asker who, const struct sx_frame *f);

#define SX_LOCAL_CLIENTS_MAX 1024u
#define SX_LOCAL_ASKED_MAX 1024u /* requests of one client that wait */

/* Binds `path`, replacing a socket that a dead manager left. */
struct sx_local *sx_local_new(struct sx_loop *l, const char *path, sx_local_fn *fn, void *ctx,
                              struct sx_err *e) SX_MUST_CHECK;
void sx_local_free(struct sx_local *l); /* askers that are left must not be answered afterwards */

/* Code SX_OK: `p` is the payload; else the message. */
void sx_local_answer(struct sx_asker who, int code, const void *p, size_t n);

#endif
