/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checksums of objects and parts: one streaming interface for all algorithms, their names on the
 * wire, and the values of multipart objects.
 *
 *   algorithm  header                    of a multipart object
 *   CRC32      x-amz-checksum-crc32      COMPOSITE or FULL_OBJECT
 *   CRC32C     x-amz-checksum-crc32c     COMPOSITE or FULL_OBJECT
 *   CRC64NVME  x-amz-checksum-crc64nvme  FULL_OBJECT only
 *   SHA1       x-amz-checksum-sha1       COMPOSITE only
 *   SHA256     x-amz-checksum-sha256     COMPOSITE only
 *   MD5        (Content-MD5; the ETag)
 *
 * COMPOSITE is the checksum of the parts' raw checksums, one after the other, and is written with
 * "-N"; FULL_OBJECT is that of all bytes, combined from those of the parts.
 * Source: "Checking object integrity in Amazon S3", User Guide.
 */
#ifndef SX_FCGI_S3_CHECKSUM_H
#define SX_FCGI_S3_CHECKSUM_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

enum sx_sum_alg {
    SX_SUM_CRC32,
    SX_SUM_CRC32C,
    SX_SUM_CRC64NVME,
    SX_SUM_SHA1,
    SX_SUM_SHA256,
    SX_SUM_MD5,
    SX_SUM_N,
    SX_SUM_NONE = SX_SUM_N
};

#define SX_SUM_MAX 32  /* bytes of the longest */
#define SX_SUM_BIT(alg) (1u << (alg))

struct sx_sum_info {
    const char *name;    /* "CRC32", as in x-amz-checksum-algorithm */
    const char *header;  /* "x-amz-checksum-crc32"; MD5: "content-md5" */
    const char *element; /* "ChecksumCRC32", in XML; MD5: NULL */
    size_t size;         /* bytes */
    bool composite;      /* may be of type COMPOSITE */
    bool full;           /* may be combined into FULL_OBJECT */
};

const struct sx_sum_info *sx_sum_info(enum sx_sum_alg alg);
/* By the name in x-amz-checksum-algorithm (any case; not MD5), or by the header's (lower case).
 * SX_SUM_NONE if unknown. */
enum sx_sum_alg sx_sum_by_name(const char *name);
enum sx_sum_alg sx_sum_by_header(const char *header);

/* One checksum of a stream. */
struct sx_sum {
    enum sx_sum_alg alg;
    uint64_t crc;
    EVP_MD_CTX *md;
};

void sx_sum_init(struct sx_sum *s, enum sx_sum_alg alg);
void sx_sum_add(struct sx_sum *s, const void *p, size_t n);
/* The value, big-endian as on the wire, of sx_sum_info(alg)->size bytes; ends the stream. */
void sx_sum_end(struct sx_sum *s, uint8_t out[SX_SUM_MAX]);
void sx_sum_fini(struct sx_sum *s); /* also after _end, also twice */
void sx_sum_of(enum sx_sum_alg alg, const void *p, size_t n, uint8_t out[SX_SUM_MAX]);

/* Several of one stream. */
struct sx_sums {
    unsigned mask; /* of SX_SUM_BIT() */
    struct sx_sum v[SX_SUM_N];
    uint8_t value[SX_SUM_N][SX_SUM_MAX]; /* after sx_sums_end() */
};

void sx_sums_init(struct sx_sums *s, unsigned mask);
void sx_sums_add(struct sx_sums *s, const void *p, size_t n);
void sx_sums_end(struct sx_sums *s);
void sx_sums_fini(struct sx_sums *s);

/* Base64 of a value, and with "-N" of a composite one (n_parts > 0), into `out`. */
void sx_sum_text(struct sx_buf *out, enum sx_sum_alg alg, const uint8_t *value, unsigned n_parts);
/* Reads a client's value.  `n_parts` gets N of a composite one ("…-N"), else 0; NULL: only the
 * plain form is allowed.  SX_S3_INVALID_REQUEST, for MD5 SX_S3_INVALID_DIGEST. */
int sx_sum_parse(enum sx_sum_alg alg, const char *text, uint8_t out[SX_SUM_MAX],
                 unsigned *n_parts, struct sx_err *e) SX_MUST_CHECK;
/* SX_S3_BAD_DIGEST unless the two are the same. */
int sx_sum_compare(enum sx_sum_alg alg, const uint8_t *want, const uint8_t *got, struct sx_err *e)
    SX_MUST_CHECK;

/* The value of A followed by B, in place of A's; only for algorithms that can be FULL_OBJECT.
 * (COMPOSITE needs no function: sx_sum_add() of each part's value.) */
void sx_sum_combine(enum sx_sum_alg alg, uint8_t a[SX_SUM_MAX], const uint8_t b[SX_SUM_MAX],
                    uint64_t b_len);

#endif
