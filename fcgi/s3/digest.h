/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * MD5 of a stream: long pieces are computed beside the other work on the same bytes (aside.h).
 */
#ifndef SX_FCGI_S3_DIGEST_H
#define SX_FCGI_S3_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct sx_digest;

struct sx_digest *sx_digest_new(void);
void sx_digest_free(struct sx_digest *d);
/* Takes p[0 … n), which must not change until the wait. */
void sx_digest_start(struct sx_digest *d, const void *p, size_t n);
void sx_digest_wait(struct sx_digest *d);
void sx_digest_end(struct sx_digest *d, uint8_t md5[16]);

#endif
