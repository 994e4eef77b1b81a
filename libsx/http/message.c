/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See message.h.
 */
#include "libsx/http/message.h"

#include "libsx/base/wire.h"

int sx_message_head(struct sx_buf *out, const json_t *json, struct sx_err *e)
{
    size_t at = out->len, n;

    sx_buf_u32(out, 0);
    sx_json_dump(out, json);
    n = out->len - at - 4;
    if (n > SX_MESSAGE_JSON_MAX) {
        out->len = at;
        return sx_err_set(e, SX_ETOOBIG,
                          "the JSON part of a message has %zu bytes, at most %u are possible",
                          n, SX_MESSAGE_JSON_MAX);
    }
    sx_put_u32(out->data + at, (uint32_t)n);
    return 0;
}

void sx_message_fini(struct sx_message *m)
{
    json_decref(m->json);
    *m = (struct sx_message){ 0 };
}

int sx_message_parse(struct sx_message *m, const void *p, size_t n, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(p, n);
    uint32_t len = sx_cur_u32(&c);
    const uint8_t *text;
    json_t *json;

    if (len > SX_MESSAGE_JSON_MAX)
        return sx_err_set(e, SX_EMALFORMED,
                          "message claims %u bytes of JSON, at most %u are allowed", len,
                          SX_MESSAGE_JSON_MAX);
    text = sx_cur_take(&c, len);
    if (!text)
        return sx_err_set(e, SX_EMALFORMED, "message of %zu bytes ends inside its JSON part", n);
    json = sx_json_parse(text, len, e);
    if (!json)
        return -1;
    *m = (struct sx_message){ .json = json, .data = c.p, .len = c.left };
    return 0;
}
