/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries on uploads, jobs and block references.
 */
#include <string.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

int sx_query_upload(sqlite3 *db, const char *user, const uint8_t upload[SX_UPLOAD_ID],
                    struct sx_upload *u, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT volume, path, parts, blocks, size, created_ms, updated_ms, user FROM upload"
                       " WHERE id = ? AND (user = ? OR ? = '')", "btt", upload,
                       (size_t)SX_UPLOAD_ID, user, user);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOUPLOAD, "the upload does not exist");
    u->volume = sx_mdb_u64(st, 0);
    sx_mdb_text(st, 1, u->path, sizeof u->path);
    u->parts = (uint32_t)sx_mdb_u64(st, 2);
    u->blocks = sx_mdb_u64(st, 3);
    u->size = sx_mdb_u64(st, 4);
    u->created_ms = sx_mdb_u64(st, 5);
    u->updated_ms = sx_mdb_u64(st, 6);
    sx_mdb_text(st, 7, u->user, sizeof u->user);
    sqlite3_reset(st);
    return 0;
}

/* ---- jobs ---- */

#define JOB_COLS "id, type, state, done, failed, message, user, created_ms, updated_ms"

static json_t *job_json(sqlite3_stmt *st)
{
    char id[17];
    uint8_t be[8];
    json_t *j;

    for (unsigned i = 0; i < 8; i++)
        be[i] = (uint8_t)(sx_mdb_u64(st, 0) >> (56 - 8 * i));
    j = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:I, s:I}", "job", sx_hex(id, be, sizeof be),
                  "type", sx_job_type_name((unsigned)sx_mdb_u64(st, 1)), "state",
                  sx_job_state_name((unsigned)sx_mdb_u64(st, 2)), "done",
                  (json_int_t)sx_mdb_u64(st, 3),
                  "failed", (json_int_t)sx_mdb_u64(st, 4), "message", sqlite3_column_text(st, 5),
                  "user", sqlite3_column_text(st, 6), "created_ms", (json_int_t)sx_mdb_u64(st, 7),
                  "updated_ms", (json_int_t)sx_mdb_u64(st, 8));
    sx_assert(j);
    return j;
}

/* "" if the user sees all jobs, else his name. */
static int sees(sqlite3 *db, const char *user, const char **whose, struct sx_err *e)
{
    struct sx_user u;

    *whose = "";
    if (!*user)
        return 0;
    if (sx_query_user(db, user, &u, e) != 0)
        return -1;
    if (u.role != SX_ROLE_ADMIN)
        *whose = user;
    return 0;
}

int sx_query_job_json(sqlite3 *db, const char *user, uint64_t id, json_t **j, struct sx_err *e)
{
    const char *whose;
    sqlite3_stmt *st;
    int rc;

    if (sees(db, user, &whose, e) != 0)
        return -1;
    rc = sx_mdb_get(db, &st, e,
                   "SELECT " JOB_COLS " FROM job WHERE id = ? AND (user = ? OR ? = '')", "itt", id,
                   whose, whose);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOJOB, "job %016llx does not exist", (unsigned long long)id);
    *j = job_json(st);
    sqlite3_reset(st);
    return 0;
}

int sx_query_jobs_json(sqlite3 *db, const char *user, unsigned limit, json_t **array,
                       struct sx_err *e)
{
    SX_AUTO_JSON json_t *list = json_array();
    const char *whose;
    sqlite3_stmt *st;
    int rc;

    if (sees(db, user, &whose, e) != 0)
        return -1;
    rc = sx_mdb_get(db, &st, e,
                   "SELECT " JOB_COLS " FROM job WHERE user = ? OR ? = '' ORDER BY id DESC LIMIT ?",
                   "ttu", whose, whose, limit);
    for (; rc == 1; rc = sx_mdb_step(st, e))
        json_array_append_new(list, job_json(st));
    if (rc < 0)
        return -1;
    *array = SX_STEAL(list);
    return 0;
}

