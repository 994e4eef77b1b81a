/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One file of a download: its metadata and block list, page by page, and what is to be done next.
 *  See down.h.
 */
#include <inttypes.h>
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/client/down.h"
#include "libsx/client/ops.h"
#include "libsx/codec/record.h"

struct down_entry *down_entry(struct down_file *f, uint64_t index)
{
    sx_assert(index >= f->base && index - f->base < f->n);
    return &f->entries[index - f->base];
}

/* ---- The manifest -------------------------------------------------------------------------- */

static int add_entry(struct down_file *f, const uint8_t *raw, uint64_t expires_ms, struct sx_err *e)
{
    struct down_entry *en;

    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->entries = sx_realloc(f->entries, f->cap * sizeof *f->entries);
    }
    en = &f->entries[f->n];
    memset(en, 0, sizeof *en);
    memcpy(en->id.b, raw, SX_ID_SIZE);
    en->len = sx_get_u32(raw + SX_ID_SIZE);
    memcpy(en->ticket, raw + SX_ID_SIZE + 4, DOWN_TICKET_SIZE);
    en->expires_ms = expires_ms;
    en->offset = f->listed_bytes;
    if (en->len == 0 || en->len > SX_BLOCK_PLAIN_MAX || en->len > f->size - f->listed_bytes)
        return sx_err_set(e, SX_EMALFORMED, "the block list does not fit the file's size");
    sx_sha_add(f->sha, raw, SX_ID_SIZE + 4);
    f->listed_bytes += en->len;
    f->n++;
    return 0;
}

/* The whole list was seen: is it the one that the etag names? */
static int check_etag(struct down_file *f, struct sx_err *e)
{
    uint8_t digest[SX_SHA256];
    char hex[33];

    sx_sha_end(f->sha, digest);
    sx_hex(hex, digest, 16);
    if (f->listed_bytes != f->size || strcmp(hex, f->etag))
        return sx_err_set(e, SX_ECORRUPT, "the block list does not match the file's etag");
    f->all_listed = true;
    return 0;
}

static int take_facts(struct down_file *f, const struct down_page *p, struct sx_err *e)
{
    if (f->sha) /* a later page: of the same revision */
        return strcmp(p->etag, f->etag) ?
                   sx_err_set(e, SX_ECONFLICT, "was replaced while it was read; copy it again") :
                   0;
    strcpy(f->rev, p->rev);
    strcpy(f->etag, p->etag);
    f->d->x.bytes_known += p->size - f->size;
    f->size = p->size;
    f->mtime_ns = p->mtime_ns;
    f->mode = p->mode;
    f->sha = sx_sha_new();
    return 0;
}

/* Adds or, where they are known, renews the entries of a page.  The records behind them are noted. */
static int take_page(struct down_file *f, const struct down_page *p, struct sx_err *e)
{
    uint64_t expires = p->expires_ms ? p->expires_ms : 1;
    size_t list = p->count * DOWN_MANIFEST_ENTRY;

    if (take_facts(f, p, e))
        return -1;
    if (p->len < list || p->from > f->base + f->n)
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: the block list is cut off");
    for (uint64_t i = 0; i < p->count; i++) {
        const uint8_t *raw = p->data + i * DOWN_MANIFEST_ENTRY;

        if (p->from + i < f->base)
            continue;
        if (p->from + i < f->base + f->n) {
            struct down_entry *en = down_entry(f, p->from + i);

            memcpy(en->ticket, raw + SX_ID_SIZE + 4, DOWN_TICKET_SIZE);
            en->expires_ms = expires;
        } else if (add_entry(f, raw, expires, e)) {
            return -1;
        }
    }
    f->records = p->data + list;
    f->records_len = p->len - list;
    if (p->count == 0 && f->listed_bytes < f->size)
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: the block list is too short");
    return f->listed_bytes == f->size && !f->all_listed ? check_etag(f, e) : 0;
}

/* ---- Small files: everything came with the first answer ------------------------------------ */

