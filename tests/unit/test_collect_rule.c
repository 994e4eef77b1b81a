/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rule of collection (docs/design.md section 3), explored: every interleaving of a model with
 * sx_collect_decide() and sx_epoch_horizon() in it.
 *
 * One block belongs on one or two nodes.  Uploaders store it or find it there (dedup) on as many
 * nodes as the write quorum wants, are told a lease, and commit, or never do (an upload that is
 * broken off).  Files are copied in the metadata and deleted.  The epoch moves on at any time: time
 * plays no part.  Each node's database lags as it likes, so a node may be away for ever so long,
 * and come back with old blocks, old leases and an old view.  A node may stop uncleanly: then its
 * leases are lost and its database goes back to what was durable.  Compaction moves the block.
 *
 * After every step: while a file refers to the block, each node that told its uploader a lease has
 * it.  The rule with a part taken away must be caught.
 */
#include "tests/unit/unit.h"

#include "fcgi/jobs/collect.h"
#include "fcgi/meta/command.h"
#include "libsx/base/mem.h"

enum { NODES = 2, USERS = 2 };

/* How large the model is. */
struct bounds {
    uint8_t nodes, users, quorum, epoch_max, retries, passes, deletions, crashes, moves;
};

enum broken {
    SOUND,
    NO_REFUSAL,         /* commits are accepted whatever the horizon */
    NO_LEASE_CHECK,     /* the deletion does not look at the lease again */
    NO_LEASES,          /* "have" gives no lease on the node, but tells the client one */
    REFERENCES_FIRST,   /* references are read before the epoch */
    EPOCH_NOT_APPLIED,  /* the epoch is one that the database has not reached */
    HORIZON_TOO_NEW,    /* the collector's horizon is one epoch newer than the one of commits */
    YOUNGEST_LEASE,     /* the client is told the youngest lease of its copies */
    NO_FLOOR,           /* nothing makes up for leases that were lost */
    FLOOR_OF_OLD_EPOCH, /* the floor is what a database that lags knows */
    MOVED_WITH_LEASE,   /* compaction writes the lease it read, not the one that is there */
    BROKEN_KINDS
};

enum { C_IDLE, C_EPOCH, C_READ, C_DECIDED };

#define UNKNOWN 0xff

/* All of it, in bytes, so that states can be compared. */
struct world {
    struct {
        uint8_t present, lease, floor;
        uint8_t epoch, referenced;         /* the database of the node, which may lag */
        uint8_t old_epoch, old_referenced; /* what of it is durable */
        uint8_t step, horizon, seen;       /* the collector's */
        uint8_t moving, moved_lease;       /* compaction */
        uint8_t passes, moves;
    } node[NODES];
    struct {
        uint8_t told;      /* bits: nodes that told it a lease */
        uint8_t lease;     /* what it goes by */
        uint8_t committed; /* bits: the nodes that must have the block */
        uint8_t done, retries;
    } user[USERS];
    uint8_t copy; /* bits, like committed: a file made from another */
    uint8_t epoch, deletions, crashes;
};

#define STATES_MAX (6u << 20)
#define TABLE (1u << 24)

struct explorer {
    struct bounds b;
    enum broken kind;
    struct world *state; /* in the order they were found; those not yet left are the work to do */
    uint32_t *table;     /* open hash table: index + 1 */
    uint32_t states;
    uint64_t steps;
    bool violated;
};

static uint8_t needed(const struct world *w)
{
    uint8_t bits = w->copy;

    for (int u = 0; u < USERS; u++)
        bits |= w->user[u].committed;
    return bits;
}

static bool holds(const struct explorer *x, const struct world *w)
{
    for (int n = 0; n < x->b.nodes; n++)
        if (needed(w) >> n & 1 && !w->node[n].present)
            return false;
    return true;
}

/* ---- uploads ---- */

static void forget_leases(struct world *w, int u)
{
    w->user[u].told = 0;
    w->user[u].lease = 0;
}

/* have, and blocks if it is not there. */
static bool step_ask(const struct explorer *x, struct world *w, int u, int n)
{
    uint8_t given = w->node[n].epoch;
    bool younger;

    if (u >= x->b.users || n >= x->b.nodes || w->user[u].done || w->user[u].told >> n & 1)
        return false;
    w->node[n].present = 1;
    if (x->kind != NO_LEASES && given > w->node[n].lease)
        w->node[n].lease = given;
    if (x->kind != NO_LEASES)
        given = w->node[n].lease;
    younger = given > w->user[u].lease;
    if (w->user[u].told == 0 || younger == (x->kind == YOUNGEST_LEASE))
        w->user[u].lease = given;
    w->user[u].told |= (uint8_t)(1 << n);
    return true;
}

