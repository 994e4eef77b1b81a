/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How far the scrub of a device is and what it found: the file scrub.json in the device's
 * directory, written by the collector's process, read by whoever tells about the node.
 */
#ifndef SX_FCGI_JOBS_SCRUB_STATE_H
#define SX_FCGI_JOBS_SCRUB_STATE_H

#include "fcgi/store/scrub.h"
#include "libsx/base/json.h"

struct sx_scrub_state {
    bool running;
    bool hurry;             /* asked for: as fast as may be */
    uint64_t started_ms;    /* wall clock: the round that runs, or the last one; 0: none yet */
    uint64_t done_ms;       /* when a round ended last; 0: never */
    uint64_t rounds;        /* begun so far */
    uint64_t total;         /* bytes of the packs when the round began */
    struct sx_scrub_place place;
    struct sx_scrub_found found; /* by the round that runs */
    struct sx_scrub_found last;  /* by the last whole one */
};

/* What is missing or damaged is taken as nothing: the round begins anew. */
void sx_scrub_state_load(const char *device_dir, struct sx_scrub_state *st);
/* Whole or not at all; it need not survive a power cut. */
int sx_scrub_state_save(const char *device_dir, const struct sx_scrub_state *st,
                        struct sx_err *e) SX_MUST_CHECK;

/* In this round and the last: the disk refused to read, or gave back too much that was not written. */
#define SX_SCRUB_READ_ERRORS_MAX 3u
#define SX_SCRUB_DAMAGED_MAX 100u
bool sx_scrub_failing(const struct sx_scrub_state *st);
unsigned sx_scrub_percent(const struct sx_scrub_state *st); /* of the round that runs */

/* For status: {"state":"running"|"idle","percent","started_ms","done_ms","failing", and the sums of
 * this round and the last: "damaged","mended","read_errors","index_faults"}.  A new reference. */
json_t *sx_scrub_state_json(const struct sx_scrub_state *st);

/* Asks the node's scrub to begin a round now, or to hurry (makes the file DIR/run/scrub). */
void sx_scrub_poke(const char *dir);
#define SX_SCRUB_POKE "scrub"

#endif
