/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Multipart uploads: parts by number, in any order, replaced at will, joined at the end without
 * moving a byte or a block list.  Source: "Uploading and copying objects using multipart upload", S3
 * User Guide.
 *
 *   upload     one row, with `multipart` and no content of its own
 *   mpart      one row a part, which is the one user of a content
 *   complete   the contents of the named parts become one joint content; the others are dropped
 *
 * Each command checks everything before it writes (see sm.c).
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

int sx_sm_multipart_find(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], struct sx_multipart *mp,
                         struct sx_err *e)
{
    sqlite3_stmt *st;
    uint64_t volume;
    int rc = sx_sm_row(sm, e, &st, "SELECT volume, path FROM upload WHERE id = ? AND multipart", "b",
                       id, (size_t)SX_UPLOAD_ID);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOUPLOAD, "the upload does not exist");
    volume = sx_mdb_u64(st, 0);
    sx_mdb_text(st, 1, mp->path, sizeof mp->path);
    sqlite3_reset(st);
    return sx_sm_volume_id(sm, volume, SX_RIGHT_WRITE, &mp->v, e);
}

/* Removes the row of a part; its content stays used. */
static int row_remove(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], uint64_t number,
                      struct sx_err *e)
{
    return sx_sm_run(sm, e, "DELETE FROM mpart WHERE upload = ? AND number = ?", "bi", id,
                     (size_t)SX_UPLOAD_ID, number);
}

int sx_mparts_drop(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], struct sx_err *e)
{
    for (;;) {
        uint64_t number, content;
        sqlite3_stmt *st;
        int rc = sx_sm_row(sm, e, &st,
                           "SELECT number, content FROM mpart WHERE upload = ? ORDER BY number LIMIT 1",
                           "b", id, (size_t)SX_UPLOAD_ID);

        if (rc != 1)
            return rc;
        number = sx_mdb_u64(st, 0);
        content = sx_mdb_u64(st, 1);
        sqlite3_reset(st);
        if (row_remove(sm, id, number, e) != 0 || sx_content_drop(sm, content, e) != 0)
            return -1;
    }
}

/* ---- a part ---- */

struct part {
    struct sx_cmd_mpart_put c;
    struct sx_multipart mp;
    struct sx_uprow source;
    uint64_t size, blocks, content;
    uint8_t etag[SX_ETAG_SIZE]; /* of its block list */
};

static int part_content(struct sx_sm *sm, struct part *p, struct sx_err *e)
{
    if (!(p->c.flags & SX_PUT_UPLOAD)) {
        if (sx_content_measure(&p->c.entries, &p->size, &p->blocks, e) != 0)
            return -1;
        p->content = p->blocks ? sm->num : 0;
        sx_content_etag(sm, &p->c.entries, p->etag);
        return p->blocks ? sx_sm_lease_check(sm, p->c.lease, e) : 0;
    }
    if (p->c.entries.n)
        return sx_err_set(e, SX_EINVAL, "a part made by an upload brings no entries of its own");
    if (sx_sm_upload_find(sm, p->c.source, &p->source, e) != 0)
        return -1;
    if (p->source.volume != p->mp.v.id)
        return sx_err_set(e, SX_EINVAL, "the upload was begun for another volume");
    p->size = p->source.size;
    p->blocks = p->source.blocks;
    p->content = p->blocks ? p->source.content : 0;
    return sx_content_etag_stored(sm, p->source.content, p->etag, e);
}

static int part_check(struct sx_sm *sm, struct part *p, struct sx_err *e)
{
    if (p->c.number < 1 || p->c.number > SX_MPART_MAX)
        return sx_err_set(e, SX_EINVAL, "part number %u is not between 1 and %u", p->c.number,
                          SX_MPART_MAX);
    if (sx_meta_items_check(p->c.meta.p, p->c.meta.n, e) != 0 ||
        sx_sm_multipart_find(sm, p->c.upload, &p->mp, e) != 0 ||
        sx_sm_volume_takes(&p->mp.v, e) != 0 || part_content(sm, p, e) != 0)
        return -1;
    if (p->size != p->c.size)
        return sx_err_set(e, SX_EINVAL, "size is %llu, but the entries add up to %llu",
                          (unsigned long long)p->c.size, (unsigned long long)p->size);
    return sx_frow_room(sm, &p->mp.v, NULL, p->size, e);
}

