/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Admission of a node: docs/api.md section 8.  Who holds a token that is valid gets a
 * certificate and the cluster key.  The token is spent, and the node added, by one command; only
 * then is the answer given.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/api/common.h"
#include "fcgi/api/join.h"
#include "fcgi/ca.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"
#include "libsx/crypt/crypt.h"

#define CSR_MAX 8192u

void sx_join_token_make(const struct sx_req *r, struct sx_join_token *t)
{
    uint8_t b[8 + SX_JOIN_SECRET];

    sx_do_derive(r, "sx join token", b, sizeof b);
    t->id = sx_get_u64(b) >> 1;
    sx_hex(t->secret, b + 8, SX_JOIN_SECRET);
}

void sx_join_secret_hash(const char *secret, uint8_t hash[32])
{
    sx_sha256(hash, secret, strlen(secret));
}

struct join {
    struct sx_cmd_token_use c;
    const char *csr, *node_hex, *secret;
};

static int limited(const json_t *j, const char *name, size_t max, const char **s, struct sx_err *e)
{
    if (sx_json_need_str(j, name, s, e) != 0)
        return -1;
    if (strlen(*s) > max)
        return sx_err_set(e, SX_EINVAL, "'%s' has %zu bytes; at most %zu are allowed", name,
                          strlen(*s), max);
    return 0;
}

static int port(const json_t *j, const char *name, uint16_t *p, struct sx_err *e)
{
    uint64_t n;

    if (sx_json_need_u64(j, name, UINT16_MAX, &n, e) != 0)
        return -1;
    if (n == 0)
        return sx_err_set(e, SX_EINVAL, "'%s' is 0", name);
    *p = (uint16_t)n;
    return 0;
}

static int read_join(const json_t *j, struct join *join, struct sx_err *e)
{
    static const char *const members[] = {
        "token_id", "secret", "csr", "node", "address", "port", "peer_port", "zone", "capacity",
        "version", NULL,
    };
    struct sx_cmd_node *n = &join->c.node;
    const char *token;

    if (sx_req_members(j, members, e) != 0 || sx_json_need_str(j, "token_id", &token, e) != 0 ||
        sx_do_hex64(token, "token id", &join->c.id, e) != 0 ||
        limited(j, "secret", 2 * SX_JOIN_SECRET, &join->secret, e) != 0 ||
        limited(j, "csr", CSR_MAX, &join->csr, e) != 0 ||
        sx_json_need_str(j, "node", &join->node_hex, e) != 0 ||
        limited(j, "address", SX_ADDRESS_MAX, &n->address, e) != 0 ||
        port(j, "port", &n->port, e) != 0 || port(j, "peer_port", &n->peer_port, e) != 0 ||
        limited(j, "zone", SX_ZONE_MAX, &n->zone, e) != 0 ||
        sx_json_need_u64(j, "capacity", INT64_MAX, &n->capacity, e) != 0 ||
        limited(j, "version", SX_VERSION_MAX, &n->version, e) != 0)
        return -1;
    if (sx_node_id_parse(join->node_hex, &n->id) != 0)
        return sx_err_set(e, SX_EINVAL, "the node id '%.32s' is not 16 hex digits", join->node_hex);
    sx_join_secret_hash(join->secret, join->c.secret_hash);
    return 0;
}

static int sign(struct sx_req *r, const struct sx_cluster *c, const struct join *join,
                struct sx_buf *cert, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    int result;

    if (sx_unseal(&key, r->app->keys.seal, SX_SEAL_CA, c->ca_key.data, c->ca_key.len, e) != 0)
        return sx_err_wrap(e, "key of the cluster's CA");
    result =
        sx_ca_sign(c->ca_cert, sx_buf_cstr(&key), join->csr, join->node_hex, join->c.node.address,
                   cert, e);
    sx_wipe(key.data, key.len);
    return result;
}

/* The operation id comes from the token and the node: the repetition of a join whose answer was
 * lost succeeds. */
static int spend(struct sx_req *r, const struct join *join, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT, text = SX_BUF_INIT;
    uint8_t hash[SX_SHA256];

    sx_buf_string(&text, "sx join");
    sx_buf_u64(&text, join->c.id);
    sx_buf_u64(&text, join->c.node.id);
    sx_buf_string(&text, join->secret);
    sx_sha256(hash, text.data, text.len);
    sx_cmd_token_use_encode(&command, hash, "", &join->c);
    return sx_do_submit(r, &command, &result, e);
}

static int read_cluster_key(struct sx_req *r, struct sx_buf *base64, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/secret/cluster.key", r->app->conf->dir);
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;

    if (sx_io_read_file(&sx_io_posix, path, SX_CLUSTER_KEY, &key, e) != 0)
        return -1;
    sx_base64(base64, key.data, key.len, false);
    sx_wipe(key.data, key.len);
    return 0;
}

static json_t *members_json(struct sx_app *a)
{
    json_t *array = json_array();
    char hex[SX_NODE_HEX + 1];

    for (size_t i = 0; i < sx_peers_count(a->peers); i++) {
        const struct sx_node *n = sx_peers_node(a->peers, i);

        json_array_append_new(array,
                              json_pack("{s:s,s:s,s:i,s:i,s:s,s:I}", "id",
                                        sx_node_id_text(hex, n->id), "address", n->address, "port",
                                        (int)n->port, "peer_port", (int)n->peer_port, "zone",
                                        n->zone, "capacity", (json_int_t)n->capacity));
    }
    return array;
}

static int reply_member(struct sx_req *r, const struct sx_cluster *c, struct sx_buf *cert,
                        struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    json_t *j;

    if (read_cluster_key(r, &key, e) != 0 || sx_peers_refresh(r->app->peers, e) != 0)
        return -1;
    j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "cluster", c->uuid, "name", c->name, "ca",
                  c->ca_cert, "certificate", sx_buf_cstr(cert), "cluster_key", sx_buf_cstr(&key),
                  "nodes", members_json(r->app));
    sx_wipe(key.data, key.len);
    return sx_reply_json(r, 201, j);
}

int sx_h_join(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_cluster) struct sx_cluster c = { 0 };
    SX_AUTO(sx_buf) struct sx_buf cert = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = NULL;
    struct join join = { 0 };
    sqlite3 *db;

    if (sx_req_json(r, &j, e) != 0 || read_join(j, &join, e) != 0 ||
        sx_app_db(r->app, &db, e) != 0 || sx_query_cluster(db, &c, e) != 0 ||
        sign(r, &c, &join, &cert, e) != 0 || spend(r, &join, e) != 0)
        return -1;
    return reply_member(r, &c, &cert, e);
}
