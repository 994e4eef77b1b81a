/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See exec.h.
 */
#include "fcgi/meta/manager/exec.h"

#include <pthread.h>

#include "libsx/base/mem.h"

struct sx_exec {
    struct sx_loop *loop;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    struct sx_task *head, **tail;
    bool stop;
};

static void job_done(void *ctx)
{
    struct sx_task *j = ctx;

    j->busy = false;
    j->done(j->ctx);
}

/* The next job, or NULL when the thread shall end. */
static struct sx_task *next_job(struct sx_exec *x)
{
    SX_AUTO_LOCK(&x->lock);
    struct sx_task *j;

    while (!x->head && !x->stop)
        pthread_cond_wait(&x->wake, &x->lock);
    j = x->head;
    if (j) {
        x->head = j->next;
        if (!x->head)
            x->tail = &x->head;
    }
    return j;
}

static void *thread_main(void *ctx)
{
    struct sx_exec *x = ctx;
    struct sx_task *j;

    while ((j = next_job(x))) {
        j->run(j->ctx);
        sx_loop_post(x->loop, &j->call);
    }
    return NULL;
}

struct sx_exec *sx_exec_new(struct sx_loop *l, const char *name, struct sx_err *e)
{
    struct sx_exec *x = sx_calloc(1, sizeof *x);
    int r;

    x->loop = l;
    x->tail = &x->head;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->wake, NULL);
    r = pthread_create(&x->thread, NULL, thread_main, x);
    if (r) {
        sx_err_errno(e, r, "starting thread '%s'", name);
        free(x);
        return NULL;
    }
    pthread_setname_np(x->thread, name);
    return x;
}

void sx_exec_free(struct sx_exec *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    x->stop = true;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    pthread_join(x->thread, NULL);
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

void sx_exec_run(struct sx_exec *x, struct sx_task *j)
{
    SX_AUTO_LOCK(&x->lock);

    sx_assert(!j->busy);
    j->busy = true;
    j->call = (struct sx_call){ .fn = job_done, .ctx = j };
    j->next = NULL;
    *x->tail = j;
    x->tail = &j->next;
    pthread_cond_signal(&x->wake);
}
