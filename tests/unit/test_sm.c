/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: commands on files.  Each success and each refusal with its message.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

/* ---- put ---- */

static void test_put(void **state)
{
    struct sx_file f;

    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    f = result_file(&W);
    assert_int_equal(f.rev, W.index << 16);
    assert_int_equal(f.size, 100);
    assert_int_equal(f.blocks, 1);
    assert_int_equal(f.created_ms, W.time_ms);
    assert_true(f.is_inline);
    assert_false(f.unchanged);
    assert_string_equal(f.path, "a");
    assert_false(world_referenced(&W, 1));

    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 1), SX_OK);
    f = result_file(&W);
    assert_int_equal(f.size, 3000);
    assert_false(f.is_inline);
    assert_true(world_referenced(&W, 10) && world_referenced(&W, 12) && !world_referenced(&W, 13));

    assert_int_equal(put_inline(&W, "alice", "vol", "empty", 0, 0), SX_OK);
    f = result_file(&W);
    assert_int_equal(f.blocks, 0);
    assert_int_equal(world_volume(&W, "vol").used, 3100);
    assert_int_equal(world_volume(&W, "vol").files, 3);
    assert_int_equal(world_used(&W, "alice"), 3100);
}

static void test_put_unchanged(void **state)
{
    uint64_t rev, revs[64];

    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 5), SX_OK);
    rev = result_file(&W).rev;
    assert_int_equal(DO(&W, "", epoch_set, .epoch = 102), SX_OK);
    /* the lease does not matter then */
    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 5), SX_OK);
    assert_true(result_file(&W).unchanged);
    assert_int_equal(result_file(&W).rev, rev);
    assert_int_equal(world_revisions(&W, "vol", "b", revs), 1);
}

/* Each fact that is another makes a revision. */
static void test_put_changed(void **state)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, "vol", "b", 10, 3, 1000);
    assert_int_equal(put_run(&W, "alice", &c), SX_OK);
    for (unsigned i = 0; i < 3; i++) {
        if (i == 0)
            c.mtime_ns++;
        else if (i == 1)
            c.mode ^= 0111;
        else
            c.meta = (struct sx_span){ (const uint8_t *)"\1\0\0\0\1\0k\0\1\0\0\0v", 13 };
        assert_int_equal(put_run(&W, "alice", &c), SX_OK);
        assert_false(result_file(&W).unchanged);
        assert_int_equal(put_run(&W, "alice", &c), SX_OK);
        assert_true(result_file(&W).unchanged);
    }
    assert_int_equal(result_file(&W).meta.n, 13);
    sx_buf_fini(&entries);
}

static void test_put_refused(void **state)
{
    struct sx_buf entries = SX_BUF_INIT, record = SX_BUF_INIT;
    struct sx_cmd_file_put good, c;

    put_fill(&good, &entries, "vol", "p", 10, 3, 1000);
    c = good;
    c.path = "";
    EXPECT(&W, put_run(&W, "alice", &c), SX_ENAME, "file path is empty");
    c = good;
    c.volume = "nope";
    EXPECT(&W, put_run(&W, "alice", &c), SX_ENOVOLUME, "volume 'nope' does not exist");
    EXPECT(&W, put_run(&W, "dave", &good), SX_ENOUSER, "user 'dave' does not exist");
    c = good;
    c.size = 2999;
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL, "size is 2999, but the entries add up to 3000");
    c = good;
    c.etag[0] ^= 1;
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL, "etag does not match the entries");
    c = good;
    c.entries.n = 35;
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL, "block list of 35 bytes is no run of entries");
    c = good;
    c.record = (struct sx_span){ (const uint8_t *)"r", 1 };
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL,
           "an inline file has one entry of at most 4096 bytes");
    c = good;
    c.meta = (struct sx_span){ (const uint8_t *)"\1\0\0\0", 4 };
    assert_int_equal(put_run(&W, "alice", &c), SX_EMALFORMED);
    put_fill(&c, &entries, "vol", "p", 10, 1, 0);
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL, "block list entry 0 has length 0");
    put_fill(&c, &entries, "vol", "p", 10, 1, (4u << 20) + 1);
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL, "block list entry 0 has length 4194305");
    put_fill(&c, &entries, "vol", "p", 10, 1, 100);
    for (unsigned i = 0; i < 3; i++) { /* of another block, of another length, nothing in it */
        sx_buf_reset(&record);
        record_of(&record, i == 0 ? 11 : 10, i == 1 ? 101 : 100);
        c.record = (struct sx_span){ record.data, i == 2 ? 96 : record.len };
        EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL, "the record is not that of the entry");
    }
    put_fill(&c, &entries, "vol", "p", 10, 1, 4097);
    c.record = (struct sx_span){ (const uint8_t *)"r", 1 };
    EXPECT(&W, put_run(&W, "alice", &c), SX_EINVAL,
           "an inline file has one entry of at most 4096 bytes");
    assert_int_equal(world_volume(&W, "vol").files, 0);
    sx_buf_fini(&entries);
    sx_buf_fini(&record);
}

