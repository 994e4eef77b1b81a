/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See meta.h.  A blocking client of the group manager's local socket (frames: docs/formats.md,
 * section 11): one question at a time, or many submits at once, told apart by their tags.  A
 * connection that breaks is made again within the call's time-out, and what has no answer
 * repeated: submits are harmless twice, by their op id.
 */
#include "fcgi/meta/meta.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fcgi/meta/manager/frame.h"
#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

#define RETRY_MS 50u       /* between two attempts to reach the manager */
#define GRACE_MS 1000u     /* the manager answers a time-out itself; wait a little longer for that */
#define QUICK_MS 2000u     /* status and role: answered at once by a manager that lives */
#define ANSWER_MAX (4u << 20)

struct sx_meta {
    char *socket_path;
    char *db_path;
    int fd; /* -1: not connected */
    uint64_t tag;
    struct sx_buf answer; /* body of the last one */
    sqlite3 *db;
    dev_t db_dev;
    ino_t db_ino;
};

/* Submits on their way. */
struct submit {
    unsigned group, timeout_ms;
    uint64_t deadline_ms;
    struct sx_submission *all;
    size_t n;
};

struct sx_meta *sx_meta_new(const char *dir)
{
    struct sx_meta *m = sx_calloc(1, sizeof *m);

    m->socket_path = sx_asprintf("%s/run/manager.sock", dir);
    m->db_path = sx_asprintf("%s/meta/group-0.db", dir);
    m->fd = -1;
    return m;
}

