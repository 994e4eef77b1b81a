/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One request on its way: the copies it needs, the easy handle, the body's reading position.
 * Internal to libsx/http.
 */
#ifndef SX_HTTP_TRANSFER_H
#define SX_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "libsx/http/http.h"
#include "libsx/http/limit.h"

/* The engine's configuration with the defaults filled in. */
struct sx_http_settings {
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *access_key;
    char *secret;
    char *user_agent;
    unsigned per_node;
    unsigned connect_timeout_ms;
    unsigned stall_timeout_ms;
    struct sx_http_limit limit;
    CURLSH *share;
};

struct sx_http_transfer {
    TAILQ_ENTRY(sx_http_transfer) link;
    struct sx_http_request r; /* strings are ours, see `strings`; headers are in `list` */
    char *strings[5];
    char *node; /* address:port, as in URL and host header */
    struct curl_slist *list;
    CURL *easy; /* NULL while waiting */
    size_t body_len;
    size_t piece, piece_at; /* next byte of the body */
    struct sx_http_limit *limit;
    bool paused; /* by the limit */
    uint64_t moved_ms; /* monotonic: when a byte was last sent or received */
    unsigned stall_ms; /* so long without one ends the transfer */
    bool too_big;
    struct sx_buf own; /* the answer, if the caller wants none */
    char detail[CURL_ERROR_SIZE];
};

struct sx_http_transfer *sx_http_transfer_new(const struct sx_http_request *r);
void sx_http_transfer_free(struct sx_http_transfer *t);

/* Signs the request and prepares `easy`, which is fresh or reset. */
void sx_http_transfer_begin(struct sx_http_transfer *t, CURL *easy, struct sx_http_settings *s);
/* What came of it; all but answer->body. */
void sx_http_transfer_end(struct sx_http_transfer *t, CURLcode code, struct sx_http_answer *answer);
/* Goes on if the limit has stopped it. */
void sx_http_transfer_resume(struct sx_http_transfer *t);
/* Replaces `pem` by the last certificate of the server's chain, if there is one. */
void sx_http_transfer_chain_ca(struct sx_http_transfer *t, struct sx_buf *pem);

#endif
