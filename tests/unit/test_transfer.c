/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two directions of the transfer manager, against nodes that are stores in this process:
 * sx_transfer_call() below answers as docs/api.md section 9 says, and sometimes it fails, cuts
 * answers off, or answers with wrong records. Whatever happens: nothing wrong is stored, a row
 * leaves the queue only when its target has the block (or nobody needs it), and when the nodes are
 * well again everything arrives.
 */
#include "tests/unit/store_util.h"

#include "fcgi/jobs/transfer_int.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/http/message.h"

#define MAX 3000u
enum { NODES = 4, SELF = 0, BLOCKS = 300 };

enum fault { WELL, GONE, CUT, FLIPPED, OTHER, EMPTY, FAULTS };

static struct {
    char *dir[NODES];
    struct sx_store *store[NODES];
    struct sx_node node[NODES];
    bool down[NODES];
    unsigned faults;           /* one call in so many goes wrong; 0: none */
    uint64_t seed;
    uint64_t first_unreferenced;
    unsigned calls;
} W;

/* ---- what the code under test calls ---- */

size_t sx_peers_count(const struct sx_peers *p)
{
    return NODES;
}

const struct sx_node *sx_peers_node(const struct sx_peers *p, size_t i)
{
    return &W.node[i];
}

size_t sx_peers_find(const struct sx_peers *p, uint64_t node)
{
    return node >= 1 && node <= NODES ? node - 1 : NODES;
}

size_t sx_peers_self(const struct sx_peers *p)
{
    return SELF;
}

size_t sx_peers_order(const struct sx_peers *p, const struct sx_id *id, uint16_t *order)
{
    for (uint16_t i = 0; i < NODES; i++)
        order[i] = (uint16_t)((id->b[0] + i) % NODES);
    return NODES;
}

bool sx_peers_down(const struct sx_peers *p, size_t i)
{
    return W.down[i];
}

int sx_transfer_referenced(struct sx_transfer *t, const struct sx_id *ids, size_t n, uint8_t *yes,
                           struct sx_err *e)
{
    for (size_t i = 0; i < n; i++) {
        yes[i] = 0;
        for (uint64_t b = 0; b < W.first_unreferenced && !yes[i]; b++) {
            struct sx_id id = util_id(b);

            yes[i] = sx_id_cmp(&id, &ids[i]) == 0;
        }
    }
    return 0;
}

static enum fault draw(void)
{
    if (W.faults == 0 || unit_random(&W.seed) % W.faults)
        return WELL;
    return (enum fault)(1 + unit_random(&W.seed) % (FAULTS - 1));
}

static void answer_have(struct sx_store *s, const struct sx_message *m, struct sx_buf *answer)
{
    size_t n = m->len / SX_ID_SIZE;
    SX_AUTO_JSON json_t *j = json_pack("{s:I,s:I}", "lease", (json_int_t)1, "count",
                                       (json_int_t)n);
    struct sx_err e = SX_ERR_INIT;
    uint8_t present[SX_TRANSFER_BATCH_IDS];
    uint64_t lease;

    assert_true(n <= SX_TRANSFER_BATCH_IDS);
    assert_done(sx_store_have(s, (const struct sx_id *)m->data, n, present, &lease, &e), &e);
    assert_done(sx_message_head(answer, j, &e), &e);
    sx_buf_add(answer, present, n);
}

static void answer_get(struct sx_store *s, const struct sx_message *m, struct sx_buf *answer)
{
    for (size_t at = 0; at < m->len; at += SX_ID_SIZE) {
        struct sx_err e = SX_ERR_INIT;
        uint8_t none[SX_RECORD_HEADER];
        struct sx_id id;

        memcpy(id.b, m->data + at, SX_ID_SIZE);
        if (sx_store_get(s, &id, answer, &e) == 0)
            continue;
        sx_record_header(none, &id, NULL, 0);
        sx_buf_add(answer, none, sizeof none);
    }
}

static int answer_put(struct sx_store *s, const struct sx_message *m, struct sx_buf *answer,
                      struct sx_err *e)
{
    SX_AUTO_FREE struct sx_record *recs = sx_calloc(SX_TRANSFER_BATCH_IDS, sizeof *recs);
    uint64_t count, lease;
    size_t at = 0, n = 0, used;

    assert_int_equal(sx_json_need_u64(m->json, "count", SX_TRANSFER_BATCH_IDS, &count, e), 0);
    for (; at < m->len; at += used, n++)
        assert_int_equal(sx_record_parse(m->data + at, m->len - at, &recs[n], &used, e), 0);
    assert_int_equal(n, count);
    if (sx_store_put(s, recs, n, &lease, NULL, e))
        return -1;
    sx_buf_str(answer, "{}");
    return 0;
}

static void spoil(enum fault f, struct sx_buf *answer)
{
    if (f == EMPTY)
        answer->len = 0;
    if (answer->len == 0)
        return;
    if (f == CUT)
        answer->len = unit_random(&W.seed) % answer->len;
    if (f == FLIPPED)
        answer->data[unit_random(&W.seed) % answer->len] ^= 4;
}

