/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The configuration of a node's nginx: made from the template nginx.conf.in and the node's settings,
 * and shown to nginx before it is used.
 */
#ifndef SX_SXHTTPD_RENDER_H
#define SX_SXHTTPD_RENDER_H

#include "fcgi/conf.h"
#include "libsx/base/err.h"

/* Where the parts are: from the environment (SX_LIBEXECDIR, SX_DATADIR, SX_NGINX), for running from a
 * build tree, else as installed.  Valid as long as the environment is not changed. */
const char *sx_httpd_nginx(void);    /* program */
const char *sx_httpd_template(void); /* nginx.conf.in; static memory, valid until the next call */
const char *sx_httpd_daemon(void);   /* sx.fcgi; the same */

/* Writes DIR/run/nginx.conf.new and lets nginx check it; the running configuration is not
 * touched.  SX_ECONFIG holds what nginx said. */
int sx_httpd_render(const struct sx_node_conf *c, struct sx_err *e) SX_MUST_CHECK;
/* Puts the checked file in the place of DIR/run/nginx.conf. */
int sx_httpd_accept(const struct sx_node_conf *c, struct sx_err *e) SX_MUST_CHECK;

#endif
