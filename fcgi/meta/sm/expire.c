/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The expire command: removes what has had its day, by the entry's time, a bounded number of rows
 * at a time.
 */
#include "fcgi/meta/sm/sm_int.h"

#define OP_MS (15ull * 60 * 1000)
#define JOB_MS (30ull * 24 * 3600 * 1000)

static uint64_t ago(const struct sx_sm *sm, uint64_t ms)
{
    return sm->time_ms > ms ? sm->time_ms - ms : 0;
}

/* Results of commands: their numbers and their times ascend together.  Time that jumped has not
 * passed: whoever repeats a command with its id must not have it done twice. */
static int ops_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e)
{
    uint64_t n = 0, last = 0;
    sqlite3_stmt *st;
    int rc;

    if (ago(sm, OP_MS) < sm->jump_ms)
        return 0;
    rc = sx_sm_row(sm, e, &st, "SELECT num, time_ms FROM op ORDER BY num LIMIT ?", "i", *budget);
    for (; rc == 1; rc = sx_sm_next(sm, e, st), n++) {
        if (sx_mdb_u64(st, 1) >= ago(sm, OP_MS)) {
            sqlite3_reset(st);
            break;
        }
        last = sx_mdb_u64(st, 0);
    }
    if (rc < 0)
        return -1;
    *budget -= n;
    return n ? sx_sm_run(sm, e, "DELETE FROM op WHERE num <= ?", "i", last) : 0;
}

/* Runs a DELETE that is bounded by its last parameter. */
static int rows_expire(struct sx_sm *sm, uint64_t *budget, const char *sql, uint64_t before,
                       struct sx_err *e)
{
    if (*budget == 0)
        return 0;
    if (sx_sm_run(sm, e, sql, "ii", before, *budget) != 0)
        return -1;
    *budget -= (uint64_t)sqlite3_changes64(sm->db);
    return 0;
}

int sx_sm_do_expire(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    static const char jobs[] = "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state >= 2"
                               " AND updated_ms < ? ORDER BY id LIMIT ?)";
    static const char tokens[] = "DELETE FROM token WHERE id IN (SELECT id FROM token WHERE"
                                 " expires_ms < ? ORDER BY id LIMIT ?)";
    struct sx_cmd_expire c;
    uint64_t left;

    if (sx_cmd_expire_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0)
        return -1;
    if (c.limit == 0 || c.limit > SX_EXPIRE_MAX)
        return sx_err_set(e, SX_EINVAL, "limit %u is not between 1 and %u", c.limit, SX_EXPIRE_MAX);
    left = c.limit;
    if (ops_expire(sm, &left, e) != 0 || sx_sm_uploads_expire(sm, &left, e) != 0 ||
        sx_sm_pins_expire(sm, &left, e) != 0 ||
        rows_expire(sm, &left, jobs, ago(sm, JOB_MS), e) != 0 ||
        rows_expire(sm, &left, tokens, sm->time_ms, e) != 0 ||
        sx_content_expire(sm, &left, e) != 0 || sx_frow_expire(sm, &left, e) != 0)
        return -1;
    sx_buf_u32(sm->out, (uint32_t)(c.limit - left));
    sx_buf_u8(sm->out, left == 0);
    return 0;
}
