/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See dial.h.
 *
 *   IDLE --timer--> RESOLVING --address--> CONNECTING --handshake, identity checked, HELLO sent--> UP
 *   any --error, time-out--> IDLE, timer set to the back-off
 */
#include "fcgi/meta/manager/dial.h"

#include <inttypes.h>
#include <netdb.h>
#include <string.h>

#include "fcgi/meta/manager/address.h"
#include "fcgi/meta/manager/tls.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define BACKLOG_MAX (64u << 20)
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u
#define CONNECT_TIMEOUT_MS 3000u

enum dial_state { IDLE, RESOLVING, CONNECTING, UP };

struct sx_dial {
    const struct sx_dial_params *p;
    uint64_t id;
    char address[SX_HELLO_ADDRESS_MAX + 1];
    enum dial_state state;
    struct sx_conn *conn;
    struct sx_timer timer; /* IDLE: try again; CONNECTING: give up */
    unsigned backoff_ms;
    bool complained; /* the reason of the failure was logged once */
    /* Name resolution, in its own thread. */
    struct sx_task resolve;
    char resolving[SX_HELLO_ADDRESS_MAX + 1];
    struct sockaddr_storage to;
    socklen_t to_len; /* 0: not found */
    bool dropped;     /* free it when the resolver is done */
};

static void try_later(struct sx_dial *d, const struct sx_err *why)
{
    bool was_up = d->state == UP;

    sx_conn_close(d->conn);
    d->conn = NULL;
    d->state = IDLE;
    if (why && (was_up || !d->complained))
        sx_warn("link to node %016" PRIx64 " at %s: %s", d->id, d->address, why->msg);
    d->complained = true;
    sx_loop_arm(d->p->loop, &d->timer, sx_loop_now_ms(d->p->loop) + d->backoff_ms);
    d->backoff_ms = d->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : d->backoff_ms * 2;
    if (was_up)
        d->p->on_up(d->p->ctx, d->id, false);
}

static void say_hello(struct sx_dial *d)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_hello h = { .from = d->p->conf->node, .to = d->id, .purpose = SX_HELLO_LINK };
    struct sx_frame f;

    memcpy(h.cluster, d->p->conf->cluster, sizeof h.cluster);
    strcpy(h.address, d->p->address);
    sx_hello_put(&b, &h);
    if (sx_frame_head(&f, b.data, SX_FRAME_LINK_MAX, NULL) == 0) {
        f.body = b.data + SX_FRAME_HEADER;
        sx_conn_send(d->conn, &f);
    }
}

static void conn_open(struct sx_conn *c, void *ctx)
{
    struct sx_dial *d = ctx;
    struct sx_err e = SX_ERR_INIT;
    uint64_t id;

    if (sx_tls_peer(sx_conn_ssl(c), &id, &e)) {
        try_later(d, &e);
        return;
    }
    if (id != d->id) {
        sx_err_set(&e, SX_ECERT, "node %016" PRIx64 " answered", id);
        try_later(d, &e);
        return;
    }
    sx_loop_disarm(d->p->loop, &d->timer);
    d->state = UP;
    d->backoff_ms = BACKOFF_MIN_MS;
    d->complained = false;
    say_hello(d);
    sx_info("link to node %016" PRIx64 " at %s is up", d->id, d->address);
    d->p->on_up(d->p->ctx, d->id, true);
}

static void conn_frame(struct sx_conn *c, void *ctx, const struct sx_frame *f)
{
    struct sx_err e = SX_ERR_INIT;

    sx_err_set(&e, SX_EMALFORMED, "unexpected frame of type %u", f->type);
    try_later(ctx, &e);
}

static void conn_closed(struct sx_conn *c, void *ctx, const struct sx_err *why)
{
    struct sx_dial *d = ctx;

    d->conn = NULL;
    try_later(d, why);
}

static const struct sx_conn_ops conn_ops = { conn_open, conn_frame, conn_closed };

