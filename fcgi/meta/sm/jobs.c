/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Jobs: long work on the files of a volume, done in bounded steps.  What is to do, how far it got
 * and what came out is in table job, so a step needs only the job's number, any node can drive it,
 * and a step that is submitted twice does no harm.
 *
 *   waiting ──step──▶ running ──step…──▶ done | failed
 *        └────────cancel, finish───────┴──▶ canceled | failed | done
 *
 * A step goes on behind the cursor, in order of the paths.  Files that were put or moved after the
 * job was made (file.changed > job.id) are left alone: so a rename never meets its own results.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"
#include "libsx/base/text.h"

#define STEP_SCAN_MAX 5000u /* rows looked at in one step */

struct job {
    uint64_t id, volume, to_volume, done, failed;
    unsigned type, state;
    char user[SX_USER_NAME_MAX + 1];
    char prefix[SX_PATH_MAX + 1], glob[SX_GLOB_MAX + 1], to_prefix[SX_PATH_MAX + 1];
    char cursor[SX_PATH_MAX + 1];
    char message[SX_MESSAGE_MAX + 1];
};

static int job_find(struct sx_sm *sm, uint64_t id, struct job *j, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT type, state, user, volume, prefix, glob, to_volume, to_prefix,"
                       " cursor, done, failed, message FROM job WHERE id = ?", "i", id);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOJOB, "job %016llx does not exist", (unsigned long long)id);
    j->id = id;
    j->type = (unsigned)sx_mdb_u64(st, 0);
    j->state = (unsigned)sx_mdb_u64(st, 1);
    sx_mdb_text(st, 2, j->user, sizeof j->user);
    j->volume = sx_mdb_u64(st, 3);
    sx_mdb_text(st, 4, j->prefix, sizeof j->prefix);
    sx_mdb_text(st, 5, j->glob, sizeof j->glob);
    j->to_volume = sx_mdb_u64(st, 6);
    sx_mdb_text(st, 7, j->to_prefix, sizeof j->to_prefix);
    sx_mdb_text(st, 8, j->cursor, sizeof j->cursor);
    j->done = sx_mdb_u64(st, 9);
    j->failed = sx_mdb_u64(st, 10);
    sx_mdb_text(st, 11, j->message, sizeof j->message);
    sqlite3_reset(st);
    return 0;
}

static bool is_ended(const struct job *j)
{
    return j->state >= SX_JOB_DONE;
}

static int job_answer(struct sx_sm *sm, const struct job *j)
{
    struct sx_job_result r = { j->id, (uint8_t)j->state, j->done, j->failed };

    sx_job_result_encode(sm->out, &r);
    return 0;
}

static int job_write(struct sx_sm *sm, const struct job *j, struct sx_err *e)
{
    if (sx_sm_run(sm, e,
                  "UPDATE job SET state = ?, cursor = ?, done = ?, failed = ?, message = ?,"
                  " updated_ms = ? WHERE id = ?", "utiitii", j->state, j->cursor, j->done,
                  j->failed, j->message, sm->time_ms, j->id) != 0)
        return -1;
    return job_answer(sm, j);
}

static void message_set(struct job *j, const char *msg)
{
    size_t n = strnlen(msg, sizeof j->message - 1);

    if (*j->message)
        return;
    memcpy(j->message, msg, n);
    j->message[n] = 0;
}

/* Ends the job; a volume that was to be removed takes files again. */
static int job_end(struct sx_sm *sm, struct job *j, unsigned state, const char *msg,
                   struct sx_err *e)
{
    j->state = state;
    message_set(j, msg);
    if (j->type == SX_JOB_VOLUME_DELETE &&
        sx_sm_run(sm, e, "UPDATE volume SET deleting = 0 WHERE id = ?", "i", j->volume) != 0)
        return -1;
    return job_write(sm, j, e);
}

/* ---- create, cancel, finish ---- */

