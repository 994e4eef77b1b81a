/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the operations on multipart uploads have in common.
 */
#ifndef SX_FCGI_S3_MULTIPART_H
#define SX_FCGI_S3_MULTIPART_H

#include "fcgi/s3/ingest.h"
#include "fcgi/s3/object.h"

/* ?uploadId= of this bucket and key.  SX_S3_NO_SUCH_UPLOAD. */
int sx_s3_upload_find(struct sx_s3 *s, struct sx_mupload *u, struct sx_err *e) SX_MUST_CHECK;
/* ?partNumber=. */
int sx_s3_part_number(struct sx_s3 *s, uint32_t *number, struct sx_err *e) SX_MUST_CHECK;

/* A part whose bytes are stored: made known. */
struct sx_s3_part {
    struct sx_ingest *ingest;
    struct sx_ingest_content content;
    json_t *items; /* s3.sum */
};
int sx_s3_part_commit(struct sx_s3 *s, const struct sx_mupload *u, uint32_t number,
                      struct sx_s3_part *p, struct sx_err *e) SX_MUST_CHECK;
void sx_s3_part_fini(struct sx_s3_part *p);

/* ---- checksums of uploads (sums.c) ----
 *
 * The upload's item s3.sum is "<ALGORITHM> <type>"; that of a part "<ALGORITHM> <base64>". */

/* x-amz-checksum-algorithm and -type into the items of a new upload, and what holds the object. */
int sx_s3_upload_items(struct sx_s3 *s, const struct sx_s3_write *w, json_t *items,
                       struct sx_err *e) SX_MUST_CHECK;
void sx_s3_sum_announce(struct sx_s3 *s, const json_t *items); /* their lines in the answer */
void sx_s3_upload_hold(const json_t *began, uint8_t *hold, uint64_t *retain_ms);
/* Which sums of a part have to be computed; the part's item, from
 * the body that was just read, or from the sums of a copy; its line. */
unsigned sx_s3_part_sums(const json_t *began);
void sx_s3_part_sum_item(struct sx_s3 *s, const json_t *began, json_t *items);
void sx_s3_copy_sum_item(const struct sx_sums *sums, const json_t *began, json_t *items);
void sx_s3_part_sum_field(struct sx_s3 *s, const json_t *items);
void sx_s3_part_sum_elem(struct sx_buf *out, const json_t *items);

/* The object's checksum from those of its parts. */
struct sx_s3_sum_join {
    enum sx_sum_alg alg; /* SX_SUM_NONE: there is none */
    bool full;
    unsigned n;
    struct sx_sum composite;
    uint8_t value[SX_SUM_MAX];
};
void sx_s3_sum_join_init(struct sx_s3_sum_join *j, const json_t *began);
void sx_s3_sum_join_fini(struct sx_s3_sum_join *j);
/* A part, in order; what <Part> says of it must be so.  SX_S3_INVALID_PART. */
int sx_s3_sum_join_add(struct sx_s3_sum_join *j, const struct sx_xml_node *named,
                       const struct sx_mpart *p, struct sx_err *e) SX_MUST_CHECK;
/* The item s3.sum of the object; a checksum in the request's headers must be the same. */
int sx_s3_sum_join_end(struct sx_s3_sum_join *j, struct sx_s3 *s, json_t *items,
                       struct sx_err *e) SX_MUST_CHECK;
#endif
