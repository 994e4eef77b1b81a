/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole files: small enough to be held in memory until they are committed.  See up.h.
 *
 *   hashed ──► inline or empty ─────────────────────────► ready ──► PUT ──► copied
 *          └─► asked ──► all there ──────────────────────►  ▲        │
 *                    └─► some missing ──► encoded ──────────┘        └─ lease expired: asked again
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/client/up.h"
#include "libsx/codec/record.h"

#define ANSWER_MAX (1u << 20)

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

static void whole_hash(struct sx_job *j, struct sx_worker *w)
{
    struct up_file *f = (struct up_file *)j;
    struct sx_err e = SX_ERR_INIT;
    uint8_t digest[SX_SHA256];

    f->is_inline = f->size > 0 && f->size <= f->u->x.k->inline_max;
    cut_and_hash(f, w, &e);
    sx_sha256(digest, f->entries.data ? (const void *)f->entries.data : "", f->entries.len);
    sx_hex(f->etag, digest, 16);
    if (f->is_inline && e.code == SX_OK)
        encode_chunk(f, &f->chunks[0], w, &e);
    if (e.code != SX_OK)
        up_file_fail(f, &e);
}

static void make_ready(struct up_file *f)
{
    f->next = NULL;
    *f->u->ready_tail = f;
    f->u->ready_tail = &f->next;
}

static void ask_all(struct up_file *f)
{
    size_t n = f->n_chunks;

    f->any_missing = false;
    f->lease_ms = 0;
    f->n_asked = n;
    for (size_t i = 0; i < n; i++)
        up_ask(f->u, &f->chunks[i]);
}

static void whole_hashed(struct sx_job *j)
{
    struct up_file *f = (struct up_file *)j;

    f->u->hashing--;
    if (f->u->x.stop)
        up_file_fail(f, &f->u->x.err);
    if (f->failed)
        up_file_release(f);
    else if (f->is_inline || f->n_chunks == 0)
        make_ready(f);
    else
        ask_all(f);
}

void up_whole_add(struct up_file *f)
{
    f->job.run = whole_hash;
    f->job.done = whole_hashed;
    f->u->hashing++;
    sx_work_add(f->u->x.work, &f->job);
}

static void whole_encode(struct sx_job *j, struct sx_worker *w)
{
    struct up_file *f = (struct up_file *)j;
    struct sx_err e = SX_ERR_INIT;

    sx_buf_reset(&f->records);
    f->n_records = 0;
    for (size_t i = 0; i < f->n_chunks && e.code == SX_OK; i++)
        if (f->chunks[i].missing)
            encode_chunk(f, &f->chunks[i], w, &e);
    if (e.code != SX_OK)
        up_file_fail(f, &e);
}

static void whole_encoded(struct sx_job *j)
{
    struct up_file *f = (struct up_file *)j;

    if (f->u->x.stop)
        up_file_fail(f, &f->u->x.err);
    if (f->failed)
        up_file_release(f);
    else
        make_ready(f);
}

void up_whole_answered(struct up_chunk *c, uint64_t lease_ms)
{
    struct up_file *f = c->file;

    if (!lease_ms)
        f->any_missing = true;
    else if (!f->lease_ms || lease_ms < f->lease_ms)
        f->lease_ms = lease_ms;
    if (--f->n_asked > 0)
        return;
    if (f->failed) {
        up_file_release(f);
    } else if (f->any_missing) {
        f->job.run = whole_encode;
        f->job.done = whole_encoded;
        sx_work_add(f->u->x.work, &f->job);
    } else {
        make_ready(f);
    }
}

/* ---- The request --------------------------------------------------------------------------- */

static void count(struct up_file *f)
{
    struct up *u = f->u;

    u->x.stats->moved += f->records.len;
    if (f->is_inline)
        u->x.bytes_done += f->size;
    for (size_t i = 0; i < f->n_chunks && !f->is_inline; i++)
        if (f->chunks[i].missing)
            u->x.bytes_done += f->chunks[i].len;
}

static void put_done(void *arg, struct sx_call *call)
{
    struct up_file *f = arg;
    struct up *u = f->u;
    struct sx_err e = call->err;

    u->puts--;
    f->calling = false;
    if (e.code == SX_OK && up_commit_check(f, &e) == 0) {
        count(f);
        up_file_copied(f);
        return;
    }
    if (e.code == SX_ELEASE && f->n_chunks && !f->is_inline && f->repeats++ < UP_LEASE_REPEATS &&
        !u->x.stop) {
        for (size_t i = 0; i < f->n_chunks; i++)
            up_known_drop(u, &f->chunks[i].id);
        sx_call_fini(call);
        sx_buf_reset(&f->records);
        f->n_records = 0;
        ask_all(f);
        return;
    }
    up_file_fail(f, &e);
    up_file_release(f);
}

static int put_start(struct up_file *f, struct sx_err *e)
{
    struct up *u = f->u;

    if (up_commit_head(f, (uint32_t)f->n_chunks, f->lease_ms, e))
        return -1;
    sx_call_init(&f->call, "PUT", sx_api_path("files", u->volume, f->path));
    f->call.type = SX_HTTP_MESSAGE;
    f->call.body[0] = (struct iovec){ f->head.data, f->head.len };
    f->call.body[1] = (struct iovec){ f->entries.data, f->entries.len };
    f->call.body[2] = (struct iovec){ f->records.data, f->records.len };
    f->call.n_body = f->records.len ? 3 : f->entries.len ? 2 : 1;
    f->call.answer = &f->answer;
    f->call.answer_max = ANSWER_MAX;
    f->call.done = put_done;
    f->call.arg = f;
    f->calling = true;
    u->puts++;
    sx_call_start(u->x.k, &f->call);
    return 0;
}

void up_whole_start(struct up *u)
{
    while (u->ready && u->puts < UP_PUTS) {
        struct up_file *f = u->ready;
        struct sx_err e = SX_ERR_INIT;

        u->ready = f->next;
        if (!u->ready)
            u->ready_tail = &u->ready;
        if (put_start(f, &e)) {
            up_file_fail(f, &e);
            up_file_release(f);
        }
    }
}
