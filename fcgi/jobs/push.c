/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Emptying the replication queue: for each target a page of rows; "have" tells what it has
 * meanwhile; the rest is read here (or, if this node is no owner itself, fetched) and sent; rows
 * are removed after its answer.
 *
 * The queue only makes things faster: what is lost from it, the target's own sweep finds.  So rows
 * are dropped whose block nothing refers to and nobody has, and those of nodes that have left the
 * cluster.
 */
#include <string.h>

#include "fcgi/jobs/transfer_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/codec/record.h"
#include "libsx/http/message.h"

#define PATH_HAVE "/.node/v1/have"
#define PATH_BLOCKS "/.node/v1/blocks"
#define PAGE SX_TRANSFER_BATCH_IDS

struct page {
    struct sx_id ids[PAGE];
    uint8_t done[PAGE]; /* the target has it, or never will need it */
    size_t n;
};

/* ---- asking and sending ---- */

static int ask_have(struct sx_transfer *t, size_t node, struct page *p, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT, answer = SX_BUF_INIT;
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    SX_AUTO_JSON json_t *j = json_pack("{s:I}", "count", (json_int_t)p->n);
    struct iovec v;

    if (sx_message_head(&body, j, e))
        return -1;
    for (size_t i = 0; i < p->n; i++)
        sx_buf_add(&body, p->ids[i].b, SX_ID_SIZE);
    v = (struct iovec){ body.data, body.len };
    if (sx_transfer_call(t, node, PATH_HAVE, &v, 1, &answer, SX_MESSAGE_JSON_MAX + PAGE, e) ||
        sx_message_parse(&m, answer.data, answer.len, e))
        return -1;
    if (m.len != p->n)
        return sx_err_set(e, SX_EMALFORMED, "'have' of %zu blocks was answered with %zu", p->n,
                          m.len);
    for (size_t i = 0; i < p->n; i++)
        p->done[i] = m.data[i] == 1;
    return 0;
}

static int send_records(struct sx_transfer *t, size_t node, const struct sx_buf *records, size_t n,
                        struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf head = SX_BUF_INIT, answer = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = json_pack("{s:I}", "count", (json_int_t)n);
    struct iovec v[2];

    if (sx_message_head(&head, j, e))
        return -1;
    v[0] = (struct iovec){ head.data, head.len };
    v[1] = (struct iovec){ records->data, records->len };
    if (sx_transfer_call(t, node, PATH_BLOCKS, v, 2, &answer, SX_MESSAGE_JSON_MAX, e))
        return -1;
    t->count.sent += n;
    return 0;
}

/* ---- a page ---- */

/* Blocks of the page that are not on this node are fetched first. */
static int bring_here(struct sx_transfer *t, struct page *p, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_transfer_want *want = sx_calloc(PAGE, sizeof *want);
    uint8_t here[PAGE];
    size_t n = 0;

    if (sx_store_exists(t->store, p->ids, p->n, here, e))
        return -1;
    for (size_t i = 0; i < p->n; i++)
        if (!p->done[i] && !here[i])
            want[n++] = (struct sx_transfer_want){ .id = p->ids[i], .len = SX_RECORD_MAX };
    return sx_transfer_fetch(t, want, n, e);
}

/* Sends what is to be sent and can be read, in batches.  *left: rows that must stay. */
static int send_page(struct sx_transfer *t, size_t node, struct page *p, size_t *left,
                     struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    size_t in_batch[PAGE], n = 0;

    *left = 0;
    for (size_t i = 0; i <= p->n; i++) {
        struct sx_err why = SX_ERR_INIT;

        if (n && (i == p->n || b.len >= SX_TRANSFER_BATCH_BYTES)) {
            if (send_records(t, node, &b, n, e))
                return -1;
            while (n)
                p->done[in_batch[--n]] = 1;
            sx_buf_reset(&b);
        }
        if (i == p->n || p->done[i])
            continue;
        if (sx_store_get(t->store, &p->ids[i], &b, &why) == 0)
            in_batch[n++] = i;
        else
            ++*left;
    }
    return 0;
}

/* Rows whose block nobody has and nothing refers to. */
static int drop_useless(struct sx_transfer *t, struct page *p, struct sx_err *e)
{
    uint8_t yes[PAGE];

    if (sx_transfer_referenced(t, p->ids, p->n, yes, e))
        return -1;
    for (size_t i = 0; i < p->n; i++)
        p->done[i] = p->done[i] || !yes[i];
    return 0;
}

