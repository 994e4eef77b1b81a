/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine: commands on the cluster, users, volumes and access lists, and who may do what.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define SEALED { (const uint8_t *)"sealed", 6 }

static int setup(void **state)
{
    world_open(&W, 3);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "vol", .owner = "alice"), SX_OK);
    return 0;
}

/* ---- cluster ---- */

static void test_init(void **state)
{
    struct sx_cluster c;
    struct sx_key k;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(sx_query_cluster(world_db(&W), &c, &e), 0);
    assert_string_equal(c.uuid, "6e5b0001");
    assert_string_equal(c.name, "test");
    assert_string_equal(c.ca_cert, "CERT");
    assert_int_equal(c.domain_key.len, 2);
    assert_int_equal(c.map_version, 3);
    sx_cluster_fini(&c);
    assert_int_equal(sx_query_key(world_db(&W), "AKadmin", &k, &e), 0);
    assert_string_equal(k.user, "admin");
    assert_int_equal(k.role, SX_ROLE_ADMIN);
    assert_int_equal(k.secret_len, 6);
    assert_int_equal(sx_query_key(world_db(&W), "AKnone", &k, &e), -1);
    assert_int_equal(e.code, SX_ENOKEY);
    EXPECT(&W, DO(&W, "", init, .uuid = "6e5b0002", .admin = "other"), SX_ECONFLICT,
           "the cluster was initialized before");
    assert_int_equal(DO(&W, "admin", init, .uuid = "6e5b0002"), SX_EACCESS);
}

static void test_nodes(void **state)
{
    const struct sx_cmd_node n = { .id = 0xfedcba9876543210, .address = "10.0.0.1", .port = 8443,
                                   .peer_port = 8444, .zone = "z", .capacity = 1ull << 40,
                                   .version = "3.0.0" };
    struct sx_node *nodes;
    size_t count;

    EXPECT(&W, DO(&W, "alice", node_set, .node = n), SX_EACCESS,
           "user 'alice' is no administrator");
    assert_int_equal(DO(&W, "admin", node_set, .node = n), SX_OK);
    assert_int_equal(result_u64(&W), 4);
    assert_int_equal(DO(&W, "admin", node_set, .node = n), SX_OK);
    assert_int_equal(result_u64(&W), 4);
    EXPECT(&W, DO(&W, "admin", node_set, .node = { .id = 5 }), SX_EINVAL,
           "a node needs an id, an address and two ports");
    assert_int_equal(sx_query_nodes(world_db(&W), &nodes, &count, NULL), 0);
    assert_int_equal(count, 4);
    assert_int_equal(nodes[3].id, n.id);
    assert_string_equal(nodes[3].address, "10.0.0.1");
    assert_int_equal(nodes[3].peer_port, 8444);
    assert_int_equal(nodes[3].joined_ms, W.time_ms);
    free(nodes);
    EXPECT(&W, DO(&W, "admin", node_remove, .id = 99), SX_ENOTFOUND,
           "node 0000000000000063 does not exist");
    assert_int_equal(DO(&W, "admin", node_remove, .id = n.id), SX_OK);
    assert_int_equal(result_u64(&W), 5);
    assert_int_equal(DO(&W, "admin", node_remove, .id = 1), SX_OK);
    assert_int_equal(DO(&W, "admin", node_remove, .id = 2), SX_OK);
    EXPECT(&W, DO(&W, "admin", node_remove, .id = 3), SX_ECONFLICT,
           "node 0000000000000003 is the last one of the cluster");
}

static int use_token(uint64_t id, uint8_t hash, uint64_t node)
{
    struct sx_cmd_token_use c = { .id = id,
                                  .node = { .id = node, .address = "a", .port = 1,
                                            .peer_port = 2 } };

    memset(c.secret_hash, hash, sizeof c.secret_hash);
    sx_buf_reset(&W.cmd);
    sx_cmd_token_use_encode(&W.cmd, W.op, "", &c);
    return world_run(&W);
}

static int create_token(const char *user, uint64_t id, uint8_t hash, uint64_t ttl_ms)
{
    struct sx_cmd_token_create c = { .id = id, .ttl_ms = ttl_ms };

    memset(c.secret_hash, hash, sizeof c.secret_hash);
    sx_buf_reset(&W.cmd);
    sx_cmd_token_create_encode(&W.cmd, W.op, user, &c);
    return world_run(&W);
}

