/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands on their way.  A command of a local process waits here until the local database has
 * applied it: it is put into an entry, if this node leads the group, or forwarded to the leader;
 * again if the leader changes, the link breaks or nothing is heard, with the same op id, which the
 * state machine takes care of.  Commands that other nodes forward wait only until they are in an
 * entry; the node they came from waits for the result.
 *
 *   local:  WAITING --submitted or forwarded--> SENT --applied--> answered
 *           SENT --new leader, lost link, silence--> WAITING; any --deadline--> answered
 */
#ifndef SX_FCGI_META_MANAGER_SUBMITS_H
#define SX_FCGI_META_MANAGER_SUBMITS_H

#include "fcgi/meta/manager/drive.h"
#include "fcgi/meta/manager/links.h"
#include "fcgi/meta/manager/local.h"

struct sx_submits;

#define SX_SUBMITS_MAX 65536u             /* commands of local processes that wait */
#define SX_SUBMITS_BYTES_MAX (128u << 20) /* and their bytes; also of forwarded ones, apart */

struct sx_submits *sx_submits_new(struct sx_loop *l, struct sx_links *links, unsigned group);
void sx_submits_free(struct sx_submits *s);
void sx_submits_set_drive(struct sx_submits *s, struct sx_drive *d); /* once, before all that follows */

/* A SUBMIT frame of a local process: u32 time-out in ms, the command. */
void sx_submits_local(struct sx_submits *s, struct sx_asker who, const struct sx_frame *f);
/* FORWARD and REFUSED frames of another node. */
void sx_submits_forward(struct sx_submits *s, uint64_t from, const struct sx_frame *f);
void sx_submits_refused(struct sx_submits *s, uint64_t from, const struct sx_frame *f);

void sx_submits_state(struct sx_submits *s);             /* leader, term or readiness may have changed */
void sx_submits_link(struct sx_submits *s, uint64_t peer, bool up);
void sx_submits_result(struct sx_submits *s, const uint8_t op[SX_OP_ID], int code, const void *p,
                       size_t n);
/* With an error set (SX_OK: none) new commands are refused with it: all, or, with
 * `only_growing`, those that make the metadata grow, so that things can still be deleted when
 * space is low. */
void sx_submits_refuse(struct sx_submits *s, const struct sx_err *why, bool only_growing);

#endif
