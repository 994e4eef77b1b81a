/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of a node's devices, DIR/devices.json (docs/formats.md section 10), and how the
 * node's processes agree on it.
 *
 * Whoever changes the list does so under a lock and replaces the file; the others see that it is
 * another file.  Each list has a generation, one more than the one before.  A process that puts
 * blocks holds a lock on the generation that it acts by (sx_devices_enter); who has changed the
 * list can wait until nobody acts by an older one (sx_devices_wait).  The locks are of open
 * file descriptions, on single bytes of DIR/devices.lock, and end with their process.
 */
#ifndef SX_FCGI_STORE_DEVICES_H
#define SX_FCGI_STORE_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"

#define SX_DEVICES_MAX 16
#define SX_DEVICE_PATH_MAX 1024
#define SX_DEVICE_REASON_MAX SX_ERR_MSG_MAX
#define SX_DEVICE_DEFAULT_DIR "store" /* of the node's directory: its first device */

enum sx_device_state {
    SX_DEVICE_ACTIVE,
    SX_DEVICE_READ_ONLY, /* by the administrator */
    SX_DEVICE_FAILED,    /* by itself, after a write or sync failed */
    SX_DEVICE_DRAINING   /* being removed */
};

struct sx_device_entry {
    uint32_t id;    /* 1 …; never used twice */
    char path[SX_DEVICE_PATH_MAX]; /* absolute, or in the node's directory */
    uint64_t size;  /* bytes that its packs may take; 0: the node's capacity */
    enum sx_device_state state;
    char reason[SX_DEVICE_REASON_MAX]; /* why it failed; an active one: its last trouble */
};

struct sx_devices {
    uint64_t generation;
    uint32_t next; /* id of the next device */
    size_t n;
    struct sx_device_entry entry[SX_DEVICES_MAX];
};

const char *sx_device_state_name(enum sx_device_state state);

/* Reads the list; SX_ENOTFOUND if the node has none yet, SX_ECONFIG if it is not understood. */
int sx_devices_load(const char *node_dir, struct sx_devices *l, struct sx_err *e) SX_MUST_CHECK;

/* Loads the list (an empty one, generation 0, if there is none), lets `change` alter it, and makes
 * the result durable, all under the list's lock.  What `change` refuses (-1) is not written. */
typedef int sx_devices_change(struct sx_devices *l, void *arg, struct sx_err *e);
int sx_devices_edit(const char *node_dir, sx_devices_change *change, void *arg,
                    struct sx_err *e) SX_MUST_CHECK;

/* The entry with this id, or NULL. */
struct sx_device_entry *sx_devices_find(struct sx_devices *l, uint32_t id);
/* Full path of an entry's directory; to free. */
char *sx_devices_dir(const char *node_dir, const struct sx_device_entry *d);

/* Opens the file that the locks are on. */
int sx_devices_lock_open(const char *node_dir, int *fd, struct sx_err *e) SX_MUST_CHECK;
/* Begins and ends acting by a generation; one at a time for a descriptor. */
int sx_devices_enter(int fd, uint64_t generation, struct sx_err *e) SX_MUST_CHECK;
void sx_devices_leave(int fd, uint64_t generation);
/* Returns when nobody acts by a generation before this one; SX_ETIMEOUT. */
int sx_devices_wait(int fd, uint64_t generation, uint64_t timeout_ms,
                    struct sx_err *e) SX_MUST_CHECK;

#endif
