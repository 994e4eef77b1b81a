/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Collection with the real parts: two nodes with a real store and a real state machine each, which
 * apply one log as late as they like; and while a collector looks at a page, at each place where it
 * asks for something, anything else happens: put, dedup-put, commit, copy, delete, uploads in parts
 * and their abort, the next epoch, nodes that fall behind, are away and come back, unclean restarts
 * that lose all leases, compaction.  After every page each node that told an uploader a lease has
 * the block of his file.  With a part of the rule taken away that must be noticed.
 *
 * SX_COLLECT_STEPS sets how many things happen.
 */
#include "tests/unit/store_util.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "fcgi/jobs/collect.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/codec/block.h"
#include "tests/unit/sm_util.h"

enum { NODES = 2, BLOCKS = 12, FILES = 6, OPEN = 4 };
#define RACE_MAX 100u
#define STEPS 100000u
#define FAULT_STEPS 60000u

enum fault { SOUND, NO_REFUSAL, NO_LEASES, REFERENCES_FIRST, EPOCH_NOT_APPLIED, NO_FLOOR, FAULTS };

struct node {
    char *dir, *db;
    struct sx_store_options o;
    struct sx_store *store;
    struct sx_sm *sm;
    uint64_t applied; /* entries of the log */
    bool away;
    struct sx_collect work;
    uint64_t dropped;
    uint64_t epoch; /* of its collector */
    bool stale[BLOCKS]; /* REFERENCES_FIRST: what was read too early */
};

/* A file or an upload on its way. */
struct item {
    int block;      /* -1: none */
    unsigned nodes; /* bits: who told a lease, or must have the block */
    uint64_t lease;
    bool begun;     /* an upload in parts */
    bool part;      /* it has sent its list, and holds the block like a file */
    uint8_t id[SX_UPLOAD_ID];
};

struct race {
    enum fault fault;
    uint64_t seed;
    struct world w;
    struct sx_buf *log;
    uint64_t entries;
    struct node node[NODES];
    struct item file[FILES], open[OPEN];
    bool quiet; /* nothing else happens */
    unsigned steps, commits, refused, copies, aborts, crashes, deleted, wrong;
};

static unsigned dice(struct race *r, unsigned n)
{
    return (unsigned)(unit_random(&r->seed) % n);
}

/* ---- the log and the nodes that follow it ---- */

/* Runs what is in w.cmd on the cluster, and keeps it for the nodes. */
static int run(struct race *r)
{
    struct sx_buf entry = SX_BUF_INIT;

    sx_entry_begin(&entry);
    sx_entry_add(&entry, r->w.cmd.data, r->w.cmd.len);
    sx_entry_time_set(entry.data, r->w.time_ms);
    r->log = sx_realloc(r->log, (r->entries + 1) * sizeof *r->log);
    r->log[r->entries++] = entry;
    return world_run(&r->w);
}

#define RUN(r, user, name, ...)                                                                    \
    (sx_buf_reset(&(r)->w.cmd),                                                                    \
     sx_cmd_##name##_encode(&(r)->w.cmd, (r)->w.op, user,                                          \
                            &(struct sx_cmd_##name){ __VA_ARGS__ }),                               \
     run(r))

static void catch_up(struct race *r, struct node *n, uint64_t most)
{
    struct sx_err e = SX_ERR_INIT;

    if (n->applied == r->entries || most == 0)
        return;
    assert_done(sx_sm_begin(n->sm, &e), &e);
    for (; n->applied < r->entries && most > 0; most--) {
        const struct sx_buf *b = &r->log[n->applied++];

        assert_done(sx_sm_apply(n->sm, b->data, b->len, n->applied, 1, &e), &e);
    }
    assert_done(sx_sm_commit(n->sm, &e), &e);
}

static uint64_t epoch_at(sqlite3 *db)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t epoch = 0;

    assert_done(sx_query_epoch(db, &epoch, &e), &e);
    return epoch;
}

/* ---- what happens ---- */

