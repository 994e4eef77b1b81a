/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See failure.h and the list at the end of http.h.
 */
#include "libsx/http/failure.h"

#include <string.h>

#include "libsx/http/http.h"

static const struct {
    CURLcode curl;
    int code;
    const char *advice;
} transport[] = {
    { CURLE_COULDNT_RESOLVE_HOST, SX_ENET, "check the name" },
    { CURLE_COULDNT_CONNECT, SX_ENET, "check that the node runs and that the port is right" },
    { CURLE_OPERATION_TIMEDOUT, SX_ETIMEOUT, "check the node and the network, then try again" },
    { CURLE_SSL_CONNECT_ERROR, SX_ENET, "check that address and port are those of a node" },
    { CURLE_PEER_FAILED_VERIFICATION, SX_ECERT,
      "it may not be a node of this cluster; if the cluster is a new one, make the profile again" },
    { CURLE_SSL_ISSUER_ERROR, SX_ECERT, "it may not be a node of this cluster" },
    { CURLE_SSL_CACERT_BADFILE, SX_ECERT, "check the file with the cluster's CA certificate" },
    { CURLE_SSL_CERTPROBLEM, SX_ECERT, "check the node's own certificate and key" },
    { CURLE_OUT_OF_MEMORY, SX_ENOMEM, "try again later" },
};

void sx_http_fail_transport(struct sx_err *e, CURLcode code, const char *detail, const char *node)
{
    const char *reason = detail[0] ? detail : curl_easy_strerror(code);
    const char *advice = "try again";
    int ours = SX_ENET;

    for (size_t i = 0; i < sizeof transport / sizeof transport[0]; i++) {
        if (transport[i].curl == code) {
            ours = transport[i].code;
            advice = transport[i].advice;
        }
    }
    sx_err_set(e, ours, "node %s: %s; %s", node, reason, advice);
}

static int code_of_status(int status)
{
    switch (status) {
    case 401:
        return SX_EAUTH;
    case 403:
        return SX_EACCESS;
    case 404:
        return SX_ENOTFOUND;
    case 413:
        return SX_ETOOBIG;
    case 429:
        return SX_ETOOMANY;
    case 504:
        return SX_ETIMEOUT;
    default:
        return status >= 400 && status < 500 ? SX_EINVAL : SX_EUNAVAIL;
    }
}

void sx_http_error_read(const json_t *j, int status, struct sx_err *e)
{
    const json_t *error = json_object_get(j, "error");
    const char *name, *message;
    int code;

    if (!json_is_object(error) || sx_json_need_str(error, "code", &name, NULL) ||
        sx_json_str(error, "message", "", &message, NULL)) {
        sx_err_set(e, code_of_status(status), "the cluster answered with status %d", status);
        return;
    }
    code = sx_err_from_name(name);
    if (code == SX_OK || (code == SX_EBUG && strcmp(name, sx_err_name(SX_EBUG)) != 0))
        code = code_of_status(status); /* from a newer server */
    sx_err_set(e, code, "%s", message[0] ? message : sx_err_text(code));
}

void sx_http_fail_status(struct sx_err *e, int status, const void *body, size_t n, const char *node)
{
    SX_AUTO_JSON json_t *j = n ? sx_json_parse(body, n, NULL) : NULL;

    if (json_object_get(j, "error"))
        sx_http_error_read(j, status, e);
    else
        sx_err_set(e, code_of_status(status), "node %s answered with HTTP status %d", node, status);
}
