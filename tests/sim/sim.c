/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The world: virtual clock, a heap of events, the network.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/mem.h"

#define FIRST_MS 1000u

uint64_t sim_hash(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

    while (n--)
        h = (h ^ *b++) * 0x100000001b3u;
    return h;
}

void sim_trace(struct sim *s, uint64_t what, uint64_t a, uint64_t b)
{
    uint64_t v[5] = { s->trace, s->now, what, a, b };

    s->trace = sim_hash(v, sizeof v);
}

uint64_t sim_rand(struct sim *s, uint64_t n)
{
    return sx_random(&s->random) % n;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
    va_list ap;

    if (s->failed[0])
        return;
    va_start(ap, fmt);
    vsnprintf(s->failed, sizeof s->failed, fmt, ap);
    va_end(ap);
}

struct sim *sim_new(uint64_t seed, enum sim_bug bug)
{
    struct sim *s = sx_calloc(1, sizeof *s);

    s->seed = seed;
    s->random = seed;
    s->random = sx_random(&s->random); /* else the next seed were the same run, one step on */
    s->bug = bug;
    s->now = FIRST_MS;
    s->net.delay = 10;
    s->disk_delay = 5;
    s->pair = sx_calloc(SIM_PAIRS, sizeof *s->pair);
    for (unsigned i = 0; i < SIM_NODES; i++) {
        s->node[i].sim = s;
        s->node[i].number = i;
        s->node[i].id = (i + 1) * 0x1111u;
        s->node[i].rate = 100;
        snprintf(s->node[i].address, sizeof s->node[i].address, "node-%u:1", i);
    }
    return s;
}

void sim_free(struct sim *s)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        sim_node_fini(&s->node[i]);
    for (size_t i = 0; i < s->n_events; i++)
        free(s->event[i].data);
    free(s->event);
    free(s->pair);
    free(s);
}

