/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which blocks does the cluster have?  Ids are gathered for some milliseconds and asked about
 * together; streams' chunks that it lacks are gathered into batches, encoded by the workers and
 * posted.  See up.h.
 */
#include <errno.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/wire.h"
#include "libsx/client/up.h"
#include "libsx/codec/record.h"
#include "libsx/http/message.h"

#define ANSWER_MAX (1u << 20)
#define HEAD_ROOM 256

/* ---- Asking -------------------------------------------------------------------------------- */

/* What the cluster said of a chunk; lease 0: it does not have it. */
static void answered(struct up *u, struct up_chunk *c, uint64_t lease)
{
    struct up_file *f = c->file;

    c->missing = !lease;
    if (lease) {
        up_known_add(u, &c->id, lease);
        if (!f->failed) {
            u->x.stats->reused += c->len;
            u->x.bytes_done += c->len;
        }
    }
    if (f->whole)
        up_whole_answered(c, lease);
    else if (f->failed)
        up_stream_settled(c, 0);
    else if (lease)
        up_stream_settled(c, lease);
    else
        up_chunks_add(&u->missing, c);
}

static void ask_failed(struct up_ask *a)
{
    struct up_chunk *c;

    while ((c = up_chunks_take(&a->chunks))) {
        up_file_fail(c->file, &a->call.err);
        answered(a->u, c, 0);
    }
}

static int read_answer(struct up_ask *a, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    struct up_chunk *c;
    uint64_t lease;

    if (sx_message_parse(&m, a->answer.data, a->answer.len, e) ||
        sx_json_need_u64(m.json, "lease", INT64_MAX, &lease, e))
        return -1;
    if (m.len != a->chunks.n)
        return sx_err_set(e, SX_EMALFORMED, "answers for %zu of %zu blocks", m.len, a->chunks.n);
    for (size_t i = 0; (c = up_chunks_take(&a->chunks)); i++)
        answered(a->u, c, m.data[i] == 1 ? (lease ? lease : 1) : 0);
    return 0;
}

static void ask_done(void *arg, struct sx_call *call)
{
    struct up_ask *a = arg;

    a->u->asks--;
    if (call->err.code == SX_OK && read_answer(a, &call->err))
        sx_err_wrap(&call->err, "answer of the cluster");
    if (call->err.code != SX_OK)
        ask_failed(a);
    sx_call_fini(call);
    sx_buf_fini(&a->body);
    sx_buf_fini(&a->answer);
    free(a);
}

static void ask_send(struct up *u)
{
    struct up_ask *a = sx_calloc(1, sizeof *a);
    SX_AUTO_JSON json_t *j = NULL;
    struct up_chunk *c;

    a->u = u;
    up_chunks_init(&a->chunks);
    while (a->chunks.n < UP_ASK_IDS && (c = up_chunks_take(&u->to_ask)))
        up_chunks_add(&a->chunks, c);
    j = json_pack("{s:s,s:i}", "volume", u->volume, "count", (int)a->chunks.n);
    sx_assert(sx_message_head(&a->body, j, NULL) == 0); /* a volume's name is short */
    for (c = a->chunks.head; c; c = c->next)
        sx_buf_add(&a->body, c->id.b, SX_ID_SIZE);
    sx_call_init(&a->call, "POST", sx_strdup(SX_API "/have"));
    a->call.type = SX_HTTP_MESSAGE;
    a->call.body[0] = (struct iovec){ a->body.data, a->body.len };
    a->call.n_body = 1;
    a->call.answer = &a->answer;
    a->call.answer_max = ANSWER_MAX;
    a->call.done = ask_done;
    a->call.arg = a;
    u->asks++;
    sx_call_start(u->x.k, &a->call);
}

void up_ask(struct up *u, struct up_chunk *c)
{
    const struct up_known *k = &u->known[sx_get_u32(c->id.b + 4) % UP_KNOWN];

    if (k->at_ms && sx_mono_ms() - k->at_ms < u->x.k->lease_ms / UP_KNOWN_PART && sx_id_cmp(&k->id, &c->id) == 0) {
        answered(u, c, k->lease);
        return;
    }
    if (!u->to_ask.head)
        u->ask_since_ms = sx_mono_ms();
    up_chunks_add(&u->to_ask, c);
}

static bool ask_due(const struct up *u)
{
    if (!u->to_ask.head || u->asks >= UP_ASKS)
        return false;
    return u->to_ask.n >= UP_ASK_IDS || u->working == 0 ||
           sx_mono_ms() - u->ask_since_ms >= UP_ASK_MS;
}

/* ---- Batches ------------------------------------------------------------------------------- */

static void batch_release(struct up_batch *b)
{
    struct up *u = b->u;

    sx_call_fini(&b->call);
    b->next = u->free_batches;
    u->free_batches = b;
    u->batches_out--;
}

static void batch_over(struct up_batch *b, const struct sx_err *why, uint64_t lease)
{
    struct up *u = b->u;
    struct up_chunk *c;

    while ((c = up_chunks_take(&b->chunks))) {
        if (why) {
            up_file_fail(c->file, why);
        } else {
            up_known_add(u, &c->id, lease);
            u->x.bytes_done += c->len;
        }
        up_stream_settled(c, why ? 0 : lease);
    }
    batch_release(b);
}

