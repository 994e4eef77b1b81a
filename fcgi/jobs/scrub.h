/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scrub: over each settable period it reads and verifies every block of the node's devices
 * (fcgi/store/scrub.h), slowly, resumed after a restart.  It lives in the collector's process.
 */
#ifndef SX_FCGI_JOBS_SCRUB_H
#define SX_FCGI_JOBS_SCRUB_H

#include "fcgi/conf.h"
#include "fcgi/meta/meta.h"
#include "fcgi/store/store.h"

struct sx_scrub;

/* Borrows all three. */
struct sx_scrub *sx_scrub_new(const struct sx_node_conf *conf, struct sx_store *store,
                              struct sx_meta *meta);
/* Writes down where it is.  NULL is allowed. */
void sx_scrub_free(struct sx_scrub *s);

/* Works for a bounded time (some 50 ms) if work is due; to be called several times a second.
 * Errors are logged; it tries again later. */
void sx_scrub_step(struct sx_scrub *s);

#endif
