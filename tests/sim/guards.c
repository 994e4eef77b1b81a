/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A named test for each guard around the packaged core, and for rules of the group that random
 * runs meet too seldom.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "tests/sim/rig.h"
#include "tests/sim/sim.h"

#define B 0x20u
#define C 0x30u

static int submit(struct rig *r)
{
    uint64_t index, term;

    return sx_group_submit(r->group, r->now, "data", 4, &index, &term, NULL);
}

/* The leader's log up to the last entry is on disk here and at B. */
static void settle(struct rig *r)
{
    struct sx_msg m = rig_result(rig_status(r).term, 0, r->last);

    assert_int_equal(rig_persist(r), 0);
    assert_int_equal(rig_receive(r, B, &m), 0);
}

/* Guard: a change of members is alone in its message. */
static void test_change_is_alone(void **state)
{
    struct rig r;
    struct sx_msg m;
    unsigned with = 0;

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    assert_int_equal(submit(&r), 0);
    assert_int_equal(sx_group_change(r.group, r.now, SX_CHANGE_ADD, 0x40, "d:1", 1, NULL), 0);
    assert_int_equal(submit(&r), 0);
    assert_int_equal(submit(&r), 0);
    settle(&r);
    rig_forget(&r);
    m = rig_result(rig_status(&r).term, 0, 1); /* C has the first entry only */
    assert_int_equal(rig_receive(&r, C, &m), 0);
    for (unsigned i = 0; i < r.n_sent; i++) {
        const struct sx_msg *s = &r.sent[i].m;

        for (unsigned k = 0; k < s->n; k++)
            if (s->entry[k].type == SX_ENTRY_CHANGE) {
                assert_int_equal(s->n, 1);
                with++;
            }
    }
    assert_int_equal(with, 1);
    assert_int_equal(rig_find(&r, C, SX_MSG_APPEND)->index + rig_find(&r, C, SX_MSG_APPEND)->n,
                     r.last); /* and nothing is left out */
    rig_fini(&r);
}

/* Guard: a new leader commits an entry of its own term before reads and changes. */
static void test_barrier_first(void **state)
{
    struct rig r;

    rig_init(&r, 3);
    rig_elect(&r); /* its log was wholly committed: the core alone would append nothing */
    assert_int_equal(r.log[2].type, SX_ENTRY_BARRIER);
    assert_int_equal(r.log[2].term, rig_status(&r).term);
    assert_int_equal(sx_group_read_index(r.group, r.now, 1, NULL), 0);
    assert_int_equal(sx_group_change(r.group, r.now, SX_CHANGE_ADD, 0x40, "d:1", 1, NULL), -1);
    assert_int_equal(submit(&r), -1);
    assert_null(rig_find(&r, B, SX_MSG_READ)); /* not even asked */
    settle(&r);
    assert_int_equal(r.applied, 2);
    {
        const struct sx_msg *ask = rig_find(&r, B, SX_MSG_READ);
        struct sx_msg yes = { .type = SX_MSG_READ_ACK, .term = ask->term, .seq = ask->seq };

        assert_int_equal(r.reads, 0);
        assert_int_equal(rig_receive(&r, B, &yes), 0);
    }
    assert_int_equal(r.reads, 1);
    assert_int_equal(r.read_index, 2);
    assert_int_equal(sx_group_change(r.group, r.now, SX_CHANGE_ADD, 0x40, "d:1", 1, NULL), 0);
    rig_fini(&r);
}

