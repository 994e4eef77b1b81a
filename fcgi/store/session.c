/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opening and closing a store.
 *
 * The file `lock` carries two locks (of open file descriptions, so they end with the process):
 *   byte 0, the door: held exclusively while a process opens or closes;
 *   byte 1, presence: held shared by all who have the store open.
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

#include "fcgi/store/store_int.h"
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

static int enter(struct sx_store *s, bool *alone, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/lock", s->dir);

    s->lock_fd = s->io->open(s->io, path, O_RDWR | O_CREAT, 0640);
    if (s->lock_fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    if (lock_byte(s->lock_fd, DOOR, F_WRLCK, true))
        return sx_err_errno(e, errno, "lock %s", path);
    *alone = lock_byte(s->lock_fd, PRESENCE, F_WRLCK, false) == 0;
    return 0;
}

/* Through the door, and it is free for the next. */
static int settle(struct sx_store *s, struct sx_err *e)
{
    if (lock_byte(s->lock_fd, PRESENCE, F_RDLCK, false) ||
        lock_byte(s->lock_fd, DOOR, F_UNLCK, false))
        return sx_err_errno(e, errno, "lock %s", s->dir);
    return 0;
}

/* ---- small files ---- */

static bool is_clean(struct sx_store *s)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clean", s->dir);

    return access(path, F_OK) == 0;
}

static int remove_clean(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clean", s->dir);

    if (s->io->unlink(s->io, path))
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "remove %s", path);
    return sx_io_sync_dir(s->io, s->dir, e);
}

/* In place, without a new file: a store on a full disk must open, too.  A torn write is seen by the
 * checksum, and the floor is then set anew. */
int sx_store_set_floor(struct sx_store *s, uint64_t floor_ms, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/floor", s->dir);
    uint8_t b[FLOOR_SIZE];
    int fd = s->io->open(s->io, path, O_WRONLY | O_CREAT, 0640), r;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    memcpy(b, FLOOR_MAGIC, 4);
    sx_put_u64(b + 4, floor_ms);
    sx_put_u32(b + 12, sx_crc32c(0, b, 12));
    r = sx_io_pwrite_all(s->io, fd, b, sizeof b, 0, e);
    if (!r && s->io->fsync(s->io, fd))
        r = sx_err_errno(e, errno, "fsync");
    s->io->close(s->io, fd);
    if (r || sx_io_sync_dir(s->io, s->dir, e))
        return sx_err_wrap(e, "%s", path);
    s->floor_ms = floor_ms;
    return 0;
}

/* *good false: the file is there and damaged, and the floor must be set anew. */
static int load_floor(struct sx_store *s, bool *good, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/floor", s->dir);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err why = SX_ERR_INIT;

    s->floor_ms = 0;
    *good = true;
    if (sx_io_read_file(s->io, path, FLOOR_SIZE, &b, &why)) {
        *good = why.code == SX_ENOTFOUND;
        if (*good || why.code == SX_ETOOBIG)
            return 0;
        sx_err_set(e, why.code, "%s", why.msg);
        return -1;
    }
    *good = b.len == FLOOR_SIZE && memcmp(b.data, FLOOR_MAGIC, 4) == 0 &&
            sx_get_u32(b.data + 12) == sx_crc32c(0, b.data, 12);
    if (*good)
        s->floor_ms = sx_get_u64(b.data + 4);
    return 0;
}

/* ---- opening ---- */

static int make_dirs(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE char *packs = sx_asprintf("%s/packs", s->dir);
    SX_AUTO_FREE char *index = sx_asprintf("%s/index", s->dir);

    return sx_io_mkdirs(packs, e) || sx_io_mkdirs(index, e) ? -1 : 0;
}

static int open_index(struct sx_store *s, bool *fresh, struct sx_err *e)
{
    bool made;

    *fresh = false;
    if (sx_packs_open(&s->packs, s->dir, &made, e))
        return -1;
    *fresh = made;
    for (unsigned i = 0; i < SX_SHARDS; i++) {
        if (sx_shard_open(&s->shard[i], s->dir, i, &made, e))
            return -1;
        *fresh = *fresh || made;
    }
    return 0;
}

