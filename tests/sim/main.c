/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator's random runs.  Environment: SX_SIM_SEEDS (how many), SX_SIM_SEED (the first, or
 * the only one if SX_SIM_SEEDS is not set), SX_SIM_STEPS (events of a run).  A violation prints
 * the seed and the command that repeats it; each hundredth seed is run twice and must leave the
 * same trace.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "tests/sim/sim.h"

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 300u /* ten times as slow */
#else
#define SEEDS 2000u
#endif
#define STEPS 2500u
#define TWICE 100u

struct total {
    uint64_t steps, commands, applies, installs, snapshots, changes, elections, reads, deaths;
};

static uint64_t number(const char *name, uint64_t dflt)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : dflt;
}

static void show(struct sim *s)
{
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[i];
        struct sx_group_status st;

        if (!n->exists)
            continue;
        fprintf(stderr, "node %u (%" PRIx64 ")%s%s", i, n->id, n->up ? "" : " down",
                n->told_removed ? " removed" : "");
        if (n->up) {
            const struct sx_members *m = sx_group_members(n->group);

            sx_group_status(n->group, &st);
            fprintf(stderr,
                    ": state %d term %" PRIu64 " leader %" PRIx64 " log %" PRIu64 "-%" PRIu64
                    " stored %" PRIu64 " commit %" PRIu64 " applied %" PRIu64 " snapshot %" PRIu64
                    "%s, timeout %" PRIu64 ", members",
                    (int)st.state, st.term, st.leader, st.first, st.last, st.stored, st.commit,
                    st.applied, st.snapshot, st.installing ? " installing" : "",
                    sx_group_timeout(n->group));
            for (unsigned k = 0; k < m->n; k++)
                fprintf(stderr, " %" PRIx64 "%c", m->v[k].id, "svp"[m->v[k].role]);
        }
        fprintf(stderr, "\n");
    }
}

static bool run(uint64_t seed, uint64_t steps, uint64_t *trace, struct total *t)
{
    struct sim *s = sim_new(seed, SIM_BUG_NONE);
    bool good = sim_random_run(s, steps);

    *trace = s->trace;
    t->steps += s->steps;
    t->commands += s->commands;
    t->applies += s->applies;
    t->installs += s->installs;
    t->snapshots += s->snapshots;
    t->changes += s->changes;
    t->elections += s->elections;
    t->reads += s->reads_done;
    t->deaths += s->disk_deaths;
    if (!good)
        fprintf(stderr, "seed %" PRIu64 " at step %" PRIu64 ", %" PRIu64 " ms: %s\n"
                        "repeat: SX_SIM_SEED=%" PRIu64 " SX_SIM_STEPS=%" PRIu64 " tests/sim/sim\n",
                seed, s->steps, s->now, s->failed, seed, steps);
    if (!good)
        show(s);
    sim_free(s);
    return good;
}

static bool run_twice(uint64_t seed, uint64_t steps, uint64_t trace)
{
    struct total t = { 0 };
    uint64_t again;

    if (!run(seed, steps, &again, &t))
        return false;
    if (again != trace)
        fprintf(stderr, "seed %" PRIu64 " leaves two different traces\n", seed);
    return again == trace;
}

int main(void)
{
    bool one = getenv("SX_SIM_SEED") && !getenv("SX_SIM_SEEDS");
    uint64_t first = number("SX_SIM_SEED", 1), n = number("SX_SIM_SEEDS", one ? 1 : SEEDS);
    uint64_t steps = number("SX_SIM_STEPS", STEPS), bad = 0, start = sx_mono_ms();
    struct total t = { 0 };

    sx_log_level_set(one ? SX_LOG_DEBUG : SX_LOG_ERROR);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t trace;

        if (!run(first + i, steps, &trace, &t) ||
            (i % TWICE == 0 && !run_twice(first + i, steps, trace)))
            bad++;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " bad, %.1f s: %" PRIu64 " steps, %" PRIu64
           " elections, %" PRIu64 " commands, %" PRIu64 " applied, %" PRIu64 " reads, %" PRIu64
           " changes of members, %" PRIu64 " snapshots, %" PRIu64 " installs, %" PRIu64
           " failed disks\n",
           n, bad, (double)(sx_mono_ms() - start) / 1000, t.steps, t.elections, t.commands,
           t.applies, t.reads, t.changes, t.snapshots, t.installs, t.deaths);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
