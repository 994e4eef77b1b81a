/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See customer.h.  Source: "Using server-side encryption with customer-provided keys", S3 user guide.
 */
#include "fcgi/s3/customer.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/s3/checksum.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define SALT 16
#define NAME_MAX_LEN 80
#define ASKS "Requests specifying Server Side Encryption with Customer provided keys must "

/* ---- headers ---- */

static const char *header(const struct sx_s3_key_headers *h, const char *what)
{
    char name[NAME_MAX_LEN];

    snprintf(name, sizeof name, "x-amz-%sserver-side-encryption-customer-%s",
             h->source ? "copy-source-" : "", what);
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->headers[i].name, name) == 0)
            return h->headers[i].value;
    return NULL;
}

static int check_algorithm(const char *algorithm, struct sx_err *e)
{
    if (!algorithm || !*algorithm)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, ASKS "provide a valid encryption algorithm.");
    return strcmp(algorithm, "AES256") == 0 ? 0 : sx_s3_fail(e, SX_S3_INVALID_ENCRYPTION_ALGORITHM);
}

static int read_key(struct sx_s3_customer *c, const char *text, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    bool good = text && sx_unbase64(&key, text, strlen(text), NULL) == 0 && key.len == sizeof c->key;

    if (good)
        memcpy(c->key, key.data, sizeof c->key);
    sx_wipe(key.data, key.len);
    return good ? 0 : sx_err_set(e, SX_S3_INVALID_ARGUMENT, ASKS "provide an appropriate secret key.");
}

static int check_md5(struct sx_s3_customer *c, const char *text, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint8_t md5[SX_SUM_MAX];

    if (!text || !*text)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          ASKS "provide the client calculated MD5 of the secret key.");
    sx_sum_of(SX_SUM_MD5, c->key, sizeof c->key, md5);
    sx_base64(&b, md5, 16, false);
    snprintf(c->md5, sizeof c->md5, "%s", sx_buf_cstr(&b));
    if (strcmp(text, c->md5) == 0)
        return 0;
    return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                      "The calculated MD5 hash of the key did not match the hash that was provided.");
}

int sx_s3_customer_read(struct sx_s3_customer *c, const struct sx_s3_key_headers *h, struct sx_err *e)
{
    const char *algorithm = header(h, "algorithm"), *key = header(h, "key");
    const char *md5 = header(h, "key-md5");

    if (!algorithm && !key && !md5)
        return 0;
    if (!h->secure)
        return sx_err_set(e, SX_S3_INVALID_REQUEST, ASKS "be made over a secure connection.");
    if (check_algorithm(algorithm, e) != 0 || read_key(c, key, e) != 0 || check_md5(c, md5, e) != 0)
        return -1;
    c->there = true;
    return 0;
}

void sx_s3_customer_fini(struct sx_s3_customer *c)
{
    sx_block_ctx_free(c->ctx);
    sx_wipe(c->key, sizeof c->key);
}

/* ---- the item ---- */

static void mac_text(const struct sx_s3_customer *c, const uint8_t salt[SALT],
                     char out[2 * SX_SHA256 + 1])
{
    uint8_t mac[SX_SHA256];

    sx_hmac_sha256(mac, salt, SALT, c->key, sizeof c->key);
    sx_hex(out, mac, sizeof mac);
}

void sx_s3_customer_item(const struct sx_s3_customer *c, json_t *items)
{
    char salt_hex[2 * SALT + 1], mac[2 * SX_SHA256 + 1], text[sizeof salt_hex + sizeof mac];
    uint8_t salt[SALT];

    if (!c->there)
        return;
    sx_random(salt, sizeof salt);
    mac_text(c, salt, mac);
    snprintf(text, sizeof text, "%s %s", sx_hex(salt_hex, salt, sizeof salt), mac);
    json_object_set_new(items, SX_S3_CUSTOMER_ITEM, json_string(text));
}

/* An item that makes no sense fits no key: native clients can put anything there. */
static bool fits(const struct sx_s3_customer *c, const char *item)
{
    char salt_hex[2 * SALT + 1], mac[2 * SX_SHA256 + 1];
    uint8_t salt[SALT];

    if (strlen(item) != sizeof salt_hex + sizeof mac - 1)
        return false;
    memcpy(salt_hex, item, sizeof salt_hex - 1);
    salt_hex[sizeof salt_hex - 1] = '\0';
    if (sx_unhex(salt, sizeof salt, salt_hex) != 0)
        return false;
    mac_text(c, salt, mac);
    return sx_mem_equal(mac, item + sizeof salt_hex, sizeof mac - 1);
}

static const char *item_of(const json_t *items)
{
    return json_string_value(json_object_get(items, SX_S3_CUSTOMER_ITEM));
}

int sx_s3_customer_object(const struct sx_s3_customer *c, const json_t *items, struct sx_err *e)
{
    const char *item = item_of(items);

    if (!item && !c->there)
        return 0;
    if (!item)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The encryption parameters are not applicable to this object.");
    if (!c->there)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The object was stored using a form of Server Side Encryption. The correct"
                          " parameters must be provided to retrieve the object.");
    return fits(c, item) ? 0 : sx_s3_fail(e, SX_S3_ACCESS_DENIED);
}

int sx_s3_customer_part(const struct sx_s3_customer *c, const json_t *began, struct sx_err *e)
{
    const char *item = item_of(began);

    if (!item && !c->there)
        return 0;
    if (!item)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The multipart upload initiate did not request encryption. Please resend"
                          " the request without sending encryption parameters.");
    if (!c->there)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The multipart upload initiate requested encryption. Subsequent part"
                          " requests must include the appropriate encryption parameters.");
    return fits(c, item) ? 0
                         : sx_err_set(e, SX_S3_INVALID_REQUEST,
                                      "The provided encryption parameters did not match the ones"
                                      " used originally.");
}

/* ---- use ---- */

struct sx_block_ctx *sx_s3_customer_ctx(struct sx_s3_customer *c)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_domain domain;

    if (!c->there || c->ctx)
        return c->ctx;
    sx_assert(sx_domain_init_customer(&domain, c->key, &e) == 0); /* no key derives all zeros */
    c->ctx = sx_block_ctx_new(&domain);
    sx_wipe(&domain, sizeof domain);
    return c->ctx;
}

void sx_s3_customer_lines(const struct sx_s3_customer *c, struct sx_buf *out)
{
    if (c->there)
        sx_buf_printf(out, "x-amz-server-side-encryption-customer-algorithm: AES256\r\n"
                           "x-amz-server-side-encryption-customer-key-MD5: %s\r\n", c->md5);
}
