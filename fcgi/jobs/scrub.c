/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scrub.h.  A round begins `scrub_period_days` after the last one began, or when asked for.  It
 * reads so fast that it would be over in half of the period, but at least RATE_MIN and at most
 * `scrub_rate`, and it takes at most one part in SHARE of the time.  A round that was asked for is
 * not slowed down but by the latter two, and takes half of the time.
 *
 * Found damage is told at once to the block transfer manager, which fetches the block from another
 * node.
 */
#include "fcgi/jobs/scrub.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/jobs/scrub_state.h"
#include "fcgi/jobs/transfer.h"
#include "fcgi/keys.h"
#include "fcgi/meta/query.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define SLICE (1u << 20)          /* bytes between two looks at the clock */
#define STEP_MS 50                /* so long works a call at most, but for one slice */
#define STEP_HURRY_MS 200
#define SHARE 5
#define SHARE_HURRY 2
#define RATE_MIN (1u << 20)       /* bytes a second */
#define PAUSE_MAX_MS 60000
#define SAVE_MS 5000              /* between two writes of the state */
#define RETRY_MS 5000             /* after an error, as while there are no metadata */
#define DAY_MS 86400000ull

struct device {
    struct sx_device *d;
    char *dir;
    struct sx_scrub_state st;
    uint64_t next_ms, saved_ms; /* monotonic */
    bool failed;                /* since the last slice that went well: told once */
};

struct sx_scrub {
    const struct sx_node_conf *conf;
    struct sx_store *store;
    struct sx_meta *meta;
    struct sx_block_ctx *ctx; /* NULL: the domain key is not there yet */
    struct sx_buf plain;
    char *poke;
    size_t n;
    struct device *devices;
    const struct sx_device *walked; /* by the slice of this moment */
};

/* ---- what a walk asks ---- */

static int decode(void *arg, const struct sx_record *r, struct sx_err *e)
{
    struct sx_scrub *s = arg;

    return sx_block_check(s->ctx, &r->id, r->stored, r->len, &s->plain, e);
}

static int referenced(void *arg, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *here = sx_calloc(n + 1, 1);
    struct sx_scrub *s = arg;

    memset(yes, 0, n);
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        sqlite3 *db;

        if (sx_meta_db(s->meta, g, &db, e) || sx_query_referenced(db, ids, n, here, e))
            return -1;
        for (size_t i = 0; i < n; i++)
            yes[i] |= here[i];
    }
    return sx_store_not_elsewhere(s->store, s->walked, ids, n, yes, e);
}

static int have_key(struct sx_scrub *s, struct sx_err *e)
{
    SX_AUTO(sx_cluster) struct sx_cluster c = { 0 };
    uint8_t key[SX_DOMAIN_KEY_SIZE];
    struct sx_domain domain;
    struct sx_keys keys;
    sqlite3 *db;
    int r;

    if (s->ctx)
        return 0;
    if (sx_meta_db(s->meta, SX_META_GROUP_CLUSTER, &db, e) || sx_query_cluster(db, &c, e) ||
        sx_keys_load(&keys, s->conf->dir, e))
        return -1;
    r = sx_keys_open_domain(&keys, c.domain_key.data, c.domain_key.len, key, e);
    if (!r)
        r = sx_domain_init(&domain, key, e);
    if (!r)
        s->ctx = sx_block_ctx_new(&domain);
    sx_wipe(&domain, sizeof domain);
    sx_wipe(key, sizeof key);
    sx_keys_fini(&keys);
    return r;
}

/* ---- rounds ---- */

static void save(struct device *v)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_scrub_state_save(v->dir, &v->st, &e))
        sx_warn("scrub: %s", e.msg); /* a restart begins where it was saved last */
    v->saved_ms = sx_mono_ms();
}

static int begin(struct device *v, bool hurry, struct sx_err *e)
{
    struct sx_store_stats stats;

    if (sx_device_stats(v->d, &stats, e))
        return -1;
    v->st.running = true;
    v->st.hurry = hurry;
    v->st.started_ms = sx_wall_ms();
    v->st.rounds++;
    v->st.total = stats.used;
    v->st.place = (struct sx_scrub_place){ 0 };
    v->st.found = (struct sx_scrub_found){ 0 };
    save(v);
    return 0;
}

static void finish(struct device *v)
{
    const struct sx_scrub_found *f = &v->st.found;

    sx_info("scrub of %s: %" PRIu64 " blocks whole; %" PRIu64 " damaged, %" PRIu64
            " rows and %" PRIu64 " sums of the index put right, %" PRIu64 " read errors",
            v->dir, f->blocks, f->damaged, f->mended, f->sums, f->read_errors);
    v->st.running = v->st.hurry = false;
    v->st.done_ms = sx_wall_ms();
    v->st.last = *f;
    v->st.found = (struct sx_scrub_found){ 0 };
    v->st.place = (struct sx_scrub_place){ 0 };
    save(v);
}

/* A clock that was set back does not put the next round off. */
static bool due(const struct sx_scrub *s, const struct sx_scrub_state *st)
{
    uint64_t period = s->conf->scrub_period_days * DAY_MS, now = sx_wall_ms();

    return period && (st->started_ms == 0 || st->started_ms > now || now - st->started_ms >= period);
}

