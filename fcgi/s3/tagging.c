/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Get, Put, Delete of an object's tags: the item s3.tags of its version.
 */
#include <string.h>

#include "fcgi/s3/annotate.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/tags.h"
#include "libsx/base/mem.h"

int sx_s3_get_tagging(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    SX_AUTO_JSON json_t *items = NULL;
    const char *tags;

    if (sx_s3_find_version(s, &row, e) != 0)
        return -1;
    items = sx_s3_items(&row.f);
    tags = sx_s3_item(items, "s3.tags");
    sx_s3_tags_xml(tags ? tags : "", &out);
    sx_s3_version_field(s, &s->v, &row.f);
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* Asked again, since a policy may look at the tags that the body brought. */
static int may_tag(struct sx_s3 *s, struct sx_err *e)
{
    const char *action = sx_s3_op_action(s->t.op, sx_s3_arg(s, "versionId") != NULL);

    return sx_s3_allowed(s, action, s->t.key, s->need, e);
}

int sx_s3_put_tagging(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;

    if (sx_s3_body_xml(s, "Tagging", &doc, e) != 0 ||
        sx_s3_tags_check_xml(sx_xml_top(doc), SX_S3_OBJECT_TAGS_MAX, e) != 0)
        return -1;
    sx_s3_tags_text(sx_xml_top(doc), &text);
    s->tags = sx_buf_cstr(&text);
    if (may_tag(s, e) != 0 || sx_s3_annotate(s, "s3.tags", sx_buf_cstr(&text), e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 200);
}

int sx_s3_delete_tagging(struct sx_s3 *s, struct sx_err *e)
{
    if (sx_s3_annotate(s, "s3.tags", "", e) != 0)
        return -1;
    return sx_s3_reply_empty(s, 204);
}
