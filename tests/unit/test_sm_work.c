/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: uploads and jobs.  Each success and each refusal with its message.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define HOUR_MS 3600000ull
#define DAY_MS (24 * HOUR_MS)

/* ---- uploads ---- */

static const uint8_t UP[SX_UPLOAD_ID] = "upload-0000001";

static int part(const char *user, uint32_t seq, uint64_t seed, unsigned n, uint64_t lease)
{
    struct sx_cmd_upload_part c = { .seq = seq, .lease = lease };
    struct sx_buf entries = SX_BUF_INIT;

    entries_make(&entries, seed, n, 1000);
    memcpy(c.upload, UP, sizeof UP);
    c.entries = (struct sx_span){ entries.data, entries.len };
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_part_encode(&W.cmd, W.op, user, &c);
    sx_buf_fini(&entries);
    return world_run(&W);
}

static int begin_upload(const char *user, const char *path)
{
    struct sx_cmd_upload_begin c = { .volume = "vol", .path = path };

    memcpy(c.upload, UP, sizeof UP);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_begin_encode(&W.cmd, W.op, user, &c);
    return world_run(&W);
}

static int abort_upload(const char *user)
{
    struct sx_cmd_upload_abort c;

    memcpy(c.upload, UP, sizeof UP);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_abort_encode(&W.cmd, W.op, user, &c);
    return world_run(&W);
}

static int commit_upload(const char *user, const char *path, uint64_t seed, unsigned n)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, "vol", path, seed, n, 1000);
    c.entries = (struct sx_span){ NULL, 0 };
    c.flags = SX_PUT_UPLOAD;
    c.lease = 0;
    memcpy(c.upload, UP, sizeof UP);
    sx_buf_fini(&entries);
    return put_run(&W, user, &c);
}

static void test_upload(void **state)
{
    EXPECT(&W, part("alice", 0, 0, 5, 1), SX_ENOUPLOAD, "the upload does not exist");
    assert_int_equal(begin_upload("alice", "big"), SX_OK);
    EXPECT(&W, begin_upload("alice", "big"), SX_EEXIST, "the upload id is in use");
    EXPECT(&W, part("bob", 0, 0, 5, 1), SX_ENOUPLOAD, "the upload does not exist");
    EXPECT(&W, part("alice", 1, 0, 5, 1), SX_ECONFLICT, "part 1 came, part 0 is the next");
    EXPECT(&W, part("alice", 0, 0, 0, 1), SX_EINVAL, "part 0 has no entries");
    assert_int_equal(part("alice", 0, 0, 1500, 1), SX_OK);
    assert_true(world_referenced(&W, 0) && world_referenced(&W, 1499));
    world_check(&W);
    assert_int_equal(part("alice", 0, 0, 1500, 1), SX_OK);
    EXPECT(&W, part("alice", 0, 1, 1500, 1), SX_ECONFLICT,
           "part 0 was sent before with other entries");
    assert_int_equal(DO(&W, "", epoch_set, .epoch = 52), SX_OK);
    assert_int_equal(part("alice", 1, 1500, 700, 50), SX_ELEASE);
    assert_int_equal(part("alice", 1, 1500, 700, 51), SX_OK);
    EXPECT(&W, commit_upload("alice", "other", 0, 2200), SX_EINVAL,
           "the upload was begun for another file");
    EXPECT(&W, commit_upload("alice", "big", 1, 2200), SX_EINVAL,
           "etag does not match the entries");
    assert_int_equal(commit_upload("alice", "big", 0, 2200), SX_OK);
    assert_int_equal(result_file(&W).blocks, 2200);
    EXPECT(&W, commit_upload("alice", "big", 0, 2200), SX_ENOUPLOAD, "the upload does not exist");
    assert_int_equal(world_volume(&W, "vol").used, 2200000);
    world_check(&W);
}

