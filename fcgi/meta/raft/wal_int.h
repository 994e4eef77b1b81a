/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of the write-ahead log.
 *
 *   wal.c          index in memory, appending, cutting, syncing, reading
 *   wal_open.c     recovery
 *   wal_record.c   records and segment headers
 *
 * States of a segment:  spare → (next in line) current → full → (nothing in it is needed) spare.
 * Segments become spare only from the oldest on, and the oldest spare is used first, so the
 * generations on disk are always without a gap.
 */
#ifndef SX_META_RAFT_WAL_INT_H
#define SX_META_RAFT_WAL_INT_H

#include <pthread.h>
#include <stdio.h>

#include "fcgi/meta/raft/wal.h"

#define SX_WAL_BLOCK 4096u  /* the segment's header has a block of its own */
#define SX_WAL_RECORD 48u   /* header of a record */
#define SX_WAL_AT_GENERATION 32u /* in the header of a record */
#define SX_WAL_NAME_MAX 32u

enum sx_wal_type {
    SX_WAL_CUT = 16,     /* entries before `index` are not needed */
    SX_WAL_CUT_ALL = 17, /* no entry is needed; the next is at `index` or later */
    SX_WAL_END = 18      /* the log goes on in the next generation */
};

struct sx_wal_record {
    uint32_t len;
    uint8_t type; /* enum sx_entry_type or sx_wal_type */
    uint32_t group;
    uint64_t index, term;
    uint32_t generation; /* of its segment, low 32 bits */
    uint32_t batch;      /* offset where the records begin that were synced together with it */
    const uint8_t *data;
};

struct sx_wal_segment {
    unsigned slot;       /* number in the file name */
    int fd;              /* -1: the file does not exist yet */
    uint64_t generation; /* 0: never used */
    bool filled;         /* the file has its whole length */
    bool headed;         /* the header with this generation is on disk */
    uint32_t written;    /* bytes that are on disk */
    uint64_t live;       /* entries in it that are needed */
};

struct sx_wal_place {
    struct sx_wal_segment *segment;
    uint64_t term;
    uint32_t offset, len;
    uint8_t type;
};

struct sx_wal_group {
    uint32_t group;
    uint64_t first;
    struct sx_wal_place *place; /* entries first … first + n - 1, from place[skip] on */
    size_t skip, n, cap;
};

struct sx_wal_chunk { /* bytes to be written */
    struct sx_wal_segment *segment;
    uint32_t offset;
    struct sx_buf bytes;
};

struct sx_wal {
    const struct sx_io *io;
    char *dir;
    uint32_t segment_bytes;
    pthread_mutex_t lock; /* all below; not held while writing */
    bool failed;
    struct sx_wal_group *group; /* ascending */
    unsigned n_groups;
    struct sx_wal_segment **segment; /* in use, oldest first; the last one is current */
    unsigned n_segments;
    struct sx_wal_segment **spare; /* the one to be used next first */
    unsigned n_spare;
    uint32_t pos;   /* next record in the current segment */
    uint32_t batch; /* 0: the next record begins a batch */
    struct sx_wal_chunk *chunk;
    size_t n_chunks;
};

/* wal_record.c */
static inline uint32_t sx_wal_record_size(uint32_t len)
{
    return SX_WAL_RECORD + (len + 7u) / 8u * 8u;
}
void sx_wal_record_encode(struct sx_buf *out, const struct sx_wal_record *r, uint32_t offset);
/* Reads the record at p, which lies at `offset` of its segment and has at most n bytes.  False:
 * there is no good one. */
bool sx_wal_record_decode(struct sx_wal_record *r, const uint8_t *p, size_t n, uint32_t offset);
void sx_wal_header_encode(uint8_t block[SX_WAL_BLOCK], uint32_t segment_bytes, uint64_t generation);
bool sx_wal_header_decode(const uint8_t block[SX_WAL_BLOCK], uint32_t *segment_bytes,
                          uint64_t *generation);
const char *sx_wal_name(char out[SX_WAL_NAME_MAX], unsigned slot);

/* wal.c */
/* Makes the group if need be; NULL: too many. */
struct sx_wal_group *sx_wal_group_get(struct sx_wal *w, uint32_t group);
static inline uint64_t sx_wal_group_last(const struct sx_wal_group *g)
{
    return g->first + g->n - 1;
}
void sx_wal_index_truncate(struct sx_wal_group *g, uint64_t from);
void sx_wal_index_cut(struct sx_wal_group *g, uint64_t first);
void sx_wal_index_add(struct sx_wal_group *g, uint64_t index, const struct sx_wal_place *p);
struct sx_wal_segment *sx_wal_segment_new(unsigned slot, int fd, uint64_t generation);
void sx_wal_segment_push(struct sx_wal_segment ***list, unsigned *n, struct sx_wal_segment *s);

/* wal_open.c */
int sx_wal_recover(struct sx_wal *w, struct sx_err *e) SX_MUST_CHECK;

#endif
