/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The transfer manager's process.  It does a little of each in turn:
 *
 *   push    one batch to each node that has rows in the queue (push.c)
 *   repair  blocks that are known to be damaged here are fetched anew; at a poke and every
 *           REPAIR_MS, less often while that does not help
 *   sweep   a page of the references in the local metadata: what this node owns and does not
 *           have is fetched
 *
 * A sweep begins at the start, at a new map, every SWEEP_MS, and sooner while blocks are missing,
 * or when a node that was down is back while blocks are missing.  Before it begins, the local
 * metadata catch up with the leader, so that a node that comes back sees what was committed without
 * it.
 */
#include "fcgi/jobs/transfer.h"

#include <string.h>

#include "fcgi/jobs/transfer_int.h"
#include "fcgi/meta/query.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define POLL_MS 200
#define FAILED_MS 1000            /* after a step that failed, as while there are no metadata */
#define SWEEP_MS 600000u
#define SWEEP_AGAIN_MIN_MS 5000u  /* after a sweep that left blocks missing; doubling to SWEEP_MS */
#define SYNC_TIMEOUT_MS 5000
#define PAGE 1024u
#define REPAIR_MAX 256u
#define REPAIR_MS 5000u
#define LOST_IDS_MAX 256u         /* lost blocks whose files are looked up */
#define LOST_FILES_MAX 100u       /* files that are named in the log */

struct sweep {
    bool running;
    bool behind;           /* the metadata had not caught up when it began */
    unsigned group;
    struct sx_id from;
    uint64_t missing, fetched;
    uint64_t lost;         /* of the missing, those that no node has */
    struct sx_id lost_ids[LOST_IDS_MAX]; /* the first of them */
    uint64_t told;         /* how many lost ones were told last, and the checksum of their ids */
    uint32_t told_sum;
    uint64_t due_ms;       /* monotonic: when the next begins */
    unsigned again_ms;
    uint64_t map_version;
    bool down[SX_NODES_MAX]; /* as last seen */
};

/* ---- shared with push.c and fetch.c ---- */

int sx_transfer_call(struct sx_transfer *t, size_t node, const char *path, const struct iovec *body,
                     size_t n_body, struct sx_buf *answer, size_t answer_max, struct sx_err *e)
{
    const struct sx_node *to = sx_peers_node(t->peers, node);
    struct sx_http_answer a = { .err = SX_ERR_INIT };
    const struct sx_http_request r = {
        .method = "POST", .address = to->address, .port = to->port, .path = path,
        .content_type = SX_HTTP_MESSAGE, .body = body, .n_body = n_body,
        .answer = answer, .answer_max = answer_max, .timeout_ms = SX_PEER_REQUEST_TIMEOUT_MS,
    };
    int result = sx_http_call(sx_peers_http(t->peers), &r, &a, e);

    sx_peers_note(t->peers, node, &a.err);
    return result;
}

int sx_transfer_referenced(struct sx_transfer *t, const struct sx_id *ids, size_t n, uint8_t *yes,
                           struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *here = sx_calloc(n + 1, 1);

    memset(yes, 0, n);
    for (unsigned g = 0; g < sx_meta_groups(); g++) {
        sqlite3 *db;

        if (sx_meta_db(t->meta, g, &db, e) || sx_query_referenced(db, ids, n, here, e))
            return -1;
        for (size_t i = 0; i < n; i++)
            yes[i] |= here[i];
    }
    return 0;
}

/* ---- repair ---- */

struct repair {
    uint64_t due_ms; /* monotonic */
    unsigned wait_ms;
    struct sx_id after; /* where the next turn goes on; 0: at the first */
    uint32_t left_sum;  /* checksum of the ids that could not be had the last time */
};

/* Damaged blocks of this node, a bounded number at a time.  Those that cannot be had do not keep
 * the others from their turn; the sweep finds out whether they are lost. */
