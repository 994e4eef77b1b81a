/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The collector's process.  Again and again it
 *
 *   1. learns from the metadata in which parts of the id space references went away, and adds all
 *      parts when a sweep over everything is due;
 *   2. looks at these parts, page by page with pauses (collect.h);
 *   3. moves the epoch on if blocks wait for that and the epoch has lasted long enough by this
 *      node's monotonic clock;
 *   4. compacts packs;
 *
 * and lets the scrub do a step in between.
 *
 * What it has to do stands in a file, so that a restart goes on from there.  A sweep over all parts
 * finds what has no reference that could go away: blocks of uploads that were broken off, or that
 * came back after a crash.  It is made every `collect_interval_s`, but takes a small share of the
 * time, and is left out while nothing has changed.
 */
#include "fcgi/jobs/collector.h"

#include <string.h>

#include "fcgi/jobs/collect.h"
#include "fcgi/jobs/counters.h"
#include "fcgi/jobs/proc.h"
#include "fcgi/jobs/scrub.h"
#include "fcgi/meta/command.h"
#include "fcgi/meta/meta.h"
#include "fcgi/meta/query.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define POLL_MS 200
#define BALANCE_BYTES (4u << 20) /* moved to emptier devices at once */
#define BALANCE_RATE (20u << 20) /* bytes a second */
#define LOOK_MS 1000                  /* between two looks at the metadata */
#define RETRY_MS 2000                 /* after something failed */
#define SHARE 50                      /* sweeps take at most one part in so many of the time */
#define FULL_MS 3600000               /* a sweep is made at least that often, changed or not */
#define SAVE_PAGES 16                 /* pages between two writes of the state */
#define PAUSE_DIV 4                   /* pause after a step: its duration / 4 */
#define PAUSE_MAX_MS 100
#define COMPACT_BYTES (64ull << 20)   /* copied between two looks at whether to stop */
#define IDLE_MS 10000                 /* nothing was put for so long: compaction is thorough */
#define SHORT_DIV 20                  /* or when less than such a part of the space is free */
#define REST 20                       /* compaction takes at most one part in so many of the time */

/* What a sweep saw, to know whether another is worth it. */
struct seen {
    bool valid;
    uint64_t applied, blocks, at_ms;
};

/* A sweep over everything. */
struct sweep {
    struct seen last, now; /* of the last one that ended, of the one that is under way */
    bool running;
    uint64_t next_ms;
};

/* There may be something to compact until a thorough round has ended. */
struct compacting {
    bool wanted;
    uint64_t used;    /* by the packs, after the last round */
    uint64_t idle_ms; /* since when it has not grown */
    uint64_t next_ms;
};

struct collector {
    const struct sx_node_conf *conf;
    struct sx_proc proc;
    struct sx_store *store;
    struct sx_meta *meta;
    struct sx_buf command, result;
    struct sx_collector_counters count;
    struct sx_collect work;
    uint64_t dropped[SX_COLLECT_GROUPS_MAX]; /* see sx_collect_load() */
    uint64_t applied;             /* when these were read */
    uint64_t epoch, epoch_ms;     /* the epoch, and when it was seen first (monotonic) */
    struct sweep sweep;
    struct compacting compacting;
    struct sx_balance balance;
    uint64_t balance_next_ms;
    uint64_t deleted;             /* of work.deleted, what has been told */
    struct sx_scrub *scrub;
    char *state;
};

/* ---- what is asked of the metadata ---- */

static int epoch_of(struct collector *c, unsigned group, uint64_t *epoch, struct sx_err *e)
{
    sqlite3 *db;

    return sx_meta_db(c->meta, group, &db, e) || sx_query_epoch(db, epoch, e) ? -1 : 0;
}

static int epoch_set(struct collector *c, unsigned group, uint64_t epoch, struct sx_err *e)
{
    struct sx_cmd_epoch_set cmd = { epoch };
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_buf_reset(&c->command);
    sx_buf_reset(&c->result);
    sx_cmd_epoch_set_encode(&c->command, op, "", &cmd);
    return sx_meta_submit(c->meta, group, &c->command, &c->result, SX_META_TIMEOUT_MS, e);
}

