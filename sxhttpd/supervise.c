/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See supervise.h.
 *
 *   state of a service   pid   start_at_ms
 *   running              > 0   -
 *   waits                0     when it is started
 *
 * The supervisor is the reaper of all processes below it (PR_SET_CHILD_SUBREAPER), so nothing that a killed
 * dispatcher or nginx master leaves behind can hold the sockets or databases of its successor: before a
 * service is started, what is left of it is ended.
 */
#include "sxhttpd/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "sxhttpd/proc.h"
#include "sxhttpd/render.h"

#define LEFTOVER_MS 2000 /* for what a dead dispatcher or nginx left behind to end by itself */

struct service {
    const char *name;
    enum sx_proc_kind kind;
    int stop_signal;
    unsigned stop_ms;
    void (*exec)(const struct sx_node_conf *c); /* in the new process */
    pid_t pid;
    uint64_t started_ms, start_at_ms, delay_ms;
};

static int open_lock(const char *dir, int flags)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/run/sxserver.pid", dir);

    return open(path, flags | O_CLOEXEC, 0644);
}

pid_t sx_supervisor(const char *dir)
{
    SX_AUTO_CLOSE int fd = open_lock(dir, O_RDONLY);
    char text[16] = "";

    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || read(fd, text, sizeof text - 1) <= 0)
        return 0;
    return (pid_t)atoi(text);
}

static int take_lock(const char *dir, int *out, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open_lock(dir, O_RDWR | O_CREAT);
    char text[16];
    int n;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s/run/sxserver.pid", dir);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return sx_err_set(e, SX_ECONFLICT, "the node in %s is running already", dir);
    n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return sx_err_errno(e, errno, "write %s/run/sxserver.pid", dir);
    *out = sx_steal_fd(&fd);
    return 0;
}

/* ---- in the new process -------------------------------------------------------------------- */

static void exec_daemon(const struct sx_node_conf *c)
{
    execl(sx_httpd_daemon(), "sx.fcgi", "--foreground", "--dir", c->dir, (char *)NULL);
    sx_error("start %s: %s", sx_httpd_daemon(), strerror(errno));
}

static void exec_nginx(const struct sx_node_conf *c)
{
    SX_AUTO_FREE char *file = sx_asprintf("%s/run/nginx.conf", c->dir);
    SX_AUTO_FREE char *log = sx_asprintf("%s/log/nginx.log", c->dir);

    execl(sx_httpd_nginx(), "nginx", "-e", log, "-c", file, (char *)NULL);
    sx_error("start %s: %s", sx_httpd_nginx(), strerror(errno));
}

static void redirect_to(const char *dir, const char *file)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/log/%s", dir, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd >= 0) {
        dup2(fd, 1);
        dup2(fd, 2);
        close(fd);
    }
}

static _Noreturn void child(const struct service *s, const struct sx_node_conf *c)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    redirect_to(c->dir, s->kind == SX_PROC_NGINX ? "nginx.log" : "sx.log");
    s->exec(c);
    _exit(1);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void start(struct service *s, const struct sx_node_conf *c)
{
    if (!sx_proc_end(c->dir, s->kind, LEFTOVER_MS))
        sx_warn("processes of an earlier %s cannot be ended", s->name);
    s->started_ms = sx_mono_ms();
    s->pid = fork();
    if (s->pid == 0)
        child(s, c);
    if (s->pid < 0) {
        sx_error("start %s: fork: %s", s->name, strerror(errno));
        s->pid = 0;
        s->start_at_ms = s->started_ms + SX_SUPERVISE_MAX_MS;
    }
}

static void ended(struct service *s, int status, bool stopping)
{
    uint64_t now = sx_mono_ms();

    s->pid = 0;
    if (now - s->started_ms >= SX_SUPERVISE_GOOD_MS)
        s->delay_ms = 0;
    s->start_at_ms = now + s->delay_ms;
    if (!stopping && WIFSIGNALED(status))
        sx_error("%s was killed by signal %d (%s); restart in %llu ms", s->name, WTERMSIG(status),
                 strsignal(WTERMSIG(status)), (unsigned long long)s->delay_ms);
    else if (!stopping)
        sx_error("%s ended with status %d; restart in %llu ms", s->name, WEXITSTATUS(status),
                 (unsigned long long)s->delay_ms);
    s->delay_ms = s->delay_ms == 0 ? SX_SUPERVISE_MIN_MS :
                  s->delay_ms * 2 > SX_SUPERVISE_MAX_MS ? SX_SUPERVISE_MAX_MS : s->delay_ms * 2;
}

