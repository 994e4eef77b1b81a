/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A VFS over SQLite's own.  Only databases are looked at; their logs go straight to the layer below
 * (frames of a log have sums of SQLite's own, and are summed here when a checkpoint brings them
 * into the database).
 *
 *   page of 4096 bytes:  4088 bytes of SQLite | 4 bytes CRC-32C | 4 bytes 0
 *
 * The CRC runs over the page's number (4 bytes, little endian) and the 4088 bytes, so a page in the
 * place of another is noticed, and so is one of zeroes.  A page beyond the end of the file is no
 * page of zeroes, as SQLite would take it, but a file that was cut.  Reads within the first bytes are
 * SQLite's looks at the head of the file before it knows what it is; it reads page 1 as a
 * whole before it uses anything of it.  Some versions (3.46 is one) read the parts of a long value
 * straight from their pages: here these are read, and verified, as whole pages.
 */
#include "fcgi/meta/sm/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"

#define VFS_NAME "sx-sums"
#define PAGE 4096
#define RESERVED 8 /* bytes at the end of a page that SQLite leaves alone */
#define HEAD 100 /* bytes of the database's header */
#define CONTROL_WATCH 4711 /* an own operation of xFileControl(); below 100 are SQLite's */

struct file {
    sqlite3_file base; /* must be first */
    const char *path;
    bool watched;
    dev_t dev; /* of what was opened */
    ino_t ino;
    sqlite3_file below[]; /* of the VFS below, which knows its size */
};

static struct {
    pthread_once_t once;
    sqlite3_vfs *below;
    sqlite3_vfs vfs;
    int rc;
} g = { .once = PTHREAD_ONCE_INIT };

static sqlite3_file *below(sqlite3_file *f)
{
    return ((struct file *)f)->below;
}

static uint32_t sum(const uint8_t page[PAGE], sqlite3_int64 at)
{
    uint8_t number[4];

    sx_put_u32(number, (uint32_t)(at / PAGE + 1));
    return sx_crc32c(sx_crc32c(0, number, sizeof number), page, PAGE - RESERVED);
}

/* ---- the flag ---- */

static char *flag_of(const char *path)
{
    return sx_asprintf("%s.damaged", path);
}

void sx_sums_raise(const char *path)
{
    SX_AUTO_FREE char *flag = flag_of(path);
    SX_AUTO_CLOSE int fd = open(flag, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0)
        sx_warn("making %s: %s", flag, strerror(errno));
}

bool sx_sums_raised(const char *path)
{
    SX_AUTO_FREE char *flag = flag_of(path);

    return access(flag, F_OK) == 0;
}

int sx_sums_lower(const char *path, struct sx_err *e)
{
    SX_AUTO_FREE char *flag = flag_of(path);

    return unlink(flag) && errno != ENOENT ? sx_err_errno(e, errno, "removing %s", flag) : 0;
}

static bool in_place(const struct file *f)
{
    struct stat st;

    return stat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino;
}

/* ---- what is done with pages ---- */

static int damaged(const struct file *f, sqlite3_int64 at, const char *why)
{
    sx_error("%s is damaged: page %lld %s", f->path, (long long)(at / PAGE + 1), why);
    if (f->watched && in_place(f))
        sx_sums_raise(f->path);
    return SQLITE_IOERR_DATA;
}

static int read_page(struct file *f, void *p, sqlite3_int64 at)
{
    int rc = f->below->pMethods->xRead(f->below, p, PAGE, at);

    if (rc == SQLITE_IOERR_SHORT_READ)
        return damaged(f, at, "is behind the end of the file");
    if (rc != SQLITE_OK)
        return rc;
    if (sx_get_u32((uint8_t *)p + PAGE - RESERVED) != sum(p, at))
        return damaged(f, at, "has a wrong checksum");
    return SQLITE_OK;
}

static int read_part(struct file *f, void *p, int n, sqlite3_int64 at)
{
    uint8_t page[PAGE];
    int rc = read_page(f, page, at / PAGE * PAGE);

    if (rc == SQLITE_OK)
        memcpy(p, page + at % PAGE, (size_t)n);
    return rc;
}

static int sums_read(sqlite3_file *base, void *p, int n, sqlite3_int64 at)
{
    struct file *f = (struct file *)base;

    if (at + n <= HEAD)
        return f->below->pMethods->xRead(f->below, p, n, at);
    if (n == PAGE && at % PAGE == 0)
        return read_page(f, p, at);
    if (at % PAGE + n <= PAGE)
        return read_part(f, p, n, at);
    return damaged(f, at, "has not the size that it should have");
}

static int sums_write(sqlite3_file *base, const void *p, int n, sqlite3_int64 at)
{
    struct file *f = (struct file *)base;
    uint8_t page[PAGE];

    if (n != PAGE || at % PAGE) {
        sx_error("%s: a write of %d bytes at %lld is no page", f->path, n, (long long)at);
        return SQLITE_IOERR_WRITE;
    }
    memcpy(page, p, PAGE - RESERVED);
    memset(page + PAGE - RESERVED, 0, RESERVED);
    sx_put_u32(page + PAGE - RESERVED, sum(page, at));
    return f->below->pMethods->xWrite(f->below, page, n, at);
}

