/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See keys.h.
 */
#include "fcgi/keys.h"

#include <stdio.h>
#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"
#include "libsx/io/io.h"

#define CONTEXT_MAX 256

void sx_keys_derive(struct sx_keys *k, const uint8_t cluster_key[SX_CLUSTER_KEY])
{
    sx_hkdf_sha256(k->seal, sizeof k->seal, cluster_key, SX_CLUSTER_KEY, "sx seal", strlen("sx seal"));
    sx_hkdf_sha256(k->ticket, sizeof k->ticket, cluster_key, SX_CLUSTER_KEY, "sx ticket",
                   strlen("sx ticket"));
}

int sx_keys_load(struct sx_keys *k, const char *dir, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    SX_AUTO_FREE char *path = sx_asprintf("%s/secret/cluster.key", dir);
    int result = sx_io_read_file(&sx_io_posix, path, SX_CLUSTER_KEY, &key, e);

    if (result != 0 || key.len != SX_CLUSTER_KEY) {
        if (result == 0)
            sx_err_set(e, SX_ECONFIG, "%s has %zu bytes, not %d", path, key.len, SX_CLUSTER_KEY);
        result = -1;
    } else {
        sx_keys_derive(k, key.data);
    }
    if (key.data)
        sx_wipe(key.data, key.len);
    return result;
}

void sx_keys_fini(struct sx_keys *k)
{
    sx_wipe(k, sizeof *k);
}

static const char *secret_context(char out[CONTEXT_MAX], const char *access_key)
{
    snprintf(out, CONTEXT_MAX, "secret key %s", access_key);
    return out;
}

void sx_keys_seal_secret(const struct sx_keys *k, const char *access_key, const char *secret,
                         struct sx_buf *out)
{
    char context[CONTEXT_MAX];

    sx_seal(out, k->seal, secret_context(context, access_key), secret, strlen(secret));
}

int sx_keys_open_secret(const struct sx_keys *k, const char *access_key, const void *sealed, size_t n,
                        struct sx_buf *out, struct sx_err *e)
{
    char context[CONTEXT_MAX];

    return sx_unseal(out, k->seal, secret_context(context, access_key), sealed, n, e);
}

int sx_keys_open_domain(const struct sx_keys *k, const void *sealed, size_t n,
                        uint8_t out[SX_DOMAIN_KEY_SIZE], struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;

    if (sx_unseal(&key, k->seal, SX_SEAL_DOMAIN, sealed, n, e) != 0)
        return sx_err_wrap(e, "domain key");
    if (key.len != SX_DOMAIN_KEY_SIZE)
        return sx_err_set(e, SX_ECORRUPT, "the domain key has %zu bytes, not %d", key.len,
                          SX_DOMAIN_KEY_SIZE);
    memcpy(out, key.data, key.len);
    sx_wipe(key.data, key.len);
    return 0;
}
