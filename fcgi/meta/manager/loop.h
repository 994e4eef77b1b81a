/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The event loop of the group manager: descriptors (epoll, level triggered), timers, work for the
 * end of the turn, and completions posted by other threads.  All but sx_loop_post() belongs to the
 * loop's thread.
 *
 * A turn: wait; call the watches that are ready; the posted completions; the timers that are
 * due; then the deferred calls, in the order in which they were asked for, until there are none.
 * Commands that arrive in one turn so become one log entry, and frames for one peer one write.
 */
#ifndef SX_FCGI_META_MANAGER_LOOP_H
#define SX_FCGI_META_MANAGER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/err.h"

struct sx_loop;

/* A descriptor of interest; lives in its owner's struct. */
struct sx_watch {
    int fd;
    void (*fn)(void *ctx, uint32_t events); /* EPOLL* bits */
    void *ctx;
    uint32_t events; /* what the kernel was asked for */
};

/* A one-shot timer; zero-filled, then `fn` and `ctx` set, it is ready for use. */
struct sx_timer {
    void (*fn)(void *ctx);
    void *ctx;
    uint64_t at_ms; /* monotonic; meaningful while armed */
    bool armed;
    struct sx_timer *next, **prev;
};

/* A call from another thread into the loop, or at the end of the turn; zero-filled, then `fn`,
 * `ctx` set. */
struct sx_call {
    void (*fn)(void *ctx);
    void *ctx;
    bool queued;
    struct sx_call *next;
};

struct sx_loop *sx_loop_new(struct sx_err *e) SX_MUST_CHECK;
/* After all users have taken their watches, timers and calls back; runs what is still deferred
 * (dead connections that free themselves). */
void sx_loop_free(struct sx_loop *l);

/* Runs turns until sx_loop_stop(), which may have come before. */
void sx_loop_run(struct sx_loop *l);
void sx_loop_stop(struct sx_loop *l);
uint64_t sx_loop_now_ms(const struct sx_loop *l); /* monotonic, of this turn */

/* Starts, changes or (events 0 keeps the descriptor known, but silent) mutes; the descriptor
 * must stay open until removed. */
int sx_loop_watch(struct sx_loop *l, struct sx_watch *w, uint32_t events, struct sx_err *e) SX_MUST_CHECK;
void sx_loop_unwatch(struct sx_loop *l, struct sx_watch *w); /* before close(); twice is harmless */

void sx_loop_arm(struct sx_loop *l, struct sx_timer *t, uint64_t at_ms); /* moves it if armed */
void sx_loop_disarm(struct sx_loop *l, struct sx_timer *t);

/* Calls c->fn at the end of this turn (at once if the loop is not in a turn: at the end of the
 * next); a second request before that changes nothing. */
void sx_loop_defer(struct sx_loop *l, struct sx_call *c);
void sx_loop_undefer(struct sx_loop *l, struct sx_call *c);

/* From any thread: calls c->fn in the loop's thread soon.  c must not be posted already. */
void sx_loop_post(struct sx_loop *l, struct sx_call *c);

#endif
