/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See logtime.h.  Between entries the time is counted from one fixed point, so that nothing is lost by
 * rounding however close entries follow each other.
 */
#include "fcgi/meta/manager/logtime.h"

#define SLOW 2 /* part of its speed with which the time goes on while the wall clock is behind */

/* At least any time that was seen. */
static uint64_t slow(const struct sx_logtime *t, uint64_t mono_ms)
{
    return t->time_ms ? t->time_ms + (mono_ms - t->mono_ms) / SLOW : 0;
}

void sx_logtime_see(struct sx_logtime *t, uint64_t time_ms, uint64_t mono_ms)
{
    if (time_ms > slow(t, mono_ms))
        *t = (struct sx_logtime){ time_ms, mono_ms };
}

uint64_t sx_logtime_next(const struct sx_logtime *t, uint64_t wall_ms, uint64_t mono_ms)
{
    uint64_t least = slow(t, mono_ms);

    return wall_ms > least ? wall_ms : least;
}
