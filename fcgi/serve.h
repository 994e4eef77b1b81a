/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which of the two interfaces answers a request: the native API, below /.sx and /.node, or the S3
 * gateway, which has all other paths.
 */
#ifndef SX_FCGI_SERVE_H
#define SX_FCGI_SERVE_H

#include "fcgi/dispatch.h"

int sx_serve_clients(const struct sx_child *child); /* a worker for client.sock */
int sx_serve_nodes(const struct sx_child *child);   /* a reserved worker, for node.sock */

#endif
