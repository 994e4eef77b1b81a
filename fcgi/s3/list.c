/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ListObjects, ListObjectsV2, ListObjectVersions: one ordered scan (fcgi/meta/query.h), three
 * documents.  Source: their pages in the S3 API Reference; the rules of NextMarker are ListObjects'.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define PAGES_MAX 64u /* of the scan, for one answer: names that are looked at and not shown */

/* A listing as it was asked for, and what came of it. */
struct listing {
    struct sx_s3 *s;
    const char *prefix, *delimiter, *after;
    uint64_t after_rev, max;
    bool versions, url, owner;
    json_t *files, *prefixes;
    char *next;          /* NULL: the end */
    char next_rev[SX_S3_VERSION_TEXT];
};

static void listing_fini(struct listing *l)
{
    json_decref(l->files);
    json_decref(l->prefixes);
    free(l->next);
}

static const char *text_arg(const struct sx_s3 *s, const char *name)
{
    const char *v = sx_s3_arg(s, name);

    return v ? v : "";
}

static int read_common(struct listing *l, struct sx_err *e)
{
    static const uint64_t range[2] = { 0, INT32_MAX };
    const char *encoding = sx_s3_arg(l->s, "encoding-type");

    l->prefix = text_arg(l->s, "prefix");
    l->delimiter = text_arg(l->s, "delimiter");
    l->url = encoding && strcmp(encoding, "url") == 0;
    if (encoding && !l->url)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid Encoding Method specified in Request");
    if (sx_s3_query_u64(&l->s->t.query, "max-keys", range, SX_LIST_MAX, &l->max, e) != 0)
        return -1;
    if (l->max > SX_LIST_MAX)
        l->max = SX_LIST_MAX;
    return 0;
}

/* One page of the scan, added to what there is. */
static int add_page(struct listing *l, uint64_t left, struct sx_err *e)
{
    struct sx_list q = { .prefix = l->prefix, .after = l->next ? l->next : l->after,
                         .delimiter = l->delimiter, .limit = (unsigned)left,
                         .versions = l->versions, .after_rev = l->after_rev };
    SX_AUTO_JSON json_t *page = NULL;
    const char *next, *rev;

    if (strlen(q.prefix) > SX_PATH_MAX || strlen(q.delimiter) > SX_PATH_MAX)
        return 0; /* no key is as long as that */
    if (sx_query_list_json(l->s->db, l->s->v.id, &q, &page, e) != 0)
        return -1;
    json_array_extend(l->files, json_object_get(page, "files"));
    json_array_extend(l->prefixes, json_object_get(page, "prefixes"));
    next = json_string_value(json_object_get(page, "next"));
    rev = json_string_value(json_object_get(page, "next_rev"));
    free(l->next);
    l->next = next ? sx_strdup(next) : NULL;
    snprintf(l->next_rev, sizeof l->next_rev, "%s", rev ? rev : "");
    l->after_rev = 0;
    return rev ? sx_s3_rev_parse(rev, &l->after_rev, e) : 0;
}

/* Pages of the scan may be short; S3's are full unless the listing ends. */
static int run(struct listing *l, struct sx_err *e)
{
    uint64_t have = 0;

    l->files = json_array();
    l->prefixes = json_array();
    for (unsigned pages = 0; have < l->max && pages < PAGES_MAX; pages++) {
        if (add_page(l, l->max - have, e) != 0)
            return -1;
        have = json_array_size(l->files) + json_array_size(l->prefixes);
        if (!l->next)
            return 0;
    }
    return 0;
}

/* ---- elements ---- */

static void key_elem(const struct listing *l, struct sx_buf *out, const char *name, const char *key)
{
    sx_xml_elem_key(out, name, key, strlen(key), l->url);
}

static void owner_elem(const struct listing *l, struct sx_buf *out)
{
    sx_xml_open(out, "Owner");
    sx_xml_elem(out, "ID", l->s->v.owner);
    sx_xml_elem(out, "DisplayName", l->s->v.owner);
    sx_xml_close(out, "Owner");
}