static void test_preconditions(void **state)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, "vol", "p", 10, 3, 1000);
    c.flags = SX_PUT_IF_MATCH;
    EXPECT(&W, put_run(&W, "alice", &c), SX_EPRECONDITION, "file 'p' does not exist");
    c.flags = SX_PUT_IF_NONE_MATCH;
    assert_int_equal(put_run(&W, "alice", &c), SX_OK);
    EXPECT(&W, put_run(&W, "alice", &c), SX_EPRECONDITION, "file 'p' exists");
    memcpy(c.if_match, c.etag, SX_ETAG_SIZE);
    c.flags = SX_PUT_IF_MATCH;
    c.mtime_ns = 77;
    assert_int_equal(put_run(&W, "alice", &c), SX_OK);
    c.if_match[3] ^= 1;
    EXPECT(&W, put_run(&W, "alice", &c), SX_EPRECONDITION, "file 'p' has another etag");
    sx_buf_fini(&entries);
}

static void test_lease(void **state)
{
    uint64_t epoch;
    struct sx_err e = SX_ERR_INIT;

    /* A new cluster gives leases that hold, and none is 0. */
    assert_done(sx_query_epoch(world_db(&W), &epoch, &e), &e);
    assert_int_equal(epoch, SX_EPOCH_FIRST);
    assert_int_equal(sx_epoch_horizon(epoch), 0);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 40, 3, 1000, 0), SX_ELEASE);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 40, 3, 1000, 1), SX_OK);
    assert_int_equal(DO(&W, "", epoch_set, .epoch = 10), SX_OK);
    assert_int_equal(result_u64(&W), 10);
    EXPECT(&W, put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 8), SX_ELEASE,
           "the blocks were leased in epoch 8, collection has reached 8: ask for them again");
    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 9), SX_OK);
    assert_int_equal(DO(&W, "", epoch_set, .epoch = 5), SX_OK);
    assert_int_equal(result_u64(&W), 10);
    assert_int_equal(put_inline(&W, "alice", "vol", "i", 1, 10), SX_OK);
    EXPECT(&W, DO(&W, "admin", epoch_set, .epoch = 11), SX_EACCESS,
           "only the cluster itself does this");
    assert_int_equal(DO(&W, "", epoch_set, .epoch = 1), SX_EINVAL);
    assert_int_equal(DO(&W, "", epoch_set, .epoch = SX_EPOCH_MAX + 1), SX_EINVAL);
}

static void test_lease_is_not_recorded(void **state)
{
    uint8_t op[SX_OP_ID];

    assert_int_equal(DO(&W, "", epoch_set, .epoch = 1002), SX_OK);
    memcpy(op, W.op, sizeof op);
    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 1000), SX_ELEASE);
    memcpy(W.op, op, sizeof op);
    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 3, 1000, 2000), SX_OK);
}

