/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See call.h.
 */
#include "libsx/client/call.h"

#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define RETRY_TIME_MS 30000u
#define RETRY_DELAY_MIN_MS 50u
#define RETRY_DELAY_MAX_MS 1000u
#define NODE_AVOID_MS 10000u
#define NODE_FAULTS_MAX 3u /* up to 80 s */
#define FAULTS_PER_NODE 2u /* as many is_fault() are taken for the node's own, on average */

void sx_call_init(struct sx_call *c, const char *method, char *path)
{
    uint8_t op[16];

    memset(c, 0, sizeof *c);
    c->method = method;
    c->path = path;
    c->node = SX_NODE_ANY;
    c->answer_max = SX_JSON_ANSWER_MAX;
    sx_random(op, sizeof op);
    sx_hex(c->op, op, sizeof op);
}

void sx_call_fini(struct sx_call *c)
{
    free(c->path);
    free(c->query);
    c->path = c->query = NULL;
}

char *sx_api_path(const char *kind, const char *name, const char *path)
{
    struct sx_buf b = SX_BUF_INIT;

    sx_buf_printf(&b, SX_API "/%s", kind);
    if (name) {
        sx_buf_str(&b, "/");
        sx_pct_encode(&b, name, strlen(name), false);
    }
    if (path) {
        sx_buf_str(&b, "/");
        sx_pct_encode(&b, path, strlen(path), true);
    }
    return (char *)b.data;
}

void sx_api_query(struct sx_buf *b, const char *name, const char *value)
{
    sx_buf_printf(b, "%s%s=", b->len ? "&" : "", name);
    sx_pct_encode(b, value, strlen(value), false);
}

/* ---- Nodes -------------------------------------------------------------------------------- */

bool sx_node_well(const struct sx_cluster *k, size_t i)
{
    return k->nodes[i].avoid_until <= sx_mono_ms();
}

static bool was_tried(const struct sx_call *c, size_t node)
{
    return c->tried[node / 64] >> node % 64 & 1;
}

/* Of those that the call has not tried, the first well node from `from` on, in a circle; if none is,
 * the one whose failure is the longest ago.  n_nodes: all were tried. */
static size_t choose_node(const struct sx_call *c, size_t from)
{
    const struct sx_cluster *k = c->cluster;
    size_t best = k->n_nodes;

    for (size_t i = 0; i < k->n_nodes; i++) {
        size_t n = (from + i) % k->n_nodes;

        if (was_tried(c, n))
            continue;
        if (sx_node_well(k, n))
            return n;
        if (best == k->n_nodes || k->nodes[n].failed_ms < k->nodes[best].failed_ms)
            best = n;
    }
    return best;
}

/* All nodes have their turn before one has it again, those that are avoided, too: the others may
 * have answered with an error only because they are damaged. */
static size_t next_node(struct sx_call *c)
{
    size_t next;

    c->tried[c->at / 64] |= 1ull << c->at % 64;
    next = choose_node(c, c->at + 1);
    if (next < c->cluster->n_nodes)
        return next;
    memset(c->tried, 0, sizeof c->tried);
    return choose_node(c, c->at + 1);
}

static bool node_silent(const struct sx_call *c)
{
    return c->status < 400 ? c->err.code == SX_ENET || c->err.code == SX_ETIMEOUT :
                             c->err.code == SX_EUNAVAIL;
}

static void note_silence(struct sx_client_node *n, uint64_t now)
{
    n->failed_ms = now;
    if (n->avoid_until > now)
        return; /* requests that failed together count once */
    n->avoid_until = now + ((uint64_t)NODE_AVOID_MS << n->faults);
    if (n->faults < NODE_FAULTS_MAX)
        n->faults++;
}

/* ---- Repeating ---------------------------------------------------------------------------- */

/* What may be wrong with the one node, or with what is asked for: then it does not pass. */
static bool is_fault(int code)
{
    return code == SX_EBUG || code == SX_EIO || code == SX_ECORRUPT || code == SX_ENOBLOCK ||
           code == SX_ENOMEM;
}

static bool may_repeat(const struct sx_call *c, uint64_t now)
{
    if (c->once || c->err.code == SX_ELEASE || sx_err_retry(c->err.code) == SX_RETRY_NO)
        return false;
    if (c->failed_ms && now - c->failed_ms >= RETRY_TIME_MS)
        return false;
    return !is_fault(c->err.code) || c->faults < FAULTS_PER_NODE * c->cluster->n_nodes;
}

/* At once if another node seems well, else after a delay that grows. */
static unsigned repeat_delay(const struct sx_call *c, unsigned retry_after_s)
{
    const struct sx_cluster *k = c->cluster;
    unsigned shift = c->attempts < 5 ? c->attempts : 5;
    unsigned delay = RETRY_DELAY_MIN_MS << shift;

    if (sx_err_retry(c->err.code) == SX_RETRY_OTHER && c->attempts < k->n_nodes &&
        sx_node_well(k, c->at))
        return 0;
    if (c->err.code == SX_ETOOMANY && retry_after_s)
        return retry_after_s * 1000 < RETRY_TIME_MS ? retry_after_s * 1000 : RETRY_TIME_MS;
    return delay < RETRY_DELAY_MAX_MS ? delay : RETRY_DELAY_MAX_MS;
}

static void finish(struct sx_call *c)
{
    c->cluster->calls--;
    c->done(c->arg, c);
}

static void wait_until(struct sx_call *c, uint64_t due_ms)
{
    c->due_ms = due_ms;
    c->next_waiting = c->cluster->waiting;
    c->cluster->waiting = c;
}

