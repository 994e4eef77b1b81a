/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GET /space: where the space of the cluster is, as its nodes have counted it; POST: the same, and
 * has them count anew.  Works without a leader, as /status does.
 */
#include <string.h>

#include "fcgi/api/ask.h"
#include "fcgi/api/common.h"
#include "fcgi/api/space.h"
#include "fcgi/jobs/space.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

#define NODE_SPACE_PATH "/.node/v1/space"
#define NODE_SPACE_MAX (16u << 20)

/* ---- this node ---- */

static json_t *own_space(struct sx_req *r)
{
    json_t *j = json_pack("{s:I}", "now_ms", (json_int_t)sx_wall_ms());
    json_t *space;

    if (strcmp(r->method, "POST") == 0)
        sx_space_poke(r->app->conf->dir);
    space = sx_space_read(r->app->conf->dir);
    if (space)
        json_object_set_new(j, "space", space);
    return j;
}

int sx_h_node_space(struct sx_req *r, struct sx_err *e)
{
    (void)e;
    return sx_reply_json(r, 200, own_space(r));
}

/* ---- all nodes ---- */

/* What each node answered, and in it what it has counted. */
struct gathered {
    json_t **answer;
    struct sx_space_counts counts;
};

static void gathered_fini(struct gathered *g)
{
    for (size_t i = 0; i < g->counts.n; i++)
        json_decref(g->answer[i]);
    free(g->answer);
    free(g->counts.node);
}

static int gather(struct sx_req *r, struct gathered *g, struct sx_err *e)
{
    struct sx_peers *peers = r->app->peers;

    if (sx_peers_refresh(peers, e) != 0)
        return -1;
    g->counts.n = sx_peers_count(peers);
    g->counts.own = sx_peers_self(peers);
    g->answer = sx_calloc(g->counts.n + 1, sizeof *g->answer);
    g->counts.node = sx_calloc(g->counts.n + 1, sizeof *g->counts.node);
    sx_ask_nodes(r->app, strcmp(r->method, "POST") == 0 ? "POST" : "GET", NODE_SPACE_PATH,
                 NODE_SPACE_MAX, g->answer);
    if (g->counts.own < g->counts.n)
        g->answer[g->counts.own] = own_space(r);
    for (size_t i = 0; i < g->counts.n; i++)
        g->counts.node[i] = json_object_get(g->answer[i], "space");
    return 0;
}

static void add_state(json_t *j, const struct sx_space_counts *c)
{
    json_object_set_new(j, "as_of_ms", json_integer((json_int_t)sx_space_as_of(c)));
    json_object_set_new(j, "complete", json_boolean(sx_space_complete(c)));
}

int sx_do_space(struct sx_req *r, uint64_t volume, json_t **s, struct sx_err *e)
{
    struct gathered g = { 0 };

    if (gather(r, &g, e) != 0)
        return -1;
    *s = sx_space_figures(&g.counts, volume);
    add_state(*s, &g.counts);
    gathered_fini(&g);
    return 0;
}

/* ---- the answer ---- */

static const char *const node_facts[] = {
    "as_of_ms", "took_ms", "uploading", "unreferenced", "damaged",
    "dead",     "headers", "packs",     "metadata",     "lacking",
};

static json_t *node_json(const struct sx_node *n, const json_t *answer)
{
    const json_t *space = json_object_get(answer, "space");
    char hex[SX_NODE_HEX + 1];
    json_t *j = json_pack("{s:s,s:s,s:i,s:b}", "id", sx_node_id_text(hex, n->id), "address",
                          n->address, "port", (int)n->port, "up", answer != NULL);

    sx_assert(j);
    json_object_set(j, "now_ms", json_object_get(answer, "now_ms"));
    if (!space)
        return j;
    json_object_set(j, "physical", json_object_get(json_object_get(space, "all"), "physical"));
    for (size_t i = 0; i < sizeof node_facts / sizeof *node_facts; i++)
        json_object_set(j, node_facts[i], json_object_get(space, node_facts[i]));
    return j;
}

static json_t *nodes_json(struct sx_req *r, const struct gathered *g)
{
    json_t *array = json_array();

    for (size_t i = 0; i < g->counts.n; i++)
        json_array_append_new(array, node_json(sx_peers_node(r->app->peers, i), g->answer[i]));
    return array;
}

static json_t *volumes_json(const json_t *volumes, const struct sx_space_counts *c)
{
    json_t *array = json_array();
    const json_t *v;
    size_t i;

    json_array_foreach(volumes, i, v) {
        json_t *j = sx_space_figures(
            c, (uint64_t)json_integer_value(json_object_get(v, "id")));

        json_object_set(j, "name", json_object_get(v, "name"));
        json_array_append_new(array, j);
    }
    return array;
}

static void add_totals(json_t *j, const struct sx_space_counts *c)
{
    static const char *const sums[] = { "uploading", "unreferenced", "damaged", "dead",
                                        "headers",   "packs",        "metadata" };

    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        json_object_set_new(j, sums[i], json_integer((json_int_t)sx_space_total(c, sums[i])));
    json_object_set_new(j, "reclaimable",
                        json_integer((json_int_t)(sx_space_total(c, "unreferenced") +
                                                  sx_space_total(c, "dead"))));
}

int sx_h_space(struct sx_req *r, struct sx_err *e)
{
    SX_AUTO_JSON json_t *volumes = NULL;
    struct gathered g = { 0 };
    json_t *j;
    sqlite3 *db;

    if (sx_app_db(r->app, &db, e) != 0 ||
        sx_query_volumes_json(db, r->user, &volumes, e) != 0 || gather(r, &g, e) != 0)
        return -1;
    j = sx_space_figures(&g.counts, SX_SPACE_ALL);
    add_state(j, &g.counts);
    add_totals(j, &g.counts);
    json_object_set_new(j, "nodes", nodes_json(r, &g));
    json_object_set_new(j, "volumes", volumes_json(volumes, &g.counts));
    gathered_fini(&g);
    return sx_reply_json(r, 200, j);
}
