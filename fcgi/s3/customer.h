/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE-C: objects that are encrypted with a key that the client sends with each request.
 *
 * The key makes a dedup domain of its own (sx_domain_init_customer()): the object's blocks, and the
 * record of an inline one, are named and encrypted by it.  Of the key itself the cluster keeps the
 * item s3.ssec alone, "<salt> <HMAC-SHA-256 of the key under the salt>" in hex, to know a wrong key.
 */
#ifndef SX_FCGI_S3_CUSTOMER_H
#define SX_FCGI_S3_CUSTOMER_H

#include <jansson.h>
#include <stdbool.h>

#include "libsx/auth/sig.h"
#include "libsx/base/buf.h"
#include "libsx/codec/block.h"

#define SX_S3_CUSTOMER_ITEM "s3.ssec"
#define SX_S3_MD5_TEXT 25 /* base64 of 16 bytes, NUL */

struct sx_s3_customer {
    bool there; /* else the cluster's own key is meant */
    uint8_t key[SX_DOMAIN_KEY_SIZE];
    char md5[SX_S3_MD5_TEXT];
    struct sx_block_ctx *ctx; /* made when it is asked for */
};

struct sx_s3_key_headers {
    const struct sx_header *headers;
    size_t n;
    bool source; /* x-amz-copy-source-server-side-encryption-customer-…, of a copy's source */
    bool secure; /* the request came by TLS */
};

/* The key of a request's headers.  All three are there, or none; the errors are those of AWS:
 * SX_S3_INVALID_ARGUMENT, SX_S3_INVALID_ENCRYPTION_ALGORITHM, SX_S3_INVALID_REQUEST without TLS. */
int sx_s3_customer_read(struct sx_s3_customer *c, const struct sx_s3_key_headers *h,
                        struct sx_err *e) SX_MUST_CHECK;
void sx_s3_customer_fini(struct sx_s3_customer *c); /* of all zero bytes, too; wipes the key */

/* Adds the item, under a new salt; nothing if there is no key. */
void sx_s3_customer_item(const struct sx_s3_customer *c, json_t *items);
/* Is it the key that an object with these items needs?  SX_S3_INVALID_REQUEST if there is one and
 * none is needed, or the reverse; SX_S3_ACCESS_DENIED if it is another. */
int sx_s3_customer_object(const struct sx_s3_customer *c, const json_t *items,
                          struct sx_err *e) SX_MUST_CHECK;
/* The same for a part of an upload that began with these items: always SX_S3_INVALID_REQUEST. */
int sx_s3_customer_part(const struct sx_s3_customer *c, const json_t *began,
                        struct sx_err *e) SX_MUST_CHECK;

/* Encoder and decoder of its domain; NULL if there is no key. */
struct sx_block_ctx *sx_s3_customer_ctx(struct sx_s3_customer *c);
/* Header lines of an answer: what it was encrypted with; none if there is no key. */
void sx_s3_customer_lines(const struct sx_s3_customer *c, struct sx_buf *out);

#endif
