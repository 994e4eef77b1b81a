/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See block.h.  Encoding compresses into the output buffer and encrypts there in place, so a block
 * crosses the memory as seldom as can be.  Decoding decrypts into scratch (which lives as long as
 * the context), and decompresses only what the tag has proved genuine.
 */
#include "libsx/codec/block.h"

#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/codec/compress.h"
#include "libsx/crypt/context.h"
#include "libsx/crypt/crypt.h"

#define VERSION 1
#define CIPHER_AES_256_GCM 1
#define CIPHER_CUSTOMER 2 /* the same, under a key that the cluster does not keep */

#define AT_VERSION 4
#define AT_CODEC 5
#define AT_CIPHER 6
#define AT_ZERO 7
#define AT_PLAIN 8
#define AT_PAYLOAD 12
#define AT_NONCE 16
#define AT_TAG 28
#define AT_ZERO2 44

#define AAD_HEADER 16 /* so many bytes of the header are authenticated */
#define AAD_SIZE (SX_ID_SIZE + AAD_HEADER)
#define MIN_GAIN 16 /* compression must save 1/16 */

static const uint8_t magic[4] = { 'S', 'X', 'B', '1' };
static const char key_info[] = "sx block";
static const char *const codec_names[] = { "none", "zstd", "zlib", "lz4" };

#define CODECS (sizeof codec_names / sizeof codec_names[0])

struct sx_block_ctx {
    struct sx_mac *id_mac;
    struct sx_mac *key_mac; /* keyed with HKDF's extracted key, which is the same for all blocks */
    struct sx_gcm *gcm;
    struct sx_press *press;
    struct sx_buf scratch;
    uint8_t cipher;
};

const char *sx_codec_name(enum sx_codec codec)
{
    sx_assert((size_t)codec < CODECS);
    return codec_names[codec];
}

int sx_codec_parse(const char *name, enum sx_codec *codec, struct sx_err *e)
{
    for (size_t i = 0; i < CODECS; i++) {
        if (strcmp(name, codec_names[i]) == 0) {
            *codec = (enum sx_codec)i;
            return 0;
        }
    }
    return sx_err_set(e, SX_EINVAL, "'%.32s' is not a compression; write none, zstd, zlib or lz4",
                      name);
}

int sx_domain_init(struct sx_domain *d, const uint8_t key[SX_DOMAIN_KEY_SIZE], struct sx_err *e)
{
    static const char id_info[] = "sx id key", enc_info[] = "sx encryption key";
    static const uint8_t zero[SX_DOMAIN_KEY_SIZE];

    if (sx_mem_equal(key, zero, sizeof zero))
        return sx_err_set(e, SX_EKEY, "the key of the dedup domain is all zeros");
    sx_hkdf_sha256(d->id_key, sizeof d->id_key, key, SX_DOMAIN_KEY_SIZE, id_info, strlen(id_info));
    sx_hkdf_sha256(d->enc_key, sizeof d->enc_key, key, SX_DOMAIN_KEY_SIZE, enc_info,
                   strlen(enc_info));
    d->customer = false;
    return 0;
}

int sx_domain_init_customer(struct sx_domain *d, const uint8_t key[SX_DOMAIN_KEY_SIZE],
                            struct sx_err *e)
{
    static const char info[] = "sx customer key";
    uint8_t domain_key[SX_DOMAIN_KEY_SIZE];
    int r;

    sx_hkdf_sha256(domain_key, sizeof domain_key, key, SX_DOMAIN_KEY_SIZE, info, strlen(info));
    r = sx_domain_init(d, domain_key, e);
    sx_wipe(domain_key, sizeof domain_key);
    d->customer = true;
    return r;
}

struct sx_block_ctx *sx_block_ctx_new(const struct sx_domain *domain)
{
    static const uint8_t no_salt[SX_SHA256];
    struct sx_block_ctx *ctx = sx_calloc(1, sizeof *ctx);
    uint8_t prk[SX_SHA256];

    sx_hmac_sha256(prk, no_salt, sizeof no_salt, domain->enc_key, sizeof domain->enc_key);
    ctx->id_mac = sx_mac_new(domain->id_key, sizeof domain->id_key);
    ctx->key_mac = sx_mac_new(prk, sizeof prk);
    ctx->gcm = sx_gcm_new();
    ctx->press = sx_press_new();
    ctx->cipher = domain->customer ? CIPHER_CUSTOMER : CIPHER_AES_256_GCM;
    sx_wipe(prk, sizeof prk);
    return ctx;
}

