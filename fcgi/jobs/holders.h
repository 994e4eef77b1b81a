/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which volumes hold a content: a table that a census fills in one order and asks in another.  It
 * lies in a file, so that memory is bounded whatever the number of files; it is made anew for each
 * census and need not survive anything.
 */
#ifndef SX_FCGI_JOBS_HOLDERS_H
#define SX_FCGI_JOBS_HOLDERS_H

#include "fcgi/meta/query.h"

struct sx_holders;

/* Makes DIR/run/space.db, in place of one that was left.  It takes at most a quarter of the space
 * that is free (SX_ENOSPACE beyond). */
int sx_holders_new(const char *dir, struct sx_holders **h, struct sx_err *e) SX_MUST_CHECK;
void sx_holders_free(struct sx_holders *h); /* removes the file; NULL is allowed */

/* Holders of contents of a group; empty files are passed over. */
int sx_holders_add(struct sx_holders *h, unsigned group, const struct sx_holder *list, size_t n,
                   struct sx_err *e) SX_MUST_CHECK;

/* Different volumes, ascending. */
struct sx_holder_set {
    uint64_t *volume;
    size_t n, room;
};
/* Adds the holders of a content to the set; *n: how many it has (may be NULL). */
int sx_holders_find(struct sx_holders *h, unsigned group, uint64_t content,
                    struct sx_holder_set *set, size_t *n, struct sx_err *e) SX_MUST_CHECK;
void sx_holder_set_add(struct sx_holder_set *set, uint64_t volume);
void sx_holder_set_fini(struct sx_holder_set *set);

#endif
