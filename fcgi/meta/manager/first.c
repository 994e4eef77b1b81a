/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See first.h.
 */
#include "fcgi/meta/manager/first.h"

#include <errno.h>
#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define FILE_MAX (4u << 20)

struct sx_first {
    char *meta, *path;
    bool waiting;
    uint64_t term;          /* in which they were submitted; 0: not yet */
    uint8_t op[SX_OP_ID];   /* of the last command */
};

struct sx_first *sx_first_new(const char *dir)
{
    struct sx_first *f = sx_calloc(1, sizeof *f);

    f->meta = sx_asprintf("%s/meta", dir);
    f->path = sx_asprintf("%s/bootstrap.bin", f->meta);
    f->waiting = access(f->path, F_OK) == 0;
    return f;
}

void sx_first_free(struct sx_first *f)
{
    if (!f)
        return;
    free(f->meta);
    free(f->path);
    free(f);
}

bool sx_first_waiting(const struct sx_first *f)
{
    return f->waiting;
}

static int last_op(const struct sx_buf *entry, uint8_t op[SX_OP_ID], struct sx_err *e)
{
    struct sx_entry_iter it;
    struct sx_cmd cmd;
    const uint8_t *p;
    size_t n;

    if (sx_entry_open(entry->data, entry->len, &it, e))
        return -1;
    while (sx_entry_next(&it, &p, &n)) {
        if (sx_cmd_parse(p, n, &cmd, e))
            return -1;
        memcpy(op, cmd.op, SX_OP_ID);
    }
    return 0;
}

int sx_first_submit(struct sx_first *f, struct sx_drive *d, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf file = SX_BUF_INIT, entry = SX_BUF_INIT;
    struct sx_group_status s;
    struct sx_err later = SX_ERR_INIT;

    sx_drive_status(d, &s);
    if (!f->waiting || s.state != SX_GROUP_LEADER || !s.ready || f->term == s.term)
        return 0;
    if (sx_io_read_file(&sx_io_posix, f->path, FILE_MAX, &file, e) ||
        sx_bootstrap_entry(file.data, file.len, &entry, e) || last_op(&entry, f->op, e)) {
        if (e)
            e->code = SX_ECONFIG; /* another start would not help */
        return sx_err_wrap(e, "first commands of the cluster, %s", f->path);
    }
    if (sx_drive_submit(d, &entry, &later) == 0)
        f->term = s.term;
    else
        sx_debug("first commands of the cluster: %s", later.msg);
    return 0;
}

void sx_first_result(struct sx_first *f, const uint8_t op[SX_OP_ID], int code, const void *p,
                     size_t n)
{
    struct sx_err e = SX_ERR_INIT;

    if (!f->waiting || !f->term || memcmp(op, f->op, SX_OP_ID) != 0)
        return;
    if (code != SX_OK)
        sx_error("the first commands of the cluster were refused: %.*s", (int)n, (const char *)p);
    f->waiting = false;
    /* What was applied may be lost from the database by a power failure, but not from the log. */
    if (unlink(f->path) || sx_io_sync_dir(&sx_io_posix, f->meta, &e))
        sx_warn("removing %s: errno %d", f->path, errno);
}
