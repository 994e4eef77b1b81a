/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Encodings of commands, entries and results: round trips, golden bytes, every truncation,
 * mutations.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/meta/command.h"
#include "tests/unit/unit.h"

#define SPAN(s) { (const uint8_t *)(s), sizeof(s) - 1 }
#define MUTATIONS 2000u

static const uint8_t OP[SX_OP_ID] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

#define NODE_SAMPLE                                                                                \
    { .id = 0x1122334455667788, .address = "10.0.0.1", .port = 8443, .peer_port = 8444, .zone = "rack 1", \
      .capacity = 1ull << 40, .version = "3.0.0" }

/* Parses and decodes, and encodes what came out: the same bytes, or an error. */
static int again(const void *p, size_t n, struct sx_buf *out)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_cmd c;

    sx_buf_reset(out);
    if (sx_cmd_parse(p, n, &c, &e) != 0) {
        assert_int_equal(e.code, SX_EMALFORMED);
        return -1;
    }
    switch (c.type) {
#define X(NAME, name, number)                                                                      \
    case number: {                                                                                 \
        struct sx_cmd_##name s;                                                                    \
                                                                                                   \
        if (sx_cmd_##name##_decode(c.body.p, c.body.n, &s, &e) != 0) {                             \
            assert_int_equal(e.code, SX_EMALFORMED);                                               \
            return -1;                                                                             \
        }                                                                                          \
        sx_cmd_##name##_encode(out, c.op, c.user, &s);                                             \
        return 0;                                                                                  \
    }
        SX_CMD_LIST(X)
#undef X
    }
    return -1;
}

static void same_again(const struct sx_buf *b)
{
    struct sx_buf out = SX_BUF_INIT;

    assert_int_equal(again(b->data, b->len, &out), 0);
    assert_int_equal(out.len, b->len);
    assert_memory_equal(out.data, b->data, b->len);
    sx_buf_fini(&out);
}

/* Copies to the heap at the exact size, so that a sanitizer sees every read behind the end. */
static int again_exact(const uint8_t *p, size_t n, struct sx_buf *out)
{
    SX_AUTO_FREE uint8_t *copy = sx_malloc(n ? n : 1);

    memcpy(copy, p, n);
    return again(copy, n, out);
}

static void truncate_all(const struct sx_buf *b)
{
    struct sx_buf out = SX_BUF_INIT;

    for (size_t n = 0; n < b->len; n++)
        assert_int_equal(again_exact(b->data, n, &out), -1);
    sx_buf_fini(&out);
}

/* What still decodes is written in the same way: there is one encoding of each command. */
static void mutate(struct sx_buf *b, uint64_t seed)
{
    struct sx_buf out = SX_BUF_INIT;

    for (unsigned i = 0; i < MUTATIONS; i++) {
        size_t at = unit_random(&seed) % b->len;
        uint8_t was = b->data[at];

        b->data[at] ^= (uint8_t)(1u << unit_random(&seed) % 8);
        if (again_exact(b->data, b->len, &out) == 0) {
            assert_int_equal(out.len, b->len);
            assert_memory_equal(out.data, b->data, b->len);
        }
        b->data[at] = was;
    }
    sx_buf_fini(&out);
}

static unsigned types_seen;

static void sample_check(struct sx_buf *b)
{
    same_again(b);
    truncate_all(b);
    mutate(b, b->len);
    sx_buf_u8(b, 0); /* a byte too many */
    struct sx_buf out = SX_BUF_INIT;

    assert_int_equal(again(b->data, b->len, &out), -1);
    sx_buf_fini(&out);
    sx_buf_reset(b);
    types_seen++;
}

#define SAMPLE(name, ...)                                                                          \
    do {                                                                                           \
        sx_cmd_##name##_encode(&b, OP, "alice", &(struct sx_cmd_##name){ __VA_ARGS__ });           \
        sample_check(&b);                                                                          \
    } while (0)

