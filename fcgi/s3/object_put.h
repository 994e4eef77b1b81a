/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An object that is being made of a stream: what PutObject and PostObject have in common.
 */
#ifndef SX_FCGI_S3_OBJECT_PUT_H
#define SX_FCGI_S3_OBJECT_PUT_H

#include "fcgi/s3/ingest.h"
#include "fcgi/s3/object.h"

struct sx_s3_put {
    struct sx_s3 *s;           /* its target's key is the object's */
    struct sx_ingest *ingest;
    struct sx_ingest_content content;
    struct sx_buf meta, command, result;
    json_t *items;
    struct sx_s3_write w;
    struct sx_file f;          /* once committed; points into `result` */
};

/* What the headers of the request ask for, into w and items; the ingest begins. */
int sx_s3_put_begin(struct sx_s3_put *p, struct sx_s3 *s, struct sx_err *e) SX_MUST_CHECK;
/* After the last byte: stored, with the item s3.etag. */
int sx_s3_put_end(struct sx_s3_put *p, struct sx_err *e) SX_MUST_CHECK;
/* The object is there. */
int sx_s3_put_commit(struct sx_s3_put *p, struct sx_err *e) SX_MUST_CHECK;
/* The lines of its ETag, checksum, version and key for the answer. */
void sx_s3_put_fields(struct sx_s3_put *p);
void sx_s3_put_fini(struct sx_s3_put *p); /* of all zero bytes, too */

#endif
