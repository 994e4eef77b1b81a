/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the dispatcher does once, before it forks: who it runs as, that it is the only one, its
 * sockets.
 */
#ifndef SX_FCGI_START_H
#define SX_FCGI_START_H

#include "fcgi/conf.h"

/* If started by root and node.json names a user: becomes that user, for good. */
int sx_start_user(const struct sx_node_conf *conf, struct sx_err *e) SX_MUST_CHECK;

/* Goes into the background.  In the daemon: 0 and *ready_fd, to be given one byte when all is
 * well.  The process that was started waits for that byte and does not return: it exits with 0,
 * or with 1 if the daemon ended first. */
int sx_start_background(int *ready_fd, struct sx_err *e) SX_MUST_CHECK;

/* Locks and writes DIR/run/sx.fcgi.pid; the lock ends with the process.  SX_EEXIST names the pid
 * that holds it. */
int sx_start_pid_file(const struct sx_node_conf *conf, struct sx_err *e) SX_MUST_CHECK;
void sx_start_pid_file_remove(const struct sx_node_conf *conf);

/* A listening socket at DIR/run/NAME, mode 0660; one that an earlier daemon left is replaced. */
int sx_start_listen(const struct sx_node_conf *conf, const char *name, int *fd,
                    struct sx_err *e) SX_MUST_CHECK;
void sx_start_unlisten(const struct sx_node_conf *conf, const char *name, int fd);

#endif
