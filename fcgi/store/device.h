/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One device: a directory of packs (append-only runs of records, the truth) and an index (SQLite,
 * 8 shards) that says where each block lies and in which epoch it was leased.  Formats: docs/formats.md
 * section 10.  A node's store (store.h) is made of these.
 *
 * Any number of processes open the same device; each opens it for itself, after fork. A handle is
 * used by one thread at a time.  The first process that opens a device that was not closed cleanly
 * brings the index up to date from the packs while the others wait in sx_device_open().
 *
 * The promises are those of store.h.
 */
#ifndef SX_FCGI_STORE_DEVICE_H
#define SX_FCGI_STORE_DEVICE_H

#include "fcgi/store/values.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/codec/record.h"

struct sx_device;

/* Opens the device in `dir` (without a number in `o`: making it if need be).  May take long after
 * an unclean stop.  SX_ECONFLICT: the directory is not this device. */
int sx_device_open(const char *dir, const struct sx_store_options *o, struct sx_device **d,
                   struct sx_err *e) SX_MUST_CHECK;
/* Closes; the last process to close marks the device clean.  NULL is allowed. */
void sx_device_close(struct sx_device *d);

/* Stores n (≤ SX_STORE_BATCH_MAX) records: as sx_record_parse() gave them, the record's header in
 * memory right before `stored`.  Each record's checksum is verified again here; whether the
 * content has the id is for the caller to check (sx_block_decode), before.
 * Blocks that are there already are not written, only leased.  One fdatasync for the batch.
 * *lease: the oldest lease of these blocks, an epoch.  *written: how many were new (may be NULL).
 * Errors: SX_EBLOCK (nothing stored), SX_ENOSPACE below the watermark (nothing stored),
 * SX_ENOSPACE, SX_EIO (some may be stored, nothing is acknowledged). */
int sx_device_put(struct sx_device *d, const struct sx_record *recs, size_t n, uint64_t *lease,
                  size_t *written, struct sx_err *e) SX_MUST_CHECK;

/* present[i] = 1 if block i is here and good, and leases those in the epoch of this moment, for
 * n ≤ SX_STORE_BATCH_MAX ids.  *lease: the oldest lease of the blocks present (this epoch if none
 * is). */
int sx_device_have(struct sx_device *d, const struct sx_id *ids, size_t n, uint8_t *present,
                   uint64_t *lease, struct sx_err *e) SX_MUST_CHECK;
/* The same without touching leases; for any n. */
int sx_device_exists(struct sx_device *d, const struct sx_id *ids, size_t n, uint8_t *present,
                     struct sx_err *e) SX_MUST_CHECK;

/* Appends the whole record (header and stored block) to `out`, verified.  SX_ENOTFOUND: not here.
 * SX_ECORRUPT: damaged on disk; from then on sx_device_have() says no and a put stores it anew. */
int sx_device_get(struct sx_device *d, const struct sx_id *id, struct sx_buf *out,
                  struct sx_err *e) SX_MUST_CHECK;

/* Up to `max` items in order of their ids, behind *after (NULL: from the first).  *n < max means
 * the end. */
int sx_device_list(struct sx_device *d, const struct sx_id *after, struct sx_store_item *items,
                   size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;
/* The same, of damaged blocks only. */
int sx_device_list_bad(struct sx_device *d, const struct sx_id *after, struct sx_store_item *items,
                       size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;

/* Deletes those of the n blocks whose lease is ≤ horizon; the check and the deletion are one
 * transaction.  *deleted: how many. */
int sx_device_delete(struct sx_device *d, const struct sx_id *ids, size_t n, uint64_t horizon,
                     size_t *deleted, struct sx_err *e) SX_MUST_CHECK;

/* Forgets those of the n ≤ SX_STORE_BATCH_MAX blocks that are known to be damaged. */
int sx_device_forget_bad(struct sx_device *d, const struct sx_id *ids, size_t n,
                         struct sx_err *e) SX_MUST_CHECK;

/* Removes packs that are wholly dead and rewrites those that are at least half dead, most dead
 * first, until about bytes_max bytes are copied (0: no limit).  `thorough`: rewrites more, until at
 * most a tenth of a device is dead (and less than 64 KiB of a pack that is being filled). */
int sx_device_compact(struct sx_device *d, bool thorough, uint64_t bytes_max,
                      struct sx_store_compaction *done, struct sx_err *e) SX_MUST_CHECK;

int sx_device_stats(struct sx_device *d, struct sx_store_stats *st, struct sx_err *e) SX_MUST_CHECK;

/* See store.h. */
void sx_device_set_epoch(struct sx_device *d, uint64_t epoch);
bool sx_device_floor_unknown(const struct sx_device *d);
/* Writes the floor file and uses it. */
int sx_device_set_floor(struct sx_device *d, uint64_t epoch, struct sx_err *e) SX_MUST_CHECK;
/* Changes how much the packs may take; this process's handle only. */
void sx_device_set_capacity(struct sx_device *d, uint64_t bytes);

/* Checks the whole device: fast = index against the sizes of the packs; deep = every record too.
 * What is found damaged is marked so, as by sx_device_get().  May run beside other processes. */
int sx_device_check(struct sx_device *d, bool deep, struct sx_store_report *r,
                    struct sx_err *e) SX_MUST_CHECK;

/* Throws the index away and makes a new one from the packs.  SX_ECONFLICT if the device is open. */
int sx_device_rebuild_index(const char *dir, const struct sx_store_options *o,
                            struct sx_err *e) SX_MUST_CHECK;

const char *sx_device_dir(const struct sx_device *d);

#endif
