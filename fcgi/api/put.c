/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See put.h.
 */
#include "fcgi/api/put.h"

#include <stdlib.h>
#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

/* An etag or upload id: 32 hex digits, or missing. */
static int read_hex16(const json_t *j, const char *name, uint8_t out[16], bool *there,
                      struct sx_err *e)
{
    const char *text;

    *there = false;
    if (sx_json_str(j, name, NULL, &text, e) != 0)
        return -1;
    if (!text)
        return 0;
    if (sx_unhex(out, 16, text) != 0)
        return sx_err_set(e, SX_EINVAL, "'%s' is '%.40s', not 32 hex digits", name, text);
    *there = true;
    return 0;
}

static int read_conditions(const json_t *j, struct sx_cmd_file_put *c, struct sx_err *e)
{
    bool none, match, upload;

    if (sx_json_bool(j, "if_none_match", false, &none, e) != 0 ||
        read_hex16(j, "if_match", c->if_match, &match, e) != 0 ||
        read_hex16(j, "upload", c->upload, &upload, e) != 0)
        return -1;
    if (none && match)
        return sx_err_set(e, SX_EINVAL, "'if_none_match' and 'if_match' exclude each other");
    c->flags = (uint8_t)((none ? SX_PUT_IF_NONE_MATCH : 0) | (match ? SX_PUT_IF_MATCH : 0) |
                         (upload ? SX_PUT_UPLOAD : 0));
    return 0;
}

/* The path is in the URL or, among many files, here. */
static int read_path(struct sx_put *p, struct sx_err *e)
{
    if (p->c.path && json_object_get(p->m.json, "path"))
        return sx_err_set(e, SX_EINVAL, "'path' stands in the URL already");
    if (!p->c.path && sx_json_need_str(p->m.json, "path", &p->c.path, e) != 0)
        return -1;
    return sx_path_check(p->c.path, e);
}

/* Items of S3 decide who may read an object: only its gateway, which asks for the right to grant,
 * writes them. */
static int read_items(struct sx_put *p, struct sx_err *e)
{
    json_t *items = json_object_get(p->m.json, "meta");
    const char *key;
    json_t *value;

    if (!items)
        return 0;
    json_object_foreach (items, key, value)
        if (strncmp(key, "s3.", 3) == 0)
            return sx_err_set(e, SX_EINVAL, "'meta' has '%.40s', but 's3.' is reserved for S3",
                              key);
    return sx_meta_items_encode(items, &p->meta, e);
}

static int read_facts(struct sx_put *p, struct sx_err *e)
{
    static const char *const members[] = {
        "size", "mtime_ns", "mode", "entries", "records", "inline", "lease", "upload", "etag",
        "meta", "if_none_match", "if_match", "path", NULL,
    };
    uint64_t mode, n, records;
    const json_t *j = p->m.json;

    if (sx_req_members(j, members, e) != 0 || read_path(p, e) != 0 ||
        sx_json_need_u64(j, "size", SX_FILE_SIZE_MAX, &p->c.size, e) != 0 ||
        sx_do_i64(j, "mtime_ns", &p->c.mtime_ns, e) != 0 ||
        sx_json_u64(j, "mode", 0644, 0177777, &mode, e) != 0 ||
        sx_json_u64(j, "entries", 0, SX_PART_ENTRIES_MAX, &n, e) != 0 ||
        sx_json_u64(j, "records", 0, SX_PART_ENTRIES_MAX, &records, e) != 0 ||
        sx_json_bool(j, "inline", false, &p->is_inline, e) != 0 ||
        sx_json_u64(j, "lease", 0, INT64_MAX, &p->c.lease, e) != 0 ||
        read_conditions(j, &p->c, e) != 0 || read_items(p, e) != 0)
        return -1;
    p->c.mode = (uint32_t)mode;
    p->c.meta = (struct sx_span){ p->meta.data, p->meta.len };
    p->n_entries = n;
    p->n_records = records;
    return 0;
}

/* Splits the binary part into entries and records. */
static int read_parts(struct sx_put *p, struct sx_err *e)
{
    size_t list = p->n_entries * SX_ENTRY_SIZE;

    if (p->m.len < list)
        return sx_err_set(e, SX_EMALFORMED, "%zu entries take %zu bytes, but %zu follow",
                          p->n_entries, list, p->m.len);
    p->entries = p->m.data;
    p->c.entries = (struct sx_span){ p->entries, list };
    p->recs = sx_calloc(p->n_records + 1, sizeof *p->recs);
    p->plain_len = sx_calloc(p->n_records + 1, sizeof *p->plain_len);
    return sx_records_parse(p->m.data + list, p->m.len - list, p->n_records, p->recs, e);
}

/* What must fit together, of the three ways. */
static int check_way(const struct sx_put *p, struct sx_err *e)
{
    if (p->is_inline && (p->n_entries != 1 || p->n_records != 1 || (p->c.flags & SX_PUT_UPLOAD)))
        return sx_err_set(e, SX_EINVAL,
                          "an inline file has one entry, one record and no upload; "
                          "this has %zu and %zu",
                          p->n_entries, p->n_records);
    if (p->is_inline && p->c.size > SX_INLINE_MAX)
        return sx_err_set(e, SX_EINVAL, "a file of %llu bytes cannot be inline; the limit is %u",
                          (unsigned long long)p->c.size, SX_INLINE_MAX);
    if ((p->c.flags & SX_PUT_UPLOAD) && (p->n_entries || p->n_records))
        return sx_err_set(e, SX_EINVAL,
                          "the entries are in the upload; there must be none beside it");
    return 0;
}

