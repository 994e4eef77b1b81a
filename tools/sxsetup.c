/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxsetup: makes the first node of a cluster, or joins one with a token.  Options, questions, and what the
 * administrator reads at the end; the work is in setup_*.c.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>

#include "config.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "tools/setup.h"

#define LINE_SIZE 4096
#define JOIN_WAIT_S 180
#define NUMBER_MAX 65535

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage_text[] =
    "usage: sxsetup [--name NAME] [OPTIONS]         makes the first node of a new cluster\n"
    "       sxsetup --join TOKEN [OPTIONS]          joins a cluster; sxadm cluster token prints TOKEN\n"
    "Without options, on a terminal, it asks.\n"
    "\n"
    "  --name NAME             name of the new cluster (default: sx)\n"
    "  --address ADDRESS       IP address or DNS name under which clients and nodes reach this node\n"
    "  --port PORT             HTTPS port (default: 8443)\n"
    "  --peer-port PORT        port of the links between nodes (default: one above --port)\n"
    "  --s3-port PORT          also serves S3, and S3 alone, by plain HTTP on this port\n"
    "  --dir DIR               the node's directory (default: /var/lib/sx)\n"
    "  --size SIZE             space for blocks, such as 500G (default: 80 % of what is free)\n"
    "  --zone ZONE             nodes of one zone (rack, room) may fail together; copies go to different zones\n"
    "  --workers N             processes for clients (default: four a processor)\n"
    "  --reserved-workers N    processes for other nodes (default: half of --workers)\n"
    "  --user USER             account the daemon runs as (default: sx if there is one, else the caller)\n"
    "  --log-level LEVEL       error, warn, info (default) or debug\n"
    "  --no-start              only makes the directory\n"
    "  --json                  prints the result as JSON\n"
    "  --help, --version\n";

static int fail(const struct sx_err *e)
{
    fprintf(stderr, "sxsetup: %s\n", e->msg);
    return EXIT_FAILED;
}

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "sxsetup: %s%s%s\nTry 'sxsetup --help'.\n", what, value ? ": " : "", value ? value : "");
    return EXIT_USAGE;
}

/* ---- questions ----------------------------------------------------------------------------- */

/* The answer, or the default for an empty line; NULL at the end of the input. */
static char *question(const char *text, const char *dflt)
{
    char line[LINE_SIZE];

    printf("%s%s%s%s: ", text, dflt ? " [" : "", dflt ? dflt : "", dflt ? "]" : "");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return sx_strdup(line[0] || !dflt ? line : dflt);
}

/* Fills the plan from answers.  Defaults that depend on the machine are left to setup_plan_complete(). */
static int interview(struct setup_plan *p, struct sx_err *e)
{
    char *token = question("Join token of an existing cluster (empty: make a new cluster)", NULL);
    char *name = token && !*token ? question("Name of the new cluster", "sx") : NULL;
    char *address = question("Address under which this node is reached (empty: this machine's own)", NULL);
    char *port = question("Port", "8443");
    char *dir = question("Directory", "/var/lib/sx");
    char *size = question("Space for blocks, such as 500G (empty: 80 % of what is free)", NULL);

    if (!token || !address || !port || !dir || !size)
        return sx_err_set(e, SX_EUSAGE, "the answers ended early; nothing was made");
    p->token = *token ? token : NULL;
    p->name = name;
    p->address = *address ? address : NULL;
    p->port = (unsigned)strtoul(port, NULL, 10);
    p->dir = dir;
    return *size ? sx_size_parse(size, &p->size, e) : 0;
}

/* ---- after the work ------------------------------------------------------------------------ */

/* The file of another tool: beside this one (also in a build tree), else as installed. */
static char *tool(const char *name)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash, *path;

    self[n < 0 ? 0 : n] = '\0';
    slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
        path = sx_asprintf("%s/%s", self, name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return sx_asprintf("%s/%s", SX_SBINDIR, name);
}

static int start_node(const char *dir, struct sx_err *e)
{
    SX_AUTO_FREE char *server = tool("sxserver");
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execl(server, "sxserver", "start", "--dir", dir, (char *)NULL);
        fprintf(stderr, "sxsetup: start %s: %s\n", server, strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return sx_err_errno(e, errno, "start %s", server);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return sx_err_set(e, SX_EUNAVAIL, "the node is made but did not start: see above; then: sxserver start --dir %s",
                          dir);
    return 0;
}

static void print_json(const struct setup_plan *p, const struct setup_result *r)
{
    const struct sx_node_conf *c = &r->conf;
    SX_AUTO_JSON json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:I, s:s, s:b, s:b, s:s?}", "cluster",
                                       c->cluster, "name", c->name, "node", c->node_hex, "address", c->address,
                                       "port", (int)c->port, "peer_port", (int)c->peer_port, "s3_port", (int)c->s3_port, "dir", p->full_dir,
                                       "capacity", (json_int_t)c->capacity, "fingerprint", r->fingerprint,
                                       "joined", p->token != NULL, "started", p->start, "key_file", r->key_file);

    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_text(const struct setup_plan *p, const struct setup_result *r)
{
    const struct sx_node_conf *c = &r->conf;
    char size[SX_SIZE_TEXT];

    printf("Node %s of cluster '%s' %s %s, port %u, with %s for blocks in %s.\n", c->node_hex, c->name,
           p->start ? "runs on" : "is made for", c->address, c->port, sx_size_text(size, c->capacity), p->full_dir);
    if (!p->start)
        printf("Start it with:      sxserver start --dir %s\n", p->full_dir);
    if (!r->key_file)
        return;
    printf("CA fingerprint:     %s\n", r->fingerprint);
    printf("Key of the admin:   %s   (keep it secret)\n", r->key_file);
    printf("\nNext steps\n");
    printf("  use it here:      sxinit --key-file %s --alias @%s\n", r->key_file, c->name);
    printf("  a first volume:   sxvol create @%s/files\n", c->name);
    printf("  a first copy:     sxcp -r /usr/share/doc @%s/files/\n", c->name);
    printf("  another node:     sxadm cluster token @%s\n", c->name);
    printf("                    then on that machine: sxsetup --join TOKEN --address ITS-ADDRESS\n");
}

