/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See facts.h.
 */
#include "fcgi/s3/facts.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/s3/payload.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define META "x-amz-meta-"
#define RESERVED "s3."
#define RESERVED_META "s3.meta."
#define REDIRECT_MAX 2048u
#define TAGS_MAX 10u
#define TAG_KEY_MAX 128u
#define TAG_VALUE_MAX 256u

static const struct {
    const char *item, *header;
    const char *shown; /* the header's name as it is written */
} headers_of[] = {
    { "s3.type", "content-type", "Content-Type" },
    { "s3.language", "content-language", "Content-Language" },
    { "s3.disposition", "content-disposition", "Content-Disposition" },
    { "s3.cache", "cache-control", "Cache-Control" },
    { "s3.expires", "expires", "Expires" },
    { "s3.redirect", "x-amz-website-redirect-location", "x-amz-website-redirect-location" },
};

/* As UTF-8: what is not is taken byte for byte for ISO 8859-1. */
static void set_text(json_t *o, const char *item, const char *value)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (sx_utf8_valid(value, strlen(value))) {
        json_object_set_new(o, item, json_string(value));
        return;
    }
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if (*p >= 0x80)
            sx_buf_u8(&b, (uint8_t)(0xc0 | *p >> 6));
        sx_buf_u8(&b, *p < 0x80 ? *p : (uint8_t)(0x80 | (*p & 0x3f)));
    }
    json_object_set_new(o, item, json_string(sx_buf_cstr(&b)));
}

static int read_meta(const struct sx_header *h, json_t *o, size_t *total, struct sx_err *e)
{
    const char *key = h->name + strlen(META);
    char item[SX_META_KEY_MAX + 1];
    bool reserved = strncmp(key, RESERVED, strlen(RESERVED)) == 0;
    int n = snprintf(item, sizeof item, "%s%s", reserved ? RESERVED_META : "", key);

    *total += strlen(key) + strlen(h->value);
    if (!*key || n < 0 || (size_t)n >= sizeof item || *total > SX_S3_META_MAX)
        return sx_s3_fail(e, SX_S3_METADATA_TOO_LARGE);
    if (!*h->value)
        return 0; /* an item has a value; a header without one is not kept */
    set_text(o, item, h->value);
    return 0;
}

static int read_encoding(const char *value, json_t *o)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_payload_encoding(&b, value);
    if (b.len)
        set_text(o, "s3.encoding", sx_buf_cstr(&b));
    return 0;
}

static int read_class(const char *value, json_t *o, struct sx_err *e)
{
    static const char *const classes[] = {
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
        "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR",
    };

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(value, classes[i]) == 0) {
            if (i > 0)
                json_object_set_new(o, "s3.class", json_string(value));
            return 0;
        }
    return sx_s3_fail(e, SX_S3_INVALID_STORAGE_CLASS);
}

static int check_redirect(const char *value, struct sx_err *e)
{
    if (strlen(value) > REDIRECT_MAX)
        return sx_err_set(e, SX_S3_INVALID_REDIRECT, "The length of website redirect location cannot "
                                                     "exceed %u characters.", REDIRECT_MAX);
    return value[0] == '/' || strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0
               ? 0 : sx_s3_fail(e, SX_S3_INVALID_REDIRECT);
}

static int read_one(const struct sx_header *h, json_t *o, size_t *total, struct sx_err *e)
{
    if (strncmp(h->name, META, strlen(META)) == 0)
        return read_meta(h, o, total, e);
    if (strcmp(h->name, "content-encoding") == 0)
        return read_encoding(h->value, o);
    if (strcmp(h->name, "x-amz-storage-class") == 0)
        return read_class(h->value, o, e);
    if (strcmp(h->name, "x-amz-tagging") == 0) {
        if (*h->value)
            json_object_set_new(o, "s3.tags", json_string(h->value));
        return sx_s3_tags_check(h->value, e);
    }
    if (strcmp(h->name, "x-amz-website-redirect-location") == 0 && check_redirect(h->value, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof headers_of / sizeof *headers_of; i++)
        if (strcmp(h->name, headers_of[i].header) == 0 && *h->value)
            set_text(o, headers_of[i].item, h->value);
    return 0;
}

int sx_s3_facts_read(const struct sx_header *headers, size_t n, json_t *o, struct sx_err *e)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        if (read_one(&headers[i], o, &total, e) != 0)
            return -1;
    return 0;
}

/* ---- and back ---- */

/* A value as a header can have it: native clients may set items with any characters. */
static void add_line(struct sx_buf *out, const char *name, const char *value)
{
    sx_buf_str(out, name);
    sx_buf_str(out, ": ");
    for (; *value; value++)
        sx_buf_u8(out, (uint8_t)*value < 0x20 || *value == 0x7f ? ' ' : (uint8_t)*value);
    sx_buf_str(out, "\r\n");
}

