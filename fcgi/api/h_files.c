/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files: lists, metadata and block lists, deletion, copies, renames (docs/api.md section 5).  What
 * brings content in is in h_put.c.
 */
#include <string.h>

#include "fcgi/api/common.h"
#include "fcgi/api/ticket.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"

#define DATA_MAX (4u << 20)
#define GET_FILES_MAX 256u
#define GET_ENOUGH (24u << 20) /* bytes of an answer: no further file is begun */
#define TICKETED (SX_ENTRY_SIZE + SX_TICKET)

/* The database and the volume that the route's first argument names. */
static int open_volume(struct sx_req *r, unsigned need, struct sx_volume *v, sqlite3 **db,
                       struct sx_err *e)
{
    if (sx_do_volume(r, r->args.v[0], need, v, e) != 0)
        return -1;
    return sx_app_db(r->app, db, e);
}

/* ---- lists ---- */

/* The page as a message: prefixes, which may be long, are in its binary part, too. */
static int reply_facts(struct sx_req *r, json_t *page, struct sx_buf *out)
{
    json_t *prefixes = json_object_get(page, "prefixes");
    size_t n = json_array_size(prefixes);
    struct sx_part part;

    for (size_t i = 0; i < n; i++) {
        const json_t *prefix = json_array_get(prefixes, i);

        sx_buf_add(out, json_string_value(prefix), json_string_length(prefix) + 1);
    }
    json_object_set_new(page, "prefixes", json_integer((json_int_t)n));
    part = (struct sx_part){ out->data, out->len };
    return sx_reply_message(r, 200, page, &part, 1);
}

int sx_h_list(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf facts = SX_BUF_INIT;
    struct sx_list l = { .prefix = sx_query_str(&r->query, "prefix", ""),
                         .after = sx_query_str(&r->query, "after", ""),
                         .delimiter = sx_query_str(&r->query, "delimiter", ""),
                         .glob = sx_query_str(&r->query, "glob", "") };
    unsigned long long limit, form;
    struct sx_volume v;
    json_t *page;
    sqlite3 *db;

    if (sx_query_u64(&r->query, "limit", SX_LIST_MAX, SX_LIST_MAX, &limit, e) != 0 ||
        sx_query_u64(&r->query, "facts", 0, 1, &form, e) != 0)
        return -1;
    if (limit == 0)
        return sx_err_set(e, SX_EINVAL, "the parameter 'limit' is 0; 1 to %u are allowed",
                          SX_LIST_MAX);
    if (strlen(l.prefix) > SX_PATH_MAX || strlen(l.after) > SX_PATH_MAX + 1 ||
        strlen(l.glob) > SX_GLOB_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "'prefix', 'after' or 'glob' has more than %u bytes",
                          SX_PATH_MAX);
    if (!sx_utf8_valid(l.prefix, strlen(l.prefix)) || !sx_utf8_valid(l.glob, strlen(l.glob)))
        return sx_err_set(e, SX_ENAME, "'prefix' or 'glob' is not valid UTF-8");
    l.limit = (unsigned)limit;
    l.facts = form ? &facts : NULL;
    if (open_volume(r, SX_RIGHT_READ, &v, &db, e) != 0 ||
        sx_query_list_json(db, v.id, &l, &page, e) != 0)
        return -1;
    return l.facts ? reply_facts(r, page, &facts) : sx_reply_json(r, 200, page);
}

