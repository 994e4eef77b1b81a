/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See sm.h.  Life of the database, transactions, entries and table op.
 *
 * A refused command must leave no trace.  Most commands run inside a savepoint.  Those that come by
 * the thousand (file_put, upload_part) check everything before they write, which is asserted, and
 * save its cost.
 */
#include "fcgi/meta/sm/sm.h"

#include <string.h>

#include "fcgi/meta/sm/sm_int.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define CACHE_KIB_DEFAULT 65536u
#define JUMP_MS 120000u /* there is an entry every minute (SX_JOBS_EXPIRE_MS) */

static sx_sm_handler *const handlers[256] = {
#define X(NAME, name, number) [number] = sx_sm_do_##name,
    SX_CMD_LIST(X)
#undef X
};

/* ---- statements ---- */

static sqlite3_stmt *statement(struct sx_sm *sm, const char *sql, struct sx_err *e)
{
    size_t i = ((uintptr_t)sql >> 3) * 0x9e3779b97f4a7c15u >> 40 & (SX_SM_STMTS - 1);

    for (unsigned n = 0; n < SX_SM_STMTS; n++, i = (i + 1) & (SX_SM_STMTS - 1)) {
        int rc;

        if (sm->stmts[i].sql == sql && !sqlite3_stmt_busy(sm->stmts[i].st))
            return sm->stmts[i].st;
        if (sm->stmts[i].sql)
            continue;
        rc = sqlite3_prepare_v3(sm->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &sm->stmts[i].st, NULL);
        if (rc != SQLITE_OK) {
            sm->broken = true;
            sx_mdb_error(sm->db, rc, e);
            return NULL;
        }
        sm->stmts[i].sql = sql;
        return sm->stmts[i].st;
    }
    sx_assert(!"room for one more statement");
    return NULL;
}

int sx_sm_next(struct sx_sm *sm, struct sx_err *e, sqlite3_stmt *st)
{
    int rc = sx_mdb_step(st, e);

    if (rc < 0)
        sm->broken = true;
    return rc;
}

static int row(struct sx_sm *sm, struct sx_err *e, sqlite3_stmt **st, const char *sql,
               const char *format, va_list ap)
{
    *st = statement(sm, sql, e);
    if (!*st)
        return -1;
    sx_mdb_bind(*st, format, ap);
    return sx_sm_next(sm, e, *st);
}

int sx_sm_row(struct sx_sm *sm, struct sx_err *e, sqlite3_stmt **st, const char *sql,
              const char *format, ...)
{
    va_list ap;
    int rc;

    va_start(ap, format);
    rc = row(sm, e, st, sql, format, ap);
    va_end(ap);
    return rc;
}

int sx_sm_run(struct sx_sm *sm, struct sx_err *e, const char *sql, const char *format, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    int rc;

    va_start(ap, format);
    rc = row(sm, e, &st, sql, format, ap);
    va_end(ap);
    sx_assert(rc != 1);
    return rc;
}

int sx_sm_number(struct sx_sm *sm, struct sx_err *e, uint64_t *v, uint64_t dflt, const char *sql,
                 const char *format, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    int rc;

    va_start(ap, format);
    rc = row(sm, e, &st, sql, format, ap);
    va_end(ap);
    if (rc < 0)
        return -1;
    *v = rc ? sx_mdb_u64(st, 0) : dflt;
    sqlite3_reset(st);
    return 0;
}

/* ---- life ---- */

static int state_load(struct sx_sm *sm, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT idx, term, time_ms, jump_ms FROM state", "");

    if (rc == 1) {
        sm->index = sx_mdb_u64(st, 0);
        sm->term = sx_mdb_u64(st, 1);
        sm->time_ms = sx_mdb_u64(st, 2);
        sm->jump_ms = sx_mdb_u64(st, 3);
        sqlite3_reset(st);
    }
    return rc;
}