static void test_all(void **state)
{
    struct sx_buf b = SX_BUF_INIT;
    unsigned types = 0;

    types_seen = 0;
    SAMPLE(init, .uuid = "uuid", .name = "name", .domain_key = SPAN("dk"), .ca_cert = "PEM",
           .ca_key = SPAN("ck"), .admin = "admin", .access_key = "AK", .secret = SPAN("s"), .node =
               NODE_SAMPLE);
    SAMPLE(node_set, .node = NODE_SAMPLE);
    SAMPLE(node_remove, .id = 5);
    SAMPLE(token_create, .id = 5, .secret_hash = { 9 }, .ttl_ms = 77);
    SAMPLE(token_use, .id = 5, .secret_hash = { 9 }, .node = NODE_SAMPLE);
    SAMPLE(setting_set, .name = "n", .value = SPAN("value"));
    SAMPLE(epoch_set, .epoch = 1700000000000);
    SAMPLE(expire, .limit = 100);
    SAMPLE(user_add, .name = "bob", .role = 1, .quota = 5, .description = "d\xc3\xa9",
           .access_key = "AK", .secret = SPAN("sealed"));
    SAMPLE(user_modify, .name = "bob", .set = 15, .role = 1, .quota = 6, .description = "d",
           .max_volumes = 3);
    SAMPLE(user_delete, .name = "bob");
    SAMPLE(key_add, .name = "bob", .access_key = "AK", .secret = SPAN("sealed"));
    SAMPLE(key_delete, .name = "bob", .access_key = "AK");
    SAMPLE(volume_create, .name = "vol", .owner = "bob", .replica = 3, .quota = 9, .revisions = 4,
           .compression = 1);
    SAMPLE(volume_modify, .volume = "vol", .set = 31, .name = "new", .owner = "o", .quota = 1,
           .revisions = 2, .compression = 3, .versioning = 1, .lock_mode = 2, .lock_ms = 9);
    SAMPLE(volume_delete, .volume = "vol");
    SAMPLE(acl_change, .volume = "vol", .changes = SPAN("bytes"));
    SAMPLE(config_set, .volume = "vol", .name = "policy", .value = SPAN("{}"));
    SAMPLE(file_put, .volume = "vol", .path = "a/b", .size = 10, .mtime_ns = -5, .mode = 0644,
           .etag = { 1 }, .flags = 7, .if_match = { 2 }, .upload = { 3 }, .lease = 99,
           .meta = SPAN("m"), .entries = SPAN("eeee"), .record = SPAN("rrr"), .if_rev = 3,
           .hold = 2, .retain_ms = 5);
    SAMPLE(file_delete, .volume = "vol", .path = "a", .rev = 1, .flags = 4, .if_rev = 2);
    SAMPLE(file_copy, .volume = "vol", .path = "a", .rev = 1, .to_volume = "w", .to_path = "b",
           .flags = 33, .if_rev = 7, .meta = SPAN("m"), .hold = 1, .retain_ms = 4);
    SAMPLE(file_annotate, .volume = "vol", .path = "a", .rev = 1, .items = SPAN("m"));
    SAMPLE(file_lock, .volume = "vol", .path = "a", .rev = 1, .set = 3, .hold = 2, .retain_ms = 8);
    SAMPLE(file_rename, .volume = "vol", .path = "a", .to_volume = "w", .to_path = "b");
    SAMPLE(upload_begin, .upload = { 1 }, .volume = "vol", .path = "a", .multipart = 1,
           .meta = SPAN("m"));
    SAMPLE(upload_part, .upload = { 1 }, .seq = 7, .lease = 5, .entries = SPAN("eeee"));
    SAMPLE(upload_abort, .upload = { 1 });
    SAMPLE(mpart_put, .upload = { 1 }, .number = 5, .size = 6, .md5 = { 7 }, .meta = SPAN("m"),
           .flags = 4, .source = { 8 }, .lease = 9, .entries = SPAN("eeee"));
    SAMPLE(mpart_complete, .upload = { 1 }, .parts = SPAN("pp"), .mtime_ns = -3, .flags = 16,
           .if_rev = 4, .meta = SPAN("m"), .hold = 4, .retain_ms = 5);
    SAMPLE(pin, .pin = { 1 }, .content = 7, .ttl_ms = 300000);
    SAMPLE(unpin, .pin = { 1 });
    SAMPLE(job_create, .job_type = 2, .volume = "v", .prefix = "p/", .glob = "*", .to_volume = "w",
           .to_prefix = "q/");
    SAMPLE(job_step, .id = 5, .limit = 200);
    SAMPLE(job_cancel, .id = 5);
    SAMPLE(job_finish, .id = 5, .state = 3, .message = "why");
#define X(NAME, name, number) types++;
    SX_CMD_LIST(X)
#undef X
    assert_int_equal(types_seen, types);
    sx_buf_fini(&b);
}

