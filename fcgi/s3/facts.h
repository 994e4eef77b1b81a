/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an object is beside its bytes, as metadata items of its revision (fcgi/meta/command.h), and
 * as headers.
 *
 *   item               header
 *   s3.type            Content-Type            s3.etag    the ETag: MD5, or MD5 of MD5s and "-N"
 *   s3.encoding        Content-Encoding        s3.sum     "CRC32 <base64> FULL_OBJECT|COMPOSITE"
 *   s3.language        Content-Language        s3.tags    tags, as in x-amz-tagging
 *   s3.disposition     Content-Disposition     s3.class   x-amz-storage-class, if not STANDARD
 *   s3.cache           Cache-Control           s3.acl     who may do what, beside the owner
 *   s3.expires         Expires                 s3.parts   number of parts of a multipart upload
 *   s3.redirect        x-amz-website-redirect-location
 *                                              s3.upload  id of that upload
 *                                              s3.ssec    see customer.h
 *                                              s3.part.N  "CRC32 <base64>" of part N, where
 *                                                         no joint content keeps it
 *   KEY                x-amz-meta-KEY; a KEY that begins with "s3." stands as "s3.meta.KEY"
 *
 * A file that was put by the native client has none of the s3. items: its ETag is made of the
 * native one, with "-1" behind it, so that nobody takes it for an MD5.
 */
#ifndef SX_FCGI_S3_FACTS_H
#define SX_FCGI_S3_FACTS_H

#include "fcgi/meta/query.h"
#include "libsx/auth/sig.h"

#define SX_S3_META_MAX 2048u        /* bytes of names and values of x-amz-meta- headers, as AWS */
#define SX_S3_TYPE_DEFAULT "binary/octet-stream"
#define SX_S3_ETAG_TEXT 48          /* 32 hex digits, "-10000", NUL */

/* The items that the headers of a PUT, or of an upload's beginning, ask for; added to `o`.  Values
 * that are no UTF-8 are taken for ISO 8859-1.  SX_S3_METADATA_TOO_LARGE, SX_S3_INVALID_TAG, … */
int sx_s3_facts_read(const struct sx_header *headers, size_t n, json_t *o,
                     struct sx_err *e) SX_MUST_CHECK;
/* Header lines ("Name: value\r\n") of an object for GET and HEAD: all of the table that are
 * headers, and the number of tags.  Not ETag, length, times, checksum. */
void sx_s3_facts_headers(const json_t *items, struct sx_buf *out);

/* Without quotes. */
void sx_s3_etag(const struct sx_file *f, const json_t *items, char out[SX_S3_ETAG_TEXT]);
/* The value of an item, or NULL. */
const char *sx_s3_item(const json_t *items, const char *name);
/* The items of f; a new reference. */
json_t *sx_s3_items(const struct sx_file *f);

/* Tags in the form of x-amz-tagging ("a=b&c=d"): at most 10, keys of 1 to 128 and values of at most
 * 256 characters, no key twice.  SX_S3_INVALID_TAG. */
int sx_s3_tags_check(const char *text, struct sx_err *e) SX_MUST_CHECK;
unsigned sx_s3_tags_count(const char *text);

#endif
