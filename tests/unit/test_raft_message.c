/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Coding of consensus messages and of lists of members: there and back, golden bytes, cut off at
 * every byte, every bit flipped, and random bytes (the decoder may refuse, never read beyond; run
 * it under ASan).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fcgi/meta/raft/members.h"
#include "fcgi/meta/raft/message.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "tests/sim/memio.h"

#define FUZZ 200000u

static struct sx_msg sample(enum sx_msg_type type, struct sx_buf *members)
{
    static const uint8_t data[] = "0123456789";
    struct sx_msg m = { .type = type, .term = 7, .index = 20, .index_term = 5 };

    switch (type) {
    case SX_MSG_APPEND:
        m.commit = 19;
        m.n = 2;
        m.entry[0] = (struct sx_entry){ 21, 5, SX_ENTRY_COMMAND, 10, data };
        m.entry[1] = (struct sx_entry){ 22, 7, SX_ENTRY_BARRIER, 8, data };
        break;
    case SX_MSG_APPEND_RESULT:
        m.rejected = 9;
        m.last = 8;
        m.features = 1;
        m.capacity = 2;
        break;
    case SX_MSG_VOTE:
        m.pre_vote = true;
        break;
    case SX_MSG_VOTE_RESULT:
        m.granted = true;
        break;
    case SX_MSG_INSTALL:
        m.members_index = 3;
        m.members = members->data;
        m.members_len = (uint32_t)members->len;
        break;
    case SX_MSG_READ:
    case SX_MSG_READ_ACK:
        m.seq = 77;
        break;
    case SX_MSG_TIMEOUT_NOW:
    case SX_MSG_REMOVED:
        break;
    }
    return m;
}

static void some_members(struct sx_members *m)
{
    assert_int_equal(sx_members_add(m, 1, "host-a:1", SX_ROLE_VOTER, NULL), 0);
    assert_int_equal(sx_members_add(m, UINT64_MAX, "b", SX_ROLE_STANDBY, NULL), 0);
    assert_int_equal(sx_members_add(m, 3, "[::1]:5", SX_ROLE_SPARE, NULL), 0);
}

static void test_round_trip(void **state)
{
    SX_AUTO(sx_members) struct sx_members list = SX_MEMBERS_INIT;
    SX_AUTO(sx_buf) struct sx_buf members = SX_BUF_INIT;

    some_members(&list);
    sx_members_encode(&list, &members);
    for (int t = SX_MSG_APPEND; t <= SX_MSG_REMOVED; t++) {
        SX_AUTO(sx_buf) struct sx_buf a = SX_BUF_INIT;
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        struct sx_msg in = sample((enum sx_msg_type)t, &members), out;
        struct sx_err e = SX_ERR_INIT;

        sx_msg_encode(&in, &a);
        if (sx_msg_decode(&out, a.data, a.len, &e))
            fail_msg("type %d: %s", t, e.msg);
        sx_msg_encode(&out, &b);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        for (size_t n = 0; n < a.len; n++) {
            SX_AUTO_FREE uint8_t *copy = sx_malloc(n + 1);

            memcpy(copy, a.data, n);
            assert_int_equal(sx_msg_decode(&out, copy, n, &e), -1);
            assert_int_equal(e.code, SX_EMALFORMED);
        }
        sx_buf_u8(&a, 0);
        assert_int_equal(sx_msg_decode(&out, a.data, a.len, &e), -1);
    }
}

static void test_golden(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf none = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_msg m = sample(SX_MSG_APPEND, &none);
    char hex[400];

    sx_msg_encode(&m, &b);
    assert_string_equal(sx_hex(hex, b.data, b.len),
                        "010100000700000000000000" /* type, version, flags, term */
                        "14000000000000000500000000000000130000000000000002000000"
                        "0500000000000000010a00000030313233343536373839"
                        "070000000000000002080000003031323334353637");
}

static int decode_changed(struct sx_msg *m)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_msg out;

    sx_msg_encode(m, &b);
    return sx_msg_decode(&out, b.data, b.len, NULL);
}

