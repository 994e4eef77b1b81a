/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The values that a store and its devices speak in: options, items, statistics, reports.
 */
#ifndef SX_FCGI_STORE_VALUES_H
#define SX_FCGI_STORE_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/codec/id.h"
#include "libsx/io/io.h"

#define SX_STORE_PACK_MAX (256u << 20)  /* a pack is rolled at this size */
#define SX_STORE_BATCH_MAX 4096u        /* ids or records in one call */
#define SX_STORE_RESERVE_MIN (64u << 20)

struct sx_device_errors;
struct sx_doorkeeper;

struct sx_store_options {
    const struct sx_io *io;         /* NULL: sx_io_posix */
    uint8_t cluster[16];            /* into pack headers */
    uint64_t node;
    uint32_t device;                /* number; the directory must have its label (label.h).  0: a
                                     * directory without label, made if need be */
    uint64_t capacity;              /* bytes the packs may take; 0: the file system's size */
    uint64_t reserve;               /* bytes of the file system that puts leave free; 0: the
                                     * larger of 64 MiB and 1 % of the capacity */
    uint64_t pack_max;              /* 0: SX_STORE_PACK_MAX */
    struct sx_device_errors *errors; /* set by the store: where those of the device are counted; NULL: not */
    struct sx_doorkeeper *read; /* set by the store: the large blocks that were read; NULL: all were */
    /* Called now and then while recovery reads packs: bytes read, of how many.  NULL: not. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

/* See errors.h. */
struct sx_error_counts {
    uint64_t read, write, sync, damaged;
};

struct sx_store_item {
    struct sx_id id;
    uint64_t lease;    /* effective epoch (the floor after an unclean start included) */
    uint32_t len;      /* of the record */
    bool bad;          /* known to be damaged */
};

struct sx_store_compaction {
    uint64_t packs;       /* removed */
    uint64_t freed;       /* bytes given back, net */
    uint64_t copied;      /* bytes rewritten */
    bool more;            /* there is more to do: `bytes_max` was reached */
};

struct sx_store_stats {
    uint64_t blocks, bytes; /* live records and their size */
    uint64_t dead;          /* bytes of the packs that are no live record */
    uint64_t packs;
    uint64_t used;          /* size of all packs */
    uint64_t bad;           /* blocks known to be damaged */
    uint64_t capacity;      /* declared, or the file system's size */
    uint64_t free;          /* what may still be put: of capacity and of space, less reserve */
};

struct sx_store_report {
    uint64_t blocks;      /* rows looked at */
    uint64_t bad;         /* rows whose record is damaged or missing, now or known before */
    uint64_t stray;       /* valid records in packs that no row points at (deep): dead space */
    uint64_t index_faults; /* index files that SQLite finds wrong, or sums that did not agree */
};

#endif
