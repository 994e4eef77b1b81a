/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A node's store above its devices: opening, following the list of devices, and what becomes of a
 * device that fails.
 *
 * A device that cannot be opened is out: the store works with the others, and its blocks count as
 * missing until it is back.  Opening it is tried again from time to time.
 */
#include "fcgi/store/store.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/store/label.h"
#include "fcgi/store/store_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/place/place.h"

#define RETRY_MS 5000u
#define ENTER_TRIES 100

/* ---- one slot ---- */

static uint64_t capacity_of(const struct sx_store *s, const struct sx_device_entry *d)
{
    return d->size ? d->size : s->o.capacity;
}

/* Opens the device of a slot; if that fails it stays out. */
static void open_slot(struct sx_store *s, struct sx_slot *sl)
{
    SX_AUTO_FREE char *dir = sx_devices_dir(s->node_dir, &sl->entry);
    struct sx_store_options o = s->o;
    struct sx_err why = SX_ERR_INIT;

    o.device = sl->entry.id;
    o.capacity = capacity_of(s, &sl->entry);
    o.errors = sl->errors;
    o.read = s->shared ? &s->shared->read : NULL;
    if (sx_device_open(dir, &o, &sl->device, &why) == 0) {
        sx_device_set_epoch(sl->device, s->epoch);
        if (sl->why.code)
            sx_info("device %u, %s, is back", sl->entry.id, dir);
        sx_err_clear(&sl->why);
        return;
    }
    sl->device = NULL;
    sl->retry_ms = sx_mono_ms() + RETRY_MS;
    if (strcmp(why.msg, sl->why.msg) != 0)
        sx_error("device %u is out: %s", sl->entry.id, why.msg);
    sl->why = why;
}

/* ---- following the list ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool sx_store_changed(const struct sx_store *s)
{
    struct stat now;

    return s->node_dir && stat(s->list_path, &now) == 0 && !same_file(&now, &s->seen);
}

/* The slot of the same device in the old list, or NULL. */
static struct sx_slot *slot_of(struct sx_slot *slots, size_t n, const struct sx_device_entry *d)
{
    for (size_t i = 0; i < n; i++)
        if (slots[i].entry.id == d->id && strcmp(slots[i].entry.path, d->path) == 0)
            return &slots[i];
    return NULL;
}

/* Is there a device with this number in the list? */
static bool in_list(void *arg, uint32_t device)
{
    const struct sx_devices *l = arg;

    for (size_t i = 0; i < l->n; i++)
        if (l->entry[i].id == device)
            return true;
    return false;
}

static void follow(struct sx_store *s, struct sx_devices *l)
{
    SX_AUTO_FREE struct sx_slot *old = sx_malloc(sizeof s->slot);
    size_t was = s->n;

    memcpy(old, s->slot, sizeof s->slot);
    memset(s->slot, 0, sizeof s->slot);
    for (size_t i = 0; i < l->n; i++) {
        struct sx_slot *known = slot_of(old, was, &l->entry[i]);

        if (known) {
            s->slot[i] = *known;
            known->device = NULL;
        }
        s->slot[i].entry = l->entry[i];
        s->slot[i].errors = sx_shared_errors(s->shared, l->entry[i].id, in_list, l);
        if (s->slot[i].device)
            sx_device_set_capacity(s->slot[i].device, capacity_of(s, &l->entry[i]));
    }
    for (size_t i = 0; i < was; i++)
        sx_device_close(old[i].device);
    s->n = l->n;
    s->generation = l->generation;
}

/* What the list is read from may be replaced meanwhile; then `seen` is the older one, and the
 * next call sees a change. */
static int load(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_devices *l = sx_calloc(1, sizeof *l);
    struct stat now = { 0 };

    if (stat(s->list_path, &now) == 0)
        s->seen = now;
    if (sx_devices_load(s->node_dir, l, e))
        return -1;
    follow(s, l);
    return 0;
}

void sx_store_refresh(struct sx_store *s)
{
    struct sx_err e = SX_ERR_INIT;

    if (!s->node_dir)
        return;
    if (sx_store_changed(s) && load(s, &e))
        sx_error("the list of devices as it was is used on: %s", e.msg);
    for (size_t i = 0; i < s->n; i++)
        if (!s->slot[i].device && sx_mono_ms() >= s->slot[i].retry_ms)
            open_slot(s, &s->slot[i]);
}

int sx_store_enter(struct sx_store *s, struct sx_err *e)
{
    if (!s->node_dir)
        return 0;
    for (int i = 0; i < ENTER_TRIES; i++) {
        sx_store_refresh(s);
        if (sx_devices_enter(s->lock_fd, s->generation, e))
            return -1;
        if (!sx_store_changed(s))
            return 0;
        sx_devices_leave(s->lock_fd, s->generation);
    }
    return sx_err_set(e, SX_EUNAVAIL, "the list of devices does not come to rest");
}

void sx_store_leave(struct sx_store *s)
{
    if (s->node_dir)
        sx_devices_leave(s->lock_fd, s->generation);
}

