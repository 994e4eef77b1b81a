/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See rig.h.
 */
#include "tests/sim/rig.h"

#include <stdio.h>
#include <string.h>

#include "libsx/base/mem.h"

#define GROUP 1u

static struct sx_buf members_coded; /* the members of the last rig, for rig_install() */

static int save_vote(void *ctx, uint64_t term, uint64_t voted_for, struct sx_err *e)
{
    struct rig *r = ctx;

    if (r->fail_vote)
        return sx_err_set(e, SX_EIO, "the vote cannot be written");
    r->term = term;
    r->voted_for = voted_for;
    return 0;
}

static void note(struct rig *r, const struct sx_entry *x)
{
    r->last = x->index;
    if (x->index >= RIG_LOG)
        return; /* beyond what tests look at */
    r->log[x->index].term = x->term;
    r->log[x->index].type = x->type;
    sx_buf_reset(&r->log[x->index].data);
    sx_buf_add(&r->log[x->index].data, x->data, x->len);
}

static int append(void *ctx, uint64_t seq, const struct sx_entry *x, unsigned n, struct sx_err *e)
{
    struct rig *r = ctx;

    for (unsigned i = 0; i < n; i++)
        note(r, &x[i]);
    r->seq = seq;
    return 0;
}

static int read_entry(void *ctx, uint64_t index, struct sx_entry *x, struct sx_buf *data,
                      struct sx_err *e)
{
    struct rig *r = ctx;

    if (index >= RIG_LOG)
        return sx_err_set(e, SX_ENOTFOUND, "no entry %llu", (unsigned long long)index);
    sx_buf_add(data, r->log[index].data.data, r->log[index].data.len);
    *x = (struct sx_entry){ index, r->log[index].term, r->log[index].type,
                            (uint32_t)r->log[index].data.len, data->data };
    return 0;
}

static int save_snapshot(void *ctx, const struct sx_snapref *s, struct sx_err *e)
{
    sx_snapref_copy(&((struct rig *)ctx)->snap, s);
    return 0;
}

static int log_cut(void *ctx, uint64_t first, bool all, struct sx_err *e)
{
    return 0;
}

static void install(void *ctx, uint64_t leader, const char *address, uint64_t index)
{
    struct rig *r = ctx;

    r->installing = index;
    r->installer = leader;
}

static void send_message(void *ctx, uint64_t to, const char *address, const void *msg, size_t n)
{
    struct rig *r = ctx;
    struct rig_sent *s = &r->sent[r->n_sent % RIG_SENT];
    struct sx_group_status st = rig_status(r);

    s->to = to;
    s->saved = r->term == st.term && r->voted_for == st.voted_for;
    sx_assert(sx_msg_decode(&s->m, msg, n, NULL) == 0);
    r->n_sent++;
}

static void apply(void *ctx, const struct sx_entry *x)
{
    ((struct rig *)ctx)->applied = x->index;
}

static void state_changed(void *ctx)
{
}

static void changed(void *ctx, uint64_t tag, int code)
{
    struct rig *r = ctx;

    r->changes++;
    r->change_code = code;
}

static void read_done(void *ctx, uint64_t tag, int code, uint64_t index)
{
    struct rig *r = ctx;

    r->reads++;
    r->read_code = code;
    r->read_index = index;
}

static void removed(void *ctx)
{
    ((struct rig *)ctx)->removed++;
}

static void fatal(void *ctx, const struct sx_err *e)
{
    struct rig *r = ctx;

    r->deaths++;
    snprintf(r->why, sizeof r->why, "%s", e->msg);
}

static const struct sx_group_ops ops = {
    .save_vote = save_vote,
    .append = append,
    .read_entry = read_entry,
    .save_snapshot = save_snapshot,
    .log_cut = log_cut,
    .install = install,
    .send = send_message,
    .apply = apply,
    .state = state_changed,
    .changed = changed,
    .read_done = read_done,
    .removed = removed,
    .fatal = fatal,
};

static void start(struct rig *r, const struct sx_group_start *s)
{
    struct sx_group_config c = { .group = GROUP, .id = RIG_ME, .address = "me:1", .seed = 7 };
    struct sx_err e = SX_ERR_INIT;

    r->now = 1000;
    r->group = sx_group_new(&c, &ops, r);
    sx_assert(sx_group_start(r->group, r->now, s, &e) == 0);
}

