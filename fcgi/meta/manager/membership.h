/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The group's members and the cluster's nodes.  Keeps the list of nodes as the database has it, sees
 * to it that there is a link to each of them and to nobody else, and, while this node leads, makes
 * the changes that bring the group's members into agreement with the list, one at a time; which one
 * comes next is decided in roster.h.
 */
#ifndef SX_FCGI_META_MANAGER_MEMBERSHIP_H
#define SX_FCGI_META_MANAGER_MEMBERSHIP_H

#include "fcgi/meta/manager/drive.h"
#include "fcgi/meta/manager/links.h"

struct sx_membership;

/* `self`: this node. Keeps the pointers. */
struct sx_membership *sx_membership_new(struct sx_loop *l, struct sx_links *links, uint64_t self);
void sx_membership_free(struct sx_membership *m);

/* The list may come before; all else that follows, after. */
void sx_membership_begin(struct sx_membership *m, struct sx_drive *d);
void sx_membership_pause(struct sx_membership *m); /* no changes any more: this node ends */

void sx_membership_nodes(struct sx_membership *m, const struct sx_node *nodes, size_t n); /* a new list */
void sx_membership_changed(struct sx_membership *m, uint64_t tag, int code);              /* from the drive */

/* Is the node on the list? */
bool sx_membership_listed(const struct sx_membership *m, uint64_t id);
/* Is it on the list, or a member of the group? */
bool sx_membership_known(const struct sx_membership *m, uint64_t id);

#endif
