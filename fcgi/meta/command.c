/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See command.h.  Each command's body is described once, by a table of its members in the order in
 * which they are written; one encoder and one decoder walk the tables.
 */
#include "fcgi/meta/command.h"

#include <string.h>

#include "libsx/base/text.h"

enum kind { END, U8, U16, U32, U64, FIX, STR, SPAN };

struct field {
    uint8_t kind;
    uint16_t offset;
    uint32_t max; /* STR, SPAN: most bytes; FIX: the size */
    const char *name;
};

#define F(s, m, kind, max) { kind, offsetof(struct sx_cmd_##s, m), max, #m }
#define FIXED(s, m) F(s, m, FIX, sizeof(((struct sx_cmd_##s *)0)->m))
#define NODE(s)                                                                                    \
    F(s, node.id, U64, 0), F(s, node.address, STR, SX_ADDRESS_MAX), F(s, node.port, U16, 0),       \
        F(s, node.peer_port, U16, 0), F(s, node.zone, STR, SX_ZONE_MAX),                           \
        F(s, node.capacity, U64, 0), F(s, node.version, STR, SX_VERSION_MAX)
#define BLOCK_LIST_MAX (SX_ENTRY_SIZE * SX_PART_ENTRIES_MAX)
#define RECORD_MAX (SX_INLINE_MAX + 96u) /* headers of the record and of the block */
#define META_MAX (SX_META_BYTES_MAX + 4 + SX_META_ITEMS_MAX * 7) /* with lengths and NULs */
#define ACL_MAX (SX_ACL_CHANGES_MAX * (SX_USER_NAME_MAX + 5))

