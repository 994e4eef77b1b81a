/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Uploads: block lists that are sent in parts.  A part's references are there from the moment it is
 * applied, so its lease is checked then and not again at the commit.  upload_part checks everything
 * before it writes (see sm.c).
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

#define IDLE_MS (24ull * 3600 * 1000)
#define MULTIPART_IDLE_MS (7 * IDLE_MS)
#define AFTER_JUMP_MS (3600ull * 1000) /* of time that passed: nothing expires before, see below */

int sx_sm_lease_check(struct sx_sm *sm, uint64_t lease, struct sx_err *e)
{
    uint64_t epoch;

    if (sx_sm_epoch(sm, &epoch, e) != 0)
        return -1;
    if (lease > sx_epoch_horizon(epoch))
        return 0;
    return sx_err_set(e, SX_ELEASE,
                      "the blocks were leased in epoch %llu, collection has reached %llu: ask for "
                      "them again", (unsigned long long)lease,
                      (unsigned long long)sx_epoch_horizon(epoch));
}

int sx_sm_upload_find(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], struct sx_uprow *u,
                      struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT volume, content, parts, blocks, size, path, user FROM upload"
                       " WHERE id = ? AND NOT multipart",
                       "b", id, (size_t)SX_UPLOAD_ID);

    if (rc < 0)
        return -1;
    if (rc == 1 && strcmp((const char *)sqlite3_column_text(st, 6), sm->user) == 0) {
        u->volume = sx_mdb_u64(st, 0);
        u->content = sx_mdb_u64(st, 1);
        u->parts = sx_mdb_u64(st, 2);
        u->blocks = sx_mdb_u64(st, 3);
        u->size = sx_mdb_u64(st, 4);
        sx_mdb_text(st, 5, u->path, sizeof u->path);
        sqlite3_reset(st);
        return 0;
    }
    if (rc == 1)
        sqlite3_reset(st);
    return sx_err_set(e, SX_ENOUPLOAD, "the upload does not exist");
}

int sx_sm_upload_forget(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], struct sx_err *e)
{
    return sx_sm_run(sm, e, "DELETE FROM upload WHERE id = ?", "b", id, (size_t)SX_UPLOAD_ID);
}

int sx_sm_do_upload_begin(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_upload_begin c;
    struct sx_volume v;
    struct sx_content_new n = { .id = sm->num };
    uint64_t open, there;

    if (sx_cmd_upload_begin_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_WRITE, &v, e) != 0 || sx_sm_volume_takes(&v, e) != 0)
        return -1;
    if (!*c.path)
        return sx_err_set(e, SX_ENAME, "file path is empty");
    if (sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM upload WHERE id = ?", "b", c.upload,
                     (size_t)SX_UPLOAD_ID) != 0 ||
        sx_sm_number(sm, e, &open, 0, "SELECT count(*) FROM upload WHERE user = ?", "t",
                     sm->user) != 0)
        return -1;
    if (there)
        return sx_err_set(e, SX_EEXIST, "the upload id is in use");
    if (open >= SX_UPLOADS_MAX)
        return sx_err_set(e, SX_ETOOMANY, "user '%s' has %llu open uploads; at most %u are allowed",
                          sm->user, (unsigned long long)open, SX_UPLOADS_MAX);
    if (c.multipart > 1 || sx_meta_items_check(c.meta.p, c.meta.n, e) != 0)
        return -1;
    n.replica = v.replica;
    if (!c.multipart && sx_content_add_empty(sm, &n, e) != 0)
        return -1;
    return sx_sm_run(sm, e, "INSERT INTO upload VALUES(?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?, ?)",
                     "btitiiiuo", c.upload, (size_t)SX_UPLOAD_ID, sm->user, v.id, c.path,
                     c.multipart ? 0 : sm->num, sm->time_ms, sm->time_ms, (unsigned)c.multipart,
                     c.meta.p, c.meta.n);
}

/* A part that was sent before: fine if it is the same. */
static int part_repeated(struct sx_sm *sm, const struct sx_uprow *u,
                         const struct sx_cmd_upload_part *c, struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    bool same = false;
    int rc = sx_sm_row(sm, e, &st, "SELECT entries FROM part WHERE content = ? AND seq = ?", "iu",
                       u->content, (unsigned)c->seq);

    if (rc < 0)
        return -1;
    if (rc == 1) {
        s = sx_mdb_blob(st, 0);
        same = s.n == c->entries.n && memcmp(s.p, c->entries.p, s.n) == 0;
        sqlite3_reset(st);
    }
    return same ? 0 : sx_err_set(e, SX_ECONFLICT, "part %u was sent before with other entries",
                                 c->seq);
}

