/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: versioning, deletion markers, the null version, object lock, items set on a
 * revision that is there, conditions on revisions; and their listing.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

static int versioning(uint8_t how)
{
    return DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_VERSIONING,
              .versioning = how);
}

static int lock(uint8_t mode, uint64_t ms)
{
    return DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_LOCK | SX_SET_VERSIONING,
              .versioning = SX_VERSIONING_ENABLED, .lock_mode = mode, .lock_ms = ms);
}

static uint64_t put(const char *path, uint64_t seed)
{
    assert_int_equal(put_blocks(&W, "alice", "vol", path, seed, 1, 100, UINT64_MAX), SX_OK);
    return result_file(&W).rev;
}

static int del(const char *path, uint64_t rev, uint8_t flags)
{
    return DO(&W, "alice", file_delete, .volume = "vol", .path = path, .rev = rev, .flags = flags);
}

/* What the last delete made: the marker's revision. */
static uint64_t marker(void)
{
    assert_int_equal(W.payload.len, 13);
    return sx_get_u64(W.payload.data + 4);
}

static int get(const char *path, uint64_t rev, struct sx_file *f)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_err e = SX_ERR_INIT;
    int r = sx_query_file(world_db(&W), world_volume(&W, "vol").id, path, rev, &row, &e);

    if (f)
        *f = row.f;
    sx_file_row_fini(&row);
    return r == 0 ? SX_OK : (int)e.code;
}

/* Paths and revisions of a whole listing, in pages of `limit`: "a:REV* …", * the newest, 0 the null
 * version, ! a marker; folded prefixes in brackets.  Revisions are counted from the smallest seen. */
static void list(char *out, size_t size, unsigned limit, bool versions, const char *delimiter)
{
    char after[SX_PATH_MAX + 1] = "";
    uint64_t after_rev = 0;
    size_t used = 0;

    for (;;) {
        struct sx_list l = { .after = after, .delimiter = delimiter, .limit = limit,
                             .versions = versions, .after_rev = after_rev };
        struct sx_err e = SX_ERR_INIT;
        const char *next, *next_rev;
        json_t *page, *o;
        size_t i;

        if (sx_query_list_json(world_db(&W), world_volume(&W, "vol").id, &l, &page, &e) != 0)
            fail_msg("%s", e.msg);
        json_array_foreach(json_object_get(page, "files"), i, o)
            used += (size_t)snprintf(out + used, size - used, "%s%s%s%s ",
                             json_string_value(json_object_get(o, "path")),
                             json_is_true(json_object_get(o, "newest")) ? "*" : "",
                             json_is_true(json_object_get(o, "null")) ? "0" : "",
                             json_is_true(json_object_get(o, "deleted")) ? "!" : "");
        json_array_foreach(json_object_get(page, "prefixes"), i, o)
            used += (size_t)snprintf(out + used, size - used, "[%s] ", json_string_value(o));
        next = json_string_value(json_object_get(page, "next"));
        next_rev = json_string_value(json_object_get(page, "next_rev"));
        snprintf(after, sizeof after, "%s", next ? next : "");
        after_rev = next_rev ? strtoull(next_rev, NULL, 16) : 0;
        json_decref(page);
        if (!*after)
            break;
    }
    out[used] = 0;
}

static void assert_list(unsigned limit, bool versions, const char *delimiter, const char *want)
{
    char got[1000];

    list(got, sizeof got, limit, versions, delimiter);
    assert_string_equal(got, want);
}

/* ---- versioning ---- */

