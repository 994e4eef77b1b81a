/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * sx_copy(): what goes where.
 *
 * "dir" is the directory itself and lands below the destination under its name; "dir/" is what is
 * in it.  A single file takes the destination as its new name, unless that ends with a slash, is
 * a volume, or is a directory.
 */
#include "libsx/client/copy.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "libsx/base/text.h"
#include "libsx/client/down.h"
#include "libsx/client/up.h"

struct copy {
    struct sx_client *c;
    const struct sx_copy_options *o;
    struct sx_copy_stats *stats;
    struct copy_place to;
    bool into; /* sources go below the destination */
    struct sx_err *e;
};

/* ---- Places -------------------------------------------------------------------------------- */

static void place_fini(struct copy_place *p)
{
    sx_uri_fini(&p->uri);
    free(p->name);
    p->name = NULL;
}

static int place_parse(struct sx_client *c, const char *text, struct copy_place *p,
                       struct sx_err *e)
{
    size_t n = strlen(text);

    memset(p, 0, sizeof *p);
    p->text = text;
    p->remote = sx_uri_is(text);
    if (!p->remote) {
        p->pipe = !strcmp(text, "-");
        p->slash = n > 0 && text[n - 1] == '/';
        return n ? 0 : sx_err_set(e, SX_EINVAL, "a path is empty");
    }
    if (sx_uri_parse(c, text, &p->uri, e))
        return -1;
    p->slash = p->uri.slash;
    p->name = sx_uri_name(&p->uri);
    if (!p->uri.volume)
        sx_err_set(e, SX_EINVAL, "%s: the volume is missing", text);
    else if (sx_cluster_open(c, &p->uri, &p->cluster, e) == 0)
        return 0;
    place_fini(p);
    return -1;
}

/* The last part of a path; "" for one that has no name of its own, like "." or "/". */
static char *base_of(const char *path)
{
    SX_AUTO_FREE char *copy = sx_strdup(path);
    size_t n = strlen(copy);
    const char *slash;

    while (n > 0 && copy[n - 1] == '/')
        copy[--n] = '\0';
    slash = strrchr(copy, '/');
    slash = slash ? slash + 1 : copy;
    return sx_strdup(strcmp(slash, ".") && strcmp(slash, "..") ? slash : "");
}

/* The destination as a prefix: "" or "dir/". */
static char *to_prefix(const struct copy *y)
{
    const char *s = y->to.remote ? y->to.name : y->to.text;
    size_t n = strlen(s);

    return n == 0 || s[n - 1] == '/' ? sx_strdup(s) : sx_asprintf("%s/", s);
}

static char *target_file(const struct copy *y, const char *base)
{
    SX_AUTO_FREE char *prefix = NULL;

    if (y->to.pipe)
        return NULL;
    if (!y->into)
        return sx_strdup(y->to.remote ? y->to.name : y->to.text);
    prefix = to_prefix(y);
    return sx_asprintf("%s%s", prefix, base);
}

/* `base` "" or NULL: what is in the source goes right below the destination. */
static char *target_tree(const struct copy *y, const char *base)
{
    SX_AUTO_FREE char *prefix = NULL;

    if (y->to.pipe)
        return NULL;
    prefix = to_prefix(y);
    return base && *base ? sx_asprintf("%s%s/", prefix, base) : sx_strdup(prefix);
}

/* A directory at the destination takes sources below it. */
static bool is_dir(const struct copy_place *p)
{
    unsigned kind = 0;
    struct stat st;

    if (!p->remote)
        return stat(p->text, &st) == 0 && S_ISDIR(st.st_mode);
    if (sx_kind(p->cluster, p->uri.volume, p->name, &kind, NULL))
        return false; /* perhaps we may write but not read */
    return kind == SX_KIND_DIR;
}

static void note_failed(struct copy *y, const char *name, const struct sx_err *why)
{
    y->stats->failed++;
    if (y->o->note)
        y->o->note(y->o->arg, SX_NOTE_FAILED, name, 0, why);
}

