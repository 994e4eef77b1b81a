/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of a device: what its files share.  Who knows what:
 *
 *   session.c  opening and closing, who is first and last
 *   device.c   how far the index is durable, space, statistics
 *   shard.c    the index: statements on one shard
 *   packs.c    the table of packs (index/packs.db)
 *   packfile.c pack files: header, claiming one to append to
 *   append.c   writing a batch behind the end of a pack
 *   read.c     reading records, large ones first past the page cache
 *   live.c     what of a pack is needed, whatever the index says
 *   scan.c     walking the records of a pack
 *   insert.c   put
 *   ops.c      have, exists, get, list, delete
 *   recover.c  bringing the index up to date from the packs
 *   compact.c  giving dead space back
 *   scrub.c    verifying and mending all of it, step by step
 *   check.c    the same at once
 *
 * Order of locks: the door (session.c), a pack's lock, one shard's or the pack table's transaction.
 */
#ifndef SX_FCGI_STORE_DEVICE_INT_H
#define SX_FCGI_STORE_DEVICE_INT_H

#include "fcgi/store/db.h"
#include "fcgi/store/device.h"
#include "fcgi/store/errors.h"

#define SX_DEVICE_MAGIC 0x53584456u
#define SX_SHARDS 8u
#define SX_SHARD_BITS 3
#define SX_FD_CACHE 32u                     /* packs that a process keeps open for reading */
#define SX_CHECKPOINT_BYTES (64ull << 20)   /* put between two checkpoints, by one process */
#define SX_FLOOR_UNKNOWN UINT64_MAX         /* leases were lost, and nobody has said up to when */
#define SX_PACK_HEADER 64u
#define SX_DIRECT_EDGE 4096u                /* a page, and no less than the block of any disk */
#define SX_DIRECT_MIN (256u << 10)          /* records that large may go past the page cache */
#define SX_DIRECT_BUFFER (4u << 20)
#define SX_DIRECT_AHEAD (2u << 20)          /* so much is read at once of records that lie in a row */
#define SX_OPEN_PACKS_MAX 64u               /* open packs that claiming looks at */
#define SX_USED_MS 1000u                    /* how long the sum of all packs' sizes is relied on */

/* ---- the index ---- */

enum sx_shard_stmt {
    SX_Q_FIND,
    SX_Q_LEASE,
    SX_Q_SET_LEASE,
    SX_Q_PUT,
    SX_Q_DELETE,
    SX_Q_MOVE,
    SX_Q_MARK,
    SX_Q_LIST,
    SX_Q_LIST_BAD,
    SX_Q_USE,
    SX_Q_USAGE,
    SX_Q_USAGE_ALL,
    SX_Q_USAGE_DROP,
    SX_Q_LOSE_PACK,
    SX_Q_DROP_PACK,
    SX_Q_TOTAL,
    SX_Q_RECOUNT,
    SX_Q_FOREIGN,
    SX_Q_USAGE_CLEAR,
    SX_Q_USAGE_FILL,
    SX_Q_IN_PACK,
    SX_Q_COUNT
};

struct sx_shard {
    sqlite3 *db;
    sqlite3_stmt *q[SX_Q_COUNT];
};

enum sx_block_state { SX_BLOCK_GOOD = 0, SX_BLOCK_BAD = 1 };

/* A row of the index.  pack = 0: the place is lost (only with state bad). */
struct sx_row {
    uint64_t pack, at, lease;
    uint32_t len;
    int state;
};

static inline unsigned sx_shard_of(const struct sx_id *id)
{
    return id->b[0] >> (8 - SX_SHARD_BITS);
}

int sx_shard_open(struct sx_shard *sh, const char *dir, unsigned number, bool *fresh,
                  struct sx_err *e) SX_MUST_CHECK;
void sx_shard_close(struct sx_shard *sh);

