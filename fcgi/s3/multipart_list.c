/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ListParts and ListMultipartUploads.
 */
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "fcgi/s3/multipart.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define PAGE_MAX 1000u

static int read_number(const struct sx_s3 *s, const char *name, uint64_t dflt, uint64_t *v,
                       struct sx_err *e)
{
    static const uint64_t range[2] = { 0, INT32_MAX };

    return sx_s3_query_u64(&s->t.query, name, range, dflt, v, e);
}

static void user_elem(struct sx_buf *out, const char *name, const char *user)
{
    sx_xml_open(out, name);
    sx_xml_elem(out, "ID", user);
    sx_xml_elem(out, "DisplayName", user);
    sx_xml_close(out, name);
}

/* ---- parts ---- */

struct parts {
    struct sx_buf *out;
    uint64_t max, n;
    uint32_t last;
    bool more;
};

static bool part_elem(void *ctx, const struct sx_mpart *p)
{
    struct parts *l = ctx;
    SX_AUTO_JSON json_t *items = NULL;
    char etag[2 * SX_MD5_SIZE + 3] = "\"";

    if (l->n == l->max) {
        l->more = true;
        return false;
    }
    items = sx_meta_items_json(p->meta.p, p->meta.n);
    sx_hex(etag + 1, p->md5, SX_MD5_SIZE);
    strcat(etag, "\"");
    sx_xml_open(l->out, "Part");
    sx_xml_elem_u64(l->out, "PartNumber", p->number);
    sx_xml_elem_time(l->out, "LastModified", p->time_ms);
    sx_xml_elem(l->out, "ETag", etag);
    sx_xml_elem_u64(l->out, "Size", p->size);
    sx_s3_part_sum_elem(l->out, items);
    sx_xml_close(l->out, "Part");
    l->last = p->number;
    l->n++;
    return true;
}

