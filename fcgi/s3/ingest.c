/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ingest.h.
 */
#include "fcgi/s3/ingest.h"

#include <string.h>

#include "fcgi/s3/digest.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/codec/chunk.h"
#include "libsx/crypt/context.h"

#define INGEST_BUFFER (12u << 20) /* what is cut when it is full: all but the last SX_CHUNK_MAX */
#define CHUNKS_MAX (INGEST_BUFFER / SX_CHUNK_MIN + 1) /* in one buffer */
#define PART_AGE_MS 20000u        /* entries are sent to the upload before their leases grow old */

struct chunk {
    struct sx_id id;
    size_t at;
    uint32_t len;
};

struct sx_ingest {
    struct sx_app *app;
    const char *user;
    const struct sx_volume *volume;
    char *path;
    bool inline_ok;
    struct sx_chunker chunker;
    uint8_t *buffer;
    size_t filled;
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
    g->etag = sx_sha_new();
    g->md5 = sx_digest_new();
    sx_chunker_init(&g->chunker, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    return g;
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

static int cut_and_name(struct sx_ingest *g, size_t keep, size_t *cut, struct sx_err *e)
{
    struct sx_block_ctx *ctx;

    if (sx_app_block_ctx(g->app, &ctx, e) != 0)
        return -1;
    g->n_chunks = 0;
    for (*cut = 0; g->filled - *cut > keep;) {
        struct chunk *c = &g->chunks[g->n_chunks++];

        sx_assert(g->n_chunks <= CHUNKS_MAX);
        c->at = *cut;
        c->len = (uint32_t)sx_chunk_next(&g->chunker, g->buffer + *cut, g->filled - *cut);
        *cut += c->len;
        if (sx_block_id(ctx, g->buffer + c->at, c->len, &c->id, e) != 0)
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
    struct sx_block_ctx *ctx;
    size_t at = sx_record_begin(out);

    if (sx_app_block_ctx(g->app, &ctx, e) != 0 ||
        sx_block_encode(ctx, &c->id, g->buffer + c->at, c->len, g->volume->compression, 0, out,
                        e) != 0)
        return -1;
    sx_record_end(out, at, &c->id);
    return 0;
}

static int store(struct sx_ingest *g, const struct sx_blocks *b, struct sx_err *e)
{
    struct sx_record recs[CHUNKS_MAX];
    size_t n = 0, used = 0;
    uint64_t lease;

    sx_buf_reset(&g->records);
    for (size_t i = 0; i < g->n_chunks; i++) {
        if (g->present[i])
            continue;
        if (encode(g, &g->chunks[i], &g->records, e) != 0)
            return -1;
        n++;
    }
    for (size_t i = 0, at = 0; i < n; i++, at += used)
        if (sx_record_parse(g->records.data + at, g->records.len - at, &recs[i], &used, e) != 0)
            return sx_err_wrap(e, "a record that was just made");
    if (n == 0)
        return 0;
    if (sx_blocks_put(b, g->volume->replica, recs, n, &lease, e) != 0)
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

/* Stores all of the buffer but for at most `keep` bytes, which may belong to a longer chunk. */
static int flush(struct sx_ingest *g, size_t keep, struct sx_err *e)
{
    struct sx_blocks b;
    size_t cut;
    int r;

    if (cut_and_name(g, keep, &cut, e) != 0)
        return -1;
    sx_digest_start(g->md5, g->buffer, cut);
    r = sx_app_blocks(g->app, &b, e) != 0 || look_for(g, &b, e) != 0 || store(g, &b, e) != 0 ||
        list_chunks(g, e) != 0;
    sx_digest_wait(g->md5);
    if (r)
        return -1;
    memmove(g->buffer, g->buffer + cut, g->filled - cut);
    g->filled -= cut;
    return 0;
}

int sx_ingest_add(struct sx_ingest *g, const void *p, size_t n, struct sx_err *e)
{
    const uint8_t *from = p;

    if (n > SX_FILE_SIZE_MAX - g->size)
        return sx_err_set(e, SX_ETOOBIG, "the file is larger than %llu bytes", SX_FILE_SIZE_MAX);
    g->size += n;
    if (!g->buffer)
        g->buffer = sx_malloc(INGEST_BUFFER);
    while (n > 0) {
        size_t now = INGEST_BUFFER - g->filled < n ? INGEST_BUFFER - g->filled : n;

        memcpy(g->buffer + g->filled, from, now);
        g->filled += now;
        from += now;
        n -= now;
        if (g->filled == INGEST_BUFFER && flush(g, SX_CHUNK_MAX, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- the end ---- */

/* The whole stream in one record, which goes with the command. */
static int end_inline(struct sx_ingest *g, struct sx_err *e)
{
    size_t cut;

    if (cut_and_name(g, 0, &cut, e) != 0)
        return -1;
    sx_assert(g->n_chunks == 1);
    sx_digest_start(g->md5, g->buffer, cut);
    sx_digest_wait(g->md5);
    sx_block_entry_add(&g->entries, &g->chunks[0].id, g->chunks[0].len);
    sx_sha_add(g->etag, g->entries.data, g->entries.len);
    return encode(g, &g->chunks[0], &g->record, e);
}

static int end_blocks(struct sx_ingest *g, struct sx_err *e)
{
    if (g->filled && flush(g, 0, e) != 0)
        return -1;
    return g->upload && g->entries.len ? part_send(g, e) : 0;
}

int sx_ingest_end(struct sx_ingest *g, struct sx_ingest_content *c, struct sx_err *e)
{
    uint8_t sum[SX_SHA256];
    bool is_inline = g->inline_ok && g->size == g->filled && g->size <= SX_INLINE_MAX && g->size;

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
    if (lease_again(g, e) != 0)
        return -1;
    c->lease = g->lease;
    return 0;
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
    if (submit(g, &e) != 0) /* it goes by itself after a day */
        sx_warn("an upload could not be given up: %s", e.msg);
}

void sx_ingest_free(struct sx_ingest *g)
{
    if (!g)
        return;
    if (g->upload && !g->committed)
        give_up(g);
    free(g->path);
    free(g->buffer);
    sx_digest_free(g->md5);
    sx_sha_free(g->etag);
    sx_buf_fini(&g->records);
    sx_buf_fini(&g->entries);
    sx_buf_fini(&g->record);
    sx_buf_fini(&g->command);
    sx_buf_fini(&g->result);
    free(g);
}