static void test_golden(void **state)
{
    struct sx_buf b = SX_BUF_INIT;

    sx_cmd_file_delete_encode(&b, OP, "bob", &(struct sx_cmd_file_delete){
        .volume = "vol", .path = "a/b", .rev = 0x0102030405060708 });
    assert_hex(b.data, b.len,
               "0102030405060708090a0b0c0d0e0f10" "0300626f6200" "31"
               "0300766f6c00" "0300612f6200" "0807060504030201" "00"
               "0000000000000000");
    sx_buf_reset(&b);
    sx_cmd_upload_part_encode(&b, OP, NULL, &(struct sx_cmd_upload_part){
        .upload = { 0xaa }, .seq = 2, .lease = 3, .entries = SPAN("xy") });
    assert_hex(b.data, b.len,
               "0102030405060708090a0b0c0d0e0f10" "000000" "35"
               "aa000000000000000000000000000000" "02000000" "0300000000000000" "02000000" "7879");
    sx_buf_reset(&b);
    sx_cmd_pin_encode(&b, OP, NULL, &(struct sx_cmd_pin){ .pin = { 0xbb }, .content = 0x10203,
                                                          .ttl_ms = 300000 });
    assert_hex(b.data, b.len,
               "0102030405060708090a0b0c0d0e0f10" "000000" "3b"
               "bb000000000000000000000000000000" "0302010000000000" "e093040000000000");
    sx_buf_reset(&b);
    sx_cmd_unpin_encode(&b, OP, NULL, &(struct sx_cmd_unpin){ .pin = { 0xbb } });
    assert_hex(b.data, b.len,
               "0102030405060708090a0b0c0d0e0f10" "000000" "3c" "bb000000000000000000000000000000");
    sx_buf_reset(&b);
    sx_cmd_node_set_encode(&b, OP, "", &(struct sx_cmd_node_set){
        .node = { .id = 1, .address = "h", .port = 0x1234, .peer_port = 2, .zone = "",
                  .capacity = 3, .version = "3" } });
    assert_hex(b.data + 19, b.len - 19,
               "02" "0100000000000000" "01006800" "3412" "0200" "000000" "0300000000000000" "01003300");
    sx_buf_fini(&b);
}

static void test_numbers(void **state)
{
    static const char *const names[] = { "init", "file_put", "job_finish" };

    assert_string_equal(sx_cmd_name(1), names[0]);
    assert_string_equal(sx_cmd_name(48), names[1]);
    assert_string_equal(sx_cmd_name(67), names[2]);
    assert_string_equal(sx_cmd_name(255), "?");
}

