/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What one worker process holds for all its requests: keys, the connection to the metadata, and,
 * opened when first needed, the block store, the replication queue and the links to other nodes.
 */
#ifndef SX_FCGI_API_APP_H
#define SX_FCGI_API_APP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fcgi/cluster/blocks.h"
#include "fcgi/dispatch.h"
#include "fcgi/jobs/queue.h"
#include "fcgi/keys.h"
#include "fcgi/meta/meta.h"
#include "fcgi/meta/query.h"
#include "fcgi/store/store.h"
#include "libsx/codec/block.h"

struct sx_pins; /* pin.h */

struct sx_app {
    const struct sx_node_conf *conf;
    struct sx_board *board;
    struct sx_cache *cache; /* of plain blocks; NULL: none */
    struct sx_board_slot *slot;
    bool reserved; /* serves node.sock */
    struct sx_keys keys;
    struct sx_meta *meta;
    struct sx_peers *peers;
    /* NULL until asked for with the functions below. */
    struct sx_store *store;
    struct sx_queue *queue;
    struct sx_block_ctx *decoder, *encoder;
    struct sx_pins *pins;
    uint8_t domain_key[SX_DOMAIN_KEY_SIZE];
    bool have_domain;
    pthread_mutex_t lock;
};

/* Reads the keys; connects to nothing yet. */
int sx_app_init(struct sx_app *a, const struct sx_child *child, bool reserved,
                struct sx_err *e) SX_MUST_CHECK;
void sx_app_fini(struct sx_app *a);

/* What follows, and what it gives, is used by one thread at a time: a request that has work done beside
 * itself uses it under this lock. */
void sx_app_lock(struct sx_app *a);
void sx_app_unlock(struct sx_app *a);

/* The database of group 0 of this moment. */
int sx_app_db(struct sx_app *a, sqlite3 **db, struct sx_err *e) SX_MUST_CHECK;
/* Unseals the cluster's domain key (once). */
int sx_app_domain(struct sx_app *a, struct sx_err *e) SX_MUST_CHECK;
/* Decoder for blocks of the cluster's domain. */
int sx_app_decoder(struct sx_app *a, struct sx_block_ctx **ctx, struct sx_err *e) SX_MUST_CHECK;
/* Encoder for them, which is used without the lock: by one thread of the one request that a worker is at. */
int sx_app_encoder(struct sx_app *a, struct sx_block_ctx **ctx, struct sx_err *e) SX_MUST_CHECK;
int sx_app_store(struct sx_app *a, struct sx_store **store, struct sx_err *e) SX_MUST_CHECK;
/* The store, giving leases in the epoch of this moment. */
int sx_app_leasing(struct sx_app *a, struct sx_store **store, uint64_t *epoch,
                   struct sx_err *e) SX_MUST_CHECK;
/* Everything for work on blocks over the cluster, with the node list of this moment. */
int sx_app_blocks(struct sx_app *a, struct sx_blocks *b, struct sx_err *e) SX_MUST_CHECK;

#endif
