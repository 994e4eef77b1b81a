/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers.  Each request gets exactly one, from one of these.
 */
#ifndef SX_FCGI_API_REPLY_H
#define SX_FCGI_API_REPLY_H

#include "fcgi/api/request.h"

#define SX_TYPE_JSON "application/json"
#define SX_TYPE_MESSAGE "application/x-sx"

/* Answers with j, whose reference is taken.  0, so that a handler can end with it. */
int sx_reply_json(struct sx_req *r, int status, json_t *j);
/* Answers with a message: j (taken), then the parts. */
struct sx_part {
    const void *p;
    size_t n;
};
int sx_reply_message(struct sx_req *r, int status, json_t *j, const struct sx_part *parts,
                     unsigned n_parts);

/* An answer in pieces; length < 0: not known.  What cannot be written (the client is gone) is
 * noted in the request and forgotten. */
/* `fields`: a run of "Name: value\r\n". */
void sx_reply_head(struct sx_req *r, int status, const char *fields);
void sx_reply_begin(struct sx_req *r, int status, const char *type, int64_t length);
void sx_reply_write(struct sx_req *r, const void *p, size_t n);
/* What was written so far goes to the client now. */
void sx_reply_flush(struct sx_req *r);
/* An answer that has begun and cannot be ended: the client's connection ends at once, so that it sees that
 * the body is short. */
void sx_reply_cut(struct sx_req *r);

/* The words of a status (RFC 9110, section 15). */
const char *sx_reply_reason(int status);

/* The error as JSON, {"code","message","request"}.  Details of errors that are no affair of the
 * client (paths, SQL) stay in the log. */
json_t *sx_reply_error_json(struct sx_req *r, const struct sx_err *e);
/* Answers with it. */
void sx_reply_error(struct sx_req *r, const struct sx_err *e);

#endif
