/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See checksum.h.
 */
#include "fcgi/s3/checksum.h"

#include <string.h>
#include <strings.h>

#include "fcgi/s3/crc.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define PARTS_MAX 10000

static const struct sx_sum_info infos[] = {
    [SX_SUM_CRC32] = { "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4, true, true },
    [SX_SUM_CRC32C] = { "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4, true, true },
    [SX_SUM_CRC64NVME] = { "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8, false,
                           true },
    [SX_SUM_SHA1] = { "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20, true, false },
    [SX_SUM_SHA256] = { "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32, true, false },
    [SX_SUM_MD5] = { "MD5", "content-md5", NULL, 16, false, false },
};

const struct sx_sum_info *sx_sum_info(enum sx_sum_alg alg)
{
    sx_assert(alg < SX_SUM_N);
    return &infos[alg];
}

enum sx_sum_alg sx_sum_by_name(const char *name)
{
    for (unsigned i = 0; i < SX_SUM_N; i++)
        if (i != SX_SUM_MD5 && strcasecmp(infos[i].name, name) == 0)
            return (enum sx_sum_alg)i;
    return SX_SUM_NONE;
}

enum sx_sum_alg sx_sum_by_header(const char *header)
{
    for (unsigned i = 0; i < SX_SUM_N; i++)
        if (strcmp(infos[i].header, header) == 0)
            return (enum sx_sum_alg)i;
    return SX_SUM_NONE;
}

static bool is_crc(enum sx_sum_alg alg)
{
    return infos[alg].full;
}

static enum sx_crc crc_of(enum sx_sum_alg alg)
{
    switch (alg) {
    case SX_SUM_CRC32:
        return SX_CRC32;
    case SX_SUM_CRC32C:
        return SX_CRC32C;
    default:
        sx_assert(alg == SX_SUM_CRC64NVME);
        return SX_CRC64NVME;
    }
}

static const EVP_MD *digest_of(enum sx_sum_alg alg)
{
    switch (alg) {
    case SX_SUM_SHA1:
        return EVP_sha1();
    case SX_SUM_SHA256:
        return EVP_sha256();
    default:
        sx_assert(alg == SX_SUM_MD5);
        return EVP_md5();
    }
}

void sx_sum_init(struct sx_sum *s, enum sx_sum_alg alg)
{
    *s = (struct sx_sum){ .alg = alg };
    if (is_crc(alg))
        return;
    s->md = EVP_MD_CTX_new();
    sx_assert(s->md && EVP_DigestInit_ex(s->md, digest_of(alg), NULL) == 1);
}

void sx_sum_add(struct sx_sum *s, const void *p, size_t n)
{
    if (n == 0)
        return;
    if (is_crc(s->alg))
        s->crc = sx_crc_add(crc_of(s->alg), s->crc, p, n);
    else
        sx_assert(EVP_DigestUpdate(s->md, p, n) == 1);
}

static void put_crc(uint8_t *out, size_t size, uint64_t crc)
{
    for (size_t i = size; i > 0; i--, crc >>= 8)
        out[i - 1] = (uint8_t)crc;
}

static uint64_t get_crc(const uint8_t *p, size_t size)
{
    uint64_t crc = 0;

    for (size_t i = 0; i < size; i++)
        crc = crc << 8 | p[i];
    return crc;
}

void sx_sum_end(struct sx_sum *s, uint8_t out[SX_SUM_MAX])
{
    unsigned n = 0;

    if (is_crc(s->alg))
        put_crc(out, infos[s->alg].size, s->crc);
    else
        sx_assert(EVP_DigestFinal_ex(s->md, out, &n) == 1 && n == infos[s->alg].size);
    sx_sum_fini(s);
}

void sx_sum_fini(struct sx_sum *s)
{
    EVP_MD_CTX_free(s->md);
    s->md = NULL;
}

void sx_sum_of(enum sx_sum_alg alg, const void *p, size_t n, uint8_t out[SX_SUM_MAX])
{
    struct sx_sum s;

    sx_sum_init(&s, alg);
    sx_sum_add(&s, p, n);
    sx_sum_end(&s, out);
}

void sx_sums_init(struct sx_sums *s, unsigned mask)
{
    memset(s, 0, sizeof *s);
    s->mask = mask;
    for (unsigned i = 0; i < SX_SUM_N; i++)
        if (mask & SX_SUM_BIT(i))
            sx_sum_init(&s->v[i], (enum sx_sum_alg)i);
}

void sx_sums_add(struct sx_sums *s, const void *p, size_t n)
{
    for (unsigned i = 0; i < SX_SUM_N; i++)
        if (s->mask & SX_SUM_BIT(i))
            sx_sum_add(&s->v[i], p, n);
}

void sx_sums_end(struct sx_sums *s)
{
    for (unsigned i = 0; i < SX_SUM_N; i++)
        if (s->mask & SX_SUM_BIT(i))
            sx_sum_end(&s->v[i], s->value[i]);
}

void sx_sums_fini(struct sx_sums *s)
{
    for (unsigned i = 0; i < SX_SUM_N; i++)
        sx_sum_fini(&s->v[i]);
}

void sx_sum_text(struct sx_buf *out, enum sx_sum_alg alg, const uint8_t *value, unsigned n_parts)
{
    sx_base64(out, value, infos[alg].size, false);
    if (n_parts)
        sx_buf_printf(out, "-%u", n_parts);
    sx_buf_cstr(out);
}

static int bad_value(enum sx_sum_alg alg, struct sx_err *e)
{
    if (alg == SX_SUM_MD5)
        return sx_err_set(e, SX_S3_INVALID_DIGEST, "The Content-MD5 you specified was invalid.");
    return sx_err_set(e, SX_S3_INVALID_REQUEST, "Value for %s header is invalid.",
                      infos[alg].header);
}

/* 1 … PARTS_MAX in decimal without leading zeros; 0 if it is none */
static unsigned parts_of(const char *s)
{
    unsigned n = 0;

    for (const char *p = s; *p; p++) {
        if (*p < '0' || *p > '9' || (n == 0 && *p == '0') || n > PARTS_MAX)
            return 0;
        n = n * 10 + (unsigned)(*p - '0');
    }
    return n <= PARTS_MAX ? n : 0;
}

int sx_sum_parse(enum sx_sum_alg alg, const char *text, uint8_t out[SX_SUM_MAX],
                 unsigned *n_parts, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf raw = SX_BUF_INIT, again = SX_BUF_INIT;
    const char *dash = n_parts ? strchr(text, '-') : NULL;
    size_t n = dash ? (size_t)(dash - text) : strlen(text);
    unsigned parts = dash ? parts_of(dash + 1) : 0;

    if ((dash && parts == 0) || sx_unbase64(&raw, text, n, NULL) != 0 ||
        raw.len != infos[alg].size)
        return bad_value(alg, e);
    sx_base64(&again, raw.data, raw.len, false); /* the one form that §4 of RFC 4648 has */
    if (again.len != n || memcmp(again.data, text, n) != 0)
        return bad_value(alg, e);
    memcpy(out, raw.data, raw.len);
    if (n_parts)
        *n_parts = parts;
    return 0;
}

int sx_sum_compare(enum sx_sum_alg alg, const uint8_t *want, const uint8_t *got, struct sx_err *e)
{
    if (memcmp(want, got, infos[alg].size) == 0)
        return 0;
    if (alg == SX_SUM_MD5)
        return sx_err_set(e, SX_S3_BAD_DIGEST,
                          "The Content-MD5 you specified did not match what we received.");
    return sx_err_set(e, SX_S3_BAD_DIGEST,
                      "The %s you specified did not match the calculated checksum.",
                      infos[alg].name);
}

void sx_sum_combine(enum sx_sum_alg alg, uint8_t a[SX_SUM_MAX], const uint8_t b[SX_SUM_MAX],
                    uint64_t b_len)
{
    size_t size = infos[alg].size;

    sx_assert(infos[alg].full);
    put_crc(a, size,
            sx_crc_combine(crc_of(alg), get_crc(a, size), get_crc(b, size), b_len));
}
