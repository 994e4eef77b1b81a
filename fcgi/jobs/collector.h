/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The garbage collector: deletes blocks of this node that nothing references, by the rule of
 * docs/design.md section 3, and compacts packs.
 */
#ifndef SX_FCGI_JOBS_COLLECTOR_H
#define SX_FCGI_JOBS_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Default of node.json `collect_interval_s`: seconds between two full sweeps. */
#define SX_COLLECT_INTERVAL_S 60u

/* The collector's process: runs until SIGTERM or SIGINT, then returns its exit status.  `dir` is the
 * node's directory.  Call after fork, with the log set up. */
int sx_collector_main(const char *dir);

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

/* The rule as a function of data, without I/O: what may be deleted of n blocks, given
 * the horizon T that is applied, each block's lease deadline and whether the metadata (read at or
 * after the horizon's index) reference it. */
struct sx_collect_block {
    uint64_t lease_ms;
    bool referenced;
};

/* victims[i] = true if block i may be deleted; returns how many. */
size_t sx_collect_decide(uint64_t horizon_ms, const struct sx_collect_block *blocks, size_t n,
                         bool *victims);

#endif
