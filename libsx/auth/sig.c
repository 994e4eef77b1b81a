/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See sig.h: the signature of a request is found and read into a claim.  sigcheck.c verifies it.
 */
#include "libsx/auth/sig.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libsx/auth/canon.h"
#include "libsx/auth/sigv2.h"
#include "libsx/auth/sigv4.h"
#include "libsx/auth/sigv4_int.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define V2_EXPIRES_MAX 99999999999ULL /* seconds since 1970: some thousand years */

int sx_sig_fail(struct sx_sig_claim *c, enum sx_sig_fault fault, struct sx_err *e, const char *fmt,
                ...)
{
    char msg[SX_ERR_MSG_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    c->fault = fault;
    return sx_err_set(e, fault == SX_SIG_SKEWED ? SX_ECLOCK : SX_EAUTH, "%s", msg);
}

const char *sx_sig_kind_text(enum sx_sig_kind kind)
{
    static const char *const names[] = {
        [SX_SIG_ANONYMOUS] = "anonymous", [SX_SIG_V4_HEADER] = "V4 header",
        [SX_SIG_V4_QUERY] = "V4 query",   [SX_SIG_V4_POST] = "V4 form",
        [SX_SIG_V2_HEADER] = "V2 header", [SX_SIG_V2_QUERY] = "V2 query",
        [SX_SIG_V2_POST] = "V2 form",
    };

    return names[kind];
}

static const char *find_header(const struct sx_sig_request *r, const char *name)
{
    return sx_header_find(r->headers, r->n_headers, name);
}

/* The claim's payload mode from a value of x-amz-content-sha256. */
static int read_payload(struct sx_sig_claim *c, const char *value, struct sx_err *e)
{
    static const struct {
        const char *text;
        enum sx_sig_payload payload;
    } modes[] = {
        { SX_UNSIGNED_PAYLOAD, SX_PAYLOAD_UNSIGNED },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", SX_PAYLOAD_CHUNKS },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", SX_PAYLOAD_CHUNKS_TRAILER },
        { "STREAMING-UNSIGNED-PAYLOAD-TRAILER", SX_PAYLOAD_TRAILER },
    };

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        bool chunks = modes[i].payload == SX_PAYLOAD_CHUNKS ||
                      modes[i].payload == SX_PAYLOAD_CHUNKS_TRAILER;

        if (strcmp(value, modes[i].text) != 0)
            continue;
        c->payload = modes[i].payload;
        if (chunks && c->kind != SX_SIG_V4_HEADER)
            return sx_sig_fail(c, SX_SIG_PAYLOAD, e,
                               "%s needs a signature V4 in the Authorization header", value);
        return 0;
    }
    if (sx_unhex(c->body_sha256, sizeof c->body_sha256, value) != 0)
        return sx_sig_fail(c, SX_SIG_PAYLOAD, e,
                           "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                           "STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                           "STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER] or a SHA-256 in hex");
    c->payload = SX_PAYLOAD_SHA256;
    return 0;
}

/* Of kinds that need not say what the body is. */
static int read_payload_header(struct sx_sig_claim *c, const struct sx_sig_request *r,
                               struct sx_err *e)
{
    const char *value = find_header(r, "x-amz-content-sha256");

    return value ? read_payload(c, value, e) : 0;
}

/* A date as headers have it: YYYYMMDDTHHMMSSZ, or that of HTTP. */
static int read_date(struct sx_sig_claim *c, const struct sx_sig_request *r, struct sx_err *e)
{
    const char *amz = find_header(r, "x-amz-date"), *date = find_header(r, "date");
    const char *text = amz ? amz : date;

    if (!text)
        return sx_sig_fail(c, SX_SIG_NO_DATE, e,
                           "a signed request needs the header x-amz-date or Date");
    if (sx_amz_date_parse(text, &c->signed_ms) != 0 &&
        sx_http_date_parse(text, &c->signed_ms) != 0)
        return sx_sig_fail(c, SX_SIG_NO_DATE, e, "%s is '%.40s', not a date",
                           amz ? "x-amz-date" : "Date", text);
    sx_amz_date(c->amz_date, c->signed_ms);
    return 0;
}

