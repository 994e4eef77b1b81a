/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See address.h.
 */
#include "fcgi/meta/manager/address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

void sx_address_text(char *out, const char *host, uint16_t port)
{
    bool v6 = strchr(host, ':') != NULL;

    snprintf(out, SX_HELLO_ADDRESS_MAX + 1, v6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* `host` of SX_HELLO_ADDRESS_MAX + 1 bytes; 0 or -1. */
static int split(const char *address, char *host, char *port, size_t port_size)
{
    const char *colon = strrchr(address, ':');
    const char *from = address;
    size_t n;

    if (!colon || colon == address || strlen(colon + 1) == 0 || strlen(colon + 1) >= port_size)
        return -1;
    n = (size_t)(colon - address);
    if (address[0] == '[') {
        if (n < 3 || address[n - 1] != ']')
            return -1;
        from++;
        n -= 2;
    }
    if (n > SX_HELLO_ADDRESS_MAX)
        return -1;
    memcpy(host, from, n);
    host[n] = '\0';
    strcpy(port, colon + 1);
    return 0;
}

int sx_address_find(const char *address, int flags, struct sockaddr_storage *to, socklen_t *len,
                    struct sx_err *e)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICSERV | flags };
    struct addrinfo *ai = NULL;
    char host[SX_HELLO_ADDRESS_MAX + 1], port[8];
    int r;

    if (split(address, host, port, sizeof port))
        return sx_err_set(e, SX_EINVAL, "'%s' is no address", address);
    r = getaddrinfo(host, port, &hints, &ai);
    if (r)
        return sx_err_set(e, SX_ENET, "%s: %s", address, gai_strerror(r));
    memcpy(to, ai->ai_addr, ai->ai_addrlen);
    *len = ai->ai_addrlen;
    freeaddrinfo(ai);
    return 0;
}
