/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: files of the same content share it, whoever puts them and wherever.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

static int setup(void **state)
{
    world_open_volume(&W);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol2", .owner = "bob", .replica = 3),
                     SX_OK);
    return 0;
}

static uint64_t contents(void)
{
    return world_number(&W, "SELECT count(*) FROM content");
}

static void test_inline(void **state)
{
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    assert_int_equal(put_inline(&W, "alice", "vol", "b", 1, 100), SX_OK);
    assert_int_equal(put_inline(&W, "bob", "vol2", "a", 1, 100), SX_OK);
    assert_int_equal(contents(), 1);
    assert_int_equal(world_number(&W, "SELECT users FROM content"), 3);
    assert_int_equal(world_number(&W, "SELECT replica FROM content"), 3);
    assert_int_equal(put_inline(&W, "alice", "vol", "c", 1, 101), SX_OK); /* id and length count */
    assert_int_equal(put_inline(&W, "alice", "vol", "d", 2, 100), SX_OK);
    assert_int_equal(contents(), 3);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
    assert_int_equal(DO(&W, "bob", file_delete, .volume = "vol2", .path = "a"), SX_OK);
    assert_int_equal(contents(), 3);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "b"), SX_OK);
    assert_int_equal(contents(), 2);
    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    assert_int_equal(contents(), 3);
}

static void test_blocks(void **state)
{
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 10, 3, 1000, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "bob", "vol2", "a", 10, 3, 1000, 1), SX_OK);
    assert_int_equal(contents(), 1);
    assert_int_equal(world_number(&W, "SELECT replica FROM content"), 3);
    assert_int_equal(put_blocks(&W, "alice", "vol", "longer", 10, 4, 1000, 1), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "inner", 11, 2, 1000, 1), SX_OK);
    assert_int_equal(contents(), 3);
    assert_int_equal(put_inline(&W, "alice", "vol", "inline", 10, 1000), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "one", 10, 1, 1000, 1), SX_OK);
    assert_int_equal(contents(), 5);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
    assert_int_equal(contents(), 5);
    assert_int_equal(DO(&W, "bob", file_delete, .volume = "vol2", .path = "a"), SX_OK);
    assert_int_equal(contents(), 4);
}

/* A list that waits for its removal is not used again. */
static void test_doomed(void **state)
{
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 1000, 100, 1000, 1), SX_OK);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
    assert_int_equal(world_number(&W, "SELECT users FROM content"), 0);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 1000, 100, 1000, 1), SX_OK);
    assert_int_equal(contents(), 2);
}

/* An upload may still grow; when it is a file, it is shared. */
static void test_upload(void **state)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, "vol", "up", 10, 2, 1000);
    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 7 }, .volume = "vol", .path = "up"),
                     SX_OK);
    assert_int_equal(DO(&W, "alice", upload_part, .upload = { 7 }, .seq = 0, .lease = c.lease,
                        .entries = c.entries), SX_OK);
    assert_int_equal(put_blocks(&W, "alice", "vol", "a", 10, 2, 1000, 1), SX_OK);
    assert_int_equal(contents(), 2);
    c.entries = (struct sx_span){ 0 };
    c.flags = SX_PUT_UPLOAD;
    c.upload[0] = 7;
    sx_buf_reset(&W.cmd);
    sx_cmd_file_put_encode(&W.cmd, W.op, "alice", &c);
    assert_int_equal(world_run(&W), SX_OK);
    assert_int_equal(DO(&W, "alice", file_delete, .volume = "vol", .path = "a"), SX_OK);
    assert_int_equal(contents(), 1);
    assert_int_equal(put_blocks(&W, "alice", "vol", "b", 10, 2, 1000, 1), SX_OK);
    assert_int_equal(contents(), 1);
    sx_buf_fini(&entries);
}

/* Many lists that begin alike: only the newest are compared. */
static void test_same_beginning(void **state)
{
    char path[16];

    for (unsigned n = 2; n < 40; n++) {
        snprintf(path, sizeof path, "f%u", n);
        assert_int_equal(put_blocks(&W, "alice", "vol", path, 10, n, 1000, 1), SX_OK);
    }
    assert_int_equal(contents(), 38);
    assert_int_equal(put_blocks(&W, "alice", "vol", "new", 10, 39, 1000, 1), SX_OK);
    assert_int_equal(contents(), 38);
    assert_int_equal(put_blocks(&W, "alice", "vol", "old", 10, 2, 1000, 1), SX_OK);
    assert_int_equal(contents(), 39);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_inline), T(test_blocks), T(test_doomed), T(test_upload), T(test_same_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
