/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxacl: users, their keys, and rights on volumes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/show.h"
#include "libsx/base/text.h"

#define PASSWORD_MAX 1024

enum { OPT_KEY_OUT = 256, OPT_PASS, OPT_GRANT, OPT_REVOKE };

struct options {
    struct sx_user_change change;
    bool any;
    const char *key_out;
    const char *pass_file;
    unsigned grant;
    unsigned revoke;
};

/* A command's arguments: those before the URI, the place, the frame. */
struct run {
    struct cli *c;
    const struct options *o;
    char **args;
    struct cli_place *p;
};

static int volumes_parse(const char *value, uint32_t *n, struct sx_err *e)
{
    uint64_t v = SX_MAX_VOLUMES_ANY;

    if (strcmp(value, "any") && sx_u64_parse(value, strlen(value), SX_MAX_VOLUMES_ANY, &v))
        return sx_err_set(e, SX_EINVAL, "--max-volumes: '%s' is neither a number nor 'any'", value);
    *n = (uint32_t)v;
    return 0;
}

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct options *o = arg;

    switch (id) {
    case 't':
        if (strcmp(value, "admin") && strcmp(value, "normal"))
            return sx_err_set(e, SX_EINVAL, "--role: '%s' is not a role; write admin or normal",
                              value);
        o->change.role = value;
        o->any = true;
        return 0;
    case 'd':
        o->change.description = value;
        o->any = true;
        return 0;
    case 's':
        o->change.has_quota = o->any = true;
        return sx_size_parse(value, &o->change.quota, e);
    case 'm':
        o->change.has_max_volumes = o->any = true;
        return volumes_parse(value, &o->change.max_volumes, e);
    case OPT_KEY_OUT:
        o->key_out = value;
        return 0;
    case OPT_PASS:
        o->pass_file = value;
        return 0;
    case OPT_GRANT:
        return sx_rights_parse(value, &o->grant, e);
    default:
        return sx_rights_parse(value, &o->revoke, e);
    }
}

static const struct cli_option options[] = {
    { 't', "role", "ROLE", "useradd, usermod: normal or admin" },
    { 'd', "description", "TEXT", "useradd, usermod: who this is" },
    { 's', "quota", "SIZE", "useradd, usermod: for all volumes owned, like 10G; 0 for no limit" },
    { 'm', "max-volumes", "N",
      "useradd, usermod: the user may create so many volumes; 0 for none, or any" },
    { OPT_KEY_OUT, "key-out", "FILE",
      "useradd, keyadd: write a key file for sxinit, do not print the key" },
    { OPT_PASS, "pass-file", "FILE",
      "useradd, keyadd: protect the key file with the password in FILE" },
    { OPT_GRANT, "grant", "RIGHTS", "volperm: read, write, manager, owner, separated by commas" },
    { OPT_REVOKE, "revoke", "RIGHTS", "volperm: likewise" },
    { 0 }
};

/* ---- Users -------------------------------------------------------------------------------- */

static int show_user(void *arg, const struct sx_user_info *u)
{
    const struct cli *c = arg;
    char quota[SX_SIZE_TEXT], used[SX_SIZE_TEXT];
    json_t *keys;

    if (c->json) {
        keys = json_array();
        for (size_t i = 0; i < u->n_keys; i++)
            json_array_append_new(keys, json_string(u->keys[i]));
        cli_json(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o}", "user", u->name, "role", u->role,
                           "description", u->description, "quota", (json_int_t)u->quota, "used",
                           (json_int_t)u->used, "created_ms", (json_int_t)u->created_ms,
                           "max_volumes", (json_int_t)u->max_volumes, "keys", keys));
        return 0;
    }
    if (c->quiet)
        return 0;
    printf("%s (%s)", u->name, u->role);
    if (c->verbose) {
        printf(" used %s", sx_size_text(used, u->used));
        if (u->quota)
            printf(" of %s", sx_size_text(quota, u->quota));
        if (u->max_volumes == SX_MAX_VOLUMES_ANY)
            printf(" volumes any");
        else if (u->max_volumes)
            printf(" volumes %" PRIu32, u->max_volumes);
        printf(" keys %zu%s%s", u->n_keys, *u->description ? ": " : "", u->description);
    }
    putchar('\n');
    return 0;
}

