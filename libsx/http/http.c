/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See http.h.  A call waits in its node's queue until that node has fewer than `per_node` active
 * ones, then gets an easy handle (kept handles are reused), is signed, and goes to libcurl's multi
 * handle.  Our queue stands before libcurl's own, because there the time-outs would already run.
 *
 *   call:  waiting (in node->waiting) → active (in h->active) → complete (callback, freed)
 */
#include "libsx/http/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/http/failure.h"
#include "libsx/http/transfer.h"

#define CONNECTIONS_MAX 512L /* kept, to all nodes */
#define IDLE_MAX 64u         /* easy handles kept for reuse */
#define STALL_STEP_MS 250u /* how often stalled transfers are looked for */
#define RUN_STEP_MS 1000

TAILQ_HEAD(call_list, sx_http_transfer);

struct node {
    char *name; /* address:port */
    unsigned active;
    struct call_list waiting;
};

struct sx_http {
    CURLM *multi;
    CURLSH *share; /* TLS sessions */
    struct sx_http_settings settings;
    struct node **nodes;
    size_t n_nodes;
    struct call_list active;
    size_t n_active;
    size_t in_flight;
    CURL *idle[IDLE_MAX];
    size_t n_idle;
    struct sx_buf chain_ca;
    atomic_bool woken;
    uint64_t stall_check_ms; /* monotonic: when to look next */
    bool in_callback;
    bool stopping;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
    sx_assert(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static char *copy(const char *s)
{
    return s ? sx_strdup(s) : NULL;
}

struct sx_http *sx_http_new(const struct sx_http_config *config)
{
    struct sx_http *h = sx_calloc(1, sizeof *h);
    struct sx_http_settings *s = &h->settings;

    pthread_once(&curl_once, curl_start);
    s->ca_file = copy(config->ca_file);
    s->cert_file = copy(config->cert_file);
    s->key_file = copy(config->key_file);
    s->access_key = copy(config->access_key);
    s->secret = copy(config->secret);
    s->user_agent = copy(config->user_agent ? config->user_agent : "sx");
    s->per_node = config->per_node ? config->per_node : SX_HTTP_PER_NODE;
    s->connect_timeout_ms = config->connect_timeout_ms ? config->connect_timeout_ms
                                                       : SX_HTTP_CONNECT_TIMEOUT_MS;
    s->stall_timeout_ms = config->stall_timeout_ms ? config->stall_timeout_ms
                                                   : SX_HTTP_STALL_TIMEOUT_MS;
    TAILQ_INIT(&h->active);
    h->multi = curl_multi_init();
    h->share = curl_share_init();
    sx_assert(h->multi && h->share);
    sx_assert(curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) ==
              CURLSHE_OK);
    sx_assert(curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX) == CURLM_OK);
    s->share = h->share;
    return h;
}

static void settings_free(struct sx_http_settings *s)
{
    if (s->secret)
        sx_wipe(s->secret, strlen(s->secret));
    free(s->ca_file);
    free(s->cert_file);
    free(s->key_file);
    free(s->access_key);
    free(s->secret);
    free(s->user_agent);
}

void sx_http_free(struct sx_http *h)
{
    if (!h)
        return;
    sx_http_stop(h);
    for (size_t i = 0; i < h->n_idle; i++)
        curl_easy_cleanup(h->idle[i]);
    curl_multi_cleanup(h->multi);
    curl_share_cleanup(h->share);
    for (size_t i = 0; i < h->n_nodes; i++) {
        free(h->nodes[i]->name);
        free(h->nodes[i]);
    }
    free(h->nodes);
    settings_free(&h->settings);
    sx_buf_fini(&h->chain_ca);
    free(h);
}

/* Lets paused transfers go on; each time another one is the first to draw on the bucket. */
static void resume(struct sx_http *h)
{
    struct sx_http_transfer *t = TAILQ_FIRST(&h->active);

    sx_http_limit_fill(&h->settings.limit);
    if (!t)
        return;
    TAILQ_REMOVE(&h->active, t, link);
    TAILQ_INSERT_TAIL(&h->active, t, link);
    TAILQ_FOREACH(t, &h->active, link)
        sx_http_transfer_resume(t);
}

