/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: pins keep what is being read, and nothing else and no longer.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define MINUTE 60000ull
#define TTL (5 * MINUTE)
#define LEN 1000u
#define SHORT 3u  /* goes at once */
#define LONG 100u /* is left to expire */

static int put(const char *path, uint64_t seed, unsigned n)
{
    return put_blocks(&W, "alice", "vol", path, seed, n, LEN, 1);
}

/* Puts a file of n blocks and pins its content as pin `p`. */
static uint64_t put_pinned(uint8_t p, const char *path, uint64_t seed, unsigned n)
{
    uint64_t content;

    assert_int_equal(put(path, seed, n), SX_OK);
    content = result_file(&W).content;
    assert_int_equal(DO(&W, "", pin, .pin = { p }, .content = content, .ttl_ms = TTL), SX_OK);
    assert_int_equal(W.payload.len, 0);
    return content;
}

static int file_delete(const char *path)
{
    return DO(&W, "alice", file_delete, .volume = "vol", .path = path);
}

static int unpin(uint8_t p)
{
    int code = DO(&W, "", unpin, .pin = { p });

    world_check(&W);
    return code;
}

/* Expire, until nothing is left to do. */
static void expire(void)
{
    do {
        assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
        world_check(&W);
    } while (W.payload.data[4]);
}

static void assert_kept(bool kept, uint64_t seed, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(world_referenced(&W, seed + i), kept);
}

/* The collectors are told by the command that took the last reference. */
static void assert_hinted(uint64_t seed)
{
    struct sx_id id = id_of(seed);
    char sql[80];

    snprintf(sql, sizeof sql, "SELECT num FROM dropped WHERE prefix = %u", sx_id_prefix(id.b));
    assert_int_equal(world_number(&W, sql) >> 16, W.index);
}

static bool doomed(void)
{
    struct sx_err e = SX_ERR_INIT;
    bool any;

    assert_done(sx_query_doomed(world_db(&W), &any, &e), &e);
    return any;
}

static void test_short(void **state)
{
    put_pinned(1, "a", 0, SHORT);
    assert_int_equal(file_delete("a"), SX_OK);
    world_check(&W);
    assert_int_equal(world_volume(&W, "vol").files, 0);
    assert_int_equal(world_volume(&W, "vol").used, 0);
    assert_int_equal(world_used(&W, "alice"), 0);
    expire();
    assert_kept(true, 0, SHORT);
    assert_int_equal(world_number(&W, "SELECT count(*) FROM dropped"), 0);
    assert_int_equal(unpin(1), SX_OK);
    assert_kept(false, 0, SHORT);
    assert_hinted(0);
    assert_int_equal(world_number(&W, "SELECT count(*) FROM content"), 0);
    assert_int_equal(unpin(1), SX_OK);
}

/* The page of a list that is read behind the first ones is still there. */
static void test_readable(void **state)
{
    struct sx_manifest m = SX_MANIFEST_INIT;
    struct sx_file_row row = SX_FILE_ROW_INIT;
    struct sx_err e = SX_ERR_INIT;

    put_pinned(1, "a", 0, LONG);
    assert_done(sx_query_file(world_db(&W), 1, "a", 0, &row, &e), &e);
    assert_int_equal(put("a", 5000, SHORT), SX_OK);
    expire();
    assert_done(sx_query_manifest(world_db(&W), &row.f, 40, SX_AT_NONE, 60, &m, &e), &e);
    assert_int_equal(m.count, 60);
    assert_int_equal(unpin(1), SX_OK);
    expire();
    assert_error(sx_query_manifest(world_db(&W), &row.f, 40, SX_AT_NONE, 60, &m, &e), &e,
                 SX_ENOREVISION);
    sx_manifest_fini(&m);
    sx_file_row_fini(&row);
}

static void test_long(void **state)
{
    put_pinned(1, "a", 0, LONG);
    assert_int_equal(file_delete("a"), SX_OK);
    expire();
    assert_kept(true, 0, LONG);
    assert_int_equal(unpin(1), SX_OK);
    assert_true(doomed());
    expire();
    assert_kept(false, 0, LONG);
}

