/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm: looks at a cluster, admits and removes nodes, checks a node's store.  Here: options and the table of
 * commands; the commands are in the other sxadm_*.c.
 */
#include "tools/sxadm.h"

#include <stdlib.h>
#include <string.h>

#include "libsx/base/text.h"

#define TTL_S_DEFAULT 900
#define TIMEOUT_S_DEFAULT 60

enum { OPT_TTL = 256, OPT_TIMEOUT, OPT_FORCE, OPT_DEEP, OPT_SAMPLE, OPT_RATE, OPT_NOW, OPT_WAIT, OPT_DIR,
       OPT_SIZE, OPT_LOST, OPT_READ_ONLY, OPT_WRITABLE };

static const struct cli_option options[] = {
    { OPT_TTL, "ttl", "TIME", "token: how long it may be used, like 15m (default) or 2h" },
    { OPT_TIMEOUT, "timeout", "TIME", "wait, df --now: give up after this time (default: 60s)" },
    { OPT_NOW, "now", NULL, "df: have all nodes count anew, and wait for them; scrub: begin a round now" },
    { OPT_FORCE, "force", NULL, "remove-node: also if the node is up" },
    { OPT_DEEP, "deep", NULL, "check: read and decode every block, not only the index" },
    { OPT_SAMPLE, "sample", "N|P%", "check: read and decode so many blocks by chance" },
    { OPT_RATE, "rate", "BYTES", "check: read, remove-device: move at most so many bytes a second, like 20M" },
    { OPT_WAIT, "wait", NULL, "scrub: wait until the round is over" },
    { OPT_SIZE, "size", "SIZE", "add-device, set-device: how much it may hold (default: its file system's size)" },
    { OPT_READ_ONLY, "read-only", NULL, "set-device: it takes no more blocks" },
    { OPT_WRITABLE, "writable", NULL, "set-device: it takes blocks (again)" },
    { OPT_LOST, "lost", NULL, "remove-device: give up what is on it; for a device that does not work" },
    { OPT_DIR, "dir", "DIR", "node commands: the node's directory (default: $SX_DIR or /var/lib/sx)" },
    { 0 }
};

/* "500", or "5%". */
static int take_sample(struct sxadm *a, const char *value, struct sx_err *e)
{
    char *end;

    a->sample = strtoull(value, &end, 10);
    a->sample_percent = strcmp(end, "%") == 0;
    if (*value < '0' || *value > '9' || a->sample == 0 || (*end && !a->sample_percent) ||
        (a->sample_percent && a->sample > 100))
        return sx_err_set(e, SX_EUSAGE, "--sample takes a number of blocks, or 1%% to 100%%, not '%s'", value);
    return 0;
}

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct sxadm *a = arg;

    switch (id) {
    case OPT_TTL: return sx_duration_parse(value, &a->ttl_s, e);
    case OPT_TIMEOUT: return sx_duration_parse(value, &a->timeout_s, e);
    case OPT_FORCE: a->force = true; return 0;
    case OPT_DEEP: a->deep = true; return 0;
    case OPT_SAMPLE: return take_sample(a, value, e);
    case OPT_RATE: return sx_size_parse(value, &a->rate, e);
    case OPT_NOW: a->now = true; return 0;
    case OPT_WAIT: a->wait = true; return 0;
    case OPT_LOST: a->lost = true; return 0;
    case OPT_READ_ONLY: a->read_only = true; return 0;
    case OPT_WRITABLE: a->writable = true; return 0;
    case OPT_SIZE: return sx_size_parse(value, &a->size, e);
    default: a->dir = value; return 0;
    }
}

static const struct {
    const char *group; /* first word */
    const char *name;  /* second word; NULL: the group is the command */
    sxadm_fn *run;
} commands[] = {
    { "cluster", "info", sxadm_cluster_info },
    { "cluster", "status", sxadm_cluster_status },
    { "cluster", "nodes", sxadm_cluster_nodes },
    { "cluster", "token", sxadm_cluster_token },
    { "cluster", "remove-node", sxadm_cluster_remove_node },
    { "cluster", "wait", sxadm_cluster_wait },
    { "cluster", "df", sxadm_cluster_df },
    { "job", "cancel", sxadm_job_cancel },
    { "jobs", NULL, sxadm_jobs },
    { "node", "info", sxadm_node_info },
    { "node", "check", sxadm_node_check },
    { "node", "scrub", sxadm_node_scrub },
    { "node", "verify", sxadm_node_verify },
    { "node", "rebuild-index", sxadm_node_rebuild_index },
    { "node", "devices", sxadm_node_devices },
    { "node", "add-device", sxadm_node_add_device },
    { "node", "set-device", sxadm_node_set_device },
    { "node", "remove-device", sxadm_node_remove_device },
};

static const struct cli_command command = {
    .name = "sxadm",
    .synopsis = "cluster info|status|nodes|wait [URI]\n"
                "cluster df [--now] [URI]\n"
                "cluster token [--ttl TIME] [URI]\n"
                "cluster remove-node [--force] ID [URI]\n"
                "jobs [URI]\n"
                "job cancel ID [URI]\n"
                "node info|rebuild-index [--dir DIR]\n"
                "node check [--dir DIR] [--deep | --sample N|P%] [--rate BYTES]\n"
                "node verify [--dir DIR] PACK...\n"
                "node scrub [--dir DIR] [--now] [--wait]\n"
                "node devices [--dir DIR]\n"
                "node add-device [--size SIZE] [--dir DIR] DIRECTORY\n"
                "node set-device [--read-only|--writable] [--size SIZE] [--dir DIR] DEVICE\n"
                "node remove-device [--lost] [--rate BYTES] [--dir DIR] DEVICE",
    .about = "Looks at a cluster and changes its nodes; needs an administrator's key (sxinit).\n"
             "URI is sx://[user@]cluster or @alias; it may be left out if only one cluster is set up.\n"
             "The node commands work on the directory of a node of this machine.",
    .options = options,
    .option = take_option,
    .section = 8,
};

int main(int argc, char **argv)
{
    struct sxadm a = { .ttl_s = TTL_S_DEFAULT, .timeout_s = TIMEOUT_S_DEFAULT };
    struct cli_command c = command;
    struct sx_err e = SX_ERR_INIT;
    int words, status;

    c.arg = &a;
    cli_start(&a.cli, &c, &argc, &argv);
    for (size_t i = 0; argc > 0 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].group, argv[0]) != 0)
            continue;
        words = commands[i].name ? 2 : 1;
        if (words == 2 && (argc < 2 || strcmp(commands[i].name, argv[1]) != 0))
            continue;
        if (commands[i].run(&a, argc - words, argv + words, &e) != 0)
            cli_fail(&a.cli, &e);
        else
            a.cli.done++;
        status = cli_end(&a.cli);
        return status == CLI_OK ? a.status : status;
    }
    cli_usage("sxadm", argc == 0 ? "a command is wanted" : "unknown command '%s%s%s'", argc > 0 ? argv[0] : "",
              argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
}
