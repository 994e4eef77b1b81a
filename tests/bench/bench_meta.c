/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Measures the metadata path: commands per second and their latency, and linearizable reads, for 1,
 * 16 and 64 clients that wait for each answer, on clusters of 1 and 3 nodes of this machine; and
 * the time of a restart.
 *
 *   bench_meta [seconds of each measurement [nodes [clients]]]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "tests/unit/manager_util.h"

#define CLIENTS_MAX 64u
#define SAMPLES_MAX 200000u
#define TIMEOUT_MS 10000u
#define VALUE_BYTES 200u

struct client {
    pthread_t thread;
    struct mu_cluster *cluster;
    unsigned number;
    bool reads;
    uint32_t *us; /* latencies */
    unsigned n, failed;
};

static atomic_bool stop;

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct sx_meta *m = mu_meta(c->cluster, c->number % c->cluster->n);
    char value[VALUE_BYTES + 1], name[32];

    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    snprintf(name, sizeof name, "bench.%u", c->number);
    while (!atomic_load(&stop) && c->n < SAMPLES_MAX) {
        struct sx_err e = SX_ERR_INIT;
        uint64_t begin_ns = sx_mono_ns();
        int r = c->reads ? sx_meta_sync(m, 0, TIMEOUT_MS, &e) :
                           mu_submit_setting(m, name, value, TIMEOUT_MS, &e);

        if (r)
            c->failed++;
        else
            c->us[c->n++] = (uint32_t)((sx_mono_ns() - begin_ns) / 1000);
    }
    sx_meta_free(m);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void measure(struct mu_cluster *cluster, unsigned clients, bool reads, unsigned seconds)
{
    struct client c[CLIENTS_MAX] = { 0 };
    uint32_t *all = sx_malloc((size_t)CLIENTS_MAX * SAMPLES_MAX * sizeof *all);
    unsigned n = 0, failed = 0;
    uint64_t begin_ns = sx_mono_ns(), ns;

    atomic_store(&stop, false);
    for (unsigned i = 0; i < clients; i++) {
        c[i] = (struct client){ .cluster = cluster, .number = i, .reads = reads };
        c[i].us = sx_malloc(SAMPLES_MAX * sizeof *c[i].us);
        if (pthread_create(&c[i].thread, NULL, client_main, &c[i]))
            abort();
    }
    sx_sleep_ms(seconds * 1000);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < clients; i++) {
        pthread_join(c[i].thread, NULL);
        memcpy(all + n, c[i].us, c[i].n * sizeof *all);
        n += c[i].n;
        failed += c[i].failed;
        free(c[i].us);
    }
    ns = sx_mono_ns() - begin_ns;
    qsort(all, n, sizeof *all, by_value);
    printf("%u nodes  %-8s %2u clients  %8.0f /s  median %6u us  99%% %6u us  failed %u\n", cluster->n,
           reads ? "reads" : "commands", clients, n / ((double)ns / 1e9), n ? all[n / 2] : 0,
           n ? all[n - 1 - n / 100] : 0, failed);
    fflush(stdout);
    free(all);
}

/* From kill -9 of all nodes to the first linearizable read. */
static void measure_restart(struct mu_cluster *cluster)
{
    struct sx_meta *m = mu_meta(cluster, 0);
    struct sx_err e = SX_ERR_INIT;
    uint64_t begin_ms;

    for (unsigned i = 0; i < cluster->n; i++)
        mu_kill(cluster, i);
    begin_ms = sx_mono_ms();
    for (unsigned i = 0; i < cluster->n; i++)
        mu_start(cluster, i);
    if (sx_meta_sync(m, 0, TIMEOUT_MS, &e))
        printf("restart: %s\n", e.msg);
    printf("%u nodes  restart after kill -9: %u ms\n", cluster->n,
           (unsigned)(sx_mono_ms() - begin_ms));
    sx_meta_free(m);
}

static void cluster_of(unsigned nodes, unsigned only_clients, unsigned seconds)
{
    static const unsigned clients[] = { 1, 16, CLIENTS_MAX };
    struct mu_cluster cluster;

    mu_new(&cluster, nodes);
    mu_form(&cluster, nodes, nodes);
    for (unsigned i = 0; i < sizeof clients / sizeof *clients; i++) {
        if (only_clients && only_clients != clients[i])
            continue;
        measure(&cluster, clients[i], false, seconds);
        measure(&cluster, clients[i], true, seconds);
    }
    measure_restart(&cluster);
    mu_free(&cluster);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
    unsigned nodes = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    unsigned clients = argc > 3 ? (unsigned)atoi(argv[3]) : 0;

    for (unsigned n = 1; n <= 3; n += 2)
        if (!nodes || nodes == n)
            cluster_of(n, clients, seconds);
    return 0;
}
