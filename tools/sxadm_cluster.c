/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands of sxadm that ask a cluster (docs/api.md, sections 2 and 7).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "libsx/client/call.h"
#include "tools/sxadm.h"

#define WAIT_POLL_MS 300
#define TTL_S_MAX (30u * 86400u)

/* ---- which cluster ------------------------------------------------------------------------- */

struct only {
    char *uri;
    unsigned n;
};

static int count_profile(void *arg, const char *cluster, const char *user, const char *alias)
{
    struct only *o = arg;

    (void)alias;
    if (o->n++ == 0)
        o->uri = sx_asprintf("sx://%s@%s", user, cluster);
    return 0;
}

int sxadm_open(struct sxadm *a, int argc, char **argv, int at, struct cli_place *p, struct sx_err *e)
{
    struct only only = { 0 };
    int result;

    if (argc > at + 1)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[at + 1]);
    if (argc == at + 1)
        return cli_place(&a->cli, argv[at], CLI_CLUSTER, p, e);
    if (sx_profile_each(a->cli.client, count_profile, &only, e) != 0) {
        free(only.uri);
        return -1;
    }
    if (only.n == 1)
        result = cli_place(&a->cli, only.uri, CLI_CLUSTER, p, e);
    else if (only.n == 0)
        result = sx_err_set(e, SX_EUSAGE, "no cluster is set up; use sxinit first");
    else
        result = sx_err_set(e, SX_EUSAGE, "several clusters or users are set up; name one, like %s", only.uri);
    free(only.uri);
    return result;
}

/* One request; the answer is printed and taken away if JSON is wanted, else it is the caller's. */
static int ask(struct sxadm *a, struct cli_place *p, const char *method, const char *path, const char *query,
               json_t *body, json_t **answer, struct sx_err *e)
{
    json_t *j = NULL;

    if (sx_call_json(p->cluster, method, sx_asprintf("%s%s", SX_API, path), query ? sx_strdup(query) : NULL, body,
                     &j, e) != 0)
        return -1;
    if (a->cli.json) {
        cli_json(j);
        j = NULL;
    }
    *answer = j;
    return 0;
}

/* ---- reading the answers: what is missing is shown as nothing ------------------------------ */

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

static const char *size_of(char *out, const json_t *o, const char *name)
{
    return sx_size_text(out, number(o, name));
}

/* ---- status -------------------------------------------------------------------------------- */

static void print_nodes(const json_t *status)
{
    const json_t *nodes = json_object_get(status, "nodes");
    char used[SX_SIZE_TEXT], capacity[SX_SIZE_TEXT], address[300];
    size_t i;
    json_t *n;

    printf("%-16s  %-21s  %-8s  %-5s  %-8s  %10s  %10s  %10s  %8s\n", "NODE", "ADDRESS", "ZONE", "STATE", "ROLE",
           "USED", "CAPACITY", "BLOCKS", "QUEUES");
    json_array_foreach(nodes, i, n) {
        const json_t *queues = json_object_get(n, "queues");
        bool up = json_is_true(json_object_get(n, "up"));

        snprintf(address, sizeof address, "%s:%" PRIu64, text(n, "address"), number(n, "port"));
        printf("%-16s  %-21s  %-8s  %-5s  %-8s  %10s  %10s  %10" PRIu64 "  %" PRIu64 "/%" PRIu64 "/%" PRIu64 "\n",
               text(n, "id"), address, text(n, "zone")[0] ? text(n, "zone") : "-", up ? "up" : "down",
               text(n, "role")[0] ? text(n, "role") : "-", size_of(used, n, "used"), size_of(capacity, n, "capacity"),
               number(n, "blocks"), number(queues, "replication"), number(queues, "missing"),
               number(queues, "collect"));
    }
    puts("queues: blocks to send / blocks to fetch / blocks to delete");
}

/* Content against what it takes: both count all copies' worth of what the nodes that are up hold. */
static void print_totals(const json_t *s)
{
    const json_t *jobs = json_object_get(s, "jobs"), *nodes = json_object_get(s, "nodes");
    char content[SX_SIZE_TEXT], stored[SX_SIZE_TEXT];
    uint64_t used = 0;
    size_t i;
    json_t *n;

    json_array_foreach(nodes, i, n)
        used += number(n, "used");
    printf("content:          %s in %" PRIu64 " files, %" PRIu64 " volumes\n", size_of(content, s, "bytes"),
           number(s, "files"), number(s, "volumes"));
    printf("stored:           %s on all nodes together", sx_size_text(stored, used));
    if (number(s, "bytes") > 0)
        printf(" (%.0f %% of the content, all copies counted)", 100.0 * (double)used / (double)number(s, "bytes"));
    printf("\nunder-replicated: %" PRIu64 " blocks\njobs:             %" PRIu64 " running, %" PRIu64 " waiting\n",
           number(s, "under_replicated"), number(jobs, "running"), number(jobs, "waiting"));
}

