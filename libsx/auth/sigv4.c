/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See sigv4.h and, for the parts that sig.c uses as well, sigv4_int.h.
 */
#include "libsx/auth/sigv4.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libsx/auth/canon.h"
#include "libsx/auth/sigkey.h"
#include "libsx/auth/sigv4_int.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define ALGORITHM SX_SIGV4_ALGORITHM
#define TERMINATOR "aws4_request"

/* SX_EAUTH if a header of the list is not in the request, or the query is too long. */
static int canonical_request(struct sx_buf *out, const struct sx_sig_request *r,
                             const struct sx_sigv4_text *t, struct sx_err *e)
{
    const char *path = r->path && *r->path ? r->path : "/";

    sx_buf_printf(out, "%s\n", r->method);
    sx_canon_text(out, path, strlen(path), true, false);
    sx_buf_u8(out, '\n');
    if (sx_canon_query(out, r, t->but, e))
        return -1;
    sx_buf_u8(out, '\n');
    for (const char *s = t->signed_headers; *s;) {
        size_t n = strcspn(s, ";");

        if (!sx_canon_header(out, r, s, n, true))
            return sx_err_set(e, SX_EAUTH, "signed header '%.*s' is not in the request", (int)n, s);
        s += n + (s[n] == ';');
    }
    sx_buf_printf(out, "\n%s\n%s", t->signed_headers, t->payload);
    return 0;
}

int sx_sigv4_compute(uint8_t out[SX_SIG_SHA256], const struct sx_sig_claim *c,
                     const struct sx_sig_request *r, const struct sx_sigv4_text *t,
                     struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    char hex[2 * SX_SIG_SHA256 + 1];
    uint8_t digest[SX_SIG_SHA256];

    if (canonical_request(&text, r, t, e))
        return -1;
    sx_sha256(digest, text.data, text.len);
    sx_buf_reset(&text);
    sx_buf_printf(&text, ALGORITHM "\n%s\n%s/%s/%s/" TERMINATOR "\n%s", t->amz_date, c->date,
                  c->region, c->service, sx_hex(hex, digest, sizeof digest));
    sx_hmac_sha256(out, t->key, SX_SIG_SHA256, text.data, text.len);
    return 0;
}

static int name_cmp(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

static void header_list(struct sx_buf *out, const struct sx_sig_request *r)
{
    const char *names[SX_SIGV4_HEADERS_MAX];

    sx_assert(r->n_headers <= SX_SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < r->n_headers; i++)
        names[i] = r->headers[i].name;
    qsort(names, r->n_headers, sizeof names[0], name_cmp);
    for (size_t i = 0; i < r->n_headers; i++) {
        if (i && strcasecmp(names[i], names[i - 1]) == 0)
            continue;
        if (i)
            sx_buf_u8(out, ';');
        for (const char *p = names[i]; *p; p++)
            sx_buf_u8(out, (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p));
    }
    sx_buf_cstr(out);
}

/* Copies s[0 … n) into a field of `size` bytes; -1 if it is empty or too long. */
int sx_sig_field(char *to, size_t size, const char *s, size_t n)
{
    if (n == 0 || n >= size)
        return -1;
    memcpy(to, s, n);
    to[n] = '\0';
    return 0;
}

void sx_sigv4_sign(struct sx_buf *out, const struct sx_sig_request *r, const char *access_key,
                   const char *secret, const char *region, const char *service,
                   const char *amz_date)
{
    SX_AUTO(sx_buf) struct sx_buf list = SX_BUF_INIT;
    uint8_t key[SX_SIG_SHA256], digest[SX_SIG_SHA256];
    struct sx_sigv4_text t = { .payload = r->payload, .amz_date = amz_date, .key = key };
    struct sx_sig_claim c = { .kind = SX_SIG_V4_HEADER };
    char hex[2 * SX_SIG_SHA256 + 1];

    sx_assert(sx_sig_field(c.date, sizeof c.date, amz_date, 8) == 0 &&
              sx_sig_field(c.region, sizeof c.region, region, strlen(region)) == 0 &&
              sx_sig_field(c.service, sizeof c.service, service, strlen(service)) == 0);
    header_list(&list, r);
    t.signed_headers = sx_buf_cstr(&list);
    sx_sigkeys_get(NULL, &c, secret, key);
    sx_assert(sx_sigv4_compute(digest, &c, r, &t, NULL) == 0);
    sx_wipe(key, sizeof key);
    sx_buf_printf(out,
                  ALGORITHM " Credential=%s/%s/%s/%s/" TERMINATOR ", SignedHeaders=%s"
                            ", Signature=%s",
                  access_key, c.date, region, service, t.signed_headers,
                  sx_hex(hex, digest, sizeof digest));
}

static int bad(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_EAUTH, "malformed Authorization header: %s", what);
}

