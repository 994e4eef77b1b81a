/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of the store, above its devices.  Who knows what:
 *
 *   store.c    opening, following the list of devices, what an error means for a device
 *   put.c      which devices new blocks go to
 *   ask.c      have, exists, get, list, delete, compact, statistics, check: over all devices
 *   move.c     moving blocks from one device to the others
 *   drain.c    all blocks of a device
 *   balance.c  those that belong elsewhere
 *
 *   state      put   have, lease   get, exists, list, delete   compact
 *   active     yes   yes           yes                         yes
 *   read-only  no    yes           yes                         no
 *   draining   no    yes           yes                         no
 *   failed     no    no            yes                         no
 *   (out)      no    no            no                          no
 */
#ifndef SX_FCGI_STORE_STORE_INT_H
#define SX_FCGI_STORE_STORE_INT_H

#include <sys/stat.h>

#include "fcgi/store/device.h"
#include "fcgi/store/devices.h"
#include "fcgi/store/errors.h"
#include "fcgi/store/store.h"

struct sx_slot {
    struct sx_device_entry entry;
    struct sx_device *device; /* NULL: it is out */
    struct sx_err why;        /* why it is out */
    uint64_t retry_ms;        /* monotonic: when opening it is tried again */
    struct sx_device_errors *errors; /* what it has given; NULL: not counted */
};

struct sx_store {
    char *node_dir; /* NULL: one device that stands in no list */
    char *list_path;
    struct sx_store_options o;
    struct sx_shared *shared; /* NULL like node_dir */
    struct stat seen;    /* the file of the list that is in use */
    uint64_t generation; /* of that list */
    int lock_fd;
    uint64_t epoch;      /* in which leases are given */
    size_t n;
    struct sx_slot slot[SX_DEVICES_MAX];
};

static inline bool sx_slot_writable(const struct sx_slot *sl)
{
    return sl->device && sl->entry.state == SX_DEVICE_ACTIVE;
}

static inline bool sx_slot_leases(const struct sx_slot *sl)
{
    return sl->device && sl->entry.state != SX_DEVICE_FAILED;
}

/* Has the list changed since? */
bool sx_store_changed(const struct sx_store *s);
/* A call on a device that was to change it has failed: an active one whose disk does not write any
 * more becomes a failed one, for all processes and durably; unless it is the last that takes
 * blocks. */
void sx_store_trouble(struct sx_store *s, struct sx_slot *sl, const struct sx_err *why);

/* The slots (indexes into s->slot) of devices that are not out, the one where a block with this id
 * belongs first: writable ones by weighted rendezvous, then the others.  Returns how many. */
size_t sx_store_order(const struct sx_store *s, const struct sx_id *id,
                      uint8_t order[SX_DEVICES_MAX]);

/* sx_store_put(), not looking at the blocks of slot `except` (NULL: at all).  The caller has
 * entered the list's generation. */
int sx_store_place(struct sx_store *s, const struct sx_record *recs, size_t n,
                   const struct sx_slot *except, uint64_t *lease, size_t *written,
                   struct sx_err *e) SX_MUST_CHECK;
/* Moves blocks from one device to the others, some at a time (move.c). */
#define SX_MOVER_BLOCKS 1024u

struct sx_mover {
    struct sx_store *s;
    struct sx_buf buf; /* the records that were read */
    struct sx_id *ids; /* of these */
    size_t n;
    uint64_t lease; /* the newest of them */
};

struct sx_moved {
    size_t blocks, bytes; /* that were read */
    size_t written;       /* that were not elsewhere yet */
    size_t good;          /* of which there is a good copy elsewhere now */
    size_t deleted;
    bool stuck;           /* deleting failed */
};

void sx_mover_init(struct sx_mover *m, struct sx_store *s);
void sx_mover_fini(struct sx_mover *m);
/* Adds one of at most SX_MOVER_BLOCKS blocks.  Errors: of sx_device_get(). */
int sx_mover_read(struct sx_mover *m, struct sx_slot *from, const struct sx_store_item *item,
                  struct sx_err *e) SX_MUST_CHECK;
/* Moves what was read, which is then forgotten, to where it belongs.  The caller has entered the list's
 * generation. */
int sx_mover_move(struct sx_mover *m, struct sx_slot *from, struct sx_moved *done,
                  struct sx_err *e) SX_MUST_CHECK;
/* 0: there is a good copy of the block on another device that leases. */
int sx_mover_elsewhere(struct sx_store *s, const struct sx_slot *from, const struct sx_id *id);

/* Begins a call that puts: follows the list, and acts by it until sx_store_leave(). */
int sx_store_enter(struct sx_store *s, struct sx_err *e) SX_MUST_CHECK;
void sx_store_leave(struct sx_store *s);

#endif
