/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What several handlers need.
 */
#ifndef SX_FCGI_API_COMMON_H
#define SX_FCGI_API_COMMON_H

#include "fcgi/api/handlers.h"
#include "fcgi/api/reply.h"
#include "libsx/codec/record.h"

/* SX_ETOOBIG if a command is too large to be submitted. */
int sx_do_command_fits(const struct sx_buf *command, struct sx_err *e) SX_MUST_CHECK;
/* Submits a command to the cluster's group. */
int sx_do_submit(struct sx_req *r, const struct sx_buf *command, struct sx_buf *result,
                 struct sx_err *e) SX_MUST_CHECK;

/* The volume, if the user has the rights `need` on it.  For requests that did not bring the
 * local database into step: a refusal is looked at again after a sync, since volume or right may
 * be a moment old. */
int sx_do_volume(struct sx_req *r, const char *name, unsigned need, struct sx_volume *v,
                 struct sx_err *e) SX_MUST_CHECK;

/* F with `status`, or 200 if unchanged, from the result of a command on a file. */
int sx_do_reply_file(struct sx_req *r, int status, const struct sx_buf *result,
                     struct sx_err *e) SX_MUST_CHECK;
/* 202 with the job's id, which is the result of a job_create command. */
int sx_do_reply_job(struct sx_req *r, const struct sx_buf *result, struct sx_err *e) SX_MUST_CHECK;

/* 16 hex digits; `what` names it in the message. */
int sx_do_hex64(const char *text, const char *what, uint64_t *v, struct sx_err *e) SX_MUST_CHECK;
/* A signed number of a JSON object, 0 if missing. */
int sx_do_i64(const json_t *j, const char *name, int64_t *v, struct sx_err *e) SX_MUST_CHECK;
/* The object member `name`; SX_EINVAL if it is missing or no object.  Borrowed. */
int sx_do_object(const json_t *j, const char *name, json_t **o, struct sx_err *e) SX_MUST_CHECK;

/* n bytes that depend on the operation id and on `what`, secret to those who do not have the
 * cluster's key: so the repetition of a request on any node makes the same key, token or id
 * again.  n at most 64. */
void sx_do_derive(const struct sx_req *r, const char *what, uint8_t *out, size_t n);

/* Decodes each and compares its content with its id.  plain_len[i] (may be NULL) gets the plain
 * lengths.  SX_EBLOCK names id and position. */
int sx_do_verify(struct sx_req *r, const struct sx_record *recs, size_t n, uint32_t *plain_len,
                 struct sx_err *e) SX_MUST_CHECK;

#endif
