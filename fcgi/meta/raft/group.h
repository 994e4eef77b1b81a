/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One consensus group on one node: Raft (D. Ongaro, J. Ousterhout, "In Search of an
 * Understandable Consensus Algorithm", 2014; D. Ongaro's dissertation, 2014) as a machine
 * without files, sockets, clock or threads.  Events go in through the functions below, effects
 * come out through `struct sx_group_ops`.  The same events in the same order give the same effects.
 *
 * Rules of calling
 *  - One thread drives a group.  `now_ms` is a monotonic clock and must not go back.
 *  - Effects are called only from inside the functions below marked [event], on the same stack.
 *    From an effect no [event] function of the same group may be called (this is asserted): note
 *    down what is to be done and do it after the event returned.  The functions marked [query] may
 *    be called at any time.
 *  - Memory that an effect is given is the group's, valid until the effect returns.  Memory given
 *    to an event is the caller's, not needed after the event returned.
 *  - Within one event effects come in this order: save_vote, append, save_snapshot, log_cut,
 *    install, send, state, then apply, changed, read_done.  (Several rounds of this order if one
 *    leads to another.)  What a message promises is durable before it is sent: save_vote returns
 *    only when the vote is durable, and append's answers go out only after sx_group_persisted().
 *  - If an effect that returns int fails, if the core finds a contradiction (a message conflicts
 *    with a committed entry), or memory ends, then the group is dead: the event returns -1, the
 *    effect `fatal` was called once, and all further events return -1.  The process must exit; for
 *    SX_ECORRUPT and SX_EBUG it must not be restarted automatically.
 *  - Other results of -1 (not the leader, busy, …) change nothing.
 *
 * The user's duty
 *  - sx_group_tick() when sx_group_timeout() has come; sx_group_receive() for each message;
 *    sx_group_persisted() when appends are on disk; sx_group_applied() as the state
 *    machine gets on.
 *  - Outcome of sx_group_submit(): the entry at that index, when it comes out of `apply`, has the
 *    term that was given: committed.  It has another term, or this node is no longer leader and
 *    the index does not come: not committed, or not known yet.
 *  - Snapshots: sx_group_snapshot_begin(), then make all that is applied durable in the database
 *    (commit, fdatasync), then sx_group_snapshot_end() with the applied index of that database.
 *  - Effect `install`: fetch the database of the named node (or any other whose applied index is
 *    at least the given one), bring it into place durably, then sx_group_installed().  Until then
 *    no entry comes out of `apply`.  An install cannot be given up, only be finished (a restart
 *    forgets it).
 */
#ifndef SX_META_RAFT_GROUP_H
#define SX_META_RAFT_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/meta/raft/entry.h"
#include "fcgi/meta/raft/members.h"
#include "fcgi/meta/raft/snapref.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"

struct sx_group;

enum sx_group_state { SX_GROUP_FOLLOWER, SX_GROUP_CANDIDATE, SX_GROUP_LEADER };

enum sx_group_change {
    SX_CHANGE_ADD,     /* a new node, as standby; needs the address */
    SX_CHANGE_PROMOTE, /* standby to voter, after it has caught up with the log */
    SX_CHANGE_DEMOTE,  /* voter to standby */
    SX_CHANGE_REMOVE
};

struct sx_group_ops {
    /* Term and vote (0: none) must be durable before this returns. */
    int (*save_vote)(void *ctx, uint64_t term, uint64_t voted_for, struct sx_err *e);

    /* Write n entries, entries[0].index first and rising by one, to the log, where they replace
     * everything from entries[0].index on.  Need not be durable at return: call
     * sx_group_persisted(seq) afterwards.  `seq` counts the calls, from 1.  Entries must reach the
     * disk in the order of the calls. */
    int (*append)(void *ctx, uint64_t seq, const struct sx_entry *entries, unsigned n,
                  struct sx_err *e);

    /* An entry of the log that is no longer in memory; the data is appended to `data`. Called at
     * start for each entry, later when a slow follower needs old entries or when applying lags
     * far.  Never asks for an entry whose append was not reported as persisted, nor one before the
     * last log_cut. */
    int (*read_entry)(void *ctx, uint64_t index, struct sx_entry *entry, struct sx_buf *data,
                      struct sx_err *e);

    /* The reference must be durable (sx_snapref_save) before this returns. */
    int (*save_snapshot)(void *ctx, const struct sx_snapref *s, struct sx_err *e);

    /* Entries before `first` are not needed any more.  With `all`, none is: the log is empty and
     * the next append begins at `first`, or later.  Comes only after save_snapshot made that
     * true. */
    int (*log_cut)(void *ctx, uint64_t first, bool all, struct sx_err *e);

    /* This node lags so far that the leader has no entries for it any more: fetch the
     * database, see above.  `index`: the least applied index that it must have. */
    void (*install)(void *ctx, uint64_t leader, const char *address, uint64_t index);

    /* Send a message; it may get lost, doubled, or be delivered late. */
    void (*send)(void *ctx, uint64_t to, const char *address, const void *msg, size_t n);

    /* A committed entry, in order, each once, from start.applied + 1 on, all types. Not called
     * while more than SX_GROUP_APPLY_BYTES of entries were given out and not
     * yet reported by sx_group_applied(). */
    void (*apply)(void *ctx, const struct sx_entry *entry);

    /* State, term or known leader changed; read them with the queries. */
    void (*state)(void *ctx);

    /* End of sx_group_change(tag): code SX_OK (committed), SX_ETIMEOUT (did not catch up),
     * SX_ENOLEADER (leadership lost: outcome unknown). */
    void (*changed)(void *ctx, uint64_t tag, int code);

    /* End of sx_group_read_index(tag): code SX_OK and the index that must be applied before the
     * read, or SX_ENOLEADER. */
    void (*read_done)(void *ctx, uint64_t tag, int code, uint64_t index);

    /* The leader says that this node was removed from the group.  May come more than once. */
    void (*removed)(void *ctx);

    void (*fatal)(void *ctx, const struct sx_err *e);
};

struct sx_group_config {
    uint32_t group;          /* number, for log lines */
    uint64_t id;             /* of this node */
    const char *address;     /* of this node */
    uint32_t seed;           /* of the random election time-outs; differs between nodes */
    uint32_t election_ms;    /* 0: SX_GROUP_ELECTION_MS */
    uint32_t heartbeat_ms;   /* 0: SX_GROUP_HEARTBEAT_MS */
    uint32_t install_ms;     /* 0: SX_GROUP_INSTALL_MS; the leader repeats an install after it */
    uint64_t cache_bytes;    /* 0: SX_GROUP_CACHE_BYTES */
    uint64_t apply_bytes;    /* 0: SX_GROUP_APPLY_BYTES */
};

#define SX_GROUP_ELECTION_MS 500u
#define SX_GROUP_HEARTBEAT_MS 50u
#define SX_GROUP_INSTALL_MS 600000u

/* Limits. */
#define SX_GROUP_CACHE_BYTES (64u << 20)   /* entries in memory */
#define SX_GROUP_APPLY_BYTES (32u << 20)   /* given to `apply`, not yet applied */
#define SX_GROUP_MESSAGE_ENTRIES 256u      /* of one message */
#define SX_GROUP_MESSAGE_FILL (1u << 20)   /* bytes of a message's entries, unless it is one */
#define SX_GROUP_MESSAGE_MAX (SX_LOG_ENTRY_MAX + (64u << 10) + SX_MEMBERS_BYTES_MAX)
#define SX_GROUP_READS_MAX 65536u          /* reads that wait for an index */

/* What was found on disk. */
struct sx_group_start {
    uint64_t term, voted_for;          /* 0, 0 if there is no vote file */
    const struct sx_snapref *snapshot; /* NULL or index 0: none */
    uint64_t first, last;              /* entries of the log; last = first - 1: it is empty */
    uint64_t applied;                  /* of the database; may be beyond `last` */
};

/* Copies ops, config, and the address in it. */
struct sx_group *sx_group_new(const struct sx_group_config *config, const struct sx_group_ops *ops,
                              void *ctx);
void sx_group_free(struct sx_group *g); /* no effects; NULL allowed */

/* The content of the entry with which a group begins: its first node, a voter.  The caller writes
 * it to the log as {index 1, term 1, SX_ENTRY_CHANGE}, then the vote {term 1, 0}, both durably,
 * before the first start. */
int sx_group_bootstrap(uint64_t id, const char *address, struct sx_buf *data,
                       struct sx_err *e) SX_MUST_CHECK;

/* [event] First of all, once.  A node that finds nothing on disk starts with zeroes (first = 1,
 * last = 0), knows no members, and listens until a leader that was told to add it sends entries or
 * a snapshot. */
int sx_group_start(struct sx_group *g, uint64_t now_ms, const struct sx_group_start *s,
                   struct sx_err *e) SX_MUST_CHECK;

/* [query] When sx_group_tick() is due.  May move to earlier or later with each event. */
uint64_t sx_group_timeout(const struct sx_group *g);
/* [event] Harmless if called early. */
int sx_group_tick(struct sx_group *g, uint64_t now_ms, struct sx_err *e) SX_MUST_CHECK;

/* [event] A message of the member `from`, whose identity the link has verified.  A message that
 * cannot be decoded is dropped with a log line, result 0. */
int sx_group_receive(struct sx_group *g, uint64_t now_ms, uint64_t from, const void *msg, size_t n,
                     struct sx_err *e) SX_MUST_CHECK;

/* [event] All appends up to `seq` are durable. */
int sx_group_persisted(struct sx_group *g, uint64_t now_ms, uint64_t seq,
                       struct sx_err *e) SX_MUST_CHECK;

/* [event] The state machine has applied the entries up to `index`. */
int sx_group_applied(struct sx_group *g, uint64_t now_ms, uint64_t index,
                     struct sx_err *e) SX_MUST_CHECK;

/* [event] One SX_ENTRY_COMMAND entry, at most SX_LOG_ENTRY_MAX bytes, at least 1.  SX_ENOTLEADER;
 * SX_EUNAVAIL (try again soon) while leadership is being handed over, before the leader's first
 * own entry is committed, or while too much is in flight. */
int sx_group_submit(struct sx_group *g, uint64_t now_ms, const void *data, size_t n,
                    uint64_t *index, uint64_t *term, struct sx_err *e) SX_MUST_CHECK;

/* [event] Asks for an index such that a read that waits until it is applied sees everything
 * committed before this call.  Only on the leader (else SX_ENOTLEADER): other nodes ask it.
 * Answer by `read_done`, perhaps before this returns.  SX_ETOOMANY beyond SX_GROUP_READS_MAX. */
int sx_group_read_index(struct sx_group *g, uint64_t now_ms, uint64_t tag,
                        struct sx_err *e) SX_MUST_CHECK;

/* [event] Changes the membership; only on the leader; one at a time (SX_EUNAVAIL: busy, or
 * leadership too young). SX_EEXIST, SX_ENOTFOUND, SX_EINVAL (role does not fit; the last voter;
 * the leader itself: hand leadership over first). */
int sx_group_change(struct sx_group *g, uint64_t now_ms, enum sx_group_change what, uint64_t id,
                    const char *address, uint64_t tag, struct sx_err *e) SX_MUST_CHECK;

/* [event] Hands leadership to the voter `to` (0: the one that has most of the log).  Tries for one
 * election time-out; during it submits are refused.  Watch `state` for the outcome. */
int sx_group_transfer(struct sx_group *g, uint64_t now_ms, uint64_t to,
                      struct sx_err *e) SX_MUST_CHECK;

/* [query] from here to sx_group_log_since(), except where marked. */
bool sx_group_snapshot_allowed(const struct sx_group *g); /* no install or snapshot under way */
/* [event] From here to _end no install starts.  SX_EUNAVAIL if not allowed. */
int sx_group_snapshot_begin(struct sx_group *g, uint64_t now_ms, struct sx_err *e) SX_MUST_CHECK;
/* [event] The database durably holds everything up to `index`; the log keeps `trailing` entries
 * before it for slow followers.  index 0 gives the snapshot up.  If `index` is not on this node's
 * disk yet as an entry of the log, or not newer than the last snapshot, nothing happens:
 * SX_EUNAVAIL, and the snapshot is over. */
int sx_group_snapshot_end(struct sx_group *g, uint64_t now_ms, uint64_t index, uint64_t trailing,
                          struct sx_err *e) SX_MUST_CHECK;
/* [event] Ends an install: the database in place has applied up to `applied`. */
int sx_group_installed(struct sx_group *g, uint64_t now_ms, uint64_t applied,
                       struct sx_err *e) SX_MUST_CHECK;

/* [query] */
struct sx_group_status {
    enum sx_group_state state;
    uint64_t id, term, voted_for, leader; /* leader 0: not known */
    uint64_t commit, applied, stored;     /* stored: last entry on this node's disk */
    uint64_t first, last;                 /* of the log, last = first - 1: empty */
    uint64_t snapshot;                    /* index of the last one */
    uint64_t since_entries, since_bytes;  /* in the log after it */
    bool ready;      /* leader, and an entry of its own term is committed */
    bool installing;
    bool handing_over; /* leadership is being transferred */
};
void sx_group_status(const struct sx_group *g, struct sx_group_status *s);
const char *sx_group_leader_address(const struct sx_group *g); /* NULL: not known */
/* The members as of the last entry in the log, committed or not; valid until the next event. */
const struct sx_members *sx_group_members(const struct sx_group *g);
/* Leader only: the last entry that the member is known to have on disk, else 0. */
uint64_t sx_group_match(const struct sx_group *g, uint64_t id);

#endif