/* A round serves the reads that came before it began, and no others. */
static void test_read_rounds(void **state)
{
    struct rig r;
    struct sx_msg yes = { .type = SX_MSG_READ_ACK };

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    assert_int_equal(sx_group_read_index(r.group, r.now, 1, NULL), 0);
    assert_int_equal(sx_group_read_index(r.group, r.now, 2, NULL), 0);
    yes.term = rig_status(&r).term;
    yes.seq = rig_find(&r, B, SX_MSG_READ)->seq;
    assert_int_equal(rig_receive(&r, B, &yes), 0);
    assert_int_equal(r.reads, 1); /* the second came while the first round ran */
    assert_int_equal(rig_receive(&r, B, &yes), 0);
    assert_int_equal(r.reads, 1); /* an old confirmation says nothing */
    yes.seq = rig_find(&r, B, SX_MSG_READ)->seq;
    assert_int_equal(rig_receive(&r, 0x99, &yes), 0);
    assert_int_equal(r.reads, 1); /* nor does a stranger's */
    assert_int_equal(rig_receive(&r, B, &yes), 0);
    assert_int_equal(r.reads, 2);
    assert_int_equal(sx_group_read_index(r.group, r.now, 3, NULL), 0);
    {
        struct sx_msg m = rig_append(yes.term + 1, 2, yes.term, 2, 0, 0);

        assert_int_equal(rig_receive(&r, C, &m), 0); /* another leads */
    }
    assert_int_equal(r.reads, 3);
    assert_int_equal(r.read_code, SX_ENOLEADER);
    rig_fini(&r);
}

/* A node confirms only to the leader that it follows, in its term. */
static void test_read_confirmed(void **state)
{
    struct rig r;
    struct sx_msg ask = { .type = SX_MSG_READ, .term = 2, .seq = 5 };
    struct sx_msg m = rig_append(2, 1, 1, 1, 0, 0);

    rig_init(&r, 3);
    assert_int_equal(rig_receive(&r, B, &ask), 0);
    assert_null(rig_find(&r, B, SX_MSG_READ_ACK)); /* nothing heard of term 2 yet */
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_receive(&r, C, &ask), 0);
    assert_null(rig_find(&r, C, SX_MSG_READ_ACK)); /* C does not lead */
    assert_int_equal(rig_receive(&r, B, &ask), 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_READ_ACK)->seq, 5);
    rig_forget(&r);
    m = rig_append(3, 1, 1, 1, 0, 0);
    assert_int_equal(rig_receive(&r, C, &m), 0); /* C leads term 3 */
    assert_int_equal(rig_receive(&r, B, &ask), 0);
    assert_null(rig_find(&r, B, SX_MSG_READ_ACK));
    rig_fini(&r);
}

/* A single voter answers reads alone, and begins a new term at each start. */
static void test_lone_voter(void **state)
{
    struct rig r;

    rig_init(&r, 1);
    assert_int_equal(rig_status(&r).state, SX_GROUP_LEADER);
    assert_int_equal(r.term, 2); /* Guard: not again in term 1 */
    assert_int_equal(r.voted_for, RIG_ME);
    assert_int_equal(sx_group_read_index(r.group, r.now, 1, NULL), 0);
    assert_int_equal(r.reads, 0);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(r.reads, 1);
    assert_int_equal(submit(&r), 0);
    assert_int_equal(r.applied, 2);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(r.applied, 3);
    rig_fini(&r);
}

/* Guard: never an install during a local snapshot, nor the reverse. */
static void test_install_or_snapshot(void **state)
{
    struct rig r;
    struct sx_msg m;

    rig_init(&r, 3);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    m = rig_install(&r, 2, 50, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.installing, 0); /* dropped: the leader repeats it */
    assert_int_equal(sx_group_snapshot_end(r.group, r.now, 0, 0, NULL), 0);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.installing, 50);
    assert_int_equal(r.installer, B);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), -1);
    assert_int_equal(rig_receive(&r, B, &m), 0); /* again: nothing */
    assert_int_equal(sx_group_installed(r.group, r.now, 49, NULL), -1);
    assert_int_equal(sx_group_installed(r.group, r.now, 55, NULL), 0);
    assert_int_equal(r.snap.index, 50);
    assert_int_equal(rig_status(&r).first, 51);
    assert_int_equal(rig_status(&r).commit, 50);
    m = rig_append(2, 50, 2, 60, 10, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.applied, 60); /* from 56 on: the database had 55 */
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    assert_int_equal(r.deaths, 0);
    rig_fini(&r);
}

