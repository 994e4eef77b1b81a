/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The processes of a node, found in /proc: they run with the node's directory as working directory, from
 * a program called sx.fcgi or nginx.  Unlike pid files this stays true whatever died in whatever order,
 * and never names a process of somebody else.
 */
#ifndef SX_SXHTTPD_PROC_H
#define SX_SXHTTPD_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SX_PROC_MAX 1024 /* processes of a node that are looked at in one round */

enum sx_proc_kind { SX_PROC_DAEMON = 1, SX_PROC_NGINX = 2, SX_PROC_ANY = 3 };

struct sx_proc {
    pid_t pid;
    pid_t parent;
    enum sx_proc_kind kind;
};

/* Writes at most `max` of the node's processes of the kinds given and returns how many there
 * are in `out`.  `dir` must be what realpath(3) gives. */
size_t sx_proc_find(const char *dir, enum sx_proc_kind kinds, struct sx_proc *out, size_t max);
/* The process of that kind whose parent is not of the kind: dispatcher, or nginx's master.  0: none. */
pid_t sx_proc_main(const char *dir, enum sx_proc_kind kind);

/* SIGTERM to all of them, then, after `grace_ms`, SIGKILL until none is left.  True when none is
 * left; false after SX_PROC_KILL_MS more (a process stuck in the kernel). */
#define SX_PROC_KILL_MS 5000
bool sx_proc_end(const char *dir, enum sx_proc_kind kinds, unsigned grace_ms);

#endif
