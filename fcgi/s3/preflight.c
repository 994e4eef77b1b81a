/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cross-origin requests: the preflight OPTIONS, which anybody may send, and the lines of actual
 * answers, which refusals have, too: a browser shows them to its program only with these.
 */
#include "fcgi/s3/config.h"
#include "fcgi/s3/cors.h"
#include "fcgi/s3/handlers.h"
#include "libsx/base/mem.h"

/* The rules of the bucket that the request names: as sx_s3_config_xml(); 0 also without it. */
static int rules(struct sx_s3 *s, struct sx_xml **doc, struct sx_err *e)
{
    struct sx_volume v;

    if (!s->t.bucket || sx_query_volume(s->db, "", s->t.bucket, 0, &v, NULL) != 0)
        return 0;
    return sx_s3_config_xml(s, v.id, SX_S3_DOC_CORS, doc, e);
}

int sx_s3_cors_fields(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_s3_cors_question q = { .origin = sx_s3_header(s, "origin"),
                                           .method = s->r->method };
    SX_AUTO_XML struct sx_xml *doc = NULL;
    int there = q.origin ? rules(s, &doc, e) : 0;

    if (there == 1)
        sx_s3_cors_answer(sx_xml_top(doc), &q, &s->fields);
    return there < 0 ? -1 : 0;
}

int sx_s3_preflight(struct sx_s3 *s, struct sx_err *e)
{
    const struct sx_s3_cors_question q = {
        .origin = sx_s3_header(s, "origin"),
        .method = sx_s3_header(s, "access-control-request-method"),
        .headers = sx_s3_header(s, "access-control-request-headers"),
        .preflight = true,
    };
    SX_AUTO_XML struct sx_xml *doc = NULL;
    int there;

    if (!q.origin)
        return sx_err_set(e, SX_S3_BAD_REQUEST,
                          "Insufficient information. Origin request header needed.");
    if (!q.method)
        return sx_err_set(e, SX_S3_BAD_REQUEST, "Invalid Access-Control-Request-Method: null");
    there = rules(s, &doc, e);
    if (there < 0)
        return -1;
    if (!there)
        return sx_err_set(e, SX_S3_CORS_FORBIDDEN,
                          "CORSResponse: CORS is not enabled for this bucket.");
    if (!sx_s3_cors_answer(sx_xml_top(doc), &q, &s->fields))
        return sx_s3_fail(e, SX_S3_CORS_FORBIDDEN);
    return sx_s3_reply_empty(s, 200);
}
