/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Facts of a version that change while its content stays: tags, ACL.
 */
#ifndef SX_FCGI_S3_ANNOTATE_H
#define SX_FCGI_S3_ANNOTATE_H

#include "fcgi/s3/s3.h"

/* The version that the request names.  SX_S3_METHOD_NOT_ALLOWED for a deletion marker that it names,
 * SX_S3_NO_SUCH_KEY for one that is the newest, … */
int sx_s3_find_version(struct sx_s3 *s, struct sx_file_row *row, struct sx_err *e) SX_MUST_CHECK;
/* Sets an item of it ("": takes it away), and the answer's x-amz-version-id. */
int sx_s3_annotate(struct sx_s3 *s, const char *item, const char *value,
                   struct sx_err *e) SX_MUST_CHECK;

#endif
