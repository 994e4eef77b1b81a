/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parts of sx_copy(): where things come from and go to (copy.c), and copies between places of
 * clusters (remote.c).
 */
#ifndef SX_CLIENT_COPY_H
#define SX_CLIENT_COPY_H

#include "libsx/client/call.h"

/* A source or the destination. */
struct copy_place {
    const char *text;
    bool remote;
    bool pipe;  /* "-" */
    bool slash; /* ended with a slash: what is in it */
    struct sx_uri uri;
    struct sx_cluster *cluster; /* owned by the client */
    char *name; /* exact path; "" for a volume's root */
};

/* One file or tree of a remote source and its place at the destination. */
struct copy_item {
    char *from; /* path, or prefix of a tree ("" or "dir/") */
    char *to;   /* path, or prefix or directory of a tree */
    bool tree;
};

struct copy_items {
    struct copy_item *list;
    size_t n;
};

/* Copies items between volumes: without moving data if it is one cluster and one user. */
int sx_copy_remote(const struct copy_place *from, const struct copy_place *to,
                   const struct copy_items *items, const struct sx_copy_options *o,
                   struct sx_copy_stats *stats, struct sx_err *e) SX_MUST_CHECK;

#endif
