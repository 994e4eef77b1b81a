/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shape of an XML document of a bucket: which elements may stand in which.  What has the right
 * shape can be written again, as the canonical form that is kept.
 */
#ifndef SX_FCGI_S3_SHAPE_H
#define SX_FCGI_S3_SHAPE_H

#include "fcgi/s3/xml.h"
#include "libsx/base/buf.h"

#define SX_S3_SHAPE_CHILDREN 12

/* An element and what may be in it, in the notation of sx_xml_check_children().  A name means the
 * same wherever it stands; one without a row holds text only.  The last row has no name. */
struct sx_s3_shape {
    const char *name;
    const char *children[SX_S3_SHAPE_CHILDREN]; /* ended by NULL */
};

/* SX_S3_MALFORMED_XML. */
int sx_s3_shape_check(const struct sx_xml_node *top, const struct sx_s3_shape *rows,
                      struct sx_err *e) SX_MUST_CHECK;
/* The document whose root is `top`: without attributes and blanks between elements, in S3's
 * namespace. */
void sx_s3_shape_write(const struct sx_xml_node *top, struct sx_buf *out);

#endif
