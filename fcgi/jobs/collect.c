/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See collect.h.  The order in sx_collect_page() is the rule: horizon applied, references read,
 * lease checked again in the deletion.  References that were read before the horizon was applied
 * are only used to see whether a horizon is worth submitting.
 */
#include "fcgi/jobs/collect.h"

#include <string.h>

#include "libsx/base/mem.h"

size_t sx_collect_decide(uint64_t horizon_ms, const struct sx_collect_block *blocks, size_t n,
                         bool *victims)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        victims[i] = !blocks[i].referenced && blocks[i].lease_ms <= horizon_ms;
        count += victims[i];
    }
    return count;
}

struct page {
    struct sx_store_item items[SX_COLLECT_PAGE];
    struct sx_id ids[SX_COLLECT_PAGE];
    uint8_t yes[SX_COLLECT_PAGE];
    struct sx_collect_block blocks[SX_COLLECT_PAGE];
    bool victims[SX_COLLECT_PAGE];
    size_t n;
};

static int load(struct sx_store *s, const struct sx_collect_pass *pass, struct page *p,
                struct sx_err *e)
{
    if (sx_store_list(s, pass->resumed ? &pass->after : NULL, p->items, SX_COLLECT_PAGE, &p->n, e))
        return -1;
    for (size_t i = 0; i < p->n; i++) {
        p->ids[i] = p->items[i].id;
        p->blocks[i].lease_ms = p->items[i].lease_ms;
    }
    return 0;
}

/* Reads the references and decides. */
static int decide(const struct sx_collect_meta *m, uint64_t horizon_ms, struct page *p,
                  size_t *victims, struct sx_err *e)
{
    if (m->referenced(m->ctx, p->ids, p->n, p->yes, e))
        return sx_err_wrap(e, "references");
    for (size_t i = 0; i < p->n; i++)
        p->blocks[i].referenced = p->yes[i] != 0;
    *victims = sx_collect_decide(horizon_ms, p->blocks, p->n, p->victims);
    return 0;
}

static int delete_victims(struct sx_store *s, struct sx_collect_pass *pass, struct page *p,
                          struct sx_err *e)
{
    size_t n = 0, deleted;

    for (size_t i = 0; i < p->n; i++)
        if (p->victims[i])
            p->ids[n++] = p->items[i].id;
    if (sx_store_delete(s, p->ids, n, pass->horizon_ms, &deleted, e))
        return -1;
    pass->deleted += deleted;
    return 0;
}

static int do_page(struct sx_store *s, const struct sx_collect_meta *m,
                   struct sx_collect_pass *pass, struct page *p, struct sx_err *e)
{
    uint64_t now = sx_store_now_ms(s);
    size_t victims;

    if (decide(m, pass->have_horizon ? pass->horizon_ms : now, p, &victims, e))
        return -1;
    if (victims && !pass->have_horizon) {
        pass->horizon_ms = now;
        if (m->horizon(m->ctx, &pass->horizon_ms, e))
            return sx_err_wrap(e, "horizon");
        pass->have_horizon = true;
        if (decide(m, pass->horizon_ms, p, &victims, e))
            return -1;
    }
    for (size_t i = 0; i < p->n; i++)
        pass->pending += !p->blocks[i].referenced && !p->victims[i];
    return victims ? delete_victims(s, pass, p, e) : 0;
}

int sx_collect_page(struct sx_store *s, const struct sx_collect_meta *m,
                    struct sx_collect_pass *pass, bool *more, struct sx_err *e)
{
    SX_AUTO_FREE struct page *p = sx_malloc(sizeof *p);

    if (load(s, pass, p, e) || (p->n && do_page(s, m, pass, p, e)))
        return sx_err_wrap(e, "collect");
    *more = p->n == SX_COLLECT_PAGE;
    pass->seen += p->n;
    if (p->n) {
        pass->after = p->items[p->n - 1].id;
        pass->resumed = true;
    }
    return 0;
}
