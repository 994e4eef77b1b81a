/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ping.h.
 */
#include "sxhttpd/ping.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libsx/base/mem.h"

#define ANSWER_MAX 4096

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct sx_buf *b = arg;

    if (b->len + size * n > ANSWER_MAX)
        return 0;
    sx_buf_add(b, p, size * n);
    return size * n;
}

static bool is_ip(const char *address)
{
    struct in6_addr a;

    return inet_pton(AF_INET, address, &a) == 1 || inet_pton(AF_INET6, address, &a) == 1;
}

/* Is it this node that answered, and not another program or node on the port? */
static int check_answer(const struct sx_node_conf *c, const struct sx_buf *body, long status,
                        struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = NULL;
    const char *node;

    if (status != 200)
        return sx_err_set(e, SX_EUNAVAIL, "%s port %u answers with status %ld", c->address, c->port, status);
    j = sx_json_parse(body->data, body->len, e);
    if (!j || sx_json_need_str(j, "node", &node, e) != 0)
        return sx_err_wrap(e, "answer of %s port %u", c->address, c->port);
    if (strcmp(node, c->node_hex) != 0)
        return sx_err_set(e, SX_EUNAVAIL, "%s port %u is answered by node %.16s, not by %s", c->address,
                          c->port, node, c->node_hex);
    return 0;
}

int sx_httpd_ping(const struct sx_node_conf *c, unsigned timeout_ms, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT;
    SX_AUTO_FREE char *url = sx_asprintf(strchr(c->address, ':') ? "https://[%s]:%u/.sx/v1/ping" :
                                                                   "https://%s:%u/.sx/v1/ping",
                                         c->address, c->port);
    SX_AUTO_FREE char *ca = sx_asprintf("%s/tls/ca.pem", c->dir);
    /* A node with a name listens on all addresses; the name may lead elsewhere than to this machine. */
    SX_AUTO_FREE char *local = sx_asprintf("%s:%u:127.0.0.1", c->address, c->port);
    struct curl_slist *resolve = is_ip(c->address) ? NULL : curl_slist_append(NULL, local);
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *h = curl_easy_init();
    CURLcode code;

    sx_assert(h != NULL);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_CAINFO, ca);
    curl_easy_setopt(h, CURLOPT_RESOLVE, resolve);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &body);
    code = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    curl_slist_free_all(resolve);
    if (code != CURLE_OK)
        return sx_err_set(e, code == CURLE_OPERATION_TIMEDOUT ? SX_ETIMEOUT : SX_ENET, "%s",
                          why[0] ? why : curl_easy_strerror(code));
    return check_answer(c, &body, status, e);
}

static int try_bind(const struct addrinfo *ai, const char *address, unsigned port, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return sx_err_errno(e, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 1) == 0)
        return 0;
    switch (errno) {
    case EADDRINUSE:
        return sx_err_set(e, SX_ECONFIG, "port %u of %s is in use by another program; choose another one",
                          port, address);
    case EADDRNOTAVAIL:
        return sx_err_set(e, SX_ECONFIG, "%s is not an address of this machine", address);
    case EACCES:
        return sx_err_set(e, SX_ECONFIG, "port %u needs root; choose one above 1023", port);
    default:
        return sx_err_errno(e, errno, "listen on %s port %u", address, port);
    }
}

int sx_httpd_port_free(const char *address, unsigned port, struct sx_err *e)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *list;
    char service[12];
    int code, result;

    snprintf(service, sizeof service, "%u", port);
    code = getaddrinfo(is_ip(address) ? address : NULL, service, &hints, &list);
    if (code != 0)
        return sx_err_set(e, SX_ECONFIG, "address %s: %s", address, gai_strerror(code));
    result = try_bind(list, address, port, e);
    freeaddrinfo(list);
    return result;
}
