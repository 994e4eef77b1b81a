/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Signatures of requests, whatever their kind: read into one claim, then verified with the secret
 * of the claimed access key.
 *
 *   kind        where it is                              what is signed
 *   V4_HEADER   Authorization: AWS4-HMAC-SHA256 …        method, path, query, listed headers, payload
 *   V4_QUERY    ?X-Amz-Algorithm=…&X-Amz-Signature=…     the same, for X-Amz-Expires seconds
 *   V4_POST     form fields x-amz-algorithm, …           the policy document
 *   V2_HEADER   Authorization: AWS key:signature         method, path, x-amz- headers, subresources
 *   V2_QUERY    ?AWSAccessKeyId=…&Signature=…            the same, until Expires
 *   V2_POST     form fields AWSAccessKeyId, signature    the policy document
 *   ANONYMOUS   none of these                            nothing
 *
 * Use: sx_sig_read() (or sx_sig_read_form()); look for the secret of claim.access_key unless
 * the claim is anonymous; sx_sig_verify().  Neither reads the body: that it is what was signed
 * is the duty of who reads it, by claim.payload (fcgi/s3/payload.h does it for all modes).
 *
 * Errors are SX_EAUTH, or SX_ECLOCK when only the time is wrong; claim.fault tells the kinds of
 * failure apart.  Source: "Authenticating Requests (AWS Signature Version 4)" and "Signing and
 * authenticating REST requests (AWS signature version 2)", S3 API Reference and User Guide.
 */
#ifndef SX_AUTH_SIG_H
#define SX_AUTH_SIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

#define SX_SIG_PARAMS_MAX 64         /* of a query */
#define SX_SIG_SKEW_MS (15 * 60 * 1000)
#define SX_SIG_EXPIRES_MAX_S (7 * 24 * 3600) /* of a V4 query */
#define SX_SIG_SHA256 32
#define SX_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct sx_header {
    const char *name;  /* any case */
    const char *value;
};

/* The value of the first header of that name (in any case), or NULL. */
const char *sx_header_find(const struct sx_header *headers, size_t n, const char *name);

/* A request as it is signed.  `path` and `query` are as sent (percent-encoded; the query
 * without '?'); headers are those that take part, for the verifier all of the request. */
struct sx_sig_request {
    const char *method;
    const char *path;
    const char *query;
    const struct sx_header *headers;
    size_t n_headers;
    /* value of x-amz-content-sha256: hex SHA-256 of the body, or SX_UNSIGNED_PAYLOAD; used
     * by sx_sigv4_sign() and sx_sigv4_verify() only */
    const char *payload;
    /* In queries of the S3 API '+' is a space; in the native API it is itself. */
    bool plus_is_space;
};

enum sx_sig_kind {
    SX_SIG_ANONYMOUS,
    SX_SIG_V4_HEADER,
    SX_SIG_V4_QUERY,
    SX_SIG_V4_POST,
    SX_SIG_V2_HEADER,
    SX_SIG_V2_QUERY,
    SX_SIG_V2_POST
};

/* What the body must be, from x-amz-content-sha256. */
enum sx_sig_payload {
    SX_PAYLOAD_UNSIGNED,        /* UNSIGNED-PAYLOAD, or nothing said */
    SX_PAYLOAD_SHA256,          /* its SHA-256 is claim.body_sha256 */
    SX_PAYLOAD_CHUNKS,          /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
    SX_PAYLOAD_CHUNKS_TRAILER,  /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER */
    SX_PAYLOAD_TRAILER          /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
};

enum sx_sig_fault {
    SX_SIG_GOOD,
    SX_SIG_MALFORMED,   /* the signature's fields cannot be read */
    SX_SIG_UNSUPPORTED, /* a scheme or algorithm that is none of the above (V4A, Basic) */
    SX_SIG_CONFLICT,    /* more than one kind in one request */
    SX_SIG_NO_DATE,     /* neither x-amz-date nor Date, or not a date */
    SX_SIG_PAYLOAD,     /* x-amz-content-sha256 is missing, no such value, or not with this kind */
    SX_SIG_SCOPE,       /* another region, service or day in the credential */
    SX_SIG_UNSIGNED,    /* a header that must be signed is not, or one that is signed was not sent */
    SX_SIG_SKEWED,      /* signed more than SX_SIG_SKEW_MS before or after now */
    SX_SIG_NOT_YET,     /* query: signed in the future, beyond the allowed skew */
    SX_SIG_EXPIRED,     /* query: its time is over */
    SX_SIG_EXPIRES,     /* query: X-Amz-Expires or Expires is out of its range */
    SX_SIG_MISMATCH     /* the signature is another */
};

