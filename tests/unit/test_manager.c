/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The group manager as real processes: one node, then three with links between them.  Each change
 * that was acknowledged must be there afterwards, once, on all nodes.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/sm.h"
#include "libsx/base/clock.h"
#include "libsx/crypt/crypt.h"
#include "libsx/io/io.h"
#include "tests/unit/manager_util.h"

#define SUBMIT_MS 10000u
#define SETTLE_MS 15000u
#define RESTART_MS 1000u
#define FOUNDED 10u
#define LEAD_TRIES 20u

#define HOUR_S 3600

static struct mu_cluster cluster;
static int64_t ahead_s; /* so far are the clocks of processes ahead that are started now */

/* In place of the library's. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, id, t);

    if (id == CLOCK_REALTIME)
        t->tv_sec += ahead_s;
    return r;
}

static void put(unsigned node, const char *name, const char *value)
{
    struct sx_meta *m = mu_meta(&cluster, node);
    struct sx_err e = SX_ERR_INIT;

    if (mu_submit_setting(m, name, value, SUBMIT_MS, &e)) {
        mu_show(&cluster);
        fail_msg("node %u, %s: %s", node, name, e.msg);
    }
    /* One's own change is there without any waiting. */
    assert_true(mu_setting_is(m, name, value));
    sx_meta_free(m);
}

static void see(unsigned node, const char *name, const char *value)
{
    struct sx_meta *m = mu_meta(&cluster, node);
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_meta_sync(m, 0, SUBMIT_MS, &e), &e);
    assert_true(mu_setting_is(m, name, value));
    sx_meta_free(m);
}

/* All running nodes hold the same. */
static void assert_equal_nodes(void)
{
    uint8_t first[32], digest[32];
    bool have = false;

    if (!mu_settle(&cluster, SETTLE_MS)) {
        mu_show(&cluster);
        fail_msg("the nodes do not come to the same state");
    }
    for (unsigned i = 0; i < cluster.n; i++) {
        struct sx_err e = SX_ERR_INIT;
        struct sx_meta *m;
        sqlite3 *db;

        if (!cluster.nodes[i].pid)
            continue;
        m = mu_meta(&cluster, i);
        assert_done(sx_meta_db(m, 0, &db, &e), &e);
        assert_done(sx_sm_digest(db, digest, &e), &e);
        sx_meta_free(m);
        if (have)
            assert_memory_equal(first, digest, sizeof digest);
        memcpy(first, digest, sizeof digest);
        have = true;
    }
}

static int make_volume(unsigned node, const uint8_t op[SX_OP_ID], const char *name, uint64_t *id,
                       struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_volume_create c = {
        .name = name, .owner = MU_ADMIN, .compression = SX_COMPRESSION_DEFAULT
    };
    struct sx_meta *m = mu_meta(&cluster, node);
    int r;

    sx_cmd_volume_create_encode(&command, op, "", &c);
    r = sx_meta_submit(m, 0, &command, &result, SUBMIT_MS, e);
    sx_meta_free(m);
    if (r == 0) {
        assert_int_equal(result.len, 8);
        *id = sx_get_u64(result.data);
    }
    return r;
}

/* ---- one node ---- */

static int setup_one(void **state)
{
    mu_new(&cluster, 1);
    mu_form(&cluster, 1, 1);
    return 0;
}

static int teardown(void **state)
{
    mu_free(&cluster);
    return 0;
}

static void one_node_keeps_what_it_acknowledged(void **state)
{
    SX_AUTO_FREE char *bootstrap = sx_asprintf("%s/meta/bootstrap.bin", cluster.nodes[0].dir);
    uint64_t begin_ms;

    put(0, "test.a", "one");
    put(0, "test.b", "two");
    assert_int_equal(access(bootstrap, F_OK), -1);
    mu_kill(&cluster, 0);
    begin_ms = sx_mono_ms();
    mu_start(&cluster, 0);
    see(0, "test.a", "one");
    assert_true(sx_mono_ms() - begin_ms < 2 * RESTART_MS);
    see(0, "test.b", "two");
    put(0, "test.a", "three");
    assert_int_equal(mu_stop(&cluster, 0), 0);
    mu_start(&cluster, 0);
    see(0, "test.a", "three");
}