int sx_sm_do_upload_part(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_upload_part c;
    struct sx_uprow u;
    uint64_t size, blocks;

    if (sx_cmd_upload_part_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_upload_find(sm, c.upload, &u, e) != 0 ||
        sx_content_measure(&c.entries, &size, &blocks, e) != 0)
        return -1;
    if (blocks == 0)
        return sx_err_set(e, SX_EINVAL, "part %u has no entries", c.seq);
    if (c.seq < u.parts)
        return part_repeated(sm, &u, &c, e);
    if (c.seq > u.parts)
        return sx_err_set(e, SX_ECONFLICT, "part %u came, part %llu is the next", c.seq,
                          (unsigned long long)u.parts);
    if (u.size + size > SX_FILE_SIZE_MAX)
        return sx_err_set(e, SX_ETOOBIG, "file of %llu bytes; at most %llu are allowed",
                          (unsigned long long)(u.size + size), SX_FILE_SIZE_MAX);
    if (sx_sm_lease_check(sm, c.lease, e) != 0 ||
        sx_content_add_part(sm, u.content, c.seq, u.blocks, u.size, &c.entries, e) != 0)
        return -1;
    return sx_sm_run(sm, e,
                     "UPDATE upload SET parts = parts + 1, blocks = blocks + ?, size = size + ?,"
                     " updated_ms = ? WHERE id = ?", "iiib", blocks, size, sm->time_ms, c.upload,
                     (size_t)SX_UPLOAD_ID);
}

/* The row goes, and what it or its parts have. */
static int discard(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], uint64_t content,
                   struct sx_err *e)
{
    if (sx_mparts_drop(sm, id, e) != 0 || sx_sm_upload_forget(sm, id, e) != 0)
        return -1;
    return sx_content_drop(sm, content, e);
}

int sx_sm_do_upload_abort(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_upload_abort c;
    struct sx_multipart mp;
    struct sx_uprow u;
    uint64_t multipart;

    if (sx_cmd_upload_abort_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_number(sm, e, &multipart, 0, "SELECT multipart FROM upload WHERE id = ?", "b",
                     c.upload, (size_t)SX_UPLOAD_ID) != 0)
        return -1;
    if (!multipart)
        return sx_sm_upload_find(sm, c.upload, &u, e) ? -1 : discard(sm, c.upload, u.content, e);
    return sx_sm_multipart_find(sm, c.upload, &mp, e) ? -1 : discard(sm, c.upload, 0, e);
}

/* Drops the upload in the statement's row (id, content), which it resets. */
static int drop_row(struct sx_sm *sm, sqlite3_stmt *st, struct sx_err *e)
{
    struct sx_span s = sx_mdb_blob(st, 0);
    uint64_t content = sx_mdb_u64(st, 1);
    uint8_t id[SX_UPLOAD_ID];

    sx_assert(s.n == sizeof id);
    memcpy(id, s.p, sizeof id);
    sqlite3_reset(st);
    return discard(sm, id, content, e);
}

int sx_sm_uploads_drop_volume(struct sx_sm *sm, uint64_t volume, struct sx_err *e)
{
    for (;;) {
        sqlite3_stmt *st;
        int rc = sx_sm_row(sm, e, &st,
                           "SELECT id, content FROM upload WHERE volume = ? ORDER BY id LIMIT 1",
                           "i", volume);

        if (rc != 1)
            return rc;
        if (drop_row(sm, st, e) != 0)
            return -1;
    }
}

int sx_sm_uploads_drop_user(struct sx_sm *sm, const char *user, struct sx_err *e)
{
    for (;;) {
        sqlite3_stmt *st;
        int rc = sx_sm_row(sm, e, &st,
                           "SELECT id, content FROM upload WHERE user = ? ORDER BY id LIMIT 1", "t",
                           user);

        if (rc != 1)
            return rc;
        if (drop_row(sm, st, e) != 0)
            return -1;
    }
}

/* Time that jumped has not passed: an upload that is in use shows it by its next part before a leader's wrong
 * clock makes it idle.  Those that are idle go a little later. */
int sx_sm_uploads_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e)
{
    uint64_t before = sm->time_ms > IDLE_MS ? sm->time_ms - IDLE_MS : 0;
    uint64_t multipart = sm->time_ms > MULTIPART_IDLE_MS ? sm->time_ms - MULTIPART_IDLE_MS : 0;

    if (sm->time_ms < sm->jump_ms + AFTER_JUMP_MS)
        return 0;
    for (; *budget; (*budget)--) {
        sqlite3_stmt *st;
        int rc = sx_sm_row(sm, e, &st,
                           "SELECT id, content FROM upload WHERE updated_ms < ?"
                           " AND (NOT multipart OR updated_ms < ?)"
                           " ORDER BY updated_ms, id LIMIT 1", "ii", before, multipart);

        if (rc != 1)
            return rc;
        if (drop_row(sm, st, e) != 0)
            return -1;
    }
    return 0;
}