static void test_upload_unchanged_and_abort(void **state)
{
    struct sx_counters n;

    assert_int_equal(put_blocks(&W, "alice", "vol", "big", 0, 5, 1000, 1), SX_OK);
    assert_int_equal(begin_upload("alice", "big"), SX_OK);
    assert_int_equal(part("alice", 0, 0, 5, 1), SX_OK);
    assert_int_equal(commit_upload("alice", "big", 0, 5), SX_OK);
    assert_true(result_file(&W).unchanged);
    world_check(&W);
    assert_int_equal(begin_upload("alice", "big"), SX_OK);
    assert_int_equal(part("alice", 0, 50, 100, 1), SX_OK);
    assert_int_equal(abort_upload("bob"), SX_ENOUPLOAD);
    assert_int_equal(abort_upload("alice"), SX_OK);
    world_check(&W);
    assert_true(world_referenced(&W, 50)); /* a long list goes with expire */
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    assert_false(world_referenced(&W, 50));
    assert_int_equal(sx_query_counters(world_db(&W), &n, NULL), 0);
    assert_int_equal(n.uploads, 0);
    /* an upload without parts makes an empty file */
    assert_int_equal(begin_upload("alice", "nothing"), SX_OK);
    assert_int_equal(commit_upload("alice", "nothing", 0, 0), SX_OK);
    world_check(&W);
}

static void test_upload_idle(void **state)
{
    assert_int_equal(begin_upload("alice", "big"), SX_OK);
    assert_int_equal(part("alice", 0, 0, 1500, 1), SX_OK);
    world_pass(&W, DAY_MS);
    assert_true(world_referenced(&W, 0));
    W.time_ms += 1;
    do {
        assert_int_equal(DO(&W, "", expire, .limit = 100), SX_OK);
        world_check(&W);
    } while (W.payload.data[4]);
    assert_false(world_referenced(&W, 0) || world_referenced(&W, 1499));
    assert_int_equal(part("alice", 1, 0, 5, 1), SX_ENOUPLOAD);
}

/* The clock of the leader goes forward by a month: an upload that goes on is none that was idle; one that does
 * not, is. */
static void test_upload_jump(void **state)
{
    for (unsigned goes_on = 0; goes_on < 2; goes_on++) {
        assert_int_equal(begin_upload("alice", "big"), SX_OK);
        assert_int_equal(part("alice", 0, 0, 5, 1), SX_OK);
        W.time_ms += 30 * DAY_MS;
        world_pass(&W, HOUR_MS - 60000);
        assert_true(world_referenced(&W, 0));
        if (goes_on)
            assert_int_equal(part("alice", 1, 5, 5, 1), SX_OK);
        world_pass(&W, HOUR_MS);
        assert_int_equal(world_referenced(&W, 0), goes_on);
    }
    assert_int_equal(commit_upload("alice", "big", 0, 10), SX_OK);
    world_check(&W);
}

/* ---- jobs ---- */

static struct sx_job_result job_result(void)
{
    struct sx_job_result r;

    assert_int_equal(sx_job_result_decode(W.payload.data, W.payload.len, &r, NULL), 0);
    return r;
}

static struct sx_job_result job_run(uint64_t id, uint32_t limit, unsigned steps)
{
    struct sx_job_result r;
    unsigned n = 0;

    do {
        assert_int_equal(DO(&W, "", job_step, .id = id, .limit = limit), SX_OK);
        world_check(&W);
        r = job_result();
        n++;
        assert_true(n < 1000);
    } while (r.state == SX_JOB_RUNNING);
    assert_int_equal(n, steps);
    return r;
}

static void put_many(const char *prefix, const char *suffix, unsigned n)
{
    char path[64];

    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s%02u%s", prefix, i, suffix);
        assert_int_equal(put_inline(&W, "alice", "vol", path, i, 10), SX_OK);
    }
}

static void test_job_delete(void **state)
{
    struct sx_job_result r;
    uint64_t id;

    put_many("d/f", ".o", 25);
    put_many("d/g", ".c", 5);
    put_many("e/f", ".o", 5);
    EXPECT(&W, DO(&W, "bob", job_create, .job_type = SX_JOB_DELETE, .volume = "vol",
                  .prefix = "d/"),
           SX_ENOVOLUME, "volume 'vol' does not exist");
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_DELETE, .volume = "vol",
                        .prefix = "d/", .glob = "*/*.o"), SX_OK);
    id = result_u64(&W);
    assert_int_equal(put_inline(&W, "alice", "vol", "d/new.o", 1, 10), SX_OK);
    EXPECT(&W, DO(&W, "alice", job_step, .id = id, .limit = 10), SX_EACCESS,
           "only the cluster itself does this");
    EXPECT(&W, DO(&W, "", job_step, .id = id), SX_EINVAL, "limit 0 is not between 1 and 1000");
    EXPECT(&W, DO(&W, "", job_step, .id = 77, .limit = 5), SX_ENOJOB,
           "job 000000000000004d does not exist");
    r = job_run(id, 10, 3);
    assert_int_equal(r.state, SX_JOB_DONE);
    assert_int_equal(r.done, 25);
    assert_int_equal(world_volume(&W, "vol").files, 11);
    assert_int_equal(DO(&W, "", job_step, .id = id, .limit = 10), SX_OK);
    assert_int_equal(job_result().state, SX_JOB_DONE);
}