/* What an object and a version have in common; F is that of docs/api.md. */
static void facts_elems(const json_t *f, struct sx_buf *out)
{
    const json_t *items = json_object_get(f, "meta");
    const char *etag = sx_s3_item(items, "s3.etag"), *class = sx_s3_item(items, "s3.class");
    const char *sum = sx_s3_item(items, "s3.sum");
    char text[SX_S3_ETAG_TEXT + 2];

    snprintf(text, sizeof text, etag ? "\"%s\"" : "\"%s-1\"",
             etag ? etag : json_string_value(json_object_get(f, "etag")));
    sx_xml_elem(out, "ETag", text);
    if (sum) {
        SX_AUTO_FREE char *alg = sx_strndup(sum, strcspn(sum, " "));

        sx_xml_elem(out, "ChecksumAlgorithm", alg);
    }
    sx_xml_elem_u64(out, "Size", (uint64_t)json_integer_value(json_object_get(f, "size")));
    sx_xml_elem(out, "StorageClass", class ? class : "STANDARD");
}

static uint64_t created_ms(const json_t *f)
{
    return (uint64_t)json_integer_value(json_object_get(f, "created_ms"));
}

static void object_elem(const struct listing *l, const json_t *f, struct sx_buf *out)
{
    sx_xml_open(out, "Contents");
    key_elem(l, out, "Key", json_string_value(json_object_get(f, "path")));
    sx_xml_elem_time(out, "LastModified", created_ms(f));
    facts_elems(f, out);
    if (l->owner)
        owner_elem(l, out);
    sx_xml_close(out, "Contents");
}

static void version_elem(const struct listing *l, const json_t *f, struct sx_buf *out)
{
    bool marker = json_is_true(json_object_get(f, "deleted"));
    bool is_null = json_is_true(json_object_get(f, "null"));
    const char *name = marker ? "DeleteMarker" : "Version";

    sx_xml_open(out, name);
    key_elem(l, out, "Key", json_string_value(json_object_get(f, "path")));
    sx_xml_elem(out, "VersionId",
                is_null ? "null" : json_string_value(json_object_get(f, "rev")));
    sx_xml_elem_bool(out, "IsLatest", json_is_true(json_object_get(f, "newest")));
    sx_xml_elem_time(out, "LastModified", created_ms(f));
    if (!marker)
        facts_elems(f, out);
    owner_elem(l, out);
    sx_xml_close(out, name);
}

static void prefix_elems(const struct listing *l, struct sx_buf *out)
{
    json_t *p;
    size_t i;

    json_array_foreach(l->prefixes, i, p) {
        sx_xml_open(out, "CommonPrefixes");
        key_elem(l, out, "Prefix", json_string_value(p));
        sx_xml_close(out, "CommonPrefixes");
    }
}

static void head_elems(const struct listing *l, struct sx_buf *out, const char *root)
{
    sx_xml_begin(out);
    sx_xml_root(out, root);
    sx_xml_elem(out, "Name", l->s->v.name);
    key_elem(l, out, "Prefix", l->prefix);
    if (*l->delimiter)
        key_elem(l, out, "Delimiter", l->delimiter);
    sx_xml_elem_u64(out, "MaxKeys", l->max);
    if (l->url)
        sx_xml_elem(out, "EncodingType", "url");
    sx_xml_elem_bool(out, "IsTruncated", l->next != NULL);
}

static int reply(const struct listing *l, struct sx_buf *out, const char *root)
{
    sx_xml_close(out, root);
    return sx_s3_reply(l->s, 200, SX_S3_XML, out);
}

static void object_elems(const struct listing *l, struct sx_buf *out)
{
    json_t *f;
    size_t i;

    json_array_foreach(l->files, i, f)
        object_elem(l, f, out);
    prefix_elems(l, out);
}

/* ---- the three ---- */

