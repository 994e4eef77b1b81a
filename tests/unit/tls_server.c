/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See tls_server.h.
 */
#include "tests/unit/tls_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/mem.h"

#define BODY_MAX (64u << 20)

struct tls_server {
    SSL_CTX *ctx;
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_uint accepted, open, most_open;
    atomic_int client_cert;
};

struct connection {
    struct tls_server *server;
    int fd;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX v3;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
    sx_assert(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static X509 *make_cert(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
    X509_set_pubkey(cert, key);
    if (issuer)
        add_extension(cert, issuer, NID_subject_alt_name, "IP:127.0.0.1");
    else
        add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    sx_assert(X509_sign(cert, issuer_key, EVP_sha256()));
    return cert;
}

static FILE *create(const char *dir, const char *name)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    sx_assert(f);
    return f;
}

static void save_cert(const char *dir, const char *name, X509 *cert)
{
    FILE *f = create(dir, name);

    sx_assert(PEM_write_X509(f, cert) && fclose(f) == 0);
}

static void make_ctx(struct tls_server *s, const char *dir)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = make_cert(ca_key, "test CA", NULL, ca_key);
    X509 *other = make_cert(key, "other CA", NULL, key);
    X509 *cert = make_cert(key, "node", ca, ca_key);
    FILE *f = create(dir, "node.key");

    sx_assert(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) && fclose(f) == 0);
    save_cert(dir, "ca.pem", ca);
    save_cert(dir, "other-ca.pem", other);
    save_cert(dir, "node.pem", cert);
    s->ctx = SSL_CTX_new(TLS_server_method());
    sx_assert(SSL_CTX_use_certificate(s->ctx, cert) && SSL_CTX_use_PrivateKey(s->ctx, key));
    sx_assert(SSL_CTX_add1_chain_cert(s->ctx, ca));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), ca);
    SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_id_context(s->ctx, (const unsigned char *)"test", 4);
    X509_free(ca);
    X509_free(other);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

/* Head and body of the next request; false at the end of the connection. */
static bool read_request(SSL *ssl, struct sx_buf *head, struct sx_buf *body)
{
    const char *length;
    size_t n;

    sx_buf_reset(head);
    sx_buf_reset(body);
    while (head->len < 4 || memcmp(head->data + head->len - 4, "\r\n\r\n", 4) != 0)
        if (SSL_read(ssl, sx_buf_reserve(head, 1), 1) != 1 || head->len > 65536)
            return false;
        else
            head->len++;
    length = strcasestr(sx_buf_cstr(head), "\r\nContent-Length:");
    n = length ? strtoul(length + 17, NULL, 10) : 0;
    sx_assert(n <= BODY_MAX);
    while (body->len < n) {
        int got = SSL_read(ssl, sx_buf_reserve(body, n - body->len), (int)(n - body->len));

        if (got <= 0)
            return false;
        body->len += (size_t)got;
    }
    return true;
}

static bool send_answer(SSL *ssl, const char *status, const char *headers, const void *body,
                        size_t n)
{
    SX_AUTO_FREE char *head =
        sx_asprintf("HTTP/1.1 %s\r\nContent-Length: %zu\r\nX-Sx-Request: r-1\r\n%s\r\n",
                                          status, n, headers);

    return SSL_write(ssl, head, (int)strlen(head)) > 0 && (!n || SSL_write(ssl, body, (int)n) > 0);
}

