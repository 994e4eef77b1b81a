/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ca.h.
 */
#include "fcgi/ca.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/text.h"

#define SERIAL_BITS 159 /* positive, at most 20 bytes (RFC 5280 §4.1.2.2) */
#define YEAR_DAYS 365

static inline void auto_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}
static inline void auto_cert(X509 **c)
{
    X509_free(*c);
}
static inline void auto_req(X509_REQ **r)
{
    X509_REQ_free(*r);
}
static inline void auto_bio(BIO **b)
{
    BIO_free(*b);
}
#define AUTO(f) __attribute__((cleanup(f)))

/* OpenSSL's last word on what went wrong. */
static int ssl_error(struct sx_err *e, int code, const char *what)
{
    char text[256];

    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return sx_err_set(e, code, "%s: %s", what, text);
}

static void take_bio(BIO *b, struct sx_buf *out)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);

    sx_buf_add(out, p, (size_t)n);
}

static int key_to_pem(EVP_PKEY *key, struct sx_buf *out, struct sx_err *e)
{
    AUTO(auto_bio) BIO *b = BIO_new(BIO_s_secmem());

    if (!b || PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) != 1)
        return ssl_error(e, SX_EBUG, "write a private key");
    take_bio(b, out);
    return 0;
}

static int cert_to_pem(X509 *cert, struct sx_buf *out, struct sx_err *e)
{
    AUTO(auto_bio) BIO *b = BIO_new(BIO_s_mem());

    if (!b || PEM_write_bio_X509(b, cert) != 1)
        return ssl_error(e, SX_EBUG, "write a certificate");
    take_bio(b, out);
    return 0;
}

static X509 *cert_from_pem(const char *pem, struct sx_err *e)
{
    AUTO(auto_bio) BIO *b = BIO_new_mem_buf(pem, -1);
    X509 *cert = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

    if (!cert)
        ssl_error(e, SX_EMALFORMED, "read the certificate");
    return cert;
}

static int set_name(X509_NAME *name, const char *common)
{
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0);
}

static int set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    int ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
             BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

    BN_free(n);
    return ok;
}

static int set_common(X509 *cert, const char *name, int years)
{
    return X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -SX_CA_BACKDATE_S) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), years * YEAR_DAYS, 0, NULL) &&
           set_name(X509_get_subject_name(cert), name);
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    int ok;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

int sx_ca_create(const char *name, struct sx_buf *cert_pem, struct sx_buf *key_pem, struct sx_err *e)
{
    AUTO(auto_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    AUTO(auto_cert) X509 *cert = X509_new();
    char common[65]; /* ub-common-name is 64 */

    snprintf(common, sizeof common, "SX cluster %s", name);
    if (!key || !cert || !set_common(cert, common, SX_CA_YEARS) ||
        !X509_set_issuer_name(cert, X509_get_subject_name(cert)) || !X509_set_pubkey(cert, key) ||
        !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(cert, cert, NID_subject_key_identifier, "hash") || !X509_sign(cert, key, EVP_sha256()))
        return ssl_error(e, SX_EBUG, "make the cluster's certificate authority");
    if (cert_to_pem(cert, cert_pem, e) != 0)
        return -1;
    return key_to_pem(key, key_pem, e);
}

int sx_ca_request(const char *node_hex, struct sx_buf *key_pem, struct sx_buf *csr, struct sx_err *e)
{
    AUTO(auto_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    AUTO(auto_req) X509_REQ *req = X509_REQ_new();
    AUTO(auto_bio) BIO *b = BIO_new(BIO_s_mem());

    if (!key || !req || !b || !X509_REQ_set_version(req, X509_REQ_VERSION_1) ||
        !set_name(X509_REQ_get_subject_name(req), node_hex) || !X509_REQ_set_pubkey(req, key) ||
        !X509_REQ_sign(req, key, EVP_sha256()) || PEM_write_bio_X509_REQ(b, req) != 1)
        return ssl_error(e, SX_EBUG, "make the node's certificate request");
    take_bio(b, csr);
    return key_to_pem(key, key_pem, e);
}

/* Reads the request, and that whoever made it holds the key and means this node. */
static X509_REQ *read_request(const char *csr, const char *node_hex, struct sx_err *e)
{
    AUTO(auto_bio) BIO *b = BIO_new_mem_buf(csr, -1);
    AUTO(auto_req) X509_REQ *req = b ? PEM_read_bio_X509_REQ(b, NULL, NULL, NULL) : NULL;
    X509_REQ *good;
    char common[65] = "";

    if (!req) {
        ssl_error(e, SX_EMALFORMED, "read the certificate request");
        return NULL;
    }
    if (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) != 1) {
        ssl_error(e, SX_EMALFORMED, "the certificate request is not signed by its key");
        return NULL;
    }
    X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(req), NID_commonName, common, sizeof common);
    if (strcmp(common, node_hex) != 0) {
        sx_err_set(e, SX_EMALFORMED, "the certificate request is for '%s', not for node %s", common, node_hex);
        return NULL;
    }
    good = req;
    req = NULL;
    return good;
}

/* The value of subjectAltName.  An address that could carry another name into it is refused. */
static int alt_names(char *out, size_t size, const char *node_hex, const char *address, struct sx_err *e)
{
    struct in6_addr a;
    bool ip = inet_pton(AF_INET, address, &a) == 1 || inet_pton(AF_INET6, address, &a) == 1;

    if (!ip && (!address[0] || strspn(address, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") !=
                                   strlen(address)))
        return sx_err_set(e, SX_EINVAL, "address '%s' is neither an IP address nor a DNS name", address);
    snprintf(out, size, "%s:%s,DNS:%s", ip ? "IP" : "DNS", address, node_hex);
    return 0;
}

int sx_ca_sign(const char *ca_cert, const char *ca_key, const char *csr, const char *node_hex,
               const char *address, struct sx_buf *out, struct sx_err *e)
{
    AUTO(auto_cert) X509 *issuer = cert_from_pem(ca_cert, e), *cert = X509_new();
    AUTO(auto_bio) BIO *b = BIO_new_mem_buf(ca_key, -1);
    AUTO(auto_key) EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
    AUTO(auto_req) X509_REQ *req = issuer ? read_request(csr, node_hex, e) : NULL;
    char names[400];

    if (!req || alt_names(names, sizeof names, node_hex, address, e) != 0)
        return -1;
    if (!key || !cert || !set_common(cert, node_hex, SX_CA_NODE_YEARS) ||
        !X509_set_issuer_name(cert, X509_get_subject_name(issuer)) ||
        !X509_set_pubkey(cert, X509_REQ_get0_pubkey(req)) ||
        !add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(cert, issuer, NID_ext_key_usage, "serverAuth,clientAuth") ||
        !add_extension(cert, issuer, NID_subject_alt_name, names) ||
        !add_extension(cert, issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(cert, issuer, NID_authority_key_identifier, "keyid") ||
        !X509_sign(cert, key, EVP_sha256()))
        return ssl_error(e, SX_EBUG, "sign the node's certificate");
    return cert_to_pem(cert, out, e);
}

int sx_ca_fingerprint(const char *pem, char out[SX_CA_FINGERPRINT_HEX + 1], struct sx_err *e)
{
    AUTO(auto_cert) X509 *cert = cert_from_pem(pem, e);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;

    if (!cert)
        return -1;
    if (X509_digest(cert, EVP_sha256(), digest, &n) != 1)
        return ssl_error(e, SX_EBUG, "digest of a certificate");
    sx_hex(out, digest, n);
    return 0;
}