int sx_s3_list_v1(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(listing_fini))) struct listing l = { .s = s, .owner = true };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    if (sx_s3_arg(s, "list-type"))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "list-type is not 2");
    l.after = text_arg(s, "marker");
    if (read_common(&l, e) != 0 || run(&l, e) != 0)
        return -1;
    head_elems(&l, &out, "ListBucketResult");
    key_elem(&l, &out, "Marker", l.after);
    if (l.next && *l.delimiter)
        key_elem(&l, &out, "NextMarker", l.next);
    object_elems(&l, &out);
    return reply(&l, &out, "ListBucketResult");
}

/* A continuation token is the name to go on behind, in base64: nothing in it is secret, and whoever
 * makes one up is told no more than start-after would tell him. */
static int read_token(const char *token, struct sx_buf *name, struct sx_err *e)
{
    if (sx_unbase64(name, token, strlen(token), NULL) != 0 || name->len == 0 ||
        memchr(name->data, 0, name->len) || name->len > SX_PATH_MAX)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "The continuation token provided is incorrect");
    return 0;
}

int sx_s3_list_v2(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(listing_fini))) struct listing l = { .s = s };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT, from = SX_BUF_INIT, next = SX_BUF_INIT;
    const char *token = sx_s3_arg(s, "continuation-token"), *fetch = sx_s3_arg(s, "fetch-owner");

    l.after = text_arg(s, "start-after");
    l.owner = sx_s3_is_true(fetch);
    if (token && read_token(token, &from, e) != 0)
        return -1;
    if (token)
        l.after = sx_buf_cstr(&from);
    if (read_common(&l, e) != 0 || run(&l, e) != 0)
        return -1;
    head_elems(&l, &out, "ListBucketResult");
    sx_xml_elem_u64(&out, "KeyCount", json_array_size(l.files) + json_array_size(l.prefixes));
    sx_xml_elem(&out, "ContinuationToken", token);
    if (l.next) {
        sx_base64(&next, l.next, strlen(l.next), true);
        sx_xml_elem(&out, "NextContinuationToken", sx_buf_cstr(&next));
    }
    if (sx_s3_arg(s, "start-after"))
        key_elem(&l, &out, "StartAfter", sx_s3_arg(s, "start-after"));
    object_elems(&l, &out);
    return reply(&l, &out, "ListBucketResult");
}

/* The version that a page goes on behind: "null" has to be looked for.  Where that was is not known once it
 * has gone, so all that is left of its key is told then. */
static int read_version_marker(struct listing *l, const char *marker, struct sx_err *e)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    int r;

    if (strcmp(marker, "null") != 0)
        return sx_s3_rev_parse(marker, &l->after_rev, e);
    r = sx_query_null(l->s->db, l->s->v.id, l->after, &row, NULL);
    l->after_rev = r == 0 ? row.f.rev : UINT64_MAX;
    sx_file_row_fini(&row);
    return 0;
}

int sx_s3_list_versions(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(listing_fini))) struct listing l = { .s = s, .versions = true };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    const char *marker = text_arg(s, "version-id-marker");
    json_t *f;
    size_t i;

    l.after = text_arg(s, "key-marker");
    if (*marker && !*l.after)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "A version-id marker cannot be specified without a key marker.");
    if (read_common(&l, e) != 0 || (*marker && read_version_marker(&l, marker, e) != 0) ||
        run(&l, e) != 0)
        return -1;
    head_elems(&l, &out, "ListVersionsResult");
    key_elem(&l, &out, "KeyMarker", l.after);
    sx_xml_elem(&out, "VersionIdMarker", marker);
    if (l.next) {
        key_elem(&l, &out, "NextKeyMarker", l.next);
        sx_xml_elem(&out, "NextVersionIdMarker", *l.next_rev ? l.next_rev : NULL);
    }
    json_array_foreach(l.files, i, f)
        version_elem(&l, f, &out);
    prefix_elems(&l, &out);
    return reply(&l, &out, "ListVersionsResult");
}