static void test_enabled(void **state)
{
    uint64_t revs[8], a, b, m;

    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    a = put("f", 1);
    b = put("f", 2);
    assert_int_equal(world_revisions(&W, "vol", "f", revs), 2);
    assert_int_equal(del("f", 0, 0), SX_OK);
    m = marker();
    assert_true(m > b);
    assert_int_equal(get("f", 0, NULL), SX_ENOFILE);
    assert_int_equal(get("f", m, NULL), SX_ENOREVISION);
    assert_int_equal(get("f", a, NULL), SX_OK);
    assert_int_equal(world_volume(&W, "vol").files, 0);
    assert_int_equal(world_volume(&W, "vol").used, 200);
    assert_true(world_referenced(&W, 1) && world_referenced(&W, 2));
    EXPECT(&W, DO(&W, "alice", volume_delete, .volume = "vol"), SX_ENOTEMPTY,
           "volume 'vol' holds old revisions of deleted files");
    /* The marker away: the file is back. */
    assert_int_equal(del("f", m, 0), SX_OK);
    assert_int_equal(W.payload.data[12], 1);
    assert_int_equal(get("f", 0, NULL), SX_OK);
    assert_int_equal(world_volume(&W, "vol").files, 1);
    /* One by one. */
    assert_int_equal(del("f", b, 0), SX_OK);
    assert_false(world_referenced(&W, 2));
    assert_int_equal(del("f", a, 0), SX_OK);
    assert_int_equal(get("f", 0, NULL), SX_ENOFILE);
    assert_int_equal(world_volume(&W, "vol").used, 0);
    assert_int_equal(del("f", a, 0), SX_ENOFILE);
}

static void test_marker_alone(void **state)
{
    uint64_t m;

    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    put("f", 1);
    assert_int_equal(del("f", 0, 0), SX_OK);
    assert_int_equal(del("f", 0, 0), SX_OK); /* S3 makes another */
    m = marker();
    assert_list(10, true, "", "f*! f! f ");
    assert_list(10, false, "", "");
    /* A put over a marker, with and without the condition that nothing is there. */
    assert_int_equal(DO(&W, "alice", file_put, .volume = "vol", .path = "f", .mode = 1,
                        .flags = SX_PUT_IF_NONE_MATCH,
                        .etag = { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
                                  0xc8, 0x99, 0x6f, 0xb9, 0x24 }), SX_OK);
    assert_int_equal(world_volume(&W, "vol").files, 1);
    assert_list(1, true, "", "f* f! f! f ");
    assert_int_equal(del("f", m, 0), SX_OK);
    assert_list(3, true, "", "f* f! f ");
}

static void test_suspended(void **state)
{
    uint64_t first = put("f", 1), second, third;

    assert_list(10, true, "", "f*0 ");
    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    second = put("f", 2);
    assert_list(10, true, "", "f* f0 ");
    assert_int_equal(versioning(SX_VERSIONING_SUSPENDED), SX_OK);
    third = put("f", 3); /* takes the place of the first */
    assert_list(10, true, "", "f*0 f ");
    assert_int_equal(get("f", first, NULL), SX_ENOREVISION);
    assert_int_equal(get("f", second, NULL), SX_OK);
    assert_int_equal(del("f", 0, 0), SX_OK); /* and a marker that of the third */
    assert_list(10, true, "", "f*0! f ");
    assert_int_equal(get("f", third, NULL), SX_ENOREVISION);
    assert_int_equal(world_volume(&W, "vol").used, 100);
    assert_int_equal(del("f", 0, SX_DELETE_NULL), SX_OK);
    assert_list(10, true, "", "f* ");
    EXPECT(&W, del("f", 0, SX_DELETE_NULL), SX_ENOREVISION, "file 'f' has no null version");
    EXPECT(&W, versioning(SX_VERSIONING_OFF), SX_EINVAL,
           "versioning is 'suspended': it can be enabled or suspended");
}

static void test_suspended_quota(void **state)
{
    put("f", 1);
    assert_int_equal(versioning(SX_VERSIONING_SUSPENDED), SX_OK);
    assert_int_equal(DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_VOLUME_QUOTA,
                        .quota = 100), SX_OK);
    put("f", 2); /* fits, since the null version goes */
    assert_int_equal(put_blocks(&W, "alice", "vol", "g", 3, 1, 1, UINT64_MAX), SX_EQUOTA);
    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "f", 3, 1, 1, UINT64_MAX), SX_EQUOTA);
}

