/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See stop.h.
 */
#include "fcgi/meta/manager/stop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "libsx/base/mem.h"

struct sx_stop {
    struct sx_loop *loop;
    void (*on_stop)(void *ctx);
    void *ctx;
    struct sx_watch pipe, signals;
};

static void pipe_ready(void *ctx, uint32_t events)
{
    struct sx_stop *s = ctx;

    sx_loop_unwatch(s->loop, &s->pipe);
    s->on_stop(s->ctx);
}

static void signal_ready(void *ctx, uint32_t events)
{
    struct sx_stop *s = ctx;
    struct signalfd_siginfo info;

    if (read(s->signals.fd, &info, sizeof info) == sizeof info)
        s->on_stop(s->ctx);
}

struct sx_stop *sx_stop_new(struct sx_loop *l, int fd, void (*on_stop)(void *ctx), void *ctx,
                            struct sx_err *e)
{
    struct sx_stop *s = sx_calloc(1, sizeof *s);
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    s->loop = l;
    s->on_stop = on_stop;
    s->ctx = ctx;
    s->pipe = (struct sx_watch){ .fd = fd, .fn = pipe_ready, .ctx = s };
    s->signals = (struct sx_watch){ .fn = signal_ready, .ctx = s };
    s->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals.fd < 0) {
        sx_err_errno(e, errno, "making a descriptor for signals");
        sx_stop_free(s);
        return NULL;
    }
    if (sx_loop_watch(l, &s->signals, EPOLLIN, e) || sx_loop_watch(l, &s->pipe, EPOLLIN, e)) {
        sx_stop_free(s);
        return NULL;
    }
    return s;
}

void sx_stop_free(struct sx_stop *s)
{
    if (!s)
        return;
    sx_loop_unwatch(s->loop, &s->pipe);
    if (s->signals.fd >= 0) {
        sx_loop_unwatch(s->loop, &s->signals);
        close(s->signals.fd);
    }
    free(s);
}