static void ask_node(struct race *r, struct item *u, int k)
{
    struct node *n = &r->node[k];
    uint64_t lease, here = epoch_at(sx_sm_db(n->sm));
    struct sx_err e = SX_ERR_INIT;
    struct sx_id id = util_id((uint64_t)u->block);
    uint8_t present;

    sx_store_set_epoch(n->store, r->fault == NO_LEASES ? 0 : here);
    assert_done(sx_store_have(n->store, &id, 1, &present, &lease, &e), &e);
    if (!present)
        assert_done(util_put(n->store, (uint64_t)u->block, 1, RACE_MAX, &lease, NULL, &e), &e);
    if (r->fault == NO_LEASES)
        lease = here;
    if (!u->nodes || lease < u->lease)
        u->lease = lease;
    u->nodes |= 1u << k;
}

static void upload(struct race *r, struct item *u)
{
    u->block = (int)dice(r, BLOCKS);
    u->nodes = 0;
    u->begun = u->part = false;
    for (int k = 0; k < NODES; k++)
        if (!r->node[k].away)
            ask_node(r, u, k);
    if (!u->nodes)
        u->block = -1;
}

static char *path_of(char path[16], unsigned f)
{
    snprintf(path, 16, "f%u", f);
    return path;
}

static struct sx_span entry_of(struct sx_buf *b, int block)
{
    struct sx_id id = util_id((uint64_t)block);

    sx_block_entry_add(b, &id, 1000);
    return (struct sx_span){ b->data, b->len };
}

static uint64_t lease_of(struct race *r, const struct item *u)
{
    return r->fault == NO_REFUSAL ? INT64_MAX : u->lease;
}

static void abort_upload(struct race *r, struct item *u)
{
    struct sx_cmd_upload_abort c;

    if (u->begun) {
        memcpy(c.upload, u->id, sizeof c.upload);
        sx_buf_reset(&r->w.cmd);
        sx_cmd_upload_abort_encode(&r->w.cmd, r->w.op, "alice", &c);
        assert_int_equal(run(r), SX_OK);
    }
    r->aborts++;
    u->block = -1;
    u->begun = u->part = false;
}

static void send_part(struct race *r, struct item *u)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_cmd_upload_begin begin = { .volume = "vol", .path = "f0" };
    struct sx_cmd_upload_part c = { .lease = lease_of(r, u), .entries = entry_of(&b, u->block) };

    unit_fill(u->id, sizeof u->id, unit_random(&r->seed));
    memcpy(begin.upload, u->id, sizeof begin.upload);
    sx_buf_reset(&r->w.cmd);
    sx_cmd_upload_begin_encode(&r->w.cmd, r->w.op, "alice", &begin);
    assert_int_equal(run(r), SX_OK);
    u->begun = true;
    memcpy(c.upload, u->id, sizeof c.upload);
    sx_buf_reset(&r->w.cmd);
    sx_cmd_upload_part_encode(&r->w.cmd, r->w.op, "alice", &c);
    u->part = run(r) == SX_OK;
    if (!u->part) {
        r->refused++;
        abort_upload(r, u);
    }
}

static void commit(struct race *r, struct item *u)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    unsigned f = dice(r, FILES);
    char path[16];
    struct sx_cmd_file_put c = { .volume = "vol", .path = path_of(path, f), .size = 1000,
                                 .mtime_ns = (int64_t)r->steps, .lease = lease_of(r, u),
                                 .entries = entry_of(&b, u->block) };

    etag_of(b.data, b.len, c.etag);
    sx_buf_reset(&r->w.cmd);
    sx_cmd_file_put_encode(&r->w.cmd, r->w.op, "alice", &c);
    if (run(r) == SX_OK) {
        r->file[f] = *u;
        r->commits++;
    } else {
        assert_int_equal(r->w.code, SX_ELEASE);
        r->refused++;
    }
    u->block = -1;
}

static void copy(struct race *r)
{
    unsigned from = dice(r, FILES), to = dice(r, FILES);
    char a[16], b[16];

    if (r->file[from].block < 0 || from == to)
        return;
    assert_int_equal(RUN(r, "alice", file_copy, .volume = "vol", .path = path_of(a, from),
                         .to_volume = "vol", .to_path = path_of(b, to)), SX_OK);
    r->file[to] = r->file[from];
    r->copies++;
}

