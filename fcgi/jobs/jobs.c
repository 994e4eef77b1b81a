/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See jobs.h.
 *
 * It keeps nothing: a job's cursor, counts and state are in the metadata, moved by the same
 * command that does a step's work.  So another node's job manager goes on where this one was
 * when it died, or when the leader changed.  Two that act at the same time, around a change of
 * leader, do no harm either: a step takes whatever is next.
 */
#include "fcgi/jobs/jobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fcgi/jobs/count.h"
#include "fcgi/jobs/lifecycle.h"
#include "fcgi/meta/command.h"
#include "fcgi/meta/meta.h"
#include "fcgi/meta/query.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

struct jobs {
    struct sx_meta *meta;
    int stop_fd, signal_fd;
    uint64_t expire_at_ms; /* 0 at first: it brings the log's time up to date, which rules go by */
    uint64_t retry_at_ms; /* after a clean-up that failed */
    struct sx_buf command, result;
    struct sx_lifecycle_walk *lifecycle;
};

/* True once it is time to end; waits for that at most `ms`. */
static bool stop_wanted(struct jobs *j, int ms)
{
    struct pollfd p[2] = { { j->stop_fd, POLLIN, 0 }, { j->signal_fd, POLLIN, 0 } };

    return poll(p, 2, ms) > 0;
}

static int submit(struct jobs *j, struct sx_err *e)
{
    sx_buf_reset(&j->result);
    return sx_meta_submit(j->meta, SX_META_GROUP_CLUSTER, &j->command, &j->result,
                          SX_META_TIMEOUT_MS, e);
}

/* One step.  False: the job has ended, or is let be for now.  The operation id is new for each:
 * doing a step twice is no harm, and sx_meta_submit() itself repeats with the same one while it
 * waits for a leader. */
static bool step(struct jobs *j, const struct sx_job *job)
{
    struct sx_cmd_job_step c = { .id = job->id, .limit = SX_JOBS_STEP_FILES };
    struct sx_err e = SX_ERR_INIT;
    struct sx_job_result r;
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_buf_reset(&j->command);
    sx_cmd_job_step_encode(&j->command, op, "", &c);
    if (submit(j, &e) != 0 || sx_job_result_decode(j->result.data, j->result.len, &r, &e) != 0) {
        sx_warn("job %016llx: %s", (unsigned long long)job->id, e.msg);
        return false;
    }
    if (r.state == SX_JOB_WAITING || r.state == SX_JOB_RUNNING)
        return true;
    sx_info("job %016llx (%s, user '%s') is %s: %llu done, %llu failed",
            (unsigned long long)job->id, sx_job_type_name(job->type), job->user,
            sx_job_state_name(r.state), (unsigned long long)r.done, (unsigned long long)r.failed);
    return false;
}

/* All pending jobs, a step each in turn, until they have ended or it is time to look at the
 * whole again. */
static void run_jobs(struct jobs *j)
{
    struct sx_job jobs[SX_JOBS_AT_ONCE];
    struct sx_err e = SX_ERR_INIT;
    bool go[SX_JOBS_AT_ONCE], any = true;
    sqlite3 *db;
    size_t n;

    if (sx_meta_db(j->meta, SX_META_GROUP_CLUSTER, &db, &e) != 0 ||
        sx_query_jobs_pending(db, jobs, SX_JOBS_AT_ONCE, &n, &e) != 0) {
        sx_debug("%s", e.msg);
        return;
    }
    memset(go, true, sizeof go);
    for (unsigned round = 0; round < SX_JOBS_ROUNDS && any && !stop_wanted(j, 0); round++) {
        any = false;
        for (size_t i = 0; i < n; i++)
            if (go[i])
                any |= go[i] = step(j, &jobs[i]);
    }
}

/* Removes what has had its day.  False: there is more, come back at once. */
static bool expire(struct jobs *j)
{
    struct sx_cmd_expire c = { .limit = SX_JOBS_EXPIRE_ROWS };
    struct sx_err e = SX_ERR_INIT;
    uint8_t op[SX_OP_ID];
    struct sx_cur cur;

    sx_random(op, sizeof op);
    sx_buf_reset(&j->command);
    sx_cmd_expire_encode(&j->command, op, "", &c);
    if (submit(j, &e) != 0) {
        sx_warn("clean-up of the metadata: %s", e.msg);
        j->retry_at_ms = sx_mono_ms() + SX_JOBS_RETRY_MS;
        return true;
    }
    cur = sx_cur_of(j->result.data, j->result.len);
    sx_cur_u32(&cur);
    return sx_cur_u8(&cur) == 0;
}

/* True if block lists wait to be taken apart: their space should come back soon. */
static bool doomed(struct jobs *j)
{
    struct sx_err e = SX_ERR_INIT;
    bool any = false;
    sqlite3 *db;

    if (sx_mono_ms() < j->retry_at_ms)
        return false;
    if (sx_meta_db(j->meta, SX_META_GROUP_CLUSTER, &db, &e) != 0 ||
        sx_query_doomed(db, &any, &e) != 0)
        sx_debug("%s", e.msg);
    return any;
}

static void look(struct jobs *j)
{
    struct sx_err e = SX_ERR_INIT;
    bool leader = false;

    if (sx_meta_is_leader(j->meta, SX_META_GROUP_CLUSTER, &leader, &e) != 0)
        sx_debug("%s", e.msg);
    if (!leader)
        return;
    run_jobs(j);
    if ((sx_mono_ms() >= j->expire_at_ms || doomed(j)) && expire(j))
        j->expire_at_ms = sx_mono_ms() + SX_JOBS_EXPIRE_MS;
    sx_lifecycle_walk_step(j->lifecycle);
}

int sx_jobs_main(const struct sx_node_conf *conf, int stop_fd)
{
    struct jobs j = { .stop_fd = stop_fd, .command = SX_BUF_INIT, .result = SX_BUF_INIT };
    struct sx_count *count;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    j.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (j.signal_fd < 0) {
        sx_error("signalfd: %s", strerror(errno));
        return 1;
    }
    j.meta = sx_meta_new(conf->dir);
    count = sx_count_new(conf, j.meta);
    j.lifecycle = sx_lifecycle_walk_new(j.meta);
    while (!stop_wanted(&j, SX_JOBS_POLL_MS)) {
        look(&j);
        sx_count_look(count);
    }
    sx_lifecycle_walk_free(j.lifecycle);
    sx_count_free(count);
    sx_meta_free(j.meta);
    sx_buf_fini(&j.command);
    sx_buf_fini(&j.result);
    close(j.signal_fd);
    return 0;
}