static bool step_commit(const struct explorer *x, struct world *w, int u)
{
    if (u >= x->b.users || w->user[u].done || __builtin_popcount(w->user[u].told) < x->b.quorum)
        return false;
    if (x->kind != NO_REFUSAL && w->user[u].lease <= sx_epoch_horizon(w->epoch)) {
        if (w->user[u].retries == x->b.retries)
            return false;
        w->user[u].retries++; /* refused: once more */
        forget_leases(w, u);
        return true;
    }
    w->user[u].committed = w->user[u].told;
    w->user[u].done = 1;
    forget_leases(w, u);
    return true;
}

/* A copy in the metadata needs no lease. */
static bool step_copy(struct world *w, int u)
{
    if (!w->user[u].committed || w->copy)
        return false;
    w->copy = w->user[u].committed;
    return true;
}

/* Of a user's file, or (u = USERS) the copy. */
static bool step_delete(const struct explorer *x, struct world *w, int u)
{
    uint8_t *file = u < USERS ? &w->user[u].committed : &w->copy;

    if (!*file || w->deletions == x->b.deletions)
        return false;
    w->deletions++;
    *file = 0;
    return true;
}

/* ---- nodes ---- */

static bool step_epoch(const struct explorer *x, struct world *w)
{
    if (w->epoch == x->b.epoch_max)
        return false;
    w->epoch++;
    return true;
}

static void catch_up(struct world *w, int n)
{
    w->node[n].epoch = w->epoch;
    w->node[n].referenced = needed(w) != 0;
}

static bool step_apply(struct world *w, int n)
{
    if (w->node[n].epoch == w->epoch && w->node[n].referenced == (needed(w) != 0))
        return false;
    catch_up(w, n);
    return true;
}

static bool step_sync(const struct explorer *x, struct world *w, int n)
{
    if (x->b.crashes == 0 || (w->node[n].old_epoch == w->node[n].epoch &&
                              w->node[n].old_referenced == w->node[n].referenced))
        return false;
    w->node[n].old_epoch = w->node[n].epoch;
    w->node[n].old_referenced = w->node[n].referenced;
    return true;
}

static bool step_crash(const struct explorer *x, struct world *w, int n)
{
    if (w->crashes == x->b.crashes)
        return false;
    w->crashes++;
    w->node[n].lease = 0;
    w->node[n].floor = x->kind == NO_FLOOR ? 0 : UNKNOWN;
    w->node[n].epoch = w->node[n].old_epoch;
    w->node[n].referenced = w->node[n].old_referenced;
    w->node[n].step = w->node[n].horizon = w->node[n].seen = 0;
    w->node[n].moving = w->node[n].moved_lease = 0;
    return true;
}

/* What a collector does before its first pass after a crash. */
static bool step_floor(const struct explorer *x, struct world *w, int n)
{
    if (w->node[n].floor != UNKNOWN)
        return false;
    if (x->kind != FLOOR_OF_OLD_EPOCH)
        catch_up(w, n);
    w->node[n].floor = w->node[n].epoch;
    return true;
}

static uint8_t lease_of(const struct world *w, int n)
{
    return w->node[n].lease > w->node[n].floor ? w->node[n].lease : w->node[n].floor;
}

/* What is left over from a step must not make two states of one. */
static void rest(struct world *w, int n)
{
    w->node[n].step = C_IDLE;
    w->node[n].horizon = w->node[n].seen = 0;
}

static void read_epoch(const struct explorer *x, struct world *w, int n)
{
    uint8_t epoch = x->kind == EPOCH_NOT_APPLIED ? w->epoch : w->node[n].epoch;

    w->node[n].horizon = (uint8_t)(sx_epoch_horizon(epoch) + (x->kind == HORIZON_TOO_NEW));
}

/* sx_collect_page(): epoch, references, decision, deletion. */
static bool step_collector(const struct explorer *x, struct world *w, int n)
{
    struct sx_collect_block b;
    bool victim, first = x->kind == REFERENCES_FIRST;

    switch (w->node[n].step) {
    case C_IDLE:
        if (!w->node[n].present || w->node[n].passes == x->b.passes)
            return false;
        w->node[n].passes++;
        break;
    case C_EPOCH:
        if (first)
            w->node[n].seen = w->node[n].referenced;
        else
            read_epoch(x, w, n);
        break;
    case C_READ:
        if (first)
            read_epoch(x, w, n);
        else
            w->node[n].seen = w->node[n].referenced;
        b = (struct sx_collect_block){ lease_of(w, n), w->node[n].seen };
        if (!sx_collect_decide(w->node[n].horizon, &b, 1, &victim)) {
            rest(w, n);
            return true;
        }
        break;
    case C_DECIDED: /* sx_store_delete() */
        if (x->kind == NO_LEASE_CHECK || lease_of(w, n) <= w->node[n].horizon) {
            w->node[n].present = 0;
            w->node[n].lease = 0;
        }
        rest(w, n);
        return true;
    }
    w->node[n].step++;
    return true;
}

