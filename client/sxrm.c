/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxrm: deletes files with all their revisions; directories and patterns by a job of the cluster,
 * so that the number of files does not matter.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli.h"

struct options {
    bool recursive;
    bool force;
};

struct rm {
    struct cli *c;
    const struct options *o;
    struct cli_place *p;
    const char *text; /* the operand */
    uint64_t removed;
    struct sx_err *e;
};

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct options *o = arg;

    o->recursive |= id == 'r';
    o->force |= id == 'f';
    return 0;
}

static const struct cli_option options[] = {
    { 'r', "recursive", NULL, "delete directories with all that is below" },
    { 'f', "force", NULL, "a file that does not exist is no error" },
    { 0 }
};

static int remove_below(struct rm *m, const char *prefix, const char *glob)
{
    struct sx_job_result r = { 0 };

    if (sx_remove_many(m->p->cluster, m->p->uri.volume, prefix, glob, &r, m->e))
        return -1;
    m->removed += r.done;
    if (r.failed)
        return sx_err_set(m->e, SX_ECONFLICT, "%s: %" PRIu64 " files were not deleted", m->text,
                          r.failed);
    return 0;
}

static int remove_dir(void *arg, const struct sx_file_info *f)
{
    return f->is_dir ? remove_below(arg, f->path, NULL) : 0;
}

static int remove_glob(struct rm *m)
{
    const struct sx_uri *u = &m->p->uri;

    if (m->o->recursive && sx_glob_each(m->p->cluster, u->volume, u->path, remove_dir, m, m->e))
        return -1;
    return remove_below(m, NULL, u->path);
}

/* A name that is no file: below it there may be files. */
static int remove_missing(struct rm *m, const char *name)
{
    SX_AUTO_FREE char *below = sx_asprintf("%s/", name);
    unsigned kind = 0;

    if (m->o->recursive)
        return remove_below(m, below, NULL);
    if (sx_kind(m->p->cluster, m->p->uri.volume, name, &kind, NULL) == 0 && kind & SX_KIND_DIR)
        return sx_err_set(m->e, SX_EINVAL, "%s: is a directory; use -r to delete all below it",
                          m->text);
    return 0;
}

static int remove_exact(struct rm *m)
{
    SX_AUTO_FREE char *name = sx_uri_name(&m->p->uri);

    if (!m->p->uri.slash) {
        if (sx_remove(m->p->cluster, m->p->uri.volume, name, m->e) == 0)
            m->removed++;
        else if (m->e->code != SX_ENOFILE)
            return sx_err_wrap(m->e, "%s", m->text);
    }
    if (m->removed && !m->o->recursive)
        return 0;
    return remove_missing(m, name);
}

static int remove_place(struct rm *m)
{
    const struct sx_uri *u = &m->p->uri;
    int r;

    if (!u->path && !(m->o->recursive && u->slash))
        return sx_err_set(m->e, SX_EINVAL,
                          "%s: names a volume; use sxvol remove, or -r and a slash at the end to "
                          "delete all files in it",
                          m->text);
    if (!u->path)
        return remove_below(m, NULL, NULL);
    r = sx_uri_glob(u) ? remove_glob(m) : remove_exact(m);
    if (r == 0 && m->removed == 0 && !m->o->force)
        return sx_err_set(m->e, SX_ENOFILE, "%s: no such file%s", m->text,
                          m->o->recursive ? " or directory" : "");
    return r;
}

static void report(const struct rm *m)
{
    if (m->c->json)
        cli_json(json_pack("{s:s,s:I}", "uri", m->text, "removed", (json_int_t)m->removed));
    else if (m->c->verbose)
        printf("%s: deleted %" PRIu64 " file(s)\n", m->text, m->removed);
}

int main(int argc, char **argv)
{
    struct options o = { false };
    const struct cli_command cmd = {
        "sxrm", "[-rf] URI...",
        "Deletes files with all their revisions.  The path may hold * ? []; write \\ before a "
        "character to take it literally.",
        options, take_option, &o
    };
    uint64_t removed = 0;
    struct cli c;

    cli_start(&c, &cmd, &argc, &argv);
    if (argc == 0)
        cli_usage(c.name, "the URI is missing");
    for (int i = 0; i < argc; i++) {
        struct sx_err e = SX_ERR_INIT;
        struct cli_place p;
        struct rm m = { &c, &o, &p, argv[i], 0, &e };

        if (cli_place(&c, argv[i], CLI_BELOW_CLUSTER, &p, &e)) {
            cli_fail(&c, &e);
            continue;
        }
        if (remove_place(&m)) {
            cli_fail(&c, &e);
        } else {
            c.done++;
            report(&m);
        }
        removed += m.removed;
        cli_place_fini(&p);
    }
    if (!c.json && !c.quiet)
        printf("Deleted %" PRIu64 " file(s)\n", removed);
    return cli_end(&c);
}
