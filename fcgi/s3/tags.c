/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See tags.h.
 */
#include "fcgi/s3/tags.h"

#include <string.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/shape.h"
#include "fcgi/s3/xmlout.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

static const struct sx_s3_shape shape[] = {
    { "Tagging", { "TagSet" } },
    { "TagSet", { "Tag*" } },
    { "Tag", { "Key", "Value" } },
    { NULL, { NULL } },
};

static size_t characters(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool is_repeated(const struct sx_xml_node *set, const struct sx_xml_node *tag)
{
    const char *key = sx_xml_get(tag, "Key");

    for (const struct sx_xml_node *n = sx_xml_child(set, "Tag"); n != tag; n = sx_xml_next(n))
        if (strcmp(sx_xml_get(n, "Key"), key) == 0)
            return true;
    return false;
}

static int check_tag(const struct sx_xml_node *set, const struct sx_xml_node *tag, struct sx_err *e)
{
    const char *key = sx_xml_get(tag, "Key"), *value = sx_xml_get(tag, "Value");

    if (!key || !value)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    if (characters(key) == 0 || characters(key) > SX_S3_TAG_KEY_MAX)
        return sx_err_set(e, SX_S3_INVALID_TAG, "The TagKey you have provided is invalid");
    if (characters(value) > SX_S3_TAG_VALUE_MAX)
        return sx_err_set(e, SX_S3_INVALID_TAG, "The TagValue you have provided is invalid");
    if (strncmp(key, "aws:", 4) == 0)
        return sx_err_set(e, SX_S3_INVALID_TAG, "System tags cannot be added/updated by requester");
    if (is_repeated(set, tag))
        return sx_err_set(e, SX_S3_INVALID_TAG,
                          "Cannot provide multiple Tags with the same key");
    return 0;
}

int sx_s3_tags_check_xml(const struct sx_xml_node *top, unsigned max, struct sx_err *e)
{
    const struct sx_xml_node *set = sx_xml_child(top, "TagSet");

    if (sx_s3_shape_check(top, shape, e) != 0)
        return -1;
    if (!set)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    if (sx_xml_count(set, "Tag") > max)
        return sx_err_set(e, SX_S3_BAD_REQUEST, "%s tags cannot be greater than %u",
                          max == SX_S3_OBJECT_TAGS_MAX ? "Object" : "Bucket", max);
    for (const struct sx_xml_node *n = sx_xml_child(set, "Tag"); n; n = sx_xml_next(n))
        if (check_tag(set, n, e) != 0)
            return -1;
    return 0;
}

/* ---- text ---- */

static void encode(struct sx_buf *out, const char *s)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *s; s++)
        if (strchr(plain, *s))
            sx_buf_u8(out, (uint8_t)*s);
        else
            sx_buf_printf(out, "%%%02X", (unsigned char)*s);
}

void sx_s3_tags_text(const struct sx_xml_node *top, struct sx_buf *out)
{
    const struct sx_xml_node *set = sx_xml_child(top, "TagSet");

    for (const struct sx_xml_node *n = sx_xml_child(set, "Tag"); n; n = sx_xml_next(n)) {
        if (out->len)
            sx_buf_u8(out, '&');
        encode(out, sx_xml_get(n, "Key"));
        sx_buf_u8(out, '=');
        encode(out, sx_xml_get(n, "Value"));
    }
}

/* Up to one of `ends`, decoded; the place of that. */
static const char *decode(struct sx_buf *out, const char *s, const char *ends)
{
    sx_buf_reset(out);
    for (; *s && !strchr(ends, *s); s++) {
        uint8_t b = *s == '+' ? ' ' : (uint8_t)*s;

        if (*s == '%' && s[1] && s[2]) {
            const char two[3] = { s[1], s[2], '\0' };

            if (sx_unhex(&b, 1, two) == 0)
                s += 2;
        }
        sx_buf_u8(out, b);
    }
    return s;
}

bool sx_s3_tags_next(const char **at, struct sx_buf *key, struct sx_buf *value)
{
    const char *p = *at;

    if (!*p)
        return false;
    p = decode(key, p, "=&");
    sx_buf_reset(value);
    if (*p == '=')
        p = decode(value, p + 1, "&");
    *at = *p ? p + 1 : p;
    return true;
}

bool sx_s3_tags_have(const char *text, const char *key, const char *value)
{
    SX_AUTO(sx_buf) struct sx_buf k = SX_BUF_INIT, v = SX_BUF_INIT;

    while (sx_s3_tags_next(&text, &k, &v))
        if (strcmp(sx_buf_cstr(&k), key) == 0)
            return strcmp(sx_buf_cstr(&v), value) == 0;
    return false;
}

void sx_s3_tags_xml(const char *text, struct sx_buf *out)
{
    SX_AUTO(sx_buf) struct sx_buf k = SX_BUF_INIT, v = SX_BUF_INIT;

    sx_xml_begin(out);
    sx_xml_root(out, "Tagging");
    sx_xml_open(out, "TagSet");
    while (sx_s3_tags_next(&text, &k, &v)) {
        sx_xml_open(out, "Tag");
        sx_xml_elem(out, "Key", sx_buf_cstr(&k));
        sx_xml_elem(out, "Value", sx_buf_cstr(&v));
        sx_xml_close(out, "Tag");
    }
    sx_xml_close(out, "TagSet");
    sx_xml_close(out, "Tagging");
}
