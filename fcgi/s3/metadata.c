/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See s3.h: commands, and versions of objects.
 */
#include <string.h>

#include "fcgi/s3/egress.h"
#include "fcgi/s3/s3.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define OPEN_TRIES_MAX 20u

int sx_s3_sync(struct sx_s3 *s, struct sx_err *e)
{
    return sx_meta_sync(s->r->app->meta, SX_META_GROUP_CLUSTER, SX_SYNC_TIMEOUT_MS, e) != 0 ||
           sx_app_db(s->r->app, &s->db, e) != 0 ? -1 : 0;
}

int sx_s3_at_once(struct sx_s3 *s, int (*fn)(void *ctx, struct sx_err *e), void *ctx,
                  struct sx_err *e)
{
    int r;

    if (sx_query_begin(s->db, e) != 0)
        return -1;
    r = fn(ctx, e);
    sx_query_end(s->db);
    return r;
}

/* Is it worth looking again?  A reading does not fail for want of a pin. */
static bool has_gone(struct sx_s3 *s, struct sx_egress *g)
{
    return g && sx_egress_pin(g, NULL) != 0 && sx_s3_sync(s, NULL) == 0;
}

int sx_s3_open(struct sx_s3 *s, int (*fn)(void *ctx, struct sx_err *e), void *ctx,
               struct sx_egress *const *g, struct sx_err *e)
{
    size_t fields = s->fields.len;
    unsigned tries = 0;

    do {
        sx_s3_fields_back(s, fields);
        if (sx_s3_at_once(s, fn, ctx, e) != 0)
            return -1;
    } while (has_gone(s, *g) && ++tries < OPEN_TRIES_MAX);
    return 0;
}

int sx_s3_submit(struct sx_s3 *s, const struct sx_buf *command, struct sx_buf *result,
                 struct sx_err *e)
{
    sx_assert(s->pass == SX_S3_PASS_WHOLE);
    if (command->len > SX_COMMAND_MAX)
        return sx_s3_fail(e, SX_S3_MAX_MESSAGE_LENGTH);
    sx_buf_reset(result);
    return sx_meta_submit(s->r->app->meta, SX_META_GROUP_CLUSTER, command, result,
                          SX_META_TIMEOUT_MS, e);
}

int sx_s3_volume_modify(struct sx_s3 *s, const struct sx_cmd_volume_modify *c, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_cmd_volume_modify_encode(&command, op, sx_s3_user(s), c);
    if (sx_s3_submit(s, &command, &result, e) == 0)
        return 0;
    return e->code == SX_ECONFLICT ? sx_s3_fail(e, SX_S3_INVALID_BUCKET_STATE) : -1;
}

void sx_s3_location(const struct sx_s3 *s, struct sx_buf *out)
{
    const char *host = sx_s3_header(s, "host");

    sx_buf_printf(out, "%s://%s%s", sx_s3_is_secure(s) ? "https" : "http", host ? host : "",
                  s->r->path);
}

void sx_s3_version(const struct sx_file *f, char out[SX_S3_VERSION_TEXT])
{
    if (f->null_version)
        snprintf(out, SX_S3_VERSION_TEXT, "null");
    else
        snprintf(out, SX_S3_VERSION_TEXT, "%016llx", (unsigned long long)f->rev);
}

int sx_s3_rev_parse(const char *id, uint64_t *rev, struct sx_err *e)
{
    uint8_t be[8];

    *rev = 0;
    if (sx_unhex(be, sizeof be, id) != 0)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid version id specified");
    for (unsigned i = 0; i < sizeof be; i++)
        *rev = *rev << 8 | be[i];
    return *rev ? 0 : sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid version id specified");
}

static void version_line(struct sx_s3 *s, const char *name, const struct sx_volume *v,
                         const struct sx_file *f)
{
    char text[SX_S3_VERSION_TEXT];

    if (v->versioning == SX_VERSIONING_OFF)
        return;
    sx_s3_version(f, text);
    sx_s3_field(s, "%s: %s\r\n", name, text);
}

void sx_s3_version_field(struct sx_s3 *s, const struct sx_volume *v, const struct sx_file *f)
{
    version_line(s, "x-amz-version-id", v, f);
}

void sx_s3_source_version_field(struct sx_s3 *s, const struct sx_volume *v, const struct sx_file *f)
{
    version_line(s, "x-amz-copy-source-version-id", v, f);
}

int sx_s3_find(struct sx_s3 *s, const struct sx_volume *v, const char *key, const char *id,
               struct sx_file_row *row, struct sx_err *e)
{
    uint64_t rev = 0;
    int r;

    if (id && strcmp(id, "null") == 0) {
        r = sx_query_null(s->db, v->id, key, row, e);
    } else {
        if (id && sx_s3_rev_parse(id, &rev, e) != 0)
            return -1;
        r = sx_query_revision(s->db, v->id, key, rev, row, e);
    }
    if (r != 0 && id && (e->code == SX_ENOFILE || e->code == SX_ENOREVISION))
        return sx_s3_fail(e, SX_S3_NO_SUCH_VERSION);
    if (r != 0 && e->code == SX_ENOFILE)
        return sx_s3_fail(e, SX_S3_NO_SUCH_KEY);
    return r;
}

int sx_s3_find_object(struct sx_s3 *s, struct sx_file_row *row, struct sx_err *e)
{
    const char *id = sx_s3_arg(s, "versionId");
    char version[SX_S3_VERSION_TEXT];

    if (sx_s3_find(s, &s->v, s->t.key, id, row, e) != 0)
        return -1;
    if (!row->f.marker)
        return 0;
    sx_s3_version(&row->f, version);
    sx_s3_field(s, "x-amz-delete-marker: true\r\nx-amz-version-id: %s\r\n", version);
    return sx_s3_fail(e, id ? SX_S3_METHOD_NOT_ALLOWED : SX_S3_NO_SUCH_KEY);
}