/* Several readers: the last one counts; and while there is a revision, none does. */
static void test_many(void **state)
{
    uint64_t content = put_pinned(1, "a", 0, SHORT);

    assert_int_equal(DO(&W, "", pin, .pin = { 2 }, .content = content, .ttl_ms = TTL), SX_OK);
    assert_int_equal(unpin(1), SX_OK);
    assert_int_equal(unpin(2), SX_OK);
    assert_kept(true, 0, SHORT);
    put_pinned(1, "b", 0, SHORT);
    put_pinned(2, "b", 0, SHORT);
    assert_int_equal(file_delete("a"), SX_OK);
    assert_int_equal(file_delete("b"), SX_OK);
    assert_int_equal(unpin(2), SX_OK);
    assert_kept(true, 0, SHORT);
    assert_int_equal(unpin(1), SX_OK);
    assert_kept(false, 0, SHORT);
}

static void test_expiry(void **state)
{
    uint64_t content = put_pinned(1, "a", 0, SHORT);

    put_pinned(2, "b", 10, LONG);
    put_pinned(3, "c", 200, SHORT);
    assert_int_equal(file_delete("a"), SX_OK);
    assert_int_equal(file_delete("b"), SX_OK);
    for (unsigned i = 0; i < 4; i++) { /* entries keep coming, so time passes */
        W.time_ms += MINUTE;
        expire();
    }
    assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content, .ttl_ms = TTL), SX_OK);
    assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content, .ttl_ms = 1), SX_OK);
    W.time_ms += MINUTE;
    expire();
    assert_int_equal(world_number(&W, "SELECT count(*) FROM pin"), 3);
    assert_false(doomed());
    W.time_ms += 1;
    assert_int_equal(DO(&W, "", epoch_set, .epoch = 3), SX_OK);
    assert_true(doomed()); /* the job manager need not wait for its minute */
    expire();
    assert_false(doomed());
    assert_int_equal(world_number(&W, "SELECT count(*) FROM pin"), 1);
    assert_kept(true, 0, SHORT);
    assert_kept(false, 10, LONG);
    assert_kept(true, 200, SHORT);
    for (unsigned i = 0; i < 4; i++) {
        W.time_ms += MINUTE;
        expire();
    }
    assert_kept(false, 0, SHORT);
    assert_hinted(0);
}

/* Expire stops at its limit, and says that there is more. */
static void test_expire_limit(void **state)
{
    for (uint8_t i = 1; i <= 3; i++) {
        char path[4] = { (char)('a' + i) };

        put_pinned(i, path, 10u * i, SHORT);
    }
    for (unsigned i = 0; i < 6; i++) {
        W.time_ms += MINUTE;
        assert_int_equal(DO(&W, "", epoch_set, .epoch = 3), SX_OK);
    }
    for (unsigned left = 3; left-- > 0;) {
        assert_int_equal(DO(&W, "", expire, .limit = 1), SX_OK);
        assert_int_equal(W.payload.data[4], 1);
        assert_int_equal(world_number(&W, "SELECT count(*) FROM pin"), left);
    }
    assert_int_equal(DO(&W, "", expire, .limit = 1), SX_OK);
    assert_int_equal(W.payload.data[4], 0);
}

/* Time that nobody has seen pass (no leader, or one with another clock) ends no pin. */
static void test_jump(void **state)
{
    put_pinned(1, "a", 0, SHORT);
    assert_int_equal(file_delete("a"), SX_OK);
    W.time_ms += 86400 * 1000;
    expire();
    world_reopen(&W);
    for (unsigned i = 0; i < 5; i++) {
        W.time_ms += MINUTE;
        expire();
        assert_kept(true, 0, SHORT);
    }
    W.time_ms += 1;
    expire();
    assert_kept(false, 0, SHORT);
}

/* The same command twice, with its op id and with another. */
static void test_repeated(void **state)
{
    uint64_t content;
    uint8_t op[SX_OP_ID];

    assert_int_equal(put("a", 0, SHORT), SX_OK);
    content = result_file(&W).content;
    memcpy(op, W.op, sizeof op);
    for (unsigned i = 0; i < 2; i++) {
        memcpy(W.op, op, sizeof op);
        assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content, .ttl_ms = TTL), SX_OK);
    }
    assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content, .ttl_ms = TTL), SX_OK);
    assert_int_equal(world_number(&W, "SELECT users FROM content"), 2);
    assert_int_equal(unpin(1), SX_OK);
    memcpy(W.op, op, sizeof op); /* late, when it was released */
    assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content, .ttl_ms = TTL), SX_OK);
    assert_int_equal(world_number(&W, "SELECT users FROM content"), 1);
}

