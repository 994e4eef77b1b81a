/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changes of the list of devices (see admin.h): a directory becomes a device, states, sizes.
 */
#include "fcgi/store/admin.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fcgi/store/errors.h"
#include "fcgi/store/label.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

/* ---- adding ---- */

struct addition {
    const char *node_dir;
    const struct sx_store_options *o;
    const char *path; /* real, absolute */
    uint64_t size;
    struct sx_device_added *added;
};

static void warn(struct sx_device_added *a, const char *text)
{
    size_t n = strlen(a->warning);

    snprintf(a->warning + n, sizeof a->warning - n, "%s%s", n ? "; " : "", text);
}

/* Does `path` lie in `dir`, or is it the same? */
static bool within(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/' || dir[n - 1] == '/');
}

static int check_apart(const struct addition *a, const struct sx_device_entry *d,
                       struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_devices_dir(a->node_dir, d);
    char real[PATH_MAX];
    struct stat st, mine;

    if (realpath(dir, real) == NULL)
        snprintf(real, sizeof real, "%s", dir);
    if (strcmp(a->path, real) == 0)
        return sx_err_set(e, SX_EEXIST, "%s is device %u already", a->path, d->id);
    if (within(a->path, real))
        return sx_err_set(e, SX_ECONFLICT, "%s lies within device %u, %s", a->path, d->id, real);
    if (within(real, a->path))
        return sx_err_set(e, SX_ECONFLICT, "%s holds device %u, %s", a->path, d->id, real);
    if (stat(real, &st) == 0 && stat(a->path, &mine) == 0 && st.st_dev == mine.st_dev) {
        SX_AUTO_FREE char *text =
            sx_asprintf("it is on the same file system as device %u: both fail together", d->id);

        warn(a->added, text);
    }
    return 0;
}

/* Names that a new file system, or a process that was killed here, leaves. */
static bool harmless(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0 ||
           strcmp(name, "device.tmp") == 0;
}

static int check_empty(const char *path, struct sx_err *e)
{
    DIR *d = opendir(path);
    struct dirent *de;
    int r = 0;

    if (!d)
        return sx_err_errno(e, errno, "open %s", path);
    while (!r && (de = readdir(d)) != NULL)
        if (!harmless(de->d_name))
            r = sx_err_set(e, SX_ENOTEMPTY,
                           "%s is not empty ('%s'); a new device needs an empty directory", path,
                           de->d_name);
    closedir(d);
    return r;
}

/* What the directory is: new (label->device = 0), or a device of this node that is not in use. */
static int check_label(const struct addition *a, struct sx_devices *l, struct sx_label *label,
                       struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    *label = (struct sx_label){ 0 };
    if (sx_label_read(&sx_io_posix, a->path, label, &why)) {
        if (why.code == SX_ENOTFOUND)
            return check_empty(a->path, e);
        sx_err_copy(e, &why);
        return -1;
    }
    if (label->node != a->o->node ||
        memcmp(label->cluster, a->o->cluster, sizeof label->cluster) != 0)
        return sx_err_set(e, SX_ECONFLICT,
                          "%s is a device of another node (%016" PRIx64 ") or cluster", a->path,
                          label->node);
    if (label->device == 0 || sx_devices_find(l, label->device))
        return sx_err_set(e, SX_ECONFLICT, "%s says that it is device %u, which is in use already",
                          a->path, label->device);
    return 0;
}

static int check_size(struct addition *a, struct sx_err *e)
{
    struct statvfs v;
    uint64_t all;

    if (statvfs(a->path, &v))
        return sx_err_errno(e, errno, "statvfs %s", a->path);
    all = (uint64_t)v.f_blocks * v.f_frsize;
    if (a->size > all) {
        char size[SX_SIZE_TEXT], has[SX_SIZE_TEXT];
        SX_AUTO_FREE char *text = sx_asprintf("the size %s is larger than its file system, %s",
                                              sx_size_text(size, a->size), sx_size_text(has, all));

        warn(a->added, text);
    }
    a->size = a->size ? a->size : all;
    return 0;
}

static int check_dir(const struct addition *a, struct sx_err *e)
{
    char node[PATH_MAX];
    struct stat st;

    if (stat(a->path, &st))
        return sx_err_errno(e, errno, "%s", a->path);
    if (!S_ISDIR(st.st_mode))
        return sx_err_set(e, SX_EINVAL, "%s is not a directory", a->path);
    if (strlen(a->path) >= SX_DEVICE_PATH_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "a path of at most %d bytes is wanted",
                          SX_DEVICE_PATH_MAX - 1);
    if (access(a->path, R_OK | W_OK | X_OK))
        return sx_err_errno(e, errno, "%s is not writable by the user of the node", a->path);
    if (realpath(a->node_dir, node) && within(node, a->path))
        return sx_err_set(e, SX_ECONFLICT, "%s holds the node's own directory", a->path);
    return 0;
}

