/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tables file and old: a file's newest revision and those before it.
 *
 *   file   one row a path: the newest revision, `ord`, and `older`, the number of its rows in old
 *   old    the revisions before it, with smaller `ord`, larger is newer
 *
 * Order is by `ord`, not by revision number: a file that is moved over another becomes its newest
 * revision, whatever the numbers are.  1 + older never exceeds the revision count of a volume without
 * versioning, except after that was lowered, until expire has gone through (trim.c).
 *
 * With versioning (enum sx_versioning) the newest may be a marker: the file is deleted, its revisions
 * are not.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

void sx_frow_fini(struct sx_frow *r)
{
    sx_buf_fini(&r->mem);
}

static void meta_keep(struct sx_frow *r)
{
    sx_buf_reset(&r->mem);
    sx_buf_add(&r->mem, r->f.meta.p, r->f.meta.n);
    r->f.meta.p = r->mem.data;
}

int sx_frow_find(struct sx_sm *sm, const struct sx_volume *v, const char *path, struct sx_frow *r,
                 struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT " SX_FILE_COLS ", ord, changed, older" SX_FILE_FROM("file")
                       " WHERE volume = ? AND path = ?", "it", v->id, path);

    if (rc != 1)
        return rc;
    sx_mdb_file(st, 0, &r->f);
    r->f.path = path;
    r->ord = sx_mdb_u64(st, SX_FILE_COLS_N);
    r->changed = sx_mdb_u64(st, SX_FILE_COLS_N + 1);
    r->older = sx_mdb_u64(st, SX_FILE_COLS_N + 2);
    meta_keep(r);
    sqlite3_reset(st);
    return 1;
}

static int no_file(const struct sx_volume *v, const char *path, struct sx_err *e)
{
    return sx_err_set(e, SX_ENOFILE, "file '%s' does not exist in volume '%s'", path, v->name);
}

int sx_frow_any(struct sx_sm *sm, const struct sx_volume *v, const char *path, uint64_t rev,
                struct sx_frow *r, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_frow_find(sm, v, path, r, e);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return no_file(v, path, e);
    if (rev == 0 || rev == r->f.rev)
        return 0;
    rc = sx_sm_row(sm, e, &st, "SELECT " SX_FILE_COLS SX_FILE_FROM("old")
                               " WHERE volume = ? AND path = ? AND rev = ?", "iti", v->id, path,
                               rev);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOREVISION, "file '%s' has no revision %016llx", path,
                          (unsigned long long)rev);
    sx_mdb_file(st, 0, &r->f);
    meta_keep(r);
    sqlite3_reset(st);
    return 0;
}

int sx_frow_revision(struct sx_sm *sm, const struct sx_volume *v, const char *path, uint64_t rev,
                     struct sx_frow *r, struct sx_err *e)
{
    if (sx_frow_any(sm, v, path, rev, r, e) != 0)
        return -1;
    if (!r->f.marker)
        return 0;
    if (rev == 0)
        return no_file(v, path, e);
    return sx_err_set(e, SX_ENOREVISION, "revision %016llx of file '%s' stands for its deletion",
                      (unsigned long long)rev, path);
}

int sx_frow_null(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *r,
                 uint64_t *rev, struct sx_err *e)
{
    *rev = r->f.rev;
    if (r->f.null_version)
        return 0;
    if (sx_sm_number(sm, e, rev, 0,
                     "SELECT rev FROM old WHERE volume = ? AND path = ? AND " SX_FILE_IS_NULL
                     " ORDER BY ord DESC LIMIT 1", "it", v->id, r->f.path) != 0)
        return -1;
    return *rev ? 0 : sx_err_set(e, SX_ENOREVISION, "file '%s' has no null version", r->f.path);
}

/* ---- room ---- */

/* The bytes of the null version that a new one replaces. */
static int null_size(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *old,
                     uint64_t *bytes, struct sx_err *e)
{
    *bytes = old->f.size;
    if (old->f.null_version)
        return 0;
    return sx_sm_number(sm, e, bytes, 0,
                        "SELECT size FROM old WHERE volume = ? AND path = ? AND " SX_FILE_IS_NULL
                        " ORDER BY ord DESC LIMIT 1", "it", v->id, old->f.path);
}