static bool answer(SSL *ssl, struct sx_buf *head, struct sx_buf *body)
{
    static const char missing[] =
        "{\"error\":{\"code\":\"NoSuchVolume\",\"message\":\"volume 'v' does not exist\","
                                  "\"request\":\"r-1\"}}";
    static const char corrupt[] = "{\"error\":{\"code\":\"Corrupt\",\"message\":\"page 7\"}}";
    static const char skewed[] = "{\"error\":{\"code\":\"ClockSkew\",\"message\":\"set it\"}}";
    const char *path = strchr(sx_buf_cstr(head), ' ') + 1;

    if (strncmp(path, "/old", 4) == 0 &&
        (path[4] == 'e' || !strcasestr(path, "\r\nx-amz-date: 20010203T0405")))
        return send_answer(ssl, "401 Skew", "Date: Sat, 03 Feb 2001 04:05:06 GMT\r\n", skewed,
                           strlen(skewed));
    if (strncmp(path, "/jumps", 6) == 0 && !strcasestr(path, "\r\nx-amz-date: 20020203T0405"))
        return send_answer(ssl, "401 Skew",
                           strcasestr(path, "\r\nx-amz-date: 20010203T0405") ?
                               "Date: Sun, 03 Feb 2002 04:05:06 GMT\r\n" :
                               "Date: Sat, 03 Feb 2001 04:05:06 GMT\r\n",
                           skewed, strlen(skewed));
    if (strncmp(path, "/zero/", 6) == 0) {
        sx_buf_reset(body);
        memset(sx_buf_extend(body, strtoul(path + 6, NULL, 10)), 0, strtoul(path + 6, NULL, 10));
        return send_answer(ssl, "200 OK", "", body->data, body->len);
    }
    if (strncmp(path, "/head", 5) == 0 || strncmp(path, "/jumps", 6) == 0)
        return send_answer(ssl, "200 OK", "", head->data, head->len);
    if (strncmp(path, "/missing", 8) == 0)
        return send_answer(ssl, "404 Not Found", "", missing, strlen(missing));
    if (strncmp(path, "/corrupt", 8) == 0)
        return send_answer(ssl, "500 Corrupt", "", corrupt, strlen(corrupt));
    if (strncmp(path, "/busy", 5) == 0)
        return send_answer(ssl, "503 Busy", "Retry-After: 7\r\n", "<html>", 6);
    if (strncmp(path, "/stall", 6) == 0) {
        char c;

        return SSL_read(ssl, &c, 1) == 1;
    }
    if (strncmp(path, "/drop", 5) == 0)
        return false;
    return send_answer(ssl, "200 OK", "", body->data, body->len) && strncmp(path, "/once", 5) != 0;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct tls_server *s = c->server;
    SX_AUTO(sx_buf) struct sx_buf head = SX_BUF_INIT, body = SX_BUF_INIT;
    SSL *ssl = SSL_new(s->ctx);

    SSL_set_fd(ssl, c->fd);
    if (SSL_accept(ssl) == 1) {
        atomic_store(&s->client_cert, SSL_get0_peer_certificate(ssl) != NULL);
        while (read_request(ssl, &head, &body) && answer(ssl, &head, &body))
            ;
    }
    SSL_free(ssl);
    close(c->fd);
    free(c);
    atomic_fetch_sub(&s->open, 1);
    return NULL;
}

static void *accept_loop(void *arg)
{
    struct tls_server *s = arg;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        struct connection *c = sx_calloc(1, sizeof *c);
        unsigned open = atomic_fetch_add(&s->open, 1) + 1;
        pthread_t t;

        if (open > atomic_load(&s->most_open))
            atomic_store(&s->most_open, open);
        atomic_fetch_add(&s->accepted, 1);
        c->server = s;
        c->fd = fd;
        sx_assert(pthread_create(&t, NULL, serve, c) == 0);
        pthread_detach(t);
    }
    return NULL;
}

struct tls_server *tls_server_new(const char *dir)
{
    struct tls_server *s = sx_calloc(1, sizeof *s);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;

    make_ctx(s, dir);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    sx_assert(bind(s->listener, (struct sockaddr *)&a, sizeof a) == 0 &&
              listen(s->listener, 128) == 0);
    sx_assert(getsockname(s->listener, (struct sockaddr *)&a, &n) == 0);
    s->port = ntohs(a.sin_port);
    sx_assert(pthread_create(&s->thread, NULL, accept_loop, s) == 0);
    return s;
}

void tls_server_free(struct tls_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    for (int i = 0; i < 500 && atomic_load(&s->open); i++)
        usleep(10000);
    sx_assert(atomic_load(&s->open) == 0);
    SSL_CTX_free(s->ctx);
    free(s);
}

uint16_t tls_server_port(const struct tls_server *s)
{
    return s->port;
}

unsigned tls_server_connections(struct tls_server *s)
{
    return atomic_load(&s->accepted);
}

unsigned tls_server_most_open(struct tls_server *s)
{
    return atomic_load(&s->most_open);
}

int tls_server_saw_client_cert(struct tls_server *s)
{
    return atomic_load(&s->client_cert);
}