unsigned sim_number(const struct sim *s, uint64_t id)
{
    unsigned i = 0;

    while (i < SIM_NODES && s->node[i].id != id)
        i++;
    return i;
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void push(struct sim *s, struct sim_event ev)
{
    size_t i = s->n_events++;

    if (s->n_events > s->cap_events) {
        s->cap_events = s->cap_events ? s->cap_events * 2 : 256;
        s->event = sx_realloc(s->event, s->cap_events * sizeof *s->event);
    }
    ev.seq = s->event_seq++;
    while (i && before(&ev, &s->event[(i - 1) / 2])) {
        s->event[i] = s->event[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->event[i] = ev;
}

static struct sim_event pop(struct sim *s)
{
    struct sim_event first = s->event[0], last = s->event[--s->n_events];
    size_t i = 0;

    for (;;) {
        size_t c = 2 * i + 1;

        if (c >= s->n_events)
            break;
        if (c + 1 < s->n_events && before(&s->event[c + 1], &s->event[c]))
            c++;
        if (!before(&s->event[c], &last))
            break;
        s->event[i] = s->event[c];
        i = c;
    }
    s->event[i] = last;
    return first;
}

void sim_plan(struct sim *s, uint64_t at, enum sim_event_type type, unsigned node, uint64_t arg)
{
    push(s, (struct sim_event){ .at = at,
                                .type = type,
                                .node = node,
                                .incarnation = s->node[node].incarnation,
                                .arg = arg });
}

static void post(struct sim *s, unsigned from, unsigned to, const void *msg, size_t n)
{
    struct sim_event ev = { .at = s->now + 1 + sim_rand(s, s->net.delay),
                            .type = SIM_MESSAGE,
                            .node = to,
                            .from = from,
                            .n = n };

    ev.data = sx_malloc(n);
    memcpy(ev.data, msg, n);
    push(s, ev);
}

/* A link keeps no order, gives no guarantee. */
void sim_network(struct sim *s, unsigned from, unsigned to, const void *msg, size_t n)
{
    static struct sx_msg m;

    if (to >= SIM_NODES || sx_msg_decode(&m, msg, n, NULL)) {
        sim_fail(s, "node %u sends what cannot be decoded", from);
        return;
    }
    sim_check_send(&s->node[from], to, &m);
    if (s->filter) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

        if (s->filter(s, from, to, &m))
            return;
        sx_msg_encode(&m, &b);
        post(s, from, to, b.data, b.len);
        return;
    }
    if (sim_rand(s, 100) < s->net.loss)
        return;
    post(s, from, to, msg, n);
    if (sim_rand(s, 100) < s->net.twice)
        post(s, from, to, msg, n);
}

static struct sim_node *next_timeout(struct sim *s, uint64_t *at)
{
    struct sim_node *first = NULL;

    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[i];
        uint64_t t = n->up ? sim_node_when(n, sx_group_timeout(n->group)) : UINT64_MAX;

        if (t < *at) {
            *at = t;
            first = n;
        }
    }
    return first;
}

static void deliver(struct sim *s, const struct sim_event *ev)
{
    struct sim_node *n = &s->node[ev->node];

    if (!n->up || (ev->type == SIM_MESSAGE && s->net.cut[ev->from][ev->node]) ||
        (ev->type != SIM_MESSAGE && ev->incarnation != n->incarnation))
        return;
    sim_trace(s, ev->type, ev->node, ev->type == SIM_MESSAGE ? sim_hash(ev->data, ev->n) : ev->arg);
    sim_node_event(n, ev);
    sim_check_node(n);
}

bool sim_step(struct sim *s, uint64_t until)
{
    uint64_t at = s->n_events ? s->event[0].at : UINT64_MAX;
    struct sim_node *n = next_timeout(s, &at);

    if (at > until || s->failed[0]) {
        s->now = until > s->now ? until : s->now;
        return false;
    }
    s->now = at > s->now ? at : s->now;
    s->steps++;
    if (n) {
        sim_trace(s, 100, n->number, 0);
        sim_node_tick(n);
        sim_check_node(n);
    } else {
        struct sim_event ev = pop(s);

        deliver(s, &ev);
        free(ev.data);
    }
    return !s->failed[0];
}

void sim_run(struct sim *s, uint64_t ms)
{
    uint64_t until = s->now + ms;

    while (sim_step(s, until))
        ;
}

/* ---- cluster ---- */

void sim_bootstrap(struct sim *s, unsigned n)
{
    struct sx_members m = SX_MEMBERS_INIT;

    for (unsigned i = 0; i < n; i++)
        sx_assert(sx_members_add(&m, s->node[i].id, s->node[i].address, SX_ROLE_VOTER, NULL) == 0);
    for (unsigned i = 0; i < n; i++)
        sim_node_make(s, i, &m);
    for (unsigned i = 0; i < n; i++)
        sim_node_start(&s->node[i]);
    sx_members_fini(&m);
}

struct sim_node *sim_leader(struct sim *s)
{
    struct sim_node *best = NULL;
    uint64_t term = 0;

    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sx_group_status st;

        if (!s->node[i].up)
            continue;
        sx_group_status(s->node[i].group, &st);
        if (st.state == SX_GROUP_LEADER && st.term > term) {
            term = st.term;
            best = &s->node[i];
        }
    }
    return best;
}

bool sim_wait_leader(struct sim *s, uint64_t ms)
{
    uint64_t until = s->now + ms;

    do {
        struct sim_node *n = sim_leader(s);
        struct sx_group_status st;

        if (n) {
            sx_group_status(n->group, &st);
            if (st.ready)
                return true;
        }
    } while (sim_step(s, until));
    return false;
}

static bool all_applied(struct sim *s, uint64_t index)
{
    struct sim_node *leader = sim_leader(s);

    if (!leader)
        return false;
    for (unsigned i = 0; i < SIM_NODES; i++) {
        struct sim_node *n = &s->node[i];

        if (n->up && sx_members_find(sx_group_members(leader->group), n->id) && n->applied < index)
            return false;
    }
    return true;
}

bool sim_wait_applied(struct sim *s, uint64_t ms)
{
    uint64_t until = s->now + ms, index = s->committed;

    do
        if (all_applied(s, index))
            return true;
    while (sim_step(s, until));
    return false;
}
