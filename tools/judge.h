/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What it takes to judge a node's blocks: its metadata (which files refer to a block) and the domain key (is a
 * content that of its id).  Either may be missing; then less is judged.  Knows nothing of the client's headers, whose
 * names collide with those of the metadata.
 */
#ifndef SX_TOOLS_JUDGE_H
#define SX_TOOLS_JUDGE_H

#include <sqlite3.h>

#include "fcgi/store/scrub.h"
#include "fcgi/store/store.h"

struct judge {
    sqlite3 *meta;            /* NULL: not there */
    size_t nodes;             /* of the cluster, by the metadata */
    struct sx_block_ctx *ctx; /* NULL: no key */
    struct sx_buf plain;
    struct sx_store *store;         /* NULL, or the one whose device is walked: */
    const struct sx_device *walked;
};

#define JUDGE_INIT { .plain = SX_BUF_INIT }

/* Of the node in `dir`; read-only, beside the running node or without it.  The metadata first. */
int judge_open_meta(struct judge *j, const char *dir, struct sx_err *e) SX_MUST_CHECK;
int judge_open_key(struct judge *j, const char *dir, struct sx_err *e) SX_MUST_CHECK;
void judge_close(struct judge *j);
/* A walk that asks this judge. */
struct sx_scrub_walk judge_walk(struct judge *j);
/* The epoch of leases that the metadata has; 0 without metadata. */
int judge_epoch(struct judge *j, uint64_t *epoch, struct sx_err *e) SX_MUST_CHECK;

/* Which files are hit: clear, add blocks, ask.  Without metadata nothing is. */
int judge_hit_clear(struct judge *j, struct sx_err *e) SX_MUST_CHECK;
int judge_hit_block(struct judge *j, const struct sx_id *id, struct sx_err *e) SX_MUST_CHECK;
/* Adds the referenced blocks that are not whole in the store, of those that every node has to hold. */
int judge_hit_missing(struct judge *j, struct sx_store *s, uint64_t *missing, struct sx_err *e) SX_MUST_CHECK;

struct judge_file {
    const char *volume, *path;
    uint64_t rev;
    bool newest; /* false: an older revision */
};

int judge_hit_files(struct judge *j, void (*fn)(void *arg, const struct judge_file *file), void *arg, uint64_t *n,
                    struct sx_err *e) SX_MUST_CHECK;

#endif