int sx_shard_begin(struct sx_shard *sh, struct sx_err *e) SX_MUST_CHECK; /* takes the write lock */
/* Commits if r is 0, else rolls back; gives r, or the error of the commit. */
int sx_shard_end(struct sx_shard *sh, int r, struct sx_err *e) SX_MUST_CHECK;

int sx_shard_find(struct sx_shard *sh, const struct sx_id *id, struct sx_row *row, bool *found,
                  struct sx_err *e) SX_MUST_CHECK;
/* Raises the lease of a good row; *hit false if there is none. */
int sx_shard_lease(struct sx_shard *sh, const struct sx_id *id, uint64_t epoch, bool *hit,
                   struct sx_err *e) SX_MUST_CHECK;
/* Replaces the lease `old`; *hit false: it is another by now. */
int sx_shard_set_lease(struct sx_shard *sh, const struct sx_id *id, uint64_t old, uint64_t epoch,
                     bool *hit, struct sx_err *e) SX_MUST_CHECK;
/* Inside a transaction: */
int sx_shard_put(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *row,
                 struct sx_err *e) SX_MUST_CHECK;
int sx_shard_delete(struct sx_shard *sh, const struct sx_id *id, struct sx_err *e) SX_MUST_CHECK;
/* Changes place if the row still is where `from` says. */
int sx_shard_move(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *from,
                  uint64_t pack, uint64_t at, bool *moved, struct sx_err *e) SX_MUST_CHECK;
/* Adds to the live bytes and blocks of a pack. */
int sx_shard_use(struct sx_shard *sh, uint64_t pack, int64_t bytes, int64_t blocks,
                 struct sx_err *e) SX_MUST_CHECK;
/* Puts the row in place of `old` (NULL: there is none), and the usage of both packs right. */
int sx_shard_replace(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *old,
                     const struct sx_row *row, struct sx_err *e) SX_MUST_CHECK;
/* Own transactions: */
/* Marks the row bad if it still is where `at` says. */
int sx_shard_mark_bad(struct sx_shard *sh, const struct sx_id *id, const struct sx_row *at,
                      struct sx_err *e) SX_MUST_CHECK;
/* All rows that still point into a pack that is gone: bad, place lost (`forget`: removed). */
int sx_shard_lose_pack(struct sx_shard *sh, uint64_t pack, bool forget,
                       struct sx_err *e) SX_MUST_CHECK;

struct sx_usage {
    uint64_t pack, live, blocks;
};

int sx_shard_usage(struct sx_shard *sh, uint64_t pack, struct sx_usage *u,
                   struct sx_err *e) SX_MUST_CHECK;
/* Counts the use of the packs anew.  *faults: how many sums were wrong; `mend`: they are put
 * right. */
int sx_shard_recount(struct sx_shard *sh, bool mend, uint64_t *faults,
                     struct sx_err *e) SX_MUST_CHECK;

/* Are there rows that cannot be found, since their ids are none, or of another shard?  Reads all. */
int sx_shard_foreign(struct sx_shard *sh, unsigned number, bool *any,
                     struct sx_err *e) SX_MUST_CHECK;

struct sx_pack_area {
    uint64_t pack, from, to; /* offsets: from … to - 1 */
    bool bad_too;            /* not only good rows */
};

/* The blocks whose rows point into an area, in order, at most `max`: from the first if *n is 0,
 * else behind the *n that the last call gave.  Reads the whole shard. */