static int repair(struct sx_transfer *t, struct sweep *s, struct repair *r, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_store_item *bad = sx_calloc(REPAIR_MAX, sizeof *bad);
    SX_AUTO_FREE struct sx_transfer_want *want = sx_calloc(REPAIR_MAX, sizeof *want);
    size_t n, healed = 0;
    uint32_t left = 0;

    if (sx_store_list_bad(t->store, &r->after, bad, REPAIR_MAX, &n, e))
        return -1;
    r->after = n == REPAIR_MAX ? bad[n - 1].id : (struct sx_id){ 0 };
    for (size_t i = 0; i < n; i++)
        want[i] = (struct sx_transfer_want){ .id = bad[i].id, .len = SX_RECORD_MAX };
    if (sx_transfer_fetch(t, want, n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        healed += want[i].got;
        if (!want[i].got)
            left = sx_crc32c(left, want[i].id.b, SX_ID_SIZE);
    }
    if (n)
        sx_info("%zu blocks are damaged here, %zu of them fetched anew", n, healed);
    if (healed < n && left != r->left_sum)
        s->due_ms = 0;
    r->left_sum = left;
    if (healed == n)
        r->wait_ms = REPAIR_MS;
    else if (r->wait_ms * 2 <= SWEEP_MS)
        r->wait_ms *= 2;
    r->due_ms = n == REPAIR_MAX ? 0 : sx_mono_ms() + r->wait_ms;
    return 0;
}

/* ---- sweep ---- */

/* Is this node one of the first `replica` in the block's order? */
static bool owned_here(struct sx_transfer *t, const struct sx_ref *ref)
{
    uint16_t order[SX_NODES_MAX];
    size_t n = sx_peers_order(t->peers, &ref->id, order);

    for (size_t i = 0; i < n && i < ref->replica; i++)
        if (order[i] == sx_peers_self(t->peers))
            return true;
    return false;
}

/* Of n references those that should be here and are not. */
static int find_missing(struct sx_transfer *t, const struct sx_ref *refs, size_t n,
                        struct sx_transfer_want *want, size_t *missing, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_id *ids = sx_calloc(n + 1, sizeof *ids);
    SX_AUTO_FREE uint8_t *here = sx_calloc(n + 1, 1);
    size_t own = 0, m = 0;

    for (size_t i = 0; i < n; i++)
        if (owned_here(t, &refs[i])) {
            want[own] = (struct sx_transfer_want){
                .id = refs[i].id, .len = SX_RECORD_HEADER + SX_BLOCK_HEADER + refs[i].len
            };
            ids[own++] = refs[i].id;
        }
    if (sx_store_exists(t->store, ids, own, here, e))
        return -1;
    for (size_t i = 0; i < own; i++)
        if (!here[i])
            want[m++] = want[i];
    *missing = m;
    return 0;
}

static void next_group(struct sweep *s)
{
    memset(&s->from, 0, sizeof s->from);
    s->running = ++s->group < sx_meta_groups();
}

static void count_left(struct sweep *s, const struct sx_transfer_want *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (want[i].got) {
            s->fetched++;
            continue;
        }
        s->missing++;
        if (want[i].nowhere && s->lost++ < LOST_IDS_MAX)
            s->lost_ids[s->lost - 1] = want[i].id;
    }
}

static int sweep_page(struct sx_transfer *t, struct sweep *s, struct sx_err *e)
{
    SX_AUTO_FREE struct sx_ref *refs = sx_calloc(PAGE, sizeof *refs);
    SX_AUTO_FREE struct sx_transfer_want *want = sx_calloc(PAGE, sizeof *want);
    size_t n, missing;
    sqlite3 *db;

    if (sx_meta_db(t->meta, s->group, &db, e) || sx_query_refs(db, &s->from, PAGE, refs, &n, e) ||
        find_missing(t, refs, n, want, &missing, e))
        return -1;
    if (s->missing + missing > t->count.missing) { /* shown before the work begins */
        t->count.missing = s->missing + missing;
        sx_transfer_publish(t->conf->dir, &t->count);
    }
    if (sx_transfer_fetch(t, want, missing, e))
        return -1;
    count_left(s, want, missing);
    if (n)
        s->from = refs[n - 1].id;
    if (n < PAGE || !sx_id_next(&s->from))
        next_group(s);
    return 0;
}