static int create_volumes(struct sx_sm *sm, const struct sx_cmd_job_create *c, struct sx_volume *v,
                          struct sx_volume *w, struct sx_err *e)
{
    unsigned need = c->job_type == SX_JOB_VOLUME_DELETE ? SX_RIGHT_OWNER : SX_RIGHT_WRITE;
    size_t n = strlen(c->prefix);

    w->id = 0;
    if (c->job_type < SX_JOB_DELETE || c->job_type > SX_JOB_VOLUME_DELETE)
        return sx_err_set(e, SX_EINVAL, "job type %u is unknown", c->job_type);
    if (sx_sm_volume(sm, c->volume, need, v, e) != 0)
        return -1;
    if (c->job_type == SX_JOB_VOLUME_DELETE)
        return sx_sm_volume_takes(v, e);
    if (c->job_type != SX_JOB_RENAME)
        return 0;
    if (sx_sm_volume(sm, c->to_volume, SX_RIGHT_WRITE, w, e) != 0 || sx_sm_volume_takes(w, e) != 0)
        return -1;
    if (v->id == w->id && strncmp(c->to_prefix, c->prefix, n) == 0 && c->to_prefix[n])
        return sx_err_set(e, SX_EINVAL, "'%s' cannot be moved below itself, to '%s'", c->prefix,
                          c->to_prefix);
    return 0;
}

int sx_sm_do_job_create(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_job_create c;
    struct sx_volume v, w;
    uint64_t pending;

    if (sx_cmd_job_create_decode(body->p, body->n, &c, e) != 0 ||
        create_volumes(sm, &c, &v, &w, e) != 0 ||
        sx_sm_number(sm, e, &pending, 0, "SELECT count(*) FROM job WHERE user = ? AND state < 2",
                     "t", sm->user) != 0)
        return -1;
    if (pending >= SX_JOBS_PENDING_MAX)
        return sx_err_set(e, SX_ETOOMANY,
                          "user '%s' has %llu unfinished jobs; at most %u are allowed",
                          sm->user, (unsigned long long)pending, SX_JOBS_PENDING_MAX);
    if (c.job_type == SX_JOB_VOLUME_DELETE &&
        sx_sm_run(sm, e, "UPDATE volume SET deleting = ? WHERE id = ?", "ii", sm->num, v.id) != 0)
        return -1;
    if (sx_sm_run(sm, e, "INSERT INTO job VALUES(?, ?, 0, ?, ?, ?, ?, ?, ?, '', 0, 0, '', ?, ?)",
                  "iutittitii", sm->num, (unsigned)c.job_type, sm->user, v.id, c.prefix, c.glob,
                  w.id, c.to_prefix, sm->time_ms, sm->time_ms) != 0)
        return -1;
    sx_buf_u64(sm->out, sm->num);
    return 0;
}

int sx_sm_do_job_cancel(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_job_cancel c;
    struct job j;

    if (sx_cmd_job_cancel_decode(body->p, body->n, &c, e) != 0 || job_find(sm, c.id, &j, e) != 0)
        return -1;
    if (!sm->admin && strcmp(j.user, sm->user) != 0)
        return sx_err_set(e, SX_ENOJOB, "job %016llx does not exist", (unsigned long long)c.id);
    return is_ended(&j) ? job_answer(sm, &j) : job_end(sm, &j, SX_JOB_CANCELED, "canceled", e);
}

int sx_sm_do_job_finish(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_job_finish c;
    struct job j;

    if (sx_cmd_job_finish_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0 ||
        job_find(sm, c.id, &j, e) != 0)
        return -1;
    if (c.state != SX_JOB_DONE && c.state != SX_JOB_FAILED)
        return sx_err_set(e, SX_EINVAL, "a job cannot be finished as '%s'",
                          sx_job_state_name(c.state));
    return is_ended(&j) ? job_answer(sm, &j) : job_end(sm, &j, c.state, c.message, e);
}

/* ---- steps ---- */

