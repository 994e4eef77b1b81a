/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random commands on files against a simple model in memory.  After each entry the state must equal
 * the model and pass sx_sm_check().  A second state machine gets the same log in other
 * transactions, and is closed and opened in between: both must have the same digest.
 *
 * SX_TEST_SEED=n runs one seed, SX_TEST_SEEDS=n that many (40).
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/sm_util.h"
#include "tests/unit/unit.h"

#define VOLUMES 3u
#define PATHS 12u
#define REVS 70u
#define ENTRIES 150u
#define SEEDS 40u

static const char *const volume_names[VOLUMES] = { "v0", "v1", "v2" };
static const char *const path_names[PATHS] = { "a/a", "a/b", "a/b/c", "a/c", "b/a", "b/b", "b/d",
                                               "c", "d/a/a", "d/a/b", "d/b", "e" };

struct rev {
    uint64_t seed;
    uint32_t n, len; /* n blocks of len bytes */
    int64_t mtime;
    uint64_t rev;
};

struct file {
    struct rev revs[REVS]; /* newest first */
    unsigned n;
};

struct model {
    struct file files[VOLUMES][PATHS];
    unsigned keep[VOLUMES];
    uint64_t quota[VOLUMES];
};

static struct world A, B;
static struct model M;
static uint64_t R; /* random state */
static unsigned the_seed;
static struct sx_buf entry, cmd, entries, log_bytes, record;
static uint64_t num;         /* of the command that is added next */
static uint64_t time_now;
static unsigned ops_seen[19];

static unsigned rnd(unsigned n)
{
    return (unsigned)(unit_random(&R) % n);
}

/* ---- model ---- */

static uint64_t rev_size(const struct rev *r)
{
    return (uint64_t)r->n * r->len;
}

static uint64_t used(unsigned v)
{
    uint64_t sum = 0;

    for (unsigned p = 0; p < PATHS; p++)
        for (unsigned i = 0; i < M.files[v][p].n; i++)
            sum += rev_size(&M.files[v][p].revs[i]);
    return sum;
}

static bool fits(unsigned v, uint64_t before)
{
    return M.quota[v] == 0 || used(v) <= M.quota[v] || used(v) <= before;
}

static bool same_facts(const struct rev *a, const struct rev *b)
{
    bool same_list = a->n == b->n && (a->n == 0 || (a->seed == b->seed && a->len == b->len));

    return same_list && a->mtime == b->mtime;
}

static void trim(unsigned v, struct file *f)
{
    if (f->n > M.keep[v])
        f->n = M.keep[v];
}

static void model_push(unsigned v, unsigned p, struct rev r)
{
    struct file *f = &M.files[v][p], was = *f;
    uint64_t before = used(v);

    if (f->n && same_facts(&f->revs[0], &r))
        return;
    memmove(f->revs + 1, f->revs, f->n * sizeof *f->revs);
    f->revs[0] = r;
    f->n++;
    trim(v, f);
    if (!fits(v, before))
        *f = was;
}

static void model_move(unsigned v, unsigned p, unsigned w, unsigned q)
{
    struct file *src = &M.files[v][p], *dst = &M.files[w][q], was_src = *src, was_dst = *dst;
    uint64_t before = used(w);

    if (src == dst || src->n == 0)
        return;
    memmove(dst->revs + src->n, dst->revs, dst->n * sizeof *dst->revs);
    memcpy(dst->revs, src->revs, src->n * sizeof *dst->revs);
    dst->n += src->n;
    src->n = 0;
    trim(w, dst);
    if (v != w && !fits(w, before)) {
        *src = was_src;
        *dst = was_dst;
    }
}

/* ---- commands ---- */

static const uint8_t *op_random(void)
{
    static uint8_t op[SX_OP_ID];

    sx_put_u64(op, unit_random(&R));
    sx_put_u64(op + 8, unit_random(&R));
    return op;
}

static void add(void)
{
    sx_entry_add(&entry, cmd.data, cmd.len);
    num++;
    sx_buf_reset(&cmd);
}

