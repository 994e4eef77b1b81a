/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See links.h.  The table of the other nodes: for each its dial (dial.h) and the connection that
 * was accepted from it (accept.h); a new one of these replaces an older one.
 */
#include "fcgi/meta/manager/links.h"

#include <inttypes.h>
#include <string.h>

#include "fcgi/meta/manager/accept.h"
#include "fcgi/meta/manager/address.h"
#include "fcgi/meta/manager/dial.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define ALIVE_MS 1000u
#define SILENT_MAX_MS 5000u /* nothing heard, not even ALIVE: the other machine is gone */

struct peer {
    struct sx_links *links;
    struct peer *next;
    uint64_t id;
    struct sx_dial *out;
    struct sx_conn *in; /* NULL: none */
    uint64_t heard_ms;
};

struct sx_links {
    struct sx_loop *loop;
    const struct sx_node_conf *conf;
    const struct sx_links_ops *ops;
    void *ctx;
    char address[SX_HELLO_ADDRESS_MAX + 1];
    struct sx_accept *accept;
    struct sx_dial_params dial;
    struct sx_timer alive;
    struct peer *peers;
    unsigned n_peers;
};

/* ---- peers ---- */

static struct peer *find_peer(const struct sx_links *l, uint64_t id)
{
    struct peer *p = l->peers;

    while (p && p->id != id)
        p = p->next;
    return p;
}

static void add_peer(struct sx_links *l, uint64_t id, const char *address)
{
    struct peer *p;

    if (l->n_peers >= SX_PEERS_MAX)
        return;
    p = sx_calloc(1, sizeof *p);
    p->links = l;
    p->id = id;
    p->out = sx_dial_new(&l->dial, id, address);
    p->next = l->peers;
    l->peers = p;
    l->n_peers++;
}

static void free_peer(struct peer *p)
{
    sx_dial_free(p->out);
    sx_conn_close(p->in);
    free(p);
}

void sx_links_need(struct sx_links *l, uint64_t id, const char *address)
{
    struct peer *p = find_peer(l, id);
    size_t n = strlen(address);

    if (id == l->conf->node || n == 0 || n > SX_HELLO_ADDRESS_MAX)
        return;
    if (p)
        sx_dial_move(p->out, address);
    else
        add_peer(l, id, address);
}

