/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checksums of objects and parts, kept as items (see facts.h, multipart.h).
 *
 *   of an object   "<ALGORITHM> <base64>[-N] FULL_OBJECT|COMPOSITE"
 *   of a part      "<ALGORITHM> <base64>"
 *   of an upload   "<ALGORITHM> FULL_OBJECT|COMPOSITE"
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/multipart.h"
#include "libsx/base/mem.h"

#define FULL "FULL_OBJECT"
#define COMPOSITE "COMPOSITE"
#define TEXT_MAX 80
/* What stands in such an item; a native client could have put anything there. */
#define WORDS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ "

/* The words of an item. */
struct words {
    char text[3 * TEXT_MAX];
    const char *w[3]; /* "" if missing */
};

static bool split(const json_t *items, struct words *s)
{
    const char *item = sx_s3_item(items, "s3.sum");
    char *save = NULL;

    s->w[0] = s->w[1] = s->w[2] = "";
    if (!item || strlen(item) >= sizeof s->text || item[strspn(item, WORDS)])
        return false;
    memcpy(s->text, item, strlen(item) + 1);
    for (int i = 0; i < 3; i++) {
        const char *word = strtok_r(i ? NULL : s->text, " ", &save);

        s->w[i] = word ? word : "";
    }
    return true;
}

static void set_item(json_t *items, enum sx_sum_alg alg, const uint8_t *value, unsigned n_parts,
                     const char *type)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_buf_printf(&b, "%s ", sx_sum_info(alg)->name);
    sx_sum_text(&b, alg, value, n_parts);
    if (type)
        sx_buf_printf(&b, " %s", type);
    json_object_set_new(items, "s3.sum", json_string(sx_buf_cstr(&b)));
}

/* ---- objects ---- */

void sx_s3_sum_item(struct sx_s3 *s, json_t *items)
{
    enum sx_sum_alg alg = sx_payload_algorithm(s->payload);

    if (alg != SX_SUM_NONE && alg != SX_SUM_MD5)
        set_item(items, alg, sx_payload_sums(s->payload)->value[alg], 0, FULL);
}

void sx_s3_sum_set(json_t *items, enum sx_sum_alg alg, const uint8_t value[SX_SUM_MAX])
{
    set_item(items, alg, value, 0, FULL);
}

enum sx_sum_alg sx_s3_sum_alg(const json_t *items)
{
    struct words w;

    return split(items, &w) ? sx_sum_by_name(w.w[0]) : SX_SUM_NONE;
}

void sx_s3_sum_fields(struct sx_s3 *s, const json_t *items)
{
    struct words w;

    if (!split(items, &w) || sx_sum_by_name(w.w[0]) == SX_SUM_NONE)
        return;
    sx_s3_field(s, "%s: %s\r\nx-amz-checksum-type: %s\r\n",
                sx_sum_info(sx_sum_by_name(w.w[0]))->header, w.w[1], *w.w[2] ? w.w[2] : FULL);
}

void sx_s3_sum_elems(struct sx_buf *out, const json_t *items)
{
    struct words w;

    if (!split(items, &w) || sx_sum_by_name(w.w[0]) == SX_SUM_NONE)
        return;
    sx_xml_elem(out, sx_sum_info(sx_sum_by_name(w.w[0]))->element, w.w[1]);
    sx_xml_elem(out, "ChecksumType", *w.w[2] ? w.w[2] : FULL);
}

/* ---- uploads ---- */

static int read_type(const char *type, enum sx_sum_alg alg, const char **out, struct sx_err *e)
{
    const struct sx_sum_info *info = sx_sum_info(alg);

    *out = type ? type : info->composite ? COMPOSITE : FULL;
    if ((strcmp(*out, FULL) == 0 && info->full) || (strcmp(*out, COMPOSITE) == 0 && info->composite))
        return 0;
    return sx_err_set(e, SX_S3_INVALID_REQUEST,
                      "The %s checksum type cannot be used with the %s checksum algorithm.", *out,
                      info->name);
}

