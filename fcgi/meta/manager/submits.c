/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See submits.h.  A local command that is WAITING is in the queue of the waiters, one that is SENT
 * is not.  Sending is done once at the end of a loop's turn: all commands that came in it make one
 * entry; while the log is busy with an entry the next is gathered, unless it is large already.
 */
#include "fcgi/meta/manager/submits.h"

#include <inttypes.h>
#include <string.h>

#include "fcgi/meta/manager/waiters.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define GATHER_BYTES (256u << 10) /* enough not to wait for the log */
#define RESEND_MS 1500u           /* forwarded, and nothing heard: again; then twice as long */
#define RESEND_MAX_MS 6000u
#define RETRY_MS 20u              /* the leader did not take it: again after so long */
#define TIMER_MS 20u
#define TIMEOUT_MAX_MS 600000u

/* A command from another node. */
struct guest {
    struct guest *next;
    uint64_t from;
    size_t len;
    uint8_t command[];
};

struct sx_submits {
    struct sx_loop *loop;
    struct sx_links *links;
    struct sx_drive *drive;
    unsigned group;
    struct sx_waiters waiters;
    struct guest *g_head, **g_tail;
    size_t guest_bytes;
    struct sx_call pump;
    struct sx_timer timer;
    uint64_t hold_ms; /* do not send before: the leader was not ready */
    uint64_t leader, term;
    struct sx_err refuse; /* SX_OK: nothing */
    bool refuse_growing;  /* only what grows() */
};

/* ---- local commands ---- */

static void answer_text(struct sx_asker who, int code, const char *text)
{
    sx_local_answer(who, code, text, strlen(text));
}

static void answer(struct sx_submits *s, struct sx_waiter *w, int code, const void *p, size_t n)
{
    sx_local_answer(w->who, code, p, n);
    sx_waiters_remove(&s->waiters, w);
}

/* The first ones of the queue, up to `end`, are on their way. */
static void sent(struct sx_submits *s, const struct sx_waiter *end)
{
    while (s->waiters.q_head != end) {
        struct sx_waiter *w = s->waiters.q_head;

        sx_waiters_dequeue(&s->waiters, w);
        w->sent_ms = sx_loop_now_ms(s->loop);
    }
}

/* All that were sent and have no answer wait again. */
static void all_wait(struct sx_submits *s)
{
    for (struct sx_waiter *w = NULL; (w = sx_waiters_next(&s->waiters, w));)
        if (!w->queued)
            sx_waiters_enqueue(&s->waiters, w);
}

static bool grows(unsigned type)
{
    switch (type) {
    case SX_CMD_SETTING_SET:
    case SX_CMD_TOKEN_CREATE:
    case SX_CMD_USER_ADD:
    case SX_CMD_KEY_ADD:
    case SX_CMD_VOLUME_CREATE:
    case SX_CMD_FILE_PUT:
    case SX_CMD_FILE_COPY:
    case SX_CMD_UPLOAD_BEGIN:
    case SX_CMD_UPLOAD_PART:
    case SX_CMD_PIN: /* and would keep what is deleted to make room */
        return true;
    default:
        return false;
    }
}

static bool is_refused(const struct sx_submits *s, unsigned type)
{
    return s->refuse.code != SX_OK && (!s->refuse_growing || grows(type));
}

static int check_room(const struct sx_submits *s, unsigned type, size_t n, struct sx_err *e)
{
    if (is_refused(s, type)) {
        sx_err_copy(e, &s->refuse);
        return -1;
    }
    if (s->waiters.n >= SX_SUBMITS_MAX || s->waiters.bytes + n > SX_SUBMITS_BYTES_MAX)
        return sx_err_set(e, SX_ETOOMANY, "%u commands of %zu bytes wait already", s->waiters.n,
                          s->waiters.bytes);
    return 0;
}

