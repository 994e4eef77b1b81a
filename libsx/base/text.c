/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See text.h.
 */
#include "libsx/base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char *sx_hex(char *out, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int sx_unhex(void *out, size_t n, const char *hex)
{
    uint8_t *b = out;

    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(hex[2 * i]);
        int lo = hi < 0 ? -1 : hex_digit(hex[2 * i + 1]);

        if (lo < 0)
            return -1;
        b[i] = (uint8_t)(hi << 4 | lo);
    }
    return hex[2 * n] == '\0' ? 0 : -1;
}

void sx_pct_encode(struct sx_buf *out, const char *s, size_t n, bool keep_slash)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if ((c < 128 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~' ||
            (c == '/' && keep_slash))
            sx_buf_u8(out, c);
        else
            sx_buf_printf(out, "%%%02X", c);
    }
    sx_buf_cstr(out);
}

int sx_pct_decode(struct sx_buf *out, const char *s, size_t n, struct sx_err *e)
{
    for (size_t i = 0; i < n; i++) {
        int hi, lo;

        if (s[i] != '%') {
            sx_buf_u8(out, (uint8_t)s[i]);
            continue;
        }
        hi = i + 2 < n ? hex_digit(s[i + 1]) : -1;
        lo = hi < 0 ? -1 : hex_digit(s[i + 2]);
        if (lo < 0 || (hi == 0 && lo == 0))
            return sx_err_set(e, SX_EMALFORMED, "bad percent-escape at byte %zu", i);
        sx_buf_u8(out, (uint8_t)(hi << 4 | lo));
        i += 2;
    }
    sx_buf_cstr(out);
    return 0;
}

bool sx_utf8_valid(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s, *end = p + n;

    while (p < end) {
        uint32_t c = *p++, min;
        int more;

        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf)
            more = 1, c &= 0x1f, min = 0x80;
        else if (c >= 0xe0 && c <= 0xef)
            more = 2, c &= 0x0f, min = 0x800;
        else if (c >= 0xf0 && c <= 0xf4)
            more = 3, c &= 0x07, min = 0x10000;
        else
            return false;
        if (end - p < more)
            return false;
        for (; more; more--) {
            if ((*p & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*p++ & 0x3f);
        }
        if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
    }
    return true;
}

int sx_u64_parse(const char *s, size_t n, uint64_t max, uint64_t *v)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(s[i] - '0');

        if (s[i] < '0' || s[i] > '9' || digit > max || sum > (max - digit) / 10)
            return -1;
        sum = sum * 10 + digit;
    }
    if (n == 0)
        return -1;
    *v = sum;
    return 0;
}

int sx_size_parse(const char *s, uint64_t *bytes, struct sx_err *e)
{
    static const char units[] = "KMGTPE";
    double v, scale = 1;
    char *end;
    const char *u;

    v = isdigit((unsigned char)*s) ? strtod(s, &end) : -1;
    if (v < 0 || !isfinite(v))
        return sx_err_set(e, SX_EINVAL, "'%s' is not a size; write for example 500M, 10G or 1T", s);
    if (*end && (u = strchr(units, toupper((unsigned char)*end)))) {
        scale = ldexp(1, 10 * (int)(u - units + 1));
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end || v * scale >= 9.2e18)
        return sx_err_set(e, SX_EINVAL, "'%s' is not a size; write for example 500M, 10G or 1T", s);
    *bytes = (uint64_t)(v * scale);
    return 0;
}

char *sx_size_text(char *out, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    int u = 0;

    while (v >= 999.95 && u < 6) {
        v /= 1024;
        u++;
    }
    snprintf(out, SX_SIZE_TEXT, u ? "%.1f %s" : "%.0f %s", v, units[u]);
    return out;
}

int sx_duration_parse(const char *s, uint64_t *seconds, struct sx_err *e)
{
    char *end;
    unsigned long long v = isdigit((unsigned char)*s) ? strtoull(s, &end, 10) : 0, scale = 1;

    if (!isdigit((unsigned char)*s))
        goto bad;
    switch (*end) {
    case 'd':
        scale = 86400;
        end++;
        break;
    case 'h':
        scale = 3600;
        end++;
        break;
    case 'm':
        scale = 60;
        end++;
        break;
    case 's':
        end++;
        break;
    }
    if (*end || v > 1000000000ULL / scale)
        goto bad;
    *seconds = v * scale;
    return 0;
bad:
    return sx_err_set(e, SX_EINVAL, "'%s' is not a duration; write for example 90s, 15m, 12h or 7d",
                      s);
}

char *sx_time_text(char *out, uint64_t ms, bool exact)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&t, &tm);
    n = strftime(out, SX_TIME_TEXT, exact ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M", &tm);
    if (exact)
        snprintf(out + n, SX_TIME_TEXT - n, ".%03uZ", (unsigned)(ms % 1000));
    return out;
}

/* Matches one character against the set that starts behind '['; returns the place
 * behind ']', or NULL if the set does not close (the '[' is then literal). */
static const char *set_match(const char *p, char c, bool *hit)
{
    bool negate = *p == '!' || *p == '^', first = true;

    *hit = false;
    if (negate)
        p++;
    for (; *p && (first || *p != ']'); first = false) {
        unsigned char lo, hi;

        if (*p == '\\' && p[1])
            p++;
        lo = hi = (unsigned char)*p++;
        if (*p == '-' && p[1] && p[1] != ']') {
            p++;
            if (*p == '\\' && p[1])
                p++;
            hi = (unsigned char)*p++;
        }
        if ((unsigned char)c >= lo && (unsigned char)c <= hi)
            *hit = true;
    }
    if (*p != ']')
        return NULL;
    *hit = *hit != negate;
    return p + 1;
}

/* Matches one pattern element other than '*'; returns the rest of the pattern or NULL. */
static const char *one_match(const char *p, char c, bool slash)
{
    const char *rest;
    bool hit;

    if (!c)
        return NULL;
    if (*p == '?')
        return slash && c == '/' ? NULL : p + 1;
    if (*p == '[' && (rest = set_match(p + 1, c, &hit)))
        return hit && !(slash && c == '/') ? rest : NULL;
    if (*p == '\\' && p[1])
        p++;
    return *p == c ? p + 1 : NULL;
}

bool sx_glob_match(const char *pattern, const char *s, bool slash)
{
    const char *star = NULL, *mark = NULL;

    /* the classic two-pointer match: on a mismatch the last star takes one more character */
    for (;;) {
        const char *rest;

        if (*pattern == '*') {
            star = ++pattern;
            mark = s;
            continue;
        }
        if (!*pattern && !*s)
            return true;
        rest = *pattern ? one_match(pattern, *s, slash) : NULL;
        if (rest) {
            pattern = rest;
            s++;
            continue;
        }
        if (!star || !*mark || (slash && *mark == '/'))
            return false;
        s = ++mark;
        pattern = star;
    }
}

bool sx_glob_has(const char *pattern)
{
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (*p == '*' || *p == '?' || *p == '[')
            return true;
    }
    return false;
}

void sx_glob_prefix(const char *pattern, struct sx_buf *out)
{
    for (const char *p = pattern; *p && *p != '*' && *p != '?' && *p != '['; p++) {
        if (*p == '\\' && p[1])
            p++;
        sx_buf_u8(out, (uint8_t)*p);
    }
    sx_buf_cstr(out);
}
