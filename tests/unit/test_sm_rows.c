/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rows of files: how many bytes a typical one takes, that each fact comes back as it went in,
 * and that a database of another version is refused.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define FILES 1500u
#define PATH_BYTES 64u
/* What a row takes beside its path, with what SQLite adds to it. */
#define ROW_BYTES 42u
#define ROW_OWN_BYTES 39u /* of a version that brought its contents along */
#define CONTENT_BYTES 32u

/* ---- size ---- */

static void put_tree(const char *version)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    for (unsigned i = 0; i < FILES; i++) {
        char path[PATH_BYTES + 1];

        snprintf(path, sizeof path, "%s/%0*u", version, (int)(PATH_BYTES - strlen(version) - 1), i);
        put_fill(&c, &entries, "vol", path, i, 1, 5000 + i);
        c.mtime_ns = 1234567890123456789;
        W.time_ms += 3;
        assert_int_equal(put_run(&W, "alice", &c), SX_OK);
    }
    sx_buf_fini(&entries);
}

/* Bytes of the table's rows, without those that pages leave free. */
static uint64_t payload(const char *table)
{
    sqlite3_stmt *st;
    uint64_t n;

    assert_int_equal(sqlite3_prepare_v2(world_db(&W),
                                        "SELECT sum(payload) FROM dbstat WHERE name = ?", -1, &st,
                                        NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void test_bytes(void **state)
{
    uint64_t own, shared;

    if (!sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB"))
        skip(); /* SQLite was built without the table that tells */
    put_tree("v1");
    own = payload("file");
    put_tree("v2");
    shared = payload("file") - own;
    print_message("a row takes %.1f bytes, one that shares its content %.1f, a content %.1f\n",
                  (double)own / FILES, (double)shared / FILES, (double)payload("content") / FILES);
    assert_in_range(own, 1, FILES * (PATH_BYTES + ROW_OWN_BYTES));
    assert_in_range(shared, 1, FILES * (PATH_BYTES + ROW_BYTES));
    assert_in_range(payload("content"), 1, FILES * CONTENT_BYTES);
}

/* An inline content is its record and nothing else. */
static void test_bytes_inline(void **state)
{
    uint64_t records = 0;

    if (!sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB"))
        skip();
    for (unsigned i = 0; i < 100; i++) {
        char path[8];

        snprintf(path, sizeof path, "i%u", i);
        assert_int_equal(put_inline(&W, "alice", "vol", path, i, 1000), SX_OK);
        records += record_len(i);
    }
    assert_in_range(payload("inline"), records, records + 100 * 4); /* what SQLite adds */
}

/* ---- facts ---- */

static void assert_same(const struct sx_file *f, const struct sx_file *g)
{
    assert_true(f->rev == g->rev && f->size == g->size && f->blocks == g->blocks);
    assert_true(f->mtime_ns == g->mtime_ns && f->mode == g->mode);
    assert_true(f->created_ms == g->created_ms && f->content == g->content);
    assert_memory_equal(f->etag, g->etag, SX_ETAG_SIZE);
    assert_int_equal(sx_file_flags(f), sx_file_flags(g));
    assert_true(f->hold == g->hold && f->retain_ms == g->retain_ms);
    assert_int_equal(f->meta.n, g->meta.n);
}

/* What the last command answered is what is read of the revision. */
static void assert_stored(const char *path)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_file f = result_file(&W);
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_query_file(world_db(&W), 1, path, f.rev, &row, &e), &e);
    assert_same(&row.f, &f);
    sx_file_row_fini(&row);
}

static void test_facts(void **state)
{
    static const uint32_t modes[] = { 0644, 0755, 0, 1, 0100644, UINT32_MAX };
    static const int64_t times[] = { 0, 1, -1, INT64_MIN, INT64_MAX, 1700000000000000000 };
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    for (unsigned i = 0; i < 6; i++)
        for (unsigned k = 0; k < 6; k++) {
            put_fill(&c, &entries, "vol", "f", k, (i + k) % 4, 5000);
            c.mode = modes[i];
            c.mtime_ns = times[k];
            assert_int_equal(put_run(&W, "alice", &c), SX_OK);
            assert_int_equal(result_file(&W).mode, modes[i]);
            assert_true(result_file(&W).mtime_ns == times[k]);
            assert_stored("f");
        }
    assert_int_equal(put_inline(&W, "alice", "vol", "i", 3, 100), SX_OK);
    assert_stored("i");
    sx_buf_fini(&entries);
}

/* Revisions that became old, were moved, and are the newest again. */
static void test_facts_of_old(void **state)
{
    struct sx_file first, second;

    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = 32, .versioning = 1),
                     SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 1, 3, 1000, 1), SX_OK);
    assert_stored("a");
    first = result_file(&W);
    assert_false(first.null_version);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 1, 3, 1000, 1), SX_OK); /* unchanged */
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 7, 2, 1000, 1), SX_OK);
    second = result_file(&W);
    assert_stored("a");
    assert_int_equal(DO(&W, "alice", file_copy, .volume = "vol", .path = "a", .rev = first.rev,
                        .to_volume = "vol", .to_path = "b"), SX_OK);
    assert_stored("b");
    assert_true(result_file(&W).content == first.content && result_file(&W).blocks == 3);
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "a", .to_volume = "vol",
                        .to_path = "b"), SX_OK);
    assert_int_equal(result_file(&W).rev, second.rev);
    assert_stored("b");
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "b", .rev = second.rev),
                     SX_OK);
    world_check(&W);
    assert_int_equal(DO(&W, "alice", file_annotate, .volume = "vol", .path = "b"), SX_OK);
    assert_stored("b");
    assert_true(result_file(&W).blocks == 3);
}

