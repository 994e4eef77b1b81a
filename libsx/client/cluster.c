/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Opening a cluster: its engine, its facts, its nodes.
 */
#include "config.h"

#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/text.h"
#include "libsx/client/call.h"
#include "libsx/crypt/crypt.h"

/* A node that hangs is left for another one after this; repeated requests have one effect, so being
 * wrong about a slow node does no harm.  With a low rate limit, pauses are of our own making. */
#define STALL_TIMEOUT_MS 6000u
#define STALL_TIMEOUT_SLOW_MS 30000u
#define SLOW_RATE (1u << 20)
#define NODE_DOWN_AVOID_MS 4000u
#define LEASE_S_DEFAULT 30u
#define INLINE_MAX (64u << 10)
#define CHUNK_MIN_LEAST 4096u

const char *sx_version(void)
{
    return PACKAGE_VERSION;
}

static void free_nodes(struct sx_cluster *k)
{
    for (size_t i = 0; i < k->n_nodes; i++) {
        free(k->nodes[i].address);
        free(k->nodes[i].zone);
    }
    free(k->nodes);
    free(k->place);
    k->nodes = NULL;
    k->place = NULL;
    k->n_nodes = 0;
}

void sx_cluster_free(struct sx_cluster *k)
{
    if (!k)
        return;
    sx_http_free(k->http);
    free_nodes(k);
    sx_access_fini(&k->access);
    sx_wipe(&k->domain, sizeof k->domain);
    free(k->uuid);
    free(k->name);
    free(k->version);
    free(k);
}

void sx_client_free(struct sx_client *c)
{
    if (!c)
        return;
    while (c->clusters) {
        struct sx_cluster *k = c->clusters;

        c->clusters = k->next;
        sx_cluster_free(k);
    }
    free(c->dir);
    free(c);
}

/* "host:port", "[v6]:port" as the configuration has it. */
static void split_address(const char *text, struct sx_client_node *n)
{
    const char *colon = strrchr(text, ':');
    bool v6 = text[0] == '[';
    size_t len = (size_t)(colon - text);

    n->address = v6 ? sx_strndup(text + 1, len - 2) : sx_strndup(text, len);
    n->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    n->zone = sx_strdup("");
    n->up = true;
}

static void copy_access(struct sx_access *to, const struct sx_access *from)
{
    sx_access_init(to);
    to->cluster = sx_strdup(from->cluster);
    to->user = from->user ? sx_strdup(from->user) : NULL;
    to->access_key = from->access_key ? sx_strdup(from->access_key) : NULL;
    to->secret_key = from->secret_key ? sx_strdup(from->secret_key) : NULL;
    to->fingerprint = from->fingerprint ? sx_strdup(from->fingerprint) : NULL;
}

struct sx_cluster *sx_cluster_new(struct sx_client *client, const struct sx_access *a,
                                  const char *ca_file, struct sx_err *e)
{
    const struct sx_http_config hc = {
        .ca_file = ca_file,
        .access_key = ca_file ? a->access_key : NULL,
        .secret = ca_file ? a->secret_key : NULL,
        .user_agent = "sx/" PACKAGE_VERSION,
        .stall_timeout_ms = client->rate && client->rate < SLOW_RATE ? STALL_TIMEOUT_SLOW_MS :
                                                                       STALL_TIMEOUT_MS,
    };
    struct sx_cluster *k;

    if (!a->n_nodes) {
        sx_err_set(e, SX_ECONFIG, "no node of cluster '%s' is known; use sxinit --node",
                   a->cluster);
        return NULL;
    }
    k = sx_calloc(1, sizeof *k);
    k->client = client;
    copy_access(&k->access, a);
    k->nodes = sx_calloc(a->n_nodes, sizeof *k->nodes);
    k->n_nodes = a->n_nodes;
    for (size_t i = 0; i < a->n_nodes; i++)
        split_address(a->nodes[i], &k->nodes[i]);
    k->http = sx_http_new(&hc);
    sx_http_limit(k->http, client->rate);
    sx_random(&k->turn, sizeof k->turn);
    return k;
}

/* ---- What the cluster says of itself ------------------------------------------------------- */