static int write_key(const struct options *o, const struct sx_access *a, struct sx_err *e)
{
    char password[PASSWORD_MAX] = "";
    int r;

    if (o->pass_file && cli_read_line(o->pass_file, password, sizeof password, e))
        return -1;
    r = sx_access_save(a, o->key_out, o->pass_file ? password : NULL, e);
    sx_wipe(password, sizeof password);
    return r;
}

/* A key is shown or written this once. */
static int give_key(const struct run *r, const struct sx_access *a, struct sx_err *e)
{
    SX_AUTO_FREE char *link = sx_access_link(a);
    const char *secret = r->o->key_out ? NULL : a->secret_key;

    if (r->o->key_out && write_key(r->o, a, e))
        return sx_err_wrap(e, "the user's key %s exists, but was not written", a->access_key);
    if (r->c->json) {
        cli_json(json_pack("{s:s,s:s,s:s*,s:s*,s:s*}", "user", a->user, "access_key", a->access_key,
                           "secret_key", secret, "link", secret ? link : NULL, "key_file",
                           r->o->key_out));
    } else if (r->o->key_out) {
        if (!r->c->quiet)
            printf("User '%s', key %s; key file %s for: sxinit --key-file %s\n", a->user,
                   a->access_key, r->o->key_out, r->o->key_out);
    } else {
        printf("User:       %s\nAccess key: %s\nSecret key: %s\nLink:       %s\n", a->user,
               a->access_key, secret, link);
    }
    sx_wipe(link, strlen(link));
    return 0;
}

static int check_key_out(const struct options *o, struct sx_err *e)
{
    if (o->pass_file && !o->key_out)
        return sx_err_set(e, SX_EUSAGE, "--pass-file protects a key file: give --key-out too");
    if (o->key_out && access(o->key_out, F_OK) == 0)
        return sx_err_set(e, SX_EEXIST, "%s exists; choose another name", o->key_out);
    return 0;
}

static int user_add(struct run *r, struct sx_err *e)
{
    struct sx_access key;
    int result;

    if (check_key_out(r->o, e) ||
        sx_user_create(r->p->cluster, r->args[0], &r->o->change, &key, e))
        return -1;
    result = give_key(r, &key, e);
    sx_access_fini(&key);
    return result;
}

static int key_add(struct run *r, struct sx_err *e)
{
    struct sx_access key;
    int result;

    if (check_key_out(r->o, e) || sx_user_key_add(r->p->cluster, r->args[0], &key, e))
        return -1;
    result = give_key(r, &key, e);
    sx_access_fini(&key);
    return result;
}

static int say(const struct run *r, const char *what)
{
    if (r->c->json)
        cli_json(json_pack("{s:s,s:s}", "user", r->args[0], "result", what));
    else if (!r->c->quiet)
        printf("User '%s': %s.\n", r->args[0], what);
    return 0;
}

static int key_del(struct run *r, struct sx_err *e)
{
    if (sx_user_key_remove(r->p->cluster, r->args[0], r->args[1], e))
        return -1;
    return say(r, "key removed");
}

static int user_del(struct run *r, struct sx_err *e)
{
    return sx_user_remove(r->p->cluster, r->args[0], e) ? -1 : say(r, "removed");
}

static int user_mod(struct run *r, struct sx_err *e)
{
    if (!r->o->any)
        return sx_err_set(e, SX_EUSAGE, "nothing to change: use --role, --quota, "
                                       "--max-volumes or --description");
    return sx_user_modify(r->p->cluster, r->args[0], &r->o->change, show_user, r->c, e);
}