static void test_tokens(void **state)
{
    EXPECT(&W, create_token("alice", 7, 1, 1000), SX_EACCESS,
           "user 'alice' is no administrator");
    assert_int_equal(create_token("admin", 7, 1, 1000), SX_OK);
    assert_int_equal(result_u64(&W), W.time_ms + 1000);
    EXPECT(&W, create_token("admin", 8, 1, UINT64_MAX), SX_EINVAL, "a token for more than 604800000 ms");
    EXPECT(&W, create_token("admin", 7, 1, 5), SX_EEXIST, "a token with this id exists");
    EXPECT(&W, use_token(8, 1, 50), SX_ETOKEN, "the token is not known");
    EXPECT(&W, use_token(7, 2, 50), SX_ETOKEN, "the token is not known");
    W.time_ms += 999;
    assert_int_equal(use_token(7, 1, 50), SX_OK);
    assert_int_equal(result_u64(&W), 4);
    EXPECT(&W, use_token(7, 1, 51), SX_ETOKEN, "the token was used by another node");
    assert_int_equal(use_token(7, 1, 50), SX_OK); /* the answer was lost */
    assert_int_equal(create_token("admin", 9, 1, 10), SX_OK);
    W.time_ms += 10;
    EXPECT(&W, use_token(9, 1, 60), SX_ETOKEN, "the token has expired");
    W.time_ms += 1;
    assert_int_equal(DO(&W, "", expire, .limit = 1000), SX_OK);
    EXPECT(&W, use_token(9, 1, 60), SX_ETOKEN, "the token is not known");
}

static void test_settings(void **state)
{
    struct sx_buf v = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;

    EXPECT(&W, DO(&W, "admin", setting_set, .name = "cluster.uuid", .value = SEALED), SX_EINVAL,
           "setting 'cluster.uuid' cannot be set");
    assert_int_equal(DO(&W, "alice", setting_set, .name = "a", .value = SEALED), SX_EACCESS);
    assert_int_equal(DO(&W, "admin", setting_set, .name = "a", .value = SEALED), SX_OK);
    assert_int_equal(sx_query_setting(world_db(&W), "a", &v, &e), 0);
    assert_string_equal(sx_buf_cstr(&v), "sealed");
    assert_int_equal(DO(&W, "admin", setting_set, .name = "a"), SX_OK);
    assert_int_equal(sx_query_setting(world_db(&W), "a", &v, &e), -1);
    assert_int_equal(e.code, SX_ENOTFOUND);
    sx_buf_fini(&v);
}

static void test_bootstrap(void **state)
{
    struct sx_buf file = SX_BUF_INIT, entry = SX_BUF_INIT, cmd = SX_BUF_INIT;
    struct world w;
    struct sx_user u;
    struct sx_err e = SX_ERR_INIT;

    sx_cmd_init_encode(&cmd, W.op, "", &(struct sx_cmd_init){
        .uuid = "u", .name = "n", .admin = "root", .access_key = "AK", .secret = SEALED,
        .node = { .id = 1, .address = "a", .port = 1, .peer_port = 1 } });
    sx_bootstrap_add(&file, cmd.data, cmd.len);
    for (size_t n = 0; n < file.len; n++)
        if (n != 4)
            assert_int_equal(sx_bootstrap_entry(file.data, n, &entry, &e), -1);
    assert_int_equal(sx_bootstrap_entry(file.data, file.len, &entry, &e), 0);
    world_open_empty(&w);
    assert_int_equal(sx_sm_begin(w.sm, &e), 0);
    assert_int_equal(sx_sm_apply(w.sm, entry.data, entry.len, 1, 1, &e), 0);
    assert_int_equal(sx_sm_commit(w.sm, &e), 0);
    assert_int_equal(w.code, SX_OK);
    assert_int_equal(sx_query_user(world_db(&w), "root", &u, &e), 0);
    assert_int_equal(u.role, SX_ROLE_ADMIN);
    world_close(&w);
    sx_buf_fini(&file);
    sx_buf_fini(&entry);
    sx_buf_fini(&cmd);
}

/* ---- users ---- */

