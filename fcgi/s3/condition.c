/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See condition.h.
 */
#include "fcgi/s3/condition.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libsx/base/mem.h"

/* ---- patterns ---- */

static bool same(char a, char b, bool ignore_case)
{
    return a == b || (ignore_case && tolower((unsigned char)a) == tolower((unsigned char)b));
}

/* Goes back to the last star only, which is enough for patterns without sets. */
bool sx_s3_pattern(const char *p, const char *t, bool ignore_case)
{
    const char *star = NULL, *from = NULL;

    while (*t) {
        if (*p == '*') {
            star = ++p;
            from = t;
        } else if (*p == '?' || (*p && same(*p, *t, ignore_case))) {
            p++;
            t++;
        } else if (star) {
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    while (*p == '*')
        p++;
    return !*p;
}

static const char *fact(const struct sx_s3_question *q, const char *key, size_t n)
{
    for (size_t i = 0; i < q->n_facts; i++)
        if (strncasecmp(q->facts[i].key, key, n) == 0 && !q->facts[i].key[n])
            return q->facts[i].value;
    return NULL;
}

void sx_s3_expand(const char *text, const struct sx_s3_question *q, struct sx_buf *out)
{
    const char *open, *close, *value;

    while ((open = strstr(text, "${")) != NULL && (close = strchr(open, '}')) != NULL) {
        size_t n = (size_t)(close - open) - 2;

        sx_buf_add(out, text, (size_t)(open - text));
        value = fact(q, open + 2, n);
        if (value)
            sx_buf_str(out, value);
        else
            sx_buf_add(out, n == 1 ? open + 2 : open, n == 1 ? 1 : n + 3);
        text = close + 1;
    }
    sx_buf_str(out, text);
}

/* ---- operators ---- */

enum order { BELOW = -1, EQUAL = 0, ABOVE = 1, INCOMPARABLE = 2 };

static bool number_of(const char *s, double *v)
{
    char *end;

    *v = strtod(s, &end);
    return end != s && !*end;
}

static enum order compare_numbers(const char *have, const char *want)
{
    double a, b;

    if (!number_of(have, &a) || !number_of(want, &b))
        return INCOMPARABLE;
    return a < b ? BELOW : a > b ? ABOVE : EQUAL;
}

/* ISO 8601, or seconds since 1970. */
static bool time_of(const char *s, double *v)
{
    struct tm tm = { 0 };
    const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!end)
        end = strptime(s, "%Y-%m-%d", &tm);
    if (!end)
        return number_of(s, v);
    *v = (double)timegm(&tm);
    return true;
}

static enum order compare_times(const char *have, const char *want)
{
    double a, b;

    if (!time_of(have, &a) || !time_of(want, &b))
        return INCOMPARABLE;
    return a < b ? BELOW : a > b ? ABOVE : EQUAL;
}

/* An address in a network ("10.0.0.0/8", "2001:db8::/32", or one address). */
static bool in_network(const char *address, const char *network)
{
    const char *slash = strchr(network, '/');
    SX_AUTO_FREE char *base = sx_strndup(network, slash ? (size_t)(slash - network) : strlen(network));
    int family = strchr(base, ':') ? AF_INET6 : AF_INET;
    unsigned size = family == AF_INET6 ? 128 : 32, bits = slash ? (unsigned)atoi(slash + 1) : size;
    uint8_t a[16], b[16];

    if (bits > size || inet_pton(family, address, a) != 1 || inet_pton(family, base, b) != 1)
        return false;
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0;
}

enum test { T_EQUAL, T_EQUAL_CASE, T_LIKE, T_NUMBER, T_TIME, T_BOOL, T_ADDRESS, T_NULL };

/* One row an operator: how two values are compared, which results are wanted, and whether it is the
 * opposite of another (then all values have to fail). */
static const struct operator {
    const char *name;
    enum test test;
    bool negated;
    int lowest, highest; /* of the order, T_NUMBER and T_TIME */
} operators[] = {
    { "StringEquals", T_EQUAL, false, 0, 0 },
    { "StringNotEquals", T_EQUAL, true, 0, 0 },
    { "StringEqualsIgnoreCase", T_EQUAL_CASE, false, 0, 0 },
    { "StringNotEqualsIgnoreCase", T_EQUAL_CASE, true, 0, 0 },
    { "StringLike", T_LIKE, false, 0, 0 },
    { "StringNotLike", T_LIKE, true, 0, 0 },
    { "ArnEquals", T_LIKE, false, 0, 0 },
    { "ArnNotEquals", T_LIKE, true, 0, 0 },
    { "ArnLike", T_LIKE, false, 0, 0 },
    { "ArnNotLike", T_LIKE, true, 0, 0 },
    { "NumericEquals", T_NUMBER, false, EQUAL, EQUAL },
    { "NumericNotEquals", T_NUMBER, true, EQUAL, EQUAL },
    { "NumericLessThan", T_NUMBER, false, BELOW, BELOW },
    { "NumericLessThanEquals", T_NUMBER, false, BELOW, EQUAL },
    { "NumericGreaterThan", T_NUMBER, false, ABOVE, ABOVE },
    { "NumericGreaterThanEquals", T_NUMBER, false, EQUAL, ABOVE },
    { "DateEquals", T_TIME, false, EQUAL, EQUAL },
    { "DateNotEquals", T_TIME, true, EQUAL, EQUAL },
    { "DateLessThan", T_TIME, false, BELOW, BELOW },
    { "DateLessThanEquals", T_TIME, false, BELOW, EQUAL },
    { "DateGreaterThan", T_TIME, false, ABOVE, ABOVE },
    { "DateGreaterThanEquals", T_TIME, false, EQUAL, ABOVE },
    { "Bool", T_BOOL, false, 0, 0 },
    { "IpAddress", T_ADDRESS, false, 0, 0 },
    { "NotIpAddress", T_ADDRESS, true, 0, 0 },
    { "Null", T_NULL, false, 0, 0 },
};

/* The operator, without what may stand around its name. */
static const struct operator *find(const char *name, bool *if_exists)
{
    static const char suffix[] = "IfExists";
    const char *colon = strchr(name, ':');
    size_t n;

    if (colon && (strncmp(name, "ForAnyValue:", 12) == 0 || strncmp(name, "ForAllValues:", 13) == 0))
        name = colon + 1;
    n = strlen(name);
    *if_exists = n > sizeof suffix - 1 && strcmp(name + n - (sizeof suffix - 1), suffix) == 0;
    if (*if_exists)
        n -= sizeof suffix - 1;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (strncmp(operators[i].name, name, n) == 0 && !operators[i].name[n])
            return &operators[i];
    return NULL;
}

bool sx_s3_condition_known(const char *op)
{
    bool if_exists;

    return find(op, &if_exists) != NULL;
}

static bool value_fits(const struct operator *op, const char *have, const char *want)
{
    enum order order;

    switch (op->test) {
    case T_EQUAL:
        return strcmp(have, want) == 0;
    case T_EQUAL_CASE:
    case T_BOOL:
        return strcasecmp(have, want) == 0;
    case T_LIKE:
        return sx_s3_pattern(want, have, false);
    case T_ADDRESS:
        return in_network(have, want);
    case T_NUMBER:
    case T_TIME:
        order = op->test == T_NUMBER ? compare_numbers(have, want) : compare_times(have, want);
        return order != INCOMPARABLE && (int)order >= op->lowest && (int)order <= op->highest;
    case T_NULL:
        break;
    }
    return false;
}

static void value_text(const json_t *v, const struct sx_s3_question *q, struct sx_buf *out)
{
    if (json_is_string(v))
        sx_s3_expand(json_string_value(v), q, out);
    else if (json_is_integer(v))
        sx_buf_printf(out, "%lld", (long long)json_integer_value(v));
    else
        sx_buf_str(out, json_is_true(v) ? "true" : "false");
}

static bool any_fits(const struct operator *op, const char *have, const json_t *values,
                     const struct sx_s3_question *q)
{
    size_t n = json_is_array(values) ? json_array_size(values) : 1;

    for (size_t i = 0; i < n; i++) {
        SX_AUTO(sx_buf) struct sx_buf want = SX_BUF_INIT;

        value_text(json_is_array(values) ? json_array_get(values, i) : values, q, &want);
        if (op->test == T_NULL ? (have == NULL) == (strcmp(sx_buf_cstr(&want), "true") == 0)
                               : value_fits(op, have, sx_buf_cstr(&want)))
            return true;
    }
    return false;
}

static bool key_holds(const struct operator *op, bool if_exists, const char *key,
                      const json_t *values, const struct sx_s3_question *q)
{
    const char *have = fact(q, key, strlen(key));

    if (!have && op->test != T_NULL)
        return if_exists || op->negated;
    return any_fits(op, have, values, q) != op->negated;
}

bool sx_s3_conditions_hold(const json_t *conditions, const struct sx_s3_question *q)
{
    const char *name, *key;
    json_t *keys, *values;

    json_object_foreach((json_t *)(uintptr_t)conditions, name, keys) {
        bool if_exists;
        const struct operator *op = find(name, &if_exists);

        json_object_foreach(keys, key, values)
            if (!op || !key_holds(op, if_exists, key, values, q))
                return false;
    }
    return true;
}

bool sx_s3_conditions_narrow(const json_t *conditions)
{
    static const char *const narrow[] = { "aws:SourceIp", "aws:username", "aws:userid",
                                          "aws:PrincipalArn", "aws:SourceArn" };
    const char *name, *key;
    json_t *keys, *values;

    json_object_foreach((json_t *)(uintptr_t)conditions, name, keys) {
        bool if_exists;
        const struct operator *op = find(name, &if_exists);

        if (!op || op->negated || if_exists)
            continue;
        json_object_foreach(keys, key, values)
            for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
                if (strcasecmp(key, narrow[i]) == 0)
                    return true;
    }
    return false;
}
