/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tickets: the permission, given with a page of a file's block list, to fetch one block for some
 * time, which is the cluster's (sx_query_time), not a clock's.  The first 16 bytes of HMAC-SHA-256(ticket key, id || expires_ms as u64 || user name).
 */
#ifndef SX_FCGI_API_TICKET_H
#define SX_FCGI_API_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "libsx/codec/id.h"

#define SX_TICKET 16
#define SX_TICKET_LIFE_MS (3600u * 1000u)

void sx_ticket_make(uint8_t ticket[SX_TICKET], const uint8_t key[32], const struct sx_id *id,
                    uint64_t expires_ms, const char *user);
/* In constant time.  Whether `expires_ms` has passed is for the caller to see. */
bool sx_ticket_valid(const uint8_t ticket[SX_TICKET], const uint8_t key[32], const struct sx_id *id,
                     uint64_t expires_ms, const char *user);

#endif
