/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The title of a process as ps and top show it.
 */
#ifndef SX_FCGI_TITLE_H
#define SX_FCGI_TITLE_H

/* Once, first thing in main(): claims the memory of the arguments and of the environment (which
 * is copied elsewhere first), so that a title longer than the arguments fits. */
void sx_title_init(int argc, char **argv);
/* "sx.fcgi: <role>" for ps; the first 15 bytes of the role as the thread's name. */
void sx_title_set(const char *role);

#endif