static int user_list(struct run *r, struct sx_err *e)
{
    return sx_user_each(r->p->cluster, show_user, r->c, e);
}

static int whoami(struct run *r, struct sx_err *e)
{
    return sx_user_get(r->p->cluster, NULL, show_user, r->c, e);
}

/* ---- Rights ------------------------------------------------------------------------------- */

static int show_acl(void *arg, const char *user, unsigned rights)
{
    const struct cli *c = arg;
    char text[SHOW_RIGHTS_MAX];

    if (c->json)
        cli_json(json_pack("{s:s,s:o}", "user", user, "rights", show_rights_json(rights)));
    else if (!c->quiet)
        printf("%s: %s\n", user, show_rights(text, rights));
    return 0;
}

static int vol_perm(struct run *r, struct sx_err *e)
{
    if (!r->o->grant && !r->o->revoke)
        return sx_err_set(e, SX_EUSAGE, "nothing to change: use --grant or --revoke");
    return sx_acl_change(r->p->cluster, r->p->uri.volume, r->args[0], r->o->grant, r->o->revoke,
                         show_acl, r->c, e);
}

static int vol_show(struct run *r, struct sx_err *e)
{
    return sx_acl_get(r->p->cluster, r->p->uri.volume, show_acl, r->c, e);
}

/* ---- */

static const struct {
    const char *name;
    int args; /* before the URI */
    enum cli_place_kind kind;
    int (*run)(struct run *r, struct sx_err *e);
} commands[] = {
    { "useradd", 1, CLI_CLUSTER, user_add }, { "userlist", 0, CLI_CLUSTER, user_list },
    { "userdel", 1, CLI_CLUSTER, user_del }, { "usermod", 1, CLI_CLUSTER, user_mod },
    { "keyadd", 1, CLI_CLUSTER, key_add },   { "keydel", 2, CLI_CLUSTER, key_del },
    { "volperm", 1, CLI_VOLUME, vol_perm },  { "volshow", 0, CLI_VOLUME, vol_show },
    { "whoami", 0, CLI_CLUSTER, whoami },
};
#define COMMANDS (sizeof commands / sizeof *commands)

int main(int argc, char **argv)
{
    struct options o = { .any = false };
    const struct cli_command cmd = {
        "sxacl",
        "useradd [OPTION]... [--key-out FILE [--pass-file FILE]] USER CLUSTER\nuserlist CLUSTER\n"
        "usermod [OPTION]... USER CLUSTER\nuserdel USER CLUSTER\n"
        "keyadd [--key-out FILE] USER CLUSTER\nkeydel USER ACCESS-KEY CLUSTER\n"
        "volperm [--grant RIGHTS] [--revoke RIGHTS] USER CLUSTER/VOLUME\n"
        "volshow CLUSTER/VOLUME\nwhoami CLUSTER",
        "Manages users, their keys, and rights on volumes.  CLUSTER is sx://[USER@]NAME or @ALIAS.",
        options, take_option, &o
    };
    struct sx_err e = SX_ERR_INIT;
    struct cli_place p;
    struct cli c;
    size_t i = 0;

    sx_user_change_init(&o.change);
    cli_start(&c, &cmd, &argc, &argv);
    if (argc == 0)
        cli_usage(c.name, "the command is missing");
    while (i < COMMANDS && strcmp(commands[i].name, argv[0]))
        i++;
    if (i == COMMANDS)
        cli_usage(c.name, "'%s' is not a command", argv[0]);
    if (argc != commands[i].args + 2)
        cli_usage(c.name, "%s takes %d arguments", argv[0], commands[i].args + 1);
    if (cli_place(&c, argv[argc - 1], commands[i].kind, &p, &e)) {
        cli_fail(&c, &e);
        return cli_end(&c);
    }
    struct run r = { &c, &o, argv + 1, &p };
    if (commands[i].run(&r, &e))
        cli_fail(&c, &e);
    else
        c.done++;
    cli_place_fini(&p);
    return cli_end(&c);
}
