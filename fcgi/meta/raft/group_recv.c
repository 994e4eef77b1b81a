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

/* Guard: to a message of an old term the core answers with an uninitialised index, which, if the
 * asker leads again in our term meanwhile, would count as stored.  So such messages are answered
 * here. */
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

/* Guard: the core takes entries from before the beginning of its log for new ones, when an old
 * message with entry 1 comes late; and it sets its commit index back when a message ends before it.
 * What is committed here is in every later leader's log, so that part of a message is left out
 * after a comparison: `*skip` tells how much, and index and term of what stands before the rest are
 * given; if nothing is left, of the last committed entry. */
static int skip_committed(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                          unsigned *skip, uint64_t *index, uint64_t *term, struct sx_err *e)
{
    uint64_t commit = g->raft.commit_index;

    *skip = 0;
    *index = m->index;
    *term = m->index_term;
    if (g->installing || m->index >= commit)
        return 0;
    for (;;) {
        uint64_t mine = *index ? sx_core_term(g, *index) : 0;

        if (mine && mine != *term) {
            sx_err_set(e, SX_ECORRUPT,
                       "group %u: node %016llx has term %llu for the committed entry %llu, "
                       "here %llu",
                       g->group, (unsigned long long)from, (unsigned long long)*term,
                       (unsigned long long)*index, (unsigned long long)mine);
            return sx_core_die(g, e);
        }
        if (*skip == m->n || *index == commit)
            break;
        *index = m->entry[*skip].index;
        *term = m->entry[*skip].term;
        ++*skip;
    }
    *index = commit;
    *term = sx_core_term(g, commit);
    return 0;
}

static int recv_append(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                       struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_APPEND_ENTRIES };
    struct raft_append_entries *a = &r.append_entries;
    struct raft_entry *list;
    uint64_t index, term;
    unsigned skip, n;
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
    g->heard_ms = g->now;
    if (skip_committed(g, from, m, &skip, &index, &term, e))
        return -1;
    n = m->n - skip;
    list = sx_calloc(n ? n : 1, sizeof *list);
    batch = n ? raft_malloc(1) : NULL;
    for (unsigned i = 0; i < n; i++) {
        const struct sx_entry *x = &m->entry[skip + i];

        list[i] = (struct raft_entry){ .term = x->term,
                                       .type = (enum raft_entry_type)x->type,
                                       .buf = { (void *)x->data, x->len },
                                       .batch = batch };
    }
    *a = (struct raft_append_entries){ .version = 0,
                                       .term = m->term,
                                       .prev_log_index = index,
                                       .prev_log_term = term,
                                       .leader_commit = m->commit,
                                       .entries = list,
                                       .n_entries = n };
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
    g->heard_ms = g->now;
    /* Guard: never an install during a local snapshot, nor a second install: the leader repeats
     * it. */
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

    /* Guard: a refusal of what the node has confirmed meanwhile is an old message; the core would
     * go back behind the confirmed entry and never send to this node again. */
    if (m->term == g->raft.current_term && m->rejected &&
        m->rejected <= sx_group_match(g, from))
        return 0;
    r.append_entries_result = (struct raft_append_entries_result){ .version = 1,
                                                                   .term = m->term,
                                                                   .rejected = m->rejected,
                                                                   .last_log_index = m->last,
                                                                   .features = m->features,
                                                                   .capacity = m->capacity };
    return step_message(g, from, &r, e);
}

/* The candidate's log is at least as new as ours (Raft paper, §5.4.1). */
static bool newer(const struct sx_group *g, const struct sx_msg *m)
{
    uint64_t last = sx_rlog_last(&g->log), term = sx_core_term(g, last);

    return m->index_term > term || (m->index_term == term && m->index >= last);
}

static bool may_vote(const struct sx_group *g, uint64_t from, const struct sx_msg *m)
{
    if (g->installing || m->term < g->raft.current_term || !newer(g, m))
        return false;
    return m->pre_vote || !g->raft.voted_for || g->raft.voted_for == from;
}

/* Guard: the core refuses its vote while its own log does not name it a voter.  But the log may
 * lag: if the change that made it a voter is in the candidate's log only, nobody could ever be
 * elected (dissertation, §4.1: servers vote whatever their members are).  So a node that believes
 * to be no voter votes here, by the same rules; a candidate for whom it is none does not count
 * it. */
static int vote_as_other(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                         struct sx_err *e)
{
    bool led = g->heard_ms && g->now < g->heard_ms + g->election_ms;
    struct sx_msg answer = { .type = SX_MSG_VOTE_RESULT, .pre_vote = m->pre_vote };
    uint64_t term = g->raft.current_term, vote = g->raft.voted_for;

    if (!led || m->disrupt) {
        if (!m->pre_vote && m->term > term) {
            g->raft.current_term = m->term;
            g->raft.voted_for = 0;
        }
        answer.granted = may_vote(g, from, m);
        if (answer.granted && !m->pre_vote)
            g->raft.voted_for = from;
    }
    if ((g->raft.current_term != term || g->raft.voted_for != vote) &&
        g->ops.save_vote(g->ctx, g->raft.current_term, g->raft.voted_for, e))
        return sx_core_die(g, e);
    answer.term = m->pre_vote ? m->term : g->raft.current_term;
    sx_send_msg(g, from, address_of(g, from), &answer);
    return 0;
}

/* Guard: to a pre-vote of an old term the core answers with that term, so the asker never learns
 * of ours.  If its log is the newer one, neither of the two can ever be elected.  It is told here,
 * and learn_term() makes it believe. */
static void answer_old_pre_vote(struct sx_group *g, uint64_t from)
{
    struct sx_msg m = { .type = SX_MSG_VOTE_RESULT,
                        .term = g->raft.current_term,
                        .pre_vote = true };

    sx_send_msg(g, from, address_of(g, from), &m);
}

static int recv_vote(struct sx_group *g, uint64_t from, const struct sx_msg *m, struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_REQUEST_VOTE };
    const struct sx_member *me = sx_members_find(&g->members, g->raft.id);

    if (m->pre_vote && m->term < g->raft.current_term) {
        answer_old_pre_vote(g, from);
        return 0;
    }
    if ((!me || me->role != SX_ROLE_VOTER) && g->raft.state == RAFT_FOLLOWER)
        return vote_as_other(g, from, m, e);
    r.request_vote = (struct raft_request_vote){ .version = 2,
                                                 .term = m->term,
                                                 .candidate_id = from,
                                                 .last_log_index = m->index,
                                                 .last_log_term = m->index_term,
                                                 .disrupt_leader = m->disrupt,
                                                 .pre_vote = m->pre_vote };
    return step_message(g, from, &r, e);
}

/* Lets the core take over a higher term, as it would from a candidate without any log, whom
 * it gives no vote. */
static int learn_term(struct sx_group *g, uint64_t from, uint64_t term, struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_REQUEST_VOTE };

    r.request_vote =
        (struct raft_request_vote){ .version = 2, .term = term, .candidate_id = from };
    return step_message(g, from, &r, e);
}

static int recv_vote_result(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                            struct sx_err *e)
{
    struct raft_message r = { .type = RAFT_REQUEST_VOTE_RESULT };

    /* Guard: the term in a pre-vote's result is nobody's yet; to others than a candidate it says
     * nothing, but the core would take it over. */
    if (m->pre_vote && g->raft.state != RAFT_CANDIDATE)
        return 0;
    if (m->pre_vote && !m->granted && m->term > g->raft.current_term + 1)
        return learn_term(g, from, m->term, e);
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

    /* Guard: no candidacy while writes are under way (their reports may not meet a candidate) nor
     * during an install. */
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
