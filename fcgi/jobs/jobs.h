/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The job manager: carries out the long work that users ask for (recursive delete and rename,
 * removal of a volume with its files) and lifecycle rules (lifecycle.h), and has the metadata tidied
 * up once a minute.  Every node runs one; only that of the leader does these.  Each counts the space of its node (count.h).
 */
#ifndef SX_FCGI_JOBS_JOBS_H
#define SX_FCGI_JOBS_JOBS_H

#include "fcgi/conf.h"

#define SX_JOBS_POLL_MS 200        /* how often it looks for work */
#define SX_JOBS_AT_ONCE 16         /* jobs that advance in turn; the others wait */
#define SX_JOBS_STEP_FILES 500     /* files in one step: some ms of the state machine's time */
#define SX_JOBS_ROUNDS 100         /* steps of each before new jobs and the leader are looked at */
#define SX_JOBS_EXPIRE_MS 60000    /* between two clean-ups, if nothing waits for one */
#define SX_JOBS_RETRY_MS 5000      /* after one that failed */
#define SX_JOBS_EXPIRE_ROWS 2000   /* in one command */

/* Runs until SIGTERM or until stop_fd reports end of file; its exit status.  In a fresh process
 * only. */
int sx_jobs_main(const struct sx_node_conf *conf, int stop_fd);

#endif