static void test_users(void **state)
{
    struct sx_user u;
    json_t *j;

    EXPECT(&W, DO(&W, "alice", user_add, .name = "dave", .access_key = "AKd", .secret = SEALED),
           SX_EACCESS, "user 'alice' is no administrator");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "d", .access_key = "AKd", .secret = SEALED),
           SX_ENAME, "user name 'd' is shorter than 2 bytes");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "a b", .access_key = "AKd", .secret = SEALED),
           SX_ENAME, "user name holds a character other than A-Z a-z 0-9 . _ - @");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "alice", .access_key = "AKd", .secret = SEALED),
           SX_EEXIST, "user 'alice' exists");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "dave", .access_key = "AKbob", .secret = SEALED),
           SX_EEXIST, "access key 'AKbob' exists");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "dave", .access_key = "AKd"), SX_EINVAL,
           "a key needs an access key and a secret");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "dave", .role = 2, .access_key = "AKd",
                  .secret = SEALED),
           SX_EINVAL, "role 2 is unknown");
    EXPECT(&W, DO(&W, "admin", user_add, .name = "dave", .quota = 1ull << 63, .access_key = "AKd",
                  .secret = SEALED), SX_EINVAL, "quota of 9223372036854775808 bytes is too large");
    assert_int_equal(DO(&W, "admin", user_add, .name = "dave", .role = 1, .quota = 9,
                        .description = "D", .access_key = "AKd", .secret = SEALED), SX_OK);
    assert_int_equal(sx_query_user(world_db(&W), "dave", &u, NULL), 0);
    assert_int_equal(u.quota, 9);
    assert_int_equal(sx_query_user_json(world_db(&W), "dave", &j, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(j, "role")), "admin");
    assert_int_equal(json_array_size(json_object_get(j, "keys")), 1);
    json_decref(j);
    assert_int_equal(DO(&W, "dave", user_modify, .name = "alice",
                        .set = SX_SET_DESCRIPTION | SX_SET_QUOTA,
                        .quota = 77, .description = "A"), SX_OK);
    assert_int_equal(sx_query_user(world_db(&W), "alice", &u, NULL), 0);
    assert_int_equal(u.quota, 77);
    assert_string_equal(u.description, "A");
    EXPECT(&W, DO(&W, "dave", user_modify, .name = "eve", .set = 1), SX_ENOUSER,
           "user 'eve' does not exist");
    assert_int_equal(DO(&W, "dave", user_modify, .name = "admin", .set = SX_SET_ROLE), SX_OK);
    EXPECT(&W, DO(&W, "dave", user_modify, .name = "dave", .set = SX_SET_ROLE), SX_ECONFLICT,
           "user 'dave' is the last administrator");
    EXPECT(&W, DO(&W, "admin", user_delete, .name = "bob"), SX_EACCESS,
           "user 'admin' is no administrator");
    EXPECT(&W, DO(&W, "dave", user_delete, .name = "dave"), SX_EINVAL,
           "user 'dave' cannot delete himself");
    EXPECT(&W, DO(&W, "", user_delete, .name = "dave"), SX_ECONFLICT,
           "user 'dave' is the last administrator");
    EXPECT(&W, DO(&W, "", user_delete, .name = "alice"), SX_ECONFLICT,
           "user 'alice' owns 1 volumes");
}

static void test_user_delete(void **state)
{
    struct sx_volume v;
    struct sx_buf acl = SX_BUF_INIT;

    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    sx_acl_change_add(&acl, "bob", SX_RIGHT_READ, 0);
    assert_int_equal(DO(&W, "alice", acl_change, .volume = "vol", .changes = { acl.data, acl.len }),
                     SX_OK);
    assert_int_equal(DO(&W, "bob", upload_begin, .volume = "vol", .path = "x"), SX_EACCESS);
    assert_int_equal(DO(&W, "alice", upload_begin, .upload = { 1 }, .volume = "vol", .path = "x"),
                     SX_OK);
    assert_int_equal(DO(&W, "admin", user_delete, .name = "alice"), SX_OK);
    assert_int_equal(sx_query_volume(world_db(&W), "admin", "vol", 0, &v, NULL), 0);
    assert_string_equal(v.owner, "admin");
    assert_int_equal(world_used(&W, "admin"), 100);
    EXPECT(&W, put_inline(&W, "alice", "vol", "b", 1, 100), SX_ENOUSER,
           "user 'alice' does not exist");
    assert_int_equal(DO(&W, "admin", user_delete, .name = "bob"), SX_OK);
    sx_buf_fini(&acl);
}

