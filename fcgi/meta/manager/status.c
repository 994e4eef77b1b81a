/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See status.h.
 */
#include "fcgi/meta/manager/status.h"

static const char *state_name(const struct sx_group_status *s)
{
    if (s->installing)
        return "installing";
    switch (s->state) {
    case SX_GROUP_LEADER:
        return "leader";
    case SX_GROUP_CANDIDATE:
        return "candidate";
    default:
        return "follower";
    }
}

static json_t *id_json(uint64_t id)
{
    char hex[SX_NODE_HEX + 1];

    return json_string(id ? sx_node_id_text(hex, id) : "");
}

static json_t *members_json(const struct sx_members *m, enum sx_member_role role)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < m->n; i++)
        if (m->v[i].role == role)
            json_array_append_new(a, id_json(m->v[i].id));
    return a;
}

static json_t *group_json(const struct sx_drive *d, unsigned group)
{
    const struct sx_members *m = sx_drive_members(d);
    struct sx_group_status s;

    sx_drive_status(d, &s);
    return json_pack("{s:i, s:s, s:b, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "group",
                     (int)group, "state", state_name(&s), "ready", (int)s.ready, "term",
                     (json_int_t)s.term, "leader", id_json(s.leader), "applied",
                     (json_int_t)sx_drive_applied(d), "commit", (json_int_t)s.commit, "log_first",
                     (json_int_t)s.first, "log_last", (json_int_t)s.last, "snapshot",
                     (json_int_t)s.snapshot, "voters", members_json(m, SX_ROLE_VOTER), "standby",
                     members_json(m, SX_ROLE_STANDBY));
}

static json_t *peers_json(const struct sx_links *l)
{
    json_t *a = json_array();
    struct sx_link_info info;

    for (unsigned i = 0; sx_links_info(l, i, &info); i++)
        json_array_append_new(
            a, json_pack("{s:o, s:b, s:I}", "node", id_json(info.id), "connected",
                         (int)info.connected, "silent_ms",
                         (json_int_t)(info.silent_ms > INT64_MAX ? -1 : (int64_t)info.silent_ms)));
    return a;
}

json_t *sx_manager_status(const struct sx_drive *d, const struct sx_links *l, unsigned group)
{
    return json_pack("{s:[o], s:o}", "groups", group_json(d, group), "peers", peers_json(l));
}