/* Guard: entries that the leader has no more are never made up: the lagging node gets an
 * install. */
static void test_entries_are_gone(void **state)
{
    struct rig r;
    struct sx_msg m;

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(submit(&r), 0);
    settle(&r);
    assert_int_equal(sx_group_applied(r.group, r.now, r.applied, NULL), 0);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    assert_int_equal(sx_group_snapshot_end(r.group, r.now, 12, 2, NULL), 0);
    assert_int_equal(rig_status(&r).first, 11);
    rig_forget(&r);
    m = rig_result(rig_status(&r).term, 0, 1); /* C has the first entry only */
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_int_equal(rig_tick(&r, 50), 0);
    for (unsigned i = 0; i < r.n_sent; i++)
        if (r.sent[i].to == C && r.sent[i].m.type == SX_MSG_APPEND)
            assert_true(r.sent[i].m.n == 0 || r.sent[i].m.index >= 10);
    assert_non_null(rig_find(&r, C, SX_MSG_INSTALL));
    assert_int_equal(rig_find(&r, C, SX_MSG_INSTALL)->index, 12);
    assert_true(rig_find(&r, C, SX_MSG_INSTALL)->members_len > 0);
    rig_fini(&r);
}

/* Guard: a conflict with a committed entry ends the group. */
static void test_conflict_is_fatal(void **state)
{
    struct rig r;
    struct sx_msg m;

    rig_init(&r, 3);
    m = rig_append(2, 1, 1, 3, 2, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(r.applied, 3);
    m = rig_append(5, 1, 1, 3, 2, 4); /* entry 2 of another term */
    assert_int_equal(rig_receive(&r, C, &m), -1);
    assert_int_equal(r.deaths, 1);
    assert_int_equal(rig_tick(&r, 10), -1); /* nothing goes on */
    assert_int_equal(r.deaths, 1);
    rig_fini(&r);
    rig_init(&r, 3);
    m = rig_append(2, 1, 1, 3, 2, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    m = rig_append(5, 2, 3, 3, 1, 4); /* the entry before */
    assert_int_equal(rig_receive(&r, C, &m), -1);
    assert_int_equal(r.deaths, 1);
    rig_fini(&r);
}

/* Guard: term and vote are durable before a message of the same update leaves. */
static void test_vote_before_messages(void **state)
{
    struct rig r;
    struct sx_msg m = { .type = SX_MSG_VOTE, .term = 9, .index = 1, .index_term = 1 };

    rig_init(&r, 3);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_true(rig_find(&r, B, SX_MSG_VOTE_RESULT)->granted);
    assert_true(r.sent[r.n_sent - 1].saved);
    assert_int_equal(r.term, 9);
    assert_int_equal(r.voted_for, B);
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_false(rig_find(&r, C, SX_MSG_VOTE_RESULT)->granted);
    rig_forget(&r);
    m.term = 10;
    r.fail_vote = true;
    assert_int_equal(rig_receive(&r, C, &m), -1);
    assert_int_equal(r.n_sent, 0);
    assert_int_equal(r.deaths, 1);
    rig_fini(&r);
}

/* Guard: what is reported as persisted counts only if it is still in the log as it was written,
 * also when the same entry came, went and came again. */
static void test_persisted_late(void **state)
{
    struct rig r;
    struct sx_msg m;
    uint64_t first;

    rig_init(&r, 3);
    m = rig_append(2, 1, 1, 1, 3, 2); /* 2 to 4 of term 2 */
    assert_int_equal(rig_receive(&r, B, &m), 0);
    first = r.seq;
    m = rig_append(3, 2, 2, 1, 2, 3); /* 3 and 4 of term 3 */
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_int_equal(sx_group_persisted(r.group, r.now, first, NULL), 0);
    assert_int_equal(rig_status(&r).stored, 2);
    m = rig_append(4, 2, 2, 1, 2, 2); /* 3 and 4 of term 2 again */
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(sx_group_persisted(r.group, r.now, first + 1, NULL), 0);
    assert_int_equal(rig_status(&r).stored, 2); /* on disk is term 3 */
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(rig_status(&r).stored, 4);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND_RESULT)->last, 4);
    assert_int_equal(rig_persist(&r), 0); /* twice: nothing */
    m = rig_append(4, 4, 2, 4, 1, 4);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    m = rig_install(&r, 5, 50, 5);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_persist(&r), 0); /* during an install: nothing */
    assert_int_equal(sx_group_installed(r.group, r.now, 50, NULL), 0);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(rig_status(&r).stored, 50);
    assert_int_equal(r.deaths, 0);
    rig_fini(&r);
}

