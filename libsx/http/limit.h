/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A bandwidth limit over all transfers of an engine: two token buckets, for sent and for received
 * bytes.  libcurl's own limit is for one transfer, and is lenient for the first megabyte of each,
 * which is all that most of ours have.  Internal to libsx/http.
 */
#ifndef SX_HTTP_LIMIT_H
#define SX_HTTP_LIMIT_H

#include <stdint.h>

#define SX_HTTP_LIMIT_STEP_MS 10 /* how often buckets are filled */

struct sx_http_limit {
    uint64_t rate; /* bytes a second; 0: no limit */
    int64_t send, receive; /* bytes that may go now; a debt if negative */
    uint64_t filled_ns;
};

void sx_http_limit_set(struct sx_http_limit *l, uint64_t rate);
void sx_http_limit_fill(struct sx_http_limit *l);

#endif