/* Where references went away, the collectors are told: once for each part of the id space, with the
 * last command. */
static void test_dropped(void **state)
{
    uint8_t bits[SX_ID_PREFIXES / 8] = { 0 };
    struct sx_err e = SX_ERR_INIT;
    uint64_t num = 0, before;
    unsigned n = 0;
    bool any;

    assert_int_equal(put_blocks(&W, "alice", "vol", "x", 10, 3, 1000, 5), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "y", 11, 3, 1000, 5), SX_OK);
    assert_done(sx_query_dropped(world_db(&W), &num, bits, &e), &e);
    assert_int_equal(num, 0);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "x"), SX_OK);
    assert_done(sx_query_dropped(world_db(&W), &num, bits, &e), &e);
    for (unsigned i = 0; i < SX_ID_PREFIXES; i++)
        n += bits[i / 8] >> i % 8 & 1;
    assert_true(num > 0 && n >= 1 && n <= 3);
    before = num;
    memset(bits, 0, sizeof bits);
    assert_done(sx_query_dropped(world_db(&W), &num, bits, &e), &e);
    assert_int_equal(num, before);
    for (unsigned i = 0; i < sizeof bits; i++)
        assert_int_equal(bits[i], 0);
    /* A long list is taken apart later, and says so. */
    assert_done(sx_query_doomed(world_db(&W), &any, &e), &e);
    assert_false(any);
    assert_int_equal(put_blocks(&W, "alice", "vol", "l", 100, 200, 1000, 5), SX_OK);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "l"), SX_OK);
    assert_done(sx_query_doomed(world_db(&W), &any, &e), &e);
    assert_true(any);
    assert_int_equal(DO(&W, "", expire, .limit = 2000), SX_OK);
    assert_done(sx_query_doomed(world_db(&W), &any, &e), &e);
    assert_false(any);
    assert_done(sx_query_dropped(world_db(&W), &num, bits, &e), &e);
    assert_true(num > before);
}

static void test_quota(void **state)
{
    assert_int_equal(DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_VOLUME_QUOTA,
                        .quota = 300),
                     SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    EXPECT(&W, put_inline(&W, "alice", "vol", "b", 2, 201), SX_EQUOTA,
           "volume 'vol' has a quota of 300 bytes: 100 are used, 201 more do not fit");
    assert_int_equal(put_inline(&W, "alice", "vol", "b", 2, 200), SX_OK);
    /* overwriting frees the old revision first */
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 3, 100), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 4, 101), SX_EQUOTA);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 5, 99), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "empty", 0, 0), SX_OK);
    /* less than before fits even when the quota was lowered below what is used */
    assert_int_equal(DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_VOLUME_QUOTA,
                        .quota = 10),
                     SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 6, 98), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 7, 99), SX_EQUOTA);
}

static void test_quota_owner(void **state)
{
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol2", .owner = "alice"), SX_OK);
    assert_int_equal(DO(&W, "admin", user_modify, .name = "alice", .set = SX_SET_QUOTA,
                        .quota = 1000), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 600), SX_OK);
    EXPECT(&W, put_inline(&W, "admin", "vol2", "b", 2, 401), SX_EQUOTA,
           "user 'alice' has a quota of 1000 bytes: 600 are used, 401 more do not fit");
    assert_int_equal(put_inline(&W, "alice", "vol2", "b", 2, 400), SX_OK);
    /* old revisions count */
    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                        .revisions = 2),
                     SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 3, 1), SX_EQUOTA);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol2", .path = "b"), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 3, 400), SX_OK);
    assert_int_equal(world_used(&W, "alice"), 1000);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 4, 600), SX_OK); /* the first one goes */
    assert_int_equal(world_used(&W, "alice"), 1000);
}

