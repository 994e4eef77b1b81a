/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See cors.h.
 */
#include "fcgi/s3/cors.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/shape.h"

#define NAME_MAX_BYTES 256u

static const struct sx_s3_shape shape[] = {
    { "CORSConfiguration", { "CORSRule*" } },
    { "CORSRule", { "ID", "AllowedOrigin*", "AllowedMethod*", "AllowedHeader*", "ExposeHeader*",
                    "MaxAgeSeconds" } },
    { NULL, { NULL } },
};

/* ---- checking ---- */

/* What may stand in a header of an answer, or be compared with one: printable, no blanks. */
static bool is_word(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

static int check_values(const struct sx_xml_node *rule, const char *name, unsigned stars,
                        struct sx_err *e)
{
    for (const struct sx_xml_node *n = sx_xml_child(rule, name); n; n = sx_xml_next(n)) {
        const char *first = strchr(n->text, '*');
        unsigned found = !first ? 0 : strchr(first + 1, '*') ? 2 : 1;

        if (!*n->text || !is_word(n->text))
            return sx_s3_fail(e, SX_S3_MALFORMED_XML);
        if (found > stars)
            return sx_err_set(e, SX_S3_INVALID_REQUEST, "%s \"%.200s\" can not have more than %u "
                                                        "wildcard.", name, n->text, stars);
    }
    return 0;
}

static int check_methods(const struct sx_xml_node *rule, struct sx_err *e)
{
    static const char *const methods[] = { "GET", "PUT", "POST", "DELETE", "HEAD" };

    for (const struct sx_xml_node *n = sx_xml_child(rule, "AllowedMethod"); n; n = sx_xml_next(n)) {
        bool known = false;

        for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
            known = known || strcmp(n->text, methods[i]) == 0;
        if (!known)
            return sx_err_set(e, SX_S3_INVALID_REQUEST, "Found unsupported HTTP method in CORS "
                                                        "config. Unsupported method is %.40s",
                              n->text);
    }
    return 0;
}

static int check_rule(const struct sx_xml_node *rule, struct sx_err *e)
{
    const char *id = sx_xml_get(rule, "ID");
    uint64_t age;

    if (!sx_xml_child(rule, "AllowedOrigin") || !sx_xml_child(rule, "AllowedMethod") ||
        (id && strlen(id) > NAME_MAX_BYTES))
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    if (sx_xml_get_u64(rule, "MaxAgeSeconds", INT32_MAX, &age, e) < 0)
        return -1;
    return check_methods(rule, e) != 0 || check_values(rule, "AllowedOrigin", 1, e) != 0 ||
           check_values(rule, "AllowedHeader", 1, e) != 0 ||
           check_values(rule, "ExposeHeader", 0, e) != 0 ? -1 : 0;
}

int sx_s3_cors_check(const struct sx_xml_node *top, struct sx_err *e)
{
    unsigned n = sx_xml_count(top, "CORSRule");

    if (sx_s3_shape_check(top, shape, e) != 0)
        return -1;
    if (n == 0 || n > SX_S3_CORS_RULES_MAX)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    for (const struct sx_xml_node *r = sx_xml_child(top, "CORSRule"); r; r = sx_xml_next(r))
        if (check_rule(r, e) != 0)
            return -1;
    return 0;
}

/* ---- answering ---- */

/* A pattern with at most one *, for any run of characters. */
static bool fits(const char *pattern, const char *text, size_t n, bool ignore_case)
{
    int (*compare)(const char *, const char *, size_t) = ignore_case ? strncasecmp : strncmp;
    const char *star = strchr(pattern, '*');
    size_t before = star ? (size_t)(star - pattern) : strlen(pattern);
    size_t after = star ? strlen(star + 1) : 0;

    if (!star)
        return n == before && compare(pattern, text, n) == 0;
    return n >= before + after && compare(pattern, text, before) == 0 &&
           compare(star + 1, text + n - after, after) == 0;
}

/* The value that allows it, or NULL. */
static const char *allowing(const struct sx_xml_node *rule, const char *name, const char *text,
                            size_t n)
{
    bool header = strcmp(name, "AllowedHeader") == 0;

    for (const struct sx_xml_node *v = sx_xml_child(rule, name); v; v = sx_xml_next(v))
        if (fits(v->text, text, n, header))
            return v->text;
    return NULL;
}

static bool headers_allowed(const struct sx_xml_node *rule, const char *list)
{
    while (list && *list) {
        size_t n;

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (n && !allowing(rule, "AllowedHeader", list, n))
            return false;
        list += n;
    }
    return true;
}

static void add_list(const struct sx_xml_node *rule, const char *name, const char *header,
                     struct sx_buf *fields)
{
    const struct sx_xml_node *v = sx_xml_child(rule, name);

    if (!v)
        return;
    sx_buf_printf(fields, "%s: %s", header, v->text);
    while ((v = sx_xml_next(v)) != NULL)
        sx_buf_printf(fields, ", %s", v->text);
    sx_buf_str(fields, "\r\n");
}

static void add_fields(const struct sx_xml_node *rule, const char *origin,
                       const struct sx_s3_cors_question *q, struct sx_buf *fields)
{
    bool any = strcmp(origin, "*") == 0;
    const char *age = sx_xml_get(rule, "MaxAgeSeconds");

    sx_buf_printf(fields, "Access-Control-Allow-Origin: %s\r\n", any ? "*" : q->origin);
    if (!any)
        sx_buf_str(fields, "Access-Control-Allow-Credentials: true\r\n");
    add_list(rule, "AllowedMethod", "Access-Control-Allow-Methods", fields);
    add_list(rule, "ExposeHeader", "Access-Control-Expose-Headers", fields);
    if (q->preflight && q->headers)
        sx_buf_printf(fields, "Access-Control-Allow-Headers: %s\r\n", q->headers);
    if (age)
        sx_buf_printf(fields, "Access-Control-Max-Age: %llu\r\n", strtoull(age, NULL, 10));
    sx_buf_str(fields, "Vary: Origin, Access-Control-Request-Headers, "
                       "Access-Control-Request-Method\r\n");
}

bool sx_s3_cors_answer(const struct sx_xml_node *top, const struct sx_s3_cors_question *q,
                       struct sx_buf *fields)
{
    for (const struct sx_xml_node *r = sx_xml_child(top, "CORSRule"); r; r = sx_xml_next(r)) {
        const char *origin = allowing(r, "AllowedOrigin", q->origin, strlen(q->origin));

        if (!origin || !allowing(r, "AllowedMethod", q->method, strlen(q->method)) ||
            !headers_allowed(r, q->headers))
            continue;
        add_fields(r, origin, q, fields);
        return true;
    }
    return false;
}