static void test_job_rename(void **state)
{
    struct sx_job_result r;
    uint64_t id, revs[64];

    put_many("a/f", "", 20);
    EXPECT(&W, DO(&W, "alice", job_create, .job_type = SX_JOB_RENAME, .volume = "vol",
                  .prefix = "a/", .to_volume = "vol", .to_prefix = "a/b/"), SX_EINVAL,
           "'a/' cannot be moved below itself, to 'a/b/'");
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_RENAME, .volume = "vol",
                        .prefix = "a/", .to_volume = "vol", .to_prefix = "b/c/"), SX_OK);
    id = result_u64(&W);
    r = job_run(id, 7, 3);
    assert_int_equal(r.state, SX_JOB_DONE);
    assert_int_equal(r.done, 20);
    assert_int_equal(world_revisions(&W, "vol", "b/c/f19", revs), 1);
    /* up, through its own names */
    assert_int_equal(put_inline(&W, "alice", "vol", "b/c/c/f", 1, 10), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "b/c/c/c/x", 1, 10), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_RENAME, .volume = "vol",
                        .prefix = "b/c/", .to_volume = "vol", .to_prefix = "b/"), SX_OK);
    r = job_run(result_u64(&W), 100, 1);
    assert_int_equal(r.state, SX_JOB_DONE);
    assert_int_equal(r.done, 22);
    assert_int_equal(world_revisions(&W, "vol", "b/f00", revs), 1);
    assert_int_equal(world_revisions(&W, "vol", "b/c/f", revs), 1);
    assert_int_equal(world_revisions(&W, "vol", "b/c/c/x", revs), 1);
    assert_int_equal(world_volume(&W, "vol").files, 22);
}

static void test_job_rename_in_the_way(void **state)
{
    struct sx_job_result r;
    uint64_t revs[64], id;
    json_t *j;

    assert_int_equal(put_inline(&W, "alice", "vol", "p/p/y", 1, 10), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "p/y", 2, 20), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_RENAME, .volume = "vol",
                        .prefix = "p/", .to_volume = "vol", .to_prefix = ""), SX_OK);
    id = result_u64(&W);
    r = job_run(id, 100, 1);
    assert_int_equal(r.state, SX_JOB_FAILED);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.failed, 1);
    assert_int_equal(world_revisions(&W, "vol", "p/p/y", revs), 1);
    assert_int_equal(world_revisions(&W, "vol", "y", revs), 1);
    assert_int_equal(sx_query_job_json(world_db(&W), "alice", id, &j, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(j, "message")),
                        "file 'p/y' is in the way and is itself to be moved");
    json_decref(j);
}

static void test_job_rename_too_long(void **state)
{
    char prefix[SX_PATH_MAX + 1];
    struct sx_job_result r;
    uint64_t revs[64];

    memset(prefix, 'x', sizeof prefix);
    prefix[SX_PATH_MAX - 5] = 0;
    assert_int_equal(put_inline(&W, "alice", "vol", "a/12345", 1, 10), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a/123456", 1, 10), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_RENAME, .volume = "vol",
                        .prefix = "a/", .to_volume = "vol", .to_prefix = prefix), SX_OK);
    r = job_run(result_u64(&W), 100, 1);
    assert_int_equal(r.state, SX_JOB_FAILED);
    assert_int_equal(r.done, 1);
    assert_int_equal(world_revisions(&W, "vol", "a/123456", revs), 1);
}

