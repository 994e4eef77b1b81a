/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Collection, the rule, in two ways.
 *
 * The explorer goes through every interleaving of a model with sx_collect_decide() in it: one block
 * that belongs on one or two nodes, whose clocks run apart and jump; two uploaders that store it or
 * find it there (dedup) and commit, a deleter, collectors.  After every step: while a committed
 * file refers to the block, all its nodes have it. The rule with a part taken away must be caught.
 *
 * The races run the real pass over a real store, with uploads, commits and deletions at the places
 * where it waits.
 */
#include "tests/unit/store_util.h"

#include "fcgi/jobs/collect.h"
#include "libsx/base/clock.h"

/* ---- the explorer ---- */

enum { NODES = 2, USERS = 2, LEASE = 1 };

/* How large the model is. */
struct bounds {
    uint8_t nodes, collectors, clock_max, retries, passes, deletions;
    bool back; /* clocks also jump back */
};

enum broken {
    SOUND,
    NO_HORIZON,       /* commits are accepted whatever the horizon */
    NO_LEASE_CHECK,   /* the deletion does not look at the lease again */
    NO_LEASES,        /* "have" gives no lease on the node, but tells the client one */
    REFERENCES_FIRST, /* references are read before the horizon is applied */
    BROKEN_KINDS
};

enum { C_IDLE, C_CHOSEN, C_APPLIED, C_READ, C_DECIDED };

/* All of it, in bytes, so that states can be compared. */
struct world {
    struct {
        uint8_t clock, present, lease;
        uint8_t step, horizon, referenced; /* the collector's */
        uint8_t passes;
    } node[NODES];
    struct {
        uint8_t step;      /* node to ask next; NODES: commit; NODES + 1: done */
        uint8_t least;     /* smallest lease it was told */
        uint8_t committed;
        uint8_t retries;
    } user[USERS];
    uint8_t horizon;       /* applied */
    uint8_t deletions;
};

#define STATES_MAX (3u << 20)
#define TABLE (1u << 23)

struct explorer {
    struct bounds b;
    enum broken kind;
    struct world *state; /* in the order they were found; those not yet left are the work to do */
    uint32_t *table;     /* open hash table: index + 1 */
    uint32_t states;
    uint64_t steps;
    bool violated;
};

static bool holds(const struct explorer *x, const struct world *w)
{
    for (int u = 0; u < USERS; u++)
        for (int n = 0; n < x->b.nodes; n++)
            if (w->user[u].committed && !w->node[n].present)
                return false;
    return true;
}

static bool referenced(const struct world *w)
{
    bool any = false;

    for (int u = 0; u < USERS; u++)
        any = any || w->user[u].committed;
    return any;
}

/* have (and blocks, if it is not there) on one node; then the commit. */
static bool step_user(const struct explorer *x, struct world *w, int u)
{
    uint8_t k = w->user[u].step;

    if (k < x->b.nodes) {
        uint8_t until = w->node[k].clock + LEASE;

        w->node[k].present = 1;
        if (x->kind != NO_LEASES && until > w->node[k].lease)
            w->node[k].lease = until;
        if (k == 0 || until < w->user[u].least)
            w->user[u].least = until;
        w->user[u].step++;
        return true;
    }
    if (k > x->b.nodes)
        return false;
    if (x->kind != NO_HORIZON && w->user[u].least <= w->horizon) { /* refused: once more */
        if (w->user[u].retries == x->b.retries)
            return false;
        w->user[u].retries++;
        w->user[u].step = 0;
        return true;
    }
    w->user[u].committed = 1;
    w->user[u].step++;
    return true;
}

static bool step_collector(const struct explorer *x, struct world *w, int n)
{
    struct sx_collect_block b;
    bool victim;

    switch (w->node[n].step) {
    case C_IDLE:
        if (!w->node[n].present || w->node[n].passes == x->b.passes)
            return false;
        w->node[n].passes++;
        w->node[n].horizon = w->node[n].clock;
        w->node[n].referenced = referenced(w);
        break;
    case C_CHOSEN:
        if (w->node[n].horizon > w->horizon)
            w->horizon = w->node[n].horizon;
        break;
    case C_APPLIED:
        if (x->kind != REFERENCES_FIRST)
            w->node[n].referenced = referenced(w);
        break;
    case C_READ: /* the lease as it was listed may be old by now */
        b = (struct sx_collect_block){ w->node[n].lease, w->node[n].referenced };
        if (!sx_collect_decide(w->node[n].horizon, &b, 1, &victim)) {
            w->node[n].step = C_IDLE;
            return true;
        }
        break;
    case C_DECIDED: /* sx_store_delete() */
        if (x->kind == NO_LEASE_CHECK || w->node[n].lease <= w->node[n].horizon)
            w->node[n].present = 0;
        w->node[n].step = C_IDLE;
        return true;
    }
    w->node[n].step++;
    return true;
}