void sx_block_ctx_free(struct sx_block_ctx *ctx)
{
    if (!ctx)
        return;
    sx_mac_free(ctx->id_mac);
    sx_mac_free(ctx->key_mac);
    sx_gcm_free(ctx->gcm);
    sx_press_free(ctx->press);
    sx_buf_fini(&ctx->scratch);
    free(ctx);
}

static int size_check(size_t n, struct sx_err *e)
{
    if (n < 1 || n > SX_BLOCK_PLAIN_MAX)
        return sx_err_set(e, SX_EINVAL, "a block has 1 to %u bytes, not %zu", SX_BLOCK_PLAIN_MAX,
                          n);
    return 0;
}

int sx_block_id(struct sx_block_ctx *ctx, const void *plain, size_t n, struct sx_id *id,
                struct sx_err *e)
{
    if (size_check(n, e))
        return -1;
    sx_mac_start(ctx->id_mac);
    sx_mac_add(ctx->id_mac, plain, n);
    sx_mac_end(ctx->id_mac, id->b);
    return 0;
}

/* The expand step of HKDF for one output block (RFC 5869 §2.3). */
static void block_key(struct sx_block_ctx *ctx, const struct sx_id *id, uint8_t key[32])
{
    static const uint8_t one = 1;

    sx_mac_start(ctx->key_mac);
    sx_mac_add(ctx->key_mac, key_info, strlen(key_info));
    sx_mac_add(ctx->key_mac, id->b, SX_ID_SIZE);
    sx_mac_add(ctx->key_mac, &one, 1);
    sx_mac_end(ctx->key_mac, key);
}

static void make_aad(uint8_t aad[AAD_SIZE], const struct sx_id *id, const uint8_t *header)
{
    memcpy(aad, id->b, SX_ID_SIZE);
    memcpy(aad + SX_ID_SIZE, header, AAD_HEADER);
}

static void make_header(uint8_t *h, uint8_t cipher, enum sx_codec codec, size_t plain, size_t payload)
{
    memcpy(h, magic, sizeof magic);
    h[AT_VERSION] = VERSION;
    h[AT_CODEC] = (uint8_t)codec;
    h[AT_CIPHER] = cipher;
    h[AT_ZERO] = 0;
    sx_put_u32(h + AT_PLAIN, (uint32_t)plain);
    sx_put_u32(h + AT_PAYLOAD, (uint32_t)payload);
    sx_random(h + AT_NONCE, SX_GCM_NONCE);
    sx_put_u32(h + AT_ZERO2, 0);
}

int sx_block_encode(struct sx_block_ctx *ctx, const struct sx_id *id, const void *plain, size_t n,
                    enum sx_codec codec, int level, struct sx_buf *out, struct sx_err *e)
{
    uint8_t key[32], aad[AAD_SIZE], *h, *payload;
    size_t packed;

    if (size_check(n, e))
        return -1;
    h = sx_buf_reserve(out, SX_BLOCK_HEADER + n);
    payload = h + SX_BLOCK_HEADER;
    packed = sx_press(ctx->press, codec, level, plain, n, payload,
                      n - (n + MIN_GAIN - 1) / MIN_GAIN);
    make_header(h, ctx->cipher, packed ? codec : SX_CODEC_NONE, n, packed ? packed : n);
    make_aad(aad, id, h);
    block_key(ctx, id, key);
    struct sx_gcm_op op = { .key = key, .nonce = h + AT_NONCE, .aad = aad, .aad_len = sizeof aad,
                            .in = packed ? payload : plain, .out = payload,
                            .n = packed ? packed : n };
    sx_gcm_seal(ctx->gcm, &op, h + AT_TAG);
    sx_wipe(key, sizeof key);
    sx_buf_extend(out, SX_BLOCK_HEADER + op.n);
    return 0;
}

int sx_block_inspect(const void *stored, size_t n, uint32_t *plain_len, struct sx_err *e)
{
    const uint8_t *h = stored;
    uint32_t plain, payload;

    if (n <= SX_BLOCK_HEADER || n > SX_BLOCK_STORED_MAX)
        return sx_err_set(e, SX_EBLOCK, "a stored block cannot have %zu bytes", n);
    if (memcmp(h, magic, sizeof magic) != 0)
        return sx_err_set(e, SX_EBLOCK, "block has a wrong magic number");
    if (h[AT_VERSION] != VERSION || h[AT_CODEC] >= CODECS ||
        (h[AT_CIPHER] != CIPHER_AES_256_GCM && h[AT_CIPHER] != CIPHER_CUSTOMER))
        return sx_err_set(e, SX_EBLOCK,
                          "block has header version %u, codec %u, cipher %u: not known",
                          h[AT_VERSION], h[AT_CODEC], h[AT_CIPHER]);
    if (h[AT_ZERO] != 0 || sx_get_u32(h + AT_ZERO2) != 0)
        return sx_err_set(e, SX_EBLOCK, "block header has reserved bytes that are not 0");
    plain = sx_get_u32(h + AT_PLAIN);
    payload = sx_get_u32(h + AT_PAYLOAD);
    if (plain > SX_BLOCK_PLAIN_MAX || payload > plain || payload != n - SX_BLOCK_HEADER ||
        (h[AT_CODEC] == SX_CODEC_NONE && payload != plain))
        return sx_err_set(e, SX_EBLOCK, "block of %zu bytes claims %u plain and %u payload bytes",
                          n, plain, payload);
    *plain_len = plain;
    return 0;
}