static int read_v4_header(struct sx_sig_claim *c, const struct sx_sig_request *r,
                          const char *authorization, struct sx_err *e)
{
    const char *payload = find_header(r, "x-amz-content-sha256");

    if (sx_sigv4_parse(authorization, c, e) != 0) {
        c->fault = SX_SIG_MALFORMED;
        return -1;
    }
    if (read_date(c, r, e) != 0)
        return -1;
    if (!payload)
        return sx_sig_fail(c, SX_SIG_PAYLOAD, e,
                           "Missing required header for this request: x-amz-content-sha256");
    if (read_payload(c, payload, e) != 0)
        return -1;
    snprintf(c->payload_text, sizeof c->payload_text, "%s", payload);
    return 0;
}

/* The value of a parameter that must be there. */
static int need_param(struct sx_sig_claim *c, const struct sx_sig_request *r, const char *name,
                      struct sx_buf *out, struct sx_err *e)
{
    int found = sx_canon_param(out, r->query, name, e);

    if (found < 0)
        c->fault = SX_SIG_MALFORMED;
    if (found == 0)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e, "the query parameter %s is missing", name);
    return found < 0 ? -1 : 0;
}

static int bad_param(struct sx_sig_claim *c, const char *name, struct sx_err *e)
{
    return sx_sig_fail(c, SX_SIG_MALFORMED, e, "the query parameter %s is malformed", name);
}

/* Credential, signed headers and signature of a presigned URL. */
static int read_v4_params(struct sx_sig_claim *c, const struct sx_sig_request *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint8_t raw[SX_SIG_SHA256];

    if (need_param(c, r, "X-Amz-Algorithm", &b, e) != 0)
        return -1;
    if (strcmp(sx_buf_cstr(&b), SX_SIGV4_ALGORITHM) != 0)
        return sx_sig_fail(c, SX_SIG_UNSUPPORTED, e,
                           "X-Amz-Algorithm must be " SX_SIGV4_ALGORITHM ", not '%.40s'",
                           sx_buf_cstr(&b));
    if (need_param(c, r, "X-Amz-Credential", &b, e) != 0)
        return -1;
    if (sx_sigv4_credential(c, sx_buf_cstr(&b), b.len) != 0)
        return bad_param(c, "X-Amz-Credential", e);
    if (need_param(c, r, "X-Amz-SignedHeaders", &b, e) != 0)
        return -1;
    if (sx_sig_field(c->signed_headers, sizeof c->signed_headers, sx_buf_cstr(&b), b.len) != 0 ||
        !sx_sigv4_list_good(c->signed_headers))
        return bad_param(c, "X-Amz-SignedHeaders", e);
    if (need_param(c, r, "X-Amz-Signature", &b, e) != 0)
        return -1;
    if (sx_sig_field(c->signature, sizeof c->signature, sx_buf_cstr(&b), b.len) != 0 ||
        sx_unhex(raw, sizeof raw, c->signature) != 0)
        return bad_param(c, "X-Amz-Signature", e);
    return 0;
}

static int read_v4_times(struct sx_sig_claim *c, const struct sx_sig_request *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint64_t seconds;

    if (need_param(c, r, "X-Amz-Date", &b, e) != 0)
        return -1;
    if (sx_amz_date_parse(sx_buf_cstr(&b), &c->signed_ms) != 0)
        return bad_param(c, "X-Amz-Date", e);
    sx_amz_date(c->amz_date, c->signed_ms);
    if (need_param(c, r, "X-Amz-Expires", &b, e) != 0)
        return -1;
    if (sx_u64_parse(sx_buf_cstr(&b), b.len, SX_SIG_EXPIRES_MAX_S, &seconds) != 0 || seconds == 0)
        return sx_sig_fail(c, SX_SIG_EXPIRES, e,
                           "X-Amz-Expires must be a number of seconds from 1 to %d",
                           SX_SIG_EXPIRES_MAX_S);
    c->expires_ms = c->signed_ms + seconds * 1000;
    return 0;
}

