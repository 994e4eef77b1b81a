/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages out.  The core only says which entries a message is to have; they are filled in
 * here, and the message is cut into several where the limits or a change of members ask for it.
 */
#include "fcgi/meta/raft/group_int.h"

#include <string.h>

#include "libsx/base/mem.h"

void sx_send_msg(struct sx_group *g, uint64_t to, const char *address, const struct sx_msg *m)
{
    sx_buf_reset(&g->scratch);
    sx_msg_encode(m, &g->scratch);
    g->ops.send(g->ctx, to, address, g->scratch.data, g->scratch.len);
}

/* Fills one message with entries from `index` up to (not including) `end`; gives how many. Guard:
 * a change of members is alone in its message, because the receiving core notes a wrong index for
 * one that is not the first new entry. */
static int fill(struct sx_group *g, struct sx_msg *m, struct sx_buf *data, uint64_t index,
                uint64_t end, struct sx_err *e)
{
    size_t offset[SX_MSG_ENTRIES_MAX];

    sx_buf_reset(data);
    m->n = 0;
    for (; index < end && m->n < SX_GROUP_MESSAGE_ENTRIES; index++) {
        struct sx_entry x;
        bool found;

        if (sx_core_entry(g, index, &x, &found, e))
            return -1;
        if (!found)
            break; /* Guard: an entry that is gone: send fewer */
        if (m->n && (x.type == SX_ENTRY_CHANGE || data->len + x.len > SX_GROUP_MESSAGE_FILL))
            break;
        offset[m->n] = data->len;
        sx_buf_add(data, x.data, x.len);
        m->entry[m->n++] = x;
        if (x.type == SX_ENTRY_CHANGE)
            break;
    }
    for (unsigned i = 0; i < m->n; i++)
        m->entry[i].data = data->data + offset[i];
    return 0;
}

static int send_append(struct sx_group *g, const struct raft_message *r, struct sx_err *e)
{
    const struct raft_append_entries *a = &r->append_entries;
    SX_AUTO(sx_buf) struct sx_buf data = SX_BUF_INIT;
    uint64_t next = a->prev_log_index + 1, end = next + a->n_entries;
    uint64_t hold = sx_change_hold(g, r->server_id);
    size_t bytes = 0;
    struct sx_msg m = { .type = SX_MSG_APPEND,
                        .term = a->term,
                        .index = a->prev_log_index,
                        .index_term = a->prev_log_term,
                        .commit = a->leader_commit };

    if (end > hold)
        end = hold > next ? hold : next;
    do {
        if (fill(g, &m, &data, next, end, e))
            return -1;
        if (a->n_entries && !m.n && next > a->prev_log_index + 1)
            break;
        sx_send_msg(g, r->server_id, r->server_address, &m);
        if (!m.n)
            break;
        bytes += data.len;
        next += m.n;
        m.index = next - 1;
        m.index_term = m.entry[m.n - 1].term;
    } while (next < end && bytes < SX_GROUP_SEND_BYTES);
    return 0;
}

/* Guard: the core leaves the members of an install empty (and the data, which travels beside). */
static void send_install(struct sx_group *g, const struct raft_message *r)
{
    const struct raft_install_snapshot *s = &r->install_snapshot;
    SX_AUTO(sx_buf) struct sx_buf members = SX_BUF_INIT;
    struct sx_msg m = { .type = SX_MSG_INSTALL,
                        .term = s->term,
                        .index = g->snap.index,
                        .index_term = g->snap.term,
                        .members_index = g->snap.members_index };

    sx_assert(s->last_index == g->snap.index);
    sx_members_encode(&g->snap.members, &members);
    m.members = members.data;
    m.members_len = (uint32_t)members.len;
    sx_send_msg(g, r->server_id, r->server_address, &m);
}

static void send_result(struct sx_group *g, const struct raft_message *r)
{
    const struct raft_append_entries_result *a = &r->append_entries_result;
    struct sx_msg m = { .type = SX_MSG_APPEND_RESULT,
                        .term = a->term,
                        .rejected = a->rejected,
                        .last = a->last_log_index,
                        .features = a->features,
                        .capacity = a->capacity };

    sx_send_msg(g, r->server_id, r->server_address, &m);
}

static void send_vote(struct sx_group *g, const struct raft_message *r)
{
    const struct raft_request_vote *v = &r->request_vote;
    struct sx_msg m = { .type = SX_MSG_VOTE,
                        .term = v->term,
                        .index = v->last_log_index,
                        .index_term = v->last_log_term,
                        .disrupt = v->disrupt_leader,
                        .pre_vote = v->pre_vote };

    sx_send_msg(g, r->server_id, r->server_address, &m);
}

static void send_vote_result(struct sx_group *g, const struct raft_message *r)
{
    const struct raft_request_vote_result *v = &r->request_vote_result;
    struct sx_msg m = { .type = SX_MSG_VOTE_RESULT,
                        .term = v->term,
                        .granted = v->vote_granted,
                        .pre_vote = v->pre_vote,
                        .features = v->features,
                        .capacity = v->capacity };

    sx_send_msg(g, r->server_id, r->server_address, &m);
}

static void send_timeout_now(struct sx_group *g, const struct raft_message *r)
{
    struct sx_msg m = { .type = SX_MSG_TIMEOUT_NOW,
                        .term = r->timeout_now.term,
                        .index = r->timeout_now.last_log_index,
                        .index_term = r->timeout_now.last_log_term };

    sx_send_msg(g, r->server_id, r->server_address, &m);
}

int sx_send_core(struct sx_group *g, const struct raft_message *r, struct sx_err *e)
{
    switch (r->type) {
    case RAFT_APPEND_ENTRIES:
        return send_append(g, r, e);
    case RAFT_APPEND_ENTRIES_RESULT:
        send_result(g, r);
        return 0;
    case RAFT_REQUEST_VOTE:
        send_vote(g, r);
        return 0;
    case RAFT_REQUEST_VOTE_RESULT:
        send_vote_result(g, r);
        return 0;
    case RAFT_INSTALL_SNAPSHOT:
        send_install(g, r);
        return 0;
    case RAFT_TIMEOUT_NOW:
        send_timeout_now(g, r);
        return 0;
    }
    return sx_err_set(e, SX_EBUG, "group %u: the core sends type %d", g->group, (int)r->type);
}
