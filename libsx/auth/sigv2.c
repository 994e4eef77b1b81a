/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See sigv2.h.
 */
#include "libsx/auth/sigv2.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libsx/auth/canon.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define SHA1_LEN 20
#define AMZ "x-amz-"

/* Query parameters that are part of the signed resource, in order: what AWS lists, and every other
 * that names an operation of S3, so that none can be added to a signed request. */
static const char *const subresources[] = {
    "abac", "accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption",
    "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "location", "logging",
    "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable",
    "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy",
    "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment",
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires", "restore",
    "retention", "select", "select-type", "session", "tagging", "torrent", "uploadId", "uploads",
    "versionId", "versioning", "versions", "website",
};

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *lower_case(const char *s)
{
    char *copy = sx_strdup(s);

    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    return copy;
}

/* All x-amz- headers, by name, repeated ones as one line. */
static void add_amz_headers(struct sx_buf *out, const struct sx_sig_request *r)
{
    SX_AUTO_FREE char **names = sx_calloc(r->n_headers + 1, sizeof *names);
    size_t n = 0;

    for (size_t i = 0; i < r->n_headers; i++)
        if (strncasecmp(r->headers[i].name, AMZ, sizeof AMZ - 1) == 0)
            names[n++] = lower_case(r->headers[i].name);
    qsort(names, n, sizeof *names, name_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            sx_canon_header(out, r, names[i], strlen(names[i]), false);
    }
    for (size_t i = 0; i < n; i++)
        free(names[i]);
}

/* name[=value], the value decoded as whoever serves the request decodes it, or as sent. */
static void add_subresource(struct sx_buf *out, const char *param, size_t n, bool raw)
{
    SX_AUTO(sx_buf) struct sx_buf plain = SX_BUF_INIT;
    const char *eq = memchr(param, '=', n);
    size_t name = eq && !raw ? (size_t)(eq - param) : n;

    sx_buf_add(out, param, name);
    if (name == n)
        return;
    sx_buf_u8(out, '=');
    for (size_t i = name + 1; i < n; i++)
        sx_buf_u8(&plain, param[i] == '+' ? ' ' : (uint8_t)param[i]);
    if (sx_pct_decode(out, sx_buf_cstr(&plain), plain.len, NULL) != 0)
        sx_buf_str(out, "%"); /* matches no signature */
}

static void add_resource(struct sx_buf *out, const struct sx_sig_request *r, const char *bucket,
                         bool raw)
{
    char before = '?';

    if (bucket)
        sx_buf_printf(out, "/%s", bucket);
    sx_buf_str(out, r->path && *r->path ? r->path : "/");
    for (size_t i = 0; i < sizeof subresources / sizeof *subresources; i++) {
        size_t len = strlen(subresources[i]);

        for (const char *q = r->query; q && *q;) {
            size_t n = strcspn(q, "&");

            if (n >= len && memcmp(q, subresources[i], len) == 0 && (n == len || q[len] == '=')) {
                sx_buf_u8(out, (uint8_t)before);
                add_subresource(out, q, n, raw);
                before = '&';
            }
            q += n + (q[n] == '&');
        }
    }
}

static const char *find_header(const struct sx_sig_request *r, const char *name)
{
    return sx_header_find(r->headers, r->n_headers, name);
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

void sx_sigv2_text(struct sx_buf *out, const struct sx_sig_request *r, const char *vhost_bucket,
                   const char *expires, bool raw)
{
    const char *date = or_empty(find_header(r, "date"));

    if (expires)
        date = expires;
    else if (find_header(r, "x-amz-date"))
        date = "";
    sx_buf_printf(out, "%s\n%s\n%s\n%s\n", r->method, or_empty(find_header(r, "content-md5")),
                  or_empty(find_header(r, "content-type")), date);
    add_amz_headers(out, r);
    add_resource(out, r, vhost_bucket, raw);
}

void sx_sigv2_sign(char out[SX_SIGV2_LEN + 1], const char *secret, const void *text, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint8_t mac[SHA1_LEN];
    unsigned len = 0;

    sx_assert(HMAC(EVP_sha1(), secret, (int)strlen(secret), text, n, mac, &len) && len == SHA1_LEN);
    sx_base64(&b, mac, sizeof mac, false);
    sx_assert(b.len == SX_SIGV2_LEN);
    memcpy(out, sx_buf_cstr(&b), SX_SIGV2_LEN + 1);
}
