/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See xfer.h.
 */
#include "libsx/client/xfer.h"

#include <string.h>

#include "libsx/base/clock.h"

#define PROGRESS_MS 200u

void sx_copy_options_init(struct sx_copy_options *o)
{
    memset(o, 0, sizeof *o);
}

void sx_xfer_init(struct sx_xfer *x, struct sx_cluster *k, const struct sx_copy_options *o,
                  struct sx_copy_stats *stats, size_t batch_bytes, unsigned batches_max)
{
    uint64_t rate = k->client->rate;
    bool slow = rate && rate < (uint64_t)SX_XFER_SLOW * batch_bytes;

    memset(x, 0, sizeof *x);
    x->batch_bytes = slow && rate / 4 < batch_bytes ? (size_t)(rate / 4) + 1 : batch_bytes;
    x->batches_max = slow && batches_max > 2 ? 2 : batches_max;
    x->k = k;
    x->o = o;
    x->stats = stats;
    x->work = sx_work_new(&k->domain, SX_XFER_THREADS, k->http);
    x->start_ms = x->progress_ms = sx_mono_ms();
    x->walking = true;
    sx_http_limit(k->http, k->client->rate);
}

int sx_xfer_fini(struct sx_xfer *x, struct sx_err *e)
{
    sx_work_free(x->work);
    x->stats->elapsed_ms += sx_mono_ms() - x->start_ms;
    free(x->current);
    if (x->err.code == SX_OK)
        return 0;
    sx_err_copy(e, &x->err);
    return -1;
}

void sx_xfer_fail(struct sx_xfer *x, const struct sx_err *why)
{
    if (x->err.code == SX_OK)
        x->err = *why;
    x->stop = true;
}

static void progress(struct sx_xfer *x)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t now = sx_mono_ms();
    const struct sx_progress p = {
        .files_done = x->stats->files + x->stats->unchanged + x->stats->failed,
        .files_known = x->files_known,
        .bytes_done = x->bytes_done,
        .bytes_known = x->bytes_known,
        .elapsed_ms = now - x->start_ms,
        .walking = x->walking,
        .current = x->current,
    };

    if (now - x->progress_ms < PROGRESS_MS || !x->o->progress)
        return;
    x->progress_ms = now;
    if (x->o->progress(x->o->arg, &p)) {
        sx_err_set(&e, SX_ECANCELED, "stopped; run the same command again to continue");
        sx_xfer_fail(x, &e);
    }
}

void sx_xfer_step(struct sx_xfer *x, unsigned timeout_ms)
{
    if (timeout_ms > PROGRESS_MS)
        timeout_ms = PROGRESS_MS;
    if (sx_work_finish(x->work) == 0) {
        if (x->k->calls)
            sx_cluster_run(x->k, timeout_ms);
        else
            sx_work_wait(x->work, timeout_ms);
        sx_work_finish(x->work);
    } else if (x->k->calls) {
        sx_cluster_run(x->k, 0);
    }
    progress(x);
}

/* Reasons that the next file would meet too. */
static bool is_general(int code)
{
    switch (code) {
    case SX_EAUTH:
    case SX_ECLOCK:
    case SX_ECERT:
    case SX_ENOVOLUME:
    case SX_EQUOTA:
    case SX_ENOSPACE:
    case SX_ENET:
    case SX_ETIMEOUT:
    case SX_EUNAVAIL:
    case SX_ENOLEADER:
    case SX_EQUORUM:
    case SX_ECANCELED:
        return true;
    default:
        return false;
    }
}

static void remember_current(struct sx_xfer *x, const char *name)
{
    if (!x->o->progress)
        return;
    free(x->current);
    x->current = sx_strdup(name);
}

void sx_xfer_note(struct sx_xfer *x, enum sx_note what, const char *name, uint64_t size,
                  const struct sx_err *why)
{
    if (what == SX_NOTE_FAILED && x->stop)
        return; /* consequences of the end are not news */
    switch (what) {
    case SX_NOTE_COPIED:
        x->stats->files++;
        x->stats->bytes += size;
        remember_current(x, name);
        break;
    case SX_NOTE_UNCHANGED:
        x->stats->unchanged++;
        x->bytes_done += size;
        break;
    case SX_NOTE_SKIPPED:
        x->stats->skipped++;
        break;
    case SX_NOTE_FAILED:
        x->stats->failed++;
        break;
    }
    if (x->o->note)
        x->o->note(x->o->arg, what, name, size, why);
    if (what == SX_NOTE_FAILED && (!x->o->ignore_errors || is_general(why->code)))
        sx_xfer_fail(x, why);
}
