/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See cache.h.  The data is a ring: positions count on for ever, a position modulo the size is a
 * place, and each block lies in one piece.  Positions below `head` - `size` are overwritten, so
 * entries need no removal: they are compared with `head`.
 *
 *   process that puts in, under the lock   process that reads
 *   raise head                             under the lock: find the entry
 *   write the data                         copy the data
 *   write the entry                        look whether head has passed it meanwhile
 *
 * A reader that copies without the lock may copy what is being overwritten, and finds out by head, or
 * by the CRC of the copy.
 */
#include "fcgi/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/store/doorkeeper.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"

#define AUTO_SHARE 16
#define AUTO_MAX (1ull << 30)
#define WAIT_NS 2000000u        /* for the lock */
#define WAYS 8                  /* entries of a set */
#define BYTES_AN_ENTRY 32768u   /* there is an entry for so many bytes of data */
#define LARGEST_SHARE 8         /* no block may take more than that part of the ring */
#define OLD_EIGHTHS 6           /* an entry that is so old enters once more when it is read */
#define FACTS (1u << 20)        /* 16 MiB, as far as they are used */
#define FULL_SHARE 4            /* when the ring is full, one of so many enters */

struct entry {
    struct sx_id id;
    uint64_t at; /* its position */
    uint32_t len;
    uint32_t crc;
};

/* Of a stored form, in its place by the id.  Two that write at the same moment may leave a mix of theirs,
 * which is no known form: tag, id and CRC have to fit. */
struct fact {
    _Atomic uint64_t tag; /* the first half */
    _Atomic uint64_t rest; /* a part of the id, and the CRC */
};

struct sx_cache {
    pthread_mutex_t lock;
    uint64_t size, mapped;
    uint32_t sets;
    _Atomic uint64_t head;   /* where the next block goes; from `size` on, so that 0 is long overwritten */
    _Atomic uint64_t hits, misses, entered, known;
    struct sx_doorkeeper offered;
    struct fact facts[FACTS];
    struct entry entries[];  /* sets of WAYS; behind them, the ring */
};

/* ---- its size ---- */

/* The limit of the control group, version 2, that this process is in; UINT64_MAX: none. */
static uint64_t group_limit(void)
{
    static const char root[] = "/sys/fs/cgroup";
    char line[512], path[sizeof root + sizeof line + sizeof "/memory.max"];
    unsigned long long limit = UINT64_MAX;
    FILE *f = fopen("/proc/self/cgroup", "re");

    path[0] = '\0';
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "0::/", 4) == 0)
            snprintf(path, sizeof path, "%s%.*s/memory.max", root, (int)strcspn(line + 3, "\n"), line + 3);
    if (f)
        fclose(f);
    f = path[0] ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%llu", &limit) != 1) /* "max" */
        limit = UINT64_MAX;
    if (f)
        fclose(f);
    return limit;
}

uint64_t sx_cache_auto_size(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t limit = group_limit(), size = (all < limit ? all : limit) / AUTO_SHARE;

    if (size < SX_CACHE_SIZE_MIN)
        return 0;
    return size < AUTO_MAX ? size : AUTO_MAX;
}

static int lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t a;
    int r;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    r = pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
    return r;
}

struct sx_cache *sx_cache_new(uint64_t size)
{
    uint32_t sets = (uint32_t)(size / BYTES_AN_ENTRY / WAYS);
    uint64_t mapped = sizeof(struct sx_cache) + (uint64_t)sets * WAYS * sizeof(struct entry) + size;
    struct sx_cache *c;

    sx_assert(size >= SX_CACHE_SIZE_MIN && sets > 0);
    c = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c == MAP_FAILED)
        return NULL;
    madvise(c, mapped, MADV_DONTDUMP);
    sx_assert(lock_init(&c->lock) == 0);
    c->size = size;
    c->mapped = mapped;
    c->sets = sets;
    atomic_init(&c->head, size + 1);
    return c;
}

void sx_cache_free(struct sx_cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    munmap(c, c->mapped);
}

/* ---- under the lock ---- */

static void empty(struct sx_cache *c)
{
    for (size_t i = 0; i < (size_t)c->sets * WAYS; i++)
        c->entries[i].at = 0;
}

/* False: somebody else has it, perhaps one who was stopped meanwhile. */
static bool lock(struct sx_cache *c)
{
    int r = pthread_mutex_trylock(&c->lock);

    if (r == EBUSY) {
        uint64_t ns = sx_mono_ns() + WAIT_NS;
        struct timespec until = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

        r = pthread_mutex_clocklock(&c->lock, CLOCK_MONOTONIC, &until);
    }
    if (r == EOWNERDEAD) {
        empty(c);
        r = pthread_mutex_consistent(&c->lock);
    }
    return r == 0;
}

static void unlock(struct sx_cache *c)
{
    pthread_mutex_unlock(&c->lock);
}

static uint8_t *data_at(struct sx_cache *c, uint64_t at)
{
    return (uint8_t *)&c->entries[(size_t)c->sets * WAYS] + at % c->size;
}

/* Whether what was written at this position is there still. */
static bool lasts(struct sx_cache *c, uint64_t at)
{
    return atomic_load(&c->head) <= at + c->size;
}

static struct entry *set_of(struct sx_cache *c, const struct sx_id *id)
{
    return &c->entries[(size_t)(sx_get_u32(id->b) % c->sets) * WAYS];
}

static struct entry *find(struct sx_cache *c, const struct sx_id *id)
{
    struct entry *set = set_of(c, id);