static void test_listing(void **state)
{
    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    put("a", 1);
    put("d/x", 1);
    put("d/x", 2);
    put("d/y", 3);
    put("e/z", 4);
    put("f", 5);
    put("f", 6);
    assert_int_equal(del("e/z", 0, 0), SX_OK);
    assert_list(100, false, "", "a d/x d/y f ");
    assert_list(1, false, "/", "a [d/] f ");
    assert_list(2, true, "", "a* d/x* d/x d/y* e/z*! e/z f* f ");
    for (unsigned limit = 1; limit < 9; limit++) {
        assert_list(limit, true, "", "a* d/x* d/x d/y* e/z*! e/z f* f ");
        assert_list(limit, false, "", "a d/x d/y f ");
    }
    assert_list(1, true, "/", "a* [d/] [e/] f* f ");
}

/* Takes away each page of a listing of versions before it asks for the next, as clients empty buckets. */
static void empty(unsigned limit)
{
    char after[SX_PATH_MAX + 1] = "";
    uint64_t after_rev = 0;

    do {
        struct sx_list l = { .after = after, .limit = limit, .versions = true,
                             .after_rev = after_rev };
        struct sx_err e = SX_ERR_INIT;
        json_t *page, *o;
        size_t i;

        if (sx_query_list_json(world_db(&W), world_volume(&W, "vol").id, &l, &page, &e) != 0)
            fail_msg("%s", e.msg);
        json_array_foreach(json_object_get(page, "files"), i, o)
            assert_int_equal(del(json_string_value(json_object_get(o, "path")),
                                 strtoull(json_string_value(json_object_get(o, "rev")), NULL, 16), 0),
                             SX_OK);
        o = json_object_get(page, "next");
        snprintf(after, sizeof after, "%s", o ? json_string_value(o) : "");
        o = json_object_get(page, "next_rev");
        after_rev = o ? strtoull(json_string_value(o), NULL, 16) : 0;
        json_decref(page);
    } while (*after);
}

static void test_listing_emptied(void **state)
{
    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    for (unsigned limit = 1; limit < 9; limit++) {
        for (uint64_t i = 0; i < 5; i++) {
            put("a", i);
            put("b", i);
        }
        assert_int_equal(del("b", 0, 0), SX_OK);
        put("c", 9);
        empty(limit);
        assert_list(10, true, "", "");
    }
}

/* A file that is renamed over another keeps its revisions, which are older than those below them. */
static void test_listing_renamed(void **state)
{
    uint64_t old;

    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    old = put("a", 1);
    put("a", 2);
    put("b", 3);
    put("b", 4);
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "a", .to_volume = "vol",
                        .to_path = "b"), SX_OK);
    for (unsigned limit = 1; limit < 6; limit++)
        assert_list(limit, true, "", "b* b b b ");
    assert_int_equal(del("b", old, 0), SX_OK);
    assert_list(1, true, "", "b* b b ");
}

static void test_volume_removed(void **state)
{
    uint64_t id;

    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    put("a", 1);
    put("a", 2);
    put("b", 3);
    assert_int_equal(del("b", 0, 0), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_VOLUME_DELETE,
                        .volume = "vol"), SX_OK);
    id = result_u64(&W);
    assert_int_equal(DO(&W, "", job_step, .id = id, .limit = 100), SX_OK);
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    assert_false(world_referenced(&W, 1) || world_referenced(&W, 3));
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol", .owner = "alice",
                        .compression = SX_COMPRESSION_DEFAULT), SX_OK);
}

/* A recursive delete makes markers, and meets none of them again. */
static void test_job_delete(void **state)
{
    uint64_t id;

    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    put("d/a", 1);
    put("d/b", 2);
    assert_int_equal(del("d/b", 0, 0), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_DELETE, .volume = "vol",
                        .prefix = "d/"), SX_OK);
    id = result_u64(&W);
    assert_int_equal(DO(&W, "", job_step, .id = id, .limit = 100), SX_OK);
    assert_list(10, true, "", "d/a*! d/a d/b*! d/b ");
}

/* ---- conditions ---- */

static int put_if(const char *path, uint64_t if_rev)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, "vol", path, 9, 1, 100);
    c.flags = SX_PUT_IF_REV | SX_PUT_NEW;
    c.if_rev = if_rev;
    sx_buf_reset(&W.cmd);
    sx_cmd_file_put_encode(&W.cmd, W.op, "alice", &c);
    sx_buf_fini(&entries);
    return world_run(&W);
}

