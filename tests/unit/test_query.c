/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Queries: listings against a naive model, pages of block lists, references, jobs, rights.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define NAMES 3000u

static int setup(void **state)
{
    world_open(&W, 3);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol", .owner = "alice",
                        .revisions = 3), SX_OK);
    return 0;
}

/* ---- listing ---- */

static char *names[NAMES];
static unsigned names_n;

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void name_random(char *out, size_t size, uint64_t *seed)
{
    static const char *const parts[] =
        { "a", "b", "ab", "dir", "x.c", "x.o", "\xc3\xa9", "\xf0\x9f\x98\x80",
                                         "z z", "0", "~", "!", "a-b", "[x]" };
    unsigned depth = 1 + unit_random(seed) % 4;
    size_t at = 0;

    for (unsigned i = 0; i < depth; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s%u", i ? "/" : "",
                               parts[unit_random(seed) % (sizeof parts / sizeof *parts)],
                               (unsigned)(unit_random(seed) % 4));
}

/* Puts all names in few entries. */
static void names_put(uint64_t seed)
{
    struct sx_buf entry = SX_BUF_INIT, cmd = SX_BUF_INIT, entries = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    char name[128];

    for (unsigned i = 0; i < NAMES; i++) {
        name_random(name, sizeof name, &seed);
        names[i] = sx_strdup(name);
    }
    qsort(names, NAMES, sizeof *names, name_cmp);
    names_n = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        if (names_n && strcmp(names[names_n - 1], names[i]) == 0)
            free(names[i]);
        else
            names[names_n++] = names[i];
    }
    sx_entry_begin(&entry);
    for (unsigned i = 0; i < names_n; i++) {
        struct sx_cmd_file_put c;

        put_fill(&c, &entries, "vol", names[i], 0, 0, 0);
        sx_put_u64(W.op, ++W.ops);
        sx_buf_reset(&cmd);
        sx_cmd_file_put_encode(&cmd, W.op, "alice", &c);
        sx_entry_add(&entry, cmd.data, cmd.len);
    }
    assert_done(sx_sm_begin(W.sm, &e), &e);
    assert_done(sx_sm_apply(W.sm, entry.data, entry.len, ++W.index, 1, &e), &e);
    assert_done(sx_sm_commit(W.sm, &e), &e);
    sx_put_u64(W.op, ++W.ops);
    sx_buf_fini(&entry);
    sx_buf_fini(&cmd);
    sx_buf_fini(&entries);
}

static void names_free(void)
{
    for (unsigned i = 0; i < names_n; i++)
        free(names[i]);
}

/* The whole listing, one line a file ("f name") or prefix ("p name"), as it should be. */
static void model_list(const char *prefix, const char *delimiter, const char *glob,
                       struct sx_buf *out)
{
    size_t n = strlen(prefix), last_len = 0;
    const char *last = NULL;

    for (unsigned i = 0; i < names_n; i++) {
        const char *d;

        if (strncmp(names[i], prefix, n) != 0)
            continue;
        d = *delimiter ? strstr(names[i] + n, delimiter) : NULL;
        if (d) {
            size_t len = (size_t)(d - names[i]) + strlen(delimiter);

            if (!last || last_len != len || strncmp(last, names[i], len) != 0)
                sx_buf_printf(out, "p %.*s\n", (int)len, names[i]);
            last = names[i];
            last_len = len;
        } else if (!*glob || sx_glob_match(glob, names[i], true)) {
            sx_buf_printf(out, "f %s\n", names[i]);
        }
    }
}

static const char *member(json_t *o, const char *name)
{
    return json_string_value(json_is_string(o) ? o : json_object_get(o, name));
}

/* Merges the files and prefixes of a page in order. */
static unsigned page_add(json_t *page, struct sx_buf *out)
{
    json_t *files = json_object_get(page, "files"), *prefixes = json_object_get(page, "prefixes");
    size_t f = 0, p = 0;

    while (f < json_array_size(files) || p < json_array_size(prefixes)) {
        const char *a = f < json_array_size(files) ? member(json_array_get(files, f), "path")
            : NULL;
        const char *b = p < json_array_size(prefixes) ? member(json_array_get(prefixes, p), "")
            : NULL;

        if (a && (!b || strcmp(a, b) < 0)) {
            sx_buf_printf(out, "f %s\n", a);
            f++;
        } else {
            sx_buf_printf(out, "p %s\n", b);
            p++;
        }
    }
    return (unsigned)(f + p);
}

