/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The snapshot reference's file: header, coded members, CRC.
 */
#include "fcgi/meta/raft/snapref.h"

#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"

#define MAGIC "SXN1"
#define VERSION 1u
#define HEADER 40u
#define FILE_MAX (HEADER + SX_MEMBERS_BYTES_MAX + 4u)

void sx_snapref_fini(struct sx_snapref *s)
{
    sx_members_fini(&s->members);
    *s = (struct sx_snapref)SX_SNAPREF_INIT;
}

void sx_snapref_copy(struct sx_snapref *to, const struct sx_snapref *from)
{
    to->index = from->index;
    to->term = from->term;
    to->members_index = from->members_index;
    sx_members_copy(&to->members, &from->members);
}

int sx_snapref_save(const struct sx_io *io, const char *path, uint32_t group,
                    const struct sx_snapref *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    size_t at;

    sx_buf_add(&b, MAGIC, 4);
    sx_buf_u32(&b, VERSION);
    sx_buf_u32(&b, group);
    sx_buf_u64(&b, s->index);
    sx_buf_u64(&b, s->term);
    sx_buf_u64(&b, s->members_index);
    at = b.len;
    sx_buf_u32(&b, 0);
    sx_members_encode(&s->members, &b);
    sx_put_u32(b.data + at, (uint32_t)(b.len - HEADER));
    sx_buf_u32(&b, sx_crc32c(0, b.data, b.len));
    return sx_io_replace(io, path, b.data, b.len, 0640, e);
}

static int parse(struct sx_snapref *s, const char *path, uint32_t group, const struct sx_buf *b,
                 struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(b->data, b->len);
    uint32_t version, of, len;

    if (b->len < HEADER + 4 || memcmp(sx_cur_take(&c, 4), MAGIC, 4) != 0)
        return sx_err_set(e, SX_ECORRUPT, "%s is no snapshot reference (%zu bytes)", path, b->len);
    if (sx_crc32c(0, b->data, b->len - 4) != sx_get_u32(b->data + b->len - 4))
        return sx_err_set(e, SX_ECORRUPT, "%s: wrong checksum", path);
    version = sx_cur_u32(&c);
    of = sx_cur_u32(&c);
    s->index = sx_cur_u64(&c);
    s->term = sx_cur_u64(&c);
    s->members_index = sx_cur_u64(&c);
    len = sx_cur_u32(&c);
    if (version != VERSION)
        return sx_err_set(e, SX_EVERSION, "%s has format version %u", path, version);
    if (of != group)
        return sx_err_set(e, SX_ECORRUPT, "%s is of group %u, not %u", path, of, group);
    if (!s->index || !s->term || !s->members_index || s->members_index > s->index ||
        len != b->len - HEADER - 4)
        return sx_err_set(e, SX_ECORRUPT, "%s: contents do not fit together", path);
    if (sx_members_decode(&s->members, c.p, len, e)) {
        if (e)
            e->code = SX_ECORRUPT;
        return sx_err_wrap(e, "%s", path);
    }
    return 0;
}

int sx_snapref_load(const struct sx_io *io, const char *path, uint32_t group, struct sx_snapref *s,
                    struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_snapref got = SX_SNAPREF_INIT;
    struct sx_err why = SX_ERR_INIT;

    if (sx_io_read_file(io, path, FILE_MAX, &b, &why)) {
        if (why.code != SX_ENOTFOUND) {
            sx_err_copy(e, &why);
            return -1;
        }
    } else if (parse(&got, path, group, &b, e)) {
        sx_snapref_fini(&got);
        return -1;
    }
    sx_snapref_fini(s);
    *s = got;
    return 0;
}
