/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One request: what came in, who sends it, and the answer under way.  Filled stage by stage by
 * the worker: head, route, authentication, body; then the route's handler runs.
 *
 * Strings live until sx_req_end(); `body` keeps its memory from request to request.
 */
#ifndef SX_FCGI_API_REQUEST_H
#define SX_FCGI_API_REQUEST_H

#include <fcgiapp.h>
#include <stdbool.h>
#include <stdint.h>

#include "fcgi/api/app.h"
#include "fcgi/api/uri.h"
#include "libsx/auth/sigv4.h"
#include "libsx/base/buf.h"
#include "libsx/base/json.h"
#include "libsx/http/message.h"

#define SX_JSON_BODY_MAX (1u << 20)
#define SX_REQ_ID_TEXT 32
/* How long a read waits for a leader: shorter than a change, since it holds its worker for
 * nothing. */
#define SX_SYNC_TIMEOUT_MS 5000

struct sx_route;

struct sx_req {
    struct sx_app *app;
    FCGX_Request *fcgx;
    char id[SX_REQ_ID_TEXT + 1];
    /* head */
    const char *method;
    bool head;           /* HEAD: as GET, without the body of the answer */
    const char *uri;     /* as sent, for the log */
    char *path, *raw_query;
    struct sx_header headers[SX_SIGV4_HEADERS_MAX];
    unsigned n_headers;
    struct sx_buf header_mem;
    int64_t content_length; /* -1: not given */
    /* route */
    const struct sx_route *route;
    struct sx_uri_args args;
    struct sx_query query;
    /* who */
    char user[SX_USER_NAME_MAX + 1]; /* "" for nodes and for anyone */
    uint8_t role;                    /* enum sx_role */
    uint64_t node;                   /* node routes: who asks */
    uint8_t op[SX_OP_ID];
    /* body */
    struct sx_buf body;
    uint64_t body_read;
    bool body_done; /* read to its end */
    /* answer */
    int status; /* 0: not begun */
};

/* Reads the head.  SX_EMALFORMED, SX_EHEADER. */
int sx_req_begin(struct sx_req *r, struct sx_app *app, FCGX_Request *fcgx,
                 struct sx_err *e) SX_MUST_CHECK;
void sx_req_end(struct sx_req *r);

/* The value of a header (name in lower case), or NULL. */
const char *sx_req_header(const struct sx_req *r, const char *name);
/* A FastCGI parameter that nginx sets, or NULL. */
const char *sx_req_param(const struct sx_req *r, const char *name);

/* Reads the whole body, at most `max` bytes, and compares its hash with x-amz-content-sha256
 * unless that is UNSIGNED-PAYLOAD.  SX_ETOOBIG; SX_EMALFORMED if the connection was cut or the
 * length is wrong; SX_EAUTH for the hash. */
int sx_req_read_body(struct sx_req *r, size_t max, struct sx_err *e) SX_MUST_CHECK;
/* The next bytes of the body, *got = 0 at its end; what arrives is not looked at.  SX_EMALFORMED if the
 * connection was cut. */
int sx_req_read(struct sx_req *r, void *p, size_t n, size_t *got, struct sx_err *e) SX_MUST_CHECK;
/* Reads and forgets what is left of the body, in bounded memory, so that the client can be given
 * its answer. */
void sx_req_drain(struct sx_req *r);

/* The body as a JSON object; an empty body is an empty object.  The caller owns it. */
int sx_req_json(struct sx_req *r, json_t **j, struct sx_err *e) SX_MUST_CHECK;
/* The body as a message, in place. */
int sx_req_message(struct sx_req *r, struct sx_message *m, struct sx_err *e) SX_MUST_CHECK;
/* SX_EINVAL if the object has a member that is not among `names` (ends with NULL). */
int sx_req_members(const json_t *j, const char *const *names, struct sx_err *e) SX_MUST_CHECK;

#endif
