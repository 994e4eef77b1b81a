/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See date.h.  strptime() and strftime() know the locale's names; these here do not.
 */
#include "libsx/base/date.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char days[][10] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday" };

/* n digits, or -1; moves *s behind them. */
static int digits(const char **s, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static bool skip(const char **s, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*s, text, n) != 0)
        return false;
    *s += n;
    return true;
}

static int month(const char **s)
{
    for (int i = 0; i < 12; i++)
        if (skip(s, months[i]))
            return i;
    return -1;
}

/* The weekday, in full or its first three letters. */
static bool weekday(const char **s, bool full)
{
    for (int i = 0; i < 7; i++) {
        size_t n = full ? strlen(days[i]) : 3;

        if (strncmp(*s, days[i], n) == 0) {
            *s += n;
            return true;
        }
    }
    return false;
}

/* hh:mm:ss */
static bool clock_time(const char **s, struct tm *tm)
{
    tm->tm_hour = digits(s, 2);
    if (!skip(s, ":"))
        return false;
    tm->tm_min = digits(s, 2);
    if (!skip(s, ":"))
        return false;
    tm->tm_sec = digits(s, 2);
    return tm->tm_hour >= 0 && tm->tm_min >= 0 && tm->tm_sec >= 0;
}

/* A tm that timegm() had to mend (the 31st of February, 25 o'clock) is no date. */
static int to_ms(const struct tm *from, uint64_t *wall_ms)
{
    struct tm tm = *from, back;
    time_t t = timegm(&tm);

    if (t < 0 || !gmtime_r(&t, &back) || back.tm_mday != from->tm_mday ||
        back.tm_mon != from->tm_mon || back.tm_hour != from->tm_hour ||
        back.tm_min != from->tm_min || back.tm_sec != from->tm_sec)
        return -1;
    *wall_ms = (uint64_t)t * 1000;
    return 0;
}

/* "Fri, 20 Nov 2026 14:03:05 GMT" */
static bool imf_fixdate(const char *s, struct tm *tm)
{
    if (!weekday(&s, false) || !skip(&s, ", "))
        return false;
    tm->tm_mday = digits(&s, 2);
    if (!skip(&s, " ") || (tm->tm_mon = month(&s)) < 0 || !skip(&s, " "))
        return false;
    tm->tm_year = digits(&s, 4) - 1900;
    return skip(&s, " ") && clock_time(&s, tm) && skip(&s, " ") &&
           (!strcmp(s, "GMT") || !strcmp(s, "UTC") || !strcmp(s, "+0000") || !strcmp(s, "-0000"));
}

/* "Friday, 20-Nov-26 14:03:05 GMT".  RFC 9110: a year more than 50 years ahead is in the past;
 * since no file is older than 1970, what is below 70 is of this century. */
static bool rfc850_date(const char *s, struct tm *tm)
{
    int year;

    if (!weekday(&s, true) || !skip(&s, ", "))
        return false;
    tm->tm_mday = digits(&s, 2);
    if (!skip(&s, "-") || (tm->tm_mon = month(&s)) < 0 || !skip(&s, "-"))
        return false;
    year = digits(&s, 2);
    tm->tm_year = year < 70 ? year + 100 : year;
    return year >= 0 && skip(&s, " ") && clock_time(&s, tm) && !strcmp(s, " GMT");
}

/* "Fri Nov 20 14:03:05 2026", the day padded with a blank */
static bool asctime_date(const char *s, struct tm *tm)
{
    if (!weekday(&s, false) || !skip(&s, " ") || (tm->tm_mon = month(&s)) < 0 || !skip(&s, " "))
        return false;
    tm->tm_mday = skip(&s, " ") ? digits(&s, 1) : digits(&s, 2);
    if (!skip(&s, " ") || !clock_time(&s, tm) || !skip(&s, " "))
        return false;
    tm->tm_year = digits(&s, 4) - 1900;
    return *s == '\0';
}

int sx_http_date_parse(const char *s, uint64_t *wall_ms)
{
    struct tm a = { 0 }, b = { 0 }, c = { 0 };

    if (imf_fixdate(s, &a))
        return to_ms(&a, wall_ms);
    if (rfc850_date(s, &b))
        return to_ms(&b, wall_ms);
    return asctime_date(s, &c) ? to_ms(&c, wall_ms) : -1;
}

static void split(uint64_t wall_ms, struct tm *tm)
{
    time_t t = (time_t)(wall_ms / 1000);

    sx_assert(gmtime_r(&t, tm) && tm->tm_year < 9999 - 1900);
}

char *sx_http_date(char *out, uint64_t wall_ms)
{
    struct tm tm;

    split(wall_ms, &tm);
    snprintf(out, SX_HTTP_DATE_TEXT, "%.3s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    return out;
}

char *sx_iso_date(char *out, uint64_t wall_ms)
{
    struct tm tm;

    split(wall_ms, &tm);
    snprintf(out, SX_ISO_DATE_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)(wall_ms % 1000));
    return out;
}

/* ".123…": milliseconds, what is finer is cut. */
static bool fraction(const char **s, unsigned *ms)
{
    unsigned scale = 100;

    *ms = 0;
    if (!skip(s, "."))
        return true;
    if (**s < '0' || **s > '9')
        return false;
    for (; **s >= '0' && **s <= '9'; (*s)++, scale /= 10)
        *ms += (unsigned)(**s - '0') * scale;
    return true;
}

/* Z or ±hh:mm, in minutes */
static bool zone(const char *s, int *minutes)
{
    int sign = *s == '-' ? -1 : 1, hour, min;

    *minutes = 0;
    if (!strcmp(s, "Z"))
        return true;
    if (*s != '+' && *s != '-')
        return false;
    s++;
    hour = digits(&s, 2);
    if (!skip(&s, ":"))
        return false;
    min = digits(&s, 2);
    *minutes = sign * (hour * 60 + min);
    return hour >= 0 && hour < 24 && min >= 0 && min < 60 && *s == '\0';
}

int sx_iso_date_parse(const char *s, uint64_t *wall_ms)
{
    struct tm tm = { 0 };
    unsigned ms = 0;
    int minutes = 0;
    uint64_t t;

    tm.tm_year = digits(&s, 4) - 1900;
    if (!skip(&s, "-"))
        return -1;
    tm.tm_mon = digits(&s, 2) - 1;
    if (!skip(&s, "-"))
        return -1;
    tm.tm_mday = digits(&s, 2);
    if (*s && (!skip(&s, "T") || !clock_time(&s, &tm) || !fraction(&s, &ms) || !zone(s, &minutes)))
        return -1;
    if (to_ms(&tm, &t) || (minutes > 0 && t < (uint64_t)minutes * 60000))
        return -1;
    *wall_ms = (uint64_t)((int64_t)t - (int64_t)minutes * 60000) + ms;
    return 0;
}
