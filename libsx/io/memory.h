/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The bottom layers that keep nothing on a disk (stack.h).  Descriptors are real ones, so that
 * locks work on them.
 */
#ifndef SX_IO_MEMORY_H
#define SX_IO_MEMORY_H

#include "libsx/io/io.h"

/* Files in memory, with names of their own; directories can only be opened and synced. */
struct sx_io_memory;
struct sx_io_memory *sx_io_memory_new(void);
void sx_io_memory_free(struct sx_io_memory *m);
const struct sx_io *sx_io_memory_io(const struct sx_io_memory *m);

/* The system's files, but writes only set the size, and syncs do nothing. */
void sx_io_null_init(struct sx_io *io);

#endif