static void test_if_rev(void **state)
{
    uint64_t a = put("f", 1), b, m;

    EXPECT(&W, put_if("g", a), SX_EPRECONDITION, "file 'g' has changed");
    assert_int_equal(put_if("f", a), SX_OK);
    b = result_file(&W).rev;
    assert_int_equal(put_if("f", a), SX_EPRECONDITION);
    assert_int_equal(put_if("f", b), SX_OK); /* the same content: a new revision all the same */
    assert_true(result_file(&W).rev > b && !result_file(&W).unchanged);
    EXPECT(&W, DO(&W, "alice", file_delete, .volume = "vol", .path = "f",
                  .flags = SX_DELETE_IF_REV, .if_rev = b), SX_EPRECONDITION, "file 'f' has changed");
    /* Of a marker: only as long as it is the newest. */
    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    assert_int_equal(del("g", 0, 0), SX_ENOFILE);
    put("h", 1);
    assert_int_equal(del("h", 0, 0), SX_OK);
    m = marker();
    put("h", 2);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "h", .rev = m,
                        .flags = SX_DELETE_IF_REV, .if_rev = m), SX_EPRECONDITION);
    assert_int_equal(del("h", 0, 0), SX_OK);
    m = marker();
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "h", .rev = m,
                        .flags = SX_DELETE_IF_REV, .if_rev = m), SX_OK);
    assert_int_equal(versioning(SX_VERSIONING_SUSPENDED), SX_OK);
    EXPECT(&W, DO(&W, "alice", file_copy, .volume = "vol", .path = "f", .to_volume = "vol",
                  .to_path = "f", .flags = SX_PUT_IF_REV, .if_rev = b), SX_EPRECONDITION,
           "file 'f' has changed");
}

/* ---- items ---- */

static struct sx_buf items_of(const char *json)
{
    struct sx_buf b = SX_BUF_INIT;
    json_t *o = json_loads(json, 0, NULL);

    assert_int_equal(sx_meta_items_encode(o, &b, NULL), 0);
    json_decref(o);
    return b;
}

static void annotate(uint64_t rev, const char *json, const char *want)
{
    struct sx_buf b = items_of(json);
    struct sx_file f;
    char *text;
    json_t *o;

    assert_int_equal(DO(&W, "alice", file_annotate, .volume = "vol", .path = "f", .rev = rev,
                        .items = { b.data, b.len }), SX_OK);
    f = result_file(&W);
    o = sx_meta_items_json(f.meta.p, f.meta.n);
    text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, want);
    free(text);
    json_decref(o);
    sx_buf_fini(&b);
}

static void test_annotate(void **state)
{
    uint64_t a;

    assert_int_equal(versioning(SX_VERSIONING_ENABLED), SX_OK);
    a = put("f", 1);
    put("f", 2);
    annotate(0, "{\"b\":\"1\",\"d\":\"2\"}", "{\"b\":\"1\",\"d\":\"2\"}");
    annotate(0, "{\"a\":\"0\",\"c\":\"x\",\"d\":\"3\",\"e\":\"\"}",
             "{\"a\":\"0\",\"b\":\"1\",\"c\":\"x\",\"d\":\"3\"}");
    annotate(0, "{\"a\":\"\",\"c\":\"\",\"b\":\"\",\"d\":\"\"}", "{}");
    annotate(a, "{\"old\":\"1\"}", "{\"old\":\"1\"}");
    annotate(0, "{\"new\":\"1\"}", "{\"new\":\"1\"}");
}

static void test_copy_replace(void **state)
{
    struct sx_buf b = items_of("{\"k\":\"v\"}");
    struct sx_file f;

    put("f", 1);
    assert_int_equal(DO(&W, "alice", file_copy, .volume = "vol", .path = "f", .to_volume = "vol",
                        .to_path = "f", .flags = SX_COPY_REPLACE, .meta = { b.data, b.len }),
                     SX_OK);
    f = result_file(&W);
    assert_int_equal(f.meta.n, b.len);
    assert_int_equal(f.size, 100);
    sx_buf_fini(&b);
}

