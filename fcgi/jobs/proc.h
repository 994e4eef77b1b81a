/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the collector and the transfer manager share as processes: when to end, being asked to look
 * at once, and the small file in run/ where each publishes its counters.
 */
#ifndef SX_FCGI_JOBS_PROC_H
#define SX_FCGI_JOBS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"

struct sx_proc {
    int stop_fd;   /* end of file when the dispatcher is gone */
    int signal_fd; /* SIGTERM, SIGINT */
    char *poke;    /* file that asks for work now */
};

/* Blocks SIGTERM and SIGINT.  `name` is that of the file under DIR/run that sx_proc_poke()
 * makes. */
int sx_proc_init(struct sx_proc *p, const char *dir, const char *name, int stop_fd,
                 struct sx_err *e) SX_MUST_CHECK;
void sx_proc_fini(struct sx_proc *p);

/* True once it is time to end; waits for that at most `ms`. */
bool sx_proc_stop(struct sx_proc *p, int ms);
/* True if someone asked for work since the last call. */
bool sx_proc_poked(struct sx_proc *p);
void sx_proc_poke(const char *dir, const char *name);

/* A counter and its name in the file. */
struct sx_proc_counter {
    const char *name;
    uint64_t *value;
};

/* Writes DIR/run/NAME.json, whole or not at all; it need not survive a crash. */
void sx_proc_publish(const char *dir, const char *name, const struct sx_proc_counter *c, size_t n);
/* Reads it; what is missing or damaged is 0. */
void sx_proc_read(const char *dir, const char *name, const struct sx_proc_counter *c, size_t n);

#endif