int sx_h_revisions(struct sx_req *r, struct sx_err *e)
{
    struct sx_volume v;
    json_t *array;
    sqlite3 *db;

    if (sx_path_check(r->args.v[1], e) != 0 || open_volume(r, SX_RIGHT_READ, &v, &db, e) != 0 ||
        sx_query_revisions_json(db, v.id, r->args.v[1], &array, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_pack("{s:o}", "revisions", array));
}

/* ---- one file ---- */

/* What the query of GET /files asks for. */
struct page {
    uint64_t rev, from, at, data;
    uint32_t count;
    uint64_t expires_ms; /* of the tickets; by the cluster's time */
};

static int page_expires(struct page *p, sqlite3 *db, struct sx_err *e)
{
    if (sx_query_time(db, &p->expires_ms, e) != 0)
        return -1;
    p->expires_ms += SX_TICKET_LIFE_MS;
    return 0;
}

static int read_rev(struct sx_req *r, uint64_t *rev, struct sx_err *e)
{
    const char *text = sx_query_str(&r->query, "rev", NULL);

    *rev = 0;
    return text ? sx_do_hex64(text, "revision", rev, e) : 0;
}

static int read_page(struct sx_req *r, struct page *p, struct sx_err *e)
{
    unsigned long long from, at, count, data;

    if (read_rev(r, &p->rev, e) != 0 ||
        sx_query_u64(&r->query, "from", 0, INT64_MAX, &from, e) != 0 ||
        sx_query_u64(&r->query, "at", 0, INT64_MAX, &at, e) != 0 ||
        sx_query_u64(&r->query, "count", SX_PART_ENTRIES_MAX, SX_PART_ENTRIES_MAX, &count,
                     e) != 0 || sx_query_u64(&r->query, "data", 0, DATA_MAX, &data, e) != 0)
        return -1;
    if (sx_query_str(&r->query, "at", NULL) && sx_query_str(&r->query, "from", NULL))
        return sx_err_set(e, SX_EINVAL, "the parameters 'from' and 'at' exclude each other");
    p->from = from;
    p->at = sx_query_str(&r->query, "at", NULL) ? at : SX_AT_NONE;
    p->count = (uint32_t)count;
    p->data = data;
    return 0;
}

/* File and page of one state of the database. */
static int query_file(sqlite3 *db, uint64_t volume, const char *path, const struct page *p,
                      struct sx_file_row *row, struct sx_manifest *m, struct sx_err *e)
{
    int result;

    if (sx_query_begin(db, e) != 0)
        return -1;
    result = sx_query_file(db, volume, path, p->rev, row, e);
    if (result == 0)
        result = sx_query_manifest(db, &row->f, p->from, p->at, p->count, m, e);
    sx_query_end(db);
    return result;
}

static void add_tickets(struct sx_req *r, const struct sx_manifest *m, uint64_t expires_ms,
                        struct sx_buf *out)
{
    struct sx_id id;
    uint32_t len;

    sx_buf_reserve(out, (size_t)m->count * TICKETED);
    for (uint32_t i = 0; i < m->count; i++) {
        const uint8_t *entry = m->entries.data + (size_t)i * SX_ENTRY_SIZE;

        sx_block_entry_get(entry, &id, &len);
        sx_buf_add(out, entry, SX_ENTRY_SIZE);
        sx_ticket_make(sx_buf_extend(out, SX_TICKET), r->app->keys.ticket, &id, expires_ms,
                       r->user);
    }
}

/* The blocks of the cluster, opened by the first file of a request that needs them. */
struct source {
    struct sx_blocks blocks;
    bool opened, failed;
};

static bool source_open(struct sx_req *r, struct source *s)
{
    struct sx_err e = SX_ERR_INIT;

    if (s->opened)
        return !s->failed;
    s->opened = true;
    s->failed = sx_app_blocks(r->app, &s->blocks, &e) != 0;
    if (s->failed)
        sx_warn("request %s: %s", r->id, e.msg);
    return !s->failed;
}

/* The records of the page, if they are wanted: an inline file's own, or all of a small file.  A
 * block that cannot be had is the client's affair: it asks all nodes for it. */
static unsigned add_records(struct sx_req *r, struct source *s, const struct page *p,
                            const struct sx_file *f, const struct sx_manifest *m,
                            struct sx_buf *out)
{
    struct sx_err e = SX_ERR_INIT;
    size_t before = out->len;
    struct sx_id id;
    uint32_t len;

    if (m->record.len > 0 && m->count > 0) {
        sx_buf_add(out, m->record.data, m->record.len);
        return 1;
    }
    if (m->count == 0 || f->size > p->data || m->count != f->blocks || !source_open(r, s))
        return 0;
    for (uint32_t i = 0; i < m->count; i++) {
        sx_block_entry_get(m->entries.data + (size_t)i * SX_ENTRY_SIZE, &id, &len);
        if (sx_blocks_fetch(&s->blocks, &id, out, &e) != 0) {
            sx_error("request %s: %s", r->id, e.msg);
            out->len = before;
            return 0;
        }
    }
    return m->count;
}

static int reply_page(struct sx_req *r, const struct page *p, const struct sx_volume *v,
                      const struct sx_file *f, const struct sx_manifest *m)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct source s = { .opened = false };
    json_t *j = sx_file_json(f);
    unsigned n_records;
    struct sx_part part;

    add_tickets(r, m, p->expires_ms, &out);
    n_records = add_records(r, &s, p, f, m, &out);
    json_object_set_new(j, "from", json_integer((json_int_t)m->from));
    json_object_set_new(j, "offset", json_integer((json_int_t)m->offset));
    json_object_set_new(j, "count", json_integer(m->count));
    json_object_set_new(j, "records", json_integer(n_records));
    json_object_set_new(j, "expires_ms", json_integer((json_int_t)p->expires_ms));
    json_object_set_new(j, "volume", json_string(v->name));
    json_object_set_new(j, "compression",
                        json_string(sx_codec_name((enum sx_codec)v->compression)));
    part = (struct sx_part){ out.data, out.len };
    return sx_reply_message(r, 200, j, &part, 1);
}