/* ---- failing ---- */

struct failure {
    uint32_t id;
    bool last; /* no other device takes blocks */
    const char *reason;
};

static int note_failure(struct sx_devices *l, void *arg, struct sx_err *e)
{
    const struct failure *f = arg;
    struct sx_device_entry *d = sx_devices_find(l, f->id);

    if (!d || d->state != SX_DEVICE_ACTIVE)
        return sx_err_set(e, SX_ECONFLICT, "its state has changed meanwhile");
    if (!f->last)
        d->state = SX_DEVICE_FAILED;
    snprintf(d->reason, sizeof d->reason, "%s", f->reason);
    return 0;
}

static bool last_writable(const struct sx_store *s, const struct sx_slot *sl)
{
    for (size_t i = 0; i < s->n; i++)
        if (&s->slot[i] != sl && sx_slot_writable(&s->slot[i]))
            return false;
    return true;
}

/* The last device that takes blocks is not put aside: there is no better one, and what cannot be
 * trusted any more is only the pack that failed.  The reason is noted once. */
void sx_store_trouble(struct sx_store *s, struct sx_slot *sl, const struct sx_err *why)
{
    struct failure f = { sl->entry.id, last_writable(s, sl), why->msg };
    struct sx_err e = SX_ERR_INIT;

    if (!s->node_dir || sl->entry.state != SX_DEVICE_ACTIVE ||
        (why->code != SX_EIO && why->code != SX_EACCESS && why->code != SX_ENOTFOUND))
        return;
    if (f.last && sl->entry.reason[0])
        return;
    if (!f.last)
        sl->entry.state = SX_DEVICE_FAILED; /* even if the list cannot be written */
    snprintf(sl->entry.reason, sizeof sl->entry.reason, "%s", why->msg);
    sx_error("device %u has failed and %s: %s", f.id,
             f.last ? "is the last one" : "takes no more blocks", why->msg);
    if (sx_devices_edit(s->node_dir, note_failure, &f, &e))
        sx_error("device %u: its failure is not noted in the list of devices: %s", f.id, e.msg);
}

/* ---- placing ---- */

/* A group of devices in the order of sx_place(); the number that stands for the block is taken from
 * the middle of its id, because the front chose the shard and the node. */
static size_t order_some(const struct sx_store *s, const struct sx_id *id, bool writable,
                         uint8_t *order)
{
    struct sx_place_node node[SX_DEVICES_MAX];
    uint8_t slot[SX_DEVICES_MAX];
    uint16_t owner[SX_DEVICES_MAX];
    uint32_t number;
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (!s->slot[i].device || sx_slot_writable(&s->slot[i]) != writable)
            continue;
        node[n] = (struct sx_place_node){ .id = s->slot[i].entry.id,
                                          .weight = capacity_of(s, &s->slot[i].entry) };
        node[n].weight += node[n].weight == 0;
        slot[n++] = (uint8_t)i;
    }
    if (n == 1)
        order[0] = slot[0];
    if (n < 2)
        return n;
    memcpy(&number, id->b + SX_ID_SIZE / 2, sizeof number);
    n = sx_place(node, n, number, n, owner);
    for (size_t i = 0; i < n; i++)
        order[i] = slot[owner[i]];
    return n;
}

size_t sx_store_order(const struct sx_store *s, const struct sx_id *id,
                      uint8_t order[SX_DEVICES_MAX])
{
    size_t n = order_some(s, id, true, order);

    return n + order_some(s, id, false, order + n);
}

/* ---- opening and closing ---- */

int sx_store_open(const char *dir, const struct sx_store_options *o, struct sx_store **out,
                  struct sx_err *e)
{
    struct sx_store *s = sx_calloc(1, sizeof *s);

