/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tasks beside their starter, one after the other; and the MD5 of a stream, which is made of them.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/s3/aside.h"
#include "fcgi/s3/digest.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/unit.h"

struct task {
    pthread_barrier_t met; /* in the task and in its starter, who could not meet in one thread */
    pthread_t by;
    int runs;
};

static void run(void *arg)
{
    struct task *t = arg;

    pthread_barrier_wait(&t->met);
    t->by = pthread_self();
    t->runs++;
}

static void test_beside(void **state)
{
    struct sx_aside *a = sx_aside_get(), *b;
    struct task t = { .runs = 0 };

    pthread_barrier_init(&t.met, NULL, 2);
    for (int i = 1; i <= 3; i++) {
        sx_aside_start(a, run, &t);
        pthread_barrier_wait(&t.met);
        sx_aside_wait(a);
        assert_int_equal(t.runs, i);
        assert_false(pthread_equal(t.by, pthread_self()));
    }
    sx_aside_wait(a);
    sx_aside_start(a, run, &t);
    pthread_barrier_wait(&t.met);
    sx_aside_put(a);
    assert_int_equal(t.runs, 4); /* put has waited */
    b = sx_aside_get();
    assert_ptr_equal(a, b); /* with its thread */
    sx_aside_put(b);
    sx_aside_put(NULL);
    pthread_barrier_destroy(&t.met);
}

/* Pieces that are done at once and pieces that are done beside, in any order. */
static void test_digest(void **state)
{
    static const size_t sizes[] = { 1, 300000, 0, 262144, 262145, 5, 1 << 20 };
    size_t all = 0, at = 0;
    uint8_t got[16], want[16], *data;
    struct sx_digest *d = sx_digest_new();

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        all += sizes[i];
    data = sx_malloc(all);
    sx_random(data, all);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; at += sizes[i++]) {
        sx_digest_start(d, data + at, sizes[i]);
        sx_digest_wait(d);
    }
    sx_digest_end(d, got);
    sx_digest_free(d);
    assert_int_equal(EVP_Digest(data, all, want, NULL, EVP_md5(), NULL), 1);
    assert_memory_equal(got, want, sizeof got);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_beside), cmocka_unit_test(test_digest) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