static void list_all(const char *prefix, const char *delimiter, const char *glob, unsigned limit,
                     struct sx_buf *out)
{
    struct sx_list l = { .prefix = prefix, .delimiter = delimiter, .glob = glob, .limit = limit };
    struct sx_err e = SX_ERR_INIT;
    char after[SX_PATH_MAX + 1] = "";
    const char *next;
    json_t *page;

    for (unsigned pages = 0; pages <= 2 * NAMES; pages++) {
        l.after = after;
        assert_done(sx_query_list_json(world_db(&W), 1, &l, &page, &e), &e);
        assert_true(page_add(page, out) <= limit);
        next = json_string_value(json_object_get(page, "next"));
        if (next)
            snprintf(after, sizeof after, "%s", next);
        json_decref(page);
        if (!next)
            return;
    }
    fail_msg("a listing without end");
}

static void list_compare(const char *prefix, const char *delimiter, const char *glob,
                         unsigned limit)
{
    struct sx_buf want = SX_BUF_INIT, got = SX_BUF_INIT;

    model_list(prefix, delimiter, glob, &want);
    list_all(prefix, delimiter, glob, limit, &got);
    if (strcmp(sx_buf_cstr(&want), sx_buf_cstr(&got)) != 0)
        fail_msg("prefix '%s' delimiter '%s' glob '%s' limit %u:\n%s--- not ---\n%s", prefix,
                 delimiter, glob, limit, sx_buf_cstr(&got), sx_buf_cstr(&want));
    sx_buf_fini(&want);
    sx_buf_fini(&got);
}

