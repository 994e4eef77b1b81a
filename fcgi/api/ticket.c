/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ticket.h.
 */
#include "fcgi/api/ticket.h"

#include <string.h>

#include "fcgi/meta/command.h"
#include "libsx/base/err.h"
#include "libsx/base/wire.h"
#include "libsx/crypt/crypt.h"

void sx_ticket_make(uint8_t ticket[SX_TICKET], const uint8_t key[32], const struct sx_id *id,
                    uint64_t expires_ms, const char *user)
{
    uint8_t text[SX_ID_SIZE + 8 + SX_USER_NAME_MAX], mac[SX_SHA256];
    size_t n = strlen(user);

    sx_assert(n <= SX_USER_NAME_MAX);
    memcpy(text, id->b, SX_ID_SIZE);
    sx_put_u64(text + SX_ID_SIZE, expires_ms);
    memcpy(text + SX_ID_SIZE + 8, user, n);
    sx_hmac_sha256(mac, key, 32, text, SX_ID_SIZE + 8 + n);
    memcpy(ticket, mac, SX_TICKET);
}

bool sx_ticket_valid(const uint8_t ticket[SX_TICKET], const uint8_t key[32], const struct sx_id *id,
                     uint64_t expires_ms, const char *user)
{
    uint8_t right[SX_TICKET];

    sx_ticket_make(right, key, id, expires_ms, user);
    return sx_mem_equal(right, ticket, SX_TICKET);
}
