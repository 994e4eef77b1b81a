/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A ring of entries, see rlog.h.
 */
#include "fcgi/meta/raft/rlog.h"

#include <string.h>

#include "libsx/base/err.h"
#include "libsx/base/mem.h"

#define CAP_MIN 64u

void sx_rlog_init(struct sx_rlog *l, uint64_t first, uint64_t limit)
{
    *l = (struct sx_rlog){ .first = first, .oldest = first, .limit = limit };
}

static struct sx_rlog_item *at(const struct sx_rlog *l, size_t i)
{
    return &l->item[(l->head + i) % l->cap];
}

static void drop_data(struct sx_rlog *l, struct sx_rlog_item *item)
{
    if (!item->data)
        return;
    l->cached -= item->len;
    free(item->data);
    item->data = NULL;
}

void sx_rlog_reset(struct sx_rlog *l, uint64_t first)
{
    for (size_t i = 0; i < l->n; i++)
        drop_data(l, at(l, i));
    l->n = l->head = 0;
    l->first = l->oldest = first;
    l->marked = 0;
}

void sx_rlog_fini(struct sx_rlog *l)
{
    sx_rlog_reset(l, 1);
    free(l->item);
    l->item = NULL;
    l->cap = 0;
}

struct sx_rlog_item *sx_rlog_get(const struct sx_rlog *l, uint64_t index)
{
    if (index < l->first || index - l->first >= l->n)
        return NULL;
    return at(l, index - l->first);
}

uint64_t sx_rlog_term(const struct sx_rlog *l, uint64_t index)
{
    const struct sx_rlog_item *item = sx_rlog_get(l, index);

    return item ? item->term : 0;
}

static void grow(struct sx_rlog *l)
{
    size_t cap = l->cap ? l->cap * 2 : CAP_MIN;
    struct sx_rlog_item *item = sx_calloc(cap, sizeof *item);

    for (size_t i = 0; i < l->n; i++)
        item[i] = *at(l, i);
    free(l->item);
    l->item = item;
    l->cap = cap;
    l->head = 0;
}

void sx_rlog_append(struct sx_rlog *l, const struct sx_entry *e)
{
    uint8_t *data = sx_malloc(e->len ? e->len : 1);

    sx_assert(e->index == l->first + l->n);
    if (l->n == l->cap)
        grow(l);
    if (e->len)
        memcpy(data, e->data, e->len);
    l->n++;
    *at(l, l->n - 1) = (struct sx_rlog_item){ e->term, e->len, e->type, data };
    l->cached += e->len;
    if (e->index > l->mark)
        l->marked += e->len;
}

void sx_rlog_truncate(struct sx_rlog *l, uint64_t from)
{
    sx_assert(from >= l->first);
    while (l->n && sx_rlog_last(l) >= from) {
        if (sx_rlog_last(l) > l->mark)
            l->marked -= at(l, l->n - 1)->len;
        drop_data(l, at(l, l->n - 1));
        l->n--;
    }
    if (l->oldest > l->first + l->n)
        l->oldest = l->first + l->n;
}

void sx_rlog_cut(struct sx_rlog *l, uint64_t first)
{
    while (l->n && l->first < first) {
        if (l->first > l->mark)
            l->marked -= at(l, 0)->len;
        drop_data(l, at(l, 0));
        l->head = (l->head + 1) % l->cap;
        l->first++;
        l->n--;
    }
    if (l->first < first)
        l->first = first;
    if (l->oldest < l->first)
        l->oldest = l->first;
}

void sx_rlog_evict(struct sx_rlog *l, uint64_t stored)
{
    while (l->cached > l->limit && l->oldest <= stored) {
        struct sx_rlog_item *item = sx_rlog_get(l, l->oldest);

        if (!item)
            return;
        drop_data(l, item);
        l->oldest++;
    }
}

uint64_t sx_rlog_bytes_after(const struct sx_rlog *l, uint64_t index)
{
    uint64_t bytes = 0;

    for (uint64_t i = l->n; i > 0 && l->first + i - 1 > index; i--)
        bytes += at(l, i - 1)->len;
    return bytes;
}

void sx_rlog_mark(struct sx_rlog *l, uint64_t index)
{
    l->mark = index;
    l->marked = sx_rlog_bytes_after(l, index);
}