void sx_links_prune(struct sx_links *l, bool (*keep)(void *ctx, uint64_t id), void *ctx)
{
    struct peer **at = &l->peers;

    while (*at) {
        struct peer *p = *at;

        if (p->in || keep(ctx, p->id)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        l->n_peers--;
        free_peer(p);
    }
}

/* ---- what other nodes send ---- */

static void in_frame(struct sx_conn *c, void *ctx, const struct sx_frame *f)
{
    struct peer *p = ctx;

    p->heard_ms = sx_loop_now_ms(p->links->loop);
    if (f->word != p->id) {
        sx_warn("node %016" PRIx64 " sent a frame in the name of %016" PRIx64, p->id, f->word);
        p->in = NULL;
        sx_conn_close(c);
    } else if (f->type != SX_FRAME_ALIVE) {
        p->links->ops->on_frame(p->links->ctx, p->id, f);
    }
}

static void in_closed(struct sx_conn *c, void *ctx, const struct sx_err *why)
{
    struct peer *p = ctx;

    p->in = NULL;
}

static const struct sx_conn_ops in_ops = { NULL, in_frame, in_closed };

static int link_accepted(void *ctx, struct sx_conn *c, const struct sx_hello *h, struct sx_err *e)
{
    struct sx_links *l = ctx;
    struct peer *p;

    if (!find_peer(l, h->from))
        sx_links_need(l, h->from, h->address);
    p = find_peer(l, h->from);
    if (!p)
        return sx_err_set(e, SX_ETOOMANY, "links to %u nodes exist already", SX_PEERS_MAX);
    sx_conn_close(p->in);
    p->in = c;
    p->heard_ms = sx_loop_now_ms(l->loop);
    sx_conn_set_ctx(c, &in_ops, p);
    sx_dial_now(p->out);
    return 0;
}

static void fetch_accepted(void *ctx, uint64_t from, const struct sx_frame *f, int fd, SSL *ssl)
{
    struct sx_links *l = ctx;

    l->ops->on_fetch(l->ctx, from, f, fd, ssl);
}

static const struct sx_accept_ops accept_ops = { link_accepted, fetch_accepted };

/* ---- the whole ---- */

static void alive(void *ctx)
{
    struct sx_links *l = ctx;

    for (struct peer *p = l->peers; p; p = p->next) {
        sx_links_send(l, p->id, SX_FRAME_ALIVE, 0, NULL, 0);
        if (p->in && sx_loop_now_ms(l->loop) - p->heard_ms > SILENT_MAX_MS) {
            sx_conn_close(p->in);
            p->in = NULL;
        }
    }
    sx_loop_arm(l->loop, &l->alive, sx_loop_now_ms(l->loop) + ALIVE_MS);
}

bool sx_links_send(struct sx_links *l, uint64_t to, uint16_t type, uint16_t group, const void *body,
                   size_t n)
{
    struct peer *p = find_peer(l, to);
    struct sx_frame f = {
        .type = type, .group = group, .word = l->conf->node, .body = body, .len = (uint32_t)n
    };

    sx_assert(n <= SX_FRAME_LINK_MAX);
    return p && sx_dial_send(p->out, &f);
}

const char *sx_links_address_of(const struct sx_links *l, uint64_t id)
{
    const struct peer *p = find_peer(l, id);

    return p ? sx_dial_address(p->out) : NULL;
}

bool sx_links_up(const struct sx_links *l, uint64_t to)
{
    const struct peer *p = find_peer(l, to);

    return p && sx_dial_up(p->out);
}

bool sx_links_info(const struct sx_links *l, unsigned i, struct sx_link_info *info)
{
    const struct peer *p = l->peers;

    while (p && i-- > 0)
        p = p->next;
    if (!p)
        return false;
    *info = (struct sx_link_info){ .id = p->id,
                                   .connected = sx_dial_up(p->out) && p->in,
                                   .silent_ms = UINT64_MAX };
    if (p->heard_ms)
        info->silent_ms = sx_loop_now_ms(l->loop) - p->heard_ms;
    return true;
}

const char *sx_links_address(const struct sx_links *l)
{
    return l->address;
}

struct sx_links *sx_links_new(struct sx_loop *loop, const struct sx_node_conf *conf, SSL_CTX *tls,
                              const struct sx_links_ops *ops, void *ctx, struct sx_err *e)
{
    struct sx_links *l = sx_calloc(1, sizeof *l);

    l->loop = loop;
    l->conf = conf;
    l->ops = ops;
    l->ctx = ctx;
    l->alive = (struct sx_timer){ .fn = alive, .ctx = l };
    sx_address_text(l->address, conf->address, conf->peer_port);
    l->dial = (struct sx_dial_params){ .loop = loop,
                                       .conf = conf,
                                       .tls = tls,
                                       .address = l->address,
                                       .on_up = ops->on_link,
                                       .ctx = ctx };
    l->accept = sx_accept_new(loop, conf, tls, &accept_ops, l, e);
    if (!l->accept || !(l->dial.resolver = sx_exec_new(loop, "sx-resolve", e))) {
        sx_links_free(l);
        return NULL;
    }
    sx_loop_arm(loop, &l->alive, sx_loop_now_ms(loop) + ALIVE_MS);
    return l;
}

void sx_links_free(struct sx_links *l)
{
    if (!l)
        return;
    sx_exec_free(SX_STEAL(l->dial.resolver));
    sx_accept_free(l->accept);
    while (l->peers) {
        struct peer *p = l->peers;

        l->peers = p->next;
        free_peer(p);
    }
    sx_loop_disarm(l->loop, &l->alive);
    free(l);
}
