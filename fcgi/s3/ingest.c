/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ingest.h.
 */
#include "fcgi/s3/ingest.h"

#include <string.h>

#include "fcgi/s3/aside.h"
#include "fcgi/s3/blocklist.h"
#include "fcgi/s3/digest.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/codec/chunk.h"

#define FILL_MAX (4u << 20) /* what a buffer takes in, behind the rest of the one before */
#define INGEST_BUFFER (SX_CHUNK_MAX + FILL_MAX)
#define CHUNKS_MAX (INGEST_BUFFER / SX_CHUNK_MIN + 1) /* in one buffer */

struct chunk {
    struct sx_id id;
    const uint8_t *p;
    uint32_t len, crc;
};

/* A buffer on its way.  What comes is put at SX_CHUNK_MAX; the last bytes of the buffer before, which may
 * belong to a longer chunk, get in front of it when that one is cut. */
struct batch {
    struct sx_ingest *ingest;
    uint8_t *mem;
    size_t from, to;
    bool last;
    size_t cut; /* where what it leaves to the next one begins: what may go on there */
    struct chunk chunks[CHUNKS_MAX];
    size_t n_chunks;
    uint8_t present[CHUNKS_MAX];
    uint64_t lease, leased_ms; /* of those that are there */
    struct sx_buf records;     /* of the others */
    size_t n_records;
};

struct sx_ingest {
    struct sx_app *app;
    struct sx_block_ctx *domain; /* NULL: the cluster's, not asked for yet */
    bool customers;
    const struct sx_volume *volume;
    bool inline_ok;
    struct sx_chunker chunker;
    struct batch batches[2];
    unsigned turn;           /* the one that takes in what comes; the other is on its way */
    struct sx_aside *preparing, *storing; /* NULL until a buffer was full */
    struct sx_err err;       /* of all but the batch that is being stored */
    struct sx_err store_err;
    struct sx_digest *md5;
    struct sx_blocklist list;
    struct sx_buf record;
    uint64_t size;
};

