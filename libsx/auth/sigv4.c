/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See sigv4.h.  Path and query are brought to one form before they are hashed: every byte is
 * decoded once and encoded again by AWS's rule.  So a client that encodes more, or less, than it
 * must signs the same text as the verifier.  The path is neither normalised nor encoded twice, as
 * for S3.
 */
#include "libsx/auth/sigv4.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TERMINATOR "aws4_request"
#define PARAMS_MAX 64 /* of a query */

/* What is signed: canonical request, its scope, and who signs. */
struct signing {
    const char *secret;
    const char *date; /* YYYYMMDD */
    const char *region;
    const char *service;
    const char *amz_date;
    const char *signed_headers;
};

static int hex_value(const char *p, const char *end)
{
    char two[3];
    uint8_t v;

    if (end - p < 3)
        return -1;
    memcpy(two, p + 1, 2);
    two[2] = '\0';
    return sx_unhex(&v, 1, two) ? -1 : v;
}

/* A bad escape stays as it is; the request is refused elsewhere. */
static void add_encoded(struct sx_buf *out, const char *s, size_t n, bool keep_slash)
{
    const char *end = s + n;

    while (s < end) {
        int v = *s == '%' ? hex_value(s, end) : -1;
        char c = v < 0 ? *s : (char)v;

        sx_pct_encode(out, &c, 1, keep_slash);
        s += v < 0 ? 1 : 3;
    }
}

/* Of name=value, encoded: by name, then by value. */
static int param_cmp(const void *va, const void *vb)
{
    const char *a = *(char *const *)va, *b = *(char *const *)vb;
    size_t na = strcspn(a, "="), nb = strcspn(b, "=");
    int c = memcmp(a, b, na < nb ? na : nb);

    if (!c && na != nb)
        c = na < nb ? -1 : 1;
    return c ? c : strcmp(a + na, b + nb);
}

static char *param_text(const char *s, size_t n)
{
    const char *eq = memchr(s, '=', n);
    size_t name = eq ? (size_t)(eq - s) : n;
    struct sx_buf b = SX_BUF_INIT;

    add_encoded(&b, s, name, false);
    sx_buf_u8(&b, '=');
    if (eq)
        add_encoded(&b, eq + 1, n - name - 1, false);
    sx_buf_cstr(&b);
    return (char *)b.data;
}

static int add_query(struct sx_buf *out, const char *query, struct sx_err *e)
{
    char *params[PARAMS_MAX];
    size_t n = 0;
    int r = 0;

    while (query && *query && !r) {
        size_t len = strcspn(query, "&");

        if (n == PARAMS_MAX)
            r = sx_err_set(e, SX_EAUTH, "the query has more than %d parameters", PARAMS_MAX);
        else if (len)
            params[n++] = param_text(query, len);
        query += len + (query[len] == '&');
    }
    qsort(params, n, sizeof params[0], param_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i)
            sx_buf_u8(out, '&');
        sx_buf_str(out, params[i]);
        free(params[i]);
    }
    return r;
}

/* Without space at both ends, and runs of spaces as one. */
static void add_trimmed(struct sx_buf *out, const char *v)
{
    size_t n;

    v += strspn(v, " \t");
    n = strlen(v);
    while (n && (v[n - 1] == ' ' || v[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < n; i++)
        if (v[i] != ' ' || v[i + 1] != ' ')
            sx_buf_u8(out, (uint8_t)v[i]);
}

static bool name_is(const char *name, const char *lower, size_t n)
{
    return strncasecmp(name, lower, n) == 0 && name[n] == '\0';
}

/* One line for the header, repeated ones joined.  Returns how often it is there. */
static size_t add_header(struct sx_buf *out, const struct sx_sig_request *r, const char *lower,
                         size_t n)
{
    size_t found = 0;

    sx_buf_add(out, lower, n);
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!name_is(r->headers[i].name, lower, n))
            continue;
        sx_buf_u8(out, found++ ? ',' : ':');
        add_trimmed(out, r->headers[i].value);
    }
    sx_buf_u8(out, '\n');
    return found;
}

/* SX_EAUTH if a header of the list is not in the request, or the query is too long. */
static int canonical_request(struct sx_buf *out, const struct sx_sig_request *r, const char *list,
                             struct sx_err *e)
{
    const char *path = r->path && *r->path ? r->path : "/";

    sx_buf_printf(out, "%s\n", r->method);
    add_encoded(out, path, strlen(path), true);
    sx_buf_u8(out, '\n');
    if (add_query(out, r->query, e))
        return -1;
    sx_buf_u8(out, '\n');
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ";");

        if (!add_header(out, r, s, n))
            return sx_err_set(e, SX_EAUTH, "signed header '%.*s' is not in the request", (int)n, s);
        s += n + (s[n] == ';');
    }
    sx_buf_printf(out, "\n%s\n%s", list, r->payload);
    return 0;
}

