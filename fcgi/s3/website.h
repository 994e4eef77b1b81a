/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The website configuration of a bucket: checked, and where it sends a request.  Pure functions.
 * Sources: "PutBucketWebsite", S3 API Reference; "Configuring a webpage redirect", S3 User Guide.
 */
#ifndef SX_FCGI_S3_WEBSITE_H
#define SX_FCGI_S3_WEBSITE_H

#include "fcgi/s3/xml.h"
#include "libsx/base/buf.h"

#define SX_S3_ROUTING_RULES_MAX 50u

/* <WebsiteConfiguration>: SX_S3_MALFORMED_XML, SX_S3_INVALID_ARGUMENT, SX_S3_INVALID_REQUEST. */
int sx_s3_website_check(const struct sx_xml_node *top, struct sx_err *e) SX_MUST_CHECK;

struct sx_s3_website_question {
    const char *scheme; /* "http", "https": of the request, as its host */
    const char *host;   /* with its port */
    const char *path;   /* as sent, from the slash on */
    const char *query;  /* as sent, without '?'; or NULL */
    const char *key;    /* decoded, as asked for: without the index document's name */
    int error;          /* the status that the answer would have; 0: not yet known */
};

/* The Location of a redirect and its status; 0: none.  RedirectAllRequestsTo keeps path and query;
 * of the rules the first counts whose condition holds.  Rules with an error code are looked at
 * only with that error, rules without only before. */
int sx_s3_website_redirect(const struct sx_xml_node *top, const struct sx_s3_website_question *q,
                           struct sx_buf *location);

/* The key of the object that answers `key` ("" or with a final '/': the index document). */
void sx_s3_website_key(const struct sx_xml_node *top, const char *key, struct sx_buf *out);

/* Adds text that may stand in a Location: blanks, control characters and bytes beyond ASCII are
 * percent-encoded, all else is left, since '?' and '#' are meant. */
void sx_s3_website_url(struct sx_buf *out, const char *text);

#endif
