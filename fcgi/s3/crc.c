/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See crc.h.  The two of 32 bits are ISA-L's.  CRC-64/NVME (reflected, all ones in and out; NVM
 * Command Set Specification 1.0d, section 5.2.1.3.4) is not in the ISA-L of Debian 12, so it is
 * computed here eight bytes at a time, by eight tables.
 *
 * Combining: a CRC is a polynomial over GF(2) modulo P, and appending n bytes multiplies it by
 * x^(8n).  In the reflected form the highest bit stands for x^0.
 */
#include "fcgi/s3/crc.h"

#include <endian.h>
#include <isa-l/crc.h>
#include <limits.h>
#include <string.h>

#define STEP 8
/* Generator polynomials, reflected. */
#define POLY_CRC32 0xedb88320u
#define POLY_CRC32C 0x82f63b78u
#define POLY_CRC64NVME 0x9a6c9329ac4bc9b5ULL

static uint64_t table[STEP][256];

__attribute__((constructor)) static void make_table(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t v = i;

        for (int bit = 0; bit < CHAR_BIT; bit++)
            v = v & 1 ? v >> 1 ^ POLY_CRC64NVME : v >> 1;
        table[0][i] = v;
    }
    for (unsigned i = 0; i < 256; i++)
        for (unsigned k = 1; k < STEP; k++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

static uint64_t crc64(uint64_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (; n >= STEP; p += STEP, n -= STEP) {
        uint64_t v, next = 0;

        memcpy(&v, p, sizeof v);
        v = le64toh(v) ^ crc;
        for (unsigned k = 0; k < STEP; k++)
            next ^= table[STEP - 1 - k][v >> (8 * k) & 255];
        crc = next;
    }
    for (; n; p++, n--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}

/* ISA-L takes lengths as int in one of its functions. */
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    while (n) {
        size_t now = n < INT_MAX ? n : INT_MAX;

        crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)now, crc);
        p += now;
        n -= now;
    }
    return ~crc;
}

uint64_t sx_crc_add(enum sx_crc which, uint64_t crc, const void *p, size_t n)
{
    switch (which) {
    case SX_CRC32:
        return crc32_gzip_refl((uint32_t)crc, p, n);
    case SX_CRC32C:
        return crc32c((uint32_t)crc, p, n);
    case SX_CRC64NVME:
        break;
    }
    return crc64(crc, p, n);
}

struct field {
    uint64_t one, poly; /* x^0, and P without its highest term */
};

static uint64_t multiply(const struct field *f, uint64_t a, uint64_t b)
{
    uint64_t product = 0;

    for (uint64_t bit = f->one; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b & 1 ? b >> 1 ^ f->poly : b >> 1;
    }
    return product;
}

/* x^(8n) */
static uint64_t power(const struct field *f, uint64_t n)
{
    uint64_t result = f->one, square = f->one >> 8;

    for (; n; n >>= 1) {
        if (n & 1)
            result = multiply(f, result, square);
        square = multiply(f, square, square);
    }
    return result;
}

uint64_t sx_crc_combine(enum sx_crc which, uint64_t a, uint64_t b, uint64_t b_len)
{
    static const struct field fields[] = {
        [SX_CRC32] = { 1ULL << 31, POLY_CRC32 },
        [SX_CRC32C] = { 1ULL << 31, POLY_CRC32C },
        [SX_CRC64NVME] = { 1ULL << 63, POLY_CRC64NVME },
    };
    const struct field *f = &fields[which];

    return multiply(f, power(f, b_len), a) ^ b;
}
