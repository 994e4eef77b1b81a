/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What went wrong with a request, in our error codes.  Internal to libsx/http.
 */
#ifndef SX_HTTP_FAILURE_H
#define SX_HTTP_FAILURE_H

#include <curl/curl.h>
#include <stddef.h>

#include "libsx/base/err.h"

/* There is no (whole) answer.  `detail` is libcurl's own text or empty; `node` is address:port. */
void sx_http_fail_transport(struct sx_err *e, CURLcode code, const char *detail, const char *node);
/* There is an answer with a status other than 2xx. */
void sx_http_fail_status(struct sx_err *e, int status, const void *body, size_t n,
                         const char *node);

#endif