static int setup(struct sx_sm *sm, unsigned cache_kib, struct sx_err *e)
{
    SX_AUTO_FREE char *cache =
        sx_asprintf("PRAGMA cache_size = -%u", cache_kib ? cache_kib : CACHE_KIB_DEFAULT);

    sqlite3_extended_result_codes(sm->db, 1);
    sx_sums_watch(sm->db);
    sqlite3_busy_timeout(sm->db, SX_DB_BUSY_MS);
    if (sx_mdb_exec(sm->db, "PRAGMA journal_mode = WAL", e) != 0 ||
        sx_mdb_exec(sm->db, "PRAGMA synchronous = NORMAL", e) != 0 ||
        sx_mdb_exec(sm->db, "PRAGMA wal_autocheckpoint = 0", e) != 0 ||
        sx_mdb_exec(sm->db, "PRAGMA temp_store = MEMORY", e) != 0 ||
        sx_mdb_exec(sm->db, cache, e) != 0 || sx_sm_schema(sm->db, e) != 0)
        return -1;
    if (state_load(sm, e) != 1)
        return sm->broken ? -1 : sx_err_set(e, SX_ECORRUPT,
                                            "metadata database: table state is empty");
    return 0;
}

int sx_sm_open(const char *path, unsigned cache_kib, sx_sm_result_fn *fn, void *arg,
               struct sx_sm **sm, struct sx_err *e)
{
    struct sx_sm *s = sx_calloc(1, sizeof *s);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sx_sums_open(path, &s->db, flags);

    s->fn = fn;
    s->arg = arg;
    s->md = EVP_MD_CTX_new();
    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!s->md || !s->sha256 || !s->db)
        sx_err_set(e, SX_ENOMEM, "no memory for the state machine");
    else if (rc != SQLITE_OK)
        sx_mdb_error(s->db, rc, e);
    else if (setup(s, cache_kib, e) == 0) {
        *sm = s;
        return 0;
    }
    sx_sm_close(s);
    return sx_err_wrap(e, "open %s", path);
}

void sx_sm_close(struct sx_sm *sm)
{
    if (!sm)
        return;
    if (sm->in_transaction)
        sx_sm_rollback(sm);
    for (unsigned i = 0; i < SX_SM_STMTS; i++)
        sqlite3_finalize(sm->stmts[i].st);
    sx_query_close(sm->db);
    sx_buf_fini(&sm->results);
    EVP_MD_free(sm->sha256);
    EVP_MD_CTX_free(sm->md);
    free(sm);
}

void sx_sm_applied(const struct sx_sm *sm, uint64_t *index, uint64_t *term)
{
    *index = sm->index;
    *term = sm->term;
}

uint64_t sx_sm_time(const struct sx_sm *sm)
{
    return sm->time_ms;
}

sqlite3 *sx_sm_db(struct sx_sm *sm)
{
    return sm->db;
}

/* ---- transactions ---- */

int sx_sm_begin(struct sx_sm *sm, struct sx_err *e)
{
    sx_assert(!sm->in_transaction);
    sx_buf_reset(&sm->results);
    if (sx_sm_run(sm, e, "BEGIN IMMEDIATE", "") != 0)
        return -1;
    sm->in_transaction = true;
    sm->broken = false;
    return 0;
}

static void results_deliver(struct sx_sm *sm)
{
    struct sx_cur c = sx_cur_of(sm->results.data, sm->results.len);

    while (c.left) {
        const uint8_t *op = sx_cur_take(&c, SX_OP_ID);
        int code = (int)sx_cur_u32(&c);
        size_t len, n;
        const char *msg = (const char *)sx_cur_bytes(&c, &len);
        const uint8_t *payload = sx_cur_bytes(&c, &n);

        sx_assert(!c.bad);
        if (sm->fn)
            sm->fn(sm->arg, op, code, msg, payload, n);
    }
    sx_buf_reset(&sm->results);
}

