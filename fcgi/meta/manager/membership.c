/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See membership.h.
 */
#include "fcgi/meta/manager/membership.h"

#include <inttypes.h>
#include <string.h>

#include "fcgi/meta/manager/address.h"
#include "fcgi/meta/manager/roster.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define LOOK_MS 200u
#define RETRY_MS 1000u /* after a change that failed */

struct sx_membership {
    struct sx_loop *loop;
    struct sx_links *links;
    struct sx_drive *drive;
    uint64_t self;
    struct sx_node *nodes;
    size_t n_nodes;
    struct sx_timer look;
    uint64_t change_tag; /* of the change under way; 0: none */
    uint64_t last_tag;
    bool paused;
};

/* ---- who is who ---- */

bool sx_membership_listed(const struct sx_membership *m, uint64_t id)
{
    for (size_t i = 0; i < m->n_nodes; i++)
        if (m->nodes[i].id == id)
            return true;
    return false;
}

bool sx_membership_known(const struct sx_membership *m, uint64_t id)
{
    return sx_membership_listed(m, id) || sx_members_find(sx_drive_members(m->drive), id);
}

void sx_membership_nodes(struct sx_membership *m, const struct sx_node *nodes, size_t n)
{
    char address[SX_HELLO_ADDRESS_MAX + 1];

    free(m->nodes);
    m->nodes = n ? sx_malloc(n * sizeof *nodes) : NULL;
    if (n)
        memcpy(m->nodes, nodes, n * sizeof *nodes);
    m->n_nodes = n;
    for (size_t i = 0; i < n; i++) {
        sx_address_text(address, nodes[i].address, nodes[i].peer_port);
        sx_links_need(m->links, nodes[i].id, address);
    }
}

/* ---- changes ---- */

static bool is_known(void *ctx, uint64_t id)
{
    return sx_membership_known(ctx, id);
}

static bool is_alive(void *ctx, uint64_t id)
{
    struct sx_membership *m = ctx;
    struct sx_link_info info;

    for (unsigned i = 0; sx_links_info(m->links, i, &info); i++)
        if (info.id == id)
            return info.connected;
    return false;
}

static uint64_t match(void *ctx, uint64_t id)
{
    struct sx_membership *m = ctx;

    return sx_drive_match(m->drive, id);
}

static struct sx_roster_step next_step(struct sx_membership *m)
{
    struct sx_roster_facts facts = { is_alive, match, m };
    struct sx_group_status s;

    sx_drive_status(m->drive, &s);
    if (s.state != SX_GROUP_LEADER || !s.ready || m->change_tag || s.handing_over || m->paused)
        return (struct sx_roster_step){ .what = SX_ROSTER_NOTHING };
    return sx_roster_next(sx_drive_members(m->drive), m->nodes, m->n_nodes, m->self, &facts);
}

static int take_step(struct sx_membership *m, const struct sx_roster_step *step, struct sx_err *e)
{
    if (step->what == SX_ROSTER_HAND_OVER)
        return sx_drive_transfer(m->drive, e);
    m->change_tag = ++m->last_tag;
    if (sx_drive_change(m->drive, step->change, step->id,
                        step->change == SX_CHANGE_ADD ? step->address : NULL, m->change_tag, e)) {
        m->change_tag = 0;
        return -1;
    }
    return 0;
}

static void look(void *ctx)
{
    struct sx_membership *m = ctx;
    struct sx_roster_step step = next_step(m);
    struct sx_err e = SX_ERR_INIT;
    uint64_t next_ms = sx_loop_now_ms(m->loop) + LOOK_MS;

    if (step.what != SX_ROSTER_NOTHING && take_step(m, &step, &e)) {
        sx_debug("membership: change %d of node %016" PRIx64 ": %s", (int)step.change, step.id,
                 e.msg);
        next_ms += RETRY_MS;
    } else if (step.what == SX_ROSTER_CHANGE) {
        sx_info("membership: change %d of node %016" PRIx64 " begins", (int)step.change, step.id);
    }
    sx_links_prune(m->links, is_known, m);
    sx_loop_arm(m->loop, &m->look, next_ms);
}

void sx_membership_changed(struct sx_membership *m, uint64_t tag, int code)
{
    if (tag != m->change_tag)
        return;
    m->change_tag = 0;
    sx_loop_arm(m->loop, &m->look, sx_loop_now_ms(m->loop) + (code == SX_OK ? 0 : RETRY_MS));
    if (code != SX_OK)
        sx_info("membership: the change did not end well: %s", sx_err_text(code));
}

/* ---- life ---- */

struct sx_membership *sx_membership_new(struct sx_loop *l, struct sx_links *links, uint64_t self)
{
    struct sx_membership *m = sx_calloc(1, sizeof *m);

    m->loop = l;
    m->links = links;
    m->self = self;
    m->look = (struct sx_timer){ .fn = look, .ctx = m };
    return m;
}

void sx_membership_begin(struct sx_membership *m, struct sx_drive *d)
{
    m->drive = d;
    sx_loop_arm(m->loop, &m->look, 0);
}

void sx_membership_pause(struct sx_membership *m)
{
    m->paused = true;
}

void sx_membership_free(struct sx_membership *m)
{
    if (!m)
        return;
    sx_loop_disarm(m->loop, &m->look);
    free(m->nodes);
    free(m);
}