int sx_transfer_call(struct sx_transfer *t, size_t node, const char *path, const struct iovec *body,
                     size_t n_body, struct sx_buf *answer, size_t answer_max, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    enum fault f = draw();
    struct sx_err why = SX_ERR_INIT;

    W.calls++;
    assert_true(node != SELF && node < NODES);
    sx_buf_reset(answer);
    if (W.down[node] || f == GONE)
        return sx_err_set(e, SX_ENET, "node %zu does not answer", node);
    for (size_t i = 0; i < n_body; i++)
        sx_buf_add(&b, body[i].iov_base, body[i].iov_len);
    assert_true(b.len <= SX_MESSAGE_REQUEST_MAX);
    assert_done(sx_message_parse(&m, b.data, b.len, &why), &why);
    if (strcmp(path, "/.node/v1/blocks") == 0)
        return answer_put(W.store[node], &m, answer, e);
    if (strcmp(path, "/.node/v1/have") == 0) {
        answer_have(W.store[node], &m, answer);
        if (f == CUT || f == EMPTY)
            spoil(f, answer);
        return 0;
    }
    assert_string_equal(path, "/.node/v1/blocks/get");
    if (f == OTHER) /* an answer to another question */
        for (size_t at = 0; at + SX_ID_SIZE <= m.len; at += SX_ID_SIZE) {
            struct sx_id id = util_id(BLOCKS + 1);

            memcpy((uint8_t *)m.data + at, id.b, SX_ID_SIZE);
        }
    answer_get(W.store[node], &m, answer);
    spoil(f, answer);
    return 0;
}

/* ---- the world ---- */

static struct sx_transfer *T;

static void make_world(void)
{
    struct sx_store_options o = { .reserve = 1, .capacity = 1u << 30 };
    struct sx_err e = SX_ERR_INIT;

    memset(&W, 0, sizeof W);
    W.first_unreferenced = BLOCKS;
    T = sx_calloc(1, sizeof *T);
    for (size_t i = 0; i < NODES; i++) {
        W.dir[i] = util_dir();
        o.node = W.node[i].id = i + 1;
        W.store[i] = util_open(W.dir[i], &o);
        assert_done(util_put(W.store[i], BLOCKS + 1, 1, MAX, NULL, NULL, &e), &e); /* for OTHER */
    }
    T->store = W.store[SELF];
    T->proc = (struct sx_proc){ -1, -1, NULL };
    assert_done(sx_queue_open(W.dir[SELF], &T->queue, &e), &e);
}

static void end_world(void)
{
    sx_queue_close(T->queue);
    free(T);
    for (size_t i = 0; i < NODES; i++) {
        util_check(W.store[i]);
        sx_store_close(W.store[i]);
        util_remove(W.dir[i]);
    }
}

static bool has(size_t node, uint64_t number)
{
    int code = util_get(W.store[node], number, MAX); /* wrong bytes fail the test */

    assert_true(code == 0 || code == SX_ENOTFOUND);
    return code == 0;
}

static void put_at(size_t node, uint64_t number)
{
    struct sx_err e = SX_ERR_INIT;

    assert_done(util_put(W.store[node], number, 1, MAX, NULL, NULL, &e), &e);
}

static uint64_t rows(void)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t n;

    assert_done(sx_queue_count(T->queue, &n, &e), &e);
    return n;
}

static void add_row(uint64_t target, uint64_t number)
{
    struct sx_queue_row row = { target, util_id(number) };
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_queue_add(T->queue, &row, 1, &e), &e);
}

/* One look at the queue, without waiting for back-offs. */
static void push(void)
{
    struct sx_err e = SX_ERR_INIT;
    bool more = true;

    for (size_t i = 0; i < T->n_targets; i++)
        T->targets[i].next_ms = 0;
    for (unsigned k = 0; more && k < 100; k++)
        assert_done(sx_transfer_push(T, &more, &e), &e);
    assert_int_equal(T->count.queue, rows());
}

static size_t fetch(uint64_t from, size_t n)
{
    struct sx_transfer_want want[BLOCKS];
    struct sx_err e = SX_ERR_INIT;
    size_t got = 0;

    for (size_t i = 0; i < n; i++)
        want[i] = (struct sx_transfer_want){ .id = util_id(from + i), .len = MAX + 200 };
    assert_done(sx_transfer_fetch(T, want, n, &e), &e);
    for (size_t i = 0; i < n; i++) {
        if (want[i].got)
            assert_true(has(SELF, from + i));
        got += want[i].got;
    }
    return got;
}

/* ---- tests ---- */