/* The cluster's group counts; the others follow. */
static int epoch(void *ctx, uint64_t *out, struct sx_err *e)
{
    struct collector *c = ctx;
    uint64_t wanted, here;

    if (epoch_of(c, SX_META_GROUP_CLUSTER, &wanted, e))
        return -1;
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        if (epoch_of(c, g, &here, e) ||
            (here < wanted && (epoch_set(c, g, wanted, e) || epoch_of(c, g, &here, e))))
            return -1;
        if (here < wanted)
            return sx_err_set(e, SX_EBUG, "group %u stays in epoch %llu", g,
                              (unsigned long long)here);
    }
    *out = wanted;
    return 0;
}

static int referenced(void *ctx, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    struct collector *c = ctx;
    uint8_t here[SX_COLLECT_PAGE];

    sx_assert(n <= SX_COLLECT_PAGE);
    memset(yes, 0, n);
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        sqlite3 *db;

        if (sx_meta_db(c->meta, g, &db, e) || sx_query_referenced(db, ids, n, here, e))
            return -1;
        for (size_t i = 0; i < n; i++)
            yes[i] |= here[i];
    }
    return 0;
}

/* ---- what there is to do ---- */

/* After an unclean start leases may be lost.  None of them was younger than what the cluster has
 * agreed on by now, which this node's database may not have reached yet. */
static int floor_set(struct collector *c, struct sx_err *e)
{
    uint64_t here;

    if (!sx_store_floor_unknown(c->store))
        return 0;
    if (sx_meta_sync(c->meta, SX_META_GROUP_CLUSTER, SX_META_TIMEOUT_MS, e) ||
        epoch_of(c, SX_META_GROUP_CLUSTER, &here, e) || sx_store_set_floor(c->store, here, e))
        return sx_err_wrap(e, "leases after an unclean stop");
    sx_collect_add_all(&c->work);
    return 0;
}

/* Each index only grows, so the sum shows every change. */
static int applied(struct collector *c, uint64_t *sum, struct sx_err *e)
{
    uint64_t index, term;
    sqlite3 *db;

    *sum = 0;
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        if (sx_meta_db(c->meta, g, &db, e) || sx_query_applied(db, &index, &term, e))
            return -1;
        *sum += index;
    }
    return 0;
}

static int add_dropped(struct collector *c, struct sx_err *e)
{
    uint8_t bits[SX_ID_PREFIXES / 8] = { 0 };
    uint64_t now;
    bool any = false;
    sqlite3 *db;

    if (applied(c, &now, e))
        return -1;
    if (now == c->applied)
        return 0;
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        uint64_t before = c->dropped[g];

        if (sx_meta_db(c->meta, g, &db, e) || sx_query_dropped(db, &c->dropped[g], bits, e))
            return -1;
        any = any || c->dropped[g] != before;
    }
    c->applied = now;
    if (any)
        sx_collect_add(&c->work, bits);
    return 0;
}

/* Only this node's measure of how long the epoch has lasted counts: no two clocks are compared. */
static int epoch_move(struct collector *c, struct sx_err *e)
{
    uint64_t now = sx_mono_ms(), here;

    if (epoch_of(c, SX_META_GROUP_CLUSTER, &here, e))
        return -1;
    if (here == c->epoch && sx_collect_waits(&c->work) &&
        now - c->epoch_ms >= (uint64_t)c->conf->lease_s * 1000 &&
        (epoch_set(c, SX_META_GROUP_CLUSTER, here + 1, e) ||
         epoch_of(c, SX_META_GROUP_CLUSTER, &here, e)))
        return sx_err_wrap(e, "next epoch");
    if (here == c->epoch)
        return 0;
    c->epoch = here;
    c->epoch_ms = now;
    sx_collect_wake(&c->work);
    return 0;
}

static bool unchanged(const struct collector *c, const struct seen *last, const struct seen *now)
{
    return last->valid && !sx_collect_waits(&c->work) && last->applied == now->applied &&
           last->blocks == now->blocks && now->at_ms - last->at_ms < FULL_MS;
}

static uint64_t interval_ms(const struct collector *c)
{
    return (uint64_t)c->conf->collect_interval_s * 1000;
}

