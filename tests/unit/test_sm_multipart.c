/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: multipart uploads, joint contents, and reading them.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define LEN 100u

static const uint8_t UP[SX_UPLOAD_ID] = "multipart-00001";

static int setup(void **state)
{
    world_open(&W, 3);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol", .owner = "alice", .replica = 1,
                        .compression = SX_COMPRESSION_DEFAULT), SX_OK);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "three", .owner = "alice",
                        .replica = 3, .compression = SX_COMPRESSION_DEFAULT), SX_OK);
    return 0;
}

static int begin(const char *path)
{
    struct sx_cmd_upload_begin c = { .volume = "vol", .path = path, .multipart = 1 };

    memcpy(c.upload, UP, sizeof UP);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_begin_encode(&W.cmd, W.op, "alice", &c);
    return world_run(&W);
}

/* Part `number` of n blocks from `seed` on; its md5 begins with `md5`. */
static int part(uint32_t number, uint64_t seed, unsigned n, uint8_t md5)
{
    struct sx_cmd_mpart_put c = { .number = number, .size = (uint64_t)n * LEN, .md5 = { md5 },
                                  .lease = UINT64_MAX };
    struct sx_buf entries = SX_BUF_INIT, meta = SX_BUF_INIT;
    const char digit = (char)('a' + number % 10);
    json_t *items = json_pack("{s:s#}", "number", &digit, 1);

    memcpy(c.upload, UP, sizeof UP);
    entries_make(&entries, seed, n, LEN);
    c.entries = (struct sx_span){ entries.data, entries.len };
    assert_int_equal(sx_meta_items_encode(items, &meta, NULL), 0);
    c.meta = (struct sx_span){ meta.data, meta.len };
    json_decref(items);
    sx_buf_reset(&W.cmd);
    sx_cmd_mpart_put_encode(&W.cmd, W.op, "alice", &c);
    sx_buf_fini(&entries);
    sx_buf_fini(&meta);
    return world_run(&W);
}

struct named {
    uint16_t number;
    uint8_t md5;
};

static int complete(const struct named *names, size_t n)
{
    struct sx_cmd_mpart_complete c = { .mtime_ns = 5 };
    struct sx_buf b = SX_BUF_INIT;

    for (size_t i = 0; i < n; i++) {
        uint8_t md5[SX_MD5_SIZE] = { names[i].md5 };

        sx_buf_u16(&b, names[i].number);
        sx_buf_add(&b, md5, sizeof md5);
    }
    memcpy(c.upload, UP, sizeof UP);
    c.parts = (struct sx_span){ b.data, b.len };
    sx_buf_reset(&W.cmd);
    sx_cmd_mpart_complete_encode(&W.cmd, W.op, "alice", &c);
    sx_buf_fini(&b);
    return world_run(&W);
}

#define COMPLETE(...)                                                                              \
    complete((const struct named[]){ __VA_ARGS__ },                                                \
             sizeof((const struct named[]){ __VA_ARGS__ }) / sizeof(struct named))

/* The block list in pages of `count`, by index or by offset, against what it must be. */
static void read_back(const char *volume, const char *path, const uint64_t *seeds, size_t n,
                      uint32_t count, bool by_offset)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_manifest m = SX_MANIFEST_INIT;
    struct sx_buf all = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    uint8_t etag[SX_ETAG_SIZE];

    assert_done(sx_query_file(world_db(&W), world_volume(&W, volume).id, path, 0, &row, &e), &e);
    assert_int_equal(row.f.size, n * LEN);
    for (size_t i = 0; i < n; i++)
        entries_make(&all, seeds[i], 1, LEN);
    etag_of(all.data, all.len, etag);
    assert_memory_equal(row.f.etag, etag, sizeof etag);
    sx_buf_fini(&all);
    assert_int_equal(row.f.blocks, n);
    for (size_t i = 0; i < n;) {
        assert_done(sx_query_manifest(world_db(&W), &row.f, i, by_offset ? i * LEN + LEN / 2
                                                                         : SX_AT_NONE,
                                      count, &m, &e), &e);
        assert_int_equal(m.from, i);
        assert_int_equal(m.offset, i * LEN);
        assert_int_equal(m.count, count < n - i ? count : n - i);
        for (uint32_t k = 0; k < m.count; k++, i++) {
            struct sx_id want = id_of(seeds[i]), got;
            uint32_t len;

            sx_block_entry_get(m.entries.data + (size_t)k * SX_ENTRY_SIZE, &got, &len);
            assert_int_equal(sx_id_cmp(&want, &got), 0);
        }
    }
    sx_manifest_fini(&m);
    sx_file_row_fini(&row);
}