/* A source that cannot be copied: the end, or the next one. */
static int give_up(struct copy *y, const char *name, const struct sx_err *why)
{
    note_failed(y, name, why);
    if (y->o->ignore_errors)
        return 0;
    sx_err_copy(y->e, why);
    return -1;
}

/* ---- From here to a cluster ---------------------------------------------------------------- */

static int local_source(struct copy *y, const char *text, struct up_source_item *it)
{
    SX_AUTO_FREE char *base = base_of(text);
    struct sx_err why = SX_ERR_INIT;
    size_t n = strlen(text);
    struct stat st;

    it->local = text;
    it->fd = -1;
    if (!strcmp(text, "-")) {
        if (y->into)
            return sx_err_set(y->e, SX_EINVAL,
                              "standard input has no name: give the file's name at the "
                              "destination");
        it->dest = target_file(y, "");
        return 1;
    }
    if (stat(text, &st)) {
        sx_err_set(&why, errno == EACCES ? SX_EACCESS : SX_ENOTFOUND, "%s", strerror(errno));
        return give_up(y, text, &why);
    }
    it->tree = S_ISDIR(st.st_mode);
    if (it->tree && !y->o->recursive) {
        sx_err_set(&why, SX_EINVAL, "is a directory; use -r to copy it");
        return give_up(y, text, &why);
    }
    it->dest = it->tree ? target_tree(y, text[n - 1] == '/' ? NULL : base) : target_file(y, base);
    return 1;
}

static int upload(struct copy *y, const char *const *sources, size_t n)
{
    struct up_source_item *items = sx_calloc(n, sizeof *items);
    size_t have = 0;
    int r = 0;

    for (size_t i = 0; i < n && r >= 0; i++) {
        r = local_source(y, sources[i], &items[have]);
        have += r == 1;
    }
    if (r >= 0 && have)
        r = sx_upload(y->to.cluster, y->to.uri.volume, items, have, y->o, y->stats, y->e);
    for (size_t i = 0; i < n; i++)
        free(items[i].dest);
    free(items);
    return r < 0 ? -1 : 0;
}

/* ---- From a cluster ------------------------------------------------------------------------ */

struct gather {
    struct copy *y;
    const struct copy_place *from;
    struct copy_items items;
    size_t dirs_left_out;
};

static void add_item(struct gather *g, char *from, char *to, bool tree)
{
    struct copy_items *l = &g->items;

    l->list = sx_realloc(l->list, (l->n + 1) * sizeof *l->list);
    l->list[l->n++] = (struct copy_item){ from, to, tree };
}

static int add_match(void *arg, const struct sx_file_info *f)
{
    struct gather *g = arg;
    SX_AUTO_FREE char *base = base_of(f->path);

    if (!f->is_dir)
        add_item(g, sx_strdup(f->path), target_file(g->y, base), false);
    else if (g->y->o->recursive)
        add_item(g, sx_strdup(f->path), target_tree(g->y, base), true);
    else
        g->dirs_left_out++;
    return 0;
}

static int gather_glob(struct gather *g)
{
    const struct sx_uri *u = &g->from->uri;
    struct sx_err why = SX_ERR_INIT;

    if (sx_glob_each(g->from->cluster, u->volume, u->path, add_match, g, g->y->e))
        return -1;
    if (g->items.n)
        return 0;
    sx_err_set(&why, SX_ENOFILE,
               g->dirs_left_out ? "only directories match; use -r to copy them" :
               "no file matches");
    return give_up(g->y, g->from->text, &why);
}

static void add_tree(struct gather *g)
{
    const struct copy_place *p = g->from;
    SX_AUTO_FREE char *base = base_of(*p->name ? p->name : p->uri.volume);

    add_item(g, *p->name ? sx_asprintf("%s/", p->name) : sx_strdup(""),
             target_tree(g->y, p->slash ? NULL : base), true);
}