int sx_s3_upload_items(struct sx_s3 *s, const struct sx_s3_write *w, json_t *items, struct sx_err *e)
{
    const char *name = sx_s3_header(s, "x-amz-checksum-algorithm"), *type;
    enum sx_sum_alg alg = name ? sx_sum_by_name(name) : SX_SUM_NONE;
    char text[TEXT_MAX];

    if (w->hold) {
        snprintf(text, sizeof text, "%u %llu", w->hold, (unsigned long long)w->retain_ms);
        json_object_set_new(items, "s3.hold", json_string(text));
    }
    if (!name)
        return 0;
    if (alg == SX_SUM_NONE)
        return sx_err_set(e, SX_S3_INVALID_REQUEST,
                          "Checksum algorithm provided is unsupported. Please try again with any of"
                          " the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    if (read_type(sx_s3_header(s, "x-amz-checksum-type"), alg, &type, e) != 0)
        return -1;
    snprintf(text, sizeof text, "%s %s", sx_sum_info(alg)->name, type);
    json_object_set_new(items, "s3.sum", json_string(text));
    return 0;
}

void sx_s3_sum_announce(struct sx_s3 *s, const json_t *items)
{
    struct words w;

    if (split(items, &w))
        sx_s3_field(s, "x-amz-checksum-algorithm: %s\r\nx-amz-checksum-type: %s\r\n", w.w[0],
                    w.w[1]);
}

void sx_s3_upload_hold(const json_t *began, uint8_t *hold, uint64_t *retain_ms)
{
    const char *item = sx_s3_item(began, "s3.hold");
    char *end;

    *hold = 0;
    *retain_ms = 0;
    if (!item)
        return;
    *hold = (uint8_t)strtoul(item, &end, 10);
    *retain_ms = strtoull(end, NULL, 10);
}

/* ---- parts ---- */

unsigned sx_s3_part_sums(const json_t *began)
{
    struct words w;
    enum sx_sum_alg alg = split(began, &w) ? sx_sum_by_name(w.w[0]) : SX_SUM_NONE;

    return alg == SX_SUM_NONE ? 0 : SX_SUM_BIT(alg);
}

/* The upload's algorithm, else the one that the client has sent. */
void sx_s3_part_sum_item(struct sx_s3 *s, const json_t *began, json_t *items)
{
    struct words w;
    enum sx_sum_alg alg = split(began, &w) ? sx_sum_by_name(w.w[0]) : SX_SUM_NONE;

    if (alg == SX_SUM_NONE)
        alg = sx_payload_algorithm(s->payload);
    if (alg != SX_SUM_NONE && alg != SX_SUM_MD5)
        set_item(items, alg, sx_payload_sums(s->payload)->value[alg], 0, NULL);
}

void sx_s3_copy_sum_item(const struct sx_sums *sums, const json_t *began, json_t *items)
{
    struct words w;
    enum sx_sum_alg alg = split(began, &w) ? sx_sum_by_name(w.w[0]) : SX_SUM_NONE;

    if (alg != SX_SUM_NONE)
        set_item(items, alg, sums->value[alg], 0, NULL);
}

void sx_s3_part_sum_field(struct sx_s3 *s, const json_t *items)
{
    struct words w;

    if (split(items, &w) && sx_sum_by_name(w.w[0]) != SX_SUM_NONE)
        sx_s3_field(s, "%s: %s\r\n", sx_sum_info(sx_sum_by_name(w.w[0]))->header, w.w[1]);
}

void sx_s3_part_sum_elem(struct sx_buf *out, const json_t *items)
{
    struct words w;

    if (split(items, &w) && sx_sum_by_name(w.w[0]) != SX_SUM_NONE)
        sx_xml_elem(out, sx_sum_info(sx_sum_by_name(w.w[0]))->element, w.w[1]);
}

/* ---- joining ---- */

void sx_s3_sum_join_init(struct sx_s3_sum_join *j, const json_t *began)
{
    struct words w;

    *j = (struct sx_s3_sum_join){ .alg = SX_SUM_NONE };
    if (!split(began, &w))
        return;
    j->alg = sx_sum_by_name(w.w[0]);
    j->full = strcmp(w.w[1], FULL) == 0;
    if (j->alg != SX_SUM_NONE)
        sx_sum_init(&j->composite, j->alg);
}

void sx_s3_sum_join_fini(struct sx_s3_sum_join *j)
{
    if (j->alg != SX_SUM_NONE)
        sx_sum_fini(&j->composite);
}

/* The part's own checksum, of the upload's algorithm. */
static bool part_value(enum sx_sum_alg alg, const struct sx_mpart *p, uint8_t out[SX_SUM_MAX])
{
    SX_AUTO_JSON json_t *items = sx_meta_items_json(p->meta.p, p->meta.n);
    struct words w;

    return split(items, &w) && sx_sum_by_name(w.w[0]) == alg &&
           sx_sum_parse(alg, w.w[1], out, NULL, NULL) == 0;
}

/* What the client says of the part. */
static int check_named(enum sx_sum_alg alg, const struct sx_xml_node *named, const uint8_t *value,
                       struct sx_err *e)
{
    const char *text = sx_xml_get(named, sx_sum_info(alg)->element);
    uint8_t said[SX_SUM_MAX];

    if (!text)
        return 0;
    if (sx_sum_parse(alg, text, said, NULL, NULL) != 0 ||
        memcmp(said, value, sx_sum_info(alg)->size) != 0)
        return sx_s3_fail(e, SX_S3_INVALID_PART);
    return 0;
}

int sx_s3_sum_join_add(struct sx_s3_sum_join *j, const struct sx_xml_node *named,
                       const struct sx_mpart *p, struct sx_err *e)
{
    uint8_t value[SX_SUM_MAX];

    if (j->alg == SX_SUM_NONE)
        return 0;
    if (!part_value(j->alg, p, value))
        return sx_s3_fail(e, SX_S3_INVALID_PART);
    if (check_named(j->alg, named, value, e) != 0)
        return -1;
    if (!j->full)
        sx_sum_add(&j->composite, value, sx_sum_info(j->alg)->size);
    else if (j->n == 0)
        memcpy(j->value, value, sizeof j->value);
    else
        sx_sum_combine(j->alg, j->value, value, p->size);
    j->n++;
    return 0;
}

int sx_s3_sum_join_end(struct sx_s3_sum_join *j, struct sx_s3 *s, json_t *items, struct sx_err *e)
{
    uint8_t said[SX_SUM_MAX];
    const char *text;
    unsigned n;

    if (j->alg == SX_SUM_NONE)
        return 0;
    if (!j->full)
        sx_sum_end(&j->composite, j->value);
    set_item(items, j->alg, j->value, j->full ? 0 : j->n, j->full ? FULL : COMPOSITE);
    text = sx_s3_header(s, sx_sum_info(j->alg)->header);
    if (!text)
        return 0;
    if (sx_sum_parse(j->alg, text, said, &n, e) != 0)
        return -1;
    return sx_sum_compare(j->alg, said, j->value, e);
}
