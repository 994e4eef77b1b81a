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
#include "libsx/client/list.h"

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

static int read_error(const struct sx_cur *c, uint32_t status, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = sx_json_parse(c->p, c->left, e);

    if (j)
        sx_http_error_read(j, (int)status, e);
    return -1;
}

/* What the answer says of one file. */
static int read_page(const uint8_t *data, size_t len, struct down_page *p, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(data, len);
    uint32_t status = sx_cur_u32(&c);
    struct sx_facts facts;

    if (status >= 400 && status < 600)
        return read_error(&c, status, e);
    sx_facts_get(&c, &facts);
    if (c.bad || status != 200 || facts.size > INT64_MAX || facts.entries > DOWN_PAGE)
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: malformed facts of a file");
    sx_facts_digits(&facts, p->rev, p->etag);
    p->size = facts.size;
    p->mtime_ns = facts.mtime_ns;
    p->mode = facts.mode;
    p->from = 0;
    p->count = facts.entries;
    p->records = facts.records;
    p->data = c.p;
    p->len = c.left;
    return 0;
}

/* What it says of the first files; those behind them are asked for again.  Only the files that are to
 * be written stay in g->files. */
static int take_answer(struct down_get *g, struct sx_err *e)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    struct down_page page;
    size_t n = g->n;
    uint64_t count;
    struct sx_cur c;

    if (sx_message_parse(&m, g->answer.data, g->answer.len, e) ||
        sx_json_need_u64(m.json, "count", n, &count, e) ||
        sx_json_need_u64(m.json, "expires_ms", INT64_MAX, &page.expires_ms, e))
        return sx_err_wrap(e, "answer of the cluster");
    if (count == 0)
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: none of %zu files", n);
    g->n = 0;
    c = sx_cur_of(m.data, m.len);
    for (size_t i = 0; i < n; i++) {
        struct sx_err why = SX_ERR_INIT;
        const uint8_t *p;
        size_t len;

        g->files[i]->paging = false;
        if (i >= count) {
            down_get_add(g->files[i]);
            continue;
        }
        p = sx_cur_bytes(&c, &len);
        if (!p) {
            sx_err_set(&why, SX_EMALFORMED, "answer of the cluster: it is cut off");
            down_file_fail(g->files[i], &why);
        } else if (read_page(p, len, &page, &why)) {
            down_file_refused(g->files[i], &why);
        } else if (down_file_page(g->files[i], &page)) {
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