/* Clocks tick, and jump back by two. */
static bool step_clock(const struct explorer *x, struct world *w, int n, bool back)
{
    if (back ? !x->b.back || w->node[n].clock < 2 : w->node[n].clock == x->b.clock_max)
        return false;
    w->node[n].clock = (uint8_t)(back ? w->node[n].clock - 2 : w->node[n].clock + 1);
    return true;
}

static bool step_deleter(const struct explorer *x, struct world *w, int u)
{
    if (!w->user[u].committed || w->deletions == x->b.deletions)
        return false;
    w->deletions++;
    w->user[u].committed = 0;
    return true;
}

enum { ACTIONS = USERS + USERS + NODES + 2 * NODES };

static bool act(const struct explorer *x, struct world *w, int a)
{
    if (a < USERS)
        return step_user(x, w, a);
    if ((a -= USERS) < USERS)
        return step_deleter(x, w, a);
    if ((a -= USERS) < NODES)
        return a < x->b.collectors && step_collector(x, w, a);
    a -= NODES;
    return a / 2 < x->b.nodes && step_clock(x, w, a / 2, a % 2);
}

static void remember(struct explorer *x, const struct world *w)
{
    uint64_t h = 1469598103934665603u;
    const uint8_t *p = (const uint8_t *)w;

    for (size_t i = 0; i < sizeof *w; i++)
        h = (h ^ p[i]) * 1099511628211u;
    for (h ^= h >> 29;; h++) {
        uint32_t *slot = &x->table[h % TABLE];

        if (*slot == 0) {
            assert_true(x->states < STATES_MAX);
            x->state[x->states] = *w;
            *slot = ++x->states;
            return;
        }
        if (memcmp(&x->state[*slot - 1], w, sizeof *w) == 0)
            return;
    }
}

static void explore(struct explorer *x, const struct world *w)
{
    for (int a = 0; a < ACTIONS && !x->violated; a++) {
        struct world next = *w;

        if (!act(x, &next, a))
            continue;
        x->steps++;
        x->violated = !holds(x, &next);
        remember(x, &next);
    }
}

static struct explorer run_explorer(const struct bounds *b, enum broken kind)
{
    struct explorer x = { .b = *b, .kind = kind };
    struct world w;

    memset(&w, 0, sizeof w);
    x.state = sx_calloc(STATES_MAX, sizeof *x.state);
    x.table = sx_calloc(TABLE, sizeof *x.table);
    remember(&x, &w);
    for (uint32_t i = 0; i < x.states && !x.violated; i++) {
        w = x.state[i];
        explore(&x, &w);
    }
    free(x.state);
    free(x.table);
    print_message("%u states, %llu steps\n", x.states, (unsigned long long)x.steps);
    return x;
}

static const struct bounds bounds[] = {
    { .nodes = 1, .collectors = 1, .clock_max = 5, .retries = 1, .passes = 2, .deletions = 2,
      .back = true },
    { .nodes = 2, .collectors = 1, .clock_max = 4, .retries = 1, .passes = 1, .deletions = 1 },
    { .nodes = 2, .collectors = 2, .clock_max = 2, .retries = 0, .passes = 1, .deletions = 1 },
};

static void every_interleaving(void **state)
{
    uint64_t steps = 0;

    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct explorer x = run_explorer(&bounds[i], SOUND);

        assert_false(x.violated);
        steps += x.steps;
    }
    assert_true(steps > 1000000);
}

static void broken_rules_are_caught(void **state)
{
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        for (enum broken kind = NO_HORIZON; kind < BROKEN_KINDS; kind++)
            assert_true(run_explorer(&bounds[i], kind).violated);
}

static void decide(void **state)
{
    struct sx_collect_block b[] = { { 10, false }, { 11, false }, { 10, true }, { 0, false },
                                    { UINT64_MAX, false } };
    bool v[5];

    assert_int_equal(sx_collect_decide(10, b, 5, v), 2);
    assert_true(v[0] && !v[1] && !v[2] && v[3] && !v[4]);
    assert_int_equal(sx_collect_decide(0, b, 0, v), 0);
}

/* ---- the real pass over a real store ---- */

enum { BLOCKS = 12, FILES = 6, OPEN = 4 };
#define RACE_MAX 100u

struct race {
    struct sx_store *s;
    uint64_t seed, clock, horizon;
    int file[FILES];                                  /* block that the file refers to, or -1 */
    struct { int block; uint64_t lease; } open[OPEN]; /* uploads before their commit; -1: none */
    unsigned committed, refused, deleted;
    bool no_horizon;                                  /* a broken state machine */
    bool quiet;                                       /* nothing else happens */
    unsigned wrong;
};

static uint64_t race_now(void *ctx)
{
    return ((struct race *)ctx)->clock;
}

static void race_upload(struct race *r, int k)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_id id;
    uint8_t present;
    int block = (int)(unit_random(&r->seed) % BLOCKS);

    id = util_id((uint64_t)block);
    assert_done(sx_store_have(r->s, &id, 1, &present, &r->open[k].lease, &e), &e);
    if (!present)
        assert_done(util_put(r->s, (uint64_t)block, 1, RACE_MAX, &r->open[k].lease, NULL, &e), &e);
    r->open[k].block = block;
}

