/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxserver: starts, stops, reloads a node and tells its state.  The work is done by sxhttpd/; here are the
 * options, the order of the steps and what the administrator reads.
 *
 * The configuration is rendered and shown to nginx before anything that runs is touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>

#include "config.h"
#include "libsx/base/clock.h"
#include "libsx/base/json.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "sxhttpd/ping.h"
#include "sxhttpd/proc.h"
#include "sxhttpd/render.h"
#include "sxhttpd/supervise.h"

#define DEFAULT_DIR "/var/lib/sx"
#define START_S_DEFAULT 60
#define START_S_MAX 3600
#define STOP_MS 100000      /* more than the supervisor's own limits */
#define PING_MS 3000
#define POLL_MS 50
#define LOG_TAIL 2048       /* bytes of each log shown when a start fails */

/* Exit statuses of the LSB. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, STATUS_DEAD = 1, STATUS_STOPPED = 3, STATUS_UNKNOWN = 4 };

struct options {
    const char *command;
    char dir[PATH_MAX];
    unsigned wait_s;
    bool json;
};

static const char usage_text[] =
    "usage: sxserver start|stop|restart|reload|status|run [--dir DIR] [--wait SECONDS] [--json]\n"
    "Runs the node of a directory: nginx and the SX daemon.\n"
    "\n"
    "  start     starts the node and waits until it answers\n"
    "  stop      ends the requests under way, then the node\n"
    "  restart   checks the configuration, then stops and starts\n"
    "  reload    checks the configuration, then makes nginx read it; reopens the logs\n"
    "  status    tells whether the node runs and answers (exit status: 0 runs, 1 dead, 3 stopped)\n"
    "  run       as start, but stays in the foreground (for systemd)\n"
    "\n"
    "  --dir DIR       the node's directory (default: $SX_DIR, else " DEFAULT_DIR ")\n"
    "  --wait SECONDS  how long start waits for the first answer (default: 60)\n"
    "  --json          status as JSON\n"
    "  --help, --version\n";

static int fail(const struct sx_err *e)
{
    fprintf(stderr, "sxserver: %s\n", e->msg);
    return EXIT_FAILED;
}

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "sxserver: %s%s%s\nTry 'sxserver --help'.\n", what, value ? ": " : "", value ? value : "");
    return EXIT_USAGE;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void show_tail(const char *dir, const char *file)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/log/%s", dir, file);
    SX_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[LOG_TAIL + 1], *from = text;
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n;

    if (size <= 0)
        return;
    n = pread(fd, text, LOG_TAIL, size > LOG_TAIL ? size - LOG_TAIL : 0);
    if (n <= 0)
        return;
    text[n] = '\0';
    if (size > LOG_TAIL && strchr(text, '\n'))
        from = strchr(text, '\n') + 1;
    fprintf(stderr, "--- end of %s\n%s", path, from);
}

/* Waits until the node answers.  `starter` is the process that becomes the supervisor: its early end
 * is the start's failure. */
static int wait_answer(const struct sx_node_conf *c, pid_t starter, unsigned wait_s, struct sx_err *e)
{
    uint64_t until = sx_mono_ms() + (uint64_t)wait_s * 1000;
    struct sx_err last = SX_ERR_INIT;
    int status;

    for (;;) {
        if (waitpid(starter, &status, WNOHANG) == starter)
            return sx_err_set(e, SX_EUNAVAIL, "the start failed (status %d)",
                              WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        if (sx_httpd_ping(c, PING_MS, &last) == 0)
            return 0;
        if (sx_mono_ms() >= until)
            return sx_err_set(e, SX_ETIMEOUT, "the node does not answer after %u s: %s", wait_s, last.msg);
        sx_sleep_ms(POLL_MS);
    }
}

/* ---- commands ------------------------------------------------------------------------------ */

static int prepare(const struct sx_node_conf *c, struct sx_err *e)
{
    if (access(sx_httpd_daemon(), X_OK) != 0)
        return sx_err_errno(e, errno, "the daemon %s cannot be run", sx_httpd_daemon());
    return sx_httpd_render(c, e);
}

/* The node's life, in this process. */
static int run(const struct sx_node_conf *c)
{
    struct sx_err e = SX_ERR_INIT;
    SX_AUTO_FREE char *log_path = sx_asprintf("%s/log/sx.log", c->dir);

    sx_log_level_set((enum sx_log_level)c->log_level);
    if (sx_log_open(log_path) != 0) {
        sx_err_errno(&e, errno, "open %s", log_path);
        return fail(&e);
    }
    return sx_supervise(c, &e) == 0 ? EXIT_OK : fail(&e);
}

static int begin_foreground(const struct sx_node_conf *c)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_supervisor(c->dir) != 0) {
        sx_err_set(&e, SX_ECONFLICT, "the node in %s is running already", c->dir);
        return fail(&e);
    }
    if (prepare(c, &e) != 0 || sx_httpd_accept(c, &e) != 0)
        return fail(&e);
    return run(c);
}

