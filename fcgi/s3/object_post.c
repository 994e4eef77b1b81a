/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PostObject: a browser's form makes an object.  Its fields say who has signed, what the policy
 * allows and what other requests say in headers; all of them come before the file, so that nothing
 * of the file is taken from who may not send it.
 *
 *   fields ──► signature ──► policy ──► rights ──► file, streamed ──► object ──► 204, 201, 200, 303
 *
 * Source: "POST Object", S3 API Reference.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/form.h"
#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object_put.h"
#include "fcgi/s3/postpolicy.h"
#include "fcgi/s3/tags.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define PIECE (256u << 10)
#define KEPT 4u                                   /* headers of the request that stay */
#define FIELDS_MAX (SX_SIGV4_HEADERS_MAX - KEPT - 1)
#define FILENAME "${filename}"

struct post {
    struct sx_s3 *s;
    struct sx_form *form;
    struct sx_s3_field fields[FIELDS_MAX + 1]; /* one more for the bucket, or for tags as text */
    size_t n;
    struct sx_s3_post_range range;
    enum sx_sum_alg alg;        /* of the checksum that a field gives */
    uint8_t said[SX_SUM_MAX];
    struct sx_sums sums;
    struct sx_s3_put put;
    uint64_t size;
    bool file, ended;
    bool as_headers;            /* the fields are among the request's headers, */
    unsigned kept;              /* behind so many of its own */
};

static void post_fini(struct post *p)
{
    if (p->as_headers)
        p->s->r->n_headers = p->kept;
    for (size_t i = 0; i < p->n; i++) {
        free((char *)(uintptr_t)p->fields[i].name);
        free((char *)(uintptr_t)p->fields[i].value);
    }
    sx_form_free(p->form);
    sx_sums_fini(&p->sums);
    sx_s3_put_fini(&p->put);
}

/* ---- fields ---- */

static const char *field(const struct post *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->fields[i].name, name) == 0)
            return p->fields[i].value;
    return NULL;
}

static void set_field(struct post *p, const char *name, const char *value)
{
    char *lower = sx_strdup(name);

    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    p->fields[p->n++] = (struct sx_s3_field){ lower, sx_strdup(value) };
}

static int add_field(struct post *p, const char *name, const char *value, struct sx_err *e)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcasecmp(p->fields[i].name, name) == 0)
            return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The field '%.64s' is there twice", name);
    if (p->n == FIELDS_MAX)
        return sx_err_set(e, SX_S3_MAX_POST_PRE_DATA, "The form has more than %u fields",
                          FIELDS_MAX);
    if (strcasecmp(name, "bucket") == 0)
        return strcmp(value, p->s->t.bucket) == 0
                   ? 0 : sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                                    "The field bucket is not the bucket of the request");
    set_field(p, name, value);
    return 0;
}

/* Some browsers send the path that the user sees. */
static const char *base_name(const char *path)
{
    const char *name = path;

    for (; *path; path++)
        if (*path == '/' || *path == '\\')
            name = path + 1;
    return name;
}

/* The object's key, with the file's name in it where the field says so. */
static int set_key(struct post *p, const char *filename, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    const char *at, *text = field(p, "key");

    if (!text)
        return sx_s3_fail(e, SX_S3_USER_KEY_MUST_BE_SPECIFIED);
    for (; (at = strstr(text, FILENAME)) != NULL; text = at + strlen(FILENAME)) {
        sx_buf_add(&key, text, (size_t)(at - text));
        sx_buf_str(&key, base_name(filename));
    }
    sx_buf_str(&key, text);
    if (key.len == 0)
        return sx_s3_fail(e, SX_S3_USER_KEY_MUST_BE_SPECIFIED);
    if (key.len > SX_S3_KEY_MAX)
        return sx_s3_fail(e, SX_S3_KEY_TOO_LONG);
    if (!sx_utf8_valid((const char *)key.data, key.len))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The key is not UTF-8");
    p->s->t.key = sx_strdup(sx_buf_cstr(&key));
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->fields[i].name, "key") == 0) {
            free((char *)(uintptr_t)p->fields[i].value);
            p->fields[i].value = sx_strdup(p->s->t.key);
        }
    return 0;
}

/* ---- who, and may he ---- */

static int authenticate(struct post *p, struct sx_err *e)
{
    const struct sx_sig_form f = { .policy = field(p, "policy"),
                                   .algorithm = field(p, "x-amz-algorithm"),
                                   .credential = field(p, "x-amz-credential"),
                                   .date = field(p, "x-amz-date"),
                                   .signature = field(p, "x-amz-signature"),
                                   .v2_key = field(p, "awsaccesskeyid"),
                                   .v2_signature = field(p, "signature") };
    static const struct sx_sig_request none; /* a form's signature covers its policy only */

    if (sx_sig_read_form(&f, &p->s->claim, e) != 0) {
        sx_s3_err_signature(&p->s->claim, e);
        return -1;
    }
    if (field(p, "x-amz-security-token"))
        return sx_s3_fail(e, SX_S3_INVALID_TOKEN);
    return sx_s3_claim_verify(p->s, &none, f.policy, e);
}

