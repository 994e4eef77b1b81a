/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See canon.h.  The path is neither normalised nor encoded twice, as for S3.
 */
#include "libsx/auth/canon.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"

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

void sx_canon_text(struct sx_buf *out, const char *s, size_t n, bool keep_slash, bool plus)
{
    const char *end = s + n;

    while (s < end) {
        int v = *s == '%' ? hex_value(s, end) : -1;
        char c = v < 0 ? *s : (char)v;

        if (plus && *s == '+')
            c = ' ';
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

static char *param_text(const char *s, size_t n, bool plus)
{
    const char *eq = memchr(s, '=', n);
    size_t name = eq ? (size_t)(eq - s) : n;
    struct sx_buf b = SX_BUF_INIT;

    sx_canon_text(&b, s, name, false, plus);
    sx_buf_u8(&b, '=');
    if (eq)
        sx_canon_text(&b, eq + 1, n - name - 1, false, plus);
    sx_buf_cstr(&b);
    return (char *)b.data;
}

static bool param_is(const char *param, const char *name)
{
    size_t n = strlen(name);

    return strncmp(param, name, n) == 0 && param[n] == '=';
}

int sx_canon_query(struct sx_buf *out, const struct sx_sig_request *r, const char *but,
                   struct sx_err *e)
{
    const char *query = r->query;
    char *params[SX_SIG_PARAMS_MAX];
    size_t n = 0, start = out->len;
    int result = 0;

    while (query && *query && !result) {
        size_t len = strcspn(query, "&");

        if (n == SX_SIG_PARAMS_MAX)
            result = sx_err_set(e, SX_EAUTH, "the query has more than %d parameters",
                                SX_SIG_PARAMS_MAX);
        else if (len)
            params[n++] = param_text(query, len, r->plus_is_space);
        query += len + (query[len] == '&');
    }
    qsort(params, n, sizeof params[0], param_cmp);
    for (size_t i = 0; i < n; i++) {
        if (!but || !param_is(params[i], but)) {
            if (out->len > start)
                sx_buf_u8(out, '&');
            sx_buf_str(out, params[i]);
        }
        free(params[i]);
    }
    return result;
}

/* Without blanks at both ends. */
static void add_trimmed(struct sx_buf *out, const char *v, bool fold)
{
    size_t n;

    v += strspn(v, " \t");
    n = strlen(v);
    while (n && (v[n - 1] == ' ' || v[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < n; i++)
        if (!fold || v[i] != ' ' || v[i + 1] != ' ')
            sx_buf_u8(out, (uint8_t)v[i]);
}

static bool name_is(const char *name, const char *lower, size_t n)
{
    return strncasecmp(name, lower, n) == 0 && name[n] == '\0';
}

size_t sx_canon_header(struct sx_buf *out, const struct sx_sig_request *r, const char *lower,
                       size_t n, bool fold)
{
    size_t found = 0;

    sx_buf_add(out, lower, n);
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!name_is(r->headers[i].name, lower, n))
            continue;
        sx_buf_u8(out, found++ ? ',' : ':');
        add_trimmed(out, r->headers[i].value, fold);
    }
    sx_buf_u8(out, '\n');
    return found;
}

int sx_canon_param(struct sx_buf *out, const char *query, const char *name, struct sx_err *e)
{
    size_t name_len = strlen(name);
    int found = 0;

    while (query && *query) {
        size_t n = strcspn(query, "&"), used = n < name_len ? n : name_len;

        if (n >= name_len && memcmp(query, name, used) == 0 &&
            (n == name_len || query[name_len] == '=')) {
            if (found++)
                return sx_err_set(e, SX_EAUTH, "the query has the parameter %s twice", name);
            sx_buf_reset(out);
            if (n > name_len &&
                sx_pct_decode(out, query + name_len + 1, n - name_len - 1, e) != 0) {
                sx_err_set(e, SX_EAUTH, "the query parameter %s has a bad percent-escape", name);
                return -1;
            }
            sx_buf_cstr(out);
        }
        query += n + (query[n] == '&');
    }
    return found;
}

const char *sx_header_find(const struct sx_header *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(headers[i].name, name) == 0)
            return headers[i].value;
    return NULL;
}

bool sx_canon_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ";");

        if (n == len && strncasecmp(s, name, n) == 0)
            return true;
        s += n + (s[n] == ';');
    }
    return false;
}
