/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the tests of the census: a real state machine, three stores in place of three nodes, and
 * their figures, each checked against its packs.
 */
#ifndef TESTS_UNIT_SPACE_UTIL_H
#define TESTS_UNIT_SPACE_UTIL_H

#include "tests/unit/store_util.h"

#include "fcgi/api/space.h"
#include "fcgi/jobs/census.h"
#include "tests/unit/sm_util.h"

enum { NODES = 3, VOLUMES = 3, SEEDS = 150, LONG = 70, MANY = 1100 };

#define LEN 1000u /* plain length of all blocks */
#define PAYLOAD 80u
#define PACK_MAX 8192u /* several packs */

#define NODE_JSON                                                                                  \
    "{\"cluster\":\"6e5b0001-0000-0000-0000-000000000000\",\"name\":\"test\","                       \
    "\"node\":\"0000000000000001\",\"address\":\"127.0.0.1\",\"port\":1,\"peer_port\":2,"            \
    "\"zone\":\"\",\"capacity\":1000000000,\"workers\":1,\"reserved_workers\":1,\"user\":\"\","         \
    "\"log_level\":\"error\",\"lease_s\":60,\"collect_interval_s\":60}"

static const char *const volume_names[VOLUMES] = { "v0", "v1", "v2" };

struct node {
    char *dir;
    struct sx_store *s;
    uint32_t stored[SEEDS]; /* length of the record; 0: not here */
};

struct cluster {
    struct world w;
    struct node node[NODES];
    unsigned number; /* of the node whose census is made */
};

static inline void cluster_open(struct cluster *c)
{
    const struct sx_store_options o = { .pack_max = PACK_MAX };

    memset(c, 0, sizeof *c);
    world_open(&c->w, NODES);
    for (unsigned v = 0; v < VOLUMES; v++)
        assert_int_equal(DO(&c->w, "admin", volume_create, .name = volume_names[v],
                            .owner = "admin", .revisions = 3), SX_OK);
    for (unsigned i = 0; i < NODES; i++) {
        SX_AUTO_FREE char *run = NULL;

        c->node[i].dir = util_dir();
        run = sx_asprintf("%s/run", c->node[i].dir);
        assert_int_equal(mkdir(run, 0700), 0);
        SX_AUTO_FREE char *store = sx_asprintf("%s/store", c->node[i].dir);

        c->node[i].s = util_open(store, &o);
    }
}

static inline void cluster_close(struct cluster *c)
{
    for (unsigned i = 0; i < NODES; i++) {
        sx_store_close(c->node[i].s);
        util_remove(c->node[i].dir);
    }
    world_check(&c->w);
    world_close(&c->w);
}

/* ---- blocks in stores ---- */

static inline void store_one(struct node *n, uint64_t seed, uint32_t payload)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_id id = id_of(seed);
    struct sx_record rec;
    uint64_t lease;
    size_t used, at = sx_record_begin(&b);

    unit_fill(sx_buf_extend(&b, payload), payload, seed);
    sx_record_end(&b, at, &id);
    assert_done(sx_record_parse(b.data, b.len, &rec, &used, &e), &e);
    assert_done(sx_store_put(n->s, &rec, 1, &lease, NULL, &e), &e);
    if (!n->stored[seed])
        n->stored[seed] = (uint32_t)b.len;
}

static inline void store_run(struct cluster *c, unsigned node, uint64_t from, unsigned n)
{
    for (uint64_t s = from; s < from + n; s++)
        store_one(&c->node[node], s, PAYLOAD);
}

static inline void unstore(struct node *n, uint64_t seed)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_id id = id_of(seed);
    size_t deleted;

    assert_done(sx_store_delete(n->s, &id, 1, UINT64_MAX, &deleted, &e), &e);
    n->stored[seed] = 0;
}

/* ---- censuses ---- */

static inline int db_of(void *ctx, unsigned group, sqlite3 **db, struct sx_err *e)
{
    struct cluster *c = ctx;

    assert_int_equal(group, 0);
    *db = world_db(&c->w);
    return 0;
}

static inline unsigned first_owner(const struct sx_id *id)
{
    return sx_id_partition(id) % NODES;
}

static inline unsigned first_of(uint64_t seed)
{
    struct sx_id id = id_of(seed);

    return first_owner(&id);
}

static inline bool first_here(void *ctx, const struct sx_id *id)
{
    return first_owner(id) == ((struct cluster *)ctx)->number;
}

/* Something happens before the census looks at blocks, when `between` is given. */
static inline struct sx_space census_with(struct cluster *c, unsigned number,
                                   void (*between)(struct cluster *c))
{
    const struct sx_census_source from = {
        .dir = c->node[number].dir, .store = c->node[number].s, .groups = 1, .db = db_of,
        .first = first_here, .ctx = c,
    };
    struct sx_err e = SX_ERR_INIT;
    struct sx_census *census;
    struct sx_space s;
    bool more = true;

    c->number = number;
    assert_done(sx_census_new(&from, &census, &e), &e);
    for (unsigned steps = 0; more; steps++) {
        if (between && steps == 1) /* all holders are in the first page */
            between(c);
        assert_done(sx_census_step(census, &more, &e), &e);
    }
    s = sx_census_take(census);
    sx_census_free(census);
    return s;
}

static inline struct sx_space census(struct cluster *c, unsigned number)
{
    return census_with(c, number, NULL);
}

/* The sums agree with the packs: what lies in them, and what the files take. */
static inline void check_packs(const struct node *n, const struct sx_space *s)
{
    SX_AUTO_FREE char *cmd = sx_asprintf("cat %s/store/packs/*.pack 2>/dev/null | wc -c", n->dir);
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    unsigned long long size;
    FILE *f;

    assert_done(sx_store_stats(n->s, &st, &e), &e);
    assert_int_equal(s->all.physical + s->uploading + s->unreferenced + s->damaged, st.bytes);
    assert_int_equal(st.bytes + s->dead + s->headers, s->packs);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llu", &size), 1);
    pclose(f);
    assert_int_equal(size, s->packs);
}

struct counts {
    struct sx_space space[NODES];
    json_t *json[NODES];
    struct sx_space_counts c;
};

static inline void count_all(struct cluster *c, struct counts *k)
{
    for (unsigned i = 0; i < NODES; i++) {
        k->space[i] = census(c, i);
        k->space[i].as_of_ms = 1000 + i;
        check_packs(&c->node[i], &k->space[i]);
        k->json[i] = sx_space_json(&k->space[i]);
    }
    k->c = (struct sx_space_counts){ k->json, NODES, 0 };
}

static inline void counts_free(struct counts *k)
{
    for (unsigned i = 0; i < NODES; i++) {
        sx_space_fini(&k->space[i]);
        json_decref(k->json[i]);
    }
}

static inline uint64_t get(const json_t *j, const char *name)
{
    assert_true(json_is_integer(json_object_get(j, name)));
    return (uint64_t)json_integer_value(json_object_get(j, name));
}

#endif
