/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See flight.h.
 *
 * One thread drives the connections; for a put, a second one writes to the local store at the
 * same time, so that local fsync and network overlap.  They share only the `local` struct, and
 * that after a join.
 */
#include "fcgi/cluster/flight.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/http/message.h"

#define ANSWER_MAX (64u << 10)
#define PATH_PUT "/.node/v1/blocks"
#define PATH_HAVE "/.node/v1/have"
#define WAIT_MS 1000

/* A request to one node. */
struct flight {
    struct flight *next;
    struct run *run;
    size_t node;
    uint32_t *list;
    size_t n;
    struct sx_buf head, answer;
    struct iovec *iov;
    bool done;
};

/* The node's own part of a put. */
struct local {
    pthread_t thread;
    bool threaded, active;
    atomic_bool ended;
    struct sx_http *wake;
    struct sx_store *store;
    struct sx_record *recs;
    uint32_t *list;
    size_t n;
    uint64_t lease;
    int result;
    struct sx_err err;
};

struct run {
    const struct sx_flights_job *job;
    struct sx_plan *plan;
    struct flight *flights;
    unsigned active; /* flights not done */
    struct local local;
    uint64_t lease;
    struct sx_err *last;
};

size_t sx_flights_iov(const struct sx_record *recs, const uint32_t *list, size_t n,
                      struct iovec *iov)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        const struct sx_record *r = &recs[list[i]];
        uint8_t *p = (uint8_t *)(uintptr_t)r->stored - SX_RECORD_HEADER;
        size_t len = SX_RECORD_HEADER + r->len;

        if (count > 0 && (uint8_t *)iov[count - 1].iov_base + iov[count - 1].iov_len == p)
            iov[count - 1].iov_len += len;
        else
            iov[count++] = (struct iovec){ p, len };
    }
    return count;
}

static void note_lease(struct run *run, uint64_t lease)
{
    if (lease < run->lease)
        run->lease = lease;
}

/* The lease that another node gave.  One whose metadata lags far behind gives leases that are over
 * already: its copies do not count, or no commit could rest on them. */
static int take_lease(struct run *run, uint64_t lease, struct sx_err *e)
{
    uint64_t epoch = run->job->env->epoch;

    if (lease <= sx_epoch_horizon(epoch))
        return sx_err_set(e, SX_EUNAVAIL,
                          "its metadata lags: it leases in epoch %llu, the cluster is in %llu",
                          (unsigned long long)lease, (unsigned long long)epoch);
    note_lease(run, lease);
    return 0;
}

static void answer_all(struct run *run, size_t node, const uint32_t *list, size_t n,
                       enum sx_plan_state state)
{
    for (size_t i = 0; i < n; i++)
        sx_plan_answer(run->plan, node, list[i], state);
}

/* ---- answers of other nodes ---- */

static int take_put(struct flight *f, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = sx_json_parse(f->answer.data, f->answer.len, e);
    uint64_t lease, stored;

    if (!j || sx_json_need_u64(j, "lease", INT64_MAX, &lease, e) != 0 ||
        sx_json_need_u64(j, "stored", SX_BLOCKS_MAX, &stored, e) != 0)
        return -1;
    if (stored != f->n)
        return sx_err_set(e, SX_EBUG, "%llu of %zu blocks stored", (unsigned long long)stored,
                          f->n);
    if (take_lease(f->run, lease, e) != 0)
        return -1;
    answer_all(f->run, f->node, f->list, f->n, SX_PLAN_HAS);
    return 0;
}

static int take_have(struct flight *f, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    uint64_t lease;
    bool any = false;

    if (sx_message_parse(&m, f->answer.data, f->answer.len, e) != 0 ||
        sx_json_need_u64(m.json, "lease", INT64_MAX, &lease, e) != 0)
        return -1;
    if (m.len != f->n)
        return sx_err_set(e, SX_EMALFORMED, "%zu answers for %zu blocks", m.len, f->n);
    for (size_t i = 0; i < f->n; i++)
        any = any || m.data[i] == 1;
    if (any && take_lease(f->run, lease, e) != 0)
        return -1;
    for (size_t i = 0; i < f->n; i++)
        sx_plan_answer(f->run->plan, f->node, f->list[i],
                       m.data[i] == 1 ? SX_PLAN_HAS : SX_PLAN_LACKS);
    return 0;
}

