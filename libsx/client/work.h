/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Worker threads of a transfer: hashing, encoding, decoding and file writing happen there; the
 * thread that called the library does the network and decides.
 *
 *   sx_work_add() ──► queue ──► run(), on a worker ──► sx_work_finish() calls done(), on the caller's thread
 *
 * The queue is bounded by those who fill it: each job belongs to a file, slab or batch of a fixed
 * number.
 */
#ifndef SX_CLIENT_WORK_H
#define SX_CLIENT_WORK_H

#include "libsx/base/buf.h"
#include "libsx/codec/block.h"
#include "libsx/http/http.h"

/* What a worker owns. */
struct sx_worker {
    struct sx_block_ctx *codec;
    struct sx_buf scratch;
    struct sx_buf scratch2;
};

struct sx_job {
    struct sx_job *next;
    void (*run)(struct sx_job *j, struct sx_worker *w); /* must not start requests */
    void (*done)(struct sx_job *j);
};

struct sx_work;

struct sx_work *sx_work_new(const struct sx_domain *domain, unsigned threads, struct sx_http *http);
void sx_work_free(struct sx_work *w); /* waits for what runs; what is queued is dropped */

/* From any thread. */
void sx_work_add(struct sx_work *w, struct sx_job *j);
void sx_work_post(struct sx_work *w, struct sx_job *j); /* straight to done() */

/* From the caller's thread. */
size_t sx_work_finish(struct sx_work *w);             /* returns how many done() were called */
void sx_work_wait(struct sx_work *w, unsigned timeout_ms); /* until something is done */
size_t sx_work_pending(const struct sx_work *w);      /* added and done() not yet called */

#endif
