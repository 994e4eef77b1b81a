/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The other nodes, as one worker sees them: who they are (from the local metadata, read again
 * when the map's version changes), which of them own a block, who is down, and the connections
 * to them.
 */
#ifndef SX_FCGI_CLUSTER_PEERS_H
#define SX_FCGI_CLUSTER_PEERS_H

#include "fcgi/board.h"
#include "fcgi/conf.h"
#include "fcgi/meta/meta.h"
#include "fcgi/meta/query.h"
#include "libsx/codec/id.h"
#include "libsx/http/http.h"
#include "libsx/place/place.h"

#define SX_PEER_CONNECT_TIMEOUT_MS 1000
#define SX_PEER_STALL_TIMEOUT_MS 5000
#define SX_PEER_REQUEST_TIMEOUT_MS 30000

struct sx_peers;

/* After fork.  The arguments must outlive it. */
struct sx_peers *sx_peers_new(const struct sx_node_conf *conf, struct sx_board *board,
                              struct sx_meta *meta);
void sx_peers_free(struct sx_peers *p);

/* Reads the node list if it has changed.  The indexes below hold until the next call.
 * SX_EUNAVAIL as long as the node list is empty: this node has not received the metadata yet. */
int sx_peers_refresh(struct sx_peers *p, struct sx_err *e) SX_MUST_CHECK;

size_t sx_peers_count(const struct sx_peers *p);
const struct sx_node *sx_peers_node(const struct sx_peers *p, size_t i);
/* The index of a node; the count if it is none of the cluster. */
size_t sx_peers_find(const struct sx_peers *p, uint64_t node);
size_t sx_peers_self(const struct sx_peers *p);

/* All nodes that may hold the block, owners first, into order[sx_peers_count()]; returns how
 * many. */
size_t sx_peers_order(const struct sx_peers *p, const struct sx_id *id, uint16_t *order);

/* Failed lately (never this node itself). */
bool sx_peers_down(const struct sx_peers *p, size_t i);
/* Notes how a call to the node went: only errors that tell of its absence, or that it was not
 * waited for (SX_ECANCELED), count. */
void sx_peers_note(const struct sx_peers *p, size_t i, const struct sx_err *err);

struct sx_http *sx_peers_http(struct sx_peers *p);
/* Starts a request to a node with the time-outs above; the members address, port and timeout_ms
 * (if 0) of *r are filled in. */
int sx_peers_start(struct sx_peers *p, size_t i, struct sx_http_request *r,
                   struct sx_err *e) SX_MUST_CHECK;

#endif
