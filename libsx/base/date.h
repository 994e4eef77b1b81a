/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Dates of HTTP and of XML documents, in and out.  All in UTC, whatever the locale; times before
 * 1970 are refused, since a wall time here is unsigned.
 */
#ifndef SX_BASE_DATE_H
#define SX_BASE_DATE_H

#include <stdint.h>

#include "libsx/base/err.h"

#define SX_HTTP_DATE_TEXT 30
#define SX_ISO_DATE_TEXT 25

/* "Fri, 20 Nov 2026 14:03:05 GMT" (RFC 9110 §5.6.7); `out` takes SX_HTTP_DATE_TEXT bytes.
 * Returns `out`. */
char *sx_http_date(char *out, uint64_t wall_ms);
/* All three forms of §5.6.7; the zone of the first may also be UTC, +0000 or -0000, as old S3
 * clients write it.  The name of the weekday is not compared with the date.  0, or -1. */
int sx_http_date_parse(const char *s, uint64_t *wall_ms) SX_MUST_CHECK;

/* "2026-11-20T14:03:05.123Z"; `out` takes SX_ISO_DATE_TEXT bytes.  Returns `out`. */
char *sx_iso_date(char *out, uint64_t wall_ms);
/* "2026-11-20T14:03:05Z", with or without a fraction, with Z or ±hh:mm; or a day alone, which
 * begins at midnight.  0, or -1. */
int sx_iso_date_parse(const char *s, uint64_t *wall_ms) SX_MUST_CHECK;

#endif
