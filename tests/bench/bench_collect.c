/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What collection costs: a store of N small blocks (a million), all referenced but for a few.
 *
 *   sweep    all blocks are looked at
 *   hints    only the parts of the id space are, in which 100 references went away
 *   puts     how long a put of one block takes, alone and while another process sweeps and deletes
 *
 *     bench_collect [blocks [directory]]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi/jobs/collect.h"
#include "fcgi/meta/command.h"
#include "fcgi/meta/query.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/codec/record.h"

#define BATCH 4000u
#define DROPPED 100u
#define PUTS 2000u
#define BLOCK 4096u

static char *dir;
static uint64_t blocks = 1000000;

static void need(int r, const struct sx_err *e)
{
    if (r) {
        fprintf(stderr, "bench_collect: %s\n", e->msg);
        exit(1);
    }
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static struct sx_id id_of(uint64_t n)
{
    struct sx_id id;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t v = mix(n * 4 + i + 1);

        memcpy(id.b + 8 * i, &v, 8);
    }
    return id;
}

static void put(struct sx_store *s, uint64_t from, size_t n, size_t size)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_FREE struct sx_record *r = sx_calloc(n, sizeof *r);
    struct sx_err e = SX_ERR_INIT;
    uint64_t lease;
    size_t at = 0, used;

    for (size_t i = 0; i < n; i++) {
        struct sx_id id = id_of(from + i);
        size_t begin = sx_record_begin(&b);

        memset(sx_buf_extend(&b, size), 1, size);
        sx_record_end(&b, begin, &id);
    }
    for (size_t i = 0; i < n; i++, at += used)
        need(sx_record_parse(b.data + at, b.len - at, &r[i], &used, &e), &e);
    need(sx_store_put(s, r, n, &lease, NULL, &e), &e);
}

static struct sx_store *store_open(void)
{
    struct sx_store_options o = { .reserve = 1 };
    SX_AUTO_FREE char *path = sx_asprintf("%s/store", dir);
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;

    need(sx_store_open(path, &o, &s, &e), &e);
    return s;
}

/* ---- a database with references only ---- */

static sqlite3 *db_open(void)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/meta.db", dir);
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        exit(1);
    return db;
}

static void exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "bench_collect: %s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
}

static void fill_db(sqlite3 *db)
{
    sqlite3_stmt *st;

    exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
             "CREATE TABLE ref(id BLOB NOT NULL, content INTEGER NOT NULL, len INTEGER NOT NULL,"
             " PRIMARY KEY(id, content)) WITHOUT ROWID; BEGIN");
    sqlite3_prepare_v2(db, "INSERT INTO ref VALUES(?, 1, 1)", -1, &st, NULL);
    for (uint64_t i = DROPPED; i < blocks; i++) {
        struct sx_id id = id_of(i);

        sqlite3_bind_blob(st, 1, id.b, SX_ID_SIZE, SQLITE_STATIC);
        sqlite3_step(st);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    exec(db, "COMMIT");
}

static int epoch(void *ctx, uint64_t *out, struct sx_err *e)
{
    *out = 100;
    return 0;
}

static int referenced(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    return sx_query_referenced(ctx, ids, n, yes, e);
}

/* ---- measuring ---- */

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void collect(struct sx_store *s, sqlite3 *db, struct sx_collect *c)
{
    const struct sx_collect_meta m = { epoch, referenced, db };
    struct sx_err e = SX_ERR_INIT;
    bool more = true;

    while (more)
        need(sx_collect_page(s, &m, c, &more, &e), &e);
}

static void measure(const char *name, struct sx_store *s, sqlite3 *db, const uint8_t *bits)
{
    SX_AUTO_FREE struct sx_collect *c = sx_calloc(1, sizeof *c);
    double cpu = cpu_s();

    sx_collect_add(c, bits);
    collect(s, db, c);
    cpu = cpu_s() - cpu;
    printf("%-8s %9llu blocks looked at, %5llu deleted, %8.3f CPU s, %9.0f blocks a CPU s\n", name,
           (unsigned long long)c->seen, (unsigned long long)c->deleted, cpu,
           (double)c->seen / cpu);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void time_puts(struct sx_store *s, uint64_t from, uint64_t *median, uint64_t *worst)
{
    static uint64_t ns[PUTS];

    for (unsigned i = 0; i < PUTS; i++) {
        uint64_t began = sx_mono_ns();

        put(s, from + i, 1, BLOCK);
        ns[i] = sx_mono_ns() - began;
    }
    qsort(ns, PUTS, sizeof *ns, by_size);
    *median = ns[PUTS / 2];
    *worst = ns[PUTS * 99 / 100];
}

/* Sweeps for ever; what the puts put has no reference, so it is deleted, too. */
static pid_t sweeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct sx_store *s = store_open();
        sqlite3 *db = db_open();
        struct sx_collect *c = sx_calloc(1, sizeof *c);

        for (;;) {
            sx_collect_add_all(c);
            collect(s, db, c);
        }
    }
    return pid;
}

static void puts_beside(struct sx_store *s)
{
    uint64_t alone, alone99, beside, beside99;
    pid_t pid;

    time_puts(s, blocks, &alone, &alone99);
    pid = sweeper();
    sx_sleep_ms(500);
    time_puts(s, blocks + PUTS, &beside, &beside99);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    printf("puts     alone: median %llu us, 99%% %llu us; "
           "beside a sweep without pauses: %llu and %llu (%.1f and %.1f times)\n", (unsigned long long)alone / 1000,
           (unsigned long long)alone99 / 1000, (unsigned long long)beside / 1000,
           (unsigned long long)beside99 / 1000, (double)beside / (double)alone,
           (double)beside99 / (double)alone99);
}

int main(int argc, char **argv)
{
    char pattern[] = "/dev/shm/sx-collect-XXXXXX";
    uint8_t all[SX_ID_PREFIXES / 8], few[SX_ID_PREFIXES / 8] = { 0 };
    SX_AUTO_FREE char *clean = NULL;
    struct sx_store *s;
    sqlite3 *db;

    if (argc > 1)
        blocks = strtoull(argv[1], NULL, 10);
    dir = argc > 2 ? argv[2] : mkdtemp(pattern);
    if (!dir || blocks < 2 * DROPPED)
        return 2;
    s = store_open();
    for (uint64_t i = 0; i < blocks; i += BATCH)
        put(s, i, blocks - i < BATCH ? blocks - i : BATCH, 49);
    db = db_open();
    fill_db(db);
    for (uint64_t i = 0; i < DROPPED; i++) {
        struct sx_id id = id_of(i);

        few[sx_id_prefix(id.b) / 8] |= (uint8_t)(1u << sx_id_prefix(id.b) % 8);
    }
    memset(all, 0xff, sizeof all);
    measure("hints", s, db, few);
    measure("sweep", s, db, all);
    puts_beside(s);
    sx_query_close(db);
    sx_store_close(s);
    if (argc <= 2) {
        clean = sx_asprintf("rm -rf -- '%s'", dir);
        return system(clean) != 0;
    }
    return 0;
}
