/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See dispatch.h.
 *
 *   state of a child   pid   restart_at_ms
 *   running            > 0   -
 *   waits for back-off   0   when it is started (also right at the beginning)
 *   ended for good       0   SX_NEVER: exit status SX_EXIT_NO_RESTART, or the dispatcher stops
 *   extra, not needed    0   SX_NEVER, until balance() needs it
 *
 * Signals come through a signalfd; children unblock them before they begin.  Children find out
 * about the dispatcher's death by PR_SET_PDEATHSIG (SIGTERM, so that they finish what they are
 * at) and by end of file on a pipe whose only write end it holds.
 */
#include "fcgi/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi/title.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define SX_NEVER UINT64_MAX

struct child {
    const struct sx_process *role;
    struct sx_board_slot *slot;
    pid_t pid;
    uint64_t started_ms;
    uint64_t restart_at_ms;
    uint64_t delay_ms; /* of the next restart but one */
    uint64_t earliest_ms; /* extra: not before, when it is needed */
    bool ran;
};

struct dispatch {
    const struct sx_node_conf *conf;
    struct sx_shared shared;
    const char *log_path;
    struct child *children;
    unsigned n;
    int signal_fd;
    int life[2]; /* pipe: the children read, nobody writes */
    int ready_fd;
    sigset_t old_mask;
    uint64_t balance_ms; /* when balance() is due */
    uint64_t spare_ms;   /* since when there are more extra workers than needed; 0: not so */
    bool stopping;
};

static const char *reopen_path; /* of the children's SIGHUP handler */

static void on_hangup(int sig)
{
    int saved = errno;

    (void)sig;
    /* Only open(2), dup3(2) and close(2) are behind it, and the old file stays on failure. */
    if (sx_log_open(reopen_path) != 0)
        (void)0;
    errno = saved;
}

static void make_child(struct dispatch *d, const struct sx_process *role, unsigned number)
{
    struct child *c = &d->children[d->n];
    bool extra = number > role->count;

    c->role = role;
    c->slot = &d->shared.board->slots[d->n++];
    c->slot->extra = extra;
    c->restart_at_ms = extra ? SX_NEVER : 0;
    if (extra)
        snprintf(c->slot->role, SX_BOARD_ROLE, "extra %s %u", role->name, number - role->count);
    else if (role->numbered)
        snprintf(c->slot->role, SX_BOARD_ROLE, "%s %u", role->name, number);
    else
        snprintf(c->slot->role, SX_BOARD_ROLE, "%s", role->name);
}

static void make_children(struct dispatch *d, const struct sx_process *roles, unsigned n_roles)
{
    unsigned total = 0;

    for (unsigned i = 0; i < n_roles; i++)
        total += roles[i].count + roles[i].extra;
    sx_assert(total <= SX_BOARD_SLOTS);
    d->children = sx_calloc(total, sizeof *d->children);
    for (unsigned i = 0; i < n_roles; i++)
        for (unsigned k = 1; k <= roles[i].count + roles[i].extra; k++)
            make_child(d, &roles[i], k);
    d->shared.board->n_slots = total;
    atomic_store(&d->shared.board->dispatcher, getpid());
}

/* The new process's side of a fork; does not return. */
static _Noreturn void child_begin(struct dispatch *d, struct child *c, pid_t parent)
{
    struct sigaction hup = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };
    struct sx_child env = { d->conf, d->shared, c->slot, c->role->listen_fd, d->life[0] };

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0); /* it died before the line above */
    close(d->signal_fd);
    close(d->life[1]);
    if (d->ready_fd >= 0)
        close(d->ready_fd);
    reopen_path = d->log_path;
    sigaction(SIGHUP, &hup, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* ^C reaches the whole process group; the dispatcher ends its children in order. */
    signal(SIGINT, SIG_IGN);
    sigprocmask(SIG_SETMASK, &d->old_mask, NULL);
    sx_title_set(c->slot->role);
    sx_log_role(c->slot->role);
    exit(c->role->run(&env));
}

static void start_child(struct dispatch *d, struct child *c, uint64_t now)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        child_begin(d, c, parent);
    if (pid < 0) {
        sx_error("start of %s: fork: %s", c->slot->role, strerror(errno));
        c->restart_at_ms = now + SX_RESTART_MAX_MS;
        return;
    }
    if (c->ran)
        atomic_fetch_add(&c->slot->restarts, 1);
    c->ran = true;
    c->pid = pid;
    c->started_ms = now;
    atomic_store(&c->slot->pid, pid);
    atomic_store(&c->slot->state, SX_BOARD_IDLE);
}

