/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See lifecycle.h.
 */
#include "fcgi/jobs/lifecycle.h"

#include <string.h>

#include "fcgi/meta/command.h"
#include "fcgi/meta/query.h"
#include "fcgi/s3/lifecycle.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define DOCUMENT "lifecycle"

struct sx_lifecycle_walk {
    struct sx_meta *meta;
    sqlite3 *db;
    uint64_t now_ms; /* of this step: the log's, as what it is compared with */
    uint64_t look_at_ms, walk_at_ms, retry_at_ms;
    uint8_t rules_hash[SX_SHA256]; /* of all rules, when the walk began */
    bool walking, failed;            /* some of this walk has */
    /* where it is */
    uint64_t last_volume; /* number of the one that was begun last */
    struct sx_volume v;
    struct sx_buf doc;               /* its rules, */
    struct sx_lifecycle *rules;      /* parsed; NULL: go to the next volume */
    bool uploads;                    /* versions are done */
    char path[SX_PATH_MAX + 1];      /* of the last version, or upload */
    uint64_t rev;                    /* of the last version; 0: its file is done */
    uint8_t upload[SX_UPLOAD_ID];
    /* what is known of the versions of `path` */
    uint64_t newest_rev, newer_ms;   /* the newest; when the one before came */
    unsigned seen;
    /* what was done in v */
    uint64_t n_deleted, n_aborted;
};

struct sx_lifecycle_walk *sx_lifecycle_walk_new(struct sx_meta *meta)
{
    struct sx_lifecycle_walk *w = sx_calloc(1, sizeof *w);

    w->meta = meta;
    return w;
}

void sx_lifecycle_walk_free(struct sx_lifecycle_walk *w)
{
    sx_lifecycle_free(w->rules);
    sx_buf_fini(&w->doc);
    free(w);
}

/* ---- when ---- */

/* A hash of all rules of all volumes; *any: there are some. */
static int hash_rules(struct sx_lifecycle_walk *w, uint8_t out[SX_SHA256], bool *any,
                      struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf doc = SX_BUF_INIT;
    uint64_t volume = 0;
    int rc;

    memset(out, 0, SX_SHA256);
    while ((rc = sx_query_config_next(w->db, DOCUMENT, &volume, &doc, e)) == 1) {
        sx_buf_u64(&doc, volume);
        sx_buf_bytes(&doc, out, SX_SHA256);
        sx_sha256(out, doc.data, doc.len);
        *any = true;
    }
    return rc;
}

static int begin_if_due(struct sx_lifecycle_walk *w, struct sx_err *e)
{
    uint8_t hash[SX_SHA256];
    bool any = false, changed;

    if (sx_mono_ms() < w->look_at_ms)
        return 0;
    w->look_at_ms = sx_mono_ms() + SX_LIFECYCLE_LOOK_MS;
    if (hash_rules(w, hash, &any, e) != 0)
        return -1;
    changed = memcmp(hash, w->rules_hash, sizeof hash) != 0;
    memcpy(w->rules_hash, hash, sizeof hash);
    w->walking = any && (changed || sx_mono_ms() >= w->walk_at_ms);
    w->failed = false;
    w->last_volume = 0;
    return 0;
}

/* ---- which volume ---- */

static void end_volume(struct sx_lifecycle_walk *w)
{
    if (w->n_deleted || w->n_aborted)
        sx_info("lifecycle of volume '%s': %llu deletions, %llu uploads given up", w->v.name,
                (unsigned long long)w->n_deleted, (unsigned long long)w->n_aborted);
    sx_lifecycle_free(w->rules);
    w->rules = NULL;
}

static int next_volume(struct sx_lifecycle_walk *w, struct sx_err *e)
{
    int rc = sx_query_config_next(w->db, DOCUMENT, &w->last_volume, &w->doc, e);

    if (rc == 0) {
        w->walking = false;
        w->walk_at_ms =
            sx_mono_ms() + (w->failed ? SX_LIFECYCLE_AGAIN_MS : SX_LIFECYCLE_PERIOD_MS);
    }
    if (rc != 1)
        return rc;
    if (sx_query_volume_by_id(w->db, w->last_volume, &w->v, e) != 0 ||
        sx_lifecycle_parse(w->doc.data, w->doc.len, &w->rules, e) != 0)
        return -1;
    w->uploads = false;
    *w->path = '\0';
    w->rev = 0;
    w->seen = 0;
    w->n_deleted = w->n_aborted = 0;
    return 0;
}

