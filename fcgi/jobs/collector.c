/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The collector's process: passes over the store (collect.h), then compaction; and the scrub.
 *
 * When: every `collect_interval_s`, but at most a tenth of the time, so that a large store costs no
 * more than a small one; at once when asked to; and not at all while neither the metadata nor the
 * store has changed since a pass that left nothing pending.  A pass is done page by page with
 * pauses; where it is, stands in a file, so that a restart goes on from there.
 */
#include "fcgi/jobs/collector.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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
#define RETRY_MS 2000                 /* after a pass that failed */
#define SHARE 10                      /* passes take at most one part in so many of the time */
#define FULL_MS 3600000               /* a pass is done at least that often, changed or not */
#define CURSOR_PAGES 16               /* pages between two writes of the cursor */
#define PAUSE_DIV 4                   /* pause after a page: its duration / 4 */
#define PAUSE_MAX_MS 100
#define COMPACT_BYTES (64ull << 20)   /* copied between two looks at whether to stop */

/* What a pass saw, to know whether another is worth it. */
struct seen {
    bool valid;
    uint64_t applied, blocks, pending, at_ms;
};

struct collector {
    const struct sx_node_conf *conf;
    struct sx_proc proc;
    struct sx_store *store;
    struct sx_meta *meta;
    struct sx_buf command, result;
    struct sx_collector_counters count;
    struct seen last;
    struct sx_scrub *scrub;
    char *cursor;
};

/* ---- what a pass asks of the metadata ---- */

static int group_horizon(struct collector *c, unsigned group, uint64_t wanted_ms,
                         uint64_t *applied_ms, struct sx_err *e)
{
    struct sx_cmd_horizon_set h = { wanted_ms };
    uint8_t op[SX_OP_ID];
    sqlite3 *db;

    sx_random(op, sizeof op);
    sx_buf_reset(&c->command);
    sx_buf_reset(&c->result);
    sx_cmd_horizon_set_encode(&c->command, op, "", &h);
    if (sx_meta_submit(c->meta, group, &c->command, &c->result, SX_META_TIMEOUT_MS, e) ||
        sx_meta_db(c->meta, group, &db, e))
        return -1;
    return sx_query_horizon(db, applied_ms, e);
}

/* What counts is what the local databases say: the references are read from them. */
static int horizon(void *ctx, uint64_t *horizon_ms, struct sx_err *e)
{
    uint64_t wanted = *horizon_ms, applied;

    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        if (group_horizon(ctx, g, wanted, &applied, e))
            return -1;
        if (applied < *horizon_ms)
            *horizon_ms = applied;
    }
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

/* ---- the cursor ---- */

static void cursor_load(struct collector *c, struct sx_collect_pass *pass)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (sx_io_read_file(&sx_io_posix, c->cursor, SX_ID_SIZE, &b, NULL) || b.len != SX_ID_SIZE)
        return;
    memcpy(pass->after.b, b.data, SX_ID_SIZE);
    pass->resumed = true;
}

static void cursor_save(struct collector *c, const struct sx_collect_pass *pass)
{
    SX_AUTO_CLOSE int fd = open(c->cursor, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    if (fd < 0 || write(fd, pass->after.b, SX_ID_SIZE) != SX_ID_SIZE)
        sx_warn("%s: %s", c->cursor, strerror(errno)); /* the next pass begins at the start */
}

/* ---- a pass ---- */

/* True if it is time to end. */
static bool pause_after(struct collector *c, uint64_t began_ms)
{
    uint64_t ms = (sx_mono_ms() - began_ms) / PAUSE_DIV;

    return sx_proc_stop(&c->proc, ms < PAUSE_MAX_MS ? (int)ms : PAUSE_MAX_MS);
}

static int do_pages(struct collector *c, struct sx_collect_pass *pass, bool *stopped,
                    struct sx_err *e)
{
    const struct sx_collect_meta m = { horizon, referenced, c };
    bool more = true;

    for (unsigned pages = 1; more && !*stopped; pages++) {
        uint64_t began = sx_mono_ms();

        if (sx_collect_page(c->store, &m, pass, &more, e))
            return -1;
        if (more && pages % CURSOR_PAGES == 0)
            cursor_save(c, pass);
        *stopped = more && pause_after(c, began);
    }
    return 0;
}

static int compact(struct collector *c, bool *stopped, struct sx_err *e)
{
    struct sx_store_compaction done = { .more = true };

    while (done.more && !*stopped) {
        uint64_t began = sx_mono_ms();

        if (sx_store_compact(c->store, COMPACT_BYTES, &done, e))
            return -1;
        c->count.freed += done.freed;
        if (done.packs)
            sx_info("%llu packs removed, %llu bytes given back, %llu copied",
                    (unsigned long long)done.packs, (unsigned long long)done.freed,
                    (unsigned long long)done.copied);
        *stopped = pause_after(c, began);
    }
    return 0;
}

static int look(struct collector *c, struct seen *now, struct sx_err *e)
{
    struct sx_store_stats st;
    uint64_t term;
    sqlite3 *db;

    *now = (struct seen){ .at_ms = sx_mono_ms() };
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        uint64_t index;

        if (sx_meta_db(c->meta, g, &db, e) || sx_query_applied(db, &index, &term, e))
            return -1;
        now->applied += index; /* each only grows, so the sum shows every change */
    }
    if (sx_store_stats(c->store, &st, e))
        return -1;
    now->blocks = st.blocks;
    return 0;
}

