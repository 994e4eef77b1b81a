/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Buckets as websites: requests whose host is BUCKET.NAME of a name in s3_website_domains.
 */
#ifndef SX_FCGI_S3_SITE_H
#define SX_FCGI_S3_SITE_H

#include "fcgi/s3/s3.h"

/* Whether the request is for a website; then s->t.bucket is its bucket. */
bool sx_s3_site_asked(struct sx_s3 *s);
/* Answers it, errors as pages of HTML; -1 if not even its redirect or page could be made. */
int sx_s3_site_serve(struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;
/* The page that tells an error. */
void sx_s3_site_error(struct sx_s3 *s, const struct sx_err *e, int status);

#endif
