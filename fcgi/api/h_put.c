/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How content becomes files: PUT /files in its three ways, POST /files with many at once, and
 * uploads in parts (docs/api.md section 5).
 *
 *   each file: read, checked ──► blocks of all: one write quorum ──► commands of all: submitted together
 *
 * Blocks that travel along are stored on their write quorum before the commands that refer to
 * them are submitted.  A file that is refused does not hold up the others; an error that passes
 * (no quorum, no leader) is that of the whole request, which is repeated with the same operation
 * id: what had its effect keeps it and answers the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/api/put.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/crypt/crypt.h"

#define FILES_MAX SX_META_SUBMIT_MAX

/* The files of a request. */
struct puts {
    struct sx_put *all;
    size_t n;
};

static bool is_stored(const struct sx_put *p)
{
    return p->err.code == SX_OK && !p->is_inline && p->n_records > 0;
}

/* The records of all files that are in order, one behind the other. */
static struct sx_record *gather(const struct puts *s, size_t *n)
{
    struct sx_record *recs;

    *n = 0;
    for (size_t i = 0; i < s->n; i++)
        *n += is_stored(&s->all[i]) ? s->all[i].n_records : 0;
    recs = sx_calloc(*n + 1, sizeof *recs);
    *n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct sx_put *p = &s->all[i];

        if (!is_stored(p))
            continue;
        memcpy(recs + *n, p->recs, p->n_records * sizeof *recs);
        *n += p->n_records;
    }
    return recs;
}

static int store(struct sx_req *r, const struct sx_record *recs, size_t n, uint64_t *lease,
                 struct sx_err *e)
{
    struct sx_blocks b;
    struct sx_volume v;

    if (n > SX_BLOCKS_MAX)
        return sx_err_set(e, SX_ETOOBIG, "%zu records; at most %u are possible in one request", n,
                          SX_BLOCKS_MAX);
    if (sx_do_volume(r, r->args.v[0], SX_RIGHT_WRITE, &v, e) != 0 ||
        sx_app_blocks(r->app, &b, e) != 0)
        return -1;
    return sx_blocks_put(&b, v.replica, recs, n, lease, e);
}

/* Stores the records of all files and settles the leases of their lists. */
static void store_records(struct sx_req *r, const struct puts *s)
{
    uint64_t lease = SX_LEASE_FOREVER;
    struct sx_err e = SX_ERR_INIT;
    size_t n;
    SX_AUTO_FREE struct sx_record *recs = gather(s, &n);

    if (n > 0)
        (void)!store(r, recs, n, &lease, &e);
    for (size_t i = 0; i < s->n; i++) {
        struct sx_put *p = &s->all[i];

        if (!is_stored(p))
            continue;
        if (lease < p->c.lease)
            p->c.lease = lease;
        sx_err_copy(&p->err, &e);
    }
}

/* Fails with the first error that may be gone when the request is repeated.  That leases have
 * expired is not among them: the client has to do something about it. */
static int no_passing_error(const struct puts *s, struct sx_err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct sx_err *why = &s->all[i].err;

        if (why->code == SX_ELEASE || sx_err_retry(why->code) == SX_RETRY_NO)
            continue;
        sx_err_copy(e, why);
        return -1;
    }
    return 0;
}

/* The commands of all that are in order. */
static int submit(struct sx_req *r, const struct puts *s, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_submission *subs = sx_calloc(s->n, sizeof *subs);
    SX_AUTO_FREE struct sx_put **of = sx_calloc(s->n, sizeof *of);
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct sx_put *p = &s->all[i];

        if (p->err.code != SX_OK)
            continue;
        sx_cmd_file_put_encode(&p->command, p->op, r->user, &p->c);
        subs[n] = (struct sx_submission){ .command = &p->command, .result = &p->result };
        if (sx_do_command_fits(&p->command, &p->err) == 0)
            of[n++] = p;
    }
    if (n > 0 && sx_meta_submit_all(r->app->meta, SX_META_GROUP_CLUSTER, subs, n,
                                    SX_META_TIMEOUT_MS, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        sx_err_copy(&of[i]->err, &subs[i].err);
    return 0;
}

/* Stores all files; the fate of each is in its `err` and `result`. */
static int put_all(struct sx_req *r, const struct puts *s, struct sx_err *e)
{
    store_records(r, s);
    if (no_passing_error(s, e) != 0 || submit(r, s, e) != 0)
        return -1;
    return no_passing_error(s, e);
}

/* ---- one file ---- */

static int put_one(struct sx_req *r, struct sx_put *p, struct sx_err *e)
{
    const struct puts s = { p, 1 };

    memcpy(p->op, r->op, sizeof p->op);
    if (sx_put_read(r, p, r->body.data, r->body.len, e) != 0 || put_all(r, &s, e) != 0)
        return -1;
    if (p->err.code == SX_OK)
        return sx_do_reply_file(r, 201, &p->result, e);
    sx_err_copy(e, &p->err);
    return -1;
}

int sx_h_file_put(struct sx_req *r, struct sx_err *e)
{
    struct sx_put p = { .c = { .volume = r->args.v[0], .path = r->args.v[1] } };
    int result = -1;

    if (sx_volume_name_check(p.c.volume, e) == 0)
        result = put_one(r, &p, e);
    sx_put_fini(&p);
    return result;
}

/* ---- many files ---- */

/* Each file has an operation id of its own, which follows from the request's. */
static void derive_op(const struct sx_req *r, uint32_t index, uint8_t op[SX_OP_ID])
{
    uint8_t in[SX_OP_ID + 4], sum[SX_SHA256];

    memcpy(in, r->op, SX_OP_ID);
    sx_put_u32(in + SX_OP_ID, index);
    sx_sha256(sum, in, sizeof in);
    memcpy(op, sum, SX_OP_ID);
}

/* What is wrong with one file is its own affair; what is wrong with the frame is that of all. */
static int read_all(struct sx_req *r, struct sx_cur c, const struct puts *s, struct sx_err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        struct sx_put *p = &s->all[i];
        size_t n;
        const uint8_t *body = sx_cur_bytes(&c, &n);

        if (c.bad)
            return sx_err_set(e, SX_EMALFORMED, "the body ends within file %zu of %zu", i + 1,
                              s->n);
        p->c.volume = r->args.v[0];
        derive_op(r, (uint32_t)i, p->op);
        (void)!sx_put_read(r, p, body, n, &p->err);
    }
    if (c.left > 0)
        return sx_err_set(e, SX_EMALFORMED, "%zu bytes are left behind the last of %zu files",
                          c.left, s->n);
    return 0;
}

