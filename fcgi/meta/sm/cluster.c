/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands on the cluster itself: init, nodes, join tokens, settings, the epoch of leases.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"
#include "libsx/place/place.h"

#define SETTING_OWN "cluster." /* names that only init writes */

int sx_sm_node_count(struct sx_sm *sm, uint64_t *n, struct sx_err *e)
{
    return sx_sm_number(sm, e, n, 0, "SELECT count(*) FROM node", "");
}

int sx_sm_epoch(struct sx_sm *sm, uint64_t *epoch, struct sx_err *e)
{
    return sx_sm_number(sm, e, epoch, SX_EPOCH_FIRST, "SELECT epoch FROM state", "");
}

static int map_answer(struct sx_sm *sm, bool changed, struct sx_err *e)
{
    uint64_t version;

    if (changed && sx_sm_run(sm, e, "UPDATE state SET map_version = map_version + 1", "") != 0)
        return -1;
    if (sx_sm_number(sm, e, &version, 0, "SELECT map_version FROM state", "") != 0)
        return -1;
    sx_buf_u64(sm->out, version);
    return 0;
}

static int node_check(const struct sx_cmd_node *n, struct sx_err *e)
{
    if (n->id == 0 || !*n->address || n->port == 0 || n->peer_port == 0)
        return sx_err_set(e, SX_EINVAL, "a node needs an id, an address and two ports");
    return 0;
}