static void race_commit(struct race *r, int k)
{
    if (r->open[k].lease <= r->horizon && !r->no_horizon) {
        r->refused++;
    } else {
        r->file[unit_random(&r->seed) % FILES] = r->open[k].block;
        r->committed++;
    }
    r->open[k].block = -1;
}

static void race_act(struct race *r)
{
    int k = (int)(unit_random(&r->seed) % OPEN);

    switch (unit_random(&r->seed) % 8) {
    case 0:
        r->clock += unit_random(&r->seed) % 1500;
        break;
    case 1:
        r->clock -= unit_random(&r->seed) % 300;
        break;
    case 2:
    case 3:
        r->file[unit_random(&r->seed) % FILES] = -1;
        break;
    default:
        if (r->open[k].block < 0)
            race_upload(r, k);
        else
            race_commit(r, k);
    }
}

static void race_some(struct race *r)
{
    for (uint64_t n = r->quiet ? 0 : unit_random(&r->seed) % 6; n > 0; n--)
        race_act(r);
}

/* Now and then the state machine does not go as far as it is asked to. */
static int race_horizon(void *ctx, uint64_t *t, struct sx_err *e)
{
    struct race *r = ctx;

    race_some(r);
    if (!r->quiet && unit_random(&r->seed) % 4 == 0)
        *t -= unit_random(&r->seed) % 2000;
    if (*t > r->horizon)
        r->horizon = *t;
    race_some(r);
    return 0;
}

static int race_referenced(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes,
                           struct sx_err *e)
{
    struct race *r = ctx;

    race_some(r);
    for (size_t i = 0; i < n; i++) {
        yes[i] = 0;
        for (int f = 0; f < FILES; f++) {
            struct sx_id id;

            if (r->file[f] < 0)
                continue;
            id = util_id((uint64_t)r->file[f]);
            yes[i] |= sx_id_cmp(&id, &ids[i]) == 0;
        }
    }
    race_some(r);
    return 0;
}

static void race_check(struct race *r)
{
    for (int f = 0; f < FILES; f++)
        if (r->file[f] >= 0 && util_get(r->s, (uint64_t)r->file[f], RACE_MAX))
            r->wrong++;
}

/* When nothing refers to anything any more and leases are over, one pass clears the store. */
static void race_end(struct race *r, const struct sx_collect_meta *m)
{
    struct sx_collect_pass pass = { 0 };
    struct sx_store_compaction done;
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    bool more;

    for (int i = 0; i < FILES; i++)
        r->file[i] = -1;
    r->quiet = true;
    r->clock += 1000000;
    assert_done(sx_collect_page(r->s, m, &pass, &more, &e), &e);
    assert_done(sx_store_compact(r->s, 0, &done, &e), &e);
    util_check(r->s);
    assert_done(sx_store_stats(r->s, &st, &e), &e);
    assert_int_equal(st.blocks, 0);
    assert_int_equal(st.used, 0);
}

static void race_run(struct race *r, unsigned passes)
{
    char *dir = util_dir();
    struct sx_store_options o = { .now_ms = race_now, .now_ctx = r, .lease_s = 1, .reserve = 1,
                                  .pack_max = 4096 };
    struct sx_collect_meta m = { race_horizon, race_referenced, r };
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;

    r->clock = 1000000;
    r->s = util_open(dir, &o);
    for (int i = 0; i < FILES; i++)
        r->file[i] = -1;
    for (int i = 0; i < OPEN; i++)
        r->open[i].block = -1;
    for (unsigned k = 0; k < passes; k++) {
        struct sx_collect_pass pass = { 0 };
        bool more = true;

        race_some(r);
        while (more)
            assert_done(sx_collect_page(r->s, &m, &pass, &more, &e), &e);
        r->deleted += (unsigned)pass.deleted;
        if (k % 16 == 0)
            assert_done(sx_store_compact(r->s, 0, &done, &e), &e);
        race_check(r);
    }
    race_end(r, &m);
    sx_store_close(r->s);
    util_remove(dir);
}

static void races(void **state)
{
    const char *n = getenv("SX_COLLECT_PASSES");
    struct race r = { .seed = sx_mono_ns() };

    print_message("seed %llu\n", (unsigned long long)r.seed);
    race_run(&r, n ? (unsigned)atoi(n) : 4000);
    print_message("%u commits, %u refused, %u blocks deleted\n", r.committed, r.refused, r.deleted);
    assert_int_equal(r.wrong, 0);
    assert_true(r.committed > 1000 && r.refused > 20 && r.deleted > 100);
}

static void races_can_fail(void **state)
{
    struct race r = { .seed = 1, .no_horizon = true };

    race_run(&r, 3000);
    assert_true(r.wrong > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decide),
        cmocka_unit_test(every_interleaving),
        cmocka_unit_test(broken_rules_are_caught),
        cmocka_unit_test(races),
        cmocka_unit_test(races_can_fail),
    };

    return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