void sx_http_limit(struct sx_http *h, uint64_t bytes_per_s)
{
    sx_http_limit_set(&h->settings.limit, bytes_per_s);
    resume(h);
}

size_t sx_http_in_flight(const struct sx_http *h)
{
    return h->in_flight;
}

const char *sx_http_chain_ca(struct sx_http *h)
{
    return h->chain_ca.len ? sx_buf_cstr(&h->chain_ca) : NULL;
}

static struct node *node_of(struct sx_http *h, const char *name)
{
    struct node *n;

    for (size_t i = 0; i < h->n_nodes; i++)
        if (strcmp(h->nodes[i]->name, name) == 0)
            return h->nodes[i];
    n = sx_calloc(1, sizeof *n);
    n->name = sx_strdup(name);
    TAILQ_INIT(&n->waiting);
    h->nodes = sx_realloc(h->nodes, (h->n_nodes + 1) * sizeof *h->nodes);
    h->nodes[h->n_nodes++] = n;
    return n;
}

static CURL *easy_take(struct sx_http *h)
{
    CURL *easy = h->n_idle ? h->idle[--h->n_idle] : curl_easy_init();

    sx_assert(easy);
    return easy;
}

static void easy_give(struct sx_http *h, CURL *easy)
{
    if (h->n_idle == IDLE_MAX) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    h->idle[h->n_idle++] = easy;
}

/* Lets waiting calls of the node go as far as it has room. */
static void node_feed(struct sx_http *h, struct node *n)
{
    while (n->active < h->settings.per_node && !TAILQ_EMPTY(&n->waiting)) {
        struct sx_http_transfer *t = TAILQ_FIRST(&n->waiting);

        TAILQ_REMOVE(&n->waiting, t, link);
        sx_http_transfer_begin(t, easy_take(h), &h->settings);
        TAILQ_INSERT_TAIL(&h->active, t, link);
        n->active++;
        h->n_active++;
        sx_assert(curl_multi_add_handle(h->multi, t->easy) == CURLM_OK);
    }
}

int sx_http_start(struct sx_http *h, const struct sx_http_request *r, struct sx_err *e)
{
    struct sx_http_transfer *t;
    struct node *n;

    if (h->stopping)
        return sx_err_set(e, SX_ECANCELED, "requests are being canceled");
    if (h->in_flight >= SX_HTTP_REQUESTS_MAX)
        return sx_err_set(e, SX_ETOOMANY, "more than %u requests are in flight",
                          SX_HTTP_REQUESTS_MAX);
    t = sx_http_transfer_new(r);
    n = node_of(h, t->node);
    TAILQ_INSERT_TAIL(&n->waiting, t, link);
    h->in_flight++;
    node_feed(h, n);
    return 0;
}

static void call_back(struct sx_http *h, struct sx_http_transfer *t, struct sx_http_answer *a)
{
    a->body = t->r.answer ? t->r.answer : &t->own;
    if (a->err.code != SX_OK)
        sx_buf_reset(a->body);
    h->in_flight--;
    if (t->r.done) {
        h->in_callback = true;
        t->r.done(t->r.arg, a);
        h->in_callback = false;
    }
    sx_http_transfer_free(t);
}

/* Takes the transfer off libcurl and gives its place to the next of its node. */
static void detach(struct sx_http *h, struct sx_http_transfer *t)
{
    struct node *n = node_of(h, t->node);

    sx_assert(curl_multi_remove_handle(h->multi, t->easy) == CURLM_OK);
    easy_give(h, t->easy);
    t->easy = NULL;
    TAILQ_REMOVE(&h->active, t, link);
    n->active--;
    h->n_active--;
    if (!h->stopping)
        node_feed(h, n);
}

static size_t complete_all(struct sx_http *h)
{
    size_t completed = 0;
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(h->multi, &left))) {
        struct sx_http_answer a = { .status = 0 };
        struct sx_http_transfer *t;
        CURLcode code = msg->data.result;
        char *private;

        sx_assert(msg->msg == CURLMSG_DONE);
        sx_assert(curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK);
        t = (struct sx_http_transfer *)private;
        sx_http_transfer_end(t, code, &a);
        if (!h->settings.ca_file)
            sx_http_transfer_chain_ca(t, &h->chain_ca);
        detach(h, t); /* msg is gone now */
        call_back(h, t, &a);
        completed++;
    }
    return completed;
}