static const struct field init_fields[] = {
    F(init, uuid, STR, 64),
    F(init, name, STR, SX_VOLUME_NAME_MAX),
    F(init, domain_key, SPAN, SX_SEALED_MAX),
    F(init, ca_cert, STR, SX_CERT_MAX),
    F(init, ca_key, SPAN, SX_SEALED_MAX),
    F(init, admin, STR, SX_USER_NAME_MAX),
    F(init, access_key, STR, SX_ACCESS_KEY_MAX),
    F(init, secret, SPAN, SX_SEALED_MAX),
    NODE(init),
    { END },
};
static const struct field node_set_fields[] = { NODE(node_set), { END } };
static const struct field node_remove_fields[] = { F(node_remove, id, U64, 0), { END } };
static const struct field token_create_fields[] = {
    F(token_create, id, U64, 0),
    FIXED(token_create, secret_hash),
    F(token_create, ttl_ms, U64, 0),
    { END },
};
static const struct field token_use_fields[] = {
    F(token_use, id, U64, 0),
    FIXED(token_use, secret_hash),
    NODE(token_use),
    { END },
};
static const struct field setting_set_fields[] = {
    F(setting_set, name, STR, SX_SETTING_NAME_MAX),
    F(setting_set, value, SPAN, SX_SETTING_VALUE_MAX),
    { END },
};
static const struct field epoch_set_fields[] = { F(epoch_set, epoch, U64, 0), { END } };
static const struct field expire_fields[] = { F(expire, limit, U32, 0), { END } };
static const struct field user_add_fields[] = {
    F(user_add, name, STR, SX_USER_NAME_MAX),
    F(user_add, role, U8, 0),
    F(user_add, quota, U64, 0),
    F(user_add, description, STR, SX_DESCRIPTION_MAX),
    F(user_add, access_key, STR, SX_ACCESS_KEY_MAX),
    F(user_add, secret, SPAN, SX_SEALED_MAX),
    F(user_add, max_volumes, U32, 0),
    { END },
};
static const struct field user_modify_fields[] = {
    F(user_modify, name, STR, SX_USER_NAME_MAX),
    F(user_modify, set, U8, 0),
    F(user_modify, role, U8, 0),
    F(user_modify, quota, U64, 0),
    F(user_modify, description, STR, SX_DESCRIPTION_MAX),
    F(user_modify, max_volumes, U32, 0),
    { END },
};
static const struct field user_delete_fields[] = {
    F(user_delete, name, STR, SX_USER_NAME_MAX),
    { END },
};
static const struct field key_add_fields[] = {
    F(key_add, name, STR, SX_USER_NAME_MAX),
    F(key_add, access_key, STR, SX_ACCESS_KEY_MAX),
    F(key_add, secret, SPAN, SX_SEALED_MAX),
    { END },
};
static const struct field key_delete_fields[] = {
    F(key_delete, name, STR, SX_USER_NAME_MAX),
    F(key_delete, access_key, STR, SX_ACCESS_KEY_MAX),
    { END },
};
static const struct field volume_create_fields[] = {
    F(volume_create, name, STR, SX_VOLUME_NAME_MAX),
    F(volume_create, owner, STR, SX_USER_NAME_MAX),
    F(volume_create, replica, U8, 0),
    F(volume_create, quota, U64, 0),
    F(volume_create, revisions, U8, 0),
    F(volume_create, compression, U8, 0),
    { END },
};
static const struct field volume_modify_fields[] = {
    F(volume_modify, volume, STR, SX_VOLUME_NAME_MAX),
    F(volume_modify, set, U8, 0),
    F(volume_modify, name, STR, SX_VOLUME_NAME_MAX),
    F(volume_modify, owner, STR, SX_USER_NAME_MAX),
    F(volume_modify, quota, U64, 0),
    F(volume_modify, revisions, U8, 0),
    F(volume_modify, compression, U8, 0),
    F(volume_modify, versioning, U8, 0),
    F(volume_modify, lock_mode, U8, 0),
    F(volume_modify, lock_ms, U64, 0),
    { END },
};
static const struct field volume_delete_fields[] = {
    F(volume_delete, volume, STR, SX_VOLUME_NAME_MAX),
    { END },
};
static const struct field acl_change_fields[] = {
    F(acl_change, volume, STR, SX_VOLUME_NAME_MAX),
    F(acl_change, changes, SPAN, ACL_MAX),
    { END },
};
static const struct field config_set_fields[] = {
    F(config_set, volume, STR, SX_VOLUME_NAME_MAX),
    F(config_set, name, STR, SX_CONFIG_NAME_MAX),
    F(config_set, value, SPAN, SX_CONFIG_VALUE_MAX),
    { END },
};
static const struct field file_put_fields[] = {
    F(file_put, volume, STR, SX_VOLUME_NAME_MAX),
    F(file_put, path, STR, SX_PATH_MAX),
    F(file_put, size, U64, 0),
    F(file_put, mtime_ns, U64, 0),
    F(file_put, mode, U32, 0),
    FIXED(file_put, etag),
    F(file_put, flags, U8, 0),
    FIXED(file_put, if_match),
    FIXED(file_put, upload),
    F(file_put, lease, U64, 0),
    F(file_put, meta, SPAN, META_MAX),
    F(file_put, entries, SPAN, BLOCK_LIST_MAX),
    F(file_put, record, SPAN, RECORD_MAX),
    F(file_put, if_rev, U64, 0),
    F(file_put, hold, U8, 0),
    F(file_put, retain_ms, U64, 0),
    { END },
};
static const struct field file_delete_fields[] = {
    F(file_delete, volume, STR, SX_VOLUME_NAME_MAX),
    F(file_delete, path, STR, SX_PATH_MAX),
    F(file_delete, rev, U64, 0),
    F(file_delete, flags, U8, 0),
    F(file_delete, if_rev, U64, 0),
    { END },
};
static const struct field file_copy_fields[] = {
    F(file_copy, volume, STR, SX_VOLUME_NAME_MAX),
    F(file_copy, path, STR, SX_PATH_MAX),
    F(file_copy, rev, U64, 0),
    F(file_copy, to_volume, STR, SX_VOLUME_NAME_MAX),
    F(file_copy, to_path, STR, SX_PATH_MAX),
    F(file_copy, flags, U8, 0),
    F(file_copy, if_rev, U64, 0),
    F(file_copy, meta, SPAN, META_MAX),
    F(file_copy, hold, U8, 0),
    F(file_copy, retain_ms, U64, 0),
    { END },
};
static const struct field file_annotate_fields[] = {
    F(file_annotate, volume, STR, SX_VOLUME_NAME_MAX),
    F(file_annotate, path, STR, SX_PATH_MAX),
    F(file_annotate, rev, U64, 0),
    F(file_annotate, items, SPAN, META_MAX),
    { END },
};
static const struct field file_lock_fields[] = {
    F(file_lock, volume, STR, SX_VOLUME_NAME_MAX),
    F(file_lock, path, STR, SX_PATH_MAX),
    F(file_lock, rev, U64, 0),
    F(file_lock, set, U8, 0),
    F(file_lock, hold, U8, 0),
    F(file_lock, retain_ms, U64, 0),
    { END },
};
static const struct field file_rename_fields[] = {
    F(file_rename, volume, STR, SX_VOLUME_NAME_MAX),
    F(file_rename, path, STR, SX_PATH_MAX),
    F(file_rename, to_volume, STR, SX_VOLUME_NAME_MAX),
    F(file_rename, to_path, STR, SX_PATH_MAX),
    { END },
};
static const struct field upload_begin_fields[] = {
    FIXED(upload_begin, upload),
    F(upload_begin, volume, STR, SX_VOLUME_NAME_MAX),
    F(upload_begin, path, STR, SX_PATH_MAX),
    F(upload_begin, multipart, U8, 0),
    F(upload_begin, meta, SPAN, META_MAX),
    { END },
};
static const struct field upload_part_fields[] = {
    FIXED(upload_part, upload),
    F(upload_part, seq, U32, 0),
    F(upload_part, lease, U64, 0),
    F(upload_part, entries, SPAN, BLOCK_LIST_MAX),
    { END },
};
static const struct field upload_abort_fields[] = { FIXED(upload_abort, upload), { END } };
static const struct field mpart_put_fields[] = {
    FIXED(mpart_put, upload),
    F(mpart_put, number, U32, 0),
    F(mpart_put, size, U64, 0),
    FIXED(mpart_put, md5),
    F(mpart_put, meta, SPAN, META_MAX),
    F(mpart_put, flags, U8, 0),
    FIXED(mpart_put, source),
    F(mpart_put, lease, U64, 0),
    F(mpart_put, entries, SPAN, BLOCK_LIST_MAX),
    { END },
};
static const struct field mpart_complete_fields[] = {
    FIXED(mpart_complete, upload),
    F(mpart_complete, parts, SPAN, SX_MPART_MAX * SX_MPART_NAMED),
    F(mpart_complete, mtime_ns, U64, 0),
    F(mpart_complete, flags, U8, 0),
    F(mpart_complete, if_rev, U64, 0),
    F(mpart_complete, meta, SPAN, META_MAX),
    F(mpart_complete, hold, U8, 0),
    F(mpart_complete, retain_ms, U64, 0),
    { END },
};
static const struct field pin_fields[] = {
    FIXED(pin, pin),
    F(pin, content, U64, 0),
    F(pin, ttl_ms, U64, 0),
    { END },
};
static const struct field unpin_fields[] = { FIXED(unpin, pin), { END } };
static const struct field job_create_fields[] = {
    F(job_create, job_type, U8, 0),
    F(job_create, volume, STR, SX_VOLUME_NAME_MAX),
    F(job_create, prefix, STR, SX_PATH_MAX),
    F(job_create, glob, STR, SX_GLOB_MAX),
    F(job_create, to_volume, STR, SX_VOLUME_NAME_MAX),
    F(job_create, to_prefix, STR, SX_PATH_MAX),
    { END },
};
static const struct field job_step_fields[] = {
    F(job_step, id, U64, 0),
    F(job_step, limit, U32, 0),
    { END },
};
static const struct field job_cancel_fields[] = { F(job_cancel, id, U64, 0), { END } };
static const struct field job_finish_fields[] = {
    F(job_finish, id, U64, 0),
    F(job_finish, state, U8, 0),
    F(job_finish, message, STR, SX_MESSAGE_MAX),
    { END },
};

