/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See postpolicy.h.
 */
#include "fcgi/s3/postpolicy.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "libsx/base/date.h"
#include "libsx/base/json.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define FIELDS_MAX 128 /* of a form */

/* A check under way: which fields a condition has named. */
struct check {
    const struct sx_s3_post *p;
    struct sx_s3_post_range *range;
    bool named[FIELDS_MAX];
};

static int bad_document(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_INVALID_POLICY_DOCUMENT, "Invalid Policy: %s.", what);
}

static int denied(struct sx_err *e, const char *what, const char *name)
{
    return sx_err_set(e, SX_S3_ACCESS_DENIED, "Invalid according to Policy: %s%.100s", what, name);
}

/* The field's value, "" if the form has none of that name; notes that it was named. */
static const char *field(struct check *c, const char *name)
{
    const char *value = "";

    for (size_t i = 0; i < c->p->n_fields; i++)
        if (strcasecmp(c->p->fields[i].name, name) == 0) {
            c->named[i] = true;
            value = c->p->fields[i].value;
        }
    return value;
}

static bool starts_with(const char *s, size_t n, const char *prefix)
{
    size_t len = strlen(prefix);

    return n >= len && memcmp(s, prefix, len) == 0;
}

/* Each item of a list, as in "image/png,image/gif". */
static bool all_start_with(const char *list, const char *prefix)
{
    const char *comma;

    while ((comma = strchr(list, ',')) != NULL) {
        if (!starts_with(list, (size_t)(comma - list), prefix))
            return false;
        list = comma + 1 + strspn(comma + 1, " ");
    }
    return starts_with(list, strlen(list), prefix);
}

static int check_eq(struct check *c, const char *name, const char *want, struct sx_err *e)
{
    if (strcmp(field(c, name), want) == 0)
        return 0;
    return denied(e, "Policy Condition failed: eq $", name);
}

static int check_starts(struct check *c, const char *name, const char *want, struct sx_err *e)
{
    const char *value = field(c, name);
    bool holds = strcasecmp(name, "content-type") == 0 ? all_start_with(value, want)
                                                       : starts_with(value, strlen(value), want);

    return holds ? 0 : denied(e, "Policy Condition failed: starts-with $", name);
}

/* A number, or one in a string as some generators write it. */
static int read_size(const json_t *j, uint64_t *v)
{
    const char *s = json_string_value(j);

    if (json_is_integer(j) && json_integer_value(j) >= 0) {
        *v = (uint64_t)json_integer_value(j);
        return 0;
    }
    return s ? sx_u64_parse(s, strlen(s), INT64_MAX, v) : -1;
}

/* Several ranges: all of them hold. */
static int check_range(struct check *c, const json_t *j, struct sx_err *e)
{
    uint64_t min, max;

    if (read_size(json_array_get(j, 1), &min) != 0 || read_size(json_array_get(j, 2), &max) != 0 ||
        min > max)
        return bad_document(e, "content-length-range needs two numbers, the smaller first");
    if (min > c->range->min)
        c->range->min = min;
    if (max < c->range->max)
        c->range->max = max;
    return 0;
}

static int check_array(struct check *c, const json_t *j, struct sx_err *e)
{
    const char *kind = json_string_value(json_array_get(j, 0));
    const char *name = json_string_value(json_array_get(j, 1));
    const char *want = json_string_value(json_array_get(j, 2));

    if (!kind || json_array_size(j) != 3)
        return bad_document(e, "a condition is not of three items");
    if (strcasecmp(kind, "content-length-range") == 0)
        return check_range(c, j, e);
    if (!name || name[0] != '$' || !name[1] || !want)
        return bad_document(e, "a condition does not name a $field and a text");
    if (strcasecmp(kind, "eq") == 0)
        return check_eq(c, name + 1, want, e);
    if (strcasecmp(kind, "starts-with") == 0)
        return check_starts(c, name + 1, want, e);
    return bad_document(e, "a condition is neither eq, starts-with nor content-length-range");
}

static int check_object(struct check *c, json_t *j, struct sx_err *e)
{
    const char *name;
    json_t *value;

    if (json_object_size(j) == 0)
        return bad_document(e, "a condition is empty");
    json_object_foreach(j, name, value)
    {
        if (!json_is_string(value))
            return bad_document(e, "the value of a condition is not a text");
        if (check_eq(c, name, json_string_value(value), e) != 0)
            return -1;
    }
    return 0;
}

static int check_conditions(struct check *c, json_t *conditions, struct sx_err *e)
{
    size_t i;
    json_t *j;

    if (json_array_size(conditions) > SX_S3_POLICY_CONDITIONS_MAX)
        return bad_document(e, "it has too many conditions");
    json_array_foreach(conditions, i, j)
    {
        int r = json_is_object(j) ? check_object(c, j, e)
                : json_is_array(j) ? check_array(c, j, e)
                                   : bad_document(e, "a condition is neither object nor array");

        if (r != 0)
            return -1;
    }
    return 0;
}

/* Fields that no condition need name. */
static bool free_field(const char *name)
{
    static const char *const names[] = { "policy", "x-amz-signature", "signature",
                                         "awsaccesskeyid", "file", "bucket" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return strncasecmp(name, "x-ignore-", 9) == 0;
}

static int check_named(const struct check *c, struct sx_err *e)
{
    for (size_t i = 0; i < c->p->n_fields; i++)
        if (!c->named[i] && !free_field(c->p->fields[i].name))
            return denied(e, "Extra input fields: ", c->p->fields[i].name);
    return 0;
}

static int check_members(const json_t *doc, struct sx_err *e)
{
    if (!json_is_object(doc) || !json_is_string(json_object_get(doc, "expiration")))
        return bad_document(e, "it has no expiration");
    if (!json_is_array(json_object_get(doc, "conditions")))
        return bad_document(e, "it has no list of conditions");
    if (json_object_size(doc) != 2)
        return bad_document(e, "it has more members than expiration and conditions");
    return 0;
}

static int parse(const char *policy, json_t **doc, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    size_t n = strlen(policy);

    if (n > SX_S3_POLICY_SIZE_MAX)
        return bad_document(e, "it is too long");
    if (sx_unbase64(&text, policy, n, NULL) != 0)
        return bad_document(e, "it is not in base64");
    *doc = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    return *doc ? 0 : bad_document(e, "it is not JSON");
}

int sx_s3_post_check(const struct sx_s3_post *p, struct sx_s3_post_range *range, struct sx_err *e)
{
    struct check c = { .p = p, .range = range };
    SX_AUTO_JSON json_t *doc = NULL;
    uint64_t until;

    *range = (struct sx_s3_post_range){ 0, UINT64_MAX };
    if (p->n_fields > FIELDS_MAX)
        return sx_err_set(e, SX_S3_MAX_POST_PRE_DATA, "The form has more than %d fields",
                          FIELDS_MAX);
    if (parse(p->policy, &doc, e) != 0 || check_members(doc, e) != 0)
        return -1;
    if (sx_iso_date_parse(json_string_value(json_object_get(doc, "expiration")), &until) != 0)
        return bad_document(e, "its expiration is not a date like 2026-11-20T14:03:05Z");
    if (p->now_ms > until)
        return denied(e, "Policy expired.", "");
    if (check_conditions(&c, json_object_get(doc, "conditions"), e) != 0)
        return -1;
    return check_named(&c, e);
}
