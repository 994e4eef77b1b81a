/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which devices new blocks go to.  Each block goes to the first writable device in its order; the
 * blocks of one device are one batch there, and several devices write at the same time.  A device
 * that is full or fails is left out, and what was to go there goes to the next.
 */
#include <pthread.h>
#include <string.h>

#include "fcgi/store/store_int.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

/* What goes to one device, and how that ended. */
struct job {
    struct sx_slot *slot;
    struct sx_record *recs;
    uint32_t *index; /* of each in the whole call */
    size_t n;
    int result;
    uint64_t lease;
    size_t written;
    struct sx_err err;
    pthread_t thread;
    bool threaded;
};

struct put {
    struct sx_store *s;
    const struct sx_record *recs;
    size_t n;
    const struct sx_slot *except;
    bool *done;                     /* is stored, or was there */
    bool left_out[SX_DEVICES_MAX];  /* full or failed */
    struct job job[SX_DEVICES_MAX]; /* one a slot */
    uint64_t lease;
    size_t written;
    struct sx_err last; /* why a device was left out; no space before all others */
};

static void put_fini(struct put *p)
{
    free(p->done);
    for (size_t k = 0; k < SX_DEVICES_MAX; k++) {
        free(p->job[k].recs);
        free(p->job[k].index);
    }
}

static void least(uint64_t *to, uint64_t lease)
{
    if (lease < *to)
        *to = lease;
}

/* The slot where a block is to be written, or SX_DEVICES_MAX. */
static size_t target(const struct put *p, const struct sx_id *id)
{
    uint8_t order[SX_DEVICES_MAX];
    size_t n = sx_store_order(p->s, id, order);

    for (size_t i = 0; i < n; i++)
        if (sx_slot_writable(&p->s->slot[order[i]]) && !p->left_out[order[i]])
            return order[i];
    return SX_DEVICES_MAX;
}

/* Fills the jobs with what is not done.  Returns false if there is no device for a block. */
static bool share_out(struct put *p)
{
    for (size_t k = 0; k < p->s->n; k++)
        p->job[k].n = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t k;

        if (p->done[i])
            continue;
        k = target(p, &p->recs[i].id);
        if (k == SX_DEVICES_MAX)
            return false;
        struct job *j = &p->job[k];

        if (!j->recs) {
            j->slot = &p->s->slot[k];
            j->recs = sx_malloc(p->n * sizeof *j->recs);
            j->index = sx_malloc(p->n * sizeof *j->index);
        }
        j->recs[j->n] = p->recs[i];
        j->index[j->n++] = (uint32_t)i;
    }
    return true;
}

/* ---- what is there already ---- */

/* Which blocks of a job its device has; those are done. */
static int have_some(struct put *p, struct job *j, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_id *ids = sx_malloc(j->n * sizeof *ids);
    SX_AUTO_FREE uint8_t *present = sx_calloc(j->n, 1);
    uint64_t lease;
    bool any = false;

    for (size_t i = 0; i < j->n; i++)
        ids[i] = j->recs[i].id;
    if (sx_device_have(j->slot->device, ids, j->n, present, &lease, e))
        return -1;
    for (size_t i = 0; i < j->n; i++) {
        p->done[j->index[i]] = p->done[j->index[i]] || present[i];
        any = any || present[i];
    }
    if (any)
        least(&p->lease, lease);
    return 0;
}

/* Asks all devices but the one where a block is to go: that one is asked by sx_device_put(). */
static void have_elsewhere(struct put *p)
{
    for (size_t k = 0; k < p->s->n; k++) {
        struct sx_slot *sl = &p->s->slot[k];
        struct job j = { .slot = sl };
        struct sx_err why = SX_ERR_INIT;

        if (!sx_slot_leases(sl) || sl == p->except || p->s->n == 1)
            continue;
        j.recs = sx_malloc(p->n * sizeof *j.recs);
        j.index = sx_malloc(p->n * sizeof *j.index);
        for (size_t i = 0; i < p->n; i++)
            if (!p->done[i] && target(p, &p->recs[i].id) != k) {
                j.recs[j.n] = p->recs[i];
                j.index[j.n++] = (uint32_t)i;
            }
        if (j.n && have_some(p, &j, &why))
            sx_store_trouble(p->s, sl, &why);
        free(j.recs);
        free(j.index);
    }
}