static int check_sum(const struct sx_put *p, struct sx_err *e)
{
    uint64_t sum = 0;
    struct sx_id id;
    uint32_t len;

    if (p->c.flags & SX_PUT_UPLOAD)
        return 0;
    for (size_t i = 0; i < p->n_entries; i++) {
        sx_block_entry_get(p->entries + i * SX_ENTRY_SIZE, &id, &len);
        if (len == 0 || len > SX_BLOCK_PLAIN_MAX)
            return sx_err_set(e, SX_EINVAL, "entry %zu has length %u; 1 to %u are allowed", i, len,
                              SX_BLOCK_PLAIN_MAX);
        sum += len;
    }
    if (sum != p->c.size)
        return sx_err_set(e, SX_EINVAL, "the entries' lengths make %llu bytes, 'size' says %llu",
                          (unsigned long long)sum, (unsigned long long)p->c.size);
    return 0;
}

/* The etag is computed here where the whole list is here. */
static int set_etag(struct sx_put *p, struct sx_err *e)
{
    uint8_t sum[SX_SHA256], given[SX_ETAG_SIZE];
    char hex[2 * SX_ETAG_SIZE + 1];
    bool there;

    if (read_hex16(p->m.json, "etag", given, &there, e) != 0)
        return -1;
    if ((p->c.flags & SX_PUT_UPLOAD) && !there)
        return sx_err_set(e, SX_EINVAL, "'etag' is missing: a commit of an upload needs it");
    if (p->c.flags & SX_PUT_UPLOAD) {
        memcpy(p->c.etag, given, SX_ETAG_SIZE);
        return 0;
    }
    sx_sha256(sum, p->entries, p->n_entries * SX_ENTRY_SIZE);
    memcpy(p->c.etag, sum, SX_ETAG_SIZE);
    if (there && memcmp(given, sum, SX_ETAG_SIZE) != 0)
        return sx_err_set(e, SX_EINVAL, "'etag' does not fit the entries: these give %s",
                          sx_hex(hex, sum, SX_ETAG_SIZE));
    return 0;
}

/* ---- entries and the records that came along ---- */

static int by_id(const void *a, const void *b)
{
    return sx_id_cmp(&(*(const struct sx_record *const *)a)->id,
                     &(*(const struct sx_record *const *)b)->id);
}

/* Each entry whose record is here must have its length; p->leased tells whether there are entries
 * without. */
static int match_records(struct sx_put *p, struct sx_err *e)
{
    SX_AUTO_FREE const struct sx_record **sorted = sx_calloc(p->n_records + 1, sizeof *sorted);
    struct sx_record want;
    const struct sx_record *key = &want, **found;
    uint32_t len;

    for (size_t i = 0; i < p->n_records; i++)
        sorted[i] = &p->recs[i];
    qsort(sorted, p->n_records, sizeof *sorted, by_id);
    p->leased = false;
    for (size_t i = 0; i < p->n_entries; i++) {
        sx_block_entry_get(p->entries + i * SX_ENTRY_SIZE, &want.id, &len);
        found = bsearch(&key, sorted, p->n_records, sizeof *sorted, by_id);
        if (!found)
            p->leased = true;
        else if (p->plain_len[*found - p->recs] != len)
            return sx_err_set(e, SX_EINVAL, "entry %zu has length %u, its block %u bytes", i, len,
                              p->plain_len[*found - p->recs]);
    }
    return 0;
}

/* What an inline file needs, and that blocks which do not travel along are leased. */
static int check_leases(struct sx_put *p, struct sx_err *e)
{
    if (p->is_inline && p->leased)
        return sx_err_set(e, SX_EINVAL, "the record is not that of the entry");
    if (p->leased && p->c.lease == 0)
        return sx_err_set(e, SX_EINVAL,
                          "'lease' is missing: it is needed when blocks do not travel along");
    if (!p->leased)
        p->c.lease = SX_LEASE_FOREVER;
    if (p->is_inline)
        p->c.record = (struct sx_span){ p->recs[0].stored - SX_RECORD_HEADER,
                                        SX_RECORD_HEADER + p->recs[0].len };
    return 0;
}

int sx_put_read(struct sx_req *r, struct sx_put *p, const void *body, size_t n, struct sx_err *e)
{
    if (sx_message_parse(&p->m, body, n, e) != 0 || read_facts(p, e) != 0 ||
        read_parts(p, e) != 0 || check_way(p, e) != 0 || check_sum(p, e) != 0 ||
        set_etag(p, e) != 0 || sx_do_verify(r, p->recs, p->n_records, p->plain_len, e) != 0 ||
        match_records(p, e) != 0)
        return -1;
    return check_leases(p, e);
}

void sx_put_fini(struct sx_put *p)
{
    sx_message_fini(&p->m);
    free(p->recs);
    free(p->plain_len);
    sx_buf_fini(&p->meta);
    sx_buf_fini(&p->command);
    sx_buf_fini(&p->result);
}
