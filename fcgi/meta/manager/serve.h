/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sends copies of the database to other nodes, a few at a time, each in its own thread.
 */
#ifndef SX_FCGI_META_MANAGER_SERVE_H
#define SX_FCGI_META_MANAGER_SERVE_H

#include <openssl/ssl.h>

#include "fcgi/conf.h"
#include "fcgi/meta/manager/loop.h"

struct sx_serve;

#define SX_SERVE_MAX 2u /* copies at a time */

/* Keeps the pointers. */
struct sx_serve *sx_serve_new(struct sx_loop *l, const struct sx_node_conf *conf,
                              const char *db_path, struct sx_err *e) SX_MUST_CHECK;
void sx_serve_free(struct sx_serve *s); /* ends what is under way */

/* Begins to send a copy that has applied at least `min_index`.  Takes fd and ssl (blocking) on
 * success; SX_EUNAVAIL if enough are under way. */
int sx_serve_copy(struct sx_serve *s, uint64_t to, int fd, SSL *ssl, uint64_t min_index,
                  struct sx_err *e) SX_MUST_CHECK;

#endif