static int sweep_begin(struct collector *c, bool asked, struct sx_err *e)
{
    struct seen now = { .at_ms = sx_mono_ms() };
    struct sx_store_stats st;

    if (!asked && (c->sweep.running || now.at_ms < c->sweep.next_ms))
        return 0;
    if (applied(c, &now.applied, e) || sx_store_stats(c->store, &st, e))
        return -1;
    now.blocks = st.blocks;
    c->sweep.next_ms = now.at_ms + interval_ms(c);
    if (!asked && unchanged(c, &c->sweep.last, &now))
        return 0;
    c->sweep.now = now;
    c->sweep.running = true;
    sx_collect_add_all(&c->work);
    return 0;
}

static void sweep_end(struct collector *c)
{
    uint64_t took = sx_mono_ms() - c->sweep.now.at_ms;

    c->sweep.running = false;
    c->sweep.last = c->sweep.now;
    c->sweep.last.valid = true;
    if (took * SHARE > interval_ms(c))
        c->sweep.next_ms = c->sweep.now.at_ms + took * SHARE;
    c->compacting.wanted = true;
    c->count.sweeps++;
}

static int look(struct collector *c, struct sx_err *e)
{
    if (floor_set(c, e) || add_dropped(c, e) || epoch_move(c, e))
        return -1;
    return sweep_begin(c, sx_proc_poked(&c->proc), e);
}

/* ---- doing it ---- */

/* True if it is time to end. */
static bool pause_after(struct collector *c, uint64_t began_ms)
{
    uint64_t ms = (sx_mono_ms() - began_ms) / PAUSE_DIV;

    return sx_proc_stop(&c->proc, ms < PAUSE_MAX_MS ? (int)ms : PAUSE_MAX_MS);
}

static void tell(struct collector *c)
{
    uint64_t n = c->work.deleted - c->deleted;

    if (n)
        sx_info("%llu blocks deleted, %llu not referenced and still leased", (unsigned long long)n,
                (unsigned long long)c->work.pending);
    c->compacting.wanted = c->compacting.wanted || n;
    c->deleted = c->work.deleted;
    c->count.deleted = c->work.deleted;
    c->count.pending = c->work.pending;
}

/* Pages until there are none, or it is time to look again. */
static int collect(struct collector *c, uint64_t until_ms, bool *stopped, struct sx_err *e)
{
    const struct sx_collect_meta m = { epoch, referenced, c };
    unsigned pages = 0;
    bool more = true;

    while (!*stopped) {
        uint64_t began = sx_mono_ms();

        if (sx_collect_page(c->store, &m, &c->work, &more, e))
            return -1;
        if (!more)
            break;
        if (++pages % SAVE_PAGES == 0)
            sx_collect_save(&c->work, c->state, c->dropped, sx_meta_groups());
        *stopped = pause_after(c, began);
        if (sx_mono_ms() >= until_ms)
            break;
    }
    if (pages)
        sx_collect_save(&c->work, c->state, c->dropped, sx_meta_groups());
    if (!more) {
        tell(c);
        if (c->sweep.running)
            sweep_end(c);
    }
    return 0;
}

/* Thorough compaction copies several bytes for one that it frees: only while nobody puts anything,
 * or if space is short. */
static bool may_be_thorough(struct collector *c, const struct sx_store_stats *st)
{
    uint64_t now = sx_mono_ms();

    if (st->used > c->compacting.used)
        c->compacting.idle_ms = now;
    return now - c->compacting.idle_ms >= IDLE_MS || st->free < st->capacity / SHORT_DIV;
}

static int compact(struct collector *c, bool *stopped, struct sx_err *e)
{
    struct sx_store_compaction done = { 0 };
    uint64_t began = sx_mono_ms();
    struct sx_store_stats st;
    bool thorough;

    if (began < c->compacting.next_ms)
        return 0;
    if (sx_store_stats(c->store, &st, e))
        return -1;
    thorough = may_be_thorough(c, &st);
    if (sx_store_compact(c->store, thorough, COMPACT_BYTES, &done, e) ||
        sx_store_stats(c->store, &st, e))
        return -1;
    c->compacting.used = st.used;
    c->compacting.wanted = done.more || !thorough;
    if (!done.more)
        c->compacting.next_ms = began + (sx_mono_ms() - began) * REST;
    c->count.freed += done.freed;
    if (done.packs)
        sx_info("%llu packs removed, %llu bytes given back, %llu copied",
                (unsigned long long)done.packs, (unsigned long long)done.freed,
                (unsigned long long)done.copied);
    *stopped = pause_after(c, began);
    return 0;
}