/* Strings: no NUL inside, a NUL behind, UTF-8, not above the limit. */
static void test_strings(void **state)
{
    struct sx_cmd_user_delete c;
    struct sx_err e = SX_ERR_INIT;
    char text[3 + 66] = { 65, 0 };

    assert_int_equal(sx_cmd_user_delete_decode("\3\0abc", 6, &c, &e), 0);
    assert_string_equal(c.name, "abc");
    assert_int_equal(sx_cmd_user_delete_decode("\3\0abcd", 6, &c, &e), -1);
    assert_string_equal(e.msg, "command user_delete: bad name");
    assert_int_equal(sx_cmd_user_delete_decode("\3\0a\0c", 6, &c, &e), -1);
    assert_int_equal(sx_cmd_user_delete_decode("\3\0a\xff" "c", 6, &c, &e), -1);
    memset(text + 2, 'x', 65);
    text[67] = 0;
    assert_int_equal(sx_cmd_user_delete_decode(text, 68, &c, &e), -1);
    text[0] = 64;
    text[66] = 0;
    assert_int_equal(sx_cmd_user_delete_decode(text, 67, &c, &e), 0);
}

/* ---- entries ---- */

static void test_entry(void **state)
{
    struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_entry_iter it;
    const uint8_t *p;
    size_t n;

    sx_entry_begin(&b);
    sx_entry_add(&b, "abc", 3);
    sx_entry_add(&b, "", 0);
    sx_entry_add(&b, "de", 2);
    sx_entry_time_set(b.data, 0x0102030405060708);
    assert_hex(b.data, b.len,
               "0807060504030201" "03000000" "03000000616263" "00000000" "020000006465");
    assert_int_equal(sx_entry_count(b.data), 3);
    assert_done(sx_entry_open(b.data, b.len, &it, &e), &e);
    assert_int_equal(it.time_ms, 0x0102030405060708);
    assert_true(sx_entry_next(&it, &p, &n) && n == 3 && memcmp(p, "abc", 3) == 0);
    assert_true(sx_entry_next(&it, &p, &n) && n == 0);
    assert_true(sx_entry_next(&it, &p, &n) && n == 2 && memcmp(p, "de", 2) == 0);
    assert_false(sx_entry_next(&it, &p, &n));
    for (size_t i = 0; i < b.len; i++)
        assert_error(sx_entry_open(b.data, i, &it, &e), &e, SX_EMALFORMED);
    b.data[8] = 2;
    assert_error(sx_entry_open(b.data, b.len, &it, &e), &e, SX_EMALFORMED);
    b.data[8] = 4;
    assert_error(sx_entry_open(b.data, b.len, &it, &e), &e, SX_EMALFORMED);
    memset(b.data + 8, 0xff, 4);
    assert_error(sx_entry_open(b.data, b.len, &it, &e), &e, SX_EMALFORMED);
    sx_buf_fini(&b);
}

static void test_bootstrap(void **state)
{
    struct sx_buf f = SX_BUF_INIT, entry = SX_BUF_INIT, cmd = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;

    sx_cmd_job_cancel_encode(&cmd, OP, "", &(struct sx_cmd_job_cancel){ .id = 1 });
    sx_bootstrap_add(&f, cmd.data, cmd.len);
    sx_bootstrap_add(&f, cmd.data, cmd.len);
    assert_hex(f.data, 8, "53584253" "1c000000");
    assert_done(sx_bootstrap_entry(f.data, f.len, &entry, &e), &e);
    assert_int_equal(sx_entry_count(entry.data), 2);
    f.data[0] ^= 1;
    assert_error(sx_bootstrap_entry(f.data, f.len, &entry, &e), &e, SX_EMALFORMED);
    sx_buf_fini(&f);
    sx_buf_fini(&entry);
    sx_buf_fini(&cmd);
}

/* ---- small encodings ---- */

static int items_of(const char *json, struct sx_buf *out, struct sx_err *e)
{
    json_t *j = json_loads(json, 0, NULL);
    int rc;

    assert_non_null(j);
    sx_buf_reset(out);
    rc = sx_meta_items_encode(j, out, e);
    json_decref(j);
    return rc;
}