static void read_back_all(const char *volume, const char *path, const uint64_t *seeds, size_t n)
{
    for (uint32_t count = 1; count < n + 2; count++) {
        read_back(volume, path, seeds, n, count, false);
        read_back(volume, path, seeds, n, count, true);
    }
}

static void test_complete(void **state)
{
    static const uint64_t want[] = { 10, 11, 12, 20, 21, 50 };

    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(5, 50, 1, 5), SX_OK); /* in any order */
    assert_int_equal(part(2, 90, 2, 9), SX_OK);
    assert_int_equal(part(1, 10, 3, 1), SX_OK);
    assert_int_equal(part(2, 20, 2, 2), SX_OK); /* replaced */
    assert_false(world_referenced(&W, 90));
    assert_int_equal(part(3, 30, 1, 3), SX_OK); /* not named */
    assert_true(world_referenced(&W, 30));
    assert_int_equal(COMPLETE({ 1, 1 }, { 2, 2 }, { 5, 5 }), SX_OK);
    assert_int_equal(result_file(&W).size, 600);
    assert_false(world_referenced(&W, 30));
    read_back_all("vol", "f", want, 6);
    EXPECT(&W, part(1, 10, 1, 1), SX_ENOUPLOAD, "the upload does not exist");
    assert_int_equal(world_volume(&W, "vol").used, 600);
    /* Deleted: all of it goes. */
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "f"), SX_OK);
    assert_false(world_referenced(&W, 10) || world_referenced(&W, 21) || world_referenced(&W, 50));
}

static void add_meta(void *ctx, uint64_t number, const struct sx_span *meta)
{
    json_t *items = sx_meta_items_json(meta->p, meta->n);
    char *said = ctx;

    sprintf(said + strlen(said), "%u%s", (unsigned)number,
            json_string_value(json_object_get(items, "number")));
    json_decref(items);
}

/* Where the parts begin, from any of them on, and what is known of them. */
static void test_joints(void **state)
{
    static const uint64_t want[] = { 0, 3 * LEN, 5 * LEN };
    struct sx_file_row row = SX_FILE_ROW_INIT;
    char said[64] = "";
    uint64_t got[4];
    size_t n;

    assert_int_equal(begin("f"), SX_OK);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(part(2u * i + 1, 10 * i, 3u - i, (uint8_t)i), SX_OK);
    assert_int_equal(COMPLETE({ 1, 0 }, { 3, 1 }, { 5, 2 }), SX_OK);
    assert_int_equal(sx_query_file(world_db(&W), world_volume(&W, "vol").id, "f", 0, &row, NULL), 0);
    for (size_t from = 0; from < 5; from++)
        for (size_t max = 1; max <= 4; max++) {
            assert_int_equal(sx_query_joints(world_db(&W), &row.f, from, got, max, &n, NULL), 0);
            assert_int_equal(n, from > 3 ? 0 : 3 - from < max ? 3 - from : max);
            assert_memory_equal(got, want + (from < 3 ? from : 0), n * sizeof *got);
        }
    /* what was said of the parts 1, 3 and 5 */
    assert_int_equal(sx_query_joint_meta(world_db(&W), &row.f, 0, 9, add_meta, said, NULL), 0);
    assert_string_equal(said, "0b1d2f");
    said[0] = '\0';
    assert_int_equal(sx_query_joint_meta(world_db(&W), &row.f, 1, 1, add_meta, said, NULL), 0);
    assert_string_equal(said, "1d");
    sx_file_row_fini(&row);
}

