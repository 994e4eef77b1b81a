/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands on files: put, delete, copy, rename.  file_put checks everything before it writes (see
 * sm.c).
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

static int path_ok(const char *path, struct sx_err *e)
{
    return *path ? 0 : sx_err_set(e, SX_ENAME, "file path is empty");
}

static bool span_equal(const struct sx_span *a, const struct sx_span *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

static bool is_unchanged(const struct sx_file *was, const struct sx_file *now)
{
    return memcmp(was->etag, now->etag, SX_ETAG_SIZE) == 0 && was->size == now->size &&
           was->mode == now->mode && was->mtime_ns == now->mtime_ns &&
           span_equal(&was->meta, &now->meta);
}

static void answer_unchanged(struct sx_sm *sm, const struct sx_file *was)
{
    struct sx_file f = *was;

    f.unchanged = true;
    sx_file_result_encode(sm->out, &f);
}

/* ---- put ---- */

struct put {
    struct sx_cmd_file_put c;
    struct sx_volume v;
    struct sx_frow old;
    bool there;       /* the path has a file: old */
    struct sx_file f; /* the new revision */
    struct sx_uprow up;
};

static void put_fini(struct put *p)
{
    sx_frow_fini(&p->old);
}

static int put_preconditions(const struct put *p, struct sx_err *e)
{
    if (p->c.flags & SX_PUT_IF_NONE_MATCH && p->there)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' exists", p->c.path);
    if (p->c.flags & SX_PUT_IF_MATCH && !p->there)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' does not exist", p->c.path);
    if (p->c.flags & SX_PUT_IF_MATCH && memcmp(p->old.f.etag, p->c.if_match, SX_ETAG_SIZE) != 0)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' has another etag", p->c.path);
    return 0;
}

/* The block list is that of an upload: size and count from its row, the etag from its parts. */
static int put_content_upload(struct sx_sm *sm, struct put *p, uint8_t etag[SX_ETAG_SIZE],
                              uint64_t *size, struct sx_err *e)
{
    if (p->c.entries.n || p->c.record.n)
        return sx_err_set(e, SX_EINVAL, "a commit of an upload brings no entries of its own");
    if (sx_sm_upload_find(sm, p->c.upload, &p->up, e) != 0)
        return -1;
    if (p->up.volume != p->v.id || strcmp(p->up.path, p->c.path) != 0)
        return sx_err_set(e, SX_EINVAL, "the upload was begun for another file");
    *size = p->up.size;
    p->f.blocks = p->up.blocks;
    p->f.content = p->up.blocks ? p->up.content : 0;
    return sx_content_etag_stored(sm, p->up.content, etag, e);
}

static int put_content_given(struct sx_sm *sm, struct put *p, uint8_t etag[SX_ETAG_SIZE],
                             uint64_t *size, struct sx_err *e)
{
    if (sx_content_measure(&p->c.entries, size, &p->f.blocks, e) != 0)
        return -1;
    p->f.is_inline = p->c.record.n > 0;
    if (p->f.is_inline && (p->f.blocks != 1 || *size > SX_INLINE_MAX))
        return sx_err_set(e, SX_EINVAL, "an inline file has one entry of at most %u bytes",
                          SX_INLINE_MAX);
    p->f.content = p->f.blocks ? sm->num : 0;
    sx_content_etag(sm, &p->c.entries, etag);
    return 0;
}

/* Fills p->f from the command; checks that content, size and etag belong together. */
static int put_content(struct sx_sm *sm, struct put *p, struct sx_err *e)
{
    uint8_t etag[SX_ETAG_SIZE];
    uint64_t size;
    int rc = p->c.flags & SX_PUT_UPLOAD ? put_content_upload(sm, p, etag, &size, e)
                                        : put_content_given(sm, p, etag, &size, e);

    if (rc != 0)
        return -1;
    if (size != p->c.size)
        return sx_err_set(e, SX_EINVAL, "size is %llu, but the entries add up to %llu",
                          (unsigned long long)p->c.size, (unsigned long long)size);
    if (size > SX_FILE_SIZE_MAX)
        return sx_err_set(e, SX_ETOOBIG, "file of %llu bytes; at most %llu are allowed",
                          (unsigned long long)size, SX_FILE_SIZE_MAX);
    if (memcmp(etag, p->c.etag, SX_ETAG_SIZE) != 0)
        return sx_err_set(e, SX_EINVAL, "etag does not match the entries");
    memcpy(p->f.etag, etag, SX_ETAG_SIZE);
    p->f.path = p->c.path;
    p->f.rev = sm->num;
    p->f.size = size;
    p->f.mtime_ns = p->c.mtime_ns;
    p->f.mode = p->c.mode;
    p->f.created_ms = sm->time_ms;
    p->f.meta = p->c.meta;
    return 0;
}

static int put_find(struct sx_sm *sm, struct put *p, struct sx_err *e)
{
    int rc;

    if (path_ok(p->c.path, e) != 0 || sx_meta_items_check(p->c.meta.p, p->c.meta.n, e) != 0 ||
        sx_sm_volume(sm, p->c.volume, SX_RIGHT_WRITE, &p->v, e) != 0 ||
        sx_sm_volume_takes(&p->v, e) != 0)
        return -1;
    rc = sx_frow_find(sm, &p->v, p->c.path, &p->old, e);
    if (rc < 0)
        return -1;
    p->there = rc == 1;
    return put_preconditions(p, e);
}

static int put_unchanged(struct sx_sm *sm, struct put *p, struct sx_err *e)
{
    answer_unchanged(sm, &p->old.f);
    if (!(p->c.flags & SX_PUT_UPLOAD))
        return 0;
    if (sx_sm_upload_forget(sm, p->c.upload, e) != 0)
        return -1;
    return sx_content_drop(sm, p->up.content, e);
}

static int put_store_given(struct sx_sm *sm, struct put *p, struct sx_err *e)
{
    uint64_t known;

    if (p->f.blocks == 0)
        return 0;
    if (sx_content_find(sm, &p->c.entries, p->f.is_inline, &known, e) != 0)
        return -1;
    if (known) {
        p->f.content = known;
        return sx_content_use(sm, known, p->v.replica, e);
    }
    if (p->f.is_inline)
        return sx_content_add_inline(sm, sm->num, p->v.replica, &p->c.entries, &p->c.record, e);
    return sx_content_add_list(sm, sm->num, p->v.replica, &p->c.entries, e);
}

static int put_store(struct sx_sm *sm, struct put *p, struct sx_err *e)
{
    if (!(p->c.flags & SX_PUT_UPLOAD))
        return put_store_given(sm, p, e);
    if (sx_sm_upload_forget(sm, p->c.upload, e) != 0)
        return -1;
    return p->f.content ? 0 : sx_content_drop(sm, p->up.content, e);
}

int sx_sm_do_file_put(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    __attribute__((cleanup(put_fini))) struct put p = { .old = SX_FROW_INIT };
    const struct sx_frow *old;
    bool needs_lease;

    if (sx_cmd_file_put_decode(body->p, body->n, &p.c, e) != 0 || put_find(sm, &p, e) != 0 ||
        put_content(sm, &p, e) != 0)
        return -1;
    if (p.there && is_unchanged(&p.old.f, &p.f))
        return put_unchanged(sm, &p, e);
    needs_lease = !(p.c.flags & SX_PUT_UPLOAD) && p.f.blocks && !p.f.is_inline;
    if (needs_lease && sx_sm_lease_check(sm, p.c.lease, e) != 0)
        return -1;
    old = p.there ? &p.old : NULL;
    if (sx_frow_room(sm, &p.v, old, p.f.size, e) != 0 || put_store(sm, &p, e) != 0 ||
        sx_frow_push(sm, &p.v, p.c.path, old, &p.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &p.f);
    return 0;
}

/* ---- delete, copy, rename ---- */

int sx_sm_do_file_delete(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow r = SX_FROW_INIT;
    struct sx_cmd_file_delete c;
    struct sx_volume v;
    uint64_t n = 1;

    if (sx_cmd_file_delete_decode(body->p, body->n, &c, e) != 0 || path_ok(c.path, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_WRITE, &v, e) != 0 ||
        sx_frow_revision(sm, &v, c.path, 0, &r, e) != 0)
        return -1;
    if ((c.rev ? sx_frow_delete_one(sm, &v, c.path, &r, c.rev, e)
               : sx_frow_delete(sm, &v, c.path, &r, &n, e)) != 0)
        return -1;
    sx_buf_u32(sm->out, (uint32_t)n);
    return 0;
}

int sx_sm_do_file_copy(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow src = SX_FROW_INIT, dst = SX_FROW_INIT;
    struct sx_cmd_file_copy c;
    struct sx_volume v, w;
    int there;

    if (sx_cmd_file_copy_decode(body->p, body->n, &c, e) != 0 || path_ok(c.path, e) != 0 ||
        path_ok(c.to_path, e) != 0 || sx_sm_volume(sm, c.volume, SX_RIGHT_READ, &v, e) != 0 ||
        sx_sm_volume(sm, c.to_volume, SX_RIGHT_WRITE, &w, e) != 0 ||
        sx_sm_volume_takes(&w, e) != 0 || sx_frow_revision(sm, &v, c.path, c.rev, &src, e) != 0)
        return -1;
    there = sx_frow_find(sm, &w, c.to_path, &dst, e);
    if (there < 0)
        return -1;
    if (there && c.if_none)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' exists", c.to_path);
    if (there && is_unchanged(&dst.f, &src.f)) {
        answer_unchanged(sm, &dst.f);
        return 0;
    }
    src.f.path = c.to_path;
    src.f.rev = sm->num;
    src.f.created_ms = sm->time_ms;
    if (sx_frow_room(sm, &w, there ? &dst : NULL, src.f.size, e) != 0 ||
        sx_content_use(sm, src.f.content, w.replica, e) != 0 ||
        sx_frow_push(sm, &w, c.to_path, there ? &dst : NULL, &src.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &src.f);
    return 0;
}

int sx_sm_do_file_rename(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow r = SX_FROW_INIT;
    struct sx_cmd_file_rename c;
    struct sx_volume v, w, *to = &w;

    if (sx_cmd_file_rename_decode(body->p, body->n, &c, e) != 0 || path_ok(c.path, e) != 0 ||
        path_ok(c.to_path, e) != 0 || sx_sm_volume(sm, c.volume, SX_RIGHT_WRITE, &v, e) != 0 ||
        sx_sm_volume(sm, c.to_volume, SX_RIGHT_WRITE, &w, e) != 0 || sx_sm_volume_takes(&w, e) != 0)
        return -1;
    if (v.id == w.id)
        to = &v;
    if ((to != &v || strcmp(c.path, c.to_path) != 0) &&
        sx_frow_move(sm, &v, c.path, to, c.to_path, e) != 0)
        return -1;
    if (sx_frow_revision(sm, to, c.to_path, 0, &r, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &r.f);
    return 0;
}
