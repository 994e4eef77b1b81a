/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dispatcher's loop: starts the node's processes, starts again what dies, drains and stops
 * them. It serves nothing itself, opens no database and has no threads, so it has little to die
 * of.
 */
#ifndef SX_FCGI_DISPATCH_H
#define SX_FCGI_DISPATCH_H

#include <stdbool.h>

#include "fcgi/board.h"
#include "fcgi/cache.h"
#include "fcgi/conf.h"

/* Memory that all processes map. */
struct sx_shared {
    struct sx_board *board;
    struct sx_cache *cache; /* NULL: none */
};

/* What a child is given. */
struct sx_child {
    const struct sx_node_conf *conf;
    struct sx_shared shared;
    struct sx_board_slot *slot;
    int listen_fd; /* workers: where requests come from; else -1 */
    int stop_fd;   /* end of file when the dispatcher is gone */
};

/* The order in which a stopping dispatcher ends its children: those of one phase together. */
enum sx_process_phase { SX_PHASE_WORKER, SX_PHASE_MANAGER, SX_PHASE_LAST, SX_PHASES };

struct sx_process {
    const char *name; /* numbered if count > 1 or it is a worker */
    bool numbered;
    unsigned count;
    enum sx_process_phase phase;
    int listen_fd;
    unsigned extra; /* at most so many more, in place of those that are long at one request */
    /* The child's whole life; the result is its exit status.  SIGTERM has its default action
     * when it is called. */
    int (*run)(const struct sx_child *child);
};

#define SX_EXIT_NO_RESTART 2 /* status of a child that another start would not help */

/* Restarts after a death: at once, then after SX_RESTART_MIN_MS doubling to SX_RESTART_MAX_MS; a
 * life of SX_RESTART_GOOD_MS begins anew. */
#define SX_RESTART_MIN_MS 100
#define SX_RESTART_MAX_MS 5000
#define SX_RESTART_GOOD_MS 30000
/* A worker has one request at a time, and holds it for as long as a slow client takes to send or
 * read a body.  For each that has been at one for SX_LONG_MS an extra one runs, up to the role's
 * `extra`, so that quick requests find as many workers as ever.  Those that were not needed for
 * SX_EXTRA_KEEP_MS end. */
#define SX_LONG_MS 1000
#define SX_BALANCE_MS 500 /* between two looks */
#define SX_EXTRA_KEEP_MS 30000
#define SX_EXTRA_MAX 64
/* How long the children of one phase may take to end before they are killed. */
#define SX_DRAIN_MS 30000

/* Runs until SIGTERM or SIGINT, then stops everything; 0.  -1 if it could not begin.  `log_path`
 * is reopened, here and in the children, on SIGHUP.  `ready_fd` gets one byte once all are
 * forked, and is closed (-1: none). */
int sx_dispatch(const struct sx_node_conf *conf, const struct sx_shared *shared,
                const struct sx_process *roles, unsigned n_roles, const char *log_path,
                int ready_fd, struct sx_err *e) SX_MUST_CHECK;

#endif
