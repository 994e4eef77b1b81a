/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands of sxadm for the devices of a node of this machine.  They may be used while the
 * node runs, and again after they were interrupted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/store/admin.h"
#include "libsx/base/text.h"
#include "tools/node.h"

struct where {
    char dir[PATH_MAX];
    struct sx_store_options o;
    uint32_t id; /* of the device that the operand names */
};

/* The node, and, for commands on a device that there is, the device. */
static int find(struct sxadm *a, int argc, char **argv, bool device, struct where *w, struct sx_err *e)
{
    struct sx_node_conf c = { 0 };

    if (argc > (device ? 1 : 0))
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[argc - 1]);
    if (device && argc < 1)
        return sx_err_set(e, SX_EUSAGE, "a device is wanted, its number or directory: see sxadm node devices");
    if (sxadm_load_node(a, w->dir, &c, e) != 0)
        return -1;
    sx_node_conf_fini(&c);
    if (sx_store_options_load(w->dir, &w->o, e) != 0)
        return -1;
    return device ? sx_admin_find(w->dir, argv[0], &w->id, e) : 0;
}

/* ---- list ---------------------------------------------------------------------------------- */

static void print_devices(const struct sxadm *a, const struct sx_device_status *dev, size_t n)
{
    char used[SX_SIZE_TEXT], room[SX_SIZE_TEXT], capacity[SX_SIZE_TEXT], errors[4 * 21];
    json_t *array = json_array();

    if (!a->cli.json)
        printf("%-6s  %-9s  %10s  %10s  %10s  %10s  %6s  %-11s  %s\n", "DEVICE", "STATE", "USED", "FREE", "CAPACITY",
               "BLOCKS", "BAD", "ERRORS", "PATH");
    for (size_t i = 0; i < n; i++) {
        const struct sx_device_status *d = &dev[i];

        json_array_append_new(array, sx_device_status_json(d));
        if (a->cli.json)
            continue;
        snprintf(errors, sizeof errors, "%" PRIu64 "/%" PRIu64 "/%" PRIu64 "/%" PRIu64, d->errors.read, d->errors.write,
                 d->errors.sync, d->errors.damaged);
        printf("%-6u  %-9s  %10s  %10s  %10s  %10" PRIu64 "  %6" PRIu64 "  %-11s  %s%s%s\n", d->entry.id,
               sx_device_status_name(d), sx_size_text(used, d->stats.used), sx_size_text(room, d->stats.free),
               sx_size_text(capacity, d->stats.capacity), d->stats.blocks, d->stats.bad, errors, d->entry.path,
               d->entry.reason[0] ? ": " : "", d->entry.reason);
    }
    if (a->cli.json)
        cli_json(json_pack("{s:O}", "devices", array));
    else
        puts("errors: reads / writes / syncs that failed / blocks found damaged");
    json_decref(array);
}

int sxadm_node_devices(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_device_status dev[SX_DEVICES_MAX];
    struct sx_store *s;
    struct where w;

    if (find(a, argc, argv, false, &w, e) != 0 || sx_store_open_list(w.dir, &w.o, &s, e) != 0)
        return -1;
    print_devices(a, dev, sx_store_status(s, dev));
    sx_store_close(s);
    return 0;
}

/* ---- add, set ------------------------------------------------------------------------------ */

int sxadm_node_add_device(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_device_added added;
    char size[SX_SIZE_TEXT], path[PATH_MAX];
    struct where w;

    if (argc < 1)
        return sx_err_set(e, SX_EUSAGE, "a directory is wanted");
    if (!realpath(argv[0], path)) /* before the user is changed */
        snprintf(path, sizeof path, "%s", argv[0]);
    if (find(a, argc - 1, argv + 1, false, &w, e) != 0 || sx_admin_add(w.dir, &w.o, path, a->size, &added, e) != 0)
        return -1;
    if (added.warning[0])
        cli_note(&a->cli, "warning: %s", added.warning);
    if (a->cli.json)
        cli_json(json_pack("{s:I, s:s, s:I, s:b, s:s}", "device", (json_int_t)added.entry.id, "path", added.entry.path,
                           "capacity", (json_int_t)added.entry.size, "known", added.known, "warning", added.warning));
    else
        printf("%s is device %u, for %s%s\n", added.entry.path, added.entry.id, sx_size_text(size, added.entry.size),
               added.known ? ", with the blocks that it has" : "");
    return 0;
}

int sxadm_node_set_device(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct where w;

    if (a->read_only && a->writable)
        return sx_err_set(e, SX_EUSAGE, "--read-only and --writable exclude each other");
    if (!a->read_only && !a->writable && !a->size)
        return sx_err_set(e, SX_EUSAGE, "one of --read-only, --writable and --size is wanted");
    if (find(a, argc, argv, true, &w, e) != 0)
        return -1;
    if (a->size && sx_admin_set_size(w.dir, w.id, a->size, e) != 0)
        return -1;
    if ((a->read_only || a->writable) &&
        sx_admin_set_state(w.dir, w.id, a->read_only ? SX_DEVICE_READ_ONLY : SX_DEVICE_ACTIVE, e) != 0)
        return -1;
    if (a->cli.json)
        cli_json(json_pack("{s:I}", "device", (json_int_t)w.id));
    return 0;
}

/* ---- remove -------------------------------------------------------------------------------- */

static void draw(const struct sx_drain *d)
{
    char moved[SX_SIZE_TEXT], total[SX_SIZE_TEXT];

    fprintf(stderr, "\r\033[K%s of %s moved, %" PRIu64 " blocks", sx_size_text(moved, d->bytes),
            sx_size_text(total, d->total > d->bytes ? d->total : d->bytes), d->blocks);
}

static int drain(struct sxadm *a, const struct where *w, struct sx_drain *d, struct sx_err *e)
{
    bool bar = isatty(STDERR_FILENO) && !a->cli.quiet && !a->cli.json;
    int result;

    d->progress = bar ? draw : NULL;
    d->rate = a->rate;
    result = sx_admin_drain(w->dir, &w->o, w->id, d, e);
    if (bar)
        fputs("\r\033[K", stderr);
    return result;
}

int sxadm_node_remove_device(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct sx_drain d = { 0 };
    char moved[SX_SIZE_TEXT];
    struct where w;

    if (find(a, argc, argv, true, &w, e) != 0)
        return -1;
    if (a->lost ? sx_admin_lose(w.dir, &w.o, w.id, e) : drain(a, &w, &d, e))
        return -1;
    if (a->cli.json)
        cli_json(json_pack("{s:I, s:I, s:I}", "device", (json_int_t)w.id, "blocks", (json_int_t)d.blocks, "bytes",
                           (json_int_t)d.bytes));
    else if (a->lost)
        printf("device %u is removed; the node fetches its blocks from other nodes\n", w.id);
    else
        printf("device %u is removed: %" PRIu64 " blocks, %s, were moved; its directory is not needed any more\n", w.id,
               d.blocks, sx_size_text(moved, d.bytes));
    return 0;
}
