/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See target.h.
 */
#include "fcgi/s3/target.h"

#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

enum scope { SERVICE, BUCKET, OBJECT };
enum variant { PLAIN, COPY, LIST2, ID };

static const struct row {
    const char *name, *action, *method;
    enum scope scope;
    const char *sub;
    enum variant variant;
} rows[SX_S3_OP_N] = {
#define SX_S3_OP(sym, name, action, method, scope, sub, variant)                                   \
    { name, action, method, scope, sub, variant },
#include "fcgi/s3/ops.def"
#undef SX_S3_OP
};

/* Parameters that may stand without a value and name no operation. */
static const char *const plain_params[] = {
    "bucket-region", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "id",
    "key-marker", "list-type", "marker", "max-buckets", "max-keys", "max-parts", "max-uploads",
    "part-number-marker", "partNumber", "prefix", "select-type", "start-after",
    "upload-id-marker", "version-id-marker", "versionId", "x-id",
};

const char *sx_s3_op_name(enum sx_s3_op op)
{
    sx_assert(op < SX_S3_OP_N);
    return rows[op].name;
}

const char *sx_s3_op_action(enum sx_s3_op op, bool has_version)
{
    static const struct {
        enum sx_s3_op op;
        const char *action;
    } versions[] = {
        { SX_S3_OP_GET_OBJECT, "s3:GetObjectVersion" },
        { SX_S3_OP_HEAD_OBJECT, "s3:GetObjectVersion" },
        { SX_S3_OP_DELETE_OBJECT, "s3:DeleteObjectVersion" },
        { SX_S3_OP_GET_OBJECT_ATTRIBUTES, "s3:GetObjectVersionAttributes" },
        { SX_S3_OP_GET_OBJECT_ACL, "s3:GetObjectVersionAcl" },
        { SX_S3_OP_PUT_OBJECT_ACL, "s3:PutObjectVersionAcl" },
        { SX_S3_OP_GET_OBJECT_TAGGING, "s3:GetObjectVersionTagging" },
        { SX_S3_OP_PUT_OBJECT_TAGGING, "s3:PutObjectVersionTagging" },
        { SX_S3_OP_DELETE_OBJECT_TAGGING, "s3:DeleteObjectVersionTagging" },
        { SX_S3_OP_GET_OBJECT_TORRENT, "s3:GetObjectVersionTorrent" },
    };

    sx_assert(op < SX_S3_OP_N);
    for (size_t i = 0; has_version && i < sizeof versions / sizeof *versions; i++)
        if (versions[i].op == op)
            return versions[i].action;
    return rows[op].action;
}

/* Length of the host name without port and final dot; 0 if it begins with a dot, as none does. */
static size_t host_length(const char *host)
{
    size_t n;

    if (host[0] == '.')
        return 0;
    n = host[0] == '[' ? strcspn(host, "]") + (strchr(host, ']') != NULL) : strcspn(host, ":");
    return n && host[n - 1] == '.' ? n - 1 : n;
}

char *sx_s3_host_bucket(const char *host, const char *const *domains, size_t *matched)
{
    size_t n = host_length(host), bucket = 0;
    char *name;

    *matched = 0;
    for (const char *const *d = domains; d && *d; d++) {
        size_t len = strlen(*d);

        if (n < len || len < *matched || strncasecmp(host + n - len, *d, len) != 0)
            continue;
        if (n == len) {
            bucket = 0;
            *matched = len;
        } else if (n > len + 1 && host[n - len - 1] == '.') {
            bucket = n - len - 1;
            *matched = len;
        }
    }
    if (!bucket)
        return NULL;
    name = sx_strndup(host, bucket);
    for (char *p = name; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    return name;
}

static int bad_uri(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_INVALID_URI, "Couldn't parse the specified URI: %s.", what);
}

int sx_s3_key_decode(struct sx_buf *out, const char *s, size_t n, struct sx_err *e)
{
    size_t start = out->len;

    if (sx_pct_decode(out, s, n, NULL) != 0)
        return bad_uri(e, "the key has a bad percent-escape or a NUL");
    if (out->len - start > SX_S3_KEY_MAX)
        return sx_s3_fail(e, SX_S3_KEY_TOO_LONG);
    if (out->len == start || !sx_utf8_valid((char *)out->data + start, out->len - start))
        return bad_uri(e, "the key is empty or not UTF-8");
    return 0;
}

static int take_bucket(struct sx_s3_target *t, const char *s, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (sx_pct_decode(&b, s, n, NULL) != 0 || !sx_utf8_valid(sx_buf_cstr(&b), b.len))
        return bad_uri(e, "the bucket's name is malformed");
    if (b.len == 0 || b.len > SX_S3_BUCKET_ADDRESS_MAX)
        return sx_s3_fail(e, SX_S3_INVALID_BUCKET_NAME);
    t->bucket = sx_strdup(sx_buf_cstr(&b));
    return 0;
}