static bool is_token(const char *s)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return *s && s[strspn(s, allowed)] == '\0';
}

/* The name of a user's item as it is behind x-amz-meta-, or NULL if the item is ours, or cannot be
 * a header: native clients may set items of any name. */
static const char *meta_name(const char *item)
{
    if (strncmp(item, RESERVED_META, strlen(RESERVED_META)) == 0)
        item += strlen(RESERVED_META);
    else if (strncmp(item, RESERVED, strlen(RESERVED)) == 0)
        return NULL;
    return is_token(item) ? item : NULL;
}

void sx_s3_facts_headers(const json_t *items, struct sx_buf *out)
{
    const char *key, *value, *name;
    json_t *v;
    char line[SX_META_KEY_MAX + sizeof META];

    if (!sx_s3_item(items, "s3.type"))
        add_line(out, "Content-Type", SX_S3_TYPE_DEFAULT);
    for (size_t i = 0; i < sizeof headers_of / sizeof *headers_of; i++)
        if ((value = sx_s3_item(items, headers_of[i].item)) != NULL)
            add_line(out, headers_of[i].shown, value);
    if ((value = sx_s3_item(items, "s3.encoding")) != NULL)
        add_line(out, "Content-Encoding", value);
    if ((value = sx_s3_item(items, "s3.class")) != NULL)
        add_line(out, "x-amz-storage-class", value);
    if ((value = sx_s3_item(items, "s3.tags")) != NULL)
        sx_buf_printf(out, "x-amz-tagging-count: %u\r\n", sx_s3_tags_count(value));
    json_object_foreach((json_t *)(uintptr_t)items, key, v) {
        if ((name = meta_name(key)) == NULL)
            continue;
        snprintf(line, sizeof line, META "%s", name);
        add_line(out, line, json_string_value(v));
    }
}

void sx_s3_etag(const struct sx_file *f, const json_t *items, char out[SX_S3_ETAG_TEXT])
{
    const char *own = sx_s3_item(items, "s3.etag");
    char hex[2 * SX_ETAG_SIZE + 1];

    if (own && strlen(own) < SX_S3_ETAG_TEXT && own[strspn(own, "0123456789abcdef-")] == '\0')
        snprintf(out, SX_S3_ETAG_TEXT, "%s", own);
    else
        snprintf(out, SX_S3_ETAG_TEXT, "%s-1", sx_hex(hex, f->etag, SX_ETAG_SIZE));
}

const char *sx_s3_item(const json_t *items, const char *name)
{
    return json_string_value(json_object_get(items, name));
}

json_t *sx_s3_items(const struct sx_file *f)
{
    return sx_meta_items_json(f->meta.p, f->meta.n);
}

/* ---- tags ---- */

unsigned sx_s3_tags_count(const char *text)
{
    unsigned n = *text != '\0';

    for (; *text; text++)
        n += *text == '&';
    return n;
}

/* Characters of percent-encoded UTF-8, up to `end`; 0 if an escape is bad. */
static size_t characters(const char *s, const char *end)
{
    size_t n = 0;

    while (s < end) {
        uint8_t b = (uint8_t)*s;

        if (*s == '%') {
            char two[3] = { s[1], s + 1 < end ? s[2] : '\0', '\0' };

            if (end - s < 3 || sx_unhex(&b, 1, two) != 0)
                return 0;
            s += 2;
        }
        s++;
        n += (b & 0xc0) != 0x80;
    }
    return n;
}

static bool tag_seen(const char *text, const char *key, size_t len)
{
    for (const char *p = text; p < key; p += strcspn(p, "&") + 1)
        if (strncmp(p, key, len) == 0 && (p[len] == '=' || p[len] == '&'))
            return true;
    return false;
}

int sx_s3_tags_check(const char *text, struct sx_err *e)
{
    if (!*text)
        return 0;
    if (sx_s3_tags_count(text) > TAGS_MAX)
        return sx_err_set(e, SX_S3_BAD_REQUEST, "Object tags cannot be greater than %u", TAGS_MAX);
    for (const char *p = text;; p++) {
        const char *end = p + strcspn(p, "&"), *eq = memchr(p, '=', (size_t)(end - p));
        const char *key_end = eq ? eq : end;
        size_t key = characters(p, key_end), value = eq ? characters(eq + 1, end) : 0;

        if (key == 0 || key > TAG_KEY_MAX || value > TAG_VALUE_MAX ||
            (eq && eq + 1 < end && value == 0) || tag_seen(text, p, (size_t)(key_end - p)))
            return sx_s3_fail(e, SX_S3_INVALID_TAG);
        p = end;
        if (!*p)
            return 0;
    }
}