static void test_keys(void **state)
{
    char key[16];

    EXPECT(&W, DO(&W, "bob", key_add, .name = "alice", .access_key = "AK1", .secret = SEALED),
           SX_EACCESS, "user 'bob' is no administrator");
    EXPECT(&W, DO(&W, "admin", key_add, .name = "eve", .access_key = "AK1", .secret = SEALED),
           SX_ENOUSER, "user 'eve' does not exist");
    EXPECT(&W, DO(&W, "alice", key_delete, .name = "alice", .access_key = "AKalice"), SX_ECONFLICT,
           "key 'AKalice' is the last one of user 'alice'");
    for (unsigned i = 1; i < SX_USER_KEYS_MAX; i++) {
        snprintf(key, sizeof key, "AK%u", i);
        assert_int_equal(DO(&W, i % 2 ? "alice" : "admin", key_add, .name = "alice",
                            .access_key = key, .secret = SEALED), SX_OK);
    }
    EXPECT(&W, DO(&W, "alice", key_add, .name = "alice", .access_key = "AK9", .secret = SEALED),
           SX_ETOOMANY, "user 'alice' has 8 keys; at most 8 are allowed");
    EXPECT(&W, DO(&W, "bob", key_delete, .name = "bob", .access_key = "AK1"), SX_ENOKEY,
           "user 'bob' has no key 'AK1'");
    assert_int_equal(DO(&W, "alice", key_delete, .name = "alice", .access_key = "AKalice"), SX_OK);
    EXPECT(&W, DO(&W, "bob", key_add, .name = "bob", .access_key = "AK1", .secret = SEALED),
           SX_EEXIST, "access key 'AK1' exists");
}

/* ---- volumes ---- */

static void test_volumes(void **state)
{
    struct sx_volume v;

    EXPECT(&W, DO(&W, "alice", volume_create, .name = "v2"), SX_EACCESS,
           "user 'alice' may not create volumes");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "v"), SX_ENAME,
           "volume name 'v' is shorter than 2 bytes");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = ".v"), SX_ENAME,
           "volume name '.v' begins with a dot");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "a/b"), SX_ENAME,
           "volume name holds '/', '\\' or a control character");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "vol"), SX_EEXIST, "volume 'vol' exists");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "v2", .owner = "eve"), SX_ENOUSER,
           "user 'eve' does not exist");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "v2", .replica = 4), SX_EREPLICA,
           "replica count 4 is larger than the number of nodes, 3");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "v2", .revisions = 65), SX_EINVAL,
           "65 revisions; 1 to 64 are allowed");
    EXPECT(&W, DO(&W, "admin", volume_create, .name = "v2", .compression = 4), SX_EINVAL,
           "compression 4 is unknown");
    EXPECT(&W, DO(&W, "", volume_create, .name = "v2"), SX_ENOUSER, "user '' does not exist");
    assert_int_equal(DO(&W, "admin", volume_create, .name = "v2", .compression = 255), SX_OK);
    assert_int_equal(result_u64(&W), 2);
    assert_int_equal(sx_query_volume(world_db(&W), "admin", "v2", SX_RIGHT_ALL, &v, NULL), 0);
    assert_string_equal(v.owner, "admin");
    assert_int_equal(v.replica, 3);
    assert_int_equal(v.revisions, 1);
    assert_int_equal(v.compression, 1);
    assert_int_equal(v.created_ms, W.time_ms);
    assert_int_equal(DO(&W, "admin", volume_delete, .volume = "v2"), SX_OK);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "v2"), SX_OK);
    assert_int_equal(result_u64(&W), 3); /* numbers are not used again */
}