static void test_list(void **state)
{
    static const char *const prefixes[] =
        { "", "a", "a0/", "dir1/b", "dir1/b2/", "\xc3\xa9", "zz", "~3/!0/" };
    static const char *const delimiters[] = { "", "/", "b", "/a" };
    static const char *const globs[] = { "", "*", "*/*.c?", "a?/*", "[ab]*/dir?", "*\\[x\\]*", "?" };
    static const unsigned limits[] = { 1, 7, 1000 };

    names_put(42);
    for (unsigned p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (unsigned d = 0; d < sizeof delimiters / sizeof *delimiters; d++)
            for (unsigned g = 0; g < sizeof globs / sizeof *globs; g++)
                for (unsigned l = 0; l < 3; l++)
                    if (limits[l] > 1 || (p && !g))
                        list_compare(prefixes[p], delimiters[d], globs[g], limits[l]);
    names_free();
}

static void test_list_refused(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    json_t *page;

    assert_error(sx_query_list_json(world_db(&W), 1, &(struct sx_list){ .limit = 0 }, &page, &e),
                 &e, SX_EINVAL);
    assert_error(sx_query_list_json(world_db(&W), 1, &(struct sx_list){ .limit = 1001 }, &page, &e),
                 &e, SX_EINVAL);
    assert_done(sx_query_list_json(world_db(&W), 99, &(struct sx_list){ .limit = 10 }, &page, &e),
                &e);
    assert_int_equal(json_array_size(json_object_get(page, "files")), 0);
    assert_null(json_object_get(page, "next"));
    json_decref(page);
}

/* A folded directory costs one seek, whatever is in it; a scan for few matches gives short
 * pages. */
static void test_list_work(void **state)
{
    struct sx_buf entry = SX_BUF_INIT, cmd = SX_BUF_INIT, entries = SX_BUF_INIT;
    struct sx_list l = { .delimiter = "/", .limit = 1000 };
    struct sx_err e = SX_ERR_INIT;
    char name[64];
    json_t *page;

    sx_entry_begin(&entry);
    for (unsigned i = 0; i < SX_LIST_SCAN_MAX + 10; i++) {
        struct sx_cmd_file_put c;

        snprintf(name, sizeof name, "big/f%06u", i);
        put_fill(&c, &entries, "vol", name, 0, 0, 0);
        sx_put_u64(W.op, ++W.ops);
        sx_buf_reset(&cmd);
        sx_cmd_file_put_encode(&cmd, W.op, "alice", &c);
        sx_entry_add(&entry, cmd.data, cmd.len);
        if (entry.len > SX_COMMAND_MAX || i == SX_LIST_SCAN_MAX + 9) {
            assert_done(sx_sm_begin(W.sm, &e), &e);
            assert_done(sx_sm_apply(W.sm, entry.data, entry.len, ++W.index, 1, &e), &e);
            assert_done(sx_sm_commit(W.sm, &e), &e);
            sx_buf_reset(&entry);
            sx_entry_begin(&entry);
        }
    }
    sx_put_u64(W.op, ++W.ops);
    assert_done(sx_query_list_json(world_db(&W), 1, &l, &page, &e), &e);
    assert_int_equal(json_array_size(json_object_get(page, "prefixes")), 1);
    assert_null(json_object_get(page, "next"));
    json_decref(page);
    l.delimiter = NULL;
    l.glob = "*/f02000[59]";
    assert_done(sx_query_list_json(world_db(&W), 1, &l, &page, &e), &e);
    assert_int_equal(json_array_size(json_object_get(page, "files")), 0);
    snprintf(name, sizeof name, "%s", json_string_value(json_object_get(page, "next")));
    assert_string_equal(name, "big/f019999");
    json_decref(page);
    l.after = name;
    assert_done(sx_query_list_json(world_db(&W), 1, &l, &page, &e), &e);
    assert_int_equal(json_array_size(json_object_get(page, "files")), 2);
    assert_null(json_object_get(page, "next"));
    json_decref(page);
    sx_buf_fini(&entry);
    sx_buf_fini(&cmd);
    sx_buf_fini(&entries);
}

/* ---- block lists ---- */

static const unsigned PARTS[] = { 1500, 1, 700, 1500, 3 };

/* A file of several parts; entry i is block id_of(i) of i % 100 + 1 bytes. */
static void big_put(struct sx_buf *all)
{
    struct sx_cmd_file_put c = { .volume = "vol", .path = "big", .flags = SX_PUT_UPLOAD,
                                 .upload = { 7 } };
    uint64_t i = 0;

    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 7 }, .volume = "vol", .path = "big"),
                     SX_OK);
    for (uint32_t p = 0; p < sizeof PARTS / sizeof *PARTS; p++) {
        size_t at = all->len;

        for (unsigned n = 0; n < PARTS[p]; n++, i++) {
            struct sx_id id = id_of(i);

            sx_block_entry_add(all, &id, (uint32_t)(i % 100 + 1));
            c.size += i % 100 + 1;
        }
        assert_int_equal(DO(&W, "alice", upload_part, .upload = { 7 }, .seq = p, .lease = 1,
                            .entries = { all->data + at, all->len - at }), SX_OK);
    }
    etag_of(all->data, all->len, c.etag);
    sx_buf_reset(&W.cmd);
    sx_cmd_file_put_encode(&W.cmd, W.op, "alice", &c);
    assert_int_equal(world_run(&W), SX_OK);
}

/* The page must be entries from…from+count of the list; offset their place in the file. */
static void page_compare(const struct sx_manifest *m, const struct sx_buf *all, uint64_t from,
                         uint64_t offset)
{
    assert_int_equal(m->from, from);
    assert_int_equal(m->offset, offset);
    assert_int_equal(m->entries.len, m->count * SX_ENTRY_SIZE);
    assert_true((from + m->count) * SX_ENTRY_SIZE <= all->len);
    if (m->count)
        assert_memory_equal(m->entries.data, all->data + from * SX_ENTRY_SIZE, m->entries.len);
}