static int add(struct sx_submits *s, struct sx_asker who, const uint8_t *command, size_t n,
               unsigned timeout_ms, struct sx_err *e)
{
    struct sx_cmd cmd;
    struct sx_waiter *w;

    if (n > SX_COMMAND_MAX)
        return sx_err_set(e, SX_ETOOBIG, "a command of %zu bytes; the limit is %u", n,
                          SX_COMMAND_MAX);
    if (sx_cmd_parse(command, n, &cmd, e) || check_room(s, cmd.type, n, e))
        return -1;
    w = sx_waiters_add(&s->waiters, who, cmd.op, command, n);
    w->resend_ms = RESEND_MS;
    w->deadline_ms = sx_loop_now_ms(s->loop) +
                     (timeout_ms < TIMEOUT_MAX_MS ? timeout_ms : TIMEOUT_MAX_MS);
    sx_loop_defer(s->loop, &s->pump);
    return 0;
}

/* ---- sending: this node leads ---- */

static bool entry_takes(const struct sx_buf *entry, size_t n)
{
    return sx_entry_count(entry->data) == 0 ||
           (entry->len + n <= SX_ENTRY_FILL && sx_entry_count(entry->data) < SX_ENTRY_COMMANDS_MAX);
}

/* Puts what fits into an entry, without taking it from the queues. */
static void fill(const struct sx_submits *s, struct sx_buf *entry, const struct sx_waiter **w_end,
                 const struct guest **g_end)
{
    const struct sx_waiter *w = s->waiters.q_head;
    const struct guest *g = s->g_head;

    sx_entry_begin(entry);
    for (; g && entry_takes(entry, g->len); g = g->next)
        sx_entry_add(entry, g->command, g->len);
    for (; !g && w && entry_takes(entry, w->len); w = w->q_next)
        sx_entry_add(entry, w->command, w->len);
    *g_end = g;
    *w_end = w;
}

static void drop_guests(struct sx_submits *s, const struct guest *end)
{
    while (s->g_head != end) {
        struct guest *g = s->g_head;

        s->g_head = g->next;
        s->guest_bytes -= g->len;
        free(g);
    }
    if (!s->g_head)
        s->g_tail = &s->g_head;
}

static size_t queued_bytes(const struct sx_submits *s)
{
    size_t n = s->guest_bytes;

    for (const struct sx_waiter *w = s->waiters.q_head; w && n < GATHER_BYTES; w = w->q_next)
        n += w->len;
    return n;
}

static void lead(struct sx_submits *s)
{
    while ((s->waiters.q_head || s->g_head) &&
           (!sx_drive_busy(s->drive) || queued_bytes(s) >= GATHER_BYTES)) {
        SX_AUTO(sx_buf) struct sx_buf entry = SX_BUF_INIT;
        struct sx_err e = SX_ERR_INIT;
        const struct sx_waiter *w_end;
        const struct guest *g_end;

        fill(s, &entry, &w_end, &g_end);
        if (sx_drive_submit(s->drive, &entry, &e)) {
            if (e.code != SX_EUNAVAIL && e.code != SX_ENOTLEADER)
                sx_error("submit an entry of %zu bytes: %s", entry.len, e.msg);
            s->hold_ms = sx_loop_now_ms(s->loop) + RETRY_MS;
            return;
        }
        drop_guests(s, g_end);
        sent(s, w_end);
    }
}

/* ---- sending: another node leads ---- */

static void refuse(struct sx_submits *s, uint64_t to, const uint8_t op[SX_OP_ID], int code,
                   const char *text)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_buf_add(&b, op, SX_OP_ID);
    sx_buf_u32(&b, (uint32_t)code);
    sx_buf_string(&b, text);
    sx_links_send(s->links, to, SX_FRAME_REFUSED, (uint16_t)s->group, b.data, b.len);
}

/* Guests that came when this node led, or was thought to. */
static void send_guests_back(struct sx_submits *s)
{
    for (const struct guest *g = s->g_head; g; g = g->next)
        refuse(s, g->from, g->command, SX_ENOTLEADER, "");
    drop_guests(s, NULL);
}

