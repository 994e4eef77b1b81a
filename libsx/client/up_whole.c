/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole files: small enough to be held in memory until they are committed.  See up.h.
 *
 *   hashed ──► inline or empty ─────────────────────────► ready ──► sent (up_put.c) ──► copied
 *          └─► asked ──► all there ──────────────────────►  ▲        │
 *                    └─► some missing ──► encoded ──────────┘        └─ lease expired: asked again
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/client/up.h"
#include "libsx/codec/record.h"

static void cut_and_hash(struct up_file *f, struct sx_worker *w, struct sx_err *e)
{
    struct up *u = f->u;
    size_t left = f->size, most = f->size / u->chunker.min + 2;
    const uint8_t *p = f->content;

    f->chunks = sx_calloc(most, sizeof *f->chunks);
    while (left > 0) {
        struct up_chunk *c = &f->chunks[f->n_chunks];
        size_t n = f->is_inline ? left : sx_chunk_next(&u->chunker, p, left);

        sx_assert(f->n_chunks < most && n > 0 && n <= left);
        c->file = f;
        c->data = p;
        c->len = (uint32_t)n;
        if (sx_block_id(w->codec, p, n, &c->id, e))
            return;
        sx_buf_add(&f->entries, c->id.b, SX_ID_SIZE);
        sx_buf_u32(&f->entries, c->len);
        f->n_chunks++;
        p += n;
        left -= n;
    }
}

static void encode_chunk(struct up_file *f, struct up_chunk *c, struct sx_worker *w,
                         struct sx_err *e)
{
    size_t at = sx_record_begin(&f->records);

    if (sx_block_encode(w->codec, &c->id, c->data, c->len, f->u->codec, 0, &f->records, e))
        return;
    sx_record_end(&f->records, at, &c->id);
    f->n_records++;
}

/* What comes from a pipe has its content already. */
void up_whole_hash(struct up_file *f, struct sx_worker *w)
{
    struct sx_err e = SX_ERR_INIT;
    uint8_t digest[SX_SHA256];

    if (!f->content && up_read_whole(f, &e)) {
        up_file_fail(f, &e);
        return;
    }
    f->is_inline = f->size > 0 && f->size <= f->u->x.k->inline_max;
    cut_and_hash(f, w, &e);
    sx_sha256(digest, f->entries.data ? (const void *)f->entries.data : "", f->entries.len);
    sx_hex(f->etag, digest, 16);
    if (f->is_inline && e.code == SX_OK)
        encode_chunk(f, &f->chunks[0], w, &e);
    if (e.code != SX_OK)
        up_file_fail(f, &e);
}

static void ask_all(struct up_file *f)
{
    size_t n = f->n_chunks;

    f->any_missing = false;
    f->lease = 0;
    f->n_asked = n;
    for (size_t i = 0; i < n; i++)
        up_ask(f->u, &f->chunks[i]);
}

void up_whole_hashed(struct up_file *f)
{
    if (f->u->x.stop)
        up_file_fail(f, &f->u->x.err);
    if (f->failed)
        up_file_release(f);
    else if (f->is_inline || f->n_chunks == 0)
        up_put_ready(f);
    else
        ask_all(f);
}

void up_whole_encode(struct up_file *f, struct sx_worker *w)
{
    struct sx_err e = SX_ERR_INIT;

    sx_buf_reset(&f->records);
    f->n_records = 0;
    for (size_t i = 0; i < f->n_chunks && e.code == SX_OK; i++)
        if (f->chunks[i].missing)
            encode_chunk(f, &f->chunks[i], w, &e);
    if (e.code != SX_OK)
        up_file_fail(f, &e);
}

void up_whole_encoded(struct up_file *f)
{
    if (f->u->x.stop)
        up_file_fail(f, &f->u->x.err);
    if (f->failed)
        up_file_release(f);
    else
        up_put_ready(f);
}

void up_whole_answered(struct up_chunk *c, uint64_t lease)
{
    struct up_file *f = c->file;

    if (!lease)
        f->any_missing = true;
    else if (!f->lease || lease < f->lease)
        f->lease = lease;
    if (--f->n_asked > 0)
        return;
    if (f->failed) {
        up_file_release(f);
    } else if (f->any_missing) {
        up_gather_add(&f->u->to_encode, f);
    } else {
        up_put_ready(f);
    }
}

/* ---- The end ------------------------------------------------------------------------------- */

static void count(struct up_file *f)
{
    struct up *u = f->u;

    u->x.stats->moved += f->moved;
    if (f->is_inline)
        u->x.bytes_done += f->size;
    for (size_t i = 0; i < f->n_chunks && !f->is_inline; i++)
        if (f->chunks[i].missing)
            u->x.bytes_done += f->chunks[i].len;
}

/* The cluster may have collected blocks meanwhile. */
static bool ask_again(struct up_file *f, const struct sx_err *why)
{
    struct up *u = f->u;

    if (why->code != SX_ELEASE || !f->n_chunks || f->is_inline || u->x.stop ||
        f->repeats++ >= UP_LEASE_REPEATS)
        return false;
    for (size_t i = 0; i < f->n_chunks; i++)
        up_known_drop(u, &f->chunks[i].id);
    sx_buf_reset(&f->records);
    f->n_records = 0;
    ask_all(f);
    return true;
}

void up_whole_end(struct up_file *f, const struct sx_err *why)
{
    if (why->code == SX_OK) {
        count(f);
        up_file_copied(f);
    } else if (!ask_again(f, why)) {
        up_file_fail(f, why);
        up_file_release(f);
    }
}
