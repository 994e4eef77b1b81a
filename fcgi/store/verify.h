/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking at one pack file: its header, each record, the bytes between, and what the index of a
 * device says of them.  Nothing is changed.
 */
#ifndef SX_FCGI_STORE_VERIFY_H
#define SX_FCGI_STORE_VERIFY_H

#include "fcgi/store/scrub.h"

#define SX_VERIFY_HOLES 16u /* so many are told; all are counted */

struct sx_pack_hole {
    uint64_t from, to; /* offsets: no record begins or lies in from … to - 1 */
};

struct sx_pack_verdict {
    uint64_t number;      /* by the header, else by the file's name; 0: neither */
    char header[128];     /* what is wrong with it; empty: nothing */
    uint64_t size;
    uint64_t records;     /* with a right checksum */
    uint64_t wrong;       /* of them: the content is not that of the id */
    uint64_t holes, hole_bytes;
    uint64_t read_errors;
    struct sx_pack_hole hole[SX_VERIFY_HOLES];
    bool indexed;         /* it is a pack of the device: */
    uint64_t live, dead;  /* records that the index points at, and others */
    uint64_t lost;        /* blocks that the index seeks here and that are not here, or wrong */
};

/* w: only `decode` and `ctx` are used.  An error only if the file cannot be opened or the index not
 * be read. */
int sx_device_verify_pack(struct sx_device *d, const char *path, const struct sx_scrub_walk *w,
                          struct sx_pack_verdict *v, struct sx_err *e) SX_MUST_CHECK;

#endif