static void reap(struct service *services, size_t n, bool stopping)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < n; i++)
            if (services[i].pid == pid)
                ended(&services[i], status, stopping);
}

/* Starts what is due; returns when the next one is, in ms from now (-1: none waits). */
static int start_due(struct service *services, size_t n, const struct sx_node_conf *c)
{
    int next = -1;

    for (size_t i = 0; i < n; i++) {
        uint64_t now = sx_mono_ms();

        if (services[i].pid == 0 && services[i].start_at_ms <= now)
            start(&services[i], c);
        if (services[i].pid == 0 && services[i].start_at_ms > now) {
            int ms = (int)(services[i].start_at_ms - now);

            next = next < 0 || ms < next ? ms : next;
        }
    }
    return next;
}

/* A signal of the set within `ms` (-1: for ever), 0 if none came. */
static int next_signal(const sigset_t *set, int ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    int sig = ms < 0 ? sigwaitinfo(set, NULL) : sigtimedwait(set, NULL, &t);

    return sig > 0 ? sig : 0;
}

static void reload(struct service *services, size_t n, const char *log_path)
{
    if (sx_log_open(log_path) != 0)
        sx_error("reopen %s: %s", log_path, strerror(errno));
    for (size_t i = 0; i < n; i++)
        if (services[i].pid > 0)
            kill(services[i].pid, SIGHUP);
    sx_info("reloaded");
}

static void stop(struct service *s, struct service *all, size_t n, const struct sx_node_conf *c,
                 const sigset_t *set)
{
    uint64_t until = sx_mono_ms() + s->stop_ms;

    if (s->pid > 0)
        kill(s->pid, s->stop_signal);
    while (s->pid > 0 && sx_mono_ms() < until) {
        next_signal(set, 100);
        reap(all, n, true);
    }
    if (s->pid > 0)
        sx_warn("%s did not end within %u s and is killed", s->name, s->stop_ms / 1000);
    if (!sx_proc_end(c->dir, s->kind, s->pid > 0 ? 0 : LEFTOVER_MS))
        sx_error("%s cannot be ended", s->name);
    reap(all, n, true);
}

int sx_supervise(const struct sx_node_conf *c, struct sx_err *e)
{
    struct service services[] = {
        { .name = "sx.fcgi", .kind = SX_PROC_DAEMON, .stop_signal = SIGTERM,
          .stop_ms = SX_SUPERVISE_DAEMON_MS, .exec = exec_daemon },
        { .name = "nginx", .kind = SX_PROC_NGINX, .stop_signal = SIGQUIT,
          .stop_ms = SX_SUPERVISE_NGINX_MS, .exec = exec_nginx },
    };
    const size_t n = sizeof services / sizeof services[0];
    SX_AUTO_FREE char *log_path = sx_asprintf("%s/log/sx.log", c->dir);
    SX_AUTO_CLOSE int lock = -1;
    sigset_t set;
    int sig = 0;

    if (chdir(c->dir) != 0)
        return sx_err_errno(e, errno, "chdir to %s", c->dir);
    if (take_lock(c->dir, &lock, e) != 0)
        return -1;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sx_log_role("sxserver");
    sx_info("node %s of cluster '%s' starts on %s port %u", c->node_hex, c->name, c->address, c->port);
    while (sig != SIGTERM && sig != SIGINT) {
        sig = next_signal(&set, start_due(services, n, c));
        reap(services, n, false);
        if (sig == SIGHUP)
            reload(services, n, log_path);
    }
    sx_info("node %s stops", c->node_hex);
    for (size_t i = n; i > 0; i--)
        stop(&services[i - 1], services, n, c, &set);
    sx_info("node %s has stopped", c->node_hex);
    return 0;
}
