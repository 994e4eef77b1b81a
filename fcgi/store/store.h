/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The blocks of a node.  They lie on its devices (device.h).
 * Design: docs/design.md section 3; formats: docs/formats.md section 10.
 *
 * Any number of processes open the same store; each opens it for itself, after fork. A handle is
 * used by one thread at a time.  The first process that opens a store that was not closed cleanly
 * brings the index up to date from the packs while the others wait in sx_store_open().
 *
 * Promises
 *   - sx_store_put() returns 0 only when all its blocks are fsynced in packs and in the index.
 *   - A block is given out only with a right checksum and the id that was asked for.
 *   - After a failed write or fsync nothing is ever appended to that pack again.
 *   - The leases that put and have return hold: sx_store_delete() with a horizon below them leaves
 *     the block alone.
 */
#ifndef SX_FCGI_STORE_STORE_H
#define SX_FCGI_STORE_STORE_H

#include "fcgi/store/devices.h"
#include "fcgi/store/values.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"
#include "libsx/codec/record.h"

struct sx_store;
struct sx_device;

/* The options as DIR/node.json gives them (cluster, node, capacity). */
int sx_store_options_load(const char *node_dir, struct sx_store_options *o,
                          struct sx_err *e) SX_MUST_CHECK;

/* Opens (making it if need be) a store of one device that stands in no list and has no label.  May
 * take long after an unclean stop. */
int sx_store_open(const char *dir, const struct sx_store_options *o, struct sx_store **s,
                  struct sx_err *e) SX_MUST_CHECK;
/* Opens the devices that DIR/devices.json lists; a node without a list gets one, with the device
 * DIR/store.  A device that does not open is out (sx_store_status()), and that is no error. */
int sx_store_open_list(const char *node_dir, const struct sx_store_options *o, struct sx_store **s,
                       struct sx_err *e) SX_MUST_CHECK;
/* The same with the options of DIR/node.json. */
int sx_store_open_node(const char *node_dir, struct sx_store **s, struct sx_err *e) SX_MUST_CHECK;
/* Closes; the last process to close marks the store clean.  NULL is allowed. */
void sx_store_close(struct sx_store *s);

/* Stores n (≤ SX_STORE_BATCH_MAX) records: as sx_record_parse() gave them, the record's header in
 * memory right before `stored`.  Each record's checksum is verified again here; whether the
 * content has the id is for the caller to check (sx_block_decode), before.
 * Blocks that are there already are not written, only leased.  One fdatasync for the batch.
 * *lease: the oldest lease of these blocks, an epoch.  *written: how many were new (may be NULL).
 * Errors: SX_EBLOCK; SX_ENOSPACE if all devices that take blocks are full or below the watermark;
 * SX_EUNAVAIL if none takes blocks; SX_EIO.  Some may be stored then, nothing is acknowledged. */
int sx_store_put(struct sx_store *s, const struct sx_record *recs, size_t n, uint64_t *lease,
                 size_t *written, struct sx_err *e) SX_MUST_CHECK;

/* present[i] = 1 if block i is here and good, and leases those in the epoch of this moment, for
 * n ≤ SX_STORE_BATCH_MAX ids.  *lease: the oldest lease of the blocks present (this epoch if none
 * is). */
int sx_store_have(struct sx_store *s, const struct sx_id *ids, size_t n, uint8_t *present,
                  uint64_t *lease, struct sx_err *e) SX_MUST_CHECK;
/* The same without touching leases; for any n. */
int sx_store_exists(struct sx_store *s, const struct sx_id *ids, size_t n, uint8_t *present,
                    struct sx_err *e) SX_MUST_CHECK;

/* Clears yes[i] for each block that a device other than `d` has: a record of it on `d` is what was left when
 * it moved.  Does not follow the list of devices, so `d` stays. */
int sx_store_not_elsewhere(struct sx_store *s, const struct sx_device *d, const struct sx_id *ids,
                           size_t n, uint8_t *yes, struct sx_err *e) SX_MUST_CHECK;

/* Appends the whole record (header and stored block) to `out`, verified.  SX_ENOTFOUND: not here.
 * SX_ECORRUPT: damaged on disk; from then on sx_store_have() says no and a put stores it anew. */
int sx_store_get(struct sx_store *s, const struct sx_id *id, struct sx_buf *out,
                 struct sx_err *e) SX_MUST_CHECK;

/* Up to `max` items in order of their ids, behind *after (NULL: from the first).  *n < max means
 * the end. */