static void test_one_part(void **state)
{
    static const uint64_t want[] = { 1, 2 };

    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(7, 1, 2, 1), SX_OK);
    assert_int_equal(part(8, 1, 0, 2), SX_OK); /* empty */
    assert_int_equal(COMPLETE({ 7, 1 }, { 8, 2 }), SX_OK);
    read_back_all("vol", "f", want, 2);
}

static void test_empty(void **state)
{
    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(1, 1, 0, 1), SX_OK);
    assert_int_equal(COMPLETE({ 1, 1 }), SX_OK);
    assert_int_equal(result_file(&W).size, 0);
}

/* Long parts go with expire, a copy in a volume with more replicas raises those of the parts. */
static void test_copy_and_expire(void **state)
{
    uint64_t want[140];
    struct sx_ref refs[200];
    size_t n;

    for (size_t i = 0; i < 140; i++)
        want[i] = i < 70 ? 1000 + i : 2000 + i - 70;
    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(1, 1000, 70, 1), SX_OK);
    assert_int_equal(part(2, 2000, 70, 2), SX_OK);
    assert_int_equal(COMPLETE({ 1, 1 }, { 2, 2 }), SX_OK);
    assert_int_equal(DO(&W, "alice", file_copy, .volume = "vol", .path = "f", .to_volume = "three",
                        .to_path = "g"), SX_OK);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "f"), SX_OK);
    read_back("three", "g", want, 140, 30, false);
    assert_int_equal(sx_query_refs(world_db(&W), &(struct sx_id){ 0 }, 200, refs, &n, NULL), 0);
    assert_int_equal(n, 140);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(refs[i].replica, 3);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "three", .path = "g"), SX_OK);
    world_check(&W);
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    assert_false(world_referenced(&W, 1000) || world_referenced(&W, 2069));
}

static void test_refusals(void **state)
{
    EXPECT(&W, part(1, 1, 1, 1), SX_ENOUPLOAD, "the upload does not exist");
    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(0, 1, 1, 1), SX_EINVAL);
    EXPECT(&W, part(10001, 1, 1, 1), SX_EINVAL, "part number 10001 is not between 1 and 10000");
    assert_int_equal(part(1, 1, 1, 1), SX_OK);
    assert_int_equal(part(2, 2, 1, 2), SX_OK);
    EXPECT(&W, COMPLETE({ 1, 1 }, { 3, 3 }), SX_ENOTFOUND, "part 3 is not there");
    EXPECT(&W, COMPLETE({ 1, 9 }), SX_ENOTFOUND, "part 1 has another checksum");
    EXPECT(&W, COMPLETE({ 2, 2 }, { 1, 1 }), SX_EINVAL, "part 1 is named behind part 2");
    EXPECT(&W, complete(NULL, 0), SX_EINVAL, "the list of parts is empty or malformed");
    assert_int_equal(COMPLETE({ 1, 1 }, { 2, 2 }), SX_OK);
}

static void test_abort(void **state)
{
    struct sx_cmd_upload_abort c;

    memcpy(c.upload, UP, sizeof UP);
    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(1, 1, 2, 1), SX_OK);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_abort_encode(&W.cmd, W.op, "bob", &c);
    assert_int_equal(world_run(&W), SX_ENOVOLUME);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_abort_encode(&W.cmd, W.op, "alice", &c);
    assert_int_equal(world_run(&W), SX_OK);
    assert_false(world_referenced(&W, 1));
    assert_int_equal(part(1, 1, 2, 1), SX_ENOUPLOAD);
}

static void test_idle(void **state)
{
    assert_int_equal(begin("f"), SX_OK);
    assert_int_equal(part(1, 1, 2, 1), SX_OK);
    world_pass(&W, 7 * 86400000ull);
    assert_true(world_referenced(&W, 1));
    world_pass(&W, 60000);
    assert_false(world_referenced(&W, 1));
}

