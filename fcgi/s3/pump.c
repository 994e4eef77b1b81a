/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See pump.h.
 */
#include "fcgi/s3/pump.h"

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

#define ALIVE_MS 10000u /* between two blanks; nginx gives up an answer after 60 s */

/* The head of the answer, and what an XML document begins with; then blanks. */
static void keep_alive(struct sx_s3 *s, uint64_t *sent_ms)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    if (sx_mono_ms() - *sent_ms < ALIVE_MS)
        return;
    if (s->r->status == 0) {
        sx_xml_begin(&out);
        sx_s3_reply_head_open(s, 200, SX_S3_XML);
        sx_reply_write(s->r, out.data, out.len);
    }
    sx_reply_write(s->r, " ", 1);
    sx_reply_flush(s->r);
    *sent_ms = sx_mono_ms();
}

int sx_s3_pump(struct sx_s3 *s, const struct sx_s3_pump *p, struct sx_err *e)
{
    uint64_t sent_ms = sx_mono_ms();
    const uint8_t *data = NULL;
    size_t n = 0;

    do {
        if (sx_egress_next(p->from, &data, &n, e) != 0 || sx_ingest_add(p->to, data, n, e) != 0)
            return -1;
        sx_sums_add(p->sums, data, n);
        keep_alive(s, &sent_ms);
    } while (n > 0);
    sx_sums_end(p->sums);
    return 0;
}

int sx_s3_pump_reply(struct sx_s3 *s, const struct sx_buf *root)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    bool open = s->r->status != 0;

    if (!open)
        sx_xml_begin(&out);
    sx_buf_add(&out, root->data, root->len);
    if (!open)
        return sx_s3_reply(s, 200, SX_S3_XML, &out);
    sx_reply_write(s->r, out.data, out.len);
    return 0;
}
