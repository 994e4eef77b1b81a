/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ingest.h.
 */
#include "fcgi/s3/ingest.h"

#include <string.h>

#include "fcgi/s3/aside.h"
#include "fcgi/s3/digest.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/codec/chunk.h"
#include "libsx/crypt/context.h"

#define FILL_MAX (8u << 20) /* what a buffer takes in, behind the rest of the one before */
#define INGEST_BUFFER (SX_CHUNK_MAX + FILL_MAX)
#define CHUNKS_MAX (INGEST_BUFFER / SX_CHUNK_MIN + 1) /* in one buffer */
#define PART_AGE_MS 20000u        /* entries are sent to the upload before their leases grow old */

struct chunk {
    struct sx_id id;
    const uint8_t *p;
    uint32_t len;
};

/* Bytes of the stream.  What comes is put at SX_CHUNK_MAX; the last bytes of the buffer before, which may
 * belong to a longer chunk, get in front of it when that one is done. */
struct fill {
    uint8_t *mem;
    size_t from, to;
    size_t keep; /* so much of its end may be left to the next one */
};

struct sx_ingest {
    struct sx_app *app;
    struct sx_block_ctx *domain; /* NULL: the cluster's */
    const char *user;
    const struct sx_volume *volume;
    char *path;
    bool inline_ok;
    struct sx_chunker chunker;
    struct fill fills[2];
    unsigned turn;          /* the one that takes in what comes; the other is being stored */
    struct sx_aside *aside; /* stores it; NULL until a buffer was full */
    size_t cut;             /* where what the stored one has left begins */
    struct sx_err err;      /* of the storing */
    struct sx_digest *md5;
    struct chunk chunks[CHUNKS_MAX];
    size_t n_chunks;
    uint8_t present[CHUNKS_MAX];
    struct sx_buf records, entries, record;
    struct sx_sha *etag;
    uint64_t size, lease;
    uint64_t leased_ms;  /* monotonic: when the first of `entries` was leased; 0: none */
    bool upload;         /* begun */
    bool committed;
    uint8_t upload_id[SX_UPLOAD_ID];
    uint32_t seq;
    struct sx_buf command, result;
};