/* The part that has the number so far goes. */
static int part_replace(struct sx_sm *sm, const struct part *p, struct sx_err *e)
{
    uint64_t was;

    if (sx_sm_number(sm, e, &was, 0, "SELECT content FROM mpart WHERE upload = ? AND number = ?",
                     "bu", p->c.upload, (size_t)SX_UPLOAD_ID, (unsigned)p->c.number) != 0)
        return -1;
    return sx_content_drop(sm, was, e);
}

static int part_store(struct sx_sm *sm, struct part *p, struct sx_err *e)
{
    const struct sx_content_new c = { sm->num, p->mp.v.replica, p->etag };

    if (p->c.flags & SX_PUT_UPLOAD) {
        if (sx_sm_upload_forget(sm, p->c.source, e) != 0)
            return -1;
        return p->content ? sx_content_finish(sm, p->content, p->etag, e)
                          : sx_content_drop(sm, p->source.content, e);
    }
    return p->blocks ? sx_content_add_list(sm, &c, &p->c.entries, e) : 0;
}

int sx_sm_do_mpart_put(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct part p = { 0 };

    if (sx_cmd_mpart_put_decode(body->p, body->n, &p.c, e) != 0 || part_check(sm, &p, e) != 0 ||
        part_replace(sm, &p, e) != 0 || part_store(sm, &p, e) != 0 ||
        sx_sm_run(sm, e, "INSERT OR REPLACE INTO mpart VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                  "buiiiboi", p.c.upload, (size_t)SX_UPLOAD_ID, (unsigned)p.c.number, p.content,
                  p.size, p.blocks, p.c.md5, sizeof p.c.md5, p.c.meta.p,
                  p.c.meta.n, sm->time_ms) != 0)
        return -1;
    return sx_sm_run(sm, e, "UPDATE upload SET updated_ms = ? WHERE id = ?", "ib", sm->time_ms,
                     p.c.upload, (size_t)SX_UPLOAD_ID);
}

/* ---- complete ---- */

struct complete {
    struct sx_cmd_mpart_complete c;
    struct sx_multipart mp;
    struct sx_frow old;
    bool row;
    struct sx_joint *joints; /* of the named parts that are not empty */
    size_t n;
    uint64_t blocks;
    struct sx_buf meta;
    struct sx_file f;
};

static void complete_fini(struct complete *p)
{
    sx_frow_fini(&p->old);
    free(p->joints);
    sx_buf_fini(&p->meta);
}

/* One named part: found, and the same. */
static int named_take(struct sx_sm *sm, struct complete *p, const uint8_t *named, struct sx_err *e)
{
    unsigned number = named[0] | (unsigned)named[1] << 8;
    struct sx_joint *j = &p->joints[p->n];
    struct sx_span md5;
    sqlite3_stmt *st;
    bool same;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT content, blocks, size, md5 FROM mpart"
                       " WHERE upload = ? AND number = ?", "bu", p->c.upload, (size_t)SX_UPLOAD_ID,
                       number);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOTFOUND, "part %u is not there", number);
    *j = (struct sx_joint){ sx_mdb_u64(st, 0), sx_mdb_u64(st, 1), sx_mdb_u64(st, 2), number };
    md5 = sx_mdb_blob(st, 3);
    same = md5.n == SX_MD5_SIZE && memcmp(md5.p, named + 2, SX_MD5_SIZE) == 0;
    sqlite3_reset(st);
    if (!same)
        return sx_err_set(e, SX_ENOTFOUND, "part %u has another checksum", number);
    p->blocks += j->blocks;
    p->f.size += j->size;
    p->n += j->blocks != 0;
    return 0;
}

static int named_take_all(struct sx_sm *sm, struct complete *p, struct sx_err *e)
{
    size_t n = p->c.parts.n / SX_MPART_NAMED;
    unsigned last = 0;

    if (n == 0 || p->c.parts.n % SX_MPART_NAMED)
        return sx_err_set(e, SX_EINVAL, "the list of parts is empty or malformed");
    p->joints = sx_calloc(n, sizeof *p->joints);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *named = p->c.parts.p + i * SX_MPART_NAMED;
        unsigned number = named[0] | (unsigned)named[1] << 8;

        if (number <= last)
            return sx_err_set(e, SX_EINVAL, "part %u is named behind part %u", number, last);
        last = number;
        if (named_take(sm, p, named, e) != 0)
            return -1;
    }
    if (p->f.size > SX_FILE_SIZE_MAX)
        return sx_err_set(e, SX_ETOOBIG, "file of %llu bytes; at most %llu are allowed",
                          (unsigned long long)p->f.size, SX_FILE_SIZE_MAX);
    return 0;
}