static void str_encode(struct sx_buf *out, const char *s, size_t max)
{
    size_t n = s ? strlen(s) : 0;

    sx_assert(n <= max);
    sx_buf_u16(out, (uint16_t)n);
    sx_buf_add(out, s, n);
    sx_buf_u8(out, 0);
}

static const char *str_decode(struct sx_cur *c, size_t max)
{
    size_t n = sx_cur_u16(c);
    const uint8_t *p = sx_cur_take(c, n + 1);

    if (!p || n > max || p[n] || memchr(p, 0, n) || !sx_utf8_valid((const char *)p, n)) {
        c->bad = true;
        return NULL;
    }
    return (const char *)p;
}

static void span_encode(struct sx_buf *out, const struct sx_span *s, size_t max)
{
    sx_assert(s->n <= max);
    sx_buf_bytes(out, s->p, s->n);
}

static void field_encode(struct sx_buf *out, const struct field *f, const uint8_t *at)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    const char *s;
    struct sx_span span;

    switch (f->kind) {
    case U8:
        sx_buf_u8(out, *at);
        break;
    case U16:
        memcpy(&u16, at, sizeof u16);
        sx_buf_u16(out, u16);
        break;
    case U32:
        memcpy(&u32, at, sizeof u32);
        sx_buf_u32(out, u32);
        break;
    case U64:
        memcpy(&u64, at, sizeof u64);
        sx_buf_u64(out, u64);
        break;
    case FIX:
        sx_buf_add(out, at, f->max);
        break;
    case STR:
        memcpy(&s, at, sizeof s);
        str_encode(out, s, f->max);
        break;
    default:
        memcpy(&span, at, sizeof span);
        span_encode(out, &span, f->max);
    }
}

