/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One group between hand-made messages: the test is all the other nodes.  Effects are noted down;
 * disk work completes only when the test says so.
 */
#ifndef SX_TESTS_SIM_RIG_H
#define SX_TESTS_SIM_RIG_H

#include "fcgi/meta/raft/group.h"
#include "fcgi/meta/raft/message.h"

#define RIG_SENT 256u
#define RIG_LOG 512u

struct rig_sent {
    uint64_t to;
    struct sx_msg m;
    bool saved; /* term and vote of that moment were on disk already */
};

struct rig {
    struct sx_group *group;
    uint64_t now;
    uint64_t seq;             /* of the last append */
    uint64_t term, voted_for; /* on disk */
    bool fail_vote;
    struct { /* what was given to append */
        uint64_t term;
        uint8_t type;
        struct sx_buf data;
    } log[RIG_LOG];
    uint64_t last;
    struct rig_sent sent[RIG_SENT];
    unsigned n_sent;
    uint64_t applied; /* last entry that came to be applied */
    uint64_t installing, installer;
    struct sx_snapref snap;
    uint64_t read_index;
    int read_code;
    unsigned reads;
    int change_code;
    unsigned changes, removed, deaths;
    char why[512];
};

#define RIG_ME 0x10u /* node ids; the voters are RIG_ME, 0x20, 0x30 */

/* A group of `voters` nodes, started with the bootstrap entry on disk (term 1). */
void rig_init(struct rig *r, unsigned voters);
/* With nothing on disk. */
void rig_init_empty(struct rig *r);
void rig_fini(struct rig *r);
int rig_tick(struct rig *r, uint64_t ms);                /* time passes */
int rig_receive(struct rig *r, uint64_t from, const struct sx_msg *m);
int rig_persist(struct rig *r);                          /* all appends are durable */
void rig_forget(struct rig *r);                          /* what was sent so far */
/* The last message of this type to this node; NULL: none. */
const struct sx_msg *rig_find(const struct rig *r, uint64_t to, enum sx_msg_type type);
void rig_elect(struct rig *r);                           /* makes the group the leader */
struct sx_group_status rig_status(const struct rig *r);
/* Entries of one term, with 4 bytes of content. */
struct sx_msg rig_append(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t commit,
                         unsigned n, uint64_t entry_term);
struct sx_msg rig_result(uint64_t term, uint64_t rejected, uint64_t last);
struct sx_msg rig_install(const struct rig *r, uint64_t term, uint64_t index, uint64_t index_term);

#endif