/* ---- object lock ---- */

static int hold(uint64_t rev, uint8_t set, uint8_t bits, uint64_t until_ms)
{
    return DO(&W, "alice", file_lock, .volume = "vol", .path = "f", .rev = rev, .set = set,
              .hold = bits, .retain_ms = until_ms);
}

static void test_lock_needs_versioning(void **state)
{
    put("f", 1);
    EXPECT(&W, hold(0, SX_LOCK_SET_LEGAL, SX_HOLD_LEGAL, 0), SX_ECONFLICT,
           "volume 'vol' has no object lock");
    EXPECT(&W, DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_LOCK,
                  .lock_mode = SX_LOCK_ON), SX_ECONFLICT,
           "volume 'vol' has an object lock, which needs versioning");
    assert_int_equal(lock(SX_LOCK_ON, 0), SX_OK);
    EXPECT(&W, versioning(SX_VERSIONING_SUSPENDED), SX_ECONFLICT,
           "volume 'vol' has an object lock, which needs versioning");
    EXPECT(&W, lock(SX_LOCK_OFF, 0), SX_EINVAL,
           "an object lock needs a mode and, but for 'on', a time");
    assert_int_equal(lock(SX_LOCK_GOVERNANCE, 0), SX_EINVAL);
}

static void test_legal_hold(void **state)
{
    uint64_t a, m;

    assert_int_equal(lock(SX_LOCK_ON, 0), SX_OK);
    a = put("f", 1);
    assert_int_equal(hold(0, SX_LOCK_SET_LEGAL, SX_HOLD_LEGAL, 0), SX_OK);
    EXPECT(&W, del("f", a, SX_DELETE_BYPASS), SX_ELOCKED,
           "a revision of file 'f' is under legal hold");
    assert_int_equal(del("f", 0, 0), SX_OK); /* a marker does no harm */
    m = marker();
    EXPECT(&W, DO(&W, "alice", file_rename, .volume = "vol", .path = "f", .to_volume = "vol",
                  .to_path = "g"), SX_ENOFILE, "file 'f' does not exist in volume 'vol'");
    assert_int_equal(del("f", m, 0), SX_OK);
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "f",
                        .to_volume = "vol", .to_path = "g"), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_LEGAL, 0, 0), SX_OK);
    assert_int_equal(result_file(&W).hold, SX_HOLD_NO_LEGAL);
    assert_int_equal(del("f", a, 0), SX_OK);
    /* The volume's default counts beside it, and what is said of it does not touch retention. */
    assert_int_equal(lock(SX_LOCK_GOVERNANCE, 1000000), SX_OK);
    put("f", 1);
    assert_int_equal(hold(0, SX_LOCK_SET_LEGAL, SX_HOLD_LEGAL, 0), SX_OK);
    assert_int_equal(result_file(&W).hold, SX_HOLD_LEGAL | SX_HOLD_GOVERNANCE);
    assert_int_equal(hold(0, SX_LOCK_SET_RETAIN | SX_LOCK_BYPASS, 0, 0), SX_OK);
    assert_int_equal(result_file(&W).hold, SX_HOLD_LEGAL);
    assert_int_equal(hold(0, SX_LOCK_SET_LEGAL, 0, 0), SX_OK);
    assert_int_equal(DO(&W, "alice", file_copy, .volume = "vol", .path = "f", .to_volume = "vol",
                        .to_path = "g", .flags = SX_PUT_NEW, .hold = SX_HOLD_LEGAL), SX_OK);
    assert_int_equal(result_file(&W).hold, SX_HOLD_LEGAL | SX_HOLD_GOVERNANCE);
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "f", .to_volume = "vol",
                        .to_path = "h"), SX_OK);
}

