/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxload: makes load on a cluster and remembers, outside of it, what was acknowledged.
 *
 *   sxload write URI JOURNAL SECONDS THREADS SIZE_MAX [FILES]   puts, overwrites and deletes files below URI, at
 *                                                               most FILES names a thread; goes on with what JOURNAL knows;
 *                                                               SIGTERM: each thread ends what it is at
 *   sxload verify URI JOURNAL THREADS                           reads everything back
 *   sxload settle URI JOURNAL THREADS                           the same; what nobody knew is now known, and stays
 *
 * A line of the journal: "ms thread I|A|F op name seed size", I before the operation, A when it was acknowledged, F when it
 * failed.  After F nobody knows whether it took effect, so both outcomes are right; after A only one is.
 * settle is for when nothing can be under way any more: it notes what it found, so that the names can be used again.
 * A name belongs to one thread.  Content is a function of seed and size; a third of the files draw their seed from
 * a small pool, so that blocks are shared.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/base/err.h"
#include "libsx/base/mem.h"
#include "libsx/client/sx.h"

#define THREADS_MAX 64
#define NAME_SIZE 64
#define POOL 8
#define FILES_MAX 65536 /* of one thread */

struct file {
    char name[NAME_SIZE];
    uint64_t seed, size;         /* acknowledged; seed 0: there is no file */
    uint64_t maybe_seed, maybe_size; /* a further outcome that would be right, if `maybe` */
    bool maybe;
};

struct worker {
    pthread_t thread;
    unsigned number;
    uint64_t random;
    struct file *files;
    size_t n;
    uint64_t done, failed, bad;
};

static struct {
    struct sx_uri uri;
    const char *text;
    FILE *journal;
    uint64_t until_ms, size_max;
    unsigned threads;
    size_t files_max; /* of one thread */
    volatile sig_atomic_t stopped;
    struct worker workers[THREADS_MAX];
} g;

/* xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016) */
static uint64_t next_random(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545f4914f6cdd1dull;
}

/* Half of each kilobyte is text-like, so that compression has something to do. */
static void fill(uint8_t *p, size_t n, uint64_t seed)
{
    uint64_t s = seed | 1, v = 0;

    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            v = next_random(&s);
        p[i] = i % 1024 < 512 ? (uint8_t)(v >> (i % 8 * 8)) : (uint8_t)('a' + (v & 3));
    }
}

static void note(const struct worker *w, char what, const char *op, const struct file *f, uint64_t seed, uint64_t size)
{
    /* One call, one line: stdio locks the stream. */
    fprintf(g.journal, "%" PRIu64 " %u %c %s %s %" PRIu64 " %" PRIu64 "\n", sx_mono_ms(), w->number, what, op, f->name,
            seed, size);
}

static char *path_of(const char *name)
{
    SX_AUTO_FREE char *below = sx_uri_name(&g.uri);

    return sx_asprintf("%s%s%s", below, *below ? "/" : "", name);
}

static int put(struct sx_cluster *k, const char *path, uint64_t seed, uint64_t size, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = memfd_create("sxload", MFD_CLOEXEC);
    uint8_t *p;

    sx_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    if (size > 0) {
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        sx_assert(p != MAP_FAILED);
        fill(p, size, seed);
        munmap(p, size);
    }
    return sx_write(k, g.uri.volume, path, fd, e);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void step(struct worker *w, struct sx_cluster *k)
{
    uint64_t r = next_random(&w->random), seed = 0, size = 0;
    bool fresh = w->n == 0 || (r % 10 < 6 && w->n < g.files_max);
    struct file *f = &w->files[fresh ? w->n : r / 16 % w->n];
    bool remove = !fresh && r % 10 == 9;
    const char *op = remove ? "delete" : "put";
    struct sx_err e = SX_ERR_INIT;
    int result;

    /* Nobody knows whether, or when, the failed operation takes effect: the name is left alone. */
    if (!fresh && f->maybe)
        return;
    if (fresh) {
        snprintf(f->name, sizeof f->name, "t%u-%zu", w->number, w->n);
        w->n++;
    }
    if (!remove) {
        seed = r % 3 == 0 ? 1 + r / 32 % POOL : r | 1;
        /* Most are small; one in eight may be as large as allowed. */
        size = next_random(&w->random) % (r / 64 % 8 == 0 ? g.size_max : 1 + g.size_max / 64);
    }
    SX_AUTO_FREE char *path = path_of(f->name);

    note(w, 'I', op, f, seed, size);
    result = remove ? sx_remove(k, g.uri.volume, path, &e) : put(k, path, seed, size, &e);
    if (result != 0 && remove && strcmp(sx_err_name(e.code), "NoSuchFile") == 0)
        result = 0; /* an earlier outcome that nobody knew */
    note(w, result == 0 ? 'A' : 'F', op, f, seed, size);
    if (result != 0) {
        w->failed++;
        f->maybe = true;
        fprintf(stderr, "sxload: %" PRIu64 " %s %s: %s\n", sx_mono_ms(), op, f->name, e.msg);
        sx_sleep_ms(20);
    } else {
        w->done++;
    }
}

static struct sx_client *open_cluster(struct sx_cluster **k)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_client *c;

    for (int i = 0; i < 20; i++) {
        if (sx_client_new(&c, NULL, &e) == 0) {
            struct sx_uri u;

            if (sx_uri_parse(c, g.text, &u, &e) == 0) {
                int result = sx_cluster_open(c, &u, k, &e);

                sx_uri_fini(&u);
                if (result == 0)
                    return c;
            }
            sx_client_free(c);
        }
        sx_sleep_ms(100);
    }
    fprintf(stderr, "sxload: %s\n", e.msg);
    exit(1);
}

