/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the operations of the client library share.
 */
#ifndef SX_CLIENT_OPS_H
#define SX_CLIENT_OPS_H

#include "libsx/client/internal.h"

/* Waits for the job that an answer {"job":…} names. */
int sx_job_wait(struct sx_cluster *k, const json_t *started, struct sx_job_result *r,
                struct sx_err *e) SX_MUST_CHECK;

/* Reads the object F of the API; strings stay owned by it. */
int sx_file_read(const json_t *j, struct sx_file_info *f, struct sx_err *e) SX_MUST_CHECK;

#endif