static void start_due(struct dispatch *d)
{
    uint64_t now = sx_mono_ms();

    for (unsigned i = 0; i < d->n && !d->stopping; i++)
        if (d->children[i].pid == 0 && d->children[i].restart_at_ms <= now)
            start_child(d, &d->children[i], now);
}

/* ---- extra workers ---- */

/* How many extra workers of a role should run, and do.  If all are busy and some of them for long, the
 * queue holds more that will be: then those count that have not ended between two looks. */
static unsigned extra_wanted(const struct dispatch *d, const struct sx_process *role, uint64_t now,
                             unsigned *running)
{
    unsigned idle = 0, lasting = 0, wanted = 0;

    *running = 0;
    for (unsigned i = 0; i < d->n; i++) {
        const struct child *c = &d->children[i];
        uint64_t since = atomic_load(&c->slot->busy_ms);

        if (c->role != role || c->pid == 0)
            continue;
        *running += c->slot->extra;
        idle += since == 0;
        lasting += since != 0 && since + SX_BALANCE_MS <= now;
        wanted += since != 0 && since + SX_LONG_MS <= now;
    }
    if (idle == 0 && wanted > 0)
        wanted = lasting;
    return wanted < role->extra ? wanted : role->extra;
}

/* Starts extra workers; gives the number of those that run without need. */
static unsigned balance_role(struct dispatch *d, const struct sx_process *role, uint64_t now)
{
    unsigned running, wanted = extra_wanted(d, role, now, &running);

    for (unsigned i = 0; i < d->n && running < wanted; i++) {
        struct child *c = &d->children[i];

        if (c->role == role && c->slot->extra && c->pid == 0 && c->restart_at_ms == SX_NEVER) {
            c->restart_at_ms = c->earliest_ms;
            running++;
        }
    }
    return running > wanted ? running - wanted : 0;
}

/* One that is idle; it ends what may have come to it meanwhile. */
static void end_extra(struct dispatch *d, const struct sx_process *role)
{
    for (unsigned i = 0; i < d->n; i++) {
        const struct child *c = &d->children[i];

        if (c->role == role && c->slot->extra && c->pid > 0 && atomic_load(&c->slot->busy_ms) == 0) {
            kill(c->pid, SIGTERM);
            return;
        }
    }
}

static void balance(struct dispatch *d)
{
    const struct sx_process *role = NULL;
    uint64_t now = sx_mono_ms();
    bool spare = false;

    if (now < d->balance_ms)
        return;
    d->balance_ms = now + SX_BALANCE_MS;
    for (unsigned i = 0; i < d->n; i++)
        if (d->children[i].role != role && (role = d->children[i].role)->extra > 0 &&
            balance_role(d, role, now) > 0) {
            spare = true;
            if (d->spare_ms && now - d->spare_ms >= SX_EXTRA_KEEP_MS)
                end_extra(d, role);
        }
    if (!spare)
        d->spare_ms = 0;
    else if (!d->spare_ms)
        d->spare_ms = now;
}

/* ---- ends ---- */

/* When a child that lived `lived_ms` is started again. */
static void plan_restart(struct child *c, uint64_t now)
{
    if (now - c->started_ms >= SX_RESTART_GOOD_MS)
        c->delay_ms = 0;
    c->restart_at_ms = now + c->delay_ms;
    if (c->delay_ms == 0)
        c->delay_ms = SX_RESTART_MIN_MS;
    else if (c->delay_ms * 2 < SX_RESTART_MAX_MS)
        c->delay_ms *= 2;
    else
        c->delay_ms = SX_RESTART_MAX_MS;
}

static void child_ended(struct dispatch *d, struct child *c, int status)
{
    uint64_t now = sx_mono_ms();
    bool final = WIFEXITED(status) && WEXITSTATUS(status) == SX_EXIT_NO_RESTART;
    int pid = c->pid;

    c->pid = 0;
    atomic_store(&c->slot->pid, 0);
    atomic_store(&c->slot->state, final ? SX_BOARD_FAILED : SX_BOARD_EMPTY);
    atomic_store(&c->slot->busy_ms, 0);
    plan_restart(c, now);
    c->earliest_ms = c->restart_at_ms;
    if (d->stopping || final || c->slot->extra)
        c->restart_at_ms = SX_NEVER;
    if (final)
        sx_error("%s (pid %d) ended with status %d and is not started again: see its lines above",
                 c->slot->role, pid, SX_EXIT_NO_RESTART);
    else if (WIFSIGNALED(status))
        sx_error("%s (pid %d) was killed by signal %d (%s) after %llu ms%s", c->slot->role, pid,
                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                 (unsigned long long)(now - c->started_ms), d->stopping ? "" : "; restarting");
    else if (!d->stopping && (!c->slot->extra || status != 0))
        sx_warn("%s (pid %d) ended with status %d after %llu ms; restarting", c->slot->role, pid,
                WEXITSTATUS(status), (unsigned long long)(now - c->started_ms));
}

