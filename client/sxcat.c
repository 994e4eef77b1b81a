/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxcat: files to standard output.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli.h"

struct cat {
    struct cli *c;
    struct cli_place *p;
    struct sx_err *e;
    bool broken; /* standard output takes no more */
};

static int put_out(void *arg, const void *data, size_t n)
{
    struct cat *t = arg;
    const char *p = data;

    while (n > 0) {
        ssize_t w = write(STDOUT_FILENO, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0) {
            sx_err_errno(t->e, errno, "write to standard output");
            t->broken = true;
            return -1;
        }
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static int cat_file(void *arg, const struct sx_file_info *f)
{
    struct cat *t = arg;
    struct sx_err e = SX_ERR_INIT;

    if (f->is_dir)
        return 0;
    if (sx_read(t->p->cluster, t->p->uri.volume, f->path, put_out, t, &e) == 0) {
        t->c->done++;
        return 0;
    }
    if (!t->broken)
        sx_err_copy(t->e, &e);
    cli_fail(t->c, t->e);
    return t->broken ? -1 : 0;
}

static void cat_place(struct cat *t)
{
    SX_AUTO_FREE char *name = sx_uri_name(&t->p->uri);
    const struct sx_file_info f = { .path = name };
    int before = t->c->done + t->c->failed;

    if (!sx_uri_glob(&t->p->uri)) {
        cat_file(t, &f);
        return;
    }
    if (sx_glob_each(t->p->cluster, t->p->uri.volume, t->p->uri.path, cat_file, t, t->e)) {
        if (!t->broken)
            cli_fail(t->c, t->e);
    } else if (t->c->done + t->c->failed == before) {
        sx_err_set(t->e, SX_ENOFILE, "%s: no file matches", t->p->uri.path);
        cli_fail(t->c, t->e);
    }
}

int main(int argc, char **argv)
{
    const struct cli_command cmd = {
        "sxcat", "URI...",
        "Writes files to standard output, one after the other, every block verified.", NULL, NULL,
        NULL
    };
    struct cli c;

    cli_start(&c, &cmd, &argc, &argv);
    if (argc == 0)
        cli_usage(c.name, "the URI is missing");
    for (int i = 0; i < argc; i++) {
        struct sx_err e = SX_ERR_INIT;
        struct cli_place p;
        struct cat t = { &c, &p, &e, false };

        if (cli_place(&c, argv[i], CLI_FILE, &p, &e)) {
            cli_fail(&c, &e);
            continue;
        }
        cat_place(&t);
        cli_place_fini(&p);
        if (t.broken)
            break;
    }
    return cli_end(&c);
}
