/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See pin.h.
 *
 * The thread sleeps on a timer, which a reader sets and stops with one system call each and without
 * waking anybody.  Under the lock are the pin of the reading under way (`now`), which is the reader's,
 * and those that have ended (`ended`), which are the thread's: so a pin that ends while the thread
 * renews it is left to the thread.
 */
#include "fcgi/api/pin.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

struct sx_pin {
    struct sx_pins *pins;
    struct sx_pin *next;
    uint8_t id[SX_PIN_ID];
    uint64_t content;
    uint64_t due_ms; /* the next command, by the monotonic clock; 0: none */
    bool asked;      /* it may be there */
};

struct sx_pins {
    uint64_t ttl_ms;
    struct sx_meta *meta; /* the thread's */
    int timer_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    struct sx_pin *now, *ended;
    bool stop;
};

/* ---- commands ---- */

static int submit(struct sx_meta *meta, const struct sx_buf *command, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf result = SX_BUF_INIT;

    return sx_meta_submit(meta, SX_META_GROUP_CLUSTER, command, &result, SX_PIN_TIMEOUT_MS, e);
}

/* Pins or renews: the milliseconds until the next time; 0: never again. */
static uint64_t ask(const struct sx_pin *p, struct sx_meta *meta, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT;
    struct sx_cmd_pin c = { .content = p->content, .ttl_ms = p->pins->ttl_ms };
    uint64_t renew_ms = p->pins->ttl_ms / SX_PIN_RENEWALS;
    uint8_t op[SX_OP_ID];

    memcpy(c.pin, p->id, sizeof c.pin);
    sx_random(op, sizeof op);
    sx_cmd_pin_encode(&command, op, "", &c);
    if (submit(meta, &command, e) == 0)
        return renew_ms;
    sx_debug("content %016llx is read without a pin: %s", (unsigned long long)p->content, e->msg);
    if (e->code == SX_ENOREVISION)
        return 0;
    return renew_ms < SX_PIN_RETRY_MS ? renew_ms : SX_PIN_RETRY_MS;
}

static void release(const struct sx_pin *p, struct sx_meta *meta)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_cmd_unpin c;
    uint8_t op[SX_OP_ID];

    memcpy(c.pin, p->id, sizeof c.pin);
    sx_random(op, sizeof op);
    sx_cmd_unpin_encode(&command, op, "", &c);
    if (submit(meta, &command, &e) != 0)
        sx_debug("a pin is left to expire: %s", e.msg);
}

/* ---- the thread ---- */

/* To when the thread has something to do.  Under the lock. */
static void timer_set(const struct sx_pins *k)
{
    uint64_t at_ms = k->ended || k->stop ? 1 : k->now ? k->now->due_ms : 0; /* 0: never */
    const struct itimerspec at = { .it_value = { (time_t)(at_ms / 1000),
                                                 (long)(at_ms % 1000 * 1000000) } };

    sx_assert(timerfd_settime(k->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}

static void timer_wait(const struct sx_pins *k)
{
    uint64_t times;

    (void)!read(k->timer_fd, &times, sizeof times); /* a signal: nothing is due, so it waits again */
}

/* All under the lock, but for the commands themselves. */
static void release_ended(struct sx_pins *k)
{
    struct sx_pin *p;

    while ((p = k->ended) != NULL) {
        k->ended = p->next;
        pthread_mutex_unlock(&k->lock);
        release(p, k->meta);
        free(p);
        pthread_mutex_lock(&k->lock);
    }
}

static void ask_if_due(struct sx_pins *k)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_pin *p = k->now;
    uint64_t in_ms;

    if (!p || !p->due_ms || sx_mono_ms() < p->due_ms)
        return;
    p->asked = true;
    pthread_mutex_unlock(&k->lock);
    in_ms = ask(p, k->meta, &e);
    pthread_mutex_lock(&k->lock);
    p->due_ms = in_ms ? sx_mono_ms() + in_ms : 0; /* asked for, so nobody else has freed it */
    if (k->now == p)
        p->asked = in_ms != 0; /* the content is gone, so it is not there */
}

static void *serve(void *arg)
{
    struct sx_pins *k = arg;

    pthread_mutex_lock(&k->lock);
    while (!k->stop || k->ended) {
        pthread_mutex_unlock(&k->lock);
        timer_wait(k);
        pthread_mutex_lock(&k->lock);
        release_ended(k);
        ask_if_due(k);
        timer_set(k);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

static void pins_fini(struct sx_pins *k)
{
    if (k->timer_fd >= 0)
        close(k->timer_fd);
    sx_meta_free(k->meta);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static struct sx_pins *pins_new(const struct sx_node_conf *conf)
{
    uint64_t ttl_ms = 1000ull * conf->lease_s * SX_PIN_LEASES;
    struct sx_pins *k = sx_calloc(1, sizeof *k);

    sx_assert(ttl_ms > 0);
    k->meta = sx_meta_new(conf->dir);
    k->ttl_ms = ttl_ms < SX_PIN_TTL_MAX_MS ? ttl_ms : SX_PIN_TTL_MAX_MS;
    pthread_mutex_init(&k->lock, NULL);
    k->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (k->timer_fd >= 0 && pthread_create(&k->thread, NULL, serve, k) == 0)
        return k;
    sx_warn("contents are read without pins: %s", strerror(errno));
    pins_fini(k);
    return NULL;
}

void sx_pins_free(struct sx_pins *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    sx_assert(!k->now);
    k->stop = true;
    timer_set(k);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    pins_fini(k);
}

/* ---- readers ---- */

static struct sx_pin *pin_new(struct sx_app *app, uint64_t content)
{
    struct sx_pin *p;

    if (!app->pins)
        app->pins = pins_new(app->conf);
    if (!app->pins)
        return NULL;
    p = sx_calloc(1, sizeof *p);
    p->pins = app->pins;
    p->content = content;
    sx_random(p->id, sizeof p->id);
    return p;
}

static void begin(struct sx_pin *p, uint64_t in_ms)
{
    struct sx_pins *k = p->pins;

    p->due_ms = sx_mono_ms() + in_ms;
    pthread_mutex_lock(&k->lock);
    sx_assert(!k->now);
    k->now = p;
    timer_set(k);
    pthread_mutex_unlock(&k->lock);
}

int sx_pin_take(struct sx_app *app, uint64_t content, struct sx_pin **out, struct sx_err *e)
{
    struct sx_pin *p = pin_new(app, content);
    struct sx_err why = SX_ERR_INIT;
    uint64_t in_ms;

    if (!p) {
        *out = NULL;
        return 0;
    }
    sx_app_lock(app);
    in_ms = ask(p, app->meta, &why);
    sx_app_unlock(app);
    if (in_ms == 0) {
        free(p);
        sx_err_copy(e, &why);
        return -1;
    }
    p->asked = true;
    begin(p, in_ms);
    *out = p;
    return 0;
}

struct sx_pin *sx_pin_begin(struct sx_app *app, uint64_t content)
{
    struct sx_pin *p = pin_new(app, content);

    if (p)
        begin(p, SX_PIN_AFTER_MS);
    return p;
}

void sx_pin_end(struct sx_pin *p)
{
    struct sx_pins *k;
    bool asked;

    if (!p)
        return;
    k = p->pins;
    pthread_mutex_lock(&k->lock);
    sx_assert(k->now == p);
    k->now = NULL;
    asked = p->asked;
    if (asked) {
        p->next = k->ended;
        k->ended = p;
    }
    timer_set(k);
    pthread_mutex_unlock(&k->lock);
    if (!asked)
        free(p);
}
