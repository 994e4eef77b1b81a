/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm node info, and node rebuild-index.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/store/store.h"
#include "libsx/base/text.h"
#include "tools/node.h"

int sxadm_node_info(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };
    char dir[PATH_MAX], size[SX_SIZE_TEXT];

    if (argc > 0)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[0]);
    if (sxadm_load_node(a, dir, &c, e) != 0)
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

int sxadm_node_rebuild_index(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };
    struct sx_store_options o;
    char dir[PATH_MAX];
    int result;

    if (argc > 0)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[0]);
    if (sxadm_load_node(a, dir, &c, e) != 0)
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