/* What no honest node sends. */
static void test_contradictions(void **state)
{
    SX_AUTO(sx_members) struct sx_members list = SX_MEMBERS_INIT;
    SX_AUTO(sx_buf) struct sx_buf members = SX_BUF_INIT;
    struct sx_msg m;

    some_members(&list);
    sx_members_encode(&list, &members);
#define BAD(kind, change)                                                                          \
    do {                                                                                           \
        m = sample(kind, &members);                                                                \
        assert_int_equal(decode_changed(&m), 0);                                                   \
        change;                                                                                    \
        assert_int_equal(decode_changed(&m), -1);                                                  \
    } while (0)
    BAD(SX_MSG_APPEND, m.term = 0);
    BAD(SX_MSG_APPEND, m.entry[0].term = 8);                  /* beyond the leader's term */
    BAD(SX_MSG_APPEND, m.entry[0].term = 4);                  /* below the one before */
    BAD(SX_MSG_APPEND, m.index = 0);                          /* no entry before, but a term */
    BAD(SX_MSG_APPEND, m.index = UINT64_MAX - 1);
    BAD(SX_MSG_APPEND, m.entry[1].type = 9);
    BAD(SX_MSG_APPEND, m.entry[1].len = 0);
    BAD(SX_MSG_APPEND, m.entry[1].type = SX_ENTRY_CHANGE);    /* not alone */
    BAD(SX_MSG_APPEND_RESULT, m.last = 9);                    /* not before the rejected one */
    BAD(SX_MSG_VOTE, m.index_term = 8);
    BAD(SX_MSG_INSTALL, m.members_index = 21);
    BAD(SX_MSG_INSTALL, m.index = 0);
    BAD(SX_MSG_INSTALL, m.members_len -= 8);
#undef BAD
    m = sample(SX_MSG_APPEND, &members);
    m.n = 1;
    m.entry[0] = (struct sx_entry){ 21, 6, SX_ENTRY_CHANGE, (uint32_t)members.len, members.data };
    assert_int_equal(decode_changed(&m), 0); /* alone: good */
    m.entry[0].len -= 8;
    assert_int_equal(decode_changed(&m), -1);
}

static void test_members(void **state)
{
    SX_AUTO(sx_members) struct sx_members m = SX_MEMBERS_INIT;
    SX_AUTO(sx_members) struct sx_members got = SX_MEMBERS_INIT;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;

    some_members(&m);
    assert_int_equal(sx_members_add(&m, 3, "c", SX_ROLE_VOTER, &e), -1);
    assert_int_equal(e.code, SX_EEXIST);
    assert_int_equal(sx_members_add(&m, 4, "b", SX_ROLE_VOTER, &e), -1);
    assert_int_equal(sx_members_add(&m, 0, "d", SX_ROLE_VOTER, &e), -1);
    sx_members_encode(&m, &b);
    assert_int_equal(b.len % 8, 0);
    assert_int_equal(sx_members_decode(&got, b.data, b.len, &e), 0);
    assert_int_equal(got.n, 3);
    assert_int_equal(sx_members_voters(&got), 1);
    assert_string_equal(sx_members_find(&got, 3)->address, "[::1]:5");
    b.data[1] = 200; /* more members than there are bytes */
    assert_int_equal(sx_members_decode(&got, b.data, b.len, &e), -1);
    assert_int_equal(got.n, 3); /* untouched */
    sx_members_remove(&got, 1);
    assert_int_equal(got.n, 2);
    assert_null(sx_members_find(&got, 1));
}

static void test_fuzz(void **state)
{
    SX_AUTO(sx_members) struct sx_members list = SX_MEMBERS_INIT;
    SX_AUTO(sx_buf) struct sx_buf members = SX_BUF_INIT;
    uint64_t r = 4711;

    some_members(&list);
    sx_members_encode(&list, &members);
    for (unsigned i = 0; i < FUZZ; i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        struct sx_msg m = sample((enum sx_msg_type)(sx_random(&r) % 9 + 1), &members), out;
        SX_AUTO_FREE uint8_t *exact = NULL;

        sx_msg_encode(&m, &b);
        for (uint64_t k = sx_random(&r) % 4; k > 0; k--)
            b.data[sx_random(&r) % b.len] ^= (uint8_t)(1u << sx_random(&r) % 8);
        if (sx_random(&r) % 8 == 0)
            b.len = sx_random(&r) % (b.len + 1);
        exact = sx_malloc(b.len + (b.len == 0)); /* so that ASan sees a step too far */
        if (b.len)
            memcpy(exact, b.data, b.len);
        if (sx_msg_decode(&out, exact, b.len, NULL) == 0) {
            SX_AUTO(sx_buf) struct sx_buf again = SX_BUF_INIT;

            sx_msg_encode(&out, &again);
            assert_int_equal(again.len, b.len);
            assert_memory_equal(again.data, exact, b.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_golden),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_members),
        cmocka_unit_test(test_fuzz),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