static void follow(struct sx_submits *s, uint64_t leader)
{
    while (s->waiters.q_head && sx_links_up(s->links, leader)) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        const struct sx_waiter *w = s->waiters.q_head;

        do {
            sx_buf_bytes(&b, w->command, w->len);
            w = w->q_next;
        } while (w && b.len + w->len + 4 <= SX_ENTRY_FILL);
        if (!sx_links_send(s->links, leader, SX_FRAME_FORWARD, (uint16_t)s->group, b.data, b.len)) {
            s->hold_ms = sx_loop_now_ms(s->loop) + RETRY_MS;
            return;
        }
        sent(s, w);
    }
}

static void pump(void *ctx)
{
    struct sx_submits *s = ctx;
    struct sx_group_status st;

    sx_drive_status(s->drive, &st);
    if (st.leader != s->leader || st.term != s->term) {
        s->leader = st.leader;
        s->term = st.term;
        s->hold_ms = 0;
        all_wait(s);
    }
    if (st.state != SX_GROUP_LEADER)
        send_guests_back(s);
    if (sx_loop_now_ms(s->loop) >= s->hold_ms) {
        if (st.state == SX_GROUP_LEADER && st.ready && !st.handing_over)
            lead(s);
        else if (st.state != SX_GROUP_LEADER && st.leader)
            follow(s, st.leader);
    }
    if (s->waiters.n || s->g_head)
        sx_loop_arm(s->loop, &s->timer, sx_loop_now_ms(s->loop) + TIMER_MS);
}

/* ---- time ---- */

static void expire(struct sx_submits *s, struct sx_waiter *w)
{
    static const char no_leader[] = "no leader was found in time; whether the command was done is "
                                    "not known";
    static const char late[] = "not done in time; whether it will be done is not known";

    if (s->leader)
        answer(s, w, SX_ETIMEOUT, late, sizeof late - 1);
    else
        answer(s, w, SX_ENOLEADER, no_leader, sizeof no_leader - 1);
}

static void timer(void *ctx)
{
    struct sx_submits *s = ctx;
    uint64_t now = sx_loop_now_ms(s->loop);
    struct sx_waiter *w, *next;
    struct sx_group_status st;

    sx_drive_status(s->drive, &st);
    for (w = sx_waiters_next(&s->waiters, NULL); w; w = next) {
        next = sx_waiters_next(&s->waiters, w);
        /* What this node put into its own log stays there while it leads. */
        if (now >= w->deadline_ms) {
            expire(s, w);
        } else if (!w->queued && st.state != SX_GROUP_LEADER && now - w->sent_ms >= w->resend_ms) {
            w->resend_ms = 2 * w->resend_ms < RESEND_MAX_MS ? 2 * w->resend_ms : RESEND_MAX_MS;
            sx_waiters_enqueue(&s->waiters, w);
        }
    }
    pump(s);
}

/* ---- what comes in ---- */

void sx_submits_local(struct sx_submits *s, struct sx_asker who, const struct sx_frame *f)
{
    struct sx_cur c = sx_cur_of(f->body, f->len);
    unsigned timeout_ms = sx_cur_u32(&c);
    struct sx_err e = SX_ERR_INIT;

    if (c.bad)
        answer_text(who, SX_EMALFORMED, "the request is too short");
    else if (add(s, who, c.p, c.left, timeout_ms, &e))
        answer_text(who, e.code, e.msg);
}

static int take_guest(struct sx_submits *s, uint64_t from, const uint8_t *p, size_t n,
                      struct sx_err *e)
{
    struct sx_cmd cmd;
    struct guest *g;

    if (n > SX_COMMAND_MAX || sx_cmd_parse(p, n, &cmd, e))
        return sx_err_set(e, SX_EMALFORMED, "FORWARD holds a malformed command of %zu bytes", n);
    if (is_refused(s, cmd.type)) {
        refuse(s, from, cmd.op, s->refuse.code, s->refuse.msg);
        return 0;
    }
    if (s->guest_bytes + n > SX_SUBMITS_BYTES_MAX) {
        refuse(s, from, cmd.op, SX_ETOOMANY, "too many commands wait at the leader");
        return 0;
    }
    g = sx_malloc(sizeof *g + n);
    *g = (struct guest){ .from = from, .len = n };
    memcpy(g->command, p, n);
    *s->g_tail = g;
    s->g_tail = &g->next;
    s->guest_bytes += n;
    return 0;
}