static int take_path(struct sx_s3_target *t, const struct sx_s3_request *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    const char *s = r->path;
    size_t matched;

    if (*s++ != '/')
        return bad_uri(e, "the path does not begin with a slash");
    t->bucket = r->host ? sx_s3_host_bucket(r->host, r->domains, &matched) : NULL;
    t->vhost = t->bucket != NULL;
    if (!t->vhost) {
        size_t n = strcspn(s, "/");

        if (!*s)
            return 0;
        if (take_bucket(t, s, n, e) != 0)
            return -1;
        s += n + (s[n] == '/');
    }
    if (!*s)
        return 0;
    if (sx_s3_key_decode(&key, s, strlen(s), e) != 0)
        return -1;
    t->key = sx_strdup(sx_buf_cstr(&key));
    return 0;
}

static bool in_list(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static bool is_subresource(const char *name)
{
    for (size_t i = 0; i < SX_S3_OP_N; i++)
        if (rows[i].sub[0] && strcmp(rows[i].sub, name) == 0)
            return true;
    return false;
}

/* The one subresource of the query, "" if it has none. */
static int find_subresource(const struct sx_s3_query *q, const char **sub, struct sx_err *e)
{
    *sub = "";
    for (unsigned i = 0; i < q->n; i++) {
        const char *name = q->v[i].name;

        if (is_subresource(name)) {
            if (**sub)
                return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                                  "Conflicting query string parameters: %s, %s", *sub, name);
            *sub = name;
        } else if (!q->v[i].value[0] && strncasecmp(name, "x-amz-", 6) != 0 &&
                   strncmp(name, "response-", 9) != 0 &&
                   !in_list(plain_params, sizeof plain_params / sizeof *plain_params, name)) {
            return sx_err_set(e, SX_S3_NOT_IMPLEMENTED,
                              "The query parameter '%.64s' is not implemented", name);
        }
    }
    return 0;
}

static bool variant_holds(enum variant v, const struct sx_s3_request *r,
                          const struct sx_s3_query *q)
{
    const char *list;

    switch (v) {
    case COPY:
        return r->has_copy_source;
    case LIST2:
        list = sx_s3_query_get(q, "list-type");
        return list && strcmp(list, "2") == 0;
    case ID:
        return sx_s3_query_get(q, "id") != NULL;
    case PLAIN:
        break;
    }
    return true;
}

static int find_op(struct sx_s3_target *t, const struct sx_s3_request *r, const char *sub,
                   struct sx_err *e)
{
    enum scope scope = t->key ? OBJECT : t->bucket ? BUCKET : SERVICE;
    bool preflight = strcmp(r->method, "OPTIONS") == 0;
    int found = -1;

    for (int i = 0; i < SX_S3_OP_N; i++) {
        const struct row *p = &rows[i];

        if (p->scope != scope || strcmp(p->method, r->method) != 0 ||
            (!preflight && strcmp(p->sub, sub) != 0) ||
            !variant_holds(p->variant, r, &t->query))
            continue;
        if (found < 0 || p->variant != PLAIN)
            found = i;
    }
    if (found < 0)
        return sx_s3_fail(e, SX_S3_METHOD_NOT_ALLOWED);
    t->op = (enum sx_s3_op)found;
    return 0;
}

/* A part has a number and an upload, or neither. */
static int check_part(const struct sx_s3_target *t, struct sx_err *e)
{
    bool part = sx_s3_query_get(&t->query, "partNumber") != NULL;

    if (t->op == SX_S3_OP_UPLOAD_PART || t->op == SX_S3_OP_UPLOAD_PART_COPY)
        return part ? 0
                    : sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                                 "uploadId is given without partNumber");
    if (part && (t->op == SX_S3_OP_PUT_OBJECT || t->op == SX_S3_OP_COPY_OBJECT))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "partNumber is given without uploadId");
    return 0;
}

int sx_s3_target_parse(const struct sx_s3_request *r, struct sx_s3_target *t, struct sx_err *e)
{
    const char *sub;

    memset(t, 0, sizeof *t);
    if (take_path(t, r, e) != 0 || sx_s3_query_parse(r->query, &t->query, e) != 0 ||
        find_subresource(&t->query, &sub, e) != 0 || find_op(t, r, sub, e) != 0)
        return -1;
    return check_part(t, e);
}

void sx_s3_target_fini(struct sx_s3_target *t)
{
    free(t->bucket);
    free(t->key);
    t->bucket = t->key = NULL;
    sx_s3_query_fini(&t->query);
}
