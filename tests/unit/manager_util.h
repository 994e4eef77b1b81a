/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small clusters of group managers for tests and benchmarks: each node a forked process that runs
 * sx_manager_main() in a temporary directory, on its own loopback address, with certificates of a
 * CA made for it. Failures end the process with a message.
 */
#ifndef SX_TESTS_UNIT_MANAGER_UTIL_H
#define SX_TESTS_UNIT_MANAGER_UTIL_H

#include <stdbool.h>
#include <sys/types.h>

#include "fcgi/conf.h"
#include "fcgi/meta/command.h"
#include "fcgi/meta/meta.h"

#define MU_NODES_MAX 8u
#define MU_ADMIN "admin"

struct mu_node {
    struct sx_node_conf conf;
    char *dir;
    pid_t pid;   /* 0: not running */
    int stop_fd; /* write end of its stop pipe */
};

struct mu_cluster {
    char dir[64];
    unsigned n;
    struct mu_node nodes[MU_NODES_MAX];
};

/* Makes directories, settings and certificates; node 0 will found the cluster.  Starts nothing. */
void mu_new(struct mu_cluster *c, unsigned n);
void mu_free(struct mu_cluster *c); /* kills what runs, removes the directory */

void mu_start(struct mu_cluster *c, unsigned i);
int mu_stop(struct mu_cluster *c, unsigned i); /* in order; its exit status */
int mu_wait(struct mu_cluster *c, unsigned i); /* for one that ends by itself; its exit status */
void mu_kill(struct mu_cluster *c, unsigned i); /* kill -9 */

/* Starts the first `count` nodes, adds those behind the first to the cluster and waits until
 * `voters` vote. */
void mu_form(struct mu_cluster *c, unsigned count, unsigned voters);
/* Adds a node to the cluster, by a command to node 0. */
void mu_add(struct mu_cluster *c, unsigned i);
/* Waits until node `via` knows so many voters and standby; ends the process if it does not. */
void mu_wait_members(struct mu_cluster *c, unsigned via, unsigned voters, unsigned standby);
struct sx_meta *mu_meta(struct mu_cluster *c, unsigned i); /* a new client */

/* Facts from a node's status: of group 0.  False if it does not answer. */
struct mu_facts {
    bool leader, installing, ready;
    uint64_t applied, first, last, snapshot, leader_id;
    unsigned voters, standby;
};
bool mu_facts(struct mu_cluster *c, unsigned i, struct mu_facts *f);
void mu_show(struct mu_cluster *c); /* every node's status, to standard error */
int mu_leader(struct mu_cluster *c, unsigned timeout_ms); /* number of the node that leads; -1 */
/* Waits until all running nodes have applied the same index; false after the time-out. */
bool mu_settle(struct mu_cluster *c, unsigned timeout_ms);

/* Commands: a setting, as the cluster itself. */
void mu_setting(struct sx_buf *command, const char *name, const void *value, size_t n);
int mu_submit_setting(struct sx_meta *m, const char *name, const char *value, unsigned timeout_ms,
                      struct sx_err *e);
/* The setting's value in the node's database equals `value`. */
bool mu_setting_is(struct sx_meta *m, const char *name, const char *value);

#endif
