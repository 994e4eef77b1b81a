/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Anything at all as messages to a group of three: the group may refuse, or die in order, but
 * not crash, and every message that it sends must be well-formed (rig.c asserts that).
 *
 * Input: runs of u8 sender (low two bits; bit 2: all appends are durable now; bit 3: 300 ms pass),
 * u16 length, message.
 */
#include "libsx/base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/rig.h"

#define PERSIST 4u
#define TICK 8u

const unsigned fuzz_seeds = 6;

static void add(struct sx_buf *out, unsigned from, const struct sx_msg *m)
{
    size_t at = out->len;

    sx_buf_u8(out, (uint8_t)from);
    sx_buf_u16(out, 0);
    sx_msg_encode(m, out);
    out->data[at + 1] = (uint8_t)(out->len - at - 3);
    out->data[at + 2] = (uint8_t)((out->len - at - 3) >> 8);
}

static void elect(struct sx_buf *out)
{
    struct sx_msg yes = { .type = SX_MSG_VOTE_RESULT, .term = 2, .granted = true };

    for (unsigned i = 0; i < 4; i++)
        add(out, 1 | TICK, &(struct sx_msg){ .type = SX_MSG_READ, .term = 1, .seq = 1 });
    yes.pre_vote = true;
    add(out, 1, &yes);
    yes.pre_vote = false;
    add(out, 1, &yes);
}

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    static const uint8_t members[] = { 1, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0,
                                       0, 'm', 'e', ':', '1', 0, 1, 0 };
    struct sx_msg m = rig_append(2, 1, 1, 3, 3, 2);

    if (i >= 3)
        elect(out);
    add(out, 1 | PERSIST, &m);
    m = rig_append(3 + i, 2, 2, 5, 4, 3);
    add(out, 2, &m);
    m = rig_result(2, i % 2 ? 2 : 0, 1 + i / 2);
    add(out, 1 | PERSIST, &m);
    add(out, 2, &(struct sx_msg){ .type = SX_MSG_VOTE, .term = 9, .index = 9, .index_term = 9 });
    add(out, 1, &(struct sx_msg){ .type = SX_MSG_INSTALL, .term = 10, .index = 30 + i,
                                  .index_term = 4, .members_index = 2, .members = members,
                                  .members_len = sizeof members });
    add(out, 1, &(struct sx_msg){ .type = SX_MSG_TIMEOUT_NOW, .term = 3, .index = 4,
                                  .index_term = 3 });
    add(out, 2, &(struct sx_msg){ .type = SX_MSG_REMOVED, .term = 11, .index = 4 });
}

static int feed(struct rig *r, uint8_t how, const uint8_t *p, size_t n)
{
    if (how & TICK && rig_tick(r, 300))
        return -1;
    if (sx_group_receive(r->group, r->now, RIG_ME * (1 + (how & 3)), p, n, NULL))
        return -1;
    if (how & PERSIST && rig_persist(r))
        return -1;
    if (r->installing && how & TICK) {
        uint64_t index = r->installing;

        r->installing = 0;
        return sx_group_installed(r->group, r->now, index, NULL);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct rig r;
    size_t at = 0;

    sx_log_level_set(SX_LOG_ERROR);
    rig_init(&r, 3);
    while (n - at >= 3) {
        size_t len = data[at + 1] | (size_t)data[at + 2] << 8;

        if (len > n - at - 3)
            len = n - at - 3;
        if (feed(&r, data[at], data + at + 3, len))
            break;
        at += 3 + len;
    }
    sx_assert(r.deaths <= 1);
    rig_fini(&r);
    return 0;
}