struct sx_ingest *sx_ingest_new(struct sx_app *app, const char *user,
                                const struct sx_volume *volume, const char *path, bool inline_ok)
{
    struct sx_ingest *g = sx_calloc(1, sizeof *g);

    g->app = app;
    g->volume = volume;
    g->inline_ok = inline_ok;
    for (size_t i = 0; i < 2; i++) {
        g->batches[i].ingest = g;
        g->batches[i].from = g->batches[i].to = g->batches[i].cut = SX_CHUNK_MAX;
    }
    g->md5 = sx_digest_new();
    sx_blocklist_init(&g->list, app, user, volume, path);
    sx_chunker_init(&g->chunker, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    return g;
}

void sx_ingest_under(struct sx_ingest *g, struct sx_block_ctx *ctx)
{
    g->domain = ctx;
    g->customers = ctx != NULL;
}

/* ---- cut, look for, encode ---- */

/* Only one thread at a time encodes, and nobody but the ingest uses this context. */
static int domain_of(struct sx_ingest *g, struct sx_err *e)
{
    int r = 0;

    if (!g->domain) {
        sx_app_lock(g->app);
        r = sx_app_encoder(g->app, &g->domain, e);
        sx_app_unlock(g->app);
    }
    return r;
}

static int cut_and_name(struct sx_ingest *g, struct batch *b, struct sx_err *e)
{
    if (domain_of(g, e) != 0)
        return -1;
    b->n_chunks = 0;
    for (b->cut = b->from; b->cut < b->to;) {
        const uint8_t *p = b->mem + b->cut;
        size_t n = sx_chunk_cut(&g->chunker, p, b->to - b->cut, b->last);
        struct chunk *c = &b->chunks[b->n_chunks];

        if (n == 0)
            break;
        b->n_chunks++;
        sx_assert(b->n_chunks <= CHUNKS_MAX);
        c->p = p;
        c->len = (uint32_t)n;
        b->cut += n;
        c->crc = sx_crc32c(0, c->p, c->len); /* before the id: of nothing else than what that is of */
        if (sx_block_id(g->domain, c->p, c->len, &c->id, e) != 0)
            return -1;
    }
    return 0;
}

static int ask(struct sx_ingest *g, struct batch *b, const struct sx_id *ids, struct sx_err *e)
{
    struct sx_blocks blocks;
    int r;

    b->leased_ms = sx_mono_ms();
    sx_app_lock(g->app);
    r = sx_app_blocks(g->app, &blocks, e) != 0 ||
        sx_blocks_have(&blocks, g->volume->replica, ids, b->n_chunks, b->present, &b->lease, e) != 0;
    sx_app_unlock(g->app);
    return r ? -1 : 0;
}

/* What the cluster has, and what comes twice in this buffer, is not stored. */
static int look_for(struct sx_ingest *g, struct batch *b, struct sx_err *e)
{
    struct sx_id ids[CHUNKS_MAX];

    for (size_t i = 0; i < b->n_chunks; i++)
        ids[i] = b->chunks[i].id;
    if (ask(g, b, ids, e) != 0)
        return -1;
    for (size_t i = 1; i < b->n_chunks; i++)
        for (size_t k = 0; k < i && !b->present[i]; k++)
            b->present[i] = sx_id_cmp(&ids[i], &ids[k]) == 0;
    return 0;
}

/* Whoever reads what is encoded here need not compute the id again. */
static int encode(struct sx_ingest *g, const struct chunk *c, struct sx_buf *out, struct sx_err *e)
{
    size_t at = sx_record_begin(out), from = out->len;

    if (sx_block_encode(g->domain, &c->id, c->p, c->len, g->volume->compression, 0, out, e) != 0)
        return -1;
    if (!g->customers)
        sx_cache_learn(g->app->cache, &c->id, sx_block_tag(out->data + from, out->len - from), c->crc);
    sx_record_end(out, at, &c->id);
    return 0;
}

static int encode_missing(struct sx_ingest *g, struct batch *b, struct sx_err *e)
{
    sx_buf_reset(&b->records);
    b->n_records = 0;
    for (size_t i = 0; i < b->n_chunks; i++) {
        if (b->present[i])
            continue;
        if (encode(g, &b->chunks[i], &b->records, e) != 0)
            return -1;
        b->n_records++;
    }
    return 0;
}

/* ---- store ---- */

static int put(struct sx_ingest *g, const struct batch *b, struct sx_err *e)
{
    struct sx_record recs[CHUNKS_MAX];
    struct sx_blocks blocks;
    uint64_t lease, now = sx_mono_ms();

    if (b->n_records == 0)
        return 0;
    if (sx_records_parse(b->records.data, b->records.len, b->n_records, recs, e) != 0 ||
        sx_app_blocks(g->app, &blocks, e) != 0 ||
        sx_blocks_put(&blocks, g->volume->replica, recs, b->n_records, &lease, e) != 0)
        return -1;
    sx_blocklist_leased(&g->list, lease, now);
    return 0;
}

static int put_and_list(struct sx_ingest *g, const struct batch *b, struct sx_err *e)
{
    sx_blocklist_leased(&g->list, b->lease, b->leased_ms);
    if (put(g, b, e) != 0)
        return -1;
    for (size_t i = 0; i < b->n_chunks; i++)
        sx_blocklist_add(&g->list, &b->chunks[i].id, b->chunks[i].len);
    return sx_blocklist_flush(&g->list, CHUNKS_MAX, e);
}

static void store(void *arg)
{
    const struct batch *b = arg;
    struct sx_ingest *g = b->ingest;

    sx_app_lock(g->app);
    (void)!put_and_list(g, b, &g->store_err);
    sx_app_unlock(g->app);
}

/* ---- the way of a buffer ---- */

/* What comes before storing; then the storing begins, once the batch before is stored. */
static void prepare(void *arg)
{
    struct batch *b = arg;
    struct sx_ingest *g = b->ingest;
    int r = cut_and_name(g, b, &g->err) != 0 || look_for(g, b, &g->err) != 0 ||
            encode_missing(g, b, &g->err) != 0;

    if (g->storing)
        sx_aside_wait(g->storing);
    if (r)
        return;
    if (g->store_err.code != SX_OK)
        g->err = g->store_err;
    else if (g->storing)
        sx_aside_start(g->storing, store, b);
    else
        store(b);
}

/* Makes this buffer the other one, and begins its MD5: only what came, as the rest of the one before
 * was in that one's. */
static struct batch *turn(struct sx_ingest *g, bool last)
{
    struct batch *b = &g->batches[g->turn];

    b->last = last;
    sx_digest_start(g->md5, b->mem + SX_CHUNK_MAX, b->to - SX_CHUNK_MAX);
    g->turn = !g->turn;
    return b;
}

static uint8_t *room(struct batch *b)
{
    if (!b->mem)
        b->mem = sx_malloc(INGEST_BUFFER);
    return b->mem;
}

/* Waits until the other buffer is free, though perhaps not stored, and takes over its rest. */
static int settle(struct sx_ingest *g, struct sx_err *e)
{
    struct batch *b = &g->batches[g->turn], *old = &g->batches[!g->turn];
    size_t rest;

    if (g->preparing)
        sx_aside_wait(g->preparing);
    sx_digest_wait(g->md5);
    if (g->err.code != SX_OK) {
        *e = g->err;
        return -1;
    }
    rest = old->to - old->cut;
    b->from = SX_CHUNK_MAX - rest;
    if (rest)
        memcpy(room(b) + b->from, old->mem + old->cut, rest);
    old->cut = old->from = old->to = SX_CHUNK_MAX;
    return 0;
}

/* A full buffer: it goes its way while the other one fills. */
static int flush(struct sx_ingest *g, struct sx_err *e)
{
    if (settle(g, e) != 0)
        return -1;
    if (!g->preparing) {
        g->preparing = sx_aside_get();
        g->storing = sx_aside_get();
    }
    sx_aside_start(g->preparing, prepare, turn(g, false));
    return 0;
}

int sx_ingest_add(struct sx_ingest *g, const void *p, size_t n, struct sx_err *e)
{
    const uint8_t *from = p;

    if (n > SX_FILE_SIZE_MAX - g->size)
        return sx_err_set(e, SX_ETOOBIG, "the file is larger than %llu bytes", SX_FILE_SIZE_MAX);
    g->size += n;
    while (n > 0) {
        struct batch *b = &g->batches[g->turn];
        size_t now = INGEST_BUFFER - b->to < n ? INGEST_BUFFER - b->to : n;

        memcpy(room(b) + b->to, from, now);
        b->to += now;
        from += now;
        n -= now;
        if (b->to == INGEST_BUFFER && flush(g, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- the end ---- */

/* The whole stream in one record, which goes with the command. */
static int end_inline(struct sx_ingest *g, struct sx_err *e)
{
    struct batch *b = turn(g, true);

    if (cut_and_name(g, b, e) != 0)
        return -1;
    sx_assert(b->n_chunks == 1);
    sx_blocklist_add(&g->list, &b->chunks[0].id, b->chunks[0].len);
    return encode(g, &b->chunks[0], &g->record, e);
}

static int end_blocks(struct sx_ingest *g, struct sx_err *e)
{
    const struct batch *b = &g->batches[g->turn];
    int r;

    if (settle(g, e) != 0)
        return -1;
    if (b->to > b->from) {
        prepare(turn(g, true));
        if (settle(g, e) != 0)
            return -1;
    }
    if (g->storing)
        sx_aside_wait(g->storing);
    if (g->store_err.code != SX_OK) {
        *e = g->store_err;
        return -1;
    }
    sx_app_lock(g->app);
    r = sx_blocklist_end(&g->list, e);
    sx_app_unlock(g->app);
    return r;
}

int sx_ingest_end(struct sx_ingest *g, struct sx_ingest_content *c, struct sx_err *e)
{
    bool is_inline = g->inline_ok && g->size > 0 && g->size <= SX_INLINE_MAX;
    const struct sx_blocklist *l = &g->list;
    uint8_t sum[SX_SHA256];

    if (is_inline ? end_inline(g, e) != 0 : end_blocks(g, e) != 0)
        return -1;
    *c = (struct sx_ingest_content){ .size = g->size, .upload = l->upload, .lease = l->lease };
    c->entries = (struct sx_span){ l->entries.data, l->entries.len };
    c->record = (struct sx_span){ g->record.data, g->record.len };
    memcpy(c->upload_id, l->upload_id, sizeof c->upload_id);
    sx_sha_end(l->etag, sum);
    memcpy(c->etag, sum, sizeof c->etag);
    sx_digest_end(g->md5, c->md5);
    return 0;
}

int sx_ingest_renew(struct sx_ingest *g, struct sx_ingest_content *c, struct sx_err *e)
{
    int r;

    sx_app_lock(g->app);
    r = sx_blocklist_renew(&g->list, e);
    sx_app_unlock(g->app);
    c->lease = g->list.lease;
    return r;
}

void sx_ingest_committed(struct sx_ingest *g)
{
    g->list.committed = true;
}

void sx_ingest_free(struct sx_ingest *g)
{
    if (!g)
        return;
    sx_aside_put(g->preparing); /* which may begin a storing */
    sx_aside_put(g->storing);
    sx_blocklist_fini(&g->list);
    for (size_t i = 0; i < 2; i++) {
        free(g->batches[i].mem);
        sx_buf_fini(&g->batches[i].records);
    }
    sx_digest_free(g->md5);
    sx_buf_fini(&g->record);
    free(g);
}
