/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See website.h.
 */
#include "fcgi/s3/website.h"

#include <string.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/shape.h"
#include "fcgi/s3/target.h"
#include "libsx/base/text.h"

#define REDIRECT_CODE 301u

static int malformed(struct sx_err *e)
{
    return sx_s3_fail(e, SX_S3_MALFORMED_XML);
}

/* ---- check ---- */

static int check_redirect(const struct sx_xml_node *r, struct sx_err *e)
{
    const char *protocol = sx_xml_get(r, "Protocol");
    uint64_t code = REDIRECT_CODE;

    if (sx_xml_get_u64(r, "HttpRedirectCode", UINT32_MAX, &code, e) < 0)
        return -1;
    if (code <= 300 || code > 399)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The provided HTTP redirect code (%llu) is not valid. Valid codes are 3XX"
                          " except 300.", (unsigned long long)code);
    if (protocol && strcmp(protocol, "http") != 0 && strcmp(protocol, "https") != 0)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "Invalid protocol, protocol can be http or https. If not defined the"
                          " protocol will be selected automatically.");
    if (sx_xml_get(r, "ReplaceKeyWith") && sx_xml_get(r, "ReplaceKeyPrefixWith"))
        return sx_err_set(e, SX_S3_INVALID_REQUEST, "You can only define ReplaceKeyPrefix or "
                                                    "ReplaceKey but not both.");
    return r->n_children == 0 ? malformed(e) : 0;
}

static int check_routing(const struct sx_xml_node *rule, struct sx_err *e)
{
    const struct sx_xml_node *when = sx_xml_child(rule, "Condition");
    const struct sx_xml_node *redirect = sx_xml_child(rule, "Redirect");
    uint64_t code = 404;

    if (!redirect || (when && when->n_children == 0))
        return malformed(e);
    if (when &&
        sx_xml_get_u64(when, "HttpErrorCodeReturnedEquals", UINT32_MAX, &code, e) < 0)
        return -1;
    if (code < 400 || code > 599)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The provided HTTP error code (%llu) is not valid. Valid codes are 4XX or"
                          " 5XX.", (unsigned long long)code);
    return check_redirect(redirect, e);
}

static int check_index(const struct sx_xml_node *top, struct sx_err *e)
{
    const struct sx_xml_node *index = sx_xml_child(top, "IndexDocument");
    const struct sx_xml_node *error = sx_xml_child(top, "ErrorDocument");
    const char *suffix = index ? sx_xml_get(index, "Suffix") : NULL;
    const char *key = error ? sx_xml_get(error, "Key") : "error";

    if (!suffix || !*suffix || strchr(suffix, '/'))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The IndexDocument Suffix is not well formed");
    return key && *key && strlen(key) <= SX_S3_KEY_MAX ? 0 : malformed(e);
}

static int check_rules(const struct sx_xml_node *rules, struct sx_err *e)
{
    if (sx_xml_count(rules, "RoutingRule") > SX_S3_ROUTING_RULES_MAX)
        return malformed(e);
    for (const struct sx_xml_node *n = sx_xml_child(rules, "RoutingRule"); n; n = sx_xml_next(n))
        if (check_routing(n, e) != 0)
            return -1;
    return 0;
}

int sx_s3_website_check(const struct sx_xml_node *top, struct sx_err *e)
{
    static const struct sx_s3_shape shape[] = {
        { "WebsiteConfiguration", { "IndexDocument", "ErrorDocument", "RedirectAllRequestsTo",
                                    "RoutingRules" } },
        { "IndexDocument", { "Suffix" } },
        { "ErrorDocument", { "Key" } },
        { "RedirectAllRequestsTo", { "HostName", "Protocol" } },
        { "RoutingRules", { "RoutingRule*" } },
        { "RoutingRule", { "Condition", "Redirect" } },
        { "Condition", { "KeyPrefixEquals", "HttpErrorCodeReturnedEquals" } },
        { "Redirect", { "HostName", "Protocol", "HttpRedirectCode", "ReplaceKeyWith",
                        "ReplaceKeyPrefixWith" } },
        { NULL, { NULL } },
    };
    const struct sx_xml_node *all = sx_xml_child(top, "RedirectAllRequestsTo");
    const struct sx_xml_node *rules = sx_xml_child(top, "RoutingRules");

    if (sx_s3_shape_check(top, shape, e) != 0)
        return -1;
    if (all)
        return top->n_children > 1 || !sx_xml_get(all, "HostName") ? malformed(e)
                                                                   : check_redirect(all, e);
    return check_index(top, e) != 0 || (rules && check_rules(rules, e) != 0) ? -1 : 0;
}

