/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See devices.h.
 */
#include "fcgi/store/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/json.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define LIST_VERSION 1
#define LIST_MAX (64u << 10)
#define EDITOR INT64_MAX /* the byte that who changes the list locks; generations lie below */
#define WAIT_POLL_MS 5

static const char *const states[] = { "active", "read-only", "failed", "draining" };

#define STATES (sizeof states / sizeof *states)

const char *sx_device_state_name(enum sx_device_state state)
{
    sx_assert(state < STATES);
    return states[state];
}

/* ---- reading ---- */

static int copy_text(char *out, size_t size, const char *name, const char *s, struct sx_err *e)
{
    if (strlen(s) >= size)
        return sx_err_set(e, SX_EINVAL, "'%s' is longer than %zu bytes", name, size - 1);
    strcpy(out, s);
    return 0;
}

static int parse_state(const char *name, enum sx_device_state *state, struct sx_err *e)
{
    for (size_t i = 0; i < STATES; i++)
        if (strcmp(states[i], name) == 0) {
            *state = (enum sx_device_state)i;
            return 0;
        }
    return sx_err_set(e, SX_EINVAL, "'%s' is not a state of a device", name);
}

static int parse_entry(const json_t *j, struct sx_device_entry *d, struct sx_err *e)
{
    const char *path, *state, *reason;
    uint64_t id;

    if (sx_json_need_u64(j, "id", UINT32_MAX, &id, e) || sx_json_need_str(j, "path", &path, e) ||
        sx_json_need_u64(j, "size", INT64_MAX, &d->size, e) ||
        sx_json_need_str(j, "state", &state, e) || sx_json_str(j, "reason", "", &reason, e) ||
        parse_state(state, &d->state, e) || copy_text(d->path, sizeof d->path, "path", path, e) ||
        copy_text(d->reason, sizeof d->reason, "reason", reason, e))
        return -1;
    d->id = (uint32_t)id;
    return id ? 0 : sx_err_set(e, SX_EINVAL, "a device's id is not 0");
}

static int parse(const json_t *j, struct sx_devices *l, struct sx_err *e)
{
    const json_t *array = json_object_get(j, "devices"), *item;
    uint64_t version, next;
    size_t i;

    if (sx_json_need_u64(j, "version", UINT32_MAX, &version, e) ||
        sx_json_need_u64(j, "generation", INT64_MAX - 1, &l->generation, e) ||
        sx_json_need_u64(j, "next", UINT32_MAX, &next, e))
        return -1;
    if (version != LIST_VERSION)
        return sx_err_set(e, SX_EVERSION, "version %" PRIu64 " is not known", version);
    l->next = (uint32_t)next;
    l->n = json_array_size(array);
    if (!json_is_array(array) || l->n > SX_DEVICES_MAX)
        return sx_err_set(e, SX_EINVAL, "'devices' must be an array of at most %u",
                          SX_DEVICES_MAX);
    json_array_foreach(array, i, item)
        if (parse_entry(item, &l->entry[i], e))
            return sx_err_wrap(e, "device %zu of the list", i + 1);
    return 0;
}

static char *list_path(const char *node_dir)
{
    return sx_asprintf("%s/devices.json", node_dir);
}

int sx_devices_load(const char *node_dir, struct sx_devices *out, struct sx_err *e)
{
    SX_AUTO_FREE char *path = list_path(node_dir);
    SX_AUTO_FREE struct sx_devices *l = sx_calloc(1, sizeof *l);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_io_read_file(&sx_io_posix, path, LIST_MAX, &b, e))
        return -1;
    j = sx_json_parse(b.data, b.len, e);
    if (!j || parse(j, l, e)) {
        if (e && e->code != SX_EVERSION)
            e->code = SX_ECONFIG;
        return sx_err_wrap(e, "list of devices %s", path);
    }
    *out = *l;
    return 0;
}

/* ---- changing ---- */

