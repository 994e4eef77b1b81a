/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See base.h.
 *
 *   0  magic "SXDB" | 4  version, 1 | 8  entry (8 bytes) | 16  CRC of all before
 *
 * The file is read as immutable: so SQLite looks at nothing but it.  (Opened by ourselves and closed again it
 * would lose the locks that SQLite has on it in this process.)  A crash in the midst of a checkpoint may leave a
 * file that cannot be read this way; then SQLite's log has all of the checkpoint, and nothing is known.
 */
#include "fcgi/meta/sm/base.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/meta/sm/db.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"
#include "libsx/io/io.h"

#define MAGIC "SXDB"
#define USED 16u /* bytes before the CRC */
#define SIZE (USED + 4)

static char *name_of(const char *path)
{
    return sx_asprintf("%s.base", path);
}

static int read_index(sqlite3 *db, uint64_t *index)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT idx FROM state", -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *index = sx_mdb_u64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

/* The entry that the file alone has applied. */
static int file_index(const char *path, uint64_t *index)
{
    SX_AUTO(sx_buf) struct sx_buf uri = SX_BUF_INIT;
    sqlite3 *db = NULL;
    int r;

    sx_buf_printf(&uri, "file:");
    sx_pct_encode(&uri, path, strlen(path), true);
    sx_buf_printf(&uri, "?immutable=1");
    r = sx_sums_open(sx_buf_cstr(&uri), &db,
                     SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX) == SQLITE_OK
            ? read_index(db, index) : -1;
    sqlite3_close(db);
    return r;
}

/* A checkpoint that had to stop early has synced nothing yet. */
static int sync_file(sqlite3 *db)
{
    sqlite3_file *f = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK || !f ||
        !f->pMethods)
        return -1;
    return f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) == SQLITE_OK ? 0 : -1;
}

/* 0: noted. */
static int noted(const char *path, uint64_t *index)
{
    SX_AUTO_FREE char *name = name_of(path);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;

    if (sx_io_read_file(&sx_io_posix, name, SIZE, &b, &e) != 0)
        return -1;
    if (b.len != SIZE || memcmp(b.data, MAGIC, 4) != 0 || sx_get_u32(b.data + 4) != 1 ||
        sx_get_u32(b.data + USED) != sx_crc32c(0, b.data, USED)) {
        sx_warn("%s is damaged, and not used", name);
        return -1;
    }
    *index = sx_get_u64(b.data + 8);
    return 0;
}

void sx_base_note(sqlite3 *db, const char *path)
{
    SX_AUTO_FREE char *name = name_of(path);
    struct sx_err e = SX_ERR_INIT;
    uint8_t b[SIZE] = MAGIC;
    uint64_t index, before;

    if (file_index(path, &index) != 0) /* all of a new database is in SQLite's log */
        return;
    if (noted(path, &before) == 0 && before == index)
        return;
    if (sync_file(db) != 0) {
        sx_warn("%s could not be synced", path);
        return;
    }
    sx_put_u32(b + 4, 1);
    sx_put_u64(b + 8, index);
    sx_put_u32(b + USED, sx_crc32c(0, b, USED));
    if (sx_io_replace(&sx_io_posix, name, b, sizeof b, 0640, &e) != 0)
        sx_warn("noting how far a checkpoint came: %s", e.msg);
}

int sx_base_check(const char *path, uint64_t applied, struct sx_err *e)
{
    uint64_t want, have;

    if (noted(path, &want) != 0 || applied < want || file_index(path, &have) != 0 || have >= want)
        return 0;
    return sx_err_set(e, SX_ECORRUPT,
                      "%s is older than what was written to it: it ends with entry %" PRIu64
                      ", but had entry %" PRIu64 " before", path, have, want);
}

int sx_base_forget(const char *path, struct sx_err *e)
{
    SX_AUTO_FREE char *name = name_of(path);

    return unlink(name) && errno != ENOENT ? sx_err_errno(e, errno, "removing %s", name) : 0;
}