/* A part that came as an upload in pieces of its own. */
static void test_part_by_upload(void **state)
{
    static const uint64_t want[] = { 1, 2, 3, 10 };
    static const uint8_t SUB[SX_UPLOAD_ID] = "sub-00000000001";
    struct sx_cmd_upload_begin b = { .volume = "vol", .path = "f" };
    struct sx_cmd_upload_part p = { .lease = UINT64_MAX };
    struct sx_cmd_mpart_put c = { .number = 1, .size = 3 * LEN, .md5 = { 1 },
                                  .flags = SX_PUT_UPLOAD };
    struct sx_buf entries = SX_BUF_INIT;

    assert_int_equal(begin("f"), SX_OK);
    memcpy(b.upload, SUB, sizeof SUB);
    memcpy(p.upload, SUB, sizeof SUB);
    memcpy(c.source, SUB, sizeof SUB);
    memcpy(c.upload, UP, sizeof UP);
    entries_make(&entries, 1, 3, LEN);
    p.entries = (struct sx_span){ entries.data, entries.len };
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_begin_encode(&W.cmd, W.op, "alice", &b);
    assert_int_equal(world_run(&W), SX_OK);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_part_encode(&W.cmd, W.op, "alice", &p);
    assert_int_equal(world_run(&W), SX_OK);
    sx_buf_reset(&W.cmd);
    sx_cmd_mpart_put_encode(&W.cmd, W.op, "alice", &c);
    assert_int_equal(world_run(&W), SX_OK);
    assert_int_equal(part(2, 10, 1, 2), SX_OK);
    assert_int_equal(COMPLETE({ 1, 1 }, { 2, 2 }), SX_OK);
    read_back_all("vol", "f", want, 4);
    sx_buf_fini(&entries);
}

/* ---- queries ---- */

static bool collect_part(void *ctx, const struct sx_mpart *p)
{
    char *out = ctx;
    size_t n = strlen(out);

    snprintf(out + n, 100 - n, "%u:%llu:%u ", p->number, (unsigned long long)p->size, p->md5[0]);
    return p->number < 8;
}

static bool collect_upload(void *ctx, const struct sx_mupload *u)
{
    char *out = ctx;
    size_t n = strlen(out);

    snprintf(out + n, 100 - n, "%s:%.16s ", u->path, (const char *)u->id);
    return true;
}

static void test_queries(void **state)
{
    struct sx_mupload u = { .meta = SX_BUF_INIT };
    uint64_t vol = world_volume(&W, "vol").id;
    char parts[100] = "", uploads[100] = "";
    struct sx_err e = SX_ERR_INIT;

    assert_error(sx_query_mupload(world_db(&W), UP, &u, &e), &e, SX_ENOUPLOAD);
    assert_int_equal(begin("d/f"), SX_OK);
    assert_int_equal(part(9, 1, 1, 9), SX_OK);
    assert_int_equal(part(8, 1, 2, 8), SX_OK);
    assert_int_equal(part(3, 1, 3, 3), SX_OK);
    assert_done(sx_query_mupload(world_db(&W), UP, &u, &e), &e);
    assert_string_equal(u.path, "d/f");
    assert_string_equal(u.user, "alice");
    assert_done(sx_query_mparts(world_db(&W), UP, 1, collect_part, parts, &e), &e);
    assert_string_equal(parts, "3:300:3 8:200:8 ");
    assert_done(sx_query_muploads(world_db(&W), vol, "d", "", NULL, collect_upload, uploads, &e), &e);
    assert_string_equal(uploads, "d/f:multipart-00001 ");
    uploads[0] = 0;
    assert_done(sx_query_muploads(world_db(&W), vol, "", "d/f", UP, collect_upload, uploads, &e), &e);
    assert_done(sx_query_muploads(world_db(&W), vol, "", "d/f", NULL, collect_upload, uploads, &e),
                &e);
    assert_done(sx_query_muploads(world_db(&W), vol, "e", "", NULL, collect_upload, uploads, &e), &e);
    assert_string_equal(uploads, "");
    sx_mupload_fini(&u);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_complete), T(test_joints), T(test_one_part), T(test_empty), T(test_copy_and_expire),
        T(test_refusals), T(test_abort), T(test_idle), T(test_part_by_upload), T(test_queries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
