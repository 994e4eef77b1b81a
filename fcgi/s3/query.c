/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See target.h: queries, and the names of buckets.
 */
#include <string.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/target.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define BUCKET_NAME_MIN 3
#define BUCKET_NAME_MAX 63

void sx_s3_query_fini(struct sx_s3_query *q)
{
    for (unsigned i = 0; i < q->n; i++) {
        free(q->v[i].name);
        free(q->v[i].value);
    }
    q->n = 0;
}

/* Decoded, '+' as a space; NULL for a bad escape or a NUL. */
static char *decode(const char *s, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_FREE char *copy = sx_strndup(s, n);

    for (char *p = copy; *p; p++)
        if (*p == '+')
            *p = ' ';
    if (sx_pct_decode(&b, copy, n, NULL) != 0)
        return NULL;
    return sx_strdup(sx_buf_cstr(&b));
}

static int add_param(struct sx_s3_query *q, const char *s, size_t n, struct sx_err *e)
{
    const char *eq = memchr(s, '=', n);
    size_t name_len = eq ? (size_t)(eq - s) : n;
    SX_AUTO_FREE char *name = decode(s, name_len);
    SX_AUTO_FREE char *value = eq ? decode(eq + 1, n - name_len - 1) : sx_strdup("");

    if (!name || !value)
        return sx_err_set(e, SX_S3_INVALID_URI,
                          "Couldn't parse the specified URI: the query has a bad percent-escape.");
    if (sx_s3_query_get(q, name))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The query parameter '%.64s' is given twice",
                          name);
    if (q->n == SX_SIG_PARAMS_MAX)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The query has more than %d parameters",
                          SX_SIG_PARAMS_MAX);
    q->v[q->n++] = (struct sx_s3_param){ SX_STEAL(name), SX_STEAL(value) };
    return 0;
}

int sx_s3_query_parse(const char *query, struct sx_s3_query *q, struct sx_err *e)
{
    q->n = 0;
    while (query && *query) {
        size_t n = strcspn(query, "&");

        if (n && add_param(q, query, n, e) != 0)
            return -1;
        query += n + (query[n] == '&');
    }
    return 0;
}

const char *sx_s3_query_get(const struct sx_s3_query *q, const char *name)
{
    for (unsigned i = 0; i < q->n; i++)
        if (strcmp(q->v[i].name, name) == 0)
            return q->v[i].value;
    return NULL;
}

int sx_s3_query_u64(const struct sx_s3_query *q, const char *name, const uint64_t range[2],
                    uint64_t dflt, uint64_t *v, struct sx_err *e)
{
    const char *s = sx_s3_query_get(q, name);
    uint64_t got = dflt;

    if (s && (sx_u64_parse(s, strlen(s), range[1], &got) != 0 || got < range[0]))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "%s is '%.40s', not an integer between %llu and %llu", name, s,
                          (unsigned long long)range[0], (unsigned long long)range[1]);
    *v = got;
    return 0;
}

static int bad_name(struct sx_err *e, const char *name, const char *rule)
{
    return sx_err_set(e, SX_S3_INVALID_BUCKET_NAME, "The specified bucket name '%.80s' is not "
                      "valid: %s.", name, rule);
}

static bool alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Four groups of digits. */
static bool looks_like_address(const char *s)
{
    unsigned dots = 0;

    for (; *s; s++) {
        if (*s == '.')
            dots++;
        else if (*s < '0' || *s > '9')
            return false;
    }
    return dots == 3;
}

static bool reserved(const char *name, size_t n)
{
    static const char *const prefixes[] = { "xn--", "sthree-", "amzn-s3-demo-" };
    static const char *const suffixes[] = { "-s3alias", "--ol-s3", ".mrap", "--x-s3",
                                            "--table-s3" };

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t len = strlen(suffixes[i]);

        if (n >= len && strcmp(name + n - len, suffixes[i]) == 0)
            return true;
    }
    return false;
}

int sx_s3_bucket_name(const char *name, struct sx_err *e)
{
    size_t n = strlen(name);

    if (n < BUCKET_NAME_MIN || n > BUCKET_NAME_MAX)
        return bad_name(e, name, "it must have 3 to 63 characters");
    for (size_t i = 0; i < n; i++)
        if (!alnum(name[i]) && name[i] != '.' && name[i] != '-')
            return bad_name(e, name, "only a-z, 0-9, '.' and '-' are allowed");
    if (!alnum(name[0]) || !alnum(name[n - 1]))
        return bad_name(e, name, "it must begin and end with a letter or a digit");
    if (strstr(name, ".."))
        return bad_name(e, name, "it must not have two dots in a row");
    if (looks_like_address(name))
        return bad_name(e, name, "it must not look like an IP address");
    if (reserved(name, n))
        return bad_name(e, name, "its beginning or end is reserved");
    return 0;
}