static void hmac_text(uint8_t out[SX_SHA256], const void *key, size_t key_len, const char *text)
{
    sx_hmac_sha256(out, key, key_len, text, strlen(text));
}

static void signing_key(uint8_t key[SX_SHA256], const struct signing *s)
{
    SX_AUTO_FREE char *first = sx_asprintf("AWS4%s", s->secret);

    hmac_text(key, first, strlen(first), s->date);
    hmac_text(key, key, SX_SHA256, s->region);
    hmac_text(key, key, SX_SHA256, s->service);
    hmac_text(key, key, SX_SHA256, TERMINATOR);
    sx_wipe(first, strlen(first));
}

static int signature(char hex[2 * SX_SHA256 + 1], const struct signing *s,
                     const struct sx_sig_request *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    uint8_t digest[SX_SHA256], key[SX_SHA256];

    if (canonical_request(&text, r, s->signed_headers, e))
        return -1;
    sx_sha256(digest, text.data, text.len);
    sx_buf_reset(&text);
    sx_buf_printf(&text, ALGORITHM "\n%s\n%s/%s/%s/" TERMINATOR "\n%s", s->amz_date, s->date,
                  s->region, s->service, sx_hex(hex, digest, sizeof digest));
    signing_key(key, s);
    hmac_text(digest, key, sizeof key, sx_buf_cstr(&text));
    sx_wipe(key, sizeof key);
    sx_hex(hex, digest, sizeof digest);
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

void sx_sigv4_sign(struct sx_buf *out, const struct sx_sig_request *r, const char *access_key,
                   const char *secret, const char *region, const char *service,
                   const char *amz_date)
{
    SX_AUTO(sx_buf) struct sx_buf list = SX_BUF_INIT;
    struct signing s = { .secret = secret, .region = region, .service = service,
                         .amz_date = amz_date };
    char date[9], hex[2 * SX_SHA256 + 1];

    snprintf(date, sizeof date, "%.8s", amz_date);
    header_list(&list, r);
    s.date = date;
    s.signed_headers = sx_buf_cstr(&list);
    sx_assert(signature(hex, &s, r, NULL) == 0);
    sx_buf_printf(out,
                  ALGORITHM " Credential=%s/%s/%s/%s/" TERMINATOR ", SignedHeaders=%s"
                            ", Signature=%s",
                  access_key, date, region, service, s.signed_headers, hex);
}

static int bad(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_EAUTH, "malformed Authorization header: %s", what);
}

/* Copies s[0 … n) into a field of `size` bytes; -1 if it is empty or too long. */
static int field(char *to, size_t size, const char *s, size_t n)
{
    if (n == 0 || n >= size)
        return -1;
    memcpy(to, s, n);
    to[n] = '\0';
    return 0;
}

/* access key/date/region/service/aws4_request, read from the end: the key may hold a slash. */
static int parse_credential(struct sx_sig_claim *c, const char *s, size_t n)
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

        if (!slash || field(parts[i].to, parts[i].size, slash + 1, (size_t)(s + n - slash) - 1))
            return -1;
        n = (size_t)(slash - s);
    }
    return field(c->access_key, sizeof c->access_key, s, n);
}

/* Lower case, ascending, no name twice. */
static bool header_list_good(const char *list)
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
        return parse_credential(c, eq + 1, len) ? bad(e, "Credential") : 0;
    if (name == 13 && memcmp(s, "SignedHeaders", name) == 0)
        return field(c->signed_headers, sizeof c->signed_headers, eq + 1, len) ||
                       !header_list_good(c->signed_headers)
                   ? bad(e, "SignedHeaders")
                   : 0;
    if (name == 9 && memcmp(s, "Signature", name) == 0)
        return field(c->signature, sizeof c->signature, eq + 1, len) ||
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

static bool is_signed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ";");

        if (n == len && memcmp(s, name, n) == 0)
            return true;
        s += n + (s[n] == ';');
    }
    return false;
}

static int check_claim(const struct sx_sig_claim *c, const char *amz_date, uint64_t now_ms,
                       struct sx_err *e)
{
    static const char *const needed[] = { "host", "x-amz-content-sha256", "x-amz-date" };
    char theirs[SX_TIME_TEXT], ours[SX_TIME_TEXT];
    uint64_t at;

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!is_signed(c->signed_headers, needed[i]))
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
    const struct signing s = { .secret = secret, .date = c->date, .region = c->region,
                               .service = c->service, .amz_date = amz_date,
                               .signed_headers = c->signed_headers };
    char hex[2 * SX_SHA256 + 1];

    if (check_claim(c, amz_date, now_ms, e) || signature(hex, &s, r, e))
        return -1;
    if (!sx_mem_equal(hex, c->signature, 2 * SX_SHA256))
        return sx_err_set(e, SX_EAUTH,
                          "the signature does not match: the secret key is wrong, or the "
                                       "request was changed on its way");
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
