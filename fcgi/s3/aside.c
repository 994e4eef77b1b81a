/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See aside.h.  `run` is not NULL while a task is under way.
 */
#include "fcgi/s3/aside.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "libsx/base/err.h"
#include "libsx/base/mem.h"

struct sx_aside {
    struct sx_aside *next; /* of those that nobody has */
    bool running;          /* the thread was made */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sx_aside_fn *run; /* under the lock, as its argument */
    void *arg;
};

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sx_aside *idle;

struct sx_aside *sx_aside_get(void)
{
    struct sx_aside *a;

    pthread_mutex_lock(&idle_lock);
    a = idle;
    if (a)
        idle = a->next;
    pthread_mutex_unlock(&idle_lock);
    if (a)
        return a;
    a = sx_calloc(1, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    return a;
}

void sx_aside_put(struct sx_aside *a)
{
    if (!a)
        return;
    sx_aside_wait(a);
    pthread_mutex_lock(&idle_lock);
    a->next = idle;
    idle = a;
    pthread_mutex_unlock(&idle_lock);
}

/* Until the process ends. */
static void *serve(void *arg)
{
    struct sx_aside *a = arg;

    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->run)
            pthread_cond_wait(&a->changed, &a->lock);
        pthread_mutex_unlock(&a->lock);
        a->run(a->arg);
        pthread_mutex_lock(&a->lock);
        a->run = NULL;
        pthread_cond_signal(&a->changed);
    }
    return NULL;
}

static bool make_thread(struct sx_aside *a)
{
    pthread_t thread;

    if (!a->running && pthread_create(&thread, NULL, serve, a) == 0) {
        pthread_detach(thread);
        a->running = true;
    }
    return a->running;
}

void sx_aside_start(struct sx_aside *a, sx_aside_fn *run, void *arg)
{
    if (!make_thread(a)) {
        run(arg);
        return;
    }
    pthread_mutex_lock(&a->lock);
    sx_assert(!a->run);
    a->run = run;
    a->arg = arg;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void sx_aside_wait(struct sx_aside *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->run)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}
