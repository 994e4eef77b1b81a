/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A thread that does blocking work for the loop, job by job, in order.  A job's run() is called in
 * the thread, then its done() in the loop's thread.  Callers keep at most one job of a kind under
 * way and gather what comes meanwhile for the next: that is how batches form, and what bounds the
 * queue.
 */
#ifndef SX_FCGI_META_MANAGER_EXEC_H
#define SX_FCGI_META_MANAGER_EXEC_H

#include "fcgi/meta/manager/loop.h"

struct sx_exec;

/* Lives in its owner's struct until done() was called. */
struct sx_task {
    void (*run)(void *ctx);  /* in the thread */
    void (*done)(void *ctx); /* in the loop */
    void *ctx;
    bool busy;               /* from sx_exec_run() to the call of done() */
    struct sx_call call;     /* private */
    struct sx_task *next;     /* private */
};

/* `name` (at most 15 bytes) is shown by ps -T. */
struct sx_exec *sx_exec_new(struct sx_loop *l, const char *name, struct sx_err *e) SX_MUST_CHECK;
/* Finishes the jobs that were given (their done() is not called if the loop has stopped) and
 * ends the thread. */
void sx_exec_free(struct sx_exec *x);

/* Queues a job that is not busy. */
void sx_exec_run(struct sx_exec *x, struct sx_task *j);

#endif
