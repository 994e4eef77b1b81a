/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm node scrub: how far the scrub of a node's devices is and what it found; starts a round.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/bar.h"
#include "fcgi/jobs/scrub_state.h"
#include "fcgi/store/store.h"
#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "tools/node.h"

#define POLL_MS 200
#define START_MS 15000 /* after so long without a sign of life the node does not run */

/* The devices as one: done when all are, found is the sum. */
static void load_states(struct sx_store *s, struct sx_scrub_state *sum)
{
    *sum = (struct sx_scrub_state){ .done_ms = UINT64_MAX, .started_ms = UINT64_MAX };
    for (size_t i = 0; i < sx_store_devices(s); i++) {
        struct sx_scrub_state st;
        const struct sx_scrub_found *f;

        sx_scrub_state_load(sx_device_dir(sx_store_device(s, i)), &st);
        f = st.running ? &st.found : &st.last;
        sum->running = sum->running || st.running;
        sum->place = st.running ? st.place : sum->place;
        sum->done_ms = st.done_ms < sum->done_ms ? st.done_ms : sum->done_ms;
        sum->started_ms = st.started_ms < sum->started_ms ? st.started_ms : sum->started_ms;
        sum->total += st.total;
        sum->found.bytes += f->bytes;
        sum->found.blocks += f->blocks;
        sum->found.damaged += f->damaged;
        sum->found.mended += f->mended;
        sum->found.sums += f->sums;
        sum->found.read_errors += f->read_errors;
        sum->found.index_faults += f->index_faults;
    }
}

/* For each device the number of the round to wait for: the one that runs, or the next if one is asked for.
 * (Times would not do: the node's clock may be set meanwhile.) */
static void find_rounds(struct sx_store *s, bool asked, uint64_t rounds[SX_DEVICES_MAX])
{
    for (size_t i = 0; i < sx_store_devices(s); i++) {
        struct sx_scrub_state st;

        sx_scrub_state_load(sx_device_dir(sx_store_device(s, i)), &st);
        rounds[i] = st.rounds + (asked && !st.running);
    }
}

static bool rounds_over(struct sx_store *s, const uint64_t rounds[SX_DEVICES_MAX])
{
    for (size_t i = 0; i < sx_store_devices(s); i++) {
        struct sx_scrub_state st;

        sx_scrub_state_load(sx_device_dir(sx_store_device(s, i)), &st);
        if (st.rounds < rounds[i] || (st.rounds == rounds[i] && st.running))
            return false;
    }
    return true;
}

static int wait_done(struct sxadm *a, struct sx_store *s, const uint64_t rounds[SX_DEVICES_MAX],
                     struct sx_err *e)
{
    uint64_t began = sx_mono_ms();
    struct sx_scrub_state st;
    struct bar bar;

    bar_init(&bar, !a->cli.quiet && !a->cli.json, "blocks");
    for (;;) {
        struct sx_progress p = { .elapsed_ms = sx_mono_ms() - began };

        load_states(s, &st);
        p.bytes_done = st.found.bytes;
        p.bytes_known = st.total;
        p.files_done = st.found.blocks;
        bar_draw(&bar, &p);
        if (rounds_over(s, rounds))
            break;
        if (!st.running && sx_mono_ms() - began > START_MS) {
            bar_clear(&bar);
            return sx_err_set(e, SX_EUNAVAIL, "the scrub does not begin: does the node run (sxserver status)?");
        }
        sx_sleep_ms(POLL_MS);
    }
    bar_clear(&bar);
    return 0;
}

static void print(const struct sxadm *a, const struct sx_scrub_state *st)
{
    const struct sx_scrub_found *f = &st->found;
    char when[SX_TIME_TEXT] = "never";

    if (a->cli.json) {
        cli_json(json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state", st->running ? "running" : "idle",
                           "percent", (int)sx_scrub_percent(st), "started_ms", (json_int_t)st->started_ms, "done_ms",
                           (json_int_t)st->done_ms, "blocks", (json_int_t)f->blocks, "damaged", (json_int_t)f->damaged,
                           "mended", (json_int_t)(f->mended + f->sums), "read_errors", (json_int_t)f->read_errors,
                           "index_faults", (json_int_t)f->index_faults));
        return;
    }
    if (st->running)
        printf("scrub:       running, %u %%\n", sx_scrub_percent(st));
    else
        puts("scrub:       idle");
    if (st->done_ms)
        sx_time_text(when, st->done_ms, false);
    printf("last whole:  %s\nblocks:      %" PRIu64 " verified in %s round\ndamaged:     %" PRIu64 "\nmended:      %" PRIu64
           "\nread errors: %" PRIu64 "\nindex:       %s\n",
           when, f->blocks, st->running ? "this" : "the last", f->damaged, f->mended + f->sums, f->read_errors,
           f->index_faults ? "damaged: made anew at the next start of the node" : "sound");
}

int sxadm_node_scrub(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };
    struct sx_scrub_state st;
    struct sx_store *s = NULL;
    uint64_t rounds[SX_DEVICES_MAX];
    char dir[PATH_MAX];
    int r;

    if (argc > 0)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[0]);
    if (sxadm_load_node(a, dir, &c, e) != 0)
        return -1;
    r = sx_store_open_node(dir, &s, e);
    if (r == 0) {
        find_rounds(s, a->now, rounds);
        if (a->now)
            sx_scrub_poke(dir);
        if (a->wait)
            r = wait_done(a, s, rounds, e);
    }
    if (r == 0) {
        load_states(s, &st);
        print(a, &st);
        a->status = st.found.damaged ? SXADM_DAMAGED : st.found.mended + st.found.sums ? SXADM_MENDED : CLI_OK;
    }
    sx_store_close(s);
    sx_node_conf_fini(&c);
    return r;
}