/* No mapped memory: each page is read, so that it can be verified. */
static int sums_fetch(sqlite3_file *base, sqlite3_int64 at, int n, void **p)
{
    *p = NULL;
    return SQLITE_OK;
}

static int sums_unfetch(sqlite3_file *base, sqlite3_int64 at, void *p)
{
    return SQLITE_OK;
}

/* Newer versions of SQLite ask whether parts of pages may be read; it costs less if they are not. */
static int sums_characteristics(sqlite3_file *base)
{
    int c = below(base)->pMethods->xDeviceCharacteristics(below(base));

#ifdef SQLITE_IOCAP_SUBPAGE_READ
    c &= ~SQLITE_IOCAP_SUBPAGE_READ;
#endif
    return c;
}

/* ---- what is passed on ---- */

static int sums_close(sqlite3_file *f)
{
    return below(f)->pMethods->xClose(below(f));
}

static int sums_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return below(f)->pMethods->xTruncate(below(f), size);
}

static int sums_sync(sqlite3_file *f, int flags)
{
    return below(f)->pMethods->xSync(below(f), flags);
}

static int sums_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return below(f)->pMethods->xFileSize(below(f), size);
}

static int sums_lock(sqlite3_file *f, int level)
{
    return below(f)->pMethods->xLock(below(f), level);
}

static int sums_unlock(sqlite3_file *f, int level)
{
    return below(f)->pMethods->xUnlock(below(f), level);
}

static int sums_reserved(sqlite3_file *f, int *held)
{
    return below(f)->pMethods->xCheckReservedLock(below(f), held);
}

static int sums_control(sqlite3_file *f, int op, void *arg)
{
    if (op == CONTROL_WATCH) {
        ((struct file *)f)->watched = true;
        return SQLITE_OK;
    }
    return below(f)->pMethods->xFileControl(below(f), op, arg);
}

static int sums_sector(sqlite3_file *f)
{
    return below(f)->pMethods->xSectorSize(below(f));
}

static int sums_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **p)
{
    return below(f)->pMethods->xShmMap(below(f), region, size, extend, p);
}

static int sums_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return below(f)->pMethods->xShmLock(below(f), offset, n, flags);
}

static void sums_shm_barrier(sqlite3_file *f)
{
    below(f)->pMethods->xShmBarrier(below(f));
}

static int sums_shm_unmap(sqlite3_file *f, int remove)
{
    return below(f)->pMethods->xShmUnmap(below(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 3,
    .xClose = sums_close,
    .xRead = sums_read,
    .xWrite = sums_write,
    .xTruncate = sums_truncate,
    .xSync = sums_sync,
    .xFileSize = sums_size,
    .xLock = sums_lock,
    .xUnlock = sums_unlock,
    .xCheckReservedLock = sums_reserved,
    .xFileControl = sums_control,
    .xSectorSize = sums_sector,
    .xDeviceCharacteristics = sums_characteristics,
    .xShmMap = sums_shm_map,
    .xShmLock = sums_shm_lock,
    .xShmBarrier = sums_shm_barrier,
    .xShmUnmap = sums_shm_unmap,
    .xFetch = sums_fetch,
    .xUnfetch = sums_unfetch,
};

/* ---- opening ---- */

static int sums_vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                         int *out_flags)
{
    struct file *f = (struct file *)base;
    struct stat st = { 0 };
    int rc;

    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return g.below->xOpen(g.below, name, base, flags, out_flags);
    base->pMethods = NULL;
    f->path = name; /* lives as long as the file */
    f->watched = false;
    rc = g.below->xOpen(g.below, name, f->below, flags, out_flags);
    if (rc != SQLITE_OK)
        return rc;
    base->pMethods = &methods;
    if (name && stat(name, &st))
        sx_warn("looking at %s: %s", name, strerror(errno));
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return rc;
}

/* All else of the VFS below does not ask by which name it is called. */
static void set_up(void)
{
    g.below = sqlite3_vfs_find(NULL);
    if (!g.below) {
        g.rc = SQLITE_ERROR;
        return;
    }
    g.vfs = *g.below;
    g.vfs.zName = VFS_NAME;
    g.vfs.pNext = NULL;
    g.vfs.szOsFile += (int)sizeof(struct file);
    g.vfs.xOpen = sums_vfs_open;
    g.rc = sqlite3_vfs_register(&g.vfs, 0);
}

int sx_sums_open(const char *path, sqlite3 **db, int flags)
{
    int reserved = RESERVED, rc;

    pthread_once(&g.once, set_up);
    *db = NULL;
    if (g.rc != SQLITE_OK)
        return g.rc;
    rc = sqlite3_open_v2(path, db, flags, VFS_NAME);
    if (rc == SQLITE_OK) /* counts only when the database is made */
        sqlite3_file_control(*db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    return rc;
}

bool sx_sums_failed(sqlite3 *db)
{
    return db && sqlite3_extended_errcode(db) == SQLITE_IOERR_DATA;
}

void sx_sums_watch(sqlite3 *db)
{
    sqlite3_file_control(db, "main", CONTROL_WATCH, NULL);
}