struct sx_ingest *sx_ingest_new(struct sx_app *app, const char *user,
                                const struct sx_volume *volume, const char *path, bool inline_ok)
{
    struct sx_ingest *g = sx_calloc(1, sizeof *g);

    g->app = app;
    g->user = user;
    g->volume = volume;
    g->path = sx_strdup(path);
    g->inline_ok = inline_ok;
    g->lease = UINT64_MAX;
    for (size_t i = 0; i < 2; i++)
        g->fills[i].from = g->fills[i].to = SX_CHUNK_MAX;
    g->cut = SX_CHUNK_MAX;
    g->etag = sx_sha_new();
    g->md5 = sx_digest_new();
    sx_chunker_init(&g->chunker, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    return g;
}

void sx_ingest_under(struct sx_ingest *g, struct sx_block_ctx *ctx)
{
    g->domain = ctx;
}

/* ---- commands ---- */

static int submit(struct sx_ingest *g, struct sx_err *e)
{
    sx_buf_reset(&g->result);
    return sx_meta_submit(g->app->meta, sx_meta_group_of_volume(g->volume->id), &g->command,
                          &g->result, SX_META_TIMEOUT_MS, e);
}

static int upload_begin(struct sx_ingest *g, struct sx_err *e)
{
    struct sx_cmd_upload_begin c = { .volume = g->volume->name, .path = g->path };
    uint8_t op[SX_OP_ID];

    if (g->upload)
        return 0;
    sx_random(op, sizeof op);
    sx_random(g->upload_id, sizeof g->upload_id);
    memcpy(c.upload, g->upload_id, sizeof c.upload);
    sx_buf_reset(&g->command);
    sx_cmd_upload_begin_encode(&g->command, op, g->user, &c);
    if (submit(g, e) != 0)
        return -1;
    g->upload = true;
    return 0;
}

static void entries_sent(struct sx_ingest *g)
{
    sx_buf_reset(&g->entries);
    g->lease = UINT64_MAX;
    g->leased_ms = 0;
}

static int lease_again(struct sx_ingest *g, struct sx_err *e);

/* Sends the entries as the next part of the upload. */
static int part_send(struct sx_ingest *g, struct sx_err *e)
{
    struct sx_cmd_upload_part c = { .seq = g->seq, .lease = g->lease };
    uint8_t op[SX_OP_ID];

    if (upload_begin(g, e) != 0)
        return -1;
    c.entries = (struct sx_span){ g->entries.data, g->entries.len };
    memcpy(c.upload, g->upload_id, sizeof c.upload);
    for (bool again = false;; again = true) {
        sx_random(op, sizeof op);
        sx_buf_reset(&g->command);
        sx_cmd_upload_part_encode(&g->command, op, g->user, &c);
        if (submit(g, e) == 0)
            break;
        if (again || e->code != SX_ELEASE)
            return -1;
        sx_err_clear(e);
        if (lease_again(g, e) != 0)
            return -1;
        c.lease = g->lease;
    }
    g->seq++;
    entries_sent(g);
    return 0;
}

/* ---- blocks ---- */

static int cut_and_name(struct sx_ingest *g, const struct fill *f, struct sx_err *e)
{
    struct sx_block_ctx *ctx = g->domain;

    if (!ctx && sx_app_block_ctx(g->app, &ctx, e) != 0)
        return -1;
    g->n_chunks = 0;
    for (g->cut = f->from; f->to - g->cut > f->keep;) {
        struct chunk *c = &g->chunks[g->n_chunks++];

        sx_assert(g->n_chunks <= CHUNKS_MAX);
        c->p = f->mem + g->cut;
        c->len = (uint32_t)sx_chunk_next(&g->chunker, c->p, f->to - g->cut);
        g->cut += c->len;
        if (sx_block_id(ctx, c->p, c->len, &c->id, e) != 0)
            return -1;
    }
    return 0;
}

static void leased(struct sx_ingest *g, uint64_t lease)
{
    if (lease < g->lease)
        g->lease = lease;
    if (!g->leased_ms)
        g->leased_ms = sx_mono_ms();
}

/* What the cluster has, and what comes twice in this buffer, is not stored. */
static int look_for(struct sx_ingest *g, const struct sx_blocks *b, struct sx_err *e)
{
    struct sx_id ids[CHUNKS_MAX];
    uint64_t lease;

    for (size_t i = 0; i < g->n_chunks; i++)
        ids[i] = g->chunks[i].id;
    if (sx_blocks_have(b, g->volume->replica, ids, g->n_chunks, g->present, &lease, e) != 0)
        return -1;
    leased(g, lease);
    for (size_t i = 1; i < g->n_chunks; i++)
        for (size_t k = 0; k < i && !g->present[i]; k++)
            g->present[i] = sx_id_cmp(&ids[i], &ids[k]) == 0;
    return 0;
}

static int encode(struct sx_ingest *g, const struct chunk *c, struct sx_buf *out, struct sx_err *e)
{
    struct sx_block_ctx *ctx = g->domain;
    size_t at = sx_record_begin(out);

    if ((!ctx && sx_app_block_ctx(g->app, &ctx, e) != 0) ||
        sx_block_encode(ctx, &c->id, c->p, c->len, g->volume->compression, 0, out, e) != 0)
        return -1;
    sx_record_end(out, at, &c->id);
    return 0;
}

static int store(struct sx_ingest *g, const struct sx_blocks *b, struct sx_err *e)
{
    struct sx_record recs[CHUNKS_MAX];
    size_t n = 0;
    uint64_t lease;

    sx_buf_reset(&g->records);
    for (size_t i = 0; i < g->n_chunks; i++) {
        if (g->present[i])
            continue;
        if (encode(g, &g->chunks[i], &g->records, e) != 0)
            return -1;
        n++;
    }
    if (n == 0)
        return 0;
    if (sx_records_parse(g->records.data, g->records.len, n, recs, e) != 0 ||
        sx_blocks_put(b, g->volume->replica, recs, n, &lease, e) != 0)
        return -1;
    leased(g, lease);
    return 0;
}

static int list_chunks(struct sx_ingest *g, struct sx_err *e)
{
    for (size_t i = 0; i < g->n_chunks; i++) {
        size_t at = g->entries.len;

        sx_block_entry_add(&g->entries, &g->chunks[i].id, g->chunks[i].len);
        sx_sha_add(g->etag, g->entries.data + at, SX_ENTRY_SIZE);
    }
    if (g->entries.len > (SX_PART_ENTRIES_MAX - CHUNKS_MAX) * SX_ENTRY_SIZE ||
        (g->leased_ms && sx_mono_ms() - g->leased_ms > PART_AGE_MS))
        return part_send(g, e);
    return 0;
}

/* Stores what the buffer of the other turn has, but for what it may keep. */
static void store_fill(void *arg)
{
    struct sx_ingest *g = arg;
    const struct fill *f = &g->fills[!g->turn];
    struct sx_blocks b;

    sx_app_lock(g->app);
    (void)!(cut_and_name(g, f, &g->err) != 0 || sx_app_blocks(g->app, &b, &g->err) != 0 ||
            look_for(g, &b, &g->err) != 0 || store(g, &b, &g->err) != 0 ||
            list_chunks(g, &g->err) != 0);
    sx_app_unlock(g->app);
}

/* Makes this buffer the other one, and begins its MD5: only what came, as the rest of the one before
 * was in that one's. */
static void turn(struct sx_ingest *g, size_t keep)
{
    struct fill *f = &g->fills[g->turn];

    f->keep = keep;
    sx_digest_start(g->md5, f->mem + SX_CHUNK_MAX, f->to - SX_CHUNK_MAX);
    g->turn = !g->turn;
}

static uint8_t *room(struct fill *f)
{
    if (!f->mem)
        f->mem = sx_malloc(INGEST_BUFFER);
    return f->mem;
}

/* Waits until the other buffer is stored, and takes over its rest. */
static int settle(struct sx_ingest *g, struct sx_err *e)
{
    struct fill *f = &g->fills[g->turn], *old = &g->fills[!g->turn];
    size_t rest;

    if (g->aside)
        sx_aside_wait(g->aside);
    sx_digest_wait(g->md5);
    if (g->err.code != SX_OK) {
        *e = g->err;
        return -1;
    }
    rest = old->to - g->cut;
    f->from = SX_CHUNK_MAX - rest;
    if (rest)
        memcpy(room(f) + f->from, old->mem + g->cut, rest);
    g->cut = old->from = old->to = SX_CHUNK_MAX;
    return 0;
}

/* A full buffer: it is stored while the other one fills. */
static int flush(struct sx_ingest *g, struct sx_err *e)
{
    if (settle(g, e) != 0)
        return -1;
    if (!g->aside)
        g->aside = sx_aside_get();
    turn(g, SX_CHUNK_MAX);
    sx_aside_start(g->aside, store_fill, g);
    return 0;
}

int sx_ingest_add(struct sx_ingest *g, const void *p, size_t n, struct sx_err *e)
{
    const uint8_t *from = p;

    if (n > SX_FILE_SIZE_MAX - g->size)
        return sx_err_set(e, SX_ETOOBIG, "the file is larger than %llu bytes", SX_FILE_SIZE_MAX);
    g->size += n;
    while (n > 0) {
        struct fill *f = &g->fills[g->turn];
        size_t now = INGEST_BUFFER - f->to < n ? INGEST_BUFFER - f->to : n;

        memcpy(room(f) + f->to, from, now);
        f->to += now;
        from += now;
        n -= now;
        if (f->to == INGEST_BUFFER && flush(g, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- the end ---- */

/* The whole stream in one record, which goes with the command. */
static int end_inline(struct sx_ingest *g, struct sx_err *e)
{
    struct fill *f = &g->fills[g->turn];

    turn(g, 0);
    if (cut_and_name(g, f, e) != 0)
        return -1;
    sx_assert(g->n_chunks == 1);
    sx_block_entry_add(&g->entries, &g->chunks[0].id, g->chunks[0].len);
    sx_sha_add(g->etag, g->entries.data, g->entries.len);
    return encode(g, &g->chunks[0], &g->record, e);
}

static int end_blocks(struct sx_ingest *g, struct sx_err *e)
{
    const struct fill *f = &g->fills[g->turn];
    int r = 0;

    if (settle(g, e) != 0)
        return -1;
    if (f->to > f->from) {
        turn(g, 0);
        store_fill(g);
        if (settle(g, e) != 0)
            return -1;
    }
    sx_app_lock(g->app);
    if (g->upload && g->entries.len)
        r = part_send(g, e);
    sx_app_unlock(g->app);
    return r;
}

int sx_ingest_end(struct sx_ingest *g, struct sx_ingest_content *c, struct sx_err *e)
{
    uint8_t sum[SX_SHA256];
    bool is_inline = g->inline_ok && g->size > 0 && g->size <= SX_INLINE_MAX;

    if (is_inline ? end_inline(g, e) != 0 : end_blocks(g, e) != 0)
        return -1;
    *c = (struct sx_ingest_content){ .size = g->size, .upload = g->upload, .lease = g->lease };
    c->entries = (struct sx_span){ g->entries.data, g->entries.len };
    c->record = (struct sx_span){ g->record.data, g->record.len };
    memcpy(c->upload_id, g->upload_id, sizeof c->upload_id);
    sx_sha_end(g->etag, sum);
    memcpy(c->etag, sum, sizeof c->etag);
    sx_digest_end(g->md5, c->md5);
    return 0;
}

/* Leases again what is in `entries`. */
static int lease_again(struct sx_ingest *g, struct sx_err *e)
{
    size_t n = g->entries.len / SX_ENTRY_SIZE;
    SX_AUTO_FREE struct sx_id *ids = sx_calloc(n + 1, sizeof *ids);
    SX_AUTO_FREE uint8_t *present = sx_calloc(n + 1, 1);
    struct sx_blocks b;
    uint32_t len;

    for (size_t i = 0; i < n; i++)
        sx_block_entry_get(g->entries.data + i * SX_ENTRY_SIZE, &ids[i], &len);
    if (sx_app_blocks(g->app, &b, e) != 0 ||
        sx_blocks_have(&b, g->volume->replica, ids, n, present, &g->lease, e) != 0)
        return -1;
    if (memchr(present, 0, n))
        return sx_err_set(e, SX_EUNAVAIL, "the upload took too long and has to be made again");
    g->leased_ms = sx_mono_ms();
    return 0;
}

int sx_ingest_renew(struct sx_ingest *g, struct sx_ingest_content *c, struct sx_err *e)
{
    int r;

    sx_app_lock(g->app);
    r = lease_again(g, e);
    sx_app_unlock(g->app);
    c->lease = g->lease;
    return r;
}

void sx_ingest_committed(struct sx_ingest *g)
{
    g->committed = true;
}

static void give_up(struct sx_ingest *g)
{
    struct sx_cmd_upload_abort c;
    struct sx_err e = SX_ERR_INIT;
    uint8_t op[SX_OP_ID];

    memcpy(c.upload, g->upload_id, sizeof c.upload);
    sx_random(op, sizeof op);
    sx_buf_reset(&g->command);
    sx_cmd_upload_abort_encode(&g->command, op, g->user, &c);
    sx_app_lock(g->app);
    if (submit(g, &e) != 0) /* it goes by itself after a day */
        sx_warn("an upload could not be given up: %s", e.msg);
    sx_app_unlock(g->app);
}

void sx_ingest_free(struct sx_ingest *g)
{
    if (!g)
        return;
    sx_aside_put(g->aside);
    if (g->upload && !g->committed)
        give_up(g);
    free(g->path);
    free(g->fills[0].mem);
    free(g->fills[1].mem);
    sx_digest_free(g->md5);
    sx_sha_free(g->etag);
    sx_buf_fini(&g->records);
    sx_buf_fini(&g->entries);
    sx_buf_fini(&g->record);
    sx_buf_fini(&g->command);
    sx_buf_fini(&g->result);
    free(g);
}