/* Guard: committed changes are fed back, so that the next one is possible. */
static void test_configuration_fed_back(void **state)
{
    struct rig r;

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    for (uint64_t i = 0; i < 5; i++) {
        char address[] = "x:0";

        address[2] = (char)('0' + i);
        assert_int_equal(
            sx_group_change(r.group, r.now, SX_CHANGE_ADD, 0x40 + i, address, i, NULL), 0);
        assert_int_equal( /* one at a time */
            sx_group_change(r.group, r.now, SX_CHANGE_ADD, 0x50, "y:1", i, NULL), -1);
        settle(&r);
        assert_int_equal(r.changes, i + 1);
        assert_int_equal(r.change_code, SX_OK);
    }
    assert_int_equal(sx_group_members(r.group)->n, 8);
    rig_fini(&r);
}

/* Guard: a snapshot is never ahead of the log on disk, and never at 1. */
static void test_snapshot_not_ahead(void **state)
{
    struct rig r;
    struct sx_msg m;

    rig_init(&r, 3);
    m = rig_append(2, 1, 1, 4, 3, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.applied, 4); /* applied before it is on disk: allowed */
    assert_int_equal(rig_status(&r).stored, 1);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    assert_int_equal(sx_group_snapshot_end(r.group, r.now, 4, 0, NULL), -1);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    assert_int_equal(sx_group_snapshot_end(r.group, r.now, 1, 0, NULL), -1);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    assert_int_equal(sx_group_snapshot_end(r.group, r.now, 4, 0, NULL), 0);
    assert_int_equal(r.snap.index, 4);
    assert_int_equal(r.snap.term, 2);
    assert_int_equal(r.snap.members_index, 1);
    assert_int_equal(r.snap.members.n, 3);
    assert_int_equal(rig_status(&r).first, 5);
    rig_fini(&r);
}

/* Guard: an answer to a message of an old term says nothing about the log. */
static void test_stale_append(void **state)
{
    struct rig r;
    struct sx_msg m = { .type = SX_MSG_VOTE, .term = 9, .index = 1, .index_term = 1 };

    rig_init(&r, 3);
    assert_int_equal(rig_receive(&r, B, &m), 0); /* term 9, voted for B */
    m = rig_append(5, 0, 0, 0, 0, 0);            /* from B, of before */
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND_RESULT)->term, 9);
    assert_true(rig_find(&r, B, SX_MSG_APPEND_RESULT)->rejected > 0); /* no success */
    m = rig_install(&r, 5, 50, 5);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_true(rig_find(&r, B, SX_MSG_APPEND_RESULT)->rejected > 0);
    assert_int_equal(r.installing, 0);
    rig_fini(&r);
}

