/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See apply.h.
 *
 * The apply thread has one job at a time: a batch, a swap, or the restart of SQLite's log (which
 * needs that nobody writes).  The aside thread has one job at a time: a checkpoint or a sync.  A
 * swap waits until both are idle.
 *
 * POSIX locks: SQLite loses its locks on a file when this process closes any descriptor of it. The
 * database and its -shm file are therefore never opened here but through SQLite; the -wal file
 * carries no locks.
 */
#include "fcgi/meta/manager/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fcgi/meta/manager/exec.h"
#include "fcgi/meta/sm/sm.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define BATCH_ENTRIES 1024u             /* of one transaction */
#define BATCH_BYTES (4u << 20)
#define CHECKPOINT_FRAMES 4000 /* more in SQLite's log than after the last attempt: move it to the database */
#define RESTART_FRAMES 8000    /* it goes on growing: let it begin anew between two transactions */
#define READERS_WAIT_MS 20     /* how long that waits for readers */

struct item {
    uint64_t index, term;
    uint8_t type;
    size_t at, len; /* in the batch's data */
};

struct batch {
    struct batch *next;
    struct sx_buf data;
    struct item *items;
    unsigned n, cap;
};

struct sx_apply {
    struct sx_loop *loop;
    const struct sx_apply_ops *ops;
    void *ctx;
    char *meta, *path, *wal_path, *ready_path;
    struct sx_exec *thread, *aside;
    struct sx_call kick;        /* at the end of the turn: begin with what was added in it */
    bool dead;                  /* an error was reported: nothing more is begun, no entry passed over */
    uint64_t index;             /* applied, as the loop knows */
    struct batch *head, **tail; /* waiting */
    /* The apply thread's while a job of it is busy. */
    struct sx_task apply, restart, swap;
    struct sx_sm *sm;
    sqlite3 *db; /* for reading the node list */
    struct batch *batch;
    struct sx_buf results; /* op, u32 code, u32 length, bytes */
    struct sx_node *nodes;
    size_t n_nodes;
    bool nodes_new;
    uint64_t map_version;
    uint64_t applied;
    int frames;      /* in SQLite's log */
    int frames_seen; /* the same, when the loop last looked */
    int frames_next; /* do something about them from here on */
    bool restart_next;
    struct sx_err err; /* code SX_OK: none */
    /* The aside thread's while a job of it is busy. */
    struct sx_task checkpoint, sync;
    struct sx_err aside_err;
    uint64_t sync_index;
    void (*sync_done)(void *ctx, uint64_t index);
    void *sync_ctx;
    void (*swap_done)(void *ctx); /* set: a swap is wanted or under way */
    void *swap_ctx;
};

/* ---- in the apply thread ---- */

static void note_result(void *arg, const uint8_t op[SX_OP_ID], int code, const char *msg,
                        const void *payload, size_t n)
{
    struct sx_apply *a = arg;

    sx_buf_add(&a->results, op, SX_OP_ID);
    sx_buf_u32(&a->results, (uint32_t)code);
    if (code == SX_OK)
        sx_buf_bytes(&a->results, payload, n);
    else
        sx_buf_bytes(&a->results, msg, strlen(msg));
}

static int apply_items(struct sx_apply *a, const struct batch *b, struct sx_err *e)
{
    if (sx_sm_begin(a->sm, e))
        return -1;
    for (unsigned i = 0; i < b->n; i++) {
        const struct item *it = &b->items[i];
        int r = it->type == SX_ENTRY_COMMAND ?
                    sx_sm_apply(a->sm, b->data.data + it->at, it->len, it->index, it->term, e) :
                    sx_sm_note(a->sm, it->index, it->term, e);

        if (r) {
            sx_sm_rollback(a->sm);
            return sx_err_wrap(e, "apply entry %" PRIu64, it->index);
        }
    }
    return sx_sm_commit(a->sm, e);
}

/* Reads the node list anew if it has changed. */
static int look_at_nodes(struct sx_apply *a, struct sx_err *e)
{
    struct sx_err local = SX_ERR_INIT;
    uint64_t version;

    if (sx_query_map_version(a->db, &version, &local)) {
        sx_err_copy(e, &local);
        return local.code == SX_ENOTFOUND ? 0 : -1; /* nothing applied yet */
    }
    if (version == a->map_version)
        return 0;
    free(a->nodes);
    a->nodes = NULL;
    if (sx_query_nodes(a->db, &a->nodes, &a->n_nodes, e))
        return sx_err_wrap(e, "read the list of nodes");
    a->map_version = version;
    a->nodes_new = true;
    return 0;
}

