/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file's bytes, or a range of them, block by block: from this node's disk or from whoever has
 * the block, decoded and verified.  While the caller sends a block, the next one is decoded, and the one
 * after it is read.
 *
 * The block list is read ahead, in the same transaction in which the caller found the file; of a list
 * longer than EGRESS_ENTRIES_MAX the rest is read when it is needed.  Memory: that list and three blocks.
 *
 * A file that is replaced or deleted meanwhile is still sent whole: its content is pinned (pin.h),
 * before a long answer begins, else once it has lasted for a while.
 */
#ifndef SX_FCGI_S3_EGRESS_H
#define SX_FCGI_S3_EGRESS_H

#include "fcgi/api/app.h"

#define EGRESS_ENTRIES_MAX 30000u /* about 30 GiB */
#define EGRESS_PIN_MIN (16ull << 20)  /* bytes of a long answer */

struct sx_egress;

/* Bytes from … from + n of f (its copy is kept).  `db` is the handle that f was read from. */
int sx_egress_open(struct sx_app *app, sqlite3 *db, const struct sx_file *f, uint64_t from,
                   uint64_t n, struct sx_egress **g, struct sx_err *e) SX_MUST_CHECK;
/* The blocks are of this domain, not the cluster's; NULL changes nothing.  Before the first piece; ctx outlives
 * the egress. */
void sx_egress_under(struct sx_egress *g, struct sx_block_ctx *ctx);
/* If much is to be read, pins the content.  SX_ENOREVISION if it is gone: the caller looks for the file
 * anew, outside of the transaction as this call, or goes on nevertheless, which may end with
 * SX_ENOBLOCK. */
int sx_egress_pin(struct sx_egress *g, struct sx_err *e) SX_MUST_CHECK;
void sx_egress_free(struct sx_egress *g); /* NULL is allowed */
/* The next piece, valid until the next call; *n = 0 at the end.  SX_ENOBLOCK, SX_ENOREVISION. */
int sx_egress_next(struct sx_egress *g, const uint8_t **p, size_t *n,
                   struct sx_err *e) SX_MUST_CHECK;

#endif
