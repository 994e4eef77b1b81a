/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the operations that make objects have in common: conditions on what is there, what holds the
 * new version, checksums.
 */
#ifndef SX_FCGI_S3_OBJECT_H
#define SX_FCGI_S3_OBJECT_H

#include "fcgi/s3/range.h"
#include "fcgi/s3/s3.h"

/* A write as its headers want it. */
struct sx_s3_write {
    uint8_t flags;      /* SX_PUT_IF_NONE_MATCH, SX_PUT_IF_REV */
    uint64_t if_rev;
    uint8_t hold;       /* SX_HOLD_… */
    uint64_t retain_ms;
};

/* If-Match, If-None-Match (only "*", as AWS), x-amz-object-lock-*, x-amz-server-side-encryption (AES256 is
 * what we do; KMS is refused), the key of SSE-C into s->customer.  SX_S3_PRECONDITION_FAILED,
 * SX_S3_NO_SUCH_KEY for If-Match of what is not there, SX_S3_NOT_IMPLEMENTED, …  Needs s->t.key. */
int sx_s3_write_read(struct sx_s3 *s, struct sx_s3_write *w, struct sx_err *e) SX_MUST_CHECK;
/* Turns the refusal of a command whose condition did hold when it was looked at into what a race
 * is called.  -1. */
int sx_s3_conflict(const struct sx_s3_write *w, struct sx_err *e);

/* The item s3.sum of the body that was just read: the client's algorithm, or CRC64NVME. */
void sx_s3_sum_item(struct sx_s3 *s, json_t *items);
/* The same from a value. */
void sx_s3_sum_set(json_t *items, enum sx_sum_alg alg, const uint8_t value[SX_SUM_MAX]);
enum sx_sum_alg sx_s3_sum_alg(const json_t *items); /* of an object, or SX_SUM_NONE */
/* x-amz-checksum-… and -type lines of an object. */
void sx_s3_sum_fields(struct sx_s3 *s, const json_t *items);
/* <ChecksumCRC32> and so on of an object, and <ChecksumType>. */
void sx_s3_sum_elems(struct sx_buf *out, const json_t *items);

/* The source of a copy, x-amz-copy-source, which the requester may read: its volume and facts. */
int sx_s3_source_find(struct sx_s3 *s, struct sx_s3_copy_source *from, struct sx_volume *v,
                      struct sx_file_row *row, struct sx_err *e) SX_MUST_CHECK;
/* x-amz-copy-source-if-…: SX_S3_PRECONDITION_FAILED. */
int sx_s3_source_conditions(struct sx_s3 *s, const char *etag, const struct sx_file *f,
                            struct sx_err *e) SX_MUST_CHECK;

#define SX_S3_PART_ITEM "s3.part." /* and the number of the part */
/* How many parts the object was uploaded in; 0: in one piece. */
uint32_t sx_s3_parts(const json_t *items);
/* Where the parts first … first + n - 1 begin; the size of the object for those behind the last. */
int sx_s3_part_offsets(struct sx_s3 *s, const struct sx_file *f, uint32_t first, uint64_t *offsets,
                       size_t n, struct sx_err *e) SX_MUST_CHECK;

/* What is known of the checksums of the parts first … first + n - 1: items with s3.sum, each the
 * caller's, or NULL. */
int sx_s3_part_sums_find(struct sx_s3 *s, const struct sx_file *f, const json_t *items,
                         uint32_t first, json_t **sums, size_t n, struct sx_err *e) SX_MUST_CHECK;

/* Whether governance need not be heeded for the key: the request says so, and he may. */
bool sx_s3_may_bypass(struct sx_s3 *s, const char *key);
/* GOVERNANCE, COMPLIANCE: SX_HOLD_…  SX_S3_INVALID_ARGUMENT. */
int sx_s3_mode_parse(const char *mode, uint8_t *hold, struct sx_err *e) SX_MUST_CHECK;

#endif