/* How many revisions go when one is added to the file, and their bytes. */
static int trim_plan(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *old,
                     uint64_t *bytes, struct sx_err *e)
{
    uint64_t n = old->older + 2 > v->revisions ? old->older + 2 - v->revisions : 0;

    *bytes = 0;
    if (v->versioning)
        return v->versioning == SX_VERSIONING_SUSPENDED ? null_size(sm, v, old, bytes, e) : 0;
    if (n && old->older &&
        sx_sm_number(sm, e, bytes, 0,
                     "SELECT sum(size) FROM (SELECT size FROM old WHERE volume = ? AND path = ?"
                     " ORDER BY ord LIMIT ?)", "iti", v->id, old->f.path, n) != 0)
        return -1;
    if (n > old->older)
        *bytes += old->f.size;
    return 0;
}

int sx_frow_room(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *old,
                 uint64_t size, struct sx_err *e)
{
    uint64_t freed = 0;

    if (old && trim_plan(sm, v, old, &freed, e) != 0)
        return -1;
    if (size <= freed)
        return 0;
    if (sx_usage_volume_room(v, 0, size - freed, e) != 0)
        return -1;
    return sx_usage_owner_room(sm, v, 0, size - freed, e);
}

/* ---- changes ---- */

static int newest_to_old(struct sx_sm *sm, uint64_t volume, const char *path, struct sx_err *e)
{
    return sx_sm_run(sm, e,
                     "INSERT INTO old(volume, path, ord, " SX_FILE_ROW ")"
                     " SELECT volume, path, ord, " SX_FILE_ROW " FROM file"
                     " WHERE volume = ? AND path = ?", "it", volume, path);
}

static int row_write(struct sx_sm *sm, uint64_t volume, const char *path, uint64_t ord,
                     uint64_t changed, uint64_t older, const struct sx_file *f, struct sx_err *e)
{
    struct sx_file_packed p;

    sx_mdb_file_pack(f, &p);
    return sx_sm_run(sm, e,
                     "INSERT OR REPLACE INTO file(volume, path, ord, moved, older, " SX_FILE_ROW ")"
                     " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "itiiiiiiuuiioui",
                     volume, path, ord, changed - f->rev, older, f->rev, f->size, p.age_ns, p.mode,
                     p.flags, f->created_ms, p.back, f->meta.p, f->meta.n, (unsigned)f->hold,
                     f->retain_ms);
}

/* Does the newest revision stay, as an old one, when another comes? */
static bool stays(const struct sx_volume *v, const struct sx_frow *old)
{
    if (v->versioning == SX_VERSIONING_SUSPENDED)
        return !old->f.null_version;
    return v->versioning == SX_VERSIONING_ENABLED || v->revisions > 1;
}

/* Removes a row of old; *older and *bytes follow. */
static int old_remove(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *r,
                      uint64_t *older, uint64_t *bytes, struct sx_err *e)
{
    if (sx_sm_run(sm, e, "DELETE FROM old WHERE volume = ? AND path = ? AND rev = ?", "iti", v->id,
                  r->f.path, r->f.rev) != 0 ||
        sx_content_drop(sm, r->f.content, e) != 0)
        return -1;
    (*older)--;
    *bytes += r->f.size;
    return 0;
}

/* The newest null version among the old revisions, if there is one, goes. */
static int old_null_remove(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *newest,
                           uint64_t *older, uint64_t *bytes, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow one = SX_FROW_INIT;
    struct sx_err why = SX_ERR_INIT;
    uint64_t rev;

    if (sx_frow_null(sm, v, newest, &rev, &why) != 0) {
        if (!sm->broken)
            return 0;
        sx_err_copy(e, &why);
        return -1;
    }
    if (sx_frow_any(sm, v, newest->f.path, rev, &one, e) != 0)
        return -1;
    return old_remove(sm, v, &one, older, bytes, e);
}

int sx_frow_facts_write(struct sx_sm *sm, const struct sx_volume *v, const struct sx_file *f,
                        struct sx_err *e)
{
    if (sx_sm_run(sm, e,
                  "UPDATE file SET meta = ?, hold = ?, retain_ms = ?"
                  " WHERE volume = ? AND path = ? AND rev = ?", "ouiiti", f->meta.p, f->meta.n,
                  (unsigned)f->hold, f->retain_ms, v->id, f->path, f->rev) != 0)
        return -1;
    return sx_sm_run(sm, e,
                     "UPDATE old SET meta = ?, hold = ?, retain_ms = ?"
                     " WHERE volume = ? AND path = ? AND rev = ?", "ouiiti", f->meta.p, f->meta.n,
                     (unsigned)f->hold, f->retain_ms, v->id, f->path, f->rev);
}

