/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The database of a group, as its only writer sees it: opening it, or a fetched one in its place;
 * bringing committed entries in; keeping SQLite's log short.  All of it blocks and belongs to
 * threads beside the loop (apply.c).
 *
 * Files in DIR/meta: group-N.db; group-N.db.ready is a whole database that was fetched and takes
 * the other's place when it is opened; group-N.db.new is one that is being fetched.
 */
#ifndef SX_FCGI_META_MANAGER_GROUPDB_H
#define SX_FCGI_META_MANAGER_GROUPDB_H

#include "fcgi/meta/manager/batch.h"
#include "fcgi/meta/query.h"
#include "libsx/base/err.h"

struct sx_groupdb;

/* Opens (or makes) the database of `group` below the directory `meta`.  SX_ECORRUPT: it is
 * damaged, or older than its last checkpoint (sm/base.h), and flagged so (sm/sums.h). */
struct sx_groupdb *sx_groupdb_new(const char *meta, unsigned group, struct sx_err *e) SX_MUST_CHECK;
void sx_groupdb_free(struct sx_groupdb *g);

const char *sx_groupdb_path(const struct sx_groupdb *g);

/* One thread at a time calls these; after an error nothing but sx_groupdb_free(). */

/* Applies the batch in one transaction. */
int sx_groupdb_apply(struct sx_groupdb *g, const struct sx_batch *b, struct sx_err *e) SX_MUST_CHECK;
/* Opens the one that lies ready in its place. */
int sx_groupdb_swap(struct sx_groupdb *g, struct sx_err *e) SX_MUST_CHECK;
/* Lets SQLite's log begin anew, if no reader holds an old state; waits a little for them. */
int sx_groupdb_restart_log(struct sx_groupdb *g, struct sx_err *e) SX_MUST_CHECK;

/* What has come of them, to be asked while none of them runs. */

uint64_t sx_groupdb_applied(const struct sx_groupdb *g); /* index of the last entry */
uint64_t sx_groupdb_time(const struct sx_groupdb *g); /* the time in it, ms; 0: there is none */
int sx_groupdb_log_frames(const struct sx_groupdb *g); /* pages in SQLite's log, after the last commit */
/* The cluster's nodes, once after each change of them and when it was opened; else false.  Valid
 * until the next call of the others. */
bool sx_groupdb_nodes(struct sx_groupdb *g, const struct sx_node **nodes, size_t *n);

struct sx_groupdb_result {
    const uint8_t *op; /* SX_OP_ID bytes */
    int code;
    const uint8_t *p; /* the payload, or the message if the code is not SX_OK */
    size_t n;
};

/* Results of the commands that were applied, in order; each once; valid until the next
 * sx_groupdb_apply(). */
bool sx_groupdb_result(struct sx_groupdb *g, struct sx_groupdb_result *r);

/* These may run beside the others, but not beside sx_groupdb_swap(). */

/* Moves to the database what is in SQLite's log and no reader needs there. */
int sx_groupdb_checkpoint(const struct sx_groupdb *g, struct sx_err *e) SX_MUST_CHECK;
/* Makes durable what was committed before. */
int sx_groupdb_sync(const struct sx_groupdb *g, struct sx_err *e) SX_MUST_CHECK;

#endif