static void delete_file(struct race *r, unsigned f)
{
    char path[16];

    if (r->file[f].block < 0)
        return;
    assert_int_equal(RUN(r, "alice", file_delete, .volume = "vol", .path = path_of(path, f)),
                     SX_OK);
    r->file[f].block = -1;
}

/* All leases are lost, and the store does not know that it was closed. */
static void crash(struct race *r, struct node *n)
{
    SX_AUTO_FREE char *clean = sx_asprintf("%s/clean", n->dir);

    sx_store_close(n->store);
    for (int i = 0; i < 8; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/index/shard-%d.db", n->dir, i);
        sqlite3 *db;

        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "UPDATE block SET lease = 0", 0, 0, 0), SQLITE_OK);
        sqlite3_close(db);
    }
    unlink(clean);
    n->store = util_open(n->dir, &n->o);
    r->crashes++;
}

static void set_floor(struct race *r, struct node *n)
{
    struct sx_err e = SX_ERR_INIT;

    if (!sx_store_floor_unknown(n->store))
        return;
    if (r->fault != NO_FLOOR)
        catch_up(r, n, UINT64_MAX);
    assert_done(sx_store_set_floor(n->store,
                                   r->fault == NO_FLOOR ? 0 : epoch_at(sx_sm_db(n->sm)), &e), &e);
    sx_collect_add_all(&n->work);
}

static void next_epoch(struct race *r)
{
    assert_int_equal(RUN(r, "", epoch_set, .epoch = epoch_at(world_db(&r->w)) + 1), SX_OK);
}

/* `busy`: a collector is in the middle of a page on this node, which must not lose its store. */
static void happen(struct race *r, const struct node *busy)
{
    struct item *u = &r->open[dice(r, OPEN)];
    struct node *n = &r->node[dice(r, NODES)];
    unsigned what = dice(r, 200);

    r->steps++;
    if (what < 12)
        next_epoch(r);
    else if (what < 45 && !n->away)
        catch_up(r, n, 1 + dice(r, 20));
    else if (what < 75)
        delete_file(r, dice(r, FILES));
    else if (what < 90)
        copy(r);
    else if (what < 93)
        n->away = !n->away;
    else if (what < 94 && n != busy)
        crash(r, n);
    else if (u->block < 0)
        upload(r, u);
    else if (what < 105 || (u->part && what < 150))
        abort_upload(r, u);
    else if (!u->part && what < 120)
        send_part(r, u);
    else if (!u->part)
        commit(r, u);
}

static void happen_some(struct race *r, const struct node *busy)
{
    for (unsigned n = r->quiet ? 0 : dice(r, 6); n > 0; n--)
        happen(r, busy);
}

/* ---- the collector of a node ---- */

struct asked {
    struct race *r;
    struct node *n;
};

static void read_early(struct node *n)
{
    struct sx_err e = SX_ERR_INIT;

    for (int i = 0; i < BLOCKS; i++) {
        struct sx_id id = util_id((uint64_t)i);
        uint8_t yes;

        assert_done(sx_query_referenced(sx_sm_db(n->sm), &id, 1, &yes, &e), &e);
        n->stale[i] = yes;
    }
}

static int epoch(void *ctx, uint64_t *out, struct sx_err *e)
{
    struct asked *a = ctx;

    happen_some(a->r, a->n);
    if (a->r->fault == REFERENCES_FIRST) {
        read_early(a->n);
        happen_some(a->r, a->n);
    }
    *out = epoch_at(a->r->fault == EPOCH_NOT_APPLIED ? world_db(&a->r->w) : sx_sm_db(a->n->sm));
    happen_some(a->r, a->n);
    return 0;
}

static int referenced(void *ctx, const struct sx_id *ids, size_t count, uint8_t *yes,
                      struct sx_err *e)
{
    struct asked *a = ctx;
    int rc = sx_query_referenced(sx_sm_db(a->n->sm), ids, count, yes, e);

    for (size_t i = 0; a->r->fault == REFERENCES_FIRST && i < count; i++)
        for (int k = 0; k < BLOCKS; k++) {
            struct sx_id id = util_id((uint64_t)k);

            if (sx_id_cmp(&id, &ids[i]) == 0)
                yes[i] = a->n->stale[k];
        }
    happen_some(a->r, a->n);
    return rc;
}