/* The least string that is larger than all with this prefix.  UTF-8 has no byte 0xff. */
static void prefix_end(const char *prefix, char out[SX_PATH_MAX + 2])
{
    size_t n = strlen(prefix);

    memcpy(out, prefix, n + 1);
    if (n == 0)
        memcpy(out, "\xff", 2);
    else
        out[n - 1] = (char)((unsigned char)out[n - 1] + 1);
}

static bool is_wanted(const struct job *j, const char *path, uint64_t changed, bool marker)
{
    if (j->type == SX_JOB_VOLUME_DELETE)
        return true;
    return !marker && changed <= j->id && (!*j->glob || sx_glob_match(j->glob, path, true));
}

/* Collects at most `limit` paths (each with its NUL) and moves the cursor behind what was looked
 * at. *end: nothing is left behind the cursor. */
static int step_collect(struct sx_sm *sm, struct job *j, uint32_t limit, struct sx_buf *paths,
                        bool *end, struct sx_err *e)
{
    char below[SX_PATH_MAX + 2];
    sqlite3_stmt *st;
    uint32_t found = 0;
    int rc;

    prefix_end(j->prefix, below);
    rc = sx_sm_row(sm, e, &st,
                   "SELECT path, changed, " SX_FILE_IS_MARKER " FROM file WHERE volume = ?"
                   " AND path > ? AND path >= ? AND path < ? ORDER BY path LIMIT ?", "itttu", j->volume, j->cursor, j->prefix,
                   below, STEP_SCAN_MAX + 1);
    for (unsigned seen = 0; rc == 1; rc = sx_sm_next(sm, e, st)) {
        const char *path = (const char *)sqlite3_column_text(st, 0);

        if (found == limit || seen++ == STEP_SCAN_MAX) {
            sqlite3_reset(st);
            break;
        }
        if (is_wanted(j, path, sx_mdb_u64(st, 1), sx_mdb_u64(st, 2) != 0)) {
            sx_buf_add(paths, path, strlen(path) + 1);
            found++;
        }
        sx_mdb_text(st, 0, j->cursor, sizeof j->cursor);
    }
    *end = rc == 0;
    return rc < 0 ? -1 : 0;
}

/* With the volume, all revisions go. */
static int file_delete(struct sx_sm *sm, const struct job *j, struct sx_volume *v, const char *path,
                       struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow r = SX_FROW_INIT;
    uint64_t n;

    if (sx_frow_any(sm, v, path, 0, &r, e) != 0)
        return -1;
    if (j->type == SX_JOB_VOLUME_DELETE)
        return sx_frow_purge(sm, v, path, &r, &n, e);
    return sx_frow_delete(sm, v, path, &r, &n, e);
}

/* SX_ECONFLICT if the place is taken by a file that the job has still to move. */
static int place_free(struct sx_sm *sm, const struct job *j, const char *to, struct sx_err *e)
{
    uint64_t changed;

    if (j->volume != j->to_volume || strncmp(to, j->prefix, strlen(j->prefix)) != 0)
        return 0;
    if (sx_sm_number(sm, e, &changed, UINT64_MAX,
                     "SELECT changed FROM file WHERE volume = ? AND path = ?", "it", j->volume,
                     to) != 0)
        return -1;
    if (changed <= j->id)
        return sx_err_set(e, SX_ECONFLICT, "file '%s' is in the way and is itself to be moved", to);
    return 0;
}

static int file_move(struct sx_sm *sm, const struct job *j, struct sx_volume *v,
                     struct sx_volume *w, const char *path, struct sx_err *e)
{
    const char *rest = path + strlen(j->prefix);
    size_t n = strlen(j->to_prefix) + strlen(rest);
    char to[SX_PATH_MAX + 1];

    if (n == 0 || n > SX_PATH_MAX)
        return sx_err_set(e, n ? SX_ENAMETOOLONG : SX_ENAME,
                          "'%s' would get a path of %zu bytes; 1 to %u are allowed", path, n,
                          SX_PATH_MAX);
    memcpy(to, j->to_prefix, n - strlen(rest));
    memcpy(to + (n - strlen(rest)), rest, strlen(rest) + 1);
    if (v == w && strcmp(path, to) == 0)
        return 0;
    if (place_free(sm, j, to, e) != 0)
        return -1;
    return sx_frow_move(sm, v, path, w, to, e);
}