/* Decrypts and decompresses.  `out` has room for `plain` bytes. */
static int open_payload(struct sx_block_ctx *ctx, const struct sx_id *id, const uint8_t *h,
                        uint8_t *out, uint32_t plain, struct sx_err *e)
{
    uint32_t payload = sx_get_u32(h + AT_PAYLOAD);
    bool packed = h[AT_CODEC] != SX_CODEC_NONE;
    uint8_t key[32], aad[AAD_SIZE];
    struct sx_gcm_op op = { .key = key, .nonce = h + AT_NONCE, .aad = aad, .aad_len = sizeof aad,
                            .in = h + SX_BLOCK_HEADER, .n = payload };
    int r;

    sx_buf_reset(&ctx->scratch);
    op.out = packed ? sx_buf_reserve(&ctx->scratch, payload) : out;
    make_aad(aad, id, h);
    block_key(ctx, id, key);
    r = sx_gcm_open(ctx->gcm, &op, h + AT_TAG);
    sx_wipe(key, sizeof key);
    if (r)
        return sx_err_set(e, SX_EBLOCK, "it is damaged, or not the block of this id");
    if (packed && sx_unpress(ctx->press, h[AT_CODEC], op.out, payload, out, plain))
        return sx_err_set(e, SX_EBLOCK, "its %u bytes of %s do not give %u plain bytes", payload,
                          codec_names[h[AT_CODEC]], plain);
    return 0;
}

static int id_check(struct sx_block_ctx *ctx, const struct sx_id *id, const uint8_t *p, uint32_t n,
                    struct sx_err *e)
{
    struct sx_id got;

    if (sx_block_id(ctx, p, n, &got, e))
        return -1;
    if (sx_id_cmp(&got, id) != 0)
        return sx_err_set(e, SX_EBLOCK, "its plain bytes have another id");
    return 0;
}

static int cipher_check(const struct sx_block_ctx *ctx, const uint8_t *h, struct sx_err *e)
{
    if (h[AT_CIPHER] == ctx->cipher)
        return 0;
    return sx_err_set(e, SX_EKEY, "%s", ctx->cipher == CIPHER_CUSTOMER
                      ? "the data is not encrypted with a key of the client's"
                      : "the data is encrypted with an S3 client's own key (SSE-C); only S3 requests"
                        " with that key can read it");
}

static int decode(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                  bool named, struct sx_buf *out, struct sx_err *e)
{
    uint32_t plain;
    uint8_t *to;

    sx_buf_reset(out);
    if (sx_block_inspect(stored, n, &plain, e) || cipher_check(ctx, stored, e))
        return -1;
    to = sx_buf_reserve(out, plain);
    if (open_payload(ctx, id, stored, to, plain, e) || (!named && id_check(ctx, id, to, plain, e))) {
        char hex[2 * 8 + 1];

        return sx_err_wrap(e, "block %s…", sx_hex(hex, id->b, 8));
    }
    sx_buf_extend(out, plain);
    return 0;
}

int sx_block_decode(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                    struct sx_buf *out, struct sx_err *e)
{
    return decode(ctx, id, stored, n, false, out, e);
}

int sx_block_open(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                  struct sx_buf *out, struct sx_err *e)
{
    return decode(ctx, id, stored, n, true, out, e);
}

const uint8_t *sx_block_tag(const void *stored, size_t n)
{
    return n > SX_BLOCK_HEADER ? (const uint8_t *)stored + AT_TAG : NULL;
}

int sx_block_check(struct sx_block_ctx *ctx, const struct sx_id *id, const void *stored, size_t n,
                   struct sx_buf *scratch, struct sx_err *e)
{
    uint32_t plain;

    if (sx_block_inspect(stored, n, &plain, e))
        return -1;
    if (((const uint8_t *)stored)[AT_CIPHER] == CIPHER_CUSTOMER && ctx->cipher != CIPHER_CUSTOMER)
        return 0;
    return sx_block_decode(ctx, id, stored, n, scratch, e);
}