static void flight_done(void *arg, const struct sx_http_answer *answer)
{
    struct flight *f = arg;
    struct sx_peers *peers = f->run->job->env->peers;
    struct sx_err e = answer->err;
    int r = -1;

    sx_peers_note(peers, f->node, &answer->err);
    if (e.code == SX_OK)
        r = f->run->job->kind == SX_PLAN_PUT ? take_put(f, &e) : take_have(f, &e);
    if (r != 0) {
        answer_all(f->run, f->node, f->list, f->n, SX_PLAN_FAILED);
        sx_err_wrap(&e, "node %016llx", (unsigned long long)sx_peers_node(peers, f->node)->id);
        if (e.code != SX_ECANCELED) {
            sx_warn("%s", e.msg);
            sx_err_copy(f->run->last, &e);
        }
    }
    f->done = true;
    f->run->active--;
}

/* ---- starting ---- */

static int head_of(struct sx_buf *out, size_t n, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = json_pack("{s:I}", "count", (json_int_t)n);

    return sx_message_head(out, j, e);
}

static size_t fill_body(struct flight *f)
{
    const struct sx_flights_job *job = f->run->job;

    if (job->kind == SX_PLAN_PUT)
        return sx_flights_iov(job->recs, f->list, f->n, f->iov + 1);
    for (size_t i = 0; i < f->n; i++)
        sx_buf_add(&f->head, job->ids[f->list[i]].b, SX_ID_SIZE);
    return 0;
}

static void start_flight(struct run *run, size_t node, const uint32_t *list, size_t n)
{
    struct flight *f = sx_calloc(1, sizeof *f);
    struct sx_http_request r = {
        .method = "POST", .content_type = SX_HTTP_MESSAGE, .done = flight_done, .arg = f,
    };
    struct sx_err e = SX_ERR_INIT;

    f->run = run;
    f->node = node;
    f->n = n;
    f->list = sx_malloc(n * sizeof *list);
    memcpy(f->list, list, n * sizeof *list);
    f->iov = sx_calloc(n + 1, sizeof *f->iov);
    f->next = run->flights;
    run->flights = f;
    run->active++;
    r.path = run->job->kind == SX_PLAN_PUT ? PATH_PUT : PATH_HAVE;
    r.answer = &f->answer;
    r.answer_max = ANSWER_MAX;
    if (head_of(&f->head, n, &e) == 0) {
        r.n_body = fill_body(f) + 1;
        f->iov[0] = (struct iovec){ f->head.data, f->head.len };
        r.body = f->iov;
        if (sx_peers_start(run->job->env->peers, node, &r, &e) == 0)
            return;
    }
    struct sx_http_answer failed = { .err = e };
    flight_done(f, &failed);
}

/* ---- this node ---- */

static void *local_put(void *arg)
{
    struct local *l = arg;

    l->result = sx_store_put(l->store, l->recs, l->n, &l->lease, NULL, &l->err);
    atomic_store(&l->ended, true);
    if (l->threaded)
        sx_http_wake(l->wake);
    return NULL;
}

static void local_end(struct run *run)
{
    struct local *l = &run->local;

    if (l->threaded)
        pthread_join(l->thread, NULL);
    if (l->result == 0) {
        note_lease(run, l->lease);
    } else {
        sx_warn("this node: %s", l->err.msg);
        sx_err_copy(run->last, &l->err);
    }
    answer_all(run, sx_peers_self(run->job->env->peers), l->list, l->n,
               l->result == 0 ? SX_PLAN_HAS : SX_PLAN_FAILED);
    free(l->recs);
    free(l->list);
    l->active = false;
}

static void local_put_start(struct run *run, const uint32_t *list, size_t n)
{
    struct local *l = &run->local;
    const struct sx_blocks *env = run->job->env;

    memset(l, 0, sizeof *l);
    l->active = true;
    l->store = env->store;
    l->n = n;
    l->recs = sx_calloc(n, sizeof *l->recs);
    l->list = sx_malloc(n * sizeof *list);
    memcpy(l->list, list, n * sizeof *list);
    for (size_t i = 0; i < n; i++)
        l->recs[i] = run->job->recs[list[i]];
    if (run->active > 0) {
        l->wake = sx_peers_http(env->peers);
        l->threaded = true;
        if (pthread_create(&l->thread, NULL, local_put, l) == 0)
            return;
        l->threaded = false;
    }
    local_put(l);
    local_end(run);
}