int sx_frow_push(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *old,
                 const struct sx_file *f, struct sx_err *e)
{
    uint64_t ord = 1, older = 0, freed = 0;
    int64_t files = !f->marker - (old && !old->f.marker);

    if (old) {
        ord = old->ord + 1;
        older = old->older;
        if (v->versioning == SX_VERSIONING_SUSPENDED && !old->f.null_version &&
            old_null_remove(sm, v, old, &older, &freed, e) != 0)
            return -1;
        if (stays(v, old)) {
            if (newest_to_old(sm, v->id, path, e) != 0)
                return -1;
            older++;
        } else {
            freed += old->f.size;
            if (sx_content_drop(sm, old->f.content, e) != 0)
                return -1;
        }
        if (sx_frow_trim(sm, v->id, path, &older, sx_frow_old_max(v), &freed, e) != 0)
            return -1;
    }
    if (row_write(sm, v->id, path, ord, sm->num, older, f, e) != 0)
        return -1;
    return sx_usage_add(sm, v, (int64_t)(f->size - freed), files, e);
}

/* A marker on top of the file's revisions. */
static int mark_deleted(struct sx_sm *sm, struct sx_volume *v, const char *path,
                        const struct sx_frow *old, struct sx_err *e)
{
    struct sx_file f = { .path = path,
                         .rev = sm->num,
                         .mtime_ns = (int64_t)(sm->time_ms * 1000000),
                         .created_ms = sm->time_ms,
                         .marker = true,
                         .null_version = v->versioning != SX_VERSIONING_ENABLED };

    return sx_frow_push(sm, v, path, old, &f, e);
}

int sx_frow_delete(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *r,
                   uint64_t *n, struct sx_err *e)
{
    if (v->versioning == SX_VERSIONING_OFF)
        return sx_frow_purge(sm, v, path, r, n, e);
    *n = 0;
    return mark_deleted(sm, v, path, r, e);
}

/* The file's only revision goes, and the file with it. */
static int last_remove(struct sx_sm *sm, struct sx_volume *v, const char *path,
                       const struct sx_frow *r, struct sx_err *e)
{
    if (sx_sm_run(sm, e, "DELETE FROM file WHERE volume = ? AND path = ?", "it", v->id, path) != 0 ||
        sx_content_drop(sm, r->f.content, e) != 0)
        return -1;
    return sx_usage_add(sm, v, -(int64_t)r->f.size, r->f.marker ? 0 : -1, e);
}

int sx_frow_purge(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *r,
                  uint64_t *n, struct sx_err *e)
{
    uint64_t older = r->older, bytes = 0;

    *n = 1 + older;
    if (sx_frow_any_locked(sm, v, r, e) != 0 ||
        sx_frow_trim(sm, v->id, path, &older, 0, &bytes, e) != 0 ||
        sx_usage_add(sm, v, -(int64_t)bytes, 0, e) != 0)
        return -1;
    return last_remove(sm, v, path, r, e);
}

/* The newest of the old ones takes the place of the newest. */
static int promote(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *r,
                   struct sx_err *e)
{
    uint64_t ord, marker;

    if (sx_sm_number(sm, e, &ord, 0, "SELECT max(ord) FROM old WHERE volume = ? AND path = ?", "it",
                     v->id, path) != 0 ||
        sx_sm_number(sm, e, &marker, 0, "SELECT " SX_FILE_IS_MARKER " FROM old WHERE volume = ?"
                                        " AND path = ? AND ord = ?", "iti", v->id, path, ord) != 0 ||
        sx_sm_run(sm, e,
                  "INSERT OR REPLACE INTO file(volume, path, ord, moved, older, " SX_FILE_ROW ")"
                  " SELECT volume, path, ord, ? - rev, ?, " SX_FILE_ROW " FROM old"
                  " WHERE volume = ? AND path = ? AND ord = ?", "iiiti", r->changed, r->older - 1,
                  v->id, path, ord) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM old WHERE volume = ? AND path = ? AND ord = ?", "iti", v->id,
                  path, ord) != 0 ||
        sx_content_drop(sm, r->f.content, e) != 0)
        return -1;
    return sx_usage_add(sm, v, -(int64_t)r->f.size, !marker - !r->f.marker, e);
}

