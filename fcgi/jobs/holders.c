/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See holders.h.
 */
#include "fcgi/jobs/holders.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fcgi/store/db.h"
#include "libsx/base/mem.h"

#define PAGE_SIZE 4096u
#define FREE_SHARE 4 /* part of the free space that the file may take */
#define PAGES_MIN 64u
#define SET_STEP 16u

enum { ADD, FIND, STATEMENTS };

struct sx_holders {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
};

/* Nothing of it is wanted after a crash: no journal, no sync. */
static const struct sx_db_schema schema = {
    .sql = "CREATE TABLE held(grp INTEGER, content INTEGER, volume INTEGER,"
           " PRIMARY KEY(grp, content, volume)) WITHOUT ROWID",
    .version = 1,
    .setup = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
             "PRAGMA cache_size = -8192",
};

static const char *const sql[STATEMENTS] = {
    [ADD] = "INSERT OR IGNORE INTO held VALUES(?1, ?2, ?3)",
    [FIND] = "SELECT volume FROM held WHERE grp = ?1 AND content = ?2",
};

static void remove_files(const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        SX_AUTO_FREE char *name = sx_asprintf("%s%s", path, suffixes[i]);

        unlink(name);
    }
}

static int bound(struct sx_holders *h, struct sx_err *e)
{
    struct statvfs v;
    uint64_t pages;

    if (statvfs(h->path, &v))
        return sx_err_errno(e, errno, "statvfs %s", h->path);
    pages = (uint64_t)v.f_bavail * v.f_frsize / FREE_SHARE / PAGE_SIZE;
    if (pages < PAGES_MIN)
        pages = PAGES_MIN;
    if (pages > UINT32_MAX - 1)
        pages = UINT32_MAX - 1;
    SX_AUTO_FREE char *pragma =
        sx_asprintf("PRAGMA max_page_count = %llu", (unsigned long long)pages);

    return sx_db_exec(h->db, pragma, e);
}

int sx_holders_new(const char *dir, struct sx_holders **out, struct sx_err *e)
{
    struct sx_holders *h = sx_calloc(1, sizeof *h);

    h->path = sx_asprintf("%s/run/space.db", dir);
    remove_files(h->path);
    if (sx_db_open(h->path, &schema, &h->db, NULL, e) || bound(h, e))
        goto fail;
    for (int i = 0; i < STATEMENTS; i++)
        if (sx_db_prepare(h->db, sql[i], &h->st[i], e))
            goto fail;
    *out = h;
    return 0;
fail:
    sx_holders_free(h);
    return sx_err_wrap(e, "table of holders");
}

void sx_holders_free(struct sx_holders *h)
{
    if (!h)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(h->st[i]);
    sqlite3_close(h->db);
    remove_files(h->path);
    free(h->path);
    free(h);
}

static int add_one(struct sx_holders *h, unsigned group, const struct sx_holder *one,
                   struct sx_err *e)
{
    sqlite3_bind_int64(h->st[ADD], 1, group);
    sqlite3_bind_int64(h->st[ADD], 2, (sqlite3_int64)one->content);
    sqlite3_bind_int64(h->st[ADD], 3, (sqlite3_int64)one->volume);
    return sx_db_run(h->st[ADD], e);
}

int sx_holders_add(struct sx_holders *h, unsigned group, const struct sx_holder *list, size_t n,
                   struct sx_err *e)
{
    int r = sx_db_exec(h->db, "BEGIN", e);

    for (size_t i = 0; i < n && r == 0; i++)
        if (list[i].content)
            r = add_one(h, group, &list[i], e);
    if (r == 0)
        r = sx_db_exec(h->db, "COMMIT", e);
    return r ? sx_err_wrap(e, "table of holders") : 0; /* it is thrown away then */
}

int sx_holders_find(struct sx_holders *h, unsigned group, uint64_t content,
                    struct sx_holder_set *set, size_t *n, struct sx_err *e)
{
    size_t count = 0;
    int r;

    sqlite3_bind_int64(h->st[FIND], 1, group);
    sqlite3_bind_int64(h->st[FIND], 2, (sqlite3_int64)content);
    while ((r = sx_db_step(h->st[FIND], e)) == 1) {
        sx_holder_set_add(set, (uint64_t)sqlite3_column_int64(h->st[FIND], 0));
        count++;
    }
    if (r)
        return sx_err_wrap(e, "table of holders");
    if (n)
        *n = count;
    return 0;
}

void sx_holder_set_add(struct sx_holder_set *set, uint64_t volume)
{
    size_t low = 0, high = set->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (set->volume[mid] < volume)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < set->n && set->volume[low] == volume)
        return;
    if (set->n == set->room) {
        set->room += SET_STEP;
        set->volume = sx_realloc(set->volume, set->room * sizeof *set->volume);
    }
    memmove(set->volume + low + 1, set->volume + low, (set->n - low) * sizeof *set->volume);
    set->volume[low] = volume;
    set->n++;
}

void sx_holder_set_fini(struct sx_holder_set *set)
{
    free(set->volume);
    memset(set, 0, sizeof *set);
}