#define ADD(user, name, ...)                                                                       \
    (sx_cmd_##name##_encode(&cmd, op_random(), user, &(struct sx_cmd_##name){ __VA_ARGS__ }), add())

static struct rev rev_random(void)
{
    struct rev r = { .seed = 1000ull * rnd(6), .n = rnd(4), .len = 1 + rnd(3) * 100,
                     .mtime = rnd(2) };

    if (rnd(4) == 0)
        r.n = 60 + rnd(10); /* around the length from which lists go with expire */
    return r;
}

static void do_put(void)
{
    unsigned v = rnd(VOLUMES), p = rnd(PATHS);
    struct rev r = rev_random();
    struct sx_cmd_file_put c;

    put_fill(&c, &entries, volume_names[v], path_names[p], r.seed, r.n, r.len);
    c.mtime_ns = r.mtime;
    sx_buf_reset(&record);
    if (r.n == 1 && rnd(2)) {
        record_of(&record, r.seed, r.len);
        c.record = (struct sx_span){ record.data, record.len };
    }
    r.rev = num;
    sx_cmd_file_put_encode(&cmd, op_random(), "admin", &c);
    add();
    model_push(v, p, r);
}

static void do_upload(void)
{
    unsigned v = rnd(VOLUMES), p = rnd(PATHS), parts = rnd(4), what = rnd(3);
    struct rev r = { .seed = 1000ull * rnd(6), .len = 7, .mtime = 9 };
    struct sx_cmd_upload_begin b = { .volume = volume_names[v], .path = path_names[p] };
    struct sx_cmd_file_put c;

    sx_put_u64(b.upload, unit_random(&R));
    sx_cmd_upload_begin_encode(&cmd, op_random(), "admin", &b);
    add();
    for (uint32_t i = 0; i < parts; i++) {
        struct sx_cmd_upload_part part = { .seq = i, .lease = 1 };
        unsigned n = 1 + rnd(40);

        memcpy(part.upload, b.upload, SX_UPLOAD_ID);
        sx_buf_reset(&entries);
        entries_make(&entries, r.seed + r.n, n, r.len);
        part.entries = (struct sx_span){ entries.data, entries.len };
        sx_cmd_upload_part_encode(&cmd, op_random(), "admin", &part);
        add();
        r.n += n;
    }
    if (what == 0) {
        struct sx_cmd_upload_abort a;

        memcpy(a.upload, b.upload, SX_UPLOAD_ID);
        sx_cmd_upload_abort_encode(&cmd, op_random(), "admin", &a);
        add();
    } else if (what == 1) {
        put_fill(&c, &entries, volume_names[v], path_names[p], r.seed, r.n, r.len);
        c.mtime_ns = r.mtime;
        c.entries = (struct sx_span){ NULL, 0 };
        c.flags = SX_PUT_UPLOAD;
        memcpy(c.upload, b.upload, SX_UPLOAD_ID);
        r.rev = num;
        sx_cmd_file_put_encode(&cmd, op_random(), "admin", &c);
        add();
        model_push(v, p, r);
    } /* else it is left to expire */
}

static void do_delete(void)
{
    unsigned v = rnd(VOLUMES), p = rnd(PATHS);
    struct file *f = &M.files[v][p];

    ADD("admin", file_delete, .volume = volume_names[v], .path = path_names[p]);
    f->n = 0;
}

static void do_delete_revision(void)
{
    unsigned v = rnd(VOLUMES), p = rnd(PATHS), i;
    struct file *f = &M.files[v][p];

    if (f->n == 0)
        return;
    i = rnd(f->n);
    ADD("admin", file_delete, .volume = volume_names[v], .path = path_names[p],
        .rev = f->revs[i].rev);
    memmove(f->revs + i, f->revs + i + 1, (f->n - i - 1) * sizeof *f->revs);
    f->n--;
}

static void do_copy(void)
{
    unsigned v = rnd(VOLUMES), p = rnd(PATHS), w = rnd(VOLUMES), q = rnd(PATHS), i = 0;
    const struct file *f = &M.files[v][p];
    struct rev r;

    if (f->n)
        i = rnd(f->n);
    r = f->revs[i];
    ADD("admin", file_copy, .volume = volume_names[v], .path = path_names[p], .rev = f->n ? r.rev
        : 0, .to_volume = volume_names[w], .to_path = path_names[q]);
    r.rev = num - 1;
    if (f->n)
        model_push(w, q, r);
}

static void do_rename(void)
{
    unsigned v = rnd(VOLUMES), p = rnd(PATHS), w = rnd(VOLUMES), q = rnd(PATHS);

    ADD("admin", file_rename, .volume = volume_names[v], .path = path_names[p],
        .to_volume = volume_names[w], .to_path = path_names[q]);
    model_move(v, p, w, q);
}

static void do_revisions(void)
{
    unsigned v = rnd(VOLUMES), keep = 1 + rnd(4);

    ADD("admin", volume_modify, .volume = volume_names[v], .set = SX_SET_REVISIONS,
        .revisions = (uint8_t)keep);
    ADD("", expire, .limit = SX_EXPIRE_MAX);
    M.keep[v] = keep;
    for (unsigned p = 0; p < PATHS; p++)
        trim(v, &M.files[v][p]);
}

static void do_quota(void)
{
    unsigned v = rnd(VOLUMES);

    M.quota[v] = rnd(3) ? 0 : rnd(20000);
    ADD("admin", volume_modify, .volume = volume_names[v], .set = SX_SET_VOLUME_QUOTA,
        .quota = M.quota[v]);
}

static void job_steps(uint64_t id)
{
    for (unsigned i = 0; i < 6; i++)
        ADD("", job_step, .id = id, .limit = 3);
}

static void do_job_delete(void)
{
    unsigned v = rnd(VOLUMES);
    const char *prefix = rnd(2) ? "a/" : "d";
    uint64_t id = num;

    ADD("admin", job_create, .job_type = SX_JOB_DELETE, .volume = volume_names[v],
        .prefix = prefix);
    job_steps(id);
    for (unsigned p = 0; p < PATHS; p++)
        if (strncmp(path_names[p], prefix, strlen(prefix)) == 0)
            M.files[v][p].n = 0;
}

static unsigned path_index(const char *name)
{
    for (unsigned p = 0; p < PATHS; p++)
        if (strcmp(path_names[p], name) == 0)
            return p;
    return PATHS;
}

/* From "d/a/" to "a/" in any volumes: all that can come of it are names of the model. */
static void do_job_rename(void)
{
    unsigned v = rnd(VOLUMES), w = rnd(VOLUMES);
    uint64_t id = num;
    char to[32];

    ADD("admin", job_create, .job_type = SX_JOB_RENAME, .volume = volume_names[v], .prefix = "d/a/",
        .to_volume = volume_names[w], .to_prefix = "a/");
    job_steps(id);
    for (unsigned p = 0; p < PATHS; p++) {
        if (strncmp(path_names[p], "d/a/", 4) != 0)
            continue;
        snprintf(to, sizeof to, "a/%s", path_names[p] + 4);
        model_move(v, p, w, path_index(to));
    }
}

static void do_expire(void)
{
    time_now += rnd(2) ? 10 * 60 * 1000 : 0;
    ADD("", expire, .limit = 1 + rnd(200));
}

/* Some content that is there, or nearly: pins change nothing that the model knows. */
static void do_pin(void)
{
    sqlite3_stmt *st;
    uint64_t content = num;

    time_now += rnd(2) * 60000; /* no jump: pins expire */
    assert_int_equal(sqlite3_prepare_v2(world_db(&A), "SELECT id FROM content ORDER BY id LIMIT 1"
                                                      " OFFSET ?", -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_int(st, 1, (int)rnd(20));
    if (sqlite3_step(st) == SQLITE_ROW)
        content = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    ADD("", pin, .pin = { (uint8_t)(1 + rnd(8)) }, .content = content,
        .ttl_ms = 1 + rnd(3) * 10 * 60 * 1000);
}

static void do_unpin(void)
{
    ADD("", unpin, .pin = { (uint8_t)(1 + rnd(8)) });
}

static void do_owner(void)
{
    static const char *const owners[] = { "admin", "alice", "bob" };

    ADD("admin", volume_modify, .volume = volume_names[rnd(VOLUMES)], .set = SX_SET_OWNER,
        .owner = owners[rnd(3)]);
}

static void command_random(void)
{
    static void (*const all[])(void) = {
        do_put, do_put, do_put, do_upload, do_delete, do_delete_revision, do_copy, do_copy,
        do_rename, do_rename, do_revisions, do_quota, do_job_delete, do_job_rename, do_expire,
        do_owner, do_pin, do_pin, do_unpin,
    };
    unsigned i = rnd(sizeof all / sizeof *all);

    ops_seen[i]++;
    all[i]();
}

/* ---- comparing ---- */

static void file_compare(unsigned v, unsigned p)
{
    const struct file *f = &M.files[v][p];
    uint64_t revs[REVS + 1];
    size_t n = world_revisions(&A, volume_names[v], path_names[p], revs);

    if (n != f->n)
        fail_msg("seed %u: %s/%s has %zu revisions, not %u", the_seed, volume_names[v],
                 path_names[p], n, f->n);
    for (size_t i = 0; i < n; i++) {
        struct sx_file_row row = SX_FILE_ROW_INIT;
        struct sx_err e = SX_ERR_INIT;
        uint8_t etag[SX_ETAG_SIZE];

        if (revs[i] != f->revs[i].rev)
            fail_msg("seed %u: %s/%s revision %zu is %llx, not %llx", the_seed, volume_names[v],
                     path_names[p], i, (unsigned long long)revs[i],
                     (unsigned long long)f->revs[i].rev);
        assert_done(sx_query_file(world_db(&A), v + 1, path_names[p], revs[i], &row, &e), &e);
        sx_buf_reset(&entries);
        entries_make(&entries, f->revs[i].seed, f->revs[i].n, f->revs[i].len);
        etag_of(entries.data, entries.len, etag);
        assert_memory_equal(etag, row.f.etag, SX_ETAG_SIZE);
        assert_int_equal(row.f.size, rev_size(&f->revs[i]));
        sx_file_row_fini(&row);
    }
}

static void state_compare(void)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_sm_check(world_db(&A), &e) != 0)
        fail_msg("seed %u: %s", the_seed, e.msg);
    for (unsigned v = 0; v < VOLUMES; v++) {
        for (unsigned p = 0; p < PATHS; p++)
            file_compare(v, p);
        if (world_volume(&A, volume_names[v]).used != used(v))
            fail_msg("seed %u: used bytes of %s differ", the_seed, volume_names[v]);
    }
}

/* ---- the run ---- */

static void apply_a(void)
{
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_sm_begin(A.sm, &e), &e);
    assert_done(sx_sm_apply(A.sm, entry.data, entry.len, ++A.index, 1, &e), &e);
    assert_done(sx_sm_commit(A.sm, &e), &e);
    sx_buf_bytes(&log_bytes, entry.data, entry.len);
    if (rnd(20) == 0)
        world_reopen(&A);
}

