/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Does this node answer?  GET /.sx/v1/ping over TLS, verified with the cluster's CA.
 */
#ifndef SX_SXHTTPD_PING_H
#define SX_SXHTTPD_PING_H

#include "fcgi/conf.h"
#include "libsx/base/err.h"

/* One request, at most `timeout_ms` long.  SX_ENET, SX_ETIMEOUT, or SX_EUNAVAIL if something else than this node
 * answered. */
int sx_httpd_ping(const struct sx_node_conf *c, unsigned timeout_ms, struct sx_err *e) SX_MUST_CHECK;

/* SX_ECONFIG if the node's address is not this machine's or the port is taken. */
int sx_httpd_port_free(const char *address, unsigned port, struct sx_err *e) SX_MUST_CHECK;

#endif
