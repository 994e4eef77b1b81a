/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxinit: sets up access to a cluster, and shows or removes what is set up.
 *
 * A cluster is trusted by the fingerprint of its CA certificate: from a link, a key file or an
 * option, or, at first contact, by a person who compares it.  Without either nothing is stored.
 */
#include "client/cli.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ANSWER_MAX 512
#define LINK_MAX 4096

enum { OPT_DELETE = 256, OPT_LINK_OUT, OPT_PASS, OPT_FINGERPRINT };

enum action { SETUP, LIST, INFO, DELETE, SHOW_LINK };

struct options {
    enum action action;
    const char *alias;
    const char *key_file;
    const char *link;
    const char *pass_file;
    const char *fingerprint;
    bool batch;
    struct sx_access nodes; /* collects --node */
};

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct options *o = arg;

    switch (id) {
    case 'A': o->alias = value; return 0;
    case 'k': o->key_file = value; return 0;
    case 'C': o->link = value; return 0;
    case 'n': return sx_access_add_node(&o->nodes, value, e);
    case 'b': o->batch = true; return 0;
    case 'L': o->action = LIST; return 0;
    case 'I': o->action = INFO; return 0;
    case OPT_DELETE: o->action = DELETE; return 0;
    case OPT_LINK_OUT: o->action = SHOW_LINK; return 0;
    case OPT_PASS: o->pass_file = value; return 0;
    default: o->fingerprint = value; return 0;
    }
}

static const struct cli_option options[] = {
    { 'A', "alias", "@NAME", "also give the cluster a short name" },
    { 'k', "key-file", "FILE", "take nodes, fingerprint and key from a key file" },
    { OPT_PASS, "pass-file", "FILE", "password of the key file, its first line" },
    { 'C', "link", "LINK", "take all from a link; - reads it from standard input" },
    { 'n', "node", "HOST:PORT", "address of a node; may be repeated" },
    { OPT_FINGERPRINT, "fingerprint", "HEX", "trust the cluster whose CA has this SHA-256" },
    { 'b', "batch", NULL, "never ask; needs a fingerprint" },
    { 'L', "list", NULL, "list what is set up" },
    { 'I', "info", NULL, "show a cluster as it answers now" },
    { OPT_LINK_OUT, "config-link", NULL, "print a link with the key in it" },
    { OPT_DELETE, "delete", NULL, "remove the user's key from this computer" },
    { 0 }
};

/* ---- Setting up --------------------------------------------------------------------------- */

static int password(void *arg, const char *file, char *out, size_t size, struct sx_err *e)
{
    const struct options *o = arg;

    if (o->pass_file)
        return cli_read_line(o->pass_file, out, size, e);
    if (o->batch)
        return sx_err_set(e, SX_EKEY, "it is protected by a password; use --pass-file");
    return cli_ask("Password of the key file", out, size, true, e);
}

static int read_link(const struct options *o, struct sx_access *a, struct sx_err *e)
{
    char text[LINK_MAX];
    int r;

    if (strcmp(o->link, "-"))
        return sx_access_parse_link(o->link, a, e);
    if (!fgets(text, sizeof text, stdin))
        return sx_err_set(e, SX_EINVAL, "standard input holds no link");
    text[strcspn(text, "\r\n")] = '\0';
    r = sx_access_parse_link(text, a, e);
    sx_wipe(text, sizeof text);
    return r;
}

static void set(char **to, const char *value)
{
    char *old = *to;

    *to = sx_strdup(value);
    free(old);
}

/* The URI on the command line names the cluster as the user wants to call it. */
static int apply_uri(struct cli *c, const char *text, struct sx_access *a, struct sx_err *e)
{
    struct sx_uri u;
    int r = 0;

    if (sx_uri_parse(c->client, text, &u, e))
        return -1;
    if (u.volume)
        r = sx_err_set(e, SX_EINVAL, "%s: a cluster is wanted, without a volume", text);
    else if (u.user && a->access_key && strcmp(u.user, a->user))
        r = sx_err_set(e, SX_EINVAL, "the key is of user '%s', not '%s'", a->user, u.user);
    else {
        set(&a->cluster, u.cluster);
        if (u.user)
            set(&a->user, u.user);
    }
    sx_uri_fini(&u);
    return r;
}

static int ask_into(const struct options *o, const char *what, bool secret, char **to,
                    struct sx_err *e)
{
    char answer[ANSWER_MAX];