static void reap(struct dispatch *d)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < d->n; i++)
            if (d->children[i].pid == pid)
                child_ended(d, &d->children[i], status);
}

static void signal_all(struct dispatch *d, int sig, enum sx_process_phase phase)
{
    for (unsigned i = 0; i < d->n; i++)
        if (d->children[i].pid > 0 && (phase == SX_PHASES || d->children[i].role->phase == phase))
            kill(d->children[i].pid, sig);
}

static void take_signal(struct dispatch *d)
{
    struct signalfd_siginfo s;

    if (read(d->signal_fd, &s, sizeof s) != sizeof s)
        return;
    if (s.ssi_signo == SIGCHLD) {
        reap(d);
    } else if (s.ssi_signo == SIGHUP) {
        if (sx_log_open(d->log_path) != 0)
            sx_error("reopen %s: %s", d->log_path, strerror(errno));
        signal_all(d, SIGHUP, SX_PHASES);
        sx_info("log reopened");
    } else if (!d->stopping) {
        sx_info("stopping (%s)", strsignal((int)s.ssi_signo));
        d->stopping = true;
    }
}

/* Waits for a signal, at most until `until_ms`. */
static void wait_signal(struct dispatch *d, uint64_t until_ms)
{
    struct pollfd p = { d->signal_fd, POLLIN, 0 };
    uint64_t now = sx_mono_ms();
    int ms = until_ms == SX_NEVER ? -1 : until_ms <= now ? 0 : (int)(until_ms - now);

    if (poll(&p, 1, ms) > 0)
        take_signal(d);
}

static uint64_t next_start(const struct dispatch *d)
{
    uint64_t at = SX_NEVER;

    for (unsigned i = 0; i < d->n; i++)
        if (d->children[i].pid == 0 && d->children[i].restart_at_ms < at)
            at = d->children[i].restart_at_ms;
    return at;
}

static bool phase_runs(const struct dispatch *d, enum sx_process_phase phase)
{
    for (unsigned i = 0; i < d->n; i++)
        if (d->children[i].pid > 0 && d->children[i].role->phase == phase)
            return true;
    return false;
}

static void stop_phase(struct dispatch *d, enum sx_process_phase phase)
{
    uint64_t until = sx_mono_ms() + SX_DRAIN_MS;

    signal_all(d, SIGTERM, phase);
    while (phase_runs(d, phase) && sx_mono_ms() < until)
        wait_signal(d, until);
    if (!phase_runs(d, phase))
        return;
    sx_warn("some processes did not end within %d s and are killed", SX_DRAIN_MS / 1000);
    signal_all(d, SIGKILL, phase);
    while (phase_runs(d, phase))
        wait_signal(d, sx_mono_ms() + 1000);
}

static int open_channels(struct dispatch *d, struct sx_err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &d->old_mask);
    /* A mask inherited with these blocked must not reach the children. */
    sigdelset(&d->old_mask, SIGTERM);
    sigdelset(&d->old_mask, SIGCHLD);
    sigdelset(&d->old_mask, SIGHUP);
    d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (d->signal_fd < 0)
        return sx_err_errno(e, errno, "signalfd");
    if (pipe2(d->life, O_CLOEXEC) != 0)
        return sx_err_errno(e, errno, "pipe");
    return 0;
}

int sx_dispatch(const struct sx_node_conf *conf, const struct sx_shared *shared,
                const struct sx_process *roles, unsigned n_roles, const char *log_path,
                int ready_fd, struct sx_err *e)
{
    struct dispatch d = {
        .conf = conf, .shared = *shared, .log_path = log_path, .ready_fd = ready_fd
    };

    if (open_channels(&d, e) != 0)
        return -1;
    make_children(&d, roles, n_roles);
    start_due(&d);
    sx_info("started: %u processes", d.n);
    if (ready_fd >= 0) {
        if (write(ready_fd, "", 1) != 1)
            sx_warn("nobody waits for the start: %s", strerror(errno));
        close(ready_fd);
        d.ready_fd = -1;
    }
    while (!d.stopping) {
        uint64_t start_ms = next_start(&d);

        wait_signal(&d, start_ms < d.balance_ms ? start_ms : d.balance_ms);
        balance(&d);
        start_due(&d);
    }
    for (unsigned phase = 0; phase < SX_PHASES; phase++)
        stop_phase(&d, (enum sx_process_phase)phase);
    close(d.life[0]);
    close(d.life[1]);
    close(d.signal_fd);
    free(d.children);
    return 0;
}