/* One file in its own savepoint: a refusal is undone, also in v and w, and counted; the job goes
 * on. */
static int step_file(struct sx_sm *sm, struct job *j, struct sx_volume *v, struct sx_volume *w,
                     const char *path, struct sx_err *e)
{
    const struct sx_volume was_v = *v, was_w = *w;
    struct sx_err why = SX_ERR_INIT;
    int rc;

    if (sx_sm_run(sm, e, "SAVEPOINT file", "") != 0)
        return -1;
    if (j->type == SX_JOB_RENAME)
        rc = file_move(sm, j, v, w, path, &why);
    else
        rc = file_delete(sm, j, v, path, &why);
    if (sm->broken) {
        sx_err_copy(e, &why);
        return -1;
    }
    if (rc == 0) {
        j->done++;
        return sx_sm_run(sm, e, "RELEASE file", "");
    }
    j->failed++;
    message_set(j, why.msg);
    *v = was_v;
    *w = was_w;
    if (sx_sm_run(sm, e, "ROLLBACK TO file", "") != 0)
        return -1;
    return sx_sm_run(sm, e, "RELEASE file", "");
}

static int step_end(struct sx_sm *sm, struct job *j, struct sx_volume *v, struct sx_err *e)
{
    if (j->failed)
        return job_end(sm, j, SX_JOB_FAILED, "", e);
    if (j->type == SX_JOB_VOLUME_DELETE && sx_sm_volume_remove(sm, v, e) != 0)
        return -1;
    return job_end(sm, j, SX_JOB_DONE, "", e);
}

/* Volumes with the rights of the job's user. */
static int step_volumes(struct sx_sm *sm, const struct job *j, struct sx_volume *v,
                        struct sx_volume *w, struct sx_err *e)
{
    unsigned need = j->type == SX_JOB_VOLUME_DELETE ? SX_RIGHT_OWNER : SX_RIGHT_WRITE;

    if (sx_sm_caller(sm, j->user, e) != 0 || sx_sm_volume_id(sm, j->volume, need, v, e) != 0)
        return -1;
    if (j->type != SX_JOB_RENAME)
        return 0;
    if (sx_sm_volume_id(sm, j->to_volume, SX_RIGHT_WRITE, w, e) != 0)
        return -1;
    return sx_sm_volume_takes(w, e);
}

static int step(struct sx_sm *sm, struct job *j, uint32_t limit, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf paths = SX_BUF_INIT;
    struct sx_err why = SX_ERR_INIT;
    struct sx_volume v, w, *to = &v;
    bool end;

    if (step_volumes(sm, j, &v, &w, &why) != 0) {
        if (!sm->broken)
            return job_end(sm, j, SX_JOB_FAILED, why.msg, e);
        sx_err_copy(e, &why);
        return -1;
    }
    if (j->type == SX_JOB_RENAME && v.id != w.id)
        to = &w;
    if (step_collect(sm, j, limit, &paths, &end, e) != 0)
        return -1;
    for (size_t at = 0; at < paths.len; at += strlen((char *)paths.data + at) + 1)
        if (step_file(sm, j, &v, to, (char *)paths.data + at, e) != 0)
            return -1;
    if (end)
        return step_end(sm, j, &v, e);
    j->state = SX_JOB_RUNNING;
    return job_write(sm, j, e);
}

int sx_sm_do_job_step(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_job_step c;
    struct job j;

    if (sx_cmd_job_step_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0 ||
        job_find(sm, c.id, &j, e) != 0)
        return -1;
    if (c.limit == 0 || c.limit > SX_STEP_MAX)
        return sx_err_set(e, SX_EINVAL, "limit %u is not between 1 and %u", c.limit, SX_STEP_MAX);
    return is_ended(&j) ? job_answer(sm, &j) : step(sm, &j, c.limit, e);
}
