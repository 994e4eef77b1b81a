/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A check that cannot fail is worth nothing: each bug that can be planted must be found by the
 * random runs within SEEDS seeds, by the check that is meant for it or an earlier one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libsx/base/log.h"
#include "tests/sim/sim.h"

#define SEEDS 400u
#define STEPS 2500u

static const char *const names[SIM_BUGS] = {
    [SIM_BUG_FORGET_VOTE] = "the term is written, the vote is not",
    [SIM_BUG_EARLY_ACK] = "appends are reported before they are durable",
    [SIM_BUG_LYING_DISK] = "syncs do nothing",
    [SIM_BUG_STALE_READ] = "reads without a round to the voters",
    [SIM_BUG_WRONG_APPLY] = "a state machine applies something else",
    [SIM_BUG_EARLY_COMMIT] = "commit indexes are too high",
    [SIM_BUG_LOST_TRUNCATE] = "a replaced tail is not written",
};

static bool found(enum sim_bug bug)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim *s = sim_new(seed, bug);
        bool good = sim_random_run(s, STEPS);

        if (!good)
            printf("found: %s (seed %llu: %s)\n", names[bug], (unsigned long long)seed, s->failed);
        sim_free(s);
        if (!good)
            return true;
    }
    printf("NOT FOUND in %u seeds: %s\n", SEEDS, names[bug]);
    return false;
}

int main(void)
{
    bool all = true;

    sx_log_level_set(SX_LOG_ERROR);
    for (int bug = SIM_BUG_NONE + 1; bug < SIM_BUGS; bug++)
        all &= found((enum sim_bug)bug);
    return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