int sx_h_file_get(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_file_row) struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO(sx_manifest) struct sx_manifest m = SX_MANIFEST_INIT;
    struct sx_volume v;
    struct page p;
    sqlite3 *db;

    if (sx_path_check(r->args.v[1], e) != 0 || read_page(r, &p, e) != 0 ||
        open_volume(r, SX_RIGHT_READ, &v, &db, e) != 0 || page_expires(&p, db, e) != 0 ||
        query_file(db, v.id, r->args.v[1], &p, &row, &m, e) != 0)
        return -1;
    return reply_page(r, &p, &v, &row.f, &m);
}

/* ---- many files ---- */

/* One of them, as the metadata know it. */
struct found {
    struct sx_err err;
    struct sx_file_row row;
    struct sx_manifest m;
};

/* What POST /files/V/get asks for, and the answer under way. */
struct many {
    struct page page;
    const json_t *paths; /* borrowed */
    json_t *json;        /* the request's */
    struct found *found; /* n */
    size_t n;
    struct source source;
    struct sx_buf out;
};

static void many_fini(struct many *g)
{
    for (size_t i = 0; i < g->n; i++) {
        sx_file_row_fini(&g->found[i].row);
        sx_manifest_fini(&g->found[i].m);
    }
    free(g->found);
    json_decref(g->json);
    sx_buf_fini(&g->out);
}

static int read_many(struct sx_req *r, struct many *g, struct sx_err *e)
{
    static const char *const members[] = { "paths", "data", NULL };
    uint64_t data;

    if (sx_req_json(r, &g->json, e) != 0 || sx_req_members(g->json, members, e) != 0 ||
        sx_json_u64(g->json, "data", 0, DATA_MAX, &data, e) != 0)
        return -1;
    g->paths = json_object_get(g->json, "paths");
    g->n = json_array_size(g->paths);
    if (g->n == 0 || g->n > GET_FILES_MAX) {
        g->n = 0;
        return sx_err_set(e, SX_EINVAL, "'paths' is no list of 1 to %u paths", GET_FILES_MAX);
    }
    g->found = sx_calloc(g->n, sizeof *g->found);
    g->page = (struct page){ .at = SX_AT_NONE, .count = SX_PART_ENTRIES_MAX, .data = data };
    return 0;
}

static int find_one(sqlite3 *db, const struct many *g, const struct sx_volume *v, const char *path,
                    struct found *f, struct sx_err *e)
{
    if (!path)
        return sx_err_set(e, SX_EINVAL, "a member of 'paths' is no text");
    if (sx_path_check(path, e) != 0 || sx_query_file(db, v->id, path, 0, &f->row, e) != 0)
        return -1;
    return sx_query_manifest(db, &f->row.f, 0, SX_AT_NONE, g->page.count, &f->m, e);
}

/* All of them in one state of the database: beginning and ending a transaction costs as much as looking up a
 * file.  It has ended before other nodes are asked for blocks. */
static int find_all(sqlite3 *db, struct many *g, const struct sx_volume *v, struct sx_err *e)
{
    if (sx_query_begin(db, e) != 0)
        return -1;
    for (size_t i = 0; i < g->n; i++)
        (void)!find_one(db, g, v, json_string_value(json_array_get(g->paths, i)), &g->found[i],
                        &g->found[i].err);
    sx_query_end(db);
    return 0;
}

static void add_found(struct sx_req *r, struct many *g, const struct found *found)
{
    const struct sx_file *f = &found->row.f;
    struct sx_facts facts;
    size_t at = g->out.len;

    sx_file_facts(f, &facts);
    facts.entries = found->m.count;
    sx_buf_extend(&g->out, SX_FACTS_SIZE);
    add_tickets(r, &found->m, g->page.expires_ms, &g->out);
    facts.records = add_records(r, &g->source, &g->page, f, &found->m, &g->out);
    sx_facts_put(g->out.data + at, &facts);
}