static void joint_part(unsigned n, uint64_t seed, unsigned blocks)
{
    struct sx_buf entries = SX_BUF_INIT;

    entries_make(&entries, seed, blocks, LEN);
    assert_int_equal(DO(&W, "alice", mpart_put, .upload = { 1 }, .number = n,
                        .size = (uint64_t)blocks * LEN, .md5 = { (uint8_t)n },
                        .lease = UINT64_MAX, .entries = { entries.data, entries.len }), SX_OK);
    sx_buf_fini(&entries);
}

/* A file that was uploaded in two parts of so many blocks. */
static uint64_t put_joint(const char *path, unsigned blocks)
{
    static const uint8_t parts[2 * SX_MPART_NAMED] = { [0] = 1, [2] = 1, [SX_MPART_NAMED] = 2,
                                                       [SX_MPART_NAMED + 2] = 2 };

    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 1 }, .volume = "vol", .path = path,
                        .multipart = 1), SX_OK);
    joint_part(1, 0, blocks);
    joint_part(2, 500, blocks);
    assert_int_equal(DO(&W, "alice", mpart_complete, .upload = { 1 },
                        .parts = { parts, sizeof parts }), SX_OK);
    return result_file(&W).content;
}

static void test_joint(void **state)
{
    static const unsigned sizes[] = { SHORT, LONG };

    for (unsigned i = 0; i < 2; i++) {
        uint64_t content = put_joint("m", sizes[i]);

        assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content, .ttl_ms = TTL), SX_OK);
        assert_int_equal(file_delete("m"), SX_OK);
        expire();
        assert_kept(true, 0, sizes[i]);
        assert_kept(true, 500, sizes[i]);
        assert_int_equal(unpin(1), SX_OK);
        expire();
        assert_kept(false, 0, sizes[i]);
        assert_kept(false, 500, sizes[i]);
        assert_int_equal(world_number(&W, "SELECT count(*) FROM content"), 0);
        assert_int_equal(world_number(&W, "SELECT count(*) FROM joint"), 0);
    }
}

/* A put of what only a reader has takes its content over. */
static void test_put_again(void **state)
{
    uint64_t content = put_pinned(1, "a", 0, SHORT);

    assert_int_equal(file_delete("a"), SX_OK);
    assert_int_equal(put("b", 0, SHORT), SX_OK);
    assert_int_equal(result_file(&W).content, content);
    assert_int_equal(world_volume(&W, "vol").used, SHORT * LEN);
    assert_int_equal(unpin(1), SX_OK);
    assert_kept(true, 0, SHORT);
    assert_int_equal(file_delete("b"), SX_OK);
    assert_kept(false, 0, SHORT);
}

/* Neither the volume nor its owner has to wait for readers. */
static void test_volume_removal(void **state)
{
    put_pinned(1, "a", 0, SHORT);
    assert_int_equal(file_delete("a"), SX_OK);
    assert_int_equal(DO(&W, "alice", volume_delete, .volume = "vol"), SX_OK);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol", .owner = "alice"), SX_OK);
    put_pinned(2, "b", 20, LONG);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_VOLUME_DELETE,
                        .volume = "vol"), SX_OK);
    assert_int_equal(DO(&W, "", job_step, .id = result_u64(&W), .limit = 10), SX_OK);
    assert_int_equal(world_number(&W, "SELECT count(*) FROM volume"), 0);
    assert_int_equal(DO(&W, "admin", user_delete, .name = "alice"), SX_OK);
    world_check(&W);
    expire();
    assert_kept(true, 0, SHORT);
    assert_kept(true, 20, LONG);
    assert_int_equal(unpin(1), SX_OK);
    assert_int_equal(unpin(2), SX_OK);
    expire();
    assert_kept(false, 0, SHORT);
    assert_kept(false, 20, LONG);
}