static void test_revisions(void **state)
{
    uint64_t revs[64], put[6];

    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                        .revisions = 3),
                     SX_OK);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(put_blocks(&W, "alice", "vol", "f", 100 * i, 2, 10 + i, 1), SX_OK);
        put[i] = result_file(&W).rev;
    }
    assert_int_equal(world_revisions(&W, "vol", "f", revs), 3);
    assert_int_equal(revs[0], put[4]);
    assert_int_equal(revs[2], put[2]);
    assert_int_equal(world_volume(&W, "vol").used, 2 * (12 + 13 + 14));
    assert_false(world_referenced(&W, 100));
    assert_true(world_referenced(&W, 200));
    EXPECT(&W, DO(&W, "alice", file_delete, .volume = "vol", .path = "f", .rev = 1), SX_ENOREVISION,
           "file 'f' has no revision 0000000000000001");
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "f", .rev = put[3]),
                     SX_OK);
    assert_int_equal(world_revisions(&W, "vol", "f", revs), 2);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "f", .rev = put[4]),
                     SX_OK);
    assert_int_equal(world_revisions(&W, "vol", "f", revs), 1);
    assert_int_equal(revs[0], put[2]);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "f", .rev = put[2]),
                     SX_OK);
    EXPECT(&W, DO(&W, "alice", file_delete, .volume = "vol", .path = "f"), SX_ENOFILE,
           "file 'f' does not exist in volume 'vol'");
    assert_int_equal(world_volume(&W, "vol").used, 0);
    assert_int_equal(world_volume(&W, "vol").files, 0);
}

static void test_revisions_lowered(void **state)
{
    uint64_t revs[64];
    char path[16];

    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                        .revisions = 4),
                     SX_OK);
    for (unsigned f = 0; f < 10; f++)
        for (unsigned i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "f%u", f);
            assert_int_equal(put_inline(&W, "alice", "vol", path, 10 * f + i, 10), SX_OK);
        }
    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                        .revisions = 2),
                     SX_OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(DO(&W, "", expire, .limit = 5), SX_OK);
        world_check(&W);
        if (!W.payload.data[4])
            break;
    }
    assert_int_equal(W.payload.data[4], 0);
    assert_int_equal(world_revisions(&W, "vol", "f9", revs), 2);
    assert_int_equal(world_volume(&W, "vol").used, 200);
}

/* ---- delete, copy, rename ---- */

static void test_copy(void **state)
{
    struct sx_file f;
    uint64_t rev;

    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol2", .owner = "bob"), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 10, 3, 1000, 1), SX_OK);
    rev = result_file(&W).rev;
    EXPECT(&W, DO(&W, "alice", file_copy, .volume = "vol", .path = "a", .to_volume = "vol2",
                  .to_path = "b"),
           SX_ENOVOLUME, "volume 'vol2' does not exist");
    assert_int_equal(DO(&W, "admin", file_copy, .volume = "vol", .path = "a", .to_volume = "vol2",
                        .to_path = "b", .rev = rev), SX_OK);
    f = result_file(&W);
    assert_string_equal(f.path, "b");
    assert_int_equal(f.size, 3000);
    assert_true(f.rev > rev);
    assert_int_equal(world_used(&W, "bob"), 3000);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
    assert_true(world_referenced(&W, 10));
    EXPECT(&W, DO(&W, "admin", file_copy, .volume = "vol2", .path = "b", .to_volume = "vol2",
                  .to_path = "b", .flags = SX_PUT_IF_NONE_MATCH), SX_EPRECONDITION, "file 'b' exists");
    assert_int_equal(DO(&W, "admin", file_copy, .volume = "vol2", .path = "b", .to_volume = "vol2",
                        .to_path = "b"), SX_OK);
    assert_true(result_file(&W).unchanged);
    EXPECT(&W, DO(&W, "admin", file_copy, .volume = "vol2", .path = "zz", .to_volume = "vol2",
                  .to_path = "b"),
           SX_ENOFILE, "file 'zz' does not exist in volume 'vol2'");
    assert_int_equal(DO(&W, "admin", file_delete, .volume = "vol2", .path = "b"), SX_OK);
    assert_false(world_referenced(&W, 10));
}

