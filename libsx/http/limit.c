/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See limit.h.
 */
#include "libsx/http/limit.h"

#include "libsx/base/clock.h"

#define BURST_PART 10 /* a bucket holds a tenth of a second */

void sx_http_limit_set(struct sx_http_limit *l, uint64_t rate)
{
    *l = (struct sx_http_limit){ .rate = rate, .filled_ns = sx_mono_ns() };
}

static int64_t fill(int64_t have, double more, int64_t most)
{
    return (double)have + more > (double)most ? most : have + (int64_t)more;
}

void sx_http_limit_fill(struct sx_http_limit *l)
{
    uint64_t now = sx_mono_ns();
    double more = (double)l->rate * (double)(now - l->filled_ns) / 1e9;
    int64_t most = (int64_t)(l->rate / BURST_PART) + 1;

    if (!l->rate || more < 1)
        return;
    l->send = fill(l->send, more, most);
    l->receive = fill(l->receive, more, most);
    l->filled_ns = now;
}
