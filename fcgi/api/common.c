/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See common.h.
 */
#include "fcgi/api/common.h"

#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define DERIVED_MAX 64

int sx_do_command_fits(const struct sx_buf *command, struct sx_err *e)
{
    if (command->len > SX_COMMAND_MAX)
        return sx_err_set(e, SX_ETOOBIG, "the change takes %zu bytes; at most %u are possible",
                          command->len, SX_COMMAND_MAX);
    return 0;
}

int sx_do_submit(struct sx_req *r, const struct sx_buf *command, struct sx_buf *result,
                 struct sx_err *e)
{
    if (sx_do_command_fits(command, e) != 0)
        return -1;
    return sx_meta_submit(r->app->meta, SX_META_GROUP_CLUSTER, command, result, SX_META_TIMEOUT_MS,
                          e);
}

static int query_volume(struct sx_req *r, const char *name, unsigned need, struct sx_volume *v,
                        struct sx_err *e)
{
    sqlite3 *db;

    return sx_app_db(r->app, &db, e) != 0 ? -1 : sx_query_volume(db, r->user, name, need, v, e);
}

int sx_do_volume(struct sx_req *r, const char *name, unsigned need, struct sx_volume *v,
                 struct sx_err *e)
{
    if (sx_volume_name_check(name, e) != 0)
        return -1;
    if (query_volume(r, name, need, v, e) == 0)
        return 0;
    if (r->route->kind == SX_KIND_READ || (e->code != SX_ENOVOLUME && e->code != SX_EACCESS))
        return -1;
    sx_err_clear(e);
    if (sx_meta_sync(r->app->meta, SX_META_GROUP_CLUSTER, SX_SYNC_TIMEOUT_MS, e) != 0)
        return -1;
    return query_volume(r, name, need, v, e);
}

int sx_do_hex64(const char *text, const char *what, uint64_t *v, struct sx_err *e)
{
    uint8_t b[8];

    if (sx_unhex(b, sizeof b, text) != 0)
        return sx_err_set(e, SX_EINVAL, "the %s '%.32s' is not 16 hex digits", what, text);
    *v = 0;
    for (size_t i = 0; i < sizeof b; i++)
        *v = *v << 8 | b[i];
    return 0;
}

int sx_do_i64(const json_t *j, const char *name, int64_t *v, struct sx_err *e)
{
    const json_t *m = json_object_get(j, name);

    *v = 0;
    if (m && !json_is_integer(m))
        return sx_err_set(e, SX_EINVAL, "'%s' is not an integer", name);
    if (m)
        *v = json_integer_value(m);
    return 0;
}

int sx_do_object(const json_t *j, const char *name, json_t **o, struct sx_err *e)
{
    *o = json_object_get(j, name);
    if (!*o)
        return sx_err_set(e, SX_EINVAL, "'%s' is missing", name);
    if (!json_is_object(*o))
        return sx_err_set(e, SX_EINVAL, "'%s' is not an object", name);
    return 0;
}

void sx_do_derive(const struct sx_req *r, const char *what, uint8_t *out, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf info = SX_BUF_INIT;

    sx_assert(n <= DERIVED_MAX);
    sx_buf_string(&info, what);
    sx_buf_string(&info, r->user);
    sx_buf_add(&info, r->op, sizeof r->op);
    sx_hkdf_sha256(out, n, r->app->keys.seal, sizeof r->app->keys.seal, info.data, info.len);
}

int sx_do_verify(struct sx_req *r, const struct sx_record *recs, size_t n, uint32_t *plain_len,
                 struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf plain = SX_BUF_INIT;
    char hex[2 * SX_ID_SIZE + 1];
    struct sx_block_ctx *ctx;

    if (sx_app_decoder(r->app, &ctx, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (sx_block_decode(ctx, &recs[i].id, recs[i].stored, recs[i].len, &plain, e) != 0)
            return sx_err_wrap(e, "record %zu of %zu, block %s", i + 1, n,
                               sx_hex(hex, recs[i].id.b, SX_ID_SIZE));
        if (plain_len)
            plain_len[i] = (uint32_t)plain.len;
    }
    return 0;
}