static void repeat_later(struct sx_call *c, unsigned retry_after_s)
{
    struct sx_cluster *k = c->cluster;
    uint64_t now = sx_mono_ms();

    if (node_silent(c))
        note_silence(&k->nodes[c->at], now);
    if (is_fault(c->err.code))
        c->faults++;
    if (!may_repeat(c, now)) {
        finish(c);
        return;
    }
    if (!c->failed_ms)
        c->failed_ms = now;
    if (sx_err_retry(c->err.code) == SX_RETRY_OTHER)
        c->at = next_node(c);
    wait_until(c, now + repeat_delay(c, retry_after_s));
}

/* The node took the time of the signature for wrong, and told its own: signed by that, the request will
 * do, unless that clock jumps meanwhile.  Each node has a clock of its own, and either may be the wrong one. */
static bool learn_clock(struct sx_call *c, const struct sx_http_answer *a)
{
    if (a->err.code != SX_ECLOCK || !a->date_ms || c->clocks == SX_CALL_CLOCKS_MAX || c->once)
        return false;
    c->cluster->nodes[c->at].clock_ms = (int64_t)(a->date_ms - sx_wall_ms());
    c->clocks++;
    return true;
}

static void answered(void *arg, const struct sx_http_answer *a)
{
    struct sx_call *c = arg;

    c->err = a->err;
    c->status = a->status;
    if (a->err.code == SX_OK) {
        c->cluster->nodes[c->at].faults = 0;
        c->cluster->nodes[c->at].avoid_until = 0;
        finish(c);
    } else if (learn_clock(c, a)) {
        wait_until(c, sx_mono_ms());
    } else {
        repeat_later(c, a->retry_after_s);
    }
}

static void attempt(struct sx_call *c)
{
    struct sx_cluster *k = c->cluster;
    const struct sx_client_node *n = &k->nodes[c->at];
    const struct sx_header op = { "X-Sx-Op", c->op };
    const struct sx_http_request r = {
        .method = c->method,
        .address = n->address,
        .port = n->port,
        .path = c->path,
        .query = c->query,
        .headers = &op,
        .n_headers = strcmp(c->method, "GET") ? 1 : 0,
        .content_type = c->type,
        .body = c->body,
        .n_body = c->n_body,
        .answer = c->answer,
        .answer_max = c->answer_max,
        .clock_ms = n->clock_ms,
        .done = answered,
        .arg = c,
    };

    c->attempts++;
    if (sx_http_start(k->http, &r, &c->err)) {
        /* The engine is full: the same request will do a little later. */
        c->failed_ms = c->failed_ms ? c->failed_ms : sx_mono_ms();
        wait_until(c, sx_mono_ms() + RETRY_DELAY_MAX_MS);
    }
}

void sx_call_start(struct sx_cluster *k, struct sx_call *c)
{
    c->cluster = k;
    k->calls++;
    c->at = choose_node(c, c->node >= 0 ? (size_t)c->node : k->turn++);
    attempt(c);
}

/* Starts the calls whose time has come; gives the time until the next, at most `most`. */
static unsigned start_due(struct sx_cluster *k, unsigned most)
{
    struct sx_call *all = k->waiting;
    uint64_t now = sx_mono_ms();

    k->waiting = NULL;
    while (all) {
        struct sx_call *c = all;

        all = c->next_waiting;
        if (c->due_ms <= now) {
            attempt(c);
            continue;
        }
        if (c->due_ms - now < most)
            most = (unsigned)(c->due_ms - now);
        c->next_waiting = k->waiting;
        k->waiting = c;
    }
    return most;
}

void sx_cluster_run(struct sx_cluster *k, unsigned timeout_ms)
{
    timeout_ms = start_due(k, timeout_ms);
    if (sx_http_in_flight(k->http))
        sx_http_run(k->http, timeout_ms);
    else if (k->waiting)
        sx_sleep_ms(timeout_ms);
}

void sx_cluster_stop(struct sx_cluster *k)
{
    struct sx_call *all = k->waiting;

    k->waiting = NULL;
    while (all) {
        struct sx_call *c = all;

        all = c->next_waiting;
        sx_err_set(&c->err, SX_ECANCELED, "canceled");
        finish(c);
    }
    sx_http_stop(k->http);
}

/* ---- One call at a time ------------------------------------------------------------------- */

static void set_flag(void *arg, struct sx_call *c)
{
    *(bool *)arg = true;
}

int sx_call_wait(struct sx_cluster *k, struct sx_call *c, struct sx_err *e)
{
    bool over = false;

    c->done = set_flag;
    c->arg = &over;
    if (c->node < 0)
        c->node = (int)(k->turn % k->n_nodes); /* kept connections: stay with one node */
    sx_call_start(k, c);
    while (!over)
        sx_cluster_run(k, RETRY_DELAY_MAX_MS);
    if (c->err.code == SX_OK)
        return 0;
    sx_err_copy(e, &c->err);
    return -1;
}

int sx_call_json(struct sx_cluster *k, const char *method, char *path, char *query, json_t *body,
                 json_t **answer, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT, got = SX_BUF_INIT;
    struct sx_call c;
    int r;

    sx_call_init(&c, method, path);
    c.query = query;
    c.answer = &got;
    if (body) {
        sx_json_dump(&text, body);
        json_decref(body);
        c.type = SX_HTTP_JSON;
        c.body[0] = (struct iovec){ text.data, text.len };
        c.n_body = 1;
    }
    r = sx_call_wait(k, &c, e);
    sx_call_fini(&c);
    if (r || !answer)
        return r;
    *answer = sx_json_parse(got.data, got.len, e);
    return *answer ? 0 : sx_err_wrap(e, "answer of the cluster");
}