/* What upload_begin gave, and what the command gives. */
static int complete_meta(struct sx_sm *sm, struct complete *p, struct sx_err *e)
{
    struct sx_span began;
    sqlite3_stmt *st;
    int rc;

    if (sx_meta_items_check(p->c.meta.p, p->c.meta.n, e) != 0)
        return -1;
    rc = sx_sm_row(sm, e, &st, "SELECT meta FROM upload WHERE id = ?", "b", p->c.upload,
                   (size_t)SX_UPLOAD_ID);
    if (rc != 1)
        return -1;
    began = sx_mdb_blob(st, 0);
    rc = sx_meta_items_merge(&began, &p->c.meta, &p->meta, e);
    sqlite3_reset(st);
    p->f.meta = (struct sx_span){ p->meta.data, p->meta.len };
    return rc;
}

static int complete_check(struct sx_sm *sm, struct complete *p, struct sx_err *e)
{
    int rc;

    if (sx_sm_multipart_find(sm, p->c.upload, &p->mp, e) != 0 ||
        sx_sm_volume_takes(&p->mp.v, e) != 0)
        return -1;
    rc = sx_frow_find(sm, &p->mp.v, p->mp.path, &p->old, e);
    p->row = rc == 1;
    p->f.path = p->mp.path;
    p->f.mtime_ns = p->c.mtime_ns;
    p->f.mode = 0644;
    if (rc < 0 ||
        sx_sm_file_conditions(p->mp.path, p->c.flags, p->c.if_rev,
                              p->row && !p->old.f.marker ? &p->old.f : NULL, e) != 0 ||
        named_take_all(sm, p, e) != 0 || complete_meta(sm, p, e) != 0 ||
        sx_frow_stamp(sm, &p->mp.v, p->c.hold, p->c.retain_ms, &p->f, e) != 0 ||
        sx_frow_room(sm, &p->mp.v, p->row ? &p->old : NULL, p->f.size, e) != 0)
        return -1;
    return sx_content_etag_joint(sm, p->joints, p->n, p->f.etag, e);
}

/* What is known of the parts, their checksums, is known of what they became. */
static int joints_describe(struct sx_sm *sm, const struct complete *p, struct sx_err *e)
{
    for (size_t i = 0; i < p->n; i++)
        if (sx_sm_run(sm, e,
                      "UPDATE joint SET meta = (SELECT meta FROM mpart WHERE upload = ? AND"
                      " number = ?) WHERE content = ? AND seq = ?", "buii", p->c.upload,
                      (size_t)SX_UPLOAD_ID, p->joints[i].number, sm->num, (uint64_t)i) != 0)
            return -1;
    return 0;
}

/* The rows of the named parts go without their contents, which the file has now; all others go
 * whole. */
static int complete_content(struct sx_sm *sm, struct complete *p, struct sx_err *e)
{
    const struct sx_content_new c = { sm->num, p->mp.v.replica, p->f.etag };

    if (p->n > 1 &&
        (sx_content_join(sm, &c, p->joints, p->n, e) != 0 ||
         joints_describe(sm, p, e) != 0))
        return -1;
    for (size_t at = 0; at < p->c.parts.n; at += SX_MPART_NAMED) {
        const uint8_t *named = p->c.parts.p + at;

        if (row_remove(sm, p->c.upload, named[0] | (uint64_t)named[1] << 8, e) != 0)
            return -1;
    }
    p->f.blocks = p->blocks;
    p->f.content = p->n == 0 ? 0 : p->n == 1 ? p->joints[0].content : sm->num;
    if (sx_mparts_drop(sm, p->c.upload, e) != 0)
        return -1;
    return sx_sm_upload_forget(sm, p->c.upload, e);
}

int sx_sm_do_mpart_complete(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    __attribute__((cleanup(complete_fini))) struct complete p = { .old = SX_FROW_INIT,
                                                                  .meta = SX_BUF_INIT };

    if (sx_cmd_mpart_complete_decode(body->p, body->n, &p.c, e) != 0 ||
        complete_check(sm, &p, e) != 0 || complete_content(sm, &p, e) != 0 ||
        sx_frow_push(sm, &p.mp.v, p.mp.path, p.row ? &p.old : NULL, &p.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &p.f);
    return 0;
}
