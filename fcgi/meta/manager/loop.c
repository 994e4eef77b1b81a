/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See loop.h.  There are a few timers for each peer and group, so a plain list is searched for the
 * next one.
 */
#include "fcgi/meta/manager/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define EVENTS_MAX 128
#define WAIT_MAX_MS 1000

struct call_queue {
    struct sx_call *head;
    struct sx_call **tail;
};

struct sx_loop {
    int epoll;
    bool stop;
    uint64_t now_ms;
    struct sx_timer *timers;
    struct call_queue deferred;
    struct epoll_event events[EVENTS_MAX];
    int n_events;           /* of this turn; entries of removed watches have ptr NULL */
    struct sx_watch wakeup; /* eventfd that sx_loop_post() writes */
    pthread_mutex_t lock;   /* of `posted` */
    struct call_queue posted;
};

static void queue_init(struct call_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_add(struct call_queue *q, struct sx_call *c)
{
    c->next = NULL;
    c->queued = true;
    *q->tail = c;
    q->tail = &c->next;
}

static struct sx_call *queue_take(struct call_queue *q)
{
    struct sx_call *c = q->head;

    if (c) {
        q->head = c->next;
        if (!q->head)
            q->tail = &q->head;
        c->queued = false;
    }
    return c;
}

static void queue_remove(struct call_queue *q, struct sx_call *c)
{
    struct sx_call **at = &q->head;

    while (*at && *at != c)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = c->next;
    if (q->tail == &c->next)
        q->tail = at;
    c->queued = false;
}

static void posted_ready(void *ctx, uint32_t events)
{
    struct sx_loop *l = ctx;
    struct call_queue todo;
    struct sx_call *c;
    eventfd_t n;

    if (eventfd_read(l->wakeup.fd, &n) && errno != EAGAIN)
        sx_error("reading an eventfd failed: errno %d", errno);
    queue_init(&todo);
    pthread_mutex_lock(&l->lock);
    while ((c = queue_take(&l->posted)))
        queue_add(&todo, c);
    pthread_mutex_unlock(&l->lock);
    while ((c = queue_take(&todo)))
        c->fn(c->ctx);
}

struct sx_loop *sx_loop_new(struct sx_err *e)
{
    struct sx_loop *l = sx_calloc(1, sizeof *l);

    queue_init(&l->deferred);
    queue_init(&l->posted);
    pthread_mutex_init(&l->lock, NULL);
    l->now_ms = sx_mono_ms();
    l->wakeup = (struct sx_watch){ .fd = -1, .fn = posted_ready, .ctx = l };
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll >= 0)
        l->wakeup.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wakeup.fd < 0) {
        sx_err_errno(e, errno, "making an event loop");
        sx_loop_free(l);
        return NULL;
    }
    if (sx_loop_watch(l, &l->wakeup, EPOLLIN, e)) {
        sx_loop_free(l);
        return NULL;
    }
    return l;
}

void sx_loop_free(struct sx_loop *l)
{
    struct sx_call *c;

    if (!l)
        return;
    while ((c = queue_take(&l->deferred)))
        c->fn(c->ctx);
    if (l->wakeup.fd >= 0)
        close(l->wakeup.fd);
    if (l->epoll >= 0)
        close(l->epoll);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

uint64_t sx_loop_now_ms(const struct sx_loop *l)
{
    return l->now_ms;
}

void sx_loop_stop(struct sx_loop *l)
{
    l->stop = true;
}

int sx_loop_watch(struct sx_loop *l, struct sx_watch *w, uint32_t events, struct sx_err *e)
{
    struct epoll_event ev = { .events = events, .data.ptr = w };

    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev) &&
        (errno != ENOENT || epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &ev)))
        return sx_err_errno(e, errno, "watching descriptor %d", w->fd);
    w->events = events;
    return 0;
}

void sx_loop_unwatch(struct sx_loop *l, struct sx_watch *w)
{
    if (w->fd >= 0 && epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL) && errno != ENOENT)
        sx_error("forgetting descriptor %d failed: errno %d", w->fd, errno);
    for (int i = 0; i < l->n_events; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

void sx_loop_arm(struct sx_loop *l, struct sx_timer *t, uint64_t at_ms)
{
    /* A timer that is armed for now by its own function waits for the next turn. */
    t->at_ms = at_ms > l->now_ms ? at_ms : l->now_ms + 1;
    if (t->armed)
        return;
    t->armed = true;
    t->next = l->timers;
    t->prev = &l->timers;
    if (t->next)
        t->next->prev = &t->next;
    l->timers = t;
}

void sx_loop_disarm(struct sx_loop *l, struct sx_timer *t)
{
    if (!t->armed)
        return;
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->armed = false;
}

void sx_loop_defer(struct sx_loop *l, struct sx_call *c)
{
    if (!c->queued)
        queue_add(&l->deferred, c);
}

void sx_loop_undefer(struct sx_loop *l, struct sx_call *c)
{
    if (c->queued)
        queue_remove(&l->deferred, c);
}

void sx_loop_post(struct sx_loop *l, struct sx_call *c)
{
    pthread_mutex_lock(&l->lock);
    queue_add(&l->posted, c);
    pthread_mutex_unlock(&l->lock);
    /* A full counter (EAGAIN) is readable, which is all that is needed. */
    if (eventfd_write(l->wakeup.fd, 1) && errno != EAGAIN)
        sx_error("writing an eventfd failed: errno %d", errno);
}

static int wait_ms(const struct sx_loop *l)
{
    uint64_t next = l->now_ms + WAIT_MAX_MS;

    if (l->deferred.head)
        return 0;
    for (const struct sx_timer *t = l->timers; t; t = t->next)
        if (t->at_ms < next)
            next = t->at_ms;
    return next > l->now_ms ? (int)(next - l->now_ms) : 0;
}

/* A timer's function may arm or disarm any timer, so the search starts anew after each. */
static void run_timers(struct sx_loop *l)
{
    struct sx_timer *t = l->timers;

    while (t) {
        if (t->at_ms > l->now_ms) {
            t = t->next;
            continue;
        }
        sx_loop_disarm(l, t);
        t->fn(t->ctx);
        t = l->timers;
    }
}

static void turn(struct sx_loop *l)
{
    struct sx_call *c;

    l->now_ms = sx_mono_ms();
    l->n_events = epoll_wait(l->epoll, l->events, EVENTS_MAX, wait_ms(l));
    l->now_ms = sx_mono_ms();
    for (int i = 0; i < l->n_events; i++) {
        struct sx_watch *w = l->events[i].data.ptr;

        if (w)
            w->fn(w->ctx, l->events[i].events);
    }
    l->n_events = 0;
    run_timers(l);
    while ((c = queue_take(&l->deferred)))
        c->fn(c->ctx);
}

void sx_loop_run(struct sx_loop *l)
{
    while (!l->stop)
        turn(l);
}
