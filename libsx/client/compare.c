/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Is a file at the destination as it is here?  The destination's listing is read along with the
 * walk of the tree, both in order of the paths' bytes, a page at a time.  Size, modification time
 * and mode decide; the content is not read.
 */
#include <string.h>

#include "libsx/client/list.h"
#include "libsx/client/ops.h"
#include "libsx/client/source.h"

#define MODE_BITS 07777

/* ---- The caller's thread ------------------------------------------------------------------- */

static void page_over(struct up *u, json_t *page, const char *next)
{
    pthread_mutex_lock(&u->lock);
    u->page.ready = page;
    free(u->page.after);
    u->page.after = next ? sx_strdup(next) : NULL;
    u->page.over = !next;
    pthread_cond_broadcast(&u->room);
    pthread_mutex_unlock(&u->lock);
}

static void page_fetched(void *arg, struct sx_call *call)
{
    struct up *u = arg;
    struct sx_err e = call->err;
    const char *next = NULL;
    json_t *j = NULL;

    sx_call_fini(call);
    if (e.code == SX_OK && (j = sx_json_parse(u->page.answer.data, u->page.answer.len, &e)))
        (void)!sx_json_str(j, "next", NULL, &next, &e);
    /* Who may write but not read cannot compare: everything is sent. */
    if (e.code != SX_OK && e.code != SX_EACCESS)
        sx_xfer_fail(&u->x, &e);
    page_over(u, j ? j : json_object(), u->page.limit ? NULL : next);
}

static void page_wanted(struct sx_job *j)
{
    struct up *u = (struct up *)((char *)j - offsetof(struct up, page.job));
    struct sx_call *c = &u->page.call;
    struct sx_buf q = SX_BUF_INIT;

    sx_call_init(c, "GET", sx_api_path("list", u->volume, NULL));
    c->query = sx_list_query(u->page.prefix, NULL, true, u->page.after);
    if (u->page.limit) {
        sx_buf_printf(&q, "%s&limit=%u", c->query, u->page.limit);
        free(c->query);
        c->query = (char *)q.data;
    }
    c->answer = &u->page.answer;
    c->done = page_fetched;
    c->arg = u;
    sx_call_start(u->x.k, c);
}

/* ---- The source thread --------------------------------------------------------------------- */

static void ask(struct source *s)
{
    sx_work_post(s->u->x.work, &s->u->page.job);
    s->u->page.asked = true;
}

/* The page that was asked for; NULL if the transfer ends. */
static json_t *await_page(struct source *s)
{
    struct up *u = s->u;
    SX_AUTO_LOCK(&u->lock);

    while (!u->page.ready && !u->x.stop)
        pthread_cond_wait(&u->room, &u->lock);
    u->page.asked = false;
    s->listed = !u->page.over && u->page.ready;
    return SX_STEAL(u->page.ready);
}

void compare_begin(struct source *s, const char *prefix, unsigned limit)
{
    struct up *u = s->u;

    compare_end(s);
    if (up_stopped(u))
        return; /* the call of a page may still be under way */
    pthread_mutex_lock(&u->lock);
    free(u->page.prefix);
    free(u->page.after);
    u->page.prefix = sx_strdup(prefix);
    u->page.after = NULL;
    u->page.limit = limit;
    u->page.over = false;
    u->page.job.done = page_wanted;
    pthread_mutex_unlock(&u->lock);
    s->listed = true;
    ask(s);
}

void compare_end(struct source *s)
{
    json_decref(s->page);
    s->page = NULL;
    s->at = 0;
    if (s->u->page.asked)
        json_decref(await_page(s));
    s->listed = false;
}

static bool next_page(struct source *s)
{
    json_decref(s->page);
    s->page = NULL;
    s->at = 0;
    if (!s->listed)
        return false;
    source_tell(s);
    s->page = await_page(s);
    if (s->listed)
        ask(s);
    return s->page != NULL;
}

static bool same(const json_t *j, const struct stat *st)
{
    int64_t mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    struct sx_file_info f;

    return sx_file_read(j, &f, NULL) == 0 && f.size == (uint64_t)st->st_size &&
           f.mtime_ns == mtime && f.mode == (st->st_mode & MODE_BITS);
}

bool compare_unchanged(struct source *s, const char *dest, const struct stat *st)
{
    for (;;) {
        const json_t *files = json_object_get(s->page, "files");

        for (; s->at < json_array_size(files); s->at++) {
            const json_t *j = json_array_get(files, s->at);
            const char *path = json_string_value(json_object_get(j, "path"));
            int order = path ? strcmp(path, dest) : -1;

            if (order == 0)
                return same(j, st);
            if (order > 0)
                return false;
        }
        if (!next_page(s))
            return false;
    }
}
