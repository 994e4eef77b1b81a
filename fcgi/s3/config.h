/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The documents of a bucket in the metadata, for the operations on them and for those that look at
 * them on the way.
 */
#ifndef SX_FCGI_S3_CONFIG_H
#define SX_FCGI_S3_CONFIG_H

#include "fcgi/s3/s3.h"

#define SX_S3_DOC_POLICY "policy"
#define SX_S3_DOC_ACL "acl"
#define SX_S3_DOC_CORS "cors"
#define SX_S3_DOC_OWNERSHIP "ownership"
#define SX_S3_DOC_PUBLIC_ACCESS "publicaccess"
#define SX_S3_DOC_WEBSITE "website"

/* Sets the document of the request's bucket; n 0 removes it.  SX_S3_MAX_MESSAGE_LENGTH. */
int sx_s3_config_set(struct sx_s3 *s, const char *name, const void *p, size_t n,
                     struct sx_err *e) SX_MUST_CHECK;
/* A document as it is kept: 1, 0 if there is none, -1. */
int sx_s3_config_text(struct sx_s3 *s, uint64_t volume, const char *name, struct sx_buf *text,
                      struct sx_err *e) SX_MUST_CHECK;
/* An XML document: 1 and *doc, the caller's; 0 if there is none; -1. */
int sx_s3_config_xml(struct sx_s3 *s, uint64_t volume, const char *name, struct sx_xml **doc,
                     struct sx_err *e) SX_MUST_CHECK;
/* A switch of the bucket's public access block: 1, 0, -1. */
int sx_s3_public_access(struct sx_s3 *s, uint64_t volume, const char *name,
                        struct sx_err *e) SX_MUST_CHECK;

/* ---- cross-origin requests (preflight.c) ---- */

/* The lines of an answer to a request with an Origin, as far as the bucket's rules allow it. */
int sx_s3_cors_fields(struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;

/* ---- ACLs (acls.c) ---- */

/* x-amz-acl and x-amz-grant-… of a request that makes an object: the item s3.acl. */
int sx_s3_acl_item(struct sx_s3 *s, json_t *items, struct sx_err *e) SX_MUST_CHECK;
/* The same of a request that makes a bucket, as the text of its document; empty if there is
 * nothing to keep. */
int sx_s3_acl_of_bucket(struct sx_s3 *s, struct sx_buf *out, struct sx_err *e) SX_MUST_CHECK;
/* Do the ACLs of the bucket, or of the object, allow it?  Not if they are switched off. */
bool sx_s3_acl_allows(struct sx_s3 *s, const struct sx_volume *v,
                      const struct sx_s3_question *q);

#endif
