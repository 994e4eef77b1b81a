/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Scrubbing one device: everything it holds is read and verified, in small steps that can be
 * resumed, and what its packs alone can mend is mended.
 *
 *   phase   what is looked at                        what is mended
 *   INDEX   SQLite's own check of one database,      sums of a shard are counted anew; packs that
 *           the sums of a shard, the table of packs  the table does not know get a row
 *   ROWS    each row of the index against the        a row that points at no record of its block is
 *           header of the record it points at        marked bad
 *   PACKS   each record of each pack, in the order   a row that is bad or points elsewhere, where
 *           of the file: checksum, content, id       there is nothing good, is put right; so is a
 *                                                    referenced block that has no row
 *
 * A row whose record is damaged is marked bad: sx_store_have() says no, and the block transfer
 * manager fetches the block from another node.  Rows come before packs, so that a row that points
 * at the wrong place is bad by the time its record is met.
 */
#ifndef SX_FCGI_STORE_SCRUB_H
#define SX_FCGI_STORE_SCRUB_H

#include "fcgi/store/device.h"

/* In bytes: what following a row to its record counts as. */
#define SX_SCRUB_ROW_COST 4096u

enum sx_scrub_phase { SX_SCRUB_INDEX, SX_SCRUB_ROWS, SX_SCRUB_PACKS, SX_SCRUB_DONE };

/* Where a walk is: all zero is the beginning. */
struct sx_scrub_place {
    enum sx_scrub_phase phase;
    unsigned database; /* INDEX: the next */
    struct sx_id after; /* ROWS: the last that was looked at; 0 before the first */
    uint64_t pack, at;  /* PACKS: the pack, and the offset in it; 0: its start */
};

struct sx_scrub_found {
    uint64_t bytes;        /* of packs, read */
    uint64_t rows;         /* looked at */
    uint64_t blocks;       /* whole, and where the index says */
    uint64_t damaged;      /* found damaged, and marked bad */
    uint64_t mended;       /* rows put right */
    uint64_t sums;         /* wrong, and counted anew */
    uint64_t stray;        /* valid records that no row points at: dead space, no fault */
    uint64_t headers;      /* packs with a damaged header; their records are used */
    uint64_t read_errors;  /* places that the disk did not give back */
    uint64_t index_faults; /* databases that SQLite finds damaged: the next start makes the index
                            * anew */
};

struct sx_scrub_walk {
    bool fast; /* no block is read: rows against the sizes of the packs, and the packs' headers */
    /* Is this the content of the id?  NULL: only the checksum is verified, and no row is put
     * right. */
    int (*decode)(void *ctx, const struct sx_record *r, struct sx_err *e);
    /* yes[i] = 1 if a file refers to the block.  NULL: blocks without a row are left alone. */
    int (*referenced)(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes,
                      struct sx_err *e);
    void *ctx;
    struct sx_scrub_place place;
    struct sx_scrub_found found;
};

/* The next step of about `bytes` read bytes.  It is over when the place's phase is
 * SX_SCRUB_DONE.  -1: the step can be tried again. */
int sx_device_scrub(struct sx_device *d, struct sx_scrub_walk *w, uint64_t bytes,
                    struct sx_err *e) SX_MUST_CHECK;

/* The same for one block, wherever it lies.  Not here is no fault. */
int sx_device_scrub_block(struct sx_device *d, struct sx_scrub_walk *w, const struct sx_id *id,
                          struct sx_err *e) SX_MUST_CHECK;

#endif