/* How long to wait after a slice of so many bytes that took so long. */
static uint64_t pause_ms(const struct sx_scrub *s, const struct sx_scrub_state *st, uint64_t bytes,
                         uint64_t took_ms)
{
    uint64_t period_s = s->conf->scrub_period_days * DAY_MS / 1000, rate = UINT64_MAX, ms;

    if (!st->hurry && period_s)
        rate = st->total * 2 / period_s > RATE_MIN ? st->total * 2 / period_s : RATE_MIN;
    if (s->conf->scrub_rate && s->conf->scrub_rate < rate)
        rate = s->conf->scrub_rate;
    ms = bytes * 1000 / rate;
    took_ms *= (st->hurry ? SHARE_HURRY : SHARE) - 1;
    ms = ms > took_ms ? ms : took_ms;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static int slice(struct sx_scrub *s, struct device *v, struct sx_err *e)
{
    struct sx_scrub_walk w = { .decode = decode, .referenced = referenced, .ctx = s,
                               .place = v->st.place, .found = v->st.found };
    uint64_t began = sx_mono_ms(), rows = w.found.rows, bytes = w.found.bytes;
    int r;

    s->walked = v->d;
    r = sx_device_scrub(v->d, &w, SLICE, e);
    if (w.found.damaged > v->st.found.damaged)
        sx_transfer_poke(s->conf->dir);
    if (r)
        return -1;
    v->failed = false;
    v->st.place = w.place;
    v->st.found = w.found;
    bytes = w.found.bytes - bytes + (w.found.rows - rows) * SX_SCRUB_ROW_COST;
    v->next_ms = sx_mono_ms() + pause_ms(s, &v->st, bytes, sx_mono_ms() - began);
    if (w.place.phase == SX_SCRUB_DONE)
        finish(v);
    else if (sx_mono_ms() - v->saved_ms >= SAVE_MS)
        save(v);
    return 0;
}

static int work(struct sx_scrub *s, struct device *v, bool asked, struct sx_err *e)
{
    uint64_t began = sx_mono_ms();

    if (asked && v->st.running)
        v->st.hurry = true;
    else if (!v->st.running && (asked || due(s, &v->st)) && begin(v, asked, e))
        return -1;
    if (asked)
        v->next_ms = began;
    if (!v->st.running || began < v->next_ms)
        return 0;
    if (have_key(s, e))
        return -1;
    do {
        if (slice(s, v, e))
            return -1;
    } while (v->st.running && sx_mono_ms() >= v->next_ms &&
             sx_mono_ms() - began < (v->st.hurry ? STEP_HURRY_MS : STEP_MS));
    return 0;
}

/* The devices of the store, where they are not the ones of the last time.  What was not saved
 * lately of one that has gone is forgotten. */
static void follow_devices(struct sx_scrub *s)
{
    size_t n, same = 0;

    sx_store_refresh(s->store);
    n = sx_store_devices(s->store);
    while (same < n && same < s->n && sx_store_device(s->store, same) == s->devices[same].d &&
           strcmp(sx_device_dir(s->devices[same].d), s->devices[same].dir) == 0)
        same++;
    if (same == n && same == s->n)
        return;
    for (size_t i = same; i < s->n; i++)
        free(s->devices[i].dir);
    s->devices = sx_realloc(s->devices, (n + 1) * sizeof *s->devices);
    for (size_t i = same; i < n; i++) {
        struct sx_device *d = sx_store_device(s->store, i);

        s->devices[i] = (struct device){ .d = d, .dir = sx_strdup(sx_device_dir(d)) };
        sx_scrub_state_load(s->devices[i].dir, &s->devices[i].st);
        if (s->devices[i].st.last.index_faults) /* opening it has made the index anew: look again */
            s->devices[i].st.started_ms = 0;
    }
    s->n = n;
}

void sx_scrub_step(struct sx_scrub *s)
{
    bool asked = unlink(s->poke) == 0;

    follow_devices(s);

    for (size_t i = 0; i < s->n; i++) {
        struct device *v = &s->devices[i];
        struct sx_err e = SX_ERR_INIT;

        if (work(s, v, asked, &e)) {
            if (!v->failed)
                sx_warn("scrub of %s: %s", v->dir, e.msg);
            v->next_ms = sx_mono_ms() + RETRY_MS;
            v->failed = true;
        }
    }
}

struct sx_scrub *sx_scrub_new(const struct sx_node_conf *conf, struct sx_store *store,
                              struct sx_meta *meta)
{
    struct sx_scrub *s = sx_calloc(1, sizeof *s);

    s->conf = conf;
    s->store = store;
    s->meta = meta;
    s->poke = sx_asprintf("%s/run/%s", conf->dir, SX_SCRUB_POKE);
    return s;
}

void sx_scrub_free(struct sx_scrub *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        if (s->devices[i].st.running)
            save(&s->devices[i]);
        free(s->devices[i].dir);
    }
    sx_block_ctx_free(s->ctx);
    sx_buf_fini(&s->plain);
    free(s->devices);
    free(s->poke);
    free(s);
}
