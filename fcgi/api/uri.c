/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See uri.h.
 */
#include "fcgi/api/uri.h"

#include <string.h>

#include "libsx/base/buf.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

void sx_uri_args_fini(struct sx_uri_args *a)
{
    for (unsigned i = 0; i < a->n; i++)
        free(a->v[i]);
    a->n = 0;
}

/* One step of both texts: the next element of each.  False when they cannot match. */
struct step {
    const char *pattern, *path;
};

static size_t element(const char *s)
{
    return strcspn(s, "/");
}

bool sx_uri_match(const char *pattern, const char *path)
{
    struct step s = { pattern, path };

    for (;;) {
        size_t n = element(s.pattern), m = element(s.path);

        if (n == 2 && memcmp(s.pattern, "**", 2) == 0)
            return true;
        if (n == 1 && s.pattern[0] == '*') {
            if (m == 0)
                return false;
        } else if (n != m || memcmp(s.pattern, s.path, n) != 0) {
            return false;
        }
        if (s.pattern[n] == '\0' || s.path[m] == '\0')
            return s.pattern[n] == s.path[m];
        s.pattern += n + 1;
        s.path += m + 1;
    }
}

static int add_arg(struct sx_uri_args *a, const char *p, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_assert(a->n < SX_URI_ARGS_MAX);
    if (sx_pct_decode(&b, p, n, e) != 0)
        return -1;
    a->v[a->n++] = sx_strdup(sx_buf_cstr(&b));
    return 0;
}

int sx_uri_args(const char *pattern, const char *path, struct sx_uri_args *a, struct sx_err *e)
{
    struct step s = { pattern, path };

    for (;;) {
        size_t n = element(s.pattern), m = element(s.path);

        if (n == 2 && memcmp(s.pattern, "**", 2) == 0)
            return add_arg(a, s.path, strlen(s.path), e);
        if (n == 1 && s.pattern[0] == '*' && add_arg(a, s.path, m, e) != 0)
            return -1;
        if (s.pattern[n] == '\0' || s.path[m] == '\0')
            return 0;
        s.pattern += n + 1;
        s.path += m + 1;
    }
}

void sx_query_fini(struct sx_query *q)
{
    for (unsigned i = 0; i < q->n; i++) {
        free(q->v[i].name);
        free(q->v[i].value);
    }
    q->n = 0;
}

static int decode(const char *p, size_t n, char **out, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (sx_pct_decode(&b, p, n, e) != 0)
        return -1;
    *out = sx_strdup(sx_buf_cstr(&b));
    return 0;
}

static int add_param(struct sx_query *q, const char *p, size_t n, struct sx_err *e)
{
    const char *eq = memchr(p, '=', n);
    size_t name_len = eq ? (size_t)(eq - p) : n;
    SX_AUTO_FREE char *name = NULL, *value = NULL;

    if (decode(p, name_len, &name, e) != 0 ||
        decode(eq ? eq + 1 : "", eq ? n - name_len - 1 : 0, &value, e) != 0)
        return sx_err_wrap(e, "query");
    if (sx_query_str(q, name, NULL))
        return sx_err_set(e, SX_EINVAL, "the parameter '%.32s' is given twice", name);
    if (q->n == SX_QUERY_MAX)
        return sx_err_set(e, SX_EINVAL, "more than %d query parameters", SX_QUERY_MAX);
    q->v[q->n].name = SX_STEAL(name);
    q->v[q->n++].value = SX_STEAL(value);
    return 0;
}

int sx_query_parse(const char *text, struct sx_query *q, struct sx_err *e)
{
    while (*text) {
        size_t n = strcspn(text, "&");

        if (n > 0 && add_param(q, text, n, e) != 0)
            return -1;
        text += n + (text[n] == '&');
    }
    return 0;
}

const char *sx_query_str(const struct sx_query *q, const char *name, const char *dflt)
{
    for (unsigned i = 0; i < q->n; i++)
        if (strcmp(q->v[i].name, name) == 0)
            return q->v[i].value;
    return dflt;
}

int sx_query_u64(const struct sx_query *q, const char *name, unsigned long long dflt,
                 unsigned long long max, unsigned long long *out, struct sx_err *e)
{
    const char *s = sx_query_str(q, name, NULL);
    unsigned long long v = 0;

    *out = dflt;
    if (!s)
        return 0;
    if (!*s || strlen(s) > 19 || s[strspn(s, "0123456789")])
        return sx_err_set(e, SX_EINVAL, "the parameter '%s' is '%.32s', not a number", name, s);
    for (; *s; s++)
        v = v * 10 + (unsigned long long)(*s - '0');
    if (v > max)
        return sx_err_set(e, SX_EINVAL, "the parameter '%s' is %llu; at most %llu is allowed", name,
                          v, max);
    *out = v;
    return 0;
}
