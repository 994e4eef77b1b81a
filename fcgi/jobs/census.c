/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See census.h.
 *
 * A page of the index is read before the references that it is compared with: a block that is
 * stored and committed in between is then merely not seen, and never taken for garbage.
 */
#include "fcgi/jobs/census.h"

#include <string.h>

#include "fcgi/jobs/holders.h"
#include "libsx/base/mem.h"

#define PAGE 512u
#define BLOCK_ROWS 2048u /* references and blocks in one step */

enum phase { HOLDERS, INLINES, BLOCKS, DONE };

/* References of one group in the order of ids. */
struct refs {
    struct sx_ref_row row[PAGE];
    size_t n, at;
    bool began, end;
    uint64_t newest; /* contents above it were made after the holders were looked at */
};

/* The index in the order of ids. */
struct items {
    struct sx_store_item item[PAGE];
    size_t n, at;
    bool began, end;
};

struct sx_census {
    struct sx_census_source from;
    struct sx_space space;
    enum phase phase;
    unsigned group; /* of the first two phases */
    struct sx_holders *holders;
    struct sx_holder_at at;
    uint64_t inline_at;
    struct refs *refs; /* one of each group */
    struct items items;
    /* The block that rows are being gathered of. */
    bool have;
    struct sx_id id;
    struct sx_space_block block;
    struct sx_holder_set set;
};

int sx_census_new(const struct sx_census_source *from, struct sx_census **out, struct sx_err *e)
{
    struct sx_census *c = sx_calloc(1, sizeof *c);

    c->from = *from;
    c->refs = sx_calloc(from->groups, sizeof *c->refs);
    if (sx_holders_new(from->dir, &c->holders, e)) {
        sx_census_free(c);
        return sx_err_wrap(e, "census");
    }
    *out = c;
    return 0;
}

void sx_census_free(struct sx_census *c)
{
    if (!c)
        return;
    sx_holders_free(c->holders);
    sx_holder_set_fini(&c->set);
    sx_space_fini(&c->space);
    free(c->refs);
    free(c);
}

static int db_of(struct sx_census *c, unsigned group, sqlite3 **db, struct sx_err *e)
{
    return c->from.db(c->from.ctx, group, db, e);
}

static void next_group(struct sx_census *c, enum phase then)
{
    memset(&c->at, 0, sizeof c->at);
    c->inline_at = 0;
    if (++c->group < c->from.groups)
        return;
    c->group = 0;
    c->phase = then;
}

/* ---- holders ---- */

/* Contents are numbered by the log: what is made from now on is above this. */
static int note_newest(struct sx_census *c, sqlite3 *db, struct sx_err *e)
{
    uint64_t index, term;

    if (sx_query_applied(db, &index, &term, e))
        return -1;
    c->refs[c->group].newest = index << 16 | UINT16_MAX;
    return 0;
}

/* Who holds a joint content holds what it is made of. */
static int add_joints(struct sx_census *c, const struct sx_holder *list, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_holder_set) struct sx_holder_set set = { 0 };

    for (size_t i = 0; i < n; i++) {
        set.n = 0;
        if (sx_holders_find(c->holders, c->group, list[i].volume, &set, NULL, e))
            return -1;
        for (size_t k = 0; k < set.n; k++) {
            const struct sx_holder one = { .volume = set.volume[k], .content = list[i].content };

            if (sx_holders_add(c->holders, c->group, &one, 1, e))
                return -1;
        }
    }
    return 0;
}

static int step_holders(struct sx_census *c, struct sx_err *e)
{
    bool joints = c->at.table == SX_HOLDERS_JOINT;
    struct sx_holder list[PAGE];
    sqlite3 *db;
    size_t n;

    if (db_of(c, c->group, &db, e) || (c->refs[c->group].newest == 0 && note_newest(c, db, e)) ||
        sx_query_holders(db, &c->at, list, PAGE, &n, e) ||
        (joints ? add_joints(c, list, n, e) : sx_holders_add(c->holders, c->group, list, n, e)))
        return -1;
    for (size_t i = 0; i < n && !joints; i++) {
        if (list[i].volume == SX_SPACE_UPLOAD)
            continue;
        c->space.all.logical += list[i].size;
        sx_space_volume(&c->space, list[i].volume)->logical += list[i].size;
    }
    if (c->at.table == SX_HOLDERS_END)
        next_group(c, INLINES);
    return 0;
}

/* ---- inline contents ---- */

static int add_inline(struct sx_census *c, const struct sx_inline *one, struct sx_err *e)
{
    c->set.n = 0;
    if (sx_holders_find(c->holders, c->group, one->content, &c->set, NULL, e))
        return -1;
    sx_space_add_inline(&c->space, one->plain, one->stored, c->set.volume, c->set.n);
    return 0;
}