static void push_sends(void **state)
{
    make_world();
    for (uint64_t b = 0; b < BLOCKS; b++) {
        put_at(SELF, b);
        add_row(2, b);
        if (b % 2)
            add_row(3, b);
        if (b % 3 == 0)
            put_at(1, b); /* it has come there otherwise meanwhile */
    }
    push();
    assert_int_equal(rows(), 0);
    for (uint64_t b = 0; b < BLOCKS; b++) {
        assert_true(has(1, b));
        assert_int_equal(has(2, b), b % 2);
        assert_false(has(3, b));
    }
    assert_int_equal(T->count.sent, BLOCKS * 2 / 3 + BLOCKS / 2);
    end_world();
}

static void push_waits(void **state)
{
    make_world();
    put_at(SELF, 1);
    add_row(2, 1);
    add_row(3, 1);
    W.down[1] = true;
    push();
    assert_int_equal(rows(), 1); /* one node does not hold up the other */
    assert_true(has(2, 1));
    push();
    W.down[1] = false;
    {
        struct sx_err e = SX_ERR_INIT;
        unsigned before = W.calls;
        bool more;

        assert_done(sx_transfer_push(T, &more, &e), &e); /* its back-off has not passed */
        assert_int_equal(W.calls, before);
    }
    push();
    assert_int_equal(rows(), 0);
    assert_true(has(1, 1));
    end_world();
}

static void push_of_what_is_not_here(void **state)
{
    make_world();
    W.first_unreferenced = 20;
    put_at(2, 1);   /* another node has it */
    add_row(2, 1);
    add_row(2, 10); /* referenced, and nobody has it: kept */
    add_row(2, 30); /* nobody needs it */
    add_row(99, 1); /* a node that has left */
    add_row(1, 1);  /* this node */
    for (uint64_t b = 40; b < 40 + 300; b++) /* behind these are some that can go */
        add_row(4, b % 20);
    push();
    assert_true(has(1, 1) && has(SELF, 1));
    assert_int_equal(rows(), 1 + 19); /* block 10 for node 2; all but block 1 for node 4 */
    put_at(SELF, 10);
    push();
    push();
    assert_true(has(1, 10) && has(3, 10));
    end_world();
}

static void fetch_gets(void **state)
{
    make_world();
    for (uint64_t b = 0; b < BLOCKS; b++)
        if (b % 10)
            put_at(1 + b % 3, b);
    assert_int_equal(fetch(0, BLOCKS), BLOCKS - BLOCKS / 10);
    assert_int_equal(T->count.fetched, BLOCKS - BLOCKS / 10);
    W.down[1] = W.down[2] = W.down[3] = true;
    assert_int_equal(fetch(0, 1), 0);
    end_world();
}

/* Damaged here: what is fetched replaces it. */
static void fetch_repairs(void **state)
{
    SX_AUTO_FREE char *path = NULL;
    FILE *f;
    int last;

    make_world();
    put_at(SELF, 5);
    put_at(2, 5);
    path = sx_asprintf("%s/packs/0000000001.pack", W.dir[SELF]);
    f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, -1, SEEK_END);
    last = fgetc(f);
    fseek(f, -1, SEEK_END);
    fputc(last ^ 1, f);
    fclose(f);
    assert_int_equal(util_get(W.store[SELF], 5, MAX), SX_ECORRUPT);
    assert_int_equal(fetch(5, 1), 1);
    end_world();
}

static void full_here(void **state)
{
    struct sx_store_options o = { .reserve = UINT64_MAX / 2, .node = 1 };
    struct sx_transfer_want want = { .id = util_id(1), .len = MAX };
    struct sx_err e = SX_ERR_INIT;

    make_world();
    put_at(1, 1);
    sx_store_close(W.store[SELF]);
    T->store = W.store[SELF] = util_open(W.dir[SELF], &o);
    assert_error(sx_transfer_fetch(T, &want, 1, &e), &e, SX_ENOSPACE);
    end_world();
}

/* Everything goes wrong now and then; in the end all is where it should be. */
static void faults(void **state)
{
    uint64_t seed = sx_mono_ns();

    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < 12; round++) {
        make_world();
        W.seed = seed + round;
        W.faults = 3;
        for (uint64_t b = 0; b < BLOCKS; b++) {
            put_at(unit_random(&W.seed) % NODES, b);
            add_row(2 + unit_random(&W.seed) % 3, b);
        }
        for (unsigned k = 0; k < 10; k++) {
            size_t other = 1 + unit_random(&W.seed) % (NODES - 1);

            W.down[other] = !W.down[other];
            push();
            fetch(unit_random(&W.seed) % (BLOCKS - 50), 50);
        }
        W.faults = 0;
        memset(W.down, 0, sizeof W.down);
        push();
        push();
        assert_int_equal(rows(), 0);
        assert_int_equal(fetch(0, BLOCKS), BLOCKS);
        end_world();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_sends),
        cmocka_unit_test(push_waits),
        cmocka_unit_test(push_of_what_is_not_here),
        cmocka_unit_test(fetch_gets),
        cmocka_unit_test(fetch_repairs),
        cmocka_unit_test(full_here),
        cmocka_unit_test(faults),
    };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