/* Adds the node or changes its facts, and answers with the map version. */
static int node_write(struct sx_sm *sm, const struct sx_cmd_node *n, struct sx_err *e)
{
    uint64_t count, there, same;

    if (node_check(n, e) != 0 || sx_sm_node_count(sm, &count, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM node WHERE id = ?", "i", n->id) != 0 ||
        sx_sm_number(sm, e, &same, 0,
                     "SELECT 1 FROM node WHERE id = ? AND address = ? AND port = ? AND peer_port = ?"
                     " AND zone = ? AND capacity = ? AND version = ?", "ituutit", n->id, n->address,
                     (unsigned)n->port, (unsigned)n->peer_port, n->zone, n->capacity,
                     n->version) != 0)
        return -1;
    if (!there && count >= SX_NODES_MAX)
        return sx_err_set(e, SX_ETOOMANY, "the cluster has %llu nodes; at most %u are allowed",
                          (unsigned long long)count, SX_NODES_MAX);
    if (!same &&
        sx_sm_run(sm, e,
                  "INSERT INTO node VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET"
                  " address = excluded.address, port = excluded.port, peer_port = excluded.peer_port,"
                  " zone = excluded.zone, capacity = excluded.capacity, version = excluded.version",
                  "ituutiti", n->id, n->address, (unsigned)n->port, (unsigned)n->peer_port, n->zone,
                  n->capacity, n->version, sm->time_ms) != 0)
        return -1;
    return map_answer(sm, !same, e);
}

int sx_sm_do_node_set(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_node_set c;

    if (sx_cmd_node_set_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0)
        return -1;
    return node_write(sm, &c.node, e);
}

int sx_sm_do_node_remove(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_node_remove c;
    uint64_t count, there;

    if (sx_cmd_node_remove_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0 ||
        sx_sm_node_count(sm, &count, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM node WHERE id = ?", "i", c.id) != 0)
        return -1;
    if (!there)
        return sx_err_set(e, SX_ENOTFOUND, "node %016llx does not exist", (unsigned long long)c.id);
    if (count == 1)
        return sx_err_set(e, SX_ECONFLICT, "node %016llx is the last one of the cluster",
                          (unsigned long long)c.id);
    if (sx_sm_run(sm, e, "DELETE FROM node WHERE id = ?", "i", c.id) != 0)
        return -1;
    return map_answer(sm, true, e);
}

/* ---- tokens ---- */

int sx_sm_do_token_create(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_token_create c;
    uint64_t there;

    if (sx_cmd_token_create_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM token WHERE id = ?", "i", c.id) != 0)
        return -1;
    if (there)
        return sx_err_set(e, SX_EEXIST, "a token with this id exists");
    if (c.ttl_ms > SX_TOKEN_TTL_MAX_MS)
        return sx_err_set(e, SX_EINVAL, "a token for more than %llu ms", SX_TOKEN_TTL_MAX_MS);
    sx_buf_u64(sm->out, sm->time_ms + c.ttl_ms);
    return sx_sm_run(sm, e, "INSERT INTO token VALUES(?, ?, ?, NULL)", "ibi", c.id, c.secret_hash,
                     sizeof c.secret_hash, sm->time_ms + c.ttl_ms);
}

/* A node that asks again with the token that let it in is let in: its first answer was lost. */
static int token_check(struct sx_sm *sm, const struct sx_cmd_token_use *c, struct sx_err *e)
{
    struct sx_span hash;
    sqlite3_stmt *st;
    bool good = false, used = false, expired = false;
    int rc = sx_sm_row(sm, e, &st, "SELECT hash, expires_ms, node FROM token WHERE id = ?", "i",
                       c->id);

    if (rc < 0)
        return -1;
    if (rc == 1) {
        hash = sx_mdb_blob(st, 0);
        good = hash.n == sizeof c->secret_hash && memcmp(hash.p, c->secret_hash, hash.n) == 0;
        expired = sx_mdb_u64(st, 1) <= sm->time_ms;
        used = sqlite3_column_type(st, 2) != SQLITE_NULL && sx_mdb_u64(st, 2) != c->node.id;
        sqlite3_reset(st);
    }
    if (!good)
        return sx_err_set(e, SX_ETOKEN, "the token is not known");
    if (used)
        return sx_err_set(e, SX_ETOKEN, "the token was used by another node");
    return expired ? sx_err_set(e, SX_ETOKEN, "the token has expired") : 0;
}

int sx_sm_do_token_use(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_token_use c;

    if (sx_cmd_token_use_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0 ||
        token_check(sm, &c, e) != 0 ||
        sx_sm_run(sm, e, "UPDATE token SET node = ? WHERE id = ?", "ii", c.node.id, c.id) != 0)
        return -1;
    return node_write(sm, &c.node, e);
}

/* ---- settings ---- */

static int setting_write(struct sx_sm *sm, const char *name, const void *p, size_t n,
                         struct sx_err *e)
{
    return sx_sm_run(sm, e, "INSERT OR REPLACE INTO setting VALUES(?, ?)", "tb", name, p, n);
}

int sx_sm_do_setting_set(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_setting_set c;

    if (sx_cmd_setting_set_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_admin(sm, e) != 0)
        return -1;
    if (!*c.name || strncmp(c.name, SETTING_OWN, strlen(SETTING_OWN)) == 0)
        return sx_err_set(e, SX_EINVAL, "setting '%s' cannot be set", c.name);
    if (c.value.n == 0)
        return sx_sm_run(sm, e, "DELETE FROM setting WHERE name = ?", "t", c.name);
    return setting_write(sm, c.name, c.value.p, c.value.n, e);
}

/* The caller names the epoch that shall be, so that many who want the next one get one. */
int sx_sm_do_epoch_set(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_epoch_set c;
    uint64_t epoch;

    if (sx_cmd_epoch_set_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0)
        return -1;
    if (c.epoch < SX_EPOCH_FIRST || c.epoch > SX_EPOCH_MAX)
        return sx_err_set(e, SX_EINVAL, "epoch %llu is not between %u and %llu",
                          (unsigned long long)c.epoch, SX_EPOCH_FIRST, SX_EPOCH_MAX);
    if (sx_sm_run(sm, e, "UPDATE state SET epoch = max(epoch, ?)", "i", c.epoch) != 0 ||
        sx_sm_epoch(sm, &epoch, e) != 0)
        return -1;
    sx_buf_u64(sm->out, epoch);
    return 0;
}

/* ---- init ---- */

static int init_settings(struct sx_sm *sm, const struct sx_cmd_init *c, struct sx_err *e)
{
    if (setting_write(sm, SETTING_OWN "uuid", c->uuid, strlen(c->uuid), e) != 0 ||
        setting_write(sm, SETTING_OWN "name", c->name, strlen(c->name), e) != 0 ||
        setting_write(sm, SETTING_OWN "domain_key", c->domain_key.p, c->domain_key.n, e) != 0 ||
        setting_write(sm, SETTING_OWN "ca_cert", c->ca_cert, strlen(c->ca_cert), e) != 0)
        return -1;
    return setting_write(sm, SETTING_OWN "ca_key", c->ca_key.p, c->ca_key.n, e);
}

int sx_sm_do_init(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_user_add admin = { .role = SX_ROLE_ADMIN, .description = "" };
    struct sx_cmd_init c;
    uint64_t there;

    if (sx_cmd_init_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM setting WHERE name = ?", "t",
                     SETTING_OWN "uuid") != 0)
        return -1;
    if (there)
        return sx_err_set(e, SX_ECONFLICT, "the cluster was initialized before");
    if (!*c.uuid)
        return sx_err_set(e, SX_EINVAL, "a cluster needs a uuid");
    admin.name = c.admin;
    admin.access_key = c.access_key;
    admin.secret = c.secret;
    if (init_settings(sm, &c, e) != 0 || sx_sm_user_create(sm, &admin, e) != 0 ||
        node_write(sm, &c.node, e) != 0)
        return -1;
    sx_buf_reset(sm->out);
    return 0;
}
