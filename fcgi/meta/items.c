/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small encodings inside commands and results: entries of a block list, metadata items of a
 * file, changes of an access list, the facts of a file, the state of a job.
 */
#include <stdlib.h>
#include <string.h>

#include "fcgi/meta/command.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

void sx_block_entry_add(struct sx_buf *out, const struct sx_id *id, uint32_t len)
{
    sx_buf_add(out, id->b, SX_ID_SIZE);
    sx_buf_u32(out, len);
}

void sx_block_entry_get(const uint8_t *entry, struct sx_id *id, uint32_t *len)
{
    memcpy(id->b, entry, SX_ID_SIZE);
    *len = sx_get_u32(entry + SX_ID_SIZE);
}

static void str_put(struct sx_buf *out, const char *s)
{
    size_t n = strlen(s);

    sx_assert(n <= UINT16_MAX);
    sx_buf_u16(out, (uint16_t)n);
    sx_buf_add(out, s, n + 1);
}

static const char *str_get(struct sx_cur *c, size_t *n)
{
    const uint8_t *p;

    *n = sx_cur_u16(c);
    p = sx_cur_take(c, *n + 1);
    if (!p || p[*n] || memchr(p, 0, *n) || !sx_utf8_valid((const char *)p, *n)) {
        c->bad = true;
        return NULL;
    }
    return (const char *)p;
}

/* ---- metadata items ---- */

static int key_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int item_check(size_t key, size_t value, size_t total, struct sx_err *e)
{
    if (key == 0 || key > SX_META_KEY_MAX)
        return sx_err_set(e, SX_EINVAL, "metadata key of %zu bytes; 1 to %u are allowed", key,
                          SX_META_KEY_MAX);
    if (value > SX_META_BYTES_MAX)
        return sx_err_set(e, SX_EINVAL, "metadata value of %zu bytes; at most %u are allowed",
                          value, SX_META_BYTES_MAX);
    if (total > SX_META_BYTES_MAX)
        return sx_err_set(e, SX_EINVAL, "more than %u bytes of metadata", SX_META_BYTES_MAX);
    return 0;
}

static int items_count_check(size_t count, struct sx_err *e)
{
    if (count > SX_META_ITEMS_MAX)
        return sx_err_set(e, SX_EINVAL, "%zu metadata items; at most %u are allowed", count,
                          SX_META_ITEMS_MAX);
    return 0;
}

int sx_meta_items_encode(const json_t *object, struct sx_buf *out, struct sx_err *e)
{
    const char *keys[SX_META_ITEMS_MAX];
    size_t count = json_object_size(object), n = 0, total = 0;
    json_t *o = (json_t *)object; /* jansson's iterators take no const */

    if (!json_is_object(object))
        return sx_err_set(e, SX_EINVAL, "metadata is not an object");
    if (items_count_check(count, e) != 0)
        return -1;
    if (count == 0)
        return 0;
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
        keys[n++] = json_object_iter_key(it);
    qsort(keys, n, sizeof *keys, key_cmp);
    sx_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(object, keys[i]);

        if (!json_is_string(v))
            return sx_err_set(e, SX_EINVAL, "metadata value of '%.64s' is not a string", keys[i]);
        total += strlen(keys[i]) + json_string_length(v);
        if (item_check(strlen(keys[i]), json_string_length(v), total, e) != 0)
            return -1;
        str_put(out, keys[i]);
        sx_buf_bytes(out, json_string_value(v), json_string_length(v));
    }
    return 0;
}

int sx_meta_items_check(const void *p, size_t n, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(p, n);
    const char *last = "";
    size_t total = 0;
    uint32_t count;

    if (n == 0)
        return 0;
    count = sx_cur_u32(&c);
    if (items_count_check(count, e) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        size_t klen, vlen;
        const char *key = str_get(&c, &klen);
        const uint8_t *value = sx_cur_bytes(&c, &vlen);

        if (c.bad || strcmp(key, last) <= 0 || !sx_utf8_valid((const char *)value, vlen) ||
            memchr(value, 0, vlen))
            return sx_err_set(e, SX_EMALFORMED, "metadata item %u is malformed", i);
        total += klen + vlen;
        if (item_check(klen, vlen, total, e) != 0)
            return -1;
        last = key;
    }
    if (!sx_cur_done(&c) || count == 0)
        return sx_err_set(e, SX_EMALFORMED, "metadata items are malformed");
    return 0;
}

