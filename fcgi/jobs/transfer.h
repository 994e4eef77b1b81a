/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block transfer manager: sends what the replication queue (queue.h) holds to the nodes it is
 * for, and fetches blocks that this node should own and does not have.
 */
#ifndef SX_FCGI_JOBS_TRANSFER_H
#define SX_FCGI_JOBS_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

/* Seconds between two sweeps when nothing asks for one earlier. */
#define SX_TRANSFER_SWEEP_S 600u

/* The manager's process: runs until SIGTERM or SIGINT, then returns its exit status.  `dir` is the
 * node's directory.  Call after fork, with the log set up. */
int sx_transfer_main(const char *dir);

/* Asks the node's transfer manager to look at its queue and to sweep now (makes the file DIR/run/transfer). */
void sx_transfer_poke(const char *dir);

struct sx_transfer_counters {
    uint64_t queue;    /* rows in the replication queue */
    uint64_t missing;  /* blocks that the last sweep could not find, or has still to fetch */
    uint64_t sent;     /* blocks sent to other nodes since the process started */
    uint64_t fetched;  /* blocks fetched from other nodes since then */
    uint64_t sweeps;   /* finished since then */
};

/* What the manager published last (zeros if nothing yet); for status. */
void sx_transfer_counters(const char *dir, struct sx_transfer_counters *c);

#endif
