/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See worker.h.
 *
 * Waiting: SIGTERM is blocked except while the worker waits, in epoll_pwait(), for the listening
 * socket or for its kept connection.  So a request is never cut by it, and it is never missed.
 * The listening socket is shared by the workers: it does not block, is waited for with
 * EPOLLEXCLUSIVE, and a worker that comes too late just waits again.
 */
#include "fcgi/api/worker.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/api/reply.h"
#include "fcgi/api/request.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

/* Fresh large buffers cost more than what is done with them (page faults): freed ones stay in
 * the heap. */
#define KEEP_HEAP (64 << 20)
/* A client that reads or sends nothing for so long holds no worker: nginx's own time-outs are
 * shorter. */
#define SOCKET_TIMEOUT_S 120

static volatile sig_atomic_t stopping;

static void on_term(int sig)
{
    (void)sig;
    stopping = 1;
}

struct wait {
    int epoll_fd;
    int listen_fd;
    sigset_t open_mask; /* SIGTERM not blocked */
};

static int wait_init(struct wait *w, int listen_fd, struct sx_err *e)
{
    struct sigaction sa = { .sa_handler = on_term };
    struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listen_fd };
    sigset_t term;

    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &w->open_mask);
    sigaction(SIGTERM, &sa, NULL);
    w->listen_fd = listen_fd;
    if (fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) | O_NONBLOCK) < 0)
        return sx_err_errno(e, errno, "make the listening socket non-blocking");
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev) != 0)
        return sx_err_errno(e, errno, "epoll");
    return 0;
}

/* Waits for a new connection or, if one is kept, for its next request.  False: stop. */
static bool wait_request(struct wait *w, const FCGX_Request *f)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = f->ipcFd };
    bool kept = f->ipcFd >= 0;

    if (kept && (epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->listen_fd, NULL) != 0 ||
                 epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, f->ipcFd, &ev) != 0))
        return false;
    while (!stopping && epoll_pwait(w->epoll_fd, &ev, 1, -1, &w->open_mask) < 0 && errno == EINTR)
        ;
    if (kept) {
        struct epoll_event back = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = w->listen_fd };

        epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, f->ipcFd, NULL);
        if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->listen_fd, &back) != 0)
            return false;
    }
    return !stopping;
}

struct how {
    sx_serve_fn *serve;
    sx_refuse_fn *refuse;
};

static void limit_socket(int fd)
{
    struct timeval t = { SOCKET_TIMEOUT_S, 0 };

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static void serve_one(struct sx_app *app, struct sx_req *r, FCGX_Request *f, const struct how *how)
{
    struct sx_err e = SX_ERR_INIT;

    atomic_store(&app->slot->state, SX_BOARD_BUSY);
    atomic_store(&app->slot->busy_ms, sx_mono_ms());
    limit_socket(f->ipcFd);
    if (sx_req_begin(r, app, f, &e) != 0)
        how->refuse(r, &e);
    else
        how->serve(r);
    sx_assert(r->status != 0);
    /* The whole answer, and its end, leave before the rest of the body is read: nginx stops
     * sending a body once it has the head of the answer, and then waits for the end of the
     * connection, not only of the request. */
    FCGX_FClose(f->err);
    FCGX_FClose(f->out);
    shutdown(f->ipcFd, SHUT_WR);
    sx_req_drain(r);
    sx_req_end(r);
    FCGX_Finish_r(f);
    atomic_fetch_add(&app->slot->requests, 1);
    atomic_store(&app->slot->busy_ms, 0);
    atomic_store(&app->slot->state, SX_BOARD_IDLE);
}

static int serve_all(struct sx_app *app, struct wait *w, const struct how *how)
{
    struct sx_req r = { .header_mem = SX_BUF_INIT, .body = SX_BUF_INIT };
    FCGX_Request f;

    if (FCGX_Init() != 0 || FCGX_InitRequest(&f, w->listen_fd, FCGI_FAIL_ACCEPT_ON_INTR) != 0) {
        sx_error("start of the FastCGI library failed");
        return 1;
    }
    while (wait_request(w, &f))
        if (FCGX_Accept_r(&f) == 0)
            serve_one(app, &r, &f, how);
    FCGX_Free(&f, 1);
    sx_buf_fini(&r.header_mem);
    sx_buf_fini(&r.body);
    return 0;
}

int sx_worker_run(const struct sx_child *child, bool reserved, sx_serve_fn *serve,
                  sx_refuse_fn *refuse)
{
    const struct how how = { serve, refuse };
    struct sx_err e = SX_ERR_INIT;
    struct sx_app app = { .reserved = reserved };
    struct wait w;
    int status;

    mallopt(M_MMAP_THRESHOLD, KEEP_HEAP);
    mallopt(M_TRIM_THRESHOLD, KEEP_HEAP);
    if (wait_init(&w, child->listen_fd, &e) != 0 || sx_app_init(&app, child, reserved, &e) != 0) {
        sx_error("start: %s", e.msg);
        return 1;
    }
    status = serve_all(&app, &w, &how);
    sx_app_fini(&app);
    close(w.epoll_fd);
    return status;
}
