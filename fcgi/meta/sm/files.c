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

int sx_sm_file_conditions(const char *path, unsigned flags, uint64_t if_rev,
                          const struct sx_file *was, struct sx_err *e)
{
    if (flags & SX_PUT_IF_NONE_MATCH && was)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' exists", path);
    if (flags & SX_PUT_IF_REV && (!was || was->rev != if_rev))
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' has changed", path);
    return 0;
}

/* ---- put ---- */

struct put {
    struct sx_cmd_file_put c;
    struct sx_volume v;
    struct sx_frow old;
    bool row;         /* the path has a row: old */
    bool there;       /* and it is no marker */
    struct sx_file f; /* the new revision */
    struct sx_uprow up;
};

static void put_fini(struct put *p)
{
    sx_frow_fini(&p->old);
}

static int put_preconditions(const struct put *p, struct sx_err *e)
{
    const struct sx_file *was = p->there ? &p->old.f : NULL;

    if (sx_sm_file_conditions(p->c.path, p->c.flags, p->c.if_rev, was, e) != 0)
        return -1;
    if (p->c.flags & SX_PUT_IF_MATCH && !was)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' does not exist", p->c.path);
    if (p->c.flags & SX_PUT_IF_MATCH && memcmp(was->etag, p->c.if_match, SX_ETAG_SIZE) != 0)
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

/* The record must be that of the entry.  What else is in it was checked by who sent the command:
 * here all nodes must come to the same end, whatever codecs their versions know. */
static int inline_check(const struct put *p, uint64_t size, struct sx_err *e)
{
    uint8_t entry[SX_ENTRY_SIZE];

    if (p->f.blocks != 1 || size > SX_INLINE_MAX)
        return sx_err_set(e, SX_EINVAL, "an inline file has one entry of at most %u bytes",
                          SX_INLINE_MAX);
    if (sx_mdb_inline_entry(&p->c.record, entry) != 0 ||
        memcmp(entry, p->c.entries.p, sizeof entry) != 0)
        return sx_err_set(e, SX_EINVAL, "the record is not that of the entry");
    return 0;
}

static int put_content_given(struct sx_sm *sm, struct put *p, uint8_t etag[SX_ETAG_SIZE],
                             uint64_t *size, struct sx_err *e)
{
    if (sx_content_measure(&p->c.entries, size, &p->f.blocks, e) != 0)
        return -1;
    p->f.is_inline = p->c.record.n > 0;
    if (p->f.is_inline && inline_check(p, *size, e) != 0)
        return -1;
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
    p->f.size = size;
    p->f.mtime_ns = p->c.mtime_ns;
    p->f.mode = p->c.mode;
    p->f.meta = p->c.meta;
    return sx_frow_stamp(sm, &p->v, p->c.hold, p->c.retain_ms, &p->f, e);
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
    p->row = rc == 1;
    p->there = p->row && !p->old.f.marker;
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
    const struct sx_content_new c = { sm->num, p->v.replica, p->f.etag };
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
        return sx_content_add_inline(sm, &c, &p->c.record, e);
    return sx_content_add_list(sm, &c, &p->c.entries, e);
}

static int put_store(struct sx_sm *sm, struct put *p, struct sx_err *e)
{
    if (!(p->c.flags & SX_PUT_UPLOAD))
        return put_store_given(sm, p, e);
    if (sx_sm_upload_forget(sm, p->c.upload, e) != 0)
        return -1;
    return p->f.content ? sx_content_finish(sm, p->f.content, p->f.etag, e)
                        : sx_content_drop(sm, p->up.content, e);
}

int sx_sm_do_file_put(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    __attribute__((cleanup(put_fini))) struct put p = { .old = SX_FROW_INIT };
    const struct sx_frow *old;
    bool needs_lease;

    if (sx_cmd_file_put_decode(body->p, body->n, &p.c, e) != 0 || put_find(sm, &p, e) != 0 ||
        put_content(sm, &p, e) != 0)
        return -1;
    if (p.there && !(p.c.flags & SX_PUT_NEW) && is_unchanged(&p.old.f, &p.f))
        return put_unchanged(sm, &p, e);
    needs_lease = !(p.c.flags & SX_PUT_UPLOAD) && p.f.blocks && !p.f.is_inline;
    if (needs_lease && sx_sm_lease_check(sm, p.c.lease, e) != 0)
        return -1;
    old = p.row ? &p.old : NULL;
    if (sx_frow_room(sm, &p.v, old, p.f.size, e) != 0 || put_store(sm, &p, e) != 0 ||
        sx_frow_push(sm, &p.v, p.c.path, old, &p.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &p.f);
    return 0;
}

/* ---- delete, copy, rename ---- */

/* What a delete command is about: all of the file, or one revision. */
static int delete_what(struct sx_sm *sm, const struct sx_cmd_file_delete *c,
                       const struct sx_volume *v, struct sx_frow *r, uint64_t *rev,
                       struct sx_err *e)
{
    int rc = sx_frow_any(sm, v, c->path, 0, r, e);
    bool one = c->rev || c->flags & SX_DELETE_NULL;

    if (rc == 0 && r->f.marker && !one && v->versioning == SX_VERSIONING_OFF)
        rc = sx_err_set(e, SX_ENOFILE, "file '%s' does not exist in volume '%s'", c->path, v->name);
    if (rc != 0)
        return -1;
    if (c->flags & SX_DELETE_IF_REV && r->f.rev != c->if_rev)
        return sx_err_set(e, SX_EPRECONDITION, "file '%s' has changed", c->path);
    *rev = c->rev;
    return c->flags & SX_DELETE_NULL ? sx_frow_null(sm, v, r, rev, e) : 0;
}

static int delete_one(struct sx_sm *sm, const struct sx_cmd_file_delete *c, struct sx_volume *v,
                      const struct sx_frow *r, uint64_t rev, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow one = SX_FROW_INIT;

    if (sx_frow_any(sm, v, c->path, rev, &one, e) != 0 ||
        sx_frow_delete_one(sm, v, c->path, r, rev, c->flags & SX_DELETE_BYPASS, e) != 0)
        return -1;
    sx_buf_u32(sm->out, 1);
    sx_buf_u64(sm->out, 0);
    sx_buf_u8(sm->out, one.f.marker);
    return 0;
}

int sx_sm_do_file_delete(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow r = SX_FROW_INIT;
    struct sx_cmd_file_delete c;
    struct sx_volume v;
    uint64_t n, rev;

    if (sx_cmd_file_delete_decode(body->p, body->n, &c, e) != 0 || path_ok(c.path, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_WRITE, &v, e) != 0 ||
        delete_what(sm, &c, &v, &r, &rev, e) != 0)
        return -1;
    if (rev)
        return delete_one(sm, &c, &v, &r, rev, e);
    if (sx_frow_delete(sm, &v, c.path, &r, &n, e) != 0)
        return -1;
    sx_buf_u32(sm->out, (uint32_t)n);
    sx_buf_u64(sm->out, v.versioning ? sm->num : 0);
    sx_buf_u8(sm->out, 0);
    return 0;
}

/* The new revision: the source's facts, with what the command says. */
static int copy_facts(struct sx_sm *sm, const struct sx_cmd_file_copy *c, const struct sx_volume *w,
                      struct sx_file *f, struct sx_err *e)
{
    f->path = c->to_path;
    if (c->flags & SX_COPY_REPLACE) {
        if (sx_meta_items_check(c->meta.p, c->meta.n, e) != 0)
            return -1;
        f->meta = c->meta;
    }
    return sx_frow_stamp(sm, w, c->hold, c->retain_ms, f, e);
}

int sx_sm_do_file_copy(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow src = SX_FROW_INIT, dst = SX_FROW_INIT;
    struct sx_cmd_file_copy c;
    struct sx_volume v, w;
    int row;
    bool there;

    if (sx_cmd_file_copy_decode(body->p, body->n, &c, e) != 0 || path_ok(c.path, e) != 0 ||
        path_ok(c.to_path, e) != 0 || sx_sm_volume(sm, c.volume, SX_RIGHT_READ, &v, e) != 0 ||
        sx_sm_volume(sm, c.to_volume, SX_RIGHT_WRITE, &w, e) != 0 ||
        sx_sm_volume_takes(&w, e) != 0 || sx_frow_revision(sm, &v, c.path, c.rev, &src, e) != 0)
        return -1;
    row = sx_frow_find(sm, &w, c.to_path, &dst, e);
    there = row == 1 && !dst.f.marker;
    if (row < 0 || sx_sm_file_conditions(c.to_path, c.flags, c.if_rev, there ? &dst.f : NULL, e) != 0 ||
        copy_facts(sm, &c, &w, &src.f, e) != 0)
        return -1;
    if (there && !(c.flags & SX_PUT_NEW) && is_unchanged(&dst.f, &src.f)) {
        answer_unchanged(sm, &dst.f);
        return 0;
    }
    if (sx_frow_room(sm, &w, row ? &dst : NULL, src.f.size, e) != 0 ||
        sx_content_use(sm, src.f.content, w.replica, e) != 0 ||
        sx_frow_push(sm, &w, c.to_path, row ? &dst : NULL, &src.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &src.f);
    return 0;
}

int sx_sm_do_file_annotate(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow r = SX_FROW_INIT;
    SX_AUTO(sx_buf) struct sx_buf merged = SX_BUF_INIT;
    struct sx_cmd_file_annotate c;
    struct sx_volume v;

    if (sx_cmd_file_annotate_decode(body->p, body->n, &c, e) != 0 ||
        sx_meta_items_check(c.items.p, c.items.n, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_WRITE, &v, e) != 0 ||
        sx_frow_revision(sm, &v, c.path, c.rev, &r, e) != 0 ||
        sx_meta_items_merge(&r.f.meta, &c.items, &merged, e) != 0)
        return -1;
    r.f.meta = (struct sx_span){ merged.data, merged.len };
    if (sx_frow_facts_write(sm, &v, &r.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &r.f);
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