static int work(struct collector *c, bool *stopped, struct sx_err *e)
{
    uint64_t began = sx_mono_ms();

    if (look(c, e) || collect(c, began + LOOK_MS, stopped, e))
        return -1;
    return c->compacting.wanted && !*stopped ? compact(c, stopped, e) : 0;
}

/* ---- the process ---- */

static int start(struct collector *c, int stop_fd, struct sx_err *e)
{
    SX_AUTO_FREE char *run = sx_asprintf("%s/run", c->conf->dir);

    sx_assert(sx_meta_groups() <= SX_COLLECT_GROUPS_MAX);
    if (sx_io_mkdirs(run, e) ||
        sx_proc_init(&c->proc, c->conf->dir, SX_COLLECTOR_POKE, stop_fd, e) ||
        sx_store_open_node(c->conf->dir, &c->store, e))
        return -1;
    c->state = sx_asprintf("%s/collect.state", run);
    c->meta = sx_meta_new(c->conf->dir);
    c->scrub = sx_scrub_new(c->conf, c->store, c->meta);
    c->sweep.next_ms = sx_mono_ms() + interval_ms(c);
    c->compacting.wanted = true;
    sx_collect_load(&c->work, c->state, c->dropped, sx_meta_groups());
    sx_collector_publish(c->conf->dir, &c->count);
    return 0;
}

/* A row that the scrub puts back is leased in the epoch of this moment. */
static void scrub(struct collector *c)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t here;

    if (epoch_of(c, SX_META_GROUP_CLUSTER, &here, &e)) {
        sx_debug("%s", e.msg);
        return;
    }
    sx_store_set_epoch(c->store, here);
    sx_scrub_step(c->scrub);
}

/* A little at a time, at most BALANCE_RATE and at most half of the time. */
static void balance(struct collector *c)
{
    uint64_t began = sx_mono_ms(), moved = 0, due, took;
    struct sx_err e = SX_ERR_INIT;

    if (began < c->balance_next_ms)
        return;
    if (sx_store_balance(c->store, &c->balance, BALANCE_BYTES, &moved, &e)) {
        sx_warn("moving blocks to an emptier device: %s", e.msg);
        c->balance_next_ms = began + RETRY_MS;
        return;
    }
    took = sx_mono_ms() - began;
    due = moved * 1000 / BALANCE_RATE;
    c->balance_next_ms = began + (!c->balance.running ? LOOK_MS : due > 2 * took ? due : 2 * took);
    c->compacting.wanted = c->compacting.wanted || moved;
}

static void run(struct collector *c)
{
    struct sx_collector_counters told = { 0 };
    uint64_t next = 0;
    bool stopped = false;

    while (!stopped && !sx_proc_stop(&c->proc, POLL_MS)) {
        struct sx_err e = SX_ERR_INIT;
        uint64_t began = sx_mono_ms();

        scrub(c);
        balance(c);
        if (began < next)
            continue;
        next = began + LOOK_MS;
        if (work(c, &stopped, &e)) {
            sx_warn("%s", e.msg);
            next = sx_mono_ms() + RETRY_MS;
        }
        if (memcmp(&told, &c->count, sizeof told) != 0)
            sx_collector_publish(c->conf->dir, &c->count);
        told = c->count;
    }
}

int sx_collector_main(const struct sx_node_conf *conf, int stop_fd)
{
    struct collector *c = sx_calloc(1, sizeof *c);
    struct sx_err e = SX_ERR_INIT;
    int status;

    c->conf = conf;
    c->proc.signal_fd = -1;
    status = start(c, stop_fd, &e) ? 1 : 0;
    if (status)
        sx_error("%s", e.msg);
    else
        run(c);
    sx_scrub_free(c->scrub);
    sx_meta_free(c->meta);
    sx_store_close(c->store);
    sx_proc_fini(&c->proc);
    sx_buf_fini(&c->command);
    sx_buf_fini(&c->result);
    free(c->state);
    free(c);
    return status;
}