/* What a refused file would have used does not count for the next one. */
static void test_job_rename_quota(void **state)
{
    struct sx_job_result r;
    uint64_t revs[64];

    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol2", .owner = "alice", .quota = 500),
                     SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a/1", 1, 501), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a/2", 2, 500), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a/3", 3, 1), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_RENAME, .volume = "vol",
                        .prefix = "a/", .to_volume = "vol2", .to_prefix = "b/"), SX_OK);
    r = job_run(result_u64(&W), 100, 1);
    assert_int_equal(r.state, SX_JOB_FAILED);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.failed, 2);
    assert_int_equal(world_revisions(&W, "vol2", "b/2", revs), 1);
    assert_int_equal(world_revisions(&W, "vol", "a/1", revs), 1);
}

static void test_job_volume(void **state)
{
    struct sx_job_result r;
    uint64_t id;

    put_many("f", "", 30);
    EXPECT(&W, DO(&W, "alice", volume_delete, .volume = "vol"), SX_ENOTEMPTY,
           "volume 'vol' holds 30 files");
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_VOLUME_DELETE, .volume = "vol"),
                     SX_OK);
    id = result_u64(&W);
    EXPECT(&W, put_inline(&W, "alice", "vol", "n", 1, 1), SX_ECONFLICT,
           "volume 'vol' is being deleted");
    assert_int_equal(DO(&W, "", job_step, .id = id, .limit = 10), SX_OK);
    assert_int_equal(DO(&W, "bob", job_cancel, .id = id), SX_ENOJOB);
    assert_int_equal(DO(&W, "alice", job_cancel, .id = id), SX_OK);
    assert_int_equal(job_result().state, SX_JOB_CANCELED);
    assert_int_equal(put_inline(&W, "alice", "vol", "n", 1, 1), SX_OK);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_VOLUME_DELETE, .volume = "vol"),
                     SX_OK);
    r = job_run(result_u64(&W), 1000, 1);
    assert_int_equal(r.state, SX_JOB_DONE);
    assert_int_equal(r.done, 21);
    EXPECT(&W, put_inline(&W, "alice", "vol", "n", 1, 1), SX_ENOVOLUME,
           "volume 'vol' does not exist");
    assert_int_equal(world_used(&W, "alice"), 0);
}

static void test_job_rights_lost(void **state)
{
    struct sx_job_result r;

    put_many("f", "", 3);
    assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_DELETE, .volume = "vol"),
                     SX_OK);
    uint64_t id = result_u64(&W);

    assert_int_equal(DO(&W, "admin", user_delete, .name = "alice"), SX_OK);
    r = job_run(id, 10, 1);
    assert_int_equal(r.state, SX_JOB_FAILED);
    assert_int_equal(world_volume(&W, "vol").files, 3);
    assert_string_equal(world_volume(&W, "vol").owner, "admin");
    assert_int_equal(world_used(&W, "admin"), 30);
}

static void test_job_limits(void **state)
{
    uint64_t id = 0;

    for (unsigned i = 0; i < SX_JOBS_PENDING_MAX; i++)
        assert_int_equal(DO(&W, "alice", job_create, .job_type = SX_JOB_DELETE, .volume = "vol"),
                         SX_OK);
    id = result_u64(&W);
    EXPECT(&W, DO(&W, "alice", job_create, .job_type = SX_JOB_DELETE, .volume = "vol"), SX_ETOOMANY,
           "user 'alice' has 128 unfinished jobs; at most 128 are allowed");
    EXPECT(&W, DO(&W, "alice", job_create, .job_type = 9, .volume = "vol"), SX_EINVAL,
           "job type 9 is unknown");
    assert_int_equal(DO(&W, "", job_finish, .id = id, .state = SX_JOB_FAILED, .message = "because"),
                     SX_OK);
    EXPECT(&W, DO(&W, "", job_finish, .id = id, .state = 4), SX_EINVAL,
           "a job cannot be finished as 'canceled'");
    W.time_ms += 30ull * 24 * 3600 * 1000 + 1;
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    assert_int_equal(DO(&W, "", job_finish, .id = id, .state = SX_JOB_FAILED), SX_ENOJOB);
    EXPECT(&W, DO(&W, "", expire, .limit = 10001), SX_EINVAL,
           "limit 10001 is not between 1 and 10000");
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_upload),
        T(test_upload_unchanged_and_abort),
        T(test_upload_idle), T(test_upload_jump),
        T(test_job_delete),
        T(test_job_rename),
        T(test_job_rename_in_the_way),
        T(test_job_rename_too_long),
        T(test_job_rename_quota),
        T(test_job_volume),
        T(test_job_rights_lost),
        T(test_job_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
