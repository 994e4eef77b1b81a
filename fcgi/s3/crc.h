/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cyclic redundancy checks of S3's checksums: streaming, and combining those of two pieces into
 * that of both.  A value is that of the bytes so far; of none it is 0.
 */
#ifndef SX_FCGI_S3_CRC_H
#define SX_FCGI_S3_CRC_H

#include <stddef.h>
#include <stdint.h>

enum sx_crc { SX_CRC32, SX_CRC32C, SX_CRC64NVME };

/* The value after n more bytes. */
uint64_t sx_crc_add(enum sx_crc which, uint64_t crc, const void *p, size_t n);

/* The value of A and B one after the other, from that of A, that of B, and B's length in bytes. */
uint64_t sx_crc_combine(enum sx_crc which, uint64_t a, uint64_t b, uint64_t b_len);

#endif