static json_t *to_json(const struct sx_devices *l)
{
    json_t *array = json_array();

    for (size_t i = 0; i < l->n; i++) {
        const struct sx_device_entry *d = &l->entry[i];

        json_array_append_new(array,
                              json_pack("{s:I,s:s,s:I,s:s,s:s}", "id", (json_int_t)d->id, "path",
                                        d->path, "size", (json_int_t)d->size, "state",
                                        states[d->state], "reason", d->reason));
    }
    return json_pack("{s:i,s:I,s:I,s:o}", "version", LIST_VERSION, "generation",
                     (json_int_t)l->generation, "next", (json_int_t)l->next, "devices", array);
}

static int save(const char *node_dir, const struct sx_devices *l, struct sx_err *e)
{
    SX_AUTO_FREE char *path = list_path(node_dir);
    SX_AUTO_JSON json_t *j = to_json(l);
    char *text = json_dumps(j, JSON_INDENT(1));
    int r = text ? sx_io_replace(&sx_io_posix, path, text, strlen(text), 0640, e)
                 : sx_err_set(e, SX_EINVAL, "a path of a device is not UTF-8");

    free(text);
    return r;
}

static int lock_byte(int fd, short type, uint64_t from, uint64_t n, bool wait)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)from,
                       .l_len = (off_t)n };
    int r;

    do
        r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
    while (r && errno == EINTR);
    return r;
}

static int edit(const char *node_dir, sx_devices_change *change, void *arg, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_devices *l = sx_calloc(1, sizeof *l);
    struct sx_err why = SX_ERR_INIT;

    if (sx_devices_load(node_dir, l, &why) && why.code != SX_ENOTFOUND) {
        sx_err_copy(e, &why);
        return -1;
    }
    if (l->next == 0)
        l->next = 1;
    if (change(l, arg, e))
        return -1;
    sx_assert(l->n <= SX_DEVICES_MAX);
    l->generation++;
    return save(node_dir, l, e);
}

int sx_devices_edit(const char *node_dir, sx_devices_change *change, void *arg, struct sx_err *e)
{
    int fd, r;

    if (sx_devices_lock_open(node_dir, &fd, e))
        return -1;
    r = lock_byte(fd, F_WRLCK, EDITOR, 1, true)
            ? sx_err_errno(e, errno, "lock the list of devices")
            : edit(node_dir, change, arg, e);
    sx_io_posix.close(&sx_io_posix, fd); /* and with it the lock */
    return r;
}

struct sx_device_entry *sx_devices_find(struct sx_devices *l, uint32_t id)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->entry[i].id == id)
            return &l->entry[i];
    return NULL;
}

char *sx_devices_dir(const char *node_dir, const struct sx_device_entry *d)
{
    return d->path[0] == '/' ? sx_strdup(d->path) : sx_asprintf("%s/%s", node_dir, d->path);
}

/* ---- who acts by which list ---- */

int sx_devices_lock_open(const char *node_dir, int *fd, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/devices.lock", node_dir);
    int f = sx_io_posix.open(&sx_io_posix, path, O_RDWR | O_CREAT, 0640);

    if (f < 0)
        return sx_err_errno(e, errno, "open %s", path);
    *fd = f;
    return 0;
}

int sx_devices_enter(int fd, uint64_t generation, struct sx_err *e)
{
    return lock_byte(fd, F_RDLCK, generation, 1, true)
               ? sx_err_errno(e, errno, "lock the list of devices")
               : 0;
}

void sx_devices_leave(int fd, uint64_t generation)
{
    lock_byte(fd, F_UNLCK, generation, 1, false);
}

int sx_devices_wait(int fd, uint64_t generation, uint64_t timeout_ms, struct sx_err *e)
{
    uint64_t until = sx_mono_ms() + timeout_ms;

    if (generation == 0)
        return 0;
    while (lock_byte(fd, F_WRLCK, 0, generation, false)) {
        if (errno != EAGAIN && errno != EACCES)
            return sx_err_errno(e, errno, "lock the list of devices");
        if (sx_mono_ms() >= until)
            return sx_err_set(e, SX_ETIMEOUT,
                              "a process of the node still writes by the old list of devices");
        sx_sleep_ms(WAIT_POLL_MS);
    }
    lock_byte(fd, F_UNLCK, 0, generation, false);
    return 0;
}