/* Users who make volumes themselves; alice owns "vol" from the start. */
static void test_volumes_of_users(void **state)
{
    struct sx_volume v;
    struct sx_user u;

    assert_int_equal(DO(&W, "admin", user_modify, .name = "alice", .set = SX_SET_MAX_VOLUMES,
                        .max_volumes = 2), SX_OK);
    assert_int_equal(sx_query_user(world_db(&W), "alice", &u, NULL), 0);
    assert_int_equal(u.max_volumes, 2);
    EXPECT(&W, DO(&W, "alice", volume_create, .name = "v2", .owner = "bob"), SX_EACCESS,
           "user 'alice' may create volumes of his own only");
    EXPECT(&W, DO(&W, "alice", volume_create, .name = "vol"), SX_EEXIST, "volume 'vol' exists");
    assert_int_equal(DO(&W, "alice", volume_create, .name = "v2"), SX_OK);
    assert_int_equal(sx_query_volume(world_db(&W), "alice", "v2", SX_RIGHT_ALL, &v, NULL), 0);
    assert_string_equal(v.owner, "alice");
    EXPECT(&W, DO(&W, "alice", volume_create, .name = "v3"), SX_EVOLUMES,
           "user 'alice' owns 2 volumes; at most 2 are allowed");
    assert_int_equal(DO(&W, "alice", volume_delete, .volume = "v2"), SX_OK);
    assert_int_equal(DO(&W, "alice", volume_create, .name = "v3", .owner = "alice"), SX_OK);
    assert_int_equal(DO(&W, "admin", volume_create, .name = "v4", .owner = "alice"), SX_OK);
    assert_int_equal(DO(&W, "admin", user_modify, .name = "alice", .set = SX_SET_MAX_VOLUMES,
                        .max_volumes = SX_VOLUMES_ANY), SX_OK);
    assert_int_equal(DO(&W, "alice", volume_create, .name = "v5"), SX_OK);
    EXPECT(&W, DO(&W, "alice", user_modify, .name = "alice", .set = SX_SET_MAX_VOLUMES,
                  .max_volumes = 9), SX_EACCESS, "user 'alice' is no administrator");
    assert_int_equal(DO(&W, "admin", user_add, .name = "dave", .description = "", .access_key = "AKd",
                        .secret = SEALED, .max_volumes = 1), SX_OK);
    assert_int_equal(DO(&W, "dave", volume_create, .name = "v6"), SX_OK);
    assert_int_equal(DO(&W, "admin", user_modify, .name = "dave", .set = SX_SET_MAX_VOLUMES), SX_OK);
    EXPECT(&W, DO(&W, "dave", volume_create, .name = "v7"), SX_EACCESS,
           "user 'dave' may not create volumes");
}

static void test_volume_modify(void **state)
{
    struct sx_volume v;

    assert_int_equal(put_inline(&W, "alice", "vol", "a", 1, 100), SX_OK);
    assert_int_equal(DO(&W, "alice", volume_modify, .volume = "vol",
                        .set = SX_SET_REVISIONS | SX_SET_COMPRESSION,
                        .revisions = 5, .compression = 2), SX_OK);
    EXPECT(&W, DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_NAME, .name = "new"),
           SX_EACCESS, "user 'alice' is no administrator");
    EXPECT(&W, DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_VOLUME_QUOTA),
           SX_EACCESS, "user 'alice' is no administrator");
    EXPECT(&W, DO(&W, "alice", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS), SX_EINVAL,
           "0 revisions; 1 to 64 are allowed");
    EXPECT(&W, DO(&W, "bob", volume_modify, .volume = "vol", .set = SX_SET_REVISIONS,
                  .revisions = 1),
           SX_ENOVOLUME, "volume 'vol' does not exist");
    assert_int_equal(DO(&W, "admin", volume_create, .name = "v2"), SX_OK);
    EXPECT(&W, DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_NAME, .name = "v2"),
           SX_EEXIST, "volume 'v2' exists");
    EXPECT(&W, DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_NAME, .name = "../x"),
           SX_ENAME, "volume name '../x' begins with a dot");
    EXPECT(&W, DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_OWNER, .owner = "eve"),
           SX_ENOUSER, "user 'eve' does not exist");
    assert_int_equal(DO(&W, "admin", volume_modify, .volume = "vol",
                        .set = SX_SET_NAME | SX_SET_OWNER, .name = "new", .owner = "bob"), SX_OK);
    assert_int_equal(sx_query_volume(world_db(&W), "bob", "new", SX_RIGHT_ALL, &v, NULL), 0);
    assert_int_equal(v.revisions, 5);
    assert_int_equal(v.compression, 2);
    assert_int_equal(world_used(&W, "alice"), 0);
    assert_int_equal(world_used(&W, "bob"), 100);
    EXPECT(&W, put_inline(&W, "admin", "vol", "b", 1, 1), SX_ENOVOLUME,
           "volume 'vol' does not exist");
}

/* ---- rights ---- */

static int acl(const char *by, const char *user, uint8_t grant, uint8_t revoke)
{
    struct sx_buf b = SX_BUF_INIT;
    int code;

    sx_acl_change_add(&b, user, grant, revoke);
    code = DO(&W, by, acl_change, .volume = "vol", .changes = { b.data, b.len });
    sx_buf_fini(&b);
    return code;
}

