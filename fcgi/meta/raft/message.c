/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Coding of messages, see message.h.  All messages begin with type, version, flags and term.
 */
#include "fcgi/meta/raft/message.h"

#include "fcgi/meta/raft/members.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

#define VERSION 1u
#define INDEX_MAX (UINT64_MAX >> 1) /* leaves room for additions that cannot overflow */

#define FLAG_PRE_VOTE 1u
#define FLAG_DISRUPT 2u
#define FLAG_GRANTED 4u
#define FLAGS_ALL 7u

static void encode_entries(const struct sx_msg *m, struct sx_buf *out)
{
    sx_buf_u32(out, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        sx_buf_u64(out, m->entry[i].term);
        sx_buf_u8(out, m->entry[i].type);
        sx_buf_bytes(out, m->entry[i].data, m->entry[i].len);
    }
}

static void encode_body(const struct sx_msg *m, struct sx_buf *out)
{
    switch (m->type) {
    case SX_MSG_APPEND:
        sx_buf_u64(out, m->index);
        sx_buf_u64(out, m->index_term);
        sx_buf_u64(out, m->commit);
        encode_entries(m, out);
        break;
    case SX_MSG_APPEND_RESULT:
        sx_buf_u64(out, m->rejected);
        sx_buf_u64(out, m->last);
        sx_buf_u16(out, m->features);
        sx_buf_u16(out, m->capacity);
        break;
    case SX_MSG_VOTE:
    case SX_MSG_TIMEOUT_NOW:
        sx_buf_u64(out, m->index);
        sx_buf_u64(out, m->index_term);
        break;
    case SX_MSG_VOTE_RESULT:
        sx_buf_u16(out, m->features);
        sx_buf_u16(out, m->capacity);
        break;
    case SX_MSG_INSTALL:
        sx_buf_u64(out, m->index);
        sx_buf_u64(out, m->index_term);
        sx_buf_u64(out, m->members_index);
        sx_buf_bytes(out, m->members, m->members_len);
        break;
    case SX_MSG_READ:
    case SX_MSG_READ_ACK:
        sx_buf_u64(out, m->seq);
        break;
    case SX_MSG_REMOVED:
        sx_buf_u64(out, m->index);
        break;
    }
}

void sx_msg_encode(const struct sx_msg *m, struct sx_buf *out)
{
    unsigned flags = (m->pre_vote ? FLAG_PRE_VOTE : 0) | (m->disrupt ? FLAG_DISRUPT : 0) |
                     (m->granted ? FLAG_GRANTED : 0);

    sx_buf_u8(out, (uint8_t)m->type);
    sx_buf_u8(out, VERSION);
    sx_buf_u16(out, (uint16_t)flags);
    sx_buf_u64(out, m->term);
    encode_body(m, out);
}

static int bad(struct sx_err *e, const struct sx_msg *m, const char *why)
{
    return sx_err_set(e, SX_EMALFORMED, "consensus message of type %d: %s", (int)m->type, why);
}

static int decode_entry(const struct sx_msg *m, struct sx_cur *c, struct sx_entry *x,
                        uint64_t least_term, struct sx_err *e)
{
    size_t len;

    x->term = sx_cur_u64(c);
    x->type = sx_cur_u8(c);
    x->data = sx_cur_bytes(c, &len);
    x->len = (uint32_t)len;
    if (c->bad)
        return bad(e, m, "entries are cut short");
    if (x->term < least_term || x->term > m->term || !x->term)
        return bad(e, m, "term of an entry is out of range");
    if (x->type < SX_ENTRY_COMMAND || x->type > SX_ENTRY_CHANGE)
        return bad(e, m, "unknown type of an entry");
    if (x->len == 0 || x->len > SX_LOG_ENTRY_MAX)
        return bad(e, m, "length of an entry is out of range");
    return 0;
}

/* A change of members must travel alone: the core behind records the index of one that is not
 * the first new entry of its message wrongly. */
static int check_change(const struct sx_msg *m, const struct sx_entry *x, struct sx_err *e)
{
    SX_AUTO(sx_members) struct sx_members members = SX_MEMBERS_INIT;

    if (x->type != SX_ENTRY_CHANGE)
        return 0;
    if (m->n != 1)
        return bad(e, m, "a change of members is not alone");
    return sx_members_decode(&members, x->data, x->len, e);
}

