/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands of sxadm that work on the directory of a node of this machine.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/conf.h"
#include "fcgi/store/store.h"
#include "libsx/base/text.h"
#include "tools/sxadm.h"

#define DEFAULT_DIR "/var/lib/sx"

/* Files that root made in the store could not be read by the daemon. */
static int become_user(const struct sx_node_conf *c, struct sx_err *e)
{
    struct passwd *pw;

    if (geteuid() != 0 || !c->user[0])
        return 0;
    pw = getpwnam(c->user);
    if (!pw)
        return sx_err_set(e, SX_ECONFIG, "user '%s' of the node's settings does not exist", c->user);
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return sx_err_errno(e, errno, "become user %s", c->user);
    return 0;
}

static int load(struct sxadm *a, int argc, char **argv, char dir[PATH_MAX], struct sx_node_conf *c, struct sx_err *e)
{
    const char *name = a->dir ? a->dir : getenv("SX_DIR");

    if (argc > 0)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[0]);
    name = name && *name ? name : DEFAULT_DIR;
    if (!realpath(name, dir))
        return sx_err_errno(e, errno, "directory %s", name);
    return sx_node_conf_load(c, dir, e) != 0 || become_user(c, e) != 0 ? -1 : 0;
}

int sxadm_node_info(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };
    char dir[PATH_MAX], size[SX_SIZE_TEXT];

    if (load(a, argc, argv, dir, &c, e) != 0)
        return -1;
    if (a->cli.json)
        cli_json(sx_node_conf_to_json(&c));
    else
        printf("node:      %s\ncluster:   %s (%s)\ndirectory: %s\naddress:   %s port %u, links on port %u\n"
               "zone:      %s\ncapacity:  %s\nworkers:   %u, and %u for other nodes\nuser:      %s\n",
               c.node_hex, c.name, c.cluster, dir, c.address, c.port, c.peer_port, c.zone[0] ? c.zone : "-",
               sx_size_text(size, c.capacity), c.workers, c.reserved_workers, c.user[0] ? c.user : "-");
    sx_node_conf_fini(&c);
    return 0;
}

static void print_report(const struct sxadm *a, const struct sx_store_report *r)
{
    if (a->cli.json) {
        cli_json(json_pack("{s:I, s:I, s:I, s:I}", "blocks", (json_int_t)r->blocks, "bad", (json_int_t)r->bad, "stray",
                           (json_int_t)r->stray, "index_faults", (json_int_t)r->index_faults));
        return;
    }
    printf("blocks:       %" PRIu64 "\nbad:          %" PRIu64 "\nindex faults: %" PRIu64 "\n", r->blocks, r->bad,
           r->index_faults);
    if (a->deep)
        printf("stray:        %" PRIu64 " (dead space, no fault)\n", r->stray);
}

int sxadm_node_check(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };
    struct sx_store_report r = { 0 };
    struct sx_store *s = NULL;
    char dir[PATH_MAX];
    int result;

    if (load(a, argc, argv, dir, &c, e) != 0)
        return -1;
    result = sx_store_open_node(dir, &s, e);
    if (result == 0)
        result = sx_store_check(s, a->deep, &r, e);
    if (result == 0) {
        print_report(a, &r);
        if (r.bad > 0)
            result = sx_err_set(e, SX_ECORRUPT, "%" PRIu64 " blocks in %s are bad; the node fetches them anew from the others",
                                r.bad, dir);
        else if (r.index_faults > 0)
            result = sx_err_set(e, SX_ECORRUPT, "the index in %s is faulty; stop the node, then: sxadm node rebuild-index --dir %s",
                                dir, dir);
    }
    sx_store_close(s);
    sx_node_conf_fini(&c);
    return result;
}

int sxadm_node_rebuild_index(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };
    struct sx_store_options o;
    char dir[PATH_MAX];
    int result;

    if (load(a, argc, argv, dir, &c, e) != 0)
        return -1;
    SX_AUTO_FREE char *store = sx_asprintf("%s/store", dir);

    result = sx_store_options_load(dir, &o, e);
    if (result == 0)
        result = sx_store_rebuild_index(store, &o, e);
    if (result == 0 && !a->cli.json)
        printf("the index of %s was made anew from its packs\n", store);
    sx_node_conf_fini(&c);
    return result;
}