    for (unsigned i = 0; i < WAYS; i++)
        if (sx_id_cmp(&set[i].id, id) == 0 && lasts(c, set[i].at))
            return &set[i];
    return NULL;
}

/* The oldest of the set gives way. */
static struct entry *room(struct sx_cache *c, const struct sx_id *id)
{
    struct entry *set = set_of(c, id), *oldest = set;

    for (unsigned i = 1; i < WAYS; i++)
        if (set[i].at < oldest->at)
            oldest = &set[i];
    return oldest;
}

static uint64_t take_room(struct sx_cache *c, size_t n)
{
    uint64_t at = atomic_load(&c->head);

    if (at % c->size + n > c->size)
        at += c->size - at % c->size;
    atomic_store(&c->head, at + n);
    atomic_thread_fence(memory_order_seq_cst);
    return at;
}

/* In its first round the ring has no pages yet: one call for those of a block costs less than a fault for
 * each.  Kernels before 5.14 know no such call. */
static void have_pages(struct sx_cache *c, uint64_t at, size_t n)
{
    uintptr_t to = (uintptr_t)data_at(c, at), from;

    if (at >= 2 * c->size)
        return;
    from = to & -(uintptr_t)sysconf(_SC_PAGESIZE);
    madvise((void *)from, to + n - from, MADV_POPULATE_WRITE);
}

static void enter(struct sx_cache *c, const struct sx_id *id, const void *p, size_t n, uint32_t crc)
{
    struct entry *e = room(c, id);
    uint64_t at = take_room(c, n);

    have_pages(c, at, n);
    memcpy(data_at(c, at), p, n);
    *e = (struct entry){ *id, at, (uint32_t)n, crc };
    atomic_fetch_add(&c->entered, 1);
}

/* ---- what processes call ---- */

static bool look_up(struct sx_cache *c, const struct sx_id *id, struct entry *found)
{
    const struct entry *e;

    if (!lock(c))
        return false;
    e = find(c, id);
    if (e)
        *found = *e;
    unlock(c);
    return e != NULL;
}

static bool copy_out(struct sx_cache *c, const struct entry *e, struct sx_buf *out)
{
    memcpy(sx_buf_extend(out, e->len), data_at(c, e->at), e->len);
    atomic_thread_fence(memory_order_seq_cst);
    return lasts(c, e->at) && sx_crc32c(0, out->data, out->len) == e->crc;
}

/* So that what is read stays. */
static void promote(struct sx_cache *c, const struct entry *e, const struct sx_buf *b)
{
    struct entry *now;

    if (atomic_load(&c->head) - e->at < c->size / 8 * OLD_EIGHTHS || !lock(c))
        return;
    now = find(c, &e->id);
    if (now && now->at == e->at) {
        now->at = 0;
        enter(c, &e->id, b->data, b->len, e->crc);
    }
    unlock(c);
}

bool sx_cache_get(struct sx_cache *c, const struct sx_id *id, struct sx_buf *out)
{
    struct entry e;

    sx_buf_reset(out);
    if (!c)
        return false;
    if (!look_up(c, id, &e) || !copy_out(c, &e, out)) {
        sx_buf_reset(out);
        atomic_fetch_add(&c->misses, 1);
        return false;
    }
    atomic_fetch_add(&c->hits, 1);
    promote(c, &e, out);
    return true;
}

/* Once the ring is full all that enters drives something out.  What is read in a circle that is larger
 * than the cache would drive itself out, each block before it is read again. */
static bool may_enter(struct sx_cache *c, const struct sx_id *id)
{
    if (atomic_load(&c->head) <= 2 * c->size)
        return true;
    return sx_doorkeeper_seen(&c->offered, id) && atomic_load(&c->misses) % FULL_SHARE == 0;
}

void sx_cache_put(struct sx_cache *c, const struct sx_id *id, const void *p, size_t n, uint32_t crc)
{
    if (!c || n == 0 || n > c->size / LARGEST_SHARE || !may_enter(c, id) || !lock(c))
        return;
    if (!find(c, id))
        enter(c, id, p, n, crc);
    unlock(c);
}

/* ---- what is known ---- */

static struct fact *fact_of(struct sx_cache *c, const struct sx_id *id)
{
    return &c->facts[sx_get_u32(id->b + 12) % FACTS];
}

static uint64_t part_of(const struct sx_id *id)
{
    return (uint64_t)sx_get_u32(id->b + 16) << 32;
}

bool sx_cache_known(struct sx_cache *c, const struct sx_id *id, const uint8_t tag[SX_BLOCK_TAG],
                    uint32_t *crc)
{
    uint64_t rest;

    if (!c || atomic_load(&fact_of(c, id)->tag) != sx_get_u64(tag))
        return false;
    rest = atomic_load(&fact_of(c, id)->rest);
    if ((rest >> 32 << 32) != part_of(id))
        return false;
    *crc = (uint32_t)rest;
    atomic_fetch_add(&c->known, 1);
    return true;
}

void sx_cache_learn(struct sx_cache *c, const struct sx_id *id, const uint8_t tag[SX_BLOCK_TAG],
                    uint32_t crc)
{
    if (!c)
        return;
    atomic_store(&fact_of(c, id)->tag, sx_get_u64(tag));
    atomic_store(&fact_of(c, id)->rest, part_of(id) | crc);
}

void sx_cache_counters(const struct sx_cache *c, struct sx_cache_counters *out)
{
    memset(out, 0, sizeof *out);
    if (!c)
        return;
    out->size = c->size;
    out->hits = atomic_load(&c->hits);
    out->misses = atomic_load(&c->misses);
    out->entered = atomic_load(&c->entered);
    out->known = atomic_load(&c->known);
}
