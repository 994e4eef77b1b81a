/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store of a node: its place and its options, from the node's settings.
 */
#include "fcgi/conf.h"
#include "fcgi/store/store.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

int sx_store_options_load(const char *node_dir, struct sx_store_options *o, struct sx_err *e)
{
    SX_AUTO(sx_node_conf) struct sx_node_conf c = { 0 };
    char hex[2 * sizeof o->cluster + 1];
    size_t n = 0;

    if (sx_node_conf_load(&c, node_dir, e))
        return -1;
    *o = (struct sx_store_options){ .node = c.node,
                                    .capacity = c.capacity ? c.capacity : 1 }; /* 1: takes nothing */
    for (const char *p = c.cluster; *p && n < sizeof hex - 1; p++)
        if (*p != '-')
            hex[n++] = *p;
    hex[n] = '\0';
    if (sx_unhex(o->cluster, sizeof o->cluster, hex))
        return sx_err_set(e, SX_ECONFIG, "'%s' is no cluster id", c.cluster);
    return 0;
}

int sx_store_open_node(const char *node_dir, struct sx_store **s, struct sx_err *e)
{
    struct sx_store_options o;

    return sx_store_options_load(node_dir, &o, e) || sx_store_open_list(node_dir, &o, s, e) ? -1 : 0;
}
