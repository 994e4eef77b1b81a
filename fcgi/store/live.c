/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is a record of a pack still needed?  The index says so, but any bit of a row or a sum may be
 * wrong.  So before the last copy of a block goes it is asked whether the place that its row names
 * has one.  A record without a row is dead: its block was deleted.
 */
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

/* The length of a record and its id, by its header; 0: it is none. */
static uint32_t header(const uint8_t h[SX_RECORD_HEADER], struct sx_id *id)
{
    uint32_t len = sx_get_u32(h + 4);

    if (memcmp(h, "SXR1", 4) != 0 || len == 0 || len > SX_BLOCK_STORED_MAX)
        return 0;
    memcpy(id->b, h + 8, SX_ID_SIZE);
    return SX_RECORD_HEADER + len;
}

bool sx_live_header(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                    struct sx_buf *buf)
{
    struct sx_row head = *row;
    struct sx_id other;

    head.len = SX_RECORD_HEADER + 1;
    sx_buf_reset(buf);
    return row->len >= head.len && sx_pack_read(d, &head, buf, NULL) == 0 &&
           header(buf->data, &other) == row->len && sx_id_cmp(&other, id) == 0;
}

int sx_live_elsewhere(struct sx_device *d, const struct sx_id *id, const struct sx_row *row,
                      bool *good, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf buf = SX_BUF_INIT;
    struct sx_err why = SX_ERR_INIT;

    *good = row->state == SX_BLOCK_GOOD && sx_pack_read_record(d, id, row, &buf, &why) == 0;
    if (why.code == SX_ENOMEM)
        return sx_err_set(e, why.code, "%s", why.msg);
    return 0;
}

static bool same_row(const struct sx_row *a, const struct sx_row *b)
{
    return a->pack == b->pack && a->at == b->at && a->len == b->len && a->state == b->state;
}

int sx_live_adopt(struct sx_device *d, const struct sx_id *id, const struct sx_row *old,
                  struct sx_row *row, bool *adopted, struct sx_err *e)
{
    struct sx_shard *sh = &d->shard[sx_shard_of(id)];
    struct sx_row now;
    bool found, same = false;
    int r;

    row->state = SX_BLOCK_GOOD;
    row->lease = d->epoch; /* no lease on a row that was lost is younger */
    if (sx_shard_begin(sh, e))
        return -1;
    r = sx_shard_find(sh, id, &now, &found, e);
    if (!r) {
        same = found == (old != NULL) && (!found || same_row(&now, old));
        if (same && found)
            row->lease = sx_max_u64(row->lease, now.lease);
        r = same ? sx_shard_replace(sh, id, found ? &now : NULL, row, e) : 0;
    }
    if (sx_shard_end(sh, r, e))
        return -1;
    *adopted = same;
    return 0;
}

/* Is the record that begins at `at` needed, or can it not be told?  *len: to the next. */
static int one(struct sx_device *d, const struct sx_claim *c, uint64_t at, struct sx_buf *buf,
               uint32_t *len, bool *needed, struct sx_err *e)
{
    uint8_t h[SX_RECORD_HEADER];
    struct sx_row row;
    struct sx_id id;
    bool found;

    *needed = true;
    if (c->size - at < sizeof h || sx_io_pread_all(d->io, c->fd, h, sizeof h, at, NULL) ||
        !(*len = header(h, &id)) || *len > c->size - at)
        return 0;
    if (sx_shard_find(&d->shard[sx_shard_of(&id)], &id, &row, &found, e))
        return -1;
    *needed = found && ((row.pack == c->number && row.at == at) ||
                        row.state != SX_BLOCK_GOOD || !sx_live_header(d, &id, &row, buf));
    return 0;
}

int sx_live_none(struct sx_device *d, const struct sx_claim *c, bool *none, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf buf = SX_BUF_INIT;
    bool needed = false;
    uint32_t len = 0;

    for (uint64_t at = SX_PACK_HEADER; at < c->size && !needed; at += len)
        if (one(d, c, at, &buf, &len, &needed, e))
            return -1;
    *none = !needed;
    return 0;
}
