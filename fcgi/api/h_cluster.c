/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cluster as a whole: ping, facts for clients, tokens and nodes (docs/api.md section 2).
 * Its state is in h_status.c, admission of nodes in h_join.c.
 */
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "fcgi/api/common.h"
#include "fcgi/api/join.h"
#include "fcgi/api/status.h"
#include "fcgi/ca.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/codec/chunk.h"
#include "libsx/crypt/crypt.h"

#define TOKEN_TTL_S 900
#define TOKEN_TTL_MAX_S ((int)(SX_TOKEN_TTL_MAX_MS / 1000))

int sx_h_ping(struct sx_req *r, struct sx_err *e)
{
    const struct sx_node_conf *c = r->app->conf;

    (void)e;
    return sx_reply_json(r, 200,
                         json_pack("{s:s,s:s,s:s,s:s,s:I}", "cluster", c->cluster, "name", c->name,
                                   "node", c->node_hex, "version", PACKAGE_VERSION, "time_ms",
                                   (json_int_t)sx_wall_ms()));
}

/* ---- facts ---- */

static json_t *nodes_json(struct sx_app *a)
{
    json_t *array = json_array();
    char hex[SX_NODE_HEX + 1];

    for (size_t i = 0; i < sx_peers_count(a->peers); i++) {
        const struct sx_node *n = sx_peers_node(a->peers, i);

        json_array_append_new(array,
                              json_pack("{s:s,s:s,s:i,s:s,s:I,s:b}", "id",
                                        sx_node_id_text(hex, n->id), "address", n->address, "port",
                                        (int)n->port, "zone", n->zone, "capacity",
                                        (json_int_t)n->capacity, "up",
                                        !sx_peers_down(a->peers, i)));
    }
    return array;
}

static json_t *domain_json(const struct sx_app *a)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    json_t *j;

    sx_base64(&b, a->domain_key, sizeof a->domain_key, false);
    j = json_pack("{s:s,s:s}", "id", "cluster", "key", sx_buf_cstr(&b));
    sx_wipe(b.data, b.len);
    return j;
}

int sx_h_cluster(struct sx_req *r, struct sx_err *e)
{
    const struct sx_node_conf *c = r->app->conf;
    uint64_t map_version;
    sqlite3 *db;

    if (sx_app_domain(r->app, e) != 0 || sx_peers_refresh(r->app->peers, e) != 0 ||
        sx_app_db(r->app, &db, e) != 0 || sx_query_map_version(db, &map_version, e) != 0)
        return -1;
    return sx_reply_json(r, 200,
                         json_pack("{s:s,s:s,s:s,s:I,s:I,s:o,s:o,s:{s:i,s:i,s:i},s:i,s:I}",
                                   "cluster", c->cluster, "name", c->name, "version",
                                   PACKAGE_VERSION, "time_ms", (json_int_t)sx_wall_ms(),
                                   "map_version", (json_int_t)map_version, "nodes",
                                   nodes_json(r->app), "domain", domain_json(r->app), "chunk",
                                   "min", (int)SX_CHUNK_MIN, "avg", (int)SX_CHUNK_AVG, "max",
                                   (int)SX_CHUNK_MAX, "inline_max", (int)SX_INLINE_MAX, "lease_s",
                                   (json_int_t)c->lease_s));
}

/* ---- tokens ---- */

static json_t *addresses_json(struct sx_app *a)
{
    size_t n = sx_peers_count(a->peers), self = sx_peers_self(a->peers);
    json_t *array = json_array();
    char text[SX_ADDRESS_MAX + 16];

    /* This node first: the administrator reached it just now. */
    for (size_t i = 0; i < n; i++) {
        const struct sx_node *p = sx_peers_node(a->peers, (i + self) % n);

        snprintf(text, sizeof text, strchr(p->address, ':') ? "[%s]:%u" : "%s:%u", p->address,
                 p->port);
        json_array_append_new(array, json_string(text));
    }
    return array;
}

/* The token as the administrator copies it. */
static int token_text(struct sx_req *r, const struct sx_join_token *t, struct sx_buf *out,
                      struct sx_err *e)
{
    SX_AUTO(sx_cluster) struct sx_cluster c = { 0 };
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    char fingerprint[SX_CA_FINGERPRINT_HEX + 1], id[SX_NODE_HEX + 1];
    SX_AUTO_JSON json_t *j = NULL;
    sqlite3 *db;

    if (sx_app_db(r->app, &db, e) != 0 || sx_query_cluster(db, &c, e) != 0 ||
        sx_ca_fingerprint(c.ca_cert, fingerprint, e) != 0 ||
        sx_peers_refresh(r->app->peers, e) != 0)
        return -1;
    snprintf(id, sizeof id, "%016llx", (unsigned long long)t->id);
    j = json_pack("{s:s,s:o,s:s,s:s,s:s}", "c", r->app->conf->cluster, "a",
                  addresses_json(r->app), "f", fingerprint, "t", id, "s", t->secret);
    sx_json_dump(&text, j);
    sx_buf_str(out, "sxj1.");
    sx_base64(out, text.data, text.len, true);
    return 0;
}

int sx_h_token_create(struct sx_req *r, struct sx_err *e)
{
    static const char *const members[] = { "ttl_s", NULL };
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT, text = SX_BUF_INIT;
    struct sx_cmd_token_create c;
    struct sx_join_token t;
    SX_AUTO_JSON json_t *j = NULL;
    uint64_t ttl;

    if (sx_req_json(r, &j, e) != 0 || sx_req_members(j, members, e) != 0 ||
        sx_json_u64(j, "ttl_s", TOKEN_TTL_S, TOKEN_TTL_MAX_S, &ttl, e) != 0)
        return -1;
    if (ttl == 0)
        return sx_err_set(e, SX_EINVAL, "'ttl_s' is 0; 1 to %d are allowed", TOKEN_TTL_MAX_S);
    sx_join_token_make(r, &t);
    c.id = t.id;
    c.ttl_ms = ttl * 1000;
    sx_join_secret_hash(t.secret, c.secret_hash);
    sx_cmd_token_create_encode(&command, r->op, r->user, &c);
    if (token_text(r, &t, &text, e) != 0 || sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    if (result.len != 8)
        return sx_err_set(e, SX_EBUG, "token_create: a result of %zu bytes", result.len);
    return sx_reply_json(r, 200, json_pack("{s:s,s:I}", "token", sx_buf_cstr(&text), "expires_ms",
                                           (json_int_t)sx_get_u64(result.data)));
}

/* ---- nodes ---- */

int sx_h_node_delete(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_cmd_node_remove c;
    unsigned long long force;

    if (sx_node_id_parse(r->args.v[0], &c.id) != 0)
        return sx_err_set(e, SX_EINVAL, "the node id '%.32s' is not 16 hex digits", r->args.v[0]);
    if (sx_query_u64(&r->query, "force", 0, 1, &force, e) != 0)
        return -1;
    if (!force && sx_status_node_up(r->app, c.id))
        return sx_err_set(e, SX_ECONFLICT, "node %s is up: stop it first, or use force",
                          r->args.v[0]);
    sx_cmd_node_remove_encode(&command, r->op, r->user, &c);
    if (sx_do_submit(r, &command, &result, e) != 0)
        return -1;
    return sx_reply_json(r, 200, json_object());
}
