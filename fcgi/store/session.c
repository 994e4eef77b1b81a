/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opening and closing a device.
 *
 * The file `lock` carries two locks (of open file descriptions, so they end with the process):
 *   byte 0, the door: held exclusively while a process opens or closes;
 *   byte 1, presence: held shared by all who have the device open.
 * Who comes through the door and can have byte 1 exclusively is alone: on the way in he is the first,
 * and recovers unless the file `clean` is there; on the way out he is the last, and makes that file.
 * It is removed, durably, before the first process opens anything for writing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/store/device_int.h"
#include "fcgi/store/label.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

enum { DOOR, PRESENCE };

#define FLOOR_MAGIC "SXF1"
#define FLOOR_SIZE 16

/* ---- locks ---- */

static int lock_byte(int fd, int byte, short type, bool wait)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int r;

    do
        r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
    while (r && errno == EINTR);
    return r;
}

static int enter(struct sx_device *d, bool *alone, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/lock", d->dir);

    d->lock_fd = d->io->open(d->io, path, O_RDWR | O_CREAT, 0640);
    if (d->lock_fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    if (lock_byte(d->lock_fd, DOOR, F_WRLCK, true))
        return sx_err_errno(e, errno, "lock %s", path);
    *alone = lock_byte(d->lock_fd, PRESENCE, F_WRLCK, false) == 0;
    return 0;
}

/* Through the door, and it is free for the next. */
static int settle(struct sx_device *d, struct sx_err *e)
{
    if (lock_byte(d->lock_fd, PRESENCE, F_RDLCK, false) ||
        lock_byte(d->lock_fd, DOOR, F_UNLCK, false))
        return sx_err_errno(e, errno, "lock %s", d->dir);
    return 0;
}

/* ---- small files ---- */

static bool is_clean(struct sx_device *d)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clean", d->dir);

    return access(path, F_OK) == 0;
}

static int remove_clean(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clean", d->dir);

    if (d->io->unlink(d->io, path))
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "remove %s", path);
    return sx_io_sync_dir(d->io, d->dir, e);
}

/* In place, without a new file: a device on a full disk must open, too.  A torn write is seen by the
 * checksum, and the floor is then unknown. */
int sx_device_set_floor(struct sx_device *d, uint64_t epoch, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/floor", d->dir);
    uint8_t b[FLOOR_SIZE];
    int fd = d->io->open(d->io, path, O_WRONLY | O_CREAT, 0640), r;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    memcpy(b, FLOOR_MAGIC, 4);
    sx_put_u64(b + 4, epoch);
    sx_put_u32(b + 12, sx_crc32c(0, b, 12));
    r = sx_io_pwrite_all(d->io, fd, b, sizeof b, 0, e);
    if (!r && d->io->fsync(d->io, fd))
        r = sx_err_errno(e, errno, "fsync");
    d->io->close(d->io, fd);
    if (r || sx_io_sync_dir(d->io, d->dir, e))
        return sx_err_wrap(e, "%s", path);
    d->floor = epoch;
    return 0;
}

/* *good false: the file is there and damaged, and the floor must be set anew. */
static int load_floor(struct sx_device *d, bool *good, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/floor", d->dir);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err why = SX_ERR_INIT;

    d->floor = 0;
    *good = true;
    if (sx_io_read_file(d->io, path, FLOOR_SIZE, &b, &why)) {
        *good = why.code == SX_ENOTFOUND;
        if (*good || why.code == SX_ETOOBIG)
            return 0;
        sx_err_set(e, why.code, "%s", why.msg);
        return -1;
    }
    *good = b.len == FLOOR_SIZE && memcmp(b.data, FLOOR_MAGIC, 4) == 0 &&
            sx_get_u32(b.data + 12) == sx_crc32c(0, b.data, 12);
    if (*good)
        d->floor = sx_get_u64(b.data + 4);
    return 0;
}

/* ---- opening ---- */

/* A device with a number is only opened where its label is: else a disk that is not mounted would
 * become a new, empty device. */
static int check_label(struct sx_device *d, struct sx_err *e)
{
    struct sx_label want = { .node = d->o.node, .device = d->o.device };

    memcpy(want.cluster, d->o.cluster, sizeof want.cluster);
    return d->o.device ? sx_label_check(d->io, d->dir, &want, e) : 0;
}