int sx_s3_list_parts(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT, list = SX_BUF_INIT;
    SX_AUTO(sx_mupload) struct sx_mupload u = { .meta = SX_BUF_INIT };
    struct parts l = { .out = &list };
    uint64_t after;

    if (sx_s3_upload_find(s, &u, e) != 0 || read_number(s, "part-number-marker", 0, &after, e) != 0 ||
        read_number(s, "max-parts", PAGE_MAX, &l.max, e) != 0)
        return -1;
    if (l.max > PAGE_MAX)
        l.max = PAGE_MAX;
    l.last = (uint32_t)after;
    if (sx_query_mparts(s->db, u.id, (uint32_t)after, part_elem, &l, e) != 0)
        return -1;
    sx_xml_begin(&out);
    sx_xml_root(&out, "ListPartsResult");
    sx_xml_elem(&out, "Bucket", s->v.name);
    sx_xml_elem(&out, "Key", s->t.key);
    sx_xml_elem(&out, "UploadId", sx_s3_arg(s, "uploadId"));
    user_elem(&out, "Initiator", u.user);
    user_elem(&out, "Owner", s->v.owner);
    sx_xml_elem(&out, "StorageClass", "STANDARD");
    sx_xml_elem_u64(&out, "PartNumberMarker", after);
    if (l.more)
        sx_xml_elem_u64(&out, "NextPartNumberMarker", l.last);
    sx_xml_elem_u64(&out, "MaxParts", l.max);
    sx_xml_elem_bool(&out, "IsTruncated", l.more);
    sx_buf_add(&out, list.data, list.len);
    sx_xml_close(&out, "ListPartsResult");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* ---- uploads ---- */

struct uploads {
    struct sx_s3 *s;
    struct sx_buf *out, *folded;
    const char *prefix, *delimiter;
    bool url;
    uint64_t max, n;
    bool more;
    char last[SX_PATH_MAX + 1];      /* where a next page begins */
    char last_id[2 * SX_UPLOAD_ID + 1];
    char last_prefix[SX_PATH_MAX + 1]; /* folded last */
};

/* True if the upload is behind a delimiter; a folded prefix counts once. */
static bool fold(struct uploads *l, const struct sx_mupload *u)
{
    size_t n = strlen(l->prefix);
    const char *d = *l->delimiter ? strstr(u->path + n, l->delimiter) : NULL;

    if (!d)
        return false;
    n = (size_t)(d - u->path) + strlen(l->delimiter);
    if (strncmp(l->last_prefix, u->path, n) == 0 && !l->last_prefix[n])
        return true;
    memcpy(l->last_prefix, u->path, n);
    l->last_prefix[n] = '\0';
    sx_xml_open(l->folded, "CommonPrefixes");
    sx_xml_elem_key(l->folded, "Prefix", l->last_prefix, n, l->url);
    sx_xml_close(l->folded, "CommonPrefixes");
    l->n++;
    return true;
}

static bool upload_elem(void *ctx, const struct sx_mupload *u)
{
    struct uploads *l = ctx;
    char id[2 * SX_UPLOAD_ID + 1];

    if (l->n == l->max) {
        l->more = true;
        return false;
    }
    sx_hex(id, u->id, sizeof u->id);
    memcpy(l->last, u->path, sizeof l->last);
    memcpy(l->last_id, id, sizeof l->last_id);
    if (fold(l, u))
        return true;
    sx_xml_open(l->out, "Upload");
    sx_xml_elem_key(l->out, "Key", u->path, strlen(u->path), l->url);
    sx_xml_elem(l->out, "UploadId", id);
    user_elem(l->out, "Initiator", u->user);
    user_elem(l->out, "Owner", l->s->v.owner);
    sx_xml_elem(l->out, "StorageClass", "STANDARD");
    sx_xml_elem_time(l->out, "Initiated", u->created_ms);
    sx_xml_close(l->out, "Upload");
    l->n++;
    return true;
}

static const char *text_arg(const struct sx_s3 *s, const char *name)
{
    const char *v = sx_s3_arg(s, name);

    return v ? v : "";
}

static void key_elem(const struct uploads *l, struct sx_buf *out, const char *name, const char *key)
{
    sx_xml_elem_key(out, name, key, strlen(key), l->url);
}

static int reply_uploads(struct uploads *l, struct sx_buf *out)
{
    SX_AUTO(sx_buf) struct sx_buf all = SX_BUF_INIT;
    struct sx_s3 *s = l->s;

    sx_xml_begin(&all);
    sx_xml_root(&all, "ListMultipartUploadsResult");
    sx_xml_elem(&all, "Bucket", s->v.name);
    key_elem(l, &all, "KeyMarker", text_arg(s, "key-marker"));
    sx_xml_elem(&all, "UploadIdMarker", text_arg(s, "upload-id-marker"));
    if (l->more) {
        key_elem(l, &all, "NextKeyMarker", l->last);
        sx_xml_elem(&all, "NextUploadIdMarker", l->last_id);
    }
    if (*l->delimiter)
        key_elem(l, &all, "Delimiter", l->delimiter);
    key_elem(l, &all, "Prefix", l->prefix);
    sx_xml_elem_u64(&all, "MaxUploads", l->max);
    if (l->url)
        sx_xml_elem(&all, "EncodingType", "url");
    sx_xml_elem_bool(&all, "IsTruncated", l->more);
    sx_buf_add(&all, out->data, out->len);
    sx_buf_add(&all, l->folded->data, l->folded->len);
    sx_xml_close(&all, "ListMultipartUploadsResult");
    return sx_s3_reply(s, 200, SX_S3_XML, &all);
}

int sx_s3_list_uploads(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT, folded = SX_BUF_INIT;
    struct uploads l = { .s = s, .out = &out, .folded = &folded, .prefix = text_arg(s, "prefix"),
                         .delimiter = text_arg(s, "delimiter"),
                         .url = strcmp(text_arg(s, "encoding-type"), "url") == 0 };
    const char *id_text = text_arg(s, "upload-id-marker");
    uint8_t id[SX_UPLOAD_ID];

    if (read_number(s, "max-uploads", PAGE_MAX, &l.max, e) != 0)
        return -1;
    if (l.max > PAGE_MAX)
        l.max = PAGE_MAX;
    if (*id_text && sx_unhex(id, sizeof id, id_text) != 0)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid uploadId marker");
    if (sx_query_muploads(s->db, s->v.id, l.prefix, text_arg(s, "key-marker"), *id_text ? id : NULL,
                          upload_elem, &l, e) != 0)
        return -1;
    return reply_uploads(&l, &out);
}
