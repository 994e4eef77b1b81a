/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Three group managers under fire: killed, paused and restarted at random, while client processes
 * write and read.  Each client is the only writer of its settings, so what a linearizable read may
 * show is known: at least the last value that was acknowledged, at most the last one that was sent.
 * In the end all nodes hold the same.
 *
 * SX_SEED repeats a run's choices, SX_TEST_SECONDS makes it longer.
 */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/sm.h"
#include "libsx/base/clock.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/manager_util.h"

#define NODES 3u
#define CLIENTS 6u
#define SECONDS 8u
#define SUBMIT_MS 10000u
#define SETTLE_MS 20000u
#define PAUSE_MAX_MS 1200u
#define CALM_MAX_MS 900u

struct shared {
    atomic_bool stop;
    atomic_uint acked[CLIENTS], sent[CLIENTS], reads[CLIENTS], unknown[CLIENTS], bad;
};

static struct mu_cluster cluster;
static struct shared *shared;
static uint64_t seed;

static bool read_value(struct sx_meta *m, unsigned client, unsigned *value)
{
    SX_AUTO(sx_buf) struct sx_buf got = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    sqlite3 *db;
    char name[32];
    int r;

    snprintf(name, sizeof name, "chaos.%u", client);
    *value = 0;
    if (sx_meta_sync(m, 0, SUBMIT_MS, &e) || sx_meta_db(m, 0, &db, &e))
        return false;
    r = sx_query_setting(db, name, &got, &e);
    if (r == 0)
        *value = (unsigned)strtoul(sx_buf_cstr(&got), NULL, 10);
    return r == 0 || e.code == SX_ENOTFOUND;
}

/* Reads the value of some client on some node. */
static void check_read(struct sx_meta *m, unsigned client)
{
    unsigned least = atomic_load(&shared->acked[client]), value, most;

    if (!read_value(m, client, &value))
        return;
    most = atomic_load(&shared->sent[client]);
    if (value < least || value > most) {
        fprintf(stderr, "client %u: read %u, acknowledged was %u, sent %u\n", client, value, least,
                most);
        atomic_fetch_add(&shared->bad, 1);
    }
    atomic_fetch_add(&shared->reads[client], 1);
}

static _Noreturn void client_main(unsigned client)
{
    struct sx_meta *m[NODES];
    uint64_t rnd = seed + client;
    char name[32], value[16];

    for (unsigned i = 0; i < NODES; i++)
        m[i] = mu_meta(&cluster, i);
    snprintf(name, sizeof name, "chaos.%u", client);
    while (!atomic_load(&shared->stop)) {
        unsigned next = atomic_fetch_add(&shared->sent[client], 1) + 1;
        struct sx_err e = SX_ERR_INIT;

        snprintf(value, sizeof value, "%u", next);
        if (mu_submit_setting(m[unit_random(&rnd) % NODES], name, value, SUBMIT_MS, &e) == 0)
            atomic_store(&shared->acked[client], next);
        else
            atomic_fetch_add(&shared->unknown[client], 1);
        check_read(m[unit_random(&rnd) % NODES], (unsigned)(unit_random(&rnd) % CLIENTS));
    }
    for (unsigned i = 0; i < NODES; i++)
        sx_meta_free(m[i]);
    _exit(0);
}

static void wait_up(unsigned node)
{
    uint64_t end_ms = sx_mono_ms() + SETTLE_MS;
    struct mu_facts f;

    while (!mu_facts(&cluster, node, &f))
        assert_true(sx_mono_ms() < end_ms);
}

/* One blow, and the recovery from it; at most one node is away at a time. */
static void strike(uint64_t *rnd)
{
    unsigned i = (unsigned)(unit_random(rnd) % NODES);
    unsigned away_ms = (unsigned)(unit_random(rnd) % PAUSE_MAX_MS);

    switch (unit_random(rnd) % 4) {
    case 0:
        kill(cluster.nodes[i].pid, SIGSTOP);
        sx_sleep_ms(away_ms);
        kill(cluster.nodes[i].pid, SIGCONT);
        break;
    case 1:
        assert_int_equal(mu_stop(&cluster, i), 0);
        sx_sleep_ms(away_ms / 4);
        mu_start(&cluster, i);
        break;
    default:
        mu_kill(&cluster, i);
        sx_sleep_ms(away_ms / 2);
        mu_start(&cluster, i);
        break;
    }
    wait_up(i);
    sx_sleep_ms(unit_random(rnd) % CALM_MAX_MS);
}

static void check_end(void)
{
    uint8_t first[32], digest[32];

    if (!mu_settle(&cluster, SETTLE_MS)) {
        mu_show(&cluster);
        fail_msg("the nodes do not come to the same state");
    }
    for (unsigned i = 0; i < NODES; i++) {
        struct sx_meta *m = mu_meta(&cluster, i);
        struct sx_err e = SX_ERR_INIT;
        sqlite3 *db;

        for (unsigned c = 0; c < CLIENTS; c++)
            check_read(m, c);
        assert_done(sx_meta_db(m, 0, &db, &e), &e);
        assert_done(sx_sm_digest(db, digest, &e), &e);
        assert_done(sx_sm_check(db, &e), &e);
        sx_meta_free(m);
        if (i)
            assert_memory_equal(first, digest, sizeof digest);
        memcpy(first, digest, sizeof digest);
    }
}

static void chaos(void **state)
{
    const char *longer = getenv("SX_TEST_SECONDS");
    uint64_t end_ms = sx_mono_ms() + 1000 * (longer ? strtoul(longer, NULL, 10) : SECONDS);
    uint64_t rnd = seed;
    unsigned acked = 0, unknown = 0, strikes = 0;
    pid_t clients[CLIENTS];

    for (unsigned c = 0; c < CLIENTS; c++) {
        clients[c] = fork();
        assert_true(clients[c] >= 0);
        if (clients[c] == 0)
            client_main(c);
    }
    for (; sx_mono_ms() < end_ms; strikes++)
        strike(&rnd);
    atomic_store(&shared->stop, true);
    for (unsigned c = 0; c < CLIENTS; c++) {
        assert_int_equal(waitpid(clients[c], NULL, 0), clients[c]);
        acked += atomic_load(&shared->acked[c]);
        unknown += atomic_load(&shared->unknown[c]);
        assert_true(atomic_load(&shared->reads[c]) > 0);
    }
    check_end();
    print_message("# %u strikes, %u changes sent, %u of them without an answer\n", strikes, acked,
                  unknown);
    assert_int_equal(atomic_load(&shared->bad), 0);
    assert_true(acked > CLIENTS);
}

static int setup(void **state)
{
    const char *given = getenv("SX_SEED");

    sx_random(&seed, sizeof seed);
    if (given)
        seed = strtoull(given, NULL, 10);
    print_message("# SX_SEED=%llu\n", (unsigned long long)seed);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -1;
    mu_new(&cluster, NODES);
    mu_form(&cluster, NODES, NODES);
    return 0;
}

static int teardown(void **state)
{
    mu_free(&cluster);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(chaos) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
