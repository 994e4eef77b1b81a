/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See lifecycle.h.
 */
#include "fcgi/s3/lifecycle.h"

#include <string.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/shape.h"
#include "fcgi/s3/tags.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"

#define DAY_MS 86400000ull
#define ROOT "LifecycleConfiguration"

struct rule {
    bool enabled;
    const char *prefix;
    const struct sx_xml_node *tag; /* the first, or NULL */
    bool sized;
    uint64_t least, below; /* least <= size < below */
    /* 0: the rule does not do this */
    uint64_t days, noncurrent_days, abort_days;
    uint64_t date_ms;
    uint64_t keep; /* noncurrent versions that stay whatever their age */
    bool expired_marker;
};

struct sx_lifecycle {
    struct sx_xml *doc;
    struct rule *rules;
    size_t n;
};

static const struct sx_s3_shape shape[] = {
    { ROOT, { "Rule*" } },
    { "Rule", { "ID", "Status", "Prefix", "Filter", "Expiration", "NoncurrentVersionExpiration",
                "AbortIncompleteMultipartUpload", "Transition*", "NoncurrentVersionTransition*" } },
    { "Filter", { "Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And" } },
    { "And", { "Prefix", "Tag*", "ObjectSizeGreaterThan", "ObjectSizeLessThan" } },
    { "Tag", { "Key", "Value" } },
    { "Expiration", { "Days", "Date", "ExpiredObjectDeleteMarker" } },
    { "NoncurrentVersionExpiration", { "NoncurrentDays", "NewerNoncurrentVersions" } },
    { "AbortIncompleteMultipartUpload", { "DaysAfterInitiation" } },
    { "Transition", { "Days", "Date", "StorageClass" } },
    { "NoncurrentVersionTransition", { "NoncurrentDays", "NewerNoncurrentVersions",
                                       "StorageClass" } },
    { NULL, { NULL } },
};

static int malformed(struct sx_err *e)
{
    return sx_s3_fail(e, SX_S3_MALFORMED_XML);
}

/* ---- reading ---- */

static int read_days(const struct sx_xml_node *n, const char *name, uint64_t max, uint64_t *v,
                     struct sx_err *e)
{
    int got = n ? sx_xml_get_u64(n, name, max, v, e) : 0;

    if (got < 0 || (got == 1 && *v == 0))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "'%s' must be a number from 1 to %llu", name,
                          (unsigned long long)max);
    return got;
}

static int read_date(const char *text, uint64_t *ms, struct sx_err *e)
{
    if (sx_iso_date_parse(text, ms) != 0 || *ms == 0)
        return malformed(e);
    return *ms % DAY_MS ? sx_err_set(e, SX_S3_INVALID_ARGUMENT, "'Date' must be at midnight GMT")
                        : 0;
}

static int read_expiration(const struct sx_xml_node *n, struct rule *r, struct sx_err *e)
{
    const char *date;
    int days, marker;

    if (!n)
        return 0;
    date = sx_xml_get(n, "Date");
    days = read_days(n, "Days", SX_LIFECYCLE_DAYS_MAX, &r->days, e);
    if (days < 0 || (date && read_date(date, &r->date_ms, e) != 0))
        return -1;
    marker = sx_xml_get_bool(n, "ExpiredObjectDeleteMarker", &r->expired_marker, e);
    if (marker < 0)
        return -1;
    return days + (date != NULL) + marker == 1 ? 0 : malformed(e);
}

static int read_noncurrent(const struct sx_xml_node *n, struct rule *r, struct sx_err *e)
{
    int days = read_days(n, "NoncurrentDays", SX_LIFECYCLE_DAYS_MAX, &r->noncurrent_days, e);

    if (days < 0 ||
        read_days(n, "NewerNoncurrentVersions", SX_LIFECYCLE_KEEP_MAX, &r->keep, e) < 0)
        return -1;
    return n && days == 0 ? malformed(e) : 0;
}

