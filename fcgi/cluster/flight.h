/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of cluster/: one batch of blocks on its way to several nodes at once (put or have),
 * until the plan is complete.
 */
#ifndef SX_FCGI_CLUSTER_FLIGHT_H
#define SX_FCGI_CLUSTER_FLIGHT_H

#include "fcgi/cluster/blocks.h"
#include "fcgi/cluster/plan.h"

struct sx_flights;

struct sx_flights_job {
    enum sx_plan_kind kind;
    const struct sx_blocks *env;
    unsigned replica;
    const struct sx_record *recs; /* put */
    const struct sx_id *ids;      /* have */
    size_t n;
};

/* Runs the batch.  Never fails by itself: what could not be done is in the plan and, in words,
 * in *last.  *lease is the smallest lease of any node that has a copy (UINT64_MAX: none).
 * The plan is the caller's. */
struct sx_plan *sx_flights_run(const struct sx_flights_job *job, uint64_t *lease,
                               struct sx_err *last);

/* Appends to iov[] the memory of the records of the list, neighbours joined; iov has room for n.
 * Returns how many. */
size_t sx_flights_iov(const struct sx_record *recs, const uint32_t *list, size_t n,
                      struct iovec *iov);

#endif
