/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See frame.h.
 */
#include "fcgi/meta/manager/frame.h"

#include <inttypes.h>
#include <string.h>

#include "libsx/base/mem.h"

static const char hello_magic[4] = { 'S', 'X', 'L', '1' };

static void put_head(uint8_t *p, const struct sx_frame *f)
{
    sx_put_u32(p, f->len);
    sx_put_u16(p + 4, f->type);
    sx_put_u16(p + 6, f->group);
    sx_put_u64(p + 8, f->word);
}

void sx_frame_put(struct sx_buf *out, const struct sx_frame *f)
{
    put_head(sx_buf_extend(out, SX_FRAME_HEADER), f);
    if (f->len)
        sx_buf_add(out, f->body, f->len);
}

int sx_frame_head(struct sx_frame *f, const uint8_t *p, uint32_t max, struct sx_err *e)
{
    *f = (struct sx_frame){ .len = sx_get_u32(p),
                            .type = sx_get_u16(p + 4),
                            .group = sx_get_u16(p + 6),
                            .word = sx_get_u64(p + 8) };
    if (f->len > max)
        return sx_err_set(e, SX_EMALFORMED, "frame of type %u has %" PRIu32 " bytes, at most %u allowed",
                          f->type, f->len, max);
    return 0;
}

void sx_hello_put(struct sx_buf *out, const struct sx_hello *h)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_frame f = { .type = SX_FRAME_HELLO, .word = h->from };

    sx_buf_add(&b, hello_magic, sizeof hello_magic);
    sx_buf_u16(&b, SX_LINK_VERSION);
    sx_buf_u8(&b, h->purpose);
    sx_buf_u8(&b, 0);
    sx_buf_u64(&b, h->to);
    sx_buf_add(&b, h->cluster, sizeof h->cluster - 1);
    sx_buf_string(&b, h->address);
    f.body = b.data;
    f.len = (uint32_t)b.len;
    sx_frame_put(out, &f);
}

int sx_hello_get(struct sx_hello *h, const struct sx_frame *f, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(f->body, f->len);
    struct sx_hello n = { .from = f->word };
    const uint8_t *magic = sx_cur_take(&c, sizeof hello_magic);
    const uint8_t *address;
    uint16_t version;
    size_t len;

    if (f->type != SX_FRAME_HELLO || !magic || memcmp(magic, hello_magic, sizeof hello_magic) != 0)
        return sx_err_set(e, SX_EMALFORMED, "the first frame is not HELLO");
    version = sx_cur_u16(&c);
    if (!c.bad && version != SX_LINK_VERSION)
        return sx_err_set(e, SX_EVERSION, "links of version %u, this node speaks %u", version,
                          SX_LINK_VERSION);
    n.purpose = sx_cur_u8(&c);
    sx_cur_take(&c, 1);
    n.to = sx_cur_u64(&c);
    sx_cur_copy(&c, n.cluster, sizeof n.cluster - 1);
    address = sx_cur_bytes(&c, &len);
    if (!sx_cur_done(&c) || len == 0 || len > SX_HELLO_ADDRESS_MAX || memchr(address, 0, len) ||
        n.purpose > SX_HELLO_FETCH)
        return sx_err_set(e, SX_EMALFORMED, "HELLO is malformed");
    memcpy(n.address, address, len);
    *h = n;
    return 0;
}