static void test_copy_replica(void **state)
{
    struct sx_id zero = { { 0 } };
    struct sx_ref refs[8];
    size_t n;

    assert_int_equal(DO(&W, "admin", volume_create, .name = "one", .replica = 1), SX_OK);
    assert_int_equal(put_blocks(&W, "admin", "one", "a", 10, 3, 1000, 1), SX_OK);
    assert_int_equal(sx_query_refs(world_db(&W), &zero, 8, refs, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(refs[0].replica, 1);
    assert_int_equal(refs[0].len, 1000);
    assert_int_equal(DO(&W, "admin", file_copy, .volume = "one", .path = "a", .to_volume = "vol",
                        .to_path = "a"), SX_OK);
    assert_int_equal(sx_query_refs(world_db(&W), &zero, 8, refs, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(refs[2].replica, 3);
}

static void test_copy_old_revision_onto_itself(void **state)
{
    uint64_t rev, revs[64];

    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                        .revisions = 2),
                     SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 10, 3, 1000, 1), SX_OK);
    rev = result_file(&W).rev;
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 20, 3, 1000, 1), SX_OK);
    assert_int_equal(DO(&W, "alice", file_copy, .volume = "vol", .path = "a", .rev = rev,
                        .to_volume = "vol", .to_path = "a"), SX_OK);
    assert_int_equal(world_revisions(&W, "vol", "a", revs), 2);
    assert_true(world_referenced(&W, 10) && world_referenced(&W, 20));
    world_check(&W);
}

static void test_rename(void **state)
{
    uint64_t rev, revs[64];

    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 10, 3, 1000, 1), SX_OK);
    rev = result_file(&W).rev;
    EXPECT(&W, DO(&W, "alice", file_rename, .volume = "vol", .path = "zz", .to_volume = "vol",
                  .to_path = "b"),
           SX_ENOFILE, "file 'zz' does not exist in volume 'vol'");
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "a", .to_volume = "vol",
                        .to_path = "a"), SX_OK);
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "a", .to_volume = "vol",
                        .to_path = "dir/b"), SX_OK);
    assert_int_equal(result_file(&W).rev, rev);
    assert_string_equal(result_file(&W).path, "dir/b");
    assert_int_equal(world_revisions(&W, "vol", "a", revs), 0);
    assert_int_equal(put_blocks(&W, "alice", "vol", "c", 20, 1, 50, 1), SX_OK);
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "dir/b",
                        .to_volume = "vol", .to_path = "c"), SX_OK);
    assert_int_equal(world_revisions(&W, "vol", "c", revs), 1);
    assert_int_equal(revs[0], rev);
    assert_false(world_referenced(&W, 20));
    assert_int_equal(world_volume(&W, "vol").files, 1);
    assert_int_equal(world_volume(&W, "vol").used, 3000);
}