/* access key/date/region/service/aws4_request, read from the end: the key may hold a slash. */
int sx_sigv4_credential(struct sx_sig_claim *c, const char *s, size_t n)
{
    const struct {
        char *to;
        size_t size;
    } parts[] = { { c->service, sizeof c->service },
                  { c->region, sizeof c->region },
                  { c->date, sizeof c->date } };
    const size_t tail = sizeof "/" TERMINATOR - 1;

    if (n <= tail || memcmp(s + n - tail, "/" TERMINATOR, tail) != 0)
        return -1;
    n -= tail;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *slash = memrchr(s, '/', n);

        if (!slash || sx_sig_field(parts[i].to, parts[i].size, slash + 1, (size_t)(s + n - slash) - 1))
            return -1;
        n = (size_t)(slash - s);
    }
    return sx_sig_field(c->access_key, sizeof c->access_key, s, n);
}

/* Lower case, ascending, no name twice. */
bool sx_sigv4_list_good(const char *list)
{
    const char *before = NULL;
    size_t before_n = 0, count = 0;

    for (const char *s = list;; s++) {
        size_t n = strcspn(s, ";");
        int c = before ? memcmp(before, s, before_n < n ? before_n : n) : -1;

        if (n == 0 || ++count > SX_SIGV4_HEADERS_MAX || c > 0 || (c == 0 && before_n >= n))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((s[i] >= 'A' && s[i] <= 'Z') || s[i] <= ' ' || s[i] > '~')
                return false;
        before = s;
        before_n = n;
        s += n;
        if (!*s)
            return true;
    }
}

static int parse_item(struct sx_sig_claim *c, const char *s, size_t n, struct sx_err *e)
{
    const char *eq = memchr(s, '=', n);
    size_t name = eq ? (size_t)(eq - s) : 0, len = eq ? n - name - 1 : 0;
    uint8_t raw[SX_SHA256];

    if (name == 10 && memcmp(s, "Credential", name) == 0)
        return sx_sigv4_credential(c, eq + 1, len) ? bad(e, "Credential") : 0;
    if (name == 13 && memcmp(s, "SignedHeaders", name) == 0)
        return sx_sig_field(c->signed_headers, sizeof c->signed_headers, eq + 1, len) ||
                       !sx_sigv4_list_good(c->signed_headers)
                   ? bad(e, "SignedHeaders")
                   : 0;
    if (name == 9 && memcmp(s, "Signature", name) == 0)
        return sx_sig_field(c->signature, sizeof c->signature, eq + 1, len) ||
                       sx_unhex(raw, sizeof raw, c->signature)
                   ? bad(e, "Signature")
                   : 0;
    return bad(e, "unknown part");
}

int sx_sigv4_parse(const char *authorization, struct sx_sig_claim *c, struct sx_err *e)
{
    const char *s = authorization;
    const size_t algorithm = sizeof ALGORITHM - 1;

    memset(c, 0, sizeof *c);
    c->kind = SX_SIG_V4_HEADER;
    if (strncmp(s, ALGORITHM, algorithm) != 0 || s[algorithm] != ' ')
        return sx_err_set(e, SX_EAUTH, "the Authorization header must be of type " ALGORITHM);
    s += algorithm;
    while (*(s += strspn(s, " ,"))) {
        size_t n = strcspn(s, ","), used = n;

        while (n && s[n - 1] == ' ')
            n--;
        if (parse_item(c, s, n, e))
            return -1;
        s += used;
    }
    if (!c->access_key[0] || !c->signed_headers[0] || !c->signature[0])
        return bad(e, "Credential, SignedHeaders and Signature are wanted");
    return 0;
}

