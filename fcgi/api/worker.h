/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A worker: takes one FastCGI request after the other from a socket and answers it.  Ends,
 * between two requests, on SIGTERM, which also comes when the dispatcher dies.
 */
#ifndef SX_FCGI_API_WORKER_H
#define SX_FCGI_API_WORKER_H

#include "fcgi/dispatch.h"

int sx_worker_main(const struct sx_child *child);      /* for client.sock */
int sx_worker_node_main(const struct sx_child *child); /* for node.sock */

#endif