static void test_acl(void **state)
{
    json_t *j;

    EXPECT(&W, acl("bob", "carol", SX_RIGHT_READ, 0), SX_ENOVOLUME, "volume 'vol' does not exist");
    assert_int_equal(acl("alice", "bob", SX_RIGHT_READ, 0), SX_OK);
    EXPECT(&W, acl("bob", "carol", SX_RIGHT_READ, 0), SX_EACCESS,
           "user 'bob' is neither manager nor owner of volume 'vol'");
    assert_int_equal(acl("alice", "bob", SX_RIGHT_MANAGER, SX_RIGHT_READ), SX_OK);
    assert_int_equal(acl("bob", "carol", SX_RIGHT_READ | SX_RIGHT_WRITE, 0), SX_OK);
    EXPECT(&W, acl("bob", "carol", SX_RIGHT_MANAGER, 0), SX_EACCESS,
           "only the owner of volume 'vol' changes who is its manager");
    EXPECT(&W, acl("bob", "bob", 0, SX_RIGHT_MANAGER), SX_EACCESS,
           "only the owner of volume 'vol' changes who is its manager");
    EXPECT(&W, acl("alice", "carol", SX_RIGHT_OWNER, 0), SX_EINVAL,
           "the owner of volume 'vol' is changed by modifying the volume");
    EXPECT(&W, acl("bob", "eve", SX_RIGHT_READ, 0), SX_ENOUSER, "user 'eve' does not exist");
    EXPECT(&W, acl("bob", "alice", 0, SX_RIGHT_READ), SX_EINVAL,
           "user 'alice' owns volume 'vol' and keeps all rights");
    assert_int_equal(acl("bob", "alice", SX_RIGHT_READ, 0), SX_OK);
    assert_int_equal(sx_query_acl_json(world_db(&W), "carol", "vol", &j, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(j, "acl")), 1);
    json_decref(j);
    assert_int_equal(sx_query_acl_json(world_db(&W), "bob", "vol", &j, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(j, "acl")), 3);
    json_decref(j);
    assert_int_equal(acl("admin", "bob", 0, SX_RIGHT_MANAGER), SX_OK);
    assert_int_equal(acl("bob", "carol", 0, SX_RIGHT_READ), SX_ENOVOLUME);
    EXPECT(&W, DO(&W, "alice", acl_change, .volume = "vol", .changes = { (const uint8_t *)"xx",
                                                                         2 }),
           SX_EMALFORMED, "changes of an access list are malformed");
}

/* A list with one bad change changes nothing. */
static void test_acl_atomic(void **state)
{
    struct sx_buf b = SX_BUF_INIT;
    struct sx_volume v;
    struct sx_err e = SX_ERR_INIT;

    sx_acl_change_add(&b, "bob", SX_RIGHT_READ, 0);
    sx_acl_change_add(&b, "eve", SX_RIGHT_READ, 0);
    assert_int_equal(DO(&W, "alice", acl_change, .volume = "vol", .changes = { b.data, b.len }),
                     SX_ENOUSER);
    assert_int_equal(sx_query_volume(world_db(&W), "bob", "vol", 0, &v, &e), -1);
    assert_int_equal(e.code, SX_ENOVOLUME);
    sx_buf_fini(&b);
}

/* Every operation by a user with each set of rights, and by an administrator. */
struct operation {
    const char *name;
    unsigned need; /* rights, all of them; 0 = administrators only */
    int (*run)(const char *user);
};

static int op_put(const char *u)
{
    return put_inline(&W, u, "vol", "new", W.ops, 10);
}

static int op_delete(const char *u)
{
    return DO(&W, u, file_delete, .volume = "vol", .path = "f");
}

static int op_copy_from(const char *u)
{
    return DO(&W, u, file_copy, .volume = "vol", .path = "f", .to_volume = "open", .to_path = "f");
}

static int op_copy_to(const char *u)
{
    return DO(&W, u, file_copy, .volume = "open", .path = "g", .to_volume = "vol", .to_path = "g");
}

static int op_rename_from(const char *u)
{
    return DO(&W, u, file_rename, .volume = "vol", .path = "f", .to_volume = "open",
              .to_path = "f");
}

static int op_rename_to(const char *u)
{
    return DO(&W, u, file_rename, .volume = "open", .path = "g", .to_volume = "vol",
              .to_path = "g");
}

