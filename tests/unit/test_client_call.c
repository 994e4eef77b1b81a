/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests that are repeated on other nodes, blocks that are asked for in groups, and the workers of
 * transfers.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/client/call.h"
#include "libsx/client/down.h"
#include "libsx/client/work.h"
#include "tests/unit/tls_server.h"

#define JOBS 5000

static char dir[] = "/tmp/sx-test-call-XXXXXX";
static struct tls_server *server;
static char *ca;
static struct sx_err e;

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(dir))
        return -1;
    ca = sx_asprintf("%s/ca.pem", dir);
    server = tls_server_new(dir);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = { "ca.pem", "other-ca.pem", "node.pem", "node.key" };

    tls_server_free(server);
    free(ca);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, files[i]);

        unlink(path);
    }
    return rmdir(dir);
}

/* A port where nobody listens. */
static unsigned dead_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* Node 0 is dead, node 1 is the server. */
static struct sx_cluster *two_nodes(struct sx_client *client)
{
    SX_AUTO_FREE char *dead = sx_asprintf("127.0.0.1:%u", dead_port());
    SX_AUTO_FREE char *good = sx_asprintf("127.0.0.1:%u", tls_server_port(server));
    char *nodes[] = { dead, good };
    struct sx_access a = { .cluster = (char *)"c", .user = (char *)"u",
                           .access_key = (char *)"SXKEY",
                           .secret_key = (char *)"secret", .nodes = nodes, .n_nodes = 2 };
    struct sx_cluster *k = sx_cluster_new(client, &a, ca, &e);

    assert_non_null(k);
    return k;
}

static void test_next_node(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_client client = { .dir = NULL };
    struct sx_cluster *k = two_nodes(&client);
    struct sx_call c;
    char op[64];

    sx_call_init(&c, "POST", sx_strdup("/head"));
    c.answer = &out;
    c.node = 0;
    assert_done(sx_call_wait(k, &c, &e), &e);
    assert_int_equal(c.attempts, 2);
    assert_int_equal(c.at, 1);
    snprintf(op, sizeof op, "X-Sx-Op: %s\r\n", c.op);
    assert_non_null(strstr(sx_buf_cstr(&out), op));
    assert_false(sx_node_well(k, 0));
    assert_true(sx_node_well(k, 1));
    sx_call_fini(&c);
    /* The dead node is not asked again at once. */
    sx_call_init(&c, "GET", sx_strdup("/head"));
    c.answer = &out;
    c.node = 0;
    assert_done(sx_call_wait(k, &c, &e), &e);
    assert_int_equal(c.attempts, 1);
    assert_null(strstr(sx_buf_cstr(&out), "X-Sx-Op"));
    sx_call_fini(&c);
    sx_cluster_free(k);
}

/* All nodes failed lately: a node that has just failed again is not asked until the others were,
 * however long they are to be avoided; and one that answers is well. */
static void test_all_avoided(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_client client = { .dir = NULL };
    struct sx_cluster *k = two_nodes(&client);
    uint64_t now = sx_mono_ms();
    struct sx_call c;

    k->nodes[0].avoid_until = now + 20000;
    k->nodes[0].failed_ms = now - 2000;
    k->nodes[1].avoid_until = now + 40000;
    k->nodes[1].failed_ms = now - 1000;
    sx_call_init(&c, "POST", sx_strdup("/head"));
    c.answer = &out;
    c.node = 0;
    assert_done(sx_call_wait(k, &c, &e), &e);
    assert_int_equal(c.attempts, 2);
    assert_int_equal(c.at, 1);
    assert_false(sx_node_well(k, 0));
    assert_true(sx_node_well(k, 1));
    sx_call_fini(&c);
    sx_cluster_free(k);
}