/* Whether the walk through the volume goes on: not once it is being removed or its rules are not
 * the same any more.  (The next walk begins at once then.) */
static bool goes_on(struct sx_lifecycle_walk *w)
{
    SX_AUTO(sx_buf) struct sx_buf doc = SX_BUF_INIT;

    return sx_query_volume_by_id(w->db, w->last_volume, &w->v, NULL) == 0 && !w->v.deleting &&
           sx_query_config(w->db, w->v.id, DOCUMENT, &doc, NULL) == 0 && doc.len == w->doc.len &&
           memcmp(doc.data, w->doc.data, doc.len) == 0;
}

/* ---- commands ---- */

/* 1, or 0 if it was refused: the version is held, or something has changed meanwhile. */
static int submit(struct sx_lifecycle_walk *w, const struct sx_buf *command, struct sx_buf *result,
                  struct sx_err *e)
{
    struct sx_err why = SX_ERR_INIT;

    if (sx_meta_submit(w->meta, SX_META_GROUP_CLUSTER, command, result, SX_META_TIMEOUT_MS,
                       &why) == 0)
        return 1;
    switch (why.code) {
    case SX_ELOCKED:
    case SX_EPRECONDITION:
    case SX_ENOFILE:
    case SX_ENOREVISION:
    case SX_ENOVOLUME:
    case SX_ENOUPLOAD:
        sx_debug("lifecycle: %s", why.msg);
        return 0;
    default:
        sx_err_copy(e, &why);
        return -1;
    }
}

/* The marker that a deletion has made is the newest version now. */
static void take_marker(struct sx_lifecycle_walk *w, const struct sx_buf *result)
{
    struct sx_cur c = sx_cur_of(result->data, result->len);
    uint64_t marker;

    sx_cur_u32(&c);
    marker = sx_cur_u64(&c);
    if (marker)
        w->newest_rev = marker;
}

/* Only as long as the newest version is the one that was looked at: a version that has become the newest
 * again is not old any more, and a marker that is not the newest any more is no rest of its key. */
static int delete(struct sx_lifecycle_walk *w, const char *path, uint64_t rev, struct sx_err *e)
{
    const struct sx_cmd_file_delete c = { .volume = w->v.name, .path = path, .rev = rev,
                                          .flags = SX_DELETE_IF_REV, .if_rev = w->newest_rev };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    uint8_t op[SX_OP_ID];
    int done;

    sx_random(op, sizeof op);
    sx_cmd_file_delete_encode(&command, op, "", &c);
    done = submit(w, &command, &result, e);
    if (done == 1) {
        w->n_deleted++;
        take_marker(w, &result);
    }
    return done < 0 ? -1 : 0;
}

/* ---- versions ---- */

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static uint64_t rev_of(const json_t *o, const char *name)
{
    const char *hex = json_string_value(json_object_get(o, name));
    uint8_t be[8];
    uint64_t rev = 0;

    if (!hex || sx_unhex(be, sizeof be, hex) != 0)
        return 0;
    for (size_t i = 0; i < sizeof be; i++)
        rev = rev << 8 | be[i];
    return rev;
}

static bool is_alone(struct sx_lifecycle_walk *w, const char *path)
{
    SX_AUTO_JSON json_t *all = NULL;

    return sx_query_revisions_json(w->db, w->v.id, path, &all, NULL) == 0 &&
           json_array_size(all) == 1;
}

/* One of the list: newest first in each file, so what is older knows when the one before came. */
static int take_version(struct sx_lifecycle_walk *w, const json_t *f, struct sx_err *e)
{
    uint64_t rev = rev_of(f, "rev");
    struct sx_lifecycle_version v = {
        .key = json_string_value(json_object_get(f, "path")),
        .size = number(f, "size"),
        .tags = json_string_value(json_object_get(json_object_get(f, "meta"), "s3.tags")),
        .created_ms = number(f, "created_ms"),
        .newest = json_is_true(json_object_get(f, "newest")),
        .marker = json_is_true(json_object_get(f, "deleted")),
        .held = json_is_true(json_object_get(f, "legal_hold")) ||
                number(f, "retain_until_ms") > w->now_ms,
    };
    enum sx_lifecycle_action action;

    if (v.newest) {
        w->seen = 0;
        w->newest_rev = rev;
        v.alone = v.marker && is_alone(w, v.key);
    } else {
        v.noncurrent_ms = w->newer_ms;
        v.newer = w->seen - 1;
    }
    w->seen++;
    w->newer_ms = v.created_ms;
    if (!v.newest && w->v.versioning == SX_VERSIONING_OFF)
        return 0;
    action = sx_lifecycle_decide(w->rules, &v, w->now_ms);
    if (action == SX_LIFECYCLE_KEEP)
        return 0;
    return delete(w, v.key, action == SX_LIFECYCLE_REMOVE ? rev : 0, e);
}

