/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxmv: renames files and directories inside a volume and between volumes of one cluster.  A file
 * is one transaction; a directory is a job of the cluster.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli.h"

struct mv {
    struct cli *c;
    struct cli_place *from; /* of the source at hand */
    struct cli_place *to;
    char *to_name;          /* exact name of the destination; "": the volume */
    bool into;              /* the sources go below it */
    struct sx_err *e;
    uint64_t files;
};

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    return 0;
}

static const struct cli_option options[] = {
    { 'r', "recursive", NULL, "accepted, and not needed: directories are moved as a whole" },
    { 0 }
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Where a source called `name` goes; to be freed. */
static char *target_of(const struct mv *m, const char *name)
{
    if (!m->into)
        return sx_strdup(m->to_name);
    return *m->to_name ? sx_asprintf("%s/%s", m->to_name, base_name(name)) :
                         sx_strdup(base_name(name));
}

static bool same_volume(const struct mv *m)
{
    return !strcmp(m->from->uri.volume, m->to->uri.volume);
}

static void report(const struct mv *m, const char *from, const char *to)
{
    SX_AUTO_FREE char *a = sx_uri_text(&m->from->uri, NULL, from);
    SX_AUTO_FREE char *b = sx_uri_text(&m->to->uri, NULL, to);

    if (m->c->json)
        cli_json(json_pack("{s:s,s:s}", "from", a, "to", b));
    else if (m->c->verbose)
        printf("%s -> %s\n", a, b);
}

static int move_file(struct mv *m, const char *name)
{
    SX_AUTO_FREE char *to = target_of(m, name);
    unsigned kind = 0;

    if (same_volume(m) && !strcmp(name, to))
        return sx_err_set(m->e, SX_EINVAL, "'%s' and '%s' are the same file", name, to);
    if (sx_kind(m->to->cluster, m->to->uri.volume, to, &kind, NULL) == 0 && kind == SX_KIND_DIR)
        return sx_err_set(m->e, SX_EEXIST, "'%s' is a directory, and is not replaced by a file",
                          to);
    if (sx_rename(m->from->cluster, m->from->uri.volume, name, m->to->uri.volume, to, m->e))
        return -1;
    m->files++;
    report(m, name, to);
    return 0;
}

static int check_dir_target(struct mv *m, const char *from, const char *to)
{
    size_t n = strlen(from);
    unsigned kind = 0;

    if (same_volume(m) && !strcmp(from, to))
        return sx_err_set(m->e, SX_EINVAL, "'%s' and '%s' are the same directory", from, to);
    if (same_volume(m) && !strncmp(from, to, n) && to[n] == '/')
        return sx_err_set(m->e, SX_EINVAL, "'%s' cannot be moved below itself, to '%s'", from, to);
    if (sx_kind(m->to->cluster, m->to->uri.volume, to, &kind, m->e))
        return -1;
    if (kind & SX_KIND_FILE)
        return sx_err_set(m->e, SX_EEXIST, "'%s' is a file, and is not replaced by a directory",
                          to);
    if (kind & SX_KIND_DIR)
        return sx_err_set(m->e, SX_ENOTEMPTY, "directory '%s' exists and is not empty", to);
    return 0;
}

static int move_dir(struct mv *m, const char *name)
{
    SX_AUTO_FREE char *to = target_of(m, name);
    SX_AUTO_FREE char *from_prefix = sx_asprintf("%s/", name);
    SX_AUTO_FREE char *to_prefix = sx_asprintf("%s/", to);
    struct sx_job_result r = { 0 };

    if (check_dir_target(m, name, to) ||
        sx_rename_many(m->from->cluster, m->from->uri.volume, from_prefix, m->to->uri.volume,
                       to_prefix, &r, m->e))
        return -1;
    m->files += r.done;
    if (r.failed)
        return sx_err_set(m->e, SX_ECONFLICT, "%" PRIu64 " files of '%s' were not moved", r.failed,
                          name);
    report(m, from_prefix, to_prefix);
    return 0;
}

static int move_match(void *arg, const struct sx_file_info *f)
{
    struct mv *m = arg;
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO_FREE char *name = sx_strndup(f->path, strlen(f->path) - (f->is_dir ? 1 : 0));

    m->e = &e;
    if ((f->is_dir ? move_dir : move_file)(m, name))
        cli_fail(m->c, &e);
    else
        m->c->done++;
    return 0;
}

static int move_exact(struct mv *m, const char *text)
{
    SX_AUTO_FREE char *name = sx_uri_name(&m->from->uri);
    unsigned kind;

    if (sx_kind(m->from->cluster, m->from->uri.volume, name, &kind, m->e))
        return -1;
    if (!kind)
        return sx_err_set(m->e, SX_ENOFILE, "%s: no such file or directory", text);
    if (kind & SX_KIND_FILE && !m->from->uri.slash && move_file(m, name))
        return -1;
    return kind & SX_KIND_DIR ? move_dir(m, name) : 0;
}

static int move_glob(struct mv *m, const char *text)
{
    int before = m->c->done + m->c->failed;
    struct sx_err *e = m->e;
    int r = sx_glob_each(m->from->cluster, m->from->uri.volume, m->from->uri.path, move_match, m,
                         e);

    m->e = e;
    if (r == 0 && m->c->done + m->c->failed == before)
        return sx_err_set(e, SX_ENOFILE, "%s: no file matches", text);
    return r;
}

static void move_source(struct cli *c, struct mv *m, const char *text)
{
    struct sx_err e = SX_ERR_INIT;
    struct cli_place from;
    bool glob;
    int r;

    m->e = &e;
    if (cli_place(c, text, CLI_FILE, &from, &e)) {
        cli_fail(c, &e);
        return;
    }
    m->from = &from;
    glob = sx_uri_glob(&from.uri);
    if (from.cluster != m->to->cluster)
        r = sx_err_set(&e, SX_EUNSUPPORTED,
                       "%s: is in another cluster, or of another user; copy with sxcp, then sxrm",
                       text);
    else
        r = glob ? move_glob(m, text) : move_exact(m, text);
    if (r)
        cli_fail(c, &e);
    else if (!glob)
        c->done++;
    cli_place_fini(&from);
}

/* An existing directory, a volume, or several sources: they go below the destination. */
static int look_at_target(struct mv *m, int sources, bool glob, struct sx_err *e)
{
    unsigned kind = 0;

    m->to_name = sx_uri_name(&m->to->uri);
    m->into = m->to->uri.slash || !*m->to_name || sources > 1 || glob;
    if (m->into)
        return 0;
    if (sx_kind(m->to->cluster, m->to->uri.volume, m->to_name, &kind, e))
        return -1;
    m->into = kind == SX_KIND_DIR;
    return 0;
}

static bool any_glob(struct cli *c, int n, char **sources)
{
    for (int i = 0; i < n; i++) {
        struct sx_uri u;
        bool glob;

        if (sx_uri_parse(c->client, sources[i], &u, NULL))
            continue;
        glob = sx_uri_glob(&u);
        sx_uri_fini(&u);
        if (glob)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    const struct cli_command cmd = {
        "sxmv", "SOURCE... DESTINATION",
        "Renames files and directories inside a cluster.  A destination that is a directory, a "
        "volume or "
        "ends with a slash takes the sources below it.",
        options, take_option, NULL
    };
    struct sx_err e = SX_ERR_INIT;
    struct cli_place to;
    struct mv m = { .to = &to };
    struct cli c;

    cli_start(&c, &cmd, &argc, &argv);
    if (argc < 2)
        cli_usage(c.name, argc ? "the destination is missing" : "the source is missing");
    m.c = &c;
    if (cli_place(&c, argv[argc - 1], CLI_BELOW_CLUSTER, &to, &e)) {
        cli_fail(&c, &e);
        return cli_end(&c);
    }
    if (look_at_target(&m, argc - 1, any_glob(&c, argc - 1, argv), &e))
        cli_fail(&c, &e);
    else
        for (int i = 0; i < argc - 1; i++)
            move_source(&c, &m, argv[i]);
    free(m.to_name);
    cli_place_fini(&to);
    return cli_end(&c);
}