static void sweep_begin(struct sx_transfer *t, struct sweep *s)
{
    struct sx_err e = SX_ERR_INIT;

    s->behind = false;
    for (unsigned g = 0; g < sx_meta_groups() && !s->behind; g++)
        if (sx_meta_sync(t->meta, g, SYNC_TIMEOUT_MS, &e)) {
            sx_debug("sweep on metadata that may be old: %s", e.msg);
            s->behind = true;
        }
    s->running = true;
    s->group = 0;
    s->missing = s->fetched = s->lost = 0;
    memset(&s->from, 0, sizeof s->from);
}

/* ---- what is lost ---- */

static void name_file(void *ctx, const struct sx_hit *hit)
{
    unsigned *named = ctx;

    if ((*named)++ < LOST_FILES_MAX)
        sx_error("damaged: %s/%s, revision %llu%s", hit->volume, hit->path,
                 (unsigned long long)hit->rev, hit->newest ? "" : " (not the newest)");
}

static int name_in_group(struct sx_transfer *t, const struct sweep *s, unsigned group,
                         unsigned *named, struct sx_err *e)
{
    uint64_t files;
    sqlite3 *db;

    if (sx_meta_db(t->meta, group, &db, e) || sx_query_hit_clear(db, e))
        return -1;
    for (size_t i = 0; i < s->lost && i < LOST_IDS_MAX; i++)
        if (sx_query_hit_add(db, &s->lost_ids[i], e))
            return -1;
    return sx_query_hit_files(db, name_file, named, &files, e);
}

/* Once for each change: nobody but a person can help. */
static void tell_lost(struct sx_transfer *t, struct sweep *s)
{
    const size_t n = s->lost < LOST_IDS_MAX ? (size_t)s->lost : LOST_IDS_MAX;
    const uint32_t sum = sx_crc32c(0, s->lost_ids, n * sizeof *s->lost_ids);
    struct sx_err e = SX_ERR_INIT;
    unsigned named = 0;

    if (s->lost == s->told && sum == s->told_sum)
        return;
    s->told = s->lost;
    s->told_sum = sum;
    if (s->lost == 0) {
        sx_info("no block is lost any more");
        return;
    }
    sx_error("%llu blocks are lost: damaged or missing here, and no node has them; restore these "
             "files from elsewhere:", (unsigned long long)s->lost);
    for (unsigned g = 0; g < sx_meta_groups(); g++)
        if (name_in_group(t, s, g, &named, &e))
            sx_warn("files of the lost blocks: %s", e.msg);
    if (named > LOST_FILES_MAX || s->lost > LOST_IDS_MAX)
        sx_error("and perhaps more: sxadm node check names all");
}

static void sweep_end(struct sx_transfer *t, struct sweep *s)
{
    bool again = s->missing || s->behind;

    t->count.sweeps++;
    t->count.missing = s->missing;
    t->count.lost = s->lost;
    tell_lost(t, s);
    if (!again)
        s->again_ms = 0;
    else if (s->again_ms == 0)
        s->again_ms = SWEEP_AGAIN_MIN_MS;
    else
        s->again_ms = s->again_ms * 2 < SWEEP_MS ? s->again_ms * 2 : SWEEP_MS;
    s->due_ms = sx_mono_ms() + (again ? s->again_ms : SWEEP_MS);
    if (s->fetched || s->missing)
        sx_info("sweep: %llu blocks were missing and fetched, %llu are missing still",
                (unsigned long long)s->fetched, (unsigned long long)s->missing);
}