/* ---- writing ---- */

static void *run_job(void *arg)
{
    struct job *j = arg;

    sx_err_clear(&j->err);
    j->result = sx_device_put(j->slot->device, j->recs, j->n, &j->lease, &j->written, &j->err);
    return NULL;
}

/* All jobs at the same time: the first in this thread, each other in its own. */
static void run_jobs(struct put *p)
{
    struct job *own = NULL;

    for (size_t k = 0; k < p->s->n; k++) {
        struct job *j = &p->job[k];

        j->threaded = false;
        if (j->n && own)
            j->threaded = pthread_create(&j->thread, NULL, run_job, j) == 0;
        else if (j->n)
            own = j;
    }
    for (size_t k = 0; k < p->s->n; k++)
        if (p->job[k].n && !p->job[k].threaded)
            run_job(&p->job[k]);
    for (size_t k = 0; k < p->s->n; k++)
        if (p->job[k].threaded)
            pthread_join(p->job[k].thread, NULL);
}

static void leave_out(struct put *p, size_t k)
{
    struct job *j = &p->job[k];
    struct sx_err why = SX_ERR_INIT;

    p->left_out[k] = true;
    if (p->last.code != SX_ENOSPACE)
        p->last = j->err;
    sx_store_trouble(p->s, j->slot, &j->err);
    if (j->err.code == SX_ENOSPACE && have_some(p, j, &why))
        sx_store_trouble(p->s, j->slot, &why);
}

/* Notes how the jobs ended.  -1: the records themselves are wrong. */
static int settle(struct put *p, struct sx_err *e)
{
    for (size_t k = 0; k < p->s->n; k++) {
        struct job *j = &p->job[k];

        if (j->n == 0)
            continue;
        if (j->result && (j->err.code == SX_EBLOCK || j->err.code == SX_EINVAL)) {
            sx_err_copy(e, &j->err);
            return -1;
        }
        if (j->result) {
            leave_out(p, k);
            continue;
        }
        for (size_t i = 0; i < j->n; i++)
            p->done[j->index[i]] = true;
        p->written += j->written;
        least(&p->lease, j->lease);
    }
    return 0;
}

static bool all_done(const struct put *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->done[i])
            return false;
    return true;
}

/* No device takes what is left: the error of the one that was tried, or the states of all. */
static int nowhere(const struct put *p, struct sx_err *e)
{
    size_t out = 0, failed = 0, others = 0;

    if (p->last.code) {
        sx_err_copy(e, &p->last);
        return -1;
    }
    for (size_t k = 0; k < p->s->n; k++) {
        const struct sx_slot *sl = &p->s->slot[k];

        out += !sl->device;
        failed += sl->device && sl->entry.state == SX_DEVICE_FAILED;
        others += sl->device && sl->entry.state != SX_DEVICE_FAILED;
    }
    return sx_err_set(e, SX_EUNAVAIL, "no device of the node takes blocks: %zu out, %zu failed,"
                      " %zu read-only or draining", out, failed, others);
}

int sx_store_place(struct sx_store *s, const struct sx_record *recs, size_t n,
                   const struct sx_slot *except, uint64_t *lease, size_t *written,
                   struct sx_err *e)
{
    __attribute__((cleanup(put_fini))) struct put p = {
        .s = s, .recs = recs, .n = n, .except = except, .lease = UINT64_MAX,
        .done = sx_calloc(n + 1, sizeof *p.done),
    };

    if (n > SX_STORE_BATCH_MAX)
        return sx_err_set(e, SX_EINVAL, "%zu blocks in one call, at most %u", n,
                          SX_STORE_BATCH_MAX);
    have_elsewhere(&p);
    while (!all_done(&p)) { /* each time done, or with one device less */
        if (!share_out(&p))
            return nowhere(&p, e);
        run_jobs(&p);
        if (settle(&p, e))
            return -1;
    }
    *lease = p.lease == UINT64_MAX ? s->epoch : p.lease;
    if (written)
        *written = p.written;
    return 0;
}

int sx_store_put(struct sx_store *s, const struct sx_record *recs, size_t n, uint64_t *lease,
                 size_t *written, struct sx_err *e)
{
    int r;

    if (sx_store_enter(s, e))
        return -1;
    r = sx_store_place(s, recs, n, NULL, lease, written, e);
    sx_store_leave(s);
    return r;
}