/* SQLite's log has so many frames after a commit. */
static int log_grew(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct sx_apply *a = arg;

    a->frames = frames;
    return SQLITE_OK;
}

static void apply_run(void *ctx)
{
    struct sx_apply *a = ctx;
    uint64_t term;

    if (apply_items(a, a->batch, &a->err) || look_at_nodes(a, &a->err))
        return;
    sx_err_clear(&a->err);
    sx_sm_applied(a->sm, &a->applied, &term);
}

/* One checkpoint over an own connection, which knows of the log only after a read. */
static int checkpoint(const char *path, int mode, int wait_ms, struct sx_err *e)
{
    sqlite3 *db = NULL;
    int r = sx_sums_open(path, &db, SQLITE_OPEN_READWRITE);

    if (r == SQLITE_OK) {
        sx_sums_watch(db);
        sqlite3_busy_timeout(db, wait_ms);
        r = sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    if (r == SQLITE_OK)
        r = sqlite3_wal_checkpoint_v2(db, NULL, mode, NULL, NULL);
    if (r != SQLITE_OK && r != SQLITE_BUSY && r != SQLITE_LOCKED)
        sx_err_set(e, sx_sums_failed(db) ? SX_ECORRUPT : SX_EIO, "checkpoint of %s: %s", path,
                   sqlite3_errmsg(db));
    else
        r = SQLITE_OK;
    sqlite3_close(db);
    return r == SQLITE_OK ? 0 : -1;
}

static void restart_run(void *ctx)
{
    struct sx_apply *a = ctx;

    checkpoint(a->path, SQLITE_CHECKPOINT_RESTART, READERS_WAIT_MS, &a->err);
}

static int unlink_if(const char *path, struct sx_err *e)
{
    if (unlink(path) && errno != ENOENT)
        return sx_err_errno(e, errno, "removing %s", path);
    return 0;
}

/* Puts the fetched database, if there is one, into place.  The old one goes first, and its logs
 * before the new one comes, so that no reader can take them for the new one's.  May be
 * interrupted and repeated anywhere. */
static int adopt(struct sx_apply *a, struct sx_err *e)
{
    SX_AUTO_FREE char *shm = sx_asprintf("%s-shm", a->path);

    if (access(a->ready_path, F_OK))
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "looking for %s", a->ready_path);
    if (unlink_if(a->path, e) || unlink_if(a->wal_path, e) || unlink_if(shm, e) ||
        sx_io_sync_dir(&sx_io_posix, a->meta, e))
        return -1;
    if (rename(a->ready_path, a->path))
        return sx_err_errno(e, errno, "renaming %s", a->ready_path);
    return sx_io_sync_dir(&sx_io_posix, a->meta, e) || sx_sums_lower(a->path, e) ? -1 : 0;
}

static int open_parts(struct sx_apply *a, struct sx_err *e)
{
    uint64_t term;

    if (sx_sm_open(a->path, 0, note_result, a, &a->sm, e) || sx_query_open(a->path, &a->db, e))
        return -1;
    sqlite3_wal_hook(sx_sm_db(a->sm), log_grew, a);
    a->frames = 0;
    sx_sm_applied(a->sm, &a->applied, &term);
    a->map_version = 0;
    return look_at_nodes(a, e);
}

static int open_db(struct sx_apply *a, struct sx_err *e)
{
    if (adopt(a, e))
        return -1;
    if (open_parts(a, e) == 0)
        return 0;
    if (e->code == SX_ECORRUPT)
        sx_sums_raise(a->path); /* also if no page's sum was wrong */
    return -1;
}

static void close_db(struct sx_apply *a)
{
    sx_query_close(a->db);
    sx_sm_close(a->sm);
    a->db = NULL;
    a->sm = NULL;
}

static void swap_run(void *ctx)
{
    struct sx_apply *a = ctx;

    close_db(a);
    if (open_db(a, &a->err) == 0)
        sx_err_clear(&a->err);
}

/* ---- in the aside thread ---- */

