/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block transfer manager: sends what the replication queue (queue.h) holds to the nodes it is
 * for; fetches anew blocks that are found damaged; and sweeps: walks the references in the
 * metadata and fetches blocks that this node should own and does not have.
 */
#ifndef SX_FCGI_JOBS_TRANSFER_H
#define SX_FCGI_JOBS_TRANSFER_H

#include <stdint.h>

#include "fcgi/board.h"
#include "fcgi/conf.h"

/* The manager's process: runs until SIGTERM or SIGINT, or until stop_fd (-1: none) reports end of
 * file, then returns its exit status.  After fork. */
int sx_transfer_main(const struct sx_node_conf *conf, struct sx_board *board, int stop_fd);

/* Asks the node's transfer manager to look at its queue and at damaged blocks now (makes the
 * file DIR/run/transfer). */
void sx_transfer_poke(const char *dir);

struct sx_transfer_counters {
    uint64_t queue;    /* rows in the replication queue */
    uint64_t missing;  /* blocks that the last sweep could not find, or has still to fetch */
    uint64_t lost;     /* of the missing: no node has them, and all were asked */
    uint64_t sent;     /* blocks sent to other nodes since the process started */
    uint64_t fetched;  /* blocks fetched from other nodes since then */
    uint64_t sweeps;   /* finished since then */
};

/* What the manager published last (zeros if nothing yet); for status. */
void sx_transfer_counters(const char *dir, struct sx_transfer_counters *c);

#endif