/* What a presigned URL says of the body is usually nothing.  An unsigned header still tells how the
 * body is to be read. */
static int read_v4_query_payload(struct sx_sig_claim *c, const struct sx_sig_request *r,
                                 struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    const char *header = find_header(r, "x-amz-content-sha256"), *signed_text = NULL;
    int found = sx_canon_param(&b, r->query, "X-Amz-Content-Sha256", e);

    if (found < 0) {
        c->fault = SX_SIG_MALFORMED;
        return -1;
    }
    if (found)
        signed_text = sx_buf_cstr(&b);
    else if (header && sx_canon_listed(c->signed_headers, "x-amz-content-sha256"))
        signed_text = header;
    if ((signed_text || header) && read_payload(c, signed_text ? signed_text : header, e) != 0)
        return -1;
    snprintf(c->payload_text, sizeof c->payload_text, "%s",
             signed_text ? signed_text : SX_UNSIGNED_PAYLOAD);
    return 0;
}

static int read_v4_query(struct sx_sig_claim *c, const struct sx_sig_request *r, struct sx_err *e)
{
    c->kind = SX_SIG_V4_QUERY;
    if (read_v4_params(c, r, e) != 0 || read_v4_times(c, r, e) != 0)
        return -1;
    return read_v4_query_payload(c, r, e);
}

static int set_v2(struct sx_sig_claim *c, const char *key, size_t key_len, const char *signature)
{
    size_t n = strlen(signature);

    return n != SX_SIGV2_LEN || sx_sig_field(c->signature, sizeof c->signature, signature, n) ||
                   sx_sig_field(c->access_key, sizeof c->access_key, key, key_len)
               ? -1
               : 0;
}

static int read_v2_header(struct sx_sig_claim *c, const struct sx_sig_request *r,
                          const char *authorization, struct sx_err *e)
{
    const char *key = authorization + 4, *colon = strrchr(key, ':');

    c->kind = SX_SIG_V2_HEADER;
    if (!colon || set_v2(c, key, (size_t)(colon - key), colon + 1) != 0)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e,
                           "malformed Authorization header: 'AWS key:signature' is wanted");
    if (read_date(c, r, e) != 0)
        return -1;
    return read_payload_header(c, r, e);
}

static int read_v2_query(struct sx_sig_claim *c, const struct sx_sig_request *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    uint64_t seconds;

    c->kind = SX_SIG_V2_QUERY;
    if (need_param(c, r, "AWSAccessKeyId", &key, e) != 0 ||
        need_param(c, r, "Signature", &b, e) != 0)
        return -1;
    if (set_v2(c, sx_buf_cstr(&key), key.len, sx_buf_cstr(&b)) != 0)
        return bad_param(c, "Signature", e);
    if (need_param(c, r, "Expires", &b, e) != 0)
        return -1;
    if (sx_u64_parse(sx_buf_cstr(&b), b.len, V2_EXPIRES_MAX, &seconds) != 0)
        return sx_sig_fail(c, SX_SIG_EXPIRES, e,
                           "Expires must be a time in seconds since 1970, not '%.40s'",
                           sx_buf_cstr(&b));
    c->expires_ms = seconds * 1000;
    return read_payload_header(c, r, e);
}

/* Whether the raw query has a parameter with one of the names (ended by NULL). */
static bool has_param(const char *query, const char *const *names)
{
    for (; query && *query; query += query[0] == '&') {
        size_t n = strcspn(query, "&");

        for (const char *const *p = names; *p; p++) {
            size_t len = strlen(*p);

            if (n >= len && memcmp(query, *p, len) == 0 && (n == len || query[len] == '='))
                return true;
        }
        query += n;
    }
    return false;
}