static bool unchanged(const struct seen *last, const struct seen *now)
{
    return last->valid && last->pending == 0 && last->applied == now->applied &&
           last->blocks == now->blocks && now->at_ms - last->at_ms < FULL_MS;
}

static int sweep(struct collector *c, bool asked, bool *stopped, struct sx_err *e)
{
    struct sx_collect_pass pass = { 0 };
    struct seen now;
    bool resumed;

    if (look(c, &now, e))
        return -1;
    if (!asked && unchanged(&c->last, &now))
        return 0;
    cursor_load(c, &pass);
    resumed = pass.resumed;
    if (do_pages(c, &pass, stopped, e) || compact(c, stopped, e))
        return -1;
    c->count.deleted += pass.deleted;
    if (*stopped)
        return 0;
    unlink(c->cursor);
    now.pending = pass.pending;
    now.valid = !resumed && pass.deleted == 0; /* a resumed pass has not seen all */
    c->last = now;
    c->count.pending = pass.pending;
    c->count.sweeps++;
    if (pass.deleted)
        sx_info("%llu of %llu blocks deleted, %llu not referenced and still leased",
                (unsigned long long)pass.deleted, (unsigned long long)pass.seen,
                (unsigned long long)pass.pending);
    return 0;
}

/* ---- the process ---- */

static int start(struct collector *c, int stop_fd, struct sx_err *e)
{
    SX_AUTO_FREE char *run = sx_asprintf("%s/run", c->conf->dir);

    if (sx_io_mkdirs(run, e) ||
        sx_proc_init(&c->proc, c->conf->dir, SX_COLLECTOR_POKE, stop_fd, e) ||
        sx_store_open_node(c->conf->dir, &c->store, e))
        return -1;
    c->cursor = sx_asprintf("%s/collect.cursor", run);
    c->meta = sx_meta_new(c->conf->dir);
    c->scrub = sx_scrub_new(c->conf, c->store, c->meta);
    sx_collector_publish(c->conf->dir, &c->count);
    return 0;
}

static void run(struct collector *c)
{
    uint64_t interval = (uint64_t)c->conf->collect_interval_s * 1000;
    uint64_t next = sx_mono_ms() + interval;
    bool stopped = false;

    while (!stopped && !sx_proc_stop(&c->proc, POLL_MS)) {
        struct sx_err e = SX_ERR_INIT;
        uint64_t began = sx_mono_ms(), took;
        bool asked = sx_proc_poked(&c->proc);

        sx_scrub_step(c->scrub);
        if (!asked && began < next)
            continue;
        if (sweep(c, asked, &stopped, &e)) {
            sx_warn("%s", e.msg);
            next = sx_mono_ms() + (interval < RETRY_MS ? interval : RETRY_MS);
        } else {
            took = sx_mono_ms() - began;
            next = began + (took * SHARE > interval ? took * SHARE : interval);
        }
        sx_collector_publish(c->conf->dir, &c->count);
    }
}

int sx_collector_main(const struct sx_node_conf *conf, int stop_fd)
{
    struct collector c = { .conf = conf, .proc.signal_fd = -1 };
    struct sx_err e = SX_ERR_INIT;
    int status = start(&c, stop_fd, &e) ? 1 : 0;

    if (status)
        sx_error("%s", e.msg);
    else
        run(&c);
    sx_scrub_free(c.scrub);
    sx_meta_free(c.meta);
    sx_store_close(c.store);
    sx_proc_fini(&c.proc);
    sx_buf_fini(&c.command);
    sx_buf_fini(&c.result);
    free(c.cursor);
    return status;
}