int sx_shard_in_pack(struct sx_shard *sh, const struct sx_pack_area *area, struct sx_id *ids,
                     size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;

/* ---- the table of packs ---- */

enum sx_pack_state {
    SX_PACK_OPEN = 0,   /* whoever holds its lock may append */
    SX_PACK_SEALED = 1, /* full, or left with a tail of unknown worth: never appended to */
    SX_PACK_BAD = 2     /* a write or fsync failed; what lies behind `size` is not to be trusted */
};

struct sx_pack_row {
    uint64_t number;
    int state;
    uint64_t size;    /* of the file, as far as the index knows its records */
    uint64_t durable; /* up to here the index is known to be on disk */
};

enum sx_packs_stmt {
    SX_P_NEW,
    SX_P_GET,
    SX_P_SET,
    SX_P_ADD,
    SX_P_DROP,
    SX_P_LIST,
    SX_P_LIST_OPEN,
    SX_P_DURABLE,
    SX_P_SUM,
    SX_P_FROM,
    SX_P_COUNT
};

struct sx_packs {
    sqlite3 *db;
    sqlite3_stmt *q[SX_P_COUNT];
};

int sx_packs_open(struct sx_packs *p, const char *dir, bool *fresh, struct sx_err *e) SX_MUST_CHECK;
void sx_packs_close(struct sx_packs *p);
int sx_packs_new(struct sx_packs *p, uint64_t *number, struct sx_err *e) SX_MUST_CHECK;
int sx_packs_get(struct sx_packs *p, uint64_t number, struct sx_pack_row *row, bool *found,
                 struct sx_err *e) SX_MUST_CHECK;
/* Sets state and size.  `synced`: durable on return (used for bad packs). */
int sx_packs_set(struct sx_packs *p, uint64_t number, int state, uint64_t size, bool synced,
                 struct sx_err *e) SX_MUST_CHECK;
/* A pack found on disk without a row. */
int sx_packs_add(struct sx_packs *p, uint64_t number, struct sx_err *e) SX_MUST_CHECK;
int sx_packs_drop(struct sx_packs *p, uint64_t number, struct sx_err *e) SX_MUST_CHECK;
/* All rows, or only open ones (at most SX_OPEN_PACKS_MAX); *rows for the caller to free. */
int sx_packs_list(struct sx_packs *p, bool open_only, struct sx_pack_row **rows, size_t *n,
                  struct sx_err *e) SX_MUST_CHECK;
int sx_packs_set_durable(struct sx_packs *p, const struct sx_pack_row *rows, size_t n,
                         struct sx_err *e) SX_MUST_CHECK;
/* The pack of the least number that is not below `number`. */
int sx_packs_from(struct sx_packs *p, uint64_t number, struct sx_pack_row *row, bool *found,
                  struct sx_err *e) SX_MUST_CHECK;
int sx_packs_sum(struct sx_packs *p, uint64_t *count, uint64_t *bytes,
                 struct sx_err *e) SX_MUST_CHECK;

/* ---- the device ---- */

struct sx_fd_slot {
    uint64_t pack; /* 0: free */
    int fd;
    int direct; /* past the page cache; -1: not opened yet */
    uint64_t used;
};

/* A pack that this process holds the lock of. */
struct sx_claim {
    uint64_t number; /* 0: none */
    int fd;
    uint64_t size;
};

/* What the device's buffer holds of a pack, and where the record ends that was read last. */
struct sx_ahead {
    uint64_t pack, from, n; /* n = 0: nothing */
    uint64_t last;
};

struct sx_device {
    uint32_t magic;
    char *dir;
    const struct sx_io *io; /* of `counting` */
    struct sx_counting counting;
    struct sx_store_options o;
    int lock_fd;
    uint64_t epoch; /* in which leases are given */
    uint64_t floor; /* all blocks count as leased in that epoch */
    struct sx_shard shard[SX_SHARDS];
    struct sx_packs packs;
    struct sx_fd_slot fds[SX_FD_CACHE];
    uint64_t tick;            /* for the age of the slots */
    uint64_t last_pack;       /* appended to last; tried first */
    uint8_t *direct_buffer;   /* NULL until it is needed */
    struct sx_ahead ahead;
    bool undirect;            /* its file system knows the page cache only */
    uint64_t since_checkpoint; /* bytes appended */
    uint64_t used;            /* sum of the packs' sizes at used_ms, and our puts since */
    uint64_t used_ms;         /* monotonic; 0: not known */
    bool suspected;           /* the index was found damaged and marked */
    uint64_t recovered, to_recover; /* bytes of packs, while it is recovered */
};

static inline uint64_t sx_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Notes how far the index of each pack is durable.  *whole: all of it is. */
int sx_device_checkpoint(struct sx_device *d, bool *whole, struct sx_err *e) SX_MUST_CHECK;
/* SX_ENOSPACE if `bytes` more would pass the capacity or reach into the reserve.  With many packs
 * their sum takes time, so it may be SX_USED_MS old, but for what this process has put. */
int sx_device_check_space(struct sx_device *d, uint64_t bytes, struct sx_err *e) SX_MUST_CHECK;
/* After a call on a shard has failed: if SQLite says that the file is damaged, marks the index so
 * that the first process of the next start makes it anew. */
void sx_device_suspect_index(struct sx_device *d);
/* Counts a block that was found damaged. */
void sx_device_count_damage(struct sx_device *d);
/* Marks it so, whatever SQLite said. */
void sx_device_distrust_index(struct sx_device *d);

/* ---- pack files ---- */

char *sx_pack_path(const struct sx_device *d, uint64_t number); /* to free */
/* Finds an open pack with room for `need` bytes, or makes one, and locks it. */
int sx_pack_claim(struct sx_device *d, uint64_t need, struct sx_claim *c,
                  struct sx_err *e) SX_MUST_CHECK;
/* Takes the lock of one pack if it is there and free: *got. */
int sx_pack_try(struct sx_device *d, uint64_t number, struct sx_claim *c, bool *got,
                struct sx_err *e) SX_MUST_CHECK;
/* Bytes of its open file. */
int sx_pack_size(struct sx_device *d, int fd, uint64_t *size, struct sx_err *e) SX_MUST_CHECK;
/* There is no file of that number. */
bool sx_pack_missing(const struct sx_device *d, uint64_t number);
/* The open file of a pack that has been removed: its remover cuts it. */
bool sx_pack_unlinked(struct sx_device *d, int fd);
void sx_pack_release(struct sx_device *d, struct sx_claim *c);
/* Opens it past the page cache, with d->direct_buffer there: -1 if that cannot be.  Offsets, lengths and
 * memory are then whole SX_DIRECT_EDGEs. */
int sx_pack_open_direct(struct sx_device *d, uint64_t number, int flags);

struct sx_piece {
    const void *p;
    uint32_t len;
};
/* Appends n > 0 pieces and syncs.  After a failure the pack is bad for ever. */
int sx_pack_append(struct sx_device *d, struct sx_claim *c, const struct sx_piece *pieces, size_t n,
                   struct sx_err *e) SX_MUST_CHECK;
/* Notes the new end of the pack, when the index has all its records. */
int sx_pack_advance(struct sx_device *d, struct sx_claim *c, struct sx_err *e) SX_MUST_CHECK;
/* Is the place within its pack? */
bool sx_pack_holds(struct sx_device *d, const struct sx_row *row);
/* Reads a record's bytes, or the first of them, behind `out`; not verified.  SX_ENOTFOUND, SX_ECORRUPT if it is not there
 * whole. */
int sx_pack_read(struct sx_device *d, const struct sx_row *row, struct sx_buf *out,
                 struct sx_err *e) SX_MUST_CHECK;
/* Reads and verifies: magic, length, checksum and id. */
int sx_pack_read_record(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                        struct sx_buf *out, struct sx_err *e) SX_MUST_CHECK;
/* Closes the descriptors of a pack that are kept for reading; 0: of all. */
void sx_pack_forget(struct sx_device *d, uint64_t number);
void sx_pack_header(uint8_t h[SX_PACK_HEADER], const struct sx_device *d, uint64_t number);
int sx_pack_header_check(const uint8_t h[SX_PACK_HEADER], const struct sx_device *d,
                         uint64_t number, struct sx_err *e) SX_MUST_CHECK;
/* Opens a pack for reading; its size. */
int sx_pack_open_read(struct sx_device *d, uint64_t number, int *fd, uint64_t *size,
                      struct sx_err *e) SX_MUST_CHECK;

/* ---- walking a pack ---- */

/* Gives each valid record between two offsets.  What is no record is passed over to the next
 * one that is, so that one damaged record hides no other.  Memory: two records. */
struct sx_scan {
    const struct sx_io *io;
    int fd;
    uint64_t at, end;      /* where it looks, and where it stops */
    struct sx_buf buf;     /* bytes of the file from `base` on */
    uint64_t base;
    uint64_t valid_end;    /* behind the last valid record */
    uint64_t skipped;      /* bytes that belong to none */
    uint64_t read_errors;  /* places that could not be read; the last of them: */
    uint64_t error_at;
};

void sx_scan_init(struct sx_scan *sc, const struct sx_io *io, int fd, uint64_t from, uint64_t to);
void sx_scan_fini(struct sx_scan *sc);
/* 1: a record (its place in *at; r points into the scan's buffer until the next call); 0: the
 * end. */
int sx_scan_next(struct sx_scan *sc, struct sx_record *r, uint64_t *at);

/* ---- what is needed ---- */

/* Does the row point at a record of its block, by the record's header?  `buf` is overwritten. */
bool sx_live_header(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                    struct sx_buf *buf);
/* The row of a block of which a record lies elsewhere: does it point at a good one? */
int sx_live_elsewhere(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                      bool *good, struct sx_err *e) SX_MUST_CHECK;
/* Makes `row` (pack, at, len; the rest is filled in) the block's, if its row still is `old` (NULL:
 * there is none).  Under the lock of the pack that the row points into. */
int sx_live_adopt(struct sx_device *d, const struct sx_id *id, const struct sx_row *old,
                  struct sx_row *row, bool *adopted, struct sx_err *e) SX_MUST_CHECK;
/* *none: nothing in the pack is needed, by the headers of its records and the rows of these, and
 * not by sums.  One read and one look a record. */
int sx_live_none(struct sx_device *d, const struct sx_claim *c, bool *none,
                 struct sx_err *e) SX_MUST_CHECK;

/* ---- recovery ---- */

/* Under the exclusive lock: registers packs, drops rows of packs that are gone, reads tails
 * (`whole`: every pack from its start). */
int sx_device_recover(struct sx_device *d, bool whole, struct sx_err *e) SX_MUST_CHECK;
/* Gives a row to each pack on disk that the table does not know. */
int sx_device_register_packs(struct sx_device *d, struct sx_err *e) SX_MUST_CHECK;

/* ---- calls on blocks ---- */

int sx_device_check_count(size_t n, struct sx_err *e) SX_MUST_CHECK; /* SX_EINVAL: too many at once */
/* The end of a call that failed: looks whether the index is damaged, says what was to be done; -1. */
int sx_device_failed(struct sx_device *d, struct sx_err *e, const char *what, size_t n);
/* Indexes of ids in order: shards one behind the other, each in the order of its tree.  To free. */
uint32_t *sx_device_order(const struct sx_id *ids, size_t n);
/* The end of the run from order[from] on that is in one shard. */
size_t sx_device_same_shard(const struct sx_id *ids, const uint32_t *order, size_t from, size_t n);

/* Leases that one call finds and gives. */
struct sx_leasing {
    uint64_t epoch; /* a row with at least this one is left as it is */
    uint64_t least; /* oldest lease found or given; UINT64_MAX: none */
};

static inline struct sx_leasing sx_leasing_begin(const struct sx_device *d)
{
    return (struct sx_leasing){ d->epoch, UINT64_MAX };
}

/* The oldest lease of the blocks of the call. */
static inline uint64_t sx_leasing_end(const struct sx_leasing *l)
{
    return l->least == UINT64_MAX ? l->epoch : l->least;
}

/* Which of the blocks are present; these are leased. */
int sx_device_lease(struct sx_device *d, const struct sx_id *ids, const uint32_t *order, size_t n,
                    uint8_t *present, struct sx_leasing *l, struct sx_err *e) SX_MUST_CHECK;

#endif
