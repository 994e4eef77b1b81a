/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages in: what goes to the core, and what must not.
 */
#include "fcgi/meta/raft/group_int.h"

#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"

/* The address of a node that the core asks for; replies carry it back to `send`. */
static const char *address_of(const struct sx_group *g, uint64_t id)
{
    const struct sx_member *m = sx_members_find(&g->members, id);

    return m ? m->address : "";
}

static int step_message(struct sx_group *g, uint64_t from, struct raft_message *r,
                        struct sx_err *e)
{
    struct raft_event ev = { .type = RAFT_RECEIVE, .receive = { r } };
    /* A copy: the step may replace the members that the address belongs to. */
    SX_AUTO_FREE char *address = sx_strdup(address_of(g, from));

    r->server_id = from;
    r->server_address = address;
    /* Guard: an error of the core here means a conflict with a committed entry; it is fatal. */
    return sx_core_step(g, &ev, NULL, e);
}

/* Guard: to a message of an old term the core answers with an uninitialised index, which, if
 * the asker leads again in our term meanwhile, would count as stored.  So such messages are answered here. */
static void answer_stale(struct sx_group *g, uint64_t from, uint64_t index)
{
    struct sx_msg m = { .type = SX_MSG_APPEND_RESULT,
                        .term = g->raft.current_term,
                        .rejected = index ? index : 1,
                        .last = index ? index - 1 : 0 };

    sx_send_msg(g, from, address_of(g, from), &m);
}

static uint64_t unstored_bytes(const struct sx_group *g)
{
    return sx_rlog_bytes_after(&g->log, g->raft.last_stored);
}

static int recv_append(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                       struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_APPEND_ENTRIES };
    struct raft_append_entries *a = &r.append_entries;
    struct raft_entry *list;
    void *batch;
    int result;

    if (m->term < g->raft.current_term) {
        answer_stale(g, from, m->index);
        return 0;
    }
    /* Guard: two leaders of one term cannot be; the core would take the message. */
    if (m->term == g->raft.current_term && sx_core_leader(g)) {
        sx_err_set(e, SX_ECORRUPT, "group %u: node %016llx also leads term %llu", g->group,
                   (unsigned long long)from, (unsigned long long)m->term);
        return sx_core_die(g, e);
    }
    if (m->n && (g->n_flight >= SX_GROUP_FLIGHTS_MAX || unstored_bytes(g) > SX_GROUP_CACHE_BYTES))
        return 0; /* the disk is too slow: the leader repeats it */
    list = sx_calloc(m->n ? m->n : 1, sizeof *list);
    batch = m->n ? raft_malloc(1) : NULL;
    for (unsigned i = 0; i < m->n; i++)
        list[i] = (struct raft_entry){ .term = m->entry[i].term,
                                       .type = (enum raft_entry_type)m->entry[i].type,
                                       .buf = { (void *)m->entry[i].data, m->entry[i].len },
                                       .batch = batch };
    *a = (struct raft_append_entries){ .version = 0,
                                       .term = m->term,
                                       .prev_log_index = m->index,
                                       .prev_log_term = m->index_term,
                                       .leader_commit = m->commit,
                                       .entries = list,
                                       .n_entries = m->n };
    result = step_message(g, from, &r, e);
    free(list);
    return result;
}

static int recv_install(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                        struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_INSTALL_SNAPSHOT };
    SX_AUTO(sx_members) struct sx_members members = SX_MEMBERS_INIT;

    if (m->term < g->raft.current_term) {
        answer_stale(g, from, m->index);
        return 0;
    }
    /* Guard: never an install during a local snapshot, nor a second install: the leader repeats it. */
    if (g->snapping || g->installing)
        return 0;
    if (sx_members_decode(&members, m->members, m->members_len, e))
        return sx_core_die(g, e); /* it was decoded once already */
    r.install_snapshot = (struct raft_install_snapshot){ .term = m->term,
                                                         .last_index = m->index,
                                                         .last_term = m->index_term,
                                                         .conf_index = m->members_index };
    sx_core_configuration(&r.install_snapshot.conf, &members);
    return step_message(g, from, &r, e);
}

static int recv_result(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                       struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_APPEND_ENTRIES_RESULT };

    r.append_entries_result = (struct raft_append_entries_result){ .version = 1,
                                                                   .term = m->term,
                                                                   .rejected = m->rejected,
                                                                   .last_log_index = m->last,
                                                                   .features = m->features,
                                                                   .capacity = m->capacity };
    return step_message(g, from, &r, e);
}

static int recv_vote(struct sx_group *g, uint64_t from, const struct sx_msg *m, struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_REQUEST_VOTE };

    r.request_vote = (struct raft_request_vote){ .version = 2,
                                                 .term = m->term,
                                                 .candidate_id = from,
                                                 .last_log_index = m->index,
                                                 .last_log_term = m->index_term,
                                                 .disrupt_leader = m->disrupt,
                                                 .pre_vote = m->pre_vote };
    return step_message(g, from, &r, e);
}

static int recv_vote_result(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                            struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_REQUEST_VOTE_RESULT };

    r.request_vote_result = (struct raft_request_vote_result){ .version = 2,
                                                               .term = m->term,
                                                               .vote_granted = m->granted,
                                                               .pre_vote = m->pre_vote,
                                                               .features = m->features,
                                                               .capacity = m->capacity };
    return step_message(g, from, &r, e);
}

static int recv_timeout_now(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                            struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_TIMEOUT_NOW };

    /* Guard: no candidacy while writes are under way (their reports may not meet a candidate) nor during an install. */
    if (g->installing || g->raft.last_stored < sx_rlog_last(&g->log))
        return 0;
    r.timeout_now = (struct raft_timeout_now){ .term = m->term,
                                               .last_log_index = m->index,
                                               .last_log_term = m->index_term };
    return step_message(g, from, &r, e);
}

/* A removed node is told when it asks for votes: it cannot find out by itself.  The bound on the
 * term keeps a leader of yesterday from telling it to a member that it does not know yet. */
static bool told_removed(struct sx_group *g, uint64_t from, const struct sx_msg *m)
{
    struct sx_msg answer = { .type = SX_MSG_REMOVED,
                             .term = g->raft.current_term,
                             .index = g->raft.configuration_committed_index };

    if (m->type != SX_MSG_VOTE || !sx_core_ready(g) || sx_members_find(&g->members, from) ||
        g->raft.configuration_uncommitted_index || m->term > g->raft.current_term + 1)
        return false;
    sx_send_msg(g, from, NULL, &answer);
    return true;
}

int sx_recv_msg(struct sx_group *g, uint64_t from, const struct sx_msg *m, struct sx_err *e)
{
    if (told_removed(g, from, m))
        return 0;
    switch (m->type) {
    case SX_MSG_APPEND:
        return recv_append(g, from, m, e);
    case SX_MSG_APPEND_RESULT:
        return recv_result(g, from, m, e);
    case SX_MSG_VOTE:
        return recv_vote(g, from, m, e);
    case SX_MSG_VOTE_RESULT:
        return recv_vote_result(g, from, m, e);
    case SX_MSG_INSTALL:
        return recv_install(g, from, m, e);
    case SX_MSG_TIMEOUT_NOW:
        return recv_timeout_now(g, from, m, e);
    case SX_MSG_READ:
        sx_read_on_read(g, from, m);
        return 0;
    case SX_MSG_READ_ACK:
        sx_read_on_ack(g, from, m);
        return 0;
    case SX_MSG_REMOVED:
        if (m->term >= g->raft.current_term)
            g->ops.removed(g->ctx);
        return 0;
    }
    return 0;
}