static void test_final_errors(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_client client = { .dir = NULL };
    struct sx_cluster *k = two_nodes(&client);
    struct sx_call c;

    sx_call_init(&c, "GET", sx_strdup("/missing"));
    c.answer = &out;
    c.node = 1;
    assert_int_equal(sx_call_wait(k, &c, &e), -1);
    assert_int_equal(sx_err_http(e.code), 404);
    assert_int_equal(c.attempts, 1);
    sx_call_fini(&c);
    sx_call_init(&c, "GET", sx_strdup("/busy"));
    c.answer = &out;
    c.node = 1;
    c.once = true;
    assert_error(sx_call_wait(k, &c, &e), &e, SX_EUNAVAIL);
    assert_int_equal(c.attempts, 1);
    sx_call_fini(&c);
    sx_cluster_free(k);
}

/* Each node has a clock of its own: one that calls ours wrong is asked again by its own time, and again if that has
 * jumped meanwhile; but not for ever. */
static void test_clocks(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_client client = { .dir = NULL };
    struct sx_cluster *k = two_nodes(&client);
    struct sx_call c;

    for (unsigned attempts = 2; attempts >= 1; attempts--) {
        sx_call_init(&c, "GET", sx_strdup("/old"));
        c.answer = &out;
        c.node = 1;
        assert_done(sx_call_wait(k, &c, &e), &e);
        assert_int_equal(c.attempts, attempts);
        sx_call_fini(&c);
    }
    assert_in_range(sx_wall_ms() + (uint64_t)k->nodes[1].clock_ms, 981173106000, 981173116000);
    assert_int_equal(k->nodes[0].clock_ms, 0);
    sx_call_init(&c, "GET", sx_strdup("/oldest"));
    c.answer = &out;
    c.node = 1;
    assert_error(sx_call_wait(k, &c, &e), &e, SX_ECLOCK);
    assert_int_equal(c.attempts, 1 + SX_CALL_CLOCKS_MAX);
    sx_call_fini(&c);
    k->nodes[1].clock_ms = 0;
    sx_call_init(&c, "GET", sx_strdup("/jumps"));
    c.answer = &out;
    c.node = 1;
    assert_done(sx_call_wait(k, &c, &e), &e);
    assert_int_equal(c.attempts, 3);
    sx_call_fini(&c);
    sx_cluster_free(k);
}

static void note_end(void *arg, struct sx_call *c)
{
    *(int *)arg = c->err.code;
}

/* Node 1 says that it is damaged, node 0 is avoided: it is asked all the same before the call is
 * given up, however often the call was repeated before (when there was no leader, say). */
static void test_damaged_node(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_client client = { .dir = NULL };

    for (unsigned attempts = 0; attempts <= 10; attempts += 10) {
        struct sx_cluster *k = two_nodes(&client);
        uint64_t now = sx_mono_ms();
        struct sx_call c;
        int code = SX_OK;

        k->nodes[0].avoid_until = now + 60000;
        k->nodes[0].failed_ms = now - 1;
        sx_call_init(&c, "GET", sx_strdup("/corrupt"));
        c.answer = &out;
        c.node = 1;
        c.done = note_end;
        c.arg = &code;
        c.attempts = attempts;
        sx_call_start(k, &c);
        while (code == SX_OK && k->nodes[0].failed_ms < now)
            sx_cluster_run(k, 50);
        assert_int_equal(code, SX_OK);
        sx_cluster_stop(k);
        assert_int_equal(code, SX_ECANCELED);
        sx_call_fini(&c);
        sx_cluster_free(k);
    }
}

/* What cannot succeed goes on for a while, with pauses, until it is stopped. */
static void test_stop(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_client client = { .dir = NULL };
    struct sx_cluster *k = two_nodes(&client);
    uint64_t end = sx_mono_ms() + 800;
    struct sx_call c;
    int code = 0;

    sx_call_init(&c, "GET", sx_strdup("/busy"));
    c.answer = &out;
    c.done = note_end;
    c.arg = &code;
    sx_call_start(k, &c);
    while (sx_mono_ms() < end)
        sx_cluster_run(k, 50);
    assert_int_equal(code, 0);
    assert_in_range(c.attempts, 3, 20);
    assert_int_equal(k->calls, 1);
    sx_cluster_stop(k);
    assert_int_equal(code, SX_ECANCELED);
    assert_int_equal(k->calls, 0);
    sx_call_fini(&c);
    sx_cluster_free(k);
}

