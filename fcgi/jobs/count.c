/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See count.h.
 */
#include "fcgi/jobs/count.h"

#include "fcgi/cluster/peers.h"
#include "fcgi/jobs/census.h"
#include "fcgi/jobs/proc.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define FNV_PRIME 1099511628211u

struct sx_count {
    const struct sx_node_conf *conf;
    struct sx_meta *meta;
    struct sx_store *store;   /* opened when first needed */
    struct sx_peers *peers;
    struct sx_proc poke;      /* only its file */
    struct sx_census *census; /* NULL: none is under way */
    bool asked;               /* someone waits for it */
    uint64_t began_ms, began_wall_ms, due_ms;
    uint64_t mark, map_version; /* of what is being counted */
    /* The figures that are published, and what they rest on. */
    bool have;
    struct sx_space space;
    uint64_t space_mark, full_ms;
    uint8_t first[SX_PARTITIONS]; /* 1: this node is the first owner */
};

struct sx_count *sx_count_new(const struct sx_node_conf *conf, struct sx_meta *meta)
{
    struct sx_count *c = sx_calloc(1, sizeof *c);

    c->conf = conf;
    c->meta = meta;
    c->peers = sx_peers_new(conf, NULL, meta); /* for placement only: no board is needed */
    c->poke.poke = sx_asprintf("%s/run/" SX_SPACE_POKE, conf->dir);
    return c;
}

void sx_count_free(struct sx_count *c)
{
    sx_census_free(c->census);
    sx_space_fini(&c->space);
    sx_peers_free(c->peers);
    sx_store_close(c->store);
    free(c->poke.poke);
    free(c);
}

/* ---- what a census asks for ---- */

static int db_of(void *ctx, unsigned group, sqlite3 **db, struct sx_err *e)
{
    struct sx_count *c = ctx;

    return sx_meta_db(c->meta, group, db, e);
}

static bool first_here(void *ctx, const struct sx_id *id)
{
    const struct sx_count *c = ctx;

    return c->first[sx_id_partition(id)];
}

static int find_first(struct sx_count *c, struct sx_err *e)
{
    if (sx_peers_refresh(c->peers, e))
        return -1;
    for (unsigned i = 0; i < SX_PARTITIONS; i++) {
        struct sx_id id = { { (uint8_t)(i >> 4), (uint8_t)(i << 4) } };
        uint16_t order[SX_NODES_MAX];

        c->first[i] =
            sx_peers_order(c->peers, &id, order) && order[0] == sx_peers_self(c->peers);
    }
    return 0;
}

/* ---- has anything changed? ---- */

static int mark_of(struct sx_count *c, uint64_t *mark, struct sx_err *e)
{
    struct sx_store_stats st;
    uint64_t m = 0;
    sqlite3 *db;

    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        uint64_t one;

        if (sx_meta_db(c->meta, g, &db, e) || sx_query_space_mark(db, &one, e))
            return -1;
        m = (m ^ one) * FNV_PRIME;
    }
    if (sx_meta_db(c->meta, SX_META_GROUP_CLUSTER, &db, e) ||
        sx_query_map_version(db, &c->map_version, e) || sx_store_stats(c->store, &st, e))
        return -1;
    const uint64_t facts[] = { c->map_version, st.blocks, st.bytes, st.used, st.dead, st.bad };

    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        m = (m ^ facts[i]) * FNV_PRIME;
    *mark = m;
    return 0;
}

/* ---- beginning and ending ---- */

static int begin(struct sx_count *c, struct sx_err *e)
{
    const struct sx_census_source from = {
        .dir = c->conf->dir, .store = c->store, .groups = sx_meta_groups(), .db = db_of,
        .first = first_here, .ctx = c,
    };

    c->began_ms = sx_mono_ms();
    c->began_wall_ms = sx_wall_ms();
    return find_first(c, e) || sx_census_new(&from, &c->census, e) ? -1 : 0;
}

static void publish(struct sx_count *c)
{
    uint64_t took = sx_mono_ms() - c->began_ms;

    sx_space_fini(&c->space);
    c->space = sx_census_take(c->census);
    c->space.as_of_ms = c->began_wall_ms;
    c->space.took_ms = took;
    c->space.map_version = c->map_version;
    c->space_mark = c->mark;
    c->full_ms = c->began_ms;
    c->have = true;
    sx_space_publish(c->conf->dir, &c->space);
    sx_debug("space counted in %llu ms", (unsigned long long)took);
    c->due_ms = c->began_ms +
                (took * SX_COUNT_SHARE > SX_COUNT_MS ? took * SX_COUNT_SHARE : SX_COUNT_MS);
}

static void drop(struct sx_count *c)
{
    sx_census_free(c->census);
    c->census = NULL;
    c->asked = false;
}

static int proceed(struct sx_count *c, struct sx_err *e)
{
    uint64_t until = sx_mono_ms() + (c->asked ? SX_COUNT_ASKED_MS : SX_COUNT_LOOK_MS);
    bool more = true;

    while (more && sx_mono_ms() < until)
        if (sx_census_step(c->census, &more, e))
            return -1;
    if (more)
        return 0;
    publish(c);
    drop(c);
    return 0;
}

/* A census that is due, or only the news that there is nothing new. */
static int start(struct sx_count *c, struct sx_err *e)
{
    if (!c->store && sx_store_open_node(c->conf->dir, &c->store, e))
        return -1;
    if (mark_of(c, &c->mark, e))
        return -1;
    if (c->asked || !c->have || c->mark != c->space_mark ||
        sx_mono_ms() - c->full_ms >= SX_COUNT_FULL_MS)
        return begin(c, e);
    c->space.as_of_ms = sx_wall_ms();
    sx_space_publish(c->conf->dir, &c->space);
    c->due_ms = sx_mono_ms() + SX_COUNT_MS;
    return 0;
}

void sx_count_look(struct sx_count *c)
{
    struct sx_err e = SX_ERR_INIT;
    int r = 0;

    if (!c->census) {
        c->asked = sx_proc_poked(&c->poke);
        if (c->asked || sx_mono_ms() >= c->due_ms)
            r = start(c, &e);
    }
    if (r == 0 && c->census)
        r = proceed(c, &e);
    if (r) {
        /* A node that has just joined has no metadata yet. */
        sx_log(e.code == SX_EUNAVAIL ? SX_LOG_DEBUG : SX_LOG_WARN, "space is not counted: %s", e.msg);
        drop(c);
        c->due_ms = sx_mono_ms() + SX_COUNT_RETRY_MS;
    }
}
