/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Brings another node's database into the place of ours: fetched in a thread of its own, again and
 * again until it succeeds, from the leader of the moment; checked; swapped.
 */
#ifndef SX_FCGI_META_MANAGER_INSTALL_H
#define SX_FCGI_META_MANAGER_INSTALL_H

#include "fcgi/meta/manager/apply.h"
#include "fcgi/meta/manager/drive.h"

struct sx_install;

struct sx_install_ops {
    /* Who is asked now: *node may be replaced by a better one; *address is where it is reached,
     * NULL if that is not known.  False: give up, the process ends. */
    bool (*where)(void *ctx, uint64_t *node, const char **address);
    /* The new database is in place; sx_apply_index() says what it has applied. */
    void (*on_installed)(void *ctx);
};

/* Keeps the pointers. */
struct sx_install *sx_install_new(const struct sx_drive_params *p, const char *meta,
                                  struct sx_apply *apply, const struct sx_install_ops *ops,
                                  void *ctx, struct sx_err *e) SX_MUST_CHECK;
void sx_install_free(struct sx_install *i); /* ends what is under way */

/* Begins; not while one is under way.  `address` may be empty or NULL. */
void sx_install_begin(struct sx_install *i, uint64_t node, const char *address, uint64_t min_index);

#endif
