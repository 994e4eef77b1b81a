/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The HTTPS engine of clients and of nodes that talk to each other: many requests in flight over
 * kept connections (HTTP/1.1, TLS 1.2 or later), driven by one thread.
 *
 *   sx_http_start()  queues a request, which has a callback
 *   sx_http_run()    moves bytes until something completes, and calls the callbacks
 *   sx_http_call()   start, run until that one is complete
 *
 * The engine does not repeat failed requests, with one exception: when a kept connection turns out
 * to have been closed by the server before a byte of the answer came, libcurl sends once more on a
 * fresh one.  So requests that change something need their X-Sx-Op.  It follows no redirects and
 * uses no proxy.  One thread at a time; make it after fork().
 */
#ifndef SX_HTTP_HTTP_H
#define SX_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libsx/auth/sigv4.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"

#define SX_HTTP_JSON "application/json"
#define SX_HTTP_MESSAGE "application/x-sx"

#define SX_HTTP_PER_NODE 16               /* connections to one node, default */
#define SX_HTTP_CONNECT_TIMEOUT_MS 5000u  /* default */
#define SX_HTTP_STALL_TIMEOUT_MS 30000u   /* default: no byte either way for so long */
#define SX_HTTP_REQUESTS_MAX 8192u        /* started and not complete, in one engine */
#define SX_HTTP_ERROR_BODY_MAX 65536u
#define SX_HTTP_REQUEST_ID_MAX 64

struct sx_http;

/* Zero or NULL means the default.  Strings are copied. */
struct sx_http_config {
    /* PEM file of the cluster's CA.  NULL: the server is not verified, and the last certificate of
     * its chain can be had from sx_http_chain_ca(), for trust on first use. */
    const char *ca_file;
    const char *cert_file; /* a node's own certificate and key, PEM */
    const char *key_file;
    const char *access_key; /* signs every request, region and service "sx" */
    const char *secret;
    const char *user_agent;
    unsigned per_node;
    unsigned connect_timeout_ms;
    unsigned stall_timeout_ms;
};

struct sx_http *sx_http_new(const struct sx_http_config *config);
/* Ends what is in flight as sx_http_stop() does. */
void sx_http_free(struct sx_http *h);

/* Bytes a second for all requests together, in each direction; 0: no limit. */
void sx_http_limit(struct sx_http *h, uint64_t bytes_per_s);

struct sx_http_answer {
    struct sx_err err; /* SX_OK for 2xx; see below */
    int status;        /* 0: there was no answer */
    unsigned retry_after_s;
    uint64_t date_ms;  /* the server's clock as its Date header tells, to a second; 0: it does not */
    char request_id[SX_HTTP_REQUEST_ID_MAX + 1]; /* X-Sx-Request, or empty */
    struct sx_buf *body; /* that of the request; empty unless err is SX_OK */
};

typedef void sx_http_done_fn(void *arg, const struct sx_http_answer *answer);

/* All but body (the array and the bytes) and answer is copied by sx_http_start(); these must
 * stay as they are until the callback. */
struct sx_http_request {
    const char *method;
    const char *address; /* of the node: name, IPv4, or IPv6 without brackets */
    uint16_t port;
    const char *path;  /* percent-encoded, begins with '/' */
    const char *query; /* without '?'; NULL or "" for none */
    const struct sx_header *headers; /* further ones, for example X-Sx-Op; not signed */
    size_t n_headers;
    /* SX_HTTP_JSON (the body's hash is signed) or SX_HTTP_MESSAGE; NULL: no body */
    const char *content_type;
    const struct iovec *body;
    size_t n_body;
    struct sx_buf *answer; /* emptied, then filled; its memory is reused.  NULL: thrown away */
    size_t answer_max;     /* a longer one is SX_ETOOBIG */
    int64_t clock_ms;      /* added to the local clock when signing (the server's time minus ours) */
    unsigned timeout_ms;   /* for the whole request from when it gets a connection; 0: none */
    unsigned stall_timeout_ms; /* 0: that of the engine.  For requests at which the server waits */
    sx_http_done_fn *done; /* may start further requests; must not run or free the engine */
    void *arg;
};

/* SX_ETOOMANY beyond SX_HTTP_REQUESTS_MAX; everything else is told to the callback, which is
 * never called from here. */
int sx_http_start(struct sx_http *h, const struct sx_http_request *r, struct sx_err *e)
    SX_MUST_CHECK;

/* Drives until at least one request is complete (its callback has run), nothing is in flight,
 * timeout_ms have passed, or sx_http_wake().  Returns how many completed. */
size_t sx_http_run(struct sx_http *h, unsigned timeout_ms);
/* Makes sx_http_run() of another thread return soon.  The only call that other threads may make. */
void sx_http_wake(struct sx_http *h);
size_t sx_http_in_flight(const struct sx_http *h);

/* Synchronous; `done` and `arg` are not used.  Callbacks of other requests run meanwhile.  0 for
 * 2xx, else -1 and e is answer->err.  `answer` may be NULL. */
int sx_http_call(struct sx_http *h, const struct sx_http_request *r, struct sx_http_answer *answer,
                 struct sx_err *e) SX_MUST_CHECK;

/* Completes everything that was started with SX_ECANCELED.  Connections are closed where needed. */
void sx_http_stop(struct sx_http *h);

/* PEM of the last certificate of the chain that the server of the request last completed showed;
 * NULL if none was captured. Valid until the next run. */
const char *sx_http_chain_ca(struct sx_http *h);

/* The error of which an answer's JSON object tells in its member "error"; `status` is the HTTP
 * status that belongs to it. */
void sx_http_error_read(const json_t *j, int status, struct sx_err *e);

/* Errors of an answer:
 *   the code and message of the server's JSON (docs/api.md section 1) if there is one;
 *   SX_ENET       no connection, or it broke
 *   SX_ETIMEOUT   connect, stall or whole time-out
 *   SX_ECERT      certificate not of this CA, or not for this address
 *   SX_ETOOBIG    the answer is larger than answer_max
 *   SX_ECANCELED  sx_http_stop()
 *   otherwise from the HTTP status: 401 SX_EAUTH, 403 SX_EACCESS, 404 SX_ENOTFOUND, 413 SX_ETOOBIG,
 *   429 SX_ETOOMANY, other 4xx SX_EINVAL, 504 SX_ETIMEOUT, other 5xx SX_EUNAVAIL.
 * Messages of the engine's own errors name address:port. */

#endif
