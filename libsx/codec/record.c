/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See record.h.
 */
#include "libsx/codec/record.h"

#include <isa-l/crc.h>
#include <string.h>

#include "libsx/base/wire.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static const uint8_t magic[4] = { 'S', 'X', 'R', '1' };

#define AT_LEN 4
#define AT_ID 8
#define AT_ZERO 40
#define AT_CRC 44
#define CRC_STEP_MAX (1u << 30) /* crc32_iscsi() takes an int */

/* ISA-L's code leaves the upper halves of the vector registers in use, which makes the SHA-256 that
 * comes next slower by 15 %. */
#ifdef __x86_64__
__attribute__((target("avx"))) static void zero_upper(void)
{
    _mm256_zeroupper();
}

static void clean_registers(void)
{
    if (__builtin_cpu_supports("avx"))
        zero_upper();
}
#else
static void clean_registers(void)
{
}
#endif

uint32_t sx_crc32c(uint32_t crc, const void *p, size_t n)
{
    uint8_t *b = (uint8_t *)p; /* the library's prototype lacks a const */

    crc = ~crc;
    while (n) {
        size_t step = n < CRC_STEP_MAX ? n : CRC_STEP_MAX;

        crc = crc32_iscsi(b, (int)step, crc);
        b += step;
        n -= step;
    }
    clean_registers();
    return ~crc;
}

void sx_record_header(uint8_t h[SX_RECORD_HEADER], const struct sx_id *id, const void *stored,
                      uint32_t len)
{
    sx_assert(len <= SX_BLOCK_STORED_MAX);
    memcpy(h, magic, sizeof magic);
    sx_put_u32(h + AT_LEN, len);
    memcpy(h + AT_ID, id->b, SX_ID_SIZE);
    sx_put_u32(h + AT_ZERO, 0);
    sx_put_u32(h + AT_CRC, sx_crc32c(sx_crc32c(0, h, AT_CRC), stored, len));
}

size_t sx_record_begin(struct sx_buf *out)
{
    size_t at = out->len;

    sx_buf_extend(out, SX_RECORD_HEADER);
    return at;
}

void sx_record_end(struct sx_buf *out, size_t at, const struct sx_id *id)
{
    uint8_t *h = out->data + at;

    sx_assert(at + SX_RECORD_HEADER <= out->len);
    sx_record_header(h, id, h + SX_RECORD_HEADER, (uint32_t)(out->len - at - SX_RECORD_HEADER));
}

int sx_record_parse(const void *p, size_t n, struct sx_record *r, size_t *used, struct sx_err *e)
{
    const uint8_t *h = p;
    uint32_t len;

    *used = 0;
    if (n < SX_RECORD_HEADER)
        return 0;
    len = sx_get_u32(h + AT_LEN);
    if (memcmp(h, magic, sizeof magic) != 0)
        return sx_err_set(e, SX_EBLOCK, "record has a wrong magic number");
    if (sx_get_u32(h + AT_ZERO) != 0)
        return sx_err_set(e, SX_EBLOCK, "record header has reserved bytes that are not 0");
    if (len && (len <= SX_BLOCK_HEADER || len > SX_BLOCK_STORED_MAX))
        return sx_err_set(e, SX_EBLOCK, "record has an impossible length, %u bytes", len);
    if (n - SX_RECORD_HEADER < len)
        return 0;
    if (sx_crc32c(sx_crc32c(0, h, AT_CRC), h + SX_RECORD_HEADER, len) != sx_get_u32(h + AT_CRC))
        return sx_err_set(e, SX_EBLOCK, "record of %u bytes has a wrong checksum", len);
    memcpy(r->id.b, h + AT_ID, SX_ID_SIZE);
    r->len = len;
    r->stored = h + SX_RECORD_HEADER;
    *used = SX_RECORD_HEADER + (size_t)len;
    return 0;
}

int sx_records_parse(const void *from, size_t len, size_t n, struct sx_record *recs,
                     struct sx_err *e)
{
    const uint8_t *p = from;
    size_t used;

    for (size_t i = 0; i < n; i++) {
        if (sx_record_parse(p, len, &recs[i], &used, e) != 0)
            return sx_err_wrap(e, "record %zu of %zu", i + 1, n);
        if (used == 0)
            return sx_err_set(e, SX_EMALFORMED, "the bytes end within record %zu of %zu", i + 1, n);
        if (recs[i].len == 0)
            return sx_err_set(e, SX_EBLOCK, "record %zu of %zu is empty", i + 1, n);
        p += used;
        len -= used;
    }
    if (len != 0)
        return sx_err_set(e, SX_EMALFORMED, "%zu bytes are left behind the last of %zu records",
                          len, n);
    return 0;
}