static void checkpoint_run(void *ctx)
{
    struct sx_apply *a = ctx;

    checkpoint(a->path, SQLITE_CHECKPOINT_PASSIVE, 0, &a->aside_err);
}

/* What was committed before is in the -wal file, or was moved from there and synced. */
static void sync_run(void *ctx)
{
    struct sx_apply *a = ctx;
    SX_AUTO_CLOSE int fd = open(a->wal_path, O_RDONLY | O_CLOEXEC);

    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && fdatasync(fd)))
        sx_err_errno(&a->aside_err, errno, "syncing %s", a->wal_path);
    else if (sx_io_sync_dir(&sx_io_posix, a->meta, &a->aside_err) == 0)
        sx_err_clear(&a->aside_err);
}

/* ---- in the loop ---- */

static void die(struct sx_apply *a, const struct sx_err *e)
{
    a->dead = true;
    a->ops->on_fatal(a->ctx, e);
}

static void run_batch(struct sx_apply *a)
{
    a->batch = a->head;
    a->head = a->batch->next;
    if (!a->head)
        a->tail = &a->head;
    sx_exec_run(a->thread, &a->apply);
}

/* SQLite's log has grown: a checkpoint beside the writer, and then, if it goes on growing, a
 * restart without him.  When both had no effect, since a reader holds an old state, the next
 * attempt comes after as many frames again. */
static void look_after_log(struct sx_apply *a)
{
    if (a->frames < a->frames_seen) /* it began anew */
        a->frames_next = CHECKPOINT_FRAMES;
    a->frames_seen = a->frames;
    if (a->frames < a->frames_next)
        return;
    a->frames_next = a->frames + CHECKPOINT_FRAMES;
    a->restart_next = a->frames >= RESTART_FRAMES;
    sx_exec_run(a->aside, &a->checkpoint);
}

static void go_on(void *ctx)
{
    struct sx_apply *a = ctx;
    bool aside_idle = !a->checkpoint.busy && !a->sync.busy;

    if (a->dead || a->apply.busy || a->restart.busy || a->swap.busy)
        return;
    if (a->swap_done) {
        if (aside_idle)
            sx_exec_run(a->thread, &a->swap);
        return;
    }
    if (aside_idle && a->restart_next) {
        a->restart_next = false;
        sx_exec_run(a->thread, &a->restart);
        return;
    }
    if (aside_idle)
        look_after_log(a);
    if (a->head)
        run_batch(a);
}

static void tell_results(struct sx_apply *a)
{
    struct sx_cur c = sx_cur_of(a->results.data, a->results.len);

    while (c.left > 0) {
        const uint8_t *op = sx_cur_take(&c, SX_OP_ID);
        int code = (int)sx_cur_u32(&c);
        size_t n;
        const uint8_t *p = sx_cur_bytes(&c, &n);

        sx_assert(!c.bad);
        a->ops->on_result(a->ctx, op, code, p, n);
    }
    sx_buf_reset(&a->results);
}

static void tell_progress(struct sx_apply *a)
{
    a->index = a->applied;
    if (a->nodes_new) {
        a->nodes_new = false;
        a->ops->on_nodes(a->ctx, a->nodes, a->n_nodes);
    }
    tell_results(a);
    a->ops->on_applied(a->ctx, a->index);
}

static void free_batch(struct batch *b)
{
    sx_buf_fini(&b->data);
    free(b->items);
    free(b);
}

static void apply_done(void *ctx)
{
    struct sx_apply *a = ctx;

    free_batch(SX_STEAL(a->batch));
    if (a->err.code != SX_OK) {
        die(a, &a->err);
        return;
    }
    tell_progress(a);
    go_on(a);
}

static void restart_done(void *ctx)
{
    struct sx_apply *a = ctx;

    if (a->err.code != SX_OK)
        die(a, &a->err);
    else
        go_on(a);
}

static void swap_finished(void *ctx)
{
    struct sx_apply *a = ctx;
    void (*done)(void *) = a->swap_done;

    a->swap_done = NULL;
    if (a->err.code != SX_OK) {
        die(a, &a->err);
        return;
    }
    tell_progress(a);
    done(a->swap_ctx);
    go_on(a);
}

static void checkpoint_done(void *ctx)
{
    struct sx_apply *a = ctx;

    if (a->aside_err.code != SX_OK)
        die(a, &a->aside_err);
    else
        go_on(a);
}