static int make_dirs(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *packs = sx_asprintf("%s/packs", d->dir);
    SX_AUTO_FREE char *index = sx_asprintf("%s/index", d->dir);

    return sx_io_mkdirs(packs, e) || sx_io_mkdirs(index, e) ? -1 : 0;
}

static int open_index(struct sx_device *d, bool *fresh, struct sx_err *e)
{
    bool made;

    *fresh = false;
    if (sx_packs_open(&d->packs, d->dir, &made, e))
        return -1;
    *fresh = made;
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        if (sx_shard_open(&d->shard[i], d->dir, i, &made, e))
            return -1;
        *fresh = *fresh || made;
    }
    return 0;
}

static bool index_complete(struct sx_device *d)
{
    for (unsigned i = 0; i <= SX_SHARDS; i++) {
        SX_AUTO_FREE char *path = i < SX_SHARDS ? sx_asprintf("%s/index/shard-%u.db", d->dir, i)
                                                : sx_asprintf("%s/index/packs.db", d->dir);

        if (access(path, F_OK))
            return false;
    }
    return true;
}

static void close_index(struct sx_device *d)
{
    for (unsigned i = 0; i < SX_SHARDS; i++)
        sx_shard_close(&d->shard[i]);
    sx_packs_close(&d->packs);
}

static bool is_index_file(const char *name)
{
    return strncmp(name, "shard-", 6) == 0 || strncmp(name, "packs.db", 8) == 0;
}

static int remove_index(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_asprintf("%s/index", d->dir);
    DIR *dp = opendir(dir);
    struct dirent *de;
    int r = 0;

    if (!dp)
        return sx_err_errno(e, errno, "open %s", dir);
    while (!r && (de = readdir(dp)) != NULL) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, de->d_name);

        if (is_index_file(de->d_name) && d->io->unlink(d->io, path))
            r = sx_err_errno(e, errno, "remove %s", path);
    }
    closedir(dp);
    return r ? r : sx_io_sync_dir(d->io, dir, e);
}

/* The file `rebuild` says, from before the first empty part of an index is made until all packs are
 * read into it, that the index cannot be relied on: a crash in between must not leave a half-filled
 * one that looks whole. */
static int begin_rebuild(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/rebuild", d->dir);

    return sx_io_replace(d->io, path, "", 0, 0640, e);
}

void sx_device_distrust_index(struct sx_device *d)
{
    struct sx_err e = SX_ERR_INIT;

    if (d->suspected)
        return;
    d->suspected = true;
    sx_error("the index in %s is damaged; it is made anew when the node is started the next time",
             d->dir);
    if (begin_rebuild(d, &e))
        sx_error("%s", e.msg);
}

void sx_device_suspect_index(struct sx_device *d)
{
    bool damaged = false;

    for (unsigned i = 0; i < SX_SHARDS; i++) {
        int rc = sqlite3_errcode(d->shard[i].db) & 0xff;

        damaged = damaged || rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
    }
    if (damaged)
        sx_device_distrust_index(d);
}

static bool rebuilding(struct sx_device *d)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/rebuild", d->dir);

    return access(path, F_OK) == 0;
}

static int end_rebuild(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/rebuild", d->dir);

    if (d->io->unlink(d->io, path) && errno != ENOENT)
        return sx_err_errno(e, errno, "remove %s", path);
    return sx_io_sync_dir(d->io, d->dir, e);
}

/* Opens the index, and recovers if the last session did not end well. */
static int open_and_recover(struct sx_device *d, bool clean, struct sx_err *e)
{
    SX_AUTO_FREE char *index = sx_asprintf("%s/index", d->dir);
    bool fresh, floor_good, rebuild;

    if (open_index(d, &fresh, e) || load_floor(d, &floor_good, e))
        return -1;
    if (fresh && !rebuilding(d) && begin_rebuild(d, e)) /* an empty file in place of a part */
        return -1;
    rebuild = rebuilding(d);
    if (rebuild && sx_io_sync_dir(d->io, index, e))
        return -1;
    if ((!clean || rebuild || !floor_good) && sx_device_recover(d, rebuild, e))
        return sx_err_wrap(e, "recover");
    return rebuild ? end_rebuild(d, e) : 0;
}

/* Alone: whatever the last session left is put in order.  A damaged index is thrown away: the
 * packs have all that was in it, except leases. */