static int work(struct setup_plan *p)
{
    struct setup_result r = { .key_file = NULL };
    struct sx_err e = SX_ERR_INIT;
    int result = setup_plan_complete(p, &e);

    if (result == 0)
        result = p->token ? setup_join(p, &r, &e) : setup_create(p, &r, &e);
    if (result == 0 && p->start)
        result = start_node(p->full_dir, &e);
    if (result == 0 && p->start && p->token)
        result = setup_wait_member(p, &r, JOIN_WAIT_S, &e);
    if (result != 0)
        fail(&e);
    else if (p->json)
        print_json(p, &r);
    else
        print_text(p, &r);
    setup_result_fini(&r);
    return result == 0 ? EXIT_OK : EXIT_FAILED;
}

/* ---- options ------------------------------------------------------------------------------- */

static bool number(const char *text, unsigned max, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (!*text || *end || text[0] == '-' || n < 1 || n > max)
        return false;
    *out = (unsigned)n;
    return true;
}

/* Takes one option: 0, or an exit status + 1. */
static int option(struct setup_plan *p, int c, const char *arg)
{
    struct sx_err e = SX_ERR_INIT;

    switch (c) {
    case 'n': p->name = arg; return 0;
    case 't': p->token = arg; return 0;
    case 'a': p->address = arg; return 0;
    case 'd': p->dir = arg; return 0;
    case 'z': p->zone = arg; return 0;
    case 'u': p->user = arg; return 0;
    case 'l': p->log_level = arg; return 0;
    case 'S': p->start = false; return 0;
    case 'j': p->json = true; return 0;
    case 'p': return number(arg, NUMBER_MAX, &p->port) ? 0 : 1 + usage_error("--port takes 1 to 65535", arg);
    case 'P': return number(arg, NUMBER_MAX, &p->peer_port) ? 0 : 1 + usage_error("--peer-port takes 1 to 65535", arg);
    case '3': return number(arg, NUMBER_MAX, &p->s3_port) ? 0 : 1 + usage_error("--s3-port takes 1 to 65535", arg);
    case 'w':
        return number(arg, SX_WORKERS_MAX, &p->workers) ? 0 : 1 + usage_error("--workers takes 1 to 256", arg);
    case 'r':
        return number(arg, SX_WORKERS_MAX, &p->reserved_workers) ? 0 :
               1 + usage_error("--reserved-workers takes 1 to 256", arg);
    case 's':
        return sx_size_parse(arg, &p->size, &e) == 0 ? 0 : 1 + usage_error("--size", e.msg);
    case 'h':
        fputs(usage_text, stdout);
        return 1 + EXIT_OK;
    case 'V':
        puts("sxsetup " PACKAGE_VERSION);
        return 1 + EXIT_OK;
    default:
        return 1 + usage_error("see above", NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        { "name", required_argument, NULL, 'n' },      { "join", required_argument, NULL, 't' },
        { "address", required_argument, NULL, 'a' },   { "port", required_argument, NULL, 'p' },
        { "peer-port", required_argument, NULL, 'P' }, { "s3-port", required_argument, NULL, '3' },
        { "dir", required_argument, NULL, 'd' },
        { "size", required_argument, NULL, 's' },      { "zone", required_argument, NULL, 'z' },
        { "workers", required_argument, NULL, 'w' },   { "reserved-workers", required_argument, NULL, 'r' },
        { "user", required_argument, NULL, 'u' },      { "log-level", required_argument, NULL, 'l' },
        { "no-start", no_argument, NULL, 'S' },        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },            { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct setup_plan plan = { .start = true };
    struct sx_err e = SX_ERR_INIT;
    int c, status = 0;

    while (status == 0 && (c = getopt_long(argc, argv, "hV", longs, NULL)) != -1)
        status = option(&plan, c, optarg);
    if (status != 0)
        return status - 1;
    if (optind < argc)
        return usage_error("unexpected argument", argv[optind]);
    if (argc == 1 && isatty(0) && isatty(1) && interview(&plan, &e) != 0)
        return fail(&e);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = work(&plan);
    curl_global_cleanup();
    return status;
}
