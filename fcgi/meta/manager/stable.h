/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What of a group must outlive a crash, besides its database: log, vote and the reference of the
 * last snapshot (DIR/meta/wal, group-N.vote, group-N.snapshot).  Vote and reference are durable
 * when their functions return.  Entries are only noted; a thread makes them durable, in one go what
 * was noted until it began, while the next ones gather.
 */
#ifndef SX_FCGI_META_MANAGER_STABLE_H
#define SX_FCGI_META_MANAGER_STABLE_H

#include <stdbool.h>

#include "fcgi/meta/manager/loop.h"
#include "fcgi/meta/raft/group.h"

struct sx_stable;

/* Both are called in the loop, as the end of sx_stable_sync(). */
struct sx_stable_ops {
    /* All appends up to `seq` are durable; 0: none that were not before, a cut only. */
    void (*on_synced)(void *ctx, uint64_t seq);
    /* Nothing can be made durable any more; the process must end. */
    void (*on_fatal)(void *ctx, const struct sx_err *e);
};

/* Opens the files of `group` below the directory `meta`, or makes them. */
struct sx_stable *sx_stable_new(struct sx_loop *l, const char *meta, unsigned group,
                                const struct sx_stable_ops *ops, void *ctx,
                                struct sx_err *e) SX_MUST_CHECK;
void sx_stable_free(struct sx_stable *s); /* waits for what is under way */

/* If there is nothing of an old group: begins a new one, durably, with the node as its only
 * member. */
int sx_stable_found(struct sx_stable *s, uint64_t node, const char *address,
                    struct sx_err *e) SX_MUST_CHECK;
/* What the group begins with: all but `applied`.  Valid until sx_stable_free(). */
struct sx_group_start sx_stable_start(const struct sx_stable *s);

/* The paths of vote and log, for messages. */
const char *sx_stable_paths(const struct sx_stable *s);

/* See the effects of the same names in raft/group.h; their errors are final. */
int sx_stable_save_vote(struct sx_stable *s, uint64_t term, uint64_t voted_for,
                        struct sx_err *e) SX_MUST_CHECK;
int sx_stable_append(struct sx_stable *s, uint64_t seq, const struct sx_entry *entries, unsigned n,
                     struct sx_err *e) SX_MUST_CHECK;
int sx_stable_read_entry(struct sx_stable *s, uint64_t index, struct sx_entry *entry,
                         struct sx_buf *data, struct sx_err *e) SX_MUST_CHECK;
int sx_stable_save_snapshot(struct sx_stable *s, const struct sx_snapref *ref,
                            struct sx_err *e) SX_MUST_CHECK;
int sx_stable_log_cut(struct sx_stable *s, uint64_t first, bool all, struct sx_err *e) SX_MUST_CHECK;

/* An append is not durable yet. */
bool sx_stable_busy(const struct sx_stable *s);
/* Something was noted, and the thread is idle. */
bool sx_stable_may_sync(const struct sx_stable *s);
/* Begins to make durable what was noted, unless the thread is busy. */
void sx_stable_sync(struct sx_stable *s);

#endif