/* Commands that come from the first moment on do not put off those that make the cluster. */
static void the_first_commands_come_first(void **state)
{
    for (unsigned i = 0; i < FOUNDED; i++) {
        struct mu_cluster c;
        SX_AUTO_FREE char *bootstrap = NULL;
        struct sx_meta *m;
        struct sx_err e = SX_ERR_INIT;

        mu_new(&c, 1);
        bootstrap = sx_asprintf("%s/meta/bootstrap.bin", c.nodes[0].dir);
        mu_start(&c, 0);
        m = mu_meta(&c, 0);
        for (unsigned k = 0; k < 2; k++)
            assert_done(mu_submit_setting(m, "test.early", "x", SUBMIT_MS, &e), &e);
        assert_int_equal(access(bootstrap, F_OK), -1);
        sx_meta_free(m);
        mu_free(&c);
    }
}

/* Many in one go: each has its own result, and they are applied in their order. */
static void many_have_their_own_results(void **state)
{
    struct sx_buf commands[SX_META_SUBMIT_MAX] = { SX_BUF_INIT };
    struct sx_buf results[SX_META_SUBMIT_MAX] = { SX_BUF_INIT };
    SX_AUTO_FREE struct sx_submission *all = sx_calloc(SX_META_SUBMIT_MAX, sizeof *all);
    struct sx_meta *m = mu_meta(&cluster, 0);
    struct sx_err e = SX_ERR_INIT;
    char value[16];

    for (unsigned i = 0; i < SX_META_SUBMIT_MAX; i++) {
        snprintf(value, sizeof value, "%u", i);
        mu_setting(&commands[i], i % 3 == 1 ? "cluster.uuid" : "test.many", value, strlen(value));
        all[i] = (struct sx_submission){ .command = &commands[i], .result = &results[i] };
    }
    assert_done(sx_meta_submit_all(m, 0, all, SX_META_SUBMIT_MAX, SUBMIT_MS, &e), &e);
    for (unsigned i = 0; i < SX_META_SUBMIT_MAX; i++) {
        assert_true(all[i].answered);
        assert_int_equal(all[i].err.code, i % 3 == 1 ? SX_EINVAL : SX_OK);
        sx_buf_fini(&commands[i]);
        sx_buf_fini(&results[i]);
    }
    sx_meta_free(m);
    see(0, "test.many", value);
}

static void refusals_come_back(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_meta *m = mu_meta(&cluster, 0);
    struct sx_err e = SX_ERR_INIT;
    bool leader = false;

    mu_setting(&command, "cluster.uuid", "x", 1);
    assert_error(sx_meta_submit(m, 0, &command, &result, SUBMIT_MS, &e), &e, SX_EINVAL);
    sx_buf_reset(&command);
    sx_buf_str(&command, "no command");
    assert_error(sx_meta_submit(m, 0, &command, &result, SUBMIT_MS, &e), &e, SX_EMALFORMED);
    assert_error(sx_meta_sync(m, 7, SUBMIT_MS, &e), &e, SX_EINVAL);
    assert_done(sx_meta_is_leader(m, 0, &leader, &e), &e);
    assert_true(leader);
    sx_meta_free(m);
}

#define LOG_HEADER 4096u

/* The middle of the records in the log's first file. */
static void damage_log(void)
{
    SX_AUTO_FREE char *dir = sx_asprintf("%s/meta/wal", cluster.nodes[0].dir);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort);
    size_t used;

    assert_true(n > 2); /* behind "." and ".." */
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, names[2]->d_name);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    assert_done(sx_io_read_file(&sx_io_posix, path, 64u << 20, &b, &e), &e);
    for (used = b.len; used > 0 && b.data[used - 1] == 0; used--)
        ;
    assert_true(used > LOG_HEADER);
    b.data[(LOG_HEADER + used) / 2] ^= 0xff;
    assert_done(sx_io_replace(&sx_io_posix, path, b.data, b.len, 0600, &e), &e);
}

/* It may not go on: what it confirmed to others may be gone.  Another start would not help. */
static void a_damaged_log_stops_the_node(void **state)
{
    for (unsigned i = 0; i < 20; i++)
        put(0, "test.damage", "many entries");
    mu_kill(&cluster, 0);
    damage_log();
    mu_start(&cluster, 0);
    assert_int_equal(mu_wait(&cluster, 0), 2);
}

/* ---- three nodes ---- */

static int setup_three(void **state)
{
    mu_new(&cluster, 4); /* the last one joins late */
    mu_form(&cluster, 3, 3);
    return 0;
}