static int decode_append(struct sx_msg *m, struct sx_cur *c, struct sx_err *e)
{
    uint64_t term;
    size_t bytes = 0;

    m->index = sx_cur_u64(c);
    m->index_term = term = sx_cur_u64(c);
    m->commit = sx_cur_u64(c);
    m->n = sx_cur_u32(c);
    if (c->bad || m->index > INDEX_MAX || m->commit > INDEX_MAX || m->n > SX_MSG_ENTRIES_MAX)
        return bad(e, m, "head is out of range");
    if (!m->index != !m->index_term || m->index_term > m->term)
        return bad(e, m, "term of the entry before is out of range");
    for (unsigned i = 0; i < m->n; i++) {
        struct sx_entry *x = &m->entry[i];

        if (decode_entry(m, c, x, term, e) || check_change(m, x, e))
            return -1;
        x->index = m->index + 1 + i;
        term = x->term;
        bytes += x->len;
    }
    if (m->n > 1 && bytes > SX_ENTRY_FILL)
        return bad(e, m, "too many bytes");
    return 0;
}

static int decode_result(struct sx_msg *m, struct sx_cur *c, struct sx_err *e)
{
    m->rejected = sx_cur_u64(c);
    m->last = sx_cur_u64(c);
    m->features = sx_cur_u16(c);
    m->capacity = sx_cur_u16(c);
    if (m->rejected > INDEX_MAX || m->last > INDEX_MAX || (m->rejected && m->last >= m->rejected))
        return bad(e, m, "index is out of range");
    return 0;
}

static int decode_last(struct sx_msg *m, struct sx_cur *c, struct sx_err *e)
{
    m->index = sx_cur_u64(c);
    m->index_term = sx_cur_u64(c);
    if (m->index > INDEX_MAX || !m->index != !m->index_term || m->index_term > m->term)
        return bad(e, m, "last entry is out of range");
    return 0;
}

static int decode_install(struct sx_msg *m, struct sx_cur *c, struct sx_err *e)
{
    SX_AUTO(sx_members) struct sx_members members = SX_MEMBERS_INIT;
    size_t len;

    if (decode_last(m, c, e))
        return -1;
    m->members_index = sx_cur_u64(c);
    m->members = sx_cur_bytes(c, &len);
    m->members_len = (uint32_t)len;
    if (c->bad || !m->index || !m->members_index || m->members_index > m->index)
        return bad(e, m, "snapshot is out of range");
    return sx_members_decode(&members, m->members, m->members_len, e);
}

static int decode_body(struct sx_msg *m, struct sx_cur *c, struct sx_err *e)
{
    switch (m->type) {
    case SX_MSG_APPEND:
        return decode_append(m, c, e);
    case SX_MSG_APPEND_RESULT:
        return decode_result(m, c, e);
    case SX_MSG_VOTE:
    case SX_MSG_TIMEOUT_NOW:
        return decode_last(m, c, e);
    case SX_MSG_VOTE_RESULT:
        m->features = sx_cur_u16(c);
        m->capacity = sx_cur_u16(c);
        return 0;
    case SX_MSG_INSTALL:
        return decode_install(m, c, e);
    case SX_MSG_READ:
    case SX_MSG_READ_ACK:
        m->seq = sx_cur_u64(c);
        return 0;
    case SX_MSG_REMOVED:
        m->index = sx_cur_u64(c);
        return 0;
    }
    return bad(e, m, "unknown type");
}

int sx_msg_decode(struct sx_msg *m, const void *p, size_t n, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(p, n);
    uint8_t type = sx_cur_u8(&c), version = sx_cur_u8(&c);
    uint16_t flags = sx_cur_u16(&c);
    uint64_t term = sx_cur_u64(&c);

    m->type = (enum sx_msg_type)type;
    m->term = term;
    m->n = 0;
    m->index = m->index_term = m->commit = m->rejected = m->last = m->seq = m->members_index = 0;
    m->members = NULL;
    m->members_len = 0;
    m->features = m->capacity = 0;
    m->pre_vote = flags & FLAG_PRE_VOTE;
    m->disrupt = flags & FLAG_DISRUPT;
    m->granted = flags & FLAG_GRANTED;
    if (c.bad || version != VERSION || flags & ~FLAGS_ALL)
        return bad(e, m, "unknown version or flags");
    if (!term || term > INDEX_MAX)
        return bad(e, m, "term is out of range");
    if (decode_body(m, &c, e))
        return -1;
    if (!sx_cur_done(&c))
        return bad(e, m, "length is wrong");
    return 0;
}