static int write_small(struct down_file *f, struct sx_worker *w, struct sx_err *e)
{
    const uint8_t *p = f->records;
    size_t left = f->records_len;

    for (uint64_t i = 0; i < f->n; i++) {
        struct down_entry *en = down_entry(f, i);
        struct sx_record r;
        size_t used = 0;

        if (sx_record_parse(p, left, &r, &used, e))
            return -1;
        if (!used || !r.len || sx_id_cmp(&r.id, &en->id))
            return sx_err_set(e, SX_EBLOCK, "block %" PRIu64 " is not in the answer", i);
        if (sx_block_decode(w->codec, &en->id, r.stored, r.len, &w->scratch, e))
            return -1;
        if (w->scratch.len != en->len)
            return sx_err_set(e, SX_EBLOCK, "block %" PRIu64 " has %zu bytes, not %u", i,
                              w->scratch.len, en->len);
        if (!f->local)
            sx_buf_add(&f->whole, w->scratch.data, w->scratch.len);
        else if (down_target_write(f, w->scratch.data, en->len, en->offset, e))
            return -1;
        p += used;
        left -= used;
    }
    return 0;
}

static int write_whole(struct down_file *f, struct down_dir *dir, struct sx_worker *w,
                       struct sx_err *e)
{
    if (down_target_open(f, dir, false, e) || write_small(f, w, e))
        return -1;
    return down_target_finish(f, e);
}

void down_file_write(struct down_file *f, struct down_dir *dir, struct sx_worker *w)
{
    if (!f->local)
        (void)!write_small(f, w, &f->err);
    else if (write_whole(f, dir, w, &f->err))
        down_target_drop(f, false);
}

void down_file_written(struct down_file *f)
{
    if (f->err.code == SX_OK && !f->local && f->whole.len &&
        f->d->sink(f->d->sink_arg, f->whole.data, f->whole.len))
        sx_err_set(&f->err, SX_ECANCELED, "stopped by the reader");
    /* A damaged block among the records: block by block there may be a good copy elsewhere. */
    if (f->err.code == SX_EBLOCK) {
        sx_err_clear(&f->err);
        sx_buf_reset(&f->whole);
        f->streaming = true;
        down_file_step(f);
        return;
    }
    if (f->err.code == SX_OK)
        f->d->x.bytes_done += f->size;
    down_file_end(f, f->err.code == SX_OK ? NULL : &f->err);
}

static void small_run(struct sx_job *j, struct sx_worker *w)
{
    struct down_file *f = (struct down_file *)j;

    down_file_write(f, &f->own_dir, w);
}

static void small_done(struct sx_job *j)
{
    down_file_written((struct down_file *)j);
}

/* ---- Pages --------------------------------------------------------------------------------- */

void down_file_fail(struct down_file *f, const struct sx_err *why)
{
    f->failed = true;
    f->err = *why;
    down_file_step(f);
}

/* One of many that the node did not give: alone, it is asked of the other nodes, too. */
static bool ask_alone(struct down_file *f, const struct sx_err *why)
{
    if (f->alone || f->sha || f->d->x.stop || sx_err_retry(why->code) == SX_RETRY_NO)
        return false;
    down_file_fetch(f);
    return true;
}

void down_file_refused(struct down_file *f, const struct sx_err *why)
{
    if (!ask_alone(f, why))
        down_file_fail(f, why);
}

bool down_file_page(struct down_file *f, const struct down_page *p)
{
    struct sx_err e = SX_ERR_INIT;
    bool first = !f->sha;

    if (take_page(f, p, &e)) {
        down_file_refused(f, &e);
        return false;
    }
    f->d->x.stats->moved += f->records_len;
    if (first && f->all_listed && p->records == f->n)
        return true;
    f->streaming = true;
    down_file_step(f);
    return false;
}

/* What GET of a file answers. */
static int read_page(const struct sx_message *m, struct down_page *p, struct sx_err *e)
{
    struct sx_file_info info;

    if (sx_file_read(m->json, &info, e) ||
        sx_json_u64(m->json, "from", 0, INT64_MAX, &p->from, e) ||
        sx_json_need_u64(m->json, "count", DOWN_PAGE, &p->count, e) ||
        sx_json_u64(m->json, "records", 0, p->count, &p->records, e) ||
        sx_json_need_u64(m->json, "expires_ms", INT64_MAX, &p->expires_ms, e))
        return -1;
    if (strlen(info.rev) >= sizeof p->rev || strlen(info.etag) >= sizeof p->etag)
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: revision or etag is too long");
    strcpy(p->rev, info.rev);
    strcpy(p->etag, info.etag);
    p->size = info.size;
    p->mtime_ns = info.mtime_ns;
    p->mode = info.mode;
    p->data = m->data;
    p->len = m->len;
    return 0;
}