static void field_decode(struct sx_cur *c, const struct field *f, uint8_t *at)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    const char *s;
    struct sx_span span;

    switch (f->kind) {
    case U8:
        *at = sx_cur_u8(c);
        break;
    case U16:
        u16 = sx_cur_u16(c);
        memcpy(at, &u16, sizeof u16);
        break;
    case U32:
        u32 = sx_cur_u32(c);
        memcpy(at, &u32, sizeof u32);
        break;
    case U64:
        u64 = sx_cur_u64(c);
        memcpy(at, &u64, sizeof u64);
        break;
    case FIX:
        sx_cur_copy(c, at, f->max);
        break;
    case STR:
        s = str_decode(c, f->max);
        memcpy(at, &s, sizeof s);
        break;
    default:
        span.p = sx_cur_bytes(c, &span.n);
        if (span.n > f->max)
            c->bad = true;
        memcpy(at, &span, sizeof span);
    }
}

static void command_encode(struct sx_buf *out, const uint8_t op[SX_OP_ID], const char *user,
                           uint8_t type, const struct field *f, const void *c)
{
    sx_buf_add(out, op, SX_OP_ID);
    str_encode(out, user, SX_USER_NAME_MAX);
    sx_buf_u8(out, type);
    for (; f->kind != END; f++)
        field_encode(out, f, (const uint8_t *)c + f->offset);
}

static int body_decode(const char *name, const void *body, size_t n, const struct field *f,
                       void *c, struct sx_err *e)
{
    struct sx_cur cur = sx_cur_of(body, n);

    for (; f->kind != END; f++) {
        field_decode(&cur, f, (uint8_t *)c + f->offset);
        if (cur.bad)
            return sx_err_set(e, SX_EMALFORMED, "command %s: bad %s", name, f->name);
    }
    if (!sx_cur_done(&cur))
        return sx_err_set(e, SX_EMALFORMED, "command %s: %zu bytes too many", name, cur.left);
    return 0;
}

#define X(NAME, name, number)                                                                      \
    void sx_cmd_##name##_encode(struct sx_buf *out, const uint8_t op[SX_OP_ID], const char *user,  \
                                const struct sx_cmd_##name *c)                                     \
    {                                                                                              \
        command_encode(out, op, user, number, name##_fields, c);                                   \
    }                                                                                              \
    int sx_cmd_##name##_decode(const void *body, size_t n, struct sx_cmd_##name *c,                \
                               struct sx_err *e)                                                   \
    {                                                                                              \
        return body_decode(#name, body, n, name##_fields, c, e);                                   \
    }
SX_CMD_LIST(X)
#undef X

int sx_cmd_parse(const void *p, size_t n, struct sx_cmd *c, struct sx_err *e)
{
    struct sx_cur cur = sx_cur_of(p, n);

    if (n > SX_COMMAND_MAX)
        return sx_err_set(e, SX_EMALFORMED, "command of %zu bytes; at most %u are allowed", n,
                          SX_COMMAND_MAX);
    sx_cur_copy(&cur, c->op, SX_OP_ID);
    c->user = str_decode(&cur, SX_USER_NAME_MAX);
    c->type = sx_cur_u8(&cur);
    c->body.p = cur.p;
    c->body.n = cur.left;
    if (cur.bad)
        return sx_err_set(e, SX_EMALFORMED, "command of %zu bytes without a good head", n);
    return 0;
}

const char *sx_cmd_name(unsigned type)
{
    switch (type) {
#define X(NAME, name, number)                                                                      \
    case number:                                                                                   \
        return #name;
        SX_CMD_LIST(X)
#undef X
    }
    return "?";
}
