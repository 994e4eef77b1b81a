/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See xmlout.h.
 */
#include "fcgi/s3/xmlout.h"

#include <inttypes.h>
#include <string.h>

#include "libsx/base/date.h"
#include "libsx/base/text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define SEQUENCE_MAX 4             /* bytes of a UTF-8 sequence */

void sx_xml_begin(struct sx_buf *out)
{
    sx_buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void sx_xml_root(struct sx_buf *out, const char *name)
{
    sx_buf_printf(out, "<%s xmlns=\"" SX_S3_XMLNS "\">", name);
}

void sx_xml_open(struct sx_buf *out, const char *name)
{
    sx_buf_printf(out, "<%s>", name);
}

void sx_xml_close(struct sx_buf *out, const char *name)
{
    sx_buf_printf(out, "</%s>", name);
}

/* Line feeds and tabs are themselves in text; a carriage return would be read as a line feed. */
static void add_ascii(struct sx_buf *out, uint8_t c)
{
    switch (c) {
    case '&':
        sx_buf_str(out, "&amp;");
        break;
    case '<':
        sx_buf_str(out, "&lt;");
        break;
    case '>':
        sx_buf_str(out, "&gt;");
        break;
    case '"':
        sx_buf_str(out, "&quot;");
        break;
    default:
        if (c < ' ' && c != '\t' && c != '\n')
            sx_buf_printf(out, "&#x%X;", c);
        else
            sx_buf_u8(out, c);
    }
}

/* Length of the sequence at s; 0 if it is none. */
static size_t sequence(const char *s, size_t n)
{
    for (size_t len = 2; len <= SEQUENCE_MAX && len <= n; len++)
        if (sx_utf8_valid(s, len))
            return len;
    return 0;
}

static size_t add_sequence(struct sx_buf *out, const char *s, size_t n)
{
    size_t len = sequence(s, n);

    if (len == 0)
        sx_buf_str(out, REPLACEMENT);
    else if (len == 3 && memcmp(s, "\xef\xbf\xbe", 3) == 0)
        sx_buf_str(out, "&#xFFFE;");
    else if (len == 3 && memcmp(s, "\xef\xbf\xbf", 3) == 0)
        sx_buf_str(out, "&#xFFFF;");
    else
        sx_buf_add(out, s, len);
    return len ? len : 1;
}

void sx_xml_text_add(struct sx_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        if ((uint8_t)s[i] < 0x80)
            add_ascii(out, (uint8_t)s[i++]);
        else
            i += add_sequence(out, s + i, n - i);
    }
}

void sx_xml_elem_n(struct sx_buf *out, const char *name, const char *text, size_t n)
{
    sx_xml_open(out, name);
    sx_xml_text_add(out, text, n);
    sx_xml_close(out, name);
}

void sx_xml_elem(struct sx_buf *out, const char *name, const char *text)
{
    if (text)
        sx_xml_elem_n(out, name, text, strlen(text));
}

void sx_xml_elem_u64(struct sx_buf *out, const char *name, uint64_t v)
{
    sx_buf_printf(out, "<%s>%" PRIu64 "</%s>", name, v, name);
}

void sx_xml_elem_bool(struct sx_buf *out, const char *name, bool v)
{
    sx_xml_elem(out, name, v ? "true" : "false");
}

void sx_xml_elem_time(struct sx_buf *out, const char *name, uint64_t wall_ms)
{
    char text[SX_ISO_DATE_TEXT];

    sx_xml_elem(out, name, sx_iso_date(text, wall_ms));
}

void sx_xml_elem_key(struct sx_buf *out, const char *name, const char *key, size_t n, bool url)
{
    if (!url) {
        sx_xml_elem_n(out, name, key, n);
        return;
    }
    sx_xml_open(out, name);
    sx_pct_encode(out, key, n, true);
    sx_xml_close(out, name);
}
