/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log's time: what a leader puts into an entry.  It is the leader's wall clock, but never less
 * than any entry before, and never still: while the clock is behind (it was set back, or that of an
 * earlier leader was ahead) the time goes on at half of the speed that the monotonic clock shows, until the
 * wall clock has caught up.  So what expires by it expires at most twice as late as it should, whatever
 * the clocks do.  Pure: both clocks are arguments.
 */
#ifndef SX_FCGI_META_MANAGER_LOGTIME_H
#define SX_FCGI_META_MANAGER_LOGTIME_H

#include <stdint.h>

/* All zero: no entry was seen yet. */
struct sx_logtime {
    uint64_t time_ms, mono_ms; /* this was the time when the monotonic clock showed this */
};

/* An entry with this time was made, received or found in the log or the database. */
void sx_logtime_see(struct sx_logtime *t, uint64_t time_ms, uint64_t mono_ms);

/* The time of an entry that is made now. */
uint64_t sx_logtime_next(const struct sx_logtime *t, uint64_t wall_ms, uint64_t mono_ms);

#endif
