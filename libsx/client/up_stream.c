/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Streams: files too long to be held, or of unknown length.  See up.h.
 *
 * The block list is kept in parts.  A list of one part goes with the commit; as soon as there is
 * a second part, an upload is begun and each part is sent, in order, when all its blocks are
 * stored; what was sent is forgotten here.
 *
 *   entry:  hashed (filled) ──► the cluster has and leases the block (settled)
 *   part:   filled and settled to its end ──► sent, or committed
 *           lease expired, or too old ──► its blocks are asked for again, and what is gone is read again
 */
#include <inttypes.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/client/up.h"
#include "libsx/http/message.h"

#define ANSWER_MAX (1u << 20)

/* ---- Entries ------------------------------------------------------------------------------- */

static struct up_part *part_of(struct up_file *f, uint64_t index)
{
    uint64_t seq = index / UP_PART_ENTRIES;
    struct up_part **p = &f->parts;

    while (*p && (*p)->seq < seq)
        p = &(*p)->next;
    if (!*p || (*p)->seq != seq) {
        struct up_part *fresh = sx_calloc(1, sizeof *fresh);

        sx_assert(seq >= f->parts_sent);
        fresh->seq = seq;
        fresh->next = *p;
        *p = fresh;
        f->parts_made++;
    }
    return *p;
}

static uint32_t entry_len(const struct up_part *p, uint64_t i)
{
    return sx_get_u32(p->entries + i * UP_ENTRY_SIZE + SX_ID_SIZE);
}

/* The etag takes the entries in their order, which is not that in which they are hashed. */
static void take_in_order(struct up_file *f)
{
    for (;;) {
        struct up_part *p = f->parts;
        uint64_t i = f->ordered % UP_PART_ENTRIES, seq = f->ordered / UP_PART_ENTRIES;

        while (p && p->seq != seq)
            p = p->next;
        if (!p || !entry_len(p, i))
            return;
        sx_sha_add(f->sha, p->entries + i * UP_ENTRY_SIZE, UP_ENTRY_SIZE);
        f->ordered++;
    }
}

static void list_stream(struct up_file *f)
{
    if (f->listed)
        return;
    f->listed = true;
    f->sha = sx_sha_new();
    f->next_stream = f->u->streams;
    f->u->streams = f;
}

static void chunk_hash(struct sx_job *j, struct sx_worker *w)
{
    struct up_chunk *c = (struct up_chunk *)j;
    struct sx_err e = SX_ERR_INIT;

    if (sx_block_id(w->codec, c->data, c->len, &c->id, &e))
        up_file_fail(c->file, &e);
}

static void chunk_hashed(struct sx_job *j)
{
    struct up_chunk *c = (struct up_chunk *)j;
    struct up_file *f = c->file;
    struct up_part *p;
    uint64_t i = c->index % UP_PART_ENTRIES;

    f->u->working--;
    list_stream(f);
    f->alive++;
    f->hashed++;
    f->size += c->len;
    if (f->u->x.stop)
        up_file_fail(f, &f->u->x.err);
    if (f->failed) {
        up_stream_settled(c, 0);
        return;
    }
    p = part_of(f, c->index);
    p->offsets[i] = c->offset;
    memcpy(p->entries + i * UP_ENTRY_SIZE, c->id.b, SX_ID_SIZE);
    sx_put_u32(p->entries + i * UP_ENTRY_SIZE + SX_ID_SIZE, c->len);
    p->filled++;
    take_in_order(f);
    up_ask(f->u, c);
}

void up_stream_chunk(struct up_chunk *c)
{
    c->job.run = chunk_hash;
    c->job.done = chunk_hashed;
    c->file->u->working++;
    sx_work_add(c->file->u->x.work, &c->job);
}

static void ended(struct sx_job *j)
{
    struct up_file *f = (struct up_file *)j;

    list_stream(f);
    f->ended = true;
    if (f->u->x.stop)
        up_file_fail(f, &f->u->x.err);
    up_stream_step(f);
}

void up_stream_end(struct up_file *f)
{
    f->job.done = ended;
    sx_work_post(f->u->x.work, &f->job);
}

void up_stream_settled(struct up_chunk *c, uint64_t lease)
{
    struct up_file *f = c->file;

    if (lease && !f->failed) {
        struct up_part *p = part_of(f, c->index);

        p->settled++;
        p->is_settled[c->index % UP_PART_ENTRIES] = true;
        if (!p->lease || lease < p->lease)
            p->lease = lease;
        if (!p->asked_ms)
            p->asked_ms = sx_mono_ms();
    }
    up_chunk_free(c);
    up_stream_step(f);
}

/* What is settled of the part goes through `have` again, and so do, later, those that are not: all
 * get fresh leases. */
static void ask_again(struct up_file *f, struct up_part *p)
{
    uint32_t n = p->filled;

    p->lease = p->asked_ms = 0;
    for (uint32_t i = 0; i < UP_PART_ENTRIES && n > 0; i++) {
        struct up_chunk *c;

        n -= entry_len(p, i) > 0;
        if (!p->is_settled[i])
            continue;
        p->is_settled[i] = false;
        p->settled--;
        c = sx_calloc(1, sizeof *c);
        c->file = f;
        c->index = p->seq * UP_PART_ENTRIES + i;
        c->offset = p->offsets[i];
        c->len = entry_len(p, i);
        memcpy(c->id.b, p->entries + i * UP_ENTRY_SIZE, SX_ID_SIZE);
        f->alive++;
        up_known_drop(f->u, &c->id);
        up_ask(f->u, c);
    }
}