static void *write_thread(void *arg)
{
    struct worker *w = arg;
    struct sx_cluster *k;
    struct sx_client *c = open_cluster(&k);

    if (!w->files)
        w->files = sx_calloc(FILES_MAX, sizeof *w->files);
    w->random = (sx_mono_ns() ^ (w->number * 0x9e3779b97f4a7c15ull)) | 1;
    while (!g.stopped && sx_mono_ms() < g.until_ms)
        step(w, k);
    sx_client_free(c);
    return NULL;
}

/* ---- verifying ----------------------------------------------------------------------------- */

struct compare {
    const uint8_t *want;
    size_t size, at;
    bool differs;
};

static int compare(void *arg, const void *data, size_t n)
{
    struct compare *c = arg;

    if (n > c->size - c->at || memcmp(c->want + c->at, data, n) != 0)
        c->differs = true;
    else
        c->at += n;
    return 0;
}

/* Has the file this content (seed 0: is it not there)? */
static bool is_content(struct sx_cluster *k, const char *path, uint64_t seed, uint64_t size, char *why, size_t why_size)
{
    SX_AUTO_FREE uint8_t *want = sx_malloc(size + 1);
    struct compare c = { .want = want, .size = size };
    struct sx_err e = SX_ERR_INIT;

    fill(want, size, seed);
    if (sx_read(k, g.uri.volume, path, compare, &c, &e) != 0) {
        snprintf(why, why_size, "%s", e.msg);
        return seed == 0 && strcmp(sx_err_name(e.code), "NoSuchFile") == 0;
    }
    snprintf(why, why_size, "%s", c.differs ? "the content differs" : "the length differs");
    return seed != 0 && !c.differs && c.at == size;
}

/* What was read once must stay, acknowledged or not. */
static void settle(const struct worker *w, const struct file *f, uint64_t seed, uint64_t size)
{
    if (g.journal && f->maybe)
        note(w, 'A', seed ? "put" : "delete", f, seed, size);
}

static void *verify_thread(void *arg)
{
    struct worker *w = arg;
    struct sx_cluster *k;
    struct sx_client *c = open_cluster(&k);

    for (size_t i = 0; i < w->n; i++) {
        struct file *f = &w->files[i];
        SX_AUTO_FREE char *path = path_of(f->name);
        char why[512];

        if (is_content(k, path, f->seed, f->size, why, sizeof why)) {
            settle(w, f, f->seed, f->size);
            w->done++;
        } else if (f->maybe && is_content(k, path, f->maybe_seed, f->maybe_size, why, sizeof why)) {
            settle(w, f, f->maybe_seed, f->maybe_size);
            w->done++;
        } else {
            w->bad++;
            printf("LOST %s: acknowledged seed %" PRIu64 " size %" PRIu64 "%s: %s\n", f->name, f->seed, f->size,
                   f->maybe ? " (or what was not acknowledged)" : "", why);
        }
    }
    sx_client_free(c);
    return NULL;
}

/* Names are "t<thread>-<number>". */
static struct file *find_file(struct worker *w, const char *name)
{
    const char *dash = strchr(name, '-');
    size_t i = dash ? strtoull(dash + 1, NULL, 10) : FILES_MAX;

    sx_assert(i < FILES_MAX);
    w->n = i >= w->n ? i + 1 : w->n;
    return &w->files[i];
}

