/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A small HTTPS server in threads of the test, with a CA made for it.  What it does is chosen by
 * the path:
 *
 *   /echo    200, the body comes back           /head     200, the request's own head comes back
 *   /zero/N  200, N zero bytes                  /missing  404 with our JSON error
 *   /busy    503 as from a proxy, Retry-After 7 /stall    reads the request, never answers
 *   /drop    closes without an answer           /once     200, then closes silently
 *   /corrupt 500 with our JSON error           /oldest  401 ClockSkew, its clock is in 2001
 *   /old     the same, but for who signs by that clock
 *   /jumps   the same, but that the clock is in 2002 for who signs by that of 2001
 */
#ifndef SX_TESTS_UNIT_TLS_SERVER_H
#define SX_TESTS_UNIT_TLS_SERVER_H

#include <stdint.h>

struct tls_server;

/* `dir` gets ca.pem, other-ca.pem, node.pem and node.key.  The certificate is for 127.0.0.1. */
struct tls_server *tls_server_new(const char *dir);
void tls_server_free(struct tls_server *s);
uint16_t tls_server_port(const struct tls_server *s);
unsigned tls_server_connections(struct tls_server *s); /* accepted so far */
unsigned tls_server_most_open(struct tls_server *s);   /* at one time */
/* Whether the last connection showed a client certificate of the CA. */
int tls_server_saw_client_cert(struct tls_server *s);

#endif
