/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See s3err.h.
 */
#include "fcgi/s3/s3err.h"

#include "fcgi/s3/xmlout.h"

static const struct row {
    const char *name;
    int http;
    const char *text;
} rows[] = {
#define SX_S3_ERR(sym, code, http, text) { code, http, text },
#include "fcgi/s3/s3err.def"
#undef SX_S3_ERR
};

/* What is not here is an internal error. */
static const struct {
    enum sx_err_code from;
    enum sx_s3_code to;
} map[] = {
    { SX_EINVAL, SX_S3_INVALID_ARGUMENT },
    { SX_EMALFORMED, SX_S3_INVALID_REQUEST },
    { SX_ENAME, SX_S3_INVALID_ARGUMENT },
    { SX_ENAMETOOLONG, SX_S3_KEY_TOO_LONG },
    { SX_EAUTH, SX_S3_ACCESS_DENIED },
    { SX_ECLOCK, SX_S3_REQUEST_TIME_TOO_SKEWED },
    { SX_EACCESS, SX_S3_ACCESS_DENIED },
    { SX_ENOUSER, SX_S3_INVALID_ACCESS_KEY },
    { SX_ENOVOLUME, SX_S3_NO_SUCH_BUCKET },
    { SX_ENOFILE, SX_S3_NO_SUCH_KEY },
    { SX_ENOREVISION, SX_S3_NO_SUCH_VERSION },
    { SX_ENOJOB, SX_S3_NO_SUCH_CONFIGURATION },
    { SX_ENOUPLOAD, SX_S3_NO_SUCH_UPLOAD },
    { SX_ENOTFOUND, SX_S3_NO_SUCH_KEY },
    { SX_EMETHOD, SX_S3_METHOD_NOT_ALLOWED },
    { SX_EEXIST, SX_S3_BUCKET_ALREADY_EXISTS },
    { SX_ENOTEMPTY, SX_S3_BUCKET_NOT_EMPTY },
    { SX_ECONFLICT, SX_S3_OPERATION_ABORTED },
    { SX_EPRECONDITION, SX_S3_PRECONDITION_FAILED },
    { SX_ETOOBIG, SX_S3_ENTITY_TOO_LARGE },
    { SX_EQUOTA, SX_S3_QUOTA_EXCEEDED },
    { SX_ERANGE, SX_S3_INVALID_RANGE },
    { SX_ELEASE, SX_S3_SERVICE_UNAVAILABLE },
    { SX_ETOKEN, SX_S3_INVALID_TOKEN },
    { SX_EVOLUMES, SX_S3_TOO_MANY_BUCKETS },
    { SX_ETOOMANY, SX_S3_SLOW_DOWN },
    { SX_ECANCELED, SX_S3_REQUEST_TIMEOUT },
    { SX_ECORRUPT, SX_S3_SERVICE_UNAVAILABLE },
    { SX_ENOMEM, SX_S3_SERVICE_UNAVAILABLE },
    { SX_EUNAVAIL, SX_S3_SERVICE_UNAVAILABLE },
    { SX_ENOLEADER, SX_S3_SERVICE_UNAVAILABLE },
    { SX_ETIMEOUT, SX_S3_SERVICE_UNAVAILABLE },
    { SX_ENOSPACE, SX_S3_INSUFFICIENT_STORAGE },
    { SX_EREPLICA, SX_S3_INVALID_ARGUMENT },
    { SX_EQUORUM, SX_S3_SERVICE_UNAVAILABLE },
    { SX_EHEADER, SX_S3_REQUEST_HEADER_TOO_LARGE },
    { SX_ENET, SX_S3_SERVICE_UNAVAILABLE },
    { SX_EUNSUPPORTED, SX_S3_NOT_IMPLEMENTED },
    { SX_EVERSION, SX_S3_INVALID_REQUEST },
    { SX_EKEY, SX_S3_SSE_CUSTOMER_KEY },
    { SX_ENOTLEADER, SX_S3_SERVICE_UNAVAILABLE },
    { SX_EUSAGE, SX_S3_INVALID_REQUEST },
    { SX_ENOKEY, SX_S3_INVALID_ACCESS_KEY },
};

