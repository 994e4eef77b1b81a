/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Blocks, for clients (over the cluster) and for nodes (this node's disk alone): docs/api.md
 * sections 6 and 9.
 */
#include <string.h>

#include "fcgi/api/common.h"
#include "fcgi/api/ticket.h"
#include "fcgi/cluster/blocks.h"
#include "fcgi/jobs/transfer.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define HAVE_MAX 4096u
#define GET_MAX 256u
#define GET_ANSWER_MAX (32u << 20)
#define TICKETED_ID (SX_ID_SIZE + SX_TICKET)

/* The message of the body, with "count" items of `size` bytes (0: records). */
static int read_batch(struct sx_req *r, struct sx_message *m, size_t size, uint64_t max, size_t *n,
                      struct sx_err *e)
{
    uint64_t count;

    if (sx_req_message(r, m, e) != 0 ||
        sx_json_need_u64(m->json, "count", UINT32_MAX, &count, e) != 0)
        return -1;
    if (count == 0 || count > max)
        return sx_err_set(e, SX_EINVAL, "'count' is %llu; 1 to %llu are allowed",
                          (unsigned long long)count, (unsigned long long)max);
    if (size && m->len != count * size)
        return sx_err_set(e, SX_EMALFORMED,
                          "%llu items of %zu bytes are announced, but %zu bytes follow",
                          (unsigned long long)count, size, m->len);
    *n = (size_t)count;
    return 0;
}

static int reply_have(struct sx_req *r, uint64_t lease, const uint8_t *present, size_t n)
{
    struct sx_part part = { present, n };

    return sx_reply_message(r, 200,
                            json_pack("{s:I,s:I}", "lease", (json_int_t)lease, "count",
                                      (json_int_t)n), &part, 1);
}

static int reply_stored(struct sx_req *r, uint64_t lease, size_t n)
{
    return sx_reply_json(r, 200, json_pack("{s:I,s:I}", "lease", (json_int_t)lease, "stored",
                                           (json_int_t)n));
}

/* The volume that a batch is for: its replica count says where blocks belong. */
static int batch_volume(struct sx_req *r, const struct sx_message *m, struct sx_volume *v,
                        struct sx_err *e)
{
    const char *name;

    if (sx_json_need_str(m->json, "volume", &name, e) != 0)
        return -1;
    return sx_do_volume(r, name, SX_RIGHT_WRITE, v, e);
}

int sx_h_have(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    SX_AUTO_FREE struct sx_id *ids = NULL;
    uint8_t present[HAVE_MAX];
    struct sx_blocks b;
    struct sx_volume v;
    uint64_t lease;
    size_t n;

    if (read_batch(r, &m, SX_ID_SIZE, HAVE_MAX, &n, e) != 0 || batch_volume(r, &m, &v, e) != 0 ||
        sx_app_blocks(r->app, &b, e) != 0)
        return -1;
    ids = sx_calloc(n, sizeof *ids);
    memcpy(ids, m.data, m.len);
    if (sx_blocks_have(&b, v.replica, ids, n, present, &lease, e) != 0)
        return -1;
    return reply_have(r, lease, present, n);
}

int sx_h_blocks_put(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    SX_AUTO_FREE struct sx_record *recs = NULL;
    struct sx_blocks b;
    struct sx_volume v;
    uint64_t lease;
    size_t n;

    if (read_batch(r, &m, 0, SX_BLOCKS_MAX, &n, e) != 0 || batch_volume(r, &m, &v, e) != 0)
        return -1;
    recs = sx_calloc(n, sizeof *recs);
    if (sx_records_parse(m.data, m.len, n, recs, e) != 0 || sx_do_verify(r, recs, n, NULL, e) != 0 ||
        sx_app_blocks(r->app, &b, e) != 0 || sx_blocks_put(&b, v.replica, recs, n, &lease, e) != 0)
        return -1;
    return reply_stored(r, lease, n);
}

/* Appends the record from this node's disk, or an empty one. */
static void local_record(struct sx_req *r, struct sx_store *store, const struct sx_id *id,
                         struct sx_buf *out)
{
    struct sx_err e = SX_ERR_INIT;
    uint8_t empty[SX_RECORD_HEADER];

    if (sx_store_get(store, id, out, &e) == 0)
        return;
    if (e.code != SX_ENOTFOUND) {
        sx_error("request %s: %s", r->id, e.msg);
        /* The transfer manager fetches it anew. */
        sx_transfer_poke(r->app->conf->dir);
    }
    sx_record_header(empty, id, NULL, 0);
    sx_buf_add(out, empty, sizeof empty);
}

/* Answers with the records of n ids, `stride` bytes apart, from this node's disk. */
static int reply_records(struct sx_req *r, const uint8_t *ids, size_t stride, size_t n,
                         struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf rec = SX_BUF_INIT;
    struct sx_store *store;
    size_t total = 0;
    struct sx_id id;

    if (sx_app_store(r->app, &store, e) != 0)
        return -1;
    sx_reply_begin(r, 200, SX_TYPE_MESSAGE, -1);
    for (size_t i = 0; i < n; i++) {
        memcpy(id.b, ids + i * stride, SX_ID_SIZE);
        sx_buf_reset(&rec);
        local_record(r, store, &id, &rec);
        if (total + rec.len > GET_ANSWER_MAX)
            break;
        total += rec.len;
        sx_reply_write(r, rec.data, rec.len);
    }
    return 0;
}

int sx_h_blocks_get(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    uint64_t expires, now;
    struct sx_id id;
    sqlite3 *db;
    size_t n;

    if (read_batch(r, &m, TICKETED_ID, GET_MAX, &n, e) != 0 ||
        sx_json_need_u64(m.json, "expires_ms", INT64_MAX, &expires, e) != 0 ||
        sx_app_db(r->app, &db, e) != 0 || sx_query_time(db, &now, e) != 0)
        return -1;
    if (expires < now)
        return sx_err_set(e, SX_ETOKEN,
                          "the tickets have expired: ask for the file's block list again");
    for (size_t i = 0; i < n; i++) {
        memcpy(id.b, m.data + i * TICKETED_ID, SX_ID_SIZE);
        if (!sx_ticket_valid(m.data + i * TICKETED_ID + SX_ID_SIZE, r->app->keys.ticket, &id,
                             expires, r->user))
            return sx_err_set(e, SX_ETOKEN,
                              "ticket %zu of %zu is not for this block, time and user", i + 1, n);
    }
    return reply_records(r, m.data, TICKETED_ID, n, e);
}

int sx_h_node_have(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    SX_AUTO_FREE struct sx_id *ids = NULL;
    uint8_t present[HAVE_MAX];
    struct sx_store *store;
    uint64_t lease, epoch;
    size_t n;

    if (read_batch(r, &m, SX_ID_SIZE, HAVE_MAX, &n, e) != 0 ||
        sx_app_leasing(r->app, &store, &epoch, e) != 0)
        return -1;
    ids = sx_calloc(n, sizeof *ids);
    memcpy(ids, m.data, m.len);
    if (sx_store_have(store, ids, n, present, &lease, e) != 0)
        return -1;
    return reply_have(r, lease, present, n);
}

/* The node that took the blocks from the client has decoded them; here their checksums are
 * enough. */
int sx_h_node_blocks_put(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    SX_AUTO_FREE struct sx_record *recs = NULL;
    struct sx_store *store;
    uint64_t lease, epoch;
    size_t n;

    if (read_batch(r, &m, 0, SX_BLOCKS_MAX, &n, e) != 0 ||
        sx_app_leasing(r->app, &store, &epoch, e) != 0)
        return -1;
    recs = sx_calloc(n, sizeof *recs);
    if (sx_records_parse(m.data, m.len, n, recs, e) != 0 ||
        sx_store_put(store, recs, n, &lease, NULL, e) != 0)
        return -1;
    return reply_stored(r, lease, n);
}

int sx_h_node_blocks_get(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    size_t n;

    if (read_batch(r, &m, SX_ID_SIZE, GET_MAX, &n, e) != 0)
        return -1;
    return reply_records(r, m.data, SX_ID_SIZE, n, e);
}
