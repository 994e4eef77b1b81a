/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Jobs, as clients make, watch and stop them: docs/api.md section 7.  The job manager does the
 * work.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/api/common.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

#define JOBS_LISTED_MAX 1000
#define WAIT_MAX_MS 30000
#define WAIT_FIRST_MS 20
#define WAIT_STEP_MAX_MS 250

int sx_do_reply_job(struct sx_req *r, const struct sx_buf *result, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(result->data, result->len);
    char hex[SX_NODE_HEX + 1];
    uint64_t id = sx_cur_u64(&c);

    if (!sx_cur_done(&c))
        return sx_err_set(e, SX_EBUG, "a new job's result has %zu bytes", result->len);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)id);
    return sx_reply_json(r, 202, json_pack("{s:s}", "job", hex));
}

static int read_job(const json_t *j, struct sx_cmd_job_create *c, struct sx_err *e)
{
    const char *type;

    if (sx_json_need_str(j, "type", &type, e) != 0 ||
        sx_json_need_str(j, "volume", &c->volume, e) != 0 ||
        sx_json_str(j, "prefix", "", &c->prefix, e) != 0 ||
        sx_json_str(j, "glob", "", &c->glob, e) != 0 ||
        sx_json_str(j, "to_volume", c->volume, &c->to_volume, e) != 0 ||
        sx_json_str(j, "to_prefix", "", &c->to_prefix, e) != 0)
        return -1;
    if (strcmp(type, "delete") == 0)
        c->job_type = SX_JOB_DELETE;
    else if (strcmp(type, "rename") == 0)
        c->job_type = SX_JOB_RENAME;
    else
        return sx_err_set(e, SX_EINVAL, "the job type '%.32s' is neither 'delete' nor 'rename'",
                          type);
    if (c->job_type == SX_JOB_DELETE && json_object_get(j, "to_prefix"))
        return sx_err_set(e, SX_EINVAL, "a 'delete' job has no 'to_prefix'");
    if (c->job_type == SX_JOB_DELETE)
        c->to_volume = "";
    if (sx_volume_name_check(c->volume, e) != 0 ||
        (c->to_volume[0] && sx_volume_name_check(c->to_volume, e) != 0))
        return -1;
    if (strlen(c->prefix) > SX_PATH_MAX || strlen(c->to_prefix) > SX_PATH_MAX ||
        strlen(c->glob) > SX_GLOB_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "a prefix or pattern has more than %u bytes",
                          SX_PATH_MAX);
    return 0;
}

int sx_h_job_create(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = {
        "type", "volume", "prefix", "glob", "to_volume", "to_prefix", NULL,
    };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_job_create c = { 0 };
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_req_json(r, &j, e) != 0 || sx_req_members(j, members, e) != 0 || read_job(j, &c, e) != 0)
        return -1;
    sx_cmd_job_create_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_do_reply_job(r, &result, e);
}

static bool job_ended(const json_t *j)
{
    const char *state = json_string_value(json_object_get(j, "state"));

    return !state || (strcmp(state, sx_job_state_name(SX_JOB_WAITING)) != 0 &&
                      strcmp(state, sx_job_state_name(SX_JOB_RUNNING)) != 0);
}

static int query_job(struct sx_req *r, uint64_t id, json_t **j, struct sx_err *e)
{
    sqlite3 *db;

    return sx_app_db(r->app, &db, e) != 0 ? -1 : sx_query_job_json(db, r->user, id, j, e);
}

/* Who waits holds a worker: at most half of them may. */
static bool may_wait(const struct sx_req *r)
{
    return sx_board_count(r->app->board, SX_BOARD_WAITING) < r->app->conf->workers / 2;
}

static int wait_job(struct sx_req *r, uint64_t id, uint64_t wait_ms, json_t **j, struct sx_err *e)
{
    uint64_t until = sx_mono_ms() + wait_ms, pause = WAIT_FIRST_MS;

    while (!job_ended(*j) && sx_mono_ms() < until) {
        sx_sleep_ms(pause);
        pause = pause * 2 < WAIT_STEP_MAX_MS ? pause * 2 : WAIT_STEP_MAX_MS;
        json_decref(*j);
        *j = NULL;
        if (query_job(r, id, j, e) != 0)
            return -1;
    }
    return 0;
}

int sx_h_job_get(struct sx_req *r, struct sx_err *e)
{
    unsigned long long wait_ms;
    json_t *j = NULL;
    uint64_t id;
    int result = 0;

    if (sx_do_hex64(r->args.v[0], "job id", &id, e) != 0 ||
        sx_query_u64(&r->query, "wait_ms", 0, WAIT_MAX_MS, &wait_ms, e) != 0 ||
        query_job(r, id, &j, e) != 0)
        return -1;
    if (wait_ms > 0 && may_wait(r)) {
        atomic_store(&r->app->slot->state, SX_BOARD_WAITING);
        result = wait_job(r, id, wait_ms, &j, e);
        atomic_store(&r->app->slot->state, SX_BOARD_BUSY);
    }
    return result != 0 ? -1 : sx_reply_json(r, 200, j);
}

int sx_h_jobs(struct sx_req *r, struct sx_err *e)
{
    json_t *array;
    sqlite3 *db;

    if (sx_app_db(r->app, &db, e) != 0 ||
        sx_query_jobs_json(db, r->user, JOBS_LISTED_MAX, &array, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_pack("{s:o}", "jobs", array));
}

int sx_h_job_cancel(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_job_cancel c;
    json_t *j;

    if (sx_do_hex64(r->args.v[0], "job id", &c.id, e) != 0)
        return -1;
    sx_cmd_job_cancel_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0 || query_job(r, c.id, &j, e) != 0)
        return -1;
    return sx_reply_json(r, 200, j);
}
