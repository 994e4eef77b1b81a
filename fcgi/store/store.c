/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A node's store above its devices: which device a call goes to.
 */
#include "fcgi/store/store.h"

#include "fcgi/store/device.h"
#include "libsx/base/mem.h"

struct sx_store {
    struct sx_device *device;
};

int sx_store_open(const char *dir, const struct sx_store_options *o, struct sx_store **out,
                  struct sx_err *e)
{
    struct sx_store *s = sx_calloc(1, sizeof *s);

    if (sx_device_open(dir, o, &s->device, e)) {
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void sx_store_close(struct sx_store *s)
{
    if (!s)
        return;
    sx_device_close(s->device);
    free(s);
}

int sx_store_put(struct sx_store *s, const struct sx_record *recs, size_t n, uint64_t *lease,
                 size_t *written, struct sx_err *e)
{
    return sx_device_put(s->device, recs, n, lease, written, e);
}

int sx_store_have(struct sx_store *s, const struct sx_id *ids, size_t n, uint8_t *present,
                  uint64_t *lease, struct sx_err *e)
{
    return sx_device_have(s->device, ids, n, present, lease, e);
}

int sx_store_exists(struct sx_store *s, const struct sx_id *ids, size_t n, uint8_t *present,
                    struct sx_err *e)
{
    return sx_device_exists(s->device, ids, n, present, e);
}

int sx_store_get(struct sx_store *s, const struct sx_id *id, struct sx_buf *out, struct sx_err *e)
{
    return sx_device_get(s->device, id, out, e);
}

int sx_store_list(struct sx_store *s, const struct sx_id *after, struct sx_store_item *items,
                  size_t max, size_t *n, struct sx_err *e)
{
    return sx_device_list(s->device, after, items, max, n, e);
}

int sx_store_list_bad(struct sx_store *s, const struct sx_id *after, struct sx_store_item *items,
                      size_t max, size_t *n, struct sx_err *e)
{
    return sx_device_list_bad(s->device, after, items, max, n, e);
}

int sx_store_delete(struct sx_store *s, const struct sx_id *ids, size_t n, uint64_t horizon,
                    size_t *deleted, struct sx_err *e)
{
    return sx_device_delete(s->device, ids, n, horizon, deleted, e);
}

int sx_store_compact(struct sx_store *s, bool thorough, uint64_t bytes_max,
                     struct sx_store_compaction *done, struct sx_err *e)
{
    return sx_device_compact(s->device, thorough, bytes_max, done, e);
}

int sx_store_stats(struct sx_store *s, struct sx_store_stats *st, struct sx_err *e)
{
    return sx_device_stats(s->device, st, e);
}

void sx_store_set_epoch(struct sx_store *s, uint64_t epoch)
{
    sx_device_set_epoch(s->device, epoch);
}

bool sx_store_floor_unknown(const struct sx_store *s)
{
    return sx_device_floor_unknown(s->device);
}

int sx_store_set_floor(struct sx_store *s, uint64_t epoch, struct sx_err *e)
{
    return sx_device_floor_unknown(s->device) ? sx_device_set_floor(s->device, epoch, e) : 0;
}

int sx_store_check(struct sx_store *s, bool deep, struct sx_store_report *r, struct sx_err *e)
{
    return sx_device_check(s->device, deep, r, e);
}

int sx_store_rebuild_index(const char *dir, const struct sx_store_options *o, struct sx_err *e)
{
    return sx_device_rebuild_index(dir, o, e);
}

size_t sx_store_devices(const struct sx_store *s)
{
    (void)s;
    return 1;
}

struct sx_device *sx_store_device(struct sx_store *s, size_t i)
{
    sx_assert(i < sx_store_devices(s));
    return s->device;
}
