/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GET /status: the whole cluster, as its nodes say when asked now; and /.node/v1/status, what
 * one node says of itself. Works without a leader: it is needed most then.
 */
#include "fcgi/api/status.h"

#include <stdio.h>
#include <string.h>

#include "config.h"
#include "fcgi/api/ask.h"
#include "fcgi/api/common.h"
#include "fcgi/jobs/collector.h"
#include "fcgi/jobs/scrub_state.h"
#include "fcgi/jobs/transfer.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define NODE_STATUS_PATH "/.node/v1/status"
#define NODE_STATUS_MAX (256u << 10)

/* ---- this node ---- */

static json_t *processes_json(const struct sx_board *b)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < b->n_slots; i++) {
        int pid = atomic_load(&b->slots[i].pid);

        if (pid != 0 || !b->slots[i].extra)
            json_array_append_new(array, json_pack("{s:s,s:i,s:i}", "role", b->slots[i].role, "pid", pid,
                                                   "restarts", (int)atomic_load(&b->slots[i].restarts)));
    }
    return array;
}

static bool lists_node(const json_t *array, const struct sx_node_conf *c)
{
    const json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
        if (json_is_string(item) ? strcmp(json_string_value(item), c->node_hex) == 0 :
                                   (uint64_t)json_integer_value(item) == c->node)
            return true;
    return false;
}

static const char *role_of(const json_t *group, const struct sx_node_conf *c)
{
    const char *state = json_string_value(json_object_get(group, "state"));

    if (state && strcmp(state, "leader") == 0)
        return "leader";
    return lists_node(json_object_get(group, "voters"), c) ? "voter" : "standby";
}

static void add_raft(struct sx_app *a, json_t *j)
{
    static const char *const facts[] = { "applied", "log_first", "log_last" };
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO_JSON json_t *status = NULL;
    json_t *raft = json_object(), *group;

    if (sx_meta_status(a->meta, &status, &e) != 0)
        sx_warn("status of the group manager: %s", e.msg);
    group = json_array_get(json_object_get(status, "groups"), 0);
    for (size_t i = 0; group && i < sizeof facts / sizeof *facts; i++)
        json_object_set(raft, facts[i], json_object_get(group, facts[i]));
    json_object_set_new(j, "role", json_string(group ? role_of(group, a->conf) : "none"));
    json_object_set_new(j, "raft", raft);
    json_object_set_new(j, "metadata_damaged", json_boolean(sx_meta_damaged(a->meta)));
    if (status)
        json_object_set(j, "groups", json_object_get(status, "groups"));
}

static void add_store(struct sx_app *a, json_t *j)
{
    struct sx_store_stats s = { 0 };
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *store;

    if (sx_app_store(a, &store, &e) != 0 || sx_store_stats(store, &s, &e) != 0) {
        sx_error("status of the block store: %s", e.msg);
        json_object_set_new(j, "error",
                            json_string("the block store does not open; see the node's log"));
    }
    json_object_set_new(j, "used", json_integer((json_int_t)s.used));
    json_object_set_new(j, "free", json_integer((json_int_t)s.free));
    json_object_set_new(j, "blocks", json_integer((json_int_t)s.blocks));
    json_object_set_new(j, "bytes", json_integer((json_int_t)s.bytes));
    json_object_set_new(j, "dead", json_integer((json_int_t)s.dead));
    json_object_set_new(j, "bad", json_integer((json_int_t)s.bad));
}

static void add_devices(struct sx_app *a, json_t *j)
{
    struct sx_device_status st[SX_DEVICES_MAX];
    json_t *array = json_array();
    struct sx_store *store;
    size_t n = sx_app_store(a, &store, NULL) == 0 ? sx_store_status(store, st) : 0;

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, sx_device_status_json(&st[i]));
    json_object_set_new(j, "devices", array);
}

/* One object for each device that is not out, in the store's order. */
static void add_scrub(struct sx_app *a, json_t *j)
{
    json_t *array = json_array();
    struct sx_store *store;

    for (size_t i = 0; sx_app_store(a, &store, NULL) == 0 && i < sx_store_devices(store); i++) {
        struct sx_scrub_state st;

        sx_scrub_state_load(sx_device_dir(sx_store_device(store, i)), &st);
        json_array_append_new(array, sx_scrub_state_json(&st));
    }
    json_object_set_new(j, "scrub", array);
}