static int gather_exact(struct gather *g)
{
    const struct copy_place *p = g->from;
    SX_AUTO_FREE char *base = base_of(p->name);
    struct sx_err why = SX_ERR_INIT;
    unsigned kind = SX_KIND_FILE;

    if ((g->y->o->recursive || p->slash) && *p->name &&
        sx_kind(p->cluster, p->uri.volume, p->name, &kind, g->y->e))
        return -1;
    if (!*p->name)
        kind = SX_KIND_DIR;
    if (kind & SX_KIND_FILE && !p->slash)
        add_item(g, sx_strdup(p->name), target_file(g->y, base), false);
    if (kind & SX_KIND_DIR && g->y->o->recursive)
        add_tree(g);
    if (g->items.n)
        return 0;
    sx_err_set(&why, SX_ENOFILE,
               kind & SX_KIND_DIR ? "is a directory; use -r to copy it" :
               "no such file or directory");
    return give_up(g->y, p->text, &why);
}

static int to_stdout(void *arg, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        ssize_t w = write(STDOUT_FILENO, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static int download(struct copy *y, const struct gather *g, const struct sx_copy_options *o)
{
    struct down_item *items = sx_calloc(g->items.n, sizeof *items);
    int r;

    for (size_t i = 0; i < g->items.n; i++) {
        struct copy_item *it = &g->items.list[i];
        size_t n = it->to ? strlen(it->to) : 0;

        if (it->tree && n > 1 && it->to[n - 1] == '/')
            it->to[n - 1] = '\0';
        items[i] = (struct down_item){ it->from, it->to, it->tree };
    }
    r = sx_download(g->from->cluster, g->from->uri.volume, items, g->items.n,
                    y->to.pipe ? to_stdout : NULL, NULL, o, y->stats, y->e);
    free(items);
    return r;
}

/* The copy of one named file.  If there is none of that name it may be a directory; that is looked
 * up only then, so that a file that is there costs one request. */
struct named {
    struct copy *y;
    bool missing;
};

static int named_progress(void *arg, const struct sx_progress *p)
{
    const struct sx_copy_options *o = ((struct named *)arg)->y->o;

    return o->progress ? o->progress(o->arg, p) : 0;
}

static void named_note(void *arg, enum sx_note what, const char *name, uint64_t size,
                       const struct sx_err *why)
{
    struct named *n = arg;
    const struct sx_copy_options *o = n->y->o;

    if (what == SX_NOTE_FAILED && why->code == SX_ENOFILE)
        n->missing = true;
    else if (o->note)
        o->note(o->arg, what, name, size, why);
}

static int transfer(struct copy *y, const struct gather *g, const struct sx_copy_options *o)
{
    if (y->to.remote)
        return sx_copy_remote(g->from, &y->to, &g->items, o, y->stats, y->e);
    return download(y, g, o);
}

static int transfer_named(struct copy *y, const struct gather *g)
{
    struct named n = { y, false };
    struct sx_copy_options o = *y->o;
    struct sx_err why = SX_ERR_INIT;
    int r;

    o.progress = named_progress;
    o.note = named_note;
    o.arg = &n;
    r = transfer(y, g, &o);
    if (!n.missing)
        return r;
    y->stats->failed--;
    sx_err_set(&why, SX_ENOFILE,
               is_dir(g->from) ? "is a directory; use -r to copy it" : "no such file");
    return give_up(y, g->from->text, &why);
}

static int remote_source(struct copy *y, const char *text)
{
    struct copy_place from;
    struct gather g = { .y = y, .from = &from };
    int r;

    if (place_parse(y->c, text, &from, y->e))
        return -1;
    r = sx_uri_glob(&from.uri) ? gather_glob(&g) : gather_exact(&g);
    if (r == 0 && g.items.n == 1 && !y->o->recursive)
        r = transfer_named(y, &g);
    else if (r == 0 && g.items.n)
        r = transfer(y, &g, y->o);
    for (size_t i = 0; i < g.items.n; i++) {
        free(g.items.list[i].from);
        free(g.items.list[i].to);
    }
    free(g.items.list);
    place_fini(&from);
    return r;
}

/* ---- */

static bool has_glob(const struct sx_client *c, const char *text)
{
    struct sx_uri u;
    bool glob;

    if (!sx_uri_is(text) || sx_uri_parse(c, text, &u, NULL))
        return false;
    glob = sx_uri_glob(&u);
    sx_uri_fini(&u);
    return glob;
}

static int check_target(struct copy *y, const char *const *sources, size_t n)
{
    bool glob = false, remote = false;

    for (size_t i = 0; i < n; i++) {
        glob = glob || has_glob(y->c, sources[i]);
        remote = remote || sx_uri_is(sources[i]);
        if (!y->to.remote && !sx_uri_is(sources[i]))
            return sx_err_set(y->e, SX_EINVAL, "'%s' and '%s' are both on this computer; use cp",
                              sources[i], y->to.text);
        if (sx_uri_is(sources[i]) != sx_uri_is(sources[0]))
            return sx_err_set(y->e, SX_EINVAL,
                              "sources on this computer and in a cluster cannot be mixed");
    }
    if (y->to.pipe)
        return 0;
    y->into = n > 1 || glob || y->to.slash || (y->to.remote && !*y->to.name) || is_dir(&y->to);
    if (!y->to.remote && (n > 1 || glob) && !is_dir(&y->to) && access(y->to.text, F_OK) == 0)
        return sx_err_set(y->e, SX_EINVAL, "%s: is not a directory, and there are several sources",
                          y->to.text);
    return 0;
}

int sx_copy(struct sx_client *c, const char *const *sources, size_t n_sources,
            const char *destination,
            const struct sx_copy_options *o, struct sx_copy_stats *stats, struct sx_err *e)
{
    struct sx_copy_stats none;
    struct copy y = { .c = c, .o = o, .stats = stats ? stats : &none, .e = e };
    struct sx_err own = SX_ERR_INIT;
    int r;

    if (!e)
        y.e = &own;
    memset(y.stats, 0, sizeof *y.stats);
    if (place_parse(c, destination, &y.to, y.e))
        return -1;
    r = check_target(&y, sources, n_sources);
    if (r == 0 && !sx_uri_is(sources[0]))
        r = upload(&y, sources, n_sources);
    else
        for (size_t i = 0; i < n_sources && r == 0; i++)
            r = remote_source(&y, sources[i]);
    place_fini(&y.to);
    return r;
}

/* Most messages of a server name the file; others get its name here. */
static int with_name(const char *path, struct sx_err *e)
{
    return e && strstr(e->msg, path) ? -1 : sx_err_wrap(e, "%s", path);
}

int sx_read(struct sx_cluster *k, const char *volume, const char *path,
            int (*fn)(void *arg, const void *data, size_t n), void *arg, struct sx_err *e)
{
    const struct down_item it = { .path = (char *)path };
    struct sx_copy_options o;
    struct sx_copy_stats stats = { 0 };

    sx_copy_options_init(&o);
    if (sx_name_path_check(path, e))
        return -1;
    return sx_download(k, volume, &it, 1, fn, arg, &o, &stats, e) ? with_name(path, e) : 0;
}

int sx_write(struct sx_cluster *k, const char *volume, const char *path, int fd, struct sx_err *e)
{
    const struct up_source_item it = { .local = "-", .dest = (char *)path, .fd = fd };
    struct sx_copy_options o;
    struct sx_copy_stats stats = { 0 };

    sx_copy_options_init(&o);
    if (sx_name_path_check(path, e))
        return -1;
    return sx_upload(k, volume, &it, 1, &o, &stats, e) ? with_name(path, e) : 0;
}
