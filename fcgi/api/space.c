/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See space.h.
 *
 * What follows from the metadata is the same on all nodes and taken from one; what was measured in
 * packs is added.  A ratio of compression is that of the blocks that were measured, so it holds when
 * a node is missing too.
 */
#include "fcgi/api/space.h"

#include <math.h>

#include "libsx/base/mem.h"

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

/* The sums of a volume in what a node counted; volumes ascend by their ids. */
static const json_t *sums_of(const json_t *space, uint64_t volume)
{
    const json_t *list = json_object_get(space, "volumes");
    size_t low = 0, high = json_array_size(list);

    if (volume == SX_SPACE_ALL)
        return json_object_get(space, "all");
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const json_t *v = json_array_get(list, mid);

        if (number(v, "id") == volume)
            return v;
        if (number(v, "id") < volume)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* That of this node, else the newest. */
static const json_t *metadata_of(const struct sx_space_counts *c)
{
    const json_t *best = c->own < c->n ? c->node[c->own] : NULL;

    if (best)
        return best;
    for (size_t i = 0; i < c->n; i++)
        if (c->node[i] && (!best || number(c->node[i], "as_of_ms") > number(best, "as_of_ms")))
            best = c->node[i];
    return best;
}

static void add_ratio(json_t *j, const char *name, double of, double to)
{
    if (of > 0 && to > 0)
        json_object_set_new(j, name, json_real(round(of / to * 1000) / 1000));
}

json_t *sx_space_figures(const struct sx_space_counts *c, uint64_t volume)
{
    const json_t *meta = sums_of(metadata_of(c), volume);
    uint64_t logical = number(meta, "logical"), unique = number(meta, "unique");
    uint64_t counted = number(meta, "inline_plain"), compressed = number(meta, "inline");
    uint64_t physical = 0, exclusive = 0;
    json_t *j;

    for (size_t i = 0; i < c->n; i++) {
        const json_t *one = sums_of(c->node[i], volume);

        counted += number(one, "counted");
        compressed += number(one, "compressed");
        physical += number(one, "physical");
        exclusive += number(one, "exclusive");
    }
    j = json_pack("{s:I,s:I,s:I,s:I,s:I}", "logical", (json_int_t)logical, "unique",
                  (json_int_t)unique, "compressed", (json_int_t)compressed, "physical",
                  (json_int_t)physical, "inline", (json_int_t)number(meta, "inline"));
    sx_assert(j);
    if (volume != SX_SPACE_ALL)
        json_object_set_new(j, "exclusive", json_integer((json_int_t)exclusive));
    add_ratio(j, "dedup", (double)logical, (double)unique);
    add_ratio(j, "compression", (double)counted, (double)compressed);
    add_ratio(j, "reduction", (double)logical * (double)counted,
              (double)unique * (double)compressed);
    return j;
}

bool sx_space_complete(const struct sx_space_counts *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->node[i] || number(c->node[i], "lacking") ||
            number(c->node[i], "map_version") != number(c->node[0], "map_version"))
            return false;
    return true;
}

uint64_t sx_space_as_of(const struct sx_space_counts *c)
{
    uint64_t oldest = 0;

    for (size_t i = 0; i < c->n; i++) {
        uint64_t at = number(c->node[i], "as_of_ms");

        if (at && (!oldest || at < oldest))
            oldest = at;
    }
    return oldest;
}

uint64_t sx_space_total(const struct sx_space_counts *c, const char *name)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < c->n; i++)
        sum += number(c->node[i], name);
    return sum;
}