static void batch_sent(void *arg, struct sx_call *call)
{
    struct up_batch *b = arg;
    SX_AUTO_JSON json_t *j = NULL;
    uint64_t lease = 0;

    if (call->err.code == SX_OK && (!(j = sx_json_parse(b->answer.data, b->answer.len,
                                                        &call->err)) ||
                                    sx_json_need_u64(j, "lease", INT64_MAX, &lease, &call->err)))
        sx_err_wrap(&call->err, "answer of the cluster");
    if (call->err.code == SX_OK)
        b->u->x.stats->moved += b->body.len;
    batch_over(b, call->err.code == SX_OK ? NULL : &call->err, lease ? lease : 1);
}

/* The bytes of a chunk, read again if they were let go; they must still be the same. */
static int chunk_bytes(struct up_chunk *c, struct sx_worker *w, const uint8_t **data,
                       struct sx_err *e)
{
    struct sx_id id;
    ssize_t n;

    *data = c->data;
    if (c->data)
        return 0;
    if (!c->file->seekable)
        return sx_err_set(e, SX_ELEASE,
                          "the upload took so long that the cluster dropped what it had, and the "
                          "source "
                          "cannot be read again");
    sx_buf_reset(&w->scratch);
    *data = sx_buf_extend(&w->scratch, c->len);
    n = pread(c->file->fd, w->scratch.data, c->len, (off_t)c->offset);
    if (n < 0)
        return sx_err_errno(e, errno, "read");
    if ((size_t)n != c->len || sx_block_id(w->codec, *data, c->len, &id, e) ||
        sx_id_cmp(&id, &c->id))
        return sx_err_set(e, SX_ECONFLICT, "changed while it was read");
    return 0;
}

static void batch_encode(struct sx_job *j, struct sx_worker *w)
{
    struct up_batch *b = (struct up_batch *)j;
    SX_AUTO_JSON json_t *head = json_pack("{s:s,s:i}", "volume", b->u->volume, "count",
                                          (int)b->chunks.n);

    sx_buf_reset(&b->body);
    sx_buf_reserve(&b->body, b->chunks.bytes + b->chunks.n * SX_RECORD_HEADER * 2 + HEAD_ROOM);
    sx_assert(sx_message_head(&b->body, head, NULL) == 0);
    for (struct up_chunk *c = b->chunks.head; c; c = c->next) {
        size_t at = sx_record_begin(&b->body);
        const uint8_t *data;

        if (chunk_bytes(c, w, &data, &b->err) ||
            sx_block_encode(w->codec, &c->id, data, c->len, b->u->codec, 0, &b->body, &b->err)) {
            sx_err_wrap(&b->err, "%s", c->file->name);
            return;
        }
        sx_record_end(&b->body, at, &c->id);
    }
}

/* The node that owns most of a batch; the others get copies from it. */
static int batch_node(struct up *u, const struct up_batch *b)
{
    struct sx_cluster *k = u->x.k;
    unsigned score[SX_NODES_MAX] = { 0 };
    uint16_t owners[SX_NODES_MAX];
    size_t best = k->turn++ % k->n_nodes;

    if (u->replica >= k->n_nodes)
        return SX_NODE_ANY;
    for (struct up_chunk *c = b->chunks.head; c; c = c->next) {
        size_t n = sx_place(k->place, k->n_nodes, sx_id_partition(&c->id), u->replica, owners);

        for (size_t i = 0; i < n; i++)
            score[owners[i]] += c->len;
    }
    for (size_t i = 0; i < k->n_nodes; i++)
        if (sx_node_well(k, i) && score[i] > score[best])
            best = i;
    return (int)best;
}

static void batch_encoded(struct sx_job *j)
{
    struct up_batch *b = (struct up_batch *)j;

    if (b->err.code != SX_OK || b->u->x.stop) {
        batch_over(b, b->err.code != SX_OK ? &b->err : &b->u->x.err, 0);
        return;
    }
    sx_call_init(&b->call, "POST", sx_strdup(SX_API "/blocks"));
    b->call.type = SX_HTTP_MESSAGE;
    b->call.body[0] = (struct iovec){ b->body.data, b->body.len };
    b->call.n_body = 1;
    b->call.answer = &b->answer;
    b->call.answer_max = ANSWER_MAX;
    b->call.node = batch_node(b->u, b);
    b->call.done = batch_sent;
    b->call.arg = b;
    sx_call_start(b->u->x.k, &b->call);
}

static struct up_batch *batch_get(struct up *u)
{
    struct up_batch *b = u->free_batches;

    if (b) {
        u->free_batches = b->next;
    } else {
        if (u->batches_made == u->x.batches_max)
            return NULL;
        u->batches_made++;
        b = sx_calloc(1, sizeof *b);
        b->u = u;
    }
    up_chunks_init(&b->chunks);
    sx_err_clear(&b->err);
    return b;
}

static bool batch_due(const struct up *u)
{
    if (!u->missing.head)
        return false;
    return u->missing.bytes >= u->x.batch_bytes ||
           (u->working == 0 && u->asks == 0 && !u->to_ask.head);
}

static bool batch_start(struct up *u)
{
    struct up_batch *b = batch_get(u);
    struct up_chunk *c;

    if (!b)
        return false;
    while (b->chunks.bytes < u->x.batch_bytes && (c = up_chunks_take(&u->missing))) {
        if (c->file->failed)
            up_stream_settled(c, 0);
        else
            up_chunks_add(&b->chunks, c);
    }
    u->batches_out++;
    if (!b->chunks.n) {
        batch_release(b);
        return true;
    }
    b->job.run = batch_encode;
    b->job.done = batch_encoded;
    sx_work_add(u->x.work, &b->job);
    return true;
}

void up_flush(struct up *u)
{
    up_gather_flush(u, &u->to_encode);
    while (ask_due(u))
        ask_send(u);
    while (batch_due(u) && batch_start(u))
        ;
}