static void print_scrub(const json_t *node, const json_t *scrub, const char *name)
{
    bool running = strcmp(text(scrub, "state"), "running") == 0;
    char when[SX_TIME_TEXT] = "never", state[16] = "idle";

    if (running)
        snprintf(state, sizeof state, "%" PRIu64 " %%", number(scrub, "percent"));
    if (number(scrub, "done_ms"))
        sx_time_text(when, number(scrub, "done_ms"), false);
    printf("%-16s  %6s  %-16s  %8" PRIu64 "  %8" PRIu64 "  %8" PRIu64 "  %8" PRIu64 "%s%s\n", name, state, when,
           number(scrub, "damaged"), number(scrub, "mended"), number(node, "bad"), number(scrub, "read_errors"),
           json_is_true(json_object_get(scrub, "failing")) ? "  FAILING: replace this disk" : "",
           number(scrub, "index_faults") ? "  INDEX DAMAGED: restart this node" : "");
}

/* What the scrub of each device that is up found, in its last and its present round. */
static void print_scrubs(const json_t *s)
{
    const json_t *n, *scrub;
    size_t i, k;

    printf("\n%-16s  %6s  %-16s  %8s  %8s  %8s  %8s\n", "NODE", "SCRUB", "LAST SCRUB", "DAMAGED", "MENDED", "BAD NOW",
           "UNREAD");
    json_array_foreach(json_object_get(s, "nodes"), i, n)
        json_array_foreach(json_object_get(n, "scrub"), k, scrub)
            print_scrub(n, scrub, k == 0 ? text(n, "id") : "  next device");
}

/* Of a device since they were last cleared, in words; empty: none. */
static const char *errors_of(char *out, size_t size, const json_t *device)
{
    const json_t *x = json_object_get(device, "errors");
    uint64_t reads = number(x, "read"), writes = number(x, "write"), syncs = number(x, "sync");

    out[0] = '\0';
    if (reads + writes + syncs + number(x, "damaged"))
        snprintf(out, size, "; ERRORS: %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " syncs, %" PRIu64
                 " blocks damaged", reads, writes, syncs, number(x, "damaged"));
    return out;
}

/* Devices of nodes that have several, and those that are not as they should be. */
static void print_devices(const json_t *s)
{
    char used[SX_SIZE_TEXT], capacity[SX_SIZE_TEXT], errors[160];
    const json_t *n, *d;
    size_t i, k;

    json_array_foreach(json_object_get(s, "nodes"), i, n)
        json_array_foreach(json_object_get(n, "devices"), k, d)
            if (*errors_of(errors, sizeof errors, d) || json_array_size(json_object_get(n, "devices")) > 1 ||
                strcmp(text(d, "state"), "active") != 0)
                printf("node %s, device %" PRIu64 ", %s: %s, %s of %s used%s%s%s\n", text(n, "id"), number(d, "device"),
                       text(d, "path"), text(d, "state"), size_of(used, d, "used"), size_of(capacity, d, "capacity"),
                       errors, text(d, "reason")[0] ? ": " : "", text(d, "reason"));
}

static void print_damaged(const json_t *s)
{
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(s, "nodes"), i, n)
        if (json_is_true(json_object_get(n, "metadata_damaged")))
            printf("METADATA DAMAGED: node %s; it fetches a copy from another node\n", text(n, "id"));
}

static void print_status(const json_t *s)
{
    printf("cluster:          %s (%s)\nhealth:           %s\nleader:           %s\nmap version:      %" PRIu64 "\n",
           text(s, "name"), text(s, "cluster"), text(s, "health"), text(s, "leader"), number(s, "map_version"));
    print_totals(s);
    if (number(s, "lost"))
        printf("LOST:             %" PRIu64 " blocks: no node has them; the nodes' logs and sxadm node check name the files\n",
               number(s, "lost"));
    print_damaged(s);
    putchar('\n');
    print_nodes(s);
    print_devices(s);
    print_scrubs(s);
}

static int status(struct sxadm *a, int argc, char **argv, void (*print)(const json_t *s), struct sx_err *e)
{
    struct cli_place p = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    int result = sxadm_open(a, argc, argv, 0, &p, e);

    if (result == 0)
        result = ask(a, &p, "GET", "/status", NULL, NULL, &j, e);
    if (j)
        print(j);
    cli_place_fini(&p);
    return result;
}

int sxadm_cluster_status(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    return status(a, argc, argv, print_status, e);
}

int sxadm_cluster_nodes(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    return status(a, argc, argv, print_nodes, e);
}

/* True when the cluster is whole; the reason why not goes to `why`. */
static bool whole(const json_t *s, char *why, size_t size)
{
    const json_t *nodes = json_object_get(s, "nodes");
    size_t i;
    json_t *n;

    snprintf(why, size, "health is %s", text(s, "health"));
    json_array_foreach(nodes, i, n)
        if (!json_is_true(json_object_get(n, "up"))) {
            snprintf(why, size, "node %s is down", text(n, "id"));
            return false;
        }
    return strcmp(text(s, "health"), "ok") == 0;
}

