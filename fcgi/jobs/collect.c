/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See collect.h.  The order in do_page() is the rule: an epoch that is applied here, references
 * read, lease checked again in the deletion.
 */
#include "fcgi/jobs/collect.h"

#include <string.h>

#include "fcgi/meta/command.h"
#include "libsx/base/mem.h"

size_t sx_collect_decide(uint64_t horizon, const struct sx_collect_block *blocks, size_t n,
                         bool *victims)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        victims[i] = !blocks[i].referenced && blocks[i].lease <= horizon;
        count += victims[i];
    }
    return count;
}

/* ---- the sets ---- */

static bool has(const uint8_t *set, unsigned part)
{
    return set[part / 8] >> part % 8 & 1;
}

static void put(uint8_t *set, unsigned part)
{
    set[part / 8] |= (uint8_t)(1u << part % 8);
}

/* The first part from `from` on that is (or is not) in the set; SX_ID_PREFIXES: none. */
static unsigned next(const uint8_t *set, unsigned from, bool in)
{
    while (from < SX_ID_PREFIXES && has(set, from) != in)
        if (from % 8 == 0 && set[from / 8] == (in ? 0x00 : 0xff))
            from += 8;
        else
            from++;
    return from;
}

static void clear(uint8_t *set, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        set[i / 8] &= (uint8_t) ~(1u << i % 8);
}

/* The part that is being looked at begins anew: what changed may lie in what was seen of it. */
void sx_collect_add(struct sx_collect *c, const uint8_t bits[SX_ID_PREFIXES / 8])
{
    for (size_t i = 0; i < sizeof c->todo; i++)
        c->todo[i] |= (uint8_t)(bits[i] & ~c->waiting[i]);
    c->inside = false;
}

void sx_collect_add_all(struct sx_collect *c)
{
    uint8_t all[sizeof c->todo];

    memset(all, 0xff, sizeof all);
    sx_collect_add(c, all);
}

void sx_collect_wake(struct sx_collect *c)
{
    uint8_t bits[sizeof c->waiting];

    memcpy(bits, c->waiting, sizeof bits);
    memset(c->waiting, 0, sizeof c->waiting);
    c->pending = 0;
    sx_collect_add(c, bits);
}

bool sx_collect_waits(const struct sx_collect *c)
{
    return next(c->waiting, 0, true) < SX_ID_PREFIXES;
}

/* ---- a page ---- */

struct page {
    unsigned from, to; /* parts, `to` excluded */
    struct sx_store_item items[SX_COLLECT_PAGE];
    struct sx_id ids[SX_COLLECT_PAGE];
    uint8_t yes[SX_COLLECT_PAGE];
    struct sx_collect_block blocks[SX_COLLECT_PAGE];
    bool victims[SX_COLLECT_PAGE];
    size_t n;
    bool whole; /* it holds the rest of all its parts */
};

/* The id right before a part; false before the first. */
static bool id_before(unsigned part, struct sx_id *id)
{
    memset(id->b, 0xff, sizeof id->b);
    id->b[0] = (uint8_t)((part - 1) >> 8);
    id->b[1] = (uint8_t)(part - 1);
    return part > 0;
}

static int load(struct sx_store *s, const struct sx_collect *c, struct page *p, struct sx_err *e)
{
    struct sx_id after = c->after;
    bool behind = c->inside || id_before(p->from, &after);
    size_t n;

    if (sx_store_list(s, behind ? &after : NULL, p->items, SX_COLLECT_PAGE, &n, e))
        return -1;
    for (p->n = 0; p->n < n && sx_id_prefix(p->items[p->n].id.b) < p->to; p->n++) {
        p->ids[p->n] = p->items[p->n].id;
        p->blocks[p->n].lease = p->items[p->n].lease;
    }
    p->whole = p->n < SX_COLLECT_PAGE;
    return 0;
}

static int delete_victims(struct sx_store *s, struct sx_collect *c, struct page *p,
                          uint64_t horizon, struct sx_err *e)
{
    size_t n = 0, deleted;

    for (size_t i = 0; i < p->n; i++)
        if (p->victims[i])
            p->ids[n++] = p->items[i].id;
    for (size_t i = 0; i < n; i += SX_COLLECT_DELETE) {
        size_t count = n - i < SX_COLLECT_DELETE ? n - i : SX_COLLECT_DELETE;

        if (sx_store_delete(s, p->ids + i, count, horizon, &deleted, e))
            return -1;
        c->deleted += deleted;
        for (size_t k = 0; k < count && deleted < count; k++) /* leased anew: looked at again */
            put(c->waiting, sx_id_prefix(p->ids[i + k].b));
    }
    return 0;
}

static int do_page(struct sx_store *s, const struct sx_collect_meta *m, struct sx_collect *c,
                   struct page *p, struct sx_err *e)
{
    uint64_t epoch, horizon;

    if (m->epoch(m->ctx, &epoch, e))
        return sx_err_wrap(e, "epoch");
    horizon = sx_epoch_horizon(epoch);
    if (m->referenced(m->ctx, p->ids, p->n, p->yes, e))
        return sx_err_wrap(e, "references");
    for (size_t i = 0; i < p->n; i++)
        p->blocks[i].referenced = p->yes[i] != 0;
    if (sx_collect_decide(horizon, p->blocks, p->n, p->victims) &&
        delete_victims(s, c, p, horizon, e))
        return -1;
    for (size_t i = 0; i < p->n; i++) {
        if (p->blocks[i].referenced || p->victims[i])
            continue;
        put(c->waiting, sx_id_prefix(p->items[i].id.b));
        c->pending++;
    }
    return 0;
}

/* What was looked at is no longer to do. */
static void advance(struct sx_collect *c, const struct page *p)
{
    unsigned upto = p->whole ? p->to : sx_id_prefix(p->items[p->n - 1].id.b);

    clear(c->todo, p->from, upto);
    c->inside = !p->whole;
    if (c->inside)
        c->after = p->items[p->n - 1].id;
    c->seen += p->n;
}

int sx_collect_page(struct sx_store *s, const struct sx_collect_meta *m, struct sx_collect *c,
                    bool *more, struct sx_err *e)
{
    SX_AUTO_FREE struct page *p = sx_malloc(sizeof *p);

    p->from = next(c->todo, 0, true);
    *more = p->from < SX_ID_PREFIXES;
    if (!*more)
        return 0;
    p->to = next(c->todo, p->from, false);
    if (load(s, c, p, e) || (p->n && do_page(s, m, c, p, e)))
        return sx_err_wrap(e, "collect");
    advance(c, p);
    return 0;
}
