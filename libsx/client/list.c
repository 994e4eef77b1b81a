/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Listings: a page in memory at a time, files and directories merged in order of their bytes; and
 * patterns, taken apart into their parts so that wildcards meet directories too.
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/client/call.h"
#include "libsx/client/list.h"
#include "libsx/client/ops.h"

#define GLOB_PARTS_MAX 64

struct sx_listing {
    struct sx_cluster *cluster;
    char *volume, *prefix, *glob;
    bool recursive;
    char *after; /* where the next page begins; NULL: the first or no more */
    bool last;   /* the page held is the last */
    struct sx_page *page;
};

char *sx_list_query(const char *prefix, const char *glob, bool recursive, const char *after)
{
    struct sx_buf q = SX_BUF_INIT;

    sx_api_query(&q, "facts", "1");
    if (prefix && *prefix)
        sx_api_query(&q, "prefix", prefix);
    if (glob)
        sx_api_query(&q, "glob", glob);
    if (!recursive)
        sx_api_query(&q, "delimiter", "/");
    if (after)
        sx_api_query(&q, "after", after);
    return (char *)q.data;
}

int sx_list_open(struct sx_cluster *k, const char *volume, const struct sx_list_options *o,
                 struct sx_listing **out, struct sx_err *e)
{
    struct sx_listing *l;

    if (sx_name_volume_check(volume, e))
        return -1;
    l = sx_calloc(1, sizeof *l);
    l->cluster = k;
    l->volume = sx_strdup(volume);
    l->prefix = o->prefix ? sx_strdup(o->prefix) : NULL;
    l->glob = o->glob ? sx_strdup(o->glob) : NULL;
    l->recursive = o->recursive;
    *out = l;
    return 0;
}

void sx_list_free(struct sx_listing *l)
{
    if (!l)
        return;
    sx_page_free(l->page);
    free(l->volume);
    free(l->prefix);
    free(l->glob);
    free(l->after);
    free(l);
}

static int fetch_page(struct sx_listing *l, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf got = SX_BUF_INIT;
    struct sx_page *page;
    struct sx_call c;
    const char *next;
    int r;

    sx_call_init(&c, "GET", sx_api_path("list", l->volume, NULL));
    c.query = sx_list_query(l->prefix, l->glob, l->recursive, l->after);
    c.answer = &got;
    r = sx_call_wait(l->cluster, &c, e);
    sx_call_fini(&c);
    if (r || !(page = sx_page_read(&got, e)))
        return -1;
    sx_page_free(l->page);
    l->page = page;
    next = sx_page_after(page);
    if (next && l->after && strcmp(next, l->after) <= 0)
        return sx_err_set(e, SX_EMALFORMED, "the cluster's listing does not move on");
    free(l->after);
    l->after = next ? sx_strdup(next) : NULL;
    l->last = !next;
    return 0;
}

int sx_list_next(struct sx_listing *l, struct sx_file_info *f, struct sx_err *e)
{
    for (;;) {
        if (l->page && sx_page_next(l->page, f))
            return 1;
        if (l->page && l->last)
            return 0;
        if (fetch_page(l, e))
            return -1;
    }
}

/* ---- Patterns ----------------------------------------------------------------------------- */

struct globber {
    struct sx_cluster *k;
    const char *volume;
    sx_file_fn *fn;
    void *arg;
    struct sx_err *e;
};

static int glob_rest(const struct globber *g, const char *prefix, const char *pattern, int depth);

/* One entry of a directory against the part of the pattern at hand; `rest` is what follows. */
static int glob_entry(const struct globber *g, size_t prefix_len, const char *part,
                      const char *rest,
                      const struct sx_file_info *f, int depth)
{
    size_t len = strlen(f->path + prefix_len) - (f->is_dir ? 1 : 0);
    SX_AUTO_FREE char *name = sx_strndup(f->path + prefix_len, len);

    if (!sx_glob_match(part, name, true))
        return 0;
    if (!*rest)
        return g->fn(g->arg, f);
    return f->is_dir ? glob_rest(g, f->path, rest, depth + 1) : 0;
}

static int glob_part(const struct globber *g, const char *prefix, const char *part,
                     const char *rest,
                     int depth)
{
    SX_AUTO(sx_buf) struct sx_buf lead = SX_BUF_INIT;
    struct sx_list_options lo = { .prefix = NULL };
    struct sx_listing *l;
    struct sx_file_info f;
    int r;

    sx_buf_str(&lead, prefix);
    sx_glob_prefix(part, &lead);
    lo.prefix = sx_buf_cstr(&lead);
    if (sx_list_open(g->k, g->volume, &lo, &l, g->e))
        return -1;
    while ((r = sx_list_next(l, &f, g->e)) == 1) {
        r = glob_entry(g, strlen(prefix), part, rest, &f, depth);
        if (r)
            break;
    }
    sx_list_free(l);
    return r;
}

/* Length of the first part, up to an unescaped slash. */
static size_t part_length(const char *p)
{
    size_t n = 0;

    while (p[n] && p[n] != '/')
        n += p[n] == '\\' && p[n + 1] ? 2 : 1;
    return n;
}

static int glob_rest(const struct globber *g, const char *prefix, const char *pattern, int depth)
{
    size_t n = part_length(pattern);
    SX_AUTO_FREE char *part = sx_strndup(pattern, n);
    const char *rest = pattern[n] ? pattern + n + 1 : pattern + n;
    SX_AUTO(sx_buf) struct sx_buf below = SX_BUF_INIT;

    if (depth > GLOB_PARTS_MAX)
        return sx_err_set(g->e, SX_EINVAL, "the pattern has more than %d parts", GLOB_PARTS_MAX);
    if (sx_glob_has(part) || !*rest)
        return glob_part(g, prefix, part, rest, depth);
    sx_buf_str(&below, prefix);
    sx_glob_prefix(part, &below);
    sx_buf_str(&below, "/");
    return glob_rest(g, sx_buf_cstr(&below), rest, depth + 1);
}

int sx_glob_each(struct sx_cluster *k, const char *volume, const char *pattern, sx_file_fn *fn,
                 void *arg, struct sx_err *e)
{
    const struct globber g = { k, volume, fn, arg, e };

    return glob_rest(&g, "", pattern, 0);
}
