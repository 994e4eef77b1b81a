/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A simulated cluster: up to SIM_NODES consensus groups of one number, each with its own disk in
 * memory (the real write-ahead log, vote and snapshot reference over memio.h) and a model of a
 * database, a network that loses, delays, doubles and reorders, and a virtual clock in
 * milliseconds.  Everything follows from the seed.
 *
 *   sim.c      the world: clock, events, network, nodes
 *   node.c     one node: effects of its group, disk, database, crash and restart
 *   check.c    what must hold after every step
 *   nemesis.c  random operations and faults, healing
 *
 * After every step the checks of check.c run; the first violation ends the run with a text.
 */
#ifndef SX_TESTS_SIM_SIM_H
#define SX_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/meta/raft/group.h"
#include "fcgi/meta/raft/message.h"
#include "fcgi/meta/raft/vote.h"
#include "fcgi/meta/raft/wal.h"
#include "tests/sim/memio.h"

#define SIM_NODES 10u
#define SIM_INDEX_MAX 8192u /* log positions of a run */
#define SIM_TERM_MAX 4096u
#define SIM_GROUP 3u
#define SIM_SEGMENT (64u << 10)
#define SIM_PAIRS (1u << 15)
#define SIM_TEXT 400u

/* What can be broken on purpose, to prove that the checks notice. */
enum sim_bug {
    SIM_BUG_NONE,
    SIM_BUG_FORGET_VOTE,   /* the term is written, the vote is not */
    SIM_BUG_EARLY_ACK,     /* appends are reported durable before the sync */
    SIM_BUG_LYING_DISK,    /* syncs do nothing */
    SIM_BUG_STALE_READ,    /* a read is answered by whoever believes to lead, without a round */
    SIM_BUG_WRONG_APPLY,   /* a state machine sometimes applies something else */
    SIM_BUG_EARLY_COMMIT,  /* messages carry a commit index that is too high */
    SIM_BUG_LOST_TRUNCATE, /* appends that should replace a tail are not written */
    SIM_BUGS
};

struct sim_shadow { /* what a log holds, as terms; 0: nothing, or before `first` */
    uint64_t first, last;
    uint32_t term[SIM_INDEX_MAX];
};

struct sim_apply {
    uint64_t index;
    uint32_t bytes;
};

struct sim_node {
    struct sim *sim;
    unsigned number;
    uint64_t id;
    char address[16];
    bool exists, up;
    bool faulty, dead; /* its disk may fail; it did, and the group died in order */
    unsigned rate;     /* of its clock, in percent */
    uint64_t ahead;    /* its clock is ahead by so many ms */
    unsigned incarnation;
    struct sx_memio *mem;
    struct sx_wal *wal;
    struct sx_vote *vote;
    struct sx_group *group;
    struct sx_snapref snap;
    struct sim_shadow log, durable;
    struct { /* appends that wait for a sync */
        uint64_t seq, last;
    } wait;
    bool sync_planned, apply_planned, snapping;
    uint64_t given;                /* last entry that came out of `apply` */
    uint64_t applied, db;          /* of the database; durable in it */
    uint64_t commit;               /* as last seen by the checks */
    bool was_leader;
    uint64_t leader_term;
    uint64_t installing; /* index that is wanted; 0: none */
    uint64_t saved_term, saved_vote; /* what save_vote last made durable */
    bool told_removed;
};

enum sim_event_type { SIM_MESSAGE, SIM_SYNC, SIM_APPLY, SIM_INSTALL, SIM_SNAPSHOT_END };

struct sim_event {
    uint64_t at, seq;
    enum sim_event_type type;
    unsigned node, from, incarnation;
    uint64_t arg;
    uint8_t *data;
    size_t n;
};

struct sim_net {
    unsigned loss, twice, delay; /* percent, percent, longest ms */
    bool cut[SIM_NODES][SIM_NODES]; /* one way: from, to */
};

struct sim_pair { /* an entry that once existed somewhere */
    uint64_t index, term, hash, before;
};

struct sim_read {
    uint64_t floor;
    bool used;
};

#define SIM_READS 1024u