static void check_item(struct race *r, const struct item *f)
{
    for (int k = 0; k < NODES && f->block >= 0; k++)
        if (f->nodes >> k & 1 && util_get(r->node[k].store, (uint64_t)f->block, RACE_MAX))
            r->wrong++;
}

static void check(struct race *r)
{
    for (int f = 0; f < FILES; f++)
        check_item(r, &r->file[f]);
    for (int u = 0; u < OPEN; u++)
        if (r->open[u].part)
            check_item(r, &r->open[u]);
}

/* As collector.c does it, but for time. */
static void pass(struct race *r, struct node *n)
{
    struct asked a = { r, n };
    const struct sx_collect_meta m = { epoch, referenced, &a };
    uint8_t bits[SX_ID_PREFIXES / 8] = { 0 };
    uint64_t before = n->work.deleted, here;
    struct sx_err e = SX_ERR_INIT;
    bool more = true;

    set_floor(r, n);
    assert_done(sx_query_dropped(sx_sm_db(n->sm), &n->dropped, bits, &e), &e);
    sx_collect_add(&n->work, bits);
    here = epoch_at(sx_sm_db(n->sm));
    if (here != n->epoch)
        sx_collect_wake(&n->work);
    n->epoch = here;
    if (dice(r, 8) == 0)
        sx_collect_add_all(&n->work); /* what no file ever referred to */
    for (unsigned pages = 0; more && pages < 3; pages++)
        assert_done(sx_collect_page(n->store, &m, &n->work, &more, &e), &e);
    r->deleted += (unsigned)(n->work.deleted - before);
}

static void compact(struct node *n, bool thorough)
{
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_store_compact(n->store, thorough, 0, &done, &e), &e);
}

/* ---- a race ---- */

static void node_open(struct race *r, int k)
{
    struct node *n = &r->node[k];
    struct sx_err e = SX_ERR_INIT;

    n->o = (struct sx_store_options){ .reserve = 1, .pack_max = 4096 };
    n->dir = util_dir();
    n->db = sx_asprintf("%s/meta.db", n->dir);
    n->store = util_open(n->dir, &n->o);
    assert_done(sx_sm_open(n->db, 0, NULL, NULL, &n->sm, &e), &e);
}

static void node_close(struct node *n)
{
    sx_sm_close(n->sm);
    sx_store_close(n->store);
    util_remove(n->dir);
    free(n->db);
}

static void race_open(struct race *r)
{
    world_open_empty(&r->w);
    assert_int_equal(
        RUN(r, "", init, .uuid = "6e5b0001", .name = "test",
            .domain_key = { (const uint8_t *)"dk", 2 }, .ca_cert = "CERT",
            .ca_key = { (const uint8_t *)"ck", 2 }, .admin = "alice", .access_key = "AKalice",
            .secret = { (const uint8_t *)"sealed", 6 },
            .node = { .id = 1, .address = "127.0.0.1", .port = 1, .peer_port = 2, .capacity = 1 }),
        SX_OK);
    assert_int_equal(RUN(r, "alice", volume_create, .name = "vol", .owner = "alice", .replica = 1,
                         .revisions = 1), SX_OK);
    for (int k = 0; k < NODES; k++)
        node_open(r, k);
    for (int i = 0; i < FILES; i++)
        r->file[i].block = -1;
    for (int i = 0; i < OPEN; i++)
        r->open[i].block = -1;
}

/* When nothing refers to anything any more and two epochs have gone by, all space is back. */
static void race_end(struct race *r)
{
    for (unsigned i = 0; i < FILES; i++)
        delete_file(r, i);
    for (int i = 0; i < OPEN; i++)
        abort_upload(r, &r->open[i]);
    for (int k = 0; k < NODES; k++)
        set_floor(r, &r->node[k]);
    next_epoch(r);
    next_epoch(r);
    r->quiet = true;
    for (int k = 0; k < NODES; k++) {
        struct node *n = &r->node[k];
        struct sx_store_stats st;
        struct sx_err e = SX_ERR_INIT;

        catch_up(r, n, UINT64_MAX);
        sx_collect_add_all(&n->work);
        pass(r, n);
        compact(n, true);
        util_check(n->store);
        assert_done(sx_store_stats(n->store, &st, &e), &e);
        assert_int_equal(st.blocks, 0);
        assert_int_equal(st.used, 0);
        assert_false(sx_collect_waits(&n->work));
    }
}

