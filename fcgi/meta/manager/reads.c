/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See reads.h.  A round has a number; it is the tag given to the group, or sent to the leader.
 * Rounds of other nodes get numbers from the same counter, and a place in a small table that
 * remembers whose they are.
 */
#include "fcgi/meta/manager/reads.h"

#include <inttypes.h>
#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define ROUND_TIMEOUT_MS 300u /* no answer: a new round */
#define RETRY_MS 20u          /* the leader could not: a new round after so long */
#define TIMER_MS 20u
#define TIMEOUT_MAX_MS 600000u
#define GUESTS_MAX 4096u /* rounds of other nodes under way */

enum reader_state { NEW, ASKED, READ };

struct reader {
    struct reader *next;
    struct sx_asker who;
    enum reader_state state;
    uint64_t deadline_ms;
    uint64_t index; /* READ: wait for this */
};

/* Another node's round. */
struct guest {
    struct guest *next;
    uint64_t tag; /* ours */
    uint64_t from, theirs;
};

struct sx_reads {
    struct sx_loop *loop;
    struct sx_links *links;
    struct sx_drive *drive;
    unsigned group;
    struct reader *readers;
    unsigned n_readers, n_new;
    uint64_t last_tag;
    uint64_t round;       /* tag of this node's round; 0: none */
    uint64_t asked;       /* node that was asked */
    uint64_t asked_term;
    uint64_t round_ms, hold_ms;
    uint64_t leader;
    struct guest *guests;
    unsigned n_guests;
    struct sx_call pump;
    struct sx_timer timer;
};

/* The round came to nothing. */
static void round_void(struct sx_reads *r)
{
    if (!r->round)
        return;
    r->round = 0;
    for (struct reader *w = r->readers; w; w = w->next)
        if (w->state == ASKED) {
            w->state = NEW;
            r->n_new++;
        }
}

static void round_begin(struct sx_reads *r, const struct sx_group_status *st)
{
    struct sx_err e = SX_ERR_INIT;
    uint8_t body[8];
    bool ok;

    for (struct reader *w = r->readers; w; w = w->next)
        if (w->state == NEW)
            w->state = ASKED;
    r->n_new = 0;
    r->round = ++r->last_tag;
    r->asked = st->leader;
    r->asked_term = st->term;
    r->round_ms = sx_loop_now_ms(r->loop);
    if (st->state == SX_GROUP_LEADER) {
        ok = sx_drive_read(r->drive, r->round, &e) == 0;
    } else {
        sx_put_u64(body, r->round);
        ok = sx_links_send(r->links, st->leader, SX_FRAME_READ, (uint16_t)r->group, body,
                           sizeof body);
    }
    if (!ok) {
        round_void(r);
        r->hold_ms = r->round_ms + RETRY_MS;
    }
}

/* The round's answer: readers of the round wait for the index, or try again. */
static void round_end(struct sx_reads *r, int code, uint64_t index)
{
    if (code != SX_OK) {
        round_void(r);
        r->hold_ms = sx_loop_now_ms(r->loop) + RETRY_MS;
        return;
    }
    r->round = 0;
    for (struct reader *w = r->readers; w; w = w->next)
        if (w->state == ASKED) {
            w->state = READ;
            w->index = index;
        }
    sx_reads_applied(r, sx_drive_applied(r->drive));
    if (r->n_new)
        sx_loop_defer(r->loop, &r->pump);
}

static void pump(void *ctx)
{
    struct sx_reads *r = ctx;
    struct sx_group_status st;
    bool reachable;

    sx_drive_status(r->drive, &st);
    if (r->round && (st.leader != r->asked || st.term != r->asked_term))
        round_void(r);
    r->leader = st.leader;
    reachable = st.state == SX_GROUP_LEADER ? st.ready : sx_links_up(r->links, st.leader);
    if (!r->round && r->n_new && reachable && sx_loop_now_ms(r->loop) >= r->hold_ms)
        round_begin(r, &st);
    if (r->n_readers)
        sx_loop_arm(r->loop, &r->timer, sx_loop_now_ms(r->loop) + TIMER_MS);
}

/* Ends the reader at *at. */
static void answer(struct sx_reads *r, struct reader **at, int code, const char *text)
{
    struct reader *w = *at;

    *at = w->next;
    r->n_readers--;
    if (w->state == NEW)
        r->n_new--;
    sx_local_answer(w->who, code, text, strlen(text));
    free(w);
}

static void timer(void *ctx)
{
    struct sx_reads *r = ctx;
    uint64_t now = sx_loop_now_ms(r->loop);
    struct reader **at = &r->readers;

    if (r->round && now - r->round_ms >= ROUND_TIMEOUT_MS)
        round_void(r);
    while (*at) {
        if (now < (*at)->deadline_ms)
            at = &(*at)->next;
        else if (r->leader)
            answer(r, at, SX_ETIMEOUT, "the local state did not catch up in time");
        else
            answer(r, at, SX_ENOLEADER, "no leader was found in time");
    }
    pump(r);
}

