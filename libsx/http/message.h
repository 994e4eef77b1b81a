/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Messages (docs/api.md section 1), bodies of type application/x-sx: u32 length of the JSON
 * part, one JSON object, binary part.
 */
#ifndef SX_HTTP_MESSAGE_H
#define SX_HTTP_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"

#define SX_MESSAGE_JSON_MAX 65536u
#define SX_MESSAGE_REQUEST_MAX (16u << 20)       /* of a request */
#define SX_MESSAGE_ANSWER_MAX (33u << 20) /* of an answer: 32 MiB of records and the head */

/* Appends length and JSON; the binary part may be appended behind.  SX_ETOOBIG if the JSON is
 * longer than SX_MESSAGE_JSON_MAX; `out` is then unchanged. */
int sx_message_head(struct sx_buf *out, const json_t *json, struct sx_err *e) SX_MUST_CHECK;

struct sx_message {
    json_t *json;        /* owned */
    const uint8_t *data; /* the binary part, in the buffer that was parsed */
    size_t len;
};

/* Clean-up with SX_AUTO(sx_message) struct sx_message m = { 0 }. */
void sx_message_fini(struct sx_message *m);

/* SX_EMALFORMED unless p[0 … n) is a message. */
int sx_message_parse(struct sx_message *m, const void *p, size_t n, struct sx_err *e) SX_MUST_CHECK;

#endif