static int check_claim(const struct sx_sig_claim *c, const char *amz_date, uint64_t now_ms,
                       struct sx_err *e)
{
    static const char *const needed[] = { "host", "x-amz-content-sha256", "x-amz-date" };
    char theirs[SX_TIME_TEXT], ours[SX_TIME_TEXT];
    uint64_t at;

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!sx_canon_listed(c->signed_headers, needed[i]))
            return sx_err_set(e, SX_EAUTH, "header '%s' must be signed", needed[i]);
    if (sx_amz_date_parse(amz_date, &at))
        return sx_err_set(e, SX_EAUTH, "x-amz-date must have the form YYYYMMDDTHHMMSSZ");
    if (strncmp(c->date, amz_date, 8) != 0)
        return sx_err_set(e, SX_EAUTH, "the date of the credential is not that of x-amz-date");
    if (at > now_ms + SX_SIGV4_SKEW_MS || now_ms > at + SX_SIGV4_SKEW_MS)
        return sx_err_set(e, SX_ECLOCK,
                          "the request was signed at %s but it is %s here: set the clock right",
                          sx_time_text(theirs, at, true), sx_time_text(ours, now_ms, true));
    return 0;
}

int sx_sigv4_verify(const struct sx_sig_claim *c, const struct sx_sig_request *r,
                    const char *secret, const char *amz_date, uint64_t now_ms, struct sx_err *e)
{
    uint8_t key[SX_SIG_SHA256], got[SX_SIG_SHA256], want[SX_SIG_SHA256];
    const struct sx_sigv4_text t = { .signed_headers = c->signed_headers, .payload = r->payload,
                                     .amz_date = amz_date, .key = key };
    int result;

    if (check_claim(c, amz_date, now_ms, e))
        return -1;
    if (sx_unhex(got, sizeof got, c->signature))
        return bad(e, "Signature");
    sx_sigkeys_get(NULL, c, secret, key);
    result = sx_sigv4_compute(want, c, r, &t, e);
    sx_wipe(key, sizeof key);
    if (result)
        return -1;
    if (!sx_mem_equal(want, got, sizeof want))
        return sx_err_set(e, SX_EAUTH, SX_SIG_MISMATCH_TEXT);
    return 0;
}

void sx_amz_date(char out[17], uint64_t wall_ms)
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&t, &tm);
    sx_assert(strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm) == 16);
}

int sx_amz_date_parse(const char *s, uint64_t *wall_ms)
{
    struct tm tm = { 0 };
    char again[17];
    time_t t;

    for (size_t i = 0; i < 16; i++)
        if (i == 8 ? s[i] != 'T' : i == 15 ? s[i] != 'Z' : s[i] < '0' || s[i] > '9')
            return -1;
    if (s[16] || !strptime(s, "%Y%m%dT%H%M%SZ", &tm))
        return -1;
    t = timegm(&tm);
    if (t < 0)
        return -1;
    sx_amz_date(again, (uint64_t)t * 1000);
    if (strcmp(s, again) != 0) /* the 31st of February, the 61st second */
        return -1;
    *wall_ms = (uint64_t)t * 1000;
    return 0;
}

/* The alphabets have a power of two of letters, so a masked random byte chooses evenly. */
static void random_text(char *out, size_t n, const char *letters, unsigned mask)
{
    sx_random(out, n);
    for (size_t i = 0; i < n; i++)
        out[i] = letters[(unsigned char)out[i] & mask];
    out[n] = '\0';
}

void sx_access_key_new(char out[SX_ACCESS_KEY_LEN + 1])
{
    memcpy(out, "SX", 2);
    random_text(out + 2, SX_ACCESS_KEY_LEN - 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 31);
}

void sx_secret_key_new(char out[SX_SECRET_KEY_LEN + 1])
{
    random_text(out, SX_SECRET_KEY_LEN,
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 63);
}
