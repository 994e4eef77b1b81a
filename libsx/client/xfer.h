/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What uploads and downloads share: the event loop of a transfer, its counters, its end.
 *
 * A file that fails is noted and counted; the transfer goes on if the options say so and the
 * reason is the file's alone.  A reason that every further file would meet too (wrong key, no
 * space, quota, no node) ends it.
 */
#ifndef SX_CLIENT_XFER_H
#define SX_CLIENT_XFER_H

#include <stdatomic.h>

#include "libsx/client/call.h"
#include "libsx/client/work.h"

#define SX_XFER_THREADS 2u
#define SX_XFER_SLOW 16u /* a rate of fewer batches a second than this calls for smaller ones */

struct sx_xfer {
    struct sx_cluster *k;
    struct sx_work *work;
    const struct sx_copy_options *o;
    struct sx_copy_stats *stats;
    struct sx_err err;      /* the first failure */
    atomic_bool stop;       /* end as soon as possible */
    atomic_bool walking;
    atomic_uint_fast64_t files_known, bytes_known, bytes_done;
    uint64_t start_ms, progress_ms;
    size_t batch_bytes;   /* content bytes in one request that carries blocks */
    unsigned batches_max; /* such requests at a time */
    char *current;
};

/* With a low rate limit batches are smaller and fewer than `most`, so that an interruption loses
 * little of what was under way. */
void sx_xfer_init(struct sx_xfer *x, struct sx_cluster *k, const struct sx_copy_options *o,
                  struct sx_copy_stats *stats, size_t batch_bytes, unsigned batches_max);
/* Frees; with the error set if the transfer failed as a whole. */
int sx_xfer_fini(struct sx_xfer *x, struct sx_err *e) SX_MUST_CHECK;

/* Waits up to timeout_ms for the network or the workers, and handles what came. */
void sx_xfer_step(struct sx_xfer *x, unsigned timeout_ms);

/* The end of a file, counted and told to the options' `note`. */
void sx_xfer_note(struct sx_xfer *x, enum sx_note what, const char *name, uint64_t size,
                  const struct sx_err *why);
/* The transfer cannot go on. */
void sx_xfer_fail(struct sx_xfer *x, const struct sx_err *why);

/* True if a relative path is wanted by the options' filters; directories are only ever excluded. */
bool sx_filter_wants(const struct sx_copy_options *o, const char *path, bool is_dir);

#endif