static int versions_page(struct sx_lifecycle_walk *w, struct sx_err *e)
{
    const struct sx_list l = { .after = w->path, .after_rev = w->rev, .limit = SX_LIFECYCLE_PAGE,
                               .versions = true };
    SX_AUTO_JSON json_t *page = NULL;
    const char *next;
    json_t *files, *f;
    uint64_t rev;
    size_t i;

    if (sx_query_list_json(w->db, w->v.id, &l, &page, e) != 0)
        return -1;
    next = json_string_value(json_object_get(page, "next"));
    rev = rev_of(page, "next_rev");
    files = json_object_get(page, "files");
    json_array_foreach(files, i, f)
        if (take_version(w, f, e) != 0)
            return -1;
    w->uploads = next == NULL;
    snprintf(w->path, sizeof w->path, "%s", next ? next : "");
    w->rev = rev;
    return 0;
}

/* ---- uploads ---- */

struct found {
    struct sx_lifecycle_walk *w;
    uint8_t ids[SX_LIFECYCLE_PAGE][SX_UPLOAD_ID];
    size_t n, seen;
};

static bool take_upload(void *ctx, const struct sx_mupload *u)
{
    struct found *found = ctx;

    if (sx_lifecycle_abort(found->w->rules, u->path, u->created_ms, found->w->now_ms))
        memcpy(found->ids[found->n++], u->id, sizeof u->id);
    memcpy(found->w->upload, u->id, sizeof u->id);
    snprintf(found->w->path, sizeof found->w->path, "%s", u->path);
    return ++found->seen < SX_LIFECYCLE_PAGE;
}

static int abort_upload(struct sx_lifecycle_walk *w, const uint8_t *id, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_upload_abort c;
    uint8_t op[SX_OP_ID];
    int done;

    memcpy(c.upload, id, sizeof c.upload);
    sx_random(op, sizeof op);
    sx_cmd_upload_abort_encode(&command, op, "", &c);
    done = submit(w, &command, &result, e);
    w->n_aborted += done == 1;
    return done < 0 ? -1 : 0;
}

static int uploads_page(struct sx_lifecycle_walk *w, struct sx_err *e)
{
    struct found found = { .w = w };

    if (sx_query_muploads(w->db, w->v.id, "", w->path, *w->path ? w->upload : NULL, take_upload,
                          &found, e) != 0)
        return -1;
    for (size_t i = 0; i < found.n; i++)
        if (abort_upload(w, found.ids[i], e) != 0)
            return -1;
    if (found.seen < SX_LIFECYCLE_PAGE)
        end_volume(w);
    return 0;
}

/* ---- a step ---- */

static int step(struct sx_lifecycle_walk *w, struct sx_err *e)
{
    if (sx_meta_db(w->meta, SX_META_GROUP_CLUSTER, &w->db, e) != 0)
        return -1;
    if (!w->walking && begin_if_due(w, e) != 0)
        return -1;
    if (!w->walking)
        return 0;
    if (!w->rules)
        return next_volume(w, e);
    if (!goes_on(w)) {
        end_volume(w);
        return 0;
    }
    if (sx_query_time(w->db, &w->now_ms, e) != 0)
        return -1;
    return w->uploads ? uploads_page(w, e) : versions_page(w, e);
}

/* After a failure it goes on with the next volume, in a while; the next walk, which comes soon then,
 * tries this one again. */
void sx_lifecycle_walk_step(struct sx_lifecycle_walk *w)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_mono_ms() < w->retry_at_ms || step(w, &e) == 0)
        return;
    sx_warn("lifecycle%s%s: %s", w->rules ? " of volume " : "", w->rules ? w->v.name : "", e.msg);
    end_volume(w);
    w->failed = true;
    w->retry_at_ms = sx_mono_ms() + SX_LIFECYCLE_RETRY_MS;
}
