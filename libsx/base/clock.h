/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Time.  The wall clock is for people, signatures and stamps; durations and time-outs
 * use the monotonic clock.
 */
#ifndef SX_BASE_CLOCK_H
#define SX_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t sx_wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline uint64_t sx_mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t sx_mono_ms(void)
{
    return sx_mono_ns() / 1000000;
}

static inline void sx_sleep_ms(uint64_t ms)
{
    struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    while (nanosleep(&t, &t) != 0)
        ;
}

#endif