    s->o = *o;
    s->lock_fd = -1;
    s->n = 1;
    s->slot[0].entry.id = 1;
    if (sx_device_open(dir, o, &s->slot[0].device, e)) {
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

/* The first list of a node has one device.  Its label is written before the list: a node that was
 * stopped in between goes on from there. */
static int first_list(struct sx_devices *l, void *arg, struct sx_err *e)
{
    const struct sx_store *s = arg;
    SX_AUTO_FREE char *dir = sx_asprintf("%s/%s", s->node_dir, SX_DEVICE_DEFAULT_DIR);
    struct sx_label label = { .node = s->o.node, .device = 1 };
    struct sx_err why = SX_ERR_INIT;

    if (l->generation)
        return sx_err_set(e, SX_EEXIST, "another process has made the list");
    memcpy(label.cluster, s->o.cluster, sizeof label.cluster);
    if (sx_io_mkdirs(dir, e))
        return -1;
    if (sx_label_check(&sx_io_posix, dir, &label, &why)) {
        struct sx_label other;

        if (sx_label_read(&sx_io_posix, dir, &other, NULL) == 0) {
            sx_err_copy(e, &why);
            return -1;
        }
        if (sx_label_write(&sx_io_posix, dir, &label, e))
            return -1;
    }
    l->entry[0] = (struct sx_device_entry){ .id = 1, .path = SX_DEVICE_DEFAULT_DIR };
    l->n = 1;
    l->next = 2;
    return 0;
}

static int load_or_make(struct sx_store *s, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    if (load(s, &why) == 0)
        return 0;
    if (why.code == SX_ENOTFOUND) {
        sx_err_clear(&why);
        if (sx_devices_edit(s->node_dir, first_list, s, &why) == 0 || why.code == SX_EEXIST)
            return load(s, e);
    }
    sx_err_copy(e, &why);
    return -1;
}

int sx_store_open_list(const char *node_dir, const struct sx_store_options *o,
                       struct sx_store **out, struct sx_err *e)
{
    struct sx_store *s = sx_calloc(1, sizeof *s);

    s->o = *o;
    s->node_dir = sx_strdup(node_dir);
    s->list_path = sx_asprintf("%s/devices.json", node_dir);
    s->lock_fd = -1;
    s->shared = sx_shared_open(node_dir);
    if (sx_devices_lock_open(node_dir, &s->lock_fd, e) || load_or_make(s, e)) {
        sx_store_close(s);
        return sx_err_wrap(e, "block store of %s", node_dir);
    }
    sx_store_refresh(s);
    *out = s;
    return 0;
}

void sx_store_close(struct sx_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        sx_device_close(s->slot[i].device);
    sx_shared_close(s->shared);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->list_path);
    free(s->node_dir);
    free(s);
}

int sx_store_rebuild_list(const char *node_dir, const struct sx_store_options *o, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_devices *l = sx_calloc(1, sizeof *l);

    if (sx_devices_load(node_dir, l, e))
        return -1;
    for (size_t i = 0; i < l->n; i++) {
        SX_AUTO_FREE char *dir = sx_devices_dir(node_dir, &l->entry[i]);
        struct sx_store_options own = *o;

        own.device = l->entry[i].id;
        if (sx_device_rebuild_index(dir, &own, e))
            return sx_err_wrap(e, "device %u", l->entry[i].id);
    }
    return 0;
}

/* ---- what it says of itself ---- */

void sx_store_set_epoch(struct sx_store *s, uint64_t epoch)
{
    s->epoch = epoch;
    for (size_t i = 0; i < s->n; i++)
        if (s->slot[i].device)
            sx_device_set_epoch(s->slot[i].device, epoch);
}

bool sx_store_floor_unknown(const struct sx_store *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->slot[i].device && sx_device_floor_unknown(s->slot[i].device))
            return true;
    return false;
}

int sx_store_set_floor(struct sx_store *s, uint64_t epoch, struct sx_err *e)
{
    int r = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct sx_slot *sl = &s->slot[i];

        if (sl->device && sx_device_floor_unknown(sl->device) &&
            sx_device_set_floor(sl->device, epoch, e))
            r = -1; /* nothing is deleted there; the others get theirs */
    }
    return r;
}

const char *sx_device_status_name(const struct sx_device_status *d)
{
    return d->out ? "out" : sx_device_state_name(d->entry.state);
}

json_t *sx_device_status_json(const struct sx_device_status *d)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "device",
                     (json_int_t)d->entry.id, "path", d->entry.path, "state",
                     sx_device_status_name(d), "reason", d->entry.reason, "capacity",
                     (json_int_t)d->stats.capacity, "used", (json_int_t)d->stats.used, "free",
                     (json_int_t)d->stats.free, "blocks", (json_int_t)d->stats.blocks, "bad",
                     (json_int_t)d->stats.bad, "errors", "read", (json_int_t)d->errors.read,
                     "write", (json_int_t)d->errors.write, "sync", (json_int_t)d->errors.sync,
                     "damaged", (json_int_t)d->errors.damaged);
}

size_t sx_store_status(struct sx_store *s, struct sx_device_status out[SX_DEVICES_MAX])
{
    sx_store_refresh(s);
    for (size_t i = 0; i < s->n; i++) {
        struct sx_slot *sl = &s->slot[i];
        struct sx_device_status *d = &out[i];
        struct sx_err why = sl->why;

        *d = (struct sx_device_status){ .entry = sl->entry, .errors = sx_errors_get(sl->errors) };
        if (sl->device)
            sx_err_clear(&why);
        d->out = !sl->device || sx_device_stats(sl->device, &d->stats, &why) != 0;
        if (d->out) {
            d->stats = (struct sx_store_stats){ .capacity = capacity_of(s, &sl->entry) };
            snprintf(d->entry.reason, sizeof d->entry.reason, "%s", why.msg);
        }
    }
    return s->n;
}

size_t sx_store_devices(const struct sx_store *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->slot[i].device != NULL;
    return n;
}

struct sx_device *sx_store_device(struct sx_store *s, size_t i)
{
    for (size_t k = 0; k < s->n; k++)
        if (s->slot[k].device && i-- == 0)
            return s->slot[k].device;
    sx_assert(!"a device that there is");
    return NULL;
}