void rig_init(struct rig *r, unsigned voters)
{
    SX_AUTO(sx_members) struct sx_members m = SX_MEMBERS_INIT;
    struct sx_group_start s = { .term = 1, .first = 1, .last = 1 };
    struct sx_entry x = { .index = 1, .term = 1, .type = SX_ENTRY_CHANGE };

    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < voters; i++) {
        char address[16];

        snprintf(address, sizeof address, "%s:1", i ? i == 1 ? "b" : "c" : "me");
        sx_assert(sx_members_add(&m, RIG_ME * (i + 1), address, SX_ROLE_VOTER, NULL) == 0);
    }
    sx_buf_reset(&members_coded);
    sx_members_encode(&m, &members_coded);
    x.data = members_coded.data;
    x.len = (uint32_t)members_coded.len;
    note(r, &x);
    r->term = 1;
    start(r, &s);
}

void rig_init_empty(struct rig *r)
{
    struct sx_group_start s = { .first = 1 };

    memset(r, 0, sizeof *r);
    start(r, &s);
}

void rig_fini(struct rig *r)
{
    sx_group_free(r->group);
    for (unsigned i = 0; i < RIG_LOG; i++)
        sx_buf_fini(&r->log[i].data);
    sx_snapref_fini(&r->snap);
    sx_buf_fini(&members_coded);
}

int rig_tick(struct rig *r, uint64_t ms)
{
    r->now += ms;
    return sx_group_tick(r->group, r->now, NULL);
}

int rig_receive(struct rig *r, uint64_t from, const struct sx_msg *m)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_msg_encode(m, &b);
    r->now++;
    return sx_group_receive(r->group, r->now, from, b.data, b.len, NULL);
}

int rig_persist(struct rig *r)
{
    return sx_group_persisted(r->group, r->now, r->seq, NULL);
}

void rig_forget(struct rig *r)
{
    r->n_sent = 0;
}

const struct sx_msg *rig_find(const struct rig *r, uint64_t to, enum sx_msg_type type)
{
    unsigned n = r->n_sent < RIG_SENT ? r->n_sent : RIG_SENT;

    for (unsigned i = n; i-- > 0;)
        if (r->sent[i].to == to && r->sent[i].m.type == type)
            return &r->sent[i].m;
    return NULL;
}

struct sx_group_status rig_status(const struct rig *r)
{
    struct sx_group_status st;

    sx_group_status(r->group, &st);
    return st;
}

void rig_elect(struct rig *r)
{
    struct sx_msg yes = { .type = SX_MSG_VOTE_RESULT, .granted = true };

    sx_assert(rig_tick(r, 2 * SX_GROUP_ELECTION_MS) == 0);
    yes.term = rig_find(r, 0x20, SX_MSG_VOTE)->term;
    yes.pre_vote = true;
    sx_assert(rig_receive(r, 0x20, &yes) == 0);
    yes.pre_vote = false;
    sx_assert(rig_receive(r, 0x20, &yes) == 0);
    sx_assert(rig_status(r).state == SX_GROUP_LEADER);
}

struct sx_msg rig_append(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t commit,
                         unsigned n, uint64_t entry_term)
{
    struct sx_msg m = { .type = SX_MSG_APPEND,
                        .term = term,
                        .index = prev,
                        .index_term = prev_term,
                        .commit = commit,
                        .n = n };

    for (unsigned i = 0; i < n; i++)
        m.entry[i] = (struct sx_entry){ prev + 1 + i, entry_term, SX_ENTRY_COMMAND, 4,
                                        (const uint8_t *)"data" };
    return m;
}

struct sx_msg rig_result(uint64_t term, uint64_t rejected, uint64_t last)
{
    return (struct sx_msg){ .type = SX_MSG_APPEND_RESULT,
                            .term = term,
                            .rejected = rejected,
                            .last = last };
}

struct sx_msg rig_install(const struct rig *r, uint64_t term, uint64_t index, uint64_t index_term)
{
    return (struct sx_msg){ .type = SX_MSG_INSTALL,
                            .term = term,
                            .index = index,
                            .index_term = index_term,
                            .members_index = 1,
                            .members = members_coded.data,
                            .members_len = (uint32_t)members_coded.len };
}
