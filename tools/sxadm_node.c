/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm node info, and node rebuild-index.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/bar.h"
#include "fcgi/store/store.h"
#include "libsx/base/clock.h"
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

struct rebuild {
    struct bar bar;
    uint64_t began_ms;
};

static void show(void *arg, uint64_t done, uint64_t total)
{
    struct rebuild *r = arg;
    struct sx_progress p = { .bytes_done = done, .bytes_known = total, .elapsed_ms = sx_mono_ms() - r->began_ms };

    bar_draw(&r->bar, &p);
}

/* What the new index has. */
static int tell(struct sxadm *a, const char *dir, const struct rebuild *r, struct sx_err *e)
{
    uint64_t ms = sx_mono_ms() - r->began_ms;
    struct sx_store_stats st;
    struct sx_store *s;

    if (sx_store_open_node(dir, &s, e) != 0)
        return -1;
    if (sx_store_stats(s, &st, e) != 0) {
        sx_store_close(s);
        return -1;
    }
    sx_store_close(s);
    if (a->cli.json)
        cli_json(json_pack("{s:I, s:I, s:I, s:I, s:I}", "packs", (json_int_t)st.packs, "blocks", (json_int_t)st.blocks,
                           "bytes", (json_int_t)st.bytes, "dead", (json_int_t)st.dead, "ms", (json_int_t)ms));
    else
        printf("the index of %s was made anew: %" PRIu64 " blocks in %" PRIu64 " packs, %.1f s\n", dir, st.blocks, st.packs,
               (double)ms / 1000);
    return 0;
}

int sxadm_node_rebuild_index(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct rebuild r = { .began_ms = sx_mono_ms() };
    struct sx_node_conf c = { 0 };
    struct sx_store_options o;
    char dir[PATH_MAX];
    int result;

    if (argc > 0)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[0]);
    if (sxadm_load_node(a, dir, &c, e) != 0)
        return -1;
    bar_init(&r.bar, !a->cli.quiet && !a->cli.json, "blocks");
    result = sx_store_options_load(dir, &o, e);
    o.progress = show;
    o.progress_ctx = &r;
    if (result == 0)
        result = sx_store_rebuild_list(dir, &o, e);
    bar_clear(&r.bar);
    if (result == 0)
        result = tell(a, dir, &r, e);
    sx_node_conf_fini(&c);
    return result;
}
