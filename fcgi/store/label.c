/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See label.h.
 */
#include "fcgi/store/label.h"

#include <inttypes.h>
#include <string.h>

#include "libsx/base/json.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define LABEL_MAX 4096
#define NODE_HEX 16

static char *label_path(const char *dir)
{
    return sx_asprintf("%s/device", dir);
}

static int parse(const json_t *j, struct sx_label *l, struct sx_err *e)
{
    const char *cluster, *node;
    uint8_t be[NODE_HEX / 2];
    uint64_t device;

    if (sx_json_need_str(j, "cluster", &cluster, e) || sx_json_need_str(j, "node", &node, e) ||
        sx_json_need_u64(j, "device", UINT32_MAX, &device, e))
        return -1;
    if (sx_unhex(l->cluster, sizeof l->cluster, cluster) || sx_unhex(be, sizeof be, node))
        return sx_err_set(e, SX_EINVAL, "'cluster' or 'node' is no id");
    l->node = 0;
    for (size_t i = 0; i < sizeof be; i++)
        l->node = l->node << 8 | be[i];
    l->device = (uint32_t)device;
    return 0;
}

int sx_label_read(const struct sx_io *io, const char *dir, struct sx_label *l, struct sx_err *e)
{
    SX_AUTO_FREE char *path = label_path(dir);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_io_read_file(io, path, LABEL_MAX, &b, e))
        return -1;
    j = sx_json_parse(b.data, b.len, e);
    if (j && parse(j, l, e) == 0)
        return 0;
    if (e)
        e->code = SX_ECORRUPT;
    return sx_err_wrap(e, "%s", path);
}

int sx_label_write(const struct sx_io *io, const char *dir, const struct sx_label *l,
                   struct sx_err *e)
{
    SX_AUTO_FREE char *path = label_path(dir);
    char hex[2 * sizeof l->cluster + 1];
    SX_AUTO_FREE char *text =
        sx_asprintf("{\"cluster\": \"%s\", \"node\": \"%016" PRIx64 "\", \"device\": %u}\n",
                    sx_hex(hex, l->cluster, sizeof l->cluster), l->node, l->device);

    return sx_io_replace(io, path, text, strlen(text), 0640, e);
}

int sx_label_check(const struct sx_io *io, const char *dir, const struct sx_label *want,
                   struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    struct sx_label l;

    if (sx_label_read(io, dir, &l, &why)) {
        if (why.code == SX_ENOTFOUND)
            return sx_err_set(e, SX_ECONFLICT, "%s is not device %u: it has no label; is the disk"
                              " mounted?", dir, want->device);
        sx_err_copy(e, &why);
        return -1;
    }
    if (l.node != want->node || memcmp(l.cluster, want->cluster, sizeof l.cluster) != 0)
        return sx_err_set(e, SX_ECONFLICT, "%s is a device of another node, %016" PRIx64
                          ", or of another cluster", dir, l.node);
    if (l.device != want->device)
        return sx_err_set(e, SX_ECONFLICT, "%s is device %u, not device %u", dir, l.device,
                          want->device);
    return 0;
}