static int remove_done(struct sx_transfer *t, uint64_t target, const struct page *p,
                       size_t *removed, struct sx_err *e)
{
    struct sx_id ids[PAGE];
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        if (p->done[i])
            ids[n++] = p->ids[i];
    *removed = n;
    return sx_queue_remove(t->queue, target, ids, n, e);
}

/* *stuck: rows were left that cannot be sent now. */
static int push_page(struct sx_transfer *t, size_t node, struct page *p, bool *stuck,
                     struct sx_err *e)
{
    uint64_t target = sx_peers_node(t->peers, node)->id;
    struct sx_err why = SX_ERR_INIT;
    size_t left = 0, removed;
    int r;

    if (ask_have(t, node, p, e) || bring_here(t, p, e))
        return -1;
    r = send_page(t, node, p, &left, &why);
    if (left && drop_useless(t, p, e))
        return -1;
    if (remove_done(t, target, p, &removed, e))
        return -1;
    if (r) {
        if (e)
            sx_err_copy(e, &why);
        return -1;
    }
    *stuck = removed < p->n;
    return 0;
}

/* ---- targets ---- */

static struct sx_transfer_target *target_of(struct sx_transfer *t, uint64_t node)
{
    for (size_t i = 0; i < t->n_targets; i++)
        if (t->targets[i].node == node)
            return &t->targets[i];
    if (t->n_targets == SX_NODES_MAX) /* of nodes that left: forget them all */
        t->n_targets = 0;
    t->targets[t->n_targets] = (struct sx_transfer_target){ .node = node };
    return &t->targets[t->n_targets++];
}

static void wait_longer(struct sx_transfer_target *g)
{
    unsigned w = g->wait_ms ? g->wait_ms * 2 : SX_TRANSFER_RETRY_MIN_MS;

    g->wait_ms = w < SX_TRANSFER_RETRY_MAX_MS ? w : SX_TRANSFER_RETRY_MAX_MS;
    g->next_ms = sx_mono_ms() + g->wait_ms;
}

/* After a page that the target answered: on to the next, or, at the end of a run in which rows had
 * to be left, a pause before the first again. */
static void advance(struct sx_transfer_target *g, const struct page *p, bool stuck, bool *more)
{
    bool last = p->n < PAGE;

    if (stuck && p->n) {
        g->passing = true;
        g->after = p->ids[p->n - 1];
    }
    if (last && g->passing) {
        g->passing = false;
        wait_longer(g);
        return;
    }
    if (!g->passing)
        g->wait_ms = 0;
    *more = *more || !last;
}

static int push_target(struct sx_transfer *t, uint64_t target, bool *more, struct sx_err *e)
{
    struct sx_transfer_target *g = target_of(t, target);
    size_t node = sx_peers_find(t->peers, target);
    SX_AUTO_FREE struct page *p = NULL;
    struct sx_err why = SX_ERR_INIT;
    bool stuck = false;

    if (node == sx_peers_count(t->peers) || node == sx_peers_self(t->peers))
        return sx_queue_drop(t->queue, target, e);
    if (sx_mono_ms() < g->next_ms)
        return 0;
    p = sx_calloc(1, sizeof *p);
    if (sx_queue_list(t->queue, target, g->passing ? &g->after : NULL, p->ids, PAGE, &p->n, e))
        return -1;
    if (p->n && push_page(t, node, p, &stuck, &why)) {
        if (g->wait_ms == 0)
            sx_info("blocks for node %016llx wait: %s", (unsigned long long)target, why.msg);
        wait_longer(g);
        return 0;
    }
    advance(g, p, stuck, more);
    return 0;
}

int sx_transfer_push(struct sx_transfer *t, bool *more, struct sx_err *e)
{
    uint64_t nodes[SX_NODES_MAX];
    size_t n;

    *more = false;
    if (sx_queue_targets(t->queue, nodes, SX_NODES_MAX, &n, e))
        return -1;
    for (size_t i = 0; i < n && !sx_proc_stop(&t->proc, 0); i++)
        if (push_target(t, nodes[i], more, e))
            return -1;
    return sx_queue_count(t->queue, &t->count.queue, e);
}
