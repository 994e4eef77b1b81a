/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of a group, shared by the group*.c files only.  The one place, with those files, that
 * knows libraft.
 *
 *   group.c         public functions, start
 *   group_core.c    one step of the core and its consequences, commit, apply
 *   group_send.c    messages out
 *   group_recv.c    messages in
 *   group_read.c    read indexes
 *   group_change.c  members, handing over leadership
 *   group_snap.c    snapshots, installs
 */
#ifndef SX_META_RAFT_GROUP_INT_H
#define SX_META_RAFT_GROUP_INT_H

#include <raft.h>

#include "fcgi/meta/raft/group.h"
#include "fcgi/meta/raft/message.h"
#include "fcgi/meta/raft/rlog.h"

/* Appends that are not yet reported as persisted. */
#define SX_GROUP_FLIGHTS_MAX 65536u
/* Entries that the core may have under way to a node without an answer. */
#define SX_GROUP_INFLIGHT_ENTRIES 256u
/* Bytes that one decision of the core to send may become, in several messages. */
#define SX_GROUP_SEND_BYTES (8u << 20)
/* Rounds of catching up before a promotion, and how long all of it may take. */
#define SX_GROUP_CATCHUP_ROUNDS 10u
#define SX_GROUP_CATCHUP_MS 30000u

struct sx_flight {
    uint64_t seq;
    uint64_t first, last; /* entries; last < first: all were replaced by later appends */
};

enum sx_change_phase { SX_PHASE_NONE, SX_PHASE_CATCHUP, SX_PHASE_COMMIT };

struct sx_pending_change {
    enum sx_change_phase phase;
    enum sx_group_change what;
    uint64_t id, tag;
    char *address;
    uint64_t index;    /* COMMIT: of the entry */
    uint64_t target;   /* CATCHUP: the node must have this entry on disk … */
    uint64_t round_ms; /* … since this time */
    uint64_t end_ms;
    unsigned rounds;
};

struct sx_handover {
    uint64_t to; /* 0: none */
    uint64_t end_ms;
    bool told; /* the core was told: the target has all of the log */
};

struct sx_read_round {
    bool active;
    uint64_t seq, index;
    uint64_t sent_ms;
    uint64_t *tags; /* of this round: [0, n); waiting for the next one: [n, n + waiting) */
    size_t n, waiting, cap;
    uint64_t acked[SX_MEMBERS_MAX];
    unsigned acks;
};

struct sx_group {
    struct raft raft;
    struct raft_tracer tracer;
    struct sx_group_ops ops;
    void *ctx;
    uint32_t group;
    char *address;
    uint32_t election_ms, heartbeat_ms;
    uint64_t apply_bytes;

    bool started, dead, inside;
    uint64_t now;
    struct sx_rlog log;
    struct sx_snapref snap;
    struct sx_members members; /* as of raft.configuration */

    uint64_t seq;       /* of the last append */
    uint64_t persisted; /* of the last one that was reported durable */
    struct sx_flight *flight;
    size_t n_flight, cap_flight;

    uint64_t commit;  /* configurations up to here were fed back */
    uint64_t given;   /* last entry given to `apply` */
    uint64_t applied;
    uint64_t given_bytes; /* of the entries in (applied, given] */

    uint64_t heard_ms; /* when the leader was last heard; 0: never */
    bool snapping;     /* a local snapshot is being taken */
    bool installing;   /* a snapshot is being fetched */
    struct raft_snapshot_metadata install;

    struct {
        int state;
        uint64_t term, leader;
    } told; /* what `state` was last called for */

    struct sx_read_round read;
    struct sx_pending_change change;
    struct sx_handover handover;
    struct sx_buf scratch; /* an outgoing message */
    struct sx_buf data;    /* an entry read from disk */
};

/* group_core.c */
int sx_core_die(struct sx_group *g, struct sx_err *e); /* marks dead, calls fatal; -1 */
/* Steps the core, carries the update out; *refused (may be NULL) takes the core's error instead of
 * its being fatal. */
int sx_core_step(struct sx_group *g, struct raft_event *ev, int *refused,
                 struct sx_err *e) SX_MUST_CHECK;
/* Does whatever has become possible, until nothing is left. */
int sx_core_settle(struct sx_group *g, struct sx_err *e) SX_MUST_CHECK;
/* Gives one new entry to the core (leader). */
int sx_core_submit(struct sx_group *g, enum sx_entry_type type, const void *data, size_t n,
                   int *refused, struct sx_err *e) SX_MUST_CHECK;
/* Entry `index` of the log, from memory or disk; valid until the next call.  *found false: it is
 * gone. */
int sx_core_entry(struct sx_group *g, uint64_t index, struct sx_entry *entry, bool *found,
                  struct sx_err *e) SX_MUST_CHECK;
/* Term of an entry, also of the snapshot's; 0: it is gone. */
uint64_t sx_core_term(const struct sx_group *g, uint64_t index);
int sx_core_error(struct sx_group *g, int rv, const char *what, struct sx_err *e);
void sx_core_configuration(struct raft_configuration *c, const struct sx_members *m);

static inline bool sx_core_leader(const struct sx_group *g)
{
    return g->raft.state == RAFT_LEADER;
}
bool sx_core_ready(const struct sx_group *g); /* leader with an own committed entry */

/* group_send.c */
int sx_send_core(struct sx_group *g, const struct raft_message *m, struct sx_err *e) SX_MUST_CHECK;
void sx_send_msg(struct sx_group *g, uint64_t to, const char *address, const struct sx_msg *m);

/* group_recv.c */
int sx_recv_msg(struct sx_group *g, uint64_t from, const struct sx_msg *m,
                struct sx_err *e) SX_MUST_CHECK;

/* group_read.c */
int sx_read_add(struct sx_group *g, uint64_t tag, struct sx_err *e) SX_MUST_CHECK;
void sx_read_on_read(struct sx_group *g, uint64_t from, const struct sx_msg *m);
void sx_read_on_ack(struct sx_group *g, uint64_t from, const struct sx_msg *m);
bool sx_read_settle(struct sx_group *g); /* true: something was done */
void sx_read_fail(struct sx_group *g);   /* leadership is lost */

/* group_change.c */
int sx_change_settle(struct sx_group *g, bool *did, struct sx_err *e) SX_MUST_CHECK;
void sx_change_fail(struct sx_group *g);
uint64_t sx_change_timeout(const struct sx_group *g);
/* Entries from this index on may not be sent to `to` yet (UINT64_MAX: all may). */
uint64_t sx_change_hold(const struct sx_group *g, uint64_t to);

/* group_snap.c */
/* Drops the appends under way: what they wrote counts no more. */
int sx_snap_begin_install(struct sx_group *g, struct raft_update *u,
                          struct sx_err *e) SX_MUST_CHECK;

/* Frame of every public [event] function: no nesting, nothing after death. */
int sx_group_enter(struct sx_group *g, uint64_t now_ms, struct sx_err *e) SX_MUST_CHECK;
int sx_group_leave(struct sx_group *g, int result, struct sx_err *e) SX_MUST_CHECK;

#endif