/* The new process leaves the terminal and holds nothing of the caller open. */
static _Noreturn void detach_and_run(const struct sx_node_conf *c)
{
    int null = open("/dev/null", O_RDWR);

    setsid();
    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
    }
    close_range(3, ~0U, 0);
    _exit(run(c));
}

static int start_prepared(const struct sx_node_conf *c, const struct options *o)
{
    struct sx_err e = SX_ERR_INIT;
    pid_t pid;

    /* What a killed supervisor left behind still holds the port. */
    sx_proc_end(c->dir, SX_PROC_ANY, POLL_MS);
    if (sx_httpd_port_free(c->address, c->port, &e) != 0 || sx_httpd_accept(c, &e) != 0)
        return fail(&e);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        detach_and_run(c);
    if (pid < 0) {
        sx_err_errno(&e, errno, "fork");
        return fail(&e);
    }
    if (wait_answer(c, pid, o->wait_s, &e) != 0) {
        fail(&e);
        show_tail(c->dir, "sx.log");
        show_tail(c->dir, "nginx.log");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int command_start(const struct sx_node_conf *c, const struct options *o)
{
    struct sx_err e = SX_ERR_INIT;

    if (sx_supervisor(c->dir) != 0) {
        printf("the node in %s is running already\n", c->dir);
        return EXIT_OK;
    }
    if (prepare(c, &e) != 0)
        return fail(&e);
    return start_prepared(c, o);
}

static int command_stop(const struct sx_node_conf *c, const struct options *o)
{
    struct sx_err e = SX_ERR_INIT;
    pid_t pid = sx_supervisor(c->dir);
    uint64_t until = sx_mono_ms() + STOP_MS;

    (void)o;
    if (pid != 0)
        kill(pid, SIGTERM);
    while (sx_supervisor(c->dir) != 0 && sx_mono_ms() < until)
        sx_sleep_ms(POLL_MS);
    if (sx_supervisor(c->dir) == 0 && sx_proc_end(c->dir, SX_PROC_ANY, SX_SUPERVISE_NGINX_MS))
        return EXIT_OK;
    sx_err_set(&e, SX_ETIMEOUT, "the node in %s does not end: supervisor %d", c->dir, (int)pid);
    return fail(&e);
}

static int command_restart(const struct sx_node_conf *c, const struct options *o)
{
    struct sx_err e = SX_ERR_INIT;

    if (prepare(c, &e) != 0) {
        sx_err_wrap(&e, "nothing was stopped");
        return fail(&e);
    }
    if (command_stop(c, o) != EXIT_OK)
        return EXIT_FAILED;
    return start_prepared(c, o);
}

static int command_reload(const struct sx_node_conf *c, const struct options *o)
{
    struct sx_err e = SX_ERR_INIT;
    pid_t pid = sx_supervisor(c->dir);

    (void)o;
    if (pid == 0) {
        sx_err_set(&e, SX_EUNAVAIL, "the node in %s is not running", c->dir);
        return fail(&e);
    }
    if (prepare(c, &e) != 0) {
        sx_err_wrap(&e, "nothing was changed");
        return fail(&e);
    }
    if (sx_httpd_accept(c, &e) != 0)
        return fail(&e);
    kill(pid, SIGHUP);
    return EXIT_OK;
}

static int command_status(const struct sx_node_conf *c, const struct options *o)
{
    struct sx_err e = SX_ERR_INIT;
    pid_t supervisor = sx_supervisor(c->dir);
    pid_t daemon = sx_proc_main(c->dir, SX_PROC_DAEMON), nginx = sx_proc_main(c->dir, SX_PROC_NGINX);
    bool answers = (daemon || nginx) && sx_httpd_ping(c, PING_MS, &e) == 0;
    bool any = supervisor || daemon || nginx;
    const char *state = answers ? "running" : any ? "dead" : "stopped";

    if (o->json) {
        SX_AUTO_JSON json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:i, s:i}", "state", state, "dir",
                                           c->dir, "node", c->node_hex, "address", c->address, "port",
                                           (int)c->port, "answers", answers, "supervisor", (int)supervisor,
                                           "daemon", (int)daemon, "nginx", (int)nginx);

        json_dumpf(j, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        printf("node %s of cluster '%s' in %s: %s\n", c->node_hex, c->name, c->dir, state);
        if (any)
            printf("supervisor %d, daemon %d, nginx %d, https://%s:%u/%s%s\n", (int)supervisor, (int)daemon,
                   (int)nginx, c->address, c->port, answers ? "" : " does not answer: ", answers ? "" : e.msg);
    }
    return answers ? EXIT_OK : any ? STATUS_DEAD : STATUS_STOPPED;
}

static int command_run(const struct sx_node_conf *c, const struct options *o)
{
    (void)o;
    return begin_foreground(c);
}

static const struct {
    const char *name;
    int (*run)(const struct sx_node_conf *c, const struct options *o);
} commands[] = {
    { "start", command_start },   { "stop", command_stop },     { "restart", command_restart },
    { "reload", command_reload }, { "status", command_status }, { "run", command_run },
};

/* ---- options ------------------------------------------------------------------------------- */

static int set_dir(struct options *o, const char *dir, struct sx_err *e)
{
    if (!dir)
        dir = getenv("SX_DIR");
    if (!dir || !*dir)
        dir = DEFAULT_DIR;
    if (!realpath(dir, o->dir))
        return sx_err_errno(e, errno, "directory %s", dir);
    return 0;
}

/* 0: go on; else the exit status + 1. */
static int parse(struct options *o, int argc, char **argv, const char **dir)
{
    static const struct option longs[] = {
        { "dir", required_argument, NULL, 'd' },  { "wait", required_argument, NULL, 'w' },
        { "json", no_argument, NULL, 'j' },       { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },    { NULL, 0, NULL, 0 },
    };
    char *end;
    int c;

    while ((c = getopt_long(argc, argv, "d:w:jhV", longs, NULL)) != -1) {
        switch (c) {
        case 'd':
            *dir = optarg;
            break;
        case 'w':
            o->wait_s = (unsigned)strtoul(optarg, &end, 10);
            if (*end || o->wait_s < 1 || o->wait_s > START_S_MAX)
                return 1 + usage_error("--wait takes 1 to 3600 seconds", optarg);
            break;
        case 'j':
            o->json = true;
            break;
        case 'h':
            fputs(usage_text, stdout);
            return 1 + EXIT_OK;
        case 'V':
            puts("sxserver " PACKAGE_VERSION);
            return 1 + EXIT_OK;
        default:
            return 1 + usage_error("see above", NULL);
        }
    }
    if (optind + 1 != argc)
        return 1 + usage_error("one of start, stop, restart, reload, status, run is wanted", NULL);
    o->command = argv[optind];
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = { .wait_s = START_S_DEFAULT };
    struct sx_node_conf conf;
    struct sx_err e = SX_ERR_INIT;
    const char *dir = NULL;
    size_t i = 0;
    int status = parse(&o, argc, argv, &dir);

    if (status != 0)
        return status - 1;
    while (i < sizeof commands / sizeof commands[0] && strcmp(commands[i].name, o.command) != 0)
        i++;
    if (i == sizeof commands / sizeof commands[0])
        return usage_error("unknown command", o.command);
    if (set_dir(&o, dir, &e) != 0 || sx_node_conf_load(&conf, o.dir, &e) != 0) {
        fail(&e);
        return strcmp(o.command, "status") == 0 ? STATUS_UNKNOWN : EXIT_FAILED;
    }
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = commands[i].run(&conf, &o);
    curl_global_cleanup();
    sx_node_conf_fini(&conf);
    return status;
}
