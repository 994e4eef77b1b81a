/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Figures of space of the whole cluster: what its nodes have counted (fcgi/jobs/space.h), put
 * together as docs/api.md section 2 says.
 */
#ifndef SX_FCGI_API_SPACE_H
#define SX_FCGI_API_SPACE_H

#include "fcgi/api/request.h"
#include "libsx/base/json.h"

#define SX_SPACE_ALL 0u /* in place of a volume's number */

/* What the nodes have counted; NULL for one that has not, or did not answer.  Borrowed. */
struct sx_space_counts {
    json_t **node;
    size_t n, own;
};

/* The figures of a volume, or of all: S of docs/api.md.  A pure function; a new reference. */
json_t *sx_space_figures(const struct sx_space_counts *c, uint64_t volume);
/* All nodes have counted, by the same map, and none lacks a block that it should have measured. */
bool sx_space_complete(const struct sx_space_counts *c);
/* The time of the oldest count, 0 if there is none. */
uint64_t sx_space_as_of(const struct sx_space_counts *c);
/* The sum of a number over the nodes. */
uint64_t sx_space_total(const struct sx_space_counts *c, const char *name);

/* Asks all nodes now: S of one volume, with as_of_ms and complete. */
int sx_do_space(struct sx_req *r, uint64_t volume, json_t **s, struct sx_err *e) SX_MUST_CHECK;

#endif
