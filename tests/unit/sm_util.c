/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See sm_util.h.
 */
#include "tests/unit/sm_util.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libsx/codec/record.h"
#include "tests/unit/unit.h"

#define START_MS 1700000000000ull

static void on_result(void *arg, const uint8_t op[SX_OP_ID], int code, const char *msg,
                      const void *payload, size_t n)
{
    struct world *w = arg;

    w->code = code;
    snprintf(w->msg, sizeof w->msg, "%s", msg);
    sx_buf_reset(&w->payload);
    sx_buf_add(&w->payload, payload, n);
    w->results++;
}

static void op_next(struct world *w)
{
    memset(w->op, 0, sizeof w->op);
    sx_put_u64(w->op, ++w->ops);
}

static void open_sm(struct world *w)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t term;

    if (sx_sm_open(w->path, 0, on_result, w, &w->sm, &e) != 0)
        fail_msg("%s", e.msg);
    sx_sm_applied(w->sm, &w->index, &term);
}

void world_open_empty(struct world *w)
{
    memset(w, 0, sizeof *w);
    /* memory if there is some: closing a database syncs it */
    snprintf(w->dir, sizeof w->dir, "%s/sx-sm-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm"
             : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/db", w->dir);
    w->time_ms = START_MS;
    open_sm(w);
    op_next(w);
}

static void add_user(struct world *w, const char *name)
{
    char key[80];

    snprintf(key, sizeof key, "AK%s", name);
    assert_int_equal(DO(w, "admin", user_add, .name = name, .description = "", .access_key = key,
                        .secret = { (const uint8_t *)"sealed", 6 }), SX_OK);
}

void world_open(struct world *w, unsigned nodes)
{
    world_open_empty(w);
    assert_int_equal(
        DO(w, "", init, .uuid = "6e5b0001", .name = "test",
           .domain_key = { (const uint8_t *)"dk", 2 },
           .ca_cert = "CERT", .ca_key = { (const uint8_t *)"ck", 2 }, .admin = "admin",
           .access_key = "AKadmin", .secret = { (const uint8_t *)"sealed", 6 },
           .node = { .id = 1, .address = "127.0.0.1", .port = 1, .peer_port = 2, .capacity = 1 }),
        SX_OK);
    for (unsigned i = 2; i <= nodes; i++)
        assert_int_equal(DO(w, "", node_set,
                            .node = { .id = i, .address = "127.0.0.1", .port = (uint16_t)i,
                                      .peer_port = 2, .capacity = 1 }), SX_OK);
    add_user(w, "alice");
    add_user(w, "bob");
    add_user(w, "carol");
}

void world_open_volume(struct world *w)
{
    world_open(w, 3);
    assert_int_equal(DO(w, "admin", volume_create, .name = "vol", .owner = "alice",
                        .compression = SX_COMPRESSION_DEFAULT), SX_OK);
}

void world_reopen(struct world *w)
{
    sx_sm_close(w->sm);
    open_sm(w);
}

void world_close(struct world *w)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    char name[96];

    sx_sm_close(w->sm);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", w->path, suffixes[i]);
        unlink(name);
    }
    rmdir(w->dir);
    sx_buf_fini(&w->cmd);
    sx_buf_fini(&w->payload);
}

struct world W;

int world_setup(void **state)
{
    world_open_volume(&W);
    return 0;
}

int world_teardown(void **state)
{
    world_check(&W);
    world_close(&W);
    return 0;
}

int world_run(struct world *w)
{
    struct sx_buf entry = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    unsigned before = w->results;

    sx_entry_begin(&entry);
    sx_entry_add(&entry, w->cmd.data, w->cmd.len);
    sx_entry_time_set(entry.data, w->time_ms);
    if (sx_sm_begin(w->sm, &e) != 0 ||
        sx_sm_apply(w->sm, entry.data, entry.len, ++w->index, 1, &e) != 0 ||
        sx_sm_commit(w->sm, &e) != 0)
        fail_msg("%s", e.msg);
    sx_buf_fini(&entry);
    assert_int_equal(w->results, before + 1);
    op_next(w);
    return w->code;
}

sqlite3 *world_db(struct world *w)
{
    return sx_sm_db(w->sm);
}

void world_pass(struct world *w, uint64_t ms)
{
    for (uint64_t step; ms; ms -= step) {
        step = ms < 60000 ? ms : 60000;
        w->time_ms += step;
        assert_int_equal(DO(w, "", expire, .limit = 1000), SX_OK);
    }
}

