/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxvol: makes, shows, changes and removes volumes.
 */
#include "client/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/show.h"
#include "libsx/base/text.h"

#define REPLICA_MAX 256
#define REVISIONS_MAX 64

enum { OPT_COMPRESSION = 256, OPT_VERSIONING, OPT_NAME };

struct options {
    struct sx_volume_change change;
    bool recursive;
    bool any; /* something is to be changed */
};

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct options *o = arg;

    o->any = id != 'r' || o->any;
    switch (id) {
    case 'R':
        return cli_number("--replica", value, 1, REPLICA_MAX, &o->change.replica, e);
    case 'm':
        return cli_number("--revisions", value, 1, REVISIONS_MAX, &o->change.revisions, e);
    case 's':
        o->change.has_quota = true;
        return sx_size_parse(value, &o->change.quota, e);
    case 'o':
        o->change.owner = value;
        return 0;
    case OPT_COMPRESSION:
        o->change.compression = value;
        return 0;
    case OPT_VERSIONING:
        o->change.versioning = value;
        return 0;
    case OPT_NAME:
        o->change.name = value;
        return 0;
    default:
        o->recursive = true;
        return 0;
    }
}

static const struct cli_option options[] = {
    { 'R', "replica", "N", "create: keep each block on N nodes" },
    { 'o', "owner", "USER", "the owner (default: the one who creates)" },
    { 's', "quota", "SIZE", "most bytes of all revisions, like 10G; 0 for no limit" },
    { 'm', "revisions", "N", "revisions kept of each file, 1 to 64" },
    { OPT_COMPRESSION, "compression", "CODEC", "none, lz4, zstd or zlib" },
    { OPT_VERSIONING, "versioning", "HOW",
      "modify: enabled (every revision is kept, deleting only marks) or suspended" },
    { OPT_NAME, "name", "NAME", "modify: a new name" },
    { 'r', "recursive", NULL, "remove: with all files in it" },
    { 0 }
};

static int create(struct cli *c, struct options *o, struct cli_place *p, struct sx_err *e)
{
    if (o->change.name || o->change.versioning)
        return sx_err_set(e, SX_EUSAGE, "--name and --versioning are for modify");
    return sx_volume_create(p->cluster, p->uri.volume, &o->change, show_volume_details, c, e);
}

static int modify(struct cli *c, struct options *o, struct cli_place *p, struct sx_err *e)
{
    if (!o->any)
        return sx_err_set(e, SX_EUSAGE,
                          "nothing to change: use --owner, --quota, --revisions, --compression, "
                          "--versioning or --name");
    if (o->change.replica)
        return sx_err_set(e, SX_EUNSUPPORTED, "the replica count is set when a volume is created");
    return sx_volume_modify(p->cluster, p->uri.volume, &o->change, show_volume_details, c, e);
}

static int info(struct cli *c, struct options *o, struct cli_place *p, struct sx_err *e)
{
    return sx_volume_space(p->cluster, p->uri.volume, show_volume_details, c, e);
}

static int remove_volume(struct cli *c, struct options *o, struct cli_place *p, struct sx_err *e)
{
    if (sx_volume_remove(p->cluster, p->uri.volume, o->recursive, e))
        return -1;
    if (c->json)
        cli_json(json_pack("{s:s}", "removed", p->uri.volume));
    else if (!c->quiet)
        printf("Volume '%s' removed.\n", p->uri.volume);
    return 0;
}

static int list(struct cli *c, struct options *o, struct cli_place *p, struct sx_err *e)
{
    struct show_volumes how = { c, &p->uri, true, true };

    return sx_volume_each(p->cluster, show_volume_line, &how, e);
}

static const struct {
    const char *name;
    enum cli_place_kind kind;
    int (*run)(struct cli *c, struct options *o, struct cli_place *p, struct sx_err *e);
} commands[] = {
    { "create", CLI_VOLUME, create }, { "list", CLI_CLUSTER, list },
    { "info", CLI_VOLUME, info },     { "modify", CLI_VOLUME, modify },
    { "remove", CLI_VOLUME, remove_volume },
};

static void run(struct cli *c, struct options *o, const char *name, const char *text)
{
    struct sx_err e = SX_ERR_INIT;
    struct cli_place p;

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name))
            continue;
        if (cli_place(c, text, commands[i].kind, &p, &e)) {
            cli_fail(c, &e);
            return;
        }
        if (commands[i].run(c, o, &p, &e))
            cli_fail(c, &e);
        else
            c->done++;
        cli_place_fini(&p);
        return;
    }
    cli_usage(c->name, "'%s' is not a command", name);
}

int main(int argc, char **argv)
{
    struct options o = { .any = false };
    const struct cli_command cmd = {
        "sxvol",
        "create [--replica N] [--owner USER] [--quota SIZE] [--revisions N] [--compression CODEC] "
        "URI...\nlist CLUSTER\ninfo URI...\nmodify [OPTION]... URI...\nremove [--recursive] URI...",
        "Creates, lists, shows, changes and removes volumes.  URI is sx://[USER@]CLUSTER/VOLUME "
        "or @ALIAS/VOLUME.",
        options, take_option, &o
    };
    struct cli c;

    sx_volume_change_init(&o.change);
    cli_start(&c, &cmd, &argc, &argv);
    if (argc == 0)
        cli_usage(c.name, "the command is missing");
    if (argc == 1)
        cli_usage(c.name, "%s: the URI is missing", argv[0]);
    for (int i = 1; i < argc; i++)
        run(&c, &o, argv[0], argv[i]);
    return cli_end(&c);
}
