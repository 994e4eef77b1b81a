/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands that wait, and entries on their way to the database: random steps against plain arrays.
 */
#include "tests/unit/unit.h"

#include "fcgi/meta/manager/batch.h"
#include "fcgi/meta/manager/waiters.h"

#define STEPS 20000u
#define MOST 64u
#define OPS 24u /* so few that several wait for the same one, and buckets are shared */

/* What there should be: the queue, and those that were sent. */
static struct sx_waiter *queue[MOST], *sent[MOST];
static unsigned n_queue, n_sent;
static size_t bytes;

static void op_of(unsigned i, uint8_t op[SX_OP_ID])
{
    memset(op, 0, SX_OP_ID);
    sx_put_u32(op, (i % 3) * SX_WAITERS_BUCKETS + i % 2);
    op[SX_OP_ID - 1] = (uint8_t)i;
}

static void take_out(struct sx_waiter **v, unsigned *n, unsigned i)
{
    memmove(v + i, v + i + 1, (--*n - i) * sizeof *v);
}

static unsigned count_of(const uint8_t op[SX_OP_ID])
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_queue; i++)
        n += memcmp(queue[i]->op, op, SX_OP_ID) == 0;
    for (unsigned i = 0; i < n_sent; i++)
        n += memcmp(sent[i]->op, op, SX_OP_ID) == 0;
    return n;
}

static void check(const struct sx_waiters *ws)
{
    const struct sx_waiter *w = ws->q_head;
    uint8_t op[SX_OP_ID];
    unsigned n = 0;

    assert_int_equal(ws->n, n_queue + n_sent);
    assert_int_equal(ws->bytes, bytes);
    for (unsigned i = 0; i < n_queue; i++, w = w->q_next)
        assert_ptr_equal(w, queue[i]);
    assert_null(w);
    for (w = NULL; (w = sx_waiters_next(ws, w));)
        n++;
    assert_int_equal(n, ws->n);
    for (unsigned i = 0; i < OPS; i++) {
        op_of(i, op);
        for (n = 0, w = NULL; (w = sx_waiters_find(ws, op, w));)
            n++;
        assert_int_equal(n, count_of(op));
    }
}

static void add(struct sx_waiters *ws, uint64_t *seed)
{
    uint8_t op[SX_OP_ID], command[8];
    size_t n = unit_random(seed) % sizeof command;

    op_of((unsigned)(unit_random(seed) % OPS), op);
    sx_put_u64(command, unit_random(seed));
    queue[n_queue] = sx_waiters_add(ws, (struct sx_asker){ NULL, 0 }, op, command, n);
    assert_memory_equal(queue[n_queue]->op, op, SX_OP_ID);
    assert_int_equal(queue[n_queue]->len, n);
    assert_memory_equal(queue[n_queue]->command, command, n);
    n_queue++;
    bytes += n;
}

static void remove_one(struct sx_waiters *ws, struct sx_waiter **v, unsigned *n, unsigned i)
{
    bytes -= v[i]->len;
    sx_waiters_remove(ws, v[i]);
    take_out(v, n, i);
}

static void waiters(void **state)
{
    static struct sx_waiters ws;
    uint64_t seed = 1;

    sx_waiters_init(&ws);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned what = (unsigned)(unit_random(&seed) % 5), i = (unsigned)unit_random(&seed);

        if (what <= 1 && n_queue + n_sent < MOST) {
            add(&ws, &seed);
        } else if (what == 2 && n_queue) {
            sx_waiters_dequeue(&ws, queue[i % n_queue]);
            sent[n_sent++] = queue[i % n_queue];
            take_out(queue, &n_queue, i % n_queue);
        } else if (what == 3 && n_sent) {
            sx_waiters_enqueue(&ws, sent[i % n_sent]);
            queue[n_queue++] = sent[i % n_sent];
            take_out(sent, &n_sent, i % n_sent);
        } else if (what == 4 && i % 2 && n_queue) {
            remove_one(&ws, queue, &n_queue, i % n_queue);
        } else if (what == 4 && n_sent) {
            remove_one(&ws, sent, &n_sent, i % n_sent);
        }
        check(&ws);
    }
    sx_waiters_fini(&ws);
}

/* Whatever is taken when: every entry comes out once, in order, whole, in batches of a bounded size. */
static void batches(void **state)
{
    struct sx_batches q = { 0 };
    struct sx_batch *b;
    uint64_t seed = 2, in = 0, out = 0;
    uint8_t data[16];

    assert_null(sx_batches_take(&q));
    while (out < STEPS) {
        /* Now and then more than a batch takes; now and then none is left. */
        for (unsigned n = (unsigned)(unit_random(&seed) % 2000); n > 0 && in < STEPS; n--) {
            struct sx_entry e = { .index = in + 1, .term = (in + 1) / 7, .data = data };

            in++;
            e.type = in % 2 ? SX_ENTRY_COMMAND : SX_ENTRY_CHANGE;
            e.len = in % 16;
            memset(data, (int)(in % 251), sizeof data);
            sx_batches_add(&q, &e);
        }
        b = sx_batches_take(&q);
        if (!b) {
            assert_int_equal(in, out);
            continue;
        }
        assert_in_range(b->n, 1, 1024);
        for (unsigned i = 0; i < b->n; i++) {
            const struct sx_batch_item *it = &b->items[i];

            assert_int_equal(it->index, ++out);
            assert_int_equal(it->term, out / 7);
            assert_int_equal(it->type, out % 2 ? SX_ENTRY_COMMAND : SX_ENTRY_CHANGE);
            assert_int_equal(it->len, out % 16);
            memset(data, (int)(out % 251), sizeof data);
            if (it->len)
                assert_memory_equal(b->data.data + it->at, data, it->len);
        }
        sx_batch_free(b);
    }
    sx_batches_add(&q, &(struct sx_entry){ .index = 1, .data = data, .len = 1 });
    sx_batches_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters),
        cmocka_unit_test(batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
