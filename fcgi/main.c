/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sx.fcgi: the daemon of a node behind nginx.  Reads node.json, becomes the dispatcher, and
 * names the processes that it forks.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "fcgi/board.h"
#include "fcgi/cache.h"
#include "fcgi/conf.h"
#include "fcgi/dispatch.h"
#include "fcgi/jobs/collector.h"
#include "fcgi/jobs/jobs.h"
#include "fcgi/jobs/transfer.h"
#include "fcgi/meta/manager/manager.h"
#include "fcgi/serve.h"
#include "fcgi/start.h"
#include "fcgi/title.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define SX_CLIENT_SOCKET "client.sock"
#define SX_NODE_SOCKET "node.sock"
#define EXTRA_PER_WORKER 3

struct options {
    const char *dir;
    bool foreground;
};

static void usage(FILE *f)
{
    fprintf(f, "usage: sx.fcgi --dir DIR [--foreground]\n"
               "The daemon of an SX node; sxserver starts it together with nginx.\n"
               "  --dir DIR      the node's directory, made by sxsetup\n"
               "  --foreground   stay attached to the terminal or the service manager\n"
               "  --help, --version\n");
}

/* 0: go on; else exit with *status. */
static int read_options(int argc, char **argv, struct options *o, int *status)
{
    static const struct option longs[] = {
        { "dir", required_argument, NULL, 'd' }, { "foreground", no_argument, NULL, 'f' },
        { "help", no_argument, NULL, 'h' },      { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 'd') {
            o->dir = optarg;
        } else if (c == 'f') {
            o->foreground = true;
        } else if (c == 'h' || c == 'V') {
            if (c == 'h')
                usage(stdout);
            else
                printf("sx.fcgi (SX) %s\n", PACKAGE_VERSION);
            *status = 0;
            return -1;
        } else {
            *status = 2;
            return -1;
        }
    }
    if (o->dir && optind == argc)
        return 0;
    usage(stderr);
    *status = 2;
    return -1;
}

static int run_manager(const struct sx_child *c)
{
    return sx_manager_main(c->conf, c->stop_fd);
}

static int run_transfer(const struct sx_child *c)
{
    return sx_transfer_main(c->conf, c->shared.board, c->stop_fd);
}

static int run_collector(const struct sx_child *c)
{
    return sx_collector_main(c->conf, c->stop_fd);
}

static int run_jobs(const struct sx_child *c)
{
    return sx_jobs_main(c->conf, c->stop_fd);
}

/* Clients may be slow; other nodes are not. */
static unsigned extra_workers(const struct sx_node_conf *conf)
{
    unsigned n = EXTRA_PER_WORKER * conf->workers;

    return n < SX_EXTRA_MAX ? n : SX_EXTRA_MAX;
}

/* Without one the node is only slower. */
static struct sx_cache *make_cache(const struct sx_node_conf *conf)
{
    uint64_t size = conf->cache_size == SX_CACHE_AUTO ? sx_cache_auto_size() : conf->cache_size;
    struct sx_cache *c = size ? sx_cache_new(size) : NULL;

    if (size && !c)
        sx_warn("no memory for a cache of %" PRIu64 " bytes: %s", size, strerror(errno));
    return c;
}

static int listen_and_dispatch(const struct sx_node_conf *conf, const char *log_path, int ready_fd,
                               struct sx_err *e)
{
    struct sx_shared shared;
    int client = -1, node = -1, r;

    if (sx_board_create(conf->dir, &shared.board, e) != 0 ||
        sx_start_listen(conf, SX_CLIENT_SOCKET, &client, e) != 0 ||
        sx_start_listen(conf, SX_NODE_SOCKET, &node, e) != 0)
        return -1;
    shared.cache = make_cache(conf);
    const struct sx_process roles[] = {
        { "group manager", false, 1, SX_PHASE_LAST, -1, 0, run_manager },
        { "worker", true, conf->workers, SX_PHASE_WORKER, client, extra_workers(conf),
          sx_serve_clients },
        { "reserved worker", true, conf->reserved_workers, SX_PHASE_WORKER, node, 0,
          sx_serve_nodes },
        { "job manager", false, 1, SX_PHASE_MANAGER, -1, 0, run_jobs },
        { "block transfer", false, 1, SX_PHASE_MANAGER, -1, 0, run_transfer },
        { "garbage collector", false, 1, SX_PHASE_MANAGER, -1, 0, run_collector },
    };
    r = sx_dispatch(conf, &shared, roles, sizeof roles / sizeof roles[0], log_path, ready_fd, e);
    sx_start_unlisten(conf, SX_CLIENT_SOCKET, client);
    sx_start_unlisten(conf, SX_NODE_SOCKET, node);
    return r;
}

/* Once in the background, problems belong into the log; before, to who started us. */
static int serve(const struct sx_node_conf *conf, bool foreground, struct sx_err *e)
{
    SX_AUTO_FREE char *log_path = sx_asprintf("%s/log/sx.log", conf->dir);
    int ready_fd = -1;

    umask(027);
    if (sx_start_user(conf, e) != 0)
        return -1;
    if (!foreground && sx_start_background(&ready_fd, e) != 0)
        return -1;
    if (sx_start_pid_file(conf, e) != 0)
        return -1;
    if (sx_log_open(log_path) != 0)
        return sx_err_errno(e, errno, "open %s", log_path);
    sx_log_level_set((enum sx_log_level)conf->log_level);
    sx_log_role("dispatcher");
    sx_title_set("dispatcher");
    sx_info("sx.fcgi %s for node %s of cluster '%s' in %s", PACKAGE_VERSION, conf->node_hex,
            conf->name, conf->dir);
    if (listen_and_dispatch(conf, log_path, ready_fd, e) != 0) {
        sx_error("%s", e->msg);
        return -1;
    }
    sx_start_pid_file_remove(conf);
    sx_info("stopped");
    return 0;
}

/* `dir` as sx_node_conf_load() wants it: a path that does not depend on where we are. */
static int run(const char *dir, bool foreground, struct sx_err *e)
{
    SX_AUTO_FREE char *full = realpath(dir, NULL);
    SX_AUTO(sx_node_conf) struct sx_node_conf conf = { .dir = NULL };

    if (!full)
        return sx_err_errno(e, errno, "%s", dir);
    if (sx_node_conf_load(&conf, full, e) != 0)
        return -1;
    return serve(&conf, foreground, e);
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct sx_err e = SX_ERR_INIT;
    int status = 0;

    sx_title_init(argc, argv);
    if (read_options(argc, argv, &o, &status) != 0)
        return status;
    if (run(o.dir, o.foreground, &e) != 0) {
        fprintf(stderr, "sx.fcgi: %s\n", e.msg);
        return 1;
    }
    return 0;
}