int sx_sm_commit(struct sx_sm *sm, struct sx_err *e)
{
    sx_assert(sm->in_transaction && !sm->broken);
    if (sx_sm_run(sm, e, "UPDATE state SET idx = ?, term = ?, time_ms = ?, jump_ms = ?", "iiii",
                  sm->index, sm->term, sm->time_ms, sm->jump_ms) != 0 ||
        sx_sm_run(sm, e, "COMMIT", "") != 0)
        return -1;
    sm->in_transaction = false;
    results_deliver(sm);
    return 0;
}

void sx_sm_rollback(struct sx_sm *sm)
{

    sx_assert(sm->in_transaction);
    for (unsigned i = 0; i < SX_SM_STMTS; i++)
        sqlite3_reset(sm->stmts[i].st);
    sqlite3_exec(sm->db, "ROLLBACK", NULL, NULL, NULL);
    sm->in_transaction = false;
    sm->broken = false;
    sx_buf_reset(&sm->results);
    state_load(sm, NULL);
}

int sx_sm_checkpoint(struct sx_sm *sm, bool truncate, struct sx_err *e)
{
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int rc;

    sx_assert(!sm->in_transaction);
    rc = sqlite3_wal_checkpoint_v2(sm->db, NULL, mode, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sx_mdb_error(sm->db, rc, e);
}

/* ---- commands ---- */

static void result_add(struct sx_sm *sm, const uint8_t op[SX_OP_ID], int code, const char *msg,
                       const void *payload, size_t n)
{
    size_t len = strlen(msg);

    sx_buf_add(&sm->results, op, SX_OP_ID);
    sx_buf_u32(&sm->results, (uint32_t)code);
    sx_buf_u32(&sm->results, (uint32_t)len + 1);
    sx_buf_add(&sm->results, msg, len + 1);
    sx_buf_bytes(&sm->results, payload, n);
}

static bool is_checked_first(unsigned type)
{
    return type == SX_CMD_FILE_PUT || type == SX_CMD_UPLOAD_PART;
}

/* Runs the handler; a refusal is undone. */
static int handle(struct sx_sm *sm, const struct sx_cmd *c, struct sx_err *why)
{
    bool bare = is_checked_first(c->type);
    sqlite3_int64 before = sqlite3_total_changes64(sm->db);
    struct sx_err e = SX_ERR_INIT;
    int rc;

    if (!bare && sx_sm_run(sm, why, "SAVEPOINT command", "") != 0)
        return -1;
    rc = handlers[c->type](sm, &c->body, why);
    if (sm->broken)
        return -1;
    if (bare) {
        sx_assert(rc == 0 || sqlite3_total_changes64(sm->db) == before);
        return rc;
    }
    if ((rc != 0 && sx_sm_run(sm, &e, "ROLLBACK TO command", "") != 0) ||
        sx_sm_run(sm, &e, "RELEASE command", "") != 0) {
        sx_err_copy(why, &e);
        return -1;
    }
    return rc;
}

static int dispatch(struct sx_sm *sm, const struct sx_cmd *c, struct sx_err *why)
{
    if (!handlers[c->type])
        return sx_err_set(why, SX_EUNSUPPORTED, "command of unknown type %u", c->type);
    if (sx_sm_caller(sm, c->user, why) != 0)
        return -1;
    return handle(sm, c, why);
}

/* The result that is on record for this op id: 1 and queued, 0 none. */
static int repeated(struct sx_sm *sm, const struct sx_cmd *c, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT code, message, payload, user, type FROM op WHERE op = ?",
                       "b", c->op, (size_t)SX_OP_ID);

    if (rc != 1)
        return rc;
    if (strcmp((const char *)sqlite3_column_text(st, 3), c->user) != 0 ||
        sqlite3_column_int(st, 4) != c->type)
        result_add(sm, c->op, SX_ECONFLICT, "the operation id was used for another operation", NULL,
                   0);
    else {
        struct sx_span payload = sx_mdb_blob(st, 2);

        result_add(sm, c->op, sqlite3_column_int(st, 0), (const char *)sqlite3_column_text(st, 1),
                   payload.p, payload.n);
    }
    sqlite3_reset(st);
    return 1;
}