int sxadm_cluster_wait(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    uint64_t until = sx_mono_ms() + a->timeout_s * 1000;
    struct cli_place p = { 0 };
    char why[128] = "";
    bool good = false;

    if (sxadm_open(a, argc, argv, 0, &p, e) != 0)
        return -1;
    while (!good) {
        SX_AUTO_JSON json_t *j = NULL;

        if (sx_call_json(p.cluster, "GET", sx_strdup(SX_API "/status"), NULL, NULL, &j, e) == 0)
            good = whole(j, why, sizeof why);
        else
            snprintf(why, sizeof why, "%.120s", e->msg);
        if (!good && sx_mono_ms() >= until)
            break;
        if (!good)
            sx_sleep_ms(WAIT_POLL_MS);
    }
    cli_place_fini(&p);
    return good ? 0 : sx_err_set(e, SX_ETIMEOUT, "the cluster is not whole after %" PRIu64 " s: %s", a->timeout_s, why);
}

int sxadm_cluster_info(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct cli_place p = { 0 };
    struct sx_cluster_info info;

    if (sxadm_open(a, argc, argv, 0, &p, e) != 0)
        return -1;
    sx_cluster_info(p.cluster, &info);
    if (a->cli.json) {
        cli_json(json_pack("{s:s, s:s, s:s, s:s, s:s?, s:I, s:I}", "cluster", info.uuid, "name", info.name, "version",
                           info.version, "user", info.user, "fingerprint", info.fingerprint, "map_version",
                           (json_int_t)info.map_version, "nodes", (json_int_t)info.n_nodes));
    } else {
        printf("cluster:        %s\nuuid:           %s\nversion:        %s\nCA fingerprint: %s\nuser:           %s\n"
               "nodes:          %zu\nmap version:    %" PRIu64 "\n",
               info.name, info.uuid, info.version, info.fingerprint ? info.fingerprint : "-", info.user, info.n_nodes,
               info.map_version);
    }
    cli_place_fini(&p);
    return 0;
}

/* ---- nodes --------------------------------------------------------------------------------- */

int sxadm_cluster_token(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct cli_place p = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    int result;

    if (a->ttl_s < 1 || a->ttl_s > TTL_S_MAX)
        return sx_err_set(e, SX_EUSAGE, "--ttl takes 1s to 30d");
    result = sxadm_open(a, argc, argv, 0, &p, e);
    if (result == 0)
        result = ask(a, &p, "POST", "/tokens", NULL, json_pack("{s:I}", "ttl_s", (json_int_t)a->ttl_s), &j, e);
    if (j)
        puts(text(j, "token"));
    cli_place_fini(&p);
    return result;
}

int sxadm_cluster_remove_node(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct cli_place p = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    uint8_t id[8];
    int result;

    if (argc < 1 || sx_unhex(id, sizeof id, argv[0]) != 0)
        return sx_err_set(e, SX_EUSAGE, "remove-node needs the node's id, 16 hex digits: see sxadm cluster nodes");
    SX_AUTO_FREE char *path = sx_asprintf("/nodes/%s", argv[0]);

    result = sxadm_open(a, argc, argv, 1, &p, e);
    if (result == 0)
        result = ask(a, &p, "DELETE", path, a->force ? "force=1" : NULL, NULL, &j, e);
    if (j)
        printf("node %s is removed\n", argv[0]);
    cli_place_fini(&p);
    return result;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

int sxadm_jobs(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct cli_place p = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    char when[SX_TIME_TEXT];
    size_t i;
    json_t *job;
    int result = sxadm_open(a, argc, argv, 0, &p, e);

    if (result == 0)
        result = ask(a, &p, "GET", "/jobs", NULL, NULL, &j, e);
    if (j)
        printf("%-16s  %-7s  %-8s  %10s  %8s  %-16s  %s\n", "JOB", "TYPE", "STATE", "DONE", "FAILED", "CREATED", "USER");
    json_array_foreach(json_object_get(j, "jobs"), i, job)
        printf("%-16s  %-7s  %-8s  %10" PRIu64 "  %8" PRIu64 "  %-16s  %s%s%s\n", text(job, "job"), text(job, "type"),
               text(job, "state"), number(job, "done"), number(job, "failed"),
               sx_time_text(when, number(job, "created_ms"), false), text(job, "user"),
               text(job, "message")[0] ? ": " : "", text(job, "message"));
    cli_place_fini(&p);
    return result;
}

int sxadm_job_cancel(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct cli_place p = { 0 };
    SX_AUTO_JSON json_t *j = NULL;
    uint8_t id[8];
    int result;

    if (argc < 1 || sx_unhex(id, sizeof id, argv[0]) != 0)
        return sx_err_set(e, SX_EUSAGE, "job cancel needs the job's id, 16 hex digits: see sxadm jobs");
    SX_AUTO_FREE char *path = sx_asprintf("/jobs/%s", argv[0]);

    result = sxadm_open(a, argc, argv, 1, &p, e);
    if (result == 0)
        result = ask(a, &p, "DELETE", path, NULL, NULL, &j, e);
    if (j)
        printf("job %s will stop at its next step\n", argv[0]);
    cli_place_fini(&p);
    return result;
}