uint64_t world_number(struct world *w, const char *sql)
{
    sqlite3_stmt *st;
    uint64_t n;

    assert_int_equal(sqlite3_prepare_v2(world_db(w), sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

void world_check(struct world *w)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_sm_check(sx_sm_db(w->sm), &e) != 0)
        fail_msg("%s", e.msg);
}

struct sx_id id_of(uint64_t seed)
{
    struct sx_id id;
    uint8_t b[8];

    sx_put_u64(b, seed);
    SHA256(b, sizeof b, id.b);
    return id;
}

void entries_make(struct sx_buf *out, uint64_t seed, unsigned n, uint32_t len)
{
    for (unsigned i = 0; i < n; i++) {
        struct sx_id id = id_of(seed + i);

        sx_block_entry_add(out, &id, len);
    }
}

void etag_of(const void *entries, size_t n, uint8_t etag[SX_ETAG_SIZE])
{
    uint8_t digest[32];

    SHA256(entries, n, digest);
    memcpy(etag, digest, SX_ETAG_SIZE);
}

void put_fill(struct sx_cmd_file_put *c, struct sx_buf *entries, const char *volume,
              const char *path, uint64_t seed, unsigned n, uint32_t len)
{
    sx_buf_reset(entries);
    entries_make(entries, seed, n, len);
    *c = (struct sx_cmd_file_put){ .volume = volume, .path = path, .size = (uint64_t)n * len,
                                   .mtime_ns = 5, .mode = 0644, .lease = UINT64_MAX };
    c->entries = (struct sx_span){ entries->data, entries->len };
    etag_of(entries->data, entries->len, c->etag);
}

int put_run(struct world *w, const char *user, const struct sx_cmd_file_put *c)
{
    sx_buf_reset(&w->cmd);
    sx_cmd_file_put_encode(&w->cmd, w->op, user, c);
    return world_run(w);
}

void record_of(struct sx_buf *out, uint64_t seed, uint32_t size)
{
    struct sx_id id = id_of(seed);
    size_t at = sx_record_begin(out);
    uint8_t *h = sx_buf_extend(out, SX_BLOCK_HEADER);

    memset(h, 0, SX_BLOCK_HEADER);
    sx_put_u32(h + 8, size);
    sx_buf_printf(out, "block of %llu", (unsigned long long)seed);
    sx_record_end(out, at, &id);
}

size_t record_len(uint64_t seed)
{
    return SX_RECORD_HEADER + SX_BLOCK_HEADER +
           (size_t)snprintf(NULL, 0, "block of %llu", (unsigned long long)seed);
}

int put_inline(struct world *w, const char *user, const char *volume, const char *path,
               uint64_t seed, uint32_t size)
{
    struct sx_buf entries = SX_BUF_INIT, record = SX_BUF_INIT;
    struct sx_cmd_file_put c;
    int code;

    put_fill(&c, &entries, volume, path, seed, size ? 1 : 0, size);
    c.lease = 0;
    if (size) {
        record_of(&record, seed, size);
        c.record = (struct sx_span){ record.data, record.len };
    }
    code = put_run(w, user, &c);
    sx_buf_fini(&entries);
    sx_buf_fini(&record);
    return code;
}

int put_blocks(struct world *w, const char *user, const char *volume, const char *path,
               uint64_t seed, unsigned n, uint32_t len, uint64_t lease)
{
    struct sx_buf entries = SX_BUF_INIT;
    struct sx_cmd_file_put c;
    int code;

    put_fill(&c, &entries, volume, path, seed, n, len);
    c.lease = lease;
    code = put_run(w, user, &c);
    sx_buf_fini(&entries);
    return code;
}

struct sx_file result_file(struct world *w)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_file f;

    if (sx_file_result_decode(w->payload.data, w->payload.len, &f, &e) != 0)
        fail_msg("%s", e.msg);
    return f;
}

uint64_t result_u64(struct world *w)
{
    assert_int_equal(w->payload.len, 8);
    return sx_get_u64(w->payload.data);
}

struct sx_volume world_volume(struct world *w, const char *name)
{
    struct sx_volume v;
    struct sx_err e = SX_ERR_INIT;

    if (sx_query_volume(world_db(w), "", name, 0, &v, &e) != 0)
        fail_msg("%s", e.msg);
    return v;
}

uint64_t world_used(struct world *w, const char *name)
{
    struct sx_user u;
    struct sx_err e = SX_ERR_INIT;

    if (sx_query_user(world_db(w), name, &u, &e) != 0)
        fail_msg("%s", e.msg);
    return u.used;
}

size_t world_revisions(struct world *w, const char *vol, const char *path, uint64_t *out)
{
    struct sx_volume v = world_volume(w, vol);
    struct sx_err e = SX_ERR_INIT;
    json_t *a;
    size_t n;

    if (sx_query_revisions_json(world_db(w), v.id, path, &a, &e) != 0)
        return 0;
    n = json_array_size(a);
    for (size_t i = 0; i < n; i++)
        out[i] = strtoull(json_string_value(json_object_get(json_array_get(a, i), "rev")), NULL,
                          16);
    json_decref(a);
    return n;
}

bool world_referenced(struct world *w, uint64_t seed)
{
    struct sx_id id = id_of(seed);
    uint8_t yes;

    assert_int_equal(sx_query_referenced(world_db(w), &id, 1, &yes, NULL), 0);
    return yes;
}
