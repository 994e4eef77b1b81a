/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker: takes one FastCGI request after the other from a socket and has it answered.  Ends,
 * between two requests, on SIGTERM, which also comes when the dispatcher dies.
 */
#ifndef SX_FCGI_API_WORKER_H
#define SX_FCGI_API_WORKER_H

#include "fcgi/api/request.h"
#include "fcgi/dispatch.h"

/* Answers one request, whose head was read. */
typedef void sx_serve_fn(struct sx_req *r);
/* Answers one whose head is not valid: `r->path` may be NULL. */
typedef void sx_refuse_fn(struct sx_req *r, const struct sx_err *e);

/* `reserved`: for other nodes only (node.sock). */
int sx_worker_run(const struct sx_child *child, bool reserved, sx_serve_fn *serve,
                  sx_refuse_fn *refuse);

#endif