/* ---- answer ---- */

void sx_s3_website_url(struct sx_buf *out, const char *text)
{
    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;

        if (c > 0x20 && c < 0x7f)
            sx_buf_u8(out, c);
        else
            sx_buf_printf(out, "%%%02X", c);
    }
}

static void add_origin(struct sx_buf *out, const struct sx_xml_node *redirect,
                       const struct sx_s3_website_question *q)
{
    const char *protocol = sx_xml_get(redirect, "Protocol"), *host = sx_xml_get(redirect, "HostName");

    sx_s3_website_url(out, protocol ? protocol : q->scheme);
    sx_buf_str(out, "://");
    sx_s3_website_url(out, host ? host : q->host);
}

static void redirect_all(const struct sx_xml_node *all, const struct sx_s3_website_question *q,
                         struct sx_buf *out)
{
    add_origin(out, all, q);
    sx_s3_website_url(out, q->path);
    if (q->query && *q->query) {
        sx_buf_str(out, "?");
        sx_s3_website_url(out, q->query);
    }
}

/* The prefix that a rule asks for, "" if none. */
static const char *prefix_of(const struct sx_xml_node *rule)
{
    const struct sx_xml_node *when = sx_xml_child(rule, "Condition");
    const char *prefix = when ? sx_xml_get(when, "KeyPrefixEquals") : NULL;

    return prefix ? prefix : "";
}

static bool holds(const struct sx_xml_node *rule, const struct sx_s3_website_question *q)
{
    const struct sx_xml_node *when = sx_xml_child(rule, "Condition");
    const char *prefix = prefix_of(rule);
    uint64_t error = 0;

    if (when && sx_xml_get_u64(when, "HttpErrorCodeReturnedEquals", UINT32_MAX, &error, NULL) < 0)
        return false;
    return (int)error == q->error && strncmp(q->key, prefix, strlen(prefix)) == 0;
}

/* What replaces is taken as it is written: it may have a query of its own. */
static int redirect_by(const struct sx_xml_node *rule, const struct sx_s3_website_question *q,
                       struct sx_buf *out)
{
    const struct sx_xml_node *r = sx_xml_child(rule, "Redirect");
    const char *whole = sx_xml_get(r, "ReplaceKeyWith"), *rest = q->key;
    const char *prefix = sx_xml_get(r, "ReplaceKeyPrefixWith");
    uint64_t code = REDIRECT_CODE;

    if (sx_xml_get_u64(r, "HttpRedirectCode", UINT32_MAX, &code, NULL) < 0)
        return 0;
    add_origin(out, r, q);
    sx_buf_str(out, "/");
    if (whole) {
        sx_s3_website_url(out, whole);
        return (int)code;
    }
    if (prefix) {
        sx_s3_website_url(out, prefix);
        rest += strlen(prefix_of(rule));
    }
    sx_pct_encode(out, rest, strlen(rest), true);
    return (int)code;
}

int sx_s3_website_redirect(const struct sx_xml_node *top, const struct sx_s3_website_question *q,
                           struct sx_buf *location)
{
    const struct sx_xml_node *all = sx_xml_child(top, "RedirectAllRequestsTo");
    const struct sx_xml_node *rules = sx_xml_child(top, "RoutingRules");

    if (all) {
        redirect_all(all, q, location);
        return (int)REDIRECT_CODE;
    }
    for (const struct sx_xml_node *n = rules ? sx_xml_child(rules, "RoutingRule") : NULL; n;
         n = sx_xml_next(n))
        if (holds(n, q))
            return redirect_by(n, q, location);
    return 0;
}

void sx_s3_website_key(const struct sx_xml_node *top, const char *key, struct sx_buf *out)
{
    const struct sx_xml_node *index = sx_xml_child(top, "IndexDocument");
    size_t n = strlen(key);

    sx_buf_str(out, key);
    if (index && (n == 0 || key[n - 1] == '/'))
        sx_buf_str(out, sx_xml_get(index, "Suffix"));
}