/* A new map, or a node that is back while blocks are missing, makes a sweep due. */
static int watch(struct sx_transfer *t, struct sweep *s, struct sx_err *e)
{
    uint64_t version;
    sqlite3 *db;

    if (sx_meta_db(t->meta, SX_META_GROUP_CLUSTER, &db, e) || sx_query_map_version(db, &version, e))
        return -1;
    if (version != s->map_version) {
        s->map_version = version;
        s->due_ms = 0;
        s->running = false; /* what was looked at was placed by the old map */
        memset(s->down, 0, sizeof s->down);
    }
    for (size_t i = 0; i < sx_peers_count(t->peers); i++) {
        bool down = sx_peers_down(t->peers, i);

        if (s->down[i] && !down && t->count.missing &&
            s->due_ms > sx_mono_ms() + SWEEP_AGAIN_MIN_MS)
            s->due_ms = sx_mono_ms() + SWEEP_AGAIN_MIN_MS; /* or it may only be worth a try */
        s->down[i] = down;
    }
    return 0;
}

/* ---- the process ---- */

/* A little of everything.  *busy: there is more to do at once. */
static int step(struct sx_transfer *t, struct sweep *s, struct repair *r, bool *busy,
                struct sx_err *e)
{
    bool poked = sx_proc_poked(&t->proc);

    *busy = false;
    if (sx_peers_refresh(t->peers, e) || watch(t, s, e) || sx_transfer_push(t, busy, e))
        return -1;
    if ((poked || sx_mono_ms() >= r->due_ms) && repair(t, s, r, e))
        return -1;
    if (!s->running && sx_mono_ms() >= s->due_ms)
        sweep_begin(t, s);
    if (s->running) {
        if (sweep_page(t, s, e))
            return -1;
        if (!s->running)
            sweep_end(t, s);
        *busy = *busy || s->running;
    }
    return 0;
}

static bool changed(const struct sx_transfer_counters *a, const struct sx_transfer_counters *b)
{
    return memcmp(a, b, sizeof *a) != 0;
}

static void run(struct sx_transfer *t)
{
    struct sweep s = { 0 };
    struct repair r = { .wait_ms = REPAIR_MS };
    struct sx_transfer_counters shown = t->count;
    bool busy = false, failed = false;

    while (!sx_proc_stop(&t->proc, busy ? 0 : POLL_MS)) {
        struct sx_err e = SX_ERR_INIT;
        if (step(t, &s, &r, &busy, &e)) {
            if (!failed)
                sx_warn("block transfer: %s", e.msg);
            if (sx_proc_stop(&t->proc, FAILED_MS))
                break;
            failed = true;
        } else {
            failed = false;
        }
        if (changed(&shown, &t->count)) {
            sx_transfer_publish(t->conf->dir, &t->count);
            shown = t->count;
        }
    }
}

static int start(struct sx_transfer *t, struct sx_board *board, int stop_fd, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_asprintf("%s/run", t->conf->dir);

    if (sx_io_mkdirs(dir, e) ||
        sx_proc_init(&t->proc, t->conf->dir, SX_TRANSFER_POKE, stop_fd, e) ||
        sx_store_open_node(t->conf->dir, &t->store, e) || sx_queue_open(t->conf->dir, &t->queue, e))
        return -1;
    t->meta = sx_meta_new(t->conf->dir);
    t->peers = sx_peers_new(t->conf, board, t->meta);
    sx_transfer_publish(t->conf->dir, &t->count);
    return 0;
}

int sx_transfer_main(const struct sx_node_conf *conf, struct sx_board *board, int stop_fd)
{
    struct sx_transfer *t = sx_calloc(1, sizeof *t);
    struct sx_err e = SX_ERR_INIT;
    int status;

    t->conf = conf;
    t->proc.signal_fd = -1;
    status = start(t, board, stop_fd, &e) ? 1 : 0;
    if (status)
        sx_error("%s", e.msg);
    else
        run(t);
    sx_peers_free(t->peers);
    sx_meta_free(t->meta);
    sx_queue_close(t->queue);
    sx_store_close(t->store);
    sx_proc_fini(&t->proc);
    free(t);
    return status;
}
