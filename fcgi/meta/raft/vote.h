/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The term and vote of a consensus group, in a small file with two slots that are written in
 * turn, so that one whole slot is left whatever happens.  Byte by byte in docs/formats.md.
 */
#ifndef SX_META_RAFT_VOTE_H
#define SX_META_RAFT_VOTE_H

#include <stdint.h>

#include "libsx/base/err.h"
#include "libsx/io/io.h"

struct sx_vote;

/* Opens or creates the file and gives what it holds (0, 0 if it is new).  SX_ECORRUPT if no slot
 * is good, or the file is another group's: a vote that is forgotten could be given twice. */
int sx_vote_open(struct sx_vote **v, const struct sx_io *io, const char *path, uint32_t group,
                 uint64_t *term, uint64_t *voted_for, struct sx_err *e) SX_MUST_CHECK;
void sx_vote_close(struct sx_vote *v); /* NULL allowed */

/* Durable (fdatasync) on success.  An error is final: the process must exit. */
int sx_vote_save(struct sx_vote *v, uint64_t term, uint64_t voted_for,
                 struct sx_err *e) SX_MUST_CHECK;

#endif
