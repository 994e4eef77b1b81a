/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See policy.h.  The document is kept as parsed JSON: it was checked whole, so evaluation meets
 * only what it knows.
 */
#include "fcgi/s3/policy.h"

#include <string.h>
#include <strings.h>

#include "fcgi/s3/condition.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/buf.h"
#include "libsx/base/mem.h"

#define ARN "arn:aws:s3:::"

struct sx_s3_policy {
    json_t *statements; /* an array of checked objects */
};

static int malformed(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_MALFORMED_POLICY, "Policy: %s", what);
}

/* ---- one string, or an array of them ---- */

static size_t list_size(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : 1;
}

static const char *list_get(const json_t *v, size_t i)
{
    return json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
}

static bool is_list(const json_t *v)
{
    if (!v || list_size(v) == 0)
        return false;
    for (size_t i = 0; i < list_size(v); i++)
        if (!list_get(v, i))
            return false;
    return true;
}

/* ---- checking ---- */

/* Exactly one of the two members. */
static const json_t *either(const json_t *s, const char *name, const char *not_name, bool *negated)
{
    const json_t *a = json_object_get(s, name), *b = json_object_get(s, not_name);

    *negated = b != NULL;
    return !a == !b ? NULL : a ? a : b;
}

static int check_principal(const json_t *v, struct sx_err *e)
{
    const char *key;
    json_t *who;

    if (json_is_string(v))
        return strcmp(json_string_value(v), "*") == 0 ? 0 : malformed(e, "Invalid principal");
    if (!json_is_object(v) || json_object_size(v) == 0)
        return malformed(e, "Principal is missing or malformed");
    json_object_foreach((json_t *)(uintptr_t)v, key, who)
        if (!is_list(who) || (strcmp(key, "AWS") != 0 && strcmp(key, "CanonicalUser") != 0))
            return malformed(e, "Invalid principal");
    return 0;
}

static int check_actions(const json_t *v, struct sx_err *e)
{
    if (!is_list(v))
        return malformed(e, "Action is missing or malformed");
    for (size_t i = 0; i < list_size(v); i++)
        if (strcmp(list_get(v, i), "*") != 0 && strncasecmp(list_get(v, i), "s3:", 3) != 0)
            return malformed(e, "Invalid action");
    return 0;
}

static int check_resources(const json_t *v, const char *bucket, struct sx_err *e)
{
    size_t n = strlen(bucket);

    if (!is_list(v))
        return malformed(e, "Resource is missing or malformed");
    for (size_t i = 0; i < list_size(v); i++) {
        const char *r = list_get(v, i);

        if (strcmp(r, "*") == 0)
            continue;
        if (strncmp(r, ARN, strlen(ARN)) != 0)
            return malformed(e, "Resource is not an ARN of S3");
        r += strlen(ARN);
        if (strncmp(r, bucket, n) != 0 || (r[n] && r[n] != '/' && r[n] != '*'))
            return malformed(e, "Policy has invalid resource");
    }
    return 0;
}

static int check_conditions(const json_t *v, struct sx_err *e)
{
    const char *op, *key;
    json_t *keys, *values;

    if (!v)
        return 0;
    if (!json_is_object(v))
        return malformed(e, "Condition is no object");
    json_object_foreach((json_t *)(uintptr_t)v, op, keys) {
        if (!sx_s3_condition_known(op) || !json_is_object(keys))
            return malformed(e, "Invalid condition");
        json_object_foreach(keys, key, values)
            for (size_t i = 0; i < list_size(values); i++) {
                const json_t *one = json_is_array(values) ? json_array_get(values, i) : values;

                if (!json_is_string(one) && !json_is_boolean(one) && !json_is_integer(one))
                    return malformed(e, "Invalid value of a condition");
            }
    }
    return 0;
}

static int check_statement(const json_t *s, const char *bucket, struct sx_err *e)
{
    static const char *const known[] = { "Sid", "Effect", "Principal", "NotPrincipal", "Action",
                                         "NotAction", "Resource", "NotResource", "Condition" };
    const char *effect = json_string_value(json_object_get(s, "Effect"));
    const char *name;
    json_t *v;
    bool negated;

    json_object_foreach((json_t *)(uintptr_t)s, name, v) {
        bool found = false;

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(name, known[i]) == 0;
        if (!found)
            return malformed(e, "a statement has an unknown element");
    }
    if (!effect || (strcmp(effect, "Allow") != 0 && strcmp(effect, "Deny") != 0))
        return malformed(e, "Effect is neither Allow nor Deny");
    return check_principal(either(s, "Principal", "NotPrincipal", &negated), e) != 0 ||
           check_actions(either(s, "Action", "NotAction", &negated), e) != 0 ||
           check_resources(either(s, "Resource", "NotResource", &negated), bucket, e) != 0 ||
           check_conditions(json_object_get(s, "Condition"), e) != 0 ? -1 : 0;
}