/* Guard: entry 1 that comes late, when the log begins later. */
static void test_first_entry_late(void **state)
{
    struct rig r;
    struct sx_msg m, old;

    rig_init(&r, 3);
    m = rig_append(2, 1, 1, 8, 9, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
    assert_int_equal(sx_group_snapshot_end(r.group, r.now, 8, 3, NULL), 0);
    old = rig_append(2, 0, 0, 8, 1, 1);
    old.entry[0].type = SX_ENTRY_CHANGE;
    old.entry[0].data = r.log[1].data.data;
    old.entry[0].len = (uint32_t)r.log[1].data.len;
    assert_int_equal(rig_receive(&r, B, &old), 0);
    assert_int_equal(r.deaths, 0);
    assert_int_equal(rig_status(&r).last, 10);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND_RESULT)->rejected, 0);
    old = rig_append(2, 1, 1, 8, 9, 2); /* all of it again, from before the beginning */
    assert_int_equal(rig_receive(&r, B, &old), 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND_RESULT)->last, 10);
    assert_int_equal(rig_status(&r).last, 10);
    rig_fini(&r);
}

/* Guard: a message that ends before the commit index does not set it back. */
static void test_commit_never_falls(void **state)
{
    struct rig r;
    struct sx_msg m;

    rig_init(&r, 3);
    m = rig_append(2, 1, 1, 10, 15, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(r.applied, 10);
    m = rig_append(2, 4, 2, 14, 0, 0);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND_RESULT)->rejected, 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND_RESULT)->last, 10);
    m = rig_append(2, 4, 2, 14, 3, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.deaths, 0);
    assert_int_equal(rig_status(&r).commit, 10);
    m = rig_append(2, 9, 2, 14, 5, 2);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.applied, 14);
    rig_fini(&r);
}

/* Guard: a refusal that comes late does not send the leader back behind what is confirmed. */
static void test_refusal_late(void **state)
{
    struct rig r;
    struct sx_msg m;
    uint64_t term;

    rig_init(&r, 3);
    rig_elect(&r);
    term = rig_status(&r).term;
    settle(&r);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(submit(&r), 0);
    settle(&r); /* B has 7 */
    assert_int_equal(sx_group_match(r.group, B), 7);
    assert_int_equal(submit(&r), 0);
    assert_int_equal(submit(&r), 0);
    m = rig_result(term, 9, 7); /* the message with 8 was lost: the core probes */
    assert_int_equal(rig_receive(&r, B, &m), 0);
    for (uint64_t i = 7; i > 1; i--) {
        m = rig_result(term, i, i - 1); /* of long ago */
        assert_int_equal(rig_receive(&r, B, &m), 0);
    }
    rig_forget(&r);
    assert_int_equal(rig_tick(&r, 60), 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND)->index, 7);
    assert_int_equal(rig_find(&r, B, SX_MSG_APPEND)->n, 2);
    rig_fini(&r);
}

/* Guard: a node whose own log does not say that it is a voter votes all the same. */
static void test_vote_of_late_voter(void **state)
{
    struct rig r;
    struct sx_msg m = { .type = SX_MSG_VOTE, .term = 7, .index = 1, .index_term = 1 };

    rig_init_empty(&r);
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_true(rig_find(&r, B, SX_MSG_VOTE_RESULT)->granted);
    assert_int_equal(r.term, 7);
    assert_int_equal(r.voted_for, B);
    assert_true(r.sent[r.n_sent - 1].saved);
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_false(rig_find(&r, C, SX_MSG_VOTE_RESULT)->granted); /* once in a term */
    m.term = 6;
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_false(rig_find(&r, B, SX_MSG_VOTE_RESULT)->granted);
    m = rig_append(8, 0, 0, 0, 0, 0);
    assert_int_equal(rig_receive(&r, B, &m), 0); /* a leader */
    m = (struct sx_msg){ .type = SX_MSG_VOTE, .term = 9, .index = 1, .index_term = 1 };
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_false(rig_find(&r, C, SX_MSG_VOTE_RESULT)->granted);
    assert_int_equal(r.term, 8); /* not disturbed */
    r.now += SX_GROUP_ELECTION_MS;
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_true(rig_find(&r, C, SX_MSG_VOTE_RESULT)->granted);
    rig_fini(&r);
}

