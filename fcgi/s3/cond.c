/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See cond.h.
 */
#include "fcgi/s3/cond.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "libsx/base/date.h"

struct tag {
    const char *s;
    size_t n;
    bool weak;
};

/* The next tag of a list, without its quotes; false at the end, or where the list is broken. */
static bool next_tag(const char **list, struct tag *t)
{
    const char *s = *list + strspn(*list, " \t,"), *end;

    t->weak = strncmp(s, "W/\"", 3) == 0;
    s += t->weak ? 2 : 0;
    if (*s != '"') {
        t->s = s;
        t->n = strcspn(s, " \t,\"");
        *list = s + t->n;
        return t->n > 0;
    }
    end = strchr(++s, '"');
    if (!end)
        return false;
    t->s = s;
    t->n = (size_t)(end - s);
    *list = end + 1;
    return true;
}

bool sx_s3_etag_listed(const char *list, const char *etag, bool strong)
{
    size_t n = strlen(etag);
    struct tag t;

    while (next_tag(&list, &t)) {
        if (t.n == 1 && *t.s == '*')
            return true;
        if (t.n == n && memcmp(t.s, etag, n) == 0 && !(strong && t.weak))
            return true;
    }
    return false;
}

void sx_s3_cond_headers(struct sx_s3_cond *c, const struct sx_header *headers, size_t n,
                        const char *prefix)
{
    const struct {
        const char *name;
        const char **to;
    } names[] = { { "if-match", &c->match },
                  { "if-none-match", &c->none_match },
                  { "if-modified-since", &c->modified_since },
                  { "if-unmodified-since", &c->unmodified_since } };
    size_t len = strlen(prefix);

    *c = (struct sx_s3_cond){ 0 };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (strncasecmp(headers[i].name, prefix, len) == 0 &&
                strcasecmp(headers[i].name + len, names[k].name) == 0)
                *names[k].to = headers[i].value;
}

/* Whether the entity is younger than the date; `dflt` if that is no date. */
static bool newer(const struct sx_s3_entity *now, const char *date, bool dflt)
{
    uint64_t ms;

    if (sx_http_date_parse(date, &ms) != 0)
        return dflt;
    return now->modified_ms / 1000 > ms / 1000;
}

enum sx_s3_verdict sx_s3_cond_read(const struct sx_s3_cond *c, const struct sx_s3_entity *now,
                                   bool copy)
{
    enum sx_s3_verdict unchanged = copy ? SX_S3_COND_FAILED : SX_S3_COND_NOT_MODIFIED;

    if (c->match) {
        if (!sx_s3_etag_listed(c->match, now->etag, true))
            return SX_S3_COND_FAILED;
    } else if (c->unmodified_since && newer(now, c->unmodified_since, false)) {
        return SX_S3_COND_FAILED;
    }
    if (c->none_match)
        return sx_s3_etag_listed(c->none_match, now->etag, false) ? unchanged : SX_S3_COND_GO;
    if (c->modified_since && !newer(now, c->modified_since, true))
        return unchanged;
    return SX_S3_COND_GO;
}

bool sx_s3_cond_if_range(const char *if_range, const struct sx_s3_entity *now)
{
    uint64_t ms;

    if (!if_range)
        return true;
    if (sx_http_date_parse(if_range, &ms) == 0)
        return now->modified_ms / 1000 == ms / 1000;
    return sx_s3_etag_listed(if_range, now->etag, true);
}

int sx_s3_cond_write(struct sx_s3_write_cond *w, const char *match, const char *none_match,
                     struct sx_err *e)
{
    struct tag t;

    *w = (struct sx_s3_write_cond){ .kind = SX_S3_WRITE_ANY };
    if (match && none_match)
        return sx_err_set(e, SX_S3_NOT_IMPLEMENTED,
                          "If-Match and If-None-Match cannot be used together");
    if (none_match) {
        if (strcmp(none_match, "*") != 0)
            return sx_err_set(e, SX_S3_NOT_IMPLEMENTED,
                              "If-None-Match of a write must be '*', not '%.80s'", none_match);
        w->kind = SX_S3_WRITE_ABSENT;
        return 0;
    }
    if (!match)
        return 0;
    if (!next_tag(&match, &t) || t.weak || t.n > SX_S3_ETAG_MAX || match[strspn(match, " \t")])
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "If-Match of a write must be one entity tag or '*'");
    w->kind = t.n == 1 && *t.s == '*' ? SX_S3_WRITE_EXISTS : SX_S3_WRITE_ETAG;
    if (w->kind == SX_S3_WRITE_ETAG)
        snprintf(w->etag, sizeof w->etag, "%.*s", (int)t.n, t.s);
    return 0;
}

int sx_s3_cond_write_check(const struct sx_s3_write_cond *w, const char *etag, struct sx_err *e)
{
    bool holds = true;

    switch (w->kind) {
    case SX_S3_WRITE_ANY:
        break;
    case SX_S3_WRITE_ABSENT:
        holds = etag == NULL;
        break;
    case SX_S3_WRITE_EXISTS:
    case SX_S3_WRITE_ETAG:
        if (!etag)
            return sx_s3_fail(e, SX_S3_NO_SUCH_KEY);
        holds = w->kind == SX_S3_WRITE_EXISTS || strcmp(w->etag, etag) == 0;
    }
    return holds ? 0 : sx_s3_fail(e, SX_S3_PRECONDITION_FAILED);
}