/* Copies the record, then changes the row if it is still there. */
static bool step_move(const struct explorer *x, struct world *w, int n)
{
    if (!w->node[n].moving) {
        if (!w->node[n].present || w->node[n].moves == x->b.moves)
            return false;
        w->node[n].moves++;
        w->node[n].moving = 1;
        w->node[n].moved_lease = w->node[n].lease;
        return true;
    }
    w->node[n].moving = 0;
    if (w->node[n].present && x->kind == MOVED_WITH_LEASE)
        w->node[n].lease = w->node[n].moved_lease;
    w->node[n].moved_lease = 0;
    return true;
}

/* ---- exploring ---- */

enum { OF_A_USER = 3 + NODES, OF_A_NODE = 6, ACTIONS = USERS * OF_A_USER + NODES * OF_A_NODE + 2 };

static bool act_node(const struct explorer *x, struct world *w, int n, int a)
{
    if (n >= x->b.nodes)
        return false;
    switch (a) {
    case 0:
        return step_apply(w, n);
    case 1:
        return step_sync(x, w, n);
    case 2:
        return step_crash(x, w, n);
    case 3:
        return step_floor(x, w, n);
    case 4:
        return step_collector(x, w, n);
    }
    return step_move(x, w, n);
}

static bool act_user(const struct explorer *x, struct world *w, int u, int a)
{
    switch (a) {
    case 0:
        return step_commit(x, w, u);
    case 1:
        return step_copy(w, u);
    case 2:
        return step_delete(x, w, u);
    }
    return step_ask(x, w, u, a - 3);
}

static bool act(const struct explorer *x, struct world *w, int a)
{
    if (a < USERS * OF_A_USER)
        return act_user(x, w, a / OF_A_USER, a % OF_A_USER);
    if ((a -= USERS * OF_A_USER) < NODES * OF_A_NODE)
        return act_node(x, w, a / OF_A_NODE, a % OF_A_NODE);
    return a == NODES * OF_A_NODE ? step_delete(x, w, USERS) : step_epoch(x, w);
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
    w.epoch = SX_EPOCH_FIRST;
    for (int n = 0; n < NODES; n++)
        w.node[n].epoch = w.node[n].old_epoch = SX_EPOCH_FIRST;
    x.state = sx_calloc(STATES_MAX, sizeof *x.state);
    x.table = sx_calloc(TABLE, sizeof *x.table);
    remember(&x, &w);
    for (uint32_t i = 0; i < x.states && !x.violated; i++) {
        w = x.state[i];
        explore(&x, &w);
    }
    free(x.state);
    free(x.table);
    print_message("kind %d: %u states, %llu steps\n", kind, x.states, (unsigned long long)x.steps);
    return x;
}

static const struct bounds bounds[] = {
    /* uploads, copies, deletions, epochs on one node */
    { .nodes = 1, .users = 2, .quorum = 1, .epoch_max = 6, .retries = 1, .passes = 2,
      .deletions = 2 },
    /* a crash and a move */
    { .nodes = 1, .users = 1, .quorum = 1, .epoch_max = 5, .retries = 1, .passes = 2,
      .deletions = 1, .crashes = 1, .moves = 1 },
    /* two nodes that must both have it; two of which one may be away */
    { .nodes = 2, .users = 1, .quorum = 2, .epoch_max = 5, .retries = 1, .passes = 1,
      .deletions = 1 },
    { .nodes = 2, .users = 2, .quorum = 1, .epoch_max = 4, .retries = 0, .passes = 1,
      .deletions = 1 },
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

/* Each fault is found in one of the models: some need two nodes, some a crash or a move. */
static void broken_rules_are_caught(void **state)
{
    for (enum broken kind = SOUND + 1; kind < BROKEN_KINDS; kind++) {
        bool caught = false;

        for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !caught; i++)
            caught = run_explorer(&bounds[i], kind).violated;
        assert_true(caught);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decide),
        cmocka_unit_test(every_interleaving),
        cmocka_unit_test(broken_rules_are_caught),
    };

    return cmocka_run_group_tests_name("collect_rule", tests, NULL, NULL);
}
