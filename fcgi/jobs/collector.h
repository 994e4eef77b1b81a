/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The garbage collector: deletes blocks of this node that nothing references, by the rule of
 * docs/design.md section 3 (collect.h), and compacts packs.  It sweeps every `collect_interval_s`
 * seconds of node.json, less often when a sweep takes long, and at once when it is asked to.
 */
#ifndef SX_FCGI_JOBS_COLLECTOR_H
#define SX_FCGI_JOBS_COLLECTOR_H

#include <stdint.h>

#include "fcgi/conf.h"

/* The collector's process: runs until SIGTERM or SIGINT, or until stop_fd (-1: none) reports end of
 * file, then returns its exit status.  After fork. */
int sx_collector_main(const struct sx_node_conf *conf, int stop_fd);

/* Asks the node's collector for a sweep now (makes the file DIR/run/collect). */
void sx_collector_poke(const char *dir);

struct sx_collector_counters {
    uint64_t sweeps;   /* finished since the process started */
    uint64_t deleted;  /* blocks */
    uint64_t freed;    /* bytes given back by compaction */
    uint64_t pending;  /* unreferenced blocks found in the last sweep that were still leased */
};

/* What the collector published last (zeros if nothing yet); for status. */
void sx_collector_counters(const char *dir, struct sx_collector_counters *c);

#endif