static int read_sizes(const struct sx_xml_node *n, struct rule *r, struct sx_err *e)
{
    int above = sx_xml_get_u64(n, "ObjectSizeGreaterThan", SX_LIFECYCLE_SIZE_MAX, &r->least, e);
    int below = above < 0 ? -1 : sx_xml_get_u64(n, "ObjectSizeLessThan", SX_LIFECYCLE_SIZE_MAX,
                                                &r->below, e);

    if (below < 0)
        return -1;
    r->sized = above || below;
    r->least += above ? 1 : 0;
    if (r->least > r->below)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "'ObjectSizeLessThan' has to be a value greater than "
                          "'ObjectSizeGreaterThan'");
    return 0;
}

/* A filter has one condition, or <And> of several. */
static int read_filter(const struct sx_xml_node *n, struct rule *r, struct sx_err *e)
{
    const struct sx_xml_node *and = sx_xml_child(n, "And");
    const char *prefix;

    if (n->n_children > 1 || (and && and->n_children < 2))
        return malformed(e);
    n = and ? and : n;
    r->tag = sx_xml_child(n, "Tag");
    for (const struct sx_xml_node *t = r->tag; t; t = sx_xml_next(t))
        if (!sx_xml_get(t, "Key") || !*sx_xml_get(t, "Key") || !sx_xml_get(t, "Value"))
            return malformed(e);
    prefix = sx_xml_get(n, "Prefix");
    r->prefix = prefix ? prefix : "";
    return read_sizes(n, r, e);
}

static int read_scope(const struct sx_xml_node *n, struct rule *r, struct sx_err *e)
{
    const struct sx_xml_node *filter = sx_xml_child(n, "Filter");
    const char *prefix = sx_xml_get(n, "Prefix");

    if (!filter == !prefix)
        return malformed(e);
    r->prefix = prefix ? prefix : "";
    return filter ? read_filter(filter, r, e) : 0;
}

static int check_actions(const struct rule *r, struct sx_err *e)
{
    if (!r->days && !r->date_ms && !r->noncurrent_days && !r->abort_days && !r->expired_marker)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "At least one action needs to be specified in a rule");
    if (r->tag && r->expired_marker)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "ExpiredObjectDeleteMarker cannot be specified with Tags.");
    if ((r->tag || r->sized) && r->abort_days)
        return sx_err_set(e, SX_S3_INVALID_REQUEST, "AbortIncompleteMultipartUpload cannot be "
                                                    "specified with Tags or sizes.");
    return 0;
}

static int read_rule(const struct sx_xml_node *n, struct rule *r, struct sx_err *e)
{
    const struct sx_xml_node *abort = sx_xml_child(n, "AbortIncompleteMultipartUpload");
    const char *status = sx_xml_get(n, "Status");

    *r = (struct rule){ .below = UINT64_MAX };
    if (sx_xml_child(n, "Transition") || sx_xml_child(n, "NoncurrentVersionTransition"))
        return sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "Transitions to other storage classes are not "
                                                    "implemented: there is one class");
    if (!status || (strcmp(status, "Enabled") != 0 && strcmp(status, "Disabled") != 0))
        return malformed(e);
    r->enabled = strcmp(status, "Enabled") == 0;
    if (read_scope(n, r, e) != 0 || read_expiration(sx_xml_child(n, "Expiration"), r, e) != 0 ||
        read_noncurrent(sx_xml_child(n, "NoncurrentVersionExpiration"), r, e) != 0)
        return -1;
    if (abort && read_days(abort, "DaysAfterInitiation", SX_LIFECYCLE_DAYS_MAX, &r->abort_days,
                           e) < 1)
        return malformed(e);
    return check_actions(r, e);
}

static int check_id(const struct sx_xml_node *top, const struct sx_xml_node *rule, struct sx_err *e)
{
    const char *id = sx_xml_get(rule, "ID"), *other;

    if (!id)
        return 0;
    if (strlen(id) > SX_LIFECYCLE_ID_MAX)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "ID length should not exceed allowed limit of "
                                                     "%u", SX_LIFECYCLE_ID_MAX);
    for (const struct sx_xml_node *n = sx_xml_child(top, "Rule"); n != rule; n = sx_xml_next(n))
        if ((other = sx_xml_get(n, "ID")) != NULL && strcmp(other, id) == 0)
            return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Rule ID must be unique. Found same ID for "
                                                         "more than one rule");
    return 0;
}

