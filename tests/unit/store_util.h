/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of the block store share: a directory of its own, blocks made from a number, so that
 * any block that is read can be judged without a copy.
 */
#ifndef SX_TESTS_UNIT_STORE_UTIL_H
#define SX_TESTS_UNIT_STORE_UTIL_H

#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/store/store.h"

static inline char *util_dir(void)
{
    bool fast = access("/dev/shm", W_OK) == 0;
    char *t = sx_strdup(fast ? "/dev/shm/sx-store-XXXXXX" : "/tmp/sx-store-XXXXXX");

    assert_non_null(mkdtemp(t));
    return t;
}

static inline void util_remove(char *dir)
{
    SX_AUTO_FREE char *cmd = sx_asprintf("rm -rf -- '%s'", dir);

    assert_int_equal(system(cmd), 0);
    free(dir);
}

/* Ids spread over all shards; sizes from 49 bytes up to `max`. */
static inline struct sx_id util_id(uint64_t number)
{
    struct sx_id id;

    unit_fill(id.b, sizeof id.b, number * 2 + 1);
    return id;
}

static inline uint32_t util_len(uint64_t number, uint32_t max)
{
    uint64_t seed = number ^ 0x5153;

    return 49 + (uint32_t)(unit_random(&seed) % (max - 48));
}

static inline void util_record(struct sx_buf *out, uint64_t number, uint32_t max)
{
    uint32_t n = util_len(number, max);
    struct sx_id id = util_id(number);
    size_t at = sx_record_begin(out);

    unit_fill(sx_buf_extend(out, n), n, number);
    sx_record_end(out, at, &id);
}

/* Puts blocks from … from + n - 1 in one batch. */
static inline int util_put(struct sx_store *s, uint64_t from, size_t n, uint32_t max,
                           uint64_t *lease, size_t *written, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_FREE struct sx_record *recs = sx_calloc(n, sizeof *recs);
    uint64_t any;
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        util_record(&b, from + i, max);
    for (size_t i = 0; i < n; i++) {
        size_t used;

        assert_int_equal(sx_record_parse(b.data + at, b.len - at, &recs[i], &used, e), 0);
        at += used;
    }
    return sx_store_put(s, recs, n, lease ? lease : &any, written, e);
}

/* 0: the block is there and right; else the error's code.  Wrong bytes fail the test. */
static inline int util_get(struct sx_store *s, uint64_t number, uint32_t max)
{
    SX_AUTO(sx_buf) struct sx_buf got = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf want = SX_BUF_INIT;
    struct sx_id id = util_id(number);
    struct sx_err e = SX_ERR_INIT;

    if (sx_store_get(s, &id, &got, &e))
        return e.code;
    util_record(&want, number, max);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    return 0;
}

static inline struct sx_store *util_open(const char *dir, const struct sx_store_options *o)
{
    struct sx_store *s = NULL;
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_store_open(dir, o, &s, &e), &e);
    return s;
}

/* The whole store is sound. */
static inline void util_check(struct sx_store *s)
{
    struct sx_store_report r;
    struct sx_err e = SX_ERR_INIT;

    assert_done(sx_store_check(s, true, &r, &e), &e);
    assert_int_equal(r.index_faults, 0);
    assert_int_equal(r.bad, 0);
}

#endif
