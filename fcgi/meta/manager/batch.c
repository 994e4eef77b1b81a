/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See batch.h.
 */
#include "fcgi/meta/manager/batch.h"

#include "libsx/base/mem.h"

#define BATCH_ENTRIES 1024u
#define BATCH_BYTES (4u << 20)

void sx_batch_free(struct sx_batch *b)
{
    if (!b)
        return;
    sx_buf_fini(&b->data);
    free(b->items);
    free(b);
}

/* The batch that the next entry goes to. */
static struct sx_batch *open_batch(struct sx_batches *q)
{
    struct sx_batch *b = q->last;

    if (b && b->n < BATCH_ENTRIES && b->data.len < BATCH_BYTES)
        return b;
    b = sx_calloc(1, sizeof *b);
    if (q->last)
        q->last->next = b;
    else
        q->head = b;
    q->last = b;
    return b;
}

void sx_batches_add(struct sx_batches *q, const struct sx_entry *entry)
{
    struct sx_batch *b = open_batch(q);

    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 8;
        b->items = sx_realloc(b->items, b->cap * sizeof *b->items);
    }
    b->items[b->n++] = (struct sx_batch_item){ .index = entry->index,
                                               .term = entry->term,
                                               .type = entry->type,
                                               .at = b->data.len,
                                               .len = entry->len };
    sx_buf_add(&b->data, entry->data, entry->len);
}

struct sx_batch *sx_batches_take(struct sx_batches *q)
{
    struct sx_batch *b = q->head;

    if (!b)
        return NULL;
    q->head = b->next;
    if (!q->head)
        q->last = NULL;
    return b;
}

void sx_batches_fini(struct sx_batches *q)
{
    struct sx_batch *b;

    while ((b = sx_batches_take(q)))
        sx_batch_free(b);
}