/* Guard: a candidate of an old term learns of the new one from the answer to its pre-vote, for it
 * may be the only one whose log is new enough. */
static void test_pre_vote_of_old_term(void **state)
{
    struct rig r;
    struct sx_msg m = { .type = SX_MSG_VOTE, .term = 11, .index = 1, .index_term = 1 };

    rig_init(&r, 3);
    assert_int_equal(rig_receive(&r, B, &m), 0); /* term 11 */
    m.term = 9;
    m.index = 5;
    m.index_term = 4;
    m.pre_vote = true;
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_int_equal(rig_find(&r, C, SX_MSG_VOTE_RESULT)->term, 11);
    assert_false(rig_find(&r, C, SX_MSG_VOTE_RESULT)->granted);
    rig_fini(&r);
    rig_init(&r, 3); /* and now as the one that asks */
    assert_int_equal(rig_tick(&r, 2 * SX_GROUP_ELECTION_MS), 0);
    assert_int_equal(rig_status(&r).state, SX_GROUP_CANDIDATE);
    m = (struct sx_msg){ .type = SX_MSG_VOTE_RESULT, .term = 11, .pre_vote = true };
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.term, 11);
    assert_int_equal(r.voted_for, 0);
    assert_int_equal(rig_status(&r).state, SX_GROUP_FOLLOWER);
    rig_forget(&r);
    assert_int_equal(rig_tick(&r, 2 * SX_GROUP_ELECTION_MS), 0);
    assert_int_equal(rig_find(&r, B, SX_MSG_VOTE)->term, 12);
    rig_fini(&r);
}

/* The core's ring of terms at its wrap (older releases counted it wrongly): many terms, snapshots
 * and replaced tails. */
static void test_ring_of_terms(void **state)
{
    struct rig r;
    uint64_t last = 1, last_term = 1;

    rig_init(&r, 3);
    for (uint64_t term = 2; term < 150; term++) {
        struct sx_msg m = rig_append(term, last, last_term, last, 1, term);

        assert_int_equal(rig_receive(&r, B, &m), 0);
        assert_int_equal(rig_persist(&r), 0);
        term++;
        m = rig_append(term, last, last_term, last, 1, term); /* replaces it */
        assert_int_equal(rig_receive(&r, C, &m), 0);
        assert_int_equal(rig_persist(&r), 0);
        assert_int_equal(rig_find(&r, C, SX_MSG_APPEND_RESULT)->rejected, 0);
        assert_int_equal(rig_find(&r, C, SX_MSG_APPEND_RESULT)->last, last + 1);
        last++;
        last_term = term;
        if (last % 3 == 0) {
            m = rig_append(term, last, term, last, 0, 0); /* commits it */
            assert_int_equal(rig_receive(&r, C, &m), 0);
            assert_int_equal(sx_group_snapshot_begin(r.group, r.now, NULL), 0);
            assert_int_equal(sx_group_snapshot_end(r.group, r.now, last, last % 2, NULL), 0);
        }
        rig_forget(&r);
    }
    assert_int_equal(r.deaths, 0);
    assert_int_equal(rig_status(&r).last, last);
    rig_fini(&r);
}

