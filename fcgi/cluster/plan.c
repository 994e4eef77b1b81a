/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See plan.h.
 */
#include "fcgi/cluster/plan.h"

#include <string.h>

#include "libsx/base/err.h"
#include "libsx/base/mem.h"

struct block {
    uint16_t n_order;
    uint16_t copies, busy, answered; /* answered: HAS or LACKS */
    bool begun;
};

struct list {
    uint32_t *v;
    size_t n;
};

struct sx_plan {
    enum sx_plan_kind kind;
    size_t n_blocks, n_nodes;
    unsigned replica, quorum;
    bool *down;
    struct block *blocks;
    uint16_t *order; /* n_blocks x n_nodes: node at a position */
    uint8_t *state;  /* n_blocks x n_nodes: of that position */
    struct list *lists;
};

struct sx_plan *sx_plan_new(enum sx_plan_kind kind, size_t n_blocks, size_t n_nodes,
                            unsigned replica, unsigned quorum, const bool *down)
{
    struct sx_plan *p = sx_calloc(1, sizeof *p);

    p->kind = kind;
    p->n_blocks = n_blocks;
    p->n_nodes = n_nodes;
    p->replica = replica;
    p->quorum = quorum;
    p->down = sx_calloc(n_nodes + 1, sizeof *p->down);
    memcpy(p->down, down, n_nodes * sizeof *down);
    p->blocks = sx_calloc(n_blocks + 1, sizeof *p->blocks);
    p->order = sx_calloc(n_blocks * n_nodes + 1, sizeof *p->order);
    p->state = sx_calloc(n_blocks * n_nodes + 1, sizeof *p->state);
    p->lists = sx_calloc(n_nodes + 1, sizeof *p->lists);
    return p;
}

void sx_plan_free(struct sx_plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_nodes; i++)
        free(p->lists[i].v);
    free(p->lists);
    free(p->state);
    free(p->order);
    free(p->blocks);
    free(p->down);
    free(p);
}

uint16_t *sx_plan_order(struct sx_plan *p, size_t block)
{
    return p->order + block * p->n_nodes;
}

void sx_plan_order_set(struct sx_plan *p, size_t block, size_t n)
{
    sx_assert(n <= p->n_nodes);
    p->blocks[block].n_order = (uint16_t)n;
}

static unsigned owners(const struct sx_plan *p, const struct block *b)
{
    return p->replica < b->n_order ? p->replica : b->n_order;
}

static void take(struct sx_plan *p, size_t block, unsigned position)
{
    struct list *l = &p->lists[sx_plan_order(p, block)[position]];

    if (!l->v)
        l->v = sx_calloc(p->n_blocks, sizeof *l->v);
    l->v[l->n++] = (uint32_t)block;
    p->state[block * p->n_nodes + position] = SX_PLAN_BUSY;
    p->blocks[block].busy++;
}

/* The first untried position from `from` on whose node is (not) known to be down; n_order if
 * none. */
static unsigned find(struct sx_plan *p, size_t block, unsigned from, bool down)
{
    unsigned n = p->blocks[block].n_order, i = from;

    while (i < n && (p->state[block * p->n_nodes + i] != SX_PLAN_UNTRIED ||
                     p->down[sx_plan_order(p, block)[i]] != down))
        i++;
    return i;
}

/* Whether one more node is wanted beyond those that answered or are busy. */
static bool wants_more(const struct sx_plan *p, const struct block *b)
{
    if (p->kind == SX_PLAN_HAVE)
        return (unsigned)b->answered + b->busy < owners(p, b);
    return (unsigned)b->copies + b->busy < p->quorum;
}

/* The nodes that are known to be down, when there is no other: all such owners at once, since
 * each may take its whole time-out, then one stand-in after the other. */
static void take_last_resort(struct sx_plan *p, size_t block)
{
    struct block *b = &p->blocks[block];
    unsigned at, own = owners(p, b);

    for (at = find(p, block, 0, true); at < own; at = find(p, block, at + 1, true))
        take(p, block, at);
    while (wants_more(p, b) && (at = find(p, block, 0, true)) < b->n_order)
        take(p, block, at);
}

static void plan_block(struct sx_plan *p, size_t block)
{
    struct block *b = &p->blocks[block];
    unsigned at, own = owners(p, b);

    if (!b->begun && p->kind == SX_PLAN_PUT)
        for (at = find(p, block, 0, false); at < own; at = find(p, block, at + 1, false))
            take(p, block, at);
    b->begun = true;
    while (wants_more(p, b) && (at = find(p, block, 0, false)) < b->n_order)
        take(p, block, at);
    if (p->kind == SX_PLAN_PUT && wants_more(p, b))
        take_last_resort(p, block);
}

size_t sx_plan_next(struct sx_plan *p)
{
    size_t used = 0;

    for (size_t i = 0; i < p->n_nodes; i++)
        p->lists[i].n = 0;
    for (size_t b = 0; b < p->n_blocks; b++)
        plan_block(p, b);
    for (size_t i = 0; i < p->n_nodes; i++)
        used += p->lists[i].n > 0;
    return used;
}

const uint32_t *sx_plan_list(const struct sx_plan *p, size_t node, size_t *n)
{
    *n = p->lists[node].n;
    return p->lists[node].v;
}

void sx_plan_answer(struct sx_plan *p, size_t node, size_t block, enum sx_plan_state state)
{
    struct block *b = &p->blocks[block];
    unsigned i = 0;

    while (i < b->n_order && sx_plan_order(p, block)[i] != node)
        i++;
    sx_assert(i < b->n_order && p->state[block * p->n_nodes + i] == SX_PLAN_BUSY);
    p->state[block * p->n_nodes + i] = (uint8_t)state;
    b->busy--;
    b->copies += state == SX_PLAN_HAS;
    b->answered += state == SX_PLAN_HAS || state == SX_PLAN_LACKS;
}

unsigned sx_plan_copies(const struct sx_plan *p, size_t block)
{
    return p->blocks[block].copies;
}

bool sx_plan_enough(const struct sx_plan *p, size_t block)
{
    return p->blocks[block].copies >= p->quorum;
}

bool sx_plan_complete(const struct sx_plan *p)
{
    for (size_t i = 0; i < p->n_blocks; i++)
        if (p->kind == SX_PLAN_HAVE ? p->blocks[i].busy > 0 ||
            !p->blocks[i].begun : !sx_plan_enough(p, i))
            return false;
    return true;
}

bool sx_plan_owner(const struct sx_plan *p, size_t block, unsigned k, size_t *node,
                   enum sx_plan_state *state)
{
    const struct block *b = &p->blocks[block];

    if (k >= owners(p, b))
        return false;
    *node = p->order[block * p->n_nodes + k];
    *state = (enum sx_plan_state)p->state[block * p->n_nodes + k];
    return true;
}
