/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fetching blocks from other nodes.  In rounds: each block that is still wanted goes to the list of
 * the next node in its placement order; each node's list is asked for in batches.  Nodes that are
 * down are asked in a second turn, when nobody else had the block.
 */
#include <string.h>

#include "fcgi/jobs/transfer_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/codec/record.h"
#include "libsx/http/message.h"

#define PATH_GET "/.node/v1/blocks/get"

struct fetch {
    struct sx_transfer *t;
    struct sx_transfer_want *want;
    size_t n;
    uint16_t *order;   /* n x nodes */
    uint16_t *at;      /* next position in it, of each block */
    size_t nodes;
    bool *failed;      /* nodes that failed in this fetch: not asked again */
    struct sx_buf answer;
};

/* Takes the records of the answer that are what was asked for, and stores them. */
static int store_answer(struct fetch *f, const uint32_t *list, size_t n, size_t *used,
                        struct sx_err *e)
{
    struct sx_record recs[SX_TRANSFER_BATCH_IDS];
    uint32_t which[SX_TRANSFER_BATCH_IDS];
    struct sx_err bad = SX_ERR_INIT;
    size_t at = 0, count = 0, i, len;
    uint64_t lease;

    for (i = 0; i < n && at < f->answer.len; i++, at += len) {
        struct sx_record *r = &recs[count];

        if (sx_record_parse(f->answer.data + at, f->answer.len - at, r, &len, &bad)) {
            sx_warn("fetched blocks: %s", bad.msg);
            break;
        }
        if (len == 0)
            break; /* cut off */
        if (r->len && sx_id_cmp(&r->id, &f->want[list[i]].id) == 0)
            which[count++] = list[i];
    }
    *used = i; /* what the node had no room for is asked again; at least one is done with */
    if (count && sx_store_put(f->t->store, recs, count, &lease, NULL, e))
        return -1;
    for (size_t k = 0; k < count; k++)
        f->want[which[k]].got = true;
    f->t->count.fetched += count;
    return 0;
}

static int ask(struct fetch *f, size_t node, const uint32_t *list, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = json_pack("{s:I}", "count", (json_int_t)n);
    struct iovec v;

    if (sx_message_head(&body, j, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        sx_buf_add(&body, f->want[list[i]].id.b, SX_ID_SIZE);
    v = (struct iovec){ body.data, body.len };
    return sx_transfer_call(f->t, node, PATH_GET, &v, 1, &f->answer, SX_MESSAGE_ANSWER_MAX, e);
}

/* How many of the list go into one request. */
static size_t batch(const struct fetch *f, const uint32_t *list, size_t n)
{
    size_t bytes = 0, i = 0;

    while (i < n && i < SX_TRANSFER_BATCH_IDS &&
           (i == 0 || bytes + f->want[list[i]].len <= SX_TRANSFER_BATCH_BYTES))
        bytes += f->want[list[i++]].len;
    return i;
}

/* Asks one node for all of its list.  A node that fails is left out from now on. */
static int ask_all(struct fetch *f, size_t node, const uint32_t *list, size_t n, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    for (size_t i = 0, used; i < n; i += used) {
        size_t count = batch(f, list + i, n - i);

        if (ask(f, node, list + i, count, &why)) {
            sx_info("fetch of %zu blocks from node %016llx: %s", count,
                    (unsigned long long)sx_peers_node(f->t->peers, node)->id, why.msg);
            f->failed[node] = true;
            return 0;
        }
        if (store_answer(f, list + i, count, &used, e))
            return -1;
        if (used == 0) /* it answered with nothing that can be read */
            used = count;
        if (sx_proc_stop(&f->t->proc, 0))
            return 0;
    }
    return 0;
}

/* The next node to ask for a block: not this one, none that failed; `down` ones only in the second
 * turn. */
static bool next_node(struct fetch *f, size_t block, bool second, size_t *node)
{
    while (f->at[block] < f->nodes) {
        size_t k = f->order[block * f->nodes + f->at[block]++];

        if (k == sx_peers_self(f->t->peers) || f->failed[k] ||
            sx_peers_down(f->t->peers, k) != second)
            continue;
        *node = k;
        return true;
    }
    return false;
}

/* One node for each block that is wanted, then all requests.  *any: something was asked. */
static int round_of(struct fetch *f, bool second, bool *any, struct sx_err *e)
{
    SX_AUTO_FREE uint32_t *lists = sx_calloc(f->nodes * f->n, sizeof *lists);
    SX_AUTO_FREE size_t *count = sx_calloc(f->nodes, sizeof *count);

    *any = false;
    for (size_t i = 0; i < f->n; i++) {
        size_t node;

        if (f->want[i].got || !next_node(f, i, second, &node))
            continue;
        lists[node * f->n + count[node]++] = (uint32_t)i;
        *any = true;
    }
    for (size_t k = 0; k < f->nodes; k++)
        if (count[k] && ask_all(f, k, lists + k * f->n, count[k], e))
            return -1;
    return 0;
}

/* A block that nobody had is lost only if everybody answered. */
static void conclude(struct fetch *f)
{
    bool all = !sx_proc_stop(&f->t->proc, 0);

    for (size_t k = 0; k < f->nodes; k++)
        all = all && !f->failed[k];
    for (size_t i = 0; i < f->n; i++)
        f->want[i].nowhere = all && !f->want[i].got;
}

static int turns(struct fetch *f, struct sx_err *e)
{
    for (int second = 0; second < 2; second++) {
        bool any = true;

        memset(f->at, 0, f->n * sizeof *f->at);
        while (any && !sx_proc_stop(&f->t->proc, 0))
            if (round_of(f, second, &any, e))
                return -1;
    }
    return 0;
}

/* A full disk is told before blocks travel for nothing. */
static int check_room(struct sx_transfer *t, uint64_t bytes, struct sx_err *e)
{
    struct sx_store_stats st;

    if (sx_store_stats(t->store, &st, e))
        return -1;
    if (st.free < bytes)
        return sx_err_set(e, SX_ENOSPACE,
                          "no room for blocks that this node should have: %llu bytes free",
                          (unsigned long long)st.free);
    return 0;
}

int sx_transfer_fetch(struct sx_transfer *t, struct sx_transfer_want *want, size_t n,
                      struct sx_err *e)
{
    struct fetch f = { .t = t, .want = want, .n = n, .nodes = sx_peers_count(t->peers) };
    int r;

    if (n == 0)
        return 0;
    if (check_room(t, want[0].len, e))
        return -1;
    f.order = sx_calloc(n * f.nodes, sizeof *f.order);
    f.at = sx_calloc(n, sizeof *f.at);
    f.failed = sx_calloc(f.nodes, sizeof *f.failed);
    for (size_t i = 0; i < n; i++) {
        size_t got = sx_peers_order(t->peers, &want[i].id, f.order + i * f.nodes);

        for (; got < f.nodes; got++) /* a node without weight; this one is passed over */
            f.order[i * f.nodes + got] = (uint16_t)sx_peers_self(t->peers);
    }
    r = turns(&f, e);
    if (!r)
        conclude(&f);
    free(f.order);
    free(f.at);
    free(f.failed);
    sx_buf_fini(&f.answer);
    return r;
}