/* The label is written before the list: killed in between, the directory is taken as known by the
 * next try. */
static int add(struct sx_devices *l, void *arg, struct sx_err *e)
{
    struct addition *a = arg;
    struct sx_device_entry *d = &l->entry[l->n];
    struct sx_label label;

    if (l->n == SX_DEVICES_MAX)
        return sx_err_set(e, SX_ECONFLICT, "a node has at most %u devices", SX_DEVICES_MAX);
    for (size_t i = 0; i < l->n; i++)
        if (check_apart(a, &l->entry[i], e))
            return -1;
    if (check_dir(a, e) || check_label(a, l, &label, e) || check_size(a, e))
        return -1;
    a->added->known = label.device != 0;
    if (!a->added->known) {
        label = (struct sx_label){ .node = a->o->node, .device = l->next };
        memcpy(label.cluster, a->o->cluster, sizeof label.cluster);
        if (sx_label_write(&sx_io_posix, a->path, &label, e))
            return -1;
    }
    if (label.device >= l->next)
        l->next = label.device + 1;
    *d = (struct sx_device_entry){ .id = label.device, .size = a->size };
    snprintf(d->path, sizeof d->path, "%s", a->path);
    l->n++;
    a->added->entry = *d;
    return 0;
}

int sx_admin_add(const char *node_dir, const struct sx_store_options *o, const char *path,
                 uint64_t size, struct sx_device_added *added, struct sx_err *e)
{
    char real[PATH_MAX];
    struct addition a = { node_dir, o, real, size, added };

    *added = (struct sx_device_added){ 0 };
    if (!realpath(path, real))
        return sx_err_errno(e, errno, "%s", path);
    return sx_devices_edit(node_dir, add, &a, e);
}

/* ---- one device of the list ---- */

static int need(struct sx_devices *l, uint32_t id, struct sx_device_entry **d, struct sx_err *e)
{
    *d = sx_devices_find(l, id);
    return *d ? 0 : sx_err_set(e, SX_ENOTFOUND, "the node has no device %u", id);
}

int sx_admin_find(const char *node_dir, const char *text, uint32_t *id, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_devices *l = sx_calloc(1, sizeof *l);
    char real[PATH_MAX], *end;
    unsigned long number = strtoul(text, &end, 10);

    if (sx_devices_load(node_dir, l, e))
        return -1;
    if (!realpath(text, real))
        snprintf(real, sizeof real, "%s", text);
    for (size_t i = 0; i < l->n; i++) {
        SX_AUTO_FREE char *dir = sx_devices_dir(node_dir, &l->entry[i]);

        if ((*end == '\0' && l->entry[i].id == number) || strcmp(dir, real) == 0) {
            *id = l->entry[i].id;
            return 0;
        }
    }
    return sx_err_set(e, SX_ENOTFOUND, "'%s' is no device of the node: see sxadm node devices",
                      text);
}

struct setting {
    uint32_t id;
    enum sx_device_state state;
    uint64_t size;
};

static int set_state(struct sx_devices *l, void *arg, struct sx_err *e)
{
    const struct setting *set = arg;
    struct sx_device_entry *d;

    if (need(l, set->id, &d, e))
        return -1;
    d->state = set->state;
    d->reason[0] = '\0';
    return 0;
}

static bool any(void *arg, uint32_t device)
{
    return true;
}

static void clear_errors(const char *node_dir, uint32_t id)
{
    struct sx_shared *sh = sx_shared_open(node_dir);
    struct sx_device_errors *x = sx_shared_errors(sh, id, any, NULL);

    if (x)
        sx_errors_clear(x);
    sx_shared_close(sh);
}

int sx_admin_set_state(const char *node_dir, uint32_t id, enum sx_device_state state,
                       struct sx_err *e)
{
    struct setting set = { .id = id, .state = state };

    if (sx_devices_edit(node_dir, set_state, &set, e))
        return -1;
    if (state == SX_DEVICE_ACTIVE)
        clear_errors(node_dir, id);
    return 0;
}

static int set_size(struct sx_devices *l, void *arg, struct sx_err *e)
{
    const struct setting *set = arg;
    struct sx_device_entry *d;

    if (need(l, set->id, &d, e))
        return -1;
    d->size = set->size;
    return 0;
}

int sx_admin_set_size(const char *node_dir, uint32_t id, uint64_t size, struct sx_err *e)
{
    struct setting set = { .id = id, .size = size };

    return sx_devices_edit(node_dir, set_size, &set, e);
}