void sx_reads_local(struct sx_reads *r, struct sx_asker who, const struct sx_frame *f)
{
    static const char malformed[] = "malformed request", many[] = "too many reads wait";
    struct sx_cur c = sx_cur_of(f->body, f->len);
    unsigned timeout_ms = sx_cur_u32(&c);
    struct reader *w;

    if (!sx_cur_done(&c)) {
        sx_local_answer(who, SX_EMALFORMED, malformed, sizeof malformed - 1);
        return;
    }
    if (r->n_readers >= SX_READS_MAX) {
        sx_local_answer(who, SX_ETOOMANY, many, sizeof many - 1);
        return;
    }
    if (timeout_ms > TIMEOUT_MAX_MS)
        timeout_ms = TIMEOUT_MAX_MS;
    w = sx_malloc(sizeof *w);
    *w = (struct reader){ .next = r->readers,
                          .who = who,
                          .state = NEW,
                          .deadline_ms = sx_loop_now_ms(r->loop) + timeout_ms };
    r->readers = w;
    r->n_readers++;
    r->n_new++;
    sx_loop_defer(r->loop, &r->pump);
}

static void tell_guest(struct sx_reads *r, uint64_t from, uint64_t theirs, int code, uint64_t index)
{
    uint8_t body[20];

    sx_put_u64(body, theirs);
    sx_put_u32(body + 8, (uint32_t)code);
    sx_put_u64(body + 12, index);
    sx_links_send(r->links, from, SX_FRAME_READ_INDEX, (uint16_t)r->group, body, sizeof body);
}

void sx_reads_read(struct sx_reads *r, uint64_t from, const struct sx_frame *f)
{
    struct sx_cur c = sx_cur_of(f->body, f->len);
    uint64_t theirs = sx_cur_u64(&c);
    struct sx_err e = SX_ERR_INIT;
    struct guest *g;
    uint64_t tag;

    if (!sx_cur_done(&c)) {
        sx_warn("node %016" PRIx64 " sent a malformed READ", from);
        return;
    }
    if (r->n_guests >= GUESTS_MAX) {
        tell_guest(r, from, theirs, SX_ETOOMANY, 0);
        return;
    }
    tag = ++r->last_tag;
    g = sx_malloc(sizeof *g);
    *g = (struct guest){ .next = r->guests, .tag = tag, .from = from, .theirs = theirs };
    r->guests = g;
    r->n_guests++;
    /* The answer may have come, and `g` gone, before this returns. */
    if (sx_drive_read(r->drive, tag, &e))
        sx_reads_done(r, tag, e.code, 0);
}

void sx_reads_index(struct sx_reads *r, uint64_t from, const struct sx_frame *f)
{
    struct sx_cur c = sx_cur_of(f->body, f->len);
    uint64_t tag = sx_cur_u64(&c);
    int code = (int)sx_cur_u32(&c);
    uint64_t index = sx_cur_u64(&c);

    if (!sx_cur_done(&c))
        sx_warn("node %016" PRIx64 " sent a malformed READ_INDEX", from);
    else if (r->round && tag == r->round && from == r->asked)
        round_end(r, code, index);
}

void sx_reads_done(struct sx_reads *r, uint64_t tag, int code, uint64_t index)
{
    struct guest **at = &r->guests;

    if (r->round && tag == r->round) {
        round_end(r, code, index);
        return;
    }
    while (*at && (*at)->tag != tag)
        at = &(*at)->next;
    if (*at) {
        struct guest *g = *at;

        *at = g->next;
        r->n_guests--;
        tell_guest(r, g->from, g->theirs, code, index);
        free(g);
    }
}

void sx_reads_state(struct sx_reads *r)
{
    if (r->n_readers)
        sx_loop_defer(r->loop, &r->pump);
}

void sx_reads_link(struct sx_reads *r, uint64_t peer, bool up)
{
    if (!up && r->round && peer == r->asked)
        round_void(r);
    sx_reads_state(r);
}

void sx_reads_applied(struct sx_reads *r, uint64_t index)
{
    struct reader **at = &r->readers;

    while (*at) {
        if ((*at)->state == READ && (*at)->index <= index)
            answer(r, at, SX_OK, "");
        else
            at = &(*at)->next;
    }
}

struct sx_reads *sx_reads_new(struct sx_loop *l, struct sx_links *links, unsigned group)
{
    struct sx_reads *r = sx_calloc(1, sizeof *r);

    r->loop = l;
    r->links = links;
    r->group = group;
    /* An answer that was on its way when this process began must not meet a round of the same
     * number. */
    sx_random(&r->last_tag, sizeof r->last_tag);
    r->pump = (struct sx_call){ .fn = pump, .ctx = r };
    r->timer = (struct sx_timer){ .fn = timer, .ctx = r };
    return r;
}

void sx_reads_set_drive(struct sx_reads *r, struct sx_drive *d)
{
    r->drive = d;
}

void sx_reads_free(struct sx_reads *r)
{
    if (!r)
        return;
    sx_loop_undefer(r->loop, &r->pump);
    sx_loop_disarm(r->loop, &r->timer);
    while (r->readers) {
        struct reader *w = r->readers;

        r->readers = w->next;
        free(w);
    }
    while (r->guests) {
        struct guest *g = r->guests;

        r->guests = g->next;
        free(g);
    }
    free(r);
}
