/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tells the group manager to end: a descriptor of the dispatcher's, or a signal.
 */
#ifndef SX_FCGI_META_MANAGER_STOP_H
#define SX_FCGI_META_MANAGER_STOP_H

#include "fcgi/meta/manager/loop.h"

struct sx_stop;

/* `on_stop` is called when `fd` has something to read or its end of file, once, and at each SIGTERM
 * or SIGINT.  Blocks these for the calling thread, and those that it starts afterwards; the process
 * ignores SIGPIPE from now on. */
struct sx_stop *sx_stop_new(struct sx_loop *l, int fd, void (*on_stop)(void *ctx), void *ctx,
                            struct sx_err *e) SX_MUST_CHECK;
void sx_stop_free(struct sx_stop *s);

#endif