/* Guard: a change leaves the leader only when it is on its own disk. */
static void test_change_waits_for_disk(void **state)
{
    struct rig r;

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    rig_forget(&r);
    assert_int_equal(sx_group_change(r.group, r.now, SX_CHANGE_DEMOTE, C, NULL, 1, NULL), 0);
    for (unsigned i = 0; i < r.n_sent; i++)
        assert_int_equal(r.sent[i].m.n, 0);
    assert_int_equal(rig_persist(&r), 0);
    {
        struct sx_msg m = rig_result(rig_status(&r).term, r.last, r.last - 1);

        rig_forget(&r);
        assert_int_equal(rig_receive(&r, C, &m), 0);
        assert_int_equal(rig_tick(&r, 60), 0);
        for (unsigned i = 0; i < r.n_sent; i++) /* nor to the one that loses its vote */
            assert_true(r.sent[i].to != C || r.sent[i].m.index + r.sent[i].m.n < r.last);
        assert_int_equal(rig_receive(&r, B, &m), 0);
        assert_int_equal(rig_find(&r, B, SX_MSG_APPEND)->n, 1);
        m = rig_result(rig_status(&r).term, 0, r.last);
        assert_int_equal(rig_receive(&r, B, &m), 0);
    }
    assert_int_equal(r.change_code, SX_OK);
    rig_fini(&r);
}

/* Leadership is handed over only to a node that has everything, and commands wait meanwhile. */
static void test_hand_over(void **state)
{
    struct rig r;
    struct sx_msg m;

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    assert_int_equal(submit(&r), 0);
    assert_int_equal(rig_persist(&r), 0);
    assert_int_equal(sx_group_transfer(r.group, r.now, C, NULL), 0);
    assert_int_equal(submit(&r), -1);
    m = rig_result(rig_status(&r).term, 0, r.last - 1); /* not all yet: the core would tell C */
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_null(rig_find(&r, C, SX_MSG_TIMEOUT_NOW));
    m = rig_result(rig_status(&r).term, 0, r.last);
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_non_null(rig_find(&r, C, SX_MSG_TIMEOUT_NOW));
    assert_true(rig_status(&r).handing_over);
    for (unsigned i = 0; i < 30; i++) { /* C does not take it: the leader goes on */
        assert_int_equal(rig_tick(&r, 50), 0);
        m = rig_result(rig_status(&r).term, 0, r.last);
        assert_int_equal(rig_receive(&r, B, &m), 0);
    }
    assert_false(rig_status(&r).handing_over);
    assert_int_equal(submit(&r), 0);
    rig_fini(&r);
}

/* A removed node that asks for votes is told. */
static void test_removed_is_told(void **state)
{
    struct rig r;
    struct sx_msg m = { .type = SX_MSG_VOTE, .index = 1, .index_term = 1, .pre_vote = true };

    rig_init(&r, 3);
    rig_elect(&r);
    settle(&r);
    assert_int_equal(sx_group_change(r.group, r.now, SX_CHANGE_REMOVE, C, NULL, 1, NULL), 0);
    settle(&r);
    assert_int_equal(r.change_code, SX_OK);
    assert_non_null(rig_find(&r, C, SX_MSG_REMOVED));
    rig_forget(&r);
    m.term = rig_status(&r).term + 1;
    assert_int_equal(rig_receive(&r, C, &m), 0);
    assert_non_null(rig_find(&r, C, SX_MSG_REMOVED));
    m.term++; /* a member of a later term that this leader does not know yet */
    rig_forget(&r);
    assert_int_equal(rig_receive(&r, 0x77, &m), 0);
    assert_null(rig_find(&r, 0x77, SX_MSG_REMOVED));
    rig_fini(&r);
    rig_init(&r, 3);
    m = (struct sx_msg){ .type = SX_MSG_REMOVED, .term = 1, .index = 5 };
    assert_int_equal(rig_receive(&r, B, &m), 0);
    assert_int_equal(r.removed, 1);
    rig_fini(&r);
}

/* ---- figure 8 of the Raft paper ---- */

/* arg[0]: only this node may stand for election; arg[1]: entries behind this index get lost. */
static bool script(struct sim *s, unsigned from, unsigned to, struct sx_msg *m)
{
    if (m->type == SX_MSG_VOTE && from != s->filter_arg[0])
        return true;
    if (m->type != SX_MSG_APPEND)
        return false;
    while (m->n && m->entry[m->n - 1].index > s->filter_arg[1])
        m->n--;
    return false;
}

