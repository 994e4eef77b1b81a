/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The write-ahead log of a node: the entries of all its consensus groups in one stream of records,
 * so that one fdatasync serves them all.  Files of fixed size ("segments"), written full of zeroes
 * once and used again later, so that an fdatasync finds nothing to do but the data.  Byte by byte
 * in docs/formats.md.
 *
 * Any error of sx_wal_append(), _cut(), _sync() or _read() is final: the log accepts nothing more
 * and the process must exit (a failed fsync may have dropped pages; going on would be a lie).
 *
 * Threads: sx_wal_sync() may run in one thread while the other functions are called from one
 * other thread.
 */
#ifndef SX_META_RAFT_WAL_H
#define SX_META_RAFT_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/meta/raft/entry.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/io/io.h"

struct sx_wal;

#define SX_WAL_SEGMENT_BYTES (32u << 20)
#define SX_WAL_SEGMENT_MIN (64u << 10) /* for tests */
#define SX_WAL_SEGMENTS_MAX 4096u
#define SX_WAL_GROUPS_MAX 1024u

/* Opens the log in directory `dir` (which exists), or begins one.  Reads all of it.  A record that
 * was cut short by a crash at the end is dropped with a log line.  SX_ECORRUPT, naming file and
 * offset, if a record is bad that was durable once (something written after a later sync is good):
 * such a node must not go on. `segment_bytes` 0: the default; else a multiple of 4096. */
int sx_wal_open(struct sx_wal **wal, const struct sx_io *io, const char *dir,
                uint32_t segment_bytes, struct sx_err *e) SX_MUST_CHECK;
void sx_wal_close(struct sx_wal *wal); /* does not sync; NULL allowed */

/* The entries of a group; last = first - 1: none.  A group never heard of: 1, 0. */
void sx_wal_range(struct sx_wal *wal, uint32_t group, uint64_t *first, uint64_t *last);

/* Notes entries (indexes rising by one) for the next sync; they replace everything of the group
 * from entries[0].index on.  The first one may not leave a gap behind the last entry, unless there
 * is none. */
int sx_wal_append(struct sx_wal *wal, uint32_t group, const struct sx_entry *entries, unsigned n,
                  struct sx_err *e) SX_MUST_CHECK;
/* Notes that entries before `first`, or all, are not needed; segments that hold no others may be
 * used again.  Becomes durable with the next sync; if it does not, entries come back after a
 * crash, which is harmless.  After `all` the next append may begin anywhere. */
int sx_wal_cut(struct sx_wal *wal, uint32_t group, uint64_t first, bool all,
               struct sx_err *e) SX_MUST_CHECK;

/* Writes what was noted before the call and makes it durable.  *bytes (may be NULL): how much was
 * written. */
int sx_wal_sync(struct sx_wal *wal, uint64_t *bytes, struct sx_err *e) SX_MUST_CHECK;

/* A synced entry; its data is appended to `data`, and entry->data points into it (until `data`
 * changes).  The checksum is verified. SX_ENOTFOUND (not final) if it is not in the log. */
int sx_wal_read(struct sx_wal *wal, uint32_t group, uint64_t index, struct sx_entry *entry,
                struct sx_buf *data, struct sx_err *e) SX_MUST_CHECK;

struct sx_wal_status {
    unsigned segments, spare; /* in use, and kept for use again */
    uint64_t bytes;           /* of all files */
    uint32_t oldest_group;    /* a group whose entries keep the oldest segment; if segments > 1 */
};
void sx_wal_status(struct sx_wal *wal, struct sx_wal_status *s);

#endif
