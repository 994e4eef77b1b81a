/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A census of space: one walk over the metadata and this node's index, a little at a time, that
 * ends with the figures of space.h.
 *
 *   holders   all revisions and open uploads: logical sizes, and which volumes hold which content
 *   inlines   contents that lie in the metadata
 *   blocks    references and the index side by side in the order of ids: each block is met
 *             once, with all that refer to it
 *
 * Memory: some pages of rows, a set of volumes, the sums of each volume.  No transaction is open
 * between two steps, so what users change meanwhile is counted as it was before or after.
 */
#ifndef SX_FCGI_JOBS_CENSUS_H
#define SX_FCGI_JOBS_CENSUS_H

#include "fcgi/jobs/space.h"
#include "fcgi/meta/query.h"
#include "fcgi/store/store.h"

/* What a census is made from; must outlive it. */
struct sx_census_source {
    const char *dir; /* the node's directory: run/ takes the table of holders */
    struct sx_store *store;
    unsigned groups;
    /* The database of a group, as sx_meta_db(). */
    int (*db)(void *ctx, unsigned group, sqlite3 **db, struct sx_err *e);
    /* Is this node the first owner of the block? */
    bool (*first)(void *ctx, const struct sx_id *id);
    void *ctx;
};

struct sx_census;

int sx_census_new(const struct sx_census_source *from, struct sx_census **c,
                  struct sx_err *e) SX_MUST_CHECK;
void sx_census_free(struct sx_census *c); /* NULL is allowed */

/* Some milliseconds of work.  *more false: it is done, and sx_census_take() has the figures, but
 * for the times.  After an error it is only to be freed. */
int sx_census_step(struct sx_census *c, bool *more, struct sx_err *e) SX_MUST_CHECK;
/* The figures; the caller's from then on (sx_space_fini()). */
struct sx_space sx_census_take(struct sx_census *c);

#endif
