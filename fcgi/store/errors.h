/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a node's processes share about its devices: how many errors each has given, whether
 * blocks are being moved, and which were read lately.  DIR/devices.errors, mapped by all of them
 * (docs/formats.md section 10); kept over restarts, not synced.  Where it cannot be had, a process
 * counts for itself.
 */
#ifndef SX_FCGI_STORE_ERRORS_H
#define SX_FCGI_STORE_ERRORS_H

#include <stdatomic.h>
#include <stdint.h>

#include "fcgi/store/doorkeeper.h"
#include "fcgi/store/values.h"

#define SX_SHARED_SLOTS 32 /* twice SX_DEVICES_MAX: those of removed devices are used again */

struct sx_device_errors {
    _Atomic uint64_t device; /* 0: free */
    _Atomic uint64_t read, write, sync; /* calls on pack files that failed, but for want of space */
    _Atomic uint64_t damaged;          /* blocks found damaged, also those that could not be read */
};

struct sx_shared {
    _Atomic uint64_t magic;
    _Atomic uint64_t moving; /* a process moves blocks from one device to another */
    struct sx_device_errors device[SX_SHARED_SLOTS];
    struct sx_doorkeeper read; /* large ones */
};

struct sx_shared *sx_shared_open(const char *node_dir);
void sx_shared_close(struct sx_shared *sh); /* NULL allowed */

/* The counters of a device; `in_use` says which others must keep theirs.  NULL: none is free. */
struct sx_device_errors *sx_shared_errors(struct sx_shared *sh, uint32_t device,
                                          bool (*in_use)(void *arg, uint32_t device), void *arg);
/* Begins anew. */
void sx_errors_clear(struct sx_device_errors *x);
struct sx_error_counts sx_errors_get(const struct sx_device_errors *x); /* NULL: all 0 */

/* A layer that counts what fails below.  `errors` NULL: nothing. */
struct sx_counting {
    struct sx_io io; /* to be used; as long as this struct stays where it is */
    const struct sx_io *below;
    struct sx_device_errors *errors;
};

void sx_counting_init(struct sx_counting *c, const struct sx_io *below,
                      struct sx_device_errors *errors);

#endif
