/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of routes: every request that the native API answers stands in route.c, with who may
 * send it and what its body may be.  Finer rights (owner, manager, read, write) are checked by
 * the handler or the state machine.
 */
#ifndef SX_FCGI_API_ROUTE_H
#define SX_FCGI_API_ROUTE_H

#include "fcgi/api/request.h"

enum sx_who { SX_WHO_ANYONE, SX_WHO_USER, SX_WHO_ADMIN, SX_WHO_NODE };

enum sx_kind {
    SX_KIND_READ,  /* the local database is brought into step before it is read */
    SX_KIND_WRITE, /* submits a command: the request must carry X-Sx-Op */
    SX_KIND_PLAIN  /* neither */
};

typedef int sx_handler_fn(struct sx_req *r, struct sx_err *e);

struct sx_route {
    const char *method;
    const char *pattern; /* see sx_uri_match() */
    enum sx_who who;
    enum sx_kind kind;
    size_t body_max;
    sx_handler_fn *handler;
};

/* The route of a request on the client or the reserved socket; HEAD takes that of GET.
 * SX_ENOTFOUND, or SX_EMETHOD with the methods that the path knows. */
int sx_route_find(const char *method, const char *path, bool reserved,
                  const struct sx_route **route, struct sx_err *e) SX_MUST_CHECK;

/* Route, authentication, body, handler: answers the request, with an error if need be. */
void sx_route_serve(struct sx_req *r);
/* One line in the log for a request, or a part of it, that failed. */
void sx_route_note(const struct sx_req *r, const struct sx_err *e);
/* Logs the failure and, if no answer was begun, answers with it. */
void sx_route_fail(struct sx_req *r, const struct sx_err *e);

#endif
