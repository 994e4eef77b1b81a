/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See peers.h.
 */
#include "fcgi/cluster/peers.h"

#include <string.h>

#include "libsx/base/mem.h"

struct sx_peers {
    const struct sx_node_conf *conf;
    struct sx_board *board;
    struct sx_meta *meta;
    struct sx_http *http; /* made when first needed */
    uint64_t map_version;
    struct sx_node *nodes;
    struct sx_place_node *place;
    size_t n, self;
};

struct sx_peers *sx_peers_new(const struct sx_node_conf *conf, struct sx_board *board,
                              struct sx_meta *meta)
{
    struct sx_peers *p = sx_calloc(1, sizeof *p);

    p->conf = conf;
    p->board = board;
    p->meta = meta;
    return p;
}

void sx_peers_free(struct sx_peers *p)
{
    if (!p)
        return;
    sx_http_free(p->http);
    free(p->nodes);
    free(p->place);
    free(p);
}

/* Equal names, equal numbers: that of the first node with the name, counted from 1; no name is
 * no zone. */
static uint32_t zone_number(const struct sx_node *nodes, size_t i)
{
    size_t k = 0;

    if (!nodes[i].zone[0])
        return 0;
    while (strcmp(nodes[k].zone, nodes[i].zone) != 0)
        k++;
    return (uint32_t)k + 1;
}

static void take_nodes(struct sx_peers *p, struct sx_node *nodes, size_t n)
{
    free(p->nodes);
    free(p->place);
    p->nodes = nodes;
    p->n = n;
    p->place = sx_calloc(n + 1, sizeof *p->place);
    for (size_t i = 0; i < n; i++)
        p->place[i] =
            (struct sx_place_node){ nodes[i].id, nodes[i].capacity, zone_number(nodes, i) };
    p->self = sx_peers_find(p, p->conf->node);
}

int sx_peers_refresh(struct sx_peers *p, struct sx_err *e)
{
    struct sx_node *nodes;
    uint64_t version;
    sqlite3 *db;
    size_t n;

    if (sx_meta_db(p->meta, SX_META_GROUP_CLUSTER, &db, e) != 0 ||
        sx_query_map_version(db, &version, e) != 0)
        return -1;
    if (p->nodes && version == p->map_version)
        return 0;
    if (sx_query_nodes(db, &nodes, &n, e) != 0)
        return -1;
    if (n == 0 || n > SX_NODES_MAX) {
        free(nodes);
        return sx_err_set(e, SX_EUNAVAIL,
                          "this node has not received the cluster's metadata yet (%zu nodes known)",
                          n);
    }
    take_nodes(p, nodes, n);
    p->map_version = version;
    return 0;
}

size_t sx_peers_count(const struct sx_peers *p)
{
    return p->n;
}

const struct sx_node *sx_peers_node(const struct sx_peers *p, size_t i)
{
    return &p->nodes[i];
}

size_t sx_peers_find(const struct sx_peers *p, uint64_t node)
{
    size_t i = 0;

    while (i < p->n && p->nodes[i].id != node)
        i++;
    return i;
}

size_t sx_peers_self(const struct sx_peers *p)
{
    return p->self;
}

size_t sx_peers_order(const struct sx_peers *p, const struct sx_id *id, uint16_t *order)
{
    return sx_place(p->place, p->n, sx_id_partition(id), p->n, order);
}

bool sx_peers_down(const struct sx_peers *p, size_t i)
{
    return i != p->self && sx_board_peer_down(p->board, p->nodes[i].id);
}

void sx_peers_note(const struct sx_peers *p, size_t i, const struct sx_err *err)
{
    switch (err->code) {
    case SX_ENET:
    case SX_ETIMEOUT:
    case SX_ECERT:
    case SX_EUNAVAIL:
        sx_board_peer_failed(p->board, p->nodes[i].id);
        return;
    case SX_ECANCELED:
        sx_board_peer_late(p->board, p->nodes[i].id);
        return;
    default:
        sx_board_peer_answered(p->board, p->nodes[i].id);
    }
}

struct sx_http *sx_peers_http(struct sx_peers *p)
{
    SX_AUTO_FREE char *ca = NULL, *cert = NULL, *key = NULL;
    struct sx_http_config config = { .user_agent = "sx-node",
                                     .connect_timeout_ms = SX_PEER_CONNECT_TIMEOUT_MS,
                                     .stall_timeout_ms = SX_PEER_STALL_TIMEOUT_MS };

    if (p->http)
        return p->http;
    config.ca_file = ca = sx_asprintf("%s/tls/ca.pem", p->conf->dir);
    config.cert_file = cert = sx_asprintf("%s/tls/node.pem", p->conf->dir);
    config.key_file = key = sx_asprintf("%s/tls/node.key", p->conf->dir);
    p->http = sx_http_new(&config);
    return p->http;
}

int sx_peers_start(struct sx_peers *p, size_t i, struct sx_http_request *r, struct sx_err *e)
{
    r->address = p->nodes[i].address;
    r->port = p->nodes[i].port;
    if (r->timeout_ms == 0)
        r->timeout_ms = SX_PEER_REQUEST_TIMEOUT_MS;
    return sx_http_start(sx_peers_http(p), r, e);
}