/* ---- Groups -------------------------------------------------------------------------------- */

#define BLOCKS 10

/* Blocks of one node that nothing is known of are asked for many at once. */
static void test_groups(void **state)
{
    struct sx_client client = { .dir = NULL };
    struct sx_cluster *k = two_nodes(&client);
    struct sx_copy_options o = { .note = NULL };
    struct sx_copy_stats stats = { .files = 0 };
    struct down d = { .x = { .k = k, .o = &o, .stats = &stats, .batch_bytes = DOWN_GROUP_BYTES,
                             .batches_max = DOWN_GROUPS }, .replica = 1, .streams = 1 };
    struct down_file *f = sx_calloc(1, sizeof *f);

    k->place = sx_calloc(k->n_nodes, sizeof *k->place);
    for (size_t i = 0; i < k->n_nodes; i++)
        k->place[i] = (struct sx_place_node){ i + 1, 1 << 20, 0 };
    *f = (struct down_file){ .d = &d, .shown = "f", .local = sx_strdup("f"), .fd = -1, .old_fd = -1,
                             .n = BLOCKS, .entries = sx_calloc(BLOCKS, sizeof *f->entries),
                             .prev = &d.files };
    d.files = f;
    for (unsigned i = 0; i < BLOCKS; i++)
        f->entries[i] = (struct down_entry){ .len = 1 << 20, .offset = (uint64_t)i << 20,
                                             .expires_ms = 1 };
    down_groups_start(f);
    assert_int_equal(f->groups, BLOCKS * (1 << 20) / DOWN_GROUP_BYTES);
    assert_int_equal(k->calls, f->groups);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(f->entries[i].state, DOWN_FETCHING);
    f->failed = true;
    sx_err_set(&f->err, SX_ECANCELED, "canceled");
    sx_cluster_stop(k);
    assert_null(d.files);
    assert_int_equal(stats.failed, 1);
    down_groups_free_all(&d);
    sx_cluster_free(k);
}

/* ---- Workers ------------------------------------------------------------------------------- */

struct task {
    struct sx_job job;
    struct sx_work *work;
    int value;
};

static int finished;

static void task_run(struct sx_job *j, struct sx_worker *w)
{
    assert_non_null(w->codec);
    ((struct task *)j)->value++;
}

static void task_done(struct sx_job *j)
{
    ((struct task *)j)->value++;
    finished++;
}

static void *post_all(void *arg)
{
    struct task *t = arg;

    for (int i = 0; i < JOBS; i++)
        if (i % 2)
            sx_work_add(t[i].work, &t[i].job);
        else
            sx_work_post(t[i].work, &t[i].job);
    return NULL;
}

static void test_work(void **state)
{
    struct sx_http *h = sx_http_new(&(struct sx_http_config){ .ca_file = ca });
    const uint8_t key[SX_DOMAIN_KEY_SIZE] = { 1 };
    struct task *tasks = sx_calloc(JOBS, sizeof *tasks);
    struct sx_domain domain;
    struct sx_work *w;
    pthread_t thread;

    assert_done(sx_domain_init(&domain, key, &e), &e);
    w = sx_work_new(&domain, 3, h);
    for (int i = 0; i < JOBS; i++)
        tasks[i] = (struct task){ { NULL, task_run, task_done }, w, 0 };
    assert_int_equal(pthread_create(&thread, NULL, post_all, tasks), 0);
    while (finished < JOBS) {
        sx_work_wait(w, 1000);
        sx_work_finish(w);
    }
    pthread_join(thread, NULL);
    assert_int_equal(sx_work_pending(w), 0);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(tasks[i].value, 1 + i % 2); /* run and done; only done */
    sx_work_free(w);
    sx_http_free(h);
    free(tasks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_node),
        cmocka_unit_test(test_all_avoided),
        cmocka_unit_test(test_final_errors),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_damaged_node),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_work),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
