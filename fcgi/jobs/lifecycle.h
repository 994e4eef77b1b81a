/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Carries out the lifecycle rules of volumes (fcgi/s3/lifecycle.h decides): a slow walk over the
 * versions and multipart uploads of each volume that has rules, a page at a time, once an hour and
 * after the rules have changed, by the time of the log.  What it deletes, it deletes by commands of the cluster, so object
 * lock holds against it, too.
 *
 * Nothing of it is on disk: a job manager that begins, begins the walk, and finds again what is
 * left to do.
 */
#ifndef SX_FCGI_JOBS_LIFECYCLE_H
#define SX_FCGI_JOBS_LIFECYCLE_H

#include "fcgi/meta/meta.h"

#define SX_LIFECYCLE_PERIOD_MS 3600000 /* from the end of a walk to the next */
#define SX_LIFECYCLE_AGAIN_MS 300000   /* the same, if something has failed */
#define SX_LIFECYCLE_RETRY_MS 5000     /* after a failure */
#define SX_LIFECYCLE_LOOK_MS 2000      /* how often the rules are looked at meanwhile */
#define SX_LIFECYCLE_PAGE 100u         /* versions, or uploads, that one call looks at */

struct sx_lifecycle_walk;

struct sx_lifecycle_walk *sx_lifecycle_walk_new(struct sx_meta *meta);
void sx_lifecycle_walk_free(struct sx_lifecycle_walk *w);
/* The next page, if it is time.  Only the leader's job manager calls it. */
void sx_lifecycle_walk_step(struct sx_lifecycle_walk *w);

#endif
