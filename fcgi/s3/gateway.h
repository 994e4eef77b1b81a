/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The S3 gateway: answers one request, from any S3 client, on the same volumes as the native API.
 */
#ifndef SX_FCGI_S3_GATEWAY_H
#define SX_FCGI_S3_GATEWAY_H

#include "fcgi/api/request.h"

void sx_s3_serve(struct sx_req *r);
/* Answers one whose head is not valid; its path is there. */
void sx_s3_refuse(struct sx_req *r, const struct sx_err *why);

#endif
