/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See auth.h.
 */
#include "fcgi/api/auth.h"

#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

/* The same for an unknown key and for a wrong signature, so that keys cannot be guessed one by
 * one. */
static int refused(struct sx_err *e)
{
    return sx_err_set(e, SX_EAUTH,
                      "the access key is unknown or the signature is wrong: "
                      "check key and secret (sxinit)");
}

/* The secret of the key of row k, at the start of `out` as a string. */
static int unseal_secret(const struct sx_req *r, const char *access_key, const struct sx_key *k,
                         struct sx_buf *out, struct sx_err *e)
{
    if (sx_keys_open_secret(&r->app->keys, access_key, k->secret, k->secret_len, out, e) != 0)
        return sx_err_wrap(e, "secret of access key %s", access_key);
    sx_buf_u8(out, 0);
    return 0;
}

/* A node that was just made has no keys at all; that says nothing about the caller's. */
static int find_key_in(sqlite3 *db, const char *access_key, struct sx_key *k, struct sx_err *e)
{
    uint64_t version = 1;

    if (sx_query_key(db, access_key, k, e) == 0)
        return 0;
    if (e->code == SX_ENOKEY && sx_query_map_version(db, &version, NULL) == 0 && version == 0)
        return sx_err_set(e, SX_EUNAVAIL, "this node has not received the cluster's metadata yet");
    return -1;
}

static int find_key(struct sx_req *r, const char *access_key, bool fresh, struct sx_key *k,
                    struct sx_err *e)
{
    sqlite3 *db;

    if (sx_app_db(r->app, &db, e) != 0)
        return -1;
    if (find_key_in(db, access_key, k, e) == 0)
        return 0;
    if (e->code != SX_ENOKEY || fresh)
        return -1;
    sx_err_clear(e);
    if (sx_meta_sync(r->app->meta, SX_META_GROUP_CLUSTER, SX_SYNC_TIMEOUT_MS, e) != 0 ||
        sx_app_db(r->app, &db, e) != 0)
        return -1;
    return find_key_in(db, access_key, k, e);
}

static int need_header(const struct sx_req *r, const char *name, const char **value,
                       struct sx_err *e)
{
    *value = sx_req_header(r, name);
    if (!*value)
        return sx_err_set(e, SX_EAUTH,
                          "the header '%s' is missing: requests are signed with "
                          "AWS Signature Version 4",
                          name);
    return 0;
}

/* What the signature covers must be what the body is checked against. */
static int check_payload_kind(const char *payload, struct sx_err *e)
{
    uint8_t sum[SX_SHA256];

    if (strcmp(payload, SX_UNSIGNED_PAYLOAD) == 0 || sx_unhex(sum, sizeof sum, payload) == 0)
        return 0;
    return sx_err_set(e, SX_EAUTH,
                      "x-amz-content-sha256 is neither a SHA-256 in hex nor " SX_UNSIGNED_PAYLOAD);
}

int sx_auth_client(struct sx_req *r, bool fresh, struct sx_err *e)
{
    struct sx_sig_request sig = {
        r->method, r->path, r->raw_query, r->headers, r->n_headers, NULL,
    };
    SX_AUTO(sx_buf) struct sx_buf secret = SX_BUF_INIT;
    const char *authorization, *date;
    struct sx_sig_claim claim;
    struct sx_key key;
    int result;

    if (need_header(r, "authorization", &authorization, e) != 0 ||
        need_header(r, "x-amz-date", &date, e) != 0 ||
        need_header(r, "x-amz-content-sha256", &sig.payload, e) != 0 ||
        check_payload_kind(sig.payload, e) != 0 || sx_sigv4_parse(authorization, &claim, e) != 0)
        return -1;
    if (strcmp(claim.region, SX_AUTH_REGION) != 0 || strcmp(claim.service, SX_AUTH_SERVICE) != 0)
        return sx_err_set(e, SX_EAUTH,
                          "signed for region '%.32s', service '%.32s'; here both are 'sx'",
                          claim.region, claim.service);
    if (find_key(r, claim.access_key, fresh, &key, e) != 0)
        return e->code == SX_ENOKEY ? refused(e) : -1;
    if (unseal_secret(r, claim.access_key, &key, &secret, e) != 0)
        return -1;
    result = sx_sigv4_verify(&claim, &sig, (const char *)secret.data, date, sx_wall_ms(), e);
    sx_wipe(secret.data, secret.len);
    if (result != 0)
        return -1;
    memcpy(r->user, key.user, sizeof r->user);
    r->role = key.role;
    return 0;
}

int sx_auth_secret(struct sx_req *r, const char *access_key, struct sx_buf *secret,
                   struct sx_err *e)
{
    struct sx_key key;

    if (find_key(r, access_key, true, &key, e) != 0 ||
        unseal_secret(r, access_key, &key, secret, e) != 0)
        return -1;
    memcpy(r->user, key.user, sizeof r->user);
    r->role = key.role;
    return 0;
}

int sx_auth_subject_node(const char *subject, uint64_t *node)
{
    char hex[SX_NODE_HEX + 1];

    for (const char *p = subject; (p = strstr(p, "CN=")) != NULL; p += 3) {
        if (p != subject && p[-1] != ',' && p[-1] != '/')
            continue;
        if (strlen(p + 3) < SX_NODE_HEX || !strchr(",/", p[3 + SX_NODE_HEX]))
            return -1;
        memcpy(hex, p + 3, SX_NODE_HEX);
        hex[SX_NODE_HEX] = '\0';
        return sx_node_id_parse(hex, node);
    }
    return -1;
}

int sx_auth_node(struct sx_req *r, struct sx_err *e)
{
    const char *verify = sx_req_param(r, "SX_CLIENT_VERIFY"),
        *subject = sx_req_param(r, "SX_CLIENT_DN");

    if (!verify || strcmp(verify, "SUCCESS") != 0)
        return sx_err_set(e, SX_ECERT,
                          "this address is for the cluster's nodes: a certificate of its CA "
                          "is needed (%s)",
                          verify ? verify : "none");
    if (!subject || sx_auth_subject_node(subject, &r->node) != 0)
        return sx_err_set(e, SX_ECERT, "the certificate's common name is not a node's id");
    if (sx_peers_refresh(r->app->peers, e) != 0)
        return -1;
    if (sx_peers_find(r->app->peers, r->node) == sx_peers_count(r->app->peers))
        return sx_err_set(e, SX_EACCESS, "node %016llx is not a member of this cluster",
                          (unsigned long long)r->node);
    return 0;
}
