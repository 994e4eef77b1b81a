/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See blocklist.h.
 */
#include "fcgi/s3/blocklist.h"

#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"


void sx_blocklist_init(struct sx_blocklist *l, struct sx_app *app, const char *user,
                       const struct sx_volume *volume, const char *path)
{
    *l = (struct sx_blocklist){ .app = app, .user = user, .volume = volume,
                                .path = sx_strdup(path), .etag = sx_sha_new(),
                                .lease = UINT64_MAX };
}

void sx_blocklist_add(struct sx_blocklist *l, const struct sx_id *id, uint32_t len)
{
    size_t at = l->entries.len;

    sx_block_entry_add(&l->entries, id, len);
    sx_sha_add(l->etag, l->entries.data + at, SX_ENTRY_SIZE);
}

void sx_blocklist_leased(struct sx_blocklist *l, uint64_t lease, uint64_t at_ms)
{
    if (lease < l->lease)
        l->lease = lease;
    if (!l->leased_ms)
        l->leased_ms = at_ms;
}

static int submit(struct sx_blocklist *l, struct sx_err *e)
{
    sx_buf_reset(&l->result);
    return sx_meta_submit(l->app->meta, sx_meta_group_of_volume(l->volume->id), &l->command,
                          &l->result, SX_META_TIMEOUT_MS, e);
}

static int begin(struct sx_blocklist *l, struct sx_err *e)
{
    struct sx_cmd_upload_begin c = { .volume = l->volume->name, .path = l->path };
    uint8_t op[SX_OP_ID];

    if (l->upload)
        return 0;
    sx_random(op, sizeof op);
    sx_random(l->upload_id, sizeof l->upload_id);
    memcpy(c.upload, l->upload_id, sizeof c.upload);
    sx_buf_reset(&l->command);
    sx_cmd_upload_begin_encode(&l->command, op, l->user, &c);
    if (submit(l, e) != 0)
        return -1;
    l->upload = true;
    return 0;
}

/* The entries as the next part of the upload. */
static int send_part(struct sx_blocklist *l, struct sx_err *e)
{
    struct sx_cmd_upload_part c = { .seq = l->seq, .lease = l->lease };
    uint8_t op[SX_OP_ID];

    if (begin(l, e) != 0)
        return -1;
    c.entries = (struct sx_span){ l->entries.data, l->entries.len };
    memcpy(c.upload, l->upload_id, sizeof c.upload);
    for (bool again = false;; again = true) {
        sx_random(op, sizeof op);
        sx_buf_reset(&l->command);
        sx_cmd_upload_part_encode(&l->command, op, l->user, &c);
        if (submit(l, e) == 0)
            break;
        if (again || e->code != SX_ELEASE)
            return -1;
        sx_err_clear(e);
        if (sx_blocklist_renew(l, e) != 0)
            return -1;
        c.lease = l->lease;
    }
    l->seq++;
    sx_buf_reset(&l->entries);
    l->lease = UINT64_MAX;
    l->leased_ms = 0;
    return 0;
}

/* Entries are sent before their leases end. */
static bool is_old(const struct sx_blocklist *l)
{
    return l->leased_ms && sx_mono_ms() - l->leased_ms > l->app->conf->lease_s * 1000ull * 2 / 3;
}

int sx_blocklist_flush(struct sx_blocklist *l, size_t more, struct sx_err *e)
{
    if (l->entries.len > (SX_PART_ENTRIES_MAX - more) * SX_ENTRY_SIZE || is_old(l))
        return send_part(l, e);
    return 0;
}

int sx_blocklist_end(struct sx_blocklist *l, struct sx_err *e)
{
    return l->upload && l->entries.len ? send_part(l, e) : 0;
}

int sx_blocklist_renew(struct sx_blocklist *l, struct sx_err *e)
{
    size_t n = l->entries.len / SX_ENTRY_SIZE;
    SX_AUTO_FREE struct sx_id *ids = sx_calloc(n + 1, sizeof *ids);
    SX_AUTO_FREE uint8_t *present = sx_calloc(n + 1, 1);
    struct sx_blocks b;
    uint32_t len;

    for (size_t i = 0; i < n; i++)
        sx_block_entry_get(l->entries.data + i * SX_ENTRY_SIZE, &ids[i], &len);
    if (sx_app_blocks(l->app, &b, e) != 0 ||
        sx_blocks_have(&b, l->volume->replica, ids, n, present, &l->lease, e) != 0)
        return -1;
    if (memchr(present, 0, n))
        return sx_err_set(e, SX_EUNAVAIL, "the upload took too long and has to be made again");
    l->leased_ms = sx_mono_ms();
    return 0;
}

static void give_up(struct sx_blocklist *l)
{
    struct sx_cmd_upload_abort c;
    struct sx_err e = SX_ERR_INIT;
    uint8_t op[SX_OP_ID];

    memcpy(c.upload, l->upload_id, sizeof c.upload);
    sx_random(op, sizeof op);
    sx_buf_reset(&l->command);
    sx_cmd_upload_abort_encode(&l->command, op, l->user, &c);
    sx_app_lock(l->app);
    if (submit(l, &e) != 0) /* it goes by itself after a day */
        sx_warn("an upload could not be given up: %s", e.msg);
    sx_app_unlock(l->app);
}

void sx_blocklist_fini(struct sx_blocklist *l)
{
    if (l->upload && !l->committed)
        give_up(l);
    free(l->path);
    sx_sha_free(l->etag);
    sx_buf_fini(&l->entries);
    sx_buf_fini(&l->command);
    sx_buf_fini(&l->result);
}
