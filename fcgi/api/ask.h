/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One question to all nodes, for answers about the whole cluster.
 */
#ifndef SX_FCGI_API_ASK_H
#define SX_FCGI_API_ASK_H

#include "fcgi/api/app.h"

#define SX_ASK_TIMEOUT_MS 2000

/* Asks all nodes but this one at once, by their indexes of sx_peers_node(); each may take
 * SX_ASK_TIMEOUT_MS.  answers[i], NULL before, becomes the JSON object that node i gave, a new
 * reference, and stays NULL for one that gave none, and for this node. */
void sx_ask_nodes(struct sx_app *a, const char *method, const char *path, size_t answer_max,
                  json_t **answers);

#endif
