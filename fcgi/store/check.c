/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checking a whole device at once: a walk of scrub.h without an end to its steps.
 */
#include "fcgi/store/device_int.h"
#include "fcgi/store/scrub.h"

#define STEP_BYTES (8u << 20)

int sx_device_check(struct sx_device *d, bool deep, struct sx_store_report *r, struct sx_err *e)
{
    struct sx_scrub_walk w = { .fast = !deep };
    struct sx_store_stats st;

    while (w.place.phase != SX_SCRUB_DONE)
        if (sx_device_scrub(d, &w, STEP_BYTES, e))
            return sx_err_wrap(e, "check");
    if (sx_device_stats(d, &st, e))
        return -1;
    *r = (struct sx_store_report){ .blocks = w.found.rows, .bad = st.bad, .stray = w.found.stray,
                                   .index_faults = w.found.index_faults + w.found.sums };
    return 0;
}
