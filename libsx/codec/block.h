/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stored form of a block: a header of 48 bytes, then the payload, which is the
 * plain bytes, compressed (perhaps) and encrypted with AES-256-GCM.  The stored form is
 * also the wire form: nodes pass blocks on without decoding them.  Byte by byte in docs/formats.md.
 *
 *   offset size
 *        0    4  magic "SXB1"
 *        4    1  header version, 1
 *        5    1  codec: 0 none, 1 zstd, 2 zlib, 3 lz4
 *        6    1  cipher: 1 AES-256-GCM; 2 the same, with the key of an S3 client (SSE-C)
 *        7    1  0
 *        8    4  plain length, 1 … SX_BLOCK_PLAIN_MAX
 *       12    4  payload length, 1 … plain length
 *       16   12  nonce
 *       28   16  GCM tag
 *       44    4  0
 *       48       payload
 *
 * Additional authenticated data: the block's id, then header bytes 0 … 15.
 * Key: HKDF-SHA-256(secret = domain's encryption key, salt = none, info = "sx block" || id).
 *
 * Two encoders may make different bytes for one id (codec, library version, nonce);
 * equality is decided by id alone.
 */
#ifndef SX_CODEC_BLOCK_H
#define SX_CODEC_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/codec/id.h"

#define SX_BLOCK_HEADER 48
#define SX_BLOCK_TAG 16u
#define SX_BLOCK_PLAIN_MAX (4u << 20)
#define SX_BLOCK_STORED_MAX (SX_BLOCK_PLAIN_MAX + SX_BLOCK_HEADER)

enum sx_codec { SX_CODEC_NONE = 0, SX_CODEC_ZSTD = 1, SX_CODEC_ZLIB = 2, SX_CODEC_LZ4 = 3 };

/* "none", "zstd", "zlib", "lz4". */
const char *sx_codec_name(enum sx_codec codec);
int sx_codec_parse(const char *name, enum sx_codec *codec, struct sx_err *e) SX_MUST_CHECK;

/* A dedup domain's keys, derived from its 32-byte domain key with HKDF-SHA-256
 * (info "sx id key" and "sx encryption key"). */
struct sx_domain {
    uint8_t id_key[32];
    uint8_t enc_key[32];
    bool customer; /* the key is an S3 client's own: the cluster does not keep it */
};

#define SX_DOMAIN_KEY_SIZE 32

int sx_domain_init(struct sx_domain *d, const uint8_t key[SX_DOMAIN_KEY_SIZE], struct sx_err *e)
    SX_MUST_CHECK;
/* The domain of what an S3 client encrypts with this key (SSE-C).  Its domain key is derived (info
 * "sx customer key"), so that no key a client sends, not even the cluster's own, which native clients
 * know, makes the ids of another domain. */
int sx_domain_init_customer(struct sx_domain *d, const uint8_t key[SX_DOMAIN_KEY_SIZE],
                            struct sx_err *e) SX_MUST_CHECK;

/* Working memory of an encoder or decoder (compression contexts, cipher and MAC
 * contexts, scratch), made once and used for many blocks.  One thread at a time. */
struct sx_block_ctx;

struct sx_block_ctx *sx_block_ctx_new(const struct sx_domain *domain); /* copies the keys */
void sx_block_ctx_free(struct sx_block_ctx *ctx);

/* The id of plain bytes. */
int sx_block_id(struct sx_block_ctx *ctx, const void *plain, size_t n, struct sx_id *id,
                struct sx_err *e) SX_MUST_CHECK;

/* Appends the stored form to `out`.  `n` is 1 … SX_BLOCK_PLAIN_MAX.  Level 0 means the
 * codec's default (zstd 2, up to 128 KiB 3; zlib 6).  Data that does not shrink by at least 1/16 is stored
 * with codec none. */
int sx_block_encode(struct sx_block_ctx *ctx, const struct sx_id *id, const void *plain, size_t n,
                    enum sx_codec codec, int level, struct sx_buf *out, struct sx_err *e)
    SX_MUST_CHECK;

/* Decodes into `out` (replacing its content) and checks tag, sizes and, always, that the
 * plain bytes have this id.  SX_EBLOCK if anything is wrong, SX_EKEY if the block is a customer's and
 * the domain is the cluster's, or the reverse; no byte is given out then. */
int sx_block_decode(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                    struct sx_buf *out, struct sx_err *e) SX_MUST_CHECK;
/* The same but for the id, for whoever knows that these very stored bytes were decoded to it before: a tag
 * that is right again says that they are the same (GCM; a forgery succeeds once in some 2^100 tries). */
int sx_block_open(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                  struct sx_buf *out, struct sx_err *e) SX_MUST_CHECK;
/* The tag of a stored block; NULL if n says that it is none. */
const uint8_t *sx_block_tag(const void *stored, size_t n);
/* For whoever asks only whether a block is whole: of a customer's block, which nobody here can open,
 * the header is checked.  (Its bytes are covered by the record's checksum.)  `scratch` is overwritten. */
int sx_block_check(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                   struct sx_buf *scratch, struct sx_err *e) SX_MUST_CHECK;

/* Checks a header without keys: magic, version, codec, lengths, n = 48 + payload.
 * Gives the plain length. */
int sx_block_inspect(const void *stored, size_t n, uint32_t *plain_len, struct sx_err *e)
    SX_MUST_CHECK;

#endif