struct sim {
    uint64_t seed, random, now, trace;
    enum sim_bug bug;
    bool verbose;
    struct sim_node node[SIM_NODES];
    struct sim_net net;
    struct sim_event *event; /* heap */
    size_t n_events, cap_events;
    uint64_t event_seq, steps;
    unsigned disk_delay; /* longest ms */
    /* For cases that need a certain schedule: true loses the message; it may be changed, too. */
    bool (*filter)(struct sim *s, unsigned from, unsigned to, struct sx_msg *m);
    uint64_t filter_arg[2];

    /* history, see check.c */
    uint64_t leader[SIM_TERM_MAX];
    uint64_t vote[SIM_NODES][SIM_TERM_MAX];
    struct sim_pair *pair;
    uint64_t committed_term[SIM_INDEX_MAX], committed_hash[SIM_INDEX_MAX];
    uint64_t committed_in[SIM_INDEX_MAX]; /* term of the leader that committed it */
    uint64_t committed; /* highest index known committed anywhere */
    uint64_t acked;     /* highest index that some client may have seen acknowledged */
    struct sim_read read[SIM_READS];
    uint64_t next_read, reads_done, commands, applies, installs, snapshots, changes, elections;
    uint64_t disk_deaths;
    uint64_t change_tag;

    char failed[SIM_TEXT]; /* what was violated; empty: nothing */
};

/* sim.c */
struct sim *sim_new(uint64_t seed, enum sim_bug bug);
void sim_free(struct sim *s);
uint64_t sim_rand(struct sim *s, uint64_t n); /* 0 … n - 1 */
/* Makes nodes 0 … n - 1 and starts them as the voters of a new group. */
void sim_bootstrap(struct sim *s, unsigned n);
/* The next event, if it is due up to `until`; false: the clock stands at `until` now. */
bool sim_step(struct sim *s, uint64_t until);
void sim_run(struct sim *s, uint64_t ms); /* steps for so long, or until a violation */
void sim_plan(struct sim *s, uint64_t at, enum sim_event_type type, unsigned node, uint64_t arg);
void sim_network(struct sim *s, unsigned from, unsigned to, const void *msg, size_t n);
void sim_trace(struct sim *s, uint64_t what, uint64_t a, uint64_t b);
void sim_fail(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned sim_number(const struct sim *s, uint64_t id); /* SIM_NODES: unknown */
struct sim_node *sim_leader(struct sim *s); /* the live one of the highest term; NULL: none */
bool sim_wait_leader(struct sim *s, uint64_t ms); /* a leader that is ready */
/* Waits until all live members have applied what is committed now. */
bool sim_wait_applied(struct sim *s, uint64_t ms);
uint64_t sim_hash(const void *p, size_t n);

/* node.c */
void sim_node_make(struct sim *s, unsigned number, const struct sx_members *members);
void sim_node_start(struct sim_node *n);
void sim_node_crash(struct sim_node *n, bool torn);
void sim_node_fini(struct sim_node *n);
/* The node's own clock, and when that will show `at`. */
uint64_t sim_node_clock(const struct sim_node *n);
uint64_t sim_node_when(const struct sim_node *n, uint64_t at);
/* From now on one of the next calls to its disk fails. */
void sim_node_spoil(struct sim_node *n);
void sim_node_event(struct sim_node *n, const struct sim_event *ev);
void sim_node_tick(struct sim_node *n);
bool sim_node_submit(struct sim_node *n, unsigned bytes);
bool sim_node_read(struct sim_node *n);
bool sim_node_snapshot(struct sim_node *n, uint64_t trailing);

/* check.c */
void sim_check_append(struct sim_node *n, const struct sx_entry *e, uint64_t before);
void sim_check_apply(struct sim_node *n, const struct sx_entry *e);
void sim_check_send(struct sim_node *n, unsigned to, const struct sx_msg *m);
void sim_check_read(struct sim *s, uint64_t tag, uint64_t index);
void sim_check_node(struct sim_node *n); /* after each event of the node */

/* nemesis.c */
void sim_random_op(struct sim *s);
void sim_heal(struct sim *s);
/* A whole random run of about `steps` events, then healing; false: s->failed tells why. */
bool sim_random_run(struct sim *s, uint64_t steps);

#endif