static void read_journal(const char *file)
{
    char line[256], what, op[16], name[NAME_SIZE];
    uint64_t ms, seed, size;
    unsigned number;
    FILE *f = fopen(file, "re");

    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%" SCNu64 " %u %c %15s %63s %" SCNu64 " %" SCNu64, &ms, &number, &what, op, name, &seed,
                   &size) != 7 || number >= THREADS_MAX)
            continue;
        struct worker *w = &g.workers[number];

        if (!w->files)
            w->files = sx_calloc(FILES_MAX, sizeof *w->files);
        struct file *file_ = find_file(w, name);

        /* What is under way may have happened; a later acknowledgement decides, also about earlier doubts. */
        if (what == 'A')
            *file_ = (struct file){ .seed = seed, .size = size };
        else
            *file_ = (struct file){ .seed = file_->seed, .size = file_->size, .maybe = true, .maybe_seed = seed,
                                    .maybe_size = size };
        snprintf(file_->name, NAME_SIZE, "%s", name);
    }
    fclose(f);
}

/* ---- main ---------------------------------------------------------------------------------- */

static void run(void *(*fn)(void *arg))
{
    for (unsigned i = 0; i < g.threads; i++) {
        g.workers[i].number = i;
        sx_assert(pthread_create(&g.workers[i].thread, NULL, fn, &g.workers[i]) == 0);
    }
    for (unsigned i = 0; i < g.threads; i++)
        pthread_join(g.workers[i].thread, NULL);
}

static int finish(bool verify)
{
    uint64_t done = 0, failed = 0, bad = 0;

    for (unsigned i = 0; i < THREADS_MAX; i++) {
        done += g.workers[i].done;
        failed += g.workers[i].failed;
        bad += g.workers[i].bad;
        free(g.workers[i].files);
    }
    if (verify)
        printf("{\"verified\": %" PRIu64 ", \"bad\": %" PRIu64 "}\n", done, bad);
    else
        printf("{\"done\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", done, failed);
    return bad > 0;
}

static int usage(void)
{
    fputs("usage: sxload write URI JOURNAL SECONDS THREADS SIZE_MAX [FILES] | sxload verify|settle URI JOURNAL THREADS\n",
          stderr);
    return 2;
}

static void open_journal(const char *file)
{
    g.journal = fopen(file, "ae");
    sx_assert(g.journal != NULL);
    setvbuf(g.journal, NULL, _IOLBF, 0);
}

static void verify(const char *journal)
{
    g.threads = THREADS_MAX;
    sx_assert(access(journal, R_OK) == 0);
    read_journal(journal);
    while (g.threads > 1 && g.workers[g.threads - 1].n == 0)
        g.threads--;
    run(verify_thread);
}

static void stop(int number)
{
    g.stopped = 1;
}

static void load(int argc, char **argv)
{
    const struct sigaction end = { .sa_handler = stop, .sa_flags = SA_RESTART };

    sigaction(SIGTERM, &end, NULL);
    open_journal(argv[3]);
    read_journal(argv[3]);
    g.until_ms = sx_mono_ms() + strtoull(argv[4], NULL, 10) * 1000;
    g.threads = (unsigned)strtoul(argv[5], NULL, 10);
    g.size_max = strtoull(argv[6], NULL, 10);
    g.files_max = argc == 8 ? strtoull(argv[7], NULL, 10) : FILES_MAX;
    sx_assert(g.threads >= 1 && g.threads <= THREADS_MAX && g.size_max >= 64);
    sx_assert(g.files_max >= 1 && g.files_max <= FILES_MAX);
    run(write_thread);
}

int main(int argc, char **argv)
{
    bool writes = argc >= 7 && argc <= 8 && strcmp(argv[1], "write") == 0;
    bool settles = argc == 5 && strcmp(argv[1], "settle") == 0;
    struct sx_err e = SX_ERR_INIT;
    struct sx_client *c;

    if (!writes && !settles && !(argc == 5 && strcmp(argv[1], "verify") == 0))
        return usage();
    g.text = argv[2];
    if (sx_client_new(&c, NULL, &e) != 0 || sx_uri_parse(c, g.text, &g.uri, &e) != 0) {
        fprintf(stderr, "sxload: %s\n", e.msg);
        return 1;
    }
    if (settles)
        open_journal(argv[3]);
    if (writes)
        load(argc, argv);
    else
        verify(argv[3]);
    if (g.journal)
        fclose(g.journal);
    sx_uri_fini(&g.uri);
    sx_client_free(c);
    return finish(!writes);
}