static void every_node_takes_commands(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        char name[32], value[32];

        snprintf(name, sizeof name, "test.n%u", i);
        snprintf(value, sizeof value, "value %u", i);
        put(i, name, value);
        for (unsigned k = 0; k < 3; k++)
            see(k, name, value);
    }
    assert_equal_nodes();
}

static void an_op_id_has_one_effect(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    uint8_t op[SX_OP_ID], other[SX_OP_ID];
    uint64_t id = 0, again = 0;

    sx_random(op, sizeof op);
    sx_random(other, sizeof other);
    assert_done(make_volume(0, op, "vol", &id, &e), &e);
    for (unsigned i = 0; i < 3; i++) {
        assert_done(make_volume(i, op, "vol", &again, &e), &e);
        assert_int_equal(again, id);
    }
    assert_error(make_volume(1, other, "vol", &again, &e), &e, SX_EEXIST);
}

struct many {
    pthread_t thread;
    unsigned number, done;
};

#define THREADS 20u
#define PER_THREAD 10u

static void *many_main(void *arg)
{
    struct many *t = arg;
    struct sx_meta *m = mu_meta(&cluster, t->number % 3);
    struct sx_err e = SX_ERR_INIT;

    for (unsigned i = 0; i < PER_THREAD; i++) {
        char name[32];

        snprintf(name, sizeof name, "many.%u.%u", t->number, i);
        if (mu_submit_setting(m, name, name, SUBMIT_MS, &e) == 0 && mu_setting_is(m, name, name))
            t->done++;
        else
            fprintf(stderr, "%s: %s\n", name, e.msg);
    }
    sx_meta_free(m);
    return NULL;
}

static void many_at_a_time(void **state)
{
    struct many threads[THREADS] = { 0 };

    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].number = i;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, many_main, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        assert_int_equal(threads[i].done, PER_THREAD);
    }
    assert_equal_nodes();
}

static void the_leader_dies(void **state)
{
    int leader = mu_leader(&cluster, SETTLE_MS);
    uint64_t begin_ms;
    unsigned other;

    assert_true(leader >= 0);
    other = ((unsigned)leader + 1) % 3;
    put(other, "test.before", "kill");
    mu_kill(&cluster, (unsigned)leader);
    begin_ms = sx_mono_ms();
    put(other, "test.after", "kill");
    print_message("# %u ms without a leader\n", (unsigned)(sx_mono_ms() - begin_ms));
    assert_true(sx_mono_ms() - begin_ms < 4000);
    see((other + 1) % 3 == (unsigned)leader ? (other + 2) % 3 : (other + 1) % 3, "test.after",
        "kill");
    mu_start(&cluster, (unsigned)leader);
    see((unsigned)leader, "test.before", "kill");
    see((unsigned)leader, "test.after", "kill");
    assert_equal_nodes();
}

static void the_leader_stops_in_order(void **state)
{
    int leader = mu_leader(&cluster, SETTLE_MS);
    uint64_t begin_ms = sx_mono_ms();
    unsigned other;

    assert_true(leader >= 0);
    other = ((unsigned)leader + 1) % 3;
    assert_int_equal(mu_stop(&cluster, (unsigned)leader), 0);
    put(other, "test.stopped", "yes");
    print_message("# %u ms for handing over\n", (unsigned)(sx_mono_ms() - begin_ms));
    mu_start(&cluster, (unsigned)leader);
    see((unsigned)leader, "test.stopped", "yes");
}

static void no_majority_no_answer(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_meta *m = mu_meta(&cluster, 0);
    int r;

    mu_kill(&cluster, 1);
    mu_kill(&cluster, 2);
    r = mu_submit_setting(m, "test.lonely", "x", 1500, &e);
    assert_int_equal(r, -1);
    assert_true(e.code == SX_ENOLEADER || e.code == SX_ETIMEOUT);
    r = sx_meta_sync(m, 0, 1000, &e);
    assert_int_equal(r, -1);
    mu_start(&cluster, 1);
    mu_start(&cluster, 2);
    assert_done(sx_meta_sync(m, 0, SUBMIT_MS, &e), &e);
    sx_meta_free(m);
    put(1, "test.lonely", "no more");
    assert_equal_nodes();
}

