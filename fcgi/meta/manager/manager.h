/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The group manager: one process a node, the only one that opens the consensus log and writes the
 * metadata databases.  Forked by the dispatcher before it has threads; everybody else talks to it
 * through run/manager.sock (see meta.h) and, between nodes, through the links on `peer_port`.
 */
#ifndef SX_FCGI_META_MANAGER_MANAGER_H
#define SX_FCGI_META_MANAGER_MANAGER_H

#include "fcgi/conf.h"

/* Runs until a byte can be read from `stop_fd` or it reports end of file (give the read end of a
 * pipe whose write end the dispatcher holds: so the manager also ends when the dispatcher dies),
 * or SIGTERM arrives.  Then leadership is handed over if it is held, the databases are closed
 * and the result is 0.  Otherwise 1: the reason is logged, the caller exits with that status and
 * the process is started again with a back-off. 2 means that starting again cannot help (corrupt
 * log, wrong cluster): a person must act. Blocks SIGTERM and SIGPIPE for itself; starts threads;
 * call in a fresh process only. */
int sx_manager_main(const struct sx_node_conf *conf, int stop_fd);

#endif
