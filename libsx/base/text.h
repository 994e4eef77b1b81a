/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text forms: hexadecimal, percent-encoding, UTF-8, sizes and times as people read and
 * write them, and glob patterns.
 */
#ifndef SX_BASE_TEXT_H
#define SX_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

/* Lower-case hexadecimal; `out` takes 2n + 1 bytes.  Returns `out`. */
char *sx_hex(char *out, const void *p, size_t n);
/* Reads exactly 2n hex digits (either case) and the end of the string: 0, or -1. */
int sx_unhex(void *out, size_t n, const char *hex) SX_MUST_CHECK;

/* Percent-encodes all but A-Z a-z 0-9 - . _ ~ (RFC 3986 §2.3), and '/' when `keep_slash`. */
void sx_pct_encode(struct sx_buf *out, const char *s, size_t n, bool keep_slash);
/* Decodes; '+' stays '+'.  SX_EMALFORMED for a bad escape or an encoded NUL. */
int sx_pct_decode(struct sx_buf *out, const char *s, size_t n, struct sx_err *e) SX_MUST_CHECK;

bool sx_utf8_valid(const char *s, size_t n); /* RFC 3629: no surrogates, no overlong forms */

/* n decimal digits, nothing else, of a value up to `max`: 0, or -1. */
int sx_u64_parse(const char *s, size_t n, uint64_t max, uint64_t *v) SX_MUST_CHECK;

/* "10", "4K", "1.5G", "2TiB" (binary units, case ignored) to bytes. */
int sx_size_parse(const char *s, uint64_t *bytes, struct sx_err *e) SX_MUST_CHECK;
/* Bytes as "17 B", "4.0 KiB", "1.5 GiB"; `out` takes 16 bytes.  Returns `out`. */
char *sx_size_text(char *out, uint64_t bytes);
#define SX_SIZE_TEXT 16

/* "90", "15m", "12h", "7d" to seconds. */
int sx_duration_parse(const char *s, uint64_t *seconds, struct sx_err *e) SX_MUST_CHECK;
/* Wall time as "2026-11-20 14:03" or, exact, "2026-11-20T14:03:05.123Z" (UTC); `out` takes 32. */
char *sx_time_text(char *out, uint64_t ms, bool exact);
#define SX_TIME_TEXT 32

/* Glob match of the whole string: * ? [abc] [a-z] [!a], '\' takes the next character
 * literally; with `slash` '*', '?' and sets do not match '/'. */
bool sx_glob_match(const char *pattern, const char *s, bool slash);
bool sx_glob_has(const char *pattern); /* has an unescaped * ? or [ */
/* Length of the part of the pattern before its first wildcard, unescaped into `out`. */
void sx_glob_prefix(const char *pattern, struct sx_buf *out);

#endif
