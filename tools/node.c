/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See node.h.
 */
#include "tools/node.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

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

int sxadm_load_node(struct sxadm *a, char dir[PATH_MAX], struct sx_node_conf *c, struct sx_err *e)
{
    const char *name = a->dir ? a->dir : getenv("SX_DIR");

    name = name && *name ? name : DEFAULT_DIR;
    if (!realpath(name, dir))
        return sx_err_errno(e, errno, "directory %s", name);
    return sx_node_conf_load(c, dir, e) != 0 || become_user(c, e) != 0 ? -1 : 0;
}

void sxadm_judge_open(struct sxadm *a, const char *dir, struct judge *j)
{
    struct sx_err e = SX_ERR_INIT;

    if (judge_open_meta(j, dir, &e) != 0)
        cli_note(&a->cli, "no files can be named, and blocks are judged by their checksums alone: %s", e.msg);
    else if (judge_open_key(j, dir, &e) != 0)
        cli_note(&a->cli, "blocks are judged by their checksums alone: %s", e.msg);
}
