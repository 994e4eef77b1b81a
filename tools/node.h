/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the commands on a node's directory share.
 */
#ifndef SX_TOOLS_NODE_H
#define SX_TOOLS_NODE_H

#include <limits.h>

#include "fcgi/conf.h"
#include "tools/judge.h"
#include "tools/sxadm.h"

/* Exit statuses of the commands that check, beside 0 (clean) and 1 (could not be done). */
#define SXADM_MENDED 3  /* something was wrong, and is put right */
#define SXADM_DAMAGED 4 /* something is wrong still; the node fetches good copies from the other nodes */
#define SXADM_LOST 5    /* the same, and no other node can have a copy */

/* Finds the directory, reads its settings, and becomes the node's user. */
int sxadm_load_node(struct sxadm *a, char dir[PATH_MAX], struct sx_node_conf *c, struct sx_err *e) SX_MUST_CHECK;

/* Opens the judge of the node's blocks; what cannot be had is told as a note. */
void sxadm_judge_open(struct sxadm *a, const char *dir, struct judge *j);

#endif