static int open_first(struct sx_device *d, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    bool clean = is_clean(d);
    int r = rebuilding(d) ? remove_index(d, e) : index_complete(d) ? 0 : begin_rebuild(d, e);

    if (r)
        return -1;
    r = open_and_recover(d, clean, &why);
    if (r && why.code == SX_ECORRUPT) {
        sx_error("the index is damaged and made anew: %s", why.msg);
        close_index(d);
        sx_err_clear(&why);
        r = begin_rebuild(d, &why) || remove_index(d, &why) || open_and_recover(d, clean, &why);
    }
    if (r) {
        sx_err_set(e, why.code, "%s", why.msg);
        return -1;
    }
    return remove_clean(d, e);
}

static int open_beside(struct sx_device *d, struct sx_err *e)
{
    bool fresh, good;

    if (open_index(d, &fresh, e) || load_floor(d, &good, e))
        return -1;
    if (fresh)
        return sx_err_set(e, SX_ECORRUPT,
                          "a part of the index has vanished under running processes");
    return good ? 0 : sx_err_set(e, SX_ECORRUPT, "file 'floor' is damaged");
}

static void fill_options(struct sx_device *d, const struct sx_store_options *o)
{
    d->o = *o;
    sx_counting_init(&d->counting, o->io ? o->io : &sx_io_posix, o->errors);
    d->io = &d->counting.io;
    if (!d->o.pack_max)
        d->o.pack_max = SX_STORE_PACK_MAX;
}

static void discard(struct sx_device *d)
{
    close_index(d);
    sx_pack_forget(d, 0);
    if (d->lock_fd >= 0)
        d->io->close(d->io, d->lock_fd);
    free(d->direct_buffer);
    free(d->dir);
    d->magic = 0;
    free(d);
}

static struct sx_device *new_device(const char *dir, const struct sx_store_options *o)
{
    struct sx_device *d = sx_calloc(1, sizeof *d);

    d->magic = SX_DEVICE_MAGIC;
    d->dir = sx_strdup(dir);
    d->lock_fd = -1;
    fill_options(d, o);
    return d;
}

int sx_device_open(const char *dir, const struct sx_store_options *o, struct sx_device **out,
                   struct sx_err *e)
{
    struct sx_device *d = new_device(dir, o);
    bool alone;

    if (check_label(d, e) || make_dirs(d, e) || enter(d, &alone, e) || (alone ? open_first(d, e) : open_beside(d, e)) ||
        settle(d, e)) {
        discard(d);
        return sx_err_wrap(e, "block store %s", dir);
    }
    *out = d;
    return 0;
}

int sx_device_rebuild_index(const char *dir, const struct sx_store_options *o, struct sx_err *e)
{
    struct sx_device *d = new_device(dir, o);
    bool alone;
    int r = check_label(d, e) || make_dirs(d, e) || enter(d, &alone, e) ? -1 : 0;

    if (!r && !alone)
        r = sx_err_set(e, SX_ECONFLICT, "the store is in use: stop the node first");
    if (!r)
        r = begin_rebuild(d, e) || remove_index(d, e) || open_first(d, e) || settle(d, e) ? -1 : 0;
    if (r) {
        discard(d);
        return sx_err_wrap(e, "block store %s", dir);
    }
    sx_device_close(d);
    return 0;
}

/* ---- closing ---- */

static int make_clean(struct sx_device *d, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clean", d->dir);
    bool whole;

    if (check_label(d, e) || sx_device_checkpoint(d, &whole, e))
        return -1;
    if (whole && sx_db_checkpoint(d->packs.db, &whole, e))
        return -1;
    if (!whole)
        return sx_err_set(e, SX_EUNAVAIL, "the index could not be synced");
    return sx_io_replace(d->io, path, "", 0, 0640, e);
}

void sx_device_close(struct sx_device *d)
{
    struct sx_err e = SX_ERR_INIT;

    if (!d)
        return;
    sx_assert(d->magic == SX_DEVICE_MAGIC);
    if (lock_byte(d->lock_fd, DOOR, F_WRLCK, true) == 0 &&
        lock_byte(d->lock_fd, PRESENCE, F_WRLCK, false) == 0 && make_clean(d, &e))
        sx_warn("block store %s is left unclean: %s", d->dir, e.msg);
    discard(d);
}
