/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files by name: metadata, removal, renaming, copies inside the cluster, and jobs for many files.
 */
#include <inttypes.h>
#include <string.h>

#include "libsx/client/call.h"
#include "libsx/client/ops.h"
#include "libsx/http/message.h"

#define JOB_WAIT_MS 3000 /* well below the time after which a silent node is given up */

int sx_file_read(const json_t *j, struct sx_file_info *f, struct sx_err *e)
{
    const json_t *mtime = json_object_get(j, "mtime_ns");
    uint64_t mode;

    memset(f, 0, sizeof *f);
    if (sx_json_need_str(j, "path", &f->path, e) || sx_json_need_str(j, "rev", &f->rev, e) ||
        sx_json_need_str(j, "etag", &f->etag, e) ||
        sx_json_need_u64(j, "size", INT64_MAX, &f->size, e) ||
        sx_json_u64(j, "blocks", 0, INT64_MAX, &f->blocks, e) ||
        sx_json_u64(j, "mode", 0644, UINT32_MAX, &mode, e) ||
        sx_json_u64(j, "created_ms", 0, INT64_MAX, &f->created_ms, e))
        return sx_err_wrap(e, "answer of the cluster");
    if (mtime && !json_is_integer(mtime))
        return sx_err_set(e, SX_EMALFORMED, "answer of the cluster: 'mtime_ns' is not a number");
    f->mtime_ns = json_integer_value(mtime);
    f->mode = (unsigned)mode;
    return 0;
}

static int check_names(const char *volume, const char *path, struct sx_err *e)
{
    return sx_name_volume_check(volume, e) || sx_name_path_check(path, e) ? -1 : 0;
}

int sx_stat(struct sx_cluster *k, const char *volume, const char *path, sx_file_fn *fn, void *arg,
            struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf got = SX_BUF_INIT;
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    struct sx_file_info f;
    struct sx_call c;
    int r;

    if (check_names(volume, path, e))
        return -1;
    sx_call_init(&c, "GET", sx_api_path("files", volume, path));
    c.query = sx_strdup("count=1&data=0");
    c.answer = &got;
    r = sx_call_wait(k, &c, e);
    sx_call_fini(&c);
    if (r || sx_message_parse(&m, got.data, got.len, e) || sx_file_read(m.json, &f, e))
        return -1;
    return fn ? fn(arg, &f) : 0;
}

int sx_kind(struct sx_cluster *k, const char *volume, const char *path, unsigned *kind,
            struct sx_err *e)
{
    SX_AUTO_FREE char *below = sx_asprintf("%s/", path);
    const struct sx_list_options lo = { .prefix = below };
    struct sx_err why = SX_ERR_INIT;
    struct sx_listing *l;
    struct sx_file_info f;
    int r;

    *kind = 0;
    if (sx_stat(k, volume, path, NULL, NULL, &why) == 0) {
        *kind = SX_KIND_FILE;
    } else if (why.code != SX_ENOFILE) {
        sx_err_copy(e, &why);
        return -1;
    }
    if (sx_list_open(k, volume, &lo, &l, e))
        return -1;
    r = sx_list_next(l, &f, e);
    sx_list_free(l);
    if (r == 1)
        *kind |= SX_KIND_DIR;
    return r < 0 ? -1 : 0;
}

int sx_remove(struct sx_cluster *k, const char *volume, const char *path, struct sx_err *e)
{
    if (check_names(volume, path, e))
        return -1;
    return sx_call_json(k, "DELETE", sx_api_path("files", volume, path), NULL, NULL, NULL, e);
}

static json_t *from_to(const char *from_volume, const char *from, const char *to_volume,
                       const char *to)
{
    return json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "from", "volume", from_volume, "path", from, "to",
                     "volume", to_volume, "path", to);
}

int sx_rename(struct sx_cluster *k, const char *from_volume, const char *from,
              const char *to_volume,
              const char *to, struct sx_err *e)
{
    if (check_names(from_volume, from, e) || check_names(to_volume, to, e))
        return -1;
    return sx_call_json(k, "POST", sx_strdup(SX_API "/rename"), NULL,
                        from_to(from_volume, from, to_volume, to), NULL, e);
}

int sx_copy_within(struct sx_cluster *k, const char *from_volume, const char *from,
                   const char *to_volume, const char *to, bool if_none, struct sx_err *e)
{
    json_t *j;

    if (check_names(from_volume, from, e) || check_names(to_volume, to, e))
        return -1;
    j = from_to(from_volume, from, to_volume, to);
    json_object_set_new(j, "if_none", json_boolean(if_none));
    return sx_call_json(k, "POST", sx_strdup(SX_API "/copy"), NULL, j, NULL, e);
}

/* ---- Jobs --------------------------------------------------------------------------------- */

/* 1: over, well; 0: still at work. */
static int job_state(const json_t *j, struct sx_job_result *r, struct sx_err *e)
{
    const char *state, *message;

    if (sx_json_need_str(j, "state", &state, e) || sx_json_str(j, "message", "", &message, e) ||
        sx_json_u64(j, "done", 0, INT64_MAX, &r->done, e) ||
        sx_json_u64(j, "failed", 0, INT64_MAX, &r->failed, e))
        return sx_err_wrap(e, "answer of the cluster");
    if (!strcmp(state, "done"))
        return 1;
    if (!strcmp(state, "failed"))
        return sx_err_set(e, SX_ECONFLICT, "the cluster's job failed after %" PRIu64 " files: %s",
                          r->done, message);
    if (!strcmp(state, "canceled"))
        return sx_err_set(e, SX_ECANCELED, "the cluster's job was canceled after %" PRIu64 " files",
                          r->done);
    return 0;
}

int sx_job_wait(struct sx_cluster *k, const json_t *started, struct sx_job_result *r,
                struct sx_err *e)
{
    const char *id;
    int state = 0;

    if (sx_json_need_str(started, "job", &id, e))
        return sx_err_wrap(e, "answer of the cluster");
    while (state == 0) {
        SX_AUTO_JSON json_t *j = NULL;

        if (sx_call_json(k, "GET", sx_api_path("jobs", id, NULL),
                         sx_asprintf("wait_ms=%d", JOB_WAIT_MS), NULL, &j, e))
            return sx_err_wrap(e, "job %s", id);
        state = job_state(j, r, e);
    }
    return state < 0 ? -1 : 0;
}

static int run_job(struct sx_cluster *k, json_t *body, struct sx_job_result *r, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_call_json(k, "POST", sx_strdup(SX_API "/jobs"), NULL, body, &j, e))
        return -1;
    return sx_job_wait(k, j, r, e);
}

int sx_remove_many(struct sx_cluster *k, const char *volume, const char *prefix, const char *glob,
                   struct sx_job_result *r, struct sx_err *e)
{
    return run_job(k,
                   json_pack("{s:s,s:s,s:s,s:s*}", "type", "delete", "volume", volume, "prefix",
                             prefix ? prefix : "", "glob", glob),
                   r, e);
}

int sx_rename_many(struct sx_cluster *k, const char *from_volume, const char *from_prefix,
                   const char *to_volume, const char *to_prefix, struct sx_job_result *r,
                   struct sx_err *e)
{
    return run_job(k,
                   json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "rename", "volume", from_volume,
                             "prefix", from_prefix, "to_volume", to_volume, "to_prefix", to_prefix),
                   r, e);
}