static json_t *result_json(struct sx_req *r, struct sx_put *p)
{
    char rev[17], etag[2 * SX_ETAG_SIZE + 1];
    struct sx_file f;

    if (p->err.code == SX_OK && sx_file_result_decode(p->result.data, p->result.len, &f,
                                                      &p->err) == 0) {
        snprintf(rev, sizeof rev, "%016" PRIx64, f.rev);
        return json_pack("{s:i,s:s,s:I,s:s}", "status", f.unchanged ? 200 : 201, "rev", rev, "size",
                         (json_int_t)f.size, "etag", sx_hex(etag, f.etag, SX_ETAG_SIZE));
    }
    sx_route_note(r, &p->err);
    return json_pack("{s:i,s:o}", "status", sx_err_http(p->err.code), "error",
                     sx_reply_error_json(r, &p->err));
}

static int reply_all(struct sx_req *r, const struct puts *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, result_json(r, &s->all[i]));
    return sx_reply_json(r, 200, json_pack("{s:o}", "files", list));
}

int sx_h_files_put(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = { "count", NULL };
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    struct puts s = { 0 };
    uint64_t n;
    int result;

    if (sx_volume_name_check(r->args.v[0], e) != 0 || sx_req_message(r, &m, e) != 0 ||
        sx_req_members(m.json, members, e) != 0 ||
        sx_json_need_u64(m.json, "count", FILES_MAX, &n, e) != 0)
        return -1;
    if (n == 0)
        return sx_err_set(e, SX_EINVAL, "'count' is 0; 1 to %u files are possible", FILES_MAX);
    s.n = n;
    s.all = sx_calloc(n, sizeof *s.all);
    result = read_all(r, sx_cur_of(m.data, m.len), &s, e);
    if (result == 0)
        result = put_all(r, &s, e);
    if (result == 0)
        result = reply_all(r, &s);
    for (size_t i = 0; i < s.n; i++)
        sx_put_fini(&s.all[i]);
    free(s.all);
    return result;
}

/* ---- uploads ---- */

int sx_h_upload_begin(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = { "volume", "path", NULL };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_upload_begin c = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    char hex[2 * SX_UPLOAD_ID + 1];

    if (sx_req_json(r, &j, e) != 0 || sx_req_members(j, members, e) != 0 ||
        sx_json_need_str(j, "volume", &c.volume, e) != 0 ||
        sx_json_need_str(j, "path", &c.path, e) != 0 || sx_volume_name_check(c.volume, e) != 0 ||
        sx_path_check(c.path, e) != 0)
        return -1;
    sx_do_derive(r, "sx upload id", c.upload, sizeof c.upload);
    sx_cmd_upload_begin_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 201,
                         json_pack("{s:s}", "upload", sx_hex(hex, c.upload, sizeof c.upload)));
}

static int read_upload_id(struct sx_req *r, uint8_t id[SX_UPLOAD_ID], struct sx_err *e)
{
    if (sx_unhex(id, SX_UPLOAD_ID, r->args.v[0]) != 0)
        return sx_err_set(e, SX_EINVAL, "the upload id '%.40s' is not 32 hex digits", r->args.v[0]);
    return 0;
}

static int read_seq(struct sx_req *r, uint32_t *seq, struct sx_err *e)
{
    const char *text = r->args.v[1];

    if (!*text || strlen(text) > 9 || text[strspn(text, "0123456789")])
        return sx_err_set(e, SX_EINVAL, "the part number '%.32s' is not a number", text);
    *seq = (uint32_t)strtoul(text, NULL, 10);
    return 0;
}

int sx_h_upload_part(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    struct sx_cmd_upload_part c;
    uint64_t n;

    if (read_upload_id(r, c.upload, e) != 0 || read_seq(r, &c.seq, e) != 0 ||
        sx_req_message(r, &m, e) != 0 ||
        sx_json_need_u64(m.json, "count", SX_PART_ENTRIES_MAX, &n, e) != 0 ||
        sx_json_need_u64(m.json, "lease", INT64_MAX, &c.lease, e) != 0)
        return -1;
    if (n == 0 || m.len != n * SX_ENTRY_SIZE)
        return sx_err_set(e, SX_EMALFORMED,
                          "%llu entries of %u bytes are announced, but %zu bytes follow",
                          (unsigned long long)n, SX_ENTRY_SIZE, m.len);
    c.entries = (struct sx_span){ m.data, m.len };
    sx_cmd_upload_part_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}

int sx_h_upload_abort(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_upload_abort c;

    if (read_upload_id(r, c.upload, e) != 0)
        return -1;
    sx_cmd_upload_abort_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}
