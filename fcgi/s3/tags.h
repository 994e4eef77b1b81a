/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sets of tags: as text ("a=b&c=d", percent-encoded, as in x-amz-tagging and the item s3.tags) and
 * as <Tagging>.
 */
#ifndef SX_FCGI_S3_TAGS_H
#define SX_FCGI_S3_TAGS_H

#include "fcgi/s3/xml.h"
#include "libsx/base/buf.h"

#define SX_S3_TAG_KEY_MAX 128u   /* characters */
#define SX_S3_TAG_VALUE_MAX 256u
#define SX_S3_OBJECT_TAGS_MAX 10u
#define SX_S3_BUCKET_TAGS_MAX 50u

/* <Tagging>: at most `max` tags, keys once each and not of the reserved "aws:".
 * SX_S3_MALFORMED_XML, SX_S3_INVALID_TAG, SX_S3_BAD_REQUEST. */
int sx_s3_tags_check_xml(const struct sx_xml_node *top, unsigned max, struct sx_err *e)
    SX_MUST_CHECK;
/* Checked <Tagging> as text. */
void sx_s3_tags_text(const struct sx_xml_node *top, struct sx_buf *out);
/* Text as <Tagging>. */
void sx_s3_tags_xml(const char *text, struct sx_buf *out);

/* The next tag of a text, decoded; false at its end.  *at begins at the text. */
bool sx_s3_tags_next(const char **at, struct sx_buf *key, struct sx_buf *value);
/* Whether the text has this tag. */
bool sx_s3_tags_have(const char *text, const char *key, const char *value);

#endif