static void test_meta_items(void **state)
{
    struct sx_buf a = SX_BUF_INIT, b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    json_t *j;

    assert_done(items_of("{}", &a, &e), &e);
    assert_int_equal(a.len, 0);
    assert_done(items_of("{\"b\":\"2\",\"a\":\"1\"}", &a, &e), &e);
    assert_done(items_of("{\"a\":\"1\",\"b\":\"2\"}", &b, &e), &e);
    assert_hex(a.data, a.len, "02000000" "01006100" "0100000031" "01006200" "0100000032");
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_done(sx_meta_items_check(a.data, a.len, &e), &e);
    j = sx_meta_items_json(a.data, a.len);
    assert_string_equal(json_string_value(json_object_get(j, "b")), "2");
    json_decref(j);
    for (size_t n = 1; n < a.len; n++)
        assert_error(sx_meta_items_check(a.data, n, &e), &e, SX_EMALFORMED);
    a.data[6] = 'c'; /* not ascending */
    assert_error(sx_meta_items_check(a.data, a.len, &e), &e, SX_EMALFORMED);
    assert_error(items_of("{\"a\":1}", &b, &e), &e, SX_EINVAL);
    assert_string_equal(e.msg, "metadata value of 'a' is not a string");
    assert_error(items_of("[]", &b, &e), &e, SX_EINVAL);
    sx_buf_fini(&a);
    sx_buf_fini(&b);
}

static void items_limit(unsigned count, size_t key, size_t value, int code)
{
    struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO_FREE char *k = sx_calloc(1, key + 1), *v = sx_calloc(1, value + 1);
    json_t *o = json_object();
    int rc;

    memset(k, 'k', key);
    memset(v, 'v', value);
    for (unsigned i = 0; i < count; i++) {
        if (key > 2) {
            k[0] = (char)('a' + i / 16);
            k[1] = (char)('a' + i % 16);
        }
        json_object_set_new(o, k, json_string(v));
    }
    rc = sx_meta_items_encode(o, &b, &e);
    assert_int_equal(rc == 0 ? SX_OK : e.code, code);
    if (rc == 0)
        assert_int_equal(sx_meta_items_check(b.data, b.len, NULL), 0);
    json_decref(o);
    sx_buf_fini(&b);
}

static void test_meta_limits(void **state)
{
    items_limit(128, 256, 256, SX_OK);
    items_limit(129, 3, 1, SX_EINVAL);
    items_limit(1, 257, 1, SX_EINVAL);
    items_limit(1, 0, 1, SX_EINVAL);
    items_limit(1, 1, 65535, SX_OK);
    items_limit(1, 1, 65536, SX_EINVAL); /* with its key */
    items_limit(128, 256, 257, SX_EINVAL);
}

static void test_results(void **state)
{
    const struct sx_file f = { .path = "p\xc3\xa9", .rev = 1, .size = 2, .blocks = 3,
                               .mtime_ns = -4, .mode = 0600, .etag = { 5 }, .created_ms = 6,
                               .is_inline = true, .unchanged = true, .marker = true,
                               .null_version = true, .hold = 5, .retain_ms = 8, .meta = SPAN("m"),
                               .content = 7 };
    const struct sx_job_result r = { .id = 1, .state = 2, .done = 3, .failed = 4 };
    struct sx_job_result s;
    struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_file g;

    sx_file_result_encode(&b, &f);
    assert_done(sx_file_result_decode(b.data, b.len, &g, &e), &e);
    assert_string_equal(g.path, f.path);
    assert_true(g.rev == 1 && g.size == 2 && g.blocks == 3 && g.mtime_ns == -4 && g.mode == 0600 &&
                g.created_ms == 6 && g.is_inline && g.unchanged && g.marker &&
                g.null_version && g.hold == 5 && g.retain_ms == 8 && g.meta.n == 1 && g.content == 7);
    for (size_t n = 0; n < b.len; n++)
        assert_error(sx_file_result_decode(b.data, n, &g, &e), &e, SX_EMALFORMED);
    sx_buf_reset(&b);
    sx_job_result_encode(&b, &r);
    assert_done(sx_job_result_decode(b.data, b.len, &s, &e), &e);
    assert_true(s.id == 1 && s.state == 2 && s.done == 3 && s.failed == 4);
    assert_error(sx_job_result_decode(b.data, b.len - 1, &s, &e), &e, SX_EMALFORMED);
    sx_buf_fini(&b);
}