static void test_manifest(void **state)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_manifest m = SX_MANIFEST_INIT;
    struct sx_buf all = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    uint64_t blocks, offset = 0;

    big_put(&all);
    blocks = all.len / SX_ENTRY_SIZE;
    assert_done(sx_query_file(world_db(&W), 1, "big", 0, &row, &e), &e);
    assert_int_equal(row.f.blocks, blocks);
    for (uint64_t i = 0; i < blocks; offset += i % 100 + 1, i++) {
        uint32_t want = blocks - i < 10 ? (uint32_t)(blocks - i) : 10;

        if (i > 5 && i < blocks - 5 && (i + 7) % 1500 > 14 && i % 97)
            continue;
        assert_done(sx_query_manifest(world_db(&W), &row.f, i, SX_AT_NONE, 10, &m, &e), &e);
        assert_int_equal(m.count, want);
        page_compare(&m, &all, i, offset);
        assert_done(sx_query_manifest(world_db(&W), &row.f, 0, offset, 10, &m, &e), &e);
        page_compare(&m, &all, i, offset);
        assert_done(sx_query_manifest(world_db(&W), &row.f, 0, offset + i % 100, 10, &m, &e), &e);
        page_compare(&m, &all, i, offset);
    }
    assert_int_equal(offset, row.f.size);
    assert_done(sx_query_manifest(world_db(&W), &row.f, 0, SX_AT_NONE, 5000, &m, &e), &e);
    assert_int_equal(m.count, SX_PART_ENTRIES_MAX);
    assert_done(sx_query_manifest(world_db(&W), &row.f, blocks, SX_AT_NONE, 10, &m, &e), &e);
    assert_int_equal(m.count, 0);
    assert_done(sx_query_manifest(world_db(&W), &row.f, 0, row.f.size, 10, &m, &e), &e);
    assert_int_equal(m.count, 0);
    assert_int_equal(m.offset, row.f.size);
    sx_manifest_fini(&m);
    sx_file_row_fini(&row);
    sx_buf_fini(&all);
}

static void test_manifest_small(void **state)
{
    struct sx_buf want = SX_BUF_INIT;
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_manifest m = SX_MANIFEST_INIT;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(put_inline(&W, "alice", "vol", "i", 5, 100), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "e", 0, 0), SX_OK);
    assert_done(sx_query_file(world_db(&W), 1, "i", 0, &row, &e), &e);
    assert_done(sx_query_manifest(world_db(&W), &row.f, 0, SX_AT_NONE, 10, &m, &e), &e);
    assert_int_equal(m.count, 1);
    record_of(&want, 5, 100);
    assert_int_equal(m.record.len, want.len);
    assert_memory_equal(m.record.data, want.data, want.len);
    sx_buf_fini(&want);
    assert_memory_equal(m.entries.data, id_of(5).b, SX_ID_SIZE);
    assert_done(sx_query_manifest(world_db(&W), &row.f, 0, 99, 10, &m, &e), &e);
    assert_int_equal(m.count, 1);
    assert_done(sx_query_manifest(world_db(&W), &row.f, 0, 100, 10, &m, &e), &e);
    assert_int_equal(m.count, 0);
    assert_int_equal(m.record.len, 0);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "i"), SX_OK);
    assert_error(sx_query_manifest(world_db(&W), &row.f, 0, SX_AT_NONE, 10, &m, &e), &e,
                 SX_ENOREVISION);
    assert_done(sx_query_file(world_db(&W), 1, "e", 0, &row, &e), &e);
    assert_done(sx_query_manifest(world_db(&W), &row.f, 0, SX_AT_NONE, 10, &m, &e), &e);
    assert_int_equal(m.count, 0);
    sx_manifest_fini(&m);
    sx_file_row_fini(&row);
}

static void test_file_revision(void **state)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_err e = SX_ERR_INIT;
    uint64_t first;

    assert_int_equal(put_inline(&W, "alice", "vol", "f", 1, 10), SX_OK);
    first = result_file(&W).rev;
    assert_int_equal(put_inline(&W, "alice", "vol", "f", 2, 20), SX_OK);
    assert_done(sx_query_file(world_db(&W), 1, "f", 0, &row, &e), &e);
    assert_int_equal(row.f.size, 20);
    assert_done(sx_query_file(world_db(&W), 1, "f", first, &row, &e), &e);
    assert_int_equal(row.f.size, 10);
    assert_string_equal(row.f.path, "f");
    assert_error(sx_query_file(world_db(&W), 1, "f", 5, &row, &e), &e, SX_ENOREVISION);
    assert_error(sx_query_file(world_db(&W), 1, "g", 0, &row, &e), &e, SX_ENOFILE);
    sx_file_row_fini(&row);
}

