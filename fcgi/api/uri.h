/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The request line's target: split, strictly decoded, matched against patterns.  Pure functions
 * of text.
 */
#ifndef SX_FCGI_API_URI_H
#define SX_FCGI_API_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "libsx/base/err.h"

#define SX_URI_ARGS_MAX 3
#define SX_QUERY_MAX 16

/* What the wildcards of a pattern matched, decoded. */
struct sx_uri_args {
    char *v[SX_URI_ARGS_MAX];
    unsigned n;
};

void sx_uri_args_fini(struct sx_uri_args *a);

/* Matches a path as sent (percent-encoded, without the query) against a pattern: '*' as a whole
 * element is one element, '**' at the end is all that follows, slashes included (perhaps
 * nothing).  A trailing slash counts. */
bool sx_uri_match(const char *pattern, const char *path);
/* Decodes what the wildcards stand for; the path must match.  SX_EMALFORMED for a bad escape. */
int sx_uri_args(const char *pattern, const char *path, struct sx_uri_args *a,
                struct sx_err *e) SX_MUST_CHECK;

struct sx_query {
    struct {
        char *name, *value;
    } v[SX_QUERY_MAX];
    unsigned n;
};

void sx_query_fini(struct sx_query *q);
/* "a=1&b=2", as sent.  SX_EINVAL for a parameter given twice or more than SX_QUERY_MAX,
 * SX_EMALFORMED for a bad escape. */
int sx_query_parse(const char *text, struct sx_query *q, struct sx_err *e) SX_MUST_CHECK;
/* The value, or `dflt`. */
const char *sx_query_str(const struct sx_query *q, const char *name, const char *dflt);
/* A decimal number of at most `max`; SX_EINVAL names the parameter. */
int sx_query_u64(const struct sx_query *q, const char *name, unsigned long long dflt,
                 unsigned long long max, unsigned long long *out, struct sx_err *e) SX_MUST_CHECK;

#endif
