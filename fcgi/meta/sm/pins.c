/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pins: who reads a content, for as long as that takes, is one more user of it.  When its last
 * revision goes meanwhile, it stays with its references until the last pin is released or has expired,
 * and then goes as any other.
 *
 * A pin belongs to no user and no volume, so neither is in the way of their removal, and nobody's
 * quota counts it.  Its time is the log's; what a jump of that adds has not passed for it (sm.c).
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

/* The content of a pin; 0: there is no such pin. */
static int pin_find(struct sx_sm *sm, const uint8_t id[SX_PIN_ID], uint64_t *content,
                    struct sx_err *e)
{
    return sx_sm_number(sm, e, content, 0, "SELECT content FROM pin WHERE id = ?", "b", id,
                        (size_t)SX_PIN_ID);
}

/* It never ends earlier than it was to end before. */
static int pin_renew(struct sx_sm *sm, const struct sx_cmd_pin *c, uint64_t content,
                     struct sx_err *e)
{
    if (content != c->content)
        return sx_err_set(e, SX_ECONFLICT, "the pin is on another content");
    return sx_sm_run(sm, e, "UPDATE pin SET expires_ms = max(expires_ms, ?) WHERE id = ?", "ib",
                     sm->time_ms + c->ttl_ms, c->pin, (size_t)SX_PIN_ID);
}

static int pin_add(struct sx_sm *sm, const struct sx_cmd_pin *c, struct sx_err *e)
{
    uint64_t there, pins;

    if (sx_sm_number(sm, e, &there, 0,
                     "SELECT 1 FROM content WHERE id = ? AND users > 0 AND parts > 0"
                     " AND etag IS NOT NULL", "i", c->content) != 0 ||
        sx_sm_number(sm, e, &pins, 0, "SELECT count(*) FROM pin", "") != 0)
        return -1;
    if (!there)
        return sx_err_set(e, SX_ENOREVISION, "the content is gone");
    if (pins >= SX_PINS_MAX)
        return sx_err_set(e, SX_ETOOMANY, "%llu contents are pinned; at most %u may be",
                          (unsigned long long)pins, SX_PINS_MAX);
    if (sx_sm_run(sm, e, "INSERT INTO pin VALUES(?, ?, ?)", "bii", c->pin, (size_t)SX_PIN_ID,
                  c->content, sm->time_ms + c->ttl_ms) != 0)
        return -1;
    return sx_content_hold(sm, c->content, e);
}

int sx_sm_do_pin(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_pin c;
    uint64_t was;

    if (sx_cmd_pin_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0)
        return -1;
    if (c.ttl_ms == 0 || c.ttl_ms > SX_PIN_TTL_MAX_MS)
        return sx_err_set(e, SX_EINVAL, "a pin of %llu ms; 1 to %llu are allowed",
                          (unsigned long long)c.ttl_ms, SX_PIN_TTL_MAX_MS);
    if (pin_find(sm, c.pin, &was, e) != 0)
        return -1;
    return was ? pin_renew(sm, &c, was, e) : pin_add(sm, &c, e);
}

static int pin_remove(struct sx_sm *sm, const uint8_t id[SX_PIN_ID], uint64_t content,
                      struct sx_err *e)
{
    if (sx_sm_run(sm, e, "DELETE FROM pin WHERE id = ?", "b", id, (size_t)SX_PIN_ID) != 0)
        return -1;
    return sx_content_drop(sm, content, e);
}

int sx_sm_do_unpin(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_unpin c;
    uint64_t content;

    if (sx_cmd_unpin_decode(body->p, body->n, &c, e) != 0 || sx_sm_need_cluster(sm, e) != 0 ||
        pin_find(sm, c.pin, &content, e) != 0)
        return -1;
    return content ? pin_remove(sm, c.pin, content, e) : 0;
}

int sx_sm_pins_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e)
{
    for (; *budget; (*budget)--) {
        uint8_t id[SX_PIN_ID];
        uint64_t content;
        struct sx_span s;
        sqlite3_stmt *st;
        int rc = sx_sm_row(sm, e, &st,
                           "SELECT id, content FROM pin WHERE expires_ms < ?"
                           " ORDER BY expires_ms, id LIMIT 1", "i", sm->time_ms);

        if (rc != 1)
            return rc;
        s = sx_mdb_blob(st, 0);
        content = sx_mdb_u64(st, 1);
        sx_assert(s.n == sizeof id);
        memcpy(id, s.p, sizeof id);
        sqlite3_reset(st);
        if (pin_remove(sm, id, content, e) != 0)
            return -1;
    }
    return 0;
}

int sx_sm_pins_shift(struct sx_sm *sm, uint64_t ms, struct sx_err *e)
{
    return sx_sm_run(sm, e, "UPDATE pin SET expires_ms = expires_ms + ?", "i", ms);
}