static void page_done(void *arg, struct sx_call *call)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    struct down_file *f = arg;
    struct sx_err e = call->err;
    struct down_page p;

    f->paging = false;
    sx_call_fini(call);
    if (e.code != SX_OK || sx_message_parse(&m, f->answer.data, f->answer.len, &e) ||
        read_page(&m, &p, &e)) {
        down_file_fail(f, &e);
    } else if (down_file_page(f, &p)) {
        f->job.run = small_run;
        f->job.done = small_done;
        sx_work_add(f->d->x.work, &f->job);
    }
}

static void page_start(struct down_file *f, uint64_t from)
{
    struct sx_buf q = SX_BUF_INIT;

    sx_buf_printf(&q, "from=%" PRIu64, from);
    if (*f->rev)
        sx_buf_printf(&q, "&rev=%s", f->rev);
    else
        sx_buf_printf(&q, "&data=%u", DOWN_SMALL_MAX);
    sx_call_init(&f->call, "GET", sx_api_path("files", f->d->volume, f->path));
    f->call.query = (char *)q.data;
    f->call.answer = &f->answer;
    f->call.answer_max = SX_MESSAGE_ANSWER_MAX;
    f->call.done = page_done;
    f->call.arg = f;
    f->alone = true;
    f->paging = true;
    sx_call_start(f->d->x.k, &f->call);
}

void down_file_fetch(struct down_file *f)
{
    page_start(f, 0);
}

static void page_if_due(struct down_file *f)
{
    uint64_t end = f->base + f->n;

    if (f->paging)
        return;
    if (f->refresh != UINT64_MAX) {
        uint64_t from = f->refresh > f->base ? f->refresh : f->base;

        f->refresh = UINT64_MAX;
        if (from < end)
            page_start(f, from);
    } else if (!f->all_listed && end - f->todo < DOWN_PAGES_AHEAD) {
        page_start(f, end);
    }
}

/* ---- Streams ------------------------------------------------------------------------------- */

static void open_run(struct sx_job *j, struct sx_worker *w)
{
    struct down_file *f = (struct down_file *)j;

    (void)!down_target_open(f, &f->own_dir, true, &f->err);
}

static void opened(struct sx_job *j)
{
    struct down_file *f = (struct down_file *)j;

    f->groups--;
    if (f->err.code != SX_OK)
        f->failed = true;
    down_file_step(f);
}

static void finish_run(struct sx_job *j, struct sx_worker *w)
{
    struct down_file *f = (struct down_file *)j;

    (void)!down_target_finish(f, &f->err);
}

static void finished(struct sx_job *j)
{
    struct down_file *f = (struct down_file *)j;

    f->groups--;
    down_file_end(f, f->err.code == SX_OK ? NULL : &f->err);
}

static void run(struct down_file *f, void (*work)(struct sx_job *, struct sx_worker *),
                void (*done)(struct sx_job *))
{
    f->groups++;
    f->job.run = work;
    f->job.done = done;
    sx_work_add(f->d->x.work, &f->job);
}

/* Gives to the sink what has its turn; forgets the entries that are done. */
static void advance(struct down_file *f)
{
    uint64_t n = 0;

    while (n < f->n && (f->entries[n].state == DOWN_DONE || f->entries[n].state == DOWN_HELD)) {
        struct down_entry *en = &f->entries[n];

        if (en->state == DOWN_HELD) {
            if (!f->failed && f->d->sink(f->d->sink_arg, en->plain, en->len)) {
                sx_err_set(&f->err, SX_ECANCELED, "stopped by the reader");
                f->failed = true;
            }
            free(SX_STEAL(en->plain));
            en->state = DOWN_DONE;
        }
        n++;
    }
    /* Moving the rest is dear: only when there is little of it, or for the window of a sink. */
    if (n == 0 || (f->local && n < f->n && n < DOWN_PAGE))
        return;
    f->n -= n;
    f->base += n;
    memmove(f->entries, f->entries + n, f->n * sizeof *f->entries);
}

void down_file_step(struct down_file *f)
{
    if (f->d->x.stop && !f->failed) {
        f->failed = true;
        f->err = f->d->x.err;
    }
    if (!f->failed)
        advance(f);
    if (f->failed) {
        if (!f->groups && !f->paging)
            down_file_end(f, &f->err);
        return;
    }
    if (f->finishing || !f->sha)
        return;
    if (f->local && f->fd < 0) {
        if (!f->groups)
            run(f, open_run, opened);
        return;
    }
    page_if_due(f);
    down_groups_start(f);
    if (f->all_listed && !f->groups && !f->paging && f->todo >= f->base + f->n) {
        f->finishing = true;
        if (f->local)
            run(f, finish_run, finished);
        else
            down_file_end(f, NULL);
    }
}