static bool index_complete(struct sx_store *s)
{
    for (unsigned i = 0; i <= SX_SHARDS; i++) {
        SX_AUTO_FREE char *path = i < SX_SHARDS ? sx_asprintf("%s/index/shard-%u.db", s->dir, i)
                                                : sx_asprintf("%s/index/packs.db", s->dir);

        if (access(path, F_OK))
            return false;
    }
    return true;
}

static void close_index(struct sx_store *s)
{
    for (unsigned i = 0; i < SX_SHARDS; i++)
        sx_shard_close(&s->shard[i]);
    sx_packs_close(&s->packs);
}

static bool is_index_file(const char *name)
{
    return strncmp(name, "shard-", 6) == 0 || strncmp(name, "packs.db", 8) == 0;
}

static int remove_index(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_asprintf("%s/index", s->dir);
    DIR *d = opendir(dir);
    struct dirent *de;
    int r = 0;

    if (!d)
        return sx_err_errno(e, errno, "open %s", dir);
    while (!r && (de = readdir(d)) != NULL) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, de->d_name);

        if (is_index_file(de->d_name) && s->io->unlink(s->io, path))
            r = sx_err_errno(e, errno, "remove %s", path);
    }
    closedir(d);
    return r ? r : sx_io_sync_dir(s->io, dir, e);
}

/* The file `rebuild` says, from before the first empty part of an index is made until all packs are
 * read into it, that the index cannot be relied on: a crash in between must not leave a half-filled
 * one that looks whole. */
static int begin_rebuild(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/rebuild", s->dir);

    return sx_io_replace(s->io, path, "", 0, 0640, e);
}

void sx_store_suspect_index(struct sx_store *s)
{
    struct sx_err e = SX_ERR_INIT;
    bool damaged = false;

    for (unsigned i = 0; i < SX_SHARDS; i++) {
        int rc = sqlite3_errcode(s->shard[i].db) & 0xff;

        damaged = damaged || rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
    }
    if (!damaged || s->suspected)
        return;
    s->suspected = true;
    sx_error("the index in %s is damaged; it is made anew when the node is started the next time",
             s->dir);
    if (begin_rebuild(s, &e))
        sx_error("%s", e.msg);
}

static bool rebuilding(struct sx_store *s)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/rebuild", s->dir);

    return access(path, F_OK) == 0;
}

static int end_rebuild(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/rebuild", s->dir);

    if (s->io->unlink(s->io, path) && errno != ENOENT)
        return sx_err_errno(e, errno, "remove %s", path);
    return sx_io_sync_dir(s->io, s->dir, e);
}

/* Opens the index, and recovers if the last session did not end well. */
static int open_and_recover(struct sx_store *s, bool clean, struct sx_err *e)
{
    SX_AUTO_FREE char *index = sx_asprintf("%s/index", s->dir);
    bool fresh, floor_good, rebuild;

    if (open_index(s, &fresh, e) || load_floor(s, &floor_good, e))
        return -1;
    if (fresh && !rebuilding(s) && begin_rebuild(s, e)) /* an empty file in place of a part */
        return -1;
    rebuild = rebuilding(s);
    if (rebuild && sx_io_sync_dir(s->io, index, e))
        return -1;
    if ((!clean || rebuild || !floor_good) && sx_store_recover(s, rebuild, e))
        return sx_err_wrap(e, "recover");
    return rebuild ? end_rebuild(s, e) : 0;
}

/* Alone: whatever the last session left is put in order.  A damaged index is thrown away: the
 * packs have all that was in it, except leases. */