static void disconnect(struct sx_meta *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

void sx_meta_free(struct sx_meta *m)
{
    if (!m)
        return;
    disconnect(m);
    sx_query_close(m->db);
    sx_buf_fini(&m->answer);
    free(m->socket_path);
    free(m->db_path);
    free(m);
}

unsigned sx_meta_groups(void)
{
    return 1;
}

unsigned sx_meta_group_of_volume(uint64_t volume_id)
{
    return SX_META_GROUP_CLUSTER;
}

static int connect_manager(struct sx_meta *m, struct sx_err *e)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    SX_AUTO_CLOSE int fd = -1;

    if (m->fd >= 0)
        return 0;
    if (strlen(m->socket_path) >= sizeof at.sun_path)
        return sx_err_set(e, SX_ECONFIG, "the path of the socket %s is too long", m->socket_path);
    strcpy(at.sun_path, m->socket_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sx_err_errno(e, errno, "making a socket");
    if (connect(fd, (struct sockaddr *)&at, sizeof at))
        return sx_err_set(e, SX_EUNAVAIL, "the group manager is not reachable at %s: %s",
                          m->socket_path, strerror(errno));
    m->fd = sx_steal_fd(&fd);
    return 0;
}

/* Waits until the socket can be read from or written to. */
static int wait_socket(const struct sx_meta *m, short events, uint64_t deadline_ms,
                       struct sx_err *e)
{
    struct pollfd pfd = { .fd = m->fd, .events = events };
    uint64_t now = sx_mono_ms();

    if (now >= deadline_ms || poll(&pfd, 1, (int)(deadline_ms - now)) == 0)
        return sx_err_set(e, SX_ETIMEOUT, "no answer from the group manager in time");
    return 0;
}

static int send_all(struct sx_meta *m, const struct sx_buf *b, uint64_t deadline_ms,
                    struct sx_err *e)
{
    size_t at = 0;

    while (at < b->len) {
        ssize_t n;

        if (wait_socket(m, POLLOUT, deadline_ms, e))
            return -1;
        n = send(m->fd, b->data + at, b->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return sx_err_set(e, SX_EUNAVAIL, "sending to the group manager: %s", strerror(errno));
        at += (size_t)n;
    }
    return 0;
}

static int recv_all(struct sx_meta *m, uint8_t *p, size_t n, uint64_t deadline_ms, struct sx_err *e)
{
    while (n > 0) {
        ssize_t got;

        if (wait_socket(m, POLLIN, deadline_ms, e))
            return -1;
        got = recv(m->fd, p, n, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return sx_err_set(e, SX_EUNAVAIL, "the group manager closed the connection");
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

/* Reads one answer into m->answer; `tag` is that of its request. */
static int recv_frame(struct sx_meta *m, uint64_t deadline_ms, uint64_t *tag, struct sx_err *e)
{
    uint8_t head[SX_FRAME_HEADER];
    struct sx_frame f;

    if (recv_all(m, head, sizeof head, deadline_ms, e) || sx_frame_head(&f, head, ANSWER_MAX, e))
        return -1;
    sx_buf_reset(&m->answer);
    if (recv_all(m, sx_buf_extend(&m->answer, f.len), f.len, deadline_ms, e))
        return -1;
    if (f.type != SX_FRAME_ANSWER)
        return sx_err_set(e, SX_EMALFORMED, "the group manager sent a frame of type %u", f.type);
    *tag = f.word;
    return 0;
}

/* Reads answers until that of the last request; those of requests that were given up are passed
 * over. */
static int recv_answer(struct sx_meta *m, uint64_t deadline_ms, struct sx_err *e)
{
    uint64_t tag;

    do {
        if (recv_frame(m, deadline_ms, &tag, e))
            return -1;
    } while (tag != m->tag);
    return 0;
}

static int exchange(struct sx_meta *m, struct sx_frame *f, uint64_t deadline_ms, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    f->word = ++m->tag;
    sx_frame_put(&b, f);
    if (connect_manager(m, e))
        return -1;
    if (send_all(m, &b, deadline_ms, e) || recv_answer(m, deadline_ms, e)) {
        disconnect(m);
        return -1;
    }
    return 0;
}

/* After a failed attempt: waits a little and is true, if another one may help in time. */
static bool again(const struct sx_err *e, uint64_t deadline_ms)
{
    if (e->code != SX_EUNAVAIL || sx_mono_ms() + RETRY_MS >= deadline_ms)
        return false;
    sx_sleep_ms(RETRY_MS);
    return true;
}

/* Repeats a request until there is an answer or the time is over. */
static int request(struct sx_meta *m, struct sx_frame *f, unsigned timeout_ms, struct sx_err *e)
{
    uint64_t deadline_ms = sx_mono_ms() + timeout_ms;
    struct sx_err local = SX_ERR_INIT;

    while (exchange(m, f, deadline_ms, &local)) {
        if (!again(&local, deadline_ms)) {
            sx_err_copy(e, &local);
            return -1;
        }
    }
    return 0;
}

/* The payload of the answer, or the error in it. */
static int answer_payload(struct sx_meta *m, const uint8_t **p, size_t *n, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(m->answer.data, m->answer.len);
    int code = (int)sx_cur_u32(&c);
    const uint8_t *bytes = sx_cur_bytes(&c, n);

    if (!sx_cur_done(&c))
        return sx_err_set(e, SX_EMALFORMED, "malformed answer of the group manager");
    if (code != SX_OK)
        return sx_err_set(e, code, "%.*s", (int)(*n < SX_ERR_MSG_MAX ? *n : SX_ERR_MSG_MAX),
                          (const char *)bytes);
    *p = bytes;
    return 0;
}

static int check_group(unsigned group, struct sx_err *e)
{
    if (group >= sx_meta_groups())
        return sx_err_set(e, SX_EINVAL, "there is no group %u", group);
    return 0;
}

/* ---- submits ---- */

/* Those without an answer, in one go; the tag of all[i] is *first + i. */
static int submit_send(struct sx_meta *m, const struct submit *job, uint64_t *first,
                       struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT, body = SX_BUF_INIT;
    struct sx_frame f = { .type = SX_FRAME_SUBMIT, .group = (uint16_t)job->group };

    *first = m->tag + 1;
    m->tag += job->n;
    for (size_t i = 0; i < job->n; i++) {
        if (job->all[i].answered)
            continue;
        sx_buf_reset(&body);
        sx_buf_u32(&body, job->timeout_ms);
        sx_buf_add(&body, job->all[i].command->data, job->all[i].command->len);
        f.word = *first + i;
        f.body = body.data;
        f.len = (uint32_t)body.len;
        sx_frame_put(&b, &f);
    }
    return send_all(m, &b, job->deadline_ms, e);
}

static void submit_answer(struct sx_meta *m, struct sx_submission *s)
{
    const uint8_t *p;
    size_t n;

    s->answered = true;
    sx_err_clear(&s->err);
    if (answer_payload(m, &p, &n, &s->err))
        return;
    sx_buf_reset(s->result);
    sx_buf_add(s->result, p, n);
}

static int submit_exchange(struct sx_meta *m, const struct submit *job, size_t *left,
                           struct sx_err *e)
{
    uint64_t first, tag;

    if (connect_manager(m, e))
        return -1;
    if (submit_send(m, job, &first, e))
        goto broken;
    while (*left > 0) {
        if (recv_frame(m, job->deadline_ms, &tag, e))
            goto broken;
        if (tag < first || tag - first >= job->n || job->all[tag - first].answered)
            continue; /* of a request that was given up */
        submit_answer(m, &job->all[tag - first]);
        --*left;
    }
    return 0;
broken:
    disconnect(m);
    return -1;
}

int sx_meta_submit_all(struct sx_meta *m, unsigned group, struct sx_submission *all, size_t n,
                       unsigned timeout_ms, struct sx_err *e)
{
    const struct submit job = { group, timeout_ms, sx_mono_ms() + timeout_ms + GRACE_MS, all, n };
    struct sx_err local = SX_ERR_INIT;
    size_t left = n;

    sx_assert(n > 0 && n <= SX_META_SUBMIT_MAX);
    if (check_group(group, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        sx_assert(all[i].command->len <= SX_COMMAND_MAX);
        all[i].answered = false;
    }
    while (submit_exchange(m, &job, &left, &local)) {
        if (!again(&local, job.deadline_ms)) {
            sx_err_copy(e, &local);
            return -1;
        }
    }
    return 0;
}

int sx_meta_submit(struct sx_meta *m, unsigned group, const struct sx_buf *command,
                   struct sx_buf *result, unsigned timeout_ms, struct sx_err *e)
{
    struct sx_submission one = { .command = command, .result = result };

    if (command->len > SX_COMMAND_MAX)
        return sx_err_set(e, SX_ETOOBIG, "a command of %zu bytes; the limit is %u", command->len,
                          SX_COMMAND_MAX);
    if (sx_meta_submit_all(m, group, &one, 1, timeout_ms, e))
        return -1;
    if (one.err.code == SX_OK)
        return 0;
    sx_err_copy(e, &one.err);
    return -1;
}

/* ---- questions ---- */

int sx_meta_sync(struct sx_meta *m, unsigned group, unsigned timeout_ms, struct sx_err *e)
{
    uint8_t body[4];
    struct sx_frame f = {
        .type = SX_FRAME_SYNC, .group = (uint16_t)group, .body = body, .len = sizeof body
    };
    const uint8_t *p;
    size_t n;

    sx_put_u32(body, timeout_ms);
    if (check_group(group, e) || request(m, &f, timeout_ms + GRACE_MS, e))
        return -1;
    return answer_payload(m, &p, &n, e);
}

bool sx_meta_damaged(const struct sx_meta *m)
{
    return sx_sums_raised(m->db_path);
}

int sx_meta_status(struct sx_meta *m, json_t **status, struct sx_err *e)
{
    struct sx_frame f = { .type = SX_FRAME_STATUS };
    const uint8_t *p;
    size_t n;
    json_t *j;

    if (request(m, &f, QUICK_MS, e) || answer_payload(m, &p, &n, e))
        return -1;
    j = sx_json_parse(p, n, e);
    if (!j)
        return sx_err_wrap(e, "status of the group manager");
    *status = j;
    return 0;
}

int sx_meta_is_leader(struct sx_meta *m, unsigned group, bool *leader, struct sx_err *e)
{
    struct sx_frame f = { .type = SX_FRAME_ROLE, .group = (uint16_t)group };
    const uint8_t *p;
    size_t n;

    if (check_group(group, e) || request(m, &f, QUICK_MS, e) || answer_payload(m, &p, &n, e))
        return -1;
    if (n != 1)
        return sx_err_set(e, SX_EMALFORMED, "malformed answer of the group manager");
    *leader = *p != 0;
    return 0;
}

int sx_meta_db(struct sx_meta *m, unsigned group, sqlite3 **db, struct sx_err *e)
{
    struct stat st;

    if (check_group(group, e))
        return -1;
    if (stat(m->db_path, &st))
        return sx_err_set(e, SX_EUNAVAIL, "the metadata database %s is not here yet: %s",
                          m->db_path, strerror(errno));
    /* An installed snapshot is another file.  An open file's inode is not given to another, so
     * equal means the same. */
    if (m->db && (st.st_ino != m->db_ino || st.st_dev != m->db_dev)) {
        sx_query_close(m->db);
        m->db = NULL;
    }
    if (!m->db) {
        if (sx_query_open(m->db_path, &m->db, e))
            return -1;
        m->db_ino = st.st_ino;
        m->db_dev = st.st_dev;
    }
    *db = m->db;
    return 0;
}
