/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See blocks.h.
 */
#include "fcgi/cluster/blocks.h"

#include <string.h>

#include "fcgi/cluster/flight.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/http/message.h"

#define PATH_GET "/.node/v1/blocks/get"

/* Owners of block i that do (put) or say that they do (have) lack it. */
static size_t lacking(const struct sx_blocks *b, const struct sx_plan *plan, enum sx_plan_kind kind,
                      size_t i, const struct sx_id *id, struct sx_queue_row *rows)
{
    enum sx_plan_state state;
    size_t node, count = 0;

    for (unsigned k = 0; sx_plan_owner(plan, i, k, &node, &state); k++) {
        if (state == SX_PLAN_HAS || (kind == SX_PLAN_HAVE && state != SX_PLAN_LACKS))
            continue;
        rows[count++] = (struct sx_queue_row){ sx_peers_node(b->peers, node)->id, *id };
    }
    return count;
}

/* Makes the rows for owners without a copy durable. */
static int queue_lacking(const struct sx_blocks *b, const struct sx_plan *plan,
                         const struct sx_flights_job *job, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_queue_row *rows = sx_calloc(job->n * job->replica + 1, sizeof *rows);
    size_t n = 0;

    for (size_t i = 0; i < job->n; i++)
        if (sx_plan_enough(plan, i))
            n += lacking(b, plan, job->kind, i, job->recs ? &job->recs[i].id : &job->ids[i],
                         rows + n);
    if (n == 0)
        return 0;
    if (sx_queue_add(b->queue, rows, n, e) != 0)
        return sx_err_wrap(e, "replication queue");
    b->queued(b->conf->dir);
    return 0;
}

static int no_quorum(const struct sx_plan *plan, const struct sx_flights_job *job,
                     const struct sx_err *last, struct sx_err *e)
{
    char hex[2 * SX_ID_SIZE + 1];

    for (size_t i = 0; i < job->n; i++) {
        if (sx_plan_enough(plan, i))
            continue;
        sx_hex(hex, job->recs[i].id.b, 8);
        return sx_err_set(e, last->code == SX_ENOSPACE ? SX_ENOSPACE : SX_EQUORUM,
                          "block %s… is on %u of the %u nodes that must have it; "
                          "the last failure: %.300s",
                          hex, sx_plan_copies(plan, i), sx_write_quorum(job->replica),
                          last->msg[0] ? last->msg : "no further node");
    }
    return 0;
}

int sx_blocks_put(const struct sx_blocks *b, unsigned replica, const struct sx_record *recs,
                  size_t n, uint64_t *lease, struct sx_err *e)
{
    struct sx_flights_job job = { SX_PLAN_PUT, b, replica, recs, NULL, n };
    struct sx_err last = SX_ERR_INIT;
    struct sx_plan *plan;
    uint64_t oldest;
    int r;

    sx_assert(n > 0 && n <= SX_BLOCKS_MAX);
    plan = sx_flights_run(&job, &oldest, &last);
    r = no_quorum(plan, &job, &last, e);
    if (r == 0)
        r = queue_lacking(b, plan, &job, e);
    sx_plan_free(plan);
    if (r == 0)
        *lease = oldest;
    return r;
}

int sx_blocks_have(const struct sx_blocks *b, unsigned replica, const struct sx_id *ids, size_t n,
                   uint8_t *present, uint64_t *lease, struct sx_err *e)
{
    struct sx_flights_job job = { SX_PLAN_HAVE, b, replica, NULL, ids, n };
    struct sx_err last = SX_ERR_INIT;
    struct sx_plan *plan;
    uint64_t oldest;
    int r;

    sx_assert(n > 0 && n <= SX_BLOCKS_MAX);
    plan = sx_flights_run(&job, &oldest, &last);
    for (size_t i = 0; i < n; i++)
        present[i] = sx_plan_enough(plan, i);
    r = queue_lacking(b, plan, &job, e);
    sx_plan_free(plan);
    if (r == 0)
        *lease = oldest != UINT64_MAX ? oldest : b->epoch;
    return r;
}

/* ---- fetch ---- */

/* Appends the record that a node sent, if it is the right one. */
static int take_record(const struct sx_buf *answer, const struct sx_id *id, struct sx_buf *out,
                       struct sx_err *e)
{
    struct sx_record rec;
    size_t used;

    if (sx_record_parse(answer->data, answer->len, &rec, &used, e) != 0)
        return -1;
    if (used == 0 || rec.len == 0 || sx_id_cmp(&rec.id, id) != 0)
        return sx_err_set(e, SX_ENOTFOUND, "it does not have the block");
    sx_buf_add(out, answer->data, used);
    return 0;
}

static int fetch_from(const struct sx_blocks *b, size_t node, const struct sx_id *id,
                      struct sx_buf *out, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT, answer = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = json_pack("{s:i}", "count", 1);
    const struct sx_node *to = sx_peers_node(b->peers, node);
    struct sx_http_answer a = { .err = SX_ERR_INIT };
    struct iovec iov;

    if (sx_message_head(&body, j, e) != 0)
        return -1;
    sx_buf_add(&body, id->b, SX_ID_SIZE);
    iov = (struct iovec){ body.data, body.len };
    struct sx_http_request r = {
        .method = "POST", .path = PATH_GET, .address = to->address, .port = to->port,
        .content_type = SX_HTTP_MESSAGE, .body = &iov, .n_body = 1, .answer = &answer,
        .answer_max = SX_RECORD_MAX, .timeout_ms = SX_PEER_REQUEST_TIMEOUT_MS,
    };
    int result = sx_http_call(sx_peers_http(b->peers), &r, &a, e);

    sx_peers_note(b->peers, node, &a.err);
    return result != 0 ? -1 : take_record(&answer, id, out, e);
}

int sx_blocks_fetch(const struct sx_blocks *b, const struct sx_id *id, struct sx_buf *out,
                    struct sx_err *e)
{
    uint16_t order[SX_NODES_MAX];
    struct sx_err last = SX_ERR_INIT;
    char hex[2 * SX_ID_SIZE + 1];
    size_t n;

    if (sx_store_get(b->store, id, out, &last) == 0)
        return 0;
    sx_hex(hex, id->b, 8);
    n = sx_peers_order(b->peers, id, order);
    /* Those known to be down only when nobody else has it. */
    for (int down = 0; down < 2; down++)
        for (size_t i = 0; i < n; i++) {
            if (order[i] == sx_peers_self(b->peers) ||
                sx_peers_down(b->peers, order[i]) != (down == 1))
                continue;
            if (fetch_from(b, order[i], id, out, &last) == 0)
                return 0;
            sx_info("block %s… from node %016llx: %s", hex,
                    (unsigned long long)sx_peers_node(b->peers, order[i])->id, last.msg);
        }
    return sx_err_set(e, SX_ENOBLOCK,
                      "no node that answers has a good copy of block %s…; "
                      "the last failure: %.200s",
                      hex, last.msg);
}