static void sync_finished(void *ctx)
{
    struct sx_apply *a = ctx;

    if (a->aside_err.code != SX_OK) {
        die(a, &a->aside_err);
        return;
    }
    a->sync_done(a->sync_ctx, a->sync_index);
    go_on(a);
}

struct sx_apply *sx_apply_new(struct sx_loop *l, const char *meta, unsigned group,
                              const struct sx_apply_ops *ops, void *ctx, struct sx_err *e)
{
    struct sx_apply *a = sx_calloc(1, sizeof *a);

    a->loop = l;
    a->ops = ops;
    a->ctx = ctx;
    a->tail = &a->head;
    a->meta = sx_strdup(meta);
    a->path = sx_asprintf("%s/group-%u.db", meta, group);
    a->wal_path = sx_asprintf("%s-wal", a->path);
    a->ready_path = sx_asprintf("%s.ready", a->path);
    a->kick = (struct sx_call){ .fn = go_on, .ctx = a };
    a->apply = (struct sx_task){ .run = apply_run, .done = apply_done, .ctx = a };
    a->restart = (struct sx_task){ .run = restart_run, .done = restart_done, .ctx = a };
    a->frames_next = CHECKPOINT_FRAMES;
    a->swap = (struct sx_task){ .run = swap_run, .done = swap_finished, .ctx = a };
    a->checkpoint = (struct sx_task){ .run = checkpoint_run, .done = checkpoint_done, .ctx = a };
    a->sync = (struct sx_task){ .run = sync_run, .done = sync_finished, .ctx = a };
    if (open_db(a, e) || !(a->thread = sx_exec_new(l, "sx-apply", e)) ||
        !(a->aside = sx_exec_new(l, "sx-checkpoint", e))) {
        sx_apply_free(a);
        return NULL;
    }
    a->index = a->applied;
    if (a->nodes_new) {
        a->nodes_new = false;
        ops->on_nodes(ctx, a->nodes, a->n_nodes);
    }
    return a;
}

void sx_apply_free(struct sx_apply *a)
{
    if (!a)
        return;
    sx_exec_free(a->thread);
    sx_exec_free(a->aside);
    close_db(a);
    sx_loop_undefer(a->loop, &a->kick);
    if (a->batch)
        free_batch(a->batch);
    while (a->head) {
        struct batch *b = a->head;

        a->head = b->next;
        free_batch(b);
    }
    sx_buf_fini(&a->results);
    free(a->nodes);
    free(a->meta);
    free(a->path);
    free(a->wal_path);
    free(a->ready_path);
    free(a);
}

uint64_t sx_apply_index(const struct sx_apply *a)
{
    return a->index;
}

const char *sx_apply_path(const struct sx_apply *a)
{
    return a->path;
}

/* The batch that the next entry goes to; the last one, unless it is full. */
static struct batch *open_batch(struct sx_apply *a)
{
    struct batch *b = a->head;

    while (b && b->next)
        b = b->next;
    if (b && b->n < BATCH_ENTRIES && b->data.len < BATCH_BYTES)
        return b;
    b = sx_calloc(1, sizeof *b);
    *a->tail = b;
    a->tail = &b->next;
    return b;
}

void sx_apply_add(struct sx_apply *a, const struct sx_entry *entry)
{
    struct batch *b = open_batch(a);

    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 8;
        b->items = sx_realloc(b->items, b->cap * sizeof *b->items);
    }
    b->items[b->n++] = (struct item){ .index = entry->index,
                                      .term = entry->term,
                                      .type = entry->type,
                                      .at = b->data.len,
                                      .len = entry->len };
    sx_buf_add(&b->data, entry->data, entry->len);
    sx_loop_defer(a->loop, &a->kick);
}

void sx_apply_sync(struct sx_apply *a, void (*done)(void *ctx, uint64_t index), void *ctx)
{
    sx_assert(!a->sync.busy);
    a->sync_index = a->index;
    a->sync_done = done;
    a->sync_ctx = ctx;
    sx_exec_run(a->aside, &a->sync);
}

void sx_apply_swap(struct sx_apply *a, void (*done)(void *ctx), void *ctx)
{
    sx_assert(!a->swap_done);
    a->swap_done = done;
    a->swap_ctx = ctx;
    go_on(a);
}