int sx_query_jobs_pending(sqlite3 *db, struct sx_job *out, size_t max, size_t *n, struct sx_err *e)
{
    sqlite3_stmt *st;
    size_t count = 0;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT id, type, state, user, done, failed FROM job WHERE state < 2"
                       " ORDER BY id LIMIT ?", "i", (uint64_t)max);

    for (; rc == 1; rc = sx_mdb_step(st, e), count++) {
        out[count].id = sx_mdb_u64(st, 0);
        out[count].type = (uint8_t)sx_mdb_u64(st, 1);
        out[count].state = (uint8_t)sx_mdb_u64(st, 2);
        sx_mdb_text(st, 3, out[count].user, sizeof out[count].user);
        out[count].done = sx_mdb_u64(st, 4);
        out[count].failed = sx_mdb_u64(st, 5);
    }
    if (rc < 0)
        return -1;
    *n = count;
    return 0;
}

/* ---- references ---- */

int sx_query_referenced(sqlite3 *db, const struct sx_id *ids, size_t n, uint8_t *yes,
                        struct sx_err *e)
{
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *st;
        int rc = sx_mdb_get(db, &st, e, "SELECT 1 FROM ref WHERE id = ? LIMIT 1", "b", ids[i].b,
                           (size_t)SX_ID_SIZE);

        if (rc < 0)
            return -1;
        yes[i] = (uint8_t)rc;
        if (rc)
            sqlite3_reset(st);
    }
    return 0;
}

int sx_query_dropped(sqlite3 *db, uint64_t *num, uint8_t bits[SX_ID_PREFIXES / 8],
                     struct sx_err *e)
{
    uint64_t last = *num;
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, "SELECT prefix, num FROM dropped WHERE num > ?", "i", *num);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        uint64_t prefix = sx_mdb_u64(st, 0), at = sx_mdb_u64(st, 1);

        sx_assert(prefix < SX_ID_PREFIXES);
        bits[prefix / 8] |= (uint8_t)(1u << prefix % 8);
        last = at > last ? at : last;
    }
    if (rc == 0)
        *num = last;
    return rc;
}

int sx_query_doomed(sqlite3 *db, bool *any, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                        "SELECT EXISTS(SELECT 1 FROM content WHERE users = 0) OR EXISTS(SELECT 1"
                        " FROM trim) OR EXISTS(SELECT 1 FROM pin WHERE expires_ms <"
                        " (SELECT time_ms FROM state))", "");

    if (rc != 1)
        return rc < 0 ? -1 : sx_err_set(e, SX_ECORRUPT, "metadata database: no answer");
    *any = sx_mdb_u64(st, 0) != 0;
    sqlite3_reset(st);
    return 0;
}

/* Rows of one id follow each other; its replica count is the largest of them. */
static void ref_take(sqlite3_stmt *st, struct sx_ref *out, size_t *n)
{
    struct sx_span id = sx_mdb_blob(st, 0);
    uint8_t replica = (uint8_t)sx_mdb_u64(st, 2);
    struct sx_ref *r = out + *n;

    sx_assert(id.n == SX_ID_SIZE);
    if (*n && memcmp(out[*n - 1].id.b, id.p, SX_ID_SIZE) == 0) {
        r = out + *n - 1;
        if (r->replica < replica)
            r->replica = replica;
        return;
    }
    memcpy(r->id.b, id.p, SX_ID_SIZE);
    r->len = (uint32_t)sx_mdb_u64(st, 1);
    r->replica = replica;
    (*n)++;
}

int sx_query_refs(sqlite3 *db, const struct sx_id *from, size_t max, struct sx_ref *out, size_t *n,
                  struct sx_err *e)
{
    sqlite3_stmt *st;
    size_t count = 0;
    int rc;

    if (max == 0)
        return sx_err_set(e, SX_EINVAL, "no room for a reference");
    rc = sx_mdb_get(db, &st, e,
                   "SELECT ref.id, ref.len, content.replica FROM ref CROSS JOIN content"
                   " ON content.id = ref.content WHERE ref.id >= ? ORDER BY ref.id, ref.content",
                   "b", from->b, (size_t)SX_ID_SIZE);
    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_span id = sx_mdb_blob(st, 0);

        if (count == max && memcmp(out[max - 1].id.b, id.p, id.n) != 0) {
            sqlite3_reset(st);
            break;
        }
        ref_take(st, out, &count);
    }
    if (rc < 0)
        return -1;
    *n = count;
    return 0;
}
