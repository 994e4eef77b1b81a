/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One task at a time in a thread of its own, beside what its starter does.  What both use of a worker's
 * sx_app they use under sx_app_lock().  Threads are kept for the requests to come.
 */
#ifndef SX_FCGI_S3_ASIDE_H
#define SX_FCGI_S3_ASIDE_H

struct sx_aside;

typedef void sx_aside_fn(void *arg);

struct sx_aside *sx_aside_get(void);
/* Waits for the task that is under way.  NULL is legal. */
void sx_aside_put(struct sx_aside *a);
/* The one before must have been waited for.  Without a thread to be had, the task is done at once. */
void sx_aside_start(struct sx_aside *a, sx_aside_fn *run, void *arg);
/* Until nothing is under way. */
void sx_aside_wait(struct sx_aside *a);

#endif
