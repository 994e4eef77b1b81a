/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which blocks were seen lately, in little memory that processes share: what comes for the first time may
 * be treated as if it came never again (the "doorkeeper" of TinyLFU; Einziger, Friedman, Manes, ACM TOS
 * 13(4), 2017).  Each block has one place, by its id, and the last one keeps it: a block may be forgotten
 * early, and one of 2^31 is taken for another.
 */
#ifndef SX_FCGI_STORE_DOORKEEPER_H
#define SX_FCGI_STORE_DOORKEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/wire.h"
#include "libsx/codec/block.h"

#define SX_DOORS 65536u

/* All 0: nothing was seen. */
struct sx_doorkeeper {
    _Atomic uint32_t marks[SX_DOORS];
};

/* Whether it was seen before; now it was. */
static inline bool sx_doorkeeper_seen(struct sx_doorkeeper *k, const struct sx_id *id)
{
    uint32_t mark = sx_get_u32(id->b + 8) | 1; /* ids are a MAC's output: all parts are as good */

    return atomic_exchange(&k->marks[sx_get_u32(id->b + 4) % SX_DOORS], mark) == mark;
}

#endif
