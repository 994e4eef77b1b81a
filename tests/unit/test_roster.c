/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Membership: every cluster of up to seven nodes gets the right voters, one step at a time, and
 * comes back to rest whatever is added and removed.
 */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "fcgi/meta/manager/roster.h"

#define NODES 9u
#define STEPS_MAX 64u

static struct sx_members members;
static bool down[NODES + 1];

static bool alive(void *ctx, uint64_t id)
{
    return !down[id];
}

static uint64_t match(void *ctx, uint64_t id)
{
    return 100 + id;
}

static const struct sx_roster_facts facts = { alive, match, NULL };

static struct sx_node node_of(uint64_t id)
{
    struct sx_node n = { .id = id, .port = 1, .peer_port = 2 };

    snprintf(n.address, sizeof n.address, "h%u", (unsigned)id);
    snprintf(n.zone, sizeof n.zone, "z%u", (unsigned)id % 2);
    return n;
}

/* Does what the group would do. */
static void take(const struct sx_roster_step *s)
{
    struct sx_err e = SX_ERR_INIT;
    struct sx_member *m = sx_members_find(&members, s->id);

    switch (s->change) {
    case SX_CHANGE_ADD:
        assert_null(m);
        assert_done(sx_members_add(&members, s->id, s->address, SX_ROLE_STANDBY, &e), &e);
        break;
    case SX_CHANGE_PROMOTE:
        assert_int_equal(m->role, SX_ROLE_STANDBY);
        m->role = SX_ROLE_VOTER;
        break;
    case SX_CHANGE_DEMOTE:
        assert_int_equal(m->role, SX_ROLE_VOTER);
        m->role = SX_ROLE_STANDBY;
        break;
    case SX_CHANGE_REMOVE:
        assert_non_null(m);
        sx_members_remove(&members, s->id);
        break;
    }
    assert_true(sx_members_voters(&members) > 0);
}

/* Steps until nothing is left to do; true: the leader wants to go. */
static bool run(const struct sx_node *nodes, size_t n, uint64_t self)
{
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        struct sx_roster_step s = sx_roster_next(&members, nodes, n, self, &facts);

        if (s.what == SX_ROSTER_NOTHING)
            return false;
        if (s.what == SX_ROSTER_HAND_OVER)
            return true;
        assert_true(s.id != self);
        take(&s);
    }
    fail_msg("no rest after %u steps", STEPS_MAX);
    return false;
}

static void begin(uint64_t self)
{
    struct sx_err e = SX_ERR_INIT;

    sx_members_fini(&members);
    memset(down, 0, sizeof down);
    assert_done(sx_members_add(&members, self, "h1:2", SX_ROLE_VOTER, &e), &e);
}

static void counts(void **state)
{
    static const unsigned want[] = { 0, 1, 2, 3, 3, 5, 5, 5, 5 };

    for (size_t n = 0; n < sizeof want / sizeof *want; n++)
        assert_int_equal(sx_roster_voters(n), want[n]);
}

static void grow_and_shrink(void **state)
{
    struct sx_node nodes[NODES];

    begin(1);
    for (size_t n = 1; n <= NODES; n++) {
        nodes[n - 1] = node_of(n);
        assert_false(run(nodes, n, 1));
        assert_int_equal(members.n, n);
        assert_int_equal(sx_members_voters(&members), sx_roster_voters(n));
    }
    for (size_t n = NODES - 1; n >= 1; n--) {
        assert_false(run(nodes, n, 1));
        assert_int_equal(members.n, n);
        assert_int_equal(sx_members_voters(&members), sx_roster_voters(n));
    }
    sx_members_fini(&members);
}

static void an_unknown_list_changes_nothing(void **state)
{
    begin(1);
    assert_false(run(NULL, 0, 1));
    assert_int_equal(members.n, 1);
    sx_members_fini(&members);
}

static void a_removed_leader_goes(void **state)
{
    struct sx_node nodes[3] = { node_of(1), node_of(2), node_of(3) };

    begin(1);
    assert_false(run(nodes, 3, 1));
    assert_true(run(nodes + 1, 2, 1));
    assert_int_equal(members.n, 3);
    assert_false(run(nodes + 1, 2, 2));
    assert_int_equal(members.n, 2);
    sx_members_fini(&members);
}

/* A standby takes the vote before the old voter is removed; one that is down gets none. */
static void replace_a_voter(void **state)
{
    struct sx_node nodes[4] = { node_of(1), node_of(2), node_of(3), node_of(4) };
    struct sx_node left[3] = { nodes[0], nodes[1], nodes[3] };
    struct sx_roster_step s;

    begin(1);
    down[4] = true;
    assert_false(run(nodes, 4, 1));
    assert_int_equal(sx_members_find(&members, 4)->role, SX_ROLE_STANDBY);
    s = sx_roster_next(&members, left, 3, 1, &facts);
    assert_int_equal(s.change, SX_CHANGE_REMOVE);
    down[4] = false;
    s = sx_roster_next(&members, left, 3, 1, &facts);
    assert_int_equal(s.change, SX_CHANGE_PROMOTE);
    assert_int_equal(s.id, 4);
    take(&s);
    s = sx_roster_next(&members, left, 3, 1, &facts);
    assert_int_equal(s.change, SX_CHANGE_REMOVE);
    assert_int_equal(s.id, 3);
    sx_members_fini(&members);
}

static void addresses(void **state)
{
    struct sx_node n = node_of(3);
    struct sx_members none = { 0 };
    struct sx_roster_step s = sx_roster_next(&none, &n, 1, 1, &facts);

    assert_int_equal(s.change, SX_CHANGE_ADD);
    assert_string_equal(s.address, "h3:2");
    strcpy(n.address, "::1");
    s = sx_roster_next(&none, &n, 1, 1, &facts);
    assert_string_equal(s.address, "[::1]:2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(grow_and_shrink),
        cmocka_unit_test(an_unknown_list_changes_nothing),
        cmocka_unit_test(a_removed_leader_goes),
        cmocka_unit_test(replace_a_voter),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