static void add_queues(const struct sx_app *a, json_t *j)
{
    struct sx_transfer_counters t;
    struct sx_collector_counters c;

    sx_transfer_counters(a->conf->dir, &t);
    sx_collector_counters(a->conf->dir, &c);
    json_object_set_new(j, "queues",
                        json_pack("{s:I,s:I,s:I}", "replication", (json_int_t)t.queue, "missing",
                                  (json_int_t)t.missing, "collect", (json_int_t)c.pending));
    json_object_set_new(j, "lost", json_integer((json_int_t)t.lost));
    json_object_set_new(j, "transfer",
                        json_pack("{s:I,s:I,s:I}", "sent", (json_int_t)t.sent, "fetched",
                                  (json_int_t)t.fetched, "sweeps", (json_int_t)t.sweeps));
    json_object_set_new(j, "collector",
                        json_pack("{s:I,s:I,s:I}", "sweeps", (json_int_t)c.sweeps, "deleted",
                                  (json_int_t)c.deleted, "freed", (json_int_t)c.freed));
}

static void add_cache(const struct sx_app *a, json_t *j)
{
    struct sx_cache_counters c;

    sx_cache_counters(a->cache, &c);
    json_object_set_new(j, "cache",
                        json_pack("{s:I,s:I,s:I,s:I,s:I}", "size", (json_int_t)c.size, "hits",
                                  (json_int_t)c.hits, "misses", (json_int_t)c.misses, "entered",
                                  (json_int_t)c.entered, "known", (json_int_t)c.known));
}

static json_t *own_status(struct sx_app *a)
{
    const struct sx_node_conf *c = a->conf;
    json_t *j =
        json_pack("{s:s,s:s,s:i,s:s,s:I,s:b,s:s}", "id", c->node_hex, "address", c->address, "port",
                  (int)c->port, "zone", c->zone, "capacity", (json_int_t)c->capacity, "up", 1,
                  "version", PACKAGE_VERSION);

    add_raft(a, j);
    add_store(a, j);
    add_devices(a, j);
    add_scrub(a, j);
    add_queues(a, j);
    add_cache(a, j);
    json_object_set_new(j, "processes", processes_json(a->board));
    return j;
}

int sx_h_node_status(struct sx_req *r, struct sx_err *e)
{
    (void)e;
    return sx_reply_json(r, 200, own_status(r->app));
}

/* ---- the others ---- */

static json_t *absent_json(const struct sx_node *n)
{
    char hex[SX_NODE_HEX + 1];

    return json_pack("{s:s,s:s,s:i,s:s,s:I,s:b}", "id", sx_node_id_text(hex, n->id), "address",
                     n->address, "port", (int)n->port, "zone", n->zone, "capacity",
                     (json_int_t)n->capacity, "up", 0);
}

/* The array of nodes; what a node said of its groups is taken out of it. */
static json_t *ask_nodes(struct sx_app *a, json_t **own_groups)
{
    size_t n = sx_peers_count(a->peers), self = sx_peers_self(a->peers);
    json_t **answers = sx_calloc(n + 1, sizeof *answers);
    json_t *array = json_array();

    sx_ask_nodes(a, "GET", NODE_STATUS_PATH, NODE_STATUS_MAX, answers);
    for (size_t i = 0; i < n; i++) {
        json_t *j = i == self ? own_status(a) : answers[i];

        if (!j)
            j = absent_json(sx_peers_node(a->peers, i));

        if (i == self)
            *own_groups = json_incref(json_object_get(j, "groups"));
        json_object_del(j, "groups");
        json_array_append_new(array, j);
    }
    free(answers);
    return array;
}

bool sx_status_node_up(struct sx_app *a, uint64_t node)
{
    SX_AUTO(sx_buf) struct sx_buf answer = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    size_t i;

    if (node == a->conf->node)
        return true;
    if (sx_peers_refresh(a->peers, &e) != 0 ||
        (i = sx_peers_find(a->peers, node)) == sx_peers_count(a->peers))
        return false;
    struct sx_http_request r = {
        .method = "GET", .path = NODE_STATUS_PATH, .answer = &answer,
        .address = sx_peers_node(a->peers, i)->address, .port = sx_peers_node(a->peers, i)->port,
        .answer_max = NODE_STATUS_MAX, .timeout_ms = SX_ASK_TIMEOUT_MS,
    };

    return sx_http_call(sx_peers_http(a->peers), &r, NULL, &e) == 0;
}