static int op_upload(const char *u)
{
    struct sx_cmd_upload_begin c = { .volume = "vol", .path = "u" };

    sx_put_u64(c.upload, W.ops);
    sx_buf_reset(&W.cmd);
    sx_cmd_upload_begin_encode(&W.cmd, W.op, u, &c);
    return world_run(&W);
}

static int op_job_delete(const char *u)
{
    return DO(&W, u, job_create, .job_type = SX_JOB_DELETE, .volume = "vol");
}

static int op_job_rename(const char *u)
{
    return DO(&W, u, job_create, .job_type = SX_JOB_RENAME, .volume = "open", .prefix = "g",
              .to_volume = "vol", .to_prefix = "h");
}

static int op_job_volume(const char *u)
{
    return DO(&W, u, job_create, .job_type = SX_JOB_VOLUME_DELETE, .volume = "vol");
}

static int op_acl(const char *u)
{
    return acl(u, "carol", SX_RIGHT_READ, 0);
}

static int op_acl_manager(const char *u)
{
    return acl(u, "carol", SX_RIGHT_MANAGER, 0);
}

static int op_revisions(const char *u)
{
    return DO(&W, u, volume_modify, .volume = "vol", .set = SX_SET_REVISIONS, .revisions = 2);
}

static int op_quota(const char *u)
{
    return DO(&W, u, volume_modify, .volume = "vol", .set = SX_SET_VOLUME_QUOTA, .quota = 1 << 20);
}

static const struct operation operations[] = {
    { "put", SX_RIGHT_WRITE, op_put },
    { "delete", SX_RIGHT_WRITE, op_delete },
    { "copy from", SX_RIGHT_READ, op_copy_from },
    { "copy to", SX_RIGHT_WRITE, op_copy_to },
    { "rename from", SX_RIGHT_WRITE, op_rename_from },
    { "rename to", SX_RIGHT_WRITE, op_rename_to },
    { "upload", SX_RIGHT_WRITE, op_upload },
    { "job delete", SX_RIGHT_WRITE, op_job_delete },
    { "job rename", SX_RIGHT_WRITE, op_job_rename },
    { "job volume", SX_RIGHT_OWNER, op_job_volume },
    { "acl", SX_RIGHT_MANAGER, op_acl },
    { "acl manager", SX_RIGHT_OWNER, op_acl_manager },
    { "revisions", SX_RIGHT_OWNER, op_revisions },
    { "quota", 0, op_quota },
};

static void matrix_setup(unsigned rights)
{
    assert_int_equal(DO(&W, "admin", volume_create, .name = "open", .owner = "bob"), SX_OK);
    assert_int_equal(put_inline(&W, "admin", "vol", "f", 1, 10), SX_OK);
    assert_int_equal(put_inline(&W, "admin", "open", "g", 2, 10), SX_OK);
    if (rights & SX_RIGHT_OWNER)
        assert_int_equal(DO(&W, "admin", volume_modify, .volume = "vol", .set = SX_SET_OWNER,
                            .owner = "bob"),
                         SX_OK);
    else
        assert_int_equal(acl("alice", "bob", (uint8_t)rights, 0), SX_OK);
}

static void matrix_case(const struct operation *op, const char *user, unsigned rights, bool admin)
{
    int want, code;

    setup(NULL);
    matrix_setup(rights);
    if (admin || (op->need && (op->need & ~rights) == 0))
        want = SX_OK;
    else
        want = rights ? SX_EACCESS : SX_ENOVOLUME;
    code = op->run(user);
    if (code != want)
        fail_msg("%s with rights %u: %s, not %s (%s)", op->name, rights, sx_err_name(code),
                 sx_err_name(want), W.msg);
    world_teardown(NULL);
}

static void test_matrix(void **state)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        for (unsigned rights = 0; rights < 8; rights++)
            matrix_case(&operations[i], "bob", rights, false);
        matrix_case(&operations[i], "bob", SX_RIGHT_ALL, false);
        matrix_case(&operations[i], "admin", 0, true);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_init),
        T(test_nodes),
        T(test_tokens),
        T(test_settings),
        T(test_bootstrap),
        T(test_users),
        T(test_user_delete),
        T(test_keys),
        T(test_volumes),
        T(test_volumes_of_users),
        T(test_volume_modify),
        T(test_acl),
        T(test_acl_atomic),
        cmocka_unit_test(test_matrix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
