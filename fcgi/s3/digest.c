/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See digest.h.  One piece is under way at most; `p` is not NULL while it is.
 */
#include "fcgi/s3/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>

#include "libsx/base/err.h"
#include "libsx/base/mem.h"

#define ALONE_MAX (256u << 10) /* shorter pieces are done at once */

struct sx_digest {
    EVP_MD_CTX *md;
    pthread_t thread;
    bool running; /* the thread was made */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const void *p; /* under the lock: what to take in; NULL: nothing, or done */
    size_t n;
    bool stop;
};

struct sx_digest *sx_digest_new(void)
{
    struct sx_digest *d = sx_calloc(1, sizeof *d);

    d->md = EVP_MD_CTX_new();
    sx_assert(d->md && EVP_DigestInit_ex(d->md, EVP_md5(), NULL) == 1);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    return d;
}

static void *run(void *arg)
{
    struct sx_digest *d = arg;

    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        if (!d->p) {
            pthread_cond_wait(&d->changed, &d->lock);
            continue;
        }
        pthread_mutex_unlock(&d->lock);
        sx_assert(EVP_DigestUpdate(d->md, d->p, d->n) == 1);
        pthread_mutex_lock(&d->lock);
        d->p = NULL;
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

void sx_digest_start(struct sx_digest *d, const void *p, size_t n)
{
    if (!d->running && n > ALONE_MAX)
        d->running = pthread_create(&d->thread, NULL, run, d) == 0;
    if (!d->running) {
        sx_assert(EVP_DigestUpdate(d->md, p, n) == 1);
        return;
    }
    pthread_mutex_lock(&d->lock);
    d->p = p;
    d->n = n;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

void sx_digest_wait(struct sx_digest *d)
{
    pthread_mutex_lock(&d->lock);
    while (d->p)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

void sx_digest_end(struct sx_digest *d, uint8_t md5[16])
{
    sx_assert(EVP_DigestFinal_ex(d->md, md5, NULL) == 1);
}

void sx_digest_free(struct sx_digest *d)
{
    if (d->running) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    EVP_MD_CTX_free(d->md);
    free(d);
}