static void test_file_json(void **state)
{
    const struct sx_file f = { .path = "a/b", .rev = 0x10000, .size = 5, .blocks = 1, .mtime_ns = 7,
                               .mode = 420, .etag = { 0xab }, .created_ms = 9 };
    json_t *j = sx_file_json(&f);
    SX_AUTO_FREE char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text,
                        "{\"blocks\":1,\"created_ms\":9,\"etag\":\"ab000000000000000000000000000000\","
                              "\"mode\":420,\"mtime_ns\":7,\"path\":\"a/b\",\"rev\":\"0000000000010000\","
                              "\"size\":5}");
    json_decref(j);
}

/* ---- names ---- */

static void test_names(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    char name[SX_PATH_MAX + 2];

    memset(name, 'x', sizeof name);
    name[255] = 0;
    assert_done(sx_volume_name_check(name, &e), &e);
    name[255] = 'x';
    name[256] = 0;
    assert_error(sx_volume_name_check(name, &e), &e, SX_ENAMETOOLONG);
    assert_done(sx_volume_name_check("\xc3\xa9t\xc3\xa9 2", &e), &e);
    assert_error(sx_volume_name_check("a\xff", &e), &e, SX_ENAME);
    assert_error(sx_volume_name_check("a\\b", &e), &e, SX_ENAME);
    assert_error(sx_volume_name_check("a\nb", &e), &e, SX_ENAME);
    assert_error(sx_volume_name_check("a\x7f", &e), &e, SX_ENAME);
    memset(name, 'x', sizeof name);
    name[64] = 0;
    assert_done(sx_user_name_check(name, &e), &e);
    name[64] = 'x';
    name[65] = 0;
    assert_error(sx_user_name_check(name, &e), &e, SX_ENAMETOOLONG);
    assert_done(sx_user_name_check("A.b_c-d@e9", &e), &e);
    memset(name, 'x', sizeof name);
    name[1024] = 0;
    assert_done(sx_path_check(name, &e), &e);
    name[1024] = 'x';
    name[1025] = 0;
    assert_error(sx_path_check(name, &e), &e, SX_ENAMETOOLONG);
    static const char *const bad[] =
        { "", "/a", "a/", "a//b", ".", "..", "a/./b", "a/..", "a\x1f", "\xc0\x80" };
    static const char *const good[] = { "a", "...", ".a", "a/..b", "\xf0\x9f\x98\x80/x y" };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(sx_path_check(bad[i], &e), &e, SX_ENAME);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_done(sx_path_check(good[i], &e), &e);
}

static void test_words(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    uint8_t v;

    for (unsigned i = 0; i < 2; i++) {
        assert_done(sx_role_parse(sx_role_name(i), &v, &e), &e);
        assert_int_equal(v, i);
    }
    assert_error(sx_role_parse("root", &v, &e), &e, SX_EINVAL);
    assert_done(sx_right_parse("owner", &v, &e), &e);
    assert_int_equal(v, SX_RIGHT_OWNER);
    assert_error(sx_right_parse("admin", &v, &e), &e, SX_EINVAL);
    assert_string_equal(sx_job_state_name(SX_JOB_CANCELED), "canceled");
    assert_string_equal(sx_job_type_name(SX_JOB_VOLUME_DELETE), "volume");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),         cmocka_unit_test(test_golden),
        cmocka_unit_test(test_numbers),     cmocka_unit_test(test_strings),
        cmocka_unit_test(test_entry),       cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_meta_items),  cmocka_unit_test(test_meta_limits),
        cmocka_unit_test(test_results),     cmocka_unit_test(test_file_json),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