/* A part of a multipart upload has its etag, also when it was an upload itself. */
static void test_part_shared(void **state)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, "vol", "f", 20, 2, 1000);
    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 1 }, .volume = "vol", .path = "m",
                        .multipart = 1), SX_OK);
    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 2 }, .volume = "vol", .path = "m"),
                     SX_OK);
    assert_int_equal(DO(&W, "alice", upload_part, .upload = { 2 }, .lease = 1,
                        .entries = c.entries), SX_OK);
    assert_int_equal(DO(&W, "alice", mpart_put, .upload = { 1 }, .number = 1, .size = 2000,
                        .flags = SX_PUT_UPLOAD, .source = { 2 }), SX_OK);
    assert_int_equal(put_run(&W, "alice", &c), SX_OK);
    assert_stored("f");
    put_fill(&c, &entries, "vol", "g", 30, 2, 1000);
    assert_int_equal(DO(&W, "alice", mpart_put, .upload = { 1 }, .number = 2, .size = 2000,
                        .lease = 1, .entries = c.entries), SX_OK);
    assert_int_equal(put_run(&W, "alice", &c), SX_OK);
    assert_stored("g");
    sx_buf_fini(&entries);
}

/* What the database does not hold any more is an error, never a shorter file. */
static void test_lost(void **state)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_manifest m = SX_MANIFEST_INIT;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 1, 3, 1000, 1), SX_OK);
    assert_int_equal(sqlite3_exec(world_db(&W), "BEGIN; DELETE FROM content", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_done(sx_query_file(world_db(&W), 1, "a", 0, &row, &e), &e);
    assert_error(sx_query_manifest(world_db(&W), &row.f, 0, SX_AT_NONE, 10, &m, &e), &e,
                 SX_ECORRUPT);
    assert_error(sx_query_manifest(world_db(&W), &row.f, 0, 0, 10, &m, &e), &e, SX_ECORRUPT);
    assert_int_equal(sqlite3_exec(world_db(&W), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sx_file_row_fini(&row);
    sx_manifest_fini(&m);
}

/* ---- version ---- */

static void test_other_version(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_sm *sm;

    assert_int_equal(sqlite3_exec(world_db(&W), "PRAGMA user_version = 1", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_error(sx_sm_open(W.path, 0, NULL, NULL, &sm, &e), &e, SX_EVERSION);
    assert_non_null(strstr(e.msg, "metadata database has version 1, this program knows 3"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_bytes), T(test_bytes_inline), T(test_facts), T(test_facts_of_old),
        T(test_part_shared), T(test_lost), T(test_other_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
