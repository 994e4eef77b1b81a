/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See tls.h.
 */
#include "fcgi/meta/manager/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "fcgi/conf.h"
#include "libsx/base/mem.h"

static int ctx_error(struct sx_err *e, const char *path)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return sx_err_set(e, SX_ECONFIG, "TLS: %s: %s", path, reason ? reason : "unusable");
}

static int load(SSL_CTX *c, const char *dir, struct sx_err *e)
{
    SX_AUTO_FREE char *ca = sx_asprintf("%s/tls/ca.pem", dir);
    SX_AUTO_FREE char *cert = sx_asprintf("%s/tls/node.pem", dir);
    SX_AUTO_FREE char *key = sx_asprintf("%s/tls/node.key", dir);

    if (SSL_CTX_load_verify_locations(c, ca, NULL) != 1)
        return ctx_error(e, ca);
    if (SSL_CTX_use_certificate_chain_file(c, cert) != 1)
        return ctx_error(e, cert);
    if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(c) != 1)
        return ctx_error(e, key);
    return 0;
}

SSL_CTX *sx_tls_context(const char *dir, struct sx_err *e)
{
    SSL_CTX *c = SSL_CTX_new(TLS_method());

    if (!c) {
        ctx_error(e, dir);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_AUTO_RETRY);
    if (load(c, dir, e)) {
        SSL_CTX_free(c);
        return NULL;
    }
    return c;
}

int sx_tls_peer(const SSL *ssl, uint64_t *id, struct sx_err *e)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    char cn[SX_NODE_HEX + 2];
    int n;

    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return sx_err_set(e, SX_ECERT, "no verified certificate");
    n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof cn);
    if (n != SX_NODE_HEX || sx_node_id_parse(cn, id))
        return sx_err_set(e, SX_ECERT, "the certificate's common name is not a node's id");
    return 0;
}

int sx_tls_error(const SSL *ssl, const char *what, struct sx_err *e)
{
    long verify = SSL_get_verify_result(ssl);
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    int errnum = errno;

    ERR_clear_error();
    if (verify != X509_V_OK)
        return sx_err_set(e, SX_ECERT, "%s: certificate: %s", what,
                          X509_verify_cert_error_string(verify));
    if (!reason && errnum)
        return sx_err_errno(e, errnum, "%s", what);
    return sx_err_set(e, SX_ENET, "%s: %s", what, reason ? reason : "connection closed");
}