/* The same log in transactions of other sizes, some rolled back, with restarts. */
static void apply_b(void)
{
    struct sx_cur c = sx_cur_of(log_bytes.data, log_bytes.len), start = c;
    struct sx_err e = SX_ERR_INIT;
    uint64_t index = B.index, start_index = index;

    while (c.left) {
        unsigned n = 1 + rnd(20);

        start = c;
        start_index = index;
        assert_done(sx_sm_begin(B.sm, &e), &e);
        for (unsigned i = 0; i < n && c.left; i++) {
            size_t len;
            const uint8_t *p = sx_cur_bytes(&c, &len);

            assert_done(sx_sm_apply(B.sm, p, len, ++index, 1, &e), &e);
        }
        if (rnd(10) == 0) { /* lost: applied again from the log */
            sx_sm_rollback(B.sm);
            c = start;
            index = start_index;
        } else
            assert_done(sx_sm_commit(B.sm, &e), &e);
        if (rnd(5) == 0)
            world_reopen(&B);
    }
}

static void model_init(void)
{
    memset(&M, 0, sizeof M);
    sx_buf_reset(&log_bytes);
    time_now = A.time_ms;
    sx_buf_reset(&entry);
    sx_entry_begin(&entry);
    num = (A.index + 1) << 16;
    for (unsigned v = 0; v < VOLUMES; v++) {
        M.keep[v] = 1 + v;
        ADD("admin", volume_create, .name = volume_names[v], .replica = (uint8_t)(v + 1),
            .revisions = (uint8_t)(v + 1));
    }
    sx_entry_time_set(entry.data, time_now);
    apply_a();
}

