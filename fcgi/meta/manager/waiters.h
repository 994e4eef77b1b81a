/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands of local processes that have no result yet.  All are found by op id (several may wait
 * for the same one); those that are to be sent are also queued, in the order in which they came or
 * came back.
 */
#ifndef SX_FCGI_META_MANAGER_WAITERS_H
#define SX_FCGI_META_MANAGER_WAITERS_H

#include "fcgi/meta/command.h"
#include "fcgi/meta/manager/local.h"

#define SX_WAITERS_BUCKETS 4096u

struct sx_waiter {
    struct sx_asker who;
    uint64_t deadline_ms;
    uint64_t sent_ms; /* once it was sent */
    unsigned resend_ms;
    uint8_t op[SX_OP_ID];
    bool queued;
    struct sx_waiter *q_next, **q_prev; /* queued; private but for walking on from the head */
    struct sx_waiter *next;             /* private: in the bucket */
    size_t len;
    uint8_t command[];
};

struct sx_waiters {
    unsigned n;
    size_t bytes;             /* of their commands */
    struct sx_waiter *q_head; /* the next one to be sent */
    struct sx_waiter **q_tail, *buckets[SX_WAITERS_BUCKETS]; /* private */
};

void sx_waiters_init(struct sx_waiters *ws);
void sx_waiters_fini(struct sx_waiters *ws); /* frees all; nobody is answered */

/* Adds and queues a command, which is copied; the caller sets the times. */
struct sx_waiter *sx_waiters_add(struct sx_waiters *ws, struct sx_asker who,
                                 const uint8_t op[SX_OP_ID], const void *command, size_t len);
void sx_waiters_remove(struct sx_waiters *ws, struct sx_waiter *w); /* frees it */

void sx_waiters_enqueue(struct sx_waiters *ws, struct sx_waiter *w); /* one that is not queued */
void sx_waiters_dequeue(struct sx_waiters *ws, struct sx_waiter *w); /* one that is */

/* Walks: the first one for `after` NULL, then the next; NULL: no more.  To remove one, ask for the
 * next before. */
struct sx_waiter *sx_waiters_find(const struct sx_waiters *ws, const uint8_t op[SX_OP_ID],
                                  const struct sx_waiter *after);
struct sx_waiter *sx_waiters_next(const struct sx_waiters *ws, const struct sx_waiter *after);

#endif
