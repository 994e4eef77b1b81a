/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See work.h.  `woken` holds back all but the first wake-up of the engine until the caller's
 * thread has looked.
 */
#include "libsx/client/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "libsx/base/mem.h"

#define THREADS_MAX 16

struct list {
    struct sx_job *head, **tail;
};

struct sx_work {
    pthread_mutex_t lock;
    pthread_cond_t more;     /* the queue is not empty, or the end */
    pthread_cond_t finished; /* `done` is not empty */
    struct list queue, done;
    size_t pending;          /* of the caller's thread and others: under the lock */
    bool stop;
    atomic_bool woken;
    struct sx_http *http;
    struct sx_domain domain;
    unsigned n_threads;
    pthread_t threads[THREADS_MAX];
};

static void list_init(struct list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_add(struct list *l, struct sx_job *j)
{
    j->next = NULL;
    *l->tail = j;
    l->tail = &j->next;
}

static struct sx_job *list_take(struct list *l)
{
    struct sx_job *j = l->head;

    if (j) {
        l->head = j->next;
        if (!l->head)
            l->tail = &l->head;
    }
    return j;
}

static void finished(struct sx_work *w, struct sx_job *j)
{
    pthread_mutex_lock(&w->lock);
    list_add(&w->done, j);
    pthread_cond_signal(&w->finished);
    pthread_mutex_unlock(&w->lock);
    if (!atomic_exchange(&w->woken, true))
        sx_http_wake(w->http);
}

static struct sx_job *next_job(struct sx_work *w)
{
    SX_AUTO_LOCK(&w->lock);

    while (!w->stop && !w->queue.head)
        pthread_cond_wait(&w->more, &w->lock);
    return w->stop ? NULL : list_take(&w->queue);
}

static void *work(void *arg)
{
    struct sx_work *w = arg;
    struct sx_worker me = { .codec = sx_block_ctx_new(&w->domain) };
    struct sx_job *j;

    while ((j = next_job(w))) {
        j->run(j, &me);
        finished(w, j);
    }
    sx_block_ctx_free(me.codec);
    sx_buf_fini(&me.scratch);
    sx_buf_fini(&me.scratch2);
    return NULL;
}

struct sx_work *sx_work_new(const struct sx_domain *domain, unsigned threads, struct sx_http *http)
{
    struct sx_work *w = sx_calloc(1, sizeof *w);
    pthread_condattr_t a;

    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&w->finished, &a);
    pthread_condattr_destroy(&a);
    list_init(&w->queue);
    list_init(&w->done);
    w->http = http;
    w->domain = *domain;
    for (unsigned i = 0; i < threads && i < THREADS_MAX; i++)
        if (pthread_create(&w->threads[w->n_threads], NULL, work, w) == 0)
            w->n_threads++;
    sx_assert(w->n_threads > 0);
    return w;
}

void sx_work_free(struct sx_work *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    pthread_cond_destroy(&w->finished);
    sx_wipe(&w->domain, sizeof w->domain);
    free(w);
}

void sx_work_add(struct sx_work *w, struct sx_job *j)
{
    SX_AUTO_LOCK(&w->lock);

    w->pending++;
    list_add(&w->queue, j);
    pthread_cond_signal(&w->more);
}

void sx_work_post(struct sx_work *w, struct sx_job *j)
{
    pthread_mutex_lock(&w->lock);
    w->pending++;
    pthread_mutex_unlock(&w->lock);
    finished(w, j);
}

size_t sx_work_finish(struct sx_work *w)
{
    struct sx_job *all;
    size_t n = 0;

    atomic_store(&w->woken, false);
    pthread_mutex_lock(&w->lock);
    all = w->done.head;
    list_init(&w->done);
    for (struct sx_job *j = all; j; j = j->next)
        n++;
    w->pending -= n;
    pthread_mutex_unlock(&w->lock);
    while (all) {
        struct sx_job *j = all;

        all = j->next;
        j->done(j);
    }
    return n;
}

void sx_work_wait(struct sx_work *w, unsigned timeout_ms)
{
    struct timespec t;
    SX_AUTO_LOCK(&w->lock);

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    while (!w->done.head)
        if (pthread_cond_timedwait(&w->finished, &w->lock, &t) == ETIMEDOUT)
            return;
}

size_t sx_work_pending(const struct sx_work *w)
{
    struct sx_work *m = (struct sx_work *)w;
    SX_AUTO_LOCK(&m->lock);

    return m->pending;
}