enum sx_s3_code sx_s3_err_map(int code)
{
    if (code >= SX_S3_ERR_BASE && code < SX_S3_ERR_END)
        return (enum sx_s3_code)code;
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if ((int)map[i].from == code)
            return map[i].to;
    return SX_S3_INTERNAL_ERROR;
}

static const struct row *row_of(int code)
{
    return &rows[sx_s3_err_map(code) - SX_S3_ERR_BASE];
}

const char *sx_s3_err_name(int code)
{
    return row_of(code)->name;
}

int sx_s3_err_http(int code)
{
    return row_of(code)->http;
}

const char *sx_s3_err_text(int code)
{
    return row_of(code)->text;
}

int sx_s3_fail(struct sx_err *e, enum sx_s3_code code)
{
    return sx_err_set(e, (int)code, "%s", sx_s3_err_text((int)code));
}

bool sx_s3_err_internal(int code)
{
    if (code >= SX_S3_ERR_BASE)
        return false;
    return sx_s3_err_http(code) >= 500 && code != SX_EUNSUPPORTED;
}

void sx_s3_err_signature(const struct sx_sig_claim *c, struct sx_err *e)
{
    static const enum sx_s3_code codes[] = {
        [SX_SIG_GOOD] = SX_S3_ACCESS_DENIED,
        [SX_SIG_MALFORMED] = SX_S3_AUTH_HEADER_MALFORMED,
        [SX_SIG_UNSUPPORTED] = SX_S3_INVALID_ARGUMENT,
        [SX_SIG_CONFLICT] = SX_S3_INVALID_ARGUMENT,
        [SX_SIG_NO_DATE] = SX_S3_ACCESS_DENIED,
        [SX_SIG_PAYLOAD] = SX_S3_INVALID_ARGUMENT,
        [SX_SIG_SCOPE] = SX_S3_AUTH_HEADER_MALFORMED,
        [SX_SIG_UNSIGNED] = SX_S3_ACCESS_DENIED,
        [SX_SIG_SKEWED] = SX_S3_REQUEST_TIME_TOO_SKEWED,
        [SX_SIG_NOT_YET] = SX_S3_REQUEST_EXPIRED,
        [SX_SIG_EXPIRED] = SX_S3_REQUEST_EXPIRED,
        [SX_SIG_EXPIRES] = SX_S3_AUTH_QUERY_PARAMS,
        [SX_SIG_MISMATCH] = SX_S3_SIGNATURE_MISMATCH,
    };
    enum sx_s3_code code = codes[c->fault];

    if (code == SX_S3_AUTH_HEADER_MALFORMED &&
        (c->kind == SX_SIG_V4_QUERY || c->kind == SX_SIG_V2_QUERY))
        code = SX_S3_AUTH_QUERY_PARAMS;
    if (code == SX_S3_AUTH_HEADER_MALFORMED &&
        (c->kind == SX_SIG_V4_POST || c->kind == SX_SIG_V2_POST))
        code = SX_S3_INVALID_ARGUMENT;
    e->code = (int)code;
}

void sx_s3_err_xml(struct sx_buf *out, const struct sx_err *e, const struct sx_s3_err_place *p)
{
    const char *message = e->msg[0] ? e->msg : sx_s3_err_text(e->code);

    if (sx_s3_err_internal(e->code))
        message = sx_s3_err_text(e->code);
    sx_xml_begin(out);
    sx_xml_open(out, "Error");
    sx_xml_elem(out, "Code", sx_s3_err_name(e->code));
    sx_xml_elem(out, "Message", message);
    for (const struct sx_s3_err_extra *x = p->extra; x && x->name; x++)
        if (x->value)
            sx_xml_elem(out, x->name, x->value);
    if (p->resource)
        sx_xml_elem(out, "Resource", p->resource);
    sx_xml_elem(out, "RequestId", p->request_id);
    sx_xml_elem(out, "HostId", p->host_id);
    sx_xml_close(out, "Error");
}
