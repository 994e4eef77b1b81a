/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The supervisor: keeps the two programs of a node running, sx.fcgi and nginx.
 *
 *   SIGTERM, SIGINT  nginx ends its requests, then sx.fcgi ends its own, then the supervisor ends
 *   SIGHUP           nginx reads its configuration again; both reopen their logs
 *
 * If the supervisor itself is killed, both programs go on; the next start finds and ends them.
 */
#ifndef SX_SXHTTPD_SUPERVISE_H
#define SX_SXHTTPD_SUPERVISE_H

#include <sys/types.h>

#include "fcgi/conf.h"
#include "libsx/base/err.h"

/* A program that ended is started again at once, then after SX_SUPERVISE_MIN_MS doubling to
 * SX_SUPERVISE_MAX_MS; a life of SX_SUPERVISE_GOOD_MS begins anew. */
#define SX_SUPERVISE_MIN_MS 200
#define SX_SUPERVISE_MAX_MS 10000
#define SX_SUPERVISE_GOOD_MS 30000
/* How long each of the two may take to end what it is at. */
#define SX_SUPERVISE_NGINX_MS 15000
#define SX_SUPERVISE_DAEMON_MS 70000

/* Holds DIR/run/sxserver.pid locked, ends what a dead supervisor left behind, and runs until SIGTERM.
 * DIR/run/nginx.conf must be there (render.h).  SX_ECONFLICT if another supervisor runs. */
int sx_supervise(const struct sx_node_conf *c, struct sx_err *e) SX_MUST_CHECK;

/* The supervisor of the directory: its pid, 0 if none runs. */
pid_t sx_supervisor(const char *dir);

#endif
