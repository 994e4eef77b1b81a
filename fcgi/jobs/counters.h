/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of jobs/: what the managers publish with.  Reading is in collector.h and transfer.h.
 */
#ifndef SX_FCGI_JOBS_COUNTERS_H
#define SX_FCGI_JOBS_COUNTERS_H

#include "fcgi/jobs/collector.h"
#include "fcgi/jobs/transfer.h"

/* Names of the files under run/ that ask for work. */
#define SX_COLLECTOR_POKE "collect"
#define SX_TRANSFER_POKE "transfer"

void sx_collector_publish(const char *dir, struct sx_collector_counters *c);
void sx_transfer_publish(const char *dir, struct sx_transfer_counters *c);

#endif
