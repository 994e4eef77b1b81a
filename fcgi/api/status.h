/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state of nodes.
 */
#ifndef SX_FCGI_API_STATUS_H
#define SX_FCGI_API_STATUS_H

#include "fcgi/api/app.h"

/* Whether a node answers, as asked just now. */
bool sx_status_node_up(struct sx_app *a, uint64_t node);

#endif
