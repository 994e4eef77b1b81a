/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See annotate.h.
 */
#include "fcgi/s3/annotate.h"

#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

int sx_s3_find_version(struct sx_s3 *s, struct sx_file_row *row, struct sx_err *e)
{
    const char *id = sx_s3_arg(s, "versionId");

    if (sx_s3_find(s, &s->v, s->t.key, id, row, e) != 0)
        return -1;
    if (!row->f.marker)
        return 0;
    sx_s3_field(s, "x-amz-delete-marker: true\r\n");
    return sx_s3_fail(e, id ? SX_S3_METHOD_NOT_ALLOWED : SX_S3_NO_SUCH_KEY);
}

int sx_s3_annotate(struct sx_s3 *s, const char *item, const char *value, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf items = SX_BUF_INIT, command = SX_BUF_INIT, result = SX_BUF_INIT;
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_cmd_file_annotate c = { .volume = s->v.name, .path = s->t.key };
    SX_AUTO_JSON json_t *o = json_object();
    uint8_t op[SX_OP_ID];

    json_object_set_new(o, item, json_string(value));
    if (sx_s3_find_version(s, &row, e) != 0 || sx_meta_items_encode(o, &items, e) != 0)
        return -1;
    c.rev = row.f.rev;
    c.items = (struct sx_span){ items.data, items.len };
    sx_random(op, sizeof op);
    sx_cmd_file_annotate_encode(&command, op, sx_s3_user(s), &c);
    if (sx_s3_submit(s, &command, &result, e) != 0)
        return e->code == SX_ENOFILE || e->code == SX_ENOREVISION
                   ? sx_s3_fail(e, SX_S3_NO_SUCH_KEY) : -1;
    sx_s3_version_field(s, &s->v, &row.f);
    return 0;
}