/* One that waits for its share of the limit has not stalled. */
static bool stalled(const struct sx_http_transfer *t, uint64_t now)
{
    return !t->paused && now > t->moved_ms && now - t->moved_ms > t->stall_ms;
}

static size_t end_stalled(struct sx_http *h, uint64_t now)
{
    struct sx_http_transfer *next;
    size_t ended = 0;

    if (now < h->stall_check_ms)
        return 0;
    h->stall_check_ms = now + STALL_STEP_MS;
    for (struct sx_http_transfer *t = TAILQ_FIRST(&h->active); t; t = next) {
        struct sx_http_answer a = { .status = 0 };

        next = TAILQ_NEXT(t, link);
        if (!stalled(t, now))
            continue;
        snprintf(t->detail, sizeof t->detail, "no byte for %u ms", t->stall_ms);
        sx_http_transfer_end(t, CURLE_OPERATION_TIMEDOUT, &a);
        detach(h, t);
        call_back(h, t, &a);
        ended++;
    }
    return ended;
}

size_t sx_http_run(struct sx_http *h, unsigned timeout_ms)
{
    uint64_t now = sx_mono_ms(), end = now + timeout_ms;
    int running;

    sx_assert(!h->in_callback);
    for (;;) {
        bool limited = h->settings.limit.rate != 0;
        size_t completed;
        uint64_t wait;

        if (limited)
            resume(h);
        sx_assert(curl_multi_perform(h->multi, &running) == CURLM_OK);
        completed = complete_all(h) + end_stalled(h, now);
        if (completed || !h->in_flight || now >= end || atomic_exchange(&h->woken, false))
            return completed;
        wait = limited ? SX_HTTP_LIMIT_STEP_MS : STALL_STEP_MS;
        wait = end - now < wait ? end - now : wait;
        sx_assert(curl_multi_poll(h->multi, NULL, 0, (int)wait, NULL) == CURLM_OK);
        now = sx_mono_ms();
    }
}

void sx_http_wake(struct sx_http *h)
{
    atomic_store(&h->woken, true);
    curl_multi_wakeup(h->multi);
}

struct waiter {
    bool done;
    struct sx_http_answer answer;
};

static void wait_done(void *arg, const struct sx_http_answer *answer)
{
    struct waiter *w = arg;

    w->answer = *answer;
    w->done = true;
}

int sx_http_call(struct sx_http *h, const struct sx_http_request *r, struct sx_http_answer *answer,
                 struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf own = SX_BUF_INIT;
    struct sx_http_request mine = *r;
    struct waiter w = { .done = false };

    mine.done = wait_done;
    mine.arg = &w;
    if (!mine.answer)
        mine.answer = &own;
    if (sx_http_start(h, &mine, &w.answer.err))
        w.done = true;
    while (!w.done)
        sx_http_run(h, RUN_STEP_MS);
    w.answer.body = r->answer;
    if (answer)
        *answer = w.answer;
    if (w.answer.err.code == SX_OK)
        return 0;
    sx_err_copy(e, &w.answer.err);
    return -1;
}

static void cancel(struct sx_http *h, struct sx_http_transfer *t)
{
    struct sx_http_answer a = { .status = 0 };

    sx_err_set(&a.err, SX_ECANCELED, "the request to node %s was canceled", t->node);
    call_back(h, t, &a);
}

void sx_http_stop(struct sx_http *h)
{
    struct sx_http_transfer *t;

    sx_assert(!h->in_callback);
    h->stopping = true;
    while ((t = TAILQ_FIRST(&h->active))) {
        detach(h, t);
        cancel(h, t);
    }
    for (size_t i = 0; i < h->n_nodes; i++) {
        while ((t = TAILQ_FIRST(&h->nodes[i]->waiting))) {
            TAILQ_REMOVE(&h->nodes[i]->waiting, t, link);
            cancel(h, t);
        }
    }
    h->stopping = false;
}