/* Streams that come or go slowly: what is stored already must not be dropped before the end. */
void up_stream_renew(struct up *u)
{
    uint64_t now = sx_mono_ms();

    for (struct up_file *f = u->streams; f; f = f->next_stream)
        for (struct up_part *p = f->parts; p && !f->calling && !f->failed; p = p->next)
            if (p->asked_ms && now - p->asked_ms > u->x.k->lease_ms / UP_RENEW_PART)
                ask_again(f, p);
}

/* ---- Requests ------------------------------------------------------------------------------ */

static void call_start(struct up_file *f, void (*done)(void *arg, struct sx_call *c))
{
    f->call.answer = &f->answer;
    f->call.answer_max = ANSWER_MAX;
    f->call.done = done;
    f->call.arg = f;
    f->calling = true;
    sx_call_start(f->u->x.k, &f->call);
}

/* The end of any request of a stream.  True if it went well. */
static bool call_over(struct up_file *f, struct sx_err *e)
{
    f->calling = false;
    sx_call_fini(&f->call);
    if (e->code == SX_OK)
        return true;
    if (e->code == SX_ELEASE && f->parts && f->parts->repeats++ < UP_LEASE_REPEATS &&
        !f->u->x.stop)
        ask_again(f, f->parts);
    else
        up_file_fail(f, e);
    return false;
}

static void begun(void *arg, struct sx_call *call)
{
    struct up_file *f = arg;
    struct sx_err e = call->err;
    SX_AUTO_JSON json_t *j = NULL;
    const char *id;

    if (e.code == SX_OK && (j = sx_json_parse(f->answer.data, f->answer.len, &e)) &&
        sx_json_need_str(j, "upload", &id, &e) == 0) {
        if (strlen(id) < sizeof f->upload)
            strcpy(f->upload, id);
        else
            sx_err_set(&e, SX_EMALFORMED, "answer of the cluster: the upload's id is too long");
    }
    call_over(f, &e);
    up_stream_step(f);
}

static void begin(struct up_file *f)
{
    SX_AUTO_JSON json_t *j = json_pack("{s:s,s:s}", "volume", f->u->volume, "path", f->path);

    sx_buf_reset(&f->head);
    sx_json_dump(&f->head, j);
    sx_call_init(&f->call, "POST", sx_strdup(SX_API "/uploads"));
    f->call.type = SX_HTTP_JSON;
    f->call.body[0] = (struct iovec){ f->head.data, f->head.len };
    f->call.n_body = 1;
    call_start(f, begun);
}

static void part_sent(void *arg, struct sx_call *call)
{
    struct up_file *f = arg;
    struct sx_err e = call->err;

    if (call_over(f, &e)) {
        struct up_part *p = f->parts;

        f->parts = p->next;
        f->parts_sent++;
        free(p);
    }
    up_stream_step(f);
}

static void send_part(struct up_file *f, struct up_part *p)
{
    SX_AUTO_FREE char *base = sx_api_path("uploads", f->upload, NULL);
    SX_AUTO_JSON json_t *j = json_pack("{s:i,s:I}", "count", (int)p->filled, "lease",
                                       (json_int_t)p->lease);

    sx_buf_reset(&f->head);
    sx_assert(sx_message_head(&f->head, j, NULL) == 0);
    sx_call_init(&f->call, "PUT", sx_asprintf("%s/%" PRIu64, base, p->seq));
    f->call.type = SX_HTTP_MESSAGE;
    f->call.body[0] = (struct iovec){ f->head.data, f->head.len };
    f->call.body[1] = (struct iovec){ p->entries, (size_t)p->filled * UP_ENTRY_SIZE };
    f->call.n_body = 2;
    call_start(f, part_sent);
}

static void committed(void *arg, struct sx_call *call)
{
    struct up_file *f = arg;
    struct sx_err e = call->err;

    if (e.code == SX_OK)
        up_commit_check(f, &e);
    if (call_over(f, &e))
        up_file_copied(f);
    else
        up_stream_step(f);
}

static void commit(struct up_file *f)
{
    struct up_part *p = *f->upload ? NULL : f->parts;
    struct sx_err e = SX_ERR_INIT;
    uint8_t digest[SX_SHA256];

    if (!*f->etag) {
        sx_sha_end(f->sha, digest);
        sx_hex(f->etag, digest, 16);
    }
    sx_buf_reset(&f->head);
    if (up_commit_head(f, &f->head, p ? p->filled : 0, p ? p->lease : 0, &e)) {
        up_file_fail(f, &e);
        up_file_release(f);
        return;
    }
    sx_call_init(&f->call, "PUT", sx_api_path("files", f->u->volume, f->path));
    f->call.type = SX_HTTP_MESSAGE;
    f->call.body[0] = (struct iovec){ f->head.data, f->head.len };
    if (p)
        f->call.body[1] = (struct iovec){ p->entries, (size_t)p->filled * UP_ENTRY_SIZE };
    f->call.n_body = p ? 2 : 1;
    call_start(f, committed);
}

/* ---- What is next -------------------------------------------------------------------------- */

static bool part_whole(const struct up_file *f, const struct up_part *p)
{
    uint64_t before = p->seq * UP_PART_ENTRIES, n = UP_PART_ENTRIES;

    if (f->ended && f->total - before < n)
        n = f->total - before;
    return p->filled == n && p->settled == n;
}

void up_stream_step(struct up_file *f)
{
    bool all = f->ended && f->hashed == f->total;

    if (f->failed) {
        up_file_release(f);
        return;
    }
    if (f->calling)
        return;
    if (!*f->upload && f->parts_made > 1)
        begin(f);
    else if (*f->upload && f->parts && part_whole(f, f->parts))
        send_part(f, f->parts);
    else if (all && f->alive == 0 && (*f->upload ? !f->parts : !f->parts ||
                                      part_whole(f, f->parts)))
        commit(f);
}