static int check(const json_t *doc, const char *bucket, json_t **statements, struct sx_err *e)
{
    static const char *const versions[] = { "2012-10-17", "2008-10-17" };
    const char *version = json_string_value(json_object_get(doc, "Version"));
    json_t *v = json_object_get(doc, "Statement");
    size_t n = list_size(v);

    if (version && strcmp(version, versions[0]) != 0 && strcmp(version, versions[1]) != 0)
        return malformed(e, "unknown Version");
    if (!v || n == 0 || n > SX_S3_POLICY_STATEMENTS)
        return malformed(e, "there is no Statement, or there are too many");
    *statements = json_is_array(v) ? json_incref(v) : json_pack("[O]", v);
    for (size_t i = 0; i < n; i++)
        if (check_statement(json_array_get(*statements, i), bucket, e) != 0) {
            json_decref(*statements);
            return -1;
        }
    return 0;
}

int sx_s3_policy_parse(const void *p, size_t n, const char *bucket, struct sx_s3_policy **policy,
                       struct sx_err *e)
{
    SX_AUTO_JSON json_t *doc = NULL;
    json_t *statements = NULL;

    if (n > SX_S3_POLICY_MAX)
        return malformed(e, "the document is too large");
    doc = sx_json_parse(p, n, NULL);
    if (!doc)
        return malformed(e, "the document is no JSON object");
    if (check(doc, bucket, &statements, e) != 0)
        return -1;
    *policy = sx_calloc(1, sizeof **policy);
    (*policy)->statements = statements;
    return 0;
}

void sx_s3_policy_free(struct sx_s3_policy *p)
{
    if (!p)
        return;
    json_decref(p->statements);
    free(p);
}

/* ---- evaluation ---- */

/* A user by his name, or by the last part of an ARN. */
static bool is_user(const char *who, const char *user)
{
    const char *slash = strrchr(who, '/');

    return strcmp(who, user) == 0 || (slash && strcmp(slash + 1, user) == 0);
}

static bool fits_principal(const json_t *v, const struct sx_s3_question *q)
{
    const char *key;
    json_t *who;

    if (json_is_string(v))
        return true; /* "*" */
    json_object_foreach((json_t *)(uintptr_t)v, key, who)
        for (size_t i = 0; i < list_size(who); i++)
            if (strcmp(list_get(who, i), "*") == 0 || (q->user && is_user(list_get(who, i), q->user)))
                return true;
    return false;
}

static bool fits_action(const json_t *v, const struct sx_s3_question *q)
{
    for (size_t i = 0; i < list_size(v); i++)
        if (sx_s3_pattern(list_get(v, i), q->action, true))
            return true;
    return false;
}

static bool fits_resource(const json_t *v, const struct sx_s3_question *q)
{
    SX_AUTO(sx_buf) struct sx_buf asked = SX_BUF_INIT;

    sx_buf_printf(&asked, ARN "%s%s%s", q->bucket, q->key ? "/" : "", q->key ? q->key : "");
    for (size_t i = 0; i < list_size(v); i++) {
        SX_AUTO(sx_buf) struct sx_buf pattern = SX_BUF_INIT;

        sx_s3_expand(list_get(v, i), q, &pattern);
        if (sx_s3_pattern(sx_buf_cstr(&pattern), sx_buf_cstr(&asked), false))
            return true;
    }
    return false;
}

static bool fits(const json_t *s, const struct sx_s3_question *q)
{
    bool negated;
    const json_t *v = either(s, "Principal", "NotPrincipal", &negated);

    if (fits_principal(v, q) == negated)
        return false;
    v = either(s, "Action", "NotAction", &negated);
    if (fits_action(v, q) == negated)
        return false;
    v = either(s, "Resource", "NotResource", &negated);
    return fits_resource(v, q) != negated &&
           sx_s3_conditions_hold(json_object_get(s, "Condition"), q);
}

static bool is_allow(const json_t *s)
{
    return strcmp(json_string_value(json_object_get(s, "Effect")), "Allow") == 0;
}

enum sx_s3_ruling sx_s3_policy_ask(const struct sx_s3_policy *p, const struct sx_s3_question *q)
{
    enum sx_s3_ruling ruling = SX_S3_SILENT;
    json_t *s;
    size_t i;

    json_array_foreach(p->statements, i, s) {
        if (!fits(s, q))
            continue;
        if (!is_allow(s))
            return SX_S3_DENY;
        ruling = SX_S3_ALLOW;
    }
    return ruling;
}

bool sx_s3_policy_is_public(const struct sx_s3_policy *p)
{
    static const struct sx_s3_question anybody = { .user = NULL };
    json_t *s;
    size_t i;

    json_array_foreach(p->statements, i, s) {
        bool negated;
        const json_t *who = either(s, "Principal", "NotPrincipal", &negated);

        if (is_allow(s) && (negated || fits_principal(who, &anybody)) &&
            !sx_s3_conditions_narrow(json_object_get(s, "Condition")))
            return true;
    }
    return false;
}