static void must_lead(struct sim *s, unsigned number)
{
    uint64_t until = s->now + 60000;

    s->filter_arg[0] = number;
    while (sim_leader(s) != &s->node[number])
        if (!sim_step(s, until))
            fail_msg("node %u does not become leader: %s", number, s->failed);
}

static void test_figure_8(void **state)
{
    struct sim *s = sim_new(8, SIM_BUG_NONE);
    struct sim_node *n = s->node;
    uint64_t x, old, other;

    sim_bootstrap(s, 5);
    s->filter = script;
    s->filter_arg[1] = UINT64_MAX;
    must_lead(s, 0);
    assert_true(sim_wait_leader(s, 1000) && sim_wait_applied(s, 1000));
    x = n[0].log.last + 1;
    /* (a) the leader writes x to itself and node 1, then fails */
    for (unsigned i = 2; i < 5; i++)
        s->net.cut[0][i] = true;
    assert_true(sim_node_submit(&n[0], 8));
    sim_run(s, 100);
    old = n[0].log.term[x];
    assert_int_equal(n[1].durable.term[x], old);
    assert_int_equal(n[2].log.last, x - 1);
    sim_node_crash(&n[0], false);
    memset(s->net.cut, 0, sizeof s->net.cut);
    /* (b) node 4 leads by the votes of 2 and 3, writes another x to itself, fails */
    s->filter_arg[1] = x - 1;
    must_lead(s, 4);
    sim_run(s, 100);
    other = n[4].durable.term[x];
    assert_true(other > old);
    sim_node_crash(&n[4], false);
    /* (c) node 0 leads again, and brings the old x to a majority, but nothing of its own term */
    sim_node_start(&n[0]);
    s->filter_arg[1] = x;
    must_lead(s, 0);
    sim_run(s, 1000);
    assert_int_equal(n[2].durable.term[x], old);
    assert_int_equal(n[1].durable.term[x], old);
    assert_true(n[0].commit < x); /* three of five have it: still not committed */
    sim_node_crash(&n[0], false);
    /* (d) so node 4 may lead once more and replace it */
    sim_node_start(&n[4]);
    s->filter_arg[1] = UINT64_MAX;
    must_lead(s, 4);
    s->filter = NULL;
    sim_node_start(&n[0]);
    assert_true(sim_wait_leader(s, 5000));
    assert_true(sim_wait_applied(s, 5000));
    sim_run(s, 1000);
    assert_string_equal(s->failed, "");
    assert_int_equal(s->committed_term[x], other);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(n[i].log.term[x], other);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_is_alone),
        cmocka_unit_test(test_barrier_first),
        cmocka_unit_test(test_read_rounds),
        cmocka_unit_test(test_read_confirmed),
        cmocka_unit_test(test_lone_voter),
        cmocka_unit_test(test_install_or_snapshot),
        cmocka_unit_test(test_entries_are_gone),
        cmocka_unit_test(test_conflict_is_fatal),
        cmocka_unit_test(test_vote_before_messages),
        cmocka_unit_test(test_persisted_late),
        cmocka_unit_test(test_configuration_fed_back),
        cmocka_unit_test(test_snapshot_not_ahead),
        cmocka_unit_test(test_stale_append),
        cmocka_unit_test(test_first_entry_late),
        cmocka_unit_test(test_commit_never_falls),
        cmocka_unit_test(test_refusal_late),
        cmocka_unit_test(test_vote_of_late_voter),
        cmocka_unit_test(test_pre_vote_of_old_term),
        cmocka_unit_test(test_ring_of_terms),
        cmocka_unit_test(test_change_waits_for_disk),
        cmocka_unit_test(test_hand_over),
        cmocka_unit_test(test_removed_is_told),
        cmocka_unit_test(test_figure_8),
    };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