static int check_policy(struct post *p, struct sx_err *e)
{
    struct sx_s3_post c = { .policy = field(p, "policy"), .fields = p->fields, .n_fields = p->n + 1,
                            .now_ms = sx_wall_ms() };

    p->range = (struct sx_s3_post_range){ 0, UINT64_MAX };
    if (!c.policy)
        return 0; /* nobody has signed: the bucket's policy may allow it all the same */
    p->fields[p->n] = (struct sx_s3_field){ "bucket", p->s->t.bucket };
    return sx_s3_post_check(&c, &p->range, e);
}

static int check_form(struct post *p, struct sx_err *e)
{
    return authenticate(p, e) != 0 || check_policy(p, e) != 0 || sx_s3_bucket_open(p->s, e) != 0
               ? -1 : 0;
}

/* ---- fields that stand for headers ---- */

/* Of the request's own headers those stay that do not speak of the object. */
static void keep_headers(struct sx_req *r)
{
    static const char *const names[KEPT] = { "host", "origin", "referer", "user-agent" };
    unsigned n = 0;

    for (unsigned i = 0; i < r->n_headers; i++)
        for (unsigned k = 0; k < KEPT; k++)
            if (strcmp(r->headers[i].name, names[k]) == 0 && n < KEPT) {
                r->headers[n++] = r->headers[i];
                break;
            }
    r->n_headers = n;
}

/* The field tagging is XML; as a header it is text. */
static int read_tagging(struct post *p, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const char *xml = field(p, "tagging");

    if (!xml || field(p, "x-amz-tagging"))
        return 0;
    if (sx_xml_parse(xml, strlen(xml), "Tagging", &doc, e) != 0 ||
        sx_s3_tags_check_xml(sx_xml_top(doc), SX_S3_OBJECT_TAGS_MAX, e) != 0)
        return -1;
    sx_s3_tags_text(sx_xml_top(doc), &text);
    set_field(p, "x-amz-tagging", sx_buf_cstr(&text));
    return 0;
}

static int fields_to_headers(struct post *p, struct sx_err *e)
{
    struct sx_req *r = p->s->r;

    if (read_tagging(p, e) != 0)
        return -1;
    keep_headers(r);
    p->as_headers = true;
    p->kept = r->n_headers;
    for (size_t i = 0; i < p->n; i++) {
        const char *name = p->fields[i].name;

        if (strcmp(name, "acl") == 0)
            name = "x-amz-acl";
        if (!sx_s3_header(p->s, name))
            r->headers[r->n_headers++] = (struct sx_header){ name, p->fields[i].value };
    }
    return 0;
}

static int read_checksum(struct post *p, struct sx_err *e)
{
    p->alg = SX_SUM_NONE;
    for (size_t i = 0; i < p->n; i++) {
        enum sx_sum_alg alg = sx_sum_by_header(p->fields[i].name);

        if (alg == SX_SUM_NONE)
            continue;
        if (p->alg != SX_SUM_NONE)
            return sx_err_set(e, SX_S3_INVALID_REQUEST, "Expecting a single x-amz-checksum- field");
        if (sx_sum_parse(alg, p->fields[i].value, p->said, NULL, e) != 0)
            return -1;
        p->alg = alg;
    }
    if (p->alg != SX_SUM_NONE)
        sx_sums_init(&p->sums, SX_SUM_BIT(p->alg));
    return 0;
}

/* ---- the file ---- */

/* Once the fields are headers: the bucket's policy may look at them. */
static int authorise(struct post *p, struct sx_err *e)
{
    return sx_s3_allowed(p->s, "s3:PutObject", p->s->t.key, SX_RIGHT_WRITE, e);
}

static int begin_file(struct post *p, const char *filename, struct sx_err *e)
{
    p->file = true;
    return set_key(p, filename, e) != 0 || check_form(p, e) != 0 || read_checksum(p, e) != 0 ||
                   fields_to_headers(p, e) != 0 || authorise(p, e) != 0 ||
                   sx_s3_put_begin(&p->put, p->s, e) != 0
               ? -1 : 0;
}

static int add_data(struct post *p, const uint8_t *data, size_t n, struct sx_err *e)
{
    if (n > p->range.max - p->size)
        return sx_s3_fail(e, SX_S3_ENTITY_TOO_LARGE);
    p->size += n;
    sx_sums_add(&p->sums, data, n);
    return sx_ingest_add(p->put.ingest, data, n, e);
}

