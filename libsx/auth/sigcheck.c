/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See sig.h: a claim is verified with the secret of its key, and what follows from a verified one:
 * the signatures of chunks.
 */
#include <string.h>
#include <strings.h>

#include "libsx/auth/canon.h"
#include "libsx/auth/sig.h"
#include "libsx/auth/sigkey.h"
#include "libsx/auth/sigv2.h"
#include "libsx/auth/sigv4_int.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int mismatch(struct sx_sig_claim *c, struct sx_err *e)
{
    return sx_sig_fail(c, SX_SIG_MISMATCH, e, SX_SIG_MISMATCH_TEXT);
}

static bool region_known(const char *const *regions, const char *region)
{
    for (; regions && *regions; regions++)
        if (strcmp(*regions, region) == 0)
            return true;
    return false;
}

static int check_scope(struct sx_sig_claim *c, const struct sx_sig_check *k, struct sx_err *e)
{
    if (strcmp(c->service, k->service) != 0)
        return sx_sig_fail(c, SX_SIG_SCOPE, e, "the service '%.32s' is wrong; expecting '%s'",
                           c->service, k->service);
    if (k->regions && !region_known(k->regions, c->region))
        return sx_sig_fail(c, SX_SIG_SCOPE, e, "the region '%.64s' is wrong; expecting '%s'",
                           c->region, k->regions[0]);
    if (strncmp(c->date, c->amz_date, 8) != 0)
        return sx_sig_fail(c, SX_SIG_SCOPE, e,
                           "the date '%s' of the credential is not that of the request, %.8s",
                           c->date, c->amz_date);
    return 0;
}

static int check_signed_headers(struct sx_sig_claim *c, const struct sx_sig_request *r,
                                struct sx_err *e)
{
    if (!sx_canon_listed(c->signed_headers, "host"))
        return sx_sig_fail(c, SX_SIG_UNSIGNED, e, "the header host must be signed");
    for (size_t i = 0; i < r->n_headers; i++) {
        const char *name = r->headers[i].name;

        if (strncasecmp(name, "x-amz-", 6) != 0 || sx_canon_listed(c->signed_headers, name))
            continue;
        if (c->kind == SX_SIG_V4_QUERY && strcasecmp(name, "x-amz-content-sha256") == 0)
            continue;
        return sx_sig_fail(c, SX_SIG_UNSIGNED, e, "the header %.64s is not signed", name);
    }
    return 0;
}

static int check_times(struct sx_sig_claim *c, uint64_t now_ms, struct sx_err *e)
{
    bool query = c->kind == SX_SIG_V4_QUERY || c->kind == SX_SIG_V2_QUERY;
    char theirs[SX_TIME_TEXT], ours[SX_TIME_TEXT];

    sx_time_text(ours, now_ms, true);
    if (query && now_ms > c->expires_ms)
        return sx_sig_fail(c, SX_SIG_EXPIRED, e, "the request has expired at %s; it is %s here",
                           sx_time_text(theirs, c->expires_ms, true), ours);
    if (query && c->signed_ms > now_ms + SX_SIG_SKEW_MS)
        return sx_sig_fail(c, SX_SIG_NOT_YET, e, "the request is good from %s only; it is %s here",
                           sx_time_text(theirs, c->signed_ms, true), ours);
    if (!query &&
        (c->signed_ms > now_ms + SX_SIG_SKEW_MS || now_ms > c->signed_ms + SX_SIG_SKEW_MS))
        return sx_sig_fail(c, SX_SIG_SKEWED, e,
                           "the request was signed at %s but it is %s here: set the clock right",
                           sx_time_text(theirs, c->signed_ms, true), ours);
    return 0;
}

/* The signature with `host` as the value of the header Host, or as sent if that is NULL. */
static int try_host(struct sx_sig_claim *c, const struct sx_sig_request *r, const char *host,
                    bool *good, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_header *headers = sx_calloc(r->n_headers + 1, sizeof *headers);
    const struct sx_sigv4_text t = { .signed_headers = c->signed_headers,
                                     .payload = c->payload_text, .amz_date = c->amz_date,
                                     .but = c->kind == SX_SIG_V4_QUERY ? "X-Amz-Signature" : NULL,
                                     .key = c->key };
    struct sx_sig_request copy = *r;
    uint8_t want[SX_SIG_SHA256];

    for (size_t i = 0; i < r->n_headers; i++) {
        headers[i] = r->headers[i];
        if (host && strcasecmp(headers[i].name, "host") == 0)
            headers[i].value = host;
    }
    copy.headers = headers;
    if (sx_sigv4_compute(want, c, &copy, &t, e) != 0) {
        c->fault = SX_SIG_UNSIGNED;
        return -1;
    }
    *good = sx_mem_equal(want, c->seed, sizeof want);
    return 0;
}