static void local_have(struct run *run, const uint32_t *list, size_t n)
{
    SX_AUTO_FREE struct sx_id *ids = sx_calloc(n, sizeof *ids);
    SX_AUTO_FREE uint8_t *present = sx_calloc(n, 1);
    size_t self = sx_peers_self(run->job->env->peers);
    struct sx_err e = SX_ERR_INIT;
    bool any = false;
    uint64_t lease;

    for (size_t i = 0; i < n; i++)
        ids[i] = run->job->ids[list[i]];
    if (sx_store_have(run->job->env->store, ids, n, present, &lease, &e) != 0) {
        sx_warn("this node: %s", e.msg);
        sx_err_copy(run->last, &e);
        answer_all(run, self, list, n, SX_PLAN_FAILED);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        any = any || present[i];
        sx_plan_answer(run->plan, self, list[i], present[i] ? SX_PLAN_HAS : SX_PLAN_LACKS);
    }
    if (any)
        note_lease(run, lease);
}

/* ---- the loop ---- */

/* Starts what the plan wants next, the other nodes first.  False if it wants nothing. */
static bool start_next(struct run *run)
{
    size_t self = sx_peers_self(run->job->env->peers), n;
    const uint32_t *list;

    if (sx_plan_next(run->plan) == 0)
        return false;
    for (size_t i = 0; i < sx_peers_count(run->job->env->peers); i++)
        if (i != self && (list = sx_plan_list(run->plan, i, &n)) && n > 0)
            start_flight(run, i, list, n);
    list = NULL;
    n = 0;
    if (self < sx_peers_count(run->job->env->peers))
        list = sx_plan_list(run->plan, self, &n);
    if (n > 0 && run->job->kind == SX_PLAN_PUT)
        local_put_start(run, list, n);
    else if (n > 0)
        local_have(run, list, n);
    return true;
}

static uint64_t grace_ms(uint64_t took_ms)
{
    if (took_ms < SX_BLOCKS_GRACE_MIN_MS)
        return SX_BLOCKS_GRACE_MIN_MS;
    return took_ms < SX_BLOCKS_GRACE_MAX_MS ? took_ms : SX_BLOCKS_GRACE_MAX_MS;
}

static void drive(struct run *run)
{
    uint64_t began = sx_mono_ms(), until = 0;

    while (start_next(run) || run->active > 0 || run->local.active) {
        uint64_t now = sx_mono_ms(), wait = WAIT_MS;

        if (sx_plan_complete(run->plan)) {
            until = until ? until : now + grace_ms(now - began);
            wait = until > now ? until - now : 0;
            if (wait == 0)
                break;
        }
        if (run->active > 0)
            sx_http_run(sx_peers_http(run->job->env->peers), (unsigned)wait);
        if (run->local.active && (run->active == 0 || atomic_load(&run->local.ended)))
            local_end(run);
    }
    if (run->active > 0)
        sx_http_stop(sx_peers_http(run->job->env->peers));
    if (run->local.active)
        local_end(run);
}

static struct sx_plan *plan_for(const struct sx_flights_job *job)
{
    const struct sx_peers *peers = job->env->peers;
    bool down[SX_NODES_MAX];
    struct sx_plan *plan;

    for (size_t i = 0; i < sx_peers_count(peers); i++)
        down[i] = sx_peers_down(peers, i);
    plan =
        sx_plan_new(job->kind, job->n, sx_peers_count(peers), job->replica,
                    sx_write_quorum(job->replica), down);
    for (size_t i = 0; i < job->n; i++) {
        const struct sx_id *id = job->recs ? &job->recs[i].id : &job->ids[i];

        sx_plan_order_set(plan, i, sx_peers_order(peers, id, sx_plan_order(plan, i)));
    }
    return plan;
}

struct sx_plan *sx_flights_run(const struct sx_flights_job *job, uint64_t *lease,
                               struct sx_err *last)
{
    struct run run = { .job = job, .plan = plan_for(job), .lease = UINT64_MAX, .last = last };
    struct flight *next;

    drive(&run);
    for (struct flight *f = run.flights; f; f = next) {
        next = f->next;
        sx_buf_fini(&f->head);
        sx_buf_fini(&f->answer);
        free(f->iov);
        free(f->list);
        free(f);
    }
    *lease = run.lease;
    return run.plan;
}