static int take(struct post *p, const struct sx_form_piece *piece, struct sx_err *e)
{
    switch (piece->event) {
    case SX_FORM_FIELD:
        return add_field(p, piece->name, piece->value, e);
    case SX_FORM_FILE:
        return begin_file(p, piece->value, e);
    case SX_FORM_DATA:
        return add_data(p, piece->data, piece->n, e);
    case SX_FORM_END:
        p->ended = true;
        break;
    case SX_FORM_MORE:
        break;
    }
    return 0;
}

static int read_form(struct post *p, struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *bytes = sx_malloc(PIECE);
    struct sx_form_piece piece;
    size_t got = 1;

    while (got > 0) {
        if (sx_req_read(p->s->r, bytes, PIECE, &got, e) != 0)
            return sx_s3_fail(e, SX_S3_INCOMPLETE_BODY);
        sx_form_feed(p->form, bytes, got);
        do {
            if (sx_form_next(p->form, &piece, e) != 0 || take(p, &piece, e) != 0)
                return -1;
        } while (piece.event != SX_FORM_MORE);
    }
    if (!p->ended)
        return sx_err_set(e, SX_S3_MALFORMED_POST, "The form ends before its %s does",
                          p->file ? "file" : "fields");
    return p->size < p->range.min ? sx_s3_fail(e, SX_S3_ENTITY_TOO_SMALL) : 0;
}

static int store(struct post *p, struct sx_err *e)
{
    if (p->alg != SX_SUM_NONE) {
        sx_sums_end(&p->sums);
        if (sx_sum_compare(p->alg, p->said, p->sums.value[p->alg], e) != 0)
            return -1;
    }
    if (sx_s3_put_end(&p->put, e) != 0)
        return -1;
    if (p->alg != SX_SUM_NONE && p->alg != SX_SUM_MD5)
        sx_s3_sum_set(p->put.items, p->alg, p->sums.value[p->alg]);
    if (sx_s3_put_commit(&p->put, e) != 0)
        return -1;
    sx_s3_put_fields(&p->put);
    return 0;
}

/* ---- the answer ---- */

static void location(const struct post *p, struct sx_buf *out)
{
    sx_s3_location(p->s, out);
    while (out->len && out->data[out->len - 1] == '/')
        out->len--;
    sx_buf_u8(out, '/');
    sx_pct_encode(out, p->s->t.key, strlen(p->s->t.key), true);
}

/* http://… or https://… of printable characters, or NULL: then it is as if it were not there. */
static const char *redirect(const struct post *p)
{
    const char *to = field(p, "success_action_redirect");

    if (!to)
        to = field(p, "redirect");
    if (!to || (strncmp(to, "http://", 7) != 0 && strncmp(to, "https://", 8) != 0))
        return NULL;
    for (const char *c = to; *c; c++)
        if (*c <= ' ' || *c > '~')
            return NULL;
    return to;
}

static int reply_redirect(struct post *p, const char *to)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_buf_printf(&b, "%s%cbucket=", to, strchr(to, '?') ? '&' : '?');
    sx_pct_encode(&b, p->s->t.bucket, strlen(p->s->t.bucket), false);
    sx_buf_str(&b, "&key=");
    sx_pct_encode(&b, p->s->t.key, strlen(p->s->t.key), false);
    sx_buf_printf(&b, "&etag=%%22%s%%22", sx_s3_item(p->put.items, "s3.etag"));
    sx_s3_field(p->s, "Location: %s\r\n", sx_buf_cstr(&b));
    return sx_s3_reply_empty(p->s, 303);
}

static int reply_document(struct post *p, const char *where)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    char etag[SX_S3_ETAG_TEXT + 2];

    snprintf(etag, sizeof etag, "\"%s\"", sx_s3_item(p->put.items, "s3.etag"));
    sx_xml_begin(&out);
    sx_xml_open(&out, "PostResponse");
    sx_xml_elem(&out, "Location", where);
    sx_xml_elem(&out, "Bucket", p->s->t.bucket);
    sx_xml_elem(&out, "Key", p->s->t.key);
    sx_xml_elem(&out, "ETag", etag);
    sx_xml_close(&out, "PostResponse");
    return sx_s3_reply(p->s, 201, SX_S3_XML, &out);
}

static int reply(struct post *p)
{
    SX_AUTO(sx_buf) struct sx_buf where = SX_BUF_INIT;
    const char *to = redirect(p), *status = field(p, "success_action_status");

    if (to)
        return reply_redirect(p, to);
    location(p, &where);
    sx_s3_field(p->s, "Location: %s\r\n", sx_buf_cstr(&where));
    if (status && strcmp(status, "201") == 0)
        return reply_document(p, sx_buf_cstr(&where));
    return sx_s3_reply_empty(p->s, status && strcmp(status, "200") == 0 ? 200 : 204);
}

int sx_s3_post_object(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(post_fini))) struct post p = { .s = s };

    if (sx_form_open(&p.form, sx_s3_header(s, "content-type"), e) != 0 || read_form(&p, e) != 0 ||
        store(&p, e) != 0)
        return -1;
    return reply(&p);
}