/* One item of a run that was checked. */
struct item {
    const char *key; /* NULL: the end */
    const uint8_t *value;
    size_t len;
};

static void item_next(struct sx_cur *c, struct item *it)
{
    size_t n;

    it->key = NULL;
    if (c->left == 0)
        return;
    it->key = str_get(c, &n);
    it->value = sx_cur_bytes(c, &it->len);
}

static void items_begin(const struct sx_span *s, struct sx_cur *c, struct item *it)
{
    *c = sx_cur_of(s->p, s->n);
    if (s->n)
        sx_cur_u32(c);
    item_next(c, it);
}

int sx_meta_items_merge(const struct sx_span *was, const struct sx_span *now, struct sx_buf *out,
                        struct sx_err *e)
{
    struct sx_cur a, b;
    struct item x, y;
    uint32_t count = 0;

    sx_buf_reset(out);
    sx_buf_u32(out, 0);
    items_begin(was, &a, &x);
    items_begin(now, &b, &y);
    while (x.key || y.key) {
        int order = !x.key ? 1 : !y.key ? -1 : strcmp(x.key, y.key);
        const struct item *take = order < 0 ? &x : &y;

        if (take->len || order < 0) {
            str_put(out, take->key);
            sx_buf_bytes(out, take->value, take->len);
            count++;
        }
        if (order <= 0)
            item_next(&a, &x);
        if (order >= 0)
            item_next(&b, &y);
    }
    sx_put_u32(out->data, count);
    if (count == 0)
        sx_buf_reset(out);
    return sx_meta_items_check(out->data, out->len, e);
}

json_t *sx_meta_items_json(const void *p, size_t n)
{
    struct sx_cur c = sx_cur_of(p, n);
    json_t *o = json_object();

    for (uint32_t left = n ? sx_cur_u32(&c) : 0; left && !c.bad; left--) {
        size_t klen, vlen;
        const char *key = str_get(&c, &klen);
        const uint8_t *value = sx_cur_bytes(&c, &vlen);

        if (!c.bad)
            json_object_set_new(o, key, json_stringn((const char *)value, vlen));
    }
    return o;
}

/* ---- access lists ---- */

void sx_acl_change_add(struct sx_buf *out, const char *user, uint8_t grant, uint8_t revoke)
{
    str_put(out, user);
    sx_buf_u8(out, grant);
    sx_buf_u8(out, revoke);
}

int sx_acl_change_next(struct sx_cur *c, const char **user, uint8_t *grant, uint8_t *revoke)
{
    size_t n;

    if (c->left == 0)
        return 0;
    *user = str_get(c, &n);
    *grant = sx_cur_u8(c);
    *revoke = sx_cur_u8(c);
    return c->bad || n > SX_USER_NAME_MAX ? -1 : 1;
}

/* ---- facts of a file ---- */

#define FILE_INLINE 1u
#define FILE_UNCHANGED 2u
#define FILE_MARKER 4u
#define FILE_NULL 8u

uint8_t sx_file_flags(const struct sx_file *f)
{
    return (uint8_t)((f->is_inline ? FILE_INLINE : 0) | (f->unchanged ? FILE_UNCHANGED : 0) |
                     (f->marker ? FILE_MARKER : 0) | (f->null_version ? FILE_NULL : 0));
}

void sx_file_flags_set(struct sx_file *f, uint8_t flags)
{
    f->is_inline = flags & FILE_INLINE;
    f->unchanged = flags & FILE_UNCHANGED;
    f->marker = flags & FILE_MARKER;
    f->null_version = flags & FILE_NULL;
}

void sx_file_result_encode(struct sx_buf *out, const struct sx_file *f)
{
    sx_buf_u64(out, f->rev);
    sx_buf_u64(out, f->size);
    sx_buf_u64(out, f->blocks);
    sx_buf_u64(out, (uint64_t)f->mtime_ns);
    sx_buf_u32(out, f->mode);
    sx_buf_add(out, f->etag, SX_ETAG_SIZE);
    sx_buf_u64(out, f->created_ms);
    sx_buf_u64(out, f->content);
    sx_buf_u8(out, sx_file_flags(f));
    sx_buf_u8(out, f->hold);
    sx_buf_u64(out, f->retain_ms);
    str_put(out, f->path);
    sx_buf_bytes(out, f->meta.p, f->meta.n);
}