static int open_first(struct sx_store *s, struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;
    bool clean = is_clean(s);
    int r = rebuilding(s) ? remove_index(s, e) : index_complete(s) ? 0 : begin_rebuild(s, e);

    if (r)
        return -1;
    r = open_and_recover(s, clean, &why);
    if (r && why.code == SX_ECORRUPT) {
        sx_error("the index is damaged and made anew: %s", why.msg);
        close_index(s);
        sx_err_clear(&why);
        r = begin_rebuild(s, &why) || remove_index(s, &why) || open_and_recover(s, clean, &why);
    }
    if (r) {
        sx_err_set(e, why.code, "%s", why.msg);
        return -1;
    }
    return remove_clean(s, e);
}

static int open_beside(struct sx_store *s, struct sx_err *e)
{
    bool fresh, good;

    if (open_index(s, &fresh, e) || load_floor(s, &good, e))
        return -1;
    if (fresh)
        return sx_err_set(e, SX_ECORRUPT,
                          "a part of the index has vanished under running processes");
    return good ? 0 : sx_err_set(e, SX_ECORRUPT, "file 'floor' is damaged");
}

static void fill_options(struct sx_store *s, const struct sx_store_options *o)
{
    s->o = *o;
    s->io = o->io ? o->io : &sx_io_posix;
    if (!s->o.pack_max)
        s->o.pack_max = SX_STORE_PACK_MAX;
    if (!s->o.lease_s)
        s->o.lease_s = SX_STORE_LEASE_S;
}

static void discard(struct sx_store *s)
{
    close_index(s);
    for (unsigned i = 0; i < SX_FD_CACHE; i++)
        if (s->fds[i].pack)
            s->io->close(s->io, s->fds[i].fd);
    if (s->lock_fd >= 0)
        s->io->close(s->io, s->lock_fd);
    free(s->dir);
    s->magic = 0;
    free(s);
}

static struct sx_store *new_store(const char *dir, const struct sx_store_options *o)
{
    struct sx_store *s = sx_calloc(1, sizeof *s);

    s->magic = SX_STORE_MAGIC;
    s->dir = sx_strdup(dir);
    s->lock_fd = -1;
    fill_options(s, o);
    return s;
}

int sx_store_open(const char *dir, const struct sx_store_options *o, struct sx_store **out,
                  struct sx_err *e)
{
    struct sx_store *s = new_store(dir, o);
    bool alone;

    if (make_dirs(s, e) || enter(s, &alone, e) || (alone ? open_first(s, e) : open_beside(s, e)) ||
        settle(s, e)) {
        discard(s);
        return sx_err_wrap(e, "block store %s", dir);
    }
    *out = s;
    return 0;
}

int sx_store_rebuild_index(const char *dir, const struct sx_store_options *o, struct sx_err *e)
{
    struct sx_store *s = new_store(dir, o);
    bool alone;
    int r = make_dirs(s, e) || enter(s, &alone, e) ? -1 : 0;

    if (!r && !alone)
        r = sx_err_set(e, SX_ECONFLICT, "the store is in use: stop the node first");
    if (!r)
        r = begin_rebuild(s, e) || remove_index(s, e) || open_first(s, e) || settle(s, e) ? -1 : 0;
    if (r) {
        discard(s);
        return sx_err_wrap(e, "block store %s", dir);
    }
    sx_store_close(s);
    return 0;
}

/* ---- closing ---- */

static int make_clean(struct sx_store *s, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clean", s->dir);
    bool whole;

    if (sx_store_checkpoint(s, &whole, e))
        return -1;
    if (whole && sx_db_checkpoint(s->packs.db, &whole, e))
        return -1;
    if (!whole)
        return sx_err_set(e, SX_EUNAVAIL, "the index could not be synced");
    return sx_io_replace(s->io, path, "", 0, 0640, e);
}

void sx_store_close(struct sx_store *s)
{
    struct sx_err e = SX_ERR_INIT;

    if (!s)
        return;
    sx_assert(s->magic == SX_STORE_MAGIC);
    if (lock_byte(s->lock_fd, DOOR, F_WRLCK, true) == 0 &&
        lock_byte(s->lock_fd, PRESENCE, F_WRLCK, false) == 0 && make_clean(s, &e))
        sx_warn("block store %s is left unclean: %s", s->dir, e.msg);
    discard(s);
}