int sx_frow_delete_one(struct sx_sm *sm, struct sx_volume *v, const char *path,
                       const struct sx_frow *r, uint64_t rev, bool bypass, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow one = SX_FROW_INIT;
    uint64_t older = r->older, bytes = 0;

    if (sx_frow_any(sm, v, path, rev, &one, e) != 0 || sx_frow_locked(sm, &one.f, bypass, e) != 0)
        return -1;
    if (rev == r->f.rev)
        return r->older ? promote(sm, v, path, r, e) : last_remove(sm, v, path, r, e);
    if (old_remove(sm, v, &one, &older, &bytes, e) != 0 ||
        sx_sm_run(sm, e, "UPDATE file SET older = ? WHERE volume = ? AND path = ?", "iit", older,
                  v->id, path) != 0)
        return -1;
    return sx_usage_add(sm, v, -(int64_t)bytes, 0, e);
}

/* The contents of a moved file now count for w as well. */
static int move_replica(struct sx_sm *sm, const struct sx_volume *w, const char *to,
                        const struct sx_frow *src, struct sx_err *e)
{
    if (sx_content_replica(sm, src->f.content, w->replica, e) != 0)
        return -1;
    if (!src->older)
        return 0;
    if (sx_sm_run(sm, e,
                  "UPDATE content SET replica = max(replica, ?) WHERE id IN"
                  " (SELECT content FROM old WHERE volume = ? AND path = ?)", "uit", w->replica,
                  w->id, to) != 0)
        return -1;
    return sx_sm_run(sm, e,
                     "UPDATE content SET replica = max(replica, ?) WHERE id IN (SELECT child FROM joint"
                     " WHERE content IN (SELECT content FROM old WHERE volume = ? AND path = ?))",
                     "uit", w->replica, w->id, to);
}

static int move_quota(struct sx_sm *sm, const struct sx_volume *v, const struct sx_volume *w,
                      uint64_t grown, struct sx_err *e)
{
    if (v->id == w->id || grown == 0)
        return 0;
    if (sx_usage_volume_room(w, grown, grown, e) != 0)
        return -1;
    return strcmp(v->owner, w->owner) == 0 ? 0 : sx_usage_owner_room(sm, w, grown, grown, e);
}

/* The rows of the source go behind those of the destination, which become old. */
static int move_rows(struct sx_sm *sm, const struct sx_volume *v, const char *path,
                     const struct sx_volume *w, const char *to, const struct sx_frow *dst,
                     struct sx_err *e)
{
    if (dst && newest_to_old(sm, w->id, to, e) != 0)
        return -1;
    if (sx_sm_run(sm, e,
                  "UPDATE old SET volume = ?, path = ?, ord = ord + ? WHERE volume = ? AND path = ?",
                  "itiit", w->id, to, dst ? dst->ord : 0, v->id, path) != 0)
        return -1;
    return sx_sm_run(sm, e, "DELETE FROM file WHERE volume = ? AND path = ?", "it", v->id, path);
}

int sx_frow_move(struct sx_sm *sm, struct sx_volume *v, const char *path, struct sx_volume *w,
                 const char *to, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow src = SX_FROW_INIT, dst = SX_FROW_INIT;
    uint64_t moved, older, freed = 0;
    int there;

    if (sx_frow_revision(sm, v, path, 0, &src, e) != 0 || sx_frow_any_locked(sm, v, &src, e) != 0)
        return -1;
    there = sx_frow_find(sm, w, to, &dst, e);
    if (there < 0 ||
        sx_sm_number(sm, e, &moved, 0,
                     "SELECT coalesce(sum(size), 0) FROM old WHERE volume = ? AND path = ?", "it",
                     v->id, path) != 0 ||
        move_rows(sm, v, path, w, to, there ? &dst : NULL, e) != 0)
        return -1;
    moved += src.f.size;
    older = src.older + (there ? dst.older + 1 : 0);
    if (move_replica(sm, w, to, &src, e) != 0 ||
        sx_frow_trim(sm, w->id, to, &older, sx_frow_old_max(w), &freed, e) != 0 ||
        row_write(sm, w->id, to, src.ord + (there ? dst.ord : 0), sm->num, older, &src.f, e) != 0 ||
        sx_usage_add(sm, v, -(int64_t)moved, -1, e) != 0 ||
        sx_usage_add(sm, w, (int64_t)(moved - freed), there && !dst.f.marker ? 0 : 1, e) != 0)
        return -1;
    return move_quota(sm, v, w, moved > freed ? moved - freed : 0, e);
}