    if (*to)
        return 0;
    if (o->batch)
        return sx_err_set(e, SX_EINVAL, "%s is missing; give a key file or a link", what);
    if (cli_ask(what, answer, sizeof answer, secret, e))
        return -1;
    if (!answer[0])
        return sx_err_set(e, SX_EINVAL, "%s is missing", what);
    *to = sx_strdup(answer);
    sx_wipe(answer, sizeof answer);
    return 0;
}

static int complete(struct options *o, struct sx_access *a, struct sx_err *e)
{
    for (size_t i = 0; i < o->nodes.n_nodes; i++)
        if (sx_access_add_node(a, o->nodes.nodes[i], e))
            return -1;
    /* Without an address the cluster's name may be a host's. */
    if (!a->n_nodes && sx_access_add_node(a, a->cluster, e))
        return -1;
    if (o->fingerprint && a->fingerprint && strcasecmp(o->fingerprint, a->fingerprint))
        return sx_err_set(e, SX_ECERT, "the key file or link has another fingerprint: %s",
                          a->fingerprint);
    if (o->fingerprint && !a->fingerprint)
        a->fingerprint = sx_strdup(o->fingerprint);
    return 0;
}

static int ask_key(const struct options *o, struct sx_access *a, struct sx_err *e)
{
    if (ask_into(o, "User", false, &a->user, e) ||
        ask_into(o, "Access key", false, &a->access_key, e))
        return -1;
    return ask_into(o, "Secret key", true, &a->secret_key, e);
}

static int trust(struct cli *c, const struct options *o, struct sx_access *a, struct sx_err *e)
{
    char hex[SX_FINGERPRINT_HEX + 1];
    bool yes;

    if (a->fingerprint)
        return 0;
    if (o->batch)
        return sx_err_set(e, SX_ECERT,
                          "the cluster's fingerprint is not known; give --fingerprint, a link or a "
                          "key file that holds it");
    if (sx_trust_fetch(c->client, a, hex, e))
        return -1;
    fprintf(stderr,
            "The CA certificate of cluster '%s' has the SHA-256 fingerprint\n  %s\n"
            "Compare it with what the administrator of the cluster says (sxadm cluster info).\n",
            a->cluster, hex);
    if (cli_ask_yes("Do you trust it? (y/N)", &yes, e))
        return -1;
    if (!yes)
        return sx_err_set(e, SX_ECANCELED, "the certificate was not trusted; nothing was stored");
    a->fingerprint = sx_strdup(hex);
    return 0;
}

static int gather(struct cli *c, struct options *o, const char *uri, struct sx_access *a,
                  struct sx_err *e)
{
    if (o->link && o->key_file)
        return sx_err_set(e, SX_EUSAGE, "give either a link or a key file");
    if (o->link && read_link(o, a, e))
        return -1;
    if (o->key_file && sx_access_load(o->key_file, password, o, a, e))
        return -1;
    if (uri && apply_uri(c, uri, a, e))
        return -1;
    return complete(o, a, e) || trust(c, o, a, e) || ask_key(o, a, e) ? -1 : 0;
}

static void report(const struct cli *c, const struct options *o, const struct sx_access *a)
{
    if (c->json)
        cli_json(json_pack("{s:s,s:s,s:s,s:s*}", "cluster", a->cluster, "user", a->user,
                           "fingerprint", a->fingerprint, "alias", o->alias));
    else if (!c->quiet)
        printf("Access to sx://%s@%s is set up%s%s.\n", a->user, a->cluster,
               o->alias ? "; its alias is " : "", o->alias ? o->alias : "");
}

static int setup(struct cli *c, struct options *o, const char *uri, struct sx_err *e)
{
    struct sx_access a;
    int r;

    sx_access_init(&a);
    if (!uri && !o->link && !o->key_file)
        cli_usage(c->name, "the cluster is missing");
    r = gather(c, o, uri, &a, e);
    if (r == 0)
        r = sx_profile_store(c->client, &a, e);
    if (r == 0 && o->alias) {
        SX_AUTO_FREE char *target = sx_asprintf("sx://%s@%s", a.user, a.cluster);

        r = sx_alias_set(c->client, o->alias, target, e);
    }
    if (r == 0)
        report(c, o, &a);
    sx_access_fini(&a);
    return r;
}

/* ---- Showing and removing ----------------------------------------------------------------- */

