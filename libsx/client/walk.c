/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Walks a local tree in the order in which the cluster lists files: by the bytes of the whole
 * path, so that a directory comes where its name with a slash at the end would.  Of each
 * directory on the way from the root the names are in memory.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/client/source.h"

#define DEPTH_MAX 256

struct name {
    char *text; /* with a slash at the end for directories */
    bool is_dir;
};

struct names {
    struct name *list;
    size_t n, cap;
};

/* The directories above, to notice a link that leads back up. */
struct above {
    const struct above *up;
    dev_t dev;
    ino_t ino;
};

struct walk {
    struct source *s;
    struct sx_buf local; /* path of the directory at hand, with a slash */
    size_t root_len;     /* of the tree's root in `local` */
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static void names_free(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->list[i].text);
    free(l->list);
}

static void skip(struct walk *w, const char *local, const char *why)
{
    struct sx_err e = SX_ERR_INIT;

    sx_err_set(&e, SX_EUNSUPPORTED, "%s", why);
    source_note(w->s, SX_NOTE_SKIPPED, local, 0, &e);
}

static void fail(struct walk *w, const char *local, int errnum)
{
    struct sx_err e = SX_ERR_INIT;

    sx_err_set(&e, errnum == EACCES ? SX_EACCESS : SX_EIO, "%s", strerror(errnum));
    source_note(w->s, SX_NOTE_FAILED, local, 0, &e);
}

/* What a name is: 'd', 'f', or 0 if it is left out (and noted).  What the directory says of it
 * spares most files a look of their own. */
static char kind_of(struct walk *w, const char *local, unsigned char type, struct stat *st)
{
    const struct sx_copy_options *o = w->s->u->x.o;

    if (type == DT_REG)
        return 'f';
    if (type == DT_DIR && !o->one_file_system)
        return 'd';
    if (lstat(local, st)) {
        fail(w, local, errno);
        return 0;
    }
    if (S_ISLNK(st->st_mode)) {
        if (!o->follow_links) {
            skip(w, local, "is a symbolic link");
            return 0;
        }
        if (stat(local, st)) {
            fail(w, local, errno);
            return 0;
        }
    }
    if (S_ISDIR(st->st_mode))
        return 'd';
    if (S_ISREG(st->st_mode))
        return 'f';
    skip(w, local, "is not a regular file");
    return 0;
}

static void add_name(struct walk *w, struct names *l, const char *name, unsigned char type)
{
    SX_AUTO_FREE char *local = sx_asprintf("%s%s", sx_buf_cstr(&w->local), name);
    const char *rel = local + w->root_len;
    struct stat st;
    char kind = kind_of(w, local, type, &st);

    if (!kind)
        return;
    if (!sx_filter_wants(w->s->u->x.o, rel, kind == 'd')) {
        source_note(w->s, SX_NOTE_SKIPPED, local, 0, NULL);
        return;
    }
    if (kind == 'd' && w->s->u->x.o->one_file_system && st.st_dev != w->s->dev) {
        skip(w, local, "is on another file system");
        return;
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->list = sx_realloc(l->list, l->cap * sizeof *l->list);
    }
    l->list[l->n].is_dir = kind == 'd';
    l->list[l->n++].text = kind == 'd' ? sx_asprintf("%s/", name) : sx_strdup(name);
}

static int read_names(struct walk *w, struct names *l)
{
    DIR *d = opendir(sx_buf_cstr(&w->local));
    struct dirent *de;

    if (!d) {
        fail(w, sx_buf_cstr(&w->local), errno);
        return -1;
    }
    while ((de = readdir(d)))
        if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
            add_name(w, l, de->d_name, de->d_type);
    closedir(d);
    if (l->n)
        qsort(l->list, l->n, sizeof *l->list, by_text);
    return 0;
}

static bool leads_back(const struct above *a, const struct stat *st)
{
    for (; a; a = a->up)
        if (a->dev == st->st_dev && a->ino == st->st_ino)
            return true;
    return false;
}

static void walk_file(struct walk *w, const char *name)
{
    SX_AUTO_FREE char *local = sx_asprintf("%s%s", sx_buf_cstr(&w->local), name);
    SX_AUTO_FREE char *dest = sx_asprintf("%s%s", w->s->item->dest, local + w->root_len);

    source_file(w->s, local, dest, w->s->u->x.o->follow_links);
}

static void walk_dir(struct walk *w, const struct above *up, int depth)
{
    struct names l = { NULL };
    struct above here = { .up = up };
    struct stat st;
    size_t len = w->local.len;

    if (stat(sx_buf_cstr(&w->local), &st)) {
        fail(w, sx_buf_cstr(&w->local), errno);
        return;
    }
    if (depth > DEPTH_MAX || leads_back(up, &st)) {
        skip(w, sx_buf_cstr(&w->local), depth > DEPTH_MAX ? "is too deep" : "leads back to itself");
        return;
    }
    here.dev = st.st_dev;
    here.ino = st.st_ino;
    if (depth == 0)
        w->s->dev = st.st_dev;
    if (read_names(w, &l) == 0) {
        for (size_t i = 0; i < l.n && !up_stopped(w->s->u); i++) {
            if (!l.list[i].is_dir) {
                walk_file(w, l.list[i].text);
                continue;
            }
            sx_buf_str(&w->local, l.list[i].text);
            walk_dir(w, &here, depth + 1);
            w->local.len = len;
            sx_buf_cstr(&w->local);
        }
    }
    names_free(&l);
}

void source_walk(struct source *s)
{
    struct walk w = { s, SX_BUF_INIT, 0 };

    sx_buf_str(&w.local, s->item->local);
    if (w.local.len == 0 || w.local.data[w.local.len - 1] != '/')
        sx_buf_str(&w.local, "/");
    w.root_len = w.local.len;
    compare_begin(s, s->item->dest, 0);
    walk_dir(&w, NULL, 0);
    compare_end(s);
    sx_buf_fini(&w.local);
}
