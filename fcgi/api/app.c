/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See app.h.
 */
#include "fcgi/api/app.h"

#include <string.h>

#include "fcgi/api/pin.h"
#include "fcgi/jobs/transfer.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

int sx_app_init(struct sx_app *a, const struct sx_child *child, bool reserved, struct sx_err *e)
{
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    a->conf = child->conf;
    a->board = child->shared.board;
    a->cache = child->shared.cache;
    a->slot = child->slot;
    a->reserved = reserved;
    if (sx_keys_load(&a->keys, child->conf->dir, e) != 0)
        return -1;
    a->meta = sx_meta_new(child->conf->dir);
    a->peers = sx_peers_new(child->conf, a->board, a->meta);
    return 0;
}

void sx_app_fini(struct sx_app *a)
{
    sx_pins_free(a->pins);
    sx_block_ctx_free(a->decoder);
    sx_block_ctx_free(a->encoder);
    sx_queue_close(a->queue);
    sx_store_close(a->store);
    sx_peers_free(a->peers);
    sx_meta_free(a->meta);
    sx_keys_fini(&a->keys);
    sx_wipe(a->domain_key, sizeof a->domain_key);
    pthread_mutex_destroy(&a->lock);
}

void sx_app_lock(struct sx_app *a)
{
    pthread_mutex_lock(&a->lock);
}

void sx_app_unlock(struct sx_app *a)
{
    pthread_mutex_unlock(&a->lock);
}

int sx_app_db(struct sx_app *a, sqlite3 **db, struct sx_err *e)
{
    return sx_meta_db(a->meta, SX_META_GROUP_CLUSTER, db, e);
}

int sx_app_domain(struct sx_app *a, struct sx_err *e)
{
    SX_AUTO(sx_cluster) struct sx_cluster c = { 0 };
    sqlite3 *db;

    if (a->have_domain)
        return 0;
    if (sx_app_db(a, &db, e) != 0 || sx_query_cluster(db, &c, e) != 0)
        return -1;
    if (sx_keys_open_domain(&a->keys, c.domain_key.data, c.domain_key.len, a->domain_key, e) != 0)
        return -1;
    a->have_domain = true;
    return 0;
}

static int domain_ctx(struct sx_app *a, struct sx_block_ctx **made, struct sx_err *e)
{
    struct sx_domain domain;

    if (*made)
        return 0;
    if (sx_app_domain(a, e) != 0 || sx_domain_init(&domain, a->domain_key, e) != 0)
        return -1;
    *made = sx_block_ctx_new(&domain);
    sx_wipe(&domain, sizeof domain);
    return 0;
}

int sx_app_decoder(struct sx_app *a, struct sx_block_ctx **ctx, struct sx_err *e)
{
    int r = domain_ctx(a, &a->decoder, e);

    *ctx = a->decoder;
    return r;
}

int sx_app_encoder(struct sx_app *a, struct sx_block_ctx **ctx, struct sx_err *e)
{
    int r = domain_ctx(a, &a->encoder, e);

    *ctx = a->encoder;
    return r;
}

int sx_app_store(struct sx_app *a, struct sx_store **store, struct sx_err *e)
{
    if (!a->store && sx_store_open_node(a->conf->dir, &a->store, e) != 0)
        return sx_err_wrap(e, "open the block store");
    *store = a->store;
    return 0;
}

int sx_app_leasing(struct sx_app *a, struct sx_store **store, uint64_t *epoch, struct sx_err *e)
{
    sqlite3 *db;

    if (sx_app_store(a, store, e) != 0 || sx_app_db(a, &db, e) != 0 ||
        sx_query_epoch(db, epoch, e) != 0)
        return -1;
    sx_store_set_epoch(*store, *epoch);
    return 0;
}

int sx_app_blocks(struct sx_app *a, struct sx_blocks *b, struct sx_err *e)
{
    b->conf = a->conf;
    b->peers = a->peers;
    if (sx_app_leasing(a, &b->store, &b->epoch, e) != 0 || sx_peers_refresh(a->peers, e) != 0)
        return -1;
    if (!a->queue && sx_queue_open(a->conf->dir, &a->queue, e) != 0)
        return sx_err_wrap(e, "open the replication queue");
    b->queue = a->queue;
    b->queued = sx_transfer_poke;
    return 0;
}
