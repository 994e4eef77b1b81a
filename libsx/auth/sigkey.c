/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See sigkey.h.  The oldest entry makes room: keys of yesterday leave by themselves.
 */
#include "libsx/auth/sigkey.h"

#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define SECRET_MAX 128 /* longer ones are not kept */

struct entry {
    char access_key[129], date[9], region[65], service[65];
    char secret[SECRET_MAX];
    uint8_t key[SX_SIG_SHA256];
};

struct sx_sigkeys {
    struct entry v[SX_SIGKEYS_MAX];
    unsigned next; /* the slot to be filled next */
};

struct sx_sigkeys *sx_sigkeys_new(void)
{
    return sx_calloc(1, sizeof(struct sx_sigkeys));
}

void sx_sigkeys_free(struct sx_sigkeys *k)
{
    if (!k)
        return;
    sx_wipe(k, sizeof *k);
    free(k);
}

static void hmac_text(uint8_t out[SX_SIG_SHA256], const void *key, size_t key_len, const char *text)
{
    sx_hmac_sha256(out, key, key_len, text, strlen(text));
}

static void derive(const struct sx_sig_claim *c, const char *secret, uint8_t key[SX_SIG_SHA256])
{
    SX_AUTO_FREE char *first = sx_asprintf("AWS4%s", secret);

    hmac_text(key, first, strlen(first), c->date);
    hmac_text(key, key, SX_SIG_SHA256, c->region);
    hmac_text(key, key, SX_SIG_SHA256, c->service);
    hmac_text(key, key, SX_SIG_SHA256, "aws4_request");
    sx_wipe(first, strlen(first));
}

static struct entry *find(struct sx_sigkeys *k, const struct sx_sig_claim *c)
{
    for (unsigned i = 0; i < SX_SIGKEYS_MAX; i++) {
        struct entry *p = &k->v[i];

        if (strcmp(p->access_key, c->access_key) == 0 && strcmp(p->date, c->date) == 0 &&
            strcmp(p->region, c->region) == 0 && strcmp(p->service, c->service) == 0)
            return p;
    }
    return NULL;
}

static void fill(struct entry *p, const struct sx_sig_claim *c, const char *secret,
                 const uint8_t key[SX_SIG_SHA256])
{
    sx_wipe(p, sizeof *p);
    memcpy(p->access_key, c->access_key, sizeof p->access_key);
    memcpy(p->date, c->date, sizeof p->date);
    memcpy(p->region, c->region, sizeof p->region);
    memcpy(p->service, c->service, sizeof p->service);
    memcpy(p->secret, secret, strlen(secret));
    memcpy(p->key, key, SX_SIG_SHA256);
}

void sx_sigkeys_get(struct sx_sigkeys *k, const struct sx_sig_claim *c, const char *secret,
                    uint8_t key[SX_SIG_SHA256])
{
    char padded[SECRET_MAX] = "";
    size_t n = strlen(secret);
    struct entry *p;

    if (!k || n >= SECRET_MAX) {
        derive(c, secret, key);
        return;
    }
    memcpy(padded, secret, n);
    p = find(k, c);
    if (p && sx_mem_equal(p->secret, padded, SECRET_MAX)) {
        memcpy(key, p->key, SX_SIG_SHA256);
    } else {
        derive(c, secret, key);
        if (!p) {
            p = &k->v[k->next];
            k->next = (k->next + 1) % SX_SIGKEYS_MAX;
        }
        fill(p, c, secret, key);
    }
    sx_wipe(padded, sizeof padded);
}