/* A refusal that may pass with time is not put on record, so that it can be tried again. */
static bool is_recorded(int code)
{
    return code == SX_OK || sx_err_retry(code) != SX_RETRY_SAME;
}

static int command_apply(struct sx_sm *sm, const void *p, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf payload = SX_BUF_INIT;
    struct sx_err why = SX_ERR_INIT;
    struct sx_cmd c;
    int rc;

    if (sx_cmd_parse(p, n, &c, &why) != 0) {
        sx_error("entry %llu: %s", (unsigned long long)(sm->num >> 16), why.msg);
        return 0;
    }
    rc = repeated(sm, &c, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    sm->out = &payload;
    if (dispatch(sm, &c, &why) == 0)
        sx_err_clear(&why);
    else
        sx_buf_reset(&payload);
    if (sm->broken) {
        sx_err_copy(e, &why);
        return sx_err_wrap(e, "apply %s", sx_cmd_name(c.type));
    }
    result_add(sm, c.op, why.code, why.code ? why.msg : "", payload.data, payload.len);
    if (!is_recorded(why.code))
        return 0;
    return sx_sm_run(sm, e, "INSERT INTO op VALUES(?, ?, ?, ?, ?, ?, ?, ?)", "ibtuutoi", sm->num,
                     c.op, (size_t)SX_OP_ID, c.user, (unsigned)c.type, (unsigned)why.code,
                     why.code ? why.msg : "", payload.data, payload.len, sm->time_ms);
}

int sx_sm_apply(struct sx_sm *sm, const void *entry, size_t n, uint64_t index, uint64_t term,
                struct sx_err *e)
{
    struct sx_entry_iter it;
    const uint8_t *command;
    uint64_t position = 0;
    size_t len;

    sx_assert(sm->in_transaction && !sm->broken && index < 1ull << 47);
    if (index <= sm->index)
        return 0;
    if (sx_entry_open(entry, n, &it, e) != 0) {
        sm->broken = true;
        return sx_err_wrap(e, "entry %llu", (unsigned long long)index);
    }
    /* The clock of a new leader may be ahead; or nobody led for a while. */
    if (it.time_ms > sm->time_ms + JUMP_MS) {
        sm->jump_ms = it.time_ms;
        if (sx_sm_pins_shift(sm, it.time_ms - sm->time_ms, e) != 0)
            return sx_err_wrap(e, "entry %llu", (unsigned long long)index);
    }
    sm->time_ms = it.time_ms;
    while (sx_entry_next(&it, &command, &len)) {
        sm->num = index << 16 | position++;
        if (command_apply(sm, command, len, e) != 0)
            return sx_err_wrap(e, "entry %llu", (unsigned long long)index);
    }
    sm->index = index;
    sm->term = term;
    return 0;
}

int sx_sm_note(struct sx_sm *sm, uint64_t index, uint64_t term, struct sx_err *e)
{
    sx_assert(sm->in_transaction && !sm->broken);
    if (index > sm->index) {
        sm->index = index;
        sm->term = term;
    }
    return 0;
}

int sx_sm_op_find(struct sx_sm *sm, const uint8_t op[SX_OP_ID], int *code, struct sx_buf *msg,
                  struct sx_buf *payload, struct sx_err *e)
{
    sqlite3_stmt *st;
    struct sx_span s;
    int rc = sx_sm_row(sm, e, &st, "SELECT code, message, payload FROM op WHERE op = ?", "b", op,
                       (size_t)SX_OP_ID);

    if (rc != 1)
        return rc;
    *code = sqlite3_column_int(st, 0);
    sx_buf_reset(msg);
    sx_buf_str(msg, (const char *)sqlite3_column_text(st, 1));
    sx_buf_reset(payload);
    s = sx_mdb_blob(st, 2);
    sx_buf_add(payload, s.p, s.n);
    sqlite3_reset(st);
    return 1;
}