/* rules: room for each <Rule>, or NULL to check only. */
static int read_rules(const struct sx_xml_node *top, struct rule *rules, struct sx_err *e)
{
    struct rule one;

    for (const struct sx_xml_node *n = sx_xml_child(top, "Rule"); n; n = sx_xml_next(n))
        if (check_id(top, n, e) != 0 || read_rule(n, rules ? rules++ : &one, e) != 0)
            return -1;
    return 0;
}

int sx_lifecycle_check(const struct sx_xml_node *top, struct sx_err *e)
{
    unsigned n = sx_xml_count(top, "Rule");

    if (sx_s3_shape_check(top, shape, e) != 0)
        return -1;
    if (n == 0 || n > SX_LIFECYCLE_RULES_MAX)
        return malformed(e);
    return read_rules(top, NULL, e);
}

int sx_lifecycle_parse(const void *p, size_t n, struct sx_lifecycle **l, struct sx_err *e)
{
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const struct sx_xml_node *top;
    struct sx_lifecycle *out;

    if (sx_xml_parse(p, n, ROOT, &doc, e) != 0)
        return -1;
    top = sx_xml_top(doc);
    if (sx_lifecycle_check(top, e) != 0)
        return -1;
    out = sx_calloc(1, sizeof *out);
    out->n = sx_xml_count(top, "Rule");
    out->rules = sx_calloc(out->n, sizeof *out->rules);
    out->doc = SX_STEAL(doc);
    *l = out;
    return read_rules(top, out->rules, e);
}

void sx_lifecycle_free(struct sx_lifecycle *l)
{
    if (!l)
        return;
    sx_xml_free(l->doc);
    free(l->rules);
    free(l);
}

/* ---- deciding ---- */

/* Whether `days` days are over, at the midnight that follows. */
static bool over(uint64_t from_ms, uint64_t days, uint64_t now_ms)
{
    uint64_t end = from_ms + days * DAY_MS;

    return days && now_ms >= (end + DAY_MS - 1) / DAY_MS * DAY_MS;
}

static bool has_prefix(const struct rule *r, const char *key)
{
    return strncmp(key, r->prefix, strlen(r->prefix)) == 0;
}

/* A marker has neither tags nor a size: a rule that asks for them is not about it. */
static bool applies(const struct rule *r, const struct sx_lifecycle_version *v)
{
    if (!r->enabled || !has_prefix(r, v->key))
        return false;
    if (!r->tag && !r->sized)
        return true;
    if (v->marker || v->size >= r->below || v->size < r->least)
        return false;
    for (const struct sx_xml_node *t = r->tag; t; t = sx_xml_next(t))
        if (!v->tags || !sx_s3_tags_have(v->tags, sx_xml_get(t, "Key"), sx_xml_get(t, "Value")))
            return false;
    return true;
}

static enum sx_lifecycle_action ask(const struct rule *r, const struct sx_lifecycle_version *v,
                                    uint64_t now_ms)
{
    bool expired = over(v->created_ms, r->days, now_ms) || (r->date_ms && now_ms >= r->date_ms);

    if (!v->newest)
        return over(v->noncurrent_ms, r->noncurrent_days, now_ms) && v->newer >= r->keep && !v->held
                   ? SX_LIFECYCLE_REMOVE : SX_LIFECYCLE_KEEP;
    if (!v->marker)
        return expired ? SX_LIFECYCLE_EXPIRE : SX_LIFECYCLE_KEEP;
    return v->alone && (expired || r->expired_marker) ? SX_LIFECYCLE_REMOVE : SX_LIFECYCLE_KEEP;
}

enum sx_lifecycle_action sx_lifecycle_decide(const struct sx_lifecycle *l,
                                             const struct sx_lifecycle_version *v, uint64_t now_ms)
{
    enum sx_lifecycle_action a = SX_LIFECYCLE_KEEP;

    for (size_t i = 0; i < l->n && a == SX_LIFECYCLE_KEEP; i++)
        if (applies(&l->rules[i], v))
            a = ask(&l->rules[i], v, now_ms);
    return a;
}

bool sx_lifecycle_abort(const struct sx_lifecycle *l, const char *key, uint64_t created_ms,
                        uint64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->rules[i].enabled && has_prefix(&l->rules[i], key) &&
            over(created_ms, l->rules[i].abort_days, now_ms))
            return true;
    return false;
}