int sx_file_result_decode(const void *p, size_t n, struct sx_file *f, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(p, n);
    size_t len;

    f->rev = sx_cur_u64(&c);
    f->size = sx_cur_u64(&c);
    f->blocks = sx_cur_u64(&c);
    f->mtime_ns = (int64_t)sx_cur_u64(&c);
    f->mode = sx_cur_u32(&c);
    sx_cur_copy(&c, f->etag, SX_ETAG_SIZE);
    f->created_ms = sx_cur_u64(&c);
    f->content = sx_cur_u64(&c);
    sx_file_flags_set(f, sx_cur_u8(&c));
    f->hold = sx_cur_u8(&c);
    f->retain_ms = sx_cur_u64(&c);
    f->path = str_get(&c, &len);
    f->meta.p = sx_cur_bytes(&c, &f->meta.n);
    if (!sx_cur_done(&c))
        return sx_err_set(e, SX_EMALFORMED, "result of %zu bytes does not hold the facts of a file",
                          n);
    return 0;
}

json_t *sx_rev_json(uint64_t rev)
{
    char hex[17];
    uint8_t be[8];

    for (unsigned i = 0; i < 8; i++)
        be[i] = (uint8_t)(rev >> (56 - 8 * i));
    return json_string(sx_hex(hex, be, sizeof be));
}

/* A thousand of these make a page of a listing, of whose time json_pack() would add a sixth. */
static void set(json_t *o, const char *key, json_t *value)
{
    sx_assert(json_object_set_new_nocheck(o, key, value) == 0);
}

json_t *sx_file_json(const struct sx_file *f)
{
    char etag[2 * SX_ETAG_SIZE + 1];
    json_t *o = json_object();

    sx_assert(o);
    set(o, "path", json_string(f->path));
    set(o, "rev", sx_rev_json(f->rev));
    set(o, "size", json_integer((json_int_t)f->size));
    set(o, "blocks", json_integer((json_int_t)f->blocks));
    set(o, "mtime_ns", json_integer((json_int_t)f->mtime_ns));
    set(o, "mode", json_integer((json_int_t)f->mode));
    set(o, "etag", json_string_nocheck(sx_hex(etag, f->etag, SX_ETAG_SIZE)));
    set(o, "created_ms", json_integer((json_int_t)f->created_ms));
    if (f->meta.n)
        json_object_set_new(o, "meta", sx_meta_items_json(f->meta.p, f->meta.n));
    if (f->marker)
        json_object_set_new(o, "deleted", json_true());
    if (f->hold & SX_HOLD_LEGAL)
        json_object_set_new(o, "legal_hold", json_true());
    if (f->retain_ms)
        json_object_set_new(o, "retain_until_ms", json_integer((json_int_t)f->retain_ms));
    return o;
}

void sx_file_facts(const struct sx_file *f, struct sx_facts *facts)
{
    *facts = (struct sx_facts){ .rev = f->rev, .size = f->size, .mtime_ns = f->mtime_ns,
                                .mode = f->mode, .created_ms = f->created_ms,
                                .entries = (uint32_t)f->blocks };
    memcpy(facts->etag, f->etag, sizeof facts->etag);
}

/* ---- jobs ---- */

void sx_job_result_encode(struct sx_buf *out, const struct sx_job_result *r)
{
    sx_buf_u64(out, r->id);
    sx_buf_u8(out, r->state);
    sx_buf_u64(out, r->done);
    sx_buf_u64(out, r->failed);
}

int sx_job_result_decode(const void *p, size_t n, struct sx_job_result *r, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(p, n);

    r->id = sx_cur_u64(&c);
    r->state = sx_cur_u8(&c);
    r->done = sx_cur_u64(&c);
    r->failed = sx_cur_u64(&c);
    if (!sx_cur_done(&c))
        return sx_err_set(e, SX_EMALFORMED, "result of %zu bytes does not hold the state of a job",
                          n);
    return 0;
}
