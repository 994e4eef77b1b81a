/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How much room there is for metadata: looked at once a second.  What follows from it is the
 * manager's.
 */
#ifndef SX_FCGI_META_MANAGER_FREESPACE_H
#define SX_FCGI_META_MANAGER_FREESPACE_H

#include "fcgi/meta/manager/loop.h"

struct sx_freespace;

#define SX_FREESPACE_RESERVE (192u << 20) /* two segments of the log, and more for the database */
#define SX_FREESPACE_LAST (96u << 20)

/* `on_change` gets the limit below which the free bytes of the file system of DIR/meta now are:
 * 0 (there is enough, as it is taken to be at the beginning), SX_FREESPACE_RESERVE or
 * SX_FREESPACE_LAST. */
struct sx_freespace *sx_freespace_new(struct sx_loop *l, const char *dir,
                                      void (*on_change)(void *ctx, uint64_t limit), void *ctx);
void sx_freespace_free(struct sx_freespace *f);

#endif