void sx_submits_forward(struct sx_submits *s, uint64_t from, const struct sx_frame *f)
{
    struct sx_cur c = sx_cur_of(f->body, f->len);
    struct sx_err e = SX_ERR_INIT;

    while (c.left > 0) {
        size_t n;
        const uint8_t *p = sx_cur_bytes(&c, &n);

        if (c.bad) {
            sx_warn("node %016" PRIx64 " sent a malformed FORWARD", from);
            break;
        }
        if (take_guest(s, from, p, n, &e)) {
            sx_warn("node %016" PRIx64 ": %s", from, e.msg);
            break;
        }
    }
    sx_loop_defer(s->loop, &s->pump);
}

void sx_submits_refused(struct sx_submits *s, uint64_t from, const struct sx_frame *f)
{
    struct sx_cur c = sx_cur_of(f->body, f->len);
    uint8_t op[SX_OP_ID];
    const uint8_t *text;
    struct sx_waiter *w, *next;
    size_t n;
    int code;

    sx_cur_copy(&c, op, sizeof op);
    code = (int)sx_cur_u32(&c);
    text = sx_cur_bytes(&c, &n);
    if (!sx_cur_done(&c)) {
        sx_warn("node %016" PRIx64 " sent a malformed REFUSED", from);
        return;
    }
    for (w = sx_waiters_find(&s->waiters, op, NULL); w; w = next) {
        next = sx_waiters_find(&s->waiters, op, w);
        if (w->queued)
            continue;
        if (code == SX_ENOTLEADER) {
            sx_waiters_enqueue(&s->waiters, w);
            s->hold_ms = sx_loop_now_ms(s->loop) + RETRY_MS;
        } else {
            answer(s, w, code, text, n);
        }
    }
    sx_loop_defer(s->loop, &s->pump);
}

void sx_submits_state(struct sx_submits *s)
{
    sx_loop_defer(s->loop, &s->pump);
}

void sx_submits_link(struct sx_submits *s, uint64_t peer, bool up)
{
    if (peer == s->leader && !up)
        all_wait(s);
    sx_loop_defer(s->loop, &s->pump);
}

void sx_submits_result(struct sx_submits *s, const uint8_t op[SX_OP_ID], int code, const void *p,
                       size_t n)
{
    struct sx_waiter *w = sx_waiters_find(&s->waiters, op, NULL);

    while (w) {
        struct sx_waiter *next = sx_waiters_find(&s->waiters, op, w);

        answer(s, w, code, p, n);
        w = next;
    }
}

void sx_submits_refuse(struct sx_submits *s, const struct sx_err *why, bool only_growing)
{
    sx_err_copy(&s->refuse, why);
    s->refuse_growing = only_growing;
}

struct sx_submits *sx_submits_new(struct sx_loop *l, struct sx_links *links, unsigned group)
{
    struct sx_submits *s = sx_calloc(1, sizeof *s);

    s->loop = l;
    s->links = links;
    s->group = group;
    sx_waiters_init(&s->waiters);
    s->g_tail = &s->g_head;
    s->pump = (struct sx_call){ .fn = pump, .ctx = s };
    s->timer = (struct sx_timer){ .fn = timer, .ctx = s };
    return s;
}

void sx_submits_set_drive(struct sx_submits *s, struct sx_drive *d)
{
    s->drive = d;
}

void sx_submits_free(struct sx_submits *s)
{
    if (!s)
        return;
    sx_loop_undefer(s->loop, &s->pump);
    sx_loop_disarm(s->loop, &s->timer);
    drop_guests(s, NULL);
    sx_waiters_fini(&s->waiters);
    free(s);
}
