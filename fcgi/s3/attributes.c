/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GetObjectAttributes, and where the parts of an object that was uploaded in parts begin.
 *
 * The object has its parts' contents one behind the other; the parts are numbered from 1, whatever
 * numbers they were uploaded with.  Only the last one can be empty; it is no content, so it is known
 * from the number of parts alone.
 */
#include <stdlib.h>
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "fcgi/s3/multipart.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"

#define PARTS_MAX 1000u /* in one answer */

/* ---- parts ---- */

uint32_t sx_s3_parts(const json_t *items)
{
    const char *n = sx_s3_item(items, "s3.parts");

    return n ? (uint32_t)strtoul(n, NULL, 10) : 0;
}

int sx_s3_part_offsets(struct sx_s3 *s, const struct sx_file *f, uint32_t first, uint64_t *offsets,
                       size_t n, struct sx_err *e)
{
    size_t found;

    for (size_t i = 0; i < n; i++)
        offsets[i] = first + i == 1 ? 0 : f->size;
    return sx_query_joints(s->db, f, first - 1, offsets, n, &found, e);
}

struct part_sums {
    uint32_t first; /* number of the first part */
    json_t **v;     /* items of parts, or NULL */
};

static void take_sum(void *ctx, uint64_t number, const struct sx_span *meta)
{
    struct part_sums *p = ctx;

    p->v[number + 1 - p->first] = sx_meta_items_json(meta->p, meta->n);
}

/* The checksum of a part that is no joint content is an item of the object. */
static json_t *sum_of_item(const json_t *items, size_t number)
{
    char name[32];
    json_t *sum;

    snprintf(name, sizeof name, SX_S3_PART_ITEM "%zu", number);
    sum = json_object_get(items, name);
    return sum ? json_pack("{s:O}", "s3.sum", sum) : NULL;
}

int sx_s3_part_sums_find(struct sx_s3 *s, const struct sx_file *f, const json_t *items,
                         uint32_t first, json_t **sums, size_t n, struct sx_err *e)
{
    struct part_sums found = { first, sums };

    for (size_t i = 0; i < n; i++)
        sums[i] = NULL;
    if (sx_query_joint_meta(s->db, f, first - 1, n, take_sum, &found, e) != 0) {
        for (size_t i = 0; i < n; i++)
            json_decref(sums[i]);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (!sums[i])
            sums[i] = sum_of_item(items, first + i);
    return 0;
}

/* ---- attributes ---- */

enum attribute { ETAG = 1, CHECKSUM = 2, OBJECT_PARTS = 4, STORAGE_CLASS = 8, OBJECT_SIZE = 16 };

struct attributes {
    struct sx_s3 *s;
    unsigned wanted; /* bits of enum attribute */
    uint64_t max, after;
    struct sx_file_row row;
    json_t *items;
    struct sx_buf out;
};

static void attributes_fini(struct attributes *a)
{
    sx_buf_fini(&a->out);
    sx_file_row_fini(&a->row);
    json_decref(a->items);
}

static unsigned attribute_bit(const char *name, size_t n)
{
    static const struct {
        const char *name;
        enum attribute bit;
    } names[] = { { "ETag", ETAG }, { "Checksum", CHECKSUM }, { "ObjectParts", OBJECT_PARTS },
                  { "StorageClass", STORAGE_CLASS }, { "ObjectSize", OBJECT_SIZE } };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == n && memcmp(names[i].name, name, n) == 0)
            return names[i].bit;
    return 0;
}

/* Names with commas between them. */
static int add_wanted(struct attributes *a, const char *list, struct sx_err *e)
{
    while (*list) {
        size_t n;
        unsigned bit;

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        bit = attribute_bit(list, n);
        if (n && !bit)
            return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid attribute name specified: %.*s",
                              (int)(n < 64 ? n : 64), list);
        a->wanted |= bit;
        list += n;
    }
    return 0;
}

/* A header that is a number, as the query has them. */
static int header_number(struct sx_s3 *s, const char *name, uint64_t dflt, uint64_t *v,
                         struct sx_err *e)
{
    const char *text = sx_s3_header(s, name);

    *v = dflt;
    if (!text)
        return 0;
    if (!*text || strlen(text) > 9 || text[strspn(text, "0123456789")])
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "%s: '%.32s' is not a number from 0 to 999999999",
                          name, text);
    *v = strtoull(text, NULL, 10);
    return 0;
}

