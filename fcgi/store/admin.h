/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an administrator does with the devices of a node: add, set, drain, remove.  Works while
 * the node runs: its processes follow the list.  A process that is killed leaves the list
 * as it was or as it shall be, and each call can be made again.
 */
#ifndef SX_FCGI_STORE_ADMIN_H
#define SX_FCGI_STORE_ADMIN_H

#include "fcgi/store/store.h"

struct sx_device_added {
    struct sx_device_entry entry;
    bool known;        /* it was a device of this node before, and its blocks are used */
    char warning[512]; /* empty: none */
};

/* Makes a directory a device.  It must be writable and empty, or have been a device of this node,
 * and neither hold another device nor lie in one.  size 0: the size of the file system.
 * Errors: SX_ENOTFOUND, SX_EACCESS, SX_ENOTEMPTY, SX_EEXIST, SX_ECONFLICT. */
int sx_admin_add(const char *node_dir, const struct sx_store_options *o, const char *path,
                 uint64_t size, struct sx_device_added *added, struct sx_err *e) SX_MUST_CHECK;

/* Which device a text names: its number, or its directory.  SX_ENOTFOUND. */
int sx_admin_find(const char *node_dir, const char *text, uint32_t *id,
                  struct sx_err *e) SX_MUST_CHECK;

/* The administrator's word on the state (active or read-only); ends a draining, too.  A device that is
 * made active begins with no errors counted. */
int sx_admin_set_state(const char *node_dir, uint32_t id, enum sx_device_state state,
                       struct sx_err *e) SX_MUST_CHECK;
int sx_admin_set_size(const char *node_dir, uint32_t id, uint64_t size,
                      struct sx_err *e) SX_MUST_CHECK;

struct sx_drain {
    void (*progress)(const struct sx_drain *d); /* now and then; may be NULL */
    void *arg;
    uint64_t rate;        /* at most so many bytes a second; 0: no limit */
    uint64_t total;       /* bytes of blocks at the beginning */
    uint64_t bytes;       /* moved, or found elsewhere */
    uint64_t blocks;      /* the same */
    uint64_t unreadable;  /* blocks that are damaged and nowhere else on this node */
};

/* Moves all blocks of a device to the others, each read back before it is deleted, and takes the
 * device off the list.  Until then it is "draining": it takes no blocks and gives them.  Errors:
 * SX_ENOSPACE if the others have no room (before anything is moved, too); SX_ECORRUPT if blocks
 * cannot be read (all others have been moved). */
int sx_admin_drain(const char *node_dir, const struct sx_store_options *o, uint32_t id,
                   struct sx_drain *d, struct sx_err *e) SX_MUST_CHECK;

/* Takes a device off the list with all that is on it.  SX_ECONFLICT if it still works. */
int sx_admin_lose(const char *node_dir, const struct sx_store_options *o, uint32_t id,
                  struct sx_err *e) SX_MUST_CHECK;

#endif
