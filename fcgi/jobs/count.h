/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When a node counts its space: part of the job manager's process, on every node.
 *
 * A census is made at the start, when asked for (sx_space_poke()), and when something has changed,
 * at most every SX_COUNT_MS, and resting as long as it took; once in SX_COUNT_FULL_MS in any
 * case.  Between, the figures stay as they are and their time moves on, as nothing has changed.
 */
#ifndef SX_FCGI_JOBS_COUNT_H
#define SX_FCGI_JOBS_COUNT_H

#include "fcgi/conf.h"
#include "fcgi/meta/meta.h"

#define SX_COUNT_MS 60000u
#define SX_COUNT_SHARE 2           /* under way at most one part in so many of the time */
#define SX_COUNT_FULL_MS 3600000u
#define SX_COUNT_LOOK_MS 50u       /* of work in one look */
#define SX_COUNT_ASKED_MS 200u     /* the same, when someone waits for it */
#define SX_COUNT_RETRY_MS 10000u   /* after a failure */

struct sx_count;

/* The arguments must outlive it. */
struct sx_count *sx_count_new(const struct sx_node_conf *conf, struct sx_meta *meta);
void sx_count_free(struct sx_count *c);

/* Looks whether there is something to do and does a bounded part of it; to be called some times a
 * second. What fails is logged and tried again later. */
void sx_count_look(struct sx_count *c);

#endif