static int read_request(struct attributes *a, struct sx_err *e)
{
    const struct sx_header *h = a->s->r->headers;

    for (size_t i = 0; i < a->s->r->n_headers; i++)
        if (strcmp(h[i].name, "x-amz-object-attributes") == 0 && add_wanted(a, h[i].value, e) != 0)
            return -1;
    if (!a->wanted)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "The x-amz-object-attributes header specifying the attributes to be retrieved"
                          " is either missing or empty");
    if (header_number(a->s, "x-amz-max-parts", PARTS_MAX, &a->max, e) != 0 ||
        header_number(a->s, "x-amz-part-number-marker", 0, &a->after, e) != 0)
        return -1;
    if (a->max > PARTS_MAX)
        a->max = PARTS_MAX;
    return 0;
}

/* One page of parts, behind number a->after. */
static int parts_elem(const struct attributes *a, struct sx_buf *out, struct sx_err *e)
{
    uint32_t all = sx_s3_parts(a->items), first;
    uint64_t offsets[PARTS_MAX + 1], n;
    json_t *sums[PARTS_MAX];

    if (!all)
        return 0;
    first = a->after < all ? (uint32_t)a->after + 1 : all + 1;
    n = all + 1 - first < a->max ? all + 1 - first : a->max;
    if (sx_s3_part_offsets(a->s, &a->row.f, first, offsets, n + 1, e) != 0 ||
        sx_s3_part_sums_find(a->s, &a->row.f, a->items, first, sums, n, e) != 0)
        return -1;
    sx_xml_open(out, "ObjectParts");
    sx_xml_elem_u64(out, "PartsCount", all);
    sx_xml_elem_u64(out, "PartNumberMarker", a->after);
    sx_xml_elem_u64(out, "NextPartNumberMarker", n ? first + n - 1 : a->after);
    sx_xml_elem_u64(out, "MaxParts", a->max);
    sx_xml_elem_bool(out, "IsTruncated", first + n <= all);
    for (uint64_t i = 0; i < n; i++) {
        sx_xml_open(out, "Part");
        sx_xml_elem_u64(out, "PartNumber", first + i);
        sx_xml_elem_u64(out, "Size", offsets[i + 1] - offsets[i]);
        sx_s3_part_sum_elem(out, sums[i]);
        sx_xml_close(out, "Part");
        json_decref(sums[i]);
    }
    sx_xml_close(out, "ObjectParts");
    return 0;
}

static int document(void *ctx, struct sx_err *e)
{
    struct attributes *a = ctx;
    struct sx_buf *out = &a->out;
    const char *class;
    char etag[SX_S3_ETAG_TEXT];

    if (sx_s3_find_object(a->s, &a->row, e) != 0)
        return -1;
    a->items = sx_s3_items(&a->row.f);
    if (sx_s3_customer_object(&a->s->customer, a->items, e) != 0)
        return -1;
    class = sx_s3_item(a->items, "s3.class");
    sx_s3_etag(&a->row.f, a->items, etag);
    sx_xml_begin(out);
    sx_xml_root(out, "GetObjectAttributesResponse");
    if (a->wanted & ETAG)
        sx_xml_elem(out, "ETag", etag);
    if (a->wanted & CHECKSUM && sx_s3_item(a->items, "s3.sum")) {
        sx_xml_open(out, "Checksum");
        sx_s3_sum_elems(out, a->items);
        sx_xml_close(out, "Checksum");
    }
    if (a->wanted & OBJECT_PARTS && parts_elem(a, out, e) != 0)
        return -1;
    if (a->wanted & STORAGE_CLASS)
        sx_xml_elem(out, "StorageClass", class ? class : "STANDARD");
    if (a->wanted & OBJECT_SIZE)
        sx_xml_elem_u64(out, "ObjectSize", a->row.f.size);
    sx_xml_close(out, "GetObjectAttributesResponse");
    return 0;
}

int sx_s3_get_attributes(struct sx_s3 *s, struct sx_err *e)
{
    __attribute__((cleanup(attributes_fini))) struct attributes a = { .s = s,
                                                                      .row = SX_FILE_ROW_INIT,
                                                                      .out = SX_BUF_INIT };
    char date[SX_HTTP_DATE_TEXT];

    if (read_request(&a, e) != 0 || sx_s3_key(s, e) != 0 ||
        sx_s3_at_once(s, document, &a, e) != 0)
        return -1;
    sx_s3_field(s, "Last-Modified: %s\r\n", sx_http_date(date, a.row.f.created_ms));
    sx_s3_version_field(s, &s->v, &a.row.f);
    sx_s3_customer_lines(&s->customer, &s->fields);
    return sx_s3_reply(s, 200, SX_S3_XML, &a.out);
}
