/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes XML documents into a buffer.  No state: the caller closes what he opens, in order; names
 * are literals of the program.
 *
 * Text may be any bytes.  Characters that XML 1.0 cannot hold (U+0001 … U+001F but tab and line
 * feed, U+FFFE, U+FFFF) are written as references, "&#x1;", as AWS does: a strict parser then
 * refuses the document rather than seeing another name.  Clients that have such keys ask for
 * encoding-type=url.  Bytes that are no UTF-8 become U+FFFD.
 */
#ifndef SX_FCGI_S3_XMLOUT_H
#define SX_FCGI_S3_XMLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"

#define SX_S3_XMLNS "http://s3.amazonaws.com/doc/2006-03-01/"

/* The XML declaration. */
void sx_xml_begin(struct sx_buf *out);
/* <name>, </name>; the root of S3's answers, with its namespace. */
void sx_xml_root(struct sx_buf *out, const char *name);
void sx_xml_open(struct sx_buf *out, const char *name);
void sx_xml_close(struct sx_buf *out, const char *name);
/* Text, escaped. */
void sx_xml_text_add(struct sx_buf *out, const char *s, size_t n);

/* <name>text</name>; NULL writes nothing. */
void sx_xml_elem(struct sx_buf *out, const char *name, const char *text);
void sx_xml_elem_n(struct sx_buf *out, const char *name, const char *text, size_t n);
void sx_xml_elem_u64(struct sx_buf *out, const char *name, uint64_t v);
void sx_xml_elem_bool(struct sx_buf *out, const char *name, bool v);
/* 2026-11-20T14:03:05.123Z */
void sx_xml_elem_time(struct sx_buf *out, const char *name, uint64_t wall_ms);
/* A key or prefix of a listing: with `url` percent-encoded as encoding-type=url wants it. */
void sx_xml_elem_key(struct sx_buf *out, const char *name, const char *key, size_t n, bool url);

#endif
