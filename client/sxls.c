/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxls: lists volumes, directories and files, one URI a line.
 */
#include <stdio.h>
#include <string.h>

#include "client/show.h"

struct options {
    bool recursive;
    bool full;
    bool human;
};

struct ls {
    struct cli *c;
    const struct options *o;
    struct cli_place *p;
    size_t shown;
};

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct options *o = arg;

    o->recursive |= id == 'r';
    o->full |= id == 'l';
    o->human |= id == 'H';
    return 0;
}

static const struct cli_option options[] = {
    { 'r', "recursive", NULL, "list what is below directories too" },
    { 'l', "long", NULL,
      "with date (UTC), size; for volumes: replica, revisions, rights, use, owner" },
    { 'H', "human", NULL, "sizes like 1.5 GiB" },
    { 0 }
};

static void show(struct ls *l, const struct sx_file_info *f)
{
    l->shown++;
    show_file_line(l->c, &l->p->uri, f, l->o->full, l->o->human);
}

static int list_prefix(struct ls *l, const char *prefix, struct sx_err *e)
{
    const struct sx_list_options lo = { .prefix = prefix, .recursive = l->o->recursive };
    struct sx_listing *it;
    struct sx_file_info f;
    int r;

    if (sx_list_open(l->p->cluster, l->p->uri.volume, &lo, &it, e))
        return -1;
    while ((r = sx_list_next(it, &f, e)) == 1)
        show(l, &f);
    sx_list_free(it);
    return r;
}

struct found {
    struct ls *l;
    struct sx_err *e;
};

static int show_match(void *arg, const struct sx_file_info *f)
{
    struct found *m = arg;

    if (f->is_dir && m->l->o->recursive)
        return list_prefix(m->l, f->path, m->e);
    show(m->l, f);
    return 0;
}

static int show_one(void *arg, const struct sx_file_info *f)
{
    show(arg, f);
    return 0;
}

/* A path without wildcards: the file of that name, and what is below it. */
static int list_exact(struct ls *l, const char *name, struct sx_err *e)
{
    SX_AUTO_FREE char *below = sx_asprintf("%s/", name);
    struct sx_err why = SX_ERR_INIT;

    if (!l->p->uri.slash &&
        sx_stat(l->p->cluster, l->p->uri.volume, name, show_one, l, &why) &&
        why.code != SX_ENOFILE) {
        sx_err_copy(e, &why);
        return -1;
    }
    return list_prefix(l, below, e);
}

static int list_place(struct ls *l, const char *text, struct sx_err *e)
{
    SX_AUTO_FREE char *name = sx_uri_name(&l->p->uri);
    struct found m = { l, e };
    int r;

    if (!l->p->uri.volume) {
        struct show_volumes how = { l->c, &l->p->uri, l->o->full, l->o->human };

        return sx_volume_each(l->p->cluster, show_volume_line, &how, e);
    }
    if (!l->p->uri.path)
        return list_prefix(l, NULL, e);
    if (sx_uri_glob(&l->p->uri))
        r = sx_glob_each(l->p->cluster, l->p->uri.volume, l->p->uri.path, show_match, &m, e);
    else
        r = list_exact(l, name, e);
    if (r == 0 && l->shown == 0)
        return sx_err_set(e, SX_ENOFILE, "%s: no such file or directory", text);
    return r;
}

int main(int argc, char **argv)
{
    struct options o = { false };
    const struct cli_command cmd = {
        "sxls", "[-rlH] URI...",
        "Lists the volumes of a cluster, or files and directories of a volume, one URI a line.  "
        "URI "
        "is sx://[USER@]CLUSTER[/VOLUME[/PATH]] or @ALIAS[/VOLUME[/PATH]]; PATH may hold * ? [].",
        options, take_option, &o
    };
    struct cli c;

    cli_start(&c, &cmd, &argc, &argv);
    if (argc == 0)
        cli_usage(c.name, "the URI is missing");
    for (int i = 0; i < argc; i++) {
        struct sx_err e = SX_ERR_INIT;
        struct cli_place p;
        struct ls l = { &c, &o, &p, 0 };

        if (cli_place(&c, argv[i], CLI_ANY, &p, &e)) {
            cli_fail(&c, &e);
            continue;
        }
        if (list_place(&l, argv[i], &e))
            cli_fail(&c, &e);
        else
            c.done++;
        cli_place_fini(&p);
    }
    return cli_end(&c);
}
