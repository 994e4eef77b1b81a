/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Heals a damaged database: while its flag is up (see sm/sums.h) a copy is fetched from another
 * member, and when it is here the process ends and is started again over it.  What the copy lacks
 * is in this node's log, or comes from the leader as for a node that was down: log and vote are not
 * touched, so nothing that this node has confirmed is lost.  A node that is the only member has
 * nobody to ask: its database stays as it is, and refuses what is damaged.
 */
#ifndef SX_FCGI_META_MANAGER_HEAL_H
#define SX_FCGI_META_MANAGER_HEAL_H

#include "fcgi/meta/manager/drive.h"

struct sx_heal;

/* Takes copies of what it needs of `p`, whose `address_of` may be asked later.  `on_healed` (in the
 * loop): a good database lies ready, the process must now end and be started again; nothing of the
 * group may be changed any more. */
struct sx_heal *sx_heal_new(const struct sx_drive_params *p, void (*on_healed)(void *ctx), void *ctx,
                            struct sx_err *e) SX_MUST_CHECK;
void sx_heal_free(struct sx_heal *h); /* ends what is under way */

/* Looks at the flag from now on, while the group runs. */
void sx_heal_beside(struct sx_heal *h, struct sx_drive *d);

/* The group does not run, or no longer: fetches until there is a database.  False: that would not
 * help, for the flag is not up or nobody else is a member.  After sx_heal_beside() the drive must
 * be there still. */
bool sx_heal_alone(struct sx_heal *h);

#endif