static void test_rename_chain(void **state)
{
    uint64_t a[4], b[4], revs[64];

    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol2", .owner = "alice",
                        .revisions = 3), SX_OK);
    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                        .revisions = 3),
                     SX_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(put_blocks(&W, "alice", "vol", "a", 100 + 10 * i, 2, 10, 1), SX_OK);
        a[i] = result_file(&W).rev;
    }
    for (unsigned i = 0; i < 2; i++) { /* newer numbers than the source's */
        assert_int_equal(put_blocks(&W, "alice", "vol2", "b", 200 + 10 * i, 2, 100, 1), SX_OK);
        b[i] = result_file(&W).rev;
    }
    assert_int_equal(DO(&W, "alice", file_rename, .volume = "vol", .path = "a", .to_volume = "vol2",
                        .to_path = "b"), SX_OK);
    assert_int_equal(world_revisions(&W, "vol2", "b", revs), 3);
    assert_int_equal(revs[0], a[1]);
    assert_int_equal(revs[1], a[0]);
    assert_int_equal(revs[2], b[1]);
    assert_int_equal(world_volume(&W, "vol2").used, 240);
    assert_int_equal(world_volume(&W, "vol").used, 0);
    world_check(&W);
    assert_int_equal(put_blocks(&W, "alice", "vol2", "b", 300, 2, 1, 1), SX_OK);
    assert_int_equal(world_revisions(&W, "vol2", "b", revs), 3);
    assert_int_equal(revs[2], a[0]);
}

static void test_rename_quota(void **state)
{
    uint64_t revs[64];

    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol2", .owner = "bob", .quota = 1000),
                     SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 10, 1, 1001, 1), SX_OK);
    EXPECT(&W, DO(&W, "admin", file_rename, .volume = "vol", .path = "a", .to_volume = "vol2",
                  .to_path = "b"),
           SX_EQUOTA, "volume 'vol2' has a quota of 1000 bytes: 0 are used, 1001 more do not fit");
    assert_int_equal(world_revisions(&W, "vol", "a", revs), 1);
    world_check(&W);
    assert_int_equal(DO(&W, "admin", volume_modify, .volume = "vol2", .set = SX_SET_VOLUME_QUOTA),
                     SX_OK);
    assert_int_equal(DO(&W, "admin", user_modify, .name = "bob", .set = SX_SET_QUOTA,
                        .quota = 1000), SX_OK);
    EXPECT(&W, DO(&W, "admin", file_rename, .volume = "vol", .path = "a", .to_volume = "vol2",
                  .to_path = "b"),
           SX_EQUOTA, "user 'bob' has a quota of 1000 bytes: 0 are used, 1001 more do not fit");
    assert_int_equal(world_used(&W, "alice"), 1001);
}

/* ---- operation ids ---- */

static void test_repeated(void **state)
{
    uint8_t op[SX_OP_ID], first[SX_OP_ID];
    uint64_t rev;

    memcpy(first, W.op, sizeof op);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    rev = result_file(&W).rev;
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
    memcpy(W.op, first, sizeof op);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    assert_int_equal(result_file(&W).rev, rev);
    assert_int_equal(world_volume(&W, "vol").files, 0);
    memcpy(op, W.op, sizeof op);
    EXPECT(&W, DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_ENOFILE,
           "file 'a' does not exist in volume 'vol'");
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    memcpy(W.op, op, sizeof op);
    EXPECT(&W, DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_ENOFILE,
           "file 'a' does not exist in volume 'vol'");
    memcpy(W.op, first, sizeof op);
    EXPECT(&W, put_inline(&W, "admin", "vol", "a", 1, 100), SX_ECONFLICT,
           "the operation id was used for another operation");
    /* known after a leader whose clock is an hour ahead */
    W.time_ms += 3600 * 1000;
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    assert_int_equal(sx_get_u32(W.payload.data), 0);
    memcpy(W.op, first, sizeof op);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    assert_int_equal(result_file(&W).rev, rev);
    /* forgotten after 15 minutes */
    for (unsigned minute = 0; minute < 15; minute++) {
        W.time_ms += 60 * 1000 - (minute == 14);
        assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
        assert_int_equal(sx_get_u32(W.payload.data), 0);
    }
    W.time_ms += 1;
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    memcpy(W.op, first, sizeof op);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
}