static void connect_to(struct sx_dial *d)
{
    struct sx_conn_params params = { .ops = &conn_ops,
                                     .ctx = d,
                                     .tls = d->p->tls,
                                     .frame_max = 0,
                                     .backlog_max = BACKLOG_MAX };
    struct sx_err e = SX_ERR_INIT;

    if (d->to_len == 0) {
        sx_err_set(&e, SX_ENET, "the address cannot be resolved");
        try_later(d, &e);
        return;
    }
    d->state = CONNECTING;
    d->conn = sx_conn_connect(d->p->loop, (struct sockaddr *)&d->to, d->to_len, &params, &e);
    if (!d->conn)
        try_later(d, &e);
    else
        sx_loop_arm(d->p->loop, &d->timer, sx_loop_now_ms(d->p->loop) + CONNECT_TIMEOUT_MS);
}

static void resolve_run(void *ctx)
{
    struct sx_dial *d = ctx;

    if (sx_address_find(d->resolving, 0, &d->to, &d->to_len, NULL))
        d->to_len = 0;
}

static void resolve_done(void *ctx)
{
    struct sx_dial *d = ctx;

    if (d->dropped)
        free(d);
    else if (strcmp(d->resolving, d->address) != 0) /* it has moved meanwhile */
        try_later(d, NULL);
    else
        connect_to(d);
}

static void timer(void *ctx)
{
    struct sx_dial *d = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (d->state == CONNECTING) {
        sx_err_set(&e, SX_ETIMEOUT, "no connection within %u ms", CONNECT_TIMEOUT_MS);
        try_later(d, &e);
    } else if (d->state == IDLE) {
        if (sx_address_find(d->address, AI_NUMERICHOST, &d->to, &d->to_len, NULL) == 0) {
            connect_to(d);
            return;
        }
        d->state = RESOLVING;
        memcpy(d->resolving, d->address, sizeof d->resolving);
        sx_exec_run(d->p->resolver, &d->resolve);
    }
}

struct sx_dial *sx_dial_new(const struct sx_dial_params *p, uint64_t id, const char *address)
{
    struct sx_dial *d = sx_calloc(1, sizeof *d);

    d->p = p;
    d->id = id;
    d->timer = (struct sx_timer){ .fn = timer, .ctx = d };
    d->resolve = (struct sx_task){ .run = resolve_run, .done = resolve_done, .ctx = d };
    sx_dial_move(d, address);
    return d;
}

void sx_dial_move(struct sx_dial *d, const char *address)
{
    if (strcmp(d->address, address) == 0)
        return;
    sx_assert(strlen(address) < sizeof d->address);
    strcpy(d->address, address);
    d->backoff_ms = BACKOFF_MIN_MS;
    d->complained = false;
    if (d->state == UP || d->state == CONNECTING)
        try_later(d, NULL);
    if (d->state == IDLE)
        sx_loop_arm(d->p->loop, &d->timer, sx_loop_now_ms(d->p->loop));
}

void sx_dial_now(struct sx_dial *d)
{
    if (d->state != IDLE)
        return;
    d->backoff_ms = BACKOFF_MIN_MS;
    sx_loop_arm(d->p->loop, &d->timer, sx_loop_now_ms(d->p->loop));
}

bool sx_dial_up(const struct sx_dial *d)
{
    return d->state == UP;
}

const char *sx_dial_address(const struct sx_dial *d)
{
    return d->address;
}

bool sx_dial_send(struct sx_dial *d, const struct sx_frame *f)
{
    return d->state == UP && sx_conn_send(d->conn, f);
}

void sx_dial_free(struct sx_dial *d)
{
    if (!d)
        return;
    sx_conn_close(d->conn);
    sx_loop_disarm(d->p->loop, &d->timer);
    if (d->resolve.busy && d->p->resolver)
        d->dropped = true;
    else
        free(d);
}