#define BIG_THREADS 8u
#define BIG_EACH 260u
#define BIG_BYTES 60000u
#define LAST_MAX 2400u  /* of such to the next snapshot but one */
#define LAST_REST_MS 10 /* so long takes a snapshot */

/* More than the log keeps, and not quite enough for two snapshots. */
static void *big_main(void *arg)
{
    struct many *t = arg;
    struct sx_meta *m = mu_meta(&cluster, 0);
    SX_AUTO_FREE uint8_t *value = sx_malloc(BIG_BYTES);
    char name[32];

    unit_fill(value, BIG_BYTES, t->number);
    snprintf(name, sizeof name, "big.%u", t->number);
    for (unsigned i = 0; i < BIG_EACH; i++) {
        SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
        struct sx_err e = SX_ERR_INIT;

        mu_setting(&command, name, value, BIG_BYTES);
        if (sx_meta_submit(m, 0, &command, &result, SUBMIT_MS, &e) == 0)
            t->done++;
        else
            fprintf(stderr, "%s: %s\n", name, e.msg);
    }
    sx_meta_free(m);
    return NULL;
}

static void fill_log(void)
{
    struct many threads[BIG_THREADS] = { 0 };

    for (unsigned i = 0; i < BIG_THREADS; i++) {
        threads[i].number = i;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, big_main, &threads[i]), 0);
    }
    for (unsigned i = 0; i < BIG_THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        assert_int_equal(threads[i].done, BIG_EACH);
    }
}

/* One command at a time, until the leader takes a snapshot behind which there is none. */
static void end_in_a_snapshot(void)
{
    SX_AUTO_FREE char *value = sx_malloc(BIG_BYTES + 1);
    struct mu_facts f = { 0 };

    memset(value, 'x', BIG_BYTES);
    value[BIG_BYTES] = '\0';
    for (unsigned i = 0; i < LAST_MAX; i++) {
        put(0, "test.last", value);
        sx_sleep_ms(LAST_REST_MS);
        assert_true(mu_facts(&cluster, (unsigned)mu_leader(&cluster, SETTLE_MS), &f));
        if (f.snapshot == f.last)
            return;
    }
    fail_msg("no snapshot at the end of the log: %u of %u", (unsigned)f.snapshot, (unsigned)f.last);
}

static uint64_t time_at(unsigned node)
{
    struct sx_meta *m = mu_meta(&cluster, node);
    struct sx_err e = SX_ERR_INIT;
    uint64_t ms;
    sqlite3 *db;

    assert_done(sx_meta_sync(m, 0, SUBMIT_MS, &e), &e);
    assert_done(sx_meta_db(m, 0, &db, &e), &e);
    assert_done(sx_query_time(db, &ms, &e), &e);
    sx_meta_free(m);
    return ms;
}

/* The first two nodes with a clock that is an hour ahead; the third with its log as it was. */
static void set_two_clocks(void)
{
    for (unsigned i = 0; i < 2; i++) {
        mu_kill(&cluster, i);
        ahead_s = HOUR_S;
        mu_start(&cluster, i);
        ahead_s = 0;
        assert_true(mu_settle(&cluster, SETTLE_MS));
    }
}

/* Kills who leads until this one does.  No command is submitted meanwhile. */
static void make_lead(unsigned node)
{
    for (unsigned tries = 0; tries < LEAD_TRIES; tries++) {
        int leader = mu_leader(&cluster, SETTLE_MS);

        assert_true(leader >= 0);
        if (leader == (int)node)
            return;
        mu_kill(&cluster, (unsigned)leader);
        assert_true(mu_leader(&cluster, SETTLE_MS) >= 0);
        ahead_s = HOUR_S;
        mu_start(&cluster, (unsigned)leader);
        ahead_s = 0;
        assert_true(mu_settle(&cluster, SETTLE_MS));
    }
    fail_msg("node %u was never elected", node);
}

/* The third node has got a database from one whose clock was ahead, and not one command after it: what
 * it makes as leader is not older. */
static void time_does_not_go_back(void)
{
    uint64_t before = time_at(2);

    assert_true(before > sx_wall_ms() + HOUR_S * 1000 / 2);
    make_lead(2);
    assert_int_equal(time_at(2), before);
    put(2, "test.travel", "later");
    assert_true(time_at(2) >= before);
}