int sx_store_list(struct sx_store *s, const struct sx_id *after, struct sx_store_item *items,
                  size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;
/* The same, of damaged blocks only. */
int sx_store_list_bad(struct sx_store *s, const struct sx_id *after, struct sx_store_item *items,
                      size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;

/* Deletes those of the n blocks whose lease is ≤ horizon; the check and the deletion are one
 * transaction.  *deleted: how many. */
int sx_store_delete(struct sx_store *s, const struct sx_id *ids, size_t n, uint64_t horizon,
                    size_t *deleted, struct sx_err *e) SX_MUST_CHECK;

/* Removes packs that are wholly dead and rewrites those that are at least half dead, most dead
 * first, until about bytes_max bytes are copied (0: no limit).  `thorough`: rewrites more, until at
 * most a tenth of a device is dead (and less than 64 KiB of a pack that is being filled). */
int sx_store_compact(struct sx_store *s, bool thorough, uint64_t bytes_max,
                     struct sx_store_compaction *done, struct sx_err *e) SX_MUST_CHECK;

/* Evens out how full the devices are: begins when two differ by more than SX_BALANCE_BEGIN parts of a
 * hundred of their capacity, and moves blocks to where new ones with their ids would go, until no
 * two differ by more than SX_BALANCE_END.  One call moves about `bytes`, from one device, or looks at some pages of
 * blocks; *moved: how many; b->running: there is more.  Start with a zeroed struct; it may be forgotten at any
 * time.  One process at a time. */
#define SX_BALANCE_BEGIN 5u
#define SX_BALANCE_END 1u

struct sx_balance {
    bool running;
    bool resumed;         /* after a process that was killed */
    uint32_t device;      /* whose blocks are looked at; 0: none */
    struct sx_id after;   /* those behind this one */
    uint64_t moved;       /* blocks, in this round over all devices */
    uint64_t rest_ms;     /* monotonic: after a round that could move nothing, not before this */
    uint64_t generation;  /* of the list when that was */
};

int sx_store_balance(struct sx_store *s, struct sx_balance *b, uint64_t bytes, uint64_t *moved,
                     struct sx_err *e) SX_MUST_CHECK;

/* Follows the list of devices, as each call below and above does by itself. */
void sx_store_refresh(struct sx_store *s);

/* The sums over all devices that are not out. */
int sx_store_stats(struct sx_store *s, struct sx_store_stats *st, struct sx_err *e) SX_MUST_CHECK;

struct sx_device_status {
    struct sx_device_entry entry; /* its reason: of being out, too */
    bool out;                     /* does not open, or does not answer */
    struct sx_store_stats stats;
    struct sx_error_counts errors;
};

/* All devices of the list; returns how many. */
size_t sx_store_status(struct sx_store *s, struct sx_device_status out[SX_DEVICES_MAX]);
/* What /status and sxadm show of a device; new reference. */
json_t *sx_device_status_json(const struct sx_device_status *d);
/* "active", "read-only", "failed", "draining" or "out". */
const char *sx_device_status_name(const struct sx_device_status *d);

/* The epoch in which this handle gives leases from now on (0 before: leases without force).  One
 * that lags behind the cluster's only makes leases shorter. */
void sx_store_set_epoch(struct sx_store *s, uint64_t epoch);
/* True after an unclean start, on which leases may have been lost: nothing can be deleted until the
 * floor is set. */
bool sx_store_floor_unknown(const struct sx_store *s);
/* From now on all blocks of devices whose floor was unknown count as leased in `epoch` at least; it
 * must be no older than any lease that was given before the start. */
int sx_store_set_floor(struct sx_store *s, uint64_t epoch, struct sx_err *e) SX_MUST_CHECK;

/* Checks the whole store: fast = index against the sizes of the packs; deep = every record too.
 * What is found damaged is marked so, as by sx_store_get().  May run beside other processes. */
int sx_store_check(struct sx_store *s, bool deep, struct sx_store_report *r,
                   struct sx_err *e) SX_MUST_CHECK;

/* Throws the index of each device away and makes a new one from its packs.  SX_ECONFLICT if the
 * store is open. */
int sx_store_rebuild_list(const char *node_dir, const struct sx_store_options *o,
                          struct sx_err *e) SX_MUST_CHECK;
/* The same for a device that stands in no list. */
int sx_store_rebuild_index(const char *dir, const struct sx_store_options *o,
                           struct sx_err *e) SX_MUST_CHECK;

/* The devices that are not out, and one of them.  They live until the next call of another
 * function on the store, which may find that one was removed. */
size_t sx_store_devices(const struct sx_store *s);
struct sx_device *sx_store_device(struct sx_store *s, size_t i);

#endif
