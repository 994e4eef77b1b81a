/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The threads that work on the database of a group (groupdb.h).  Committed entries go in, in order;
 * the apply thread brings them into the state machine, what has gathered meanwhile in one
 * transaction; results and progress come out, in the loop.  A second thread does what may take long
 * beside it: checkpoints of SQLite's log, and syncs.
 */
#ifndef SX_FCGI_META_MANAGER_APPLY_H
#define SX_FCGI_META_MANAGER_APPLY_H

#include "fcgi/meta/manager/loop.h"
#include "fcgi/meta/query.h"
#include "fcgi/meta/raft/entry.h"

struct sx_apply;

/* All are called in the loop. */
struct sx_apply_ops {
    /* Of each command, in order; after its transaction.  `p` is the payload, or the message if
     * the code is not SX_OK. */
    void (*on_result)(void *ctx, const uint8_t op[SX_OP_ID], int code, const void *p, size_t n);
    /* The database holds everything up to `index`. */
    void (*on_applied)(void *ctx, uint64_t index);
    /* The list of the cluster's nodes, at the start and after each change. */
    void (*on_nodes)(void *ctx, const struct sx_node *nodes, size_t n);
    /* Nothing can be applied any more; the process must end. */
    void (*on_fatal)(void *ctx, const struct sx_err *e);
};

/* Opens (or makes) the database of `group` below the directory `meta`. */
struct sx_apply *sx_apply_new(struct sx_loop *l, const char *meta, unsigned group,
                              const struct sx_apply_ops *ops, void *ctx, struct sx_err *e) SX_MUST_CHECK;
void sx_apply_free(struct sx_apply *a); /* waits for what is under way */

uint64_t sx_apply_index(const struct sx_apply *a); /* as on_applied() last said, or as found */
uint64_t sx_apply_time(const struct sx_apply *a);  /* in that entry, ms; 0: none was applied */
const char *sx_apply_path(const struct sx_apply *a); /* of the database */

/* Takes a copy of a committed entry. */
void sx_apply_add(struct sx_apply *a, const struct sx_entry *entry);

/* Makes everything up to some index, which is given to `done`, durable in the database. One at a
 * time. */
void sx_apply_sync(struct sx_apply *a, void (*done)(void *ctx, uint64_t index), void *ctx);

/* Puts group-N.db.ready into the place of the database; then on_applied(), on_nodes(), `done`. */
void sx_apply_swap(struct sx_apply *a, void (*done)(void *ctx), void *ctx);

#endif
