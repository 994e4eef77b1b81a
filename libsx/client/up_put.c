/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole files that are ready are sent many in one request, POST /files.  See up.h.
 *
 * A request leaves when it is full, when nothing is left that could join it, or when its first
 * file has waited for UP_PUT_MS.
 */
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/wire.h"
#include "libsx/client/up.h"
#include "libsx/http/http.h"
#include "libsx/http/message.h"

#define ANSWER_MAX (1u << 20)
#define FILE_ROOM 4096 /* of the body, for a file's JSON part: its path takes most of it */

void up_put_ready(struct up_file *f)
{
    struct up *u = f->u;

    if (!u->ready)
        u->ready_since_ms = sx_mono_ms();
    f->next = NULL;
    *u->ready_tail = f;
    u->ready_tail = &f->next;
    u->n_ready++;
    u->ready_bytes += f->records.len + f->entries.len + FILE_ROOM;
}

static struct up_file *take_ready(struct up *u)
{
    struct up_file *f = u->ready;

    u->ready = f->next;
    if (!u->ready)
        u->ready_tail = &u->ready;
    u->n_ready--;
    u->ready_bytes -= f->records.len + f->entries.len + FILE_ROOM;
    return f;
}

struct up_file *up_put_take(struct up *u)
{
    return u->ready ? take_ready(u) : NULL;
}

/* ---- The answer ---------------------------------------------------------------------------- */

/* What became of one file. */
static void read_result(const struct up_file *f, const json_t *j, struct sx_err *e)
{
    uint64_t status;

    if (sx_json_need_u64(j, "status", 599, &status, e))
        return;
    if (status >= 300)
        sx_http_error_read(j, (int)status, e);
    else
        (void)!up_commit_matches(f, j, e);
}

/* Ends the files of a put; `answer` is NULL if there is none, then `why` is the reason. */
static void end_files(struct up_put *p, const json_t *answer, const struct sx_err *why)
{
    struct up_file *f = p->files, *next;

    for (size_t i = 0; f; i++, f = next) {
        struct sx_err e = *why;

        next = f->next;
        f->calling = false;
        if (answer)
            read_result(f, json_array_get(answer, i), &e);
        up_whole_end(f, &e);
    }
}

static void put_done(void *arg, struct sx_call *call)
{
    struct up_put *p = arg;
    struct up *u = p->u;
    struct sx_err e = call->err;
    SX_AUTO_JSON json_t *j = NULL;
    const json_t *list = NULL;

    u->puts--;
    sx_call_fini(call);
    if (e.code == SX_OK && (j = sx_json_parse(p->answer.data, p->answer.len, &e))) {
        list = json_object_get(j, "files");
        if (json_array_size(list) != p->n)
            sx_err_set(&e, SX_EMALFORMED, "answer of the cluster: results of %zu of %zu files",
                       json_array_size(list), p->n);
    }
    end_files(p, e.code == SX_OK ? list : NULL, &e);
    p->next = u->free_puts;
    u->free_puts = p;
}

/* ---- The request --------------------------------------------------------------------------- */

/* u32 length, and the message that a PUT of this file alone would be. */
static int add_file(struct up_put *p, struct up_file *f, struct sx_err *e)
{
    size_t at = p->body.len;

    sx_buf_u32(&p->body, 0);
    if (up_commit_head(f, &p->body, (uint32_t)f->n_chunks, f->lease, e)) {
        p->body.len = at;
        return -1;
    }
    sx_buf_add(&p->body, f->entries.data, f->entries.len);
    sx_buf_add(&p->body, f->records.data, f->records.len);
    f->moved = f->records.len;
    sx_buf_fini(&f->records); /* a large part of the memory that a file holds */
    sx_put_u32(p->body.data + at, (uint32_t)(p->body.len - at - 4));
    return 0;
}

static struct up_put *put_get(struct up *u)
{
    struct up_put *p = u->free_puts;

    if (p) {
        u->free_puts = p->next;
    } else {
        p = sx_calloc(1, sizeof *p);
        p->u = u;
    }
    sx_buf_reset(&p->head);
    sx_buf_reset(&p->body);
    p->files = NULL;
    p->n = 0;
    return p;
}

/* As many as the request takes, at least one. */
static void gather(struct up_put *p)
{
    struct up *u = p->u;
    struct up_file **tail = &p->files;
    size_t bytes = 0;

    while (u->ready && p->n < UP_PUT_FILES) {
        struct up_file *f = u->ready;
        size_t more = f->records.len + f->entries.len + FILE_ROOM;
        struct sx_err e = SX_ERR_INIT;

        if (p->n > 0 && bytes + more > u->x.batch_bytes)
            break;
        take_ready(u);
        if (add_file(p, f, &e)) {
            up_file_fail(f, &e);
            up_file_release(f);
            continue;
        }
        bytes += more;
        f->calling = true;
        f->next = NULL;
        *tail = f;
        tail = &f->next;
        p->n++;
    }
}

static void put_start(struct up *u)
{
    struct up_put *p = put_get(u);
    SX_AUTO_JSON json_t *j = NULL;

    gather(p);
    u->ready_since_ms = sx_mono_ms(); /* of what is left */
    if (p->n == 0) {
        p->next = u->free_puts;
        u->free_puts = p;
        return;
    }
    j = json_pack("{s:i}", "count", (int)p->n);
    sx_assert(sx_message_head(&p->head, j, NULL) == 0);
    sx_call_init(&p->call, "POST", sx_api_path("files", u->volume, NULL));
    p->call.type = SX_HTTP_MESSAGE;
    p->call.body[0] = (struct iovec){ p->head.data, p->head.len };
    p->call.body[1] = (struct iovec){ p->body.data, p->body.len };
    p->call.n_body = 2;
    p->call.answer = &p->answer;
    p->call.answer_max = ANSWER_MAX;
    p->call.done = put_done;
    p->call.arg = p;
    u->puts++;
    sx_call_start(u->x.k, &p->call);
}

bool up_put_room(const struct up *u)
{
    return u->puts < UP_PUTS && u->puts < u->x.batches_max;
}

/* Nothing that is under way will be ready soon. */
static bool last_ones(const struct up *u)
{
    return u->source_ended && u->working == 0 && u->asks == 0 && !u->to_ask.head;
}

static bool put_due(const struct up *u)
{
    if (!u->ready || !up_put_room(u))
        return false;
    return u->n_ready >= UP_PUT_FILES || u->ready_bytes >= u->x.batch_bytes || last_ones(u) ||
           sx_mono_ms() - u->ready_since_ms >= UP_PUT_MS;
}

void up_put_start(struct up *u)
{
    while (put_due(u))
        put_start(u);
}

void up_put_free_all(struct up *u)
{
    while (u->free_puts) {
        struct up_put *p = u->free_puts;

        u->free_puts = p->next;
        sx_buf_fini(&p->head);
        sx_buf_fini(&p->body);
        sx_buf_fini(&p->answer);
        free(p);
    }
}
