/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers of file I/O by name, for tests and benches:
 *
 *   disk      the system's files
 *   memory    files live in memory and vanish with the stack (names in it are its own)
 *   null      what is written is thrown away, syncs do nothing; sizes are kept, as holes
 *   fault(CALL,WHEN,WHAT[,PATH]):LOWER   the layer below, but calls go wrong
 *
 *   CALL  open pread pwritev fdatasync fsync ftruncate fallocate rename unlink fstat,
 *         sync (both), write (pwritev and both syncs), change (all that changes something),
 *         any
 *   WHEN  N: the N-th such call; N+: it and all later ones; 0: none
 *   WHAT  EIO ENOSPC EROFS EINTR EACCES EMFILE: it fails so (a write may have begun: its first
 *         piece is written);
 *         short: it transfers half; corrupt: one bit of its data is wrong;
 *         lie: it does nothing and says that it did; delay=MS: it takes that long
 *   PATH  only calls on files whose path has this in it
 *
 * "fault(pwritev,3,EIO):disk".  Faults may stand above faults.  A stack is for one thread at a time.
 */
#ifndef SX_IO_STACK_H
#define SX_IO_STACK_H

#include "libsx/io/io.h"

#define SX_IO_LAYERS_MAX 8

struct sx_io_stack;

/* SX_EINVAL says what is wrong with the text. */
int sx_io_stack_new(const char *spec, struct sx_io_stack **stack, struct sx_err *e) SX_MUST_CHECK;
void sx_io_stack_free(struct sx_io_stack *s);
/* The table to hand to who does I/O; lives as long as the stack. */
const struct sx_io *sx_io_stack_io(const struct sx_io_stack *s);

/* Of the topmost fault layer: sets when it fires next, counted from now on. */
void sx_io_stack_arm(struct sx_io_stack *s, unsigned n, bool forever);
/* How many calls it has counted, and how often it has fired, since. */
unsigned sx_io_stack_calls(const struct sx_io_stack *s);
unsigned sx_io_stack_fired(const struct sx_io_stack *s);

#endif