/* What a request says of itself.  All text is held by the struct. */
struct sx_sig_claim {
    enum sx_sig_kind kind;
    enum sx_sig_payload payload;
    enum sx_sig_fault fault;   /* of the last call that failed */
    char access_key[129];      /* "" if anonymous */
    char date[9];              /* V4: YYYYMMDD, region and service are the scope */
    char region[65];
    char service[65];
    char signed_headers[1025]; /* V4: lower case, sorted, separated by ';' */
    char signature[65];        /* V4: 64 hex digits; V2: base64 of 20 bytes */
    char amz_date[17];         /* V4: as it is signed */
    char payload_text[65];     /* V4: the last line of the canonical request */
    uint64_t signed_ms;        /* when it was signed; 0: V2_QUERY and the forms do not say */
    uint64_t expires_ms;       /* queries: the last moment it is good; else 0 */
    uint8_t body_sha256[SX_SIG_SHA256];
    /* After sx_sig_verify() of a V4 kind: what the signatures of chunks start from. */
    uint8_t seed[SX_SIG_SHA256];
    uint8_t key[SX_SIG_SHA256];
};

/* Finds and reads the signature of a request; one without any is anonymous, and good. */
int sx_sig_read(const struct sx_sig_request *r, struct sx_sig_claim *c, struct sx_err *e)
    SX_MUST_CHECK;

/* The fields of a POST form that matter; NULL if it has no such field. */
struct sx_sig_form {
    const char *policy;     /* as sent: base64 */
    const char *algorithm;  /* x-amz-algorithm */
    const char *credential; /* x-amz-credential */
    const char *date;       /* x-amz-date */
    const char *signature;  /* x-amz-signature */
    const char *v2_key;       /* AWSAccessKeyId */
    const char *v2_signature; /* signature */
};

int sx_sig_read_form(const struct sx_sig_form *f, struct sx_sig_claim *c, struct sx_err *e)
    SX_MUST_CHECK;

struct sx_sigkeys;

/* With what a claim is verified. */
struct sx_sig_check {
    const char *secret;
    uint64_t now_ms;
    /* Regions that a credential may name, ended by NULL; NULL: any.  The first is told in errors. */
    const char *const *regions;
    const char *service; /* "s3" */
    /* Further values of Host to try after the one sent, ended by NULL; NULL: none.  For proxies that
     * change Host: the configured external name, X-Forwarded-Host of a trusted peer. */
    const char *const *hosts;
    const char *vhost_bucket;   /* V2: the bucket that the host name stands for, or NULL */
    const char *policy;         /* the forms: the policy field, as sent */
    struct sx_sigkeys *keys;    /* a cache (sigkey.h), or NULL */
};

/* Verifies a claim that is not anonymous, in constant time where the secret is compared.  Of the
 * V4 kinds host and all x-amz- headers of the request must be signed: else the holder of a
 * presigned URL could add x-amz-copy-source to it.  (Only the query kind may have an unsigned
 * x-amz-content-sha256.) */
int sx_sig_verify(struct sx_sig_claim *c, const struct sx_sig_request *r,
                  const struct sx_sig_check *k, struct sx_err *e) SX_MUST_CHECK;

/* The signature of a chunk, from that of the chunk before (the first: claim.seed), and of the
 * trailer ("name:value\n" for each line) after the last chunk.  Of a verified V4_HEADER claim. */
void sx_sig_chunk(const struct sx_sig_claim *c, const uint8_t before[SX_SIG_SHA256],
                  const uint8_t data_sha256[SX_SIG_SHA256], uint8_t out[SX_SIG_SHA256]);
void sx_sig_trailer(const struct sx_sig_claim *c, const uint8_t before[SX_SIG_SHA256],
                    const uint8_t text_sha256[SX_SIG_SHA256], uint8_t out[SX_SIG_SHA256]);

/* Names for logs: "V4 header", … */
const char *sx_sig_kind_text(enum sx_sig_kind kind);

#endif
