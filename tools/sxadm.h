/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of sxadm: what the commands share.
 */
#ifndef SX_TOOLS_SXADM_H
#define SX_TOOLS_SXADM_H

#include "client/cli.h"

struct sxadm {
    struct cli cli;
    uint64_t ttl_s;
    uint64_t timeout_s;
    bool force;
    bool deep;
    bool now;
    uint64_t sample;     /* check: so many blocks, or so many of hundred; 0: none */
    bool sample_percent;
    uint64_t rate;       /* check: at most so many bytes a second; 0: no limit */
    bool wait;           /* scrub */
    bool lost, read_only, writable; /* remove-device, set-device */
    uint64_t size;       /* add-device, set-device; 0: not given */
    const char *dir;
    int status; /* exit status of a command that did what it was asked; 0 unless it says otherwise */
};

/* What a command does with the operands behind its name.  0, or -1 with e set. */
typedef int sxadm_fn(struct sxadm *a, int argc, char **argv, struct sx_err *e);

/* Commands that ask a cluster; the last operand is its URI or alias, and may be left out if only one is set up. */
sxadm_fn sxadm_cluster_info, sxadm_cluster_status, sxadm_cluster_nodes, sxadm_cluster_token,
    sxadm_cluster_remove_node, sxadm_cluster_wait, sxadm_cluster_df, sxadm_jobs, sxadm_job_cancel;

/* Opens the cluster that operand `at` names, which must be the last, or the only one that is set up; for
 * cli_place_fini(). */
int sxadm_open(struct sxadm *a, int argc, char **argv, int at, struct cli_place *p, struct sx_err *e);

/* Commands on a node's directory. */
sxadm_fn sxadm_node_info, sxadm_node_check, sxadm_node_scrub, sxadm_node_verify, sxadm_node_rebuild_index,
    sxadm_node_devices, sxadm_node_add_device, sxadm_node_set_device, sxadm_node_remove_device;

#endif