static void test_skip_applied(void **state)
{
    struct sx_buf entry = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    uint64_t index, term;
    unsigned results = W.results;

    sx_entry_begin(&entry);
    sx_buf_reset(&W.cmd);
    sx_cmd_volume_delete_encode(&W.cmd, W.op, "admin",
                                &(struct sx_cmd_volume_delete){ .volume = "vol" });
    sx_entry_add(&entry, W.cmd.data, W.cmd.len);
    assert_int_equal(sx_sm_begin(W.sm, &e), 0);
    assert_int_equal(sx_sm_apply(W.sm, entry.data, entry.len, W.index, 1, &e), 0);
    assert_int_equal(sx_sm_note(W.sm, W.index + 5, 7, &e), 0);
    assert_int_equal(sx_sm_commit(W.sm, &e), 0);
    assert_int_equal(W.results, results);
    assert_int_equal(world_volume(&W, "vol").files, 0);
    world_reopen(&W);
    sx_sm_applied(W.sm, &index, &term);
    assert_int_equal(term, 7);
    /* a damaged entry is an error, and leaves nothing */
    assert_int_equal(sx_sm_begin(W.sm, &e), 0);
    assert_int_equal(sx_sm_apply(W.sm, entry.data, entry.len - 1, index + 1, 8, &e), -1);
    assert_int_equal(e.code, SX_EMALFORMED);
    sx_sm_rollback(W.sm);
    sx_sm_applied(W.sm, &W.index, &term);
    assert_int_equal(W.index, index);
    sx_buf_fini(&entry);
}

/* An entry that does not fit on the disk is applied not at all, and as a whole later. */
static void test_full(void **state)
{
    uint8_t before[32], after[32];
    struct sx_buf entry = SX_BUF_INIT, entries = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    unsigned failed = 0, results = W.results;
    char sql[64], path[16];
    bool done = false;

    sx_entry_begin(&entry);
    for (unsigned i = 0; i < 60; i++) {
        struct sx_cmd_file_put c;

        snprintf(path, sizeof path, "f%u", i);
        put_fill(&c, &entries, "vol", path, 100 * i, 50, 10);
        sx_put_u64(W.op, ++W.ops);
        sx_buf_reset(&W.cmd);
        sx_cmd_file_put_encode(&W.cmd, W.op, "alice", &c);
        sx_entry_add(&entry, W.cmd.data, W.cmd.len);
    }
    sx_put_u64(W.op, ++W.ops);
    assert_int_equal(sx_sm_digest(world_db(&W), before, NULL), 0);
    for (unsigned pages = 40; !done; pages += 3) {
        snprintf(sql, sizeof sql, "PRAGMA max_page_count = %u", pages);
        assert_int_equal(sqlite3_exec(world_db(&W), sql, NULL, NULL, NULL), SQLITE_OK);
        assert_done(sx_sm_begin(W.sm, &e), &e);
        done = sx_sm_apply(W.sm, entry.data, entry.len, W.index + 1, 1, &e) == 0 &&
               sx_sm_commit(W.sm, &e) == 0;
        if (done)
            break;
        assert_int_equal(e.code, SX_ENOSPACE);
        sx_sm_rollback(W.sm);
        assert_int_equal(sx_sm_digest(world_db(&W), after, NULL), 0);
        assert_memory_equal(before, after, sizeof before);
        failed++;
    }
    W.index++;
    assert_true(failed > 5);
    assert_int_equal(W.results, results + 60);
    assert_int_equal(world_volume(&W, "vol").files, 60);
    sx_buf_fini(&entry);
    sx_buf_fini(&entries);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_put),
        T(test_put_unchanged),
        T(test_put_changed), T(test_put_refused), T(test_preconditions), T(test_lease),
        T(test_lease_is_not_recorded), T(test_dropped),
        T(test_quota),
        T(test_quota_owner),
        T(test_revisions),
        T(test_revisions_lowered),
        T(test_copy),
        T(test_copy_replica),
        T(test_copy_old_revision_onto_itself),
        T(test_rename),
        T(test_rename_chain),
        T(test_rename_quota),
        T(test_repeated),
        T(test_skip_applied),
        T(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