static int read_node(const json_t *j, struct sx_client_node *n, struct sx_err *e)
{
    const char *id, *address, *zone;
    uint64_t port;
    uint8_t raw[8];

    if (sx_json_need_str(j, "id", &id, e) || sx_json_need_str(j, "address", &address, e) ||
        sx_json_str(j, "zone", "", &zone, e) || sx_json_need_u64(j, "port", 65535, &port, e) ||
        sx_json_u64(j, "capacity", 0, INT64_MAX, &n->capacity, e) ||
        sx_json_bool(j, "up", true, &n->up, e))
        return -1;
    if (sx_unhex(raw, sizeof raw, id) || !port)
        return sx_err_set(e, SX_EMALFORMED, "node '%s' has a bad id or port", id);
    memcpy(n->id_text, id, sizeof n->id_text);
    n->id = strtoull(id, NULL, 16);
    n->address = sx_strdup(address);
    n->zone = sx_strdup(zone);
    n->port = (uint16_t)port;
    return 0;
}

/* Zones are texts; placement wants numbers: that of the first node with the same text. */
static uint32_t zone_number(const struct sx_client_node *nodes, size_t i)
{
    if (!nodes[i].zone[0])
        return 0;
    for (size_t j = 0; j < i; j++)
        if (!strcmp(nodes[j].zone, nodes[i].zone))
            return (uint32_t)j + 1;
    return (uint32_t)i + 1;
}

static int read_nodes(struct sx_cluster *k, const json_t *all, struct sx_err *e)
{
    struct sx_cluster fresh = { .n_nodes = json_array_size(all) };
    uint64_t avoid = sx_mono_ms() + NODE_DOWN_AVOID_MS;
    size_t i;
    json_t *j;

    if (fresh.n_nodes == 0 || fresh.n_nodes > SX_NODES_MAX)
        return sx_err_set(e, SX_EMALFORMED, "the cluster names %zu nodes", fresh.n_nodes);
    fresh.nodes = sx_calloc(fresh.n_nodes, sizeof *fresh.nodes);
    fresh.place = sx_calloc(fresh.n_nodes, sizeof *fresh.place);
    json_array_foreach(all, i, j)
    {
        struct sx_client_node *n = &fresh.nodes[i];

        if (read_node(j, n, e)) {
            free_nodes(&fresh);
            return -1;
        }
        n->avoid_until = n->up ? 0 : avoid;
        fresh.place[i] = (struct sx_place_node){ n->id, n->capacity, zone_number(fresh.nodes, i) };
    }
    free_nodes(k);
    k->nodes = fresh.nodes;
    k->place = fresh.place;
    k->n_nodes = fresh.n_nodes;
    return 0;
}

static int read_domain(struct sx_cluster *k, const json_t *d, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    const char *text;
    int r;

    if (!d || sx_json_need_str(d, "key", &text, e) || sx_unbase64(&key, text, strlen(text), e))
        return sx_err_set(e, SX_EMALFORMED, "the key of the dedup domain is missing or damaged");
    if (key.len != SX_DOMAIN_KEY_SIZE)
        return sx_err_set(e, SX_EMALFORMED, "the key of the dedup domain has %zu bytes", key.len);
    r = sx_domain_init(&k->domain, key.data, e);
    sx_wipe(key.data, key.len);
    return r;
}

static int read_chunking(struct sx_cluster *k, const json_t *j, struct sx_err *e)
{
    const json_t *c = json_object_get(j, "chunk");
    uint64_t min, avg, max, inl, lease_s;

    if (!json_is_object(c) || sx_json_need_u64(c, "min", SX_BLOCK_PLAIN_MAX, &min, e) ||
        sx_json_need_u64(c, "avg", SX_BLOCK_PLAIN_MAX, &avg, e) ||
        sx_json_need_u64(c, "max", SX_BLOCK_PLAIN_MAX, &max, e) ||
        sx_json_need_u64(j, "inline_max", INLINE_MAX, &inl, e) ||
        sx_json_u64(j, "lease_s", LEASE_S_DEFAULT, UINT32_MAX, &lease_s, e))
        return sx_err_set(e, SX_EMALFORMED,
                          "the cluster's chunk sizes are missing or out of range");
    if (min < CHUNK_MIN_LEAST || min > avg || avg > max || (avg & (avg - 1)))
        return sx_err_set(e, SX_EMALFORMED, "the cluster's chunk sizes make no sense");
    k->chunk_min = min;
    k->chunk_avg = avg;
    k->chunk_max = max;
    k->inline_max = inl;
    k->lease_ms = lease_s * 1000;
    return 0;
}

static void replace_text(char **to, const char *s)
{
    char *old = *to;

    *to = sx_strdup(s);
    free(old);
}