/* One node missed more than the log holds, another one is new: both get the database. */
static void databases_travel(void **state)
{
    struct mu_facts f;
    uint64_t begin_ms;
    struct sx_meta *m;
    struct sx_err e = SX_ERR_INIT;
    sqlite3 *db;

    put(2, "test.travel", "before");
    m = mu_meta(&cluster, 2); /* a reader that lives through the change of files */
    assert_done(sx_meta_db(m, 0, &db, &e), &e);
    mu_kill(&cluster, 2);
    set_two_clocks();
    fill_log();
    put(0, "test.travel", "after");
    end_in_a_snapshot();
    assert_true(mu_facts(&cluster, 0, &f));
    assert_true(f.snapshot > 0 && f.first > 1);
    begin_ms = sx_mono_ms();
    mu_start(&cluster, 2);
    see(2, "test.travel", "after");
    print_message("# %u ms to get a database\n", (unsigned)(sx_mono_ms() - begin_ms));
    assert_done(sx_meta_sync(m, 0, SUBMIT_MS, &e), &e);
    assert_true(mu_setting_is(m, "test.travel", "after"));
    sx_meta_free(m);
    time_does_not_go_back();
    put(2, "test.travel", "again");
    mu_start(&cluster, 3);
    mu_add(&cluster, 3);
    mu_wait_members(&cluster, 0, 3, 1);
    see(3, "test.travel", "again");
    put(3, "test.travel", "new");
    assert_equal_nodes();
    /* What was installed is good for a restart, too. */
    mu_kill(&cluster, 2);
    mu_kill(&cluster, 3);
    mu_start(&cluster, 2);
    mu_start(&cluster, 3);
    see(2, "test.travel", "new");
    see(3, "test.travel", "new");
    assert_equal_nodes();
}

static void remove_node(unsigned via, unsigned node)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_node_remove c = { .id = cluster.nodes[node].conf.node };
    struct sx_meta *m = mu_meta(&cluster, via);
    struct sx_err e = SX_ERR_INIT;
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_cmd_node_remove_encode(&command, op, "", &c);
    assert_done(sx_meta_submit(m, 0, &command, &result, SUBMIT_MS, &e), &e);
    sx_meta_free(m);
}

/* It is told, and takes nothing more. */
static void assert_takes_nothing(unsigned node)
{
    struct sx_meta *m = mu_meta(&cluster, node);
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(mu_submit_setting(m, "test.removed", "x", 2000, &e), -1);
    sx_meta_free(m);
}

/* A standby takes the vote of the node that goes. */
static void a_node_is_removed(void **state)
{
    unsigned leader = (unsigned)mu_leader(&cluster, SETTLE_MS);
    unsigned node = leader == 2 ? 1 : 2;

    remove_node(0, node);
    mu_wait_members(&cluster, leader, 3, 0);
    put(leader, "test.less", "nodes");
    see(0, "test.less", "nodes");
    see(3, "test.less", "nodes");
    assert_takes_nothing(node);
    see(leader, "test.less", "nodes");
    mu_kill(&cluster, node);
}

static void the_leader_is_removed(void **state)
{
    unsigned leader = (unsigned)mu_leader(&cluster, SETTLE_MS);
    unsigned other = leader == 3 ? 0 : 3;

    remove_node(other, leader);
    mu_wait_members(&cluster, other, 2, 0);
    put(other, "test.less", "than that");
    assert_takes_nothing(leader);
    see(other, "test.less", "than that");
}

int main(void)
{
    const struct CMUnitTest one[] = {
        cmocka_unit_test(one_node_keeps_what_it_acknowledged),
        cmocka_unit_test(the_first_commands_come_first),
        cmocka_unit_test(many_have_their_own_results),
        cmocka_unit_test(refusals_come_back),
        cmocka_unit_test(a_damaged_log_stops_the_node),
    };
    const struct CMUnitTest three[] = {
        cmocka_unit_test(every_node_takes_commands), cmocka_unit_test(an_op_id_has_one_effect),
        cmocka_unit_test(many_at_a_time),            cmocka_unit_test(the_leader_dies),
        cmocka_unit_test(the_leader_stops_in_order), cmocka_unit_test(no_majority_no_answer),
        cmocka_unit_test(databases_travel),          cmocka_unit_test(a_node_is_removed),
        cmocka_unit_test(the_leader_is_removed),
    };
    int failed = cmocka_run_group_tests(one, setup_one, teardown);

    return failed + cmocka_run_group_tests(three, setup_three, teardown) ? 1 : 0;
}
