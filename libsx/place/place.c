/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See place.h.
 */
#include "libsx/place/place.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "libsx/base/err.h"

#define GOLDEN 0x9e3779b97f4a7c15ULL

struct seat {
    double score;
    uint64_t id;
    uint32_t zone;
    uint16_t index;
};

/* The 64-bit finalizer of splitmix64 (G. Steele et al., "Fast splittable pseudorandom number
 * generators", OOPSLA 2014). */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static double score(unsigned partition, const struct sx_place_node *node)
{
    uint64_t x = mix(mix(partition + GOLDEN) ^ node->id);

    return -log(((double)(x >> 11) + 0.5) / 9007199254740992.0 /* 2^53 */) / (double)node->weight;
}

static int seat_cmp(const void *va, const void *vb)
{
    const struct seat *a = va, *b = vb;

    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static bool zone_seated(const struct seat *seats, size_t n, uint32_t zone)
{
    for (size_t i = 0; zone && i < n; i++)
        if (seats[i].zone == zone)
            return true;
    return false;
}

/* First those whose zone does not stand before them, then the others, each in order. */
static size_t spread(const struct seat *seats, size_t n, size_t want, uint16_t *owners)
{
    size_t have = 0;

    for (int repeated = 0; repeated < 2; repeated++)
        for (size_t i = 0; i < n && have < want; i++)
            if (zone_seated(seats, i, seats[i].zone) == (repeated == 1))
                owners[have++] = seats[i].index;
    return have;
}

size_t sx_place(const struct sx_place_node *nodes, size_t n, unsigned partition, size_t want,
                uint16_t *owners)
{
    struct seat seats[SX_NODES_MAX];
    size_t seated = 0;

    sx_assert(n <= SX_NODES_MAX);
    for (size_t i = 0; i < n; i++)
        if (nodes[i].weight)
            seats[seated++] = (struct seat){ .score = score(partition, &nodes[i]),
                                             .id = nodes[i].id,
                                             .zone = nodes[i].zone,
                                             .index = (uint16_t)i };
    qsort(seats, seated, sizeof seats[0], seat_cmp);
    return spread(seats, seated, want, owners);
}