static int read_header(struct sx_sig_claim *c, const struct sx_sig_request *r,
                       const char *authorization, struct sx_err *e)
{
    const size_t n = sizeof SX_SIGV4_ALGORITHM - 1;

    if (strncmp(authorization, SX_SIGV4_ALGORITHM, n) == 0 && authorization[n] == ' ')
        return read_v4_header(c, r, authorization, e);
    if (strncmp(authorization, "AWS ", 4) == 0)
        return read_v2_header(c, r, authorization, e);
    return sx_sig_fail(c, SX_SIG_UNSUPPORTED, e,
                       "the Authorization header must begin with " SX_SIGV4_ALGORITHM " or AWS");
}

int sx_sig_read(const struct sx_sig_request *r, struct sx_sig_claim *c, struct sx_err *e)
{
    static const char *const v4_names[] = { "X-Amz-Algorithm", "X-Amz-Credential",
                                            "X-Amz-Signature", NULL };
    static const char *const v2_names[] = { "AWSAccessKeyId", "Signature", NULL };
    const char *authorization = find_header(r, "authorization");
    bool v4 = has_param(r->query, v4_names), v2 = has_param(r->query, v2_names);

    memset(c, 0, sizeof *c);
    if ((authorization != NULL) + v4 + v2 > 1)
        return sx_sig_fail(c, SX_SIG_CONFLICT, e,
                           "only one of the Authorization header, X-Amz-Algorithm and "
                           "Signature in the query is allowed");
    if (authorization)
        return read_header(c, r, authorization, e);
    if (v4)
        return read_v4_query(c, r, e);
    if (v2)
        return read_v2_query(c, r, e);
    return read_payload_header(c, r, e);
}

static int read_v4_form(const struct sx_sig_form *f, struct sx_sig_claim *c, struct sx_err *e)
{
    uint8_t raw[SX_SIG_SHA256];

    c->kind = SX_SIG_V4_POST;
    if (!f->policy || !f->algorithm || !f->credential || !f->date || !f->signature)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e,
                           "a signed form needs the fields policy, x-amz-algorithm, "
                           "x-amz-credential, x-amz-date and x-amz-signature");
    if (strcmp(f->algorithm, SX_SIGV4_ALGORITHM) != 0)
        return sx_sig_fail(c, SX_SIG_UNSUPPORTED, e,
                           "x-amz-algorithm must be " SX_SIGV4_ALGORITHM);
    if (sx_sigv4_credential(c, f->credential, strlen(f->credential)) != 0)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e, "the field x-amz-credential is malformed");
    if (sx_amz_date_parse(f->date, &c->signed_ms) != 0)
        return sx_sig_fail(c, SX_SIG_NO_DATE, e, "the field x-amz-date is malformed");
    sx_amz_date(c->amz_date, c->signed_ms);
    if (sx_sig_field(c->signature, sizeof c->signature, f->signature, strlen(f->signature)) != 0 ||
        sx_unhex(raw, sizeof raw, c->signature) != 0)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e, "the field x-amz-signature is malformed");
    return 0;
}

int sx_sig_read_form(const struct sx_sig_form *f, struct sx_sig_claim *c, struct sx_err *e)
{
    bool v4 = f->algorithm || f->credential || f->signature, v2 = f->v2_key || f->v2_signature;

    memset(c, 0, sizeof *c);
    if (v4 && v2)
        return sx_sig_fail(c, SX_SIG_CONFLICT, e, "the form is signed in more than one way");
    if (v4)
        return read_v4_form(f, c, e);
    if (!v2)
        return 0;
    c->kind = SX_SIG_V2_POST;
    if (!f->policy || !f->v2_key || !f->v2_signature)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e,
                           "a signed form needs the fields policy, AWSAccessKeyId and signature");
    if (set_v2(c, f->v2_key, strlen(f->v2_key), f->v2_signature) != 0)
        return sx_sig_fail(c, SX_SIG_MALFORMED, e, "the field signature is malformed");
    return 0;
}
