/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An open cluster and the requests to it: each goes to a node that seems well, and on to another
 * one when that fails, with the same operation id, until it has an answer or the time is up.
 *
 *   call:  started ──► in flight ──► done (callback)
 *                        ▲    │ connection failed, time-out, 503 …
 *                        └─ waiting ◄┘ for its turn, 0 ms to 1 s
 *
 * A node that did not answer is avoided for NODE_AVOID_MS, and twice as long each further time in
 * a row; when all are avoided, the one whose failure is the longest ago is tried, so that a node
 * that is back is found at once.  A call comes to every node, avoided or not, before it comes to
 * one again: that one node is damaged is no reason to give up.  What the server refuses for good
 * is not repeated.  LeaseExpired is not repeated here either: the upload knows what to do.
 */
#ifndef SX_CLIENT_CALL_H
#define SX_CLIENT_CALL_H

#include <sys/uio.h>

#include "libsx/client/internal.h"
#include "libsx/codec/block.h"
#include "libsx/http/http.h"
#include "libsx/place/place.h"

#define SX_API "/.sx/v1"
#define SX_CALL_BODY_PARTS 3
#define SX_JSON_ANSWER_MAX (16u << 20)

struct sx_client_node {
    char id_text[17];
    uint64_t id;
    char *address;
    uint16_t port;
    char *zone;
    uint64_t capacity;
    bool up;              /* as the cluster said when it was opened */
    uint64_t avoid_until; /* monotonic ms; 0: seems well */
    uint64_t failed_ms;   /* monotonic: when it last did not answer */
    unsigned faults;      /* times in a row that it did not answer */
    int64_t clock_ms;     /* its clock minus ours, once it has called ours wrong */
};

struct sx_call;

struct sx_cluster {
    struct sx_cluster *next;
    struct sx_client *client;
    struct sx_access access;
    struct sx_http *http;
    char *uuid, *name, *version;
    uint64_t map_version;
    struct sx_client_node *nodes;
    struct sx_place_node *place; /* the same nodes, for sx_place() */
    size_t n_nodes;
    size_t turn;           /* the node for the next call that may go anywhere */
    struct sx_domain domain;
    size_t chunk_min, chunk_avg, chunk_max;
    size_t inline_max;
    uint64_t lease_ms; /* for how long the cluster keeps blocks for an upload */
    struct sx_call *waiting; /* to be repeated, no order */
    size_t calls;            /* started and not done */
};

#define SX_NODE_ANY (-1)

#define SX_CALL_CLOCKS_MAX 3u /* times that a call believes a node about its clock */

struct sx_call {
    /* Set by the caller; sx_call_init() gives the usual values. */
    const char *method;
    char *path;       /* owned by the call */
    char *query;      /* owned by the call */
    const char *type; /* SX_HTTP_JSON, SX_HTTP_MESSAGE or NULL */
    struct iovec body[SX_CALL_BODY_PARTS];
    size_t n_body;
    struct sx_buf *answer; /* borrowed */
    size_t answer_max;
    int node;         /* index of the node to try first, or SX_NODE_ANY */
    bool once;        /* never repeated */
    void (*done)(void *arg, struct sx_call *c);
    void *arg;
    /* The result. */
    struct sx_err err;
    int status;
    /* The call's own. */
    struct sx_cluster *cluster;
    struct sx_call *next_waiting;
    char op[33];
    size_t at;             /* node of the present attempt */
    unsigned attempts;
    unsigned faults;       /* attempts that ended with a fault of the server */
    uint64_t tried[SX_NODES_MAX / 64]; /* bits: nodes of the present round that gave no answer */
    uint64_t failed_ms;    /* monotonic time of the first failure, 0: none yet */
    uint64_t due_ms;
    unsigned clocks;       /* learned from answers to this call, at most SX_CALL_CLOCKS_MAX */
};

void sx_call_init(struct sx_call *c, const char *method, char *path);
void sx_call_fini(struct sx_call *c); /* path and query */

/* Starts a call; `done` is called from sx_cluster_run(), never from here. */
void sx_call_start(struct sx_cluster *k, struct sx_call *c);
/* Moves bytes, starts what waits; returns after at least one thing happened or the time is over. */
void sx_cluster_run(struct sx_cluster *k, unsigned timeout_ms);
/* Ends everything in flight with Canceled; each callback is made. */
void sx_cluster_stop(struct sx_cluster *k);

/* Starts a call and waits for its end. */
int sx_call_wait(struct sx_cluster *k, struct sx_call *c, struct sx_err *e) SX_MUST_CHECK;

/* A JSON request and its JSON answer.  `path` and `query` are taken (freed), `body` is taken and
 * may be NULL; so may `answer`. */
int sx_call_json(struct sx_cluster *k, const char *method, char *path, char *query, json_t *body,
                 json_t **answer, struct sx_err *e) SX_MUST_CHECK;

/* "/.sx/v1/KIND/NAME[/PATH]", percent-encoded; to be freed. */
char *sx_api_path(const char *kind, const char *name, const char *path);
/* Adds "&name=value" (without '&' at the start), the value percent-encoded. */
void sx_api_query(struct sx_buf *b, const char *name, const char *value);

/* Whether the node is not avoided at present. */
bool sx_node_well(const struct sx_cluster *k, size_t i);

/* Makes a handle without asking anybody: nodes and keys of `a` (copied). */
struct sx_cluster *sx_cluster_new(struct sx_client *client, const struct sx_access *a,
                                  const char *ca_file, struct sx_err *e);
/* GET /cluster: nodes, domain, limits. */
int sx_cluster_refresh(struct sx_cluster *k, struct sx_err *e) SX_MUST_CHECK;
void sx_cluster_free(struct sx_cluster *k);

#endif
