/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small files of a tree: many are asked for with one request, which brings their data along, and
 * written by a worker one after the other.  See down.h.
 *
 * A file that does not come whole (it has grown, or a block of it could not be read there) goes on
 * alone, block by block; one that the node could not give at all is asked for alone.
 */
#include <string.h>

#include "libsx/base/wire.h"
#include "libsx/client/down.h"

static struct down_get *get_new(struct down *d)
{
    struct down_get *g = d->free_gets;

    if (g) {
        d->free_gets = g->next;
    } else {
        g = sx_calloc(1, sizeof *g);
        g->d = d;
    }
    g->n = 0;
    g->bytes = 0;
    return g;
}

static void get_free(struct down_get *g)
{
    g->next = g->d->free_gets;
    g->d->free_gets = g;
}

/* All of a request that has no use any more. */
static void fail_all(struct down_get *g, const struct sx_err *why)
{
    for (size_t i = 0; i < g->n; i++) {
        g->files[i]->paging = false;
        down_file_fail(g->files[i], why);
    }
    get_free(g);
}

/* ---- The answer ---------------------------------------------------------------------------- */

static void write_run(struct sx_job *j, struct sx_worker *w)
{
    struct down_get *g = (struct down_get *)j;
    struct down_dir dir = { .path = NULL };

    for (size_t i = 0; i < g->n; i++)
        down_file_write(g->files[i], &dir, w);
    down_dir_leave(&dir);
}

static void write_done(struct sx_job *j)
{
    struct down_get *g = (struct down_get *)j;

    for (size_t i = 0; i < g->n; i++)
        down_file_written(g->files[i]);
    g->d->gets--;
    get_free(g);
}

/* The messages of the first files; what is behind them is asked for again.  Only the files that
 * are to be written stay in g->files. */
static int take_answer(struct down_get *g, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    size_t n = g->n;
    uint64_t count;
    struct sx_cur c;

    if (sx_message_parse(&m, g->answer.data, g->answer.len, e) ||
        sx_json_need_u64(m.json, "count", n, &count, e))
        return sx_err_wrap(e, "answer of the cluster");
    if (count == 0)
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: none of %zu files", n);
    g->n = 0;
    c = sx_cur_of(m.data, m.len);
    for (size_t i = 0; i < n; i++) {
        struct sx_err cut = SX_ERR_INIT;
        const uint8_t *p;
        size_t len;

        g->files[i]->paging = false;
        if (i >= count) {
            down_get_add(g->files[i]);
            continue;
        }
        p = sx_cur_bytes(&c, &len);
        if (!p) {
            sx_err_set(&cut, SX_EMALFORMED, "answer of the cluster: it is cut off");
            down_file_fail(g->files[i], &cut);
        } else if (down_file_page(g->files[i], p, len)) {
            g->files[g->n++] = g->files[i];
        }
    }
    return 0;
}

static void get_done(void *arg, struct sx_call *call)
{
    struct down_get *g = arg;
    struct sx_err e = call->err;

    sx_call_fini(call);
    if (e.code != SX_OK || take_answer(g, &e)) {
        g->d->gets--;
        fail_all(g, &e);
        return;
    }
    g->job.run = write_run;
    g->job.done = write_done;
    sx_work_add(g->d->x.work, &g->job);
}

/* ---- The request --------------------------------------------------------------------------- */

void down_get_flush(struct down *d)
{
    struct down_get *g = SX_STEAL(d->gathered);
    SX_AUTO_JSON json_t *j = NULL;
    json_t *paths = json_array();

    for (size_t i = 0; i < g->n; i++)
        json_array_append_new(paths, json_string(g->files[i]->path));
    j = json_pack("{s:o,s:i}", "paths", paths, "data", (int)DOWN_SMALL_MAX);
    sx_buf_reset(&g->body);
    sx_json_dump(&g->body, j);
    sx_call_init(&g->call, "POST", sx_api_path("files", d->volume, "get"));
    g->call.type = SX_HTTP_JSON;
    g->call.body[0] = (struct iovec){ g->body.data, g->body.len };
    g->call.n_body = 1;
    g->call.answer = &g->answer;
    g->call.answer_max = SX_MESSAGE_ANSWER_MAX;
    g->call.done = get_done;
    g->call.arg = g;
    d->gets++;
    sx_call_start(d->x.k, &g->call);
}

void down_get_add(struct down_file *f)
{
    struct down *d = f->d;
    struct down_get *g = d->gathered;

    if (g && g->bytes + f->size > DOWN_GET_BYTES) {
        down_get_flush(d);
        g = NULL;
    }
    if (!g)
        g = d->gathered = get_new(d);
    f->paging = true;
    g->files[g->n++] = f;
    g->bytes += f->size;
    if (g->n == DOWN_GET_FILES)
        down_get_flush(d);
}

void down_get_drop(struct down *d)
{
    fail_all(SX_STEAL(d->gathered), &d->x.err);
}

void down_get_free_all(struct down *d)
{
    while (d->free_gets) {
        struct down_get *g = d->free_gets;

        d->free_gets = g->next;
        sx_buf_fini(&g->body);
        sx_buf_fini(&g->answer);
        free(g);
    }
}
