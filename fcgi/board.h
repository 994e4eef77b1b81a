/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scoreboard: run/state, mapped by all processes of the node.  What each process is and
 * does, for /status, and which other nodes failed lately, so that one request's time-out spares
 * the following ones theirs.  Nothing in it matters after a restart: the dispatcher makes it
 * anew.
 *
 * Every field is an atomic of its own: a reader may see two fields from different moments. The
 * slot of a process is written by it and, at its start and end, by the dispatcher.
 */
#ifndef SX_FCGI_BOARD_H
#define SX_FCGI_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/err.h"

#define SX_BOARD_SLOTS 600 /* two kinds of workers, SX_WORKERS_MAX each, SX_EXTRA_MAX, the managers */
#define SX_BOARD_PEERS 256 /* as SX_NODES_MAX */
#define SX_BOARD_ROLE 32

enum sx_board_state {
    SX_BOARD_EMPTY,   /* no process: not started, or waiting for its back-off */
    SX_BOARD_IDLE,    /* a worker between requests, a manager at any time */
    SX_BOARD_BUSY,    /* a worker with a request */
    SX_BOARD_WAITING, /* a worker that holds a request which waits for a job */
    SX_BOARD_FAILED   /* ended with "a person must act": not started again */
};

struct sx_board_slot {
    char role[SX_BOARD_ROLE]; /* "worker 1", "group manager"; constant */
    bool extra;               /* runs only now and then (dispatch.h); constant */
    _Atomic int32_t pid;
    _Atomic uint32_t state;    /* enum sx_board_state */
    _Atomic uint32_t restarts; /* starts after the first */
    _Atomic uint64_t requests; /* answered */
    _Atomic uint64_t busy_ms;  /* monotonic: when the request it has began; 0: it has none */
};

struct sx_board_peer {
    _Atomic uint64_t node;          /* 0: free */
    _Atomic uint64_t down_until_ms; /* monotonic; in the past: worth a try */
    _Atomic uint32_t failures;      /* in a row */
    _Atomic uint32_t late;          /* times in a row that the others did not wait for it */
};

struct sx_board {
    uint32_t n_slots;
    _Atomic int32_t dispatcher;
    struct sx_board_slot slots[SX_BOARD_SLOTS];
    struct sx_board_peer peers[SX_BOARD_PEERS];
};

/* Makes run/state anew under `dir` and maps it, shared with children forked later. */
int sx_board_create(const char *dir, struct sx_board **board, struct sx_err *e) SX_MUST_CHECK;

/* Peer health.  A failure makes a peer "down" for a while that doubles from
 * SX_BOARD_DOWN_MIN_MS to SX_BOARD_DOWN_MAX_MS; an answer makes it up. */
#define SX_BOARD_DOWN_MIN_MS 1000
#define SX_BOARD_DOWN_MAX_MS 5000
#define SX_BOARD_LATE_MAX 3 /* a peer that was too late so often in a row counts as failed */
bool sx_board_peer_down(struct sx_board *b, uint64_t node);
void sx_board_peer_failed(struct sx_board *b, uint64_t node);
void sx_board_peer_late(struct sx_board *b, uint64_t node);
void sx_board_peer_answered(struct sx_board *b, uint64_t node);

/* How many processes are in a state. */
unsigned sx_board_count(const struct sx_board *b, enum sx_board_state state);

#endif
