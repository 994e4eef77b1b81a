/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A fault: which call goes wrong, and how (stack.h).  The decision alone, so that others than the
 * layer of sx_io can ask for it (SQLite's files in tests).
 */
#ifndef SX_IO_FAULT_H
#define SX_IO_FAULT_H

#include "libsx/io/io.h"

enum sx_io_call {
    SX_IO_OPEN = 1 << 0, /* one that may make a file */
    SX_IO_PREAD = 1 << 1,
    SX_IO_PWRITEV = 1 << 2,
    SX_IO_FDATASYNC = 1 << 3,
    SX_IO_FSYNC = 1 << 4,
    SX_IO_FTRUNCATE = 1 << 5,
    SX_IO_FALLOCATE = 1 << 6,
    SX_IO_RENAME = 1 << 7,
    SX_IO_UNLINK = 1 << 8,
    SX_IO_FSTAT = 1 << 9,
    SX_IO_OPEN_OLD = 1 << 10 /* one that does not make a file */
};

enum sx_io_fault_kind {
    SX_IO_FAULT_NONE,
    SX_IO_FAULT_ERRNO,
    SX_IO_FAULT_SHORT,
    SX_IO_FAULT_CORRUPT,
    SX_IO_FAULT_LIE,
    SX_IO_FAULT_DELAY
};

#define SX_IO_FAULT_PATH_MAX 128

struct sx_io_fault {
    unsigned calls; /* which count: bits of enum sx_io_call */
    unsigned at;    /* fires at this one, 0: never */
    bool forever;   /* and at all later ones */
    enum sx_io_fault_kind kind;
    int err;
    unsigned delay_ms;
    char path[SX_IO_FAULT_PATH_MAX]; /* empty: any file */
    unsigned counted, fired;
};

/* Reads "CALL,WHEN,WHAT[,PATH]". */
int sx_io_fault_parse(const char *text, struct sx_io_fault *f, struct sx_err *e) SX_MUST_CHECK;
/* Counts a call on a path, and says how it goes wrong; sets errno for SX_IO_FAULT_ERRNO.  A delay
 * has passed on return. */
enum sx_io_fault_kind sx_io_fault_hit(struct sx_io_fault *f, enum sx_io_call call,
                                      const char *path);

/* The layer: its table, above another. */
struct sx_io_fault_layer;
struct sx_io_fault_layer *sx_io_fault_layer_new(const struct sx_io_fault *f,
                                                const struct sx_io *below);
void sx_io_fault_layer_free(struct sx_io_fault_layer *l);
const struct sx_io *sx_io_fault_layer_io(const struct sx_io_fault_layer *l);
struct sx_io_fault *sx_io_fault_layer_fault(struct sx_io_fault_layer *l);

#endif
