/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a node's group manager listens, as text: "host:port", "[v6]:port"; at most
 * SX_HELLO_ADDRESS_MAX bytes.
 */
#ifndef SX_FCGI_META_MANAGER_ADDRESS_H
#define SX_FCGI_META_MANAGER_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

#include "fcgi/meta/manager/frame.h"

/* `out` of SX_HELLO_ADDRESS_MAX + 1 bytes. */
void sx_address_text(char *out, const char *host, uint16_t port);

/* The socket address that it stands for.  `flags`: 0, which may ask name servers and so block, or
 * AI_NUMERICHOST: only what is a number.  SX_EINVAL: no address; SX_ENET: not found. */
int sx_address_find(const char *address, int flags, struct sockaddr_storage *to, socklen_t *len,
                    struct sx_err *e) SX_MUST_CHECK;

#endif
