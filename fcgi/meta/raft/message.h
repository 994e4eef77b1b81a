/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages between the nodes of a group: Raft's own, and ours for read indexes and removed nodes.
 * Byte by byte in docs/formats.md.  Decoding takes bytes from the network: every length, count and
 * range is checked, because the core behind trusts what it is given.
 */
#ifndef SX_META_RAFT_MESSAGE_H
#define SX_META_RAFT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/meta/raft/entry.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"

enum sx_msg_type {
    SX_MSG_APPEND = 1,
    SX_MSG_APPEND_RESULT = 2,
    SX_MSG_VOTE = 3,
    SX_MSG_VOTE_RESULT = 4,
    SX_MSG_INSTALL = 5,
    SX_MSG_TIMEOUT_NOW = 6,
    SX_MSG_READ = 7,     /* leader to voters: do you still follow me? */
    SX_MSG_READ_ACK = 8, /* yes */
    SX_MSG_REMOVED = 9   /* leader to a node that is no member any more */
};

#define SX_MSG_ENTRIES_MAX 256u

struct sx_msg {
    enum sx_msg_type type;
    uint64_t term; /* of the sender, or the one a candidate stands for */
    /* APPEND: entry before; VOTE, TIMEOUT_NOW: last entry; INSTALL: snapshot; REMOVED: change */
    uint64_t index;
    uint64_t index_term; /* of the entry at `index` */
    uint64_t commit;   /* APPEND */
    uint64_t rejected; /* APPEND_RESULT: 0, or the index that did not fit */
    uint64_t last;     /* APPEND_RESULT */
    uint64_t seq;      /* READ, READ_ACK: number of the round */
    uint64_t members_index; /* INSTALL */
    const uint8_t *members; /* INSTALL: coded form, checked */
    uint32_t members_len;
    uint16_t features, capacity; /* APPEND_RESULT, VOTE_RESULT: of the core */
    bool pre_vote, disrupt, granted;
    unsigned n; /* APPEND */
    struct sx_entry entry[SX_MSG_ENTRIES_MAX];
};

/* Appends the message. */
void sx_msg_encode(const struct sx_msg *m, struct sx_buf *out);
/* Pointers of `m` lead into p.  SX_EMALFORMED says what is wrong. */
int sx_msg_decode(struct sx_msg *m, const void *p, size_t n, struct sx_err *e) SX_MUST_CHECK;

#endif
