/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Is a file at the destination as it is here?  The destination's listing is read along with the
 * walk of the tree, both in order of the paths' bytes, a page at a time.  Size, modification time
 * and mode decide; the content is not read.
 */
#include <string.h>

#include "libsx/client/list.h"
#include "libsx/client/source.h"

#define MODE_BITS 07777

/* ---- The caller's thread ------------------------------------------------------------------- */

static void page_over(struct up *u, struct sx_page *page, const char *next)
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
    struct sx_page *page = NULL;

    sx_call_fini(call);
    if (e.code == SX_OK)
        page = sx_page_read(&u->page.answer, &e);
    /* Who may write but not read cannot compare: everything is sent. */
    if (e.code != SX_OK && e.code != SX_EACCESS)
        sx_xfer_fail(&u->x, &e);
    if (!page)
        page = sx_page_empty();
    page_over(u, page, u->page.limit ? NULL : sx_page_after(page));
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
static struct sx_page *await_page(struct source *s)
{
    struct up *u = s->u;
    SX_AUTO_LOCK(&u->lock);

    while (!u->page.ready && !u->x.stop)
        pthread_cond_wait(&u->room, &u->lock);
    u->page.asked = false;
    s->listed = !u->page.over && u->page.ready;
    return SX_STEAL(u->page.ready);
}

static void drop_page(struct source *s)
{
    sx_page_free(s->page);
    s->page = NULL;
    s->have = false;
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
    drop_page(s);
    if (s->u->page.asked)
        sx_page_free(await_page(s));
    s->listed = false;
}

static bool next_page(struct source *s)
{
    drop_page(s);
    if (!s->listed)
        return false;
    source_tell(s);
    s->page = await_page(s);
    if (s->listed)
        ask(s);
    return s->page != NULL;
}

static bool same(const struct sx_file_info *f, const struct stat *st)
{
    int64_t mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;

    return f->size == (uint64_t)st->st_size && f->mtime_ns == mtime &&
           f->mode == (st->st_mode & MODE_BITS);
}

bool compare_unchanged(struct source *s, const char *dest, const struct stat *st)
{
    for (;;) {
        while (s->have || (s->page && sx_page_next(s->page, &s->at))) {
            int order = strcmp(s->at.path, dest);

            s->have = order >= 0;
            if (s->have)
                return order == 0 && same(&s->at, st);
        }
        if (!next_page(s))
            return false;
    }
}