static int step_inlines(struct sx_census *c, struct sx_err *e)
{
    struct sx_inline list[PAGE];
    sqlite3 *db;
    size_t n;

    if (db_of(c, c->group, &db, e) || sx_query_inlines(db, c->inline_at, list, PAGE, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (add_inline(c, &list[i], e))
            return -1;
    if (n)
        c->inline_at = list[n - 1].content;
    if (n < PAGE)
        next_group(c, BLOCKS);
    return 0;
}

/* ---- blocks ---- */

/* The next item of the index; NULL behind the last. */
static int peek_item(struct sx_census *c, const struct sx_store_item **item, struct sx_err *e)
{
    struct items *p = &c->items;

    if (p->at == p->n && !p->end) {
        struct sx_id after = p->item[p->n ? p->n - 1 : 0].id;

        if (sx_store_list(c->from.store, p->began ? &after : NULL, p->item, PAGE, &p->n, e))
            return -1;
        p->began = true;
        p->at = 0;
        p->end = p->n < PAGE;
    }
    *item = p->at < p->n ? &p->item[p->at] : NULL;
    return 0;
}

static int peek_ref(struct sx_census *c, unsigned group, const struct sx_ref_row **row,
                    struct sx_err *e)
{
    struct refs *p = &c->refs[group];

    if (p->at == p->n && !p->end) {
        struct sx_ref_row after = p->row[p->n ? p->n - 1 : 0];
        sqlite3 *db;

        if (db_of(c, group, &db, e) ||
            sx_query_ref_rows(db, p->began ? &after : NULL, p->row, PAGE, &p->n, e))
            return -1;
        p->began = true;
        p->at = 0;
        p->end = p->n < PAGE;
    }
    *row = p->at < p->n ? &p->row[p->at] : NULL;
    return 0;
}

/* The group whose next reference is the smallest; NULL behind the last. */
static int least_ref(struct sx_census *c, unsigned *group, const struct sx_ref_row **least,
                     struct sx_err *e)
{
    const struct sx_ref_row *row;

    *least = NULL;
    for (unsigned g = 0; g < c->from.groups; g++) {
        if (peek_ref(c, g, &row, e))
            return -1;
        if (row && (!*least || sx_id_cmp(&row->id, &(*least)->id) < 0)) {
            *least = row;
            *group = g;
        }
    }
    return 0;
}

static void close_block(struct sx_census *c)
{
    if (c->have)
        sx_space_add_block(&c->space, &c->block, c->set.volume, c->set.n);
    c->have = false;
}

static void open_block(struct sx_census *c, const struct sx_id *id)
{
    if (c->have && sx_id_cmp(&c->id, id) == 0)
        return;
    close_block(c);
    c->have = true;
    c->id = *id;
    c->block = (struct sx_space_block){ .first = c->from.first(c->from.ctx, id) };
    c->set.n = 0;
}

/* A content without holders is being removed, or was committed while this census was on its way. */
static int take_ref(struct sx_census *c, unsigned group, const struct sx_ref_row *row,
                    struct sx_err *e)
{
    size_t n;

    open_block(c, &row->id);
    c->block.plain = row->len;
    if (sx_holders_find(c->holders, group, row->content, &c->set, &n, e))
        return -1;
    if (n == 0 && row->content > c->refs[group].newest)
        sx_holder_set_add(&c->set, SX_SPACE_UPLOAD);
    c->refs[group].at++;
    return 0;
}

static void take_item(struct sx_census *c, const struct sx_store_item *item)
{
    open_block(c, &item->id);
    c->block.stored = item->len;
    c->block.damaged = item->bad;
    c->items.at++;
}

static int finish(struct sx_census *c, struct sx_err *e)
{
    struct sx_store_stats st;

    close_block(c);
    if (sx_store_stats(c->from.store, &st, e))
        return -1;
    c->space.packs = st.used;
    c->space.dead = st.dead;
    c->space.headers = st.used > st.bytes + st.dead ? st.used - st.bytes - st.dead : 0;
    for (unsigned g = 0; g < c->from.groups; g++) {
        uint64_t bytes;
        sqlite3 *db;

        if (db_of(c, g, &db, e) || sx_query_size(db, &bytes, e))
            return -1;
        c->space.metadata += bytes;
    }
    c->phase = DONE;
    return 0;
}

static int step_blocks(struct sx_census *c, struct sx_err *e)
{
    for (unsigned i = 0; i < BLOCK_ROWS; i++) {
        const struct sx_store_item *item;
        const struct sx_ref_row *row;
        unsigned group;

        if (peek_item(c, &item, e) || least_ref(c, &group, &row, e))
            return -1;
        if (!item && !row)
            return finish(c, e);
        if (!row || (item && sx_id_cmp(&item->id, &row->id) <= 0))
            take_item(c, item);
        else if (take_ref(c, group, row, e))
            return -1;
    }
    return 0;
}

int sx_census_step(struct sx_census *c, bool *more, struct sx_err *e)
{
    static int (*const steps[])(struct sx_census *c, struct sx_err *e) = {
        [HOLDERS] = step_holders, [INLINES] = step_inlines, [BLOCKS] = step_blocks,
    };

    sx_assert(c->phase < DONE);
    if (steps[c->phase](c, e))
        return sx_err_wrap(e, "census");
    *more = c->phase != DONE;
    return 0;
}

struct sx_space sx_census_take(struct sx_census *c)
{
    struct sx_space s = c->space;

    sx_assert(c->phase == DONE);
    memset(&c->space, 0, sizeof c->space);
    return s;
}
