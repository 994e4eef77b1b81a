/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See digest.h.
 */
#include "fcgi/s3/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "fcgi/s3/aside.h"
#include "libsx/base/err.h"
#include "libsx/base/mem.h"

#define ALONE_MAX (256u << 10) /* shorter pieces are done at once */

struct sx_digest {
    EVP_MD_CTX *md;
    struct sx_aside *aside;
    const void *p; /* the piece that is under way */
    size_t n;
};

struct sx_digest *sx_digest_new(void)
{
    struct sx_digest *d = sx_calloc(1, sizeof *d);

    d->md = EVP_MD_CTX_new();
    sx_assert(d->md && EVP_DigestInit_ex(d->md, EVP_md5(), NULL) == 1);
    d->aside = sx_aside_get();
    return d;
}

static void take(void *arg)
{
    struct sx_digest *d = arg;

    sx_assert(EVP_DigestUpdate(d->md, d->p, d->n) == 1);
}

void sx_digest_start(struct sx_digest *d, const void *p, size_t n)
{
    d->p = p;
    d->n = n;
    if (n > ALONE_MAX)
        sx_aside_start(d->aside, take, d);
    else
        take(d);
}

void sx_digest_wait(struct sx_digest *d)
{
    sx_aside_wait(d->aside);
}

void sx_digest_end(struct sx_digest *d, uint8_t md5[16])
{
    sx_assert(EVP_DigestFinal_ex(d->md, md5, NULL) == 1);
}

void sx_digest_free(struct sx_digest *d)
{
    sx_aside_put(d->aside);
    EVP_MD_CTX_free(d->md);
    free(d);
}