/* ---- references ---- */

static void test_refs(void **state)
{
    struct sx_id from = { { 0 } };
    struct sx_ref refs[7], last = { { { 0 } }, 0, 0 };
    struct sx_err e = SX_ERR_INIT;
    unsigned total = 0;
    size_t n;

    assert_int_equal(DO(&W, "admin", volume_create, .name = "one", .replica = 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "one", "a", 0, 60, 10, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "vol", "a", 30, 60, 10, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "vol", "b", 30, 60, 10, 1), SX_OK);
    do {
        assert_done(sx_query_refs(world_db(&W), &from, 7, refs, &n, &e), &e);
        for (size_t i = 0; i < n; i++) {
            assert_true(total == 0 || sx_id_cmp(&last.id, &refs[i].id) < 0);
            last = refs[i];
            assert_int_equal(last.len, 10);
            total++;
            for (uint64_t s = 0; s < 90; s++) {
                struct sx_id id = id_of(s);

                if (sx_id_cmp(&id, &last.id) == 0)
                    assert_int_equal(last.replica, s < 30 ? 1 : 3);
            }
        }
        from = last.id;
        for (int i = SX_ID_SIZE - 1; i >= 0 && ++from.b[i] == 0; i--)
            ;
    } while (n == 7);
    assert_int_equal(total, 90);
}

static void note_hit(void *ctx, const struct sx_hit *hit)
{
    struct sx_buf *b = ctx;

    sx_buf_printf(b, "%s/%s%s ", hit->volume, hit->path, hit->newest ? "" : "*");
}

static void hits_are(uint64_t block, const char *files)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_id id = id_of(block);
    struct sx_err e = SX_ERR_INIT;
    uint64_t n;

    assert_done(sx_query_hit_clear(world_db(&W), &e), &e);
    assert_done(sx_query_hit_add(world_db(&W), &id, &e), &e);
    assert_done(sx_query_hit_add(world_db(&W), &id, &e), &e); /* twice is once */
    assert_done(sx_query_hit_files(world_db(&W), note_hit, &b, &n, &e), &e);
    assert_string_equal(sx_buf_cstr(&b), files);
}

/* Which files refer to a lost block: the newest revisions, and older ones. */
static void test_hits(void **state)
{
    assert_int_equal(DO(&W, "admin", volume_create, .name = "hits", .replica = 1, .revisions = 2), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "hits", "a", 500, 10, 10, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "hits", "b", 505, 10, 10, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "hits", "c", 600, 10, 10, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "hits", "c", 700, 10, 10, 1), SX_OK);
    hits_are(501, "hits/a ");
    hits_are(507, "hits/a hits/b ");
    hits_are(600, "hits/c* ");
    hits_are(709, "hits/c ");
    hits_are(999, "");
}

static void test_counters_and_readers(void **state)
{
    struct sx_counters c;
    struct sx_err e = SX_ERR_INIT;
    uint64_t index, term;
    sqlite3 *db;

    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    assert_done(sx_query_open(W.path, &db, &e), &e);
    assert_done(sx_query_begin(db, &e), &e);
    assert_done(sx_query_counters(db, &c, &e), &e);
    assert_int_equal(c.files, 1);
    assert_int_equal(c.bytes, 100);
    assert_int_equal(c.volumes, 1);
    assert_int_equal(c.users, 4);
    assert_done(sx_query_applied(db, &index, &term, &e), &e);
    assert_int_equal(index, W.index);
    assert_int_equal(put_inline(&W, "alice", "vol", "b", 1, 100), SX_OK);
    assert_done(sx_query_counters(db, &c, &e), &e);
    assert_int_equal(c.files, 1); /* one state between begin and end */
    sx_query_end(db);
    assert_done(sx_query_counters(db, &c, &e), &e);
    assert_int_equal(c.files, 2);
    sx_query_close(db);
    assert_error(sx_query_open("/nonexistent/db", &db, &e), &e, SX_EIO);
}