static int verify_v4(struct sx_sig_claim *c, const struct sx_sig_request *r,
                     const struct sx_sig_check *k, struct sx_err *e)
{
    const char *const *host = k->hosts;
    bool good = false;

    if (check_scope(c, k, e) != 0 || check_signed_headers(c, r, e) != 0 ||
        check_times(c, k->now_ms, e) != 0)
        return -1;
    sx_assert(sx_unhex(c->seed, sizeof c->seed, c->signature) == 0);
    sx_sigkeys_get(k->keys, c, k->secret, c->key);
    if (try_host(c, r, NULL, &good, e) != 0)
        return -1;
    for (; !good && host && *host; host++)
        if (try_host(c, r, *host, &good, e) != 0)
            return -1;
    return good ? 0 : mismatch(c, e);
}

static int verify_v4_form(struct sx_sig_claim *c, const struct sx_sig_check *k, struct sx_err *e)
{
    uint8_t want[SX_SIG_SHA256];

    if (check_scope(c, k, e) != 0)
        return -1;
    sx_assert(sx_unhex(c->seed, sizeof c->seed, c->signature) == 0);
    sx_sigkeys_get(k->keys, c, k->secret, c->key);
    sx_hmac_sha256(want, c->key, sizeof c->key, k->policy, strlen(k->policy));
    return sx_mem_equal(want, c->seed, sizeof want) ? 0 : mismatch(c, e);
}

static bool matches_v2(const struct sx_sig_claim *c, const char *secret, const void *text, size_t n)
{
    char want[SX_SIGV2_LEN + 1];

    sx_sigv2_sign(want, secret, text, n);
    return sx_mem_equal(want, c->signature, SX_SIGV2_LEN);
}

static int verify_v2(struct sx_sig_claim *c, const struct sx_sig_request *r,
                     const struct sx_sig_check *k, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf expires = SX_BUF_INIT;
    bool query = c->kind == SX_SIG_V2_QUERY, good = false;

    if (check_times(c, k->now_ms, e) != 0)
        return -1;
    if (query && sx_canon_param(&expires, r->query, "Expires", e) != 1)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e, "the query parameter Expires is missing");
    for (int raw = 0; raw < 2 && !good; raw++) {
        sx_buf_reset(&text);
        sx_sigv2_text(&text, r, k->vhost_bucket, query ? sx_buf_cstr(&expires) : NULL, raw);
        good = matches_v2(c, k->secret, text.data, text.len);
    }
    return good ? 0 : mismatch(c, e);
}

static int verify_v2_form(struct sx_sig_claim *c, const struct sx_sig_check *k, struct sx_err *e)
{
    return matches_v2(c, k->secret, k->policy, strlen(k->policy)) ? 0 : mismatch(c, e);
}

int sx_sig_verify(struct sx_sig_claim *c, const struct sx_sig_request *r,
                  const struct sx_sig_check *k, struct sx_err *e)
{
    int result = -1;

    switch (c->kind) {
    case SX_SIG_V4_HEADER:
    case SX_SIG_V4_QUERY:
        result = verify_v4(c, r, k, e);
        break;
    case SX_SIG_V4_POST:
        result = verify_v4_form(c, k, e);
        break;
    case SX_SIG_V2_HEADER:
    case SX_SIG_V2_QUERY:
        result = verify_v2(c, r, k, e);
        break;
    case SX_SIG_V2_POST:
        result = verify_v2_form(c, k, e);
        break;
    case SX_SIG_ANONYMOUS:
        sx_assert(c->kind != SX_SIG_ANONYMOUS);
    }
    if (result != 0)
        sx_wipe(c->key, sizeof c->key);
    return result;
}

static void chain(const struct sx_sig_claim *c, const char *what,
                  const uint8_t before[SX_SIG_SHA256], const char *digests,
                  uint8_t out[SX_SIG_SHA256])
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    char hex[2 * SX_SIG_SHA256 + 1];

    sx_buf_printf(&text, "%s\n%s\n%s/%s/%s/aws4_request\n%s\n%s", what, c->amz_date, c->date,
                  c->region, c->service, sx_hex(hex, before, SX_SIG_SHA256), digests);
    sx_hmac_sha256(out, c->key, sizeof c->key, text.data, text.len);
}

void sx_sig_chunk(const struct sx_sig_claim *c, const uint8_t before[SX_SIG_SHA256],
                  const uint8_t data_sha256[SX_SIG_SHA256], uint8_t out[SX_SIG_SHA256])
{
    char digests[sizeof EMPTY_SHA256 + 1 + 2 * SX_SIG_SHA256] = EMPTY_SHA256 "\n";

    sx_hex(digests + sizeof EMPTY_SHA256, data_sha256, SX_SIG_SHA256);
    chain(c, "AWS4-HMAC-SHA256-PAYLOAD", before, digests, out);
}

void sx_sig_trailer(const struct sx_sig_claim *c, const uint8_t before[SX_SIG_SHA256],
                    const uint8_t text_sha256[SX_SIG_SHA256], uint8_t out[SX_SIG_SHA256])
{
    char hex[2 * SX_SIG_SHA256 + 1];

    chain(c, "AWS4-HMAC-SHA256-TRAILER", before, sx_hex(hex, text_sha256, SX_SIG_SHA256), out);
}
