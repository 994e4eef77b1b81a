/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What unit tests share: cmocka with the headers it wants first, a reproducible source of
 * bytes, and assertions on errors that show the message.
 */
#ifndef SX_TESTS_UNIT_UNIT_H
#define SX_TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/base/wire.h"

#define assert_done(call, e)                                                                       \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s: %s", #call, sx_err_name((e)->code), (e)->msg);                       \
    } while (0)

#define assert_error(call, e, want)                                                                \
    do {                                                                                           \
        sx_err_clear(e);                                                                           \
        assert_int_equal(call, -1);                                                                \
        assert_string_equal(sx_err_name((e)->code), sx_err_name(want));                            \
        assert_true((e)->msg[0]);                                                                  \
    } while (0)

/* splitmix64 */
static inline uint64_t unit_random(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15ULL;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static inline void unit_fill(uint8_t *p, size_t n, uint64_t seed)
{
    uint8_t word[8];

    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            sx_put_u64(word, unit_random(&seed));
        p[i] = word[i % 8];
    }
}

static inline void assert_hex(const void *p, size_t n, const char *hex)
{
    SX_AUTO_FREE char *got = sx_malloc(2 * n + 1);

    assert_string_equal(sx_hex(got, p, n), hex);
}

#endif