static void test_jobs(void **state)
{
    struct sx_job pending[4];
    struct sx_err e = SX_ERR_INIT;
    uint64_t id;
    json_t *j;
    size_t n;

    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_DELETE, .volume = "vol"),
                     SX_OK);
    id = result_u64(&W);
    assert_int_equal(DO(&W, "admin", job_create, .job_type = SX_JOB_DELETE, .volume = "vol"),
                     SX_OK);
    assert_done(sx_query_jobs_pending(world_db(&W), pending, 4, &n, &e), &e);
    assert_int_equal(n, 2);
    assert_int_equal(pending[0].id, id);
    assert_error(sx_query_job_json(world_db(&W), "bob", id, &j, &e), &e, SX_ENOJOB);
    assert_done(sx_query_job_json(world_db(&W), "admin", id, &j, &e), &e);
    assert_string_equal(json_string_value(json_object_get(j, "state")), "waiting");
    assert_string_equal(json_string_value(json_object_get(j, "type")), "delete");
    json_decref(j);
    assert_done(sx_query_jobs_json(world_db(&W), "alice", 10, &j, &e), &e);
    assert_int_equal(json_array_size(j), 1);
    json_decref(j);
    assert_done(sx_query_jobs_json(world_db(&W), "admin", 10, &j, &e), &e);
    assert_int_equal(json_array_size(j), 2);
    json_decref(j);
    assert_done(sx_query_volumes_json(world_db(&W), "bob", &j, &e), &e);
    assert_int_equal(json_array_size(j), 0);
    json_decref(j);
    assert_done(sx_query_volumes_json(world_db(&W), "alice", &j, &e), &e);
    assert_int_equal(json_array_size(j), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "compression")),
                        "none");
    json_decref(j);
    assert_done(sx_query_users_json(world_db(&W), &j, &e), &e);
    assert_int_equal(json_array_size(j), 4);
    json_decref(j);
}

/* ---- damaged rows ---- */

static void damage(const char *sql)
{
    assert_int_equal(sqlite3_exec(world_db(&W), sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(world_db(&W)), 1);
}

static int read_holders(struct sx_err *e)
{
    struct sx_holder_at at = { .table = SX_HOLDERS_FILE };
    struct sx_holder holders[4];
    size_t n;

    while (at.table != SX_HOLDERS_END)
        if (sx_query_holders(world_db(&W), &at, holders, 4, &n, e) != 0)
            return -1;
    return 0;
}

/* What the census reads: a row that is damaged is an error of the read, and the next one sees the rows as
 * they are then. */
static void test_damaged_rows(void **state)
{
    struct sx_inline inlines[4];
    struct sx_ref_row refs[4];
    struct sx_err e = SX_ERR_INIT;
    size_t n;

    assert_int_equal(put_inline(&W, "alice", "vol", "small", 1, 100), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "large", 2, 1, 1000, UINT64_MAX), SX_OK);
    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 1 }, .volume = "vol", .path = "up"),
                     SX_OK);
    damage("BEGIN; UPDATE inline SET record = substr(record, 1, 20)");
    damage("UPDATE ref SET id = x'00'");
    damage("UPDATE upload SET id = x'00'");
    assert_error(sx_query_inlines(world_db(&W), 0, inlines, 4, &n, &e), &e, SX_ECORRUPT);
    assert_error(sx_query_ref_rows(world_db(&W), NULL, refs, 4, &n, &e), &e, SX_ECORRUPT);
    assert_error(read_holders(&e), &e, SX_ECORRUPT);
    assert_int_equal(sqlite3_exec(world_db(&W), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_done(sx_query_inlines(world_db(&W), 0, inlines, 4, &n, &e), &e);
    assert_int_equal(n, 1);
    assert_int_equal(inlines[0].plain, 100);
    assert_done(sx_query_ref_rows(world_db(&W), NULL, refs, 4, &n, &e), &e);
    assert_int_equal(n, 1);
    assert_done(read_holders(&e), &e);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_list), T(test_list_refused), T(test_list_work), T(test_manifest),
        T(test_manifest_small), T(test_file_revision), T(test_refs), T(test_hits), T(test_counters_and_readers),
        T(test_jobs), T(test_damaged_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