/* ---- the whole ---- */

struct summary {
    unsigned down;
    uint64_t under_replicated;
    uint64_t lost; /* as the node says that misses most: what is lost is missing on each */
    bool failing;  /* a device gives back too much that was not written, or nothing */
    bool damaged;  /* metadata of a node */
    const char *leader;
};

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static bool any_failing(const json_t *node)
{
    const json_t *scrub, *device;
    size_t i;

    json_array_foreach(json_object_get(node, "scrub"), i, scrub)
        if (json_is_true(json_object_get(scrub, "failing")) || number(scrub, "index_faults"))
            return true;
    json_array_foreach(json_object_get(node, "devices"), i, device) {
        const char *state = json_string_value(json_object_get(device, "state"));

        if (state && (strcmp(state, "failed") == 0 || strcmp(state, "out") == 0))
            return true;
    }
    return false;
}

static void sum_up(const json_t *nodes, const json_t *groups, struct summary *s)
{
    const json_t *leader = json_object_get(json_array_get(groups, 0), "leader"), *n;
    size_t i;

    memset(s, 0, sizeof *s);
    s->leader = json_string_value(leader);
    if (!s->leader)
        s->leader = "";
    json_array_foreach(nodes, i, n) {
        const json_t *queues = json_object_get(n, "queues"), *role = json_object_get(n, "role");

        s->down += !json_is_true(json_object_get(n, "up"));
        s->failing = s->failing || any_failing(n);
        s->damaged = s->damaged || json_is_true(json_object_get(n, "metadata_damaged"));
        s->lost = number(n, "lost") > s->lost ? number(n, "lost") : s->lost;
        s->under_replicated += number(queues, "replication") + number(queues, "missing");
        if (!s->leader[0] && role && strcmp(json_string_value(role), "leader") == 0)
            s->leader = json_string_value(json_object_get(n, "id"));
    }
}

static const char *health(const struct summary *s)
{
    if (!s->leader[0])
        return "down";
    return s->down || s->under_replicated || s->lost || s->failing || s->damaged ? "degraded" : "ok";
}

static json_t *groups_json(const json_t *groups)
{
    static const char *const facts[] = { "group", "term", "leader", "applied" };
    json_t *array = json_array();
    const json_t *g;
    size_t i;

    json_array_foreach(groups, i, g) {
        json_t *j = json_object();

        for (size_t k = 0; k < sizeof facts / sizeof *facts; k++)
            json_object_set(j, facts[k], json_object_get(g, facts[k]));
        json_array_append_new(array, j);
    }
    return array;
}

int sx_h_status(struct sx_req *r, struct sx_err *e)
{
    const struct sx_node_conf *c = r->app->conf;
    SX_AUTO_JSON json_t *groups = NULL;
    struct sx_counters n;
    struct summary s;
    uint64_t map_version;
    json_t *nodes;
    sqlite3 *db;

    if (sx_peers_refresh(r->app->peers, e) != 0 || sx_app_db(r->app, &db, e) != 0 ||
        sx_query_counters(db, &n, e) != 0 || sx_query_map_version(db, &map_version, e) != 0)
        return -1;
    nodes = ask_nodes(r->app, &groups);
    sum_up(nodes, groups, &s);
    return sx_reply_json(r, 200,
                         json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:{s:I,s:I}}",
                                   "cluster", c->cluster, "name", c->name, "map_version",
                                   (json_int_t)map_version, "health",
                                   health(&s), "leader", s.leader,
                                   "groups", groups_json(groups), "nodes", nodes, "volumes",
                                   (json_int_t)n.volumes, "files", (json_int_t)n.files, "bytes",
                                   (json_int_t)n.bytes, "under_replicated",
                                   (json_int_t)s.under_replicated, "lost",
                                   (json_int_t)s.lost, "jobs", "running",
                                   (json_int_t)n.jobs_running, "waiting",
                                   (json_int_t)n.jobs_waiting));
}