static int list_one(void *arg, const char *cluster, const char *user, const char *alias)
{
    const struct cli *c = arg;

    if (c->json)
        cli_json(json_pack("{s:s,s:s,s:s*}", "cluster", cluster, "user", user, "alias", alias));
    else
        printf("sx://%s@%s%s%s\n", user, cluster, alias ? "  " : "", alias ? alias : "");
    return 0;
}

static json_t *nodes_json(const struct sx_cluster *k, size_t n)
{
    json_t *all = json_array();

    for (size_t i = 0; i < n; i++) {
        struct sx_node_info node;

        sx_cluster_node(k, i, &node);
        json_array_append_new(all, json_pack("{s:s,s:s,s:i,s:s,s:I,s:b}", "id", node.id, "address",
                                             node.address, "port", (int)node.port, "zone",
                                             node.zone,
                                             "capacity", (json_int_t)node.capacity, "up", node.up));
    }
    return all;
}

static void print_nodes(const struct sx_cluster *k, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sx_node_info node;

        sx_cluster_node(k, i, &node);
        printf("node:         %s:%u  %s\n", node.address, node.port, node.up ? "up" : "down");
    }
}

static int info(struct cli *c, const char *uri, struct sx_err *e)
{
    struct sx_cluster_info i;
    struct cli_place p;

    if (!uri)
        cli_usage(c->name, "the cluster is missing");
    if (cli_place(c, uri, CLI_CLUSTER, &p, e))
        return -1;
    sx_cluster_info(p.cluster, &i);
    if (c->json) {
        cli_json(json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "cluster", i.uuid, "name", i.name,
                           "user", i.user, "fingerprint", i.fingerprint, "version", i.version,
                           "config_dir", sx_client_dir(c->client), "nodes",
                           nodes_json(p.cluster, i.n_nodes)));
    } else {
        printf("cluster:      %s\nname:         %s\nuser:         %s\nfingerprint:  %s\n"
               "server:       SX %s\nclient:       SX %s\nconfiguration %s\n",
               i.uuid, i.name, i.user, i.fingerprint, i.version, sx_version(),
               sx_client_dir(c->client));
        print_nodes(p.cluster, i.n_nodes);
    }
    cli_place_fini(&p);
    return 0;
}

static int show_link(struct cli *c, const struct sx_uri *u, struct sx_err *e)
{
    SX_AUTO_FREE char *link = NULL;
    struct sx_access a;

    if (sx_profile_load(c->client, u, &a, e))
        return -1;
    link = sx_access_link(&a);
    sx_access_fini(&a);
    if (c->json)
        cli_json(json_pack("{s:s}", "link", link));
    else
        puts(link);
    sx_wipe(link, strlen(link));
    return 0;
}

static int local_action(struct cli *c, const struct options *o, const char *uri, struct sx_err *e)
{
    struct sx_uri u;
    int r;

    if (!uri)
        cli_usage(c->name, "the cluster is missing");
    if (sx_uri_parse(c->client, uri, &u, e))
        return -1;
    r = o->action == DELETE ? sx_profile_remove(c->client, &u, e) : show_link(c, &u, e);
    sx_uri_fini(&u);
    return r;
}

int main(int argc, char **argv)
{
    struct options o = { SETUP };
    const struct cli_command cmd = {
        "sxinit",
        "[--alias @NAME] [--key-file FILE | --link LINK] [--node HOST:PORT]... "
        "sx://[USER@]CLUSTER\n"
        "--list\n--info | --config-link | --delete sx://[USER@]CLUSTER",
        "Sets up access to an SX cluster for this user of this computer.",
        options, take_option, &o
    };
    struct sx_err e = SX_ERR_INIT;
    struct cli c;
    const char *uri;
    int r;

    cli_start(&c, &cmd, &argc, &argv);
    if (argc > 1)
        cli_usage(c.name, "one cluster at a time");
    uri = argc ? argv[0] : NULL;
    if (o.action == LIST)
        r = sx_profile_each(c.client, list_one, &c, &e);
    else if (o.action == INFO)
        r = info(&c, uri, &e);
    else if (o.action == SETUP)
        r = setup(&c, &o, uri, &e);
    else
        r = local_action(&c, &o, uri, &e);
    if (r)
        cli_fail(&c, &e);
    sx_access_fini(&o.nodes);
    return cli_end(&c);
}