static void test_refused(void **state)
{
    struct sx_buf entries = SX_BUF_INIT;
    uint64_t content, other, inlined, upload;

    assert_int_equal(put("a", 0, SHORT), SX_OK);
    content = result_file(&W).content;
    assert_int_equal(put("b", 10, SHORT), SX_OK);
    other = result_file(&W).content;
    assert_int_equal(put_inline(&W, "alice", "vol", "i", 20, 100), SX_OK);
    inlined = result_file(&W).content;
    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 7 }, .volume = "vol", .path = "u"),
                     SX_OK);
    upload = world_number(&W, "SELECT content FROM upload");
    entries_make(&entries, 30, SHORT, LEN);
    assert_int_equal(DO(&W, "alice", upload_part, .upload = { 7 }, .lease = UINT64_MAX,
                        .entries = { entries.data, entries.len }), SX_OK);
    sx_buf_fini(&entries);
    EXPECT(&W, DO(&W, "alice", pin, .pin = { 1 }, .content = content, .ttl_ms = TTL), SX_EACCESS,
           "only the cluster itself does this");
    EXPECT(&W, DO(&W, "admin", unpin, .pin = { 1 }), SX_EACCESS,
           "only the cluster itself does this");
    EXPECT(&W, DO(&W, "", pin, .pin = { 1 }, .content = content), SX_EINVAL,
           "a pin of 0 ms; 1 to 86400000 are allowed");
    assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content,
                        .ttl_ms = SX_PIN_TTL_MAX_MS + 1), SX_EINVAL);
    assert_int_equal(DO(&W, "", pin, .pin = { 1 }, .content = content,
                        .ttl_ms = SX_PIN_TTL_MAX_MS), SX_OK);
    EXPECT(&W, DO(&W, "", pin, .pin = { 1 }, .content = other, .ttl_ms = TTL), SX_ECONFLICT,
           "the pin is on another content");
    assert_int_equal(put("doomed", 100, LONG), SX_OK);
    assert_int_equal(file_delete("doomed"), SX_OK);
    for (unsigned i = 0; i < 5; i++) {
        const uint64_t none[] = { 0, inlined, upload, upload + 1,
                                  world_number(&W, "SELECT id FROM content WHERE users = 0") };

        EXPECT(&W, DO(&W, "", pin, .pin = { 2 }, .content = none[i], .ttl_ms = TTL),
               SX_ENOREVISION, "the content is gone");
    }
    assert_int_equal(world_number(&W, "SELECT count(*) FROM pin"), 1);
}

static void test_limit(void **state)
{
    uint64_t content;

    assert_int_equal(put("a", 0, SHORT), SX_OK);
    content = result_file(&W).content;
    for (unsigned i = 0; i < SX_PINS_MAX; i++)
        assert_int_equal(DO(&W, "", pin, .pin = { 1, (uint8_t)i, (uint8_t)(i >> 8) },
                            .content = content, .ttl_ms = TTL), SX_OK);
    EXPECT(&W, DO(&W, "", pin, .pin = { 2 }, .content = content, .ttl_ms = TTL), SX_ETOOMANY,
           "4096 contents are pinned; at most 4096 may be");
    assert_int_equal(DO(&W, "", pin, .pin = { 1, 5 }, .content = content, .ttl_ms = 2 * TTL),
                     SX_OK);
    assert_int_equal(unpin(1), SX_OK);
    assert_int_equal(DO(&W, "", pin, .pin = { 2 }, .content = content, .ttl_ms = TTL), SX_OK);
}

/* A database of the version before has no pins; it takes them once it was opened. */
static void test_migration(void **state)
{
    uint8_t before[32], after[32];

    assert_int_equal(put("a", 0, SHORT), SX_OK);
    assert_int_equal(sx_sm_digest(world_db(&W), before, NULL), 0);
    assert_int_equal(sqlite3_exec(world_db(&W), "DROP TABLE pin; PRAGMA user_version = 2", NULL,
                                  NULL, NULL), SQLITE_OK);
    world_reopen(&W);
    assert_int_equal(world_number(&W, "PRAGMA user_version"), 3);
    assert_int_equal(sx_sm_digest(world_db(&W), after, NULL), 0);
    assert_memory_equal(before, after, sizeof before);
    put_pinned(1, "a", 0, SHORT);
    world_reopen(&W);
    assert_int_equal(world_number(&W, "SELECT count(*) FROM pin"), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_short), T(test_readable), T(test_long), T(test_many), T(test_expiry),
        T(test_expire_limit), T(test_jump), T(test_repeated), T(test_joint), T(test_put_again),
        T(test_volume_removal), T(test_refused), T(test_limit), T(test_migration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
