/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See waiters.h.
 */
#include "fcgi/meta/manager/waiters.h"

#include <string.h>

#include "libsx/base/mem.h"

static unsigned bucket(const uint8_t op[SX_OP_ID])
{
    return sx_get_u32(op) % SX_WAITERS_BUCKETS;
}

void sx_waiters_init(struct sx_waiters *ws)
{
    memset(ws, 0, sizeof *ws);
    ws->q_tail = &ws->q_head;
}

void sx_waiters_fini(struct sx_waiters *ws)
{
    for (unsigned i = 0; i < SX_WAITERS_BUCKETS; i++)
        while (ws->buckets[i]) {
            struct sx_waiter *w = ws->buckets[i];

            ws->buckets[i] = w->next;
            free(w);
        }
}

void sx_waiters_enqueue(struct sx_waiters *ws, struct sx_waiter *w)
{
    sx_assert(!w->queued);
    w->queued = true;
    w->q_next = NULL;
    w->q_prev = ws->q_tail;
    *ws->q_tail = w;
    ws->q_tail = &w->q_next;
}

void sx_waiters_dequeue(struct sx_waiters *ws, struct sx_waiter *w)
{
    sx_assert(w->queued);
    w->queued = false;
    *w->q_prev = w->q_next;
    if (w->q_next)
        w->q_next->q_prev = w->q_prev;
    else
        ws->q_tail = w->q_prev;
}

struct sx_waiter *sx_waiters_add(struct sx_waiters *ws, struct sx_asker who,
                                 const uint8_t op[SX_OP_ID], const void *command, size_t len)
{
    struct sx_waiter *w = sx_malloc(sizeof *w + len);
    struct sx_waiter **at = &ws->buckets[bucket(op)];

    *w = (struct sx_waiter){ .who = who, .next = *at, .len = len };
    memcpy(w->op, op, SX_OP_ID);
    memcpy(w->command, command, len);
    *at = w;
    ws->n++;
    ws->bytes += len;
    sx_waiters_enqueue(ws, w);
    return w;
}

void sx_waiters_remove(struct sx_waiters *ws, struct sx_waiter *w)
{
    struct sx_waiter **at = &ws->buckets[bucket(w->op)];

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (w->queued)
        sx_waiters_dequeue(ws, w);
    ws->n--;
    ws->bytes -= w->len;
    free(w);
}

struct sx_waiter *sx_waiters_find(const struct sx_waiters *ws, const uint8_t op[SX_OP_ID],
                                  const struct sx_waiter *after)
{
    struct sx_waiter *w = after ? after->next : ws->buckets[bucket(op)];

    while (w && memcmp(w->op, op, SX_OP_ID) != 0)
        w = w->next;
    return w;
}

struct sx_waiter *sx_waiters_next(const struct sx_waiters *ws, const struct sx_waiter *after)
{
    unsigned i = after ? bucket(after->op) + 1 : 0;

    if (after && after->next)
        return after->next;
    while (i < SX_WAITERS_BUCKETS && !ws->buckets[i])
        i++;
    return i < SX_WAITERS_BUCKETS ? ws->buckets[i] : NULL;
}
