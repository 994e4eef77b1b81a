/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Figures of space as one node counts them: of the whole metadata, and of its own packs.  The words
 * are those of docs/glossary.md.  Pure sums; census.h goes through metadata and packs.
 *
 *   of the metadata, equal on all nodes      logical, unique, inlined
 *   of this node's packs; nodes are added    physical, exclusive, uploading, unreferenced, damaged,
 *                                            dead, headers
 *   of the blocks that this node is the first owner of, so that each is counted by one node
 *                                            counted, compressed, lacking
 *
 * While nothing changes: packs = physical + uploading + unreferenced + damaged + dead + headers.
 */
#ifndef SX_FCGI_JOBS_SPACE_H
#define SX_FCGI_JOBS_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"
#include "libsx/base/json.h"

/* Bytes, of a volume or of all. */
struct sx_space_sums {
    uint64_t logical;       /* all revisions as users see them */
    uint64_t unique;        /* plain length of the blocks they have, each once, and of what is inline */
    uint64_t counted;       /* plain length of those blocks whose record was measured here */
    uint64_t compressed;    /* length of those records */
    uint64_t physical;      /* records of those blocks that lie here */
    uint64_t exclusive;     /* the same, of blocks that no other volume has */
    uint64_t inlined;       /* records in the metadata */
    uint64_t inlined_plain; /* plain length of those */
};

struct sx_space_volume {
    uint64_t id;
    struct sx_space_sums sums;
};

struct sx_space {
    uint64_t as_of_ms; /* wall clock: when counting began */
    uint64_t took_ms;
    uint64_t map_version; /* by which first owners were told */
    struct sx_space_sums all; /* exclusive is not used */
    uint64_t blocks;          /* that revisions have */
    uint64_t lacking;         /* plain length of blocks that should be measured here and are not */
    uint64_t uploading;       /* records of blocks of uploads under way only */
    uint64_t unreferenced;    /* records of blocks that nothing refers to */
    uint64_t damaged;         /* records of blocks known to be damaged */
    uint64_t dead, headers, packs;
    uint64_t metadata;        /* size of the databases */
    struct sx_space_volume *volumes; /* ascending id */
    size_t n_volumes;
};

/* A block of this node's packs, of the metadata, or of both. */
struct sx_space_block {
    uint32_t plain;  /* its length; 0: nothing refers to it */
    uint32_t stored; /* length of its record; 0: not here */
    bool damaged;
    bool first; /* this node is its first owner */
};

#define SX_SPACE_UPLOAD 0u /* stands for a volume's number among holders: an upload under way */

void sx_space_fini(struct sx_space *s);
/* The sums of a volume, made if need be; valid until the next call. */
struct sx_space_sums *sx_space_volume(struct sx_space *s, uint64_t volume);
/* Adds a block with those who hold it: n different volumes, ascending; SX_SPACE_UPLOAD may be one. */
void sx_space_add_block(struct sx_space *s, const struct sx_space_block *b, const uint64_t *holders,
                        size_t n);
/* Adds an inline content, of `plain` bytes in a record of `stored` bytes. */
void sx_space_add_inline(struct sx_space *s, uint32_t plain, uint32_t stored,
                         const uint64_t *holders, size_t n);

/* What DIR/run/space.json holds (docs/api.md section 9); a new reference. */
json_t *sx_space_json(const struct sx_space *s);
void sx_space_publish(const char *dir, const struct sx_space *s);
/* The last figures of the node; NULL if there are none yet.  A new reference. */
json_t *sx_space_read(const char *dir);
/* Asks the node's job manager to count now. */
void sx_space_poke(const char *dir);

#define SX_SPACE_POKE "space" /* file under run/ that asks */

#endif