static void race_close(struct race *r)
{
    for (int k = 0; k < NODES; k++)
        node_close(&r->node[k]);
    for (uint64_t i = 0; i < r->entries; i++)
        sx_buf_fini(&r->log[i]);
    free(r->log);
    world_close(&r->w);
}

static void race_run(struct race *r, unsigned steps)
{
    race_open(r);
    for (unsigned k = 0; r->steps < steps && (r->fault == SOUND || !r->wrong); k++) {
        struct node *n = &r->node[dice(r, NODES)];

        happen_some(r, NULL);
        if (!n->away)
            pass(r, n);
        if (k % 16 == 0)
            compact(n, dice(r, 2));
        check(r);
    }
    if (r->fault == SOUND)
        race_end(r);
    race_close(r);
}

static void races(void **state)
{
    const char *n = getenv("SX_COLLECT_STEPS");
    struct race *r = sx_calloc(1, sizeof *r);

    r->seed = sx_mono_ns();
    print_message("seed %llu\n", (unsigned long long)r->seed);
    sx_log_level_set(SX_LOG_ERROR);
    race_run(r, n ? (unsigned)atoi(n) : STEPS);
    print_message("%u steps: %u commits, %u refused, %u copies, %u aborts, %u unclean restarts, "
                  "%u blocks deleted\n", r->steps, r->commits, r->refused, r->copies, r->aborts,
                  r->crashes, r->deleted);
    assert_int_equal(r->wrong, 0);
    assert_true(r->commits > r->steps / 20 && r->refused > r->steps / 500 &&
                r->deleted > r->steps / 100 && r->crashes > r->steps / 1000);
    free(r);
}

static void races_find_faults(void **state)
{
    sx_log_level_set(SX_LOG_ERROR);
    for (enum fault f = SOUND + 1; f < FAULTS; f++) {
        struct race *r = sx_calloc(1, sizeof *r);

        r->fault = f;
        r->seed = 1;
        race_run(r, FAULT_STEPS);
        print_message("fault %d: noticed after %u steps\n", f, r->steps);
        assert_true(r->wrong > 0);
        free(r);
    }
}

static void state_file(void **state)
{
    struct sx_collect *a = sx_calloc(1, sizeof *a), *b = sx_calloc(1, sizeof *b);
    char *dir = util_dir();
    SX_AUTO_FREE char *path = sx_asprintf("%s/state", dir);
    uint64_t dropped[2] = { 7, 8 }, got[2] = { 1, 1 };
    uint8_t all[sizeof a->todo];

    memset(all, 0xff, sizeof all);
    a->todo[3] = 0x10;
    a->waiting[9] = 0x81;
    sx_collect_save(a, path, dropped, 2);
    sx_collect_load(b, path, got, 2);
    assert_true(got[0] == 7 && got[1] == 8);
    assert_true(b->todo[3] == 0x10 && b->todo[9] == 0x81 && !b->inside);
    assert_false(sx_collect_waits(b));
    /* Not there, of other groups, cut, or with a wrong bit: everything. */
    for (int i = 0; i < 4; i++) {
        memset(b, 0, sizeof *b);
        sx_collect_save(a, path, dropped, 2);
        if (i == 0)
            assert_int_equal(unlink(path), 0);
        if (i == 2)
            assert_int_equal(truncate(path, 1000), 0);
        if (i == 3) {
            int fd = open(path, O_WRONLY | O_CLOEXEC);

            assert_int_equal(pwrite(fd, "!", 1, 500), 1);
            close(fd);
        }
        sx_collect_load(b, path, got, i == 1 ? 1 : 2);
        assert_int_equal(got[0], 0);
        assert_memory_equal(b->todo, all, sizeof all);
    }
    free(a);
    free(b);
    util_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_file),
        cmocka_unit_test(races),
        cmocka_unit_test(races_find_faults),
    };

    return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