static void test_governance(void **state)
{
    uint64_t now = W.time_ms, a;

    assert_int_equal(lock(SX_LOCK_GOVERNANCE, 1000000), SX_OK);
    a = put("f", 1);
    assert_true(result_file(&W).hold == SX_HOLD_GOVERNANCE && result_file(&W).retain_ms > now);
    assert_int_equal(del("f", a, 0), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN, 0, 0), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN, SX_HOLD_GOVERNANCE, now + 500000), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN, SX_HOLD_GOVERNANCE, now + 5000000), SX_OK);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN | SX_LOCK_BYPASS, SX_HOLD_GOVERNANCE,
                          now + 500000), SX_OK);
    assert_int_equal(del("f", a, SX_DELETE_BYPASS), SX_OK);
    a = put("f", 1);
    W.time_ms += 2000000;
    assert_int_equal(del("f", a, 0), SX_OK);
}

static void test_compliance(void **state)
{
    uint64_t now = W.time_ms, a, id;

    assert_int_equal(lock(SX_LOCK_COMPLIANCE, 1000000), SX_OK);
    a = put("f", 1);
    assert_int_equal(del("f", a, SX_DELETE_BYPASS), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN | SX_LOCK_BYPASS, 0, 0), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN | SX_LOCK_BYPASS, SX_HOLD_GOVERNANCE,
                          now + 9000000), SX_ELOCKED);
    assert_int_equal(hold(a, SX_LOCK_SET_RETAIN, SX_HOLD_COMPLIANCE, now + 9000000), SX_OK);
    /* Not even with the volume. */
    assert_int_equal(DO(&W, "admin", job_create, .job_type = SX_JOB_VOLUME_DELETE,
                        .volume = "vol"), SX_OK);
    id = result_u64(&W);
    assert_int_equal(DO(&W, "", job_step, .id = id, .limit = 100), SX_OK);
    assert_int_equal(get("f", 0, NULL), SX_OK);
    W.time_ms += 10000000;
    assert_int_equal(del("f", a, 0), SX_OK);
}

static void test_lock_values(void **state)
{
    uint64_t now;

    assert_int_equal(lock(SX_LOCK_ON, 0), SX_OK);
    put("f", 1);
    now = W.time_ms;
    assert_int_equal(hold(0, SX_LOCK_SET_RETAIN, SX_HOLD_GOVERNANCE, 0), SX_EINVAL);
    assert_int_equal(hold(0, SX_LOCK_SET_RETAIN, SX_HOLD_GOVERNANCE, now - 1), SX_EINVAL);
    assert_int_equal(hold(0, SX_LOCK_SET_RETAIN, 0, now + 100000), SX_EINVAL);
    assert_int_equal(hold(0, SX_LOCK_SET_RETAIN, 6, now + 100000), SX_EINVAL);
}

/* ---- documents ---- */

static void test_config(void **state)
{
    struct sx_buf value = SX_BUF_INIT;
    uint64_t id = world_volume(&W, "vol").id;
    struct sx_err e = SX_ERR_INIT;

    EXPECT(&W, DO(&W, "bob", config_set, .volume = "vol", .name = "cors"), SX_ENOVOLUME,
           "volume 'vol' does not exist");
    assert_int_equal(DO(&W, "alice", config_set, .volume = "vol", .name = "cors",
                        .value = { (const uint8_t *)"<x/>", 4 }), SX_OK);
    assert_int_equal(sx_query_config(world_db(&W), id, "cors", &value, &e), 0);
    assert_int_equal(value.len, 4);
    assert_int_equal(DO(&W, "alice", config_set, .volume = "vol", .name = "cors"), SX_OK);
    assert_error(sx_query_config(world_db(&W), id, "cors", &value, &e), &e, SX_ENOTFOUND);
    assert_int_equal(DO(&W, "alice", config_set, .volume = "vol", .name = ""), SX_EINVAL);
    sx_buf_fini(&value);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_enabled), T(test_marker_alone), T(test_suspended), T(test_suspended_quota),
        T(test_listing), T(test_listing_emptied), T(test_listing_renamed),
        T(test_volume_removed), T(test_job_delete), T(test_if_rev),
        T(test_annotate), T(test_copy_replace), T(test_lock_needs_versioning), T(test_legal_hold),
        T(test_governance), T(test_compliance), T(test_lock_values), T(test_config),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
