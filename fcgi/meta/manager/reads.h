/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linearizable reads (D. Ongaro's dissertation, section 6.4): a local process that wants to read
 * waits here until the local database holds everything that was committed before it asked.
 *
 *   NEW --a round begins--> ASKED --the leader's index--> READ --applied--> answered
 *   ASKED --no leader, lost link, silence--> NEW; any --deadline--> answered
 *
 * A round asks the leader (this node or, over the link, another one) for its commit index, for all
 * that are NEW when it begins; one round at a time.
 */
#ifndef SX_FCGI_META_MANAGER_READS_H
#define SX_FCGI_META_MANAGER_READS_H

#include "fcgi/meta/manager/drive.h"
#include "fcgi/meta/manager/links.h"
#include "fcgi/meta/manager/local.h"

struct sx_reads;

#define SX_READS_MAX 65536u /* local readers that wait */

struct sx_reads *sx_reads_new(struct sx_loop *l, struct sx_links *links, unsigned group);
void sx_reads_free(struct sx_reads *r);
void sx_reads_set_drive(struct sx_reads *r, struct sx_drive *d); /* once, before all that follows */

/* A SYNC frame of a local process: u32 time-out in ms. */
void sx_reads_local(struct sx_reads *r, struct sx_asker who, const struct sx_frame *f);
/* READ (a follower's round begins) and READ_INDEX (the answer to this node's round) of other nodes. */
void sx_reads_read(struct sx_reads *r, uint64_t from, const struct sx_frame *f);
void sx_reads_index(struct sx_reads *r, uint64_t from, const struct sx_frame *f);

void sx_reads_done(struct sx_reads *r, uint64_t tag, int code, uint64_t index); /* from the drive */
void sx_reads_state(struct sx_reads *r);
void sx_reads_link(struct sx_reads *r, uint64_t peer, bool up);
void sx_reads_applied(struct sx_reads *r, uint64_t index);

#endif