static void add_error(struct sx_req *r, struct many *g, const struct sx_err *why)
{
    SX_AUTO_JSON json_t *j = json_pack("{s:o}", "error", sx_reply_error_json(r, why));

    sx_route_note(r, why);
    sx_json_dump(&g->out, j);
}

/* The length of what follows, a status, and facts, entries and records, or an error. */
static void add_one(struct sx_req *r, struct many *g, const struct found *f)
{
    bool well = f->err.code == SX_OK;
    size_t at = g->out.len;

    sx_buf_u32(&g->out, 0);
    sx_buf_u32(&g->out, well ? 200 : (uint32_t)sx_err_http(f->err.code));
    if (well)
        add_found(r, g, f);
    else
        add_error(r, g, &f->err);
    sx_put_u32(g->out.data + at, (uint32_t)(g->out.len - at - 4));
}

int sx_h_files_get(struct sx_req *r, struct sx_err *e)
{
    __attribute__((cleanup(many_fini))) struct many g = { .out = SX_BUF_INIT };
    struct sx_volume v;
    struct sx_part part;
    sqlite3 *db;
    size_t n = 0;

    if (read_many(r, &g, e) != 0 || open_volume(r, SX_RIGHT_READ, &v, &db, e) != 0 ||
        page_expires(&g.page, db, e) != 0 || find_all(db, &g, &v, e) != 0)
        return -1;
    for (; n < g.n && g.out.len < GET_ENOUGH; n++)
        add_one(r, &g, &g.found[n]);
    part = (struct sx_part){ g.out.data, g.out.len };
    return sx_reply_message(r, 200, json_pack("{s:I,s:I}", "count", (json_int_t)n, "expires_ms",
                                              (json_int_t)g.page.expires_ms), &part, 1);
}

int sx_h_file_delete(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_file_delete c = { .volume = r->args.v[0], .path = r->args.v[1] };

    if (sx_volume_name_check(c.volume, e) != 0 || sx_path_check(c.path, e) != 0 ||
        read_rev(r, &c.rev, e) != 0)
        return -1;
    sx_cmd_file_delete_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}

/* ---- copy and rename ---- */

int sx_do_reply_file(struct sx_req *r, int status, const struct sx_buf *result, struct sx_err *e)
{
    struct sx_file f;
    json_t *j;

    if (sx_file_result_decode(result->data, result->len, &f, e) != 0)
        return -1;
    j = sx_file_json(&f);
    if (f.unchanged)
        json_object_set_new(j, "unchanged", json_true());
    return sx_reply_json(r, f.unchanged ? 200 : status, j);
}

static int read_place(const json_t *j, const char *name, const char **volume, const char **path,
                      json_t **o, struct sx_err *e)
{
    if (sx_do_object(j, name, o, e) != 0 || sx_json_need_str(*o, "volume", volume, e) != 0 ||
        sx_json_need_str(*o, "path", path, e) != 0)
        return -1;
    return sx_volume_name_check(*volume, e) != 0 || sx_path_check(*path, e) != 0 ? -1 : 0;
}

int sx_h_copy(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = { "from", "to", "if_none", NULL };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_file_copy c = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    json_t *from, *to;
    const char *rev;
    bool if_none;

    if (sx_req_json(r, &j, e) != 0 || sx_req_members(j, members, e) != 0 ||
        read_place(j, "from", &c.volume, &c.path, &from, e) != 0 ||
        read_place(j, "to", &c.to_volume, &c.to_path, &to, e) != 0 ||
        sx_json_bool(j, "if_none", false, &if_none, e) != 0 ||
        sx_json_str(from, "rev", NULL, &rev, e) != 0 ||
        (rev && sx_do_hex64(rev, "revision", &c.rev, e) != 0))
        return -1;
    c.flags = if_none ? SX_PUT_IF_NONE_MATCH : 0;
    sx_cmd_file_copy_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_do_reply_file(r, 201, &result, e);
}

int sx_h_rename(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = { "from", "to", NULL };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_file_rename c;
    SX_AUTO_JSON json_t *j = NULL;
    json_t *from, *to;

    if (sx_req_json(r, &j, e) != 0 || sx_req_members(j, members, e) != 0 ||
        read_place(j, "from", &c.volume, &c.path, &from, e) != 0 ||
        read_place(j, "to", &c.to_volume, &c.to_path, &to, e) != 0)
        return -1;
    sx_cmd_file_rename_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_do_reply_file(r, 200, &result, e);
}