static void run_seed(unsigned seed)
{
    uint8_t digest_a[32], digest_b[32];

    the_seed = seed;
    R = seed;
    world_open(&A, 3);
    world_open(&B, 3);
    model_init();
    for (unsigned i = 0; i < ENTRIES; i++) {
        sx_buf_reset(&entry);
        sx_entry_begin(&entry);
        num = (A.index + 1) << 16;
        for (unsigned n = 1 + rnd(4); n; n--)
            command_random();
        sx_entry_time_set(entry.data, time_now);
        apply_a();
        state_compare();
    }
    apply_b();
    assert_int_equal(sx_sm_digest(world_db(&A), digest_a, NULL), 0);
    assert_int_equal(sx_sm_digest(world_db(&B), digest_b, NULL), 0);
    if (memcmp(digest_a, digest_b, sizeof digest_a) != 0)
        fail_msg("seed %u: the digests differ", seed);
    world_close(&A);
    world_close(&B);
}

static void test_random(void **state)
{
    const char *one = getenv("SX_TEST_SEED"), *many = getenv("SX_TEST_SEEDS");
    unsigned first = one ? (unsigned)atoi(one) : 1, n = one ? 1 : many ? (unsigned)atoi(many)
        : SEEDS;

    for (unsigned i = 0; i < n; i++)
        run_seed(first + i);
    for (unsigned i = 0; i < sizeof ops_seen / sizeof *ops_seen; i++)
        assert_true(one || ops_seen[i] > 0);
    sx_buf_fini(&entry);
    sx_buf_fini(&cmd);
    sx_buf_fini(&entries);
    sx_buf_fini(&record);
    sx_buf_fini(&log_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_random) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