static int read_facts(struct sx_cluster *k, const json_t *j, struct sx_err *e)
{
    const char *uuid, *name, *version;

    if (sx_json_need_str(j, "cluster", &uuid, e) || sx_json_need_str(j, "name", &name, e) ||
        sx_json_str(j, "version", "?", &version, e) ||
        sx_json_u64(j, "map_version", 0, UINT64_MAX, &k->map_version, e) ||
        read_domain(k, json_object_get(j, "domain"), e) || read_chunking(k, j, e) ||
        read_nodes(k, json_object_get(j, "nodes"), e))
        return -1;
    replace_text(&k->uuid, uuid);
    replace_text(&k->name, name);
    replace_text(&k->version, version);
    return 0;
}

int sx_cluster_refresh(struct sx_cluster *k, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;
    struct sx_err why = SX_ERR_INIT;
    int r = sx_call_json(k, "GET", sx_strdup(SX_API "/cluster"), NULL, NULL, &j, &why);

    if (r) {
        sx_err_copy(e, &why);
        return -1;
    }
    if (read_facts(k, j, e))
        return sx_err_wrap(e, "answer of cluster '%s'", k->access.cluster);
    return 0;
}

/* ---- Handles ------------------------------------------------------------------------------ */

/* True if the nodes' addresses differ from what the configuration has. */
static bool nodes_differ(const struct sx_cluster *k, const struct sx_access *a, char **texts)
{
    bool differ = a->n_nodes != k->n_nodes;

    for (size_t i = 0; i < k->n_nodes; i++) {
        const struct sx_client_node *n = &k->nodes[i];
        bool v6 = strchr(n->address, ':') != NULL;

        texts[i] = sx_asprintf(v6 ? "[%s]:%u" : "%s:%u", n->address, n->port);
        differ = differ || strcmp(a->nodes[i], texts[i]);
    }
    return differ;
}

/* The list of nodes is a convenience for the next time: failing to write it is no error. */
static void save_nodes(struct sx_cluster *k, const struct sx_access *a)
{
    char **texts = sx_calloc(k->n_nodes, sizeof *texts);
    struct sx_err e = SX_ERR_INIT;

    if (nodes_differ(k, a, texts) &&
        sx_config_nodes_save(k->client, a->cluster, texts, k->n_nodes, &e))
        sx_debug("%s", e.msg);
    for (size_t i = 0; i < k->n_nodes; i++)
        free(texts[i]);
    free(texts);
}

static struct sx_cluster *find_open(struct sx_client *c, const struct sx_access *a)
{
    for (struct sx_cluster *k = c->clusters; k; k = k->next)
        if (!strcmp(k->access.cluster, a->cluster) && !strcmp(k->access.user, a->user))
            return k;
    return NULL;
}

static struct sx_cluster *open_new(struct sx_client *c, const struct sx_access *a, struct sx_err *e)
{
    SX_AUTO_FREE char *ca = sx_config_path(c, a->cluster, "ca.pem");
    struct sx_cluster *k = sx_cluster_new(c, a, ca, e);

    if (k && sx_cluster_refresh(k, e)) {
        sx_cluster_free(k);
        return NULL;
    }
    if (k)
        save_nodes(k, a);
    return k;
}

int sx_cluster_open(struct sx_client *c, const struct sx_uri *u, struct sx_cluster **out,
                    struct sx_err *e)
{
    struct sx_access a;
    struct sx_cluster *k;

    if (sx_profile_load(c, u, &a, e))
        return -1;
    k = find_open(c, &a);
    if (!k && (k = open_new(c, &a, e))) {
        k->next = c->clusters;
        c->clusters = k;
    }
    sx_access_fini(&a);
    if (!k)
        return sx_err_wrap(e, "cluster '%s'", u->cluster);
    *out = k;
    return 0;
}

void sx_cluster_info(const struct sx_cluster *k, struct sx_cluster_info *out)
{
    *out = (struct sx_cluster_info){ k->uuid, k->name, k->version, k->access.user,
                                     k->access.fingerprint, k->map_version, k->n_nodes };
}

void sx_cluster_node(const struct sx_cluster *k, size_t i, struct sx_node_info *out)
{
    const struct sx_client_node *n = &k->nodes[i];

    sx_assert(i < k->n_nodes);
    *out = (struct sx_node_info){ n->id_text, n->address, n->zone, n->capacity, n->port, n->up };
}
